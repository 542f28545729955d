//! What becomes of a call.

use super::*;

/// What happened at a provider has happened, whoever tells it.
pub async fn facts_are_taken_from_anyone_and_after_the_end_of_the_run(subject: impl Subject) {
    let store = subject.store();
    let (epoch, id) = with_run(&store).await;
    let call = granted(&store, &claimed(&store, id, "edit").await).await;
    // Somebody else has the step by now, and the run ends.
    claimed_by(&store, id, "edit", 2).await;
    let mut change = commit(id, 1, 1, 7);
    change.summary.status = RunStatus::Cancelled;
    store.commit(S0, epoch, vec![change], &[]).await.unwrap();
    let after = note(&store, id, &call, submitted("a")).await;
    assert_eq!((after.state, after.next_at), (CallState::Submitted, Timestamp(7)));
    let after = note(&store, id, &call, Fact::Settled { cost: Money(39) }).await;
    assert_eq!((after.state, after.cost), (CallState::Settled, Money(39)));
    assert_eq!(store.calls(id).await.unwrap(), [after]);
    // Of what the ledger does not know there is nothing to note.
    assert_eq!(store.note(id, &call_id(1), &submitted("a")).await.unwrap(), None);
    assert_eq!(store.note(run(S0, SHARDS, 9), &call.id, &submitted("a")).await.unwrap(), None);
}

/// A handle that differs was paid for as well; one that comes after the end does not open the call again.
pub async fn the_first_handle_stays_and_another_one_is_a_duplicate(subject: impl Subject) {
    let store = subject.store();
    let (_, id) = with_run(&store).await;
    let handle = |name: &str| match submitted(name) {
        Fact::Submitted { handle, .. } => Some(handle),
        _ => None,
    };
    let call = granted(&store, &claimed(&store, id, "edit").await).await;
    let first = note(&store, id, &call, submitted("a")).await;
    assert_eq!((&first.handle, &first.second_handle, first.possible_duplicate), (&handle("a"), &None, false));
    assert_eq!(note(&store, id, &call, submitted("a")).await, first);
    for name in ["b", "a", "c"] {
        let after = note(&store, id, &call, submitted(name)).await;
        assert_eq!((after.handle, after.second_handle), (handle("a"), handle("b")));
        assert_eq!((after.state, after.possible_duplicate), (CallState::Submitted, true));
    }

    let ends = [
        ("released", Fact::Released { cost: Money(40) }, CallState::Released, true),
        ("held", Fact::Held { cost: Money(40) }, CallState::Held, false),
        ("rejected", Fact::Rejected { error: error() }, CallState::Rejected, true),
    ];
    for (name, end, state, possible_duplicate) in ends {
        let call = granted(&store, &claimed(&store, id, name).await).await;
        note(&store, id, &call, end).await;
        let after = note(&store, id, &call, submitted("late")).await;
        assert_eq!((after.handle, after.state), (handle("late"), state), "{name}");
        assert_eq!(after.possible_duplicate, possible_duplicate, "{name}");
    }
}

/// Later ends change nothing but a cost that turns out to be higher.
pub async fn the_first_end_stays_and_the_highest_cost_counts(subject: impl Subject) {
    let store = subject.store();
    let (_, id) = with_run(&store).await;
    let settled = |cost| Fact::Settled { cost: Money(cost) };
    let call = granted(&store, &claimed(&store, id, "edit").await).await;
    for (fact, cost) in [
        (settled(40), 40),
        (settled(40), 40),
        (Fact::Rejected { error: error() }, 40),
        (Fact::Failed { error: error(), cost: Money(50) }, 50),
        (Fact::Released { cost: Money(60) }, 50),
        (settled(45), 50),
    ] {
        let after = note(&store, id, &call, fact).await;
        assert_eq!((after.state, after.cost), (CallState::Settled, Money(cost)));
        assert_eq!((after.error, after.possible_duplicate), (None, false));
    }
    let call = granted(&store, &claimed(&store, id, "other").await).await;
    let after = note(&store, id, &call, Fact::Failed { error: error(), cost: Money::ZERO }).await;
    assert_eq!((after.state, &after.error), (CallState::FailedUnbilled, &Some(error())));
    assert_eq!(note(&store, id, &call, Fact::Cancelled { cost: Money::ZERO }).await, after);
    // What is held waits for a decision, which ends it.
    let call = granted(&store, &claimed(&store, id, "held").await).await;
    note(&store, id, &call, Fact::Held { cost: Money(40) }).await;
    let after = note(&store, id, &call, Fact::Released { cost: Money(40) }).await;
    assert_eq!((after.state, after.possible_duplicate), (CallState::Released, true));
}

/// None gets lost because somebody else told another one in between.
pub async fn facts_that_are_told_at_once_are_all_kept(subject: impl Subject) {
    let store = subject.store();
    let (_, id) = with_run(&store).await;
    let call = granted(&store, &claimed(&store, id, "edit").await).await;
    at_once(20, |number| {
        let (store, call) = (store.clone(), call.clone());
        async move {
            let fact = match number % 2 {
                0 => Fact::Settled { cost: Money(number.into()) },
                _ => submitted(&number.to_string()),
            };
            note(&store, id, &call, fact).await
        }
    })
    .await;
    let calls = store.calls(id).await.unwrap();
    assert_eq!((calls[0].state, calls[0].cost), (CallState::Settled, Money(18)));
    assert!(calls[0].handle.is_some() && calls[0].second_handle.is_some() && calls[0].possible_duplicate);
    // And the run has cost what its call did.
    let intent = Intent { budget: Some(Money(18)), ..claimed(&store, id, "other").await };
    assert_eq!(refused(&store, &intent).await, Refusal::OverBudget { spent: Money(18), budget: Money(18) });
    granted(&store, &Intent { budget: Some(Money(58)), ..intent }).await;
}

/// Each turn is of one copy of the message, and only while the job is looked after.
pub async fn a_turn_is_taken_once(subject: impl Subject) {
    let store = subject.store();
    let (_, id) = with_run(&store).await;
    let call = granted(&store, &claimed(&store, id, "edit").await).await;
    let at = Timestamp(9_000);
    assert_eq!(store.turn(id, &call_id(1), 1, at).await.unwrap(), Turn::Unknown);
    assert_eq!(store.turn(id, &call.id, 1, at).await.unwrap(), Turn::Passed);
    note(&store, id, &call, submitted("a")).await;
    for turn in [1, 2, 7] {
        let answers = at_once(10, |_| {
            let (store, call) = (store.clone(), call.id.clone());
            async move { store.turn(id, &call, turn, at).await.unwrap() }
        });
        let mut taken = Vec::new();
        for answer in answers.await {
            match answer {
                Turn::Taken(noted) => taken.push(noted),
                Turn::Passed => {}
                Turn::Unknown => panic!("the call is known"),
            }
        }
        let [noted] = taken.as_slice() else { panic!("turn {turn} is taken {} times", taken.len()) };
        assert_eq!((noted.call.turn, noted.call.next_at, noted.cancelled), (turn, at, false));
        assert_eq!(store.calls(id).await.unwrap(), std::slice::from_ref(&noted.call));
    }
    for turn in [0, 3, 6, 7] {
        assert_eq!(store.turn(id, &call.id, turn, at).await.unwrap(), Turn::Passed, "{turn}");
    }
    store.flag_cancelled(id).await.unwrap();
    assert!(matches!(store.turn(id, &call.id, 8, at).await.unwrap(), Turn::Taken(noted) if noted.cancelled));
    note(&store, id, &call, Fact::Settled { cost: Money(40) }).await;
    assert_eq!(store.turn(id, &call.id, 9, at).await.unwrap(), Turn::Passed);
}

/// It keeps others from calling, is found and paid for as if it had never been away; what is there stays.
pub async fn a_lost_call_is_put_back_and_counts(subject: impl Subject) {
    let store = subject.store();
    let (_, id) = with_run(&store).await;
    let intent = claimed(&store, id, "edit").await;
    let lost = Call {
        id: CallId::new(id, &intent.step, 1, 2),
        step: intent.step.clone(),
        generation: 1,
        number: 2,
        attempt: 1,
        model: "flux-pro".into(),
        provider: "fal".into(),
        endpoint: "fal-ai/flux-pro".into(),
        key: "ab12cd34".into(),
        worker: "w".into(),
        price: Money(40),
        at: Timestamp(1_000),
        send_by: Timestamp(2_000),
        state: CallState::Submitted,
        handle: Some(json!("a")),
        second_handle: None,
        turn: 3,
        next_at: Timestamp(3_000),
        cost: Money::ZERO,
        possible_duplicate: false,
        error: None,
    };
    store.restore(id, &lost).await.unwrap();
    store.restore(id, &Call { turn: 1, ..lost.clone() }).await.unwrap();
    assert_eq!(store.calls(id).await.unwrap(), std::slice::from_ref(&lost));
    assert_eq!(store.intent(&intent).await.unwrap(), Intended::Open(lost.clone()));
    let other = Intent { budget: Some(Money(79)), ..claimed(&store, id, "other").await };
    assert_eq!(refused(&store, &other).await, Refusal::OverBudget { spent: Money(40), budget: Money(79) });
    assert_eq!(store.turn(id, &lost.id, 3, Timestamp(4_000)).await.unwrap(), Turn::Passed);
    assert!(matches!(store.turn(id, &lost.id, 4, Timestamp(4_000)).await.unwrap(), Turn::Taken(_)));
    // An older one that comes back later changes nothing of what the next one is called, unless it is open.
    let older = Call { id: CallId::new(id, &intent.step, 1, 1), number: 1, state: CallState::Rejected, ..lost.clone() };
    store.restore(id, &older).await.unwrap();
    let later = Call { id: CallId::new(id, &intent.step, 1, 3), number: 3, ..older.clone() };
    store.restore(id, &later).await.unwrap();
    assert!(matches!(store.intent(&intent).await.unwrap(), Intended::Open(call) if call.id == lost.id));
    note(&store, id, &lost, Fact::Failed { error: error(), cost: Money::ZERO }).await;
    let next = granted(&store, &intent).await;
    assert_eq!((next.number, next.id), (4, CallId::new(id, &intent.step, 1, 4)));
    // Also a run that is lost gets its calls back, for whoever follows the job.
    let unknown = run(S0, SHARDS, 9);
    store.restore(unknown, &lost).await.unwrap();
    assert_eq!(note(&store, unknown, &lost, Fact::Settled { cost: Money(40) }).await.state, CallState::Settled);
}

/// A provider that answers with a book does not fill the store.
pub async fn a_fact_that_is_too_large_is_refused(subject: impl Subject) {
    let store = subject.store();
    let (_, id) = with_run(&store).await;
    let call = granted(&store, &claimed(&store, id, "edit").await).await;
    let fact = |bytes: usize| Fact::Submitted { handle: json!("x".repeat(bytes)), next_at: Timestamp(7) };
    let refused = store.note(id, &call.id, &fact(256 << 10)).await;
    assert!(matches!(refused, Err(StoreError::TooLarge { .. })), "{refused:?}");
    assert_eq!(store.calls(id).await.unwrap(), std::slice::from_ref(&call));
    note(&store, id, &call, fact(200 << 10)).await;
    let intent = Intent { model: "x".repeat(300 << 10), ..claimed(&store, id, "other").await };
    assert!(matches!(store.intent(&intent).await, Err(StoreError::TooLarge { .. })));
}

/// Asking for it again does not change it.
pub async fn the_epoch_stays_while_the_store_lives(subject: impl Subject) {
    let store = subject.store();
    let epoch = store.epoch().await.unwrap();
    assert!(!epoch.is_empty());
    assert_eq!(store.epoch().await.unwrap(), epoch);
}
