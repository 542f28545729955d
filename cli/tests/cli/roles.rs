//! Roles whose servers are not there: they wait, say so, serve their pages, and end when they are told to.

use crate::folder::{Folder, Live, until};
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

/// Settings of a fleet whose servers refuse every connection.
const NOBODY: [(&str, &str); 2] = [
    ("DARKROOM__BROKER__URL", "amqp://guest:sesame@127.0.0.1:1"),
    ("DARKROOM__STORE__URL", "redis://:sesame@127.0.0.1:1"),
];

/// Status and body of a page.
fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split_whitespace().nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// The address that a role serves its pages at, from its log.
fn address(live: &mut Live) -> String {
    let line = live.line_with("/readyz").expect("it serves its pages");
    let line: Value = serde_json::from_str(&line).expect("off a terminal, logs are JSON");
    line["address"].as_str().unwrap().to_owned()
}

#[test]
fn a_role_waits_for_its_servers_and_its_pages_say_so() {
    for role in ["coordinator", "worker"] {
        let folder = Folder::new();
        let mut live = folder.start_with(&NOBODY, &[role, "--metrics-listen", "127.0.0.1:0"]);
        let address = address(&mut live);
        let line: Value = serde_json::from_str(&live.line_with("waiting for a server").unwrap()).unwrap();
        assert_eq!(line["level"], "WARN");
        assert!(line["why"].as_str().unwrap().contains("can't be reached"), "{line}");
        assert_eq!(get(&address, "/livez"), (200, "ok\n".to_owned()));
        until("both servers to be looked for", || {
            let (status, reasons) = get(&address, "/readyz");
            assert_eq!(status, 503);
            (reasons.contains("the broker at") && reasons.contains("the store at")).then_some(())
        });
        let (status, metrics) = get(&address, "/metrics");
        assert_eq!(status, 200);
        let build = format!("darkroom_build_info{{version=\"{}\",role=\"{role}\"}} 1", env!("CARGO_PKG_VERSION"));
        for line in [&build, "darkroom_server_connected{server=\"store\"} 0", "darkroom_process_start_time_seconds "] {
            assert!(metrics.contains(line), "no {line} in\n{metrics}");
        }
        assert_eq!(get(&address, "/other").0, 404);
        assert!(live.is_alive(), "it waits");
        live.terminate();
        let ended = live.end().expect(0).never_says(&["sesame"]);
        ended.says(&["draining", "SIGTERM", "drained"]);
        assert!(folder.names("").iter().all(|name| !name.contains("redb")), "a role keeps no state of its own");
    }
}

#[test]
fn ctrl_c_ends_a_role_too_and_logs_can_be_text() {
    let folder = Folder::new();
    let mut variables = NOBODY.to_vec();
    variables.push(("DARKROOM__LOG__FORMAT", "json"));
    let args = ["worker", "--metrics-listen", "127.0.0.1:0", "--log-format", "text"];
    let mut live = folder.start_with(&variables, &args);
    let line = live.line_with("waiting for a server").unwrap();
    assert!(serde_json::from_str::<Value>(&line).is_err() && line.contains("WARN"), "{line}");
    live.interrupt();
    live.end().expect(0).says(&["SIGINT"]);
}

#[test]
fn an_address_that_somebody_chose_must_be_free() {
    let folder = Folder::new();
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = folder.run_with(&NOBODY, &["worker", "--metrics-listen", &address]).expect(1);
    ended.says(&[&address, "another process listens there", "--metrics-listen"]);
    let mut variables = NOBODY.to_vec();
    variables.push(("DARKROOM__METRICS__LISTEN", &address));
    folder.run_with(&variables, &["coordinator"]).expect(1).says(&["another process listens there"]);
}

#[test]
fn a_second_role_on_a_machine_takes_a_free_port() {
    let folder = Folder::new();
    // Whoever has the usual port, one of the two does not get it.
    let mut roles = [folder.start_with(&NOBODY, &["worker"]), folder.start_with(&NOBODY, &["coordinator"])];
    let addresses = roles.each_mut().map(address);
    assert_ne!(addresses[0], addresses[1]);
    for (role, address) in roles.into_iter().zip(addresses) {
        assert_eq!(get(&address, "/livez").0, 200);
        role.terminate();
        role.end().expect(0);
    }
}
