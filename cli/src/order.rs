//! Commands to a run: handed to whoever decides about it, and watched until they are answered. Where nobody does, this
//! process decides, and does no step.

use crate::door::Records;
use crate::embedded::Embedded;
use crate::failure::Failure;
use crate::fleet::Fleet;
use crate::output::{Format, say, say_json};
use crate::settings::Settings;
use crate::{folder, handing};
use darkroom_backend::{Command, Shard, Store as _};
use darkroom_coordinator::{RunCommand, decode_event};
use darkroom_engine::What;
use darkroom_proto::{RunId, RunStatus};
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long it is watched for an answer: most come at once.
const WATCHED: Duration = Duration::from_secs(5);

/// How often it is looked meanwhile.
const LOOK: Duration = Duration::from_millis(40);

/// How many events are read at once.
const EVENTS_MAX: usize = 1_000;

/// Gives a command to a run, and says what came of it: the first event that is an answer. `None`: nothing in a few seconds;
/// the command is stored and is applied when somebody decides again.
pub(crate) async fn give(
    settings: &Settings,
    records: Records,
    id: RunId,
    key: &str,
    command: &RunCommand,
    is_answer: impl Fn(&What) -> bool,
) -> Result<Option<What>, Failure> {
    let mut after = 0;
    while let Some(last) = records.events(id, after, EVENTS_MAX).await?.last() {
        after = last.seq;
    }
    let posted = Command { key: key.to_owned(), run: id, body: command.encode() };
    match records {
        Records::Fleet(_) => {
            let fleet = Fleet::open(&settings.fleet_for("this command")?, folder::artifacts(settings)?).await?;
            let given = fleet.desk().command(id, key, command).await.map_err(|error| handing::failed(&fleet, error));
            let records = Records::Fleet(fleet.store.clone());
            let answer = match given {
                Ok(()) => answer(&records, id, after, is_answer).await,
                Err(failure) => Err(failure),
            };
            fleet.close().await;
            answer
        }
        Records::Folder(reader) if reader.is_guest() => {
            reader.post(&posted).await?;
            answer(&Records::Folder(reader), id, after, is_answer).await
        }
        Records::Folder(reader) => {
            drop(reader);
            decide_alone(settings, posted).await?;
            answer(&Records::open(settings).await?, id, after, is_answer).await
        }
    }
}

/// The first answer among the events of a run after `after`.
async fn answer(
    records: &Records,
    id: RunId,
    mut after: u64,
    is_answer: impl Fn(&What) -> bool,
) -> Result<Option<What>, Failure> {
    let give_up = Instant::now() + WATCHED;
    loop {
        for event in records.events(id, after, EVENTS_MAX).await? {
            after = event.seq;
            let what = decode_event(&event.body)?.what;
            if is_answer(&what) {
                return Ok(Some(what));
            }
        }
        if Instant::now() > give_up {
            return Ok(None);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Nobody works here: this process applies the command. What follows from it is done when somebody goes on with the run.
async fn decide_alone(settings: &Settings, command: Command) -> Result<(), Failure> {
    let engine = Embedded::open(settings).await?;
    let key = command.key.clone();
    engine.store.post(&command).await?;
    let coordinator = engine.coordinator(Some(BTreeSet::new()));
    let stop = CancellationToken::new();
    let mut deciding = JoinSet::new();
    let stopped = stop.clone();
    deciding.spawn(async move { coordinator.run(stopped).await.map_err(Failure::from) });
    let give_up = Instant::now() + WATCHED;
    while deciding.len() == 1 && Instant::now() < give_up {
        if !engine.store.inbox(Shard(0)).await?.iter().any(|command| command.key == key) {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    stop.cancel();
    match deciding.join_next().await {
        Some(Ok(ended)) => ended,
        Some(Err(error)) => Err(Failure::other(format!("the engine broke: {error}"))),
        None => Ok(()),
    }
}

/// Prints where a run stands.
pub(crate) async fn say_status(settings: &Settings, id: RunId, format: Format) -> Result<ExitCode, Failure> {
    let stored = Records::open(settings).await?.load(id).await?;
    let stored = stored.ok_or_else(|| Failure::not_found(format!("there is no run {id}")))?;
    say_as(id, stored.summary.status, format);
    Ok(ExitCode::SUCCESS)
}

/// Prints where a run stands.
pub(crate) fn say_as(id: RunId, status: RunStatus, format: Format) {
    match format {
        Format::Json => say_json(&serde_json::json!({ "id": id, "status": status })),
        Format::Table => say(&format!("{id} {status}")),
    }
}

/// Refuses what makes no sense for a run that has ended.
pub(crate) fn check_open(id: RunId, status: RunStatus) -> Result<(), Failure> {
    match status.is_terminal() {
        true => Err(Failure::conflict(format!("{id} is {status} already"))),
        false => Ok(()),
    }
}

/// The command was stored, and nobody has applied it yet.
pub(crate) fn not_answered(id: RunId) -> Failure {
    Failure::conflict(format!("nobody decided about {id} in {} s; the command is stored", WATCHED.as_secs()))
        .advice("it is applied as soon as a coordinator runs; `darkroom tail` shows it")
}

/// Who gives a command: as said, or the user of this machine.
pub(crate) fn who(by: Option<String>) -> String {
    let given = |name: &&str| std::env::var(name).ok().filter(|name| !name.is_empty());
    let user = || ["USER", "LOGNAME", "USERNAME"].iter().find_map(given);
    let by = by.filter(|name| !name.is_empty());
    by.or_else(user).or_else(owner).unwrap_or_else(|| "unknown".to_owned())
}

/// The user that this process belongs to, where no variable says it, as in a container or a unit of systemd.
fn owner() -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    let uid = std::fs::metadata("/proc/self").ok()?.uid();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    Some(name_of(uid, &users).unwrap_or_else(|| format!("uid {uid}")))
}

/// What a list of users, a line `name:password:uid:…` for each, calls the one with this number.
fn name_of(uid: u32, users: &str) -> Option<String> {
    users.lines().find_map(|line| {
        let mut parts = line.split(':');
        let name = parts.next().filter(|name| !name.is_empty())?;
        (parts.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

/// A key that no other command has.
pub(crate) fn new_key() -> String {
    uuid::Uuid::new_v4().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_gives_a_command_without_a_variable_is_looked_up_by_number() {
        let users = "root:x:0:0:root:/root:/bin/sh\nbroken\n::7:\nada:x:1000:1000::/home/ada:/bin/sh\n";
        assert_eq!(name_of(0, users).as_deref(), Some("root"));
        assert_eq!(name_of(1000, users).as_deref(), Some("ada"));
        assert_eq!(name_of(7, users), None, "a name of nothing is none");
        assert_eq!(name_of(1001, users), None);
    }
}
