//! What a test expects of a trial, and where the trial differs.

use crate::mock::span;
use crate::trial::{Trial, shown};
use darkroom_proto::{Duration, ErrorClass, Map, RunStatus, StepStatus};
use serde::Serialize;
use serde_json::Value;

/// What a test expects.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Expectation {
    /// `completed` unless it is said, or `failed` where an error is expected.
    pub(crate) status: Option<RunStatus>,
    pub(crate) steps: Vec<(String, StepWanted)>,
    pub(crate) outputs: Map,
    /// Steps that began in this order, others between them.
    pub(crate) order: Vec<String>,
    pub(crate) attempts: Vec<(String, u32)>,
    pub(crate) error: Option<ErrorWanted>,
    pub(crate) elapsed: Option<Bound>,
    pub(crate) cost: Option<f64>,
    pub(crate) requests: Option<RequestsWanted>,
    /// Files in the output folder.
    pub(crate) saved: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct StepWanted {
    pub(crate) status: Option<StepStatus>,
    pub(crate) output: Map,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ErrorWanted {
    pub(crate) step: Option<String>,
    pub(crate) class: Option<ErrorClass>,
    pub(crate) code: Option<String>,
    /// A part of it.
    pub(crate) message: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum RequestsWanted {
    Count(u32),
    /// Each with at least these keys.
    Like(Vec<Value>),
}

/// A span of time, or where one has to lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bound {
    pub(crate) relation: Relation,
    pub(crate) span: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    Exactly,
    Below,
    AtMost,
    Above,
    AtLeast,
}

impl Bound {
    /// Reads `30d`, `>= 30d`, `< 5m`.
    pub(crate) fn parse(text: &str) -> Option<Bound> {
        let relations = [
            (">=", Relation::AtLeast),
            ("<=", Relation::AtMost),
            (">", Relation::Above),
            ("<", Relation::Below),
            ("", Relation::Exactly),
        ];
        let (relation, rest) =
            relations.iter().find_map(|(sign, relation)| Some((*relation, text.trim().strip_prefix(sign)?)))?;
        Some(Bound { relation, span: rest.trim().parse().ok()? })
    }

    fn holds(self, found: Duration) -> bool {
        match self.relation {
            Relation::Exactly => found == self.span,
            Relation::Below => found < self.span,
            Relation::AtMost => found <= self.span,
            Relation::Above => found > self.span,
            Relation::AtLeast => found >= self.span,
        }
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = match self.relation {
            Relation::Exactly => "",
            Relation::Below => "less than ",
            Relation::AtMost => "at most ",
            Relation::Above => "more than ",
            Relation::AtLeast => "at least ",
        };
        write!(f, "{sign}{}", shown(self.span))
    }
}

/// Something that came otherwise than a test expects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mismatch {
    /// What it is about, such as `steps.crop` or `outputs.image.width`.
    pub what: String,
    /// What the test expects.
    pub expected: String,
    /// What came.
    pub found: String,
}

impl Mismatch {
    pub(crate) fn new(what: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> Mismatch {
        Mismatch { what: what.into(), expected: expected.into(), found: found.into() }
    }
}

impl Expectation {
    /// The status that the run is to have in the end.
    pub(crate) fn status(&self) -> RunStatus {
        let usual = if self.error.is_some() { RunStatus::Failed } else { RunStatus::Completed };
        self.status.unwrap_or(usual)
    }

    /// Where the trial differs from it.
    pub(crate) fn mismatches(&self, trial: &Trial) -> Vec<Mismatch> {
        let mut found = Vec::new();
        if trial.status() != self.status() {
            let why = match trial.failure() {
                Some((step, error)) => {
                    format!("{}: `{step}` failed with {}: {}", trial.status(), error.class.name(), error.message)
                }
                None => trial.status().to_string(),
            };
            found.push(Mismatch::new("status", self.status().name(), why));
        }
        for (path, wanted) in &self.steps {
            let status = trial.step_status(path);
            if let Some(wanted) = wanted.status.filter(|wanted| *wanted != status) {
                found.push(Mismatch::new(format!("steps.{path}"), wanted.name(), status.name()));
            }
            for (name, value) in &wanted.output {
                compare(&format!("steps.{path}.output.{name}"), value, &trial.output(path, name), &mut found);
            }
        }
        for (name, value) in &self.outputs {
            let output = trial.outputs().get(name).cloned().unwrap_or_default();
            compare(&format!("outputs.{name}"), value, &output, &mut found);
        }
        self.check_order(trial, &mut found);
        for (path, wanted) in &self.attempts {
            let attempts = trial.attempts(path);
            if attempts != *wanted {
                found.push(Mismatch::new(format!("attempts.{path}"), wanted.to_string(), attempts.to_string()));
            }
        }
        if let Some(wanted) = &self.error {
            wanted.check(trial, &mut found);
        }
        let elapsed = span(trial.elapsed());
        if let Some(wanted) = self.elapsed.filter(|wanted| !wanted.holds(elapsed)) {
            found.push(Mismatch::new("elapsed", wanted.to_string(), shown(elapsed)));
        }
        if let Some(wanted) = self.cost.filter(|wanted| (wanted - trial.cost()).abs() >= 5e-7) {
            found.push(Mismatch::new("cost", format!("${wanted}"), format!("${}", trial.cost())));
        }
        self.check_requests(trial, &mut found);
        for path in &self.saved {
            if !trial.out().join(path).is_file() {
                found.push(Mismatch::new("saved", path.as_str(), "there is no such file"));
            }
        }
        found
    }

    fn check_order(&self, trial: &Trial, found: &mut Vec<Mismatch>) {
        let order = trial.order();
        let mut rest = order.iter();
        if !self.order.iter().all(|wanted| rest.any(|step| step == wanted)) {
            let seen: Vec<&str> =
                order.iter().map(String::as_str).filter(|step| self.order.iter().any(|w| w == step)).collect();
            let seen = if seen.is_empty() { "none of them began".to_owned() } else { seen.join(", ") };
            found.push(Mismatch::new("order", self.order.join(", "), seen));
        }
    }

    fn check_requests(&self, trial: &Trial, found: &mut Vec<Mismatch>) {
        let requests = trial.requests();
        let count = match &self.requests {
            None => return,
            Some(RequestsWanted::Count(count)) => *count as usize,
            Some(RequestsWanted::Like(list)) => list.len(),
        };
        if count != requests.len() {
            let each = |request: &crate::Request| {
                let url = request.params.get("url").and_then(Value::as_str).unwrap_or_default();
                format!("{} of {} to {url}", request.op, request.step)
            };
            let seen: Vec<String> = requests.iter().map(each).collect();
            let seen = if seen.is_empty() { "0".to_owned() } else { format!("{}: {}", seen.len(), seen.join(", ")) };
            found.push(Mismatch::new("requests", count.to_string(), seen));
            return;
        }
        if let Some(RequestsWanted::Like(list)) = &self.requests {
            for (number, (wanted, request)) in list.iter().zip(requests).enumerate() {
                let request = serde_json::to_value(request).unwrap_or_default();
                compare(&format!("requests[{number}]"), wanted, &request, found);
            }
        }
    }
}

impl ErrorWanted {
    fn check(&self, trial: &Trial, found: &mut Vec<Mismatch>) {
        let Some((step, error)) = trial.failure() else {
            return found.push(Mismatch::new("error", "one", "the run did not fail"));
        };
        let mut differs = |what: &str, wanted: Option<&str>, came: &str, is_there: bool| {
            if let (Some(wanted), false) = (wanted, is_there) {
                found.push(Mismatch::new(format!("error.{what}"), wanted, came));
            }
        };
        let (wanted, came) = (self.step.as_deref(), step.as_str());
        differs("step", wanted, came, wanted == Some(came));
        let (wanted, came) = (self.class.map(ErrorClass::name), error.class.name());
        differs("class", wanted, came, wanted == Some(came));
        let (wanted, came) = (self.code.as_deref(), error.code.as_str());
        differs("code", wanted, came, wanted == Some(came));
        let (wanted, came) = (self.message.as_deref(), error.message.as_str());
        differs("message", wanted, came, wanted.is_some_and(|wanted| came.contains(wanted)));
    }
}

/// Objects have at least the keys that are expected, lists are as long; numbers are equal whatever they are written as.
fn compare(what: &str, expected: &Value, came: &Value, found: &mut Vec<Mismatch>) {
    match (expected, came) {
        (Value::Object(expected), Value::Object(came)) => {
            for (name, value) in expected {
                compare(&format!("{what}.{name}"), value, came.get(name).unwrap_or(&Value::Null), found);
            }
        }
        (Value::Array(expected), Value::Array(came)) if expected.len() == came.len() => {
            for (number, (expected, came)) in expected.iter().zip(came).enumerate() {
                compare(&format!("{what}[{number}]"), expected, came, found);
            }
        }
        (Value::Number(expected), Value::Number(came)) if expected.as_f64() == came.as_f64() => {}
        _ if expected == came => {}
        _ => found.push(Mismatch::new(what, brief(expected), brief(came))),
    }
}

/// A value, cut where it gets long.
fn brief(value: &Value) -> String {
    const MOST: usize = 200;
    let text = value.to_string();
    match text.chars().count() > MOST {
        true => text.chars().take(MOST).chain(['…']).collect(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_mentioned_may_be_anything() {
        let differ = |expected: Value, came: Value| {
            let mut found = Vec::new();
            compare("x", &expected, &came, &mut found);
            found.into_iter().map(|mismatch| mismatch.what).collect::<Vec<_>>()
        };
        assert!(differ(json!({"a": 1}), json!({"a": 1.0, "b": 2})).is_empty());
        assert_eq!(differ(json!({"a": {"b": 1}}), json!({"a": {"b": 2}})), ["x.a.b"]);
        assert_eq!(differ(json!([1, 2]), json!([1])), ["x"]);
        assert_eq!(differ(json!([1, 2]), json!([1, 3])), ["x[1]"]);
        assert!(differ(json!({"a": null}), json!({})).is_empty());
    }

    #[test]
    fn spans_are_exact_or_bounded() {
        let cases =
            [("30d", 2_592_000_000, true), (">= 1h", 3_600_000, true), ("> 1h", 3_600_000, false), ("<5m", 1, true)];
        for (text, ms, want) in cases {
            assert_eq!(Bound::parse(text).unwrap().holds(Duration(ms)), want, "{text}");
        }
        assert_eq!(Bound::parse("soon"), None);
    }
}
