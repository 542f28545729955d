//! Steps that fail: what is said, what goes on, and how the run is taken up again.

use crate::folder::{Ended, Folder};

fn resume(folder: &Folder, ended: &Ended) -> Ended {
    let command = ended.resume_command();
    folder.run(&command.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn a_hard_error_names_the_step_the_class_and_what_to_do_and_the_printed_command_goes_on() {
    let folder = Folder::new();
    // The fault is in the world, not in the workflow: a folder that is in the way of a file.
    folder.write(
        "blocked.yaml",
        "workflow: blocked\nsteps:\n  - id: draw\n    uses: image.generate\n    with: {model: local, prompt: a cup, width: 64, height: 64}\n  - id: keep\n    uses: save\n    with: {path: out/cup.png}\n  - id: after\n    uses: noop\n",
    );
    folder.write("out", "a file where a folder has to be");
    let failed = folder.run(&["run", "blocked.yaml"]).expect(1);
    let failed = failed.says(&["step 2 `keep` failed", "invalid_input", "out", "help:", "resume: darkroom resume "]);
    assert!(failed.out.contains("completed 1 · skipped 0 · failed 1"), "{failed}");
    std::fs::remove_file(folder.path("out")).unwrap();
    resume(&folder, &failed).expect(0).never_says(&["draw  completed"]);
    assert_eq!(folder.names("out"), ["cup.png"]);
    let shown = folder.run(&["show", "blocked", "-o", "json"]).expect(0).json();
    assert_eq!(shown["status"], "completed");
    assert_eq!((&shown["steps"][0]["attempts"], &shown["error"]), (&1.into(), &serde_json::Value::Null));
}

#[test]
fn a_hard_error_is_tried_once_and_a_retryable_one_again_after_its_delay() {
    let folder = Folder::new();
    folder.write("hard.yaml", "workflow: hard\nsteps:\n  - uses: fail\n    with: {class: invalid_input}\n");
    folder.run(&["run", "hard.yaml"]).expect(1).never_says(&["again in"]);
    folder.write(
        "soft.yaml",
        "workflow: soft\nsteps:\n  - uses: fail\n    with: {class: server_unavailable, times: 2}\n    retry: {attempts: 3, delay: 10ms}\n",
    );
    folder.run(&["run", "soft.yaml"]).expect(0).says(&["attempt 1 failed", "attempt 2 failed", "again in"]);
    let shown = folder.run(&["show", "soft", "-o", "json"]).expect(0).json();
    assert_eq!(shown["steps"][0]["attempts"], 3);
    folder.write(
        "worn.yaml",
        "workflow: worn\nsteps:\n  - uses: fail\n    with: {class: network, message: no route}\n    retry: {attempts: 3, delay: 10ms}\n",
    );
    folder.run(&["run", "worn.yaml"]).expect(1).says(&["network", "no route", "after 3 attempts"]);
}

#[test]
fn the_first_retry_waits_about_a_second_unless_told_otherwise() {
    let folder = Folder::new();
    folder.write("usual.yaml", "workflow: usual\nsteps:\n  - uses: fail\n    with: {class: network, times: 1}\n");
    folder.run(&["run", "usual.yaml"]).expect(0).says(&["again in"]);
    let shown = folder.run(&["show", "usual", "-o", "json"]).expect(0).json();
    assert_eq!(shown["steps"][0]["attempts"], 2);
}

#[test]
fn a_panic_is_the_error_of_its_step_and_nothing_else_suffers() {
    let folder = Folder::new();
    folder.write(
        "panics.yaml",
        "workflow: panics\nsteps:\n  - id: items\n    for-each: '[1, 2, 3]'\n    continue-on-error: true\n    steps:\n      - uses: fail\n        if: item == 2\n        with: {class: panic, message: burst pipe}\n      - uses: noop\n  - uses: noop\n",
    );
    let ended = folder.run(&["run", "panics.yaml"]).expect(6);
    let ended = ended.says(&["burst pipe", "panic"]);
    let ended = ended.never_says(&["RUST_BACKTRACE", "thread '", "stack backtrace"]);
    assert!(ended.out.contains("failed 1"), "{ended}");
    let shown = folder.run(&["show", "@latest", "-o", "json"]).expect(0).json();
    assert_eq!(shown["steps"][0]["items"], serde_json::json!({"total": 3, "completed": 2, "skipped": 0, "failed": 1}));
    assert_eq!((&shown["status"], &shown["steps"][1]["status"]), (&"completed".into(), &"completed".into()));
}

fn fan(how: &str) -> String {
    let body = "    for-each: '[1, 2, 3, 4, 5, 6]'\n    max-parallel: 1\n    steps:\n      - uses: fail\n        if: item == 3\n        with: {message: bad item}\n      - uses: noop\n";
    format!("workflow: fan\nsteps:\n  - id: items\n{how}{body}")
}

#[test]
fn whether_others_go_on_is_said_by_the_workflow_and_overridden_on_the_command_line() {
    let cases = [
        ("by default the first failure ends it", "", &[][..], 1, "completed 2"),
        ("continue-on-error", "    continue-on-error: true\n", &[][..], 6, "completed 5"),
        ("tolerated", "    tolerate: 1\n", &[][..], 6, "completed 5"),
        ("too many for the tolerance", "    tolerate: 10%\n", &[][..], 1, "completed 2"),
        ("--on-error continue", "", &["--on-error", "continue"][..], 6, "completed 5"),
        ("--on-error stop", "    continue-on-error: true\n", &["--on-error", "stop"][..], 1, "completed 2"),
    ];
    for (name, how, args, code, counts) in cases {
        let folder = Folder::new();
        folder.write("fan.yaml", fan(how));
        let ended = folder.run(&[&["run", "fan.yaml"], args].concat());
        assert_eq!(ended.code, code, "{name}: {ended}");
        assert!(ended.out.contains(counts) && ended.out.contains("failed 1"), "{name}: {ended}");
        assert!(ended.err.contains("bad item") && ended.err.contains("darkroom resume "), "{name}: {ended}");
    }
}

#[test]
fn a_failed_run_is_not_continued_by_the_same_command() {
    let folder = Folder::new();
    folder.write("hard.yaml", "workflow: hard\nsteps: [{uses: fail}]\n");
    folder.run(&["run", "hard.yaml"]).expect(1);
    folder.run(&["run", "hard.yaml"]).expect(1).never_says(&["continuing"]);
    let listed = folder.run(&["list", "-o", "json"]).expect(0).json();
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(2));
}
