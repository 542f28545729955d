//! Schedules in the file: few, so that those due are found by looking at each.

use super::file::{StateFile, failed};
use super::tables;
use crate::{Committed, Shard, StoreError, StoredSchedule, limits};
use darkroom_proto::{ScheduleId, Timestamp};
use redb::ReadableTable;

impl StateFile {
    pub(super) fn put_schedule(&self, schedule: &StoredSchedule) -> Result<Committed, StoreError> {
        limits::check_schedule(schedule)?;
        let key = schedule.id.as_str().as_bytes();
        let _turn = self.turn();
        let write = self.begin()?;
        let version = {
            let mut table = write.open_table(tables::SCHEDULES).map_err(failed)?;
            let stored = table.get(key).map_err(failed)?.map(|stored| decode(key, stored.value())).transpose()?;
            let current = stored.map_or(0, |stored| stored.version);
            if current != schedule.version {
                return Ok(Committed::Conflict { current });
            }
            // One number for all, so that no version of one that was removed comes again.
            let mut meta = write.open_table(tables::META).map_err(failed)?;
            let version = meta.get(tables::SCHEDULE_WRITES).map_err(failed)?.map_or(0, |last| last.value()) + 1;
            meta.insert(tables::SCHEDULE_WRITES, version).map_err(failed)?;
            table.insert(key, encode(version, schedule).as_slice()).map_err(failed)?;
            version
        };
        write.commit().map_err(failed)?;
        Ok(Committed::Done(version))
    }

    pub(super) fn remove_schedule(&self, id: &ScheduleId) -> Result<bool, StoreError> {
        let _turn = self.turn();
        let write = self.begin()?;
        let was_there = {
            let mut table = write.open_table(tables::SCHEDULES).map_err(failed)?;
            table.remove(id.as_str().as_bytes()).map_err(failed)?.is_some()
        };
        write.commit().map_err(failed)?;
        Ok(was_there)
    }

    pub(super) fn schedule(&self, id: &ScheduleId) -> Result<Option<StoredSchedule>, StoreError> {
        let key = id.as_str().as_bytes();
        let table = self.read()?.open_table(tables::SCHEDULES).map_err(failed)?;
        let stored = table.get(key).map_err(failed)?;
        stored.map(|stored| decode(key, stored.value())).transpose()
    }

    pub(super) fn schedules(&self) -> Result<Vec<StoredSchedule>, StoreError> {
        let table = self.read()?.open_table(tables::SCHEDULES).map_err(failed)?;
        let all = table.iter().map_err(failed)?;
        all.map(|entry| {
            let (key, value) = entry.map_err(failed)?;
            decode(key.value(), value.value())
        })
        .collect()
    }

    pub(super) fn due_schedules(
        &self,
        shard: Shard,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<ScheduleId>, StoreError> {
        let shards = self.shards();
        let mut due: Vec<(Timestamp, ScheduleId)> = self
            .schedules()?
            .into_iter()
            .filter(|schedule| schedule.id.shard(shards) == shard.0)
            .filter_map(|schedule| Some((schedule.due.filter(|due| *due <= now)?, schedule.id)))
            .collect();
        due.sort_unstable();
        Ok(due.into_iter().take(limit).map(|(_, id)| id).collect())
    }
}

/// Version and due as eight bytes each, then the body.
fn encode(version: u64, schedule: &StoredSchedule) -> Vec<u8> {
    let due = schedule.due.map_or(u64::MAX, |due| due.0);
    [version.to_le_bytes().as_slice(), &due.to_le_bytes(), &schedule.body].concat()
}

fn decode(key: &[u8], value: &[u8]) -> Result<StoredSchedule, StoreError> {
    let corrupt = |why: &str| StoreError::Corrupt { what: "a schedule".into(), why: why.into() };
    let name = std::str::from_utf8(key).ok().and_then(|name| name.parse().ok());
    let id: ScheduleId = name.ok_or_else(|| corrupt("its name is none"))?;
    let number = |from: usize| Some(u64::from_le_bytes(value.get(from..from + 8)?.try_into().ok()?));
    match (number(0), number(8), value.get(16..)) {
        (Some(version), Some(due), Some(body)) => {
            let due = (due != u64::MAX).then_some(Timestamp(due));
            Ok(StoredSchedule { id, version, due, body: body.to_vec() })
        }
        _ => Err(corrupt("it is not whole")),
    }
}
