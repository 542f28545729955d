//! What processes have used: processor time, memory, and what one durable commit costs here.

use crate::failure::Failure;
use darkroom_backend::{EmbeddedStore, NewRun, RunSummary, Store};
use darkroom_proto::{Money, RunStatus, Sha256, Tenant};
use std::time::Instant;

/// Processor time and memory of a process so far; zero where the system does not tell.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// Seconds on all cores together.
    pub(crate) cpu_s: f64,
    /// The same of programs that it started and that have ended.
    pub(crate) children_cpu_s: f64,
    /// The most memory at once.
    pub(crate) peak_rss_mb: f64,
    /// The memory now.
    pub(crate) rss_mb: f64,
}

/// The kernel counts processor time for `/proc` in hundredths of a second.
const TICKS_PER_S: f64 = 100.0;

impl Usage {
    /// Of this process.
    pub(crate) fn now() -> Usage {
        Usage::read("self")
    }

    /// Of another process of this machine.
    pub(crate) fn of(pid: u32) -> Usage {
        Usage::read(&pid.to_string())
    }

    fn read(process: &str) -> Usage {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // The name in parentheses may have spaces; user and system time are the 12th and 13th field after it,
        // those of ended children the next two.
        let fields = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
        let ticks: Vec<f64> =
            fields.split_whitespace().skip(11).take(4).filter_map(|field| field.parse().ok()).collect();
        let sum = |range: std::ops::Range<usize>| ticks.get(range).map_or(0.0, |ticks| ticks.iter().sum::<f64>());
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let mb = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib: f64 = line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0.0);
            kib / 1_024.0
        };
        Usage {
            cpu_s: sum(0..2) / TICKS_PER_S,
            children_cpu_s: sum(2..4) / TICKS_PER_S,
            peak_rss_mb: mb("VmHWM:"),
            rss_mb: mb("VmRSS:"),
        }
    }
}

/// The time of one durable write of a small run, in milliseconds: what no step of a single run can beat.
pub(crate) async fn durable_commit_ms(store: &EmbeddedStore) -> Result<f64, Failure> {
    let now = store.now().await?;
    let run = crate::commands::run::new_id();
    let summary = RunSummary {
        workflow: "commit".to_owned(),
        definition: Sha256::of(b"commit"),
        status: RunStatus::Completed,
        created_at: now,
        updated_at: now,
        finished_at: None,
        fingerprint: Sha256::of(b"commit"),
        step: None,
        error: None,
        spent: Money::ZERO,
        tenant: Tenant::default(),
        part: false,
    };
    let new = NewRun {
        run,
        summary,
        head: vec![0; 200],
        fields: vec![("step:s1".into(), vec![0; 300])],
        events: Vec::new(),
        due: None,
    };
    let began = Instant::now();
    store.create(&[new]).await?;
    Ok(began.elapsed().as_secs_f64() * 1_000.0)
}
