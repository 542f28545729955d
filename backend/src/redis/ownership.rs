//! Who owns which shard: a key that ends by itself.

use super::scripts;
use super::store::Inner;
use crate::{Epoch, Shard, StoreError};
use std::time::Duration;

impl Inner {
    pub(super) async fn acquire(&self, shard: Shard, owner: &str, ttl: Duration) -> Result<Option<Epoch>, StoreError> {
        self.check_shard(shard)?;
        let mut call = scripts::ACQUIRE.call(&[self.keys.owner(shard), self.keys.epoch(shard)], owner.len() + 32);
        call.arg(owner).arg(ms(ttl).max(1));
        let epoch: Option<u64> = self.lane(shard).send("the epoch of a shard", &call).await?;
        Ok(epoch.map(Epoch))
    }

    pub(super) async fn renew(&self, shard: Shard, epoch: Epoch, ttl: Duration) -> Result<bool, StoreError> {
        self.hold(shard, epoch, ms(ttl).max(1)).await
    }

    pub(super) async fn release(&self, shard: Shard, epoch: Epoch) -> Result<(), StoreError> {
        self.hold(shard, epoch, 0).await.map(drop)
    }

    async fn hold(&self, shard: Shard, epoch: Epoch, ms: u64) -> Result<bool, StoreError> {
        self.check_shard(shard)?;
        let mut call = scripts::RENEW.call(&[self.keys.owner(shard)], 64);
        call.arg(mark(epoch)).arg(ms);
        self.lane(shard).send("whether a shard is owned", &call).await
    }

    /// The refusal of an epoch that does not own a shard, whose key of the owner holds this.
    pub(super) fn fenced(&self, shard: Shard, held: Epoch, owner: &[u8]) -> StoreError {
        let current = owner.rsplit(|&byte| byte == b'|').next().unwrap_or_default();
        let current = std::str::from_utf8(current).ok().and_then(|epoch| epoch.parse().ok()).map(Epoch);
        StoreError::Fenced { shard, held, current }
    }
}

/// What the key of the owner ends with.
pub(super) fn mark(epoch: Epoch) -> String {
    format!("|{}", epoch.0)
}

/// A span as Redis takes it. One of more than a million years ends there.
pub(super) fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX).min(1 << 55)
}
