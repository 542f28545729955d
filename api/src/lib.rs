//! What other services ask: the HTTP API, and runs that are handed in over AMQP.
//!
//! Everything here is a thin coat around the desk, the store and the engine's documents: a run that is created over HTTP, over
//! AMQP or by the CLI is the same run.

mod artifacts;
mod caller;
mod command;
mod compat;
mod events;
mod files;
mod intake;
mod key;
mod letter;
mod link;
mod openapi;
mod page;
mod problem;
mod routes;
mod runs;
mod segment;
mod service;
mod task;
mod workflows;

pub use caller::Caller;
pub use intake::{Intake, Wanted};
pub use key::{ApiKey, ApiKeys, KeyError, NewKey, Scope};
pub use letter::{Letter, Reply};
pub use openapi::{document, document_text};
pub use problem::Problem;
pub use service::{Api, Fetched, Options, Surroundings, router};
