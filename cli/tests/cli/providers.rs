//! Providers and their models, and models of one's own.

use crate::folder::Folder;
use serde_json::Value;

fn data(json: &Value) -> &Vec<Value> {
    json["data"].as_array().unwrap()
}

#[test]
fn the_list_tells_who_has_keys_and_where_they_are_and_no_key() {
    let folder = Folder::new();
    let variables = [
        ("DARKROOM__PROVIDERS__FAL__KEYS", "canary-one, canary-two"),
        ("DARKROOM__PROVIDERS__OPENAI__BASE_URL", "http://127.0.0.1:1/v1"),
        ("DARKROOM__SIMULATOR", "http://127.0.0.1:2/"),
    ];
    let ended = folder.run_with(&variables, &["providers", "list", "-o", "json"]).expect(0).never_says(&["canary"]);
    let json = ended.json();
    let of = |name: &str| data(&json).iter().find(|row| row["provider"] == name).unwrap().clone();
    assert_eq!((&of("fal")["keys"], &of("fal")["signed"]), (&2.into(), &true.into()));
    assert_eq!(of("fal")["base_url"], "http://127.0.0.1:2/fal");
    assert_eq!(of("openai")["base_url"], "http://127.0.0.1:1/v1");
    assert_eq!(of("replicate")["keys"], 0);
    let table = folder.run_with(&variables, &["providers", "list"]).expect(0).never_says(&["canary"]);
    table.prints(&["fal", "2", "http://127.0.0.1:2/fal", "signed webhooks", "google"]);
    let misspelt = [("DARKROOM__PROVIDERS__FALL__KEYS", "x")];
    folder.run_with(&misspelt, &["providers", "list"]).expect(0).says(&["`fall`", "not known"]);
}

#[test]
fn the_models_tell_their_routes_prices_and_ends() {
    let folder = Folder::new();
    let json = folder.run(&["providers", "models", "-o", "json"]).expect(0).json();
    let of = |alias: &str, op: &str| {
        data(&json).iter().find(|row| row["alias"] == alias && row["op"] == op).unwrap()["routes"].clone()
    };
    let flux = of("flux-pro", "image.generate");
    assert_eq!((&flux[0]["provider"], &flux[0]["offered"]), (&"fal".into(), &true.into()));
    assert!(flux[0]["price"]["source"].as_str().unwrap().contains("fal.ai"));
    let gpt = of("gpt-image", "image.generate");
    assert_eq!((&gpt[0]["retires"], &gpt[0]["offered"]), (&"2026-10-23".into(), &false.into()));
    let table = folder.run(&["providers", "models", "video.generate"]).expect(0);
    table.prints(&["kling/v1.6", "a second", "local", "free"]).never_says(&["flux-pro"]);
    folder.run(&["providers", "models", "image.crop"]).expect(2).says(&["image.crop", "image.edit"]);
}

const MINE: &str = r#"
[[model]]
alias = "mine"
capability = "image.generate"
title = "My own"

[[model.route]]
provider = "replicate"
endpoint = "me/mine"
map.prompt = "prompt"
price = { low = 0.01, high = 0.02, per = "call", source = "my own" }
"#;

const WORKFLOW: &str = "workflow: w\nsteps:\n  - uses: image.generate\n    with: { model: mine, prompt: x }\n";

#[test]
fn a_model_of_ones_own_can_be_named_in_workflows() {
    let folder = Folder::new();
    folder.write("w.yaml", WORKFLOW);
    folder.run(&["validate", "w.yaml"]).expect(2).says(&["mine"]);
    folder.write("models.toml", MINE);
    folder.write("darkroom.toml", "[models]\nfile = \"models.toml\"\n");
    folder.run(&["validate", "w.yaml"]).expect(0);
    folder.run(&["providers", "models", "image.generate"]).expect(0).prints(&["me/mine", "$0.01–$0.02 a call"]);
    folder.run(&["run", "w.yaml"]).expect(0).says(&["the local preview stands in for mine"]);
}

#[test]
fn a_mistake_in_the_models_file_is_told_with_its_line_and_stops_everything() {
    let folder = Folder::new();
    folder.write("w.yaml", WORKFLOW);
    folder.write("darkroom.toml", "[models]\nfile = \"models.toml\"\n");
    folder.run(&["validate", "w.yaml"]).expect(2).says(&["models.file", "models.toml", "darkroom.toml"]);
    let cases = [
        (MINE.replace("title", "titel"), "line 5"),
        (MINE.replace("image.generate", "image.crop"), "line 2"),
        (MINE.replace("\"prompt\"", "\"prompt:no-such-form\""), "no-such-form"),
        (MINE.replace("\"replicate\"", "\"replicant\""), "replicant"),
    ];
    for (text, says) in cases {
        folder.write("models.toml", &text);
        folder.run(&["validate", "w.yaml"]).expect(2).says(&["models.toml", says]);
    }
    // What has nothing to do with models still works, to find out what is wrong.
    folder.run(&["config", "show"]).expect(0);
    folder.run(&["version"]).expect(0);
}
