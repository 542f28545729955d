//! The simulator as a client meets it: over HTTP.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on fails")]

mod charges;
mod fal;
mod faults;
mod google;
mod links;
mod openai;
mod place;
mod receiver;
mod replicate;
mod webhooks;
