//! The settings of a fleet, and what is said when its servers are not there.

use crate::folder::{Folder, workflow};
use std::net::TcpListener;
use std::time::{Duration, Instant};

/// A port that nobody listens on.
fn dead_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Settings of a fleet whose servers are at these ports.
fn fleet_at(broker: u16, store: u16) -> [(&'static str, String); 2] {
    [
        ("DARKROOM__BROKER__URL", format!("amqp://guest:sesame@127.0.0.1:{broker}/%2f")),
        ("DARKROOM__STORE__URL", format!("redis://:sesame@127.0.0.1:{store}/0")),
    ]
}

fn borrowed<'a>(variables: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    variables.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

#[test]
fn half_a_fleet_is_refused_with_the_missing_half_named() {
    let folder = Folder::new();
    let (product, broker) = (workflow("product-photo"), ("DARKROOM__BROKER__URL", "amqp://guest:sesame@h"));
    for command in [&["list"][..], &["run", &product], &["show", "@latest"], &["setup"], &["worker"]] {
        let ended = folder.run_with(&[broker], command).expect(2).never_says(&["sesame"]);
        ended.says(&["broker.url is set (DARKROOM__BROKER__URL)", "store.url is not", "DARKROOM__STORE__URL"]);
    }
    let ended = folder.run_with(&[("DARKROOM__STORE__URL", "redis://h")], &["list"]).expect(2);
    ended.says(&["store.url is set", "broker.url is not", "RabbitMQ"]);
    let empty = [("DARKROOM__BROKER__URL", ""), ("DARKROOM__STORE__URL", "")];
    folder.run_with(&empty, &["list"]).expect(0).prints(&["no runs"]);
    assert!(folder.names("").is_empty(), "nothing was begun");
}

#[test]
fn commands_that_need_a_fleet_say_so() {
    let folder = Folder::new();
    let product = workflow("product-photo");
    for command in [&["setup"][..], &["coordinator"], &["worker"], &["submit", &product]] {
        let ended = folder.run(command).expect(2);
        ended.says(&["needs a fleet", "DARKROOM__BROKER__URL", "DARKROOM__STORE__URL", "darkroom run"]);
    }
    assert!(folder.names("").is_empty(), "nothing was begun");
}

#[test]
fn what_can_not_be_a_namespace_or_a_pool_is_refused() {
    let folder = Folder::new();
    let servers = fleet_at(1, 1);
    for namespace in ["Dr", "a b", "{x}", &"x".repeat(41)] {
        let mut variables = borrowed(&servers);
        variables.push(("DARKROOM__NAMESPACE", namespace));
        folder.run_with(&variables, &["list"]).expect(2).says(&["namespace", "small letters"]);
    }
    folder
        .run_with(&borrowed(&servers), &["worker", "--pools", "imagee"])
        .expect(2)
        .says(&["no pool `imagee`", "image"]);
    let mut variables = borrowed(&servers);
    variables.push(("DARKROOM__METRICS__LISTEN", "nowhere"));
    folder.run_with(&variables, &["worker"]).expect(2).says(&["metrics.listen"]);
    folder.run_with(&borrowed(&servers), &["worker", "--metrics-listen", "x"]).expect(2).says(&["--metrics-listen"]);
}

#[test]
fn passwords_are_read_from_files_and_never_shown() {
    let folder = Folder::new();
    folder.write("broker", "amqp://guest:sesame@rabbit:5672/%2f\n");
    let variables = [("DARKROOM__BROKER__URL_FILE", "broker"), ("DARKROOM__STORE__URL", "redis://:sesame@redis/0")];
    let shown = folder.run_with(&variables, &["config", "show"]).expect(0).never_says(&["sesame"]);
    shown.prints(&[
        "broker.url = \"amqp://guest:***@rabbit:5672/%2f\"  (DARKROOM__BROKER__URL_FILE)",
        "store.url = \"redis://:***@redis/0\"  (DARKROOM__STORE__URL)",
    ]);
    let json = folder.run_with(&variables, &["config", "show", "-o", "json"]).expect(0).never_says(&["sesame"]).json();
    assert_eq!(json["broker"]["url"], "amqp://guest:***@rabbit:5672/%2f");
    let both = [variables[0], ("DARKROOM__BROKER__URL", "amqp://h")];
    folder.run_with(&both, &["list"]).expect(2).says(&["DARKROOM__BROKER__URL_FILE", "only one"]);
    let gone = [("DARKROOM__STORE__URL_FILE", "nowhere")];
    folder.run_with(&gone, &["list"]).expect(2).says(&["DARKROOM__STORE__URL_FILE", "nowhere"]);
    folder.write("darkroom.toml", "[store]\nurl = \"not a url sesame\"\n[broker]\nurl = \"sesame too\"\n");
    folder.run(&["config", "show"]).expect(0).never_says(&["sesame"]);
    folder.run(&["list"]).expect(69).never_says(&["sesame"]);
}

#[test]
fn servers_that_are_not_there_are_told_soon_with_their_place() {
    let folder = Folder::new();
    folder.write("one.yaml", "workflow: one\nsteps: [{uses: noop}]\n");
    let servers = fleet_at(dead_port(), dead_port());
    let store = format!("redis://:***@{}", servers[1].1.split_once('@').unwrap().1);
    for command in [
        &["list"][..],
        &["show", "@latest"],
        &["tail", "@latest"],
        &["outputs", "@latest", "--out", "d"],
        &["resume", "@latest"],
        &["cancel", "@latest"],
        &["submit", "one.yaml"],
        &["run", "one.yaml"],
        &["setup"],
    ] {
        let began = Instant::now();
        let ended = folder.run_with(&borrowed(&servers), command).expect(69).never_says(&["sesame"]);
        ended.says(&["the store at", &store, "can't be reached", "Redis", "store.url (DARKROOM__STORE__URL)"]);
        // About 5 s; this machine may have other things to do.
        assert!(began.elapsed() < Duration::from_secs(20), "{command:?} took {:?}", began.elapsed());
    }
    assert!(!folder.path(".darkroom/state.redb").exists(), "nothing was begun here");
}

#[test]
fn a_server_that_does_not_answer_is_not_waited_for_long() {
    let folder = Folder::new();
    // Connections are taken by the system, and nobody ever reads them.
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = silent.local_addr().unwrap().port();
    let servers = fleet_at(port, port);
    let began = Instant::now();
    folder.run_with(&borrowed(&servers), &["list"]).expect(69).says(&["the store at", "can't be reached"]);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}
