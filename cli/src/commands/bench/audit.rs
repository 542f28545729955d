//! Whether every run completed, and every step of it has exactly one recorded outcome.

use super::load::patiently;
use crate::failure::Failure;
use crate::fleet::Fleet;
use darkroom_backend::{RunFilter, RunSummary, Store as _};
use darkroom_coordinator::{RecordError, decode_event};
use darkroom_engine::What;
use darkroom_proto::{RunId, RunStatus};
use futures_util::StreamExt as _;
use futures_util::stream;
use std::collections::{BTreeMap, HashMap};

/// How many runs are looked at at once.
const AT_ONCE: usize = 32;

/// What lists show of runs of one workflow.
pub(super) async fn summaries(
    fleet: &Fleet,
    workflow: &str,
    runs: &[RunId],
) -> Result<Vec<(RunId, RunSummary)>, Failure> {
    let store = &fleet.store.store;
    let filter = RunFilter { workflow: Some(workflow.to_owned()), limit: runs.len(), ..RunFilter::default() };
    let listed = patiently(|| async { store.list(&filter).await.map_err(|error| fleet.store.failed(error)) }).await?;
    let mut listed: HashMap<RunId, RunSummary> = listed.into_iter().collect();
    let mut found = Vec::with_capacity(runs.len());
    for &run in runs {
        // Lists are hints: who is in none is asked itself.
        let summary = match listed.remove(&run) {
            Some(summary) => Some(summary),
            None => {
                let load = || async { store.load(run).await.map_err(|error| fleet.store.failed(error)) };
                patiently(load).await?.map(|stored| stored.summary)
            }
        };
        found.extend(summary.map(|summary| (run, summary)));
    }
    Ok(found)
}

/// What is wrong with runs that should have done so many steps each.
pub(super) async fn audit(fleet: &Fleet, runs: &[RunId], steps: usize) -> Result<Vec<String>, Failure> {
    let looks = stream::iter(runs.iter().map(|&run| look(fleet, run, steps)));
    let found: Vec<Result<Option<String>, Failure>> = looks.buffer_unordered(AT_ONCE).collect().await;
    found.into_iter().filter_map(Result::transpose).collect()
}

async fn look(fleet: &Fleet, run: RunId, steps: usize) -> Result<Option<String>, Failure> {
    let store = &fleet.store.store;
    let read = || async {
        let stored = store.load(run).await.map_err(|error| fleet.store.failed(error))?;
        let events = store.events(run, 0, usize::MAX).await.map_err(|error| fleet.store.failed(error))?;
        Ok((stored, events))
    };
    let (stored, events) = patiently(read).await?;
    let happened: Result<Vec<What>, RecordError> =
        events.iter().map(|event| Ok(decode_event(&event.body)?.what)).collect();
    let status = stored.map(|stored| stored.summary.status);
    Ok(wrong(status, &happened?, steps).map(|what| format!("{run}: {what}")))
}

/// What is wrong with a run that should have done so many steps.
fn wrong(status: Option<RunStatus>, happened: &[What], steps: usize) -> Option<String> {
    match status {
        Some(RunStatus::Completed) => {}
        Some(status) => return Some(format!("it is {status}")),
        None => return Some("it is gone".to_owned()),
    }
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    let mut ends = 0;
    for what in happened {
        match what {
            What::StepCompleted { step, .. } | What::StepFailed { step, .. } => {
                *outcomes.entry(step.to_string()).or_default() += 1;
            }
            What::RunCompleted { .. } => ends += 1,
            _ => {}
        }
    }
    if let Some((step, count)) = outcomes.iter().find(|(_, count)| **count != 1) {
        return Some(format!("{step} has {count} outcomes"));
    }
    if outcomes.len() != steps {
        return Some(format!("{} of {steps} steps have an outcome", outcomes.len()));
    }
    (ends != 1).then(|| format!("it ended {ends} times"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(steps: &[&str]) -> Vec<What> {
        let step = |step: &&str| What::StepCompleted {
            step: step.parse().unwrap(),
            attempts: 1,
            saved: None,
            notes: Vec::new(),
            cost: darkroom_proto::StepCost::default(),
        };
        steps.iter().map(step).chain([What::RunCompleted { tolerated: 0 }]).collect()
    }

    #[test]
    fn a_run_is_right_that_completed_with_one_outcome_for_each_step() {
        assert_eq!(wrong(Some(RunStatus::Completed), &completed(&["s1", "s2"]), 2), None);
    }

    #[test]
    fn doubled_missing_and_unfinished_work_is_found() {
        let done = Some(RunStatus::Completed);
        let cases = [
            (done, completed(&["s1", "s1"]), "s1 has 2 outcomes"),
            (done, completed(&["s1"]), "1 of 2 steps have an outcome"),
            (Some(RunStatus::Running), completed(&["s1", "s2"]), "it is running"),
            (None, Vec::new(), "it is gone"),
            (done, completed(&["s1", "s2"])[..2].to_vec(), "it ended 0 times"),
        ];
        for (status, happened, want) in cases {
            assert_eq!(wrong(status, &happened, 2).as_deref(), Some(want));
        }
    }
}
