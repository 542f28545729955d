//! Many pictures, day after day: only what is new or gone is done.

use crate::folder::{Folder, workflow};
use std::collections::BTreeMap;
use std::time::SystemTime;

const GIVEN: [&str; 2] = ["-i", "images=@in/*"];

fn filled() -> Folder {
    let folder = Folder::new();
    for (photo, name) in [("coffee.png", "a.png"), ("rocket.jpg", "b.jpg"), ("chelsea.png", "c.png")] {
        folder.copy_photo(photo, &format!("in/{name}"));
    }
    folder
}

fn args<'a>(web: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["run", web][..], &GIVEN, more].concat()
}

/// When each output was written.
fn written(folder: &Folder) -> BTreeMap<String, SystemTime> {
    let time = |name: &String| folder.path("output/processed").join(name).metadata().unwrap().modified().unwrap();
    folder.names("output/processed").into_iter().map(|name| (name.clone(), time(&name))).collect()
}

fn changed(before: &BTreeMap<String, SystemTime>, after: &BTreeMap<String, SystemTime>) -> Vec<String> {
    after.iter().filter(|(name, time)| before.get(*name) != Some(time)).map(|(name, _)| name.clone()).collect()
}

#[test]
fn what_exists_is_skipped_and_only_what_is_new_or_gone_is_made() {
    let (folder, web) = (filled(), workflow("web-ready"));
    folder.run(&args(&web, &[])).expect(0).prints(&["completed 3 · skipped 0 · failed 0"]);
    let first = written(&folder);
    let again = folder.run(&args(&web, &[])).expect(0);
    again.says(&["skipped"]).prints(&["completed 0 · skipped 3 · failed 0"]);
    assert_eq!(written(&folder), first, "no file was touched");
    folder.run(&[&["plan", &web][..], &GIVEN].concat()).expect(0).prints(&["✓ exists", "all 3 exist", "0 to run"]);

    folder.copy_photo("astronaut.png", "in/d.png");
    folder.run(&args(&web, &[])).expect(0).prints(&["completed 1 · skipped 3 · failed 0"]);
    let second = written(&folder);
    assert_eq!(changed(&first, &second), ["d.webp"]);

    std::fs::remove_file(folder.path("output/processed/b.webp")).unwrap();
    folder.run(&args(&web, &[])).expect(0).prints(&["completed 1 · skipped 3 · failed 0"]);
    let third = written(&folder);
    assert_eq!(changed(&second, &third), ["b.webp"]);

    folder.copy_photo("coffee.png", "in/d.png");
    folder.run(&args(&web, &[])).expect(0).prints(&["completed 1 · skipped 3 · failed 0"]);
    let fourth = written(&folder);
    assert_eq!(changed(&third, &fourth), ["d.webp"], "a picture that changed under its name is new");

    folder.write("output/processed/a.webp", "somebody's own file");
    folder.run(&args(&web, &[])).expect(0).prints(&["completed 1 · skipped 3 · failed 0"]);
    let fifth = written(&folder);
    folder.run(&args(&web, &["-i", "quality=50"])).expect(0).prints(&["completed 4 · skipped 0 · failed 0"]);
    let sixth = written(&folder);
    assert_eq!(changed(&fifth, &sixth).len(), 4, "another quality makes other pictures");
    folder.run(&args(&web, &["-i", "quality=50", "--force"])).expect(0).prints(&["completed 4 · skipped 0"]);
    assert_eq!(changed(&sixth, &written(&folder)).len(), 4);
}

#[test]
fn only_the_items_that_are_asked_for_are_done() {
    let (folder, web) = (filled(), workflow("web-ready"));
    folder.run(&args(&web, &["--only", "1,3"])).expect(0).prints(&["completed 2"]);
    assert_eq!(folder.names("output/processed"), ["a.webp", "c.webp"]);
    folder.run(&args(&web, &["--only", "each=2"])).expect(0);
    assert_eq!(folder.names("output/processed"), ["a.webp", "b.webp", "c.webp"]);
    folder.run(&args(&web, &["--only", "7"])).expect(2).says(&["7", "3 items"]);
}

#[test]
fn outputs_go_under_the_folder_and_the_name_that_are_given() {
    let folder = Folder::new();
    let product = workflow("product-photo");
    folder.run(&["run", &product, "--out", "shop window"]).expect(0).prints(&["saved ./shop window/output/"]);
    folder.run(&["run", &product, "--out", "shop window", "--filename", "mug.png"]).expect(0);
    assert_eq!(folder.names("shop window/output"), ["mug.png", "product-final.png"]);
    assert!(folder.names("output").is_empty());
    folder.run(&["run", &product, "--out", "shop window", "--filename", "mug.jpg"]).expect(0);
    assert_eq!(&folder.files("shop window/output")["mug.jpg"][..3], [0xff, 0xd8, 0xff], "the extension decides");
}

#[test]
fn progress_goes_to_stderr_and_data_to_stdout() {
    let (folder, web) = (filled(), workflow("web-ready"));
    let ended = folder.run(&args(&web, &[])).expect(0);
    let lines: Vec<&str> = ended.out.lines().collect();
    assert_eq!(lines.len(), 4, "three files and the statistics: {ended}");
    assert!(lines[0].starts_with("saved ./output/processed/a.webp"), "{ended}");
    assert!(lines[3].starts_with("completed 3 · skipped 0 · failed 0 · "), "{ended}");
    for (done, line) in ended.err.lines().filter(|line| line.starts_with('[')).enumerate() {
        assert!(line.starts_with(&format!("[{}/3] ", done + 1)), "{ended}");
    }
    assert!(
        !ended.err.contains('\u{1b}') && !ended.err.contains('\r'),
        "nothing is painted where nobody looks: {ended}"
    );
    let json = folder.run(&args(&web, &["--force", "-o", "json"])).expect(0).json();
    assert_eq!((&json["status"], &json["steps"][0]["items"]["completed"]), (&"completed".into(), &3.into()));
}
