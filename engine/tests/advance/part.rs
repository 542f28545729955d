//! Wide fan-outs in parts: the parts are runs of their own, and nobody who looks at the whole can tell.

use crate::world::{World, error, path};
use darkroom_engine::{
    Again, ChildStart, Event, Origin, Parent, Run, Spec, State, Wanted, lies_in, pages_of, recorded, run_document,
    step_document,
};
use darkroom_proto::{ErrorClass, Map, Money, Outcome, Report, RunId, RunStatus, StepCost, StepPath, Succeeded};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How many instances a run has at most here.
const SIZE: u32 = 10;

/// A run with its parts, those of its parts included.
struct Family {
    root: World,
    parts: BTreeMap<RunId, World>,
    /// Which run each was a part of.
    parents: BTreeMap<RunId, RunId>,
    /// Steps that fail, whichever run does them.
    faults: Vec<(&'static str, u32, ErrorClass)>,
    /// The messages of all parts.
    published: Vec<String>,
    /// The most parts that ran at once.
    at_once: usize,
}

impl Family {
    fn new(text: &str, faults: &[(&'static str, u32, ErrorClass)]) -> Family {
        Family::with(text, faults, |_| {})
    }

    fn with(text: &str, faults: &[(&'static str, u32, ErrorClass)], change: impl FnOnce(&mut Spec)) -> Family {
        let mut root = World::with(text, json!({}), change);
        root.run.divide_over(SIZE);
        let (parts, parents) = (BTreeMap::new(), BTreeMap::new());
        Family { root, parts, parents, faults: faults.to_vec(), published: Vec::new(), at_once: 0 }
    }

    fn start(mut self) -> Family {
        self.root.start();
        self.go();
        self
    }

    /// Everybody does what can be done.
    fn go(&mut self) {
        self.root.play();
        loop {
            let running = self.parts.values().filter(|part| !part.run_status().is_terminal()).count();
            self.at_once = self.at_once.max(running);
            let mut starts: Vec<ChildStart> = std::mem::take(&mut self.root.children);
            starts.extend(self.parts.values_mut().flat_map(|part| std::mem::take(&mut part.children)));
            if starts.is_empty() && !self.let_one_end() {
                self.root.finish();
                if self.root.children.is_empty() {
                    return;
                }
            }
            for start in starts {
                self.start_part(start);
            }
        }
    }

    fn start_part(&mut self, start: ChildStart) {
        let earlier = start.earlier.and_then(|earlier| self.parts.get(&earlier));
        let taken = earlier.map(|earlier| (earlier.run.id, recorded(&earlier.plan, &earlier.run, Again::Fork, None)));
        match self.parts.get_mut(&start.run) {
            Some(part) => match start.wanted {
                Wanted::Cancelled => drop(part.apply(Event::Cancel { reason: "unwanted".into() })),
                Wanted::Paused => drop(part.apply(Event::Pause { reason: "paused".into() })),
                Wanted::Running => drop(part.apply(Event::Resume { from: None, set: Map::new() })),
            },
            None if start.wanted == Wanted::Cancelled => self.tell(start.failed(error(ErrorClass::Cancelled))),
            None => {
                let mut spec = start.spec.clone();
                if let Some((run, recorded)) = taken {
                    spec.recorded = recorded;
                    spec.origin = Some(Origin { run, how: Again::Fork, from: None });
                }
                let mut part = World::of(self.root.plan.clone(), json!({}), |_| {});
                // As it comes back from the store.
                let spec: Spec = serde_json::from_value(serde_json::to_value(spec).unwrap()).unwrap();
                part.run = Run::new(start.run, Arc::new(spec));
                part.run.divide_over(SIZE);
                for (path, attempts, class) in &self.faults {
                    part = part.fault(path, *attempts, *class);
                }
                part.start();
                self.parents.insert(start.run, start.parent.run);
                self.parts.insert(start.run, part);
            }
        }
    }

    /// The first part that has work is played to its end, and tells it. False: there is none.
    fn let_one_end(&mut self) -> bool {
        let open = self.parts.iter_mut().filter(|(_, part)| !part.run_status().is_terminal() || !part.told.is_empty());
        let ended = open.into_iter().find_map(|(id, part)| {
            part.play();
            (!part.told.is_empty()).then_some(*id)
        });
        let Some(part) = ended.and_then(|id| self.parts.get_mut(&id)) else { return false };
        part.reload();
        part.run.divide_over(SIZE);
        self.published.append(&mut part.published);
        for report in std::mem::take(&mut part.told) {
            self.tell(report);
        }
        true
    }

    fn tell(&mut self, report: Report) {
        let parent = self.parts.get_mut(&report.run).unwrap_or(&mut self.root);
        // Told twice is told once.
        parent.apply(Event::Report(report.clone()));
        parent.apply(Event::Report(report));
        parent.play();
    }

    fn data(&self, step: &str) -> Value {
        self.root.data(step)
    }

    fn items(&self, step: &str) -> (u32, u32, u32, u32) {
        let items = self.root.get(step).fan.as_ref().unwrap().items();
        (items.total, items.completed, items.skipped, items.failed)
    }
}

fn fan(items: u32, more: &str) -> String {
    format!(
        "steps:\n  - {{id: x, for-each: range({items}), uses: noop, with: {{data: '${{{{ item * 2 }}}}'}}{more}}}\n  \
         - {{id: all, uses: noop, with: {{data: '${{{{ steps.x.results }}}}'}}}}\n  \
         - {{id: counts, uses: noop, with: {{data: [\"${{{{ steps.x.total }}}}\", \"${{{{ steps.x.failed }}}}\"]}}}}\n"
    )
}

/// The results of the same workflow in one run.
fn whole(text: &str, faults: &[(&'static str, u32, ErrorClass)]) -> World {
    let mut world = World::new(text);
    for (path, attempts, class) in faults {
        world = world.fault(path, *attempts, *class);
    }
    world.start();
    world.finish();
    world
}

#[test]
fn results_are_those_of_one_run_in_item_order() {
    for items in [11, 25, 30] {
        let text = fan(items, ", tolerate: 3");
        let faults = [("x[3]", 9, ErrorClass::InvalidInput), ("x[11]", 9, ErrorClass::WorkflowError)];
        let family = Family::new(&text, &faults).start();
        let one = whole(&text, &faults);
        assert_eq!(family.root.run_status(), RunStatus::Completed);
        assert_eq!(family.parts.len() as u32, items.div_ceil(SIZE));
        assert_eq!(family.data("all"), one.data("all"));
        assert_eq!(family.data("counts"), json!([items, 2]));
        assert_eq!(family.root.run.head.tolerated, one.run.head.tolerated, "what the exit code follows from");
        assert_eq!(family.items("x"), (items, items - 2, 0, 2));
        assert_eq!(family.root.run.steps.len(), one.run.steps.len() - items as usize + family.parts.len());
    }
}

#[test]
fn a_fan_out_that_is_not_wide_or_looks_at_itself_is_one_run() {
    for text in [
        fan(10, ""),
        fan(25, ", stop-when: 'steps.x.completed > 30'"),
        "steps:\n  - {id: x, for-each: range(25), steps: [{id: a, uses: noop, on-cancel: [{id: b, uses: noop}]}]}"
            .to_owned(),
        "steps:\n  - {id: x, for-each: range(25), steps: [{id: a, uses: human.approve, with: {title: ok}}]}".to_owned(),
    ] {
        let family = Family::new(&text, &[]).start();
        assert!(family.parts.is_empty(), "{text}");
    }
}

#[test]
fn failures_are_tolerated_of_the_whole() {
    let bad = |numbers: &'static [&'static str]| -> Vec<_> {
        numbers.iter().map(|path| (*path, 9, ErrorClass::InvalidInput)).collect()
    };
    let cases: [(&str, &[&str], RunStatus); 6] = [
        ("", &["x[12]"], RunStatus::Failed),
        (", tolerate: 1", &["x[12]"], RunStatus::Completed),
        (", tolerate: 1", &["x[2]", "x[12]"], RunStatus::Failed),
        // A tenth of 30 is three, of a part it would be one.
        (", tolerate: 10%", &["x[11]", "x[12]", "x[13]"], RunStatus::Completed),
        (", tolerate: 10%", &["x[1]", "x[11]", "x[21]", "x[30]"], RunStatus::Failed),
        (", continue-on-error: true", &["x[1]", "x[2]", "x[12]"], RunStatus::Completed),
    ];
    for (more, failing, status) in cases {
        let family = Family::new(&fan(30, more), &bad(failing)).start();
        assert_eq!(family.root.run_status(), status, "{more} {failing:?}");
        if status == RunStatus::Failed {
            let failure = family.root.failure();
            assert!(failing.contains(&failure.0.as_str()), "{more}: {failure:?}");
        }
    }
}

#[test]
fn a_failure_calls_off_the_other_parts_and_a_resume_does_only_what_is_missing() {
    // In the part that is played first, so that there is something left to call off.
    let mut family = Family::new(&fan(30, ""), &[]);
    family.root.start();
    let first = family.root.children.iter().min_by_key(|start| start.run).map(|start| start.parent.path.clone());
    let bad = match first.unwrap().as_str() {
        "x[1-10]" => "x[2]",
        "x[11-20]" => "x[12]",
        _ => "x[22]",
    };
    let mut family = Family::new(&fan(30, ""), &[(bad, 1, ErrorClass::InvalidInput)]).start();
    assert_eq!(family.root.run_status(), RunStatus::Failed);
    let (total, completed, skipped, failed) = family.items("x");
    assert_eq!((total, skipped, failed), (30, 0, 1), "what was called off has not failed");
    let done: u32 = family.parts.values().map(|part| part.get("x").fan.as_ref().unwrap().completed).sum();
    assert_eq!(completed, done, "what was done before counts");
    let statuses = family.root.statuses();
    let cancelled = statuses.iter().filter(|(path, status)| path.contains('-') && **status == "cancelled").count();
    assert!(cancelled > 0, "{statuses:?}");
    let before: BTreeSet<String> = family.published.drain(..).collect();
    family.faults.clear();
    family.root.apply(Event::Resume { from: None, set: Map::new() });
    family.go();
    assert_eq!(family.root.run_status(), RunStatus::Completed, "{:?}", family.root.run.head.failure);
    let (total, completed, kept, failed) = family.items("x");
    assert_eq!((total, completed + kept, failed), (30, 30, 0));
    let values =
        |data: &Value| data.as_array().unwrap().iter().map(|result| result["data"].clone()).collect::<Vec<_>>();
    assert_eq!(values(&family.data("all")), values(&whole(&fan(30, ""), &[]).data("all")));
    let done: BTreeSet<&str> =
        before.iter().map(|message| message.split('@').next().unwrap()).filter(|path| *path != bad).collect();
    let again: Vec<&String> =
        family.published.iter().filter(|message| done.contains(message.split('@').next().unwrap())).collect();
    assert!(!done.is_empty() && again.is_empty(), "{again:?} was done before");
}

#[test]
fn a_resume_of_a_run_that_completed_does_what_failed_and_was_tolerated() {
    let faults = [("x[3]", 1, ErrorClass::InvalidInput), ("x[24]", 1, ErrorClass::InvalidInput)];
    let mut family = Family::new(&fan(25, ", tolerate: 5"), &faults).start();
    assert_eq!((family.root.run_status(), family.items("x")), (RunStatus::Completed, (25, 23, 0, 2)));
    family.published.clear();
    family.faults.clear();
    family.root.apply(Event::Resume { from: None, set: Map::new() });
    family.go();
    assert_eq!((family.root.run_status(), family.items("x")), (RunStatus::Completed, (25, 12, 13, 0)));
    family.published.sort();
    assert_eq!(family.published, ["x[24]@1.1", "x[3]@1.1"]);
}

#[test]
fn a_rerun_takes_what_the_parts_of_the_run_before_gave() {
    let family = Family::new(&fan(25, ""), &[]).start();
    let recorded = recorded(&family.root.plan, &family.root.run, Again::Rerun, None);
    let origin = Origin { run: family.root.run.id, how: Again::Rerun, from: None };
    let mut again = Family::with(&fan(25, ""), &[], |spec| {
        spec.recorded = recorded;
        spec.origin = Some(origin);
    });
    again.root.run.id = RunId::from_key("tenant", "another");
    again.parts = family.parts;
    let again = again.start();
    assert_eq!(again.root.run_status(), RunStatus::Completed);
    assert!(again.published.is_empty(), "{:?}", again.published);
    assert_eq!(again.data("all").as_array().unwrap().len(), 25);
}

#[test]
fn max_parallel_holds_over_all_parts() {
    for (max, parts) in [(1, 1), (3, 3), (40, 16)] {
        let mut family = Family::new(&fan(300, &format!(", max-parallel: {max}")), &[]);
        family.root.start();
        let starts = family.root.children.clone();
        assert_eq!(starts.len(), parts, "max-parallel: {max}");
        let each = starts.iter().filter_map(|start| start.spec.part.as_ref()?.max_parallel);
        assert!(each.clone().all(|each| each >= 1) && each.sum::<u32>() <= max, "max-parallel: {max}");
        family.go();
        assert_eq!(family.root.run_status(), RunStatus::Completed);
        assert!(family.at_once <= parts);
    }
}

#[test]
fn instances_see_what_is_outside_their_part() {
    let text = "workflow: test
inputs:
  prefix: {type: string, default: mug}
  letters: {type: json, default: [a, b]}
steps:
  - {id: first, uses: noop, with: {data: 7}}
  - {id: few, for-each: '[1, 2]', uses: noop, with: {data: '${{ item }}'}}
  - id: outer
    for-each: inputs.letters
    steps:
      - {id: own, uses: noop, with: {data: '${{ item }}'}}
      - id: inner
        for-each: range(12)
        matrix: {size: [1, 2]}
        uses: noop
        with:
          data: \"${{ inputs.prefix }} ${{ steps.first.data }} ${{ steps.few.ok | length }} ${{ steps.own.data }} ${{ number }} ${{ matrix.size }} ${{ run.id }}\"
      - {id: last, uses: noop, with: {data: '${{ steps.inner.results | map(attribute=\"data\") | list }}'}}
";
    let family = Family::new(text, &[]).start();
    assert_eq!(family.root.run_status(), RunStatus::Completed, "{:?}", family.root.run.head.failure);
    let one = whole(text, &[]);
    for outer in ["outer[1]/last", "outer[2]/last"] {
        assert_eq!(family.data(outer), one.data(outer));
    }
    assert_eq!(family.parts.len(), 6, "24 instances each");
    let part = family.parts.values().next().unwrap();
    assert_eq!(
        part.run.spec.inputs.keys().collect::<Vec<_>>(),
        ["prefix"],
        "what nobody reads there is not carried along"
    );
}

#[test]
fn branches_of_the_fan_out_are_the_parents_and_those_inside_are_the_parts() {
    let text = "steps:
  - id: x
    for-each: range(25)
    tolerate: 1
    steps:
      - {id: a, uses: noop, with: {data: '${{ item }}'}, on-error: [{id: mend, uses: noop, with: {data: '${{ error.step }}'}}]}
      - {id: b, uses: noop, with: {data: 1}}
    on-error:
      - {id: notify, uses: noop, with: {data: '${{ error.step }}'}}
";
    let bad = ErrorClass::InvalidInput;
    let family = Family::new(text, &[("x[2]/a", 9, bad), ("x[12]/b", 9, bad), ("x[13]/b", 9, bad)]).start();
    assert_eq!(family.root.run_status(), RunStatus::Completed);
    assert_eq!(family.data("x/on-error/notify"), json!("x[13]/b"));
    let mended = family.parts.values().find_map(|part| part.run.step(&path("x[2]/a/on-error/mend")));
    assert_eq!(mended.unwrap().outputs["data"], json!("x[2]/a"));
    assert!(family.parts.values().all(|part| part.run.step(&path("x/on-error")).is_none()));
}

#[test]
fn a_cancelled_run_cancels_its_parts() {
    let mut family = Family::new(&fan(300, ", max-parallel: 3"), &[]);
    family.root.start();
    for start in std::mem::take(&mut family.root.children) {
        family.start_part(start);
    }
    family.root.apply(Event::Cancel { reason: "by hand".into() });
    for start in std::mem::take(&mut family.root.children) {
        assert_eq!(start.wanted, Wanted::Cancelled);
        family.start_part(start);
    }
    family.go();
    assert_eq!(family.root.run_status(), RunStatus::Cancelled);
    assert!(family.parts.values().all(|part| part.run_status() == RunStatus::Cancelled));
    assert_eq!(family.parts.len(), 3);
}

#[test]
fn a_part_whose_start_may_be_lost_is_started_again_and_only_once() {
    let mut family = Family::new(&fan(25, ""), &[]);
    family.root.start();
    let starts = std::mem::take(&mut family.root.children);
    family.root.reload();
    family.root.run.divide_over(SIZE);
    let steps = starts.iter().map(|start| start.parent.path.clone()).collect();
    family.root.apply(Event::Unperformed { steps, notices: Vec::new() });
    let again = family.root.children.clone();
    assert_eq!(again, starts);
    family.go();
    assert_eq!((family.root.run_status(), family.parts.len()), (RunStatus::Completed, 3));
}

#[test]
fn an_instance_is_found_in_the_run_that_has_it() {
    let family = Family::new(&fan(25, ""), &[]).start();
    let (found, there) = lies_in(&family.root.run, &path("x[17]")).unwrap();
    let part = &family.parts[&found];
    assert_eq!((there, part.status("x[17]")), (path("x[17]"), "completed"));
    assert_eq!(lies_in(&family.root.run, &path("x[11-20]")), Some((found, path("x"))));
    assert_eq!(lies_in(&family.root.run, &path("all")), None);
    assert_eq!(lies_in(&part.run, &path("x[17]")), None);
    assert_eq!((pages_of(&family.root.run, &path("x")), pages_of(&part.run, &path("x"))), (3, 10));
    let page = step_document(&family.root.plan, &family.root.run, &path("x"), 2, 5).unwrap();
    assert_eq!(page.steps.iter().map(|step| step.path.as_str()).collect::<Vec<_>>(), ["x[21-25]"]);
    let document = run_document(&family.root.plan, &family.root.run);
    let paths: Vec<&str> = document.steps[0].steps.iter().map(|step| step.path.as_str()).collect();
    assert_eq!(paths, ["x[1-10]", "x[11-20]", "x[21-25]"]);
    assert_eq!(document.steps[0].steps[1].items.unwrap().completed, 10);
    let shown = step_document(&part.plan, &part.run, &StepPath::top("x"), 0, 100).unwrap();
    assert_eq!(shown.steps.iter().map(|step| step.path.clone()).collect::<Vec<_>>()[0], "x[11]");
    assert_eq!(run_document(&part.plan, &part.run).steps[0].steps.len(), 10);
}

#[test]
fn a_part_is_resumed_with_the_whole_and_not_by_itself() {
    let mut family = Family::new(&fan(25, ""), &[("x[12]", 9, ErrorClass::InvalidInput)]).start();
    let part = family.parts.values_mut().find(|part| part.run_status() == RunStatus::Failed).unwrap();
    let change = part.apply(Event::Resume { from: None, set: Map::new() });
    assert_eq!(part.run_status(), RunStatus::Failed);
    assert!(format!("{:?}", change.events).contains("resume that"), "{:?}", change.events);
    assert!(matches!(family.root.get("x[11-20]").state, State::Failed));
    assert!(matches!(part.told.first().map(|report| &report.outcome), None | Some(Outcome::Succeeded(_))));
}

#[test]
fn parts_share_a_budget_and_what_one_does_not_need_the_next_ones_have() {
    let text = "workflow: test
budget: 3 USD
steps:
  - {id: x, for-each: range(300), max-parallel: 1, tolerate: 100%, uses: image.generate, with: {prompt: 'a mug {{ number }}', model: fal/flux-pro}}
";
    let mut family = Family::new(text, &[]);
    family.root.start();
    let mut granted = Vec::new();
    for _ in 0..3 {
        let start = family.root.children.pop().unwrap();
        granted.push(start.spec.allowance.unwrap().0);
        let outputs = json!({"completed": 10, "skipped": 0, "failed": 0, "results": "[]"});
        let succeeded = Succeeded { outputs: outputs.as_object().unwrap().clone(), ..Succeeded::default() };
        let cost = StepCost { spent: Money(10_000), possible_duplicates: 0 };
        let Parent { run, path, generation, attempt, .. } = start.parent;
        let outcome = Outcome::Succeeded(succeeded);
        family.root.apply(Event::Report(Report { run, path, generation, attempt, outcome, cost }));
    }
    assert_eq!(granted, [100_000, 2_990_000 / 29, 2_980_000 / 28]);
}

#[test]
fn parts_pause_and_go_on_with_their_run() {
    let mut family = Family::new(&fan(300, ", max-parallel: 3"), &[]);
    family.root.start();
    for start in std::mem::take(&mut family.root.children) {
        family.start_part(start);
    }
    family.root.apply(Event::Pause { reason: "by hand".into() });
    for start in std::mem::take(&mut family.root.children) {
        family.start_part(start);
    }
    assert!(family.parts.values().all(|part| part.run_status() == RunStatus::Paused));
    family.root.apply(Event::Resume { from: None, set: Map::new() });
    family.go();
    assert_eq!((family.root.run_status(), family.parts.len()), (RunStatus::Completed, 30));
}

#[test]
fn a_part_that_somebody_cancels_fails_its_run_and_a_resume_goes_on_with_it() {
    let mut family = Family::new(&fan(25, ", tolerate: 100%"), &[]);
    family.root.start();
    for start in std::mem::take(&mut family.root.children) {
        family.start_part(start);
    }
    let part = family.parts.values_mut().next().unwrap();
    part.apply(Event::Cancel { reason: "by hand".into() });
    family.go();
    let error = family.root.run.head.failure.clone().unwrap().error;
    assert_eq!((family.root.run_status(), error.class), (RunStatus::Failed, ErrorClass::Cancelled));
    family.root.apply(Event::Resume { from: None, set: Map::new() });
    family.go();
    assert_eq!(family.root.run_status(), RunStatus::Completed);
    let (_, completed, kept, failed) = family.items("x");
    assert_eq!((completed + kept, failed), (25, 0));
}
