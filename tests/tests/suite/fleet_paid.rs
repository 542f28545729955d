//! Calls that cost money, on a fleet whose processes are killed: nothing is paid twice without a flag.

use darkroom_backend::{Artifacts, CallState, Details, Ledger as _};
use darkroom_proto::{Map, RunId, RunStatus, StepPath};
use darkroom_simulator::Options;
use darkroom_tests::fleet::load::Workflow;
use darkroom_tests::fleet::ordeal::form;
use darkroom_tests::fleet::role::Role;
use darkroom_tests::fleet::world::World;
use darkroom_tests::fleet::{Fleet, blocking};
use darkroom_tests::poll;
use darkroom_tests::servers::free_port;
use darkroom_tests::servers::rabbit::RabbitServer;
use darkroom_tests::servers::redis::shared_redis;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::{Duration, Instant};

/// How long a run may take whose call was in doubt.
const DOUBT_MAX: Duration = Duration::from_secs(60);

fn quick() -> Options {
    Options { image: darkroom_proto::Duration(400), video: darkroom_proto::Duration(900), ..Options::default() }
}

fn worker(fleet: &Fleet, world: &World, settings: &[(&str, &str)]) -> Role {
    let url = world.url();
    let mut all = vec![("DARKROOM__SIMULATOR", url.as_str()), ("DARKROOM__RETRY__RECHECK_EVERY", "1s")];
    all.extend_from_slice(settings);
    fleet.start("worker", &["--slots", "2"], &all)
}

fn coordinator(fleet: &Fleet) -> Role {
    fleet.start("coordinator", &[], &[("DARKROOM__RETRY__RECHECK_EVERY", "1s")])
}

fn prompted(prompt: &str) -> Map {
    Map::from_iter([("prompt".to_owned(), json!(prompt))])
}

/// What became of a worker that ended itself at a point of a call, and of its successor.
struct Outcome {
    provider: &'static str,
    moment: &'static str,
    charges: u32,
    flags: u32,
    took: Duration,
}

/// One step, of a worker that dies at `moment`, and of the next worker.
async fn killed_at(provider: &'static str, model: &str, moment: &'static str) -> Outcome {
    let op = if model.contains("kling") { "video.generate" } else { "image.generate" };
    let world = World::begin(quick()).await;
    if moment == "sent" {
        // The provider has the job, and its answer is slow.
        world.fault(json!({"provider": provider, "kind": "slow:400", "count": 1}));
    }
    let fleet = Fleet::shared();
    let coordinator = coordinator(&fleet);
    coordinator.ready().await;
    let failpoint = format!("call:{moment}:1");
    let mut doomed = worker(&fleet, &world, &[("DARKROOM__TEST__CALL_FAILPOINT", &failpoint)]);
    doomed.ready().await;
    let text = format!(
        "workflow: one\ninputs:\n  prompt: {{ type: string }}\nsteps:\n  - {{ id: make, uses: {op}, with: {{ model: {model}, prompt: \"${{{{ inputs.prompt }}}}\" }} }}\n"
    );
    let run = fleet.submit(&Workflow::new("one", &text), prompted(moment)).await;
    let began = Instant::now();
    doomed.end(Duration::from_secs(30)).await;
    assert!(doomed.log().contains("ending at the failpoint"), "{provider} {moment}: {}", doomed.log());
    let next = worker(&fleet, &world, &[]);
    next.ready().await;
    let ended = fleet.ended(run, DOUBT_MAX).await;
    assert_eq!(ended.run.head.status, RunStatus::Completed, "{provider} {moment}: {:?}", ended.run.steps);
    let outcome = Outcome {
        provider,
        moment,
        charges: world.charged().values().sum(),
        flags: ended.run.head.possible_duplicates,
        took: began.elapsed(),
    };
    let calls = fleet.store.calls(run).await.unwrap();
    let booked: u64 = calls.iter().filter(|call| call.state == CallState::Settled).map(|call| call.cost.0).sum();
    assert!(booked > 0, "{provider} {moment}: what was paid is booked: {calls:?}");
    drop((coordinator, next));
    fleet.remove().await;
    outcome
}

/// A worker is killed at each point of a call. What no provider could tell is flagged; where it can tell by our id,
/// nothing is paid twice at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_killed_anywhere_in_a_call_pays_once_or_is_flagged() {
    let fal = ["before-intent", "after-intent", "sent", "answered", "submitted", "before-settle", "before-ack"];
    let mut cases: Vec<(&'static str, &'static str, &'static str)> =
        fal.into_iter().map(|moment| ("fal", "fal/flux-pro", moment)).collect();
    cases.extend(["after-intent", "sent", "answered"].map(|moment| ("kling", "kling/kling/v1.6", moment)));
    cases.extend(["sent", "before-settle", "before-ack"].map(|moment| ("openai", "openai/gpt-image", moment)));
    cases.extend(["sent", "answered", "submitted"].map(|moment| ("replicate", "replicate/flux-pro", moment)));
    cases.extend(["sent", "before-settle"].map(|moment| ("google", "google/nano-banana", moment)));
    let mut outcomes = Vec::new();
    for four in cases.chunks(4) {
        let killed = four.iter().map(|(provider, model, moment)| killed_at(provider, model, moment));
        outcomes.extend(futures_util::future::join_all(killed).await);
    }
    for Outcome { provider, moment, charges, flags, took } in &outcomes {
        let took = took.as_secs_f64();
        tell(&format!("killed at {moment:14} {provider:9} charges {charges} flags {flags} {took:.1} s"));
    }
    for Outcome { provider, moment, charges, flags, .. } in outcomes {
        let hides = match provider {
            // Its own list tells that no job is there; of one that is there it does not tell whose it is.
            "replicate" => matches!(moment, "sent" | "answered"),
            "kling" => false,
            _ => matches!(moment, "after-intent" | "sent" | "answered"),
        };
        assert!(charges <= 1 + flags, "{provider} {moment}: {charges} charges and {flags} flags");
        assert!(hides || (charges, flags) == (1, 0), "{provider} {moment}: {charges} charges and {flags} flags");
        assert!(!hides || flags == 1, "{provider} {moment}: nobody can tell, so it is flagged");
    }
}

/// What the table of faults says of charges.
fn tell(line: &str) {
    #[allow(clippy::print_stdout, reason = "what was charged is told with the test")]
    {
        println!("{line}");
    }
    if let Some(table) = std::env::var_os("DARKROOM_CHARGES_TABLE") {
        let file = std::fs::File::options().create(true).append(true).open(table);
        let _written = file.and_then(|mut file| writeln!(file, "{line}"));
    }
}

/// What was charged for the steps of some runs, and what of it is flagged.
#[derive(Default)]
struct Bill {
    charges: u32,
    flags: u32,
    duplicates: u32,
}

impl Bill {
    /// Of runs whose steps have `STEP NUMBER` as their prompts. Every charge beyond the first one has a flag.
    async fn of(fleet: &Fleet, world: &World, runs: &[RunId], steps: &[&str]) -> Bill {
        let charged = world.charged();
        let mut bill = Bill::default();
        for (number, id) in runs.iter().enumerate() {
            let calls = fleet.store.calls(*id).await.unwrap();
            for step in steps {
                let charges = charged.get(&format!("{step} {number}")).copied().unwrap_or_default();
                let of_step: Vec<_> = calls.iter().filter(|call| call.step == StepPath::top(step)).collect();
                let flags = of_step.iter().filter(|call| call.possible_duplicate).count() as u32;
                assert!(charges >= 1, "{id} {step} was done and never charged");
                assert!(charges <= 1 + flags, "{id} {step}: {charges} charges, {flags} flags: {of_step:#?}");
                bill.charges += charges;
                bill.flags += flags;
                bill.duplicates += charges - 1;
            }
        }
        bill
    }
}

/// A picture in the fleet's artifact store, as an input.
fn photo(fleet: &Fleet) -> serde_json::Value {
    let bytes = include_bytes!("../../../photos/coffee.png");
    let details = Details { media_type: "image/png".into(), name: "coffee.png".into(), ..Details::default() };
    Artifacts::open(&fleet.kept()).unwrap().put(bytes, &details).unwrap().to_value()
}

/// Runs of an edit and a film each, as in the catalogue's `img-edit-to-video`, while workers and coordinators are killed
/// and providers fail in every way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_duplicate_is_flagged_while_everybody_is_killed() {
    let (runs, kills) = form((30, 8), (300, 60));
    let world = World::begin(quick()).await;
    let fleet = Fleet::shared();
    for fault in [
        json!({"kind": "accept-then-drop", "rate": 0.05}),
        json!({"kind": "http:503", "rate": 0.10}),
        json!({"kind": "http:429", "rate": 0.10, "retry_after": 1}),
        json!({"kind": "reset", "rate": 0.05}),
        json!({"kind": "lost-webhook", "rate": 0.50}),
        json!({"kind": "expire-output", "rate": 0.05, "endpoint": "download"}),
    ] {
        world.fault(fault);
    }
    let listen = format!("127.0.0.1:{}", free_port());
    let public = format!("http://{listen}");
    let hooks = [("DARKROOM__API__LISTEN", listen.as_str()), ("DARKROOM__API__PUBLIC_URL", public.as_str())];
    let decider = || fleet.start("coordinator", &[], &[("DARKROOM__RETRY__RECHECK_EVERY", "1s"), hooks[0], hooks[1]]);
    let mut coordinators = vec![decider(), decider()];
    let mut workers =
        vec![worker(&fleet, &world, &hooks), worker(&fleet, &world, &hooks), worker(&fleet, &world, &hooks)];
    for role in coordinators.iter().chain(&workers) {
        role.ready().await;
    }
    let workflow = Workflow::new(
        "clip",
        "workflow: clip\ninputs:\n  image: { type: image }\n  number: { type: integer }\nsteps:\n  - { id: edit, uses: image.edit, retry: { attempts: 12 }, with: { model: fal/flux-kontext-pro, image: \"${{ inputs.image }}\", prompt: \"edit ${{ inputs.number }}\" } }\n  - { id: film, uses: video.generate, retry: { attempts: 12 }, with: { model: fal/minimax/video-01, prompt: \"film ${{ inputs.number }}\" } }\n",
    );
    let photo = photo(&fleet);
    let began = Instant::now();
    let mut ids: Vec<RunId> = Vec::new();
    for number in 0..runs {
        let inputs = [("image".to_owned(), photo.clone()), ("number".to_owned(), json!(number))];
        ids.push(fleet.submit(&workflow, Map::from_iter(inputs)).await);
    }
    let mut killed = 0;
    for strike in 0..kills {
        if fleet.unfinished().await.unwrap() == 0 {
            break;
        }
        if strike % 3 == 2 {
            killed += u32::from(coordinators[0].kill());
            coordinators.rotate_left(1);
            coordinators.pop();
            coordinators.push(decider());
        } else {
            killed += u32::from(workers[0].kill());
            workers.rotate_left(1);
            workers.pop();
            workers.push(worker(&fleet, &world, &hooks));
        }
        // What is killed next has had a moment to work: the pace of the kills, not a wait for something.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(killed >= 4, "only {killed} processes were killed while there was work");
    fleet.all_ended(Duration::from_secs(form(240, 600))).await;
    let wall = began.elapsed().as_secs_f64();
    for id in &ids {
        let ended = fleet.load(*id).await;
        assert_eq!(ended.run.head.status, RunStatus::Completed, "{id}: {:?}", ended.run.head.failure);
    }
    let Bill { charges, flags, duplicates } = Bill::of(&fleet, &world, &ids, &["edit", "film"]).await;
    tell(&format!(
        "{runs} runs of edit and film, {killed} processes killed, {wall:.0} s: {charges} charges, {flags} flagged, {duplicates} charged twice, all of them flagged"
    ));
    drop((coordinators, workers));
    fleet.remove().await;
}

/// What does not hide the outcome leads to neither a second charge nor a flag.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_that_hide_nothing_cost_and_flag_nothing() {
    let world = World::begin(quick()).await;
    let fleet = Fleet::shared();
    world.fault(json!({"kind": "http:503", "rate": 0.3, "count": 6}));
    world.fault(json!({"kind": "http:429", "rate": 0.3, "count": 6, "retry_after": 1}));
    let (coordinator, first) = (coordinator(&fleet), worker(&fleet, &world, &[]));
    coordinator.ready().await;
    first.ready().await;
    let workflow = Workflow::new(
        "one",
        "workflow: one\ninputs:\n  prompt: { type: string }\nsteps:\n  - { id: make, uses: image.generate, retry: { attempts: 10 }, with: { model: fal/flux-pro, prompt: \"${{ inputs.prompt }}\" } }\n",
    );
    let mut ids = Vec::new();
    for number in 0..12 {
        ids.push(fleet.submit(&workflow, prompted(&number.to_string())).await);
    }
    for id in ids {
        let ended = fleet.ended(id, Duration::from_secs(90)).await;
        assert_eq!(ended.run.head.status, RunStatus::Completed, "{:?}", ended.run.head.failure);
        assert_eq!(ended.run.head.possible_duplicates, 0);
    }
    assert_eq!(world.charged().values().copied().collect::<Vec<_>>(), vec![1; 12]);
    drop((coordinator, first));
    fleet.remove().await;
}

/// Every message comes three times, and every step is charged once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_come_three_times_are_paid_once() {
    let world = World::begin(quick()).await;
    let fleet = Fleet::shared();
    let thrice = [("DARKROOM__TEST__DELIVER", "3")];
    let coordinator = fleet.start("coordinator", &[], &thrice);
    let workers = [worker(&fleet, &world, &thrice), worker(&fleet, &world, &thrice)];
    coordinator.ready().await;
    for role in &workers {
        role.ready().await;
    }
    let workflow = Workflow::new(
        "one",
        "workflow: one\ninputs:\n  prompt: { type: string }\nsteps:\n  - { id: make, uses: image.generate, with: { model: fal/flux-pro, prompt: \"${{ inputs.prompt }}\" } }\n",
    );
    let mut ids = Vec::new();
    for number in 0..10 {
        ids.push(fleet.submit(&workflow, prompted(&number.to_string())).await);
    }
    for id in ids {
        let ended = fleet.ended(id, Duration::from_secs(60)).await;
        assert_eq!(ended.run.head.status, RunStatus::Completed, "{:?}", ended.run.head.failure);
        assert_eq!(ended.run.head.possible_duplicates, 0);
    }
    assert_eq!(world.charged().values().copied().collect::<Vec<_>>(), vec![1; 10]);
    drop((coordinator, workers));
    fleet.remove().await;
}

/// With `on-unknown: hold` nobody pays again by itself: the step fails, says what to look at, and a person goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_doubt_waits_for_a_person() {
    let world = World::begin(quick()).await;
    let fleet = Fleet::shared();
    let (coordinator, worker) = (coordinator(&fleet), worker(&fleet, &world, &[]));
    coordinator.ready().await;
    worker.ready().await;
    world.fault(json!({"provider": "fal", "kind": "accept-then-drop", "count": 1}));
    let workflow = Workflow::new(
        "one",
        "workflow: one\nsteps:\n  - { id: make, uses: image.generate, with: { model: fal/flux-pro, prompt: a mug, on-unknown: hold } }\n",
    );
    let run = fleet.submit(&workflow, Map::new()).await;
    let ended = fleet.ended(run, DOUBT_MAX).await;
    assert_eq!(ended.run.head.status, RunStatus::Failed);
    let error = ended.run.head.failure.unwrap().error;
    assert_eq!(error.class, darkroom_proto::ErrorClass::UnknownOutcome, "{error:?}");
    assert!(error.advice.contains("resume"), "{error:?}");
    assert_eq!((world.charges().len(), ended.run.head.possible_duplicates), (1, 0));
    fleet.cli_ok(&["resume", &run.to_string(), "--from-step", "make"]);
    poll::within(DOUBT_MAX, "it is done", async || fleet.load(run).await.run.head.status == RunStatus::Completed).await;
    assert_eq!(world.charges().len(), 2, "the person has decided to pay again");
    drop((coordinator, worker));
    fleet.remove().await;
}

/// Jobs that providers are at hold no slot and no message.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_jobs_wait_without_a_slot() {
    let jobs = form(200, 1_000);
    let world = World::begin(Options { video: darkroom_proto::Duration::from_secs(25), ..quick() }).await;
    // One whose tools can be asked.
    let rabbit = tokio::task::spawn_blocking(RabbitServer::start).await.unwrap();
    let fleet = Fleet::on(&rabbit.url(), &shared_redis());
    let (coordinator, worker) = (coordinator(&fleet), worker(&fleet, &world, &[]));
    coordinator.ready().await;
    worker.ready().await;
    let workflow = Workflow::new(
        "films",
        "workflow: films\ninputs:\n  items: { type: json }\nsteps:\n  - id: film\n    for-each: inputs.items\n    uses: video.generate\n    with: { model: fal/minimax/video-01, prompt: \"film ${{ item }}\" }\n",
    );
    let run = fleet.submit(&workflow, Workflow::items(jobs)).await;
    poll::within(Duration::from_secs(90), "every job is with the provider", async || {
        world.charges().len() == jobs as usize && worker.metric("darkroom_worker_slots") == 0.0
    })
    .await;
    let unacked = || -> u32 {
        let said = rabbit.ctl(&["-q", "list_queues", "--no-table-headers", "messages_unacknowledged"]);
        said.lines().filter_map(|line| line.trim().parse::<u32>().ok()).sum()
    };
    // What tells the coordinator that they wait may still be on its way through it.
    poll::within(Duration::from_secs(10), "no message is held", async || blocking(unacked) == 0).await;
    let done = fleet.load(run).await.run.step(&StepPath::top("film")).and_then(|step| step.fan.clone()).unwrap();
    assert!(done.completed < jobs, "the provider is still at work");
    let ended = fleet.ended(run, Duration::from_secs(120)).await;
    assert_eq!(ended.run.head.status, RunStatus::Completed, "{:?}", ended.run.head.failure);
    assert!(world.charged().values().all(|times| *times == 1));
    drop((coordinator, worker));
    fleet.remove().await;
}

/// A run that is cancelled has its jobs cancelled at the provider, and ends when that is sure.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_reaches_the_provider() {
    let world = World::begin(Options { video: darkroom_proto::Duration::from_secs(120), ..quick() }).await;
    let fleet = Fleet::shared();
    let (coordinator, worker) = (coordinator(&fleet), worker(&fleet, &world, &[]));
    coordinator.ready().await;
    worker.ready().await;
    let workflow = Workflow::new(
        "film",
        "workflow: film\nsteps:\n  - { id: film, uses: video.generate, with: { model: replicate/minimax/video-01, prompt: a film } }\n  - { id: next, uses: noop }\n",
    );
    let run = fleet.submit(&workflow, Map::new()).await;
    poll::until("the provider has the job", async || world.charges().len() == 1).await;
    poll::until("its handle is known", async || {
        fleet.store.calls(run).await.unwrap().first().is_some_and(|call| call.state == CallState::Submitted)
    })
    .await;
    fleet.cli_ok(&["cancel", &run.to_string()]);
    let ended = fleet.ended(run, Duration::from_secs(30)).await;
    assert_eq!(ended.run.head.status, RunStatus::Cancelled);
    let calls = fleet.store.calls(run).await.unwrap();
    assert!(calls.iter().all(|call| !call.state.is_open()), "{calls:?}");
    drop((coordinator, worker));
    fleet.remove().await;
}

/// The job of a race's loser is cancelled at the provider; the race and what follows it do not wait for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_loser_of_a_race_is_cancelled_at_the_provider() {
    let world = World::begin(Options { video: darkroom_proto::Duration::from_secs(120), ..quick() }).await;
    let fleet = Fleet::shared();
    let (coordinator, worker) = (coordinator(&fleet), worker(&fleet, &world, &[]));
    coordinator.ready().await;
    worker.ready().await;
    let workflow = Workflow::new(
        "race",
        "workflow: race\nsteps:\n  - id: film\n    race:\n      - { uses: video.generate, with: { model: replicate/minimax/video-01, prompt: a film } }\n      - { delay: 5s, uses: noop }\n  - { id: next, uses: noop }\n",
    );
    let run = fleet.submit(&workflow, Map::new()).await;
    let ended = fleet.ended(run, Duration::from_secs(60)).await;
    assert_eq!(ended.run.head.status, RunStatus::Completed, "{:?}", ended.run.head.failure);
    let loser = ended.run.steps.get(&"film[1]".parse().unwrap()).unwrap();
    assert_eq!(loser.state, darkroom_engine::State::Cancelled);
    let calls = fleet.store.calls(run).await.unwrap();
    // Its job would have taken two minutes.
    assert!(calls.len() == 1 && calls.iter().all(|call| !call.state.is_open()), "{calls:?}");
    drop((coordinator, worker));
    fleet.remove().await;
}

/// When the quota of every route is used up the runs are parked, and go on by themselves when it is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_are_parked_without_quota_and_go_on_when_it_is_back() {
    let world = World::begin(quick()).await;
    let fleet = Fleet::shared();
    world.key("fal", "*", "exhausted");
    let (coordinator, worker) = (coordinator(&fleet), worker(&fleet, &world, &[]));
    coordinator.ready().await;
    worker.ready().await;
    let workflow = Workflow::new(
        "one",
        "workflow: one\nsteps:\n  - { id: make, uses: image.generate, with: { model: fal/flux-pro, prompt: a mug } }\n",
    );
    let mut runs = Vec::new();
    for _ in 0..5 {
        runs.push(fleet.submit(&workflow, Map::new()).await);
    }
    for run in &runs {
        poll::until("it is parked", async || fleet.load(*run).await.run.head.status == RunStatus::PendingRetry).await;
    }
    assert!(world.charges().is_empty());
    world.key("fal", "*", "ok");
    for run in runs {
        let ended = fleet.ended(run, Duration::from_secs(30)).await;
        assert_eq!(ended.run.head.status, RunStatus::Completed, "{:?}", ended.run.head.failure);
    }
    drop((coordinator, worker));
    fleet.remove().await;
}

/// A key that is refused parks the runs; they go on within 5 s after another one is put into its file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replaced_key_lets_runs_go_on() {
    let world = World::begin(quick()).await;
    let fleet = Fleet::shared();
    world.key("fal", "bad:key", "invalid");
    let file = fleet.folder().join("fal-keys");
    std::fs::write(&file, "bad:key\n").unwrap();
    let slow = ("DARKROOM__RETRY__RECHECK_EVERY", "300s");
    let coordinator = fleet.start("coordinator", &[], &[slow]);
    let url = world.url();
    let settings =
        [("DARKROOM__SIMULATOR", url.as_str()), slow, ("DARKROOM__PROVIDERS__FAL__KEYS_FILE", file.to_str().unwrap())];
    let worker = fleet.start("worker", &[], &settings);
    coordinator.ready().await;
    worker.ready().await;
    let workflow = Workflow::new(
        "one",
        "workflow: one\nsteps:\n  - { id: make, uses: image.generate, with: { model: fal/flux-pro, prompt: a mug } }\n",
    );
    let run = fleet.submit(&workflow, Map::new()).await;
    poll::until("it is parked", async || fleet.load(run).await.run.head.status == RunStatus::PendingRetry).await;
    std::fs::write(&file, "good:key\n").unwrap();
    let since = Instant::now();
    let ended = fleet.ended(run, Duration::from_secs(20)).await;
    assert_eq!(ended.run.head.status, RunStatus::Completed, "{:?}", ended.run.head.failure);
    let took = since.elapsed();
    assert!(took < Duration::from_secs(10), "it took {took:?} until the picture was there");
    drop((coordinator, worker));
    fleet.remove().await;
}

/// A key is nowhere but in the requests of its provider.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_in_no_log_message_manifest_or_metric() {
    const CANARY: &str = "canary-7f3a9c";
    let world = World::begin(quick()).await;
    let fleet = Fleet::shared();
    let key = format!("{CANARY}:secret");
    world.fault(json!({"kind": "invalid_key", "count": 1}));
    let coordinator = coordinator(&fleet);
    let worker = worker(&fleet, &world, &[("DARKROOM__PROVIDERS__FAL__KEYS", &key), ("RUST_LOG", "trace")]);
    coordinator.ready().await;
    worker.ready().await;
    let workflow = Workflow::new(
        "one",
        "workflow: one\nsteps:\n  - { id: make, uses: image.generate, with: { model: fal/flux-pro, prompt: a mug } }\n",
    );
    let run = fleet.submit(&workflow, Map::new()).await;
    fleet.ended(run, Duration::from_secs(60)).await;
    assert!(world.charges().iter().any(|charge| charge["key"].as_str().is_some_and(|used| used.contains(CANARY))));
    let mut places = BTreeMap::from([
        ("the worker's log", worker.log()),
        ("the coordinator's log", coordinator.log()),
        ("the worker's metrics", worker.page("/metrics").unwrap().1),
        ("the document", fleet.cli_ok(&["show", &run.to_string(), "-o", "json"])),
        ("the events", fleet.cli_ok(&["tail", &run.to_string()])),
        ("the calls", format!("{:?}", fleet.store.calls(run).await.unwrap())),
    ]);
    for entry in walk(&fleet.kept()) {
        let bytes = std::fs::read(&entry).unwrap();
        places.insert("a kept file", String::from_utf8_lossy(&bytes).into_owned());
        assert!(!places["a kept file"].contains(CANARY), "{}", entry.display());
    }
    for (place, text) in places {
        assert!(!text.contains(CANARY), "{place} has the key");
    }
    drop((coordinator, worker));
    fleet.remove().await;
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(walk(&path)) } else { found.push(path) }
    }
    found
}
