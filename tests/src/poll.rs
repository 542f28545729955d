//! Waiting for something to become true, with a deadline instead of a sleep.

use std::future::Future;
use std::time::Duration;

/// How long anything may take that is expected to happen: far more than it does on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// What a future gives, if it does so before the deadline.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {DEADLINE:?}"),
    }
}

/// Looks again and again until it is so.
pub async fn until<F: Future<Output = bool>>(what: &str, is_so: impl FnMut() -> F) {
    within(DEADLINE, what, is_so).await;
}

/// The same, with a deadline of its own.
pub async fn within<F: Future<Output = bool>>(deadline: Duration, what: &str, mut is_so: impl FnMut() -> F) {
    let looks = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if tokio::time::timeout(deadline, looks).await.is_err() {
        panic!("{what}: not within {deadline:?}");
    }
}

/// Whether a future is still waiting after everything that is ready has run.
pub async fn is_waiting<T>(future: impl Future<Output = T>) -> bool {
    // Yielding lets every other task run first; brokers need a moment of real time as well.
    let mut future = std::pin::pin!(future);
    for _ in 0..10 {
        tokio::select! {
            biased;
            _ = &mut future => return false,
            () = tokio::time::sleep(Duration::from_millis(2)) => {}
        }
    }
    true
}
