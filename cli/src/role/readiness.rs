//! Whether a role is ready, and if not why.

use crate::fleet::Server;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long the role may say nothing before it is held to be stuck. Checking the store takes seconds when it is away.
const BEAT_MAX: Duration = Duration::from_secs(30);

/// What the pages tell of a role. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Readiness {
    // A std mutex: it is held to look or to note, never across an await.
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// What is wrong with a server; nothing is known of one that is missing.
    servers: BTreeMap<Server, Option<String>>,
    working: bool,
    draining: bool,
    beat: Instant,
}

impl Readiness {
    /// Nothing is known yet.
    pub(super) fn new() -> Readiness {
        let state = State { servers: BTreeMap::new(), working: false, draining: false, beat: Instant::now() };
        Readiness { state: Arc::new(Mutex::new(state)) }
    }

    /// How a server is; `None`: it answers. Whoever notes this is alive.
    pub(super) fn server(&self, server: Server, wrong: Option<String>) {
        let mut state = self.state();
        state.beat = Instant::now();
        state.servers.insert(server, wrong);
    }

    /// The work has begun or ended.
    pub(super) fn working(&self, working: bool) {
        self.state().working = working;
    }

    /// The role takes nothing new any more.
    pub(super) fn drain(&self) {
        self.state().draining = true;
    }

    /// Why the role is not ready; empty: it is.
    pub(super) fn reasons(&self) -> Vec<String> {
        let state = self.state();
        let mut reasons = Vec::new();
        if state.draining {
            reasons.push("draining".to_owned());
        }
        for server in [Server::Broker, Server::Store] {
            match state.servers.get(&server) {
                Some(None) => {}
                Some(Some(wrong)) => reasons.push(wrong.clone()),
                None => reasons.push(format!("the {} was not reached yet", server.name())),
            }
        }
        if reasons.is_empty() && !state.working {
            reasons.push("not at work yet".to_owned());
        }
        reasons
    }

    /// Whether the role has said something lately.
    pub(super) fn is_alive(&self) -> bool {
        self.state().beat.elapsed() < BEAT_MAX
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_role_is_ready_when_both_servers_answer_and_it_works_and_until_it_drains() {
        let readiness = Readiness::new();
        assert_eq!(readiness.reasons(), ["the broker was not reached yet", "the store was not reached yet"]);
        readiness.server(Server::Broker, None);
        readiness.server(Server::Store, Some("the store is away".to_owned()));
        assert_eq!(readiness.reasons(), ["the store is away"]);
        readiness.server(Server::Store, None);
        assert_eq!(readiness.reasons(), ["not at work yet"]);
        readiness.working(true);
        assert!(readiness.reasons().is_empty());
        readiness.drain();
        assert_eq!(readiness.reasons(), ["draining"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_role_that_says_nothing_any_more_is_not_alive() {
        let readiness = Readiness::new();
        readiness.server(Server::Store, Some("away".to_owned()));
        tokio::time::advance(BEAT_MAX - Duration::from_secs(1)).await;
        assert!(readiness.is_alive(), "a server that is away does not make the role dead");
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(!readiness.is_alive());
    }
}
