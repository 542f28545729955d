//! What is around the command: environment, settings, disks, folders, and state of other releases.

use crate::folder::{Folder, photo, workflow};
use darkroom_backend::{EmbeddedStore, NewRun, RunFilter, Store as _};
use darkroom_proto::RunId;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

#[test]
fn neither_home_nor_network_is_needed() {
    // Every test runs without HOME and PATH; here nothing can be reached besides.
    let folder = Folder::new();
    let nowhere = [("http_proxy", "http://127.0.0.1:1"), ("https_proxy", "http://127.0.0.1:1")];
    folder.run_with(&nowhere, &["run", &workflow("product-photo")]).expect(0);
}

#[test]
fn paths_may_have_spaces_and_any_letters() {
    let folder = Folder::named("Läden & mehr/店 1");
    folder.copy_photo("coffee.png", "ein gang/tasse grün.png");
    folder.write("my flow.yaml", fs::read(workflow("web-ready")).unwrap());
    folder.run(&["run", "my flow.yaml", "-i", "images=@ein gang/*.png"]).expect(0);
    assert_eq!(folder.names("output/processed"), ["tasse grün.webp"]);
    let json = folder.run(&["show", "@latest", "-o", "json"]).expect(0).json();
    let url = json["inputs"]["images"][0]["url"].as_str().unwrap();
    assert!(url.starts_with("file:///") && url.contains("L%C3%A4den%20%26%20mehr"), "{url}");
    folder.run(&["run", "my flow.yaml", "-i", "images=@ein gang/*.png", "--out", "für/später"]).expect(0);
    assert_eq!(folder.names("für/später/output/processed"), ["tasse grün.webp"]);
}

#[test]
fn an_output_folder_that_can_not_be_written_to_is_an_error_of_the_step_that_saves() {
    let folder = Folder::new();
    // A file in its place is in the way of everybody, root included.
    folder.write("output", "not a folder");
    let ended = folder.run(&["run", &workflow("product-photo")]).expect(1);
    ended.says(&["step 5 `overlay` failed", "output/product-final.png", "output folder can be written", "resume"]);

    let folder = Folder::new();
    let shut = folder.path("shut");
    fs::create_dir(&shut).unwrap();
    fs::set_permissions(&shut, fs::Permissions::from_mode(0o555)).unwrap();
    let ended = folder.run(&["run", &workflow("product-photo"), "--out", "shut"]);
    match fs::write(shut.join("probe"), "") {
        // Root writes everywhere.
        Ok(()) => drop(ended.expect(0)),
        Err(_) => drop(ended.expect(1).says(&["step 5 `overlay` failed", "Permission denied"])),
    }
    fs::set_permissions(&shut, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_state_folder_that_can_not_be_made_is_told() {
    let folder = Folder::new();
    folder.write(".darkroom", "a file");
    let ended = folder.run(&["run", &workflow("product-photo")]);
    assert!(ended.code == 69 || ended.code == 1, "{ended}");
    ended.says(&[".darkroom", "help:"]).never_says(&["panicked"]);
}

#[test]
fn a_state_that_this_release_can_not_read_is_left_alone_and_told() {
    let folder = Folder::new();
    folder.write("one.yaml", "workflow: one\nsteps: [{uses: noop}]\n");
    folder.run(&["run", "one.yaml"]).expect(0);
    let state = folder.path(".darkroom/state.redb");
    let good = fs::read(&state).unwrap();
    fs::write(&state, b"something else altogether".repeat(100)).unwrap();
    for command in [&["run", "one.yaml"][..], &["list"], &["show", "@latest"], &["resume", "@latest"]] {
        let ended = folder.run(command);
        assert!(ended.code == 1 || ended.code == 69, "{ended}");
        ended.says(&["state.redb", "help:"]).never_says(&["panicked"]);
    }
    assert_eq!(fs::read(&state).unwrap(), b"something else altogether".repeat(100), "it was not overwritten");
    fs::write(&state, good).unwrap();
    folder.run(&["list"]).expect(0).prints(&["one"]);
}

#[tokio::test]
async fn a_run_that_a_newer_release_wrote_is_told_as_that() {
    let folder = Folder::new();
    folder.write("one.yaml", "workflow: one\nsteps: [{uses: noop}]\n");
    folder.run(&["run", "one.yaml"]).expect(0);
    {
        let store = EmbeddedStore::open(&folder.path(".darkroom")).unwrap();
        let (_, summary) = store.list(&RunFilter { limit: 1, ..RunFilter::default() }).await.unwrap().remove(0);
        let run = RunId::new(summary.updated_at, [7; 10]);
        let head = vec![9, 1, 2, 3];
        let new = NewRun { run, summary, head, fields: Vec::new(), events: Vec::new(), due: None };
        store.create(&[new]).await.unwrap();
    }
    folder.run(&["list"]).expect(0).prints(&["one"]);
    for command in [&["show", "@latest"][..], &["resume", "@latest"], &["outputs", "@latest", "--out", "d"]] {
        let ended = folder.run(command).expect(1);
        ended.says(&["version 9", "this release reads 1", "help: use the release that wrote it"]);
    }
}

#[test]
fn a_setting_that_does_not_exist_is_named() {
    let folder = Folder::new();
    let product = workflow("product-photo");
    for command in [&["run", &product][..], &["plan", &product], &["config", "show"]] {
        let ended = folder.run_with(&[("DARKROOM__UNKNOWN__KEY", "1")], command).expect(2);
        ended.says(&["unknown", "help:"]);
    }
    let ended = folder.run_with(&[("DARKROOM__WORKER__SLOTZ", "1")], &["run", &product]).expect(2);
    ended.says(&["slotz", "slots"]);
    folder.run_with(&[("DARKROOM__WORKER__SLOTS", "many")], &["run", &product]).expect(2).says(&["slots", "many"]);
    folder.write("darkroom.toml", "[worker]\nslotz = 1\n");
    folder.run(&["run", &product]).expect(2).says(&["slotz", "darkroom.toml"]);
    folder.write("darkroom.toml", "[worker]\nslots = 1\n");
    folder.run(&["config", "show"]).expect(0).prints(&["worker.slots = 1  (darkroom.toml)"]);
    let shown = folder.run_with(&[("DARKROOM__WORKER__SLOTS", "3")], &["config", "show"]).expect(0);
    shown.prints(&["worker.slots = 3  (DARKROOM__WORKER__SLOTS)"]);
}

#[test]
fn with_a_provider_key_nothing_falls_back_to_the_preview_and_the_key_is_never_shown() {
    let folder = Folder::new();
    // Nobody answers there, and this step is tried once.
    let nowhere = format!("http://127.0.0.1:{}", darkroom_tests::servers::free_port());
    let key = [("DARKROOM__PROVIDERS__FAL__KEYS", "sesame-17"), ("DARKROOM__PROVIDERS__FAL__BASE_URL", &nowhere)];
    folder.write(
        "paid.yaml",
        "workflow: paid\nsteps:\n  - {id: generate, uses: image.generate, retry: {attempts: 1}, with: {model: flux-pro, prompt: a mug}}\n",
    );
    let product = workflow("product-photo");
    let failed = folder.run_with(&key, &["run", "paid.yaml"]).expect(1).never_says(&["sesame"]);
    failed.says(&["step 1 `generate` failed", "network", "help:"]).never_says(&["stands in"]);
    folder.run_with(&key, &["plan", &product]).expect(0).never_says(&["sesame", "flux-pro → local"]);
    folder.run_with(&key, &["config", "show"]).expect(0).never_says(&["sesame"]);
    folder.run_with(&key, &["config", "show", "-o", "json"]).expect(0).never_says(&["sesame"]);
    folder.run_with(&key, &["show", "@latest", "-o", "json"]).expect(0).never_says(&["sesame"]);
    for (name, bytes) in folder.files(".darkroom") {
        assert!(!bytes.windows(6).any(|part| part == b"sesame"), "the key is in {name}");
    }
    // Local work does not need a model.
    let given = format!("images={}", photo("rocket.jpg"));
    folder.run_with(&key, &["run", &workflow("web-ready"), "-i", &given]).expect(0);
}

#[test]
fn nobody_who_stops_reading_makes_it_panic() {
    let folder = Folder::new();
    folder.write("one.yaml", "workflow: one\nsteps: [{uses: noop}]\n");
    let shell = format!(
        "cd '{}' && '{}' workflows schema | head -c 1 > head.txt",
        folder.path("").display(),
        env!("CARGO_BIN_EXE_darkroom")
    );
    let ended = std::process::Command::new("/bin/sh").args(["-c", &shell]).output().unwrap();
    assert!(ended.stderr.is_empty(), "{}", String::from_utf8_lossy(&ended.stderr));
}
