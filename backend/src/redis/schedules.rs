//! Schedules: a hash per shard, and a sorted set of when each is due.

use super::scripts;
use super::store::Inner;
use crate::{Committed, Shard, StoreError, StoredSchedule, limits};
use ::redis::cmd;
use darkroom_proto::{ScheduleId, Timestamp};

impl Inner {
    fn shard_of_schedule(&self, id: &ScheduleId) -> Shard {
        Shard(id.shard(self.keys.shards()))
    }

    pub(super) async fn put_schedule(&self, schedule: &StoredSchedule) -> Result<Committed, StoreError> {
        limits::check_schedule(schedule)?;
        let due = schedule.due.map(|due| due.0.to_string()).unwrap_or_default();
        let (written, version) = self.write_schedule(&schedule.id, schedule.version, &due, &schedule.body).await?;
        Ok(match written {
            1 => Committed::Done(version),
            _ => Committed::Conflict { current: version },
        })
    }

    pub(super) async fn remove_schedule(&self, id: &ScheduleId) -> Result<bool, StoreError> {
        Ok(self.write_schedule(id, 0, "", &[]).await?.0 == 1)
    }

    async fn write_schedule(
        &self,
        id: &ScheduleId,
        version: u64,
        due: &str,
        body: &[u8],
    ) -> Result<(u64, u64), StoreError> {
        let shard = self.shard_of_schedule(id);
        let keys = [self.keys.schedules(shard), self.keys.schedule_timers(shard)];
        let mut call = scripts::SCHEDULE.call(&keys, 128 + body.len());
        call.arg(id.as_str()).arg(version).arg(due).arg(body);
        self.lane(shard).send("the version of a schedule", &call).await
    }

    pub(super) async fn schedule(&self, id: &ScheduleId) -> Result<Option<StoredSchedule>, StoreError> {
        let shard = self.shard_of_schedule(id);
        let mut read = cmd("HGET");
        read.arg(self.keys.schedules(shard)).arg(id.as_str());
        let stored: Option<Vec<u8>> = self.lane(shard).send("a schedule", &read).await?;
        stored.map(|stored| decode(id.clone(), &stored)).transpose()
    }

    pub(super) async fn schedules(&self) -> Result<Vec<StoredSchedule>, StoreError> {
        let mut schedules = Vec::new();
        for shard in (0..self.keys.shards()).map(Shard) {
            let mut read = cmd("HGETALL");
            read.arg(self.keys.schedules(shard));
            let stored: Vec<(String, Vec<u8>)> = self.lane(shard).send("the schedules", &read).await?;
            for (name, stored) in stored {
                schedules.push(decode(named(&name)?, &stored)?);
            }
        }
        schedules.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        Ok(schedules)
    }

    pub(super) async fn due_schedules(
        &self,
        shard: Shard,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<ScheduleId>, StoreError> {
        self.check_shard(shard)?;
        let mut read = cmd("ZRANGE");
        read.arg(self.keys.schedule_timers(shard)).arg("-inf").arg(now.0).arg("BYSCORE");
        read.arg("LIMIT").arg(0).arg(i64::try_from(limit).unwrap_or(-1));
        let due: Vec<String> = self.lane(shard).send("the due schedules", &read).await?;
        due.iter().map(|name| named(name)).collect()
    }
}

fn named(name: &str) -> Result<ScheduleId, StoreError> {
    name.parse().map_err(|error: darkroom_proto::ParseScheduleIdError| StoreError::Corrupt {
        what: format!("the name of schedule `{name}`"),
        why: error.to_string(),
    })
}

/// Version, due and body, with bars between them.
fn decode(id: ScheduleId, stored: &[u8]) -> Result<StoredSchedule, StoreError> {
    let mut parts = stored.splitn(3, |&byte| byte == b'|');
    let mut number = || std::str::from_utf8(parts.next()?).ok();
    let (version, due) = (number().and_then(|text| text.parse().ok()), number());
    let due = match due {
        Some("") => Some(None),
        Some(due) => due.parse().ok().map(|due| Some(Timestamp(due))),
        None => None,
    };
    match (version, due, parts.next()) {
        (Some(version), Some(due), Some(body)) => Ok(StoredSchedule { id, version, due, body: body.to_vec() }),
        _ => Err(StoreError::Corrupt { what: format!("schedule {id}"), why: "it is not whole".into() }),
    }
}
