//! The step cache: strings that end by themselves, and a sorted set of their keys by when that is. What was lost is done
//! again, so it needs no script and no lane.

use super::encoding;
use super::store::Inner;
use crate::{StoreError, limits};
use ::redis::cmd;
use darkroom_proto::{CacheEntry, Sha256};
use std::time::Duration;

impl Inner {
    pub(super) async fn put_cached(&self, key: Sha256, entry: &CacheEntry, keep: Duration) -> Result<(), StoreError> {
        let stored = encoding::encode(entry)?;
        limits::check_cached(&stored)?;
        let keep = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX).clamp(1, i64::MAX as u64 / 2);
        let now = self.time.now(self.connection()).await?.0;
        let mut write = ::redis::pipe();
        // First: a key in the index that nothing is kept under harms nobody.
        write.cmd("ZADD").arg(self.keys.cache_index()).arg(now.saturating_add(keep)).arg(key.to_string());
        write.cmd("SET").arg(self.keys.cached(key)).arg(stored).arg("PX").arg(keep);
        write.cmd("ZREMRANGEBYSCORE").arg(self.keys.cache_index()).arg("-inf").arg(now);
        self.connection().send_all(&write).await.map(drop)
    }

    pub(super) async fn cached(&self, key: Sha256) -> Result<Option<CacheEntry>, StoreError> {
        let mut get = cmd("GET");
        get.arg(self.keys.cached(key));
        let stored: Option<Vec<u8>> = self.connection().send("cached outputs", &get).await?;
        stored.map(|stored| encoding::decode("a cached step", &stored)).transpose()
    }

    pub(super) async fn cached_entries(
        &self,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<(Sha256, CacheEntry)>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let mut range = cmd("ZRANGE");
        range.arg(self.keys.cache_index()).arg(skip).arg(skip.saturating_add(limit - 1)).arg("REV");
        let members: Vec<String> = self.connection().send("the keys of the step cache", &range).await?;
        let keys: Vec<Sha256> = members.iter().filter_map(|member| member.parse().ok()).collect();
        let mut read = ::redis::pipe();
        for key in &keys {
            read.cmd("GET").arg(self.keys.cached(*key));
        }
        let mut replies = self.connection().send_all(&read).await?;
        let mut entries = Vec::with_capacity(keys.len());
        for key in keys {
            let stored: Option<Vec<u8>> = replies.next("cached outputs")?;
            if let Some(stored) = stored {
                entries.push((key, encoding::decode("a cached step", &stored)?));
            }
        }
        Ok(entries)
    }

    pub(super) async fn forget_cached(&self, key: Sha256) -> Result<bool, StoreError> {
        let mut write = ::redis::pipe();
        write.cmd("DEL").arg(self.keys.cached(key));
        write.cmd("ZREM").arg(self.keys.cache_index()).arg(key.to_string());
        let removed: u64 = self.connection().send_all(&write).await?.next("whether outputs were cached")?;
        Ok(removed > 0)
    }
}
