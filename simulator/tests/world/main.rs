//! The simulator as a client meets it: over HTTP.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on fails")]

mod charges;
mod fal;
mod faults;
mod links;
mod place;
mod receiver;
mod webhooks;
