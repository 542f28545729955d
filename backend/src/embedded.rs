//! The backend of one process: state in one transactional file, the queue in memory.

mod file;
mod fleet;
mod layout;
mod lines;
mod queue;
mod reader;
mod reads;
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
