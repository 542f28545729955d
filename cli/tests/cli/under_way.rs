//! A run that is under way: stopped by Ctrl-C, looked at by others, not disturbed by a second one.

use crate::folder::{Folder, until};

/// Items that take long enough to do something meanwhile: 40 of 50 ms, two at a time.
const SLOW: &str = "workflow: slow\nsteps:\n  - id: items\n    for-each: range(40)\n    max-parallel: 2\n    uses: noop\n    with: {step-time: 50ms}\n";

#[test]
fn ctrl_c_ends_it_and_the_same_command_goes_on() {
    let folder = Folder::new();
    folder.write("slow.yaml", SLOW);
    let mut live = folder.start(&["run", "slow.yaml"]);
    live.line_with("[1/40]").expect("it works");
    live.interrupt();
    let ended = live.end().expect(130).says(&["interrupted", "same command", "darkroom resume "]);
    assert!(!ended.err.contains("[40/40]"), "{ended}");
    let listed = folder.run(&["list", "-o", "json"]).expect(0).json();
    assert_eq!(listed["data"][0]["status"], "running");

    let ended = folder.run(&["run", "slow.yaml"]).expect(0).says(&["continuing run_", "--new", "[40/40]"]);
    assert!(!ended.err.contains("[1/40]"), "what was done is not done again: {ended}");
    let shown = folder.run(&["show", "@latest", "-o", "json"]).expect(0).json();
    assert_eq!(shown["steps"][0]["items"]["completed"], 40);
    assert_eq!(folder.run(&["list", "-o", "json"]).expect(0).json()["data"].as_array().map(Vec::len), Some(1));
}

#[test]
fn an_interrupted_run_goes_on_by_resume_or_is_left_for_a_new_one() {
    let folder = Folder::new();
    folder.write("slow.yaml", SLOW);
    let mut live = folder.start(&["run", "slow.yaml"]);
    live.line_with("[3/40]").expect("it works");
    assert!(live.kill());
    folder.run(&["resume", "slow", "--from-step", "items"]).expect(5).says(&["has not ended", "darkroom resume "]);
    folder.run(&["run", "slow.yaml", "--new"]).expect(0).says(&["[1/40]", "[40/40]"]).never_says(&["continuing"]);
    let listed = folder.run(&["list", "-o", "json"]).expect(0).json();
    assert_eq!(listed["data"][1]["status"], "running", "the other one waits");
    let id = listed["data"][1]["id"].as_str().unwrap();
    folder.run(&["resume", id]).expect(0).says(&["[40/40]"]).never_says(&["[2/40]"]);
}

#[test]
fn others_look_at_it_and_a_second_run_is_refused() {
    let folder = Folder::new();
    folder.write("slow.yaml", SLOW);
    let mut live = folder.start(&["run", "slow.yaml"]);
    live.line_with("[1/40]").expect("it works");
    let listed = folder.run(&["list", "-o", "json"]).expect(0).json();
    assert_eq!(listed["data"][0]["status"], "running");
    folder.run(&["list"]).expect(0).prints(&["slow", "running"]);
    let done = |shown: &serde_json::Value| shown["steps"][0]["items"]["completed"].as_u64().unwrap();
    let first = folder.run(&["show", "slow", "-o", "json"]).expect(0).json();
    assert_eq!(first["status"], "running");
    until("progress through the socket", || {
        let shown = folder.run(&["show", "slow", "-o", "json"]).expect(0).json();
        (done(&shown) > done(&first)).then_some(())
    });
    for again in [&["run", "slow.yaml"][..], &["run", "slow.yaml", "--new"], &["resume", "slow"]] {
        folder.run(again).expect(5).says(&["another run is under way in this folder", "darkroom list"]);
    }
    folder.run(&["plan", "slow.yaml"]).expect(0);
    assert!(live.is_alive(), "it ended before it was looked at");
    live.end().expect(0);
}

#[test]
fn commands_that_only_look_do_not_keep_a_run_from_starting() {
    let folder = Folder::new();
    folder.write("one.yaml", "workflow: one\nsteps: [{uses: noop}]\n");
    folder.run(&["run", "one.yaml"]).expect(0);
    for _ in 0..8 {
        let lookers: Vec<_> = (0..3).map(|_| folder.start(&["list"])).collect();
        folder.run(&["run", "one.yaml"]).expect(0);
        for looker in lookers {
            looker.end().expect(0);
        }
    }
}
