//! Who may write.

use super::*;

/// While one owns a shard, nobody else gets it; other shards are free.
pub async fn a_shard_has_one_owner(subject: impl Subject) {
    let store = subject.store();
    owned(&store, S0).await;
    assert_eq!(store.acquire(S0, "b", LEASE).await.unwrap(), None);
    assert!(store.acquire(S1, "b", LEASE).await.unwrap().is_some());
}

/// The epoch rises each time that the shard changes hands.
pub async fn the_epoch_rises_with_each_owner(subject: impl Subject) {
    let store = subject.store();
    let first = owned(&store, S0).await;
    store.release(S0, first).await.unwrap();
    let second = store.acquire(S0, "b", LEASE).await.unwrap().unwrap();
    store.release(S0, second).await.unwrap();
    let third = store.acquire(S0, "a", LEASE).await.unwrap().unwrap();
    assert!(first < second && second < third);
}

/// An owner that acquires again, as after a restart under the same name, fences its former self.
pub async fn an_owner_that_acquires_again_fences_its_former_self(subject: impl Subject) {
    let store = subject.store();
    let (first, id) = with_run(&store, 1).await;
    let second = store.acquire(S0, "a", LEASE).await.unwrap().unwrap();
    assert!(first < second);
    let late = store.commit(S0, first, vec![commit(id, 1, 1, 7)], &[]).await;
    assert!(matches!(late, Err(StoreError::Fenced { current, .. }) if current == Some(second)));
}

/// Commits of an older epoch are refused, and nothing of them is applied, `performed` included.
pub async fn old_epoch_is_fenced(subject: impl Subject) {
    let store = subject.store();
    let (old, id) = with_run(&store, 1).await;
    let mut change = commit(id, 1, 1, 7);
    change.outbox = b"effects".to_vec();
    store.commit(S0, old, vec![change], &[]).await.unwrap();
    store.release(S0, old).await.unwrap();
    let new = store.acquire(S0, "b", LEASE).await.unwrap().unwrap();
    let late = store.commit(S0, old, vec![commit(id, 1, 2, 8)], &[(id, 2)]).await;
    assert!(
        matches!(late, Err(StoreError::Fenced { shard: S0, held, current }) if held == old && current == Some(new))
    );
    let loaded = store.load(id).await.unwrap().unwrap();
    assert_eq!((loaded.version, loaded.outbox), (2, b"effects".to_vec()));
    assert_eq!(store.dirty(S0).await.unwrap(), [id]);
}

/// Who owns nothing, or the shard of another run, commits nothing.
pub async fn a_commit_without_ownership_is_fenced(subject: impl Subject) {
    let store = subject.store();
    let id = run(S0, SHARDS, 1);
    store.create(&[new_run(id, 1)]).await.unwrap();
    let early = store.commit(S0, Epoch(1), vec![commit(id, 1, 1, 7)], &[]).await;
    assert!(matches!(early, Err(StoreError::Fenced { current: None, .. })));
    let epoch = owned(&store, S0).await;
    store.release(S0, epoch).await.unwrap();
    let late = store.commit(S0, epoch, vec![commit(id, 1, 1, 7)], &[]).await;
    assert!(matches!(late, Err(StoreError::Fenced { current: None, .. })));
    assert_eq!(store.load(id).await.unwrap().unwrap().version, 1);
}

/// A lease ends by itself: then another may own the shard, and renewing comes too late.
pub async fn a_lease_ends_by_itself(subject: impl Subject) {
    let store = subject.store();
    let short = subject.short_lease();
    let first = store.acquire(S0, "a", short).await.unwrap().unwrap();
    until("the lease ends", async || {
        subject.pass(short);
        store.acquire(S0, "b", LEASE).await.unwrap().is_some_and(|second| second > first)
    })
    .await;
    assert!(!store.renew(S0, first, LEASE).await.unwrap());
    assert_eq!(store.acquire(S0, "c", LEASE).await.unwrap(), None);
}

/// Renewing keeps the shard for as long again; only the present owner can.
pub async fn renewing_keeps_the_shard(subject: impl Subject) {
    let store = subject.store();
    let short = subject.short_lease();
    let epoch = store.acquire(S0, "a", short).await.unwrap().unwrap();
    assert!(store.renew(S0, epoch, LEASE).await.unwrap());
    subject.pass(short);
    subject.pass(short);
    assert_eq!(store.acquire(S0, "b", LEASE).await.unwrap(), None);
    assert!(!store.renew(S0, Epoch(epoch.0 + 1), LEASE).await.unwrap());
    assert!(!store.renew(S1, epoch, LEASE).await.unwrap());
}

/// Releasing lets the next one in at once; a late release takes nothing from it.
pub async fn a_released_shard_is_free(subject: impl Subject) {
    let store = subject.store();
    let first = owned(&store, S0).await;
    store.release(S0, first).await.unwrap();
    assert!(!store.renew(S0, first, LEASE).await.unwrap());
    let second = store.acquire(S0, "b", LEASE).await.unwrap().unwrap();
    store.release(S0, first).await.unwrap();
    assert!(store.renew(S0, second, LEASE).await.unwrap());
}
