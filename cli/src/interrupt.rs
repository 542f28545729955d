//! Ctrl-C, heard from the moment somebody begins to listen.
//!
//! `tokio::signal::ctrl_c` hears only what comes while it is awaited: in a loop, what comes between two turns is lost.

use crate::failure::Failure;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Ctrl-C of this process.
pub(crate) struct Interrupt(Signal);

impl Interrupt {
    /// Listens from now on; Ctrl-C no longer ends the process by itself.
    pub(crate) fn listen() -> Result<Interrupt, Failure> {
        let signal = signal(SignalKind::interrupt());
        signal.map(Interrupt).map_err(|error| Failure::other(format!("Ctrl-C can't be heard: {error}")))
    }

    /// Waits until it is pressed, or returns at once if it was since the last time.
    pub(crate) async fn pressed(&mut self) {
        self.0.recv().await;
    }
}
