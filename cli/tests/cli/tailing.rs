//! `tail`: what happened to a run, line by line.

use crate::folder::Folder;
use serde_json::Value;

const SLOW: &str = "workflow: slow\nsteps:\n  - id: items\n    for-each: range(30)\n    max-parallel: 2\n    uses: noop\n    with: {step-time: 50ms}\n";

fn events(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_run_that_has_ended_is_told_from_its_beginning_to_its_end() {
    let folder = Folder::new();
    folder.write("two.yaml", "workflow: two\nsteps: [{id: a, uses: noop}, {id: b, uses: fail}]\n");
    folder.run(&["run", "two.yaml"]).expect(1);
    let text = folder.run(&["tail", "two"]).expect(0);
    text.prints(&["run started", "a  dispatched", "a  completed", "b  failed: invalid_input", "run failed at `b`"]);
    let json = folder.run(&["tail", "@latest", "-o", "json"]).expect(0);
    let events = events(&json.out);
    assert_eq!(events[0]["event"], "run_started");
    assert_eq!(events.last().unwrap()["event"], "run_failed");
    assert!(events.iter().zip(1..).all(|(event, seq)| event["seq"] == seq && event["at"].is_string()), "{json}");
    let last = (events.len() - 1).to_string();
    let rest = folder.run(&["tail", "@latest", "-o", "json", "--after", &last]).expect(0);
    assert_eq!(rest.out.lines().count(), 1, "{rest}");
    folder.run(&["tail", "nope"]).expect(3).says(&["no run `nope`"]);
}

#[test]
fn times_are_text_as_in_all_documents() {
    let folder = Folder::new();
    let retry = "{class: server_unavailable, times: 1}\n    retry: {attempts: 2, delay: 10ms}\n";
    folder.write("again.yaml", format!("workflow: again\nsteps:\n  - uses: fail\n    with: {retry}"));
    folder.run(&["run", "again.yaml"]).expect(0);
    let tail = folder.run(&["tail", "again", "-o", "json"]).expect(0);
    let events = events(&tail.out);
    let retrying = events.iter().find(|event| event["event"] == "step_retrying").unwrap();
    for key in ["at", "again_at"] {
        assert!(retrying[key].as_str().is_some_and(|time| time.ends_with('Z')), "{retrying}");
    }
}

#[test]
fn a_run_that_is_under_way_is_followed_until_it_ends() {
    let folder = Folder::new();
    folder.write("slow.yaml", SLOW);
    let mut live = folder.start(&["run", "slow.yaml"]);
    live.line_with("[1/30]").expect("it works");
    let tail = folder.start(&["tail", "slow", "-o", "json"]);
    let peek = folder.run(&["tail", "slow", "-o", "json", "--no-follow"]).expect(0);
    assert!(!peek.out.contains("run_completed"), "{peek}");
    live.end().expect(0);
    let tail = tail.end().expect(0);
    let events = events(&tail.out);
    assert_eq!(events.last().unwrap()["event"], "run_completed");
    assert_eq!(events.iter().filter(|event| event["event"] == "item_ended").count(), 30);
}

#[test]
fn a_run_that_nobody_works_on_keeps_nobody_from_going_on_with_it() {
    let folder = Folder::new();
    folder.write("slow.yaml", SLOW);
    let mut live = folder.start(&["run", "slow.yaml"]);
    live.line_with("[2/30]").expect("it works");
    assert!(live.kill());
    let mut tail = folder.start(&["tail", "slow"]);
    tail.line_with("nobody works on").expect("it waits");
    folder.run(&["resume", "slow"]).expect(0);
    tail.end().expect(0).prints(&["run completed"]);
}
