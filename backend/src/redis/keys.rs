//! The names of all keys.
//!
//! Whatever one script touches carries the same hash tag, `{n}` of the shard, so that it stays together in a cluster.

use crate::{Role, Shard};
use darkroom_proto::{RunId, RunStatus, Sha256};

/// The keys of one namespace.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    namespace: String,
    shards: u16,
}

impl Keys {
    pub(super) fn new(namespace: &str, shards: u16) -> Self {
        Self { namespace: namespace.to_owned(), shards: shards.max(1) }
    }

    /// How many shards there are.
    pub(super) fn shards(&self) -> u16 {
        self.shards
    }

    /// What every key starts with.
    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The shard of a run.
    pub(super) fn shard_of(&self, run: RunId) -> Shard {
        Shard(run.shard(self.shards))
    }

    /// A hash: which schema the stored values have, and for how many shards.
    pub(super) fn schema(&self) -> String {
        format!("{}:schema", self.namespace)
    }

    /// What the keys of a shard's runs start with.
    pub(super) fn runs(&self, shard: Shard) -> String {
        format!("{}:{{{}}}:run:", self.namespace, shard.0)
    }

    /// A hash: all about a run but for its events and claims.
    pub(super) fn run(&self, run: RunId) -> String {
        let mut key = self.runs(self.shard_of(run));
        key.push_str(&member(run));
        key
    }

    /// A stream: what happened to a run. One entry for each commit, named by the number of its last event.
    pub(super) fn events(&self, run: RunId) -> String {
        self.run(run) + ":events"
    }

    /// A hash: who has which step of a run.
    pub(super) fn claims(&self, run: RunId) -> String {
        self.run(run) + ":claims"
    }

    /// A string that ends by itself: who owns a shard, and its epoch behind the last `|`.
    pub(super) fn owner(&self, shard: Shard) -> String {
        self.of_shard(shard, "owner")
    }

    /// A number: the last epoch of a shard.
    pub(super) fn epoch(&self, shard: Shard) -> String {
        self.of_shard(shard, "epoch")
    }

    /// A set: the runs whose effects are not known to be performed.
    pub(super) fn dirty(&self, shard: Shard) -> String {
        self.of_shard(shard, "dirty")
    }

    /// A sorted set: the unfinished runs, by age.
    pub(super) fn active(&self, shard: Shard) -> String {
        self.of_shard(shard, "active")
    }

    /// A sorted set: when each run is to be looked at.
    pub(super) fn timers(&self, shard: Shard) -> String {
        self.of_shard(shard, "timers")
    }

    /// A hash: the commands that no commit has applied yet, by their idempotency key.
    pub(super) fn inbox(&self, shard: Shard) -> String {
        self.of_shard(shard, "inbox")
    }

    /// A number: how many commands came to a shard's inbox, ever.
    pub(super) fn posted(&self, shard: Shard) -> String {
        self.of_shard(shard, "posted")
    }

    /// A sorted set: the runs of a status, by age.
    pub(super) fn index(&self, status: RunStatus) -> String {
        format!("{}:index:{}", self.namespace, status.name())
    }

    /// A string: a definition.
    pub(super) fn definition(&self, hash: Sha256) -> String {
        format!("{}:definition:{hash}", self.namespace)
    }

    /// A hash: the files that were saved in a scope, by what determined them.
    pub(super) fn saved(&self, scope: Sha256) -> String {
        format!("{}:saved:{scope}", self.namespace)
    }

    /// A hash: the processes of a role.
    pub(super) fn members(&self, role: Role) -> String {
        let role = match role {
            Role::Coordinator => "coordinator",
            Role::Worker => "worker",
        };
        format!("{}:members:{role}", self.namespace)
    }

    fn of_shard(&self, shard: Shard, what: &str) -> String {
        format!("{}:{{{}}}:{what}", self.namespace, shard.0)
    }
}

/// A run as a member of sets and as the end of its key: 32 hex digits, which sort as the ids do.
pub(super) fn member(run: RunId) -> String {
    let mut text = run.to_string();
    text.split_off(text.len() - 32)
}

/// The run that such a member stands for.
pub(super) fn run_of_member(member: &[u8]) -> Option<RunId> {
    format!("run_{}", std::str::from_utf8(member).ok()?).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_keys_of_a_script_share_the_hash_tag_of_the_shard() {
        let keys = Keys::new("dr", 16);
        let run = RunId::from_bytes([19; 16]);
        let shard = keys.shard_of(run);
        assert_eq!(shard, Shard(3));
        assert_eq!(keys.run(run), format!("dr:{{3}}:run:{}", "13".repeat(16)));
        for key in [
            keys.run(run),
            keys.events(run),
            keys.claims(run),
            keys.runs(shard),
            keys.owner(shard),
            keys.epoch(shard),
            keys.dirty(shard),
            keys.active(shard),
            keys.timers(shard),
            keys.inbox(shard),
            keys.posted(shard),
        ] {
            assert!(key.starts_with("dr:{3}:"), "{key}");
        }
    }

    #[test]
    fn a_member_gives_its_run_back() {
        let run = RunId::from_bytes([0xa5; 16]);
        assert_eq!(run_of_member(member(run).as_bytes()), Some(run));
        assert_eq!(run_of_member(b"no run"), None);
        assert_eq!(run_of_member(&[0xff; 32]), None);
    }
}
