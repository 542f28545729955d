//! Work for a fleet: runs that are handed in for as long as a test wants.

use super::Fleet;
use darkroom_backend::{Clock, Definition, Ledger, Queue, Store};
use darkroom_coordinator::{Desk, Submission};
use darkroom_engine::plan::Plan;
use darkroom_engine::{Pinned, Source, Spec, compile};
use darkroom_proto::{Map, RunId};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How many runs are handed in together.
const BATCH: usize = 20;

/// A workflow, known to a fleet.
#[derive(Debug, Clone)]
pub struct Workflow {
    /// Its plan.
    pub plan: Arc<Plan>,
    definition: Definition,
    children: BTreeMap<String, Pinned>,
}

impl Workflow {
    /// Compiles a workflow.
    pub fn new(name: &str, text: &str) -> Workflow {
        let source = Source::new(format!("{name}.yaml"), text);
        let plan = compile(&source).unwrap_or_else(|errors| panic!("{name}: {errors:?}")).plan;
        let definition = Definition {
            hash: plan.definition,
            workflow: plan.workflow.clone(),
            file: source.name().to_owned(),
            source: source.text().to_owned(),
        };
        Workflow { plan: Arc::new(plan), definition, children: BTreeMap::new() }
    }

    /// The same with a workflow that its steps run under a name.
    pub fn running(mut self, name: &str, child: &Workflow) -> Workflow {
        let pinned = Pinned { definition: child.definition.hash, files: Map::new() };
        self.children.insert(name.to_owned(), pinned);
        self
    }

    /// No-op steps that pass 200 bytes on, one after the other.
    pub fn pipeline(steps: u32, step_time: Duration) -> Workflow {
        let mut text = format!("workflow: pipeline-{steps}\nsteps:\n");
        for number in 1..=steps {
            let data = match number {
                1 => "x".repeat(200),
                _ => format!("${{{{ steps.s{}.data }}}}", number - 1),
            };
            let time = step_time.as_millis();
            writeln!(text, "  - {{ id: s{number}, uses: noop, with: {{ data: \"{data}\", step-time: {time}ms }} }}")
                .unwrap();
        }
        Workflow::new("pipeline", &text)
    }

    /// A no-op for each of `inputs.items`, and how many there are.
    pub fn fan_out(step_time: Duration) -> Workflow {
        let time = step_time.as_millis();
        let text = format!(
            "workflow: fan-out\ninputs:\n  items: {{ type: json }}\nsteps:\n  - id: each\n    for-each: inputs.items\n    \
             uses: noop\n    with: {{ data: \"${{{{ item }}}}\", step-time: {time}ms }}\n"
        );
        Workflow::new("fan-out", &text)
    }

    /// A run of it that was not handed in yet.
    pub fn run(&self, inputs: Map) -> Submission {
        let created_at = Clock::system().now();
        let spec = Spec { children: self.children.clone(), ..Spec::new(&self.plan, inputs, created_at) };
        let (high, low) = (RandomState::new().hash_one(1), RandomState::new().hash_one(2));
        let mut random = [0u8; 10];
        random[..8].copy_from_slice(&high.to_be_bytes());
        random[8..].copy_from_slice(&low.to_be_bytes()[..2]);
        Submission { run: RunId::new(created_at, random), spec }
    }

    /// Hands a run of it in at a desk.
    pub async fn submit<S: Store + Ledger, Q: Queue>(&self, desk: &Desk<S, Q>, inputs: Map) -> RunId {
        desk.define(&self.definition, self.plan.clone()).await.unwrap();
        let submission = self.run(inputs);
        desk.submit(std::slice::from_ref(&submission)).await.unwrap();
        submission.run
    }

    /// Inputs with a list of so many numbers.
    pub fn items(count: u32) -> Map {
        Map::from_iter([("items".to_owned(), serde_json::json!((0..count).collect::<Vec<u32>>()))])
    }
}

impl Fleet {
    /// Keeps the definition of a workflow that others run.
    pub async fn define(&self, workflow: &Workflow) {
        self.desk.define(&workflow.definition, workflow.plan.clone()).await.unwrap();
    }

    /// Hands a run in.
    pub async fn submit(&self, workflow: &Workflow, inputs: Map) -> RunId {
        workflow.submit(&self.desk, inputs).await
    }
}

/// Runs that are handed in without pause, until it is told to stop.
#[derive(Debug)]
pub struct Load {
    runs: Arc<Mutex<Vec<RunId>>>,
    stop: CancellationToken,
    work: JoinSet<()>,
}

impl Load {
    /// Keeps about `ahead` runs of a workflow unfinished.
    pub async fn start(fleet: &Arc<Fleet>, workflow: &Workflow, ahead: usize) -> Load {
        fleet.desk.define(&workflow.definition, workflow.plan.clone()).await.unwrap();
        let (runs, stop) = (Arc::<Mutex<Vec<RunId>>>::default(), CancellationToken::new());
        let mut work = JoinSet::new();
        let (fleet, workflow, handed_in, stopped) =
            (Arc::clone(fleet), workflow.clone(), Arc::clone(&runs), stop.clone());
        work.spawn(async move {
            while !stopped.is_cancelled() {
                if !fleet.unfinished().await.is_ok_and(|unfinished| unfinished < ahead) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
                let batch: Vec<Submission> = (0..BATCH).map(|_| workflow.run(Map::new())).collect();
                handed_in.lock().unwrap().extend(batch.iter().map(|submission| submission.run));
                // Whoever hands in does so until it is accepted; an id that is there already changes nothing.
                while fleet.desk.submit(&batch).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        });
        Load { runs, stop, work }
    }

    /// How many runs were handed in so far.
    pub fn handed_in(&self) -> usize {
        self.runs.lock().unwrap().len()
    }

    /// Hands in nothing more, and gives all runs.
    pub async fn stop(self) -> Vec<RunId> {
        self.stop.cancel();
        self.work.join_all().await;
        std::mem::take(&mut *self.runs.lock().unwrap())
    }
}
