//! Workers of tasks in Rust: whoever implements [`Handler`] serves the steps that `use: task.NAME`.
//!
//! Everything here follows the contract for workers in any language, which `docs/src/how-to/task-workers.md` tells. It is of
//! no use to Darkroom itself, whose own workers do what the table of ops lists.

mod service;
mod task;

pub use darkroom_proto::{ErrorClass, Map, TaskError, TaskMessage};
pub use service::{Options, WorkerError, serve};
pub use task::{Handler, Task};
