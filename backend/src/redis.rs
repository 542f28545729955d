//! The backend of a fleet, as far as state goes: [`RedisStore`].

mod cache;
mod calls;
mod conditions;
mod connection;
mod encoding;
mod epoch;
mod fleet;
mod index;
mod keys;
mod ledger;
mod limits;
mod ownership;
mod purse;
mod reads;
mod records;
mod reply;
mod schedules;
mod scripts;
mod setup;
mod store;
mod time;
mod writes;

pub use setup::Prepared;
pub use store::{RedisOptions, RedisStore};
