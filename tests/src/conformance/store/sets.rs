//! What the owner of a shard is to look at: active, dirty and due runs, and the inbox.

use super::*;

/// A run is active until it ends, also through commits that leave its status; a resumed one is active again.
pub async fn a_run_is_active_until_it_ends(subject: impl Subject) {
    let store = subject.store();
    let (epoch, id) = with_run(&store, 1).await;
    for (version, status, active) in [
        (1, RunStatus::Running, true),
        (2, RunStatus::Waiting, true),
        (3, RunStatus::PendingRetry, true),
        (4, RunStatus::Paused, true),
        (5, RunStatus::Failed, false),
        (6, RunStatus::Running, true),
        (7, RunStatus::Cancelled, false),
        (8, RunStatus::Pending, true),
        (9, RunStatus::Completed, false),
    ] {
        let mut change = commit(id, 1, version, version + 10);
        change.summary.status = status;
        store.commit(S0, epoch, vec![change], &[]).await.unwrap();
        assert_eq!(store.active(S0).await.unwrap() == [id], active, "{status}");
        assert_eq!(listed(&store, RunFilter { statuses: vec![status], ..all() }).await, [id], "{status}");
    }
}

/// Active runs come oldest first, each in its own shard.
pub async fn active_runs_come_oldest_first(subject: impl Subject) {
    let store = subject.store();
    let ids = [3, 1, 2].map(|number| run(S0, SHARDS, number));
    let other = run(S1, SHARDS, 4);
    let new = [new_run(ids[0], 3), new_run(ids[1], 1), new_run(ids[2], 2), new_run(other, 4)];
    store.create(&new).await.unwrap();
    assert_eq!(store.active(S0).await.unwrap(), [ids[1], ids[2], ids[0]]);
    assert_eq!(store.active(S1).await.unwrap(), [other]);
}

/// A run is dirty from a commit with effects until they are performed, and loads without them afterwards.
pub async fn a_run_is_dirty_until_its_effects_are_performed(subject: impl Subject) {
    let store = subject.store();
    let (epoch, id) = with_run(&store, 1).await;
    let mut change = commit(id, 1, 1, 7);
    change.outbox = b"effects".to_vec();
    store.commit(S0, epoch, vec![change], &[]).await.unwrap();
    assert_eq!(store.dirty(S0).await.unwrap(), [id]);
    assert_eq!(store.dirty(S1).await.unwrap(), []);
    assert_eq!(store.commit(S0, epoch, vec![], &[(id, 2)]).await.unwrap(), []);
    assert_eq!(store.dirty(S0).await.unwrap(), []);
    let loaded = store.load(id).await.unwrap().unwrap();
    assert_eq!((loaded.version, loaded.outbox, loaded.head), (2, vec![], b"head 7".to_vec()));
    store.commit(S0, epoch, vec![], &[(id, 2)]).await.unwrap();
    store.commit(S0, epoch, vec![commit(id, 1, 2, 8)], &[]).await.unwrap();
}

/// Effects that were performed for an older version say nothing of the present ones, also within one batch.
pub async fn performed_effects_of_an_old_version_forget_nothing(subject: impl Subject) {
    let store = subject.store();
    let (epoch, id) = with_run(&store, 1).await;
    let with_effects = |version: u64, id_of_commit: u64| {
        let mut change = commit(id, 1, version, id_of_commit);
        change.outbox = format!("effects {id_of_commit}").into_bytes();
        change
    };
    store.commit(S0, epoch, vec![with_effects(1, 7)], &[]).await.unwrap();
    store.commit(S0, epoch, vec![with_effects(2, 8)], &[(id, 2)]).await.unwrap();
    assert_eq!(store.load(id).await.unwrap().unwrap().outbox, b"effects 8");
    assert_eq!(store.dirty(S0).await.unwrap(), [id]);
    store.commit(S0, epoch, vec![with_effects(3, 9)], &[(id, 4)]).await.unwrap();
    assert_eq!(store.load(id).await.unwrap().unwrap().outbox, b"");
    assert_eq!(store.dirty(S0).await.unwrap(), []);
}

/// An ended run stays dirty until its last effects are performed, without being active.
pub async fn an_ended_run_stays_dirty_until_performed(subject: impl Subject) {
    let store = subject.store();
    let (epoch, id) = with_run(&store, 1).await;
    let mut change = commit(id, 1, 1, 7);
    change.summary.status = RunStatus::Completed;
    change.outbox = b"webhooks".to_vec();
    store.commit(S0, epoch, vec![change], &[]).await.unwrap();
    assert_eq!(store.active(S0).await.unwrap(), []);
    assert_eq!(store.dirty(S0).await.unwrap(), [id]);
    store.commit(S0, epoch, vec![], &[(id, 2)]).await.unwrap();
    assert_eq!(store.dirty(S0).await.unwrap(), []);
    assert_eq!(store.load(id).await.unwrap().unwrap().outbox, b"");
}

/// A commit without effects takes the run off the dirty ones: effects replace those of the last commit.
pub async fn effects_replace_those_of_the_last_commit(subject: impl Subject) {
    let store = subject.store();
    let (epoch, id) = with_run(&store, 1).await;
    let mut change = commit(id, 1, 1, 7);
    change.outbox = b"effects".to_vec();
    store.commit(S0, epoch, vec![change], &[]).await.unwrap();
    store.commit(S0, epoch, vec![commit(id, 1, 2, 8)], &[]).await.unwrap();
    assert_eq!(store.dirty(S0).await.unwrap(), []);
    assert_eq!(store.load(id).await.unwrap().unwrap().outbox, b"");
}

/// Due runs come most overdue first, up to the limit, with the time of the next one; reading takes nothing away.
pub async fn due_runs_come_most_overdue_first(subject: impl Subject) {
    let store = subject.store();
    let epoch = owned(&store, S0).await;
    let at = |number: u32| Timestamp(1_000 * u64::from(number));
    let mut ids = Vec::new();
    for number in [3, 1, 2, 4] {
        let id = run(S0, SHARDS, number);
        store.create(&[new_run(id, number)]).await.unwrap();
        let mut change = commit(id, number, 1, 7);
        change.due = Some(at(number));
        store.commit(S0, epoch, vec![change], &[]).await.unwrap();
        ids.push(id);
    }
    let [third, first, second, fourth] = ids[..] else { panic!("four runs") };
    assert_eq!(store.due(S0, Timestamp(999), 10).await.unwrap(), (vec![], Some(at(1))));
    for _ in 0..2 {
        assert_eq!(store.due(S0, at(3), 10).await.unwrap(), (vec![first, second, third], Some(at(4))));
    }
    assert_eq!(store.due(S0, at(4), 2).await.unwrap(), (vec![first, second], Some(at(3))));
    assert_eq!(store.due(S0, at(9), 10).await.unwrap(), (vec![first, second, third, fourth], None));
    assert_eq!(store.due(S1, at(9), 10).await.unwrap(), (vec![], None));
}

/// The due time of a commit replaces the last one's; none removes it.
pub async fn the_due_time_is_replaced(subject: impl Subject) {
    let store = subject.store();
    let (epoch, id) = with_run(&store, 1).await;
    for (version, due) in [(1, Some(Timestamp(50))), (2, Some(Timestamp(70))), (3, Some(Timestamp(60))), (4, None)] {
        let mut change = commit(id, 1, version, version + 10);
        change.due = due;
        store.commit(S0, epoch, vec![change], &[]).await.unwrap();
        assert_eq!(store.due(S0, Timestamp(40), 10).await.unwrap(), (vec![], due));
    }
}

/// A command waits in the inbox of its run's shard, oldest first, until a commit applies it.
pub async fn a_command_waits_until_a_commit_applies_it(subject: impl Subject) {
    let store = subject.store();
    let (epoch, id) = with_run(&store, 1).await;
    let other = run(S1, SHARDS, 2);
    let [a, b, c] = ["z", "a", "m"].map(|key| command(id, key));
    for posted in [&a, &b, &c, &command(other, "a")] {
        store.post(posted).await.unwrap();
    }
    assert_eq!(store.inbox(S0).await.unwrap(), [a.clone(), b.clone(), c.clone()]);
    assert_eq!(store.inbox(S1).await.unwrap(), [command(other, "a")]);
    let mut change = commit(id, 1, 1, 7);
    change.commands = vec!["a".into(), "never posted".into()];
    store.commit(S0, epoch, vec![change], &[]).await.unwrap();
    assert_eq!(store.inbox(S0).await.unwrap(), [a, c]);
    assert_eq!(store.inbox(S1).await.unwrap().len(), 1);
}

/// Posting a command twice is posting it once; the first one stays.
pub async fn posting_a_command_twice_is_posting_it_once(subject: impl Subject) {
    let store = subject.store();
    let (_, id) = with_run(&store, 1).await;
    store.post(&command(id, "k")).await.unwrap();
    let again = darkroom_backend::Command { body: b"other".to_vec(), ..command(id, "k") };
    store.post(&again).await.unwrap();
    assert_eq!(store.inbox(S0).await.unwrap(), [command(id, "k")]);
}

/// A commit that conflicts leaves its commands in the inbox.
pub async fn a_refused_commit_leaves_its_commands(subject: impl Subject) {
    let store = subject.store();
    let (epoch, id) = with_run(&store, 1).await;
    let other = run(S0, SHARDS, 2);
    store.create(&[new_run(other, 2)]).await.unwrap();
    store.post(&command(id, "k")).await.unwrap();
    let mut late = commit(id, 1, 9, 7);
    late.commands = vec!["k".into()];
    store.commit(S0, epoch, vec![commit(other, 2, 1, 8), late], &[]).await.unwrap();
    assert_eq!(store.inbox(S0).await.unwrap(), [command(id, "k")]);
}

/// Effects may be said to be performed together with the commit that causes them, also when it ends the run.
pub async fn effects_may_be_performed_with_their_commit(subject: impl Subject) {
    let store = subject.store();
    let (epoch, id) = with_run(&store, 1).await;
    let mut change = commit(id, 1, 1, 7);
    change.summary.status = RunStatus::Completed;
    change.outbox = b"webhooks".to_vec();
    store.commit(S0, epoch, vec![change], &[(id, 2)]).await.unwrap();
    assert_eq!(store.dirty(S0).await.unwrap(), []);
    assert_eq!(store.load(id).await.unwrap().unwrap().outbox, b"");
}
