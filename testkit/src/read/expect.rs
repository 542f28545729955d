//! `expect:` of a test.

use super::{Reader, unknown_key};
use crate::expectation::{Bound, ErrorWanted, Expectation, RequestsWanted, StepWanted};
use darkroom_engine::node::{Entry, Name, Node, NodeKind};
use darkroom_engine::{code, suggest};
use darkroom_proto::{ErrorClass, Map, RunStatus, StepStatus};

const EXPECT_KEYS: &[&str] =
    &["status", "steps", "outputs", "order", "attempts", "error", "elapsed", "cost", "requests", "saved"];
const STEP_KEYS: &[&str] = &["status", "output"];
const ERROR_KEYS: &[&str] = &["step", "class", "code", "message"];

impl Reader<'_> {
    pub(super) fn expectation(&mut self, key: &Name, value: &Node) -> Expectation {
        let mut expectation = Expectation::default();
        for Entry { key, value } in self.map(key, value) {
            match key.text.as_str() {
                "status" => {
                    let words: Vec<_> = RunStatus::ALL.iter().map(|status| (status.name(), *status)).collect();
                    expectation.status = self.word(key, value, &words);
                }
                "steps" => expectation.steps = self.steps_wanted(key, value),
                "outputs" => expectation.outputs = self.outputs_wanted(key, value),
                "order" => {
                    let help = "write the paths of steps: `[hero, crop]`";
                    for item in self.list(key, value, help) {
                        let text = self.text(key, item).filter(|text| self.step(text, item.span).is_some());
                        expectation.order.extend(text);
                    }
                }
                "attempts" => {
                    for Entry { key, value } in self.map(key, value) {
                        self.step(&key.text, key.span);
                        expectation.attempts.extend(self.count(key, value, 0).map(|count| (key.text.clone(), count)));
                    }
                }
                "error" => expectation.error = Some(self.error_wanted(key, value)),
                "elapsed" => {
                    let text = self.text(key, value).unwrap_or_default();
                    expectation.elapsed = Bound::parse(&text);
                    if expectation.elapsed.is_none() {
                        let help = "write a duration, such as `30d`, or a limit, such as `< 5m` or `>= 48h`";
                        self.error(code::BAD_DURATION, value.span, format!("`{text}` is no duration"), help);
                    }
                }
                "cost" => expectation.cost = self.number(key, value),
                "requests" => {
                    expectation.requests = Some(match &value.kind {
                        NodeKind::List(items) => RequestsWanted::Like(items.iter().map(Node::to_json).collect()),
                        _ => RequestsWanted::Count(self.count(key, value, 0).unwrap_or_default()),
                    });
                }
                "saved" => {
                    for item in self.list(key, value, "write the paths of files, relative to the output folder") {
                        expectation.saved.extend(self.text(key, item));
                    }
                }
                _ => unknown_key(self.found, key, EXPECT_KEYS, "`expect`"),
            }
        }
        expectation
    }

    fn steps_wanted(&mut self, key: &Name, value: &Node) -> Vec<(String, StepWanted)> {
        let words: Vec<_> = StepStatus::ALL.iter().map(|status| (status.name(), *status)).collect();
        let mut steps = Vec::new();
        for Entry { key, value } in self.map(key, value) {
            self.step(&key.text, key.span);
            let mut wanted = StepWanted::default();
            match &value.kind {
                NodeKind::Map(entries) => {
                    for Entry { key, value } in entries {
                        match key.text.as_str() {
                            "status" => wanted.status = self.word(key, value, &words),
                            "output" => {
                                let output = self.map(key, value);
                                wanted.output = output
                                    .iter()
                                    .map(|entry| (entry.key.text.clone(), entry.value.to_json()))
                                    .collect();
                            }
                            _ => unknown_key(self.found, key, STEP_KEYS, "an expected step"),
                        }
                    }
                }
                _ => wanted.status = self.word(key, value, &words),
            }
            steps.push((key.text.clone(), wanted));
        }
        steps
    }

    fn outputs_wanted(&mut self, key: &Name, value: &Node) -> Map {
        let mut outputs = Map::new();
        for Entry { key, value } in self.map(key, value) {
            let known: Vec<String> = self.plan().outputs.iter().map(|(name, _)| name.clone()).collect();
            if !known.contains(&key.text) {
                let help = suggest::advice(&key.text, known.iter().map(String::as_str), "it has no outputs");
                self.error(code::BAD_TEST, key.span, format!("the workflow has no output `{}`", key.text), help);
            }
            outputs.insert(key.text.clone(), value.to_json());
        }
        outputs
    }

    fn error_wanted(&mut self, key: &Name, value: &Node) -> ErrorWanted {
        let mut wanted = ErrorWanted::default();
        for Entry { key, value } in self.map(key, value) {
            match key.text.as_str() {
                "step" => wanted.step = self.text(key, value).filter(|text| self.step(text, value.span).is_some()),
                "class" => {
                    let classes = ErrorClass::ALL.map(|class| (class.name(), class));
                    wanted.class = self.word(key, value, &classes);
                }
                "code" => wanted.code = self.text(key, value),
                "message" => wanted.message = self.text(key, value),
                _ => unknown_key(self.found, key, ERROR_KEYS, "`error`"),
            }
        }
        wanted
    }
}
