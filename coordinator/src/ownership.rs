//! Who owns which shard: leases in the store, shared fairly among the coordinators that are alive.

use darkroom_backend::{Epoch, Member, Role, Shard, Store};
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// How long a lease lives without being renewed. A killed coordinator's shards wait for this long.
const LEASE: Duration = Duration::from_millis(1_500);

/// How often shards that nobody owns are looked for.
const TURN_EVERY: Duration = Duration::from_millis(200);

/// How often leases are renewed: every second turn.
const TURNS_PER_RENEWAL: u32 = 2;

/// How long before its lease ends a shard is given up that could not be renewed, so that its next owner never meets us.
const MARGIN: Duration = Duration::from_millis(150);

/// A shard that this process owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tenure {
    /// Which ownership it is.
    pub(crate) epoch: Epoch,
    /// It is to be handed back: nothing new is taken from it, and once what was taken is dealt with it is vacated.
    pub(crate) is_leaving: bool,
}

/// The shards that this process owns.
pub(crate) type Owned = BTreeMap<Shard, Tenure>;

/// What the loop of a coordinator sees of the keeper.
#[derive(Debug)]
pub(crate) struct Ownership {
    /// The shards that are owned now.
    pub(crate) owned: watch::Receiver<Owned>,
    /// Says that a leaving shard is dealt with.
    pub(crate) vacated: mpsc::UnboundedSender<Shard>,
}

/// Keeps the leases of one coordinator.
#[derive(Debug)]
pub(crate) struct Keeper<S> {
    store: S,
    owner: String,
    shards: u16,
    owned: watch::Sender<Owned>,
    vacated: mpsc::UnboundedReceiver<Shard>,
    /// Until when each lease certainly lives, by the clock of this process.
    until: BTreeMap<Shard, Instant>,
    turns: u32,
}

impl<S: Store> Keeper<S> {
    /// A keeper for `owner`, of shards that number from 0.
    pub(crate) fn new(store: S, owner: String, shards: u16) -> (Keeper<S>, Ownership) {
        let (owned, owned_seen) = watch::channel(Owned::new());
        let (vacated_said, vacated) = mpsc::unbounded_channel();
        let keeper = Keeper { store, owner, shards, owned, vacated, until: BTreeMap::new(), turns: 0 };
        (keeper, Ownership { owned: owned_seen, vacated: vacated_said })
    }

    /// Keeps leases until `stop`; then gives them back.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut turns = tokio::time::interval(TURN_EVERY);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(shard) = self.vacated.recv() => self.release(shard).await,
                _ = turns.tick() => self.turn().await,
            }
        }
        let mine: Vec<Shard> = self.until.keys().copied().collect();
        for shard in mine {
            self.release(shard).await;
        }
        let left = tokio::time::timeout(LEASE, self.store.leave(Role::Coordinator, &self.owner));
        if !matches!(left.await, Ok(Ok(()))) {
            tracing::debug!("could not take leave; the others notice within {LEASE:?}");
        }
    }

    async fn turn(&mut self) {
        if self.turns.is_multiple_of(TURNS_PER_RENEWAL) {
            self.renew().await;
            let me = Member { id: self.owner.clone(), info: Vec::new() };
            if let Some(Err(error)) = self.bounded(self.store.announce(Role::Coordinator, &me, LEASE)).await {
                tracing::debug!(%error, "could not announce this coordinator");
            }
        }
        self.turns = self.turns.wrapping_add(1);
        self.balance().await;
    }

    /// Waits for an answer no longer than the earliest of our leases lives.
    async fn bounded<T>(&self, asked: impl Future<Output = T>) -> Option<T> {
        let patience = Instant::now() + LEASE / 2;
        let until =
            self.until.values().map(|until| *until - MARGIN).min().map_or(patience, |until| until.min(patience));
        tokio::time::timeout_at(until, asked).await.ok()
    }

    async fn renew(&mut self) {
        let asked_at = Instant::now();
        let owned: Vec<(Shard, Tenure)> = self.owned.borrow().iter().map(|(shard, tenure)| (*shard, *tenure)).collect();
        let asked = owned.iter().map(|(shard, tenure)| self.bounded(self.store.renew(*shard, tenure.epoch, LEASE)));
        let answers = join_all(asked).await;
        for ((shard, tenure), answer) in owned.into_iter().zip(answers) {
            match answer {
                Some(Ok(true)) => {
                    self.until.insert(shard, asked_at + LEASE);
                }
                Some(Ok(false)) => {
                    tracing::warn!(shard = shard.0, epoch = tenure.epoch.0, "the shard has another owner now");
                    self.forget(shard);
                }
                Some(Err(_)) | None => {
                    let until = self.until.get(&shard).copied().unwrap_or(asked_at);
                    if Instant::now() + MARGIN >= until {
                        tracing::warn!(
                            shard = shard.0,
                            "the lease could not be renewed in time; the shard is given up"
                        );
                        self.forget(shard);
                    }
                }
            }
        }
    }

    /// Takes shards that nobody owns, and gives up those beyond the fair share.
    async fn balance(&mut self) {
        let Some(Ok(members)) = self.bounded(self.store.members(Role::Coordinator)).await else { return };
        let others = members.iter().filter(|member| member.id != self.owner).count();
        let share = usize::from(self.shards).div_ceil(others + 1);
        let staying: Vec<Shard> = {
            let owned = self.owned.borrow();
            owned.iter().filter(|(_, tenure)| !tenure.is_leaving).map(|(shard, _)| *shard).collect()
        };
        for shard in staying.iter().skip(share) {
            tracing::info!(shard = shard.0, share, "handing the shard to another coordinator");
            self.owned.send_modify(|owned| {
                if let Some(tenure) = owned.get_mut(shard) {
                    tenure.is_leaving = true;
                }
            });
        }
        let mut room = share.saturating_sub(staying.len());
        if room == 0 {
            return;
        }
        let free: Vec<Shard> = {
            let owned = self.owned.borrow();
            (0..self.shards).map(Shard).filter(|shard| !owned.contains_key(shard)).collect()
        };
        for shard in free {
            if room == 0 {
                return;
            }
            let asked_at = Instant::now();
            match self.bounded(self.store.acquire(shard, &self.owner, LEASE)).await {
                Some(Ok(Some(epoch))) => {
                    tracing::info!(shard = shard.0, epoch = epoch.0, "owning the shard");
                    self.until.insert(shard, asked_at + LEASE);
                    self.owned.send_modify(|owned| {
                        owned.insert(shard, Tenure { epoch, is_leaving: false });
                    });
                    room -= 1;
                }
                Some(Ok(None)) => {}
                Some(Err(error)) => {
                    tracing::debug!(shard = shard.0, %error, "could not ask for the shard");
                    return;
                }
                None => return,
            }
        }
    }

    /// Gives a shard back.
    async fn release(&mut self, shard: Shard) {
        let Some(tenure) = self.owned.borrow().get(&shard).copied() else { return };
        self.forget(shard);
        if !matches!(self.bounded(self.store.release(shard, tenure.epoch)).await, Some(Ok(()))) {
            tracing::debug!(shard = shard.0, "could not give the shard back; its lease ends by itself");
        }
    }

    fn forget(&mut self, shard: Shard) {
        self.until.remove(&shard);
        self.owned.send_modify(|owned| {
            owned.remove(&shard);
        });
    }
}
