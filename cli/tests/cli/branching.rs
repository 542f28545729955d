//! Races, branches and loops in a folder.

use crate::folder::Folder;
use serde_json::json;

fn shown(folder: &Folder) -> serde_json::Value {
    folder.run(&["show", "@latest", "-o", "json"]).expect(0).json()
}

#[test]
fn the_first_contender_that_succeeds_wins() {
    let folder = Folder::new();
    folder.write(
        "race.yaml",
        "workflow: race\nsteps:\n  - id: hero\n    race:\n      - {uses: fail, with: {class: invalid_input}}\n      - {uses: noop, with: {data: second}}\noutputs:\n  data: ${{ steps.hero.data }}\n  winner: ${{ steps.hero.winner }}\n",
    );
    folder.run(&["plan", "race.yaml"]).expect(0).prints(&["race", "the first of 2 that succeeds"]);
    folder.run(&["run", "race.yaml"]).expect(0);
    assert_eq!(shown(&folder)["outputs"], json!({"data": "second", "winner": 2}));
}

#[test]
fn a_delayed_contender_begins_when_its_time_has_come() {
    let folder = Folder::new();
    folder.write(
        "hedge.yaml",
        "workflow: hedge\nsteps:\n  - id: hero\n    race:\n      - {uses: noop, with: {step-time: 6s}}\n      - {delay: 1s, uses: noop, with: {data: second}}\noutputs:\n  winner: ${{ steps.hero.winner }}\n",
    );
    folder.run(&["run", "hedge.yaml"]).expect(0);
    let shown = shown(&folder);
    assert_eq!(
        (&shown["outputs"], &shown["steps"][0]["steps"][0]["status"]),
        (&json!({"winner": 2}), &json!("cancelled"))
    );
}

#[test]
fn a_caught_failure_is_told_and_lets_the_run_go_on() {
    let folder = Folder::new();
    folder.write(
        "catch.yaml",
        "workflow: catch\nsteps:\n  - id: x\n    uses: fail\n    with: {class: invalid_input}\n    on-error:\n      - {id: instead, uses: noop, with: {data: \"${{ error.class }}\"}}\noutputs:\n  data: ${{ steps.x.data }}\n",
    );
    folder.run(&["run", "catch.yaml"]).expect(0).says(&["x  on-error: invalid_input"]);
    let shown = shown(&folder);
    assert_eq!((&shown["outputs"], &shown["status"]), (&json!({"data": "invalid_input"}), &json!("completed")));
    assert_eq!(shown["steps"][0]["steps"][0]["path"], "x/on-error");
    folder.run(&["tail", "catch", "--no-follow"]).expect(0).prints(&["on-error begins"]);
}

#[test]
fn a_cancelled_run_undoes_what_it_did() {
    let folder = Folder::new();
    folder.write(
        "undo.yaml",
        "workflow: undo\nsteps:\n  - id: reserve\n    uses: noop\n    on-cancel:\n      - {id: back, uses: noop, with: {data: given back}}\n  - {id: long, uses: noop, with: {step-time: 3s}}\n",
    );
    let mut live = folder.start(&["run", "undo.yaml"]);
    live.line_with("reserve  completed").expect("it works");
    folder.run(&["cancel", "undo"]).expect(0);
    live.end().expect(1);
    let shown = shown(&folder);
    assert_eq!(shown["status"], "cancelled");
    assert_eq!(shown["steps"][0]["steps"][0]["steps"][0]["output"]["data"], "given back");
}

#[test]
fn a_loop_ends_when_its_expression_holds_and_a_fan_out_when_it_has_enough() {
    let folder = Folder::new();
    folder.write(
        "loop.yaml",
        "workflow: loop\nsteps:\n  - id: grow\n    repeat: {until: steps.grow.data >= 8, max: 10}\n    uses: noop\n    with: {data: \"${{ previous.data * 2 if previous else 1 }}\"}\n  - id: shots\n    for-each: range(20)\n    max-parallel: 2\n    stop-when: steps.shots.completed >= 3\n    uses: noop\noutputs:\n  data: ${{ steps.grow.data }}\n  times: ${{ steps.grow.count }}\n  shots: ${{ steps.shots.ok | length }}\n",
    );
    folder.run(&["run", "loop.yaml"]).expect(0);
    assert_eq!(shown(&folder)["outputs"], json!({"data": 8, "times": 4, "shots": 3}));
}
