//! `cancel` in a folder: of a run that is under way, of one that was interrupted, of one that has ended.

use crate::folder::Folder;

const SLOW: &str = "workflow: slow\nsteps:\n  - id: items\n    for-each: range(200)\n    max-parallel: 2\n    uses: noop\n    with: {step-time: 50ms}\n";

#[test]
fn a_run_under_way_in_another_process_ends_and_says_so() {
    let folder = Folder::new();
    folder.write("slow.yaml", SLOW);
    let mut live = folder.start(&["run", "slow.yaml"]);
    live.line_with("[1/200]").expect("it works");
    let cancelled = folder.run(&["cancel", "slow", "--reason", "wrong logo", "-o", "json"]).expect(0);
    assert_eq!(cancelled.json()["status"], "cancelled", "{cancelled}");
    let ended = live.end().expect(1).prints(&["cancelled run_"]);
    assert!(!ended.err.contains("[200/200]"), "{ended}");
    folder.run(&["tail", "slow"]).expect(0).prints(&["run cancelled: wrong logo"]);
    folder.run(&["cancel", "slow"]).expect(5).says(&["is cancelled already"]);
}

#[test]
fn an_interrupted_run_is_cancelled_without_being_done() {
    let folder = Folder::new();
    folder.write("slow.yaml", SLOW);
    let mut live = folder.start(&["run", "slow.yaml"]);
    live.line_with("[3/200]").expect("it works");
    assert!(live.kill());
    folder.run(&["cancel", "@latest"]).expect(0).prints(&["cancelled"]);
    let shown = folder.run(&["show", "@latest", "-o", "json"]).expect(0).json();
    assert_eq!(shown["status"], "cancelled");
    let done = shown["steps"][0]["items"]["completed"].as_u64().unwrap();
    assert!(done < 20, "only what was under way was finished: {done}");
    folder.run(&["run", "slow.yaml", "--new"]).expect(0).never_says(&["continuing"]);
    folder.run(&["cancel", "@latest"]).expect(5).says(&["is completed already"]);
}
