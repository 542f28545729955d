//! Whether and when a failed attempt is tried again.

use crate::plan::{Backoff, RetryPolicy};
use darkroom_proto::{Duration, ErrorClass, RunId, Sha256, StepError, StepPath};

/// The wait when a provider says "slow down" without saying how long.
const RATE_LIMIT_DELAY: Duration = Duration::from_secs(60);

impl RetryPolicy {
    /// Whether errors of this class are retried.
    pub(crate) fn retries(&self, class: ErrorClass) -> bool {
        match &self.classes {
            Some(classes) => classes.contains(&class),
            None => class.retryable(),
        }
    }

    /// How long to wait before the attempt after `attempt`, or `None` when there is none.
    pub fn next(&self, attempt: u32, error: &StepError) -> Option<Duration> {
        if !self.retries(error.class) || attempt >= self.attempts {
            return None;
        }
        let wait = self.backoff.wait(attempt);
        let wait = match error.class {
            ErrorClass::RateLimit => wait.max(error.retry_after.unwrap_or(RATE_LIMIT_DELAY)),
            _ => wait
                .max(error.retry_after.unwrap_or_default())
                .min(self.delay_max.max(error.retry_after.unwrap_or_default())),
        };
        Some(wait)
    }
}

impl Backoff {
    /// The wait after failed attempt number `attempt`, uncapped.
    fn wait(&self, attempt: u32) -> Duration {
        let attempt = attempt.max(1);
        match self {
            Backoff::Fixed(delay) => *delay,
            Backoff::Linear(delay) => Duration(delay.0.saturating_mul(u64::from(attempt))),
            Backoff::Exponential(delay) => Duration(delay.0.saturating_mul(1u64 << (attempt - 1).min(32))),
            Backoff::Listed(delays) => delays.get(attempt as usize - 1).or(delays.last()).copied().unwrap_or_default(),
        }
    }
}

/// `delay` moved by up to a quarter either way, so that steps that failed together do not come back together. The same
/// attempt is always moved by the same.
pub(crate) fn jittered(delay: Duration, run: RunId, path: &StepPath, attempt: u32) -> Duration {
    let digest = Sha256::of(format!("{run}/{path}/{attempt}").as_bytes());
    let quarter = delay.0 / 4;
    let at = u64::from(u16::from_le_bytes([digest.as_bytes()[0], digest.as_bytes()[1]]));
    Duration(delay.0 - quarter + 2 * quarter * at / u64::from(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use darkroom_proto::Timestamp;

    fn waits(policy: &RetryPolicy, class: ErrorClass) -> Vec<Option<u64>> {
        let error = StepError::new(class, "x");
        (1..=5).map(|attempt| policy.next(attempt, &error).map(|wait| wait.0)).collect()
    }

    #[test]
    fn retryable_errors_come_back_after_1_2_4_8_seconds_and_hard_ones_never() {
        let policy = RetryPolicy::default();
        assert_eq!(waits(&policy, ErrorClass::Network), [Some(1_000), Some(2_000), Some(4_000), Some(8_000), None]);
        assert_eq!(waits(&policy, ErrorClass::InvalidInput), [None; 5]);
    }

    #[test]
    fn a_policy_sets_attempts_backoff_cap_and_classes() {
        let second = Duration::from_secs(1);
        let policy =
            |backoff, attempts| RetryPolicy { attempts, backoff, delay_max: Duration::from_secs(3), classes: None };
        let cases = [
            ("fixed", policy(Backoff::Fixed(second), 4), [Some(1_000), Some(1_000), Some(1_000), None, None]),
            (
                "linear, capped",
                policy(Backoff::Linear(second), 9),
                [Some(1_000), Some(2_000), Some(3_000), Some(3_000), Some(3_000)],
            ),
            (
                "exponential, capped",
                policy(Backoff::Exponential(second), 9),
                [Some(1_000), Some(2_000), Some(3_000), Some(3_000), Some(3_000)],
            ),
            (
                "listed",
                policy(Backoff::Listed(vec![Duration(5), Duration(7)]), 9),
                [Some(5), Some(7), Some(7), Some(7), Some(7)],
            ),
        ];
        for (name, policy, want) in cases {
            assert_eq!(waits(&policy, ErrorClass::Timeout), want, "{name}");
        }
        let only = RetryPolicy { classes: Some(vec![ErrorClass::InvalidInput]), ..RetryPolicy::default() };
        assert!(waits(&only, ErrorClass::InvalidInput)[0].is_some());
        assert!(waits(&only, ErrorClass::Network)[0].is_none());
    }

    #[test]
    fn a_provider_that_says_when_is_heard() {
        let mut error = StepError::new(ErrorClass::RateLimit, "slow down");
        assert_eq!(RetryPolicy::default().next(1, &error), Some(Duration::from_secs(60)));
        error.retry_after = Some(Duration::from_secs(90));
        assert_eq!(RetryPolicy::default().next(1, &error), Some(Duration::from_secs(90)));
    }

    #[test]
    fn jitter_stays_within_a_quarter_and_is_repeatable() {
        let run = RunId::new(Timestamp(1), [3; 10]);
        for attempt in 1..200 {
            let path = StepPath::top("x");
            let moved = jittered(Duration(1_000), run, &path, attempt);
            assert!((750..=1_250).contains(&moved.0), "{moved}");
            assert_eq!(moved, jittered(Duration(1_000), run, &path, attempt));
        }
    }
}
