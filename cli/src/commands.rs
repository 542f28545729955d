//! The verbs, one file each.

pub(crate) mod bench;
pub(crate) mod cancel;
pub(crate) mod config_show;
pub(crate) mod coordinator;
pub(crate) mod cost;
pub(crate) mod docs;
pub(crate) mod explain;
pub(crate) mod list;
pub(crate) mod outputs;
pub(crate) mod plan;
pub(crate) mod providers;
pub(crate) mod resume;
pub(crate) mod run;
pub(crate) mod schedules;
pub(crate) mod setup;
pub(crate) mod show;
pub(crate) mod simulator;
pub(crate) mod submit;
pub(crate) mod tail;
pub(crate) mod validate;
pub(crate) mod version;
pub(crate) mod worker;
pub(crate) mod workflows;
