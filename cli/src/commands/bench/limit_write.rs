//! Durable writes of state, as many as Redis takes.

use super::ground::remove_keys;
use crate::failure::Failure;
use crate::settings::FleetPlace;
use futures_util::future::try_join_all;
use redis::aio::MultiplexedConnection;
use secrecy::ExposeSecret as _;
use std::time::{Duration, Instant};

/// The change of one run: its state, and one entry of its events.
const SCRIPT: &str = "redis.call('HSET', KEYS[1], 'head', ARGV[1], 'step', ARGV[1], 'outbox', ARGV[1]) \
    redis.call('XADD', KEYS[1] .. ':events', '*', 'e', ARGV[2]) return 1";

/// How many writes are sent together.
const TOGETHER: u32 = 64;

/// Over how many connections at the same time it is tried; the best counts.
const CONNECTIONS: [usize; 3] = [1, 2, 4];

/// How many runs are written to.
const RUNS: u32 = 1_000;

/// The best rate.
pub(super) async fn writes_per_s(place: &FleetPlace, time: Duration) -> Result<f64, Failure> {
    let measured = measure(place, time).await;
    if let Err(error) = remove_keys(place).await {
        tracing::warn!(%error, namespace = place.namespace, "keys of the benchmark are left behind");
    }
    measured.map_err(|error| Failure::unreachable(format!("the store can't be used: {error}")))
}

async fn measure(place: &FleetPlace, time: Duration) -> redis::RedisResult<f64> {
    let client = redis::Client::open(place.store.expose_secret())?;
    let mut best = 0.0_f64;
    for count in CONNECTIONS {
        let connections = try_join_all((0..count).map(|_| client.get_multiplexed_async_connection())).await?;
        let began = Instant::now();
        let writes = connections.into_iter().map(|connection| write(connection, &place.namespace, began + time));
        let written: u64 = try_join_all(writes).await?.into_iter().sum();
        best = best.max(written as f64 / began.elapsed().as_secs_f64());
    }
    Ok(best)
}

async fn write(mut connection: MultiplexedConnection, namespace: &str, until: Instant) -> redis::RedisResult<u64> {
    let digest: String = redis::cmd("SCRIPT").arg("LOAD").arg(SCRIPT).query_async(&mut connection).await?;
    let (field, event) = (vec![b'x'; 200], vec![b'x'; 200]);
    let mut written = 0;
    while Instant::now() < until {
        let mut together = redis::pipe();
        for number in 0..TOGETHER {
            let run = (written as u32 + number) % RUNS;
            let key = format!("{namespace}:{{{}}}:limit:{run}", run % 16);
            together.cmd("EVALSHA").arg(&digest).arg(1).arg(key).arg(&field).arg(&event).ignore();
        }
        together.exec_async(&mut connection).await?;
        written += u64::from(TOGETHER);
    }
    Ok(written)
}
