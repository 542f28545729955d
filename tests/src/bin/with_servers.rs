//! Runs a command with a private RabbitMQ and Redis: `with_servers COMMAND…`. They are stopped when it ends.
//!
//! Tests find them through `DARKROOM_TEST_RABBIT` and `DARKROOM_TEST_REDIS`; with `--fleet` in front of the command it
//! is a fleet's settings that point to them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a tool of the tests: what it does not expect ends it"
)]

use darkroom_tests::servers::{rabbit::RabbitServer, redis::RedisServer};
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let is_fleet = words.first().is_some_and(|word| word == "--fleet");
    if is_fleet {
        words.remove(0);
    }
    let Some((program, arguments)) = words.split_first() else {
        eprintln!("usage: with_servers [--fleet] COMMAND…");
        return ExitCode::from(2);
    };
    let (rabbit, redis) = (RabbitServer::start(), RedisServer::start());
    let names = match is_fleet {
        true => ["DARKROOM__BROKER__URL", "DARKROOM__STORE__URL"],
        false => ["DARKROOM_TEST_RABBIT", "DARKROOM_TEST_REDIS"],
    };
    let status = Command::new(program)
        .args(arguments)
        .env(names[0], rabbit.url())
        .env(names[1], redis.url())
        .status()
        .expect("the command can be started");
    ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
