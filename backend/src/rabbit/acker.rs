//! Acks and what is given back, of one channel: collected, and sent with as few frames as possible.

use super::connection::in_time;
use futures_util::future::join_all;
use lapin::Channel;
use lapin::options::{BasicAckOptions, BasicNackOptions};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Sends the acks of a channel.
///
/// It belongs to one connection: an ack of a delivery of an earlier connection ends in the acker of that one, which
/// sends nothing any more, and so can never hit another message that happens to have the same number.
#[derive(Debug)]
pub(super) struct Acker {
    channel: Channel,
    tags: Mutex<Tags>,
    changed: Notify,
    /// Keeps frames in the order in which they were planned.
    sending: tokio::sync::Mutex<()>,
}

impl Acker {
    pub(super) fn new(channel: Channel) -> Self {
        Self { channel, tags: Mutex::default(), changed: Notify::new(), sending: tokio::sync::Mutex::default() }
    }

    pub(super) fn channel(&self) -> &Channel {
        &self.channel
    }

    /// A delivery came.
    pub(super) fn received(&self, tag: u64) {
        self.tags().received(tag);
    }

    /// It is dealt with. Returns at once; the ack goes out with those that follow soon.
    pub(super) fn ack(&self, tag: u64) {
        self.tags().settle(tag, State::Acked);
        self.changed.notify_one();
    }

    /// It is to come again.
    pub(super) fn give_back(&self, tag: u64) {
        self.tags().settle(tag, State::GivenBack);
        self.changed.notify_one();
    }

    /// Sends as long as the channel lives, and says why it does not any more.
    pub(super) async fn run(&self) -> String {
        loop {
            self.changed.notified().await;
            if let Err(why) = self.send().await {
                return why;
            }
        }
    }

    /// Sends what there is.
    pub(super) async fn send(&self) -> Result<(), String> {
        let _in_order = self.sending.lock().await;
        loop {
            let Frames { back, single, up_to } = self.tags().plan();
            if back.is_empty() && single.is_empty() && up_to.is_none() {
                return Ok(());
            }
            // Before any `multiple`, which would ack them.
            let requeue = BasicNackOptions { multiple: false, requeue: true };
            in_time(all(back.into_iter().map(|tag| self.channel.basic_nack(tag, requeue)))).await?;
            if let Some(tag) = up_to {
                in_time(self.channel.basic_ack(tag, BasicAckOptions { multiple: true })).await?;
            }
            let alone = BasicAckOptions { multiple: false };
            in_time(all(single.into_iter().map(|tag| self.channel.basic_ack(tag, alone)))).await?;
        }
    }

    fn tags(&self) -> MutexGuard<'_, Tags> {
        self.tags.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn all(frames: impl Iterator<Item = impl Future<Output = lapin::Result<()>>>) -> lapin::Result<()> {
    join_all(frames).await.into_iter().collect()
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Somebody has it, or it is still on its way to us.
    Open,
    Acked,
    GivenBack,
    /// The broker was told.
    Settled,
}

/// The deliveries of a channel, which the broker numbers from 1 on.
#[derive(Debug, Default)]
struct Tags {
    /// How many are settled before the first of `states`.
    settled: u64,
    states: VecDeque<State>,
    /// What was settled since the last plan.
    changed: Vec<u64>,
}

/// What is to be sent, in this order.
#[derive(Debug, Default, PartialEq, Eq)]
struct Frames {
    back: Vec<u64>,
    up_to: Option<u64>,
    single: Vec<u64>,
}

impl Tags {
    fn received(&mut self, tag: u64) {
        // Those of several consumers may be read in another order than the broker sent them; all up to this were sent.
        let length = tag.saturating_sub(self.settled) as usize;
        if length > self.states.len() {
            self.states.resize(length, State::Open);
        }
    }

    fn state(&mut self, tag: u64) -> Option<&mut State> {
        let position = tag.checked_sub(self.settled + 1)?;
        self.states.get_mut(position as usize)
    }

    fn settle(&mut self, tag: u64, state: State) {
        if let Some(now) = self.state(tag).filter(|now| **now == State::Open) {
            *now = state;
            self.changed.push(tag);
        }
    }

    fn plan(&mut self) -> Frames {
        let changed = std::mem::take(&mut self.changed);
        let mut frames = Frames::default();
        for &tag in &changed {
            if let Some(state) = self.state(tag).filter(|state| **state == State::GivenBack) {
                *state = State::Settled;
                frames.back.push(tag);
            }
        }
        // `multiple` must name a delivery that the broker still waits for: the last acked one before the first open one.
        let dealt_with = self.states.iter().take_while(|state| **state != State::Open).count();
        let last = self.states.iter().take(dealt_with).rposition(|state| *state == State::Acked);
        let first = self.settled;
        frames.up_to = last.map(|position| first + 1 + position as u64);
        self.states.drain(..dealt_with);
        self.settled += dealt_with as u64;
        for tag in changed {
            if let Some(state) = self.state(tag).filter(|state| **state == State::Acked) {
                *state = State::Settled;
                frames.single.push(tag);
            }
        }
        frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(count: u64) -> Tags {
        let mut tags = Tags::default();
        tags.received(count);
        tags
    }

    fn ack(tags: &mut Tags, which: impl IntoIterator<Item = u64>) {
        which.into_iter().for_each(|tag| tags.settle(tag, State::Acked));
    }

    #[test]
    fn acks_without_a_gap_are_one_frame() {
        let mut tags = tags(100);
        ack(&mut tags, (1..=100).rev());
        assert_eq!(tags.plan(), Frames { up_to: Some(100), ..Frames::default() });
        assert_eq!(tags.plan(), Frames::default());
        assert!(tags.states.is_empty());
    }

    #[test]
    fn acks_above_an_open_delivery_go_alone() {
        let mut tags = tags(6);
        ack(&mut tags, [1, 2, 4, 6]);
        assert_eq!(tags.plan(), Frames { up_to: Some(2), single: vec![4, 6], ..Frames::default() });
        ack(&mut tags, [3]);
        assert_eq!(tags.plan(), Frames { up_to: Some(3), ..Frames::default() });
        ack(&mut tags, [5]);
        assert_eq!(tags.plan(), Frames { up_to: Some(5), ..Frames::default() });
        assert_eq!(tags.settled, 6);
    }

    #[test]
    fn multiple_never_names_what_was_given_back() {
        let mut tags = tags(4);
        ack(&mut tags, [1, 2]);
        tags.settle(3, State::GivenBack);
        assert_eq!(tags.plan(), Frames { back: vec![3], up_to: Some(2), ..Frames::default() });
        tags.settle(4, State::GivenBack);
        assert_eq!(tags.plan(), Frames { back: vec![4], ..Frames::default() });
        tags.received(5);
        ack(&mut tags, [5]);
        assert_eq!(tags.plan(), Frames { up_to: Some(5), ..Frames::default() });
    }

    #[test]
    fn the_second_word_on_a_delivery_is_not_heard() {
        let mut tags = tags(2);
        ack(&mut tags, [1, 1]);
        tags.settle(1, State::GivenBack);
        assert_eq!(tags.plan(), Frames { up_to: Some(1), ..Frames::default() });
        ack(&mut tags, [1, 9]);
        assert_eq!(tags.plan(), Frames::default());
    }
}
