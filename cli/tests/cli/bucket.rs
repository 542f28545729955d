//! Artifacts in a bucket: the engine as people use it, with no file of a step on its own disk.

use crate::folder::{Ended, Folder, workflow};
use darkroom_tests::conformance::artifacts::Place as _;
use darkroom_tests::servers::s3::{BucketPlace, shared_s3};

fn run(folder: &Folder, place: &BucketPlace, args: &[&str]) -> Ended {
    run_with(folder, shared_s3().variables(), place, args)
}

fn run_with(folder: &Folder, mut variables: Vec<(String, String)>, place: &BucketPlace, args: &[&str]) -> Ended {
    variables.push(("DARKROOM__ARTIFACTS__URL".to_owned(), place.url()));
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    folder.run_with(&variables, args)
}

#[test]
fn a_run_keeps_its_files_in_the_bucket_and_brings_them_back() {
    let (folder, undisturbed, place) = (Folder::new(), Folder::new(), shared_s3().place());
    folder.copy_photo("coffee.png", "cup.png");
    undisturbed.copy_photo("coffee.png", "cup.png");
    let args = ["run", &workflow("product-photo"), "-i", "photo=cup.png"];
    run(&folder, &place, &args).expect(0).prints(&["saved ./output/product-final.png"]);
    undisturbed.run(&args).expect(0);
    assert_eq!(folder.files("output"), undisturbed.files("output"), "the same comes out");

    assert!(!folder.path(".darkroom/artifacts").exists(), "files of steps are on this disk");
    let files = |names: Vec<String>| names.into_iter().filter(|name| name.starts_with("sha256/")).collect::<Vec<_>>();
    let (here, there) = (files(place.names()), files(undisturbed.names(".darkroom/artifacts")));
    assert!(here.len() >= 4, "the input and what steps made: {here:?}");
    assert_eq!(here, there, "the same files in a bucket and in a folder");

    run(&folder, &place, &["outputs", "@latest", "--out", "delivery"]).expect(0);
    assert_eq!(folder.files("delivery/output"), folder.files("output"));
    let shown = run(&folder, &place, &["show", "@latest", "-o", "json"]).expect(0).json();
    let url = shown["steps"][4]["output"]["image"]["url"].as_str().unwrap();
    assert!(url.starts_with(&format!("{}/sha256/", place.url())), "{url}");

    // Once more: nothing is done again, for the files are there still.
    run(&folder, &place, &args).expect(0).never_says(&["overlay  completed"]);
}

#[test]
fn a_file_that_was_changed_in_the_bucket_is_named_and_not_built_on() {
    let (folder, place) = (Folder::new(), shared_s3().place());
    run(&folder, &place, &["run", &workflow("product-photo")]).expect(0);
    let shown = run(&folder, &place, &["show", "@latest", "-o", "json"]).expect(0).json();
    let sha256 = shown["steps"][1]["output"]["image"]["sha256"].as_str();
    let sha256 = sha256.or_else(|| shown["steps"][0]["output"]["image"]["sha256"].as_str()).unwrap();
    let name = format!("sha256/{}/{}", &sha256[..2], &sha256[2..]);
    place.overwrite(&name, b"something else");
    let refused = run(&folder, &place, &["resume", "@latest", "--from-step", "crop"]).expect(5);
    refused.says(&["is not what it was", &format!("{}/{name}", place.url()), "--from-step"]);
}

#[test]
fn a_bucket_that_can_t_be_used_ends_the_command_with_what_to_do() {
    let (folder, place) = (Folder::new(), shared_s3().place());
    folder.copy_photo("coffee.png", "cup.png");
    let args = ["run", &workflow("product-photo"), "-i", "photo=cup.png"];
    let wrong = shared_s3().variables_with("AWS_SECRET_ACCESS_KEY", "wrong-and-still-secret");
    run_with(&folder, wrong, &place, &args)
        .expect(1)
        .says(&["refuses access: the secret key", "help: check AWS_ACCESS_KEY_ID"])
        .never_says(&["wrong-and-still-secret"]);
    let nowhere = format!("http://127.0.0.1:{}", darkroom_tests::servers::free_port());
    let down = shared_s3().variables_with("AWS_ENDPOINT_URL", &nowhere);
    run_with(&folder, down, &place, &args).expect(69).says(&["can't be reached: no connection", &nowhere]);
    let variables = [("DARKROOM__ARTIFACTS__URL", "s3://key:hunter2@prints")];
    folder.run_with(&variables, &args).expect(2).says(&["can't be used", "AWS_ACCESS_KEY_ID"]).never_says(&["hunter2"]);
}
