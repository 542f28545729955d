//! The command as people use it: the real binary, real files, real signals.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on fails")]

mod bad_pictures;
mod batch;
mod bench;
mod branching;
mod bucket;
mod caching;
mod cancelling;
mod definitions;
mod errands;
mod failing;
mod films;
mod fleet_settings;
mod folder;
mod held;
mod inputs;
mod kill;
mod links;
mod looking;
mod main_job;
mod notices;
mod picture;
mod providers;
mod resuming;
mod roles;
mod surroundings;
mod tailing;
mod tasks;
mod trying;
mod under_way;
