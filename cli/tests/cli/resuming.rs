//! `resume` and `--from-step`: what is kept is verified, what is dropped is done again.

use crate::folder::{Folder, workflow};
use std::fs;
use std::path::PathBuf;

fn shown(folder: &Folder) -> serde_json::Value {
    folder.run(&["show", "@latest", "-o", "json"]).expect(0).json()
}

/// The file in the artifact store that a step of the last run made.
fn artifact_of(folder: &Folder, step: usize) -> PathBuf {
    let shown = shown(folder);
    let sha256 = shown["steps"][step]["output"]["image"]["sha256"].as_str().unwrap().to_owned();
    folder.path(&format!(".darkroom/artifacts/sha256/{}/{}", &sha256[..2], &sha256[2..]))
}

fn damage(path: &PathBuf) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_step_and_what_depends_on_it_are_done_again_and_the_rest_is_kept() {
    let folder = Folder::new();
    folder.run(&["run", &workflow("product-photo")]).expect(0);
    let before = folder.files("output");
    for step in ["crop", "3"] {
        let ended = folder.run(&["resume", "@latest", "--from-step", step]).expect(0);
        let ended = ended.says(&["[3/5] crop  completed", "[5/5] overlay  completed"]);
        ended.never_says(&["generate  completed", "detect  completed"]);
        assert_eq!(folder.files("output"), before, "the same comes out");
    }
    let plan = folder.run(&["plan", "@latest", "--from-step", "crop"]).expect(0);
    plan.prints(&["✓ keep", "2 kept, 3 to run"]);
    folder.run(&["run", &workflow("product-photo"), "--from-step", "overlay"]).expect(0).says(&["[5/5] overlay"]);
    let steps =
        shown(&folder)["steps"].as_array().unwrap().iter().map(|step| step["attempts"].clone()).collect::<Vec<_>>();
    assert_eq!(steps, vec![1; 5]);
    folder.run(&["resume", "@latest", "--from-step", "nope"]).expect(2).says(&["no step `nope`", "3 crop"]);
    folder.run(&["resume", "@latest", "--from-step", "9"]).expect(2).says(&["no step 9", "5 overlay"]);
}

#[test]
fn one_instance_is_done_again() {
    let folder = Folder::new();
    folder.write(
        "small.yaml",
        "workflow: small\nsteps:\n  - id: drawn\n    matrix: {seed: [1, 2, 3]}\n    uses: image.generate\n    with: {model: local, prompt: a cup, seed: '${{ matrix.seed }}', width: 64, height: 64}\n    save: out/${{ matrix.seed }}.png\n  - uses: noop\n",
    );
    folder.run(&["run", "small.yaml"]).expect(0);
    let before = folder.files("out");
    let ended = folder.run(&["resume", "small", "--from-step", "drawn[2]"]).expect(0);
    ended.says(&["2  completed  → out/2.png"]).never_says(&["→ out/1.png", "→ out/3.png"]);
    assert_eq!(folder.files("out"), before);
    let drawn = &shown(&folder)["steps"][0];
    assert_eq!(drawn["items"]["completed"], 3);
}

#[test]
fn a_changed_or_missing_file_is_named_before_anything_is_built_on_it() {
    let folder = Folder::new();
    folder.run(&["run", &workflow("product-photo")]).expect(0);
    let before = folder.files("output");
    let file = artifact_of(&folder, 0);
    let hidden = file.file_name().unwrap().to_str().unwrap().to_owned();

    damage(&file);
    let refused = folder.run(&["resume", "@latest", "--from-step", "crop"]).expect(5);
    let refused = refused.says(&["generate.png", "`generate`", "digest", &hidden, "--from-step generate"]);
    assert_eq!(folder.files("output"), before);
    // The advice is a command, and it works.
    let advised = refused.resume_command();
    let advised: Vec<&str> = advised.iter().map(String::as_str).collect();
    folder.run(&advised).expect(0);
    assert_eq!(folder.files("output"), before);

    fs::remove_file(&file).unwrap();
    let refused = folder.run(&["resume", "@latest", "--from-step", "crop"]).expect(5);
    refused.says(&["generate.png", "`generate`", "--from-step generate"]);
    folder.run(&advised).expect(0);
    assert_eq!(folder.files("output"), before);
}

#[test]
fn a_completed_run_has_nothing_to_go_on_with() {
    let folder = Folder::new();
    folder.write("one.yaml", "workflow: one\nsteps: [{uses: noop}]\n");
    folder.run(&["run", "one.yaml"]).expect(0);
    folder.run(&["resume", "one"]).expect(5).says(&["completed", "--from-step"]);
    folder.run(&["run", "one.yaml", "--from-step", "noop"]).expect(0);
    folder.write("other.yaml", "workflow: other\nsteps: [{uses: noop}]\n");
    folder.run(&["run", "other.yaml", "--from-step", "noop"]).expect(3).says(&["no run", "without --from-step"]);
}

#[test]
fn failed_items_of_a_completed_run_are_tried_again() {
    let folder = Folder::new();
    folder.write(
        "items.yaml",
        "workflow: items\ninputs:\n  pictures: {type: 'file[]'}\nsteps:\n  - id: each\n    for-each: inputs.pictures\n    continue-on-error: true\n    uses: save\n    with: {file: '${{ item }}', path: 'out/${{ item.stem }}/kept.txt'}\n",
    );
    folder.write("in/a.txt", "a");
    folder.write("in/b.txt", "b");
    folder.write("out/b", "in the way");
    let partly = folder.run(&["run", "items.yaml", "-i", "pictures=@in/*"]).expect(6);
    let partly = partly.says(&["b  failed", "try them again: darkroom resume "]);
    fs::remove_file(folder.path("out/b")).unwrap();
    let command = partly.resume_command();
    let resumed = folder.run(&command.iter().map(String::as_str).collect::<Vec<_>>()).expect(0);
    resumed.never_says(&["→ out/a/"]);
    assert_eq!(folder.names("out"), ["a/kept.txt", "b/kept.txt"]);
}
