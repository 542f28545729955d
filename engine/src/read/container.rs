//! Races, loops and branches as they are written.

use super::Reader;
use super::step::STEP_KEYS;
use crate::code;
use crate::definition::{BranchDef, Element, RepeatDef, StepDef};
use crate::node::{Entry, Name, Node, NodeKind};
use crate::plan::BranchKind;
use crate::repeat::ITERATIONS_MAX;

/// The keys of `repeat`.
pub(crate) const REPEAT_KEYS: &[&str] = &["until", "max"];

/// The keys of a contender.
pub(crate) const CONTENDER_KEYS: &[&str] =
    &["title", "uses", "with", "steps", "delay", "retry", "timeout", "id", "cache"];

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StepPlace {
    /// In a list of steps.
    List,
    /// It is a contender of a race.
    Contender,
}

impl Reader<'_> {
    /// The contenders of a race.
    pub(super) fn race<'a>(&mut self, key: &Name, value: &'a Node) -> Vec<StepDef<'a>> {
        let help = "write each contender as an item: `- uses: image.generate`, or `- steps: […]`";
        let items = self.list(key, value, help).unwrap_or_default();
        if items.len() < 2 {
            self.error(code::NO_STEPS, key.span, "a race has at least two contenders", "", help);
        }
        let mut contenders = Vec::new();
        for item in items {
            match &item.kind {
                NodeKind::Map(entries) => contenders.push(self.step(item.span, entries, StepPlace::Contender)),
                _ => {
                    let label = format!("this is {}", item.describe());
                    self.error(code::WRONG_SHAPE, item.span, "a contender is a mapping", &label, help);
                }
            }
        }
        contenders
    }

    /// `repeat: { until: EXPR, max: N }`.
    pub(super) fn repeat<'a>(&mut self, key: &Name, value: &'a Node) -> Option<RepeatDef<'a>> {
        let mut repeat = RepeatDef { until: None, max: ITERATIONS_MAX };
        let mut has_max = false;
        for Entry { key, value } in self.map(key, value) {
            match key.text.as_str() {
                "until" => repeat.until = Some(value),
                "max" => {
                    has_max = true;
                    let Some(max) = self.count(key, value, 1) else { continue };
                    repeat.max = max;
                    if max > ITERATIONS_MAX {
                        let help = format!("write a number from 1 to {ITERATIONS_MAX}");
                        self.error(code::OUT_OF_RANGE, value.span, format!("`max` can't be {max}"), "", help);
                    }
                }
                _ => self.unknown_key(key, REPEAT_KEYS, &[("while", "until"), ("times", "max")], "`repeat`"),
            }
        }
        for (name, is_there) in [("until", repeat.until.is_some()), ("max", has_max)] {
            if !is_there {
                let help = "write `repeat: { until: steps.ID.NAME == 'good', max: 5 }`";
                self.error(code::MISSING_KEY, key.span, format!("`repeat` has no `{name}`"), "", help);
            }
        }
        Some(repeat)
    }

    /// The steps of a branch; `- then: fail` may be the last item.
    pub(super) fn branch<'a>(&mut self, kind: BranchKind, key: &Name, value: &'a Node) -> Option<BranchDef<'a>> {
        let help = "write each step as an item: `- uses: noop`; `- then: fail` may be the last one";
        let items = self.list(key, value, help)?;
        let (mut body, mut fails): (Vec<Element<'a>>, bool) = (Vec::new(), false);
        for (at, item) in items.iter().enumerate() {
            let then = match &item.kind {
                NodeKind::Map(entries) => match entries.as_slice() {
                    [Entry { key, value }] if key.text == "then" => Some((key, value)),
                    _ => None,
                },
                _ => None,
            };
            let Some((then, word)) = then else {
                body.extend(self.element(item));
                continue;
            };
            fails = self.word(then, word, &["fail"]).is_some();
            if at + 1 < items.len() {
                let help = "move it to the end of the branch";
                self.error(code::CONFLICT, then.span, "`then: fail` is the last item of a branch", "", help);
            }
            if kind == BranchKind::OnCancel {
                let help = "remove it: a cancelled run ends cancelled, whatever its compensation does";
                self.error(code::CONFLICT, then.span, "`on-cancel` has no `then`", "", help);
            }
        }
        if items.is_empty() {
            self.error(code::NO_STEPS, key.span, format!("`{}` is empty", key.text), "", help);
        }
        Some(BranchDef { kind, body, fails })
    }

    /// Which keys go together on steps with contenders, iterations or branches.
    pub(super) fn container_shape(&mut self, step: &mut StepDef<'_>, entries: &[Entry], place: StepPlace) {
        let key = |name: &str| entries.iter().find(|entry| entry.key.text == name).map(|entry| &entry.key);
        let conflict = |reader: &mut Self, names: &[&str], what: &str, help: &str| {
            for name in names {
                if let Some(key) = key(name) {
                    reader.error(code::CONFLICT, key.span, format!("{what} `{name}`"), "", help);
                }
            }
        };
        if step.race.is_some() {
            let own = ["uses", "steps", "with", "retry", "timeout", "cache"];
            conflict(self, &own, "a race has no", "write it on the contenders that it is meant for");
            let help = "save what it gives in a step after it: `- uses: save` with `file: ${{ steps.ID.image }}`";
            conflict(self, &["save"], "a race itself has no", help);
            conflict(self, &["skip-if-exists"], "a race has no", "write an `if` on the race instead");
            let help = "put the race into the `steps` of the fan-out or loop";
            conflict(self, &["for-each", "matrix", "repeat"], "a race has no", help);
        } else if step.repeat.is_some() {
            let help = "put the one into the `steps` of the other";
            conflict(self, &["for-each", "matrix"], "a step with `repeat` has no", help);
        }
        if place == StepPlace::Contender {
            let save = "the winner is known only afterwards: save in a step after the race, `- uses: save` with \
                        `file: ${{ steps.ID.image }}`";
            conflict(self, &["save"], "a contender has no", save);
            let others: Vec<&str> = STEP_KEYS
                .iter()
                .copied()
                .filter(|key| !CONTENDER_KEYS.contains(key) && *key != "save" && *key != "parallel")
                .collect();
            conflict(
                self,
                &others,
                "a contender has no",
                "put it on the race, or on a step in the contender's `steps`",
            );
        }
        let broken = step.race.as_ref().is_some_and(|contenders| contenders.len() < 2)
            || step.repeat.as_ref().is_some_and(|repeat| repeat.until.is_none());
        step.broken |= broken;
    }
}
