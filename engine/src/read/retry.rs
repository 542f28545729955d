//! `retry:` and `tolerate:`.

use super::Reader;
use crate::code;
use crate::node::{Entry, Name, Node, NodeKind};
use crate::plan::{Backoff, RetryPolicy, Tolerate};
use crate::suggest;
use darkroom_proto::{Duration, ErrorClass};

pub(crate) const RETRY_KEYS: &[&str] = &["attempts", "delay", "backoff", "max-delay", "errors"];
const SYNONYMS: &[(&str, &str)] =
    &[("max-attempts", "attempts"), ("limit", "attempts"), ("count", "attempts"), ("on", "errors")];

impl Reader<'_> {
    pub(super) fn retry(&mut self, key: &Name, value: &Node) -> RetryPolicy {
        let mut policy = RetryPolicy::default();
        let mut delay = None;
        let mut backoff = None;
        if let NodeKind::Number(_) = value.kind {
            policy.attempts = self.count(key, value, 1).unwrap_or(policy.attempts);
            return policy;
        }
        for Entry { key, value } in self.map(key, value) {
            match key.text.as_str() {
                "attempts" => policy.attempts = self.attempts(key, value).unwrap_or(policy.attempts),
                "delay" => delay = self.duration(key, value),
                "backoff" => backoff = Some((key, value)),
                "max-delay" => policy.delay_max = self.duration(key, value).unwrap_or(policy.delay_max),
                "errors" => policy.classes = self.classes(key, value),
                _ => self.unknown_key(key, RETRY_KEYS, SYNONYMS, "`retry`"),
            }
        }
        let first = delay.unwrap_or(Duration::from_secs(1));
        policy.backoff = match backoff {
            None => Backoff::Exponential(first),
            Some((key, value)) => match &value.kind {
                NodeKind::List(items) => {
                    let waits: Vec<Duration> = items.iter().filter_map(|item| self.duration(key, item)).collect();
                    if waits.is_empty() && items.is_empty() {
                        self.error(
                            code::WRONG_SHAPE,
                            value.span,
                            "`backoff` lists no waits",
                            "",
                            "such as `[1s, 5s, 30s]`",
                        );
                    }
                    if delay.is_some() {
                        let help = "remove `delay`: the list says how long each wait is";
                        self.error(
                            code::CONFLICT,
                            value.span,
                            "`delay` and a list of waits exclude each other",
                            "",
                            help,
                        );
                    }
                    if waits.is_empty() { Backoff::Exponential(first) } else { Backoff::Listed(waits) }
                }
                _ => match self.word(key, value, &["fixed", "linear", "exponential"]) {
                    Some("fixed") => Backoff::Fixed(first),
                    Some("linear") => Backoff::Linear(first),
                    _ => Backoff::Exponential(first),
                },
            },
        };
        policy
    }

    fn attempts(&mut self, key: &Name, value: &Node) -> Option<u32> {
        let attempts = self.count(key, value, 1)?;
        if attempts <= 100 {
            return Some(attempts);
        }
        self.error(code::OUT_OF_RANGE, value.span, "`attempts` is at most 100", "", "");
        None
    }

    fn classes(&mut self, key: &Name, value: &Node) -> Option<Vec<ErrorClass>> {
        let names = self.names(key, value)?;
        let mut classes = Vec::new();
        for name in names {
            match ErrorClass::from_name(&name.text) {
                Some(class) => classes.push(class),
                None => {
                    let known = ErrorClass::ALL.into_iter().filter(|class| class.retryable()).map(ErrorClass::name);
                    let help = suggest::advice(&name.text, known, "");
                    self.error(
                        code::UNKNOWN_WORD,
                        name.span,
                        format!("there is no class of errors `{}`", name.text),
                        "",
                        help,
                    );
                }
            }
        }
        Some(classes)
    }

    pub(super) fn tolerate(&mut self, key: &Name, value: &Node) -> Option<Tolerate> {
        let help = "write how many may fail, such as `5`, or which share, such as `10%`";
        match &value.kind {
            NodeKind::Number(_) => self.count(key, value, 0).map(Tolerate::Count),
            NodeKind::Text(text) => {
                let percent = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
                match percent.filter(|percent| (0.0..=100.0).contains(percent)) {
                    Some(percent) => Some(Tolerate::Percent(percent)),
                    None => {
                        self.error(code::WRONG_SHAPE, value.span, format!("`tolerate` can't be `{text}`"), "", help);
                        None
                    }
                }
            }
            _ => {
                self.error(code::WRONG_SHAPE, value.span, "`tolerate` is a number or a share", value.describe(), help);
                None
            }
        }
    }
}
