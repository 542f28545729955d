//! The rules of the queue over every backend, and what only the embedded one has.

use darkroom_backend::{Delivery, EmbeddedQueue, Lane, Publication, Queue, QueueError, Shard, ShardMessage};
use darkroom_proto::Duration;
use darkroom_tests::conformance::queue::POOLS;
use darkroom_tests::{poll, queue_conformance, sample};

queue_conformance!(embedded, EmbeddedQueue::new(POOLS), async |queue: EmbeddedQueue| queue.close());
queue_conformance!(rabbit, crate::rabbit::fresh(), crate::rabbit::remove);

fn step(delay: Option<Duration>, number: u32) -> Publication {
    Publication::Step { pool: "image".into(), lane: Lane::First, delay, message: Box::new(sample::step(number)) }
}

#[tokio::test]
async fn closing_ends_those_who_wait_and_refuses_publishing() {
    let queue = EmbeddedQueue::new(POOLS);
    queue.publish(vec![step(None, 1)]).await.unwrap();
    let held = queue.take_step(&["image".to_owned()]).await.unwrap().unwrap();
    let (pools, shards) = (["image".to_owned()], [Shard(0)]);
    let ((), steps, messages) = poll::soon("both end", async {
        tokio::join!(async { queue.close() }, queue.take_step(&pools), queue.take_shard(&shards, 1))
    })
    .await;
    assert!(steps.unwrap().is_none() && messages.unwrap().is_empty());
    drop(held);
    assert!(queue.take_step(&pools).await.unwrap().is_none());
    let refused = queue.publish(vec![step(None, 2)]).await;
    assert!(matches!(refused, Err(QueueError::Unavailable(_))));
}

#[tokio::test]
async fn what_is_not_acked_counts_towards_the_limit() {
    let queue = EmbeddedQueue::with_limit(POOLS, 2);
    queue.publish(vec![step(None, 1), step(Some(Duration::from_secs(60)), 2)]).await.unwrap();
    let held = queue.take_step(&["image".to_owned()]).await.unwrap().unwrap();
    let nudge = Publication::Shard {
        shard: Shard(0),
        message: ShardMessage::Nudge { run: darkroom_proto::RunId::from_bytes([1; 16]) },
    };
    assert!(matches!(queue.publish(vec![nudge.clone()]).await, Err(QueueError::Unavailable(_))));
    held.ack().await.unwrap();
    queue.publish(vec![nudge]).await.unwrap();
}

#[tokio::test]
async fn a_batch_with_an_unknown_pool_publishes_nothing() {
    let queue = EmbeddedQueue::new(POOLS);
    let unknown =
        Publication::Step { pool: "none".into(), lane: Lane::First, delay: None, message: Box::new(sample::step(2)) };
    assert!(queue.publish(vec![step(None, 1), unknown]).await.is_err());
    assert_eq!(queue.depth("image").await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_delayed_steps_come_in_the_order_of_their_time() {
    let queue = EmbeddedQueue::new(POOLS);
    let delays = (0..10_000u32).map(|number| (number, u64::from(number) * 7_919 % 10_000 + 1));
    queue.publish(delays.map(|(number, delay)| step(Some(Duration(delay * 10)), number)).collect()).await.unwrap();
    let started = tokio::time::Instant::now();
    let mut last = 0;
    for _ in 0..10_000 {
        let delivery = queue.take_step(&["image".to_owned()]).await.unwrap().unwrap();
        let delay = (u64::from(delivery.message().attempt) * 7_919 % 10_000 + 1) * 10;
        assert!(delay > last && started.elapsed() >= std::time::Duration::from_millis(delay));
        last = delay;
        delivery.ack().await.unwrap();
    }
    assert!(started.elapsed() < std::time::Duration::from_millis(100_100));
}
