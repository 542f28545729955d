//! The recorder of metrics, and those of every role.
//!
//! Code below counts with the macros of the crate `metrics`; names begin with `darkroom_` and end in their unit, labels
//! are bounded and never hold ids of runs. `docs/src/reference/metrics.md` lists them.

use crate::failure::Failure;
use crate::fleet::Server;
use darkroom_backend::Clock;
use metrics::{Unit, describe_gauge, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::time::Duration;

/// Bounds of everything that is measured in seconds: from a message's way to a film's making.
const SECONDS: [f64; 16] =
    [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1_800.0];

/// How often what was measured is put into its buckets. Between scrapes nobody else does.
const UPKEEP: Duration = Duration::from_secs(5);

/// Installs the recorder of this process. Needs a tokio runtime.
pub(crate) fn install(role: &'static str) -> Result<PrometheusHandle, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::other(format!("metrics can't be recorded: {error}"));
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|error| failed(&error))?;
    describe_gauge!("darkroom_build_info", "1; the labels say what is running");
    gauge!("darkroom_build_info", "version" => env!("CARGO_PKG_VERSION"), "role" => role).set(1.0);
    describe_gauge!("darkroom_process_start_time_seconds", Unit::Seconds, "when the process started, since 1970");
    gauge!("darkroom_process_start_time_seconds").set(Clock::system().now().0 as f64 / 1_000.0);
    describe_gauge!("darkroom_server_connected", "1 while the server answers, else 0");
    describe_gauge!("darkroom_draining", "1 while the role takes nothing new, else 0");
    gauge!("darkroom_draining").set(0.0);
    Ok(handle)
}

/// Keeps the buckets small; never ends.
pub(crate) async fn keep_up(handle: PrometheusHandle) {
    let mut ticks = tokio::time::interval(UPKEEP);
    loop {
        ticks.tick().await;
        handle.run_upkeep();
    }
}

/// Whether a server answers.
pub(crate) fn connected(server: Server, is_connected: bool) {
    gauge!("darkroom_server_connected", "server" => server.name()).set(f64::from(u8::from(is_connected)));
}

/// The role takes nothing new.
pub(crate) fn draining() {
    gauge!("darkroom_draining").set(1.0);
}
