//! The rules of [`Queue`]: call [`queue_conformance!`](crate::queue_conformance) for each backend.
//!
//! Every rule gets a queue of its own, empty, with the pools [`POOLS`] and at least the shards 0 to 3.

use crate::poll::{is_waiting, soon, until};
use crate::sample::{report, run, step};
use darkroom_backend::{Delivery, Lane, Publication, Queue, QueueError, Shard, ShardMessage};
use darkroom_proto::{Duration, Start};
use std::collections::BTreeSet;

/// The pools of the queues of the suite.
pub const POOLS: [&str; 2] = ["api", "image"];

const S0: Shard = Shard(0);
const S1: Shard = Shard(1);

fn image() -> [String; 1] {
    ["image".to_owned()]
}

fn to_pool(pool: &str, lane: Lane, delay: Option<Duration>, number: u32) -> Publication {
    Publication::Step { pool: pool.into(), lane, delay, message: Box::new(step(number)) }
}

fn first(number: u32) -> Publication {
    to_pool("image", Lane::First, None, number)
}

fn nudge(shard: Shard, number: u32) -> Publication {
    Publication::Shard { shard, message: ShardMessage::Nudge { run: run(shard, 4, number) } }
}

async fn take<Q: Queue>(queue: &Q) -> Q::Step {
    soon("a step", queue.take_step(&image())).await.unwrap().expect("the queue is open")
}

/// Takes and acks so many steps, and gives the numbers that tell them apart.
async fn drain<Q: Queue>(queue: &Q, pools: &[String], count: usize) -> Vec<u32> {
    let mut numbers = Vec::new();
    for _ in 0..count {
        let delivery = soon("a step", queue.take_step(pools)).await.unwrap().expect("the queue is open");
        numbers.push(delivery.message().attempt);
        delivery.ack().await.unwrap();
    }
    numbers
}

/// A step arrives as it was published, for the first time.
pub async fn a_step_arrives_as_it_was_published(queue: impl Queue) {
    queue.publish(vec![first(7)]).await.unwrap();
    let delivery = take(&queue).await;
    assert_eq!(delivery.message(), &step(7));
    assert!(!delivery.redelivered());
    delivery.ack().await.unwrap();
}

/// Each kind of message of a shard arrives as it was published; reports that wait together may arrive together.
pub async fn shard_messages_arrive_as_they_were_published(queue: impl Queue) {
    let start = ShardMessage::Start(Start { run: run(S0, 4, 1) });
    let nudge = ShardMessage::Nudge { run: run(S0, 4, 2) };
    let reports = ShardMessage::Reports(vec![report(1), report(2)]);
    for message in [&start, &nudge, &reports, &ShardMessage::Reports(vec![report(3)])] {
        queue.publish(vec![Publication::Shard { shard: S0, message: message.clone() }]).await.unwrap();
    }
    let (mut reported, mut others) = (BTreeSet::new(), Vec::new());
    while reported.len() < 3 || others.len() < 2 {
        for delivery in soon("messages", queue.take_shard(&[S0], 10)).await.unwrap() {
            assert!(!delivery.redelivered());
            match delivery.message() {
                ShardMessage::Reports(reports) => reported.extend(reports.iter().map(|report| report.attempt)),
                other => others.push(other.clone()),
            }
            delivery.ack().await.unwrap();
        }
    }
    assert_eq!(reported, BTreeSet::from([1, 2, 3]));
    assert!(others.contains(&start) && others.contains(&nudge));
}

/// A delivery that is dropped comes again, marked; an acked one does not.
pub async fn a_dropped_delivery_comes_again(queue: impl Queue) {
    queue.publish(vec![first(1)]).await.unwrap();
    drop(take(&queue).await);
    let again = take(&queue).await;
    assert_eq!(again.message(), &step(1));
    assert!(again.redelivered());
    drop(again);
    take(&queue).await.ack().await.unwrap();
    assert!(is_waiting(queue.take_step(&image())).await);
}

/// Messages of shards come again as well, each for itself.
pub async fn a_dropped_shard_delivery_comes_again(queue: impl Queue) {
    queue.publish(vec![nudge(S0, 1), nudge(S0, 2)]).await.unwrap();
    let mut kept = None;
    let mut dropped = 0;
    while dropped == 0 || kept.is_none() {
        for delivery in soon("messages", queue.take_shard(&[S0], 10)).await.unwrap() {
            match delivery.message() {
                ShardMessage::Nudge { run: id } if *id == run(S0, 4, 1) => dropped += 1,
                _ => kept = Some(delivery),
            }
        }
    }
    kept.expect("the loop ended with it").ack().await.unwrap();
    let again = soon("the dropped one", queue.take_shard(&[S0], 10)).await.unwrap();
    assert_eq!(again.len(), 1);
    assert!(again[0].redelivered());
    assert_eq!(again[0].message(), &ShardMessage::Nudge { run: run(S0, 4, 1) });
    for delivery in again {
        delivery.ack().await.unwrap();
    }
    assert!(is_waiting(queue.take_shard(&[S0], 10)).await);
}

/// A delivery that is held is nobody else's.
pub async fn a_held_delivery_is_nobody_elses(queue: impl Queue) {
    queue.publish(vec![first(1)]).await.unwrap();
    let held = take(&queue).await;
    assert!(is_waiting(queue.take_step(&image())).await);
    held.ack().await.unwrap();
}

/// Taking waits for a message, also when it waited in vain before.
pub async fn taking_waits_for_a_message(queue: impl Queue) {
    assert!(is_waiting(queue.take_step(&image())).await);
    let pools = image();
    let (delivery, published) = tokio::join!(queue.take_step(&pools), queue.publish(vec![first(1)]));
    published.unwrap();
    delivery.unwrap().expect("the queue is open").ack().await.unwrap();
    let (deliveries, published) = tokio::join!(queue.take_shard(&[S0], 1), queue.publish(vec![nudge(S0, 1)]));
    published.unwrap();
    for delivery in deliveries.unwrap() {
        delivery.ack().await.unwrap();
    }
}

/// Everybody who waits gets one of the messages that come.
pub async fn every_waiter_is_served(queue: impl Queue) {
    let pools = image();
    let takers = async {
        let (a, b, c, d) = tokio::join!(take(&queue), take(&queue), take(&queue), queue.take_step(&pools));
        [a, b, c, d.unwrap().expect("the queue is open")]
    };
    let publisher = async {
        for number in 1..=4 {
            queue.publish(vec![first(number)]).await.unwrap();
        }
    };
    let (deliveries, ()) = soon("four deliveries", async { tokio::join!(takers, publisher) }).await;
    let numbers: BTreeSet<u32> = deliveries.iter().map(|delivery| delivery.message().attempt).collect();
    assert_eq!(numbers, BTreeSet::from([1, 2, 3, 4]));
    for delivery in deliveries {
        delivery.ack().await.unwrap();
    }
}

/// Steps go to takers of their pool, and one who serves several pools gets those of each.
pub async fn steps_stay_in_their_pool(queue: impl Queue) {
    queue.publish(vec![to_pool("api", Lane::First, None, 1)]).await.unwrap();
    assert!(is_waiting(queue.take_step(&image())).await);
    queue.publish(vec![first(2)]).await.unwrap();
    let both = POOLS.map(str::to_owned);
    let numbers: BTreeSet<u32> = drain(&queue, &both, 2).await.into_iter().collect();
    assert_eq!(numbers, BTreeSet::from([1, 2]));
}

/// No pool of a taker starves beside a full one.
pub async fn no_pool_starves(queue: impl Queue) {
    let mut all: Vec<Publication> = (0..200).map(first).collect();
    all.extend((1_000..1_005).map(|number| to_pool("api", Lane::First, None, number)));
    queue.publish(all).await.unwrap();
    let both = POOLS.map(str::to_owned);
    let early = drain(&queue, &both, 100).await;
    assert!(early.iter().any(|&number| number >= 1_000), "{early:?}");
    assert!(early.iter().any(|&number| number < 1_000), "{early:?}");
}

/// While both lanes have some, four of the first are taken to one of the other, give or take a few that were on their way.
pub async fn lanes_are_taken_4_to_1(queue: impl Queue) {
    let lane = |lane, numbers: std::ops::Range<u32>| numbers.map(move |number| to_pool("image", lane, None, number));
    let all = lane(Lane::Batch, 1_000..1_100).chain(lane(Lane::First, 0..100)).collect();
    queue.publish(all).await.unwrap();
    until("all are there", async || queue.depth("image").await.unwrap() >= 195).await;
    let early = drain(&queue, &image(), 50).await;
    let batch = early.iter().filter(|&&number| number >= 1_000).count();
    assert!((7..=16).contains(&batch), "{batch} of 50 were of the batch lane");
    let late: BTreeSet<u32> = drain(&queue, &image(), 150).await.into_iter().collect();
    assert_eq!(late.len(), 150);
}

/// An empty lane holds the other one up by nothing.
pub async fn one_lane_alone_is_taken_at_once(queue: impl Queue) {
    queue.publish((0..20).map(|number| to_pool("image", Lane::Batch, None, number)).collect()).await.unwrap();
    assert_eq!(drain(&queue, &image(), 20).await.len(), 20);
}

/// A delayed step is kept back, in no one's way, and comes when its time has come.
pub async fn a_delayed_step_comes_later(queue: impl Queue) {
    let delay = Duration(500);
    let published = tokio::time::Instant::now();
    queue.publish(vec![to_pool("image", Lane::First, Some(delay), 1), first(2)]).await.unwrap();
    assert_eq!(drain(&queue, &image(), 1).await, [2]);
    let delivery = take(&queue).await;
    assert_eq!(delivery.message().attempt, 1);
    assert!(!delivery.redelivered());
    // The nearest rung of a ladder may be a little shorter.
    assert!(published.elapsed() >= delay.to_std().mul_f64(0.7), "after {:?}", published.elapsed());
    delivery.ack().await.unwrap();
}

/// Of two delayed steps the shorter delay ends first, whichever was published first.
pub async fn the_shorter_delay_ends_first(queue: impl Queue) {
    let delayed = |delay, number| to_pool("image", Lane::First, Some(Duration(delay)), number);
    queue.publish(vec![delayed(1_000, 1)]).await.unwrap();
    queue.publish(vec![delayed(250, 2)]).await.unwrap();
    assert_eq!(drain(&queue, &image(), 2).await, [2, 1]);
}

/// The depth of a pool counts what waits in both lanes, without what is kept back or held.
pub async fn the_depth_counts_what_waits(queue: impl Queue) {
    assert_eq!(queue.depth("image").await.unwrap(), 0);
    let delayed = to_pool("image", Lane::First, Some(Duration::from_secs(60)), 3);
    let other = to_pool("api", Lane::First, None, 4);
    queue.publish(vec![first(1), to_pool("image", Lane::Batch, None, 2), delayed, other]).await.unwrap();
    until("two wait", async || queue.depth("image").await.unwrap() == 2).await;
    assert_eq!(drain(&queue, &image(), 2).await.len(), 2);
    until("none waits", async || queue.depth("image").await.unwrap() == 0).await;
}

/// Taking for shards gives at most so many, and leaves the rest for the next time.
pub async fn taking_for_shards_gives_at_most_max(queue: impl Queue) {
    queue.publish((0..10).map(|number| nudge(S0, number)).collect()).await.unwrap();
    let mut taken = 0;
    while taken < 10 {
        let deliveries = soon("messages", queue.take_shard(&[S0], 4)).await.unwrap();
        assert!((1..=4).contains(&deliveries.len()), "{}", deliveries.len());
        taken += deliveries.len();
        for delivery in deliveries {
            delivery.ack().await.unwrap();
        }
    }
    assert_eq!(taken, 10);
}

/// Messages go to takers of their shard; one who owns several gets those of each.
pub async fn shard_messages_stay_in_their_shard(queue: impl Queue) {
    queue.publish(vec![nudge(S0, 1)]).await.unwrap();
    assert!(is_waiting(queue.take_shard(&[S1, Shard(2)], 10)).await);
    queue.publish(vec![nudge(S1, 2)]).await.unwrap();
    let mut seen = BTreeSet::new();
    while seen.len() < 2 {
        for delivery in soon("messages", queue.take_shard(&[S1, S0], 10)).await.unwrap() {
            if let ShardMessage::Nudge { run } = delivery.message() {
                seen.insert(run.shard(4));
            }
            delivery.ack().await.unwrap();
        }
    }
    assert_eq!(seen, BTreeSet::from([0, 1]));
}

/// Dropping the future of a take, at any point of its waiting, loses no message and keeps no other taker from it.
pub async fn a_dropped_take_loses_nothing(queue: impl Queue) {
    let pools = image();
    for number in 0..50 {
        let mut given_up = Box::pin(queue.take_step(&pools));
        assert!(is_pending(&mut given_up).await);
        // A task of its own, because that looks again only when it is woken.
        let mut waits = tokio::task::JoinSet::new();
        let its_queue = queue.clone();
        waits.spawn(async move {
            let delivery = take(&its_queue).await;
            let number = delivery.message().attempt;
            delivery.ack().await.unwrap();
            number
        });
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        // Both wait; then a message comes, and the one who is first in line goes away without looking.
        queue.publish(vec![first(number)]).await.unwrap();
        drop(given_up);
        assert_eq!(soon("the other one", waits.join_all()).await, [number]);
    }
}

/// Whether a future waits after one poll.
async fn is_pending<F: Future + Unpin>(future: &mut F) -> bool {
    std::future::poll_fn(|context| std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_pending()))
        .await
}

/// What is published with a pool that nobody serves is refused.
pub async fn a_pool_that_nobody_serves_is_refused(queue: impl Queue) {
    let refused = queue.publish(vec![to_pool("no-such-pool", Lane::First, None, 1)]).await;
    assert!(matches!(refused, Err(QueueError::NoSuchPool { pool }) if pool == "no-such-pool"));
}

/// A message over the limit is refused; nothing of it arrives.
pub async fn what_is_too_large_is_refused(queue: impl Queue) {
    let mut large = step(1);
    large.params.insert("text".into(), "x".repeat(65 << 20).into());
    let publication =
        Publication::Step { pool: "image".into(), lane: Lane::First, delay: None, message: Box::new(large) };
    assert!(matches!(queue.publish(vec![publication]).await, Err(QueueError::TooLarge { .. })));
    assert!(is_waiting(queue.take_step(&image())).await);
}

/// A message of 200 KiB arrives whole.
pub async fn what_is_just_within_its_limit_arrives(queue: impl Queue) {
    let mut large = step(1);
    large.params.insert("text".into(), "x".repeat(200 << 10).into());
    let message = Box::new(large.clone());
    queue
        .publish(vec![Publication::Step { pool: "image".into(), lane: Lane::First, delay: None, message }])
        .await
        .unwrap();
    let delivery = take(&queue).await;
    assert_eq!(delivery.message(), &large);
    delivery.ack().await.unwrap();
}

/// Clones are the same queue.
pub async fn clones_are_the_same_queue(queue: impl Queue) {
    queue.clone().publish(vec![first(1)]).await.unwrap();
    assert_eq!(drain(&queue, &image(), 1).await, [1]);
}

/// Many publishers and takers at once: everything arrives, nothing twice while nothing is dropped.
pub async fn nothing_is_lost_among_many(queue: impl Queue) {
    const EACH: u32 = 250;
    let publisher = |from: u32| {
        let queue = queue.clone();
        async move {
            for number in 0..EACH {
                queue.publish(vec![first(from + number)]).await.unwrap();
            }
        }
    };
    let pools = image();
    let taker = || drain(&queue, &pools, EACH as usize);
    let work = async {
        let ((), (), (), a, b, c) =
            tokio::join!(publisher(0), publisher(EACH), publisher(2 * EACH), taker(), taker(), taker());
        [a, b, c].concat()
    };
    let numbers = soon("all steps", work).await;
    assert_eq!(numbers.len(), 3 * EACH as usize);
    assert_eq!(numbers.into_iter().collect::<BTreeSet<u32>>().len(), 3 * EACH as usize);
}

/// One test for each rule of the suite; `$queue` is an expression that makes a new queue, and `$end` an async closure
/// that ends it after the rule.
#[macro_export]
macro_rules! queue_conformance {
    ($backend:ident, $queue:expr, $end:expr) => {
        mod $backend {
            use super::*;
            $crate::queue_conformance! { @rules $queue, $end;
                a_step_arrives_as_it_was_published
                shard_messages_arrive_as_they_were_published
                a_dropped_delivery_comes_again
                a_dropped_shard_delivery_comes_again
                a_held_delivery_is_nobody_elses
                taking_waits_for_a_message
                every_waiter_is_served
                steps_stay_in_their_pool
                no_pool_starves
                lanes_are_taken_4_to_1
                one_lane_alone_is_taken_at_once
                a_delayed_step_comes_later
                the_shorter_delay_ends_first
                the_depth_counts_what_waits
                taking_for_shards_gives_at_most_max
                shard_messages_stay_in_their_shard
                a_dropped_take_loses_nothing
                a_pool_that_nobody_serves_is_refused
                what_is_too_large_is_refused
                what_is_just_within_its_limit_arrives
                clones_are_the_same_queue
                nothing_is_lost_among_many
            }
        }
    };
    (@rules $queue:expr, $end:expr; $($rule:ident)*) => {
        $(
            #[tokio::test]
            async fn $rule() {
                let queue = $queue;
                $crate::conformance::queue::$rule(queue.clone()).await;
                let end = $end;
                end(queue).await;
            }
        )*
    };
}
