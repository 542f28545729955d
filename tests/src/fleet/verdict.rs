//! What must be so when a fleet has done its work: nothing lost, nothing done twice, nothing left behind.

use super::role::Role;
use super::{Fleet, SHARDS};
use darkroom_backend::Store as _;
use darkroom_coordinator::{Stored, decode_event};
use darkroom_engine::{Happened, What};
use darkroom_proto::{RunId, RunStatus, Timestamp};
use futures_util::StreamExt as _;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How many runs are read at once.
const READS: usize = 64;

/// What was found.
#[derive(Debug)]
pub struct Verdict {
    /// How many runs completed.
    pub runs: usize,
    /// How many steps were done.
    pub steps: usize,
    /// When each step was done, in order, for the runs of each shard.
    pub done_at: BTreeMap<u16, Vec<Timestamp>>,
    /// How long the slowest run took, from when it was handed in.
    pub slowest: Duration,
    /// How long it took until a run was started, from when it was handed in; the longest.
    pub slowest_start: Duration,
    /// How many reports were ignored because their step had ended.
    pub stale: u32,
}

impl Verdict {
    /// How long after each of these moments each shard had its next step done; the longest.
    pub fn resumed_after(&self, moments: &[Timestamp]) -> Option<Duration> {
        let next = |moment: &Timestamp, done: &Vec<Timestamp>| {
            let next = done.get(done.partition_point(|at| at <= moment))?;
            Some(Duration::from_millis(next.0.saturating_sub(moment.0)))
        };
        let moments =
            moments.iter().flat_map(|moment| self.done_at.values().filter_map(move |done| next(moment, done)));
        moments.max()
    }
}

impl Fleet {
    /// A run as it is now.
    pub async fn load(&self, run: RunId) -> Stored {
        self.desk.load(run).await.unwrap().unwrap_or_else(|| panic!("{run} is not in the store"))
    }

    /// What happened to a run.
    pub async fn events(&self, run: RunId) -> Vec<Happened> {
        let events = self.store.events(run, 0, usize::MAX).await.unwrap();
        assert!(events.iter().zip(1..).all(|(event, seq)| event.seq == seq), "{run}: its events have gaps");
        events.iter().map(|event| decode_event(&event.body).unwrap()).collect()
    }

    /// Waits until a run has ended.
    pub async fn ended(&self, run: RunId, within: Duration) -> Stored {
        let since = Instant::now();
        loop {
            let stored = self.load(run).await;
            if stored.run.head.status.is_terminal() {
                return stored;
            }
            assert!(since.elapsed() < within, "{run} did not end within {within:?}: {:?}", stored.run.steps);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until no run is unfinished.
    pub async fn all_ended(&self, within: Duration) {
        let since = Instant::now();
        loop {
            let unfinished = self.unfinished().await;
            if matches!(unfinished, Ok(0)) {
                return;
            }
            if since.elapsed() > within {
                panic!("{unfinished:?} runs are unfinished after {within:?}; {}", self.oldest_unfinished().await);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn oldest_unfinished(&self) -> String {
        for shard in 0..SHARDS {
            if let Some(run) = self.store.active(darkroom_backend::Shard(shard)).await.unwrap().first().copied() {
                let stored = self.load(run).await;
                return format!("{run}: {:?} {:#?}; {:#?}", stored.run.head, stored.run.steps, self.events(run).await);
            }
        }
        String::new()
    }

    /// Checks that each run completed, and did each of its steps exactly once.
    pub async fn verify_runs(&self, runs: &[RunId]) -> Verdict {
        let mut verdict = Verdict {
            runs: 0,
            steps: 0,
            done_at: BTreeMap::new(),
            slowest: Duration::ZERO,
            slowest_start: Duration::ZERO,
            stale: 0,
        };
        let mut read = futures_util::stream::iter(runs)
            .map(async |&run| (run, self.load(run).await, self.events(run).await))
            .buffer_unordered(READS);
        while let Some((run, stored, events)) = read.next().await {
            assert_eq!(stored.run.head.status, RunStatus::Completed, "{run}");
            let mut completed: BTreeMap<String, u32> = BTreeMap::new();
            let mut ends = 0;
            for event in &events {
                match &event.what {
                    What::StepCompleted { step, .. } => {
                        *completed.entry(step.to_string()).or_default() += 1;
                        verdict.done_at.entry(run.shard(SHARDS)).or_default().push(event.at);
                    }
                    What::RunCompleted { .. } => ends += 1,
                    What::RunStarted => {
                        let waited = event.at.0.saturating_sub(stored.run.spec.created_at.0);
                        verdict.slowest_start = verdict.slowest_start.max(Duration::from_millis(waited));
                    }
                    _ => {}
                }
            }
            assert_eq!(ends, 1, "{run} completed once: {events:?}");
            for (path, step) in &stored.run.steps {
                assert!(step.state.ended(), "{run}: {path} has no outcome: {step:?}");
            }
            let outcomes: BTreeMap<String, u32> = stored
                .run
                .steps
                .iter()
                .filter(|(_, step)| step.fan.is_none())
                .map(|(path, _)| (path.to_string(), 1))
                .collect();
            assert_eq!(completed, outcomes, "{run}: each step has one outcome and is told once");
            let ended = stored.run.head.finished_at.unwrap();
            let took = Duration::from_millis(ended.0.saturating_sub(stored.run.spec.created_at.0));
            verdict.slowest = verdict.slowest.max(took);
            verdict.runs += 1;
            verdict.steps += completed.len();
            verdict.stale += stored.run.head.stale_reports;
        }
        assert_eq!(verdict.runs, runs.len());
        verdict.done_at.values_mut().for_each(|done| done.sort());
        verdict
    }

    /// Checks, once everything has ended, that nothing lies about on the broker; then drains the roles, and checks that
    /// none of them held anything. `dead`: how many dead letters are expected.
    pub async fn leaves_nothing(&self, roles: Vec<Role>) {
        let broker = self.broker().await;
        let since = Instant::now();
        loop {
            let waiting = broker.waiting().await;
            if waiting.is_empty() {
                break;
            }
            assert!(since.elapsed() < Duration::from_secs(30), "messages stay in the queues: {waiting:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        roles.iter().for_each(Role::terminate);
        for mut role in roles {
            let (status, _) = role.end(Duration::from_secs(27)).await;
            assert!(status.success(), "{} drains: {status}\n{}", role.name, role.log());
        }
        let waiting = broker.waiting().await;
        assert!(waiting.is_empty(), "the roles held messages: {waiting:?}");
        let dead = broker.take_dead().await;
        assert!(dead.is_empty(), "dead letters: {dead:?}");
    }
}
