//! Logs, on stderr: human text on a terminal, JSON lines for whoever collects them.

use std::io::IsTerminal as _;
use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

impl LogFormat {
    /// What suits whoever reads stderr.
    pub(crate) fn suitable() -> LogFormat {
        if std::io::stderr().is_terminal() { LogFormat::Text } else { LogFormat::Json }
    }
}

/// Logs of a command that people wait for: warnings and worse. That a server can't be reached the command itself tells.
pub(crate) fn of_command() {
    write(quiet().with_target("darkroom_backend", Level::ERROR), LogFormat::Text);
}

/// Logs of a role: what Darkroom does, and what worries the libraries below it.
pub(crate) fn of_role(format: LogFormat) {
    // Every crate of ours begins with this word.
    write(quiet().with_target("darkroom", Level::INFO), format);
}

/// Warnings and worse. What the AMQP client calls an error is often an answer that was asked for, such as that there is
/// no such queue; what is one is logged by who asked.
fn quiet() -> Targets {
    Targets::new().with_default(Level::WARN).with_target("lapin", LevelFilter::OFF)
}

/// `RUST_LOG` says it otherwise: `info`, or `darkroom_worker=debug,warn`.
fn write(usual: Targets, format: LogFormat) {
    let wanted = std::env::var("RUST_LOG").ok().and_then(|text| text.parse::<Targets>().ok());
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(wanted.unwrap_or(usual));
    match format {
        LogFormat::Text => registry.with(lines.with_ansi(crate::output::color_on_stderr())).init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).init(),
    }
}
