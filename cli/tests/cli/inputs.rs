//! What is given with `-i`, and what is wrong with it.

use crate::folder::{Folder, photo, workflow};

#[test]
fn a_name_that_no_input_has_is_refused_with_the_one_that_was_meant() {
    let folder = Folder::new();
    let ended = folder.run(&["run", &workflow("product-photo"), "-i", "subjct=cup"]).expect(2);
    ended.says(&["subjct", "Did you mean `subject`"]);
    folder.run(&["run", &workflow("product-photo"), "-i", "subject"]).expect(2).says(&["NAME=VALUE"]);
    assert!(folder.names("").is_empty(), "nothing was begun: {:?}", folder.names(""));
}

#[test]
fn what_is_missing_or_of_the_wrong_kind_is_told_by_its_name() {
    let folder = Folder::new();
    let web = workflow("web-ready");
    let given = format!("images={}", photo("coffee.png"));
    folder.run(&["run", &web]).expect(2).says(&["`images`", "-i images="]);
    folder.run(&["plan", &web]).expect(2).says(&["`images`", "-i images="]);
    folder.run(&["run", &web, "-i", &given, "-i", "quality=high"]).expect(2).says(&[
        "`quality`",
        "whole number",
        "high",
    ]);
    folder.run(&["run", &web, "-i", &given, "-i", "quality=0"]).expect(2).says(&["`quality`", "1"]);
    folder.run(&["run", &web, "-i", &given, "-i", "quality=5", "-i", "quality=6"]).expect(2).says(&["2 times"]);
    folder.run(&["run", &web, "-i", "images=@./in/*.png"]).expect(2).says(&["no file matches ./in/*.png", "help:"]);
    folder.run(&["run", &web, "-i", "images=none.png"]).expect(2).says(&["no file none.png"]);
    folder.run(&["run", &web, "-i", "images=."]).expect(2).says(&["is no file", "/*"]);
}

#[test]
fn a_workflow_that_is_switched_off_is_not_run() {
    let folder = Folder::new();
    folder.write("off.yaml", "workflow: off\nenabled: false\nsteps:\n  - uses: noop\n");
    folder.run(&["run", "off.yaml"]).expect(5).says(&["off.yaml is switched off", "enabled: false"]);
    folder.run(&["validate", "off.yaml"]).expect(0);
}

#[test]
fn lists_are_in_the_order_in_which_people_count() {
    let folder = Folder::new();
    for name in ["a10.jpg", "a2.jpg", "a1.jpg"] {
        folder.copy_photo("rocket.jpg", &format!("in/{name}"));
    }
    folder.run(&["run", &workflow("web-ready"), "-i", "images=@in/*"]).expect(0);
    let json = folder.run(&["show", "@latest", "-o", "json"]).expect(0).json();
    let images = json["inputs"]["images"].as_array().unwrap();
    let names: Vec<&str> = images.iter().map(|image| image["stem"].as_str().unwrap()).collect();
    assert_eq!(names, ["a1", "a2", "a10"]);
}

#[test]
fn a_path_may_begin_with_an_at_sign() {
    let folder = Folder::new();
    let given = format!("photo=@{}", photo("chelsea.png"));
    folder.run(&["run", &workflow("product-photo"), "-i", &given]).expect(0);
}

#[test]
fn json_csv_and_scenes_are_read() {
    let folder = Folder::new();
    folder.write(
        "reads.yaml",
        "workflow: reads\ninputs:\n  a: {type: json}\n  b: {type: csv}\n  c: {type: scenes}\nsteps:\n  - uses: noop\n    with:\n      data: ${{ [inputs.a.x, inputs.b[1].name, inputs.c[0].prompt] }}\n",
    );
    folder.write("a.json", "{\"x\": 7}");
    folder.write("b.csv", "name,size\nmug,1\ncup,2\n");
    folder.write("c.txt", "Scene 1:\nPrompt: a cup\nNarration: here it is\n");
    folder.run(&["run", "reads.yaml", "-i", "a=@a.json", "-i", "b=b.csv", "-i", "c=@c.txt"]).expect(0);
    let json = folder.run(&["show", "@latest", "-o", "json"]).expect(0).json();
    assert_eq!(json["steps"][0]["output"]["data"], serde_json::json!([7, "cup", "a cup"]));
    let bad = ["-i", "b=b.csv", "-i", "c=@c.txt"];
    folder.run(&[&["run", "reads.yaml", "-i", "a={"][..], &bad].concat()).expect(2).says(&["`a`"]);
    folder.run(&[&["run", "reads.yaml", "-i", "a=@none.json"][..], &bad].concat()).expect(2).says(&["none.json"]);
}

#[test]
fn json_lines_are_read_in_batches() {
    let folder = Folder::new();
    folder.write(
        "rows.yaml",
        "workflow: rows\ninputs:\n  rows: {type: jsonl, default: rows.jsonl}\nsteps:\n  - id: x\n    for-each: inputs.rows\n    batch: 2\n    uses: value\n    with: {value: \"${{ item | map(attribute='a') | list }}\"}\n",
    );
    folder.write("rows.jsonl", "{\"a\": 1}\n{\"a\": 2}\n\n{\"a\": 3}\n");
    folder.write("bad.ndjson", "{\"a\": 1}\n{\"a\": \n");
    folder.run(&["run", "rows.yaml"]).expect(0);
    let json = folder.run(&["show", "@latest", "--step", "x[2]", "-o", "json"]).expect(0).json();
    assert_eq!(json["output"]["value"], serde_json::json!([3]), "{json}");
    folder.run(&["run", "rows.yaml", "-i", "rows=bad.ndjson"]).expect(2).says(&["`rows`", "JSON lines", "line 2"]);
}

#[test]
fn what_only_and_filename_can_not_mean_is_refused_before_anything_is_made() {
    let folder = Folder::new();
    let (web, product) = (workflow("web-ready"), workflow("product-photo"));
    let given = format!("images={}", photo("coffee.png"));
    folder.run(&["run", &web, "-i", &given, "--only", "none=1"]).expect(2).says(&["no fan-out `none`", "each"]);
    folder.run(&["run", &web, "-i", &given, "--only", "0"]).expect(2).says(&["numbers from 1"]);
    folder.run(&["run", &web, "-i", &given, "--only", "x"]).expect(2).says(&["numbers from 1"]);
    folder.run(&["run", &product, "--only", "1"]).expect(2).says(&["no fan-out"]);
    folder.run(&["run", &product, "--filename", "a/b.png"]).expect(2).says(&["no file name", "--out"]);
    folder.run(&["run", &workflow("logo-fleet"), "--filename", "a.png"]).expect(2).says(&["several"]);
    folder.run(&["run", &workflow("marketing-assets"), "--only", "1"]).expect(2).says(&["several", "--only "]);
    assert!(folder.names("").is_empty(), "{:?}", folder.names(""));
}
