//! Who may call, and when not.

use super::*;

/// The call is known by its step, and is in the ledger as it was asked for, by the clock of the store.
pub async fn an_intent_is_granted_to_whoever_holds_the_step(subject: impl Subject) {
    let store = subject.store();
    let (_, id) = with_run(&store).await;
    let intent = claimed_by(&store, id, "edit", 3).await;
    let before = store.now().await.unwrap();
    let call = granted(&store, &intent).await;
    assert_eq!((&call.id, call.number), (&CallId::new(id, &intent.step, 1, 1), 1));
    assert_eq!((&call.step, call.generation, call.attempt), (&intent.step, 1, 3));
    assert_eq!((call.model.as_str(), call.provider.as_str()), ("flux-pro", "fal"));
    assert_eq!((call.endpoint.as_str(), call.key.as_str()), ("fal-ai/flux-pro", "ab12cd34"));
    assert_eq!((call.price, call.cost, call.state), (Money(40), Money::ZERO, CallState::Intent));
    assert_eq!((&call.handle, call.turn, call.possible_duplicate), (&None, 0, false));
    assert!(call.at.0.abs_diff(before.0) < 10_000, "{} is not {before}", call.at);
    assert_eq!(call.send_by, call.at.after(Duration::from_secs(30)));
    assert_eq!(store.calls(id).await.unwrap(), [call]);
    assert_eq!(store.calls(run(S0, SHARDS, 2)).await.unwrap(), []);
}

/// Whoever did not hear the answer asks again, and is granted the call that it has.
pub async fn an_intent_told_again_is_the_same_call(subject: impl Subject) {
    let store = subject.store();
    let (_, id) = with_run(&store).await;
    let intent = claimed(&store, id, "edit").await;
    let call = granted(&store, &intent).await;
    assert_eq!(granted(&store, &intent).await, call);
    assert_eq!(store.calls(id).await.unwrap(), std::slice::from_ref(&call));
    // Once a job is known, it was sent.
    let call = note(&store, id, &call, submitted("a")).await;
    assert_eq!(store.intent(&intent).await.unwrap(), Intended::Open(call));
}

/// Only the last claim of the very step, generation and attempt may pay.
pub async fn an_intent_is_refused_to_whoever_does_not_hold_the_step(subject: impl Subject) {
    let store = subject.store();
    let (_, id) = with_run(&store).await;
    let old = claimed(&store, id, "edit").await;
    let good = claimed(&store, id, "edit").await;
    let cases = [
        ("an old token", old, Refusal::Stale),
        ("a token of nobody", Intent { token: Token(1), ..good.clone() }, Refusal::Stale),
        ("a later attempt", Intent { attempt: 2, ..good.clone() }, Refusal::Stale),
        ("an earlier attempt", Intent { attempt: 0, ..good.clone() }, Refusal::Stale),
        ("another generation", Intent { generation: 2, ..good.clone() }, Refusal::Stale),
        ("another step", Intent { step: StepPath::top("other"), ..good.clone() }, Refusal::Stale),
        ("another run", Intent { run: run(S0, SHARDS, 9), ..good.clone() }, Refusal::Ended),
    ];
    for (name, intent, refusal) in cases {
        assert_eq!(refused(&store, &intent).await, refusal, "{name}");
    }
    assert_eq!(store.calls(id).await.unwrap(), []);
    granted(&store, &good).await;
}

/// Whatever happened to the last call: as long as it may be paid, the next one attaches to it.
pub async fn there_is_no_other_call_before_the_last_one_is_closed(subject: impl Subject) {
    let store = subject.store();
    let (_, id) = with_run(&store).await;
    let cost = Money(40);
    let cases: [(&str, Vec<Fact>, bool); 10] = [
        ("intent", vec![], false),
        ("submitted", vec![submitted("a")], false),
        ("settled", vec![submitted("a"), Fact::Settled { cost }], false),
        ("held", vec![Fact::Held { cost }], false),
        ("rejected", vec![Fact::Rejected { error: error() }], true),
        ("unbilled", vec![submitted("a"), Fact::Failed { error: error(), cost: Money::ZERO }], true),
        ("billed", vec![submitted("a"), Fact::Failed { error: error(), cost }], true),
        ("cancelled", vec![submitted("a"), Fact::Cancelled { cost: Money::ZERO }], true),
        ("released", vec![Fact::Released { cost }], true),
        ("held-and-released", vec![Fact::Held { cost }, Fact::Released { cost }], true),
    ];
    for (name, facts, is_closed) in cases {
        let mut first = granted(&store, &claimed(&store, id, name).await).await;
        for fact in facts {
            first = note(&store, id, &first, fact).await;
        }
        assert_eq!(first.state.is_closed(), is_closed, "{name}");
        let next = store.intent(&claimed_by(&store, id, name, 2).await).await.unwrap();
        match next {
            Intended::Open(call) if !is_closed => assert_eq!(call, first, "{name}"),
            Intended::Granted(call) if is_closed => {
                assert_eq!((call.number, call.id), (2, CallId::new(id, &first.step, 1, 2)), "{name}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

/// A message that was late brings an attempt back that is over.
pub async fn an_earlier_attempt_does_not_call_after_a_later_one(subject: impl Subject) {
    let store = subject.store();
    let (_, id) = with_run(&store).await;
    let call = granted(&store, &claimed_by(&store, id, "edit", 2).await).await;
    note(&store, id, &call, Fact::Rejected { error: error() }).await;
    assert_eq!(refused(&store, &claimed_by(&store, id, "edit", 1).await).await, Refusal::Stale);
    assert_eq!(granted(&store, &claimed_by(&store, id, "edit", 2).await).await.number, 2);
}

/// The flag is a field like others: seen by everybody at once, and removed by the commit that goes on.
pub async fn nothing_is_paid_for_a_cancelled_run(subject: impl Subject) {
    let store = subject.store();
    let (epoch, id) = with_run(&store).await;
    let call = granted(&store, &claimed(&store, id, "first").await).await;
    let noted = store.note(id, &call.id, &submitted("a")).await.unwrap().unwrap();
    assert!(!noted.cancelled);
    for _ in 0..2 {
        store.flag_cancelled(id).await.unwrap();
    }
    let fields = store.load(id).await.unwrap().unwrap().fields;
    assert!(fields.iter().any(|(name, _)| name == CANCEL_FIELD), "{fields:?}");
    let intent = claimed(&store, id, "edit").await;
    assert_eq!(refused(&store, &intent).await, Refusal::Cancelled);
    assert!(store.note(id, &call.id, &submitted("a")).await.unwrap().unwrap().cancelled);
    assert!(store.note(id, &call.id, &Fact::Settled { cost: Money(40) }).await.unwrap().unwrap().cancelled);

    let mut change = commit(id, 1, 1, 7);
    change.fields = vec![(CANCEL_FIELD.into(), None)];
    store.commit(S0, epoch, vec![change], &[]).await.unwrap();
    granted(&store, &intent).await;
}

/// Flagging what is over, or was never there, is no error and leaves nothing behind.
pub async fn only_a_run_that_has_not_ended_is_flagged_as_cancelled(subject: impl Subject) {
    let store = subject.store();
    let (epoch, id) = with_run(&store).await;
    let mut change = commit(id, 1, 1, 7);
    change.summary.status = RunStatus::Completed;
    store.commit(S0, epoch, vec![change], &[]).await.unwrap();
    let ended = store.load(id).await.unwrap();
    store.flag_cancelled(id).await.unwrap();
    assert_eq!(store.load(id).await.unwrap(), ended);
    let unknown = run(S0, SHARDS, 9);
    store.flag_cancelled(unknown).await.unwrap();
    assert_eq!(store.load(unknown).await.unwrap(), None);
}

/// The field is of one generation: the next one may pay.
pub async fn nothing_is_paid_for_a_dropped_step(subject: impl Subject) {
    let store = subject.store();
    let (epoch, id) = with_run(&store).await;
    let intent = claimed(&store, id, "edit").await;
    let mut change = commit(id, 1, 1, 7);
    change.fields = vec![(void_field(&intent.step, 1), Some(Vec::new()))];
    store.commit(S0, epoch, vec![change], &[]).await.unwrap();
    assert_eq!(refused(&store, &intent).await, Refusal::Stale);
    let token = store.claim(id, &intent.step, 2, 1, "w").await.unwrap();
    granted(&store, &Intent { generation: 2, token, ..intent }).await;
}

/// A claim after the end is of no use.
pub async fn nothing_is_paid_for_a_run_that_has_ended(subject: impl Subject) {
    let store = subject.store();
    let (epoch, id) = with_run(&store).await;
    let before = claimed(&store, id, "edit").await;
    let mut change = commit(id, 1, 1, 7);
    change.summary.status = RunStatus::Failed;
    store.commit(S0, epoch, vec![change], &[]).await.unwrap();
    assert_eq!(refused(&store, &before).await, Refusal::Ended);
    assert_eq!(refused(&store, &claimed(&store, id, "edit").await).await, Refusal::Ended);
}

/// An open call counts with its price, any other with what it cost.
pub async fn a_run_costs_no_more_than_its_budget(subject: impl Subject) {
    let store = subject.store();
    let (_, id) = with_run(&store).await;
    let budget = Money(100);
    let ask = async |step: &str, price: u64| {
        let intent = Intent { price: Money(price), budget: Some(budget), ..claimed(&store, id, step).await };
        store.intent(&intent).await.unwrap()
    };
    let over = |spent| Intended::Refused(Refusal::OverBudget { spent: Money(spent), budget });
    let call = async |step: &str, price: u64| match ask(step, price).await {
        Intended::Granted(call) => call,
        other => panic!("{step}: {other:?}"),
    };
    let a = call("a", 40).await;
    let b = call("b", 40).await;
    assert_eq!(ask("c", 21).await, over(80));
    note(&store, id, &a, submitted("a")).await;
    assert_eq!(ask("c", 21).await, over(80));
    note(&store, id, &a, Fact::Failed { error: error(), cost: Money::ZERO }).await;
    note(&store, id, &b, Fact::Settled { cost: Money(55) }).await;
    assert_eq!(ask("c", 46).await, over(55));
    let c = call("c", 45).await;
    assert_eq!(ask("d", 1).await, over(100));
    note(&store, id, &c, Fact::Released { cost: Money(30) }).await;
    assert_eq!(ask("c", 16).await, over(85));
    let again = call("c", 15).await;
    note(&store, id, &again, Fact::Rejected { error: error() }).await;
    // What turns out to cost more is counted as well, also beyond the budget.
    note(&store, id, &b, Fact::Settled { cost: Money(75) }).await;
    assert_eq!(ask("c", 0).await, over(105));
    let unlimited = claimed(&store, id, "c").await;
    granted(&store, &unlimited).await;
}

/// However the claims and intents of many fall: the last claim holds, and the first intent of a claim that held wins.
pub async fn of_many_who_claim_and_intend_at_once_one_is_granted(subject: impl Subject) {
    let store = subject.store();
    let (_, id) = with_run(&store).await;
    let answers = at_once(100, |_| {
        let store = store.clone();
        async move { store.intent(&claimed(&store, id, "edit").await).await.unwrap() }
    });
    let mut calls = Vec::new();
    for answer in answers.await {
        match answer {
            Intended::Granted(call) => calls.push(call),
            Intended::Open(_) | Intended::Refused(Refusal::Stale) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert_eq!(store.calls(id).await.unwrap(), calls);
}

/// Workers claim, intend, and say what happened, each at its own pace: of each step, one call at most is not closed.
pub async fn no_order_of_events_gives_two_open_calls(subject: impl Subject) {
    const SEEDS: std::ops::Range<u64> = 1..4;
    let store = subject.store();
    let (_, id) = with_run(&store).await;
    for seed in SEEDS {
        at_once(8, |worker| work(store.clone(), id, Random(seed * 1_000 + u64::from(worker)))).await;
    }
    let calls = store.calls(id).await.unwrap();
    for step in STEPS.map(StepPath::top) {
        let mut numbers: Vec<u32> = calls.iter().filter(|call| call.step == step).map(|call| call.number).collect();
        numbers.sort_unstable();
        assert!(!numbers.is_empty() && numbers.iter().zip(1..).all(|(&number, want)| number == want), "{numbers:?}");
        let newest = calls.iter().filter(|call| call.step == step).max_by_key(|call| call.number);
        let others = calls.iter().filter(|call| call.step == step && Some(*call) != newest);
        assert!(others.into_iter().all(|call| call.state.is_closed()), "{calls:?}");
    }
}

/// The steps that workers fight for.
const STEPS: [&str; 3] = ["a", "b", "c"];

/// Claims, intends and tells facts in an order of its own, and looks at what the ledger says each time.
async fn work<S: Store + Ledger>(store: S, id: RunId, mut random: Random) {
    let seed = random.0;
    let mut held: Option<Intent> = None;
    for _ in 0..30 {
        match (random.below(4), &held) {
            // Whoever works on a claim may go on with it long after others have claimed.
            (0 | 1, _) | (_, None) => held = Some(claimed(&store, id, STEPS[random.below(3)]).await),
            (2, Some(intent)) => drop(store.intent(intent).await.unwrap()),
            (_, Some(intent)) => {
                let calls = store.calls(id).await.unwrap();
                let of_step = calls.iter().filter(|call| call.step == intent.step);
                if let Some(call) = of_step.max_by_key(|call| call.number) {
                    store.note(id, &call.id, &random.fact()).await.unwrap();
                }
            }
        }
        let calls = store.calls(id).await.unwrap();
        for step in STEPS.map(StepPath::top) {
            let open: Vec<_> = calls.iter().filter(|call| call.step == step && !call.state.is_closed()).collect();
            assert!(open.len() <= 1, "seed {seed}: {open:?}");
        }
    }
}

/// Also those of other steps.
pub async fn calls_come_in_the_order_in_which_they_were_written_down(subject: impl Subject) {
    let store = subject.store();
    let (_, id) = with_run(&store).await;
    let mut want = Vec::new();
    for step in ["b", "a", "b", "c", "a"] {
        let call = granted(&store, &claimed(&store, id, step).await).await;
        want.push(note(&store, id, &call, Fact::Rejected { error: error() }).await);
        // The clock counts milliseconds.
        let now = store.now().await.unwrap();
        crate::poll::until("the clock goes on", async || {
            subject.pass(Duration(1));
            store.now().await.unwrap() > now.max(call.at)
        })
        .await;
    }
    assert_eq!(store.calls(id).await.unwrap(), want);
}

/// However many the run has, and however many the step had before.
pub async fn a_step_has_its_own_calls_only(subject: impl Subject) {
    let store = subject.store();
    let (_, id) = with_run(&store).await;
    let mut want: Vec<Call> = Vec::new();
    for _ in 0..7 {
        assert_eq!(store.calls_of(id, &StepPath::top("a"), 1).await.unwrap(), want);
        for step in ["b", "a"] {
            let call = granted(&store, &claimed(&store, id, step).await).await;
            let call = note(&store, id, &call, Fact::Rejected { error: error() }).await;
            want.extend((step == "a").then_some(call));
        }
    }
    assert_eq!(store.calls_of(id, &StepPath::top("a"), 1).await.unwrap(), want);
    assert_eq!(store.calls_of(id, &StepPath::top("a"), 9).await.unwrap(), []);
    assert_eq!(store.call(id, &want[5].id).await.unwrap().as_ref(), Some(&want[5]));
    assert_eq!(store.call(id, &CallId::new(id, &StepPath::top("a"), 1, 8)).await.unwrap(), None);
}

/// A source of numbers that is the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        // xorshift64*, which never stands still at a number that is not 0.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    }

    fn fact(&mut self) -> Fact {
        let cost = Money(self.below(3) as u64);
        match self.below(6) {
            0 => submitted("a"),
            1 => submitted("b"),
            2 => Fact::Rejected { error: error() },
            3 => Fact::Failed { error: error(), cost },
            4 => Fact::Released { cost },
            _ => Fact::Cancelled { cost },
        }
    }
}
