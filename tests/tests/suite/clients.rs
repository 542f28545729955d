//! The official clients of providers work against the simulator, unchanged but for the base URL.

use darkroom_proto::Duration;
use darkroom_simulator::Options;
use darkroom_tests::clients::{node, python};
use darkroom_tests::servers::simulator::SimulatorServer;

fn simulator() -> SimulatorServer {
    SimulatorServer::start(Options {
        image: Duration(50),
        video: Duration(500),
        audio: Duration(20),
        ..Options::default()
    })
}

#[test]
fn the_python_client_of_fal_works() {
    python("fal_calls.py", &simulator().url);
}

#[test]
fn the_python_client_of_replicate_works() {
    python("replicate_calls.py", &simulator().url);
}

#[test]
fn the_python_client_of_openai_works() {
    python("openai_calls.py", &simulator().url);
}

#[test]
fn the_python_client_of_google_works() {
    python("google_calls.py", &simulator().url);
}

#[test]
fn the_python_client_of_runway_works() {
    python("runway_calls.py", &simulator().url);
}

#[test]
fn the_python_client_of_luma_works() {
    python("luma_calls.py", &simulator().url);
}

#[test]
fn the_python_client_of_elevenlabs_works() {
    python("elevenlabs_calls.py", &simulator().url);
}

#[test]
fn the_javascript_client_of_fal_works() {
    node("fal_calls.mjs", &simulator().url);
}

#[test]
fn the_javascript_client_of_replicate_works() {
    node("replicate_calls.mjs", &simulator().url);
}

#[test]
fn the_javascript_client_of_openai_works() {
    node("openai_calls.mjs", &simulator().url);
}

#[test]
fn the_javascript_client_of_google_works() {
    node("google_calls.mjs", &simulator().url);
}

#[test]
fn the_javascript_client_of_runway_works() {
    node("runway_calls.mjs", &simulator().url);
}

#[test]
fn the_javascript_client_of_luma_works() {
    node("luma_calls.mjs", &simulator().url);
}

#[test]
fn the_javascript_client_of_elevenlabs_works() {
    node("elevenlabs_calls.mjs", &simulator().url);
}

/// Lock files must not name where packages came from: everybody installs from the registry that they are set to.
#[test]
fn lists_of_clients_name_no_registry() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
    for list in ["python/requirements.txt", "js/package-lock.json", "js/package.json"] {
        let text = std::fs::read_to_string(folder.join(list)).unwrap();
        for word in ["\"resolved\"", "registry", "--index-url", "--find-links", "@ http"] {
            assert!(!text.contains(word), "{list} has {word}");
        }
    }
}
