//! A stand-in world of providers: it speaks their wire formats under `/<provider>/…`, takes its time, fails on request, and
//! writes down every charge.
//!
//! [`Simulator`] is the whole of it. Inside, one `World` knows jobs, charges, faults and keys; a provider is one file that
//! reads requests into orders and jobs into answers; the desk (`desk.rs`) is the way of every request between the two.

mod answer;
mod asked;
mod charge;
mod clock;
mod control;
mod desk;
mod dice;
mod fault;
mod files;
mod form;
mod job;
mod key;
mod lane;
mod media;
mod options;
mod provider;
mod providers;
mod server;
mod sign;
mod studio;
mod tally;
#[cfg(test)]
mod trial;
mod webhook;
mod world;

pub use options::Options;
pub use server::Simulator;
pub use tally::Tally;
