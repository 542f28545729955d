//! Steps that the engine performs itself: sleeping, approval, values.

use crate::world::{World, path, picture, pictures};
use darkroom_engine::{Decision, Event, State, What, answers, awaiting, run_document};
use darkroom_proto::{Duration, ErrorClass, Map, RunStatus};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const SLEEP: &str = "steps:\n  - {id: a, uses: sleep, with: {for: 30d}}\n  - {id: b, uses: noop}\n";

const ASK: &str = "inputs:
  photo: {type: image}
  takes: {type: 'image[]'}
steps:
  - id: review
    uses: human.approve
    timeout: 48h
    with:
      title: Publish ${{ inputs.photo.name }}?
      show: ['${{ inputs.photo }}']
      choose: ${{ inputs.takes }}
      ask:
        caption: {type: string, maxLength: 10}
        stars: {type: integer, minimum: 1, maximum: 5, default: 3}
  - {id: after, uses: noop, with: {data: ['${{ steps.review.decision }}', '${{ steps.review.by }}']}}
";

fn asking() -> World {
    let mut world = World::with(ASK, json!({"photo": picture("mug.png"), "takes": pictures(3)}), |_| {});
    world.start();
    world
}

fn decision(approved: bool, answers: Value, choice: Option<u32>) -> Decision {
    let answers = answers.as_object().cloned().unwrap_or_default();
    Decision { key: "k".into(), step: None, approved, answers, choice, by: "ada".into(), note: "nice".into() }
}

fn refusals(world: &World) -> Vec<&str> {
    let refused = |event: &'_ darkroom_engine::Happened| matches!(event.what, What::Refused { .. });
    let events = world.events.iter().filter(|event| refused(event));
    events
        .filter_map(|event| if let What::Refused { reason, .. } = &event.what { Some(reason.as_str()) } else { None })
        .collect()
}

fn look(world: &mut World) {
    world.apply(Event::Looked { lost: BTreeSet::new(), ready: BTreeSet::new() });
}

#[test]
fn a_step_sleeps_until_its_time_and_not_longer() {
    let mut world = World::new(SLEEP);
    world.start();
    let begin = world.now;
    assert_eq!((world.status("a"), world.run_status()), ("waiting", RunStatus::Waiting));
    assert!(world.published.is_empty(), "no worker hears of it");
    let until = begin.after("30d".parse().unwrap());
    assert_eq!(world.run.due(), Some(until), "nobody looks at it before");
    world.now = begin.after("29d".parse().unwrap());
    look(&mut world);
    assert_eq!(world.status("a"), "waiting");
    world.now = until;
    look(&mut world);
    assert_eq!((world.status("a"), world.status("b")), ("completed", "running"));
    assert_eq!(world.get("a").outputs["until"], json!(until.to_string()));
}

#[test]
fn a_sleep_in_the_past_is_over_at_once_and_one_that_is_too_long_is_refused() {
    let text =
        |with: &str| format!("inputs: {{t: {{type: string}}}}\nsteps:\n  - {{id: a, uses: sleep, with: {with}}}\n");
    let run = |with: &str, given: &str| {
        let mut world = World::with(&text(with), json!({ "t": given }), |_| {});
        world.start();
        world
    };
    assert_eq!(run("{until: '${{ inputs.t }}'}", "2001-01-01T00:00:00Z").run_status(), RunStatus::Completed);
    assert_eq!(run("{until: '${{ inputs.t }}'}", "2027-03-01T00:00:00Z").run_status(), RunStatus::Waiting);
    assert_eq!(run("{for: '${{ inputs.t }}'}", "365d").run_status(), RunStatus::Waiting);
    for (with, given, class) in [
        ("{until: '${{ inputs.t }}'}", "2029-01-01T00:00:00Z", ErrorClass::InvalidInput),
        ("{until: '${{ inputs.t }}'}", "tomorrow", ErrorClass::InvalidInput),
        ("{for: '${{ inputs.t }}'}", "366d", ErrorClass::InvalidInput),
        ("{for: '${{ inputs.t }}'}", "soon", ErrorClass::InvalidInput),
        ("{for: '${{ none }}'}", "", ErrorClass::MissingParameter),
    ] {
        let world = run(with, given);
        assert_eq!(world.run_status(), RunStatus::Failed, "{with} {given}");
        assert_eq!(world.get("a").error.as_ref().unwrap().class, class, "{with} {given}");
    }
}

#[test]
fn a_value_is_what_its_expression_gives_and_none_is_one() {
    let text = "steps:
  - {id: a, uses: value, with: {value: '${{ [1, 2] | sum }}'}}
  - {id: n, uses: value, with: {value: '${{ none }}'}}
  - {id: o, uses: value, with: {value: {sum: '${{ steps.a.value + 1 }}', none: '${{ steps.n.value }}'}}}
  - {id: each, for-each: range(3), uses: value, with: {value: '${{ item * 2 }}'}}
outputs:
  all: ${{ steps.each.results | map(attribute='value') | list }}
  o: ${{ steps.o.value }}
";
    let mut world = World::new(text);
    world.finish();
    assert_eq!(world.run_status(), RunStatus::Completed);
    assert!(world.published.is_empty(), "no worker hears of it");
    assert_eq!(Value::Object(world.run.head.outputs.clone()), json!({"all": [0, 2, 4], "o": {"sum": 4, "none": null}}));
}

#[test]
fn an_approval_shows_what_it_asks_and_gives_what_was_answered_by_whom_and_when() {
    let mut world = asking();
    let (step, _, approval) = awaiting(&world.run).next().unwrap();
    assert_eq!((step.as_str(), approval.title.as_str()), ("review", "Publish mug.png?"));
    assert_eq!((approval.show.len(), approval.choose.len()), (1, 3));
    let document = run_document(&world.plan, &world.run);
    let asks = document.steps[0].asks.as_ref().unwrap();
    assert_eq!(asks["deadline"], json!(world.now.after("48h".parse().unwrap()).to_string()));
    world.now = world.now.after(Duration::from_secs(5));
    world.apply(Event::Approve(decision(true, json!({"caption": "a mug"}), Some(2))));
    let outputs = Value::Object(world.get("review").outputs.clone());
    let want = json!({
        "decision": "approved", "answers": {"caption": "a mug", "stars": 3}, "choice": picture("p2.png"),
        "by": "ada", "at": world.now.to_string(), "note": "nice",
    });
    assert_eq!(outputs, want);
    world.play();
    assert_eq!((world.run_status(), world.data("after")), (RunStatus::Completed, json!(["approved", "ada"])));
}

#[test]
fn a_rejection_and_a_time_out_end_the_step_and_the_run_goes_on() {
    let mut world = asking();
    world.apply(Event::Approve(decision(false, json!({}), None)));
    world.play();
    assert_eq!((world.run_status(), world.data("after")), (RunStatus::Completed, json!(["rejected", "ada"])));
    let mut world = asking();
    world.play();
    assert_eq!((world.run_status(), world.data("after")), (RunStatus::Completed, json!(["timed_out", ""])));
}

#[test]
fn what_breaks_the_form_is_refused_recorded_and_changes_nothing() {
    let fine = json!({"caption": "a mug"});
    let cases = [
        (decision(true, json!({}), Some(1)), "`caption` is not answered (--answer caption=…)"),
        (decision(true, json!({"caption": 5}), Some(1)), "answer `caption`: string is wanted, and this is number"),
        (decision(true, json!({"caption": "far too long"}), Some(1)), "answer `caption`: it has at most 10 characters"),
        (decision(false, json!({"stars": 6}), None), "answer `stars`: it is at most 5"),
        (decision(true, json!({"capt": "x"}), Some(1)), "`capt` is not asked; the form has caption, stars"),
        (decision(true, fine.clone(), None), "one of the 3 pictures has to be chosen (--choose N)"),
        (decision(true, fine.clone(), Some(4)), "there is no picture 4; they are numbered from 1 to 3"),
        (decision(true, fine.clone(), Some(0)), "there is no picture 0; they are numbered from 1 to 3"),
        (
            Decision { step: Some(path("after")), ..decision(true, fine, Some(1)) },
            "the step `after` does not wait for a person",
        ),
    ];
    for (given, want) in cases {
        let mut world = asking();
        if given.step.is_none() {
            let (.., approval) = awaiting(&world.run).next().unwrap();
            assert_eq!(answers(approval, &given).unwrap_err(), want);
        }
        world.apply(Event::Approve(given));
        assert_eq!((refusals(&world), world.status("review")), (vec![want], "waiting"));
    }
}

#[test]
fn a_decision_counts_once_and_a_second_one_is_refused() {
    let mut world = asking();
    let first = decision(true, json!({"caption": "one"}), Some(1));
    world.apply(Event::Approve(first.clone()));
    world.apply(Event::Approve(first));
    assert!(refusals(&world).is_empty(), "the same one again is no news");
    world.apply(Event::Approve(Decision { key: "other".into(), ..decision(false, json!({}), None) }));
    assert_eq!(refusals(&world), ["no step waits for a person"]);
    assert_eq!(world.get("review").outputs["decision"], "approved");
}

#[test]
fn which_of_several_steps_is_meant_has_to_be_said() {
    let text = "steps:\n  - {id: x, for-each: range(2), uses: human.approve, with: {title: 'ok ${{ item }}?'}}\n";
    let mut world = World::new(text);
    world.start();
    world.apply(Event::Approve(decision(true, json!({}), None)));
    assert_eq!(refusals(&world), ["several steps wait for a person: name one of them"]);
    for (step, approved) in [("x[2]", true), ("x[1]", false)] {
        let decision = Decision { key: step.into(), step: Some(path(step)), ..decision(approved, json!({}), None) };
        world.apply(Event::Approve(decision));
    }
    assert_eq!(world.run_status(), RunStatus::Completed);
    assert_eq!(world.get("x[1]").outputs["decision"], "rejected");
}

#[test]
fn a_wait_ends_with_what_it_lies_in() {
    let mut world = World::new(
        "steps:\n  - parallel:\n      - {id: a, uses: noop}\n      - {id: b, uses: sleep, with: {for: 1h}}\n",
    );
    world.start();
    world.fail_of("a", ErrorClass::InvalidInput);
    assert_eq!((world.status("b"), world.run_status()), ("cancelled", RunStatus::Failed));
    let mut world = asking();
    world.apply(Event::Cancel { reason: "enough".into() });
    assert_eq!((world.status("review"), world.run_status()), ("cancelled", RunStatus::Cancelled));
    assert!(world.get("review").held.is_none() && world.run.due().is_none());
}

#[test]
fn a_resume_from_a_wait_waits_anew() {
    let mut world = World::new(SLEEP);
    world.finish();
    let ended = world.now;
    world.published.clear();
    world.apply(Event::Resume { from: Some(path("a")), set: Map::new() });
    assert_eq!(world.get("a").state, State::Held { until: Some(ended.after("30d".parse().unwrap())) });
    world.play();
    assert_eq!((world.run_status(), world.published.as_slice()), (RunStatus::Completed, &["b@2.1".to_owned()][..]));
}
