//! Mocks: what a step answers instead of being done.

use darkroom_proto::{Duration, ErrorClass, Map, Money, StepError};
use serde_json::{Value, json};

/// What a step answers, attempt by attempt.
///
/// ```
/// use darkroom_testkit::{ErrorClass, Mock};
/// use serde_json::json;
///
/// Mock::error(ErrorClass::RateLimit).times(2).then(Mock::outputs(json!({"text": "a cat"})));
/// ```
///
/// Every instance of a step begins with the first answer. Without `times` an answer counts once if another follows, and
/// for ever if none does; when all are used up, the step is done for real.
#[derive(Debug, Clone, PartialEq)]
pub struct Mock {
    answers: Vec<Answered>,
}

/// One answer, and for how many attempts it counts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answered {
    pub(crate) answer: Answer,
    times: Option<u32>,
    pub(crate) takes: Option<Duration>,
    pub(crate) costs: Money,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    /// The op's outputs; in them `@path` is a file, `@plain:640x480` a plain picture, and `@@` an `@`.
    Outputs(Map),
    /// A plain picture as the op's main output.
    Picture(u32, u32),
    Error(StepError),
    /// It takes longer than the attempt may.
    Timeout,
}

impl Mock {
    fn of(answer: Answer) -> Mock {
        Mock { answers: vec![Answered { answer, times: None, takes: None, costs: Money::ZERO }] }
    }

    /// Succeeds with these outputs, an object. In it the text `@photo.png` is that file, relative to the file that the
    /// workflow or the test stands in, `@plain:640x480` a plain picture of that size, and `@@` at the beginning an `@`.
    pub fn outputs(outputs: Value) -> Mock {
        let outputs = match outputs {
            Value::Object(outputs) => outputs,
            Value::Null => Map::new(),
            other => Map::from_iter([("value".to_owned(), other)]),
        };
        Mock::of(Answer::Outputs(outputs))
    }

    /// Succeeds with a plain picture of this size as the op's main output.
    pub fn image(width: u32, height: u32) -> Mock {
        Mock::of(Answer::Picture(width, height))
    }

    /// Fails with an error of this class.
    pub fn error(class: ErrorClass) -> Mock {
        Mock::failure(StepError::new(class, "the mock fails").code("mocked"))
    }

    /// Fails with this error.
    pub fn failure(error: StepError) -> Mock {
        Mock::of(Answer::Error(error))
    }

    /// Takes longer than the step's `timeout`, which passes in virtual time.
    pub fn timeout() -> Mock {
        Mock::of(Answer::Timeout)
    }

    /// The last answer counts for so many attempts.
    pub fn times(mut self, times: u32) -> Mock {
        if let Some(last) = self.answers.last_mut() {
            last.times = Some(times);
        }
        self
    }

    /// The last answer takes this long, in virtual time; no time at all unless this is said.
    pub fn takes(mut self, time: std::time::Duration) -> Mock {
        if let Some(last) = self.answers.last_mut() {
            last.takes = Some(span(time));
        }
        self
    }

    /// Each attempt that the last answer counts for costs this much, in US dollars.
    pub fn costs(mut self, usd: f64) -> Mock {
        if let Some(last) = self.answers.last_mut() {
            last.costs = Money::from_usd(usd);
        }
        self
    }

    /// What it answers after that.
    pub fn then(mut self, next: Mock) -> Mock {
        if let Some(last) = self.answers.last_mut() {
            last.times = last.times.or(Some(1));
        }
        self.answers.extend(next.answers);
        self
    }

    /// The answer to the attempt after so many others; none once all are used up.
    pub(crate) fn answer(&self, before: u32) -> Option<&Answered> {
        let mut left = before;
        self.answers.iter().find(|answered| match answered.times {
            Some(times) if left >= times => {
                left -= times;
                false
            }
            _ => true,
        })
    }
}

/// A span of the standard library as the engine has it.
pub(crate) fn span(time: std::time::Duration) -> Duration {
    Duration(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// Whether a pattern means a path: `*` stands for an id, `[*]` for a number.
pub(crate) fn matches(pattern: &str, path: &str) -> bool {
    let (mut patterns, mut segments) = (pattern.split('/'), path.split('/'));
    loop {
        match (patterns.next(), segments.next()) {
            (None, None) => return true,
            (Some(pattern), Some(segment)) => {
                let is_meant = match pattern.strip_suffix("[*]") {
                    Some(id) => segment.split_once('[').is_some_and(|(found, _)| found == id || id == "*"),
                    None => pattern == segment || (pattern == "*" && !segment.contains('[')),
                };
                if !is_meant {
                    return false;
                }
            }
            _ => return false,
        }
    }
}

/// A value as what `@…` in it means, found by `file`.
pub(crate) fn resolved<E>(value: &Value, file: &mut impl FnMut(&str) -> Result<Value, E>) -> Result<Value, E> {
    Ok(match value {
        Value::String(text) => match text.strip_prefix('@') {
            Some(rest) if rest.starts_with('@') => json!(rest),
            Some(name) if !name.is_empty() => file(name)?,
            _ => value.clone(),
        },
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| resolved(item, file)).collect::<Result<Vec<_>, E>>()?)
        }
        Value::Object(entries) => {
            let entry = |(name, value): (&String, &Value)| Ok((name.clone(), resolved(value, file)?));
            Value::Object(entries.iter().map(entry).collect::<Result<Map, E>>()?)
        }
        _ => value.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_count_as_often_as_they_say_and_then_the_step_is_done_for_real() {
        let error = || Mock::error(ErrorClass::Network);
        let class = |mock: &Mock, before| match &mock.answer(before).map(|answered| &answered.answer) {
            Some(Answer::Error(_)) => "error",
            Some(Answer::Picture(..)) => "picture",
            Some(Answer::Timeout) => "timeout",
            Some(Answer::Outputs(_)) => "outputs",
            None => "real",
        };
        let cases = [
            (error(), ["error", "error", "error", "error"]),
            (error().times(2), ["error", "error", "real", "real"]),
            (error().then(Mock::image(1, 1)), ["error", "picture", "picture", "picture"]),
            (error().times(2).then(Mock::timeout().times(1)), ["error", "error", "timeout", "real"]),
        ];
        for (mock, want) in cases {
            assert_eq!([0, 1, 2, 3].map(|before| class(&mock, before)), want, "{mock:?}");
        }
    }

    #[test]
    fn a_star_stands_for_one_id_or_one_number() {
        let cases = [
            ("hero", "hero", true),
            ("hero", "hero-2", false),
            ("branded[*]/resize", "branded[3]/resize", true),
            ("branded[*]", "branded[3]/resize", false),
            ("shots[*]", "shots", false),
            ("*", "hero", true),
            ("*", "shots[1]", false),
            ("*[*]/resize", "branded[1]/resize", true),
        ];
        for (pattern, path, want) in cases {
            assert_eq!(matches(pattern, path), want, "{pattern} {path}");
        }
    }
}
