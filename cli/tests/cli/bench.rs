//! Benchmarks: what they print, and that nothing is left of them.

use crate::folder::Folder;

#[test]
fn jobs_at_a_provider_are_waited_for_and_each_is_paid_once() {
    let folder = Folder::new();
    let words = ["bench", "waiting", "--jobs", "25", "--wait", "500ms", "--per-run", "10", "-o", "json"];
    let found = folder.run(&words).expect(0).json();
    assert_eq!((&found["bench"], &found["runs"]), (&"waiting".into(), &3.into()));
    assert_eq!((&found["completed"], &found["failed"], &found["steps"]), (&3.into(), &0.into(), &25.into()));
    assert_eq!((&found["charges"], &found["ideal_s"]), (&25.into(), &0.5.into()));
    let number = |name: &str| found[name].as_f64().unwrap_or_else(|| panic!("no {name}: {found}"));
    assert!(number("ratio") >= 1.0 && number("wall_s") >= 0.5, "{found}");
    // The status once at least, then the result.
    assert!(number("polls_per_job") >= 2.0, "{found}");
    assert!(number("polls_max") >= number("polls_per_job"), "{found}");
    assert!(folder.files(".darkroom").is_empty(), "its own state is removed");
}

#[test]
fn roles_that_run_already_can_not_be_made_to_ask_the_simulator() {
    let folder = Folder::new();
    folder.run(&["bench", "waiting", "--attach"]).expect(2).says(&["a provider of its own", "leave --attach out"]);
    folder.run(&["bench", "waiting", "--webhooks"]).expect(2).says(&["are for a fleet", "DARKROOM__BROKER__URL"]);
}
