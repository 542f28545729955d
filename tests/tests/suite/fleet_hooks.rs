//! Providers that tell when a job has ended, on a fleet that listens.

use darkroom_backend::{CallState, Ledger as _};
use darkroom_proto::{Map, RunStatus};
use darkroom_simulator::Options;
use darkroom_tests::fleet::Fleet;
use darkroom_tests::fleet::load::Workflow;
use darkroom_tests::fleet::role::Role;
use darkroom_tests::fleet::world::World;
use darkroom_tests::servers::free_port;
use serde_json::json;
use std::time::Duration;

/// A fleet whose coordinator listens for webhooks.
struct Listening {
    fleet: Fleet,
    coordinator: Role,
    worker: Role,
}

async fn listening(world: &World) -> Listening {
    let fleet = Fleet::shared();
    let listen = format!("127.0.0.1:{}", free_port());
    let public = format!("http://{listen}");
    let url = world.url();
    let settings = [
        ("DARKROOM__SIMULATOR", url.as_str()),
        ("DARKROOM__API__LISTEN", listen.as_str()),
        ("DARKROOM__API__PUBLIC_URL", public.as_str()),
    ];
    let coordinator = fleet.start("coordinator", &[], &settings);
    coordinator.ready().await;
    coordinator.says("listening for webhooks").await;
    let worker = fleet.start("worker", &["--slots", "2"], &settings);
    worker.ready().await;
    Listening { fleet, coordinator, worker }
}

fn workflow(model: &str) -> Workflow {
    let text = format!(
        "workflow: one\ninputs:\n  prompt: {{ type: string }}\nsteps:\n  - {{ id: make, uses: image.generate, with: {{ model: {model}, prompt: \"${{{{ inputs.prompt }}}}\" }} }}\n"
    );
    Workflow::new("one", &text)
}

fn prompted(prompt: &str) -> Map {
    Map::from_iter([("prompt".to_owned(), json!(prompt))])
}

/// The provider has the job and its answer is lost: nobody can tell, until the webhook comes, which has our call's id in
/// its URL and is signed. Then nothing is paid again and nothing has to be flagged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_webhook_settles_what_nobody_could_tell_without_paying_again() {
    let world = World::begin(Options { image: darkroom_proto::Duration(700), ..Options::default() }).await;
    let Listening { fleet, coordinator, worker } = listening(&world).await;
    for model in ["fal/flux-pro", "replicate/flux-pro"] {
        let provider = model.split('/').next().unwrap();
        // What signatures are checked with is fetched when the provider is first called.
        let first = fleet.submit(&workflow(model), prompted(&format!("{provider} heard"))).await;
        assert_eq!(fleet.ended(first, Duration::from_secs(30)).await.run.head.status, RunStatus::Completed);
        world.fault(json!({"provider": provider, "kind": "accept-then-drop", "count": 1}));
        let run = fleet.submit(&workflow(model), prompted(&format!("{provider} lost"))).await;
        let ended = fleet.ended(run, Duration::from_secs(60)).await;
        assert_eq!(ended.run.head.status, RunStatus::Completed, "{model}: {:?}", ended.run.head.failure);
        assert_eq!(ended.run.head.possible_duplicates, 0, "{model}");
        let calls = fleet.store.calls(run).await.unwrap();
        assert_eq!(calls.iter().map(|call| call.state).collect::<Vec<_>>(), [CallState::Settled], "{model}: {calls:?}");
        assert_eq!(world.charged()[&format!("{provider} lost")], 1, "{model}");
    }
    assert!(coordinator.log().contains("a webhook told which job the call has"));
    drop((coordinator, worker));
    fleet.remove().await;
}

/// What is signed is believed: a job that ended well is fetched without another question.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_signed_webhook_brings_along_is_not_asked_for() {
    // So long that nobody asks by himself meanwhile.
    let world = World::begin(Options { image: darkroom_proto::Duration(2_500), ..Options::default() }).await;
    let Listening { fleet, coordinator, worker } = listening(&world).await;
    for model in ["fal/flux-pro", "replicate/flux-pro"] {
        // What signatures are checked with is fetched when the provider is first called.
        let first = fleet.submit(&workflow(model), prompted(&format!("{model} first"))).await;
        assert_eq!(fleet.ended(first, Duration::from_secs(30)).await.run.head.status, RunStatus::Completed);
        let asked = world.state()["polls"]["total"].clone();
        let run = fleet.submit(&workflow(model), prompted(&format!("{model} told"))).await;
        let ended = fleet.ended(run, Duration::from_secs(30)).await;
        assert_eq!(ended.run.head.status, RunStatus::Completed, "{model}: {:?}", ended.run.head.failure);
        let calls = fleet.store.calls(run).await.unwrap();
        assert_eq!(calls.iter().map(|call| call.state).collect::<Vec<_>>(), [CallState::Settled], "{model}");
        assert_eq!(world.state()["polls"]["total"], asked, "{model}");
    }
    drop((coordinator, worker));
    fleet.remove().await;
}

/// Every second webhook never comes: those jobs are asked about, only later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_webhook_tells_is_asked_about() {
    let world = World::begin(Options { image: darkroom_proto::Duration(700), ..Options::default() }).await;
    let Listening { fleet, coordinator, worker } = listening(&world).await;
    world.fault(json!({"kind": "lost-webhook", "rate": 0.5}));
    let mut ids = Vec::new();
    for number in 0..20 {
        ids.push(fleet.submit(&workflow("fal/flux-pro"), prompted(&number.to_string())).await);
    }
    for id in ids {
        let ended = fleet.ended(id, Duration::from_secs(60)).await;
        assert_eq!(ended.run.head.status, RunStatus::Completed, "{:?}", ended.run.head.failure);
        assert_eq!(ended.run.head.possible_duplicates, 0);
    }
    assert_eq!(world.charged().values().copied().collect::<Vec<_>>(), vec![1; 20]);
    let heard = coordinator.metric("darkroom_provider_webhooks_total");
    assert!((1.0..20.0).contains(&heard), "{heard} webhooks came");
    drop((coordinator, worker));
    fleet.remove().await;
}
