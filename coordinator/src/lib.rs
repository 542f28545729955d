//! Who decides: owns shards, advances their runs, commits, then acts.

mod act;
mod again;
mod batch;
mod command;
mod desk;
mod failpoint;
mod fire;
mod hooks;
mod look;
mod notices;
mod outbox;
mod ownership;
mod plans;
mod record;
mod relief;
mod runs;
mod schedules;
mod service;
mod task;
mod workflows;

pub use again::made_from;
pub use command::RunCommand;
pub use desk::{Desk, DeskError, Stored, Submission, open_run};
pub use failpoint::{Failpoint, ParseFailpointError};
pub use hooks::hooks;
pub use notices::{NoticeOptions, Notices, Notifier, Outlet, Undelivered, Ways};
pub use plans::{PlanError, Plans};
pub use record::{RecordError, decode_event, decode_run, run_row};
pub use schedules::{ScheduleError, ScheduleRecord, Schedules};
pub use service::{Coordinator, CoordinatorError, News};
pub use task::Tasks;
pub use workflows::{Push, Pushed, Version, WorkflowError, WorkflowRecord, Workflows};
