//! What happens next: compile, validate, advance. Pure functions: no I/O, no clock, no randomness of their own.

mod advance;
mod call;
mod change;
pub mod code;
mod compile;
mod definition;
pub mod diagnostic;
mod document;
mod eval;
pub mod expr;
mod fanout;
mod filter;
pub mod input;
mod instance;
mod lost;
mod names;
mod node;
pub mod plan;
pub mod preview;
mod quoting;
mod read;
pub mod reference;
mod render;
mod resume;
mod retry;
mod reuse;
mod run;
mod save;
mod scan;
pub mod schema;
mod scope;
pub mod source;
mod stop;
mod suggest;
mod syntax;
pub mod template;
mod token;
mod types;
mod watch;
mod yaml;

pub use advance::{advance, break_off};
pub use change::{Change, Effect, Event, Happened, What};
pub use compile::{Compiled, compile};
pub use definition::About;
pub use diagnostic::{Diagnostic, Severity};
pub use document::{INSTANCES_SHOWN, run_document, step_document};
pub use eval::Program;
pub use fanout::{Expansion, INSTANCES_MAX};
pub use render::{render, summary};
pub use resume::kept_artifacts;
pub use run::{
    Failure, Fan, Head, OnError, Only, Reusable, Run, Skipped, Spec, State, Step, WINDOW_MAX, WINDOW_MIN, saved_scope,
};
pub use save::clean_save_path;
pub use source::Source;
pub use watch::{Overdue, Watch, line, overdue};
