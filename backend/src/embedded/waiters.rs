//! Who waits for a message of which lines, in the order that they came.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

/// Those who wait. Each message wakes one of them; who was woken and leaves without having looked hands the wake on.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    next: u64,
    line: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    ticket: Ticket,
    lines: Arc<[usize]>,
    waker: Waker,
    woken: bool,
}

/// A place among the waiters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket(u64);

impl Waiters {
    /// Waits, or goes on waiting in the same place.
    pub(super) fn wait(&mut self, ticket: &mut Option<Ticket>, lines: &Arc<[usize]>, waker: &Waker) {
        if let Some(waiter) = self.line.iter_mut().find(|waiter| Some(waiter.ticket) == *ticket) {
            waiter.woken = false;
            waiter.waker.clone_from(waker);
            return;
        }
        let taken = Ticket(self.next);
        self.next += 1;
        *ticket = Some(taken);
        let (lines, waker) = (Arc::clone(lines), waker.clone());
        self.line.push_back(Waiter { ticket: taken, lines, waker, woken: false });
    }

    /// Stops waiting.
    pub(super) fn leave(&mut self, ticket: Ticket) {
        self.line.retain(|waiter| waiter.ticket != ticket);
    }

    /// Wakes whoever waits longest for this line and was not woken yet.
    pub(super) fn wake(&mut self, line: usize) {
        if let Some(waiter) = self.line.iter_mut().find(|waiter| !waiter.woken && waiter.lines.contains(&line)) {
            waiter.woken = true;
            waiter.waker.wake_by_ref();
        }
    }

    /// Wakes everybody.
    pub(super) fn wake_all(&mut self) {
        for waiter in &mut self.line {
            waiter.woken = true;
            waiter.waker.wake_by_ref();
        }
    }
}
