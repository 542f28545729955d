//! Who works: takes steps, does them, reports. Keeps nothing between steps.
//!
//! [`media`] knows pictures and sound and nothing of steps, [`local`] is the provider without keys, [`program`] calls programs
//! of the machine, [`ops`] binds the parameters of a step to all three, and [`Worker`] is the loop around them.

mod begun;
mod calls;
mod errand;
mod failpoint;
pub mod local;
pub mod media;
pub mod net;
pub mod ops;
pub mod program;
mod providers;
mod reporter;
mod routes;
mod service;
mod workbench;

pub use calls::Caller;
pub use failpoint::{CallFailpoint, ParseCallFailpointError};
pub use providers::{Account, CACHE_KEPT, CallOptions, Key, ProviderOptions, Providers};
pub use routes::Routes;
pub use service::Worker;
pub use workbench::Workbench;
