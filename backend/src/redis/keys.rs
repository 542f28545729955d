//! The names of all keys.
//!
//! Whatever one script touches carries the same hash tag, so that it stays together in a cluster: `{n}` of the shard, or the
//! name of a family of keys that belong to no shard.

use crate::{RecordKind, Role, Shard};
use darkroom_proto::{CallId, RunId, RunStatus, Sha256};

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

    /// A hash: the paid calls of a run, and what follows from them.
    pub(super) fn calls(&self, run: RunId) -> String {
        self.run(run) + ":calls"
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

    /// A hash: the schedules of a shard, by name.
    pub(super) fn schedules(&self, shard: Shard) -> String {
        self.of_shard(shard, "schedules")
    }

    /// A sorted set: when each schedule is due.
    pub(super) fn schedule_timers(&self, shard: Shard) -> String {
        self.of_shard(shard, "schedule-timers")
    }

    /// A hash: the records of a kind, by name.
    pub(super) fn records(&self, kind: RecordKind) -> String {
        format!("{}:{}", self.namespace, kind.name())
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

    /// A string that ends by itself: what the step cache keeps under a key.
    pub(super) fn cached(&self, key: Sha256) -> String {
        format!("{}:cache:default:{key}", self.namespace)
    }

    /// A sorted set: the keys of the step cache, by when they end.
    pub(super) fn cache_index(&self) -> String {
        format!("{}:cache:index", self.namespace)
    }

    /// A hash: the processes of a role.
    pub(super) fn members(&self, role: Role) -> String {
        let role = match role {
            Role::Coordinator => "coordinator",
            Role::Worker => "worker",
        };
        format!("{}:members:{role}", self.namespace)
    }

    /// What a limit is kept in, which ends by itself. Sorted sets: who is in, by when that ends; who waits for a place, by
    /// when they came; who waits for anything, by when that lapses; who has a turn, by when it is. A hash: its rate.
    pub(super) fn limit(&self, limit: &str) -> [String; 5] {
        ["held", "queue", "lapse", "turns", "rate"].map(|what| format!("{}:{{limit}}:{what}:{limit}", self.namespace))
    }

    /// A sorted set: the reservations of all calls, by when they lapse.
    pub(super) fn reservations(&self) -> String {
        format!("{}:{{spend}}:reservations", self.namespace)
    }

    /// A hash: what each reservation holds.
    pub(super) fn reserved(&self) -> String {
        format!("{}:{{spend}}:reserved", self.namespace)
    }

    /// A hash: what is set aside, by purse.
    pub(super) fn aside(&self) -> String {
        format!("{}:{{spend}}:aside", self.namespace)
    }

    /// A string that ends by itself: what a call was booked with.
    pub(super) fn booked(&self, call: &CallId) -> String {
        format!("{}:{{spend}}:booked:{call}", self.namespace)
    }

    /// What the keys of days start with. Behind it the number of the day since 1970. Hashes that end by themselves: what
    /// each purse spent, and on how many calls.
    pub(super) fn days(&self) -> String {
        format!("{}:{{spend}}:day:", self.namespace)
    }

    /// A string: what makes the URLs of webhooks hard to guess.
    pub(super) fn secret(&self) -> String {
        format!("{}:{{provider}}:secret", self.namespace)
    }

    /// A string that ends by itself: what webhooks of a provider are checked with.
    pub(super) fn trust(&self, provider: &str) -> String {
        format!("{}:{{provider}}:trust:{provider}", self.namespace)
    }

    /// A hash: what is known of the keys and routes of a provider.
    pub(super) fn conditions(&self, provider: &str) -> String {
        format!("{}:{{provider}}:conditions:{provider}", self.namespace)
    }

    /// A set: the fingerprints of the keys of a provider.
    pub(super) fn fingerprints(&self, provider: &str) -> String {
        format!("{}:{{provider}}:keys:{provider}", self.namespace)
    }

    /// A string that ends by itself: who may try a key or a route.
    pub(super) fn probe(&self, provider: &str, of: &str) -> String {
        format!("{}:{{provider}}:probe:{provider}/{of}", self.namespace)
    }

    /// A number: how often a key or a route got better.
    pub(super) fn relief(&self) -> String {
        format!("{}:{{provider}}:relief", self.namespace)
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
            keys.calls(run),
            keys.runs(shard),
            keys.owner(shard),
            keys.epoch(shard),
            keys.dirty(shard),
            keys.active(shard),
            keys.timers(shard),
            keys.inbox(shard),
            keys.posted(shard),
            keys.schedules(shard),
            keys.schedule_timers(shard),
        ] {
            assert!(key.starts_with("dr:{3}:"), "{key}");
        }
    }

    #[test]
    fn all_keys_of_a_family_share_its_hash_tag() {
        let keys = Keys::new("dr", 16);
        let call = CallId::new(RunId::from_bytes([19; 16]), &"edit".parse().unwrap(), 1, 1);
        let limits = keys.limit("fal/ab").to_vec();
        let spend = vec![keys.reservations(), keys.reserved(), keys.aside(), keys.booked(&call), keys.days()];
        let provider =
            vec![keys.conditions("fal"), keys.fingerprints("fal"), keys.probe("fal", "key/ab"), keys.relief()];
        for (tag, of_family) in [("dr:{limit}:", limits), ("dr:{spend}:", spend), ("dr:{provider}:", provider)] {
            for key in of_family {
                assert!(key.starts_with(tag), "{key}");
            }
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
