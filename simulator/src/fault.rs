//! [`Fault`]: something that goes wrong on request.

use crate::dice::Dice;
use crate::provider::Class;
use serde::Deserialize;
use serde_json::{Value, json};

/// The most faults that are set at once.
const FAULTS_MAX: usize = 1_000;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// This status, before anything is taken.
    Http(u16),
    /// The connection ends without an answer, before anything is taken.
    Reset,
    /// There is never an answer, and nothing is taken.
    Hang,
    /// The job is taken and charged, and then the connection ends without an answer.
    AcceptThenDrop,
    /// The money is said to be used up.
    Quota,
    /// The key is said to be unknown.
    InvalidKey,
    /// The content is said to be against the rules, where the provider says such things.
    Content,
    /// The job is taken and charged, and the answer is a success that breaks off in the middle.
    Malformed,
    /// It takes so many milliseconds longer to answer.
    Slow(u64),
    /// The link to an output has expired when it is given.
    ExpireOutput,
    /// The webhook is not told.
    LostWebhook,
}

impl std::str::FromStr for FaultKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(code) = text.strip_prefix("http:") {
            let code = code.parse().ok().filter(|code| (400..600).contains(code));
            return code.map(FaultKind::Http).ok_or_else(|| format!("`{text}`: a status from 400 to 599 is needed"));
        }
        if let Some(ms) = text.strip_prefix("slow:") {
            let ms = ms.strip_suffix("ms").unwrap_or(ms).parse().ok().filter(|ms| *ms <= 3_600_000);
            return ms.map(FaultKind::Slow).ok_or_else(|| format!("`{text}`: milliseconds up to an hour are needed"));
        }
        Ok(match text {
            "reset" => FaultKind::Reset,
            "hang" => FaultKind::Hang,
            "accept-then-drop" => FaultKind::AcceptThenDrop,
            "quota" => FaultKind::Quota,
            "invalid_key" => FaultKind::InvalidKey,
            "content" => FaultKind::Content,
            "malformed" => FaultKind::Malformed,
            "expire-output" => FaultKind::ExpireOutput,
            "lost-webhook" => FaultKind::LostWebhook,
            _ => {
                return Err(format!(
                    "`{}` is no kind of fault; there are http:<code>, reset, hang, accept-then-drop, quota, invalid_key, \
                     content, malformed, slow:<ms>, expire-output and lost-webhook",
                    text.chars().take(40).collect::<String>()
                ));
            }
        })
    }
}

/// What is asked for with `POST /_sim/faults`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    provider: Option<String>,
    endpoint: Option<String>,
    kind: String,
    rate: Option<f64>,
    count: Option<u64>,
    retry_after: Option<f64>,
}

/// Something that goes wrong on request.
#[derive(Debug, Clone)]
struct Fault {
    wanted: Wanted,
    kind: FaultKind,
    happened: u64,
}

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Happens {
    pub(crate) kind: FaultKind,
    pub(crate) retry_after_ms: Option<u64>,
}

/// All faults that are set.
#[derive(Debug)]
pub(crate) struct Faults {
    set: Vec<Fault>,
    dice: Dice,
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Faults {
        Faults { set: Vec::new(), dice: Dice::new(seed) }
    }

    /// # Errors
    /// When something about it is wrong: what, for people.
    pub(crate) fn add(&mut self, wanted: Wanted, providers: &[&str]) -> Result<(), String> {
        let kind = wanted.kind.parse()?;
        if let Some(name) = wanted.provider.as_deref().filter(|name| !providers.contains(name)) {
            return Err(format!("there is no provider `{name}`; there are {}", providers.join(", ")));
        }
        if wanted.rate.is_some_and(|rate| !(0.0..=1.0).contains(&rate)) {
            return Err("rate: from 0 to 1".to_owned());
        }
        if wanted.retry_after.is_some_and(|seconds| !(0.0..=86_400.0).contains(&seconds)) {
            return Err("retry_after: seconds, from 0 to a day".to_owned());
        }
        if self.set.len() >= FAULTS_MAX {
            return Err(format!("at most {FAULTS_MAX} faults"));
        }
        self.set.push(Fault { wanted, kind, happened: 0 });
        Ok(())
    }

    pub(crate) fn clear(&mut self) {
        self.set.clear();
    }

    pub(crate) fn document(&self) -> Value {
        let each = self.set.iter().map(|fault| {
            let Wanted { provider, endpoint, kind, rate, count, retry_after } = &fault.wanted;
            json!({
                "provider": provider, "endpoint": endpoint, "kind": kind, "rate": rate, "count": count,
                "retry_after": retry_after, "happened": fault.happened,
            })
        });
        each.collect()
    }

    /// What happens to a request: every fault that is meant for it has its chance. All slowness adds up; of the others
    /// the first one happens.
    pub(crate) fn of_request(&mut self, provider: &str, class: Class, endpoint: &str) -> (u64, Option<Happens>) {
        let (mut slow_ms, mut happens) = (0, None);
        for fault in &mut self.set {
            let slow = match fault.kind {
                FaultKind::ExpireOutput | FaultKind::LostWebhook => continue,
                FaultKind::Slow(ms) => Some(ms),
                _ if happens.is_some() => continue,
                _ => None,
            };
            let meant = match fault.wanted.endpoint.as_deref() {
                None => class == Class::Submit,
                Some(named) => named == class.word() || (class == Class::Submit && named == endpoint),
            };
            if meant && fault.happens(provider, &mut self.dice) {
                match slow {
                    Some(ms) => slow_ms += ms,
                    None => {
                        let retry_after_ms = fault.wanted.retry_after.map(|seconds| (seconds * 1e3) as u64);
                        happens = Some(Happens { kind: fault.kind, retry_after_ms });
                    }
                }
            }
        }
        (slow_ms, happens)
    }

    /// Whether a fault of what comes later happens to a job: an output that expires, a webhook that is lost.
    pub(crate) fn of_job(&mut self, kind: FaultKind, provider: &str, endpoint: &str) -> bool {
        let dice = &mut self.dice;
        self.set
            .iter_mut()
            .filter(|fault| fault.kind == kind)
            .filter(|fault| {
                let named = fault.wanted.endpoint.as_deref();
                named.is_none_or(|named| named == endpoint || ["download", "webhook"].contains(&named))
            })
            .any(|fault| fault.happens(provider, dice))
    }
}

impl Fault {
    fn happens(&mut self, provider: &str, dice: &mut Dice) -> bool {
        let meant = self.wanted.provider.as_deref().is_none_or(|named| named == provider);
        let left = self.wanted.count.is_none_or(|count| self.happened < count);
        let happens = meant && left && dice.happens(self.wanted.rate.unwrap_or(1.0));
        self.happened += u64::from(happens);
        happens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(wanted: &[Value]) -> Faults {
        let mut faults = Faults::new(7);
        for wanted in wanted {
            faults.add(serde_json::from_value(wanted.clone()).unwrap(), &["fal", "bfl"]).unwrap();
        }
        faults
    }

    #[test]
    fn what_is_no_fault_is_refused_with_a_reason() {
        let cases = [
            (json!({"kind": "earthquake"}), "earthquake"),
            (json!({"kind": "http:200"}), "400 to 599"),
            (json!({"kind": "slow:soon"}), "milliseconds"),
            (json!({"kind": "reset", "provider": "nobody"}), "there is no provider"),
            (json!({"kind": "reset", "rate": 1.5}), "from 0 to 1"),
        ];
        for (wanted, says) in cases {
            let told = Faults::new(0).add(serde_json::from_value(wanted.clone()).unwrap(), &["fal"]).unwrap_err();
            assert!(told.contains(says), "{wanted}: {told}");
        }
    }

    #[test]
    fn a_fault_happens_where_it_is_meant_to_and_no_more_often() {
        let mut faults = faults(&[json!({"kind": "http:503", "provider": "fal", "count": 2})]);
        assert_eq!(faults.of_request("bfl", Class::Submit, "a").1, None, "another provider");
        assert_eq!(faults.of_request("fal", Class::Poll, "a").1, None, "submissions only, unless it is said");
        let happened = (0..5).filter(|_| faults.of_request("fal", Class::Submit, "a").1.is_some()).count();
        assert_eq!(happened, 2);
    }

    #[test]
    fn a_fault_can_name_an_endpoint_or_a_kind_of_request() {
        let mut faults = faults(&[
            json!({"kind": "http:500", "endpoint": "poll"}),
            json!({"kind": "http:501", "endpoint": "fal-ai/flux/dev"}),
        ]);
        assert_eq!(faults.of_request("fal", Class::Poll, "status").1.unwrap().kind, FaultKind::Http(500));
        assert_eq!(faults.of_request("fal", Class::Submit, "fal-ai/flux/dev").1.unwrap().kind, FaultKind::Http(501));
        assert_eq!(faults.of_request("fal", Class::Submit, "other").1, None);
    }

    #[test]
    fn a_rate_is_how_often_it_happens_and_the_seed_decides_when() {
        let run = || {
            let mut faults = faults(&[json!({"kind": "reset", "rate": 0.1})]);
            (0..10_000).map(|_| faults.of_request("fal", Class::Submit, "a").1.is_some()).collect::<Vec<bool>>()
        };
        let happened = run().iter().filter(|happened| **happened).count();
        assert!((900..1_100).contains(&happened), "{happened} of 10,000 at 10 %");
        assert_eq!(run(), run());
    }

    #[test]
    fn slowness_adds_to_whatever_else_happens() {
        let mut faults = faults(&[json!({"kind": "slow:20"}), json!({"kind": "quota"}), json!({"kind": "slow:30ms"})]);
        let (slow_ms, happens) = faults.of_request("fal", Class::Submit, "a");
        assert_eq!((slow_ms, happens.unwrap().kind), (50, FaultKind::Quota));
    }
}
