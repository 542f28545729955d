//! Calls to providers that cost money: their names, what travels with them, what they cost.

use crate::{RunId, Sha256, StepPath, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An amount of money in millionths of a US dollar: whole numbers, so that sums are exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Money(pub u64);

impl Money {
    /// Nothing.
    pub const ZERO: Money = Money(0);

    /// The amount of so many dollars, rounded to the nearest millionth; what is negative or no number is nothing.
    pub fn from_usd(usd: f64) -> Money {
        Money((usd * 1e6).round().max(0.0) as u64)
    }

    /// The amount in dollars, as documents show it.
    pub fn usd(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// Both together.
    pub fn plus(self, other: Money) -> Money {
        Money(self.0.saturating_add(other.0))
    }
}

impl std::iter::Sum for Money {
    fn sum<I: Iterator<Item = Money>>(amounts: I) -> Money {
        amounts.fold(Money::ZERO, Money::plus)
    }
}

impl std::fmt::Display for Money {
    /// Such as `$0.04`; with as many digits as it needs, at least two.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = format!("{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000);
        let cents = text.len() - 4;
        let end = text.trim_end_matches('0').len().max(cents);
        f.pad(&format!("${}", &text[..end]))
    }
}

/// The text is no amount of money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an amount of US dollars: expected a number such as `1.50`, `$1.50` or `1.50 USD`, at most a million")]
pub struct ParseMoneyError;

impl std::str::FromStr for Money {
    type Err = ParseMoneyError;

    fn from_str(text: &str) -> Result<Money, ParseMoneyError> {
        let text = text.trim();
        let number = text.strip_prefix('$').or_else(|| text.strip_suffix("USD")).unwrap_or(text).trim();
        let usd: f64 = number.parse().map_err(|_| ParseMoneyError)?;
        (0.0..=1e6).contains(&usd).then(|| Money::from_usd(usd)).ok_or(ParseMoneyError)
    }
}

/// Names one call to a provider. It follows from the step, its generation and the number of the call, so whoever makes it
/// again makes the same one, and it names its run, so that a webhook that carries it finds the way home.
///
/// Printed as `c_`, the run's 32 hex digits, `_` and 16 more: letters, digits and `_` only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallId(String);

impl CallId {
    /// Call `number`, from 1, of a step in a generation.
    pub fn new(run: RunId, step: &StepPath, generation: u32, number: u32) -> CallId {
        let digest = Sha256::of(format!("call\0{run}\0{step}\0{generation}\0{number}").as_bytes());
        let run = run.to_string();
        CallId(format!("c_{}_{}", &run[run.len() - 32..], digest.short(16)))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The run that the call is for.
    pub fn run(&self) -> Option<RunId> {
        format!("run_{}", self.0.get(2..34)?).parse().ok()
    }

    /// The id as a UUID, for providers that take nothing else: always the same one.
    pub fn uuid(&self) -> uuid::Uuid {
        let mut bytes = [0u8; 16];
        bytes.copy_from_slice(&Sha256::of(self.0.as_bytes()).as_bytes()[..16]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }
}

impl std::fmt::Display for CallId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

/// The text is no id of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a call: expected `c_`, 32 hex digits, `_` and 16 hex digits")]
pub struct ParseCallIdError;

impl std::str::FromStr for CallId {
    type Err = ParseCallIdError;

    fn from_str(text: &str) -> Result<CallId, ParseCallIdError> {
        let is_hex = |part: &str, digits| part.len() == digits && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        let (run, rest) = text.strip_prefix("c_").and_then(|rest| rest.split_once('_')).ok_or(ParseCallIdError)?;
        (is_hex(run, 32) && is_hex(rest, 16)).then(|| CallId(text.to_owned())).ok_or(ParseCallIdError)
    }
}

/// What a poll message carries of the call that it is about: enough to find the job at the provider even if the store has
/// lost its last second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ticket {
    /// The call.
    pub call: CallId,
    /// Which turn this message is. Each is taken once; any other copy is dropped.
    pub turn: u32,
    /// Who was called.
    pub provider: String,
    /// Where.
    pub endpoint: String,
    /// With which key: its fingerprint, never the key.
    pub key: String,
    /// What the provider calls the job.
    pub handle: Value,
    /// When the job was handed in.
    pub since: Timestamp,
    /// What it was expected to cost.
    pub price: Money,
    /// Whether the store was away when the handle came: then it is in this message only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_only_copy: bool,
    /// What a webhook of the provider said, word for word, whose signature was found good: if the outcome is in it, the
    /// provider need not be asked. At most [`TOLD_BYTES_MAX`](Ticket::TOLD_BYTES_MAX).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<String>,
}

impl Ticket {
    /// How much of a webhook travels with the message that it leads to. What is longer is asked for.
    pub const TOLD_BYTES_MAX: usize = 16 << 10;
}

/// What a step has cost so far in its generation, by what is booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StepCost {
    /// By all attempts of its generation.
    pub spent: Money,
    /// Calls that may have been paid twice.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub possible_duplicates: u32,
}

impl StepCost {
    /// Whether nothing was spent, and nothing is in doubt.
    pub fn is_none(&self) -> bool {
        *self == StepCost::default()
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_prints_cents_and_what_is_smaller() {
        let cases = [(0, "$0.00"), (40_000, "$0.04"), (1_500_000, "$1.50"), (3, "$0.000003"), (12_345_600, "$12.3456")];
        for (amount, want) in cases {
            assert_eq!(Money(amount).to_string(), want);
        }
        for (text, want) in
            [("1.50 USD", Ok(Money(1_500_000))), ("$2", Ok(Money(2_000_000))), ("0.5", Ok(Money(500_000)))]
        {
            assert_eq!(text.parse(), want, "{text}");
        }
        for text in ["", "-1", "NaN", "inf", "1 EUR", "2000000"] {
            assert_eq!(text.parse::<Money>(), Err(ParseMoneyError), "{text}");
        }
        assert_eq!(Money::from_usd(0.039), Money(39_000));
        assert_eq!(Money::from_usd(f64::NAN), Money::ZERO);
    }

    #[test]
    fn a_call_is_the_same_whoever_names_it_and_knows_its_run() {
        let (run, step) = (RunId::from_bytes([7; 16]), StepPath::top("edit"));
        let call = CallId::new(run, &step, 1, 1);
        assert_eq!(call, CallId::new(run, &step, 1, 1));
        assert_ne!(call, CallId::new(run, &step, 1, 2));
        assert_eq!(call.run(), Some(run));
        assert_eq!(call.to_string().parse(), Ok(call.clone()));
        assert_eq!("c_12_34".parse::<CallId>(), Err(ParseCallIdError));
    }
}
