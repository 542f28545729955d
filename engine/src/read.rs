//! The tree of a file to a [`Definition`]: every key is known and of the right shape, or reported.

mod container;
mod input;
mod retry;
mod schedule;
mod step;
mod value;

pub(crate) use container::REPEAT_KEYS;
pub(crate) use input::TYPES;
pub(crate) use step::CACHE_WORDS;
#[cfg(test)]
pub(crate) use {
    container::CONTENDER_KEYS,
    input::INPUT_KEYS,
    retry::RETRY_KEYS,
    schedule::SCHEDULE_KEYS,
    step::{GROUP_KEYS, STEP_KEYS},
};

use crate::code;
use crate::definition::{About, Definition};
use crate::diagnostic::{Diagnostic, Findings};
use crate::node::{Entry, Name, Node, NodeKind};
use crate::source::Span;
use crate::suggest;
use darkroom_proto::Money;

/// The keys at the top of a file.
pub(crate) const TOP_KEYS: &[&str] = &[
    "workflow",
    "title",
    "description",
    "enabled",
    "credits",
    "estimated-duration",
    "budget",
    "ui",
    "schedule",
    "inputs",
    "steps",
    "outputs",
];
pub(crate) const UI_KEYS: &[&str] = &["icon", "category", "preview", "thumbnail"];

/// What top-level keys of other tools are called here.
const TOP_SYNONYMS: &[(&str, &str)] = &[
    ("name", "workflow"),
    ("id", "workflow"),
    ("jobs", "steps"),
    ("tasks", "steps"),
    ("stages", "steps"),
    ("on", "schedule"),
    ("params", "inputs"),
    ("parameters", "inputs"),
    ("variables", "inputs"),
];

/// The largest budget of a run, in US dollars: what is over it is a slip of the pen.
const BUDGET_USD_MAX: f64 = 1e6;

/// The longest id.
pub(crate) const ID_MAX: usize = 64;

/// Reads the top of a file. What can't be read is reported and left out.
pub(crate) fn read<'a>(root: &'a Node, found: &mut Findings) -> Option<Definition<'a>> {
    let mut reader = Reader { found };
    let NodeKind::Map(entries) = &root.kind else {
        let message = format!("a workflow is a mapping, and this file holds {}", root.describe());
        let error = Diagnostic::error(code::DOCUMENTS, root.span, message)
            .help("begin with `workflow: my-workflow`; `darkroom workflows new` writes a template");
        reader.found.push(error);
        return None;
    };
    Some(reader.definition(entries))
}

/// Whether a step has a key of this name.
pub(crate) fn step_key(key: &str) -> bool {
    step::is_key(key)
}

pub(crate) struct Reader<'f> {
    found: &'f mut Findings,
}

impl<'f> Reader<'f> {
    fn error(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
        label: &str,
        help: impl Into<String>,
    ) {
        self.found.push(Diagnostic::error(code, span, message).label(label).help(help));
    }

    fn definition<'a>(&mut self, entries: &'a [Entry]) -> Definition<'a> {
        let mut definition = Definition { about: About { enabled: true, ..About::default() }, ..Definition::default() };
        let mut id = None;
        let mut steps = None;
        let mut schedule = None;
        for Entry { key, value } in entries {
            let about = &mut definition.about;
            match key.text.as_str() {
                "workflow" => id = Some(value),
                "title" => about.title = self.text(key, value).unwrap_or_default(),
                "description" => about.description = self.text(key, value),
                "enabled" => about.enabled = self.boolean(key, value).unwrap_or(true),
                "credits" => about.credits = self.count(key, value, 0),
                "estimated-duration" => about.estimated_duration = self.duration(key, value),
                "budget" => {
                    if let Some((budget, text)) = self.budget(key, value) {
                        about.budget = Some(text);
                        definition.budget = Some(budget);
                    }
                }
                "ui" => self.ui(key, value, about),
                "schedule" => schedule = Some((key, value)),
                "inputs" => definition.inputs = self.inputs(key, value),
                "steps" => steps = Some((key, value)),
                "outputs" => {
                    definition.outputs = self.map(key, value).iter().map(|entry| (&entry.key, &entry.value)).collect();
                    for (name, _) in &definition.outputs {
                        self.id(name, "an output");
                    }
                }
                _ => self.unknown_key(key, TOP_KEYS, TOP_SYNONYMS, "a workflow"),
            }
        }
        let top = entries.first().map(|entry| entry.key.span).unwrap_or_default();
        match id {
            Some(value) => {
                if let NodeKind::Text(text) = &value.kind {
                    self.id(&Name { text: text.clone(), span: value.span }, "a workflow");
                    definition.id = text.clone();
                } else {
                    let help = "write a short name, such as `workflow: product-photo`";
                    self.error(
                        code::WRONG_SHAPE,
                        value.span,
                        "`workflow` is the workflow's id, a word",
                        value.describe(),
                        help,
                    );
                }
            }
            None => {
                let help = "begin the file with `workflow: my-workflow`";
                self.error(code::MISSING_KEY, top, "the workflow has no id: `workflow` is missing", "", help);
            }
        }
        match steps {
            Some((key, value)) => definition.steps = self.steps(key, value),
            None => {
                let help = "add `steps:` with a list of what to do; `darkroom workflows new` writes a template";
                self.error(code::MISSING_KEY, top, "the workflow has no `steps`", "", help);
            }
        }
        if let Some((key, value)) = schedule {
            definition.about.schedules = self.schedules(key, value, &definition.id, &definition.inputs);
        }
        if definition.about.title.is_empty() {
            definition.about.title = definition.id.clone();
        }
        definition
    }

    fn ui<'a>(&mut self, key: &'a Name, value: &'a Node, about: &mut About) {
        for Entry { key, value } in self.map(key, value) {
            let text = match key.text.as_str() {
                "icon" => &mut about.icon,
                "category" => &mut about.category,
                "preview" => &mut about.preview,
                "thumbnail" => &mut about.thumbnail,
                _ => {
                    self.unknown_key(key, UI_KEYS, &[], "`ui`");
                    continue;
                }
            };
            *text = self.text(key, value);
        }
    }

    /// An amount of money: `1.50 USD`, `$1.50`, or a number of US dollars.
    fn budget(&mut self, key: &Name, value: &Node) -> Option<(Money, String)> {
        let text = match &value.kind {
            NodeKind::Number(number) => number.to_string(),
            _ => self.text(key, value)?,
        };
        let amount = text.trim();
        let amount = amount.strip_suffix("USD").or_else(|| amount.strip_prefix('$')).unwrap_or(amount).trim();
        let help = "write an amount in US dollars, such as `1.50 USD`";
        let Ok(usd) = amount.parse::<f64>() else {
            let shown: String = text.chars().take(40).collect();
            self.error(code::WRONG_SHAPE, value.span, format!("`{shown}` is no budget"), "", help);
            return None;
        };
        if !(0.0..=BUDGET_USD_MAX).contains(&usd) {
            let message = format!("`budget` can't be {amount}");
            let help = format!("it is an amount from 0 to {BUDGET_USD_MAX} US dollars");
            self.error(code::OUT_OF_RANGE, value.span, message, "", help);
            return None;
        }
        Some((Money::from_usd(usd), text))
    }

    /// Reports a key that does not exist here.
    fn unknown_key(&mut self, key: &Name, known: &[&str], synonyms: &[(&str, &str)], place: &str) {
        let synonym = synonyms.iter().find(|(other, _)| *other == key.text).map(|(_, here)| *here);
        let help = match synonym {
            Some(here) => format!("it is called `{here}` here"),
            None => suggest::advice(&key.text, known.iter().copied(), ""),
        };
        self.error(code::UNKNOWN_KEY, key.span, format!("{place} has no key `{}`", key.text), "", help);
    }

    /// Checks that a name can be an id.
    fn id(&mut self, name: &Name, what: &str) -> bool {
        let text = &name.text;
        let shaped = text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        if shaped && text.len() <= ID_MAX {
            return true;
        }
        let shown: String = text.chars().take(ID_MAX).collect();
        let slug: String = crate::filter::slugged(text).chars().take(ID_MAX).collect();
        let help = match slug.is_ascii() && slug.starts_with(|c: char| c.is_ascii_alphabetic()) {
            true => format!("write `{slug}`: letters, digits, `_` and `-`, a letter first, at most {ID_MAX}"),
            false => format!("use letters, digits, `_` and `-`, a letter first, at most {ID_MAX}"),
        };
        self.error(code::BAD_ID, name.span, format!("`{shown}` can't be the id of {what}"), "", help);
        false
    }
}
