//! What a coordinator makes of steps that wait, are parked, or are called off while they may be paid: the tests are the
//! worker.

use darkroom_backend::{
    CANCEL_FIELD, Clock, Delivery as _, EmbeddedQueue, EmbeddedStore, Fact, Fitness, Intended, Intent, Ledger,
    Publication, Queue, Refusal, RunFilter, Shard, ShardMessage, Sighting, Store, void_field,
};
use darkroom_coordinator::{Coordinator, Desk, Plans, RunCommand};
use darkroom_engine::{State, Step};
use darkroom_proto::{
    Duration, ErrorClass, Map, Money, Outcome, Report, RunId, RunStatus, StepCost, StepError, StepMessage, StepPath,
    Succeeded, Timestamp, Waiting,
};
use darkroom_tests::fleet::load::Workflow;
use darkroom_tests::fleet::{Fleet, SHARDS};
use darkroom_tests::poll;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How soon runs go on when a key was replaced.
const RELIEF_MAX: std::time::Duration = std::time::Duration::from_secs(5);

const POOL: &str = "api";

fn workflow(retry: &str) -> Workflow {
    let text = format!(
        "workflow: paid\nsteps:\n  - {{ id: make, uses: image.generate, retry: {retry}, with: {{ prompt: a mug, model: flux-pro }} }}\n"
    );
    Workflow::new("paid", &text)
}

/// A coordinator that works, and what a worker needs.
struct Scene<S, Q> {
    store: S,
    queue: Q,
    desk: Desk<S, Q>,
    shards: u16,
}

impl<S: Store + Ledger, Q: Queue> Scene<S, Q> {
    async fn submit(&self, workflow: &Workflow) -> RunId {
        workflow.submit(&self.desk, Map::new()).await
    }

    async fn take(&self) -> StepMessage {
        let pools = [POOL.to_owned()];
        let delivery = poll::soon("a step", self.queue.take_step(&pools)).await.unwrap().unwrap();
        let message = delivery.message().clone();
        delivery.ack().await.unwrap();
        message
    }

    async fn report(&self, message: &StepMessage, outcome: Outcome) {
        let report = Report {
            run: message.run,
            path: message.path.clone(),
            generation: message.generation,
            attempt: message.attempt,
            outcome,
            cost: StepCost { spent: Money(40_000), possible_duplicates: 0 },
        };
        let shard = Shard(message.run.shard(self.shards));
        let message = ShardMessage::Reports(vec![report]);
        self.queue.publish(vec![Publication::Shard { shard, message }]).await.unwrap();
    }

    async fn fail(&self, message: &StepMessage, class: ErrorClass) {
        self.report(message, Outcome::Failed(StepError::new(class, "no"))).await;
    }

    async fn succeed(&self, message: &StepMessage) {
        self.report(message, Outcome::Succeeded(Succeeded::default())).await;
    }

    async fn wait(&self, message: &StepMessage, submitted: bool, until: Timestamp) {
        let waiting = Waiting { reason: "flux-pro at fal".into(), submitted, until };
        self.report(message, Outcome::Waiting(waiting)).await;
    }

    async fn status(&self, run: RunId) -> RunStatus {
        self.store.load(run).await.unwrap().unwrap().summary.status
    }

    async fn is(&self, run: RunId, status: RunStatus) {
        poll::until(&format!("{run} is {status}"), async || self.status(run).await == status).await;
    }

    async fn step(&self, run: RunId) -> Step {
        self.desk.load(run).await.unwrap().unwrap().run.step(&StepPath::top("make")).unwrap().clone()
    }

    async fn fields(&self, run: RunId) -> Vec<String> {
        let stored = self.store.load(run).await.unwrap().unwrap();
        stored.fields.into_iter().map(|(name, _)| name).collect()
    }

    async fn intent(&self, message: &StepMessage) -> Intended {
        let StepMessage { run, path, generation, attempt, .. } = message;
        let token = self.store.claim(*run, path, *generation, *attempt, "nobody").await.unwrap();
        let intent = Intent {
            run: message.run,
            step: message.path.clone(),
            generation: message.generation,
            attempt: message.attempt,
            token,
            model: "flux-pro".into(),
            provider: "fal".into(),
            endpoint: "fal-ai/flux-pro".into(),
            key: "k1".into(),
            worker: "w".to_owned(),
            price: Money(40_000),
            send_within: Duration::from_secs(10),
            budget: message.budget,
        };
        self.store.intent(&intent).await.unwrap()
    }

    /// The only key is refused.
    async fn lose_key(&self) {
        let (first, max) = (Duration::from_secs(3_600), Duration::from_secs(3_600));
        self.store.announce_keys("fal", &["k1".to_owned()]).await.unwrap();
        let note = "invalid".to_owned();
        let bad = Sighting::Bad { state: Fitness::Invalid, first, max, note };
        self.store.saw("fal", "key/k1", &bad).await.unwrap();
    }

    async fn replaced_key(&self) {
        self.lose_key().await;
        let (workflow, mut runs) = (workflow("{}"), Vec::new());
        for _ in 0..3 {
            let run = self.submit(&workflow).await;
            let message = self.take().await;
            self.fail(&message, ErrorClass::InvalidKey).await;
            self.is(run, RunStatus::PendingRetry).await;
            runs.push(run);
        }
        let filter = RunFilter { statuses: vec![RunStatus::PendingRetry], limit: 9, ..RunFilter::default() };
        assert_eq!(self.store.list(&filter).await.unwrap().len(), 3);
        let began = tokio::time::Instant::now();
        self.store.announce_keys("fal", &["k2".to_owned()]).await.unwrap();
        for _ in 0..3 {
            let message = self.take().await;
            assert_eq!(message.attempt, 2);
            self.succeed(&message).await;
        }
        assert!(began.elapsed() < RELIEF_MAX, "{:?}", began.elapsed());
        for run in runs {
            self.is(run, RunStatus::Completed).await;
            assert_eq!(self.store.load(run).await.unwrap().unwrap().summary.spent, Money(40_000));
        }
    }

    async fn called_off(&self) {
        let workflow = workflow("{}");
        let run = self.submit(&workflow).await;
        let message = self.take().await;
        assert!(message.epoch.is_some(), "it says in which life of the store it was sent");
        let later = self.store.now().await.unwrap().after(Duration::from_secs(600));
        self.wait(&message, false, later).await;
        self.is(run, RunStatus::Waiting).await;
        let cancel = RunCommand::Cancel { reason: "enough".into() };
        self.desk.command(run, "cancel", &cancel).await.unwrap();
        self.is(run, RunStatus::Cancelled).await;
        assert!(self.fields(run).await.contains(&void_field(&message.path, 1)));
        self.desk.command(run, "resume", &RunCommand::Resume { from: None, set: Default::default() }).await.unwrap();
        let again = self.take().await;
        assert_eq!((again.generation, again.attempt), (2, 1));
        assert!(!self.fields(run).await.contains(&CANCEL_FIELD.to_owned()), "it is not cancelled any more");
        assert_eq!(self.intent(&message).await, Intended::Refused(Refusal::Stale), "of the first generation");
        assert!(matches!(self.intent(&again).await, Intended::Granted(_)));
        self.desk.command(run, "cancel again", &cancel).await.unwrap();
        assert!(self.fields(run).await.contains(&CANCEL_FIELD.to_owned()), "at once");
        // What has arrived with a command is dealt with before it.
        poll::until("the run has heard of it", async || {
            self.desk.load(run).await.unwrap().unwrap().run.head.cancelled.is_some()
        })
        .await;
        self.succeed(&again).await;
        self.is(run, RunStatus::Cancelled).await;
    }
}

/// An embedded coordinator by a clock that the test moves.
struct Embedded {
    scene: Scene<EmbeddedStore, EmbeddedQueue>,
    clock: Clock,
    stop: CancellationToken,
    coordinator: JoinSet<()>,
    _dir: tempfile::TempDir,
}

fn embedded() -> Embedded {
    let dir = tempfile::tempdir().unwrap();
    // Runs are handed in by the clock of the machine, and a run's time never goes back.
    let clock = Clock::manual(Clock::system().now().after(Duration::from_secs(60)));
    let store = EmbeddedStore::open_with(dir.path(), 1, clock.clone()).unwrap();
    let queue = EmbeddedQueue::new([POOL]);
    let plans = Arc::new(Plans::new(store.clone()));
    let desk = Desk::new(store.clone(), queue.clone(), plans.clone(), 1);
    let stop = CancellationToken::new();
    let coordinator = Coordinator::new(store.clone(), queue.clone(), plans, "test".to_owned());
    let run = coordinator.run(stop.clone());
    let mut coordinator = JoinSet::new();
    coordinator.spawn(async move { run.await.unwrap() });
    Embedded { scene: Scene { store, queue, desk, shards: 1 }, clock, stop, coordinator, _dir: dir }
}

impl Embedded {
    async fn end(self) {
        self.stop.cancel();
        poll::soon("the coordinator ends", self.coordinator.join_all()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_a_replaced_key_lets_runs_go_on_within_5_seconds() {
    let embedded = embedded();
    embedded.scene.replaced_key().await;
    embedded.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_nothing_is_paid_for_what_was_called_off() {
    let embedded = embedded();
    embedded.scene.called_off().await;
    embedded.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_a_parked_step_is_tried_again_every_five_minutes_five_times() {
    let embedded = embedded();
    let scene = &embedded.scene;
    let run = scene.submit(&workflow("{attempts: 2, delay: 1ms}")).await;
    for _ in 0..2 {
        let message = scene.take().await;
        scene.fail(&message, ErrorClass::Timeout).await;
    }
    for cycle in 1..=5 {
        scene.is(run, RunStatus::PendingRetry).await;
        assert_eq!(scene.step(run).await.parking.unwrap().cycle, cycle);
        embedded.clock.advance(std::time::Duration::from_secs(300));
        let message = scene.take().await;
        assert_eq!(message.attempt, 2 + cycle);
        scene.fail(&message, ErrorClass::Timeout).await;
    }
    scene.is(run, RunStatus::Failed).await;
    assert_eq!(scene.step(run).await.error.unwrap().code, "retries_exhausted");
    embedded.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_a_step_without_quota_uses_up_its_checks_until_a_key_may_be_tried() {
    let embedded = embedded();
    let scene = &embedded.scene;
    scene.lose_key().await;
    let run = scene.submit(&workflow("{}")).await;
    let message = scene.take().await;
    scene.fail(&message, ErrorClass::QuotaExceeded).await;
    scene.is(run, RunStatus::PendingRetry).await;
    for cycle in 2..=3 {
        embedded.clock.advance(std::time::Duration::from_secs(300));
        poll::until("a check is used up", async || scene.step(run).await.parking.unwrap().cycle == cycle).await;
        assert_eq!(scene.status(run).await, RunStatus::PendingRetry);
    }
    // The key was refused for an hour; then somebody may try it.
    embedded.clock.advance(std::time::Duration::from_secs(3_600));
    let message = scene.take().await;
    scene.succeed(&message).await;
    scene.is(run, RunStatus::Completed).await;
    embedded.end().await;
}

fn of_fleet(fleet: &Fleet) -> Scene<darkroom_backend::RedisStore, darkroom_backend::RabbitQueue> {
    let (store, queue, desk) = (fleet.store.clone(), fleet.queue.clone(), fleet.desk.clone());
    Scene { store, queue, desk, shards: SHARDS }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replaced_key_lets_the_runs_of_a_fleet_go_on_within_5_seconds() {
    let fleet = Fleet::shared();
    let coordinators = [fleet.coordinator(), fleet.coordinator()];
    for coordinator in &coordinators {
        coordinator.ready().await;
    }
    of_fleet(&fleet).replaced_key().await;
    drop(coordinators);
    fleet.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_fleet_nothing_is_paid_for_what_was_called_off() {
    let fleet = Fleet::shared();
    let coordinator = fleet.coordinator();
    coordinator.ready().await;
    of_fleet(&fleet).called_off().await;
    drop(coordinator);
    fleet.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_looked_after_is_left_alone_and_one_that_nobody_looks_after_is_sent_again() {
    let fleet = Fleet::shared();
    let coordinator = fleet.coordinator();
    coordinator.ready().await;
    let scene = of_fleet(&fleet);
    let workflow = workflow("{}");
    let (looked_after, forgotten) = (scene.submit(&workflow).await, scene.submit(&workflow).await);
    for _ in 0..2 {
        let message = scene.take().await;
        let Intended::Granted(call) = scene.intent(&message).await else { panic!("it may be paid") };
        let now = scene.store.now().await.unwrap();
        // Due to be looked at now.
        let until = Timestamp(now.0 - 30_000);
        let next_at = match message.run == looked_after {
            true => now.after(Duration::from_secs(600)),
            false => Timestamp(now.0 - 31_000),
        };
        let submitted = Fact::Submitted { handle: "job".into(), next_at };
        scene.store.note(message.run, &call.id, &submitted).await.unwrap().unwrap();
        scene.wait(&message, true, until).await;
    }
    let again = scene.take().await;
    assert_eq!((again.run, again.attempt), (forgotten, 1), "the same attempt");
    poll::until("the other one was looked at", async || {
        scene.step(looked_after).await.watch.is_some_and(|watch| watch.looks > 0)
    })
    .await;
    let step = scene.step(looked_after).await;
    assert!(matches!(step.state, State::Waiting { submitted: true, .. }) && step.watch.unwrap().resends == 0);
    let open = matches!(scene.intent(&again).await, Intended::Open(_));
    assert!(open, "whoever gets it goes on with the job");
    drop(coordinator);
    fleet.remove().await;
}
