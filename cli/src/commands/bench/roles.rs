//! The roles of a benchmark: processes of this program, ended with it.

use super::folder::Folder;
use crate::failure::Failure;
use crate::fleet::Fleet;
use darkroom_backend::{Role, Store as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long roles may take until they are at work.
const START_MAX: Duration = Duration::from_secs(60);

/// How long roles may take to drain.
const END_MAX: Duration = Duration::from_secs(30);

/// How often is looked.
const LOOK: Duration = Duration::from_millis(20);

/// How many lines of a role's log are shown when something went wrong.
const LOG_LINES: usize = 15;

/// How many of them there are.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Numbers {
    /// How many coordinators are started
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=16))]
    coordinators: u16,
    /// How many workers are started
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    workers: u16,
    /// How many steps each worker does at once. Default: as `darkroom worker` does
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    slots: Option<u16>,
}

/// What roles are told by their environment.
#[derive(Debug, Clone)]
pub(super) struct Surroundings {
    pub(super) namespace: String,
    pub(super) artifacts: String,
    pub(super) wants: Wants,
}

/// What a benchmark wants of its roles beside what all of them get.
#[derive(Debug, Clone)]
pub(super) struct Wants {
    /// The pools that workers serve.
    pub(super) pools: &'static str,
    /// More variables; those without a value are taken away.
    pub(super) variables: Vec<(&'static str, Option<String>)>,
}

impl Default for Wants {
    fn default() -> Wants {
        Wants { pools: "image", variables: Vec::new() }
    }
}

/// Roles that were started here.
#[derive(Debug)]
pub(super) struct Roles {
    all: Vec<Process>,
    numbers: Numbers,
}

#[derive(Debug)]
struct Process {
    role: &'static str,
    child: Child,
    log: PathBuf,
}

impl Drop for Process {
    fn drop(&mut self) {
        // Ended already, mostly; if it can't be ended there is nobody to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Roles {
    /// Starts them.
    pub(super) fn start(numbers: &Numbers, folder: &Folder, around: &Surroundings) -> Result<Roles, Failure> {
        let mut roles = Roles { all: Vec::new(), numbers: numbers.clone() };
        for number in 1..=numbers.coordinators {
            roles.add("coordinator", number, &[], folder, around)?;
        }
        let slots = numbers.slots.map(|slots| slots.to_string());
        for number in 1..=numbers.workers {
            let mut arguments = vec!["--pools", around.wants.pools];
            arguments.extend(slots.as_deref().into_iter().flat_map(|slots| ["--slots", slots]));
            roles.add("worker", number, &arguments, folder, around)?;
        }
        Ok(roles)
    }

    fn add(
        &mut self,
        role: &'static str,
        number: u16,
        arguments: &[&str],
        folder: &Folder,
        around: &Surroundings,
    ) -> Result<(), Failure> {
        let failed = |error: std::io::Error| Failure::other(format!("a {role} can't be started: {error}"));
        let log = folder.0.join(format!("{role}-{number}.log"));
        let errors = std::fs::File::create(&log).map_err(failed)?;
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        for (name, value) in &around.wants.variables {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let child = command
            .arg(role)
            .args(["--metrics-listen", "127.0.0.1:0", "--log-format", "text"])
            .args(arguments)
            .env("DARKROOM__NAMESPACE", &around.namespace)
            .env("DARKROOM__ARTIFACTS__URL", &around.artifacts)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()
            .map_err(failed)?;
        self.all.push(Process { role, child, log });
        Ok(())
    }

    /// Waits until all of them are at work.
    pub(super) async fn at_work(&mut self, fleet: &Fleet) -> Result<(), Failure> {
        let give_up = Instant::now() + START_MAX;
        loop {
            self.check()?;
            let store = &fleet.store.store;
            let (coordinators, workers) = tokio::join!(store.members(Role::Coordinator), store.members(Role::Worker));
            let count = |members: Result<Vec<_>, _>| members.map(|members| members.len()).unwrap_or_default();
            let are_there = count(coordinators) >= usize::from(self.numbers.coordinators)
                && count(workers) >= usize::from(self.numbers.workers);
            if are_there {
                return Ok(());
            }
            if Instant::now() > give_up {
                return Err(self.explained(format!("the roles were not at work within {} s", START_MAX.as_secs())));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Fails if one has ended.
    pub(super) fn check(&mut self) -> Result<(), Failure> {
        let ended = self.all.iter_mut().find_map(|process| {
            let status = process.child.try_wait().ok().flatten()?;
            Some(format!("a {} ended by itself: {status}", process.role))
        });
        ended.map_or(Ok(()), |why| Err(self.explained(why)))
    }

    /// A failure, with the ends of all logs.
    pub(super) fn explained(&self, why: String) -> Failure {
        let mut text = why;
        for process in &self.all {
            let log = std::fs::read_to_string(&process.log).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            text.push_str(&format!("\n{} (pid {}):", process.role, process.child.id()));
            for line in &lines[lines.len().saturating_sub(LOG_LINES)..] {
                text.push_str("\n    ");
                text.push_str(line);
            }
        }
        Failure::other(text)
    }

    /// How many messages they have published together; `None` if one of them does not say.
    pub(super) fn published(&self) -> Option<u64> {
        self.all.iter().map(|process| super::messages::published(&process.log)).sum()
    }

    /// Who they are.
    pub(super) fn pids(&self) -> Vec<(&'static str, u32)> {
        self.all.iter().map(|process| (process.role, process.child.id())).collect()
    }

    /// Ends them: first kindly.
    pub(super) async fn end(mut self) {
        for process in &self.all {
            terminate(process.child.id());
        }
        let give_up = Instant::now() + END_MAX;
        while Instant::now() < give_up {
            self.all.retain_mut(|process| process.child.try_wait().is_ok_and(|status| status.is_none()));
            if self.all.is_empty() {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
        for process in &self.all {
            tracing::warn!(role = process.role, pid = process.child.id(), "was killed: it did not drain");
        }
    }
}

/// Sends SIGTERM. By the shell, whose `kill` is everywhere: the standard library only kills.
fn terminate(pid: u32) {
    let sent = Command::new("sh").args(["-c", "kill -TERM \"$0\"", &pid.to_string()]).stderr(Stdio::null()).status();
    if let Err(error) = sent {
        tracing::warn!(pid, %error, "SIGTERM could not be sent");
    }
}
