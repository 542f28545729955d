//! Every workflow of the catalogue gives the same bytes on a fleet as in one process.

use darkroom_proto::Sha256;
use darkroom_tests::fleet::{Fleet, binary, blocking};
use darkroom_tests::servers::s3::{BUCKET, shared_s3};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

fn repository() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).canonicalize().unwrap()
}

/// The workflows, and the inputs of those that need some.
fn workflows() -> Vec<(PathBuf, Vec<String>)> {
    let folder = repository().join("workflows");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut workflows: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| {
            let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            let photo = |name: &str, file: &str| format!("{name}={}", repository().join("photos").join(file).display());
            let inputs = match stem.as_str() {
                "web-ready" => vec![format!("images=@{}/*.png", repository().join("photos").display())],
                "face-swap-video" => vec![photo("portrait", "astronaut.png"), photo("target", "coffee.png")],
                "img-edit-to-video" | "style-transfer-video" => vec![photo("image", "chelsea.png")],
                "upscale-enhance" => vec![photo("image", "rocket.jpg")],
                "scenes" => vec![format!("script={}", repository().join("workflows/scenes.txt").display())],
                _ => Vec::new(),
            };
            (path, inputs.into_iter().flat_map(|input| ["-i".to_owned(), input]).collect())
        })
        .collect();
    workflows.sort();
    workflows
}

/// All files under a folder by their relative paths.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut left = vec![folder.to_path_buf()];
    while let Some(next) = left.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                found.insert(path.strip_prefix(folder).unwrap().to_path_buf(), bytes);
            }
        }
    }
    found
}

/// Runs a workflow in one process, in a folder of its own.
fn embedded(fleet: &Fleet, file: &Path, inputs: &[String]) -> BTreeMap<PathBuf, Vec<u8>> {
    let name = file.file_stem().unwrap();
    let folder = fleet.folder().join("embedded").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let mut command = Command::new(binary());
    for (setting, _) in std::env::vars().filter(|(setting, _)| setting.starts_with("DARKROOM__")) {
        command.env_remove(setting);
    }
    command.current_dir(&folder).env("HOME", &folder).arg("run").arg(file).args(inputs).args(["--out", "out"]);
    let output = blocking(|| command.output().unwrap());
    assert!(output.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
    files(&folder.join("out"))
}

fn on_fleet(fleet: &Fleet, file: &Path, inputs: &[String]) -> BTreeMap<PathBuf, Vec<u8>> {
    let out = fleet.folder().join("out").join(file.file_stem().unwrap());
    let mut arguments = vec!["submit", file.to_str().unwrap()];
    arguments.extend(inputs.iter().map(String::as_str));
    arguments.extend(["--wait=120s", "--out", out.to_str().unwrap()]);
    fleet.cli_ok(&arguments);
    files(&out)
}

fn assert_same(file: &Path, wanted: &BTreeMap<PathBuf, Vec<u8>>, got: &BTreeMap<PathBuf, Vec<u8>>) {
    assert!(!wanted.is_empty(), "{} saved nothing", file.display());
    // An output that no step saves is brought from a fleet under its name; in one process it stays in the artifact store.
    let is_saved = |path: &&PathBuf| wanted.contains_key(*path) || path.components().count() > 1;
    let saved: Vec<_> = got.keys().filter(is_saved).collect();
    assert_eq!(wanted.keys().collect::<Vec<_>>(), saved, "{}", file.display());
    for (path, bytes) in wanted {
        assert!(got.get(path) == Some(bytes), "{}: {} is another picture", file.display(), path.display());
    }
}

/// What the artifact store names by digests has these digests.
fn assert_kept_whole(kept: &Path) {
    let artifacts = files(&kept.join("sha256"));
    assert!(!artifacts.is_empty());
    for (path, bytes) in artifacts {
        let digest: String = path.iter().map(|part| part.to_str().unwrap()).collect();
        assert!(digest.ends_with(&Sha256::of(&bytes).to_string()), "{} has other bytes", path.display());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_workflow_gives_the_same_bytes_on_a_fleet() {
    let fleet = Fleet::shared();
    let (coordinators, workers) = fleet.two_of_each().await;
    for (file, inputs) in workflows() {
        let wanted = embedded(&fleet, &file, &inputs);
        assert_same(&file, &wanted, &on_fleet(&fleet, &file, &inputs));
    }
    assert_kept_whole(&fleet.kept());
    fleet.leaves_nothing(coordinators.into_iter().chain(workers).collect()).await;
    fleet.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workflow_gives_the_same_bytes_with_its_artifacts_in_a_bucket() {
    let s3 = blocking(shared_s3);
    let url = format!("s3://{BUCKET}/fleet-{}", std::process::id());
    let fleet = Fleet::shared_with_artifacts(&url, &s3.variables());
    let (coordinators, workers) = fleet.two_of_each().await;
    let (file, inputs) = workflows().into_iter().find(|(file, _)| file.ends_with("product-photo.yaml")).unwrap();
    let wanted = embedded(&fleet, &file, &inputs);
    assert_same(&file, &wanted, &on_fleet(&fleet, &file, &inputs));
    assert!(!fleet.kept().exists(), "nothing is kept on this disk");
    fleet.leaves_nothing(coordinators.into_iter().chain(workers).collect()).await;
    fleet.remove().await;
}
