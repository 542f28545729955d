//! One run for each provider and kind of fault, through the real command and over the real wire formats: what comes out, what
//! class the error has, and that only what is charged is booked.

use darkroom_proto::Duration;
use darkroom_simulator::Options;
use darkroom_tests::fleet::world::World;
use darkroom_tests::fleet::{binary, blocking};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output};

/// A provider, an op, and a model that it offers for it.
const PROVIDERS: [(&str, &str, &str); 13] = [
    ("fal", "image.generate", "fal/flux-pro"),
    ("replicate", "image.generate", "replicate/flux-pro"),
    ("openai", "image.generate", "openai/gpt-image"),
    ("google", "image.generate", "google/nano-banana"),
    ("bfl", "image.generate", "bfl/flux-pro"),
    ("minimax", "video.generate", "minimax/minimax/video-01"),
    ("kling", "video.generate", "kling/kling/v1.6"),
    ("runway", "image.generate", "runway/gen4-image"),
    ("luma", "video.generate", "luma/ray-2"),
    ("stability", "image.generate", "stability/stable-image-ultra"),
    ("elevenlabs", "audio.speech", "elevenlabs/tts"),
    ("comfyui", "image.generate", "comfyui/flux-dev"),
    ("a1111", "image.upscale", "a1111/esrgan"),
];

/// A fault and the class that its error has. Servers of one's own know nothing of content.
const FAULTS: [(&str, &str); 4] = [
    ("quota", "quota_exceeded"),
    ("invalid_key", "invalid_key"),
    ("content", "content_rejected"),
    ("http:503", "server_unavailable"),
];

fn darkroom(folder: &Path, world: &World, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.args(arguments).current_dir(folder).env("HOME", folder).env("DARKROOM__SIMULATOR", world.url());
    blocking(|| command.output().unwrap())
}

/// Runs one step that is tried once, and gives the run's document.
fn run_once(folder: &Path, world: &World) -> Value {
    let ran = darkroom(folder, world, &["run", "one.yaml", "--new"]);
    let shown = darkroom(folder, world, &["show", "@latest", "-o", "json"]);
    serde_json::from_slice(&shown.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&ran.stderr)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_provider_gives_its_product_and_each_fault_its_class() {
    let quick = Options { image: Duration(50), video: Duration(100), audio: Duration(50), ..Options::default() };
    let world = World::begin(quick).await;
    for (provider, op, model) in PROVIDERS {
        let folder = tempfile::tempdir().unwrap();
        let (inputs, given) = match op {
            "audio.speech" => ("", "text: hello"),
            "image.upscale" => ("inputs: {pic: {type: image, default: ./pic.png}}\n", "factor: 2"),
            _ => ("", "prompt: a mug"),
        };
        let photo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../photos/chelsea.png");
        std::fs::copy(photo, folder.path().join("pic.png")).unwrap();
        let text = format!(
            "workflow: one\n{inputs}steps:\n  - {{id: make, uses: {op}, cache: off, retry: {{attempts: 1}}, with: {{model: {model}, {given}}}}}\n"
        );
        std::fs::write(folder.path().join("one.yaml"), text).unwrap();
        let document = run_once(folder.path(), &world);
        assert_eq!(document["status"], "completed", "{provider}: {document:#}");
        let charged: f64 = world.charges().iter().filter_map(|charge| charge["price"].as_f64()).sum();
        let spent = document["cost"]["spent"].as_f64().unwrap();
        assert_eq!(charged > 0.0, spent > 0.0, "{provider}: charged {charged}, booked {spent}");
        for (fault, class) in FAULTS {
            if fault == "content" && matches!(provider, "comfyui" | "a1111") {
                continue;
            }
            world.fault(json!({"provider": provider, "kind": fault, "count": 1}));
            let document = run_once(folder.path(), &world);
            assert_eq!(document["steps"][0]["error"]["class"], class, "{provider} {fault}: {document:#}");
            let advice = document["steps"][0]["error"]["advice"].as_str().unwrap_or_default();
            assert!(!advice.is_empty(), "{provider} {fault}: it is told what to do");
            world.heal();
        }
        world.reset();
    }
}

/// What a call gave is kept for equal steps of other runs; whoever wants it anew says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_equal_step_of_another_run_is_not_paid_again() {
    let world = World::begin(Options { image: Duration(50), ..Options::default() }).await;
    let folder = tempfile::tempdir().unwrap();
    let write = |step: &str| {
        let text = format!("workflow: one\nsteps:\n  - {{id: make, uses: image.generate, {step}}}\n");
        std::fs::write(folder.path().join("one.yaml"), text).unwrap();
    };
    let made = |document: &Value| {
        let step = &document["steps"][0];
        (step["status"].as_str().unwrap().to_owned(), step["output"]["image"]["sha256"].as_str().unwrap().to_owned())
    };
    write("with: {model: fal/flux-pro, prompt: a mug, seed: 7}");
    let (first, picture) = made(&run_once(folder.path(), &world));
    assert_eq!((first.as_str(), world.charges().len()), ("completed", 1));
    let again = run_once(folder.path(), &world);
    assert_eq!(made(&again), ("cached".to_owned(), picture.clone()));
    assert_eq!((world.charges().len(), again["cost"]["spent"].as_f64()), (1, Some(0.0)), "it costs nothing");
    // Another seed, and none at all, are other pictures.
    write("with: {model: fal/flux-pro, prompt: a mug, seed: 8}");
    assert_eq!(made(&run_once(folder.path(), &world)).0, "completed");
    write("with: {model: fal/flux-pro, prompt: a mug}");
    for _ in 0..2 {
        assert_eq!(made(&run_once(folder.path(), &world)).0, "completed");
    }
    assert_eq!(world.charges().len(), 4);
    // Who wants it anew.
    write("with: {model: fal/flux-pro, prompt: a mug, seed: 7}");
    darkroom(folder.path(), &world, &["run", "one.yaml", "--force"]);
    assert_eq!(world.charges().len(), 5);
    write("cache: off, with: {model: fal/flux-pro, prompt: a mug, seed: 7}");
    assert_eq!(made(&run_once(folder.path(), &world)).0, "completed");
    assert_eq!(world.charges().len(), 6);
}
