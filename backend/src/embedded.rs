//! The backend of one process: state in one transactional file, the queue in memory.

mod cache;
mod calls;
mod conditions;
mod file;
mod fleet;
mod layout;
mod ledger;
mod limits;
mod lines;
mod purses;
mod queue;
mod reader;
mod reads;
mod records;
mod schedules;
mod sets;
mod socket;
mod store;
mod tables;
mod waiters;
mod weight;
mod wire;
mod writes;

pub use queue::{EmbeddedQueue, ShardDelivery, StepDelivery};
pub use reader::Reader;
pub use socket::{SocketClient, SocketServer, serve};
pub use store::EmbeddedStore;
pub use weight::bound_of_report;
