//! The step cache in the file: until when an entry is kept, as eight bytes, and the entry.

use super::file::{StateFile, failed};
use super::{layout, tables};
use crate::{StoreError, limits};
use darkroom_proto::{CacheEntry, Sha256};
use redb::{ReadableTable as _, ReadableTableMetadata as _};
use std::time::Duration;

/// How many entries there may be. Keys are digests, so the first one is any one: that is what makes room.
const ENTRIES_MAX: u64 = 20_000;

impl StateFile {
    pub(super) fn put_cached(&self, key: Sha256, entry: &CacheEntry, keep: Duration) -> Result<(), StoreError> {
        let encoded = layout::encode_named(entry)?;
        limits::check_cached(&encoded)?;
        let keep = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX);
        let until = self.now().0.saturating_add(keep);
        let _turn = self.turn();
        let write = self.begin()?;
        {
            let mut table = write.open_table(tables::CACHE).map_err(failed)?;
            while table.len().map_err(failed)? >= ENTRIES_MAX {
                table.pop_first().map_err(failed)?;
            }
            let value = [until.to_le_bytes().as_slice(), &encoded].concat();
            table.insert(key.as_bytes().as_slice(), value.as_slice()).map_err(failed)?;
        }
        write.commit().map_err(failed)
    }

    pub(super) fn cached(&self, key: Sha256) -> Result<Option<CacheEntry>, StoreError> {
        let table = self.read()?.open_table(tables::CACHE).map_err(failed)?;
        let Some(stored) = table.get(key.as_bytes().as_slice()).map_err(failed)? else { return Ok(None) };
        let Some((until, entry)) = stored.value().split_first_chunk() else { return Ok(None) };
        if u64::from_le_bytes(*until) <= self.now().0 {
            return Ok(None);
        }
        layout::decode_named("a cached step", entry).map(Some)
    }

    pub(super) fn cached_entries(&self, skip: usize, limit: usize) -> Result<Vec<(Sha256, CacheEntry)>, StoreError> {
        let table = self.read()?.open_table(tables::CACHE).map_err(failed)?;
        let now = self.now().0;
        let mut ends: Vec<(u64, Vec<u8>)> = Vec::new();
        for stored in table.iter().map_err(failed)? {
            let (key, stored) = stored.map_err(failed)?;
            let until = stored.value().split_first_chunk().map_or(0, |(until, _)| u64::from_le_bytes(*until));
            if until > now {
                ends.push((until, key.value().to_vec()));
            }
        }
        ends.sort_unstable_by(|one, other| other.cmp(one));
        let mut entries = Vec::new();
        for (_, key) in ends.into_iter().skip(skip).take(limit) {
            let Some(stored) = table.get(key.as_slice()).map_err(failed)? else { continue };
            let Some((_, entry)) = stored.value().split_first_chunk::<8>() else { continue };
            let Ok(digest) = <[u8; 32]>::try_from(key.as_slice()) else { continue };
            entries.push((Sha256::from_bytes(digest), layout::decode_named("a cached step", entry)?));
        }
        Ok(entries)
    }

    pub(super) fn forget_cached(&self, key: Sha256) -> Result<bool, StoreError> {
        let now = self.now().0;
        let _turn = self.turn();
        let write = self.begin()?;
        let was_kept = {
            let mut table = write.open_table(tables::CACHE).map_err(failed)?;
            let removed = table.remove(key.as_bytes().as_slice()).map_err(failed)?;
            let until = removed.and_then(|stored| stored.value().first_chunk().copied());
            until.is_some_and(|until| u64::from_le_bytes(until) > now)
        };
        write.commit().map_err(failed)?;
        Ok(was_kept)
    }
}
