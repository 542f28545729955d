//! Lists of steps, `parallel:` groups and steps.

use super::Reader;
use super::container::StepPlace;
use crate::code;
use crate::definition::{Element, Group, StepDef};
use crate::diagnostic::Diagnostic;
use crate::node::{Entry, Name, Node, NodeKind};
use crate::plan::{BranchKind, CacheMode, RetryPolicy};
use crate::source::Span;
use darkroom_proto::op;

pub(crate) const STEP_KEYS: &[&str] = &[
    "id",
    "title",
    "uses",
    "with",
    "needs",
    "if",
    "parallel",
    "for-each",
    "matrix",
    "steps",
    "batch",
    "max-parallel",
    "continue-on-error",
    "tolerate",
    "retry",
    "timeout",
    "save",
    "skip-if-exists",
    "cache",
    "race",
    "repeat",
    "stop-when",
    "save-dir",
    "detach",
    "on-parent-close",
    "on-error",
    "on-timeout",
    "on-reject",
    "on-cancel",
];
pub(crate) const GROUP_KEYS: &[&str] = &["parallel", "title", "needs", "if", "continue-on-error"];
/// Keys of steps that the language has and this release does not.
pub(crate) const LATER_KEYS: &[&str] = &["on-unknown"];
pub(crate) const CACHE_WORDS: &[&str] = &["auto", "off", "refresh"];
const SYNONYMS: &[(&str, &str)] = &[
    ("name", "title"),
    ("op", "uses"),
    ("type", "uses"),
    ("run", "uses"),
    ("action", "uses"),
    ("params", "with"),
    ("parameters", "with"),
    ("args", "with"),
    ("inputs", "with"),
    ("when", "if"),
    ("condition", "if"),
    ("depends-on", "needs"),
    ("depends_on", "needs"),
    ("after", "needs"),
    ("foreach", "for-each"),
    ("for", "for-each"),
    ("loop", "for-each"),
    ("with-items", "for-each"),
    ("strategy", "matrix"),
    ("batch-size", "batch"),
    ("chunk", "batch"),
    ("concurrency", "max-parallel"),
    ("retries", "retry"),
    ("output", "save"),
    ("out", "save"),
    ("timeout-minutes", "timeout"),
    ("allow-failure", "continue-on-error"),
];

/// Whether a step has a key of this name.
pub(super) fn is_key(key: &str) -> bool {
    STEP_KEYS.contains(&key)
}

impl Reader<'_> {
    /// The list of steps under `key`.
    pub(super) fn steps<'a>(&mut self, key: &Name, value: &'a Node) -> Vec<Element<'a>> {
        let help = "write each step as an item: `- uses: image.resize`";
        let items = match &value.kind {
            NodeKind::Null => &[],
            _ => match self.list(key, value, help) {
                Some(items) => items,
                None => return Vec::new(),
            },
        };
        if items.is_empty() {
            self.error(code::NO_STEPS, key.span, format!("`{}` is empty", key.text), "", help);
        }
        items.iter().filter_map(|item| self.element(item)).collect()
    }

    pub(super) fn element<'a>(&mut self, item: &'a Node) -> Option<Element<'a>> {
        let NodeKind::Map(entries) = &item.kind else {
            let help = match item.as_text() {
                Some(text) if op::find(text).is_some() => format!("write `- uses: {text}`"),
                _ => "write `- uses: image.resize`, with its other keys indented under it".to_owned(),
            };
            let span = item.span;
            self.error(code::WRONG_SHAPE, span, "a step is a mapping", &format!("this is {}", item.describe()), help);
            return None;
        };
        let has = |key: &str| entries.iter().any(|entry| entry.key.text == key);
        if has("parallel") && !has("uses") {
            return Some(Element::Parallel(self.group(entries)));
        }
        Some(Element::Step(Box::new(self.step(item.span, entries, StepPlace::List))))
    }

    fn group<'a>(&mut self, entries: &'a [Entry]) -> Group<'a> {
        let mut group = Group { condition: None, needs: None, continue_on_error: false, members: Vec::new() };
        for Entry { key, value } in entries {
            match key.text.as_str() {
                "parallel" => group.members = self.steps(key, value),
                "title" => drop(self.text(key, value)),
                "needs" => group.needs = self.names(key, value),
                "if" => group.condition = Some(value),
                "continue-on-error" => group.continue_on_error = self.boolean(key, value).unwrap_or(false),
                "id" => {
                    let help = "remove it: what follows uses the members by their own ids";
                    self.error(code::UNKNOWN_KEY, key.span, "a `parallel` group has no id", "", help);
                }
                "max-parallel" => {
                    let help = "remove it; `max-parallel` belongs to `for-each` and `matrix`";
                    self.error(code::UNKNOWN_KEY, key.span, "a `parallel` group has no `max-parallel`", "", help);
                }
                other if STEP_KEYS.contains(&other) || LATER_KEYS.contains(&other) => {
                    let help = "write it on each member that it is meant for";
                    self.error(code::UNKNOWN_KEY, key.span, format!("a `parallel` group has no `{other}`"), "", help);
                }
                _ => self.unknown_key(key, GROUP_KEYS, SYNONYMS, "a `parallel` group"),
            }
        }
        group
    }

    pub(super) fn step<'a>(&mut self, span: Span, entries: &'a [Entry], place: StepPlace) -> StepDef<'a> {
        let mut step = StepDef {
            span: entries.first().map_or(span, |entry| entry.key.span),
            id: None,
            title: None,
            uses: None,
            with: Vec::new(),
            needs: None,
            condition: None,
            for_each: None,
            matrix: None,
            body: None,
            batch: None,
            max_parallel: None,
            continue_on_error: false,
            tolerate: None,
            retry: RetryPolicy::default(),
            timeout: None,
            cache: CacheMode::default(),
            save: None,
            race: None,
            repeat: None,
            stop_when: None,
            delay: darkroom_proto::Duration(0),
            branches: Vec::new(),
            skip_if_exists: Vec::new(),
            save_dir: None,
            detach: false,
            abandons: false,
            broken: false,
        };
        let mut body_key = None;
        for Entry { key, value } in entries {
            match key.text.as_str() {
                "id" => match value.as_text() {
                    Some(text) => {
                        let name = Name { text: text.to_owned(), span: value.span };
                        // A bad id is still what other steps call it by.
                        if BranchKind::from_name(text).is_some() {
                            let help = "choose another id: branches of steps have these names in paths";
                            self.error(code::BAD_ID, name.span, format!("`{text}` is no id"), "", help);
                        }
                        self.id(&name, "a step");
                        step.id = Some(name);
                    }
                    None => drop(self.text(key, value).map(|_| ())),
                },
                "title" => step.title = self.text(key, value),
                "uses" => match value.as_text() {
                    Some(text) => step.uses = Some(Name { text: text.to_owned(), span: value.span }),
                    None => {
                        drop(self.text(key, value));
                        step.broken = true;
                    }
                },
                "with" => step.with = self.map(key, value).iter().map(|entry| (&entry.key, &entry.value)).collect(),
                "needs" => step.needs = self.names(key, value),
                "if" => step.condition = Some(value),
                "for-each" => step.for_each = Some(value),
                "matrix" => step.matrix = Some(self.matrix(key, value)),
                "steps" => {
                    body_key = Some(key);
                    step.body = Some(self.steps(key, value));
                }
                "batch" => step.batch = self.count(key, value, 1),
                "max-parallel" => step.max_parallel = self.count(key, value, 1),
                "continue-on-error" => step.continue_on_error = self.boolean(key, value).unwrap_or(false),
                "tolerate" => step.tolerate = self.tolerate(key, value),
                "retry" => step.retry = self.retry(key, value),
                "timeout" => step.timeout = self.timeout(key, value),
                "save" => step.save = Some(value),
                "skip-if-exists" => {
                    step.skip_if_exists = match &value.kind {
                        NodeKind::List(items) => items.iter().collect(),
                        _ => vec![value],
                    }
                }
                "cache" => step.cache = self.cache(key, value),
                "save-dir" => step.save_dir = Some(value),
                "detach" => step.detach = self.boolean(key, value).unwrap_or(false),
                "on-parent-close" => {
                    step.abandons = self.word(key, value, &["cancel", "abandon"]) == Some("abandon");
                }
                "race" => step.race = Some(self.race(key, value)),
                "repeat" => step.repeat = self.repeat(key, value),
                "stop-when" => step.stop_when = Some(value),
                "delay" if place == StepPlace::Contender => {
                    step.delay = self.duration(key, value).unwrap_or(darkroom_proto::Duration(0));
                }
                "delay" => {
                    let help = "put it on a contender of a `race`";
                    self.error(code::CONFLICT, key.span, "only a contender of a `race` has a `delay`", "", help);
                }
                "until" => {
                    let help = "write `repeat: { until: …, max: 5 }`";
                    self.error(code::UNKNOWN_KEY, key.span, "`until` stands under `repeat`", "", help);
                }
                "then" => {
                    let help = "it is an item of its own, the last one of a branch: `- then: fail`";
                    self.error(code::CONFLICT, key.span, "`then` belongs to the end of a branch", "", help);
                    step.broken = true;
                }
                branch if BranchKind::from_name(branch).is_some() => {
                    if let Some(kind) = BranchKind::from_name(branch) {
                        step.branches.extend(self.branch(kind, key, value));
                    }
                }
                "parallel" => {
                    let help = "write `parallel:` as an item of its own, with the steps as its list";
                    self.error(code::CONFLICT, key.span, "`uses` and `parallel` exclude each other", "", help);
                    step.broken = true;
                }
                later if LATER_KEYS.contains(&later) => {
                    step.broken = true;
                    let error =
                        Diagnostic::error(code::LATER, key.span, format!("`{later}` is not in this release yet"));
                    self.found.push(error);
                }
                _ => self.unknown_step_key(key, entries),
            }
        }
        self.shape(&mut step, entries, body_key, place);
        self.container_shape(&mut step, entries, place);
        step
    }

    /// Which keys a step needs, and which go together.
    fn shape(&mut self, step: &mut StepDef<'_>, entries: &[Entry], body_key: Option<&Name>, place: StepPlace) {
        let key = |name: &str| entries.iter().find(|entry| entry.key.text == name).map(|entry| &entry.key);
        match (&step.uses, body_key) {
            (Some(_), Some(body)) => {
                let help = "keep `uses` for one op per item, or move it into the list as `- uses: …`";
                self.error(code::CONFLICT, body.span, "`uses` and `steps` exclude each other", "", help);
                step.body = None;
            }
            (_, None) if step.race.is_some() => {}
            (None, None) if !step.broken => {
                let help = "add `uses:` with the op to run, such as `uses: image.resize`";
                let what = if step.is_fan_out() {
                    "the fan-out has neither `uses` nor `steps`"
                } else {
                    "the step does nothing: `uses` is missing"
                };
                self.error(code::MISSING_KEY, step.span, what, "", help);
                step.broken = true;
            }
            (None, Some(_)) if place == StepPlace::Contender => {}
            (None, Some(body)) if !step.is_container() => {
                let help = "add `for-each:` or `matrix:` to repeat them, or move them into the list around this step";
                self.error(code::CONFLICT, body.span, "`steps` inside a step needs `for-each` or `matrix`", "", help);
                step.broken = true;
            }
            _ => {}
        }
        if !step.is_fan_out() {
            for name in ["max-parallel", "tolerate", "stop-when"] {
                if let Some(key) = key(name) {
                    let help = "add `for-each:` or `matrix:`, or remove it";
                    self.error(code::CONFLICT, key.span, format!("`{name}` needs `for-each` or `matrix`"), "", help);
                }
            }
        }
        if let (Some(key), None) = (key("batch"), &step.for_each) {
            let help = "add `for-each:` with the list that is cut into batches, or remove it";
            self.error(code::CONFLICT, key.span, "`batch` needs `for-each`", "", help);
        }
        let is_child = step.uses.as_ref().is_some_and(|uses| uses.text.starts_with(op::CHILD_PREFIX));
        for name in ["save-dir", "detach", "on-parent-close"] {
            if let (Some(key), false) = (key(name), is_child) {
                let help = "add it to a step that `uses: workflow:…`, or remove it";
                self.error(code::CONFLICT, key.span, format!("`{name}` is for child workflows"), "", help);
            }
        }
        if step.is_container() && body_key.is_some() && step.uses.is_none() {
            for name in ["with", "retry", "timeout", "save", "cache"] {
                if let Some(key) = key(name) {
                    let help = "write it on the step of the body that it is meant for";
                    self.error(
                        code::CONFLICT,
                        key.span,
                        format!("a step with `steps` has no `{name}` itself"),
                        "",
                        help,
                    );
                }
            }
        }
        if step.continue_on_error
            && step.tolerate.is_some()
            && let Some(key) = key("tolerate")
        {
            let help = "keep `tolerate`; `continue-on-error: true` lets all of them fail";
            self.error(code::CONFLICT, key.span, "`tolerate` and `continue-on-error` exclude each other", "", help);
        }
    }

    fn matrix<'a>(&mut self, key: &Name, value: &'a Node) -> Vec<(&'a Name, &'a Node)> {
        let entries = self.map(key, value);
        if entries.is_empty() && matches!(value.kind, NodeKind::Map(_) | NodeKind::Null) {
            self.error(code::WRONG_SHAPE, key.span, "`matrix` has no keys", "", "such as `seed: [1, 2, 3]` under it");
        }
        for entry in entries {
            self.id(&entry.key, "a matrix key");
        }
        entries.iter().map(|entry| (&entry.key, &entry.value)).collect()
    }

    fn timeout(&mut self, key: &Name, value: &Node) -> Option<darkroom_proto::Duration> {
        let timeout = self.duration(key, value)?;
        if timeout.0 == 0 {
            self.error(
                code::OUT_OF_RANGE,
                value.span,
                "`timeout` is longer than nothing",
                "",
                "remove it for the op's usual time",
            );
            return None;
        }
        Some(timeout)
    }

    fn cache(&mut self, key: &Name, value: &Node) -> CacheMode {
        match self.word(key, value, CACHE_WORDS) {
            Some("off") => CacheMode::Off,
            Some("refresh") => CacheMode::Refresh,
            Some(_) | None => CacheMode::Auto,
        }
    }

    fn unknown_step_key(&mut self, key: &Name, entries: &[Entry]) {
        let uses = entries.iter().find(|entry| entry.key.text == "uses").and_then(|entry| entry.value.as_text());
        match uses.and_then(op::find).and_then(|op| op.param(&key.text).map(|_| op)) {
            Some(op) => {
                let help = format!("move it under `with:`, indented below it: parameters of `{}` stand there", op.name);
                self.error(
                    code::UNKNOWN_KEY,
                    key.span,
                    format!("`{}` is a parameter, not a key of a step", key.text),
                    "",
                    help,
                );
            }
            None => self.unknown_key(key, STEP_KEYS, SYNONYMS, "a step"),
        }
    }
}
