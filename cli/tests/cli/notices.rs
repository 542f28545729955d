//! Notices of what went wrong, in one process.

use crate::folder::Folder;

const BROKEN: &str =
    "workflow: broken\nsteps:\n  - uses: fail\n    with: {class: invalid_input, message: the mug is missing}\n";

#[test]
fn whoever_wants_it_hears_on_the_console() {
    let folder = Folder::new();
    folder.write("broken.yaml", BROKEN);
    let console = [("DARKROOM__NOTICES__USER__CONSOLE", "true")];
    let told = folder.run_with(&console, &["run", "broken.yaml"]).expect(1);
    told.says(&["notice for user: run.failed: fail of broken", "the mug is missing"]);
    folder.run(&["run", "broken.yaml", "--new"]).expect(1).never_says(&["notice for"]);
}

#[test]
fn a_webhook_that_is_no_url_is_told_and_what_is_set_is_shown_without_its_key() {
    let folder = Folder::new();
    let url = [("DARKROOM__NOTICES__ADMIN__WEBHOOK", "https://ada:sesame@example.com/hook?key=sesame")];
    let shown = folder.run_with(&url, &["config", "show"]).expect(0).prints(&["example.com/hook"]);
    assert!(!shown.out.contains("sesame"), "{}", shown.out);
    let quiet = [
        ("DARKROOM__NOTICES__QUIET", "soon"),
        ("DARKROOM__BROKER__URL", "amqp://127.0.0.1:1"),
        ("DARKROOM__STORE__URL", "redis://127.0.0.1:1"),
    ];
    folder.run_with(&quiet, &["coordinator"]).expect(2).says(&["notices.quiet"]);
}
