//! The store on Redis: the rules of the seam, and what only it has.

use darkroom_backend::{RedisOptions, RedisStore};
use darkroom_tests::conformance::store::{SHARDS, Subject};
use darkroom_tests::servers::redis::{namespace, shared_redis};
use darkroom_tests::store_conformance;
use std::time::Duration;

/// A store of its own on the shared server.
struct Redis {
    store: RedisStore,
    namespace: String,
    client: redis::Client,
}

pub(crate) fn store_at(url: &str, namespace: &str, shards: u16) -> RedisStore {
    RedisStore::connect(RedisOptions { url: url.to_owned().into(), namespace: namespace.to_owned(), shards })
}

async fn fresh() -> Redis {
    let (url, namespace) = (shared_redis(), namespace());
    let store = store_at(&url, &namespace, SHARDS);
    store.prepare().await.unwrap();
    Redis { store, namespace, client: redis::Client::open(url).unwrap() }
}

impl Subject for Redis {
    type Store = RedisStore;

    fn store(&self) -> RedisStore {
        self.store.clone()
    }

    fn short_lease(&self) -> Duration {
        Duration::from_secs(10)
    }

    /// Leases and members end earlier, rather than the test waiting for them.
    fn pass(&self, time: Duration) {
        let mut connection = self.client.get_connection().unwrap();
        let time = time.as_millis() as i64;
        for shard in 0..SHARDS {
            let owner = format!("{}:{{{shard}}}:owner", self.namespace);
            let left: i64 = redis::cmd("PTTL").arg(&owner).query(&mut connection).unwrap();
            if left >= 0 {
                let _: () = redis::cmd("PEXPIRE").arg(&owner).arg(left - time).query(&mut connection).unwrap();
            }
        }
        for role in ["coordinator", "worker"] {
            let members = format!("{}:members:{role}", self.namespace);
            let all: Vec<(String, Vec<u8>)> = redis::cmd("HGETALL").arg(&members).query(&mut connection).unwrap();
            for (id, value) in all {
                let end = value.iter().position(|&byte| byte == b'|').unwrap();
                let until: i64 = std::str::from_utf8(&value[..end]).unwrap().parse().unwrap();
                let earlier = [(until - time).to_string().as_bytes(), &value[end..]].concat();
                let _: () = redis::cmd("HSET").arg(&members).arg(id).arg(earlier).query(&mut connection).unwrap();
            }
        }
    }
}

store_conformance!(rules, fresh().await);
