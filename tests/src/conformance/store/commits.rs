//! What a write changes.

use super::*;

/// A created run is loaded as it was given, at version 1, active, with nothing to perform.
pub async fn a_created_run_is_active_at_version_1(subject: impl Subject) {
    let store = subject.store();
    let (_, id) = with_run(&store, 1).await;
    let loaded = store.load(id).await.unwrap().unwrap();
    let given = new_run(id, 1);
    assert_eq!(loaded.version, 1);
    assert_eq!((loaded.summary, loaded.head, loaded.fields), (given.summary, given.head, given.fields));
    assert_eq!(loaded.outbox, b"");
    assert_eq!(store.active(S0).await.unwrap(), [id]);
    assert_eq!(store.dirty(S0).await.unwrap(), []);
    assert_eq!(store.due(S0, Timestamp(u64::MAX - 1), 10).await.unwrap(), (vec![], None));
    assert_eq!(store.events(id, 0, 10).await.unwrap(), [Event { seq: 1, body: b"created".to_vec() }]);
}

/// Creating a run twice leaves it as it is, and does not keep others of the batch from being created.
pub async fn creating_a_run_twice_leaves_it_as_it_is(subject: impl Subject) {
    let store = subject.store();
    let (epoch, id) = with_run(&store, 1).await;
    store.commit(S0, epoch, vec![commit(id, 1, 1, 7)], &[]).await.unwrap();
    let before = store.load(id).await.unwrap();
    let other = run(S0, SHARDS, 2);
    let twice = [new_run(id, 1), new_run(other, 2), new_run(other, 3)];
    assert_eq!(store.create(&twice).await.unwrap(), [Created::Existed, Created::Created, Created::Existed]);
    assert_eq!(store.load(id).await.unwrap(), before);
    assert_eq!(store.load(other).await.unwrap().unwrap().summary, summary(2, RunStatus::Pending));
    assert_eq!(store.active(S0).await.unwrap(), [id, other]);
}

/// A commit replaces summary and head, changes the fields that it names, and appends its events.
pub async fn a_commit_changes_what_it_says(subject: impl Subject) {
    let store = subject.store();
    let (epoch, id) = with_run(&store, 1).await;
    let mut change = commit(id, 1, 1, 7);
    change.fields = vec![
        ("inputs".into(), None),
        ("b".into(), Some(b"2".to_vec())),
        ("a".into(), Some(vec![])),
        ("never there".into(), None),
    ];
    change.events = vec![b"one".to_vec(), vec![], b"three".to_vec()];
    change.summary.error = Some(StepError::new(ErrorClass::Timeout, "too slow").advice("wait"));
    change.summary.finished_at = Some(Timestamp(5));
    change.summary.step = None;
    change.outbox = b"effects".to_vec();
    assert_eq!(store.commit(S0, epoch, vec![change.clone()], &[]).await.unwrap(), [Committed::Done(2)]);
    let loaded = store.load(id).await.unwrap().unwrap();
    assert_eq!(loaded.version, 2);
    assert_eq!((loaded.summary, loaded.head, loaded.outbox), (change.summary, change.head, change.outbox));
    assert_eq!(loaded.fields, [("a".to_owned(), vec![]), ("b".to_owned(), b"2".to_vec())]);
    let bodies: Vec<_> = store.events(id, 1, 10).await.unwrap().into_iter().map(|event| event.body).collect();
    assert_eq!(bodies, [&b"one"[..], b"", b"three"]);
}

/// Fields are given sorted by name.
pub async fn fields_are_sorted_by_name(subject: impl Subject) {
    let store = subject.store();
    let (epoch, id) = with_run(&store, 1).await;
    let mut change = commit(id, 1, 1, 7);
    let names = ["b", "a/2", "a[10]", "a", "ä", "Z"];
    change.fields = names.iter().map(|name| (name.to_string(), Some(b"v".to_vec()))).collect();
    store.commit(S0, epoch, vec![change], &[]).await.unwrap();
    let loaded: Vec<String> = store.load(id).await.unwrap().unwrap().fields.into_iter().map(|(name, _)| name).collect();
    assert_eq!(loaded, ["Z", "a", "a/2", "a[10]", "b", "inputs", "ä"]);
}

/// A commit of another version than the stored one is refused with the stored one, and changes nothing.
pub async fn commit_of_an_old_version_conflicts(subject: impl Subject) {
    let store = subject.store();
    let (epoch, id) = with_run(&store, 1).await;
    store.commit(S0, epoch, vec![commit(id, 1, 1, 7)], &[]).await.unwrap();
    let before = store.load(id).await.unwrap();
    for version in [0, 1, 3, u64::MAX] {
        let mut late = commit(id, 1, version, 8);
        late.outbox = b"effects".to_vec();
        late.due = Some(Timestamp(1));
        let outcome = store.commit(S0, epoch, vec![late], &[]).await.unwrap();
        assert_eq!(outcome, [Committed::Conflict { current: 2 }], "version {version}");
    }
    assert_eq!(store.load(id).await.unwrap(), before);
    assert_eq!(store.events(id, 0, 10).await.unwrap().len(), 2);
    assert_eq!(store.dirty(S0).await.unwrap(), []);
}

/// A commit of a run that is not there conflicts with version 0.
pub async fn commit_of_an_unknown_run_conflicts_with_0(subject: impl Subject) {
    let store = subject.store();
    let epoch = owned(&store, S0).await;
    let id = run(S0, SHARDS, 1);
    let outcome = store.commit(S0, epoch, vec![commit(id, 1, 1, 7)], &[]).await.unwrap();
    assert_eq!(outcome, [Committed::Conflict { current: 0 }]);
    assert_eq!(store.load(id).await.unwrap(), None);
}

/// A commit whose reply was lost is repeated without effect, as long as no other followed.
pub async fn repeating_a_commit_changes_nothing(subject: impl Subject) {
    let store = subject.store();
    let (epoch, id) = with_run(&store, 1).await;
    let mut change = commit(id, 1, 1, 7);
    change.commands = vec!["k".into()];
    store.commit(S0, epoch, vec![change.clone()], &[]).await.unwrap();
    store.post(&command(id, "k")).await.unwrap();
    let before = store.load(id).await.unwrap();
    assert_eq!(store.commit(S0, epoch, vec![change.clone()], &[]).await.unwrap(), [Committed::Done(2)]);
    assert_eq!(store.load(id).await.unwrap(), before);
    assert_eq!(store.events(id, 0, 10).await.unwrap().len(), 2);
    assert_eq!(store.inbox(S0).await.unwrap().len(), 1);
    store.commit(S0, epoch, vec![commit(id, 1, 2, 8)], &[]).await.unwrap();
    let outcome = store.commit(S0, epoch, vec![change], &[]).await.unwrap();
    assert_eq!(outcome, [Committed::Conflict { current: 3 }]);
}

/// Each commit of a batch stands for itself, outcomes come in their order, and a run may be changed twice in one.
pub async fn commits_of_a_batch_stand_for_themselves(subject: impl Subject) {
    let store = subject.store();
    let (epoch, first) = with_run(&store, 1).await;
    let second = run(S0, SHARDS, 2);
    store.create(&[new_run(second, 2)]).await.unwrap();
    let batch = vec![commit(first, 1, 1, 7), commit(second, 2, 9, 8), commit(first, 1, 2, 9), commit(second, 2, 1, 10)];
    let outcomes = store.commit(S0, epoch, batch, &[]).await.unwrap();
    let expected = [Committed::Done(2), Committed::Conflict { current: 1 }, Committed::Done(3), Committed::Done(2)];
    assert_eq!(outcomes, expected);
    assert_eq!(store.load(first).await.unwrap().unwrap().head, b"head 9");
    assert_eq!(store.load(second).await.unwrap().unwrap().head, b"head 10");
}

/// Two owners of one shard that commit from the same version: one wins.
pub async fn of_two_commits_of_one_version_one_wins(subject: impl Subject) {
    let store = subject.store();
    let (epoch, id) = with_run(&store, 1).await;
    let (one, other) = (vec![commit(id, 1, 1, 7)], vec![commit(id, 1, 1, 8)]);
    let (one, other) = tokio::join!(store.commit(S0, epoch, one, &[]), store.commit(S0, epoch, other, &[]));
    let mut outcomes = [one.unwrap()[0], other.unwrap()[0]];
    outcomes.sort_by_key(|outcome| matches!(outcome, Committed::Conflict { .. }));
    assert_eq!(outcomes, [Committed::Done(2), Committed::Conflict { current: 2 }]);
}

/// What is over its limit is refused by name, and with it the whole write.
pub async fn what_is_too_large_is_refused(subject: impl Subject) {
    let store = subject.store();
    let (epoch, id) = with_run(&store, 1).await;
    let mut large_head = commit(id, 1, 1, 7);
    large_head.head = vec![0; (64 << 10) + 1];
    let mut large_name = commit(id, 1, 1, 8);
    large_name.fields = vec![("x".repeat(2_000), Some(vec![]))];
    for change in [large_head, large_name] {
        let refused = store.commit(S0, epoch, vec![commit(id, 1, 1, 6), change], &[]).await;
        assert!(matches!(refused, Err(StoreError::TooLarge { .. })));
    }
    let mut large_run = new_run(run(S0, SHARDS, 2), 2);
    large_run.head = vec![0; (64 << 10) + 1];
    assert!(matches!(store.create(&[large_run]).await, Err(StoreError::TooLarge { .. })));
    assert_eq!(store.load(id).await.unwrap().unwrap().version, 1);
    assert_eq!(listed(&store, all()).await, [id]);
}

/// A head of 64 KiB and a field of 1 MiB are kept.
pub async fn what_is_just_within_its_limit_is_kept(subject: impl Subject) {
    let store = subject.store();
    let (epoch, id) = with_run(&store, 1).await;
    let mut change = commit(id, 1, 1, 7);
    change.head = vec![7; 64 << 10];
    change.fields = vec![("large".into(), Some(vec![8; 1 << 20]))];
    store.commit(S0, epoch, vec![change.clone()], &[]).await.unwrap();
    let loaded = store.load(id).await.unwrap().unwrap();
    assert_eq!(loaded.head, change.head);
    assert_eq!(loaded.fields[1].1.len(), 1 << 20);
}
