//! The rules of the seams: one function for each, named by what it claims, for any backend.

pub mod artifacts;
pub mod ledger;
pub mod queue;
pub mod store;
