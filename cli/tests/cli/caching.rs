//! The step cache from the command line: why a step was taken or not, what is kept, and how it is forgotten.

use crate::folder::Folder;

/// The model of this machine: no provider is needed, and the simulator not either.
fn workflow(prompt: &str, more: &str) -> String {
    format!(
        "workflow: draw\nsteps:\n  - {{id: make, uses: image.generate, {more}with: {{model: local, prompt: {prompt}, seed: 7, width: 64, height: 64}}}}\n"
    )
}

fn why(folder: &Folder) -> serde_json::Value {
    folder.run(&["cache", "why", "@latest", "make", "-o", "json"]).expect(0).json()
}

#[test]
fn the_cache_says_what_it_keeps_why_and_forgets_it() {
    let folder = Folder::new();
    folder.run(&["cache", "list"]).expect(0).prints(&["nothing is kept"]);
    folder.write("draw.yaml", workflow("a mug", ""));
    folder.run(&["run", "draw.yaml"]).expect(0);
    assert_eq!(why(&folder)["reason"], "first_of_op");
    folder.run(&["cache", "list", "--op", "image.generate"]).expect(0).prints(&["make", "image.generate", "local"]);
    folder.run(&["cache", "list", "--op", "image.edit"]).expect(0).prints(&["nothing is kept"]);

    folder.write("draw.yaml", workflow("a cup", ""));
    folder.run(&["run", "draw.yaml"]).expect(0);
    let differs = folder.run(&["cache", "why", "@latest", "make"]).expect(0);
    differs.prints(&["miss: prompt differs from step make of", "\"a mug\"", "\"a cup\""]);

    // Another workflow with an equal step.
    folder.write("other.yaml", workflow("a cup", "").replace("workflow: draw", "workflow: other"));
    folder.run(&["run", "other.yaml"]).expect(0);
    assert_eq!((why(&folder)["hit"].clone(), why(&folder)["reason"].clone()), (true.into(), "hit".into()));

    folder.write("off.yaml", workflow("a cup", "cache: off, "));
    folder.run(&["run", "off.yaml"]).expect(0);
    assert_eq!(why(&folder)["reason"], "off");

    folder.run(&["cache", "forget", "--older-than", "0s"]).expect(2).says(&["nobody can be asked", "--yes"]);
    folder.run(&["cache", "forget", "other", "make", "--dry-run"]).expect(0).prints(&["image.generate"]);
    folder.run(&["cache", "forget", "other", "make"]).expect(0).prints(&["forgot what 1 step gave"]);
    folder.run(&["cache", "forget", "other", "make"]).expect(3).says(&["nothing is kept of step `make`"]);
    folder.run(&["cache", "forget", "--older-than", "7d", "--yes"]).expect(0).prints(&["nothing is kept"]);
    folder.run(&["cache", "forget", "--older-than", "0s", "--yes"]).expect(0).prints(&["forgot what 1 step gave"]);
    folder.run(&["cache", "list"]).expect(0).prints(&["nothing is kept"]);
}

#[test]
fn how_long_the_cache_keeps_is_a_setting() {
    let folder = Folder::new();
    folder.write("draw.yaml", workflow("a mug", ""));
    let keep = |text| folder.run_with(&[("DARKROOM__CACHE__KEEP", text)], &["run", "draw.yaml"]);
    keep("soon").expect(2).says(&["cache.keep", "such as `12h` or `30d`"]);
    keep("10ms").expect(2).says(&["is too short"]);
    keep("1h").expect(0);
    folder.run(&["cache", "list"]).expect(0).prints(&["image.generate"]);
}
