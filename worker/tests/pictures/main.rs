//! What the worker promises about pictures, from the outside.

// The lint's exception for tests covers test functions, and these modules are made of what those share.
#![allow(clippy::unwrap_used)]

mod bad;
mod formats;
mod ops;
mod previews;
mod samples;
mod saving;
mod sheets;
mod store;
