//! A role: a process of the fleet that goes on until it is told to stop.
//!
//! It waits for its servers and says so, serves its pages, and at the first signal drains: nothing new is taken, what was
//! begun is finished or handed back. A second signal hurries.

mod pages;
mod readiness;
mod signals;

use crate::failure::{EXIT_INTERRUPTED, Failure};
use crate::fleet::{Fleet, Server, Slots};
use crate::log::{self, LogFormat};
use crate::settings::{FleetPlace, Listen, Settings};
use crate::{folder, metric};
use darkroom_backend::Role;
use readiness::Readiness;
use signals::Signals;
use std::future::Future;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long a role drains; orchestrators kill after 30 s.
const DRAIN_MAX: Duration = Duration::from_secs(25);

/// How often it is looked whether the servers are there.
const LOOK: Duration = Duration::from_secs(1);

/// How often somebody who waits for servers is told.
const TELL: Duration = Duration::from_secs(10);

/// How long a role that ended by itself waits before it begins again; doubles up to the second.
const AGAIN_MIN: Duration = Duration::from_millis(200);
const AGAIN_MAX: Duration = Duration::from_secs(5);

/// What all roles are told on the command line.
#[derive(Debug, clap::Args)]
pub(crate) struct RoleArgs {
    /// Where `/metrics`, `/livez` and `/readyz` are served; port 0 takes a free one. Default: 127.0.0.1:9464
    #[arg(long, value_name = "ADDR")]
    metrics_listen: Option<SocketAddr>,
    /// How log lines are written. Default: text on a terminal, JSON lines elsewhere
    #[arg(long, value_enum, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

/// A role that is about to begin.
pub(crate) struct Stage {
    /// The settings.
    pub(crate) settings: Settings,
    /// The name of this process, of no other one at the same time.
    pub(crate) name: String,
    role: Role,
    place: FleetPlace,
    listen: Listen,
}

impl Stage {
    /// Reads the settings and begins to log.
    pub(crate) fn set(role: Role, args: &RoleArgs) -> Result<Stage, Failure> {
        let settings = Settings::load()?;
        let place = settings.fleet_for(word(role))?;
        log::of_role(args.log_format.or(settings.log.format).unwrap_or_else(LogFormat::suitable));
        let listen = args.metrics_listen.map(|address| Listen { address, is_chosen: true });
        let listen = listen.unwrap_or_else(|| settings.listen());
        Ok(Stage { settings, name: name(role), role, place, listen })
    }

    /// Plays the role until it is told to stop. `work` is begun when the servers are there, and again when it ended
    /// because they had gone.
    pub(crate) async fn play<W, F>(self, pools: Vec<String>, slots: Slots, work: W) -> Result<ExitCode, Failure>
    where
        W: Fn(Fleet, CancellationToken) -> Result<F, Failure> + Send + 'static,
        F: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        let mut signals = Signals::listen()?;
        let role = word(self.role);
        // Before anything else of the role, so that all of it can count.
        let metrics = metric::install(role)?;
        let listener = pages::bind(self.listen).await?;
        let readiness = Readiness::new();
        let artifacts = folder::artifacts(&self.settings)?;
        if Settings::origin("artifacts.url") == "default" {
            tracing::warn!(
                artifacts = artifacts.root_url(),
                "artifacts are kept in a folder that only processes started here share; set artifacts.url"
            );
        }
        let fleet = Fleet::new(&self.place, artifacts, pools, slots, &self.name);
        let (stop, mut around) = (CancellationToken::new(), JoinSet::new());
        around.spawn(metric::keep_up(metrics.clone()));
        around.spawn(pages::serve(listener, metrics, readiness.clone()));
        around.spawn(watch_servers(fleet.clone(), readiness.clone()));
        tracing::info!(role, name = self.name, version = env!("CARGO_PKG_VERSION"), "starting");
        let mut working = JoinSet::new();
        working.spawn(go_on(fleet.clone(), readiness.clone(), stop.clone(), work));
        let signal = tokio::select! {
            ended = working.join_next() => return outcome(ended).map(|()| ExitCode::SUCCESS),
            signal = signals.next() => signal,
        };
        tracing::info!(signal, within_s = DRAIN_MAX.as_secs(), "draining; a second signal hurries");
        readiness.drain();
        metric::draining();
        stop.cancel();
        let drain = async {
            let ended = outcome(working.join_next().await);
            fleet.close().await;
            ended
        };
        tokio::select! {
            ended = drain => {
                ended?;
                tracing::info!("drained");
                Ok(ExitCode::SUCCESS)
            }
            () = tokio::time::sleep(DRAIN_MAX) => {
                tracing::warn!("not drained in time; what is unfinished comes again elsewhere");
                Ok(ExitCode::FAILURE)
            }
            signal = signals.next() => {
                tracing::warn!(signal, "hurrying; what is unfinished comes again elsewhere");
                Ok(ExitCode::from(EXIT_INTERRUPTED))
            }
        }
    }
}

/// The role as a word.
fn word(role: Role) -> &'static str {
    match role {
        Role::Coordinator => "coordinator",
        Role::Worker => "worker",
    }
}

/// A name that tells people where the process runs, and is of no other one.
fn name(role: Role) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "host" } else { host.trim() };
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("{}-{host}-{}-{}", word(role), std::process::id(), &random[..6])
}

fn outcome(ended: Option<Result<Result<(), Failure>, tokio::task::JoinError>>) -> Result<(), Failure> {
    match ended {
        Some(Ok(ended)) => ended,
        Some(Err(error)) => Err(Failure::other(format!("the role broke: {error}"))),
        None => Ok(()),
    }
}

/// Works until told to stop; again, after a while, when it ended because a server had gone.
async fn go_on<W, F>(fleet: Fleet, readiness: Readiness, stop: CancellationToken, work: W) -> Result<(), Failure>
where
    W: Fn(Fleet, CancellationToken) -> Result<F, Failure>,
    F: Future<Output = Result<(), Failure>>,
{
    let mut again = AGAIN_MIN;
    loop {
        tokio::select! {
            () = wait_for_servers(&fleet) => {}
            () = stop.cancelled() => return Ok(()),
        }
        readiness.working(true);
        tracing::info!("at work");
        let began = tokio::time::Instant::now();
        let ended = work(fleet.clone(), stop.clone())?.await;
        readiness.working(false);
        match ended {
            Ok(()) if stop.is_cancelled() => return Ok(()),
            Ok(()) => tracing::warn!("the work ended by itself; beginning again"),
            Err(failure) if failure.is_unreachable() || failure.is_conflict() => {
                tracing::warn!(
                    why = failure.message(),
                    help = failure.remedy(),
                    "the work was interrupted; beginning again"
                );
            }
            Err(failure) => return Err(failure),
        }
        again = if began.elapsed() > AGAIN_MAX * 2 { AGAIN_MIN } else { (again * 2).min(AGAIN_MAX) };
        tokio::select! {
            () = tokio::time::sleep(again) => {}
            () = stop.cancelled() => return Ok(()),
        }
    }
}

/// Waits until both servers are there, and says what is missing.
async fn wait_for_servers(fleet: &Fleet) {
    let mut told: Option<tokio::time::Instant> = None;
    loop {
        let (store, broker) = tokio::join!(fleet.store.check(), fleet.check_broker());
        let failures: Vec<Failure> = [store, broker].into_iter().filter_map(Result::err).collect();
        if failures.is_empty() {
            return;
        }
        if told.is_none_or(|told| told.elapsed() > TELL) {
            told = Some(tokio::time::Instant::now());
            for failure in failures {
                tracing::warn!(why = failure.message(), help = failure.remedy(), "waiting for a server");
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Keeps the readiness true.
async fn watch_servers(fleet: Fleet, readiness: Readiness) {
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let store = fleet.store.check().await;
        for (server, state) in [(Server::Store, store), (Server::Broker, fleet.broker_health())] {
            metric::connected(server, state.is_ok());
            readiness.server(server, state.err().map(|failure| failure.message().to_owned()));
        }
    }
}
