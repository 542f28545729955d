//! All tests across crates, as one binary: linking one is quicker than linking many.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on fails")]

mod artifacts;
mod clients;
mod fleet_api;
mod fleet_children;
mod fleet_compat;
mod fleet_contract;
mod fleet_failpoints;
mod fleet_fairness;
mod fleet_fencing;
mod fleet_held;
mod fleet_hooks;
mod fleet_load;
mod fleet_notices;
mod fleet_paid;
mod fleet_roles;
mod fleet_schedules;
mod fleet_submit;
mod fleet_takeover;
mod fleet_task;
mod fleet_workflows;
mod house;
mod kill_store;
mod ledger;
mod pages;
mod paid_steps;
mod providers;
mod queue;
mod rabbit;
mod redis;
mod redis_faults;
mod redis_golden;
mod redis_index;
mod redis_server;
mod socket;
mod store;
