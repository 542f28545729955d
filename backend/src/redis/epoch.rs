//! Which life of the server it is.

use super::store::Inner;
use crate::StoreError;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// What the server was last found to be, and how often anything had connected by then.
#[derive(Debug, Default)]
pub(super) struct Life(Mutex<Option<(u64, String)>>);

impl Inner {
    /// The server's run id, which each of its starts has anew, and its role.
    ///
    /// It is asked for again after any of the connections was made again: whoever was told of a loss by what it read over
    /// one of them is told of the new life as well.
    pub(super) async fn life(&self) -> Result<String, StoreError> {
        let connections = self.connections();
        {
            let known = self.life.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, life)) = known.as_ref().filter(|(seen, _)| *seen == connections) {
                return Ok(life.clone());
            }
        }
        let mut ask = ::redis::cmd("INFO");
        ask.arg("server").arg("replication");
        let info: String = self.connection().send("INFO", &ask).await?;
        let facts: HashMap<&str, &str> = info.lines().filter_map(|line| line.split_once(':')).collect();
        let fact = |name: &str| facts.get(name).map_or("", |value| value.trim());
        let life = format!("{}/{}", fact("run_id"), fact("role"));
        // Under the number from before, so that a connection that was made meanwhile has it read again.
        *self.life.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((connections, life.clone()));
        Ok(life)
    }
}
