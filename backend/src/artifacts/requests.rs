//! Async requests for callers that wait: a thread of their own does them.

use std::future::Future;
use std::sync::mpsc;
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};

/// A thread that does the requests of one store until the store is dropped.
///
/// It is not the caller's runtime: a caller that waits for a request on the only thread of a runtime would wait for
/// itself, and one that waits inside of an async function would not be allowed to.
#[derive(Debug)]
pub(super) struct Requests {
    handle: Handle,
    _stop: DropGuard,
}

impl Requests {
    pub(super) fn start() -> std::io::Result<Requests> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (handle, stop) = (runtime.handle().clone(), CancellationToken::new());
        let stopped = stop.clone();
        // The thread owns the runtime, so that dropping a store in async code never drops a runtime there.
        let thread = std::thread::Builder::new().name("artifact-store".to_owned());
        thread.spawn(move || runtime.block_on(stopped.cancelled()))?;
        Ok(Requests { handle, _stop: stop.drop_guard() })
    }

    /// What a request gives; `None` when it broke.
    pub(super) fn wait<T: Send + 'static>(&self, request: impl Future<Output = T> + Send + 'static) -> Option<T> {
        // Of the standard library: its receiver may wait anywhere.
        let (sender, receiver) = mpsc::sync_channel(1);
        self.handle.spawn(async move {
            // Whoever asked waits for it, whatever happens.
            let _ = sender.send(request.await);
        });
        receiver.recv().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    async fn slow() -> u8 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        7
    }

    #[test]
    fn a_request_may_be_waited_for_anywhere() {
        let requests = Requests::start().unwrap();
        assert_eq!(requests.wait(slow()), Some(7), "on a plain thread");
        let runtime = Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(async { requests.wait(slow()) }), Some(7), "on the only thread of a runtime");
        runtime.block_on(async move { drop(requests) });
    }

    #[test]
    fn a_request_that_breaks_is_told_from_one_that_answers() {
        let requests = Requests::start().unwrap();
        assert_eq!(requests.wait(async { panic!("broken") as u8 }), None);
        assert_eq!(requests.wait(slow()), Some(7));
    }
}
