//! Who takes part, and who has claimed which step.

use super::*;

fn member(id: &str, info: &str) -> Member {
    Member { id: id.into(), info: info.as_bytes().to_vec() }
}

/// A run may be due from its creation on.
pub async fn a_new_run_may_be_due(subject: impl Subject) {
    let store = subject.store();
    let ids = [1, 2].map(|number| run(S0, SHARDS, number));
    let mut new = ids.map(|id| new_run(id, 1));
    new[1].due = Some(Timestamp(50));
    store.create(&new).await.unwrap();
    assert_eq!(store.due(S0, Timestamp(49), 10).await.unwrap(), (vec![], Some(Timestamp(50))));
    assert_eq!(store.due(S0, Timestamp(50), 10).await.unwrap(), (vec![ids[1]], None));
    // Creating it again does not change when it is due.
    new[1].due = Some(Timestamp(10));
    assert_eq!(store.create(&new[1..]).await.unwrap(), [Created::Existed]);
    assert_eq!(store.due(S0, Timestamp(49), 10).await.unwrap(), (vec![], Some(Timestamp(50))));
}

/// A process takes part until the time that it said has passed.
pub async fn who_announces_itself_is_a_member_until_its_time_ends(subject: impl Subject) {
    let store = subject.store();
    assert_eq!(store.members(Role::Worker).await.unwrap(), []);
    let short = subject.short_lease();
    store.announce(Role::Worker, &member("a", "|binary\0ü"), short).await.unwrap();
    store.announce(Role::Worker, &member("b", ""), LEASE).await.unwrap();
    assert_eq!(store.members(Role::Worker).await.unwrap(), [member("a", "|binary\0ü"), member("b", "")]);
    until("the time ends", async || {
        subject.pass(short);
        store.members(Role::Worker).await.unwrap() == [member("b", "")]
    })
    .await;
}

/// Announcing again lasts from then on, and replaces what was said.
pub async fn who_announces_itself_again_stays(subject: impl Subject) {
    let store = subject.store();
    let short = subject.short_lease();
    store.announce(Role::Coordinator, &member("a", "old"), short).await.unwrap();
    store.announce(Role::Coordinator, &member("a", "new"), LEASE).await.unwrap();
    subject.pass(short);
    subject.pass(short);
    assert_eq!(store.members(Role::Coordinator).await.unwrap(), [member("a", "new")]);
}

/// Leaving ends it at once; leaving twice, or without having been there, is no error.
pub async fn who_leaves_is_no_member(subject: impl Subject) {
    let store = subject.store();
    for id in ["a", "b"] {
        store.announce(Role::Worker, &member(id, ""), LEASE).await.unwrap();
    }
    for id in ["a", "a", "c"] {
        store.leave(Role::Worker, id).await.unwrap();
    }
    assert_eq!(store.members(Role::Worker).await.unwrap(), [member("b", "")]);
}

/// Members come sorted by id, each in its role only.
pub async fn members_are_sorted_and_of_one_role(subject: impl Subject) {
    let store = subject.store();
    for id in ["b", "c", "a"] {
        store.announce(Role::Worker, &member(id, id), LEASE).await.unwrap();
    }
    store.announce(Role::Coordinator, &member("a", "other"), LEASE).await.unwrap();
    store.leave(Role::Coordinator, "b").await.unwrap();
    let ids: Vec<String> = store.members(Role::Worker).await.unwrap().into_iter().map(|member| member.id).collect();
    assert_eq!(ids, ["a", "b", "c"]);
    assert_eq!(store.members(Role::Coordinator).await.unwrap(), [member("a", "other")]);
}

/// Whoever claimed a step last has it, whichever attempt it is for; every earlier token is void.
pub async fn the_last_claim_of_a_step_holds(subject: impl Subject) {
    let store = subject.store();
    let (_, id) = with_run(&store, 1).await;
    let step = StepPath::top("branded").instance(3).child("resize");
    assert_eq!(store.claims(id).await.unwrap(), []);
    let first = store.claim(id, &step, 1, 2, "one").await.unwrap();
    assert!(store.holds(id, &step, 1, first).await.unwrap());
    let second = store.claim(id, &step, 1, 1, "other").await.unwrap();
    assert!(!store.holds(id, &step, 1, first).await.unwrap());
    assert!(store.holds(id, &step, 1, second).await.unwrap());
    let claims = store.claims(id).await.unwrap();
    let [claim] = claims.as_slice() else { panic!("one claim, not {claims:?}") };
    assert_eq!((&claim.step, claim.generation, claim.attempt), (&step, 1, 1));
    assert_eq!((claim.worker.as_str(), claim.token), ("other", second));
}

/// A claim tells how often its attempt was claimed; another attempt begins at 1 again.
pub async fn claims_of_an_attempt_are_counted(subject: impl Subject) {
    let store = subject.store();
    let (_, id) = with_run(&store, 1).await;
    let step = StepPath::top("resize");
    for (attempt, times) in [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2)] {
        store.claim(id, &step, 1, attempt, "w").await.unwrap();
        let claims = store.claims(id).await.unwrap();
        assert_eq!((claims[0].attempt, claims[0].times), (attempt, times));
    }
}

/// Claims of other steps, generations and runs say nothing about each other; they come sorted by step.
pub async fn claims_of_other_steps_and_generations_stand_for_themselves(subject: impl Subject) {
    let store = subject.store();
    let (_, id) = with_run(&store, 1).await;
    let other = run(S0, SHARDS, 2);
    store.create(&[new_run(other, 2)]).await.unwrap();
    let steps = ["b", "a"].map(StepPath::top);
    let mut held = Vec::new();
    for step in &steps {
        for generation in [2, 1, 10] {
            held.push((step, generation, store.claim(id, step, generation, 1, "w").await.unwrap()));
        }
    }
    for (step, generation, token) in held {
        assert!(store.holds(id, step, generation, token).await.unwrap(), "{step}@{generation}");
        assert!(!store.holds(other, step, generation, token).await.unwrap(), "{step}@{generation}");
        assert!(!store.holds(id, step, generation + 2, token).await.unwrap(), "{step}@{generation}");
    }
    let claims: Vec<_> =
        store.claims(id).await.unwrap().into_iter().map(|claim| (claim.step.to_string(), claim.generation)).collect();
    let sorted = [("a", 1), ("a", 2), ("a", 10), ("b", 1), ("b", 2), ("b", 10)];
    assert_eq!(claims, sorted.map(|(step, generation)| (step.to_owned(), generation)));
    assert_eq!(store.claims(other).await.unwrap(), []);
}

/// No two tokens of a step are alike, and a claim says when it was made by the clock of the store.
pub async fn tokens_differ_and_say_when(subject: impl Subject) {
    let store = subject.store();
    let (_, id) = with_run(&store, 1).await;
    let step = StepPath::top("resize");
    let mut tokens = std::collections::HashSet::new();
    for _ in 0..100 {
        assert!(tokens.insert(store.claim(id, &step, 1, 1, "w").await.unwrap()));
    }
    let (since, now) = (store.claims(id).await.unwrap()[0].since, store.now().await.unwrap());
    assert!(since.0.abs_diff(now.0) < 10_000, "{since} is not {now}");
}

/// The commit that ends a run forgets its claims; other commits leave them.
pub async fn the_commit_that_ends_a_run_forgets_its_claims(subject: impl Subject) {
    let store = subject.store();
    let (epoch, id) = with_run(&store, 1).await;
    let step = StepPath::top("resize");
    let token = store.claim(id, &step, 1, 1, "w").await.unwrap();
    store.commit(S0, epoch, vec![commit(id, 1, 1, 7)], &[]).await.unwrap();
    assert!(store.holds(id, &step, 1, token).await.unwrap());
    let mut last = commit(id, 1, 2, 8);
    last.summary.status = RunStatus::Completed;
    store.commit(S0, epoch, vec![last], &[]).await.unwrap();
    assert!(!store.holds(id, &step, 1, token).await.unwrap());
    assert_eq!(store.claims(id).await.unwrap(), []);
}
