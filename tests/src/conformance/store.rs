//! The rules of [`Store`]: call [`store_conformance!`](crate::store_conformance) for each backend.
//!
//! Every rule gets a [`Subject`]: a store of its own, empty, with [`SHARDS`] shards, and a way to let time pass in it.

mod cache;
mod commits;
mod fleet;
mod ownership;
mod reads;
mod records;
mod schedules;
mod sets;

pub use cache::*;
pub use commits::*;
pub use fleet::*;
pub use ownership::*;
pub use reads::*;
pub use records::*;
pub use schedules::*;
pub use sets::*;

use crate::poll::until;
use crate::sample::{command, commit, new_run, run, summary};
use darkroom_backend::{
    Committed, Created, Definition, Epoch, Event, Member, Role, RunFilter, SavedRecord, Shard, Store, StoreError,
};
use darkroom_proto::{Artifact, ErrorClass, RunId, RunStatus, Sha256, StepError, StepPath, Tenant, Timestamp};
use std::time::Duration;

/// How many shards the stores of the suite have.
pub const SHARDS: u16 = 4;

const S0: Shard = Shard(0);
const S1: Shard = Shard(1);
const LEASE: Duration = Duration::from_secs(60);

/// A store to put to the test.
pub trait Subject {
    /// What it is.
    type Store: Store;

    /// An empty store with [`SHARDS`] shards; the same one on every call.
    fn store(&self) -> Self::Store;

    /// The shortest lease that its clock tells from none.
    fn short_lease(&self) -> Duration;

    /// Lets at least this much time pass for leases and members, if time can be moved.
    fn pass(&self, time: Duration);
}

async fn owned<S: Store>(store: &S, shard: Shard) -> Epoch {
    store.acquire(shard, "a", LEASE).await.unwrap().expect("nobody owns the shard of a new store")
}

/// A store whose shard 0 is owned, with one run in it.
async fn with_run<S: Store>(store: &S, number: u32) -> (Epoch, RunId) {
    let id = run(S0, SHARDS, number);
    assert_eq!(store.create(&[new_run(id, number)]).await.unwrap(), [Created::Created]);
    (owned(store, S0).await, id)
}

fn all() -> RunFilter {
    RunFilter { limit: 1_000, ..RunFilter::default() }
}

async fn listed<S: Store>(store: &S, filter: RunFilter) -> Vec<RunId> {
    store.list(&filter).await.unwrap().into_iter().map(|(run, _)| run).collect()
}

/// One test for each rule of the suite; `$subject` is an expression that makes a new [`Subject`].
#[macro_export]
macro_rules! store_conformance {
    ($backend:ident, $subject:expr) => {
        mod $backend {
            use super::*;
            $crate::store_conformance! { @rules $subject;
                time_never_goes_back
                a_definition_is_kept_once
                a_created_run_is_active_at_version_1
                an_unknown_run_loads_as_none
                creating_a_run_twice_leaves_it_as_it_is
                a_commit_changes_what_it_says
                fields_are_sorted_by_name
                commit_of_an_old_version_conflicts
                commit_of_an_unknown_run_conflicts_with_0
                repeating_a_commit_changes_nothing
                commits_of_a_batch_stand_for_themselves
                of_two_commits_of_one_version_one_wins
                a_shard_has_one_owner
                the_epoch_rises_with_each_owner
                an_owner_that_acquires_again_fences_its_former_self
                old_epoch_is_fenced
                a_commit_without_ownership_is_fenced
                a_lease_ends_by_itself
                renewing_keeps_the_shard
                a_released_shard_is_free
                a_run_is_active_until_it_ends
                active_runs_come_oldest_first
                a_run_is_dirty_until_its_effects_are_performed
                performed_effects_of_an_old_version_forget_nothing
                an_ended_run_stays_dirty_until_performed
                effects_replace_those_of_the_last_commit
                effects_may_be_performed_with_their_commit
                due_runs_come_most_overdue_first
                the_due_time_is_replaced
                a_command_waits_until_a_commit_applies_it
                posting_a_command_twice_is_posting_it_once
                a_refused_commit_leaves_its_commands
                events_are_numbered_without_gaps
                runs_are_listed_newest_first
                lists_are_filtered
                parts_are_in_no_list
                saved_files_are_found_by_scope
                a_schedule_is_written_only_by_who_has_read_its_last_version
                a_removed_schedule_does_not_come_back
                due_schedules_are_found_by_their_shard
                a_record_is_written_only_by_who_has_read_its_last_version
                records_are_listed_by_name_and_removed_alone
                cached_outputs_are_found_under_their_key
                cached_outputs_are_forgotten_in_time
                cached_outputs_are_listed_by_how_long_they_are_kept
                cached_outputs_are_removed_alone
                a_new_run_may_be_due
                who_announces_itself_is_a_member_until_its_time_ends
                who_announces_itself_again_stays
                who_leaves_is_no_member
                members_are_sorted_and_of_one_role
                the_last_claim_of_a_step_holds
                claims_of_an_attempt_are_counted
                claims_of_other_steps_and_generations_stand_for_themselves
                tokens_differ_and_say_when
                the_commit_that_ends_a_run_forgets_its_claims
                what_is_too_large_is_refused
                what_is_just_within_its_limit_is_kept
            }
        }
    };
    (@rules $subject:expr; $($rule:ident)*) => {
        $(
            #[tokio::test]
            async fn $rule() {
                $crate::conformance::store::$rule($subject).await;
            }
        )*
    };
}
