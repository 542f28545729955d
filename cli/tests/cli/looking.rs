//! Commands that look at files and runs, and change nothing.

use crate::folder::{Folder, photo, repository, workflow};
use serde_json::Value;

fn is_time(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.len() == 24 && text.ends_with('Z') && text.as_bytes()[10] == b'T')
}

#[test]
fn every_workflow_that_ships_is_valid() {
    let folder = Folder::new();
    let mut count = 0;
    for entry in std::fs::read_dir(repository("workflows")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            folder.run(&["validate", path.to_str().unwrap()]).expect(0);
            count += 1;
        }
    }
    assert!(count >= 9, "{count} workflows");
    let all = folder.run(&["validate", &workflow("web-ready"), &workflow("logo-fleet"), "-o", "json"]).expect(0);
    all.json();
    assert!(folder.names("").is_empty(), "validating leaves nothing behind");
}

#[test]
fn all_mistakes_of_a_file_are_told_with_their_places() {
    let folder = Folder::new();
    folder.write(
        "bad.yaml",
        "workflow: bad\nsteps:\n  - uses: image.blurr\n  - uses: image.resize\n    with: {widht: 5}\n",
    );
    let ended = folder.run(&["validate", "bad.yaml"]).expect(2);
    ended.says(&["bad.yaml:3", "image.blurr", "bad.yaml:5", "did you mean", "width", "error[DR"]);
    folder.run(&["run", "bad.yaml"]).expect(2).says(&["bad.yaml:3"]);
    folder.run(&["plan", "bad.yaml"]).expect(2).says(&["bad.yaml:3"]);
    assert_eq!(folder.names(""), ["bad.yaml"], "nothing was begun");
    folder.run(&["validate", "none.yaml"]).expect(2).says(&["there is no file none.yaml"]);
    folder.run(&["run", "none.yaml"]).expect(2).says(&["there is no file none.yaml", "help:"]);
}

#[test]
fn a_plan_shows_the_steps_and_leaves_nothing_behind() {
    let folder = Folder::new();
    let shown = folder.run(&["plan", &workflow("product-photo")]).expect(0);
    shown.prints(&["product-photo @ ", "image.detect", "flux-pro → local", "./output/product-final.png", "$0.00"]);
    let json = folder.run(&["plan", &workflow("logo-fleet"), "-o", "json"]).expect(0).json();
    assert_eq!(json["workflow"], "logo-fleet");
    assert_eq!(json["version"].as_str().map(str::len), Some(64));
    let steps = json["steps"].as_array().unwrap();
    assert_eq!(steps[0]["path"], "variants");
    assert_eq!(steps[0]["op"], "image.generate");
    for key in ["path", "op", "model", "route", "from", "action", "reason", "cost", "seconds", "items"] {
        assert!(steps[0].get(key).is_some(), "steps have no `{key}`: {}", steps[0]);
    }
    for key in ["low", "high", "source"] {
        assert!(steps[0]["cost"].get(key).is_some(), "costs have no `{key}`");
    }
    assert_eq!(steps[0]["items"], 6);
    let json = folder.run(&["plan", &workflow("marketing-assets"), "-o", "json"]).expect(0).json();
    let branded = json["steps"].as_array().unwrap().iter().find(|step| step["path"] == "branded").unwrap();
    assert_eq!(branded["items"], Value::Null, "how many is known only when the pictures are");
    let given = format!("images=@{}/*.png", photo(""));
    folder.run(&["plan", &workflow("web-ready"), "-i", &given]).expect(0).prints(&["each ×3"]);
    assert!(folder.names("").is_empty(), "{:?}", folder.names(""));
    assert!(!folder.path(".darkroom").exists());
}

#[test]
fn a_run_is_shown_as_a_table_and_as_the_document_that_services_read() {
    let folder = Folder::new();
    folder.run(&["run", &workflow("product-photo")]).expect(0);
    let shown = folder.run(&["show", "product-photo"]).expect(0);
    shown.prints(&["completed", "STEP", "image.generate", "→ output/product-final.png", "version"]);
    let json = folder.run(&["show", "@latest", "-o", "json"]).expect(0).json();
    let keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    let want = [
        "id",
        "workflow",
        "version",
        "status",
        "created_at",
        "updated_at",
        "finished_at",
        "inputs",
        "steps",
        "outputs",
        "cost",
        "error",
    ];
    assert_eq!(keys, want);
    assert!(json["id"].as_str().is_some_and(|id| id.len() == 36 && id.starts_with("run_")));
    assert_eq!((json["status"].as_str(), &json["error"]), (Some("completed"), &Value::Null));
    for key in ["created_at", "updated_at", "finished_at"] {
        assert!(is_time(&json[key]), "{key}: {}", json[key]);
    }
    for key in ["estimated", "spent", "possible_duplicates"] {
        assert!(json["cost"][key].is_number(), "cost.{key}");
    }
    let steps = json["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 5);
    for key in ["path", "op", "status", "attempts", "started_at", "finished_at", "output", "error", "cost"] {
        assert!(steps[4].get(key).is_some(), "steps have no `{key}`");
    }
    assert_eq!((&steps[4]["path"], &steps[4]["attempts"]), (&"overlay".into(), &1.into()));
    let image = &json["outputs"]["image"];
    for key in ["sha256", "media_type", "bytes", "width", "height", "name", "stem", "ext", "url"] {
        assert!(image.get(key).is_some(), "artifacts have no `{key}`: {image}");
    }
    assert_eq!((&image["width"], &image["media_type"]), (&1024.into(), &"image/png".into()));
}

#[test]
fn fan_outs_carry_counts_and_their_instances_can_be_shown() {
    let folder = Folder::new();
    let given = format!("images=@{}/*.png", photo(""));
    folder.run(&["run", &workflow("web-ready"), "-i", &given]).expect(0);
    let json = folder.run(&["show", "@latest", "-o", "json"]).expect(0).json();
    let each = &json["steps"][0];
    assert_eq!(each["items"], serde_json::json!({"total": 3, "completed": 3, "skipped": 0, "failed": 0}));
    assert_eq!(each["steps"].as_array().unwrap().len(), 3);
    let one = folder.run(&["show", "@latest", "--step", "each[2]", "-o", "json"]).expect(0).json();
    assert_eq!(one["path"], "each[2]");
    let inner = folder.run(&["show", "@latest", "--step", "each[2]/encode"]).expect(0);
    inner.prints(&["each[2]/encode", "→ output/processed/"]);
    folder.run(&["show", "@latest", "--step", "each[9]"]).expect(3).says(&["no step `each[9]`"]);
    folder.run(&["show", "@latest", "--step", "nope"]).expect(3).says(&["no step `nope`"]);
}

#[test]
fn runs_are_listed_and_named_by_id_part_workflow_and_latest() {
    let folder = Folder::new();
    folder.run(&["list"]).expect(0).prints(&["no runs"]);
    assert_eq!(folder.run(&["list", "-o", "json"]).expect(0).json()["data"], serde_json::json!([]));
    assert!(!folder.path(".darkroom").exists(), "looking makes nothing");
    folder.run(&["show", "@latest"]).expect(3).says(&["no runs in this folder", "help:"]);

    folder.write("one.yaml", "workflow: one\nsteps: [{uses: noop}]\n");
    folder.write("two.yaml", "workflow: two\nsteps: [{uses: fail}]\n");
    folder.run(&["run", "one.yaml"]).expect(0);
    folder.run(&["run", "two.yaml"]).expect(1);
    let listed = folder.run(&["list"]).expect(0);
    let lines: Vec<&str> = listed.out.lines().collect();
    assert!(lines[0].starts_with("RUN") && lines[1].contains("two") && lines[2].contains("one"), "{listed}");
    assert!(lines[1].contains("failed") && lines[1].contains("invalid_input"), "{listed}");

    let json = folder.run(&["list", "-o", "json"]).expect(0).json();
    let id = json["data"][1]["id"].as_str().unwrap().to_owned();
    assert_eq!((json["data"][1]["workflow"].as_str(), &json["next_cursor"]), (Some("one"), &Value::Null));
    for name in [&id, &id["run_".len()..], &id[id.len() - 8..], &id[20..30], "one"] {
        let shown = folder.run(&["show", name, "-o", "json"]).expect(0).json();
        assert_eq!(shown["id"], id.as_str(), "{name}");
    }
    assert_eq!(folder.run(&["show", "@latest", "-o", "json"]).expect(0).json()["workflow"], "two");

    let first = folder.run(&["list", "--limit", "1", "-o", "json"]).expect(0).json();
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = folder.run(&["list", "--limit", "1", "--cursor", cursor, "-o", "json"]).expect(0).json();
    assert_eq!((&second["data"][0]["workflow"], &second["next_cursor"]), (&"one".into(), &Value::Null));
    let failed = folder.run(&["list", "--status", "failed", "-o", "json"]).expect(0).json();
    assert_eq!(failed["data"].as_array().map(Vec::len), Some(1));
    folder.run(&["list", "--status", "broken"]).expect(2).says(&["completed"]);

    for command in ["show", "resume"] {
        folder.run(&[command, "nope"]).expect(3).says(&["no run `nope`", "darkroom list"]);
        folder.run(&[command, "ffffffffffff"]).expect(3).says(&["no run `ffffffffffff`"]);
    }
    folder.run(&["outputs", "nope", "--out", "d"]).expect(3).says(&["no run `nope`"]);
    folder.run(&["outputs", "one", "--out", "d"]).expect(3).says(&["no files"]);
    folder.run(&["show", &id[4..8]]).expect(2).says(&["of 2 runs", "more of the id"]);
}

#[test]
fn the_files_of_a_run_are_copied_out() {
    let folder = Folder::new();
    folder.run(&["run", &workflow("product-photo")]).expect(0);
    folder.run(&["outputs", "@latest", "--out", "deli very"]).expect(0).prints(&["product-final.png"]);
    assert_eq!(folder.files("deli very/output"), folder.files("output"));
    let json = folder.run(&["outputs", "@latest", "--out", "again", "-o", "json"]).expect(0).json();
    assert_eq!(json[0]["path"], "output/product-final.png");
}

#[test]
fn workflows_are_described_begun_and_listed() {
    let folder = Folder::new();
    let schema = folder.run(&["workflows", "schema"]).expect(0).json();
    assert!(schema["$schema"].is_string() && schema["properties"]["steps"].is_object());
    let made = folder.run(&["workflows", "new", "my-shop"]).expect(0);
    let file = folder.names("").into_iter().find(|name| name.ends_with("my-shop.yaml"));
    let file = file.unwrap_or_else(|| {
        folder.write("my-shop.yaml", &made.out);
        "my-shop.yaml".into()
    });
    folder.run(&["validate", &file]).expect(0);
    folder
        .run(&["workflows", "list", "workflows"])
        .expect(3)
        .says(&["folder workflows", "darkroom workflows list FOLDER"]);
    folder.run(&["workflows", "list", "."]).expect(0).prints(&["my-shop.yaml", "ok"]);
    let listed = folder.run(&["workflows", "list", ".", "-o", "json"]).expect(0).json();
    assert_eq!(listed["data"][0]["workflow"], "my-shop");
}

#[test]
fn codes_settings_and_the_version_are_explained() {
    let folder = Folder::new();
    folder.write("bad.yaml", "workflow: bad\nsteps: [{uses: nope}]\n");
    let ended = folder.run(&["validate", "bad.yaml"]).expect(2);
    let code = ended.err.split_once("error[").and_then(|(_, rest)| rest.split_once(']')).unwrap().0.to_owned();
    let explained = folder.run(&["explain", &code]).expect(0);
    assert!(explained.out.len() > 100, "{explained}");
    folder.run(&["explain", "DR999"]).expect(3).says(&["DR999"]);
    folder.run(&["config", "show"]).expect(0).prints(&["artifacts", ".darkroom/artifacts", "default"]);
    folder.run(&["config", "show", "-o", "json"]).expect(0).json();
    folder.run(&["version"]).expect(0).prints(&[env!("CARGO_PKG_VERSION")]);
    folder.run(&["--version"]).expect(0).prints(&[env!("CARGO_PKG_VERSION")]);
    folder.run(&["version", "-o", "json"]).expect(0).json();
    folder.run(&["--help"]).expect(0).prints(&["Exit codes", "darkroom run"]);
    folder.run(&[]).expect(2);
    folder.run(&["frobnicate"]).expect(2).says(&["frobnicate"]);
}
