//! The step cache: strings that end by themselves. What was lost is done again, so it needs no script and no lane.

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
        let mut set = cmd("SET");
        set.arg(self.keys.cached(key))
            .arg(stored)
            .arg("PX")
            .arg(u64::try_from(keep.as_millis()).unwrap_or(u64::MAX).max(1));
        self.connection().send("that outputs are cached", &set).await
    }

    pub(super) async fn cached(&self, key: Sha256) -> Result<Option<CacheEntry>, StoreError> {
        let mut get = cmd("GET");
        get.arg(self.keys.cached(key));
        let stored: Option<Vec<u8>> = self.connection().send("cached outputs", &get).await?;
        stored.map(|stored| encoding::decode("a cached step", &stored)).transpose()
    }
}
