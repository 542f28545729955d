//! Workflows by name: pushed, run, compared, switched off, and made of a catalogue's JSON.

use crate::folder::Folder;

const SHOP: &str = "workflow: shop
inputs:
  name: {type: string, default: mug}
steps:
  - {id: tell, uses: noop, with: {data: 'a ${{ inputs.name }}'}}
outputs:
  told: ${{ steps.tell.data }}
";

#[test]
fn a_workflow_is_run_by_its_name_in_each_of_its_versions() {
    let folder = Folder::new();
    folder.write("shop.yaml", SHOP);
    let pushed = folder.run(&["workflows", "push", "shop.yaml", "--by", "ann"]).expect(0);
    pushed.prints(&["shop@1"]);
    folder.write("shop.yaml", format!("# only a comment\n{SHOP}"));
    folder.run(&["workflows", "push", "shop.yaml"]).expect(0).prints(&["shop@1 (unchanged)"]);
    folder.run(&["run", "shop", "-o", "json"]).expect(0).prints(&["a mug"]);
    folder.write("shop.yaml", SHOP.replace("a ${{", "the ${{"));
    folder.run(&["workflows", "push", "shop.yaml"]).expect(0).prints(&["shop@2"]);
    folder.run(&["run", "shop", "-i", "name=cup", "-o", "json"]).expect(0).prints(&["the cup"]);
    folder.run(&["run", "shop@1", "-i", "name=cup", "-o", "json"]).expect(0).prints(&["a cup"]);
    folder.run(&["plan", "shop@1", "-i", "name=jug"]).expect(0).prints(&["shop @ ", "noop"]);
    folder.run(&["validate", "shop@2"]).expect(0).prints(&["shop@2: ok"]);
    folder.run(&["workflows", "show", "shop@1"]).expect(0).prints(&["'a ${{ inputs.name }}'"]);

    let history = folder.run(&["workflows", "history", "shop", "-o", "json"]).expect(0).json();
    let counts: Vec<_> = history["data"].as_array().unwrap().iter().map(|version| version["runs"].clone()).collect();
    assert_eq!(counts, [2, 1], "{history}");
    assert_eq!(history["data"][0]["by"], "ann");
    folder.run(&["run", "shop@3"]).expect(3).says(&["no version `3`", "darkroom workflows history shop"]);
    folder.run(&["run", "shopp"]).expect(3).says(&["there is no workflow `shopp`", "darkroom workflows list"]);
}

#[test]
fn what_differs_is_shown_and_told_by_the_exit_code() {
    let folder = Folder::new();
    folder.write("shop.yaml", SHOP);
    folder.run(&["workflows", "push", "shop.yaml"]).expect(0);
    folder.run(&["workflows", "diff", "shop"]).expect(3).says(&["only one version"]);
    folder.run(&["workflows", "diff", "shop", "shop.yaml"]).expect(0);
    folder.write("shop.yaml", SHOP.replace("mug", "cup"));
    folder.run(&["workflows", "diff", "shop", "shop.yaml"]).expect(1).prints(&["--- shop@1", "+++ shop.yaml"]);
    folder.run(&["workflows", "push", "shop.yaml"]).expect(0);
    let differs = folder.run(&["workflows", "diff", "shop"]).expect(1);
    differs.prints(&["--- shop@1", "+++ shop@2", "-", "mug", "+", "cup"]);
    folder.run(&["workflows", "diff", "shop@2", "@2"]).expect(0);
}

#[test]
fn a_workflow_that_is_switched_off_is_not_run_by_its_name() {
    let folder = Folder::new();
    folder.run(&["workflows", "list"]).expect(0).prints(&["web-ready", "this release", "enabled"]);
    assert!(folder.names("").is_empty(), "looking leaves nothing behind");
    folder.write("shop.yaml", SHOP);
    folder.run(&["workflows", "push", "."]).expect(0).prints(&["shop@1"]);
    folder.run(&["workflows", "disable", "shop"]).expect(0).prints(&["shop is disabled"]);
    folder.run(&["workflows", "disable", "shop"]).expect(0).prints(&["shop is disabled already"]);
    folder.run(&["run", "shop"]).expect(5).says(&["shop is switched off", "darkroom workflows enable shop"]);
    folder.run(&["workflows", "list"]).expect(0).prints(&["shop", "disabled"]);
    folder.run(&["workflows", "enable", "shop"]).expect(0);
    folder.run(&["run", "shop"]).expect(0);
    folder.run(&["workflows", "disable", "scenes"]).expect(0).prints(&["scenes is disabled"]);
    folder.run(&["run", "scenes"]).expect(5).says(&["switched off"]);
}

#[test]
fn an_entry_of_a_catalogue_becomes_a_workflow_file() {
    let folder = Folder::new();
    folder.write(
        "catalogue.json",
        r#"{"workflows": [{"id": "clip", "name": "Picture to clip", "description": "Moves", "icon": "🎬",
            "category": "transform", "preview_video": null, "preview_thumbnail": "clip.jpg", "enabled": true,
            "default_prompts": {"image_edit": "in neon rain", "video_generation": "zoom: in"},
            "supported_models": {"image_edit": ["nano-banana", "flux-kontext-pro"],
                                 "video_generation": ["minimax/video-01", "kling/v1.6"]},
            "steps": [{"name": "image_edit", "description": "Edit"}, {"name": "video_generation", "description": "Film"}],
            "estimated_duration_seconds": 180, "credits_cost": 50}, {"id": "other", "steps": [{"name": "x"}]}]}"#,
    );
    folder.run(&["workflows", "import", "catalogue.json"]).expect(2).says(&["clip, other", "--id"]);
    let made = folder.run(&["workflows", "import", "catalogue.json", "--id", "clip"]).expect(0);
    made.prints(&[
        "workflow: clip",
        "uses: image.edit",
        "uses: video.generate",
        "enum: [\"nano-banana\", \"flux-kontext-pro\"]",
        "default: \"zoom: in\"",
        "model: ${{ inputs.image_edit_model }}",
        "credits: 50",
        "estimated-duration: 180s",
    ]);
    folder.run(&["workflows", "import", "catalogue.json", "--id", "other"]).expect(2).says(&["`x`", "`uses`"]);
}

#[test]
fn a_recipe_is_run_converted_and_kept_as_the_workflow_file_that_it_means() {
    let folder = Folder::new();
    folder.write("mug.txt", "1. Generate a mug with seed 4\n2. Resize to 64x64\n3. Save as ./mug.png\n");
    folder.run(&["validate", "mug.txt"]).expect(0);
    folder.run(&["run", "mug.txt"]).expect(0).says(&["mug.png"]);
    folder.run(&["workflows", "convert", "mug.txt"]).expect(0).prints(&["workflow: mug", "prompt: a mug", "seed: 4"]);
    folder.run(&["workflows", "convert", "mug.txt", "--out", "mug.yaml"]).expect(0);
    folder.run(&["workflows", "push", "mug.txt"]).expect(0).prints(&["mug@1"]);
    folder.run(&["workflows", "push", "mug.yaml"]).expect(0).prints(&["mug@1 (unchanged)"]);
    folder.run(&["workflows", "show", "mug"]).expect(0).prints(&["uses: image.resize"]);
    folder.run(&["workflows", "convert", "mug.yaml"]).expect(2).says(&["is a workflow file already"]);
    folder.write("wrong.txt", "1. Frobnicate a mug\n");
    folder.run(&["workflows", "convert", "wrong.txt"]).expect(2).says(&["DR081", "wrong.txt:1:4"]);
}
