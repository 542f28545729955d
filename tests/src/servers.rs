//! Private servers for tests: started on free ports in temporary folders, stopped at the end, never anybody else's.

pub mod rabbit;
pub mod redis;
pub mod s3;
pub mod simulator;

use std::hash::{BuildHasher as _, RandomState};

/// Where ports for servers are looked for: below those that systems give to outgoing connections (32768 and up on Linux).
/// One of those could be taken by any client between the look and the server's start, or while a server is down.
const PORTS: std::ops::Range<u16> = 10_000..32_000;

/// A port of the loopback address that nobody listens on now, at a random place so that tests do not meet.
pub fn free_port() -> u16 {
    let random = RandomState::new().hash_one(std::process::id());
    let first = u16::try_from(random % u64::from(PORTS.end - PORTS.start)).unwrap();
    let mut candidates = (PORTS.start + first..PORTS.end).chain(PORTS.start..PORTS.start + first);
    candidates.find(|&port| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok()).expect("no free port")
}
