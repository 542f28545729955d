//! Tests across crates: one conformance suite for each seam, run over every backend.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on fails")]

pub mod clients;
pub mod conformance;
pub mod fleet;
mod installed;
pub mod poll;
pub mod proxy;
pub mod sample;
pub mod servers;
