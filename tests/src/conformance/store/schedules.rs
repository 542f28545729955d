//! Schedules: written by whoever has read the last version, found when they are due.

use super::{Committed, SHARDS, Shard, Store, Subject, Timestamp};
use darkroom_backend::StoredSchedule;
use darkroom_proto::ScheduleId;

/// The name of a schedule of a shard.
fn named(shard: Shard, number: usize) -> ScheduleId {
    let mut names = (0..).map(|at| format!("schedule-{at}").parse::<ScheduleId>().unwrap());
    names.by_ref().filter(|id| id.shard(SHARDS) == shard.0).nth(number).unwrap()
}

fn schedule(id: &ScheduleId, version: u64, due: Option<u64>, body: &str) -> StoredSchedule {
    StoredSchedule { id: id.clone(), version, due: due.map(Timestamp), body: body.as_bytes().to_vec() }
}

fn done(committed: Committed) -> u64 {
    match committed {
        Committed::Done(version) => version,
        Committed::Conflict { current } => panic!("refused: the stored version is {current}"),
    }
}

/// A schedule is read as it was written, and only who has read it last writes it.
pub async fn a_schedule_is_written_only_by_who_has_read_its_last_version<T: Subject>(subject: T) {
    let store = subject.store();
    let id = named(Shard(1), 0);
    assert_eq!(store.schedule(&id).await.unwrap(), None);
    let absent = schedule(&id, 7, None, "x");
    assert_eq!(store.put_schedule(&absent).await.unwrap(), Committed::Conflict { current: 0 });
    let first = done(store.put_schedule(&schedule(&id, 0, Some(5), "a|b")).await.unwrap());
    assert_eq!(store.schedule(&id).await.unwrap(), Some(schedule(&id, first, Some(5), "a|b")));
    let again = store.put_schedule(&schedule(&id, 0, None, "other")).await.unwrap();
    assert_eq!(again, Committed::Conflict { current: first });
    let second = done(store.put_schedule(&schedule(&id, first, None, "c")).await.unwrap());
    assert!(second > first);
    let late = store.put_schedule(&schedule(&id, first, Some(9), "d")).await.unwrap();
    assert_eq!(late, Committed::Conflict { current: second });
    assert_eq!(store.schedule(&id).await.unwrap(), Some(schedule(&id, second, None, "c")));
}

/// A schedule that was removed is gone, and what was read of it before can't be written any more.
pub async fn a_removed_schedule_does_not_come_back<T: Subject>(subject: T) {
    let store = subject.store();
    let id = named(Shard(0), 0);
    assert!(!store.remove_schedule(&id).await.unwrap());
    let first = done(store.put_schedule(&schedule(&id, 0, Some(5), "a")).await.unwrap());
    let second = done(store.put_schedule(&schedule(&id, first, Some(5), "b")).await.unwrap());
    assert!(store.remove_schedule(&id).await.unwrap());
    assert_eq!(store.schedule(&id).await.unwrap(), None);
    assert_eq!(store.due_schedules(Shard(0), Timestamp(9), 10).await.unwrap(), []);
    let late = store.put_schedule(&schedule(&id, second, Some(5), "c")).await.unwrap();
    assert_eq!(late, Committed::Conflict { current: 0 });
    let anew = done(store.put_schedule(&schedule(&id, 0, Some(5), "d")).await.unwrap());
    assert!(anew > second, "{anew} after {second}");
}

/// Due schedules are found by their shard, the most overdue first; the others are not.
pub async fn due_schedules_are_found_by_their_shard<T: Subject>(subject: T) {
    let store = subject.store();
    let ids: Vec<ScheduleId> = (0..4).map(|number| named(Shard(2), number)).collect();
    let elsewhere = named(Shard(3), 0);
    for (id, due) in ids.iter().zip([Some(30), Some(10), None, Some(31)]) {
        done(store.put_schedule(&schedule(id, 0, due, "x")).await.unwrap());
    }
    let put = done(store.put_schedule(&schedule(&elsewhere, 0, Some(1), "x")).await.unwrap());
    let due = |shard, now, limit| {
        let store = store.clone();
        async move { store.due_schedules(Shard(shard), Timestamp(now), limit).await.unwrap() }
    };
    assert_eq!(due(2, 30, 10).await, [ids[1].clone(), ids[0].clone()]);
    assert_eq!(due(2, 30, 1).await, [ids[1].clone()]);
    assert_eq!(due(2, 9, 10).await, []);
    assert_eq!(due(3, 30, 10).await, std::slice::from_ref(&elsewhere));
    done(store.put_schedule(&schedule(&elsewhere, put, None, "x")).await.unwrap());
    assert_eq!(due(3, 30, 10).await, []);
    let mut all = ids;
    all.push(elsewhere);
    all.sort();
    let listed: Vec<ScheduleId> = store.schedules().await.unwrap().into_iter().map(|schedule| schedule.id).collect();
    assert_eq!(listed, all);
}
