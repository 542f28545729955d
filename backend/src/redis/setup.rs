//! What `darkroom setup` does to Redis, and what a start looks at.

use super::store::{Inner, RedisStore};
use crate::StoreError;
use ::redis::cmd;
use std::collections::BTreeMap;

/// How values are stored. Every release reads its own and the one before.
const SCHEMA: u64 = 1;

/// The oldest release of Redis that has what is used here.
const RELEASE_MIN: (u32, u32) = (7, 0);

/// What setting up found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// Whether nothing was there before.
    pub is_new: bool,
    /// The server, such as `Redis 7.0.15`.
    pub server: String,
    /// When the server writes to disk: `always`, `everysec`, `no`, or `off` when it keeps no append-only file. Nothing
    /// when it does not say.
    pub appendfsync: Option<String>,
    /// The schema of what is stored.
    pub schema: u64,
    /// How many shards there are.
    pub shards: u16,
}

/// What is written down about the stored values.
struct Written {
    schema: Option<u64>,
    shards: Option<u16>,
}

impl RedisStore {
    /// Makes the store ready, and refuses a server that would lose what is stored. Doing it again changes nothing.
    pub async fn prepare(&self) -> Result<Prepared, StoreError> {
        let server = self.inner.server().await?;
        server.check(self.inner.connection().place())?;
        let (keys, connection) = (&self.inner.keys, self.inner.connection());
        let mut write = ::redis::pipe();
        write.cmd("HSETNX").arg(keys.schema()).arg("version").arg(SCHEMA);
        write.cmd("HSETNX").arg(keys.schema()).arg("shards").arg(keys.shards());
        let is_new = connection.send_all(&write).await?.next("the schema")?;
        self.inner.check_written(self.inner.written().await?)?;
        Ok(Prepared {
            is_new,
            server: server.name(),
            appendfsync: server.appendfsync(),
            schema: SCHEMA,
            shards: keys.shards(),
        })
    }

    /// Whether the store was made ready by a release that this one understands. One round trip.
    pub async fn check(&self) -> Result<(), StoreError> {
        let written = self.inner.written().await?;
        if written.schema.is_none() {
            let (keys, connection) = (&self.inner.keys, self.inner.connection());
            return Err(StoreError::Unavailable(format!(
                "{} has no `{}` yet: run `darkroom setup`",
                connection.place(),
                keys.schema()
            )));
        }
        self.inner.check_written(written)
    }
}

impl Inner {
    async fn written(&self) -> Result<Written, StoreError> {
        let mut get = cmd("HMGET");
        get.arg(self.keys.schema()).arg("version").arg("shards");
        let (schema, shards) = self.connection().send(&format!("`{}`", self.keys.schema()), &get).await?;
        Ok(Written { schema, shards })
    }

    fn check_written(&self, written: Written) -> Result<(), StoreError> {
        let what = || format!("what is stored under `{}:` at {}", self.keys.namespace(), self.connection().place());
        if let Some(schema) = written.schema.filter(|&schema| schema != SCHEMA) {
            let why = format!("its schema is {schema}, this release reads {SCHEMA}");
            return Err(StoreError::Corrupt { what: what(), why });
        }
        if let Some(shards) = written.shards.filter(|&shards| shards != self.keys.shards()) {
            let why = format!("it has {shards} shards, and {} are configured", self.keys.shards());
            return Err(StoreError::Corrupt { what: what(), why });
        }
        Ok(())
    }

    async fn server(&self) -> Result<Server, StoreError> {
        let info: String = self.connection().send("INFO", &cmd("INFO")).await?;
        let mut facts: BTreeMap<String, String> = info
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        // Hosted servers forbid CONFIG, so INFO is believed for what it says as well.
        let mut get = cmd("CONFIG");
        get.arg("GET").arg("appendfsync");
        if let Ok(settings) = self.connection().send::<Vec<(String, String)>>("CONFIG GET", &get).await {
            facts.extend(settings);
        }
        Ok(Server(facts))
    }
}

/// What a server says of itself.
struct Server(BTreeMap<String, String>);

impl Server {
    fn fact(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    fn name(&self) -> String {
        match self.0.get("valkey_version") {
            Some(version) => format!("Valkey {version}"),
            None => format!("Redis {}", self.fact("redis_version")),
        }
    }

    fn appendfsync(&self) -> Option<String> {
        if self.fact("aof_enabled") == "0" {
            return Some("off".to_owned());
        }
        self.0.get("appendfsync").cloned()
    }

    fn check(&self, place: &str) -> Result<(), StoreError> {
        let mut numbers = self.fact("redis_version").split('.').map(|number| number.parse().unwrap_or(0));
        let release = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if release < RELEASE_MIN {
            return Err(StoreError::Unavailable(format!(
                "{place} is {}, and {}.{} or later is needed",
                self.name(),
                RELEASE_MIN.0,
                RELEASE_MIN.1
            )));
        }
        match self.fact("maxmemory_policy") {
            "noeviction" | "" => Ok(()),
            policy => Err(StoreError::Unavailable(format!(
                "{place} has maxmemory-policy {policy}, which throws stored runs away when memory is short: set \
                 `maxmemory-policy noeviction` in redis.conf, or now with `redis-cli CONFIG SET maxmemory-policy \
                 noeviction`"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(facts: &[(&str, &str)]) -> Server {
        Server(facts.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect())
    }

    #[test]
    fn old_servers_and_those_that_evict_are_refused() {
        let cases = [
            ("7.0.15", "noeviction", None),
            ("10.0", "noeviction", None),
            ("6.2.14", "noeviction", Some("7.0 or later")),
            ("", "noeviction", Some("7.0 or later")),
            ("7.2.4", "allkeys-lru", Some("maxmemory-policy noeviction")),
            ("7.2.4", "volatile-ttl", Some("maxmemory-policy noeviction")),
        ];
        for (version, policy, refusal) in cases {
            let checked = server(&[("redis_version", version), ("maxmemory_policy", policy)]).check("redis://x");
            let said = checked.map_err(|error| error.to_string());
            match refusal {
                None => assert_eq!(said, Ok(())),
                Some(words) => assert!(said.as_ref().is_err_and(|why| why.contains(words)), "{version}: {said:?}"),
            }
        }
    }

    #[test]
    fn a_server_says_what_it_is_and_when_it_writes() {
        let valkey = server(&[("redis_version", "7.2.4"), ("valkey_version", "8.0.1"), ("appendfsync", "always")]);
        assert_eq!((valkey.name(), valkey.appendfsync()), ("Valkey 8.0.1".into(), Some("always".into())));
        let redis = server(&[("redis_version", "7.0.15"), ("aof_enabled", "0"), ("appendfsync", "everysec")]);
        assert_eq!((redis.name(), redis.appendfsync()), ("Redis 7.0.15".into(), Some("off".into())));
    }
}
