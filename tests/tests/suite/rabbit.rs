//! What only the queue on RabbitMQ has: it outlives the broker, and what it can't read goes to the dead.

use darkroom_backend::{
    Artifacts, Delivery, Lane, Publication, Queue, QueueError, RabbitOptions, RabbitQueue, Shard, ShardMessage,
};
use darkroom_proto::Duration;
use darkroom_tests::conformance::queue::POOLS;
use darkroom_tests::poll::{is_waiting, soon, until};
use darkroom_tests::sample;
use darkroom_tests::servers::rabbit::{RabbitServer, shared_rabbit};
use lapin::options::{BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Connection, ConnectionProperties};
use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// How long a test waits for what takes a start of the broker.
const START_MAX: std::time::Duration = std::time::Duration::from_secs(90);

/// Options with a namespace of their own, and few queues: each takes the broker a moment.
fn options(url: &str) -> RabbitOptions {
    RabbitOptions {
        namespace: format!("test-{:016x}", RandomState::new().hash_one(std::process::id())),
        shards: 4,
        pools: POOLS.map(str::to_owned).into(),
        slots: 4,
        name: "test".into(),
        ladder: [250, 500, 1_000, 64_000].map(Duration).into(),
        ..RabbitOptions::new(url.into())
    }
}

/// A new queue on the shared broker.
pub(crate) fn fresh() -> RabbitQueue {
    RabbitQueue::connect(options(&shared_rabbit()))
}

/// Removes it from there.
pub(crate) async fn remove(queue: RabbitQueue) {
    soon("the removal of a namespace", queue.delete()).await.unwrap();
}

fn image() -> [String; 1] {
    ["image".to_owned()]
}

fn step(number: u32) -> Publication {
    Publication::Step { pool: "image".into(), lane: Lane::First, delay: None, message: Box::new(sample::step(number)) }
}

fn large(bytes: usize) -> Publication {
    let mut message = sample::step(1);
    message.params.insert("text".into(), "x".repeat(bytes).into());
    Publication::Step { pool: "image".into(), lane: Lane::First, delay: None, message: Box::new(message) }
}

fn nudge(shard: Shard, number: u32) -> Publication {
    Publication::Shard { shard, message: ShardMessage::Nudge { run: sample::run(shard, 4, number) } }
}

/// Waits for what may take a start of the broker.
async fn at_last<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(START_MAX, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {START_MAX:?}"),
    }
}

async fn on_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_confirmed_is_lost_when_the_broker_is_killed() {
    let server = Arc::new(on_thread(RabbitServer::start).await);
    let queue = RabbitQueue::connect(options(&server.url()));
    let confirmed: Arc<Mutex<BTreeSet<u32>>> = Arc::default();
    let taken: Arc<Mutex<BTreeSet<u32>>> = Arc::default();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut work = tokio::task::JoinSet::new();
    let (publisher, book, stopped) = (queue.clone(), Arc::clone(&confirmed), Arc::clone(&stop));
    work.spawn(async move {
        for batch in 0u32.. {
            if stopped.load(std::sync::atomic::Ordering::Relaxed) {
                return;
            }
            let numbers = batch * 20..(batch + 1) * 20;
            if publisher.publish(numbers.clone().map(step).collect()).await.is_ok() {
                book.lock().unwrap().extend(numbers);
            }
        }
    });
    let mut takers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (taker, book) = (queue.clone(), Arc::clone(&taken));
        takers.spawn(async move {
            while let Some(delivery) = taker.take_step(&image()).await.unwrap() {
                let number = delivery.message().attempt;
                book.lock().unwrap().insert(number);
                delivery.ack().await.unwrap();
            }
        });
    }
    for _ in 0..2 {
        let before = taken.lock().unwrap().len();
        at_last("work goes on", until("work goes on", async || taken.lock().unwrap().len() > before + 500)).await;
        let killed = Arc::clone(&server);
        on_thread(move || killed.kill()).await;
        assert!(!is_soon(|| queue.health().connected, false).await, "the loss is noticed");
        let restarted = Arc::clone(&server);
        on_thread(move || restarted.restart()).await;
        let open = Instant::now();
        at_last("connected", until("connected", async || queue.health().connected)).await;
        println!("connected {:?} after the broker was", open.elapsed());
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    at_last("the publisher ends", work.join_all()).await;
    at_last(
        "everything confirmed is taken",
        until("everything confirmed is taken", async || taken.lock().unwrap().is_superset(&confirmed.lock().unwrap())),
    )
    .await;
    println!("{} confirmed, {} taken", confirmed.lock().unwrap().len(), taken.lock().unwrap().len());
    queue.close().await;
    at_last("the takers end", takers.join_all()).await;
    on_thread(move || drop(server)).await;
}

/// Whether something is so, once it is `wanted` or a few seconds are over.
async fn is_soon(mut look: impl FnMut() -> bool, wanted: bool) -> bool {
    let deadline = Instant::now() + std::time::Duration::from_secs(5);
    while look() != wanted && Instant::now() < deadline {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    look()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishing_waits_for_a_broker_that_is_down() {
    let server = Arc::new(on_thread(RabbitServer::start).await);
    let killed = Arc::clone(&server);
    on_thread(move || killed.kill()).await;
    let queue = RabbitQueue::connect(options(&server.url()));
    let mut publishing = tokio::task::JoinSet::new();
    let publisher = queue.clone();
    publishing.spawn(async move { publisher.publish(vec![step(1)]).await });
    assert!(is_soon(|| queue.health().last_error.is_some(), true).await);
    assert!(!queue.health().connected);
    let restarted = Arc::clone(&server);
    on_thread(move || restarted.restart()).await;
    at_last("the publication", publishing.join_all()).await.remove(0).unwrap();
    let delivery = soon("the step", queue.take_step(&image())).await.unwrap().unwrap();
    assert_eq!(delivery.message().attempt, 1);
    delivery.ack().await.unwrap();
    queue.close().await;
    on_thread(move || drop(server)).await;
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_named_without_its_password() {
    let url = format!("amqp://user:secret@127.0.0.1:{}", darkroom_tests::servers::free_port());
    let queue = RabbitQueue::connect(options(&url));
    let error = soon("the answer", queue.declare()).await.unwrap_err();
    assert!(matches!(error, QueueError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("127.0.0.1") && !error.to_string().contains("secret"), "{error}");
    assert!(!format!("{queue:?}").contains("secret"));
    queue.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ack_of_a_dead_connection_harms_nothing_and_an_alarm_stops_new_work() {
    let server = Arc::new(on_thread(RabbitServer::start).await);
    let queue = RabbitQueue::connect(options(&server.url()));
    queue.publish(vec![step(1)]).await.unwrap();
    let old = soon("the step", queue.take_step(&image())).await.unwrap().unwrap();
    let ctl = Arc::clone(&server);
    on_thread(move || ctl.ctl(&["close_all_connections", "test"])).await;
    let new = at_last("the step again", queue.take_step(&image())).await.unwrap().unwrap();
    assert_eq!(new.message().attempt, 1);
    assert!(new.redelivered());
    // Both are the first delivery of their channel.
    old.ack().await.unwrap();
    queue.publish(vec![step(2)]).await.unwrap();
    let second = soon("another step", queue.take_step(&image())).await.unwrap().unwrap();
    assert_eq!(second.message().attempt, 2);
    second.ack().await.unwrap();
    drop(new);
    let again = soon("the first step again", queue.take_step(&image())).await.unwrap().unwrap();
    assert_eq!(again.message().attempt, 1);
    assert!(again.delivery_count() >= 1);

    let ctl = Arc::clone(&server);
    on_thread(move || ctl.ctl(&["set_vm_memory_high_watermark", "absolute", "1MB"])).await;
    let mut publishing = tokio::task::JoinSet::new();
    let publisher = queue.clone();
    publishing.spawn(async move { publisher.publish(vec![step(3)]).await });
    until("the alarm is seen", async || queue.health().blocked).await;
    // Acks flow, and nothing new is given out.
    again.ack().await.unwrap();
    until("it is acked", async || queue.depth("image").await.is_ok_and(|depth| depth == 0)).await;
    assert!(is_waiting(queue.take_step(&image())).await);
    let ctl = Arc::clone(&server);
    on_thread(move || ctl.ctl(&["set_vm_memory_high_watermark", "absolute", "1GB"])).await;
    soon("the publication", publishing.join_all()).await.remove(0).unwrap();
    let third = soon("a step after the alarm", queue.take_step(&image())).await.unwrap().unwrap();
    assert_eq!(third.message().attempt, 3);
    third.ack().await.unwrap();
    queue.close().await;
    on_thread(move || drop(server)).await;
}

#[tokio::test]
async fn queues_that_are_deleted_come_again() {
    let options = options(&shared_rabbit());
    let queue = RabbitQueue::connect(options.clone());
    let pools = image();
    for round in 1..=2 {
        queue.publish(vec![step(round), nudge(Shard(0), round)]).await.unwrap();
        let delivery = soon("a step", queue.take_step(&pools)).await.unwrap().unwrap();
        delivery.ack().await.unwrap();
        for delivery in soon("a nudge", queue.take_shard(&[Shard(0)], 10)).await.unwrap() {
            delivery.ack().await.unwrap();
        }
        soon("the removal", RabbitQueue::connect(options.clone()).delete()).await.unwrap();
    }
    queue.publish(vec![step(9), nudge(Shard(0), 9)]).await.unwrap();
    let delivery = soon("the step", queue.take_step(&pools)).await.unwrap().unwrap();
    assert_eq!(delivery.message().attempt, 9);
    delivery.ack().await.unwrap();
    assert_eq!(soon("the nudge", queue.take_shard(&[Shard(0)], 10)).await.unwrap().len(), 1);
    remove(queue).await;
}

#[tokio::test]
async fn declaring_tells_what_was_there() {
    let options = options(&shared_rabbit());
    let first = RabbitQueue::connect(options.clone());
    let declared = soon("the answer", first.declare()).await.unwrap();
    assert_eq!((declared.found.len(), declared.created.len()), (0, 2 + 4 + 2 * 3 + 4), "{declared:?}");
    let second = RabbitQueue::connect(options);
    let declared = soon("the answer", second.declare()).await.unwrap();
    assert_eq!((declared.found.len(), declared.created.len()), (16, 0), "{declared:?}");
    second.close().await;
    remove(first).await;
}

#[tokio::test]
async fn a_pool_gets_its_queues_when_a_worker_takes_from_it() {
    let queue = fresh();
    let pools = ["grade".to_owned()];
    let to_pool =
        Publication::Step { pool: "grade".into(), lane: Lane::Batch, delay: None, message: Box::new(sample::step(5)) };
    let refused = queue.publish(vec![to_pool.clone()]).await;
    assert!(matches!(refused, Err(QueueError::NoSuchPool { pool }) if pool == "grade"));
    assert!(is_waiting(queue.take_step(&pools)).await);
    until("it is there", async || queue.publish(vec![to_pool.clone()]).await.is_ok()).await;
    soon("the step", queue.take_step(&pools)).await.unwrap().unwrap().ack().await.unwrap();
    remove(queue).await;
}

/// The dead letters of a namespace: cause and length.
async fn dead_letters(namespace: &str, count: usize) -> Vec<(String, String, usize)> {
    let connection = Connection::connect(&shared_rabbit(), ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let mut dead = Vec::new();
    soon("dead letters", async {
        while dead.len() < count {
            let queue = format!("{namespace}.dead").as_str().into();
            let Some(message) = channel.basic_get(queue, BasicGetOptions { no_ack: true }).await.unwrap() else {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                continue;
            };
            let headers = message.delivery.properties.headers().clone().unwrap();
            let text = |name: &str| match headers.inner().get(name) {
                Some(AMQPValue::LongString(text)) => text.to_string(),
                other => panic!("{name}: {other:?}"),
            };
            dead.push((text("dr-cause"), text("dr-queue"), message.delivery.data.len()));
        }
    })
    .await;
    connection.close(200, "done".into()).await.unwrap();
    dead
}

/// lapin gives a returned message to whichever confirm comes next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_returned_message_is_blamed_on_no_other() {
    let queue = fresh();
    let stray = |number| Publication::Step {
        pool: "nobody".into(),
        lane: Lane::First,
        delay: None,
        message: Box::new(sample::step(number)),
    };
    let mut sent = BTreeSet::new();
    for round in 0..20u32 {
        let good: Vec<u32> = (round * 20..round * 20 + 20).collect();
        let publish_good = queue.publish(good.iter().copied().map(step).collect());
        let mixed = vec![step(10_000 + 2 * round), stray(0), step(10_001 + 2 * round)];
        let (good_went, mixed_went) = tokio::join!(publish_good, queue.publish(mixed));
        good_went.unwrap();
        assert!(matches!(mixed_went, Err(QueueError::NoSuchPool { pool }) if pool == "nobody"));
        sent.extend(good);
        sent.extend([10_000 + 2 * round, 10_001 + 2 * round]);
    }
    let mut taken = BTreeSet::new();
    while taken.len() < sent.len() {
        let delivery = soon("a step", queue.take_step(&image())).await.unwrap().unwrap();
        taken.insert(delivery.message().attempt);
        delivery.ack().await.unwrap();
    }
    assert_eq!(taken, sent);
    remove(queue).await;
}

/// Takes one message out of a queue, past everything.
async fn get(queue: &str) -> lapin::message::Delivery {
    let connection = Connection::connect(&shared_rabbit(), ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let message = soon("a message", async {
        loop {
            if let Some(message) = channel.basic_get(queue.into(), BasicGetOptions { no_ack: true }).await.unwrap() {
                return message.delivery;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
    connection.close(200, "done".into()).await.unwrap();
    message
}

#[tokio::test]
async fn a_message_says_what_it_is_and_lasts() {
    let options = options(&shared_rabbit());
    let queue = RabbitQueue::connect(options.clone());
    queue.publish(vec![step(1)]).await.unwrap();
    let message = get(&format!("{}.steps.image", options.namespace)).await;
    let properties = &message.properties;
    assert_eq!(properties.delivery_mode(), &Some(2));
    assert_eq!(properties.content_type().as_ref().unwrap().as_str(), "application/msgpack");
    assert!(properties.message_id().is_some());
    let headers = properties.headers().clone().unwrap();
    assert_eq!(headers.inner().get("dr-v"), Some(&AMQPValue::LongInt(1)));
    let Some(AMQPValue::LongString(trace)) = headers.inner().get("traceparent") else { panic!("{headers:?}") };
    assert!(trace.to_string().starts_with("00-03030303030303030303030303030303-"), "{trace}");
    remove(queue).await;
}

#[tokio::test]
async fn what_comes_back_too_often_goes_to_the_dead() {
    let options = options(&shared_rabbit());
    let queue = RabbitQueue::connect(options.clone());
    queue.publish(vec![step(1)]).await.unwrap();
    for deliveries in 0..=20 {
        let delivery = soon("the step", queue.take_step(&image())).await.unwrap().unwrap();
        assert_eq!(delivery.delivery_count(), deliveries);
    }
    let dead = get(&format!("{}.dead", options.namespace)).await;
    assert!(dead.properties.headers().as_ref().unwrap().inner().contains_key("x-death"));
    assert!(is_waiting(queue.take_step(&image())).await);
    remove(queue).await;
}

#[tokio::test]
async fn what_nobody_can_read_goes_to_the_dead_with_its_cause() {
    let options = options(&shared_rabbit());
    let namespace = options.namespace.clone();
    let queue = RabbitQueue::connect(options);
    queue.declare().await.unwrap();
    let connection = Connection::connect(&shared_rabbit(), ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let properties = |version: Option<i32>, content_type: &str| {
        let mut headers = FieldTable::default();
        if let Some(version) = version {
            headers.insert("dr-v".into(), AMQPValue::LongInt(version));
        }
        BasicProperties::default().with_content_type(content_type.into()).with_headers(headers)
    };
    const MSGPACK: &str = "application/msgpack";
    let bad: [(&str, &str, BasicProperties, Vec<u8>); 6] = [
        ("steps", "image", properties(Some(1), MSGPACK), b"\xc1 no MessagePack".to_vec()),
        ("steps", "image.batch", properties(Some(99), MSGPACK), b"\x80".to_vec()),
        ("steps", "image", properties(None, MSGPACK), b"\x80".to_vec()),
        ("steps", "image", properties(Some(1), "text/plain"), b"hello".to_vec()),
        ("steps", "image", properties(Some(1), MSGPACK), vec![0; 300 << 10]),
        ("shard", "0", properties(Some(1), MSGPACK), b"\x81\xa5other\x80".to_vec()),
    ];
    let count = bad.len();
    for (exchange, key, properties, body) in bad {
        let exchange = format!("{namespace}.{exchange}").as_str().into();
        let publish = channel.basic_publish(exchange, key.into(), BasicPublishOptions::default(), &body, properties);
        publish.await.unwrap().await.unwrap();
    }
    queue.publish(vec![step(7), nudge(Shard(0), 7)]).await.unwrap();
    // What follows them is not held up.
    soon("the step", queue.take_step(&image())).await.unwrap().unwrap().ack().await.unwrap();
    soon("the nudge", queue.take_shard(&[Shard(0)], 1)).await.unwrap().remove(0).ack().await.unwrap();
    let dead = dead_letters(&namespace, count).await;
    let has = |cause: &str, queue: &str, bytes: usize| {
        let queue = format!("{namespace}.{queue}");
        assert!(dead.iter().any(|dead| dead.0.starts_with(cause) && dead.1 == queue && dead.2 == bytes), "{dead:?}");
    };
    has("malformed", "steps.image", 16);
    has("unknown version 99", "steps.image.batch", 1);
    has("no version", "steps.image", 1);
    has("content type", "steps.image", 5);
    has("too large: 307200 bytes", "steps.image", 256 << 10);
    has("malformed", "shard.0", 8);
    until("all are counted", async || queue.dead_count() == count as u64).await;
    assert!(is_waiting(queue.take_step(&image())).await);
    connection.close(200, "done".into()).await.unwrap();
    remove(queue).await;
}

#[tokio::test]
async fn a_large_message_travels_by_reference() {
    let dir = tempfile::tempdir().unwrap();
    let attachments = Some(Artifacts::open(dir.path()).unwrap());
    let queue = RabbitQueue::connect(RabbitOptions { attachments, ..options(&shared_rabbit()) });
    let message = large(1 << 20);
    queue.publish(vec![message.clone(), step(2)]).await.unwrap();
    let mut sizes = BTreeSet::new();
    for _ in 0..2 {
        let delivery = soon("a step", queue.take_step(&image())).await.unwrap().unwrap();
        let params = &delivery.message().params;
        sizes.insert(params.get("text").and_then(|text| text.as_str()).map_or(0, str::len));
        delivery.ack().await.unwrap();
    }
    assert_eq!(sizes, BTreeSet::from([0, 1 << 20]));
    let refused = queue.publish(vec![large(65 << 20)]).await;
    assert!(matches!(refused, Err(QueueError::TooLarge { .. })));
    remove(queue).await;
}

#[tokio::test]
async fn a_body_that_is_missing_for_a_while_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let attachments = Some(Artifacts::open(dir.path()).unwrap());
    let queue = RabbitQueue::connect(RabbitOptions { attachments, ..options(&shared_rabbit()) });
    queue.publish(vec![large(100 << 10)]).await.unwrap();
    let (here, away) = (dir.path().join("sha256"), dir.path().join("away"));
    std::fs::rename(&here, &away).unwrap();
    assert!(is_waiting(queue.take_step(&image())).await);
    let mut taking = tokio::task::JoinSet::new();
    let taker = queue.clone();
    taking.spawn(async move { taker.take_step(&image()).await.unwrap().unwrap().ack().await });
    tokio::task::yield_now().await;
    std::fs::rename(&away, &here).unwrap();
    soon("the step", taking.join_all()).await.remove(0).unwrap();
    assert_eq!(queue.dead_count(), 0);
    remove(queue).await;
}

#[tokio::test]
async fn a_shard_that_is_handed_over_leaves_nothing_behind() {
    let options = options(&shared_rabbit());
    let one = RabbitQueue::connect(options.clone());
    let other = RabbitQueue::connect(options);
    one.publish((0..20).map(|number| nudge(Shard(0), number)).collect()).await.unwrap();
    let held = soon("a nudge", one.take_shard(&[Shard(0), Shard(1)], 1)).await.unwrap();
    // The first has all of them in advance, and then another owner.
    assert!(is_waiting(one.take_shard(&[Shard(1)], 10)).await);
    let mut taken = 0;
    while taken < 19 {
        for delivery in soon("the others", other.take_shard(&[Shard(0)], 100)).await.unwrap() {
            delivery.ack().await.unwrap();
            taken += 1;
        }
    }
    // What was given out may still be acked.
    for delivery in held {
        delivery.ack().await.unwrap();
    }
    one.close().await;
    assert!(is_waiting(other.take_shard(&[Shard(0)], 100)).await);
    remove(other).await;
}

#[tokio::test]
async fn many_quick_steps_are_under_way_at_once() {
    let options = options(&shared_rabbit());
    let queue = RabbitQueue::connect(RabbitOptions { slots: 2, ..options });
    let publish = async |from: u32| queue.publish((from..from + 200).map(step).collect()).await.unwrap();
    publish(0).await;
    for _ in 0..200 {
        soon("a quick step", queue.take_step(&image())).await.unwrap().unwrap().ack().await.unwrap();
    }
    publish(200).await;
    let mut held = Vec::new();
    for _ in 0..40 {
        held.push(soon("one of many", queue.take_step(&image())).await.unwrap().unwrap());
    }
    drop(held);
    remove(queue).await;
}

#[tokio::test]
async fn steps_that_became_slow_are_left_to_others() {
    let options = options(&shared_rabbit());
    let one = RabbitQueue::connect(RabbitOptions { slots: 1, ..options.clone() });
    let other = RabbitQueue::connect(RabbitOptions { slots: 1, ..options });
    one.publish((0..100).map(step).collect()).await.unwrap();
    for _ in 0..100 {
        soon("a quick step", one.take_step(&image())).await.unwrap().unwrap().ack().await.unwrap();
    }
    one.publish((100..150).map(step).collect()).await.unwrap();
    until("the first has them all", async || {
        one.depth("image").await.unwrap() == 50 && { is_waiting(other.take_step(&image())).await }
    })
    .await;
    for _ in 0..4 {
        let delivery = soon("a slow step", one.take_step(&image())).await.unwrap().unwrap();
        // The work.
        tokio::time::sleep(std::time::Duration::from_millis(150)).await;
        delivery.ack().await.unwrap();
    }
    // All but a few in advance for its slot.
    for _ in 0..40 {
        soon("a step for the other", other.take_step(&image())).await.unwrap().unwrap().ack().await.unwrap();
    }
    other.close().await;
    remove(one).await;
}

/// What a worker can't do soon is left to others, though it was there first.
#[tokio::test]
async fn a_worker_does_not_hoard_what_others_could_do() {
    let options = options(&shared_rabbit());
    let one = RabbitQueue::connect(RabbitOptions { slots: 2, ..options.clone() });
    let other = RabbitQueue::connect(RabbitOptions { slots: 2, ..options });
    one.publish((0..20).map(step).collect()).await.unwrap();
    let held = soon("a step", one.take_step(&image())).await.unwrap().unwrap();
    // The first has four in advance at most, of which it gives out one.
    for _ in 0..16 {
        soon("a step for the other", other.take_step(&image())).await.unwrap().unwrap().ack().await.unwrap();
    }
    held.ack().await.unwrap();
    other.close().await;
    remove(one).await;
}
