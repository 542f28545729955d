//! Where state is kept and how messages move: the two seams, [`Store`] and [`Queue`], and the artifact store.
//!
//! Nothing above this crate knows which backend it runs on; one conformance suite for each seam runs over all of them.

mod artifacts;
mod bytes;
mod clock;
mod embedded;
mod ledger;
mod limits;
mod queue;
mod rabbit;
mod redis;
mod repeating;
mod store;

pub use artifacts::{ArtifactError, Artifacts, Details};
pub use clock::Clock;
pub use embedded::{
    EmbeddedQueue, EmbeddedStore, Reader, ShardDelivery, SocketClient, SocketServer, StepDelivery, bound_of_report,
    serve,
};
pub use ledger::{
    Admission, CANCEL_FIELD, Call, CallState, Condition, Fact, Fitness, Intended, Intent, Ledger, Limit, Noted, Purse,
    Refusal, Reservation, Sighting, Spent, Turn, void_field,
};
pub use queue::{Delivery, Lane, Publication, Queue, QueueError, ShardMessage};
pub use rabbit::{Answer, Declared, Health, RabbitDelivery, RabbitOptions, RabbitQueue, Submissions, Submitted};
pub use redis::{Prepared, RedisOptions, RedisStore};
pub use repeating::Repeating;
pub use store::{
    Claim, Command, Commit, Committed, Created, Definition, Epoch, Event, Member, NewRun, RecordKind, Role, RunFilter,
    RunSummary, SavedRecord, Shard, Store, StoreError, StoredRecord, StoredRun, StoredSchedule, Token,
};
