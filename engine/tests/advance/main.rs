//! What `advance` decides: tables, properties, and recovery from every cut of the log.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what a test does not expect ends it, and times are printed"
)]

mod failure;
mod fanout;
mod order;
mod preview;
mod property;
mod recovery;
mod resume;
mod reuse;
mod scale;
mod watch;
mod world;
