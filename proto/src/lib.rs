//! What is said between the parts of Darkroom: ids, errors, artifacts, the op and model catalogues, step messages,
//! reports and documents.
//!
//! Plain serde types and tables, no I/O. Everything that crosses a process boundary or is stored is defined here.

mod artifact;
mod cache;
mod call;
mod digest;
mod document;
mod error;
mod id;
mod message;
pub mod model;
pub mod op;
mod path;
mod schedule;
mod status;
mod task;
mod tenant;
mod time;

pub use artifact::{Artifact, BoxPx, Kind};
pub use cache::{CacheEntry, CacheParts, CacheUse, CachedFrom, cache_key, model_of};
pub use call::{CallId, Money, ParseCallIdError, ParseMoneyError, StepCost, Ticket};
pub use digest::Sha256;
pub use document::{
    CostDocument, ErrorDocument, ItemsDocument, ParentDocument, RunDocument, RunRow, ScheduledDocument, StepDocument,
};
pub use error::{Act, ErrorClass, StepError};
pub use id::{ParseRunIdError, RunId};
pub use message::{
    Map, Outcome, Provenance, Report, SaveTarget, Saved, Start, StepMessage, Succeeded, WIRE_VERSION, Waiting, Working,
};
pub use path::{StepPath, StepPathError, instance_numbers};
pub use schedule::{ParseScheduleIdError, ScheduleId, Scheduled};
pub use status::{RunStatus, StepStatus};
pub use task::{ParseTaskTokenError, ReportTo, TASK_VERSION, TaskError, TaskMessage, TaskReport, TaskSaid, TaskToken};
pub use tenant::{ParseTenantError, Tenant};
pub use time::{Duration, Timestamp};
