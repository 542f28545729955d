//! Schedules: times by the clock of a zone, and what is decided about each.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use darkroom_engine::schedule::{
    BUFFER_MAX, Calendar, Decision, End, Overlap, Paused, Rhythm, Rule, ScheduleState, Timing, Zone, decide,
};
use darkroom_proto::{Duration, ScheduleId, Timestamp};
use jiff::tz::TimeZone;
use proptest::prelude::*;

fn timing(cron: &str, zone: &str) -> Timing {
    Timing { rhythm: Rhythm::Cron(cron.into()), timezone: zone.into(), start: None, end: None, jitter: Duration(0) }
}

fn at(text: &str) -> Timestamp {
    Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond() as u64)
}

fn times(calendar: &Calendar, after: &str, count: usize) -> Vec<String> {
    let zone: Zone = calendar.zone().clone();
    let mut now = at(after);
    let mut shown = Vec::new();
    while let (true, Some(next)) = (shown.len() < count, calendar.next(now)) {
        shown.push(zone.show(next));
        now = next;
    }
    shown
}

#[test]
fn cron_lines_give_the_times_that_they_say() {
    let cases: &[(&str, &str, &[&str])] = &[
        ("30 3 * * 1-5", "2026-11-27T12:00:00Z", &["2026-11-30 03:30:00 +00:00", "2026-12-01 03:30:00 +00:00"]),
        ("*/20 * * * *", "2026-11-27T12:00:00Z", &["2026-11-27 12:20:00 +00:00", "2026-11-27 12:40:00 +00:00"]),
        ("0 0 29 2 *", "2026-01-01T00:00:00Z", &["2028-02-29 00:00:00 +00:00", "2032-02-29 00:00:00 +00:00"]),
        ("0 12 L * *", "2026-01-31T12:00:00Z", &["2026-02-28 12:00:00 +00:00", "2026-03-31 12:00:00 +00:00"]),
        ("0 9 * * mon#2", "2026-11-01T00:00:00Z", &["2026-11-09 09:00:00 +00:00", "2026-12-14 09:00:00 +00:00"]),
        ("0 9 * * 5L", "2026-11-01T00:00:00Z", &["2026-11-27 09:00:00 +00:00", "2026-12-25 09:00:00 +00:00"]),
        // Both day fields say something: either is enough.
        ("0 0 13 * 5", "2026-11-06T12:00:00Z", &["2026-11-13 00:00:00 +00:00", "2026-11-20 00:00:00 +00:00"]),
        ("0 0 1 jan,JUL *", "2026-11-06T12:00:00Z", &["2027-01-01 00:00:00 +00:00", "2027-07-01 00:00:00 +00:00"]),
        ("0 0 * * 7", "2026-11-27T12:00:00Z", &["2026-11-29 00:00:00 +00:00"]),
        ("@weekly", "2026-11-27T12:00:00Z", &["2026-11-29 00:00:00 +00:00"]),
    ];
    for (line, after, wanted) in cases {
        let calendar = timing(line, "UTC").calendar().unwrap();
        assert_eq!(times(&calendar, after, wanted.len()), *wanted, "{line}");
    }
}

#[test]
fn a_time_that_is_jumped_over_is_the_jump_and_one_that_comes_twice_counts_once() {
    let cases: &[(&str, &str, &str, &[&str])] = &[
        // The clock jumps from 02:00 to 03:00.
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-03-28T00:00:00Z",
            &["2026-03-28 02:30:00 +01:00", "2026-03-29 03:00:00 +02:00", "2026-03-30 02:30:00 +02:00"],
        ),
        // Several that are jumped over are one, and so is one that is due at the jump anyway.
        (
            "15,45 2,3 * * *",
            "Europe/Berlin",
            "2026-03-29T00:00:00Z",
            &["2026-03-29 03:00:00 +02:00", "2026-03-29 03:15:00 +02:00", "2026-03-29 03:45:00 +02:00"],
        ),
        // The clock is put back from 03:00 to 02:00.
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-10-24T12:00:00Z",
            &["2026-10-25 02:30:00 +02:00", "2026-10-26 02:30:00 +01:00"],
        ),
        (
            "30 1 * * *",
            "America/New_York",
            "2026-10-31T12:00:00Z",
            &["2026-11-01 01:30:00 -04:00", "2026-11-02 01:30:00 -05:00"],
        ),
        (
            "30 2 * * *",
            "America/New_York",
            "2026-03-08T00:00:00Z",
            &["2026-03-08 03:00:00 -04:00", "2026-03-09 02:30:00 -04:00"],
        ),
        // Half an hour: 02:00 to 02:30 is jumped over, 01:30 to 02:00 comes twice.
        (
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03T10:00:00Z",
            &["2026-10-04 02:30:00 +11:00", "2026-10-05 02:15:00 +11:00"],
        ),
        (
            "45 1 * * *",
            "Australia/Lord_Howe",
            "2026-04-04T10:00:00Z",
            &["2026-04-05 01:45:00 +11:00", "2026-04-06 01:45:00 +10:30"],
        ),
        // What comes every hour goes on through the hour that is repeated.
        (
            "*/30 * * * *",
            "Europe/Berlin",
            "2026-10-25T00:00:00Z",
            &[
                "2026-10-25 02:30:00 +02:00",
                "2026-10-25 02:00:00 +01:00",
                "2026-10-25 02:30:00 +01:00",
                "2026-10-25 03:00:00 +01:00",
            ],
        ),
        ("30 2 * * *", "UTC", "2026-03-28T12:00:00Z", &["2026-03-29 02:30:00 +00:00", "2026-03-30 02:30:00 +00:00"]),
    ];
    for (line, zone, after, wanted) in cases {
        let calendar = timing(line, zone).calendar().unwrap();
        assert_eq!(times(&calendar, after, wanted.len()), *wanted, "{line} {zone}");
    }
}

#[test]
fn a_time_zone_that_is_not_there_is_suggested() {
    for (name, wanted) in
        [("Europe/Berln", "Europe/Berlin"), ("Berlin", "Europe/Berlin"), ("new york", "America/New_York")]
    {
        let error = name.parse::<Zone>().unwrap_err();
        assert_eq!(error.help, format!("did you mean `{wanted}`?"), "{name}");
    }
}

/// Whether a cron line of plain fields fires at a minute of real time: by looking at the clock before and after it.
fn fires(fields: &[Vec<i8>; 2], zone: &TimeZone, minute: i64) -> bool {
    let clock = |minute: i64| zone.to_datetime(jiff::Timestamp::from_second(minute * 60).unwrap());
    let (now, before) = (clock(minute), clock(minute - 1));
    let [minutes, hours] = fields;
    let says = |at: jiff::civil::DateTime| minutes.contains(&at.minute()) && hours.contains(&at.hour());
    let every_hour = hours.len() == 24;
    // Shown before: within the last three hours of real time.
    let repeated = (1..=180).any(|back| clock(minute - back) == now);
    if says(now) && (every_hour || !repeated) {
        return true;
    }
    // The clock jumped: whatever lies between is now.
    let mut skipped = before.checked_add(jiff::Span::new().minutes(1)).unwrap();
    while skipped < now {
        if says(skipped) {
            return true;
        }
        skipped = skipped.checked_add(jiff::Span::new().minutes(1)).unwrap();
    }
    false
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn the_next_time_is_the_one_that_is_found_minute_by_minute(
        minutes in proptest::collection::btree_set(0i8..60, 1..4),
        hours in prop_oneof![
            proptest::collection::btree_set(0i8..24, 1..5),
            Just((0i8..24).collect()),
        ],
        zone in prop_oneof![
            Just("Europe/Berlin"), Just("America/New_York"), Just("Australia/Lord_Howe"), Just("UTC"),
            Just("Asia/Kathmandu"), Just("America/St_Johns"),
        ],
        // Days around a change of the clock, and any others.
        day in prop_oneof![
            Just("2026-03-28"), Just("2026-10-24"), Just("2026-03-07"), Just("2026-10-31"), Just("2026-04-04"),
            Just("2026-10-03"), Just("2026-07-15"),
        ],
        offset in 0i64..2_000,
    ) {
        let list = |values: &std::collections::BTreeSet<i8>| values.iter().map(i8::to_string).collect::<Vec<_>>().join(",");
        let line = format!("{} {} * * *", list(&minutes), list(&hours));
        let fields = [minutes.into_iter().collect(), hours.into_iter().collect::<Vec<i8>>()];
        let tz = TimeZone::get(zone).unwrap_or_else(|_| jiff::tz::TimeZoneDatabase::bundled().get(zone).unwrap());
        let first = at(&format!("{day}T00:00:00Z")).0 as i64 / 60_000 + offset;
        let wanted = (first + 1..first + 5_000).find(|minute| fires(&fields, &tz, *minute)).unwrap();
        let calendar = timing(&line, zone).calendar().unwrap();
        let found = calendar.next(Timestamp(first as u64 * 60_000)).unwrap();
        prop_assert_eq!(found, Timestamp(wanted as u64 * 60_000), "{} {}", line, zone);
    }
}

fn id() -> ScheduleId {
    "nightly".parse().unwrap()
}

/// A schedule of one run every 10 seconds that was made at 0.
fn rule(overlap: Overlap, catch_up: u64) -> (Rule, Calendar, ScheduleState) {
    let rhythm = Rhythm::Every(Duration(10_000));
    let timing = Timing { rhythm, timezone: "UTC".into(), start: None, end: None, jitter: Duration(0) };
    let calendar = timing.calendar().unwrap();
    (Rule { timing, overlap, catch_up: Duration(catch_up) }, calendar, ScheduleState::new(Timestamp(0)))
}

fn fired(decision: &Decision) -> Vec<u64> {
    decision.state.firing.iter().map(|fire| fire.at.0 / 1_000).collect()
}

/// What was decided is done.
fn done(decision: Decision) -> ScheduleState {
    let mut state = decision.state;
    state.firing.clear();
    state.ending.clear();
    state
}

#[test]
fn each_overlap_policy_does_what_its_word_says() {
    // What fires at 20 s, while the run of 10 s goes on; what waits then; whether that run is ended; what fires at 30 s,
    // when it has ended by itself or so.
    type Case = (Overlap, &'static [u64], &'static [u64], Option<bool>, &'static [u64], u64);
    let cases: [Case; 6] = [
        (Overlap::Skip, &[], &[], None, &[30], 1),
        (Overlap::BufferOne, &[], &[20], None, &[20], 0),
        (Overlap::BufferAll, &[], &[20], None, &[20], 0),
        (Overlap::CancelOther, &[], &[20], Some(false), &[30], 1),
        (Overlap::TerminateOther, &[20], &[], Some(true), &[30], 0),
        (Overlap::AllowAll, &[20], &[], None, &[30], 0),
    ];
    for (overlap, at_20, waiting, ends, at_30, skipped) in cases {
        let (rule, calendar, state) = rule(overlap, 60_000);
        let first = decide(&id(), &rule, &calendar, &state, Timestamp(10_000));
        assert_eq!((fired(&first), first.due), (vec![10], Some(Timestamp(20_000))), "{overlap}");
        let state = done(first);
        let second = decide(&id(), &rule, &calendar, &state, Timestamp(20_000));
        assert_eq!(fired(&second), at_20, "{overlap}");
        let buffer: Vec<u64> = second.state.buffer.iter().map(|at| at.0 / 1_000).collect();
        assert_eq!(buffer, waiting, "{overlap}");
        let run = id().run_at(Timestamp(10_000));
        let wanted: Vec<End> =
            ends.map(|terminate| End { run, at: Timestamp(20_000), terminate }).into_iter().collect();
        assert_eq!(second.state.ending, wanted, "{overlap}");
        let mut state = done(second);
        state.running.clear();
        let third = decide(&id(), &rule, &calendar, &state, Timestamp(30_000));
        // The buffers start what has waited first; what is due now waits behind it.
        let waits = matches!(overlap, Overlap::BufferOne | Overlap::BufferAll);
        match overlap {
            Overlap::CancelOther => assert_eq!(fired(&third), at_30, "{overlap}: the newest time takes the place"),
            _ => assert_eq!(fired(&third), at_30, "{overlap}"),
        }
        assert_eq!(third.state.buffer.len(), usize::from(waits), "{overlap}");
        assert_eq!(third.state.skipped, skipped, "{overlap}");
    }
}

#[test]
fn buffer_one_keeps_one_time_and_buffer_all_every_one_up_to_its_limit() {
    for (overlap, kept, skipped) in [(Overlap::BufferOne, 1, 4), (Overlap::BufferAll, 5, 0)] {
        let (rule, calendar, mut state) = rule(overlap, 600_000);
        state.running.push(id().run_at(Timestamp(0)));
        let decision = decide(&id(), &rule, &calendar, &state, Timestamp(50_000));
        assert_eq!((decision.state.buffer.len(), decision.state.skipped), (kept, skipped), "{overlap}");
        assert_eq!(decision.due, Some(Timestamp(51_000)), "it is looked again soon whether the run has ended");
    }
    let (rule, calendar, mut state) = rule(Overlap::BufferAll, 1_000_000_000);
    state.running.push(id().run_at(Timestamp(0)));
    let decision = decide(&id(), &rule, &calendar, &state, Timestamp(10_000 * (BUFFER_MAX as u64 + 7)));
    assert_eq!((decision.state.buffer.len(), decision.state.skipped), (BUFFER_MAX, 7));
}

#[test]
fn after_an_outage_the_times_in_the_window_fire_and_earlier_ones_are_missed() {
    for (catch_up, fires, missed) in
        [(60_000, vec![940, 950, 960, 970, 980, 990, 1_000], 93), (0, vec![990, 1_000], 98)]
    {
        let (rule, calendar, state) = rule(Overlap::AllowAll, catch_up);
        let decision = decide(&id(), &rule, &calendar, &state, Timestamp(1_000_000));
        assert_eq!((fired(&decision), decision.state.missed), (fires, missed), "{catch_up}");
    }
    // Years of seconds are jumped over rather than counted.
    let (rule, calendar, state) = rule(Overlap::Skip, 60_000);
    let decision = decide(&id(), &rule, &calendar, &state, Timestamp(400_000_000_000));
    assert_eq!(fired(&decision).len(), 1);
    assert!(decision.state.missed >= 10_000);
}

#[test]
fn many_times_at_once_fire_in_several_decisions() {
    let (rule, calendar, state) = rule(Overlap::AllowAll, 10_000_000);
    let now = Timestamp(2_500_000);
    let (mut state, mut all) = (state, Vec::new());
    for wanted in [100, 100, 50] {
        let decision = decide(&id(), &rule, &calendar, &state, now);
        assert_eq!(decision.state.firing.len(), wanted);
        assert_eq!(decision.due == Some(now), wanted == 100);
        all.extend(fired(&decision));
        state = done(decision);
    }
    assert_eq!(all, (1..=250).map(|number| number * 10).collect::<Vec<_>>());
}

#[test]
fn jitter_follows_from_schedule_and_time_and_keeps_the_order() {
    let mut timing = timing("*/10 * * * *", "UTC");
    timing.jitter = Duration(3_600_000);
    let calendar = timing.calendar().unwrap();
    let (mut now, mut last, mut delays) = (at("2026-11-27T00:00:00Z"), Timestamp(0), std::collections::BTreeSet::new());
    for _ in 0..200 {
        now = calendar.next(now).unwrap();
        let due = calendar.due(&id(), now);
        assert_eq!(due, calendar.due(&id(), now));
        assert!(due >= now && due > last && due.since(now) < Duration(600_000));
        delays.insert(due.since(now).0);
        last = due;
    }
    assert!(delays.len() > 150, "they differ");
    let other: ScheduleId = "other".parse().unwrap();
    assert_ne!(calendar.due(&id(), now), calendar.due(&other, now));
}

#[test]
fn a_time_with_jitter_fires_only_when_it_is_due_and_is_named_by_its_time() {
    let (mut rule, _, state) = rule(Overlap::Skip, 60_000);
    rule.timing.jitter = Duration(10_000);
    let calendar = rule.timing.calendar().unwrap();
    let due = calendar.due(&id(), Timestamp(10_000));
    let early = decide(&id(), &rule, &calendar, &state, Timestamp(due.0 - 1));
    assert_eq!((fired(&early), early.due), (vec![], Some(due)));
    let decision = decide(&id(), &rule, &calendar, &state, due);
    assert_eq!(decision.state.firing[0].run, id().run_at(Timestamp(10_000)));
}

#[test]
fn start_and_end_bound_the_times() {
    let (mut rule, _, state) = rule(Overlap::AllowAll, 600_000);
    rule.timing.start = Some(Timestamp(35_000));
    rule.timing.end = Some(Timestamp(60_000));
    let calendar = rule.timing.calendar().unwrap();
    let decision = decide(&id(), &rule, &calendar, &state, Timestamp(100_000));
    assert_eq!((fired(&decision), decision.due), (vec![35, 45, 55], None), "a period counts from the start");
}

#[test]
fn a_paused_schedule_fires_nothing_and_does_not_catch_up_afterwards() {
    let (rule, calendar, mut state) = rule(Overlap::Skip, 600_000);
    state.paused = Some(Paused { reason: "maintenance".into(), at: Timestamp(5_000) });
    let decision = decide(&id(), &rule, &calendar, &state, Timestamp(100_000));
    assert_eq!((fired(&decision), decision.due), (vec![], None));
    let mut state = decision.state;
    state.unpause(Timestamp(105_000));
    let decision = decide(&id(), &rule, &calendar, &state, Timestamp(105_000));
    assert_eq!((fired(&decision), decision.due, decision.state.missed), (vec![], Some(Timestamp(110_000)), 0));
}

#[test]
fn times_that_wait_start_one_after_the_other() {
    let (mut rule, _, mut state) = rule(Overlap::Skip, 600_000);
    rule.timing.end = Some(Timestamp(1));
    let calendar = rule.timing.calendar().unwrap();
    state.buffer = vec![Timestamp(3_000), Timestamp(4_000)];
    let first = decide(&id(), &rule, &calendar, &state, Timestamp(100_000));
    assert_eq!((fired(&first), first.state.buffer.len(), first.due), (vec![3], 1, Some(Timestamp(101_000))));
    let mut state = done(first);
    state.running.clear();
    let second = decide(&id(), &rule, &calendar, &state, Timestamp(101_000));
    assert_eq!((fired(&second), second.due), (vec![4], None));
    rule.overlap = Overlap::AllowAll;
    state.buffer = vec![Timestamp(3_000), Timestamp(4_000)];
    assert_eq!(fired(&decide(&id(), &rule, &calendar, &state, Timestamp(100_000))), [3, 4], "or all at once");
}

proptest! {
    #[test]
    fn whatever_the_moments_of_deciding_no_time_fires_twice_and_each_is_accounted_for(
        steps in proptest::collection::vec((1u64..40_000, any::<bool>()), 1..60),
        overlap in proptest::sample::select(Overlap::ALL.to_vec()),
    ) {
        let (rule, calendar, mut state) = rule(overlap, 30_000);
        let (mut now, mut started) = (0, std::collections::BTreeSet::new());
        for (pass, ends) in steps {
            now += pass;
            if ends {
                state.running.clear();
            }
            let decision = decide(&id(), &rule, &calendar, &state, Timestamp(now));
            prop_assert_eq!(&decision, &decide(&id(), &rule, &calendar, &state, Timestamp(now)));
            for fire in &decision.state.firing {
                prop_assert!(fire.at.0 <= now && started.insert(fire.at), "{} fires twice", fire.at);
            }
            state = done(decision);
        }
        let waiting = state.buffer.len() as u64;
        prop_assert_eq!(state.fired, started.len() as u64);
        prop_assert_eq!(state.fired + state.skipped + state.missed + waiting, state.cursor.0 / 10_000);
    }
}
