//! What benchmarks find, and how it is printed.

use crate::output::{Format, say, say_json};
use darkroom_proto::RunStatus;
use serde::Serialize;
use std::collections::BTreeMap;

/// What a benchmark found.
#[derive(Debug, Default, Serialize)]
pub(super) struct Figures {
    pub(super) bench: &'static str,
    pub(super) runs: u32,
    pub(super) completed: u32,
    pub(super) failed: u32,
    pub(super) steps: u64,
    /// From the first submission to the last completion seen.
    pub(super) wall_s: f64,
    pub(super) steps_per_s: f64,
    /// Wall time for each step.
    pub(super) ms_per_step: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) cpu_s: BTreeMap<&'static str, f64>,
    pub(super) peak_rss_mb: BTreeMap<&'static str, f64>,
    /// Processor time for each step, of all processes and servers together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cpu_ms_per_step: Option<f64>,
    /// How many messages were published, those that start the runs included; what the broker moves on by itself is not
    /// counted again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) messages: Option<u64>,
    /// Of single steps, by the events of their runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) step_p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) step_p99_ms: Option<f64>,
    /// As who hands in sees it: from before the submission until the completion is seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seen_p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seen_p99_ms: Option<f64>,
    /// What the servers alone allow, measured in the same run: each message acked by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) limit_steps_per_s: Option<f64>,
    /// The same with acks for many messages at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) limit_batched_steps_per_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) limit_p50_ms: Option<f64>,
    /// The share of the limit that was reached; for a latency, how many times the limit it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) of_limit: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) of_limit_batched: Option<f64>,
    /// The rate of the limit with acks for many messages at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) batched_steps_per_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) batched_cpu_ms_per_step: Option<f64>,
    /// How many messages were under way when the limit was reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) in_flight: Option<usize>,
    /// State writes of the limit, durable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) writes_per_s: Option<f64>,
    /// Whether every run completed and every step has exactly one recorded outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) verified: Option<bool>,
    /// One durable commit, measured in the same run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) commit_ms: Option<f64>,
    /// A step of a single run, in durable commits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) step_per_commit: Option<f64>,
    /// `waiting`: how long it takes at best, which is as long as the provider takes for one job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ideal_s: Option<f64>,
    /// The wall time, in ideal ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ratio: Option<f64>,
    /// How often the provider was asked about a job, the question for its result included: on average, and at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) polls_per_job: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) polls_max: Option<u32>,
    /// The memory of each role before runs were handed in that only wait, and when all of them waited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rss_before_mb: Option<BTreeMap<&'static str, f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rss_after_mb: Option<BTreeMap<&'static str, f64>>,
    /// How many jobs the provider charged: one for each step, or something was paid twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) charges: Option<u64>,
    /// Other runs that went on beside the jobs, and how long they took; `idle` is the same with nothing else to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) beside_runs: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) beside_idle_p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) beside_p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) beside_p99_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pictures: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cpu_ms_per_picture: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) against_cpu_ms_per_picture: Option<f64>,
}

impl Figures {
    /// Whether all that was to be done was done.
    pub(super) fn is_good(&self) -> bool {
        let paid_once = self.charges.is_none_or(|charges| charges == self.steps);
        self.failed == 0 && self.completed == self.runs && self.verified != Some(false) && paid_once
    }
}

/// Prints figures: one object, or a line each.
pub(super) fn print<T: Serialize>(figures: &T, format: Format) {
    match format {
        Format::Json => say_json(figures),
        Format::Table => {
            let value = serde_json::to_value(figures).unwrap_or_default();
            for (name, value) in value.as_object().into_iter().flatten() {
                say(&format!("{name:<20} {value}"));
            }
        }
    }
}

/// How long runs took.
#[derive(Debug, Default)]
pub(super) struct Timing {
    pub(super) runs: u32,
    pub(super) completed: u32,
    pub(super) failed: u32,
    pub(super) wall: f64,
    /// Milliseconds from a run's submission to its completion.
    pub(super) latencies: Vec<f64>,
}

impl Timing {
    /// Of so many runs, none of which has ended yet.
    pub(super) fn of(runs: u32) -> Timing {
        Timing { runs, ..Timing::default() }
    }

    /// Counts a run that has ended.
    pub(super) fn count(&mut self, status: RunStatus) {
        match status {
            RunStatus::Completed => self.completed += 1,
            _ => self.failed += 1,
        }
    }

    /// The figures that follow from it.
    pub(super) fn figures(self, bench: &'static str, steps: u64) -> Figures {
        Figures {
            bench,
            runs: self.runs,
            completed: self.completed,
            failed: self.failed,
            steps,
            wall_s: self.wall,
            steps_per_s: steps as f64 / self.wall,
            ms_per_step: self.wall * 1_000.0 / steps as f64,
            p50_ms: percentile(&self.latencies, 0.5),
            p99_ms: percentile(&self.latencies, 0.99),
            ..Figures::default()
        }
    }
}

/// The value that this share of all does not exceed; 0 of none.
pub(super) fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or(0.0)
}

/// The same of whole milliseconds that stand for anything half a millisecond around them: the values of one
/// millisecond are taken as spread evenly, or else a figure of two milliseconds would be off by a quarter.
pub(super) fn percentile_of_whole(values: &[u64], share: f64) -> f64 {
    let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
    for value in values {
        *counts.entry(*value).or_default() += 1;
    }
    let rank = values.len() as f64 * share;
    let mut below = 0.0;
    for (value, count) in counts {
        let count = count as f64;
        if below + count >= rank {
            return (value as f64 - 0.5 + (rank - below) / count).max(0.0);
        }
        below += count;
    }
    0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values: Vec<f64> = (1..=101).rev().map(f64::from).collect();
        assert_eq!(percentile(&values, 0.5), 51.0);
        assert_eq!(percentile(&values, 0.99), 100.0);
        assert_eq!(percentile(&[], 0.5), 0.0);
    }

    #[test]
    fn whole_milliseconds_are_taken_as_spread_around_them() {
        assert_eq!(percentile_of_whole(&[2, 2, 2, 2], 0.5), 2.0);
        assert_eq!(percentile_of_whole(&[1, 1, 2, 2], 0.5), 1.5);
        assert_eq!(percentile_of_whole(&[1, 2, 2, 2], 0.5), 1.5 + 1.0 / 3.0);
        assert_eq!(percentile_of_whole(&[], 0.5), 0.0);
    }

    #[test]
    fn a_job_that_was_paid_twice_is_not_good() {
        let figures = |charges| Figures { steps: 2, charges: Some(charges), ..Figures::default() };
        assert!(figures(2).is_good());
        assert!(!figures(3).is_good());
    }

    #[test]
    fn a_run_that_did_not_end_is_not_good() {
        let mut timing = Timing::of(2);
        timing.count(RunStatus::Completed);
        assert!(!timing.figures("pipelines", 2).is_good());
    }
}
