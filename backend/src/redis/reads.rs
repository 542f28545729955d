//! What is read of runs and shards.

use super::encoding;
use super::keys;
use super::scripts;
use super::store::Inner;
use crate::{Command, Definition, Event, SavedRecord, Shard, StoreError, StoredRun};
use ::redis::cmd;
use darkroom_proto::{RunId, Sha256, Timestamp};
use std::collections::BTreeMap;

/// How many entries of a stream or hash are read in one go.
const PAGE: usize = 512;

/// A hash as Redis gives it.
type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// What the names of a run's own fields start with, so that no step can be called like `head`.
pub(super) const FIELD: &str = "f:";

impl Inner {
    pub(super) async fn definition(&self, hash: Sha256) -> Result<Option<Definition>, StoreError> {
        let mut get = cmd("GET");
        get.arg(self.keys.definition(hash));
        let stored: Option<Vec<u8>> = self.connection().send("a definition", &get).await?;
        stored.map(|bytes| encoding::decode("a definition", &bytes)).transpose()
    }

    pub(super) async fn load(&self, run: RunId) -> Result<Option<StoredRun>, StoreError> {
        let mut read = ::redis::pipe();
        read.cmd("HGETALL").arg(self.keys.run(run));
        read.cmd("SISMEMBER").arg(self.keys.dirty(self.keys.shard_of(run))).arg(keys::member(run));
        let mut replies = self.lane(self.keys.shard_of(run)).send_all(&read).await?;
        let stored: Pairs = replies.next("a run")?;
        let is_dirty: bool = replies.next("whether a run is dirty")?;
        if stored.is_empty() {
            return Ok(None);
        }
        let mut loaded = decode_run(run, stored)?;
        if !is_dirty {
            // They were performed. That is written down in the set of dirty runs only, which is cheaper.
            loaded.outbox.clear();
        }
        self.known.learn(run, loaded.summary.status);
        Ok(Some(loaded))
    }

    pub(super) async fn events(&self, run: RunId, after: u64, limit: usize) -> Result<Vec<Event>, StoreError> {
        let (key, lane) = (self.keys.events(run), self.lane(self.keys.shard_of(run)));
        let mut events: Vec<Event> = Vec::new();
        let mut after = after;
        while events.len() < limit && after < u64::MAX {
            // An entry is named by the number of its last event, so the first one wanted is in the first entry found.
            let count = (limit - events.len()).min(PAGE);
            let mut read = cmd("XRANGE");
            read.arg(&key).arg(format!("{}-0", after + 1)).arg("+").arg("COUNT").arg(count);
            let entries: Vec<(String, BTreeMap<String, Vec<u8>>)> = lane.send("the events of a run", &read).await?;
            let is_last = entries.len() < count;
            for (name, values) in entries {
                let corrupt =
                    |why: &str| StoreError::Corrupt { what: format!("event {name} of {run}"), why: why.into() };
                let last: u64 = name
                    .split_once('-')
                    .and_then(|(last, _)| last.parse().ok())
                    .ok_or_else(|| corrupt("its name is no number"))?;
                let bodies = encoding::decode_events(values.get("e").ok_or_else(|| corrupt("it has no value"))?)?;
                let first = (last + 1).saturating_sub(bodies.len() as u64);
                events.extend(
                    (first..).zip(bodies).filter(|(seq, _)| *seq > after).map(|(seq, body)| Event { seq, body }),
                );
                after = last;
            }
            if is_last {
                break;
            }
        }
        events.truncate(limit);
        Ok(events)
    }

    pub(super) async fn active(&self, shard: Shard) -> Result<Vec<RunId>, StoreError> {
        self.check_shard(shard)?;
        let mut read = cmd("ZRANGE");
        read.arg(self.keys.active(shard)).arg(0).arg(-1);
        runs("the active runs", self.lane(shard).send("the active runs", &read).await?)
    }

    pub(super) async fn dirty(&self, shard: Shard) -> Result<Vec<RunId>, StoreError> {
        self.check_shard(shard)?;
        let mut read = cmd("SMEMBERS");
        read.arg(self.keys.dirty(shard));
        let mut dirty = runs("the dirty runs", self.lane(shard).send("the dirty runs", &read).await?)?;
        dirty.sort_unstable();
        Ok(dirty)
    }

    pub(super) async fn due(
        &self,
        shard: Shard,
        now: Timestamp,
        limit: usize,
    ) -> Result<(Vec<RunId>, Option<Timestamp>), StoreError> {
        self.check_shard(shard)?;
        let mut call = scripts::DUE.call(&[self.keys.timers(shard), self.keys.runs(shard)], 64);
        // A limit below zero is none.
        call.arg(now.0).arg(i64::try_from(limit).unwrap_or(-1));
        let (due, next): (Vec<Vec<u8>>, Option<f64>) = self.lane(shard).send("the due runs", &call).await?;
        Ok((runs("the due runs", due)?, next.map(|at| Timestamp(at as u64))))
    }

    pub(super) async fn inbox(&self, shard: Shard) -> Result<Vec<Command>, StoreError> {
        self.check_shard(shard)?;
        let mut read = cmd("HGETALL");
        read.arg(self.keys.inbox(shard));
        let stored: Vec<(String, Vec<u8>)> = self.lane(shard).send("the inbox", &read).await?;
        let mut commands: Vec<(u64, Command)> = Vec::with_capacity(stored.len());
        for (key, value) in stored {
            let (position, value) = split_position(&value).ok_or_else(|| StoreError::Corrupt {
                what: format!("command `{key}` of the inbox"),
                why: "it has no position".into(),
            })?;
            commands.push((position, encoding::decode_command(key, value)?));
        }
        commands.sort_unstable_by_key(|&(position, _)| position);
        Ok(commands.into_iter().map(|(_, command)| command).collect())
    }

    pub(super) async fn saved(&self, scope: Sha256, limit: usize) -> Result<Vec<SavedRecord>, StoreError> {
        let key = self.keys.saved(scope);
        // By key, because a scan may come by an entry twice.
        let mut found: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        let mut cursor: u64 = 0;
        while found.len() < limit {
            let mut read = cmd("HSCAN");
            read.arg(&key).arg(cursor).arg("COUNT").arg(limit.min(PAGE));
            let (next, entries): (u64, Pairs) = self.connection().send("the saved files", &read).await?;
            found.extend(entries);
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        found.values().take(limit).map(|value| encoding::decode("the record of a saved file", value)).collect()
    }
}

/// The runs that members stand for.
pub(super) fn runs(what: &str, members: Vec<Vec<u8>>) -> Result<Vec<RunId>, StoreError> {
    let corrupt = || StoreError::Corrupt { what: what.to_owned(), why: "a member is no run".into() };
    members.iter().map(|member| keys::run_of_member(member).ok_or_else(corrupt)).collect()
}

fn decode_run(run: RunId, stored: Pairs) -> Result<StoredRun, StoreError> {
    let corrupt = |why: String| StoreError::Corrupt { what: format!("run {run}"), why };
    let (mut version, mut summary, mut head, mut outbox) = (None, None, None, Vec::new());
    let mut fields = Vec::with_capacity(stored.len());
    for (name, value) in stored {
        match name.as_slice() {
            b"v" => version = std::str::from_utf8(&value).ok().and_then(|version| version.parse().ok()),
            b"summary" => summary = Some(encoding::decode("the summary of a run", &value)?),
            b"head" => head = Some(value),
            b"outbox" => outbox = value,
            other => {
                if let Some(name) = other.strip_prefix(FIELD.as_bytes()) {
                    let name = String::from_utf8(name.to_vec()).map_err(|error| corrupt(error.to_string()))?;
                    fields.push((name, value));
                }
            }
        }
    }
    fields.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    match (version, summary, head) {
        (Some(version), Some(summary), Some(head)) => Ok(StoredRun { version, summary, head, fields, outbox }),
        _ => Err(corrupt("it is not whole".into())),
    }
}

/// The position of a command, and the rest.
fn split_position(value: &[u8]) -> Option<(u64, &[u8])> {
    let end = value.iter().position(|&byte| byte == b'|')?;
    let position = std::str::from_utf8(&value[..end]).ok()?.parse().ok()?;
    Some((position, &value[end + 1..]))
}
