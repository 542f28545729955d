//! Private servers for tests: started on free ports in temporary folders, stopped at the end, never anybody else's.

pub mod rabbit;
pub mod redis;
pub mod s3;

/// A port of the loopback address that nobody listens on now.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}
