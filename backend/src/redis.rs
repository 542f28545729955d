//! The backend of a fleet, as far as state goes: [`RedisStore`].

mod connection;
mod encoding;
mod fleet;
mod index;
mod keys;
mod ownership;
mod reads;
mod reply;
mod scripts;
mod setup;
mod store;
mod time;
mod writes;

pub use setup::Prepared;
pub use store::{RedisOptions, RedisStore};
