//! What `advance` decides: tables, properties, and recovery from every cut of the log.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what a test does not expect ends it, and times are printed"
)]

mod again;
mod branch;
mod cache_why;
mod child;
mod failure;
mod fanout;
mod held;
mod money;
mod notice;
mod order;
mod parking;
mod part;
mod pause;
mod preview;
mod property;
mod race;
mod recovery;
mod repeat;
mod resume;
mod reuse;
mod scale;
mod signal;
mod task;
mod waiting;
mod watch;
mod world;
