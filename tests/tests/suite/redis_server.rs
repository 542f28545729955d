//! The private Redis of the tests: it is durable, and never outlives who started it.

use darkroom_tests::poll;
use darkroom_tests::servers::redis::RedisServer;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

fn is_alive(pid: u32) -> bool {
    Command::new("kill").args(["-0", &pid.to_string()]).stderr(Stdio::null()).status().unwrap().success()
}

#[test]
fn what_was_written_is_there_after_kill_and_restart() {
    let mut server = RedisServer::start();
    let client = redis::Client::open(server.url()).unwrap();
    let _: () = redis::cmd("SET").arg("a").arg("1").query(&mut client.get_connection().unwrap()).unwrap();
    let pid = server.pid().unwrap();
    server.kill();
    assert!(!is_alive(pid) && client.get_connection().is_err());
    server.restart();
    let value: String = redis::cmd("GET").arg("a").query(&mut client.get_connection().unwrap()).unwrap();
    assert_eq!(value, "1");
    let pid = server.pid().unwrap();
    drop(server);
    assert!(!is_alive(pid));
}

/// A test in a process of its own starts a server and is killed.
#[tokio::test]
async fn a_server_ends_with_a_process_that_is_killed() {
    let mut test = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "redis_server::a_process_that_waits_to_be_killed", "--nocapture"])
        .env("DARKROOM_WAITS_TO_BE_KILLED", "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(test.stdout.take().unwrap()).lines().map(Result::unwrap);
    let pid: u32 = lines.into_iter().find_map(|line| line.split_once("server ")?.1.trim().parse().ok()).unwrap();
    assert!(is_alive(pid));
    test.kill().unwrap();
    test.wait().unwrap();
    poll::until("the server ends", async || !is_alive(pid)).await;
}

/// The other process of the test above; by itself it does nothing.
#[test]
fn a_process_that_waits_to_be_killed() {
    if std::env::var_os("DARKROOM_WAITS_TO_BE_KILLED").is_some() {
        let server = RedisServer::start();
        println!("server {}", server.pid().unwrap());
        loop {
            std::thread::park();
        }
    }
}
