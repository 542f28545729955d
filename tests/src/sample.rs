//! Runs, commits and messages to test with.

use darkroom_backend::{Command, Commit, NewRun, RunSummary, Shard};
use darkroom_proto::{
    Duration, Map, Money, Outcome, Provenance, Report, RunId, RunStatus, Sha256, StepCost, StepMessage, StepPath,
    Succeeded, Tenant, Timestamp,
};

/// How many runs the tests that kill a process commit to at once.
pub const RUNS: u32 = 8;

/// A run of a shard, of so many; `number` tells it from others, and later numbers are later runs.
pub fn run(shard: Shard, shards: u16, number: u32) -> RunId {
    let mut random = [0u8; 10];
    random[4..8].copy_from_slice(&number.to_be_bytes());
    random[9] = shard.0 as u8;
    let run = RunId::new(created_at(number), random);
    assert_eq!(run.shard(shards), shard.0, "samples have up to 256 shards, in powers of two");
    run
}

/// When a run of this number was created.
pub fn created_at(number: u32) -> Timestamp {
    Timestamp(1_795_000_000_000 + u64::from(number) * 1_000)
}

/// What lists show of a run.
pub fn summary(number: u32, status: RunStatus) -> RunSummary {
    RunSummary {
        workflow: "product-shots".into(),
        definition: Sha256::of(b"definition"),
        status,
        created_at: created_at(number),
        updated_at: created_at(number),
        finished_at: None,
        fingerprint: Sha256::of(&number.to_le_bytes()),
        step: Some("resize".into()),
        error: None,
        spent: Money::ZERO,
        tenant: Tenant::default(),
        part: false,
    }
}

/// A new run.
pub fn new_run(run: RunId, number: u32) -> NewRun {
    NewRun {
        run,
        summary: summary(number, RunStatus::Pending),
        head: b"head 1".to_vec(),
        fields: vec![("inputs".into(), b"inputs".to_vec())],
        events: vec![b"created".to_vec()],
        due: None,
    }
}

/// A change from this version on, to what its id says.
pub fn commit(run: RunId, number: u32, version: u64, id: u64) -> Commit {
    Commit {
        run,
        version,
        id,
        summary: summary(number, RunStatus::Running),
        head: format!("head {id}").into_bytes(),
        fields: vec![(format!("step {id}"), Some(format!("field {id}").into_bytes()))],
        events: vec![format!("event {id}").into_bytes()],
        outbox: Vec::new(),
        due: None,
        commands: Vec::new(),
        saved: Vec::new(),
    }
}

/// A command for a run.
pub fn command(run: RunId, key: &str) -> Command {
    Command { key: key.into(), run, body: format!("do {key}").into_bytes() }
}

/// A step whose attempt tells it from others.
pub fn step(number: u32) -> StepMessage {
    let mut params = Map::new();
    params.insert("data".into(), serde_json::json!({"number": number, "text": "ü", "ratio": 0.5, "none": null}));
    StepMessage {
        run: RunId::from_bytes([3; 16]),
        path: StepPath::top("resize"),
        generation: 1,
        attempt: number,
        op: "noop".into(),
        params,
        timeout: Duration::from_secs(60),
        save: None,
        provenance: Provenance { workflow: "product-shots".into(), definition: Sha256::of(b"definition") },
        budget: None,
        ticket: None,
        deferred_since: None,
        epoch: None,
        cache: None,
    }
}

/// A report whose attempt tells it from others.
pub fn report(number: u32) -> Report {
    Report {
        run: RunId::from_bytes([3; 16]),
        path: StepPath::top("resize"),
        generation: 1,
        attempt: number,
        outcome: Outcome::Succeeded(Succeeded::default()),
        cost: StepCost::default(),
    }
}
