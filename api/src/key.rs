//! Keys of the API: made, shown once, kept as digests, expired and revoked.

use darkroom_backend::{Committed, RecordKind, Store, StoreError, StoredRecord};
use darkroom_proto::{Sha256, Tenant, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What every key begins with, so that scanners for leaked secrets find it.
const PREFIX: &str = "dk_";

/// How many keys there may be.
const KEYS_MAX: usize = 10_000;

/// How long what was read of all keys is believed: so long a revoked one may still be let in.
const KNOWN_KEPT: Duration = Duration::from_secs(2);

/// How often a change is tried again that another one came before.
const TRIES_MAX: u32 = 8;

/// What a key allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// To create runs and upload files.
    Submit,
    /// To look at runs, workflows and files.
    Read,
    /// To command runs: cancel, resume, approve and the like. Reading is part of it.
    Operate,
    /// To change workflows and keys. Everything else is part of it.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Scope; 4] = [Scope::Submit, Scope::Read, Scope::Operate, Scope::Admin];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Scope::Submit => "submit",
            Scope::Read => "read",
            Scope::Operate => "operate",
            Scope::Admin => "admin",
        }
    }

    /// Whether whoever has this one has the other one too.
    pub fn includes(self, other: Scope) -> bool {
        self == other || self == Scope::Admin || (self == Scope::Operate && other == Scope::Read)
    }
}

impl std::str::FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Scope::ALL.into_iter().find(|scope| scope.name() == text);
        found.ok_or_else(|| "expected submit, read, operate or admin".to_owned())
    }
}

/// A key, without what is secret of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// What it is called by in lists and logs; the part of the key that is not secret.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Whose it is.
    pub tenant: Tenant,
    /// What it allows.
    pub scopes: BTreeSet<Scope>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When somebody revoked it.
    pub revoked_at: Option<Timestamp>,
    /// The digest of the whole key.
    digest: Sha256,
}

impl ApiKey {
    /// Whether it is let in at a time.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }

    /// Whether it allows something.
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes.iter().any(|held| held.includes(scope))
    }
}

/// A key that was just made.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// What is kept of it.
    pub about: ApiKey,
    /// The key itself, which nobody can be shown again.
    pub secret: String,
}

/// Why a key was not made or found.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is none of this id.
    #[error("there is no key `{0}`")]
    Missing(String),
    /// There are enough.
    #[error("there are {KEYS_MAX} keys already")]
    TooMany,
    /// Others changed it each time.
    #[error("the key `{0}` is being changed by others all the time")]
    Busy(String),
    /// The machine gives no random numbers.
    #[error("no random numbers can be had for a key")]
    NoRandomness,
    /// What is stored can't be read.
    #[error("the key `{id}` can't be read: {why}")]
    Corrupt {
        /// Its id.
        id: String,
        /// Why.
        why: String,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// All keys, as they were read last.
#[derive(Debug, Clone)]
struct Known {
    at: Instant,
    by_id: Arc<BTreeMap<String, ApiKey>>,
}

/// The keys of a store.
#[derive(Debug, Clone)]
pub struct ApiKeys<S> {
    store: S,
    known: Arc<Mutex<Option<Known>>>,
}

impl<S: Store> ApiKeys<S> {
    /// The keys of a store.
    pub fn new(store: S) -> ApiKeys<S> {
        ApiKeys { store, known: Arc::default() }
    }

    /// All of them, revoked and expired ones too, by id.
    pub async fn list(&self) -> Result<Vec<ApiKey>, KeyError> {
        self.store.records(RecordKind::ApiKey).await?.iter().map(decode).collect()
    }

    /// Makes a key.
    pub async fn create(
        &self,
        name: &str,
        tenant: Tenant,
        scopes: BTreeSet<Scope>,
        expires_at: Option<Timestamp>,
    ) -> Result<NewKey, KeyError> {
        if self.store.records(RecordKind::ApiKey).await?.len() >= KEYS_MAX {
            return Err(KeyError::TooMany);
        }
        let (id, rest) = (random::<6>()?, random::<32>()?);
        let secret = format!("{PREFIX}{id}_{rest}");
        let about = ApiKey {
            id: id.clone(),
            name: name.to_owned(),
            tenant,
            scopes,
            created_at: self.store.now().await?,
            expires_at,
            revoked_at: None,
            digest: Sha256::of(secret.as_bytes()),
        };
        // Two of one id would be two keys that were made with the same 48 random bits; the second is refused.
        match self.store.put_record(&encode(&about, 0)?).await? {
            Committed::Done(_) => Ok(NewKey { about, secret }),
            Committed::Conflict { .. } => Err(KeyError::Busy(id)),
        }
    }

    /// Ends a key for good, within seconds everywhere. It stays in lists.
    pub async fn revoke(&self, id: &str) -> Result<ApiKey, KeyError> {
        for _ in 0..TRIES_MAX {
            let stored = self.store.record(RecordKind::ApiKey, id).await?;
            let stored = stored.ok_or_else(|| KeyError::Missing(id.to_owned()))?;
            let mut key = decode(&stored)?;
            if key.revoked_at.is_some() {
                return Ok(key);
            }
            key.revoked_at = Some(self.store.now().await?);
            if let Committed::Done(_) = self.store.put_record(&encode(&key, stored.version)?).await? {
                *self.known() = None;
                return Ok(key);
            }
        }
        Err(KeyError::Busy(id.to_owned()))
    }

    /// Whether there is any key that is let in.
    pub async fn any(&self) -> Result<bool, KeyError> {
        let now = self.store.now().await?;
        Ok(self.read().await?.values().any(|key| key.is_valid(now)))
    }

    /// The key that somebody shows, if it is one that is let in.
    pub async fn shown(&self, secret: &str) -> Result<Option<ApiKey>, KeyError> {
        let Some((id, _)) = secret.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')) else { return Ok(None) };
        let keys = self.read().await?;
        let Some(key) = keys.get(id) else { return Ok(None) };
        // Digests are compared, so how long that takes tells nothing of the key.
        let is_same = key.digest == Sha256::of(secret.as_bytes());
        Ok(Some(key.clone()).filter(|key| is_same && key.is_valid(darkroom_backend::Clock::system().now())))
    }

    async fn read(&self) -> Result<Arc<BTreeMap<String, ApiKey>>, KeyError> {
        if let Some(known) = self.known().as_ref().filter(|known| known.at.elapsed() < KNOWN_KEPT) {
            return Ok(known.by_id.clone());
        }
        let at = Instant::now();
        let by_id: BTreeMap<_, _> = self.list().await?.into_iter().map(|key| (key.id.clone(), key)).collect();
        let by_id = Arc::new(by_id);
        *self.known() = Some(Known { at, by_id: by_id.clone() });
        Ok(by_id)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Option<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn encode(key: &ApiKey, version: u64) -> Result<StoredRecord, KeyError> {
    let corrupt = |why: String| KeyError::Corrupt { id: key.id.clone(), why };
    let body = rmp_serde::to_vec_named(key).map_err(|error| corrupt(error.to_string()))?;
    Ok(StoredRecord { kind: RecordKind::ApiKey, name: key.id.clone(), version, body })
}

fn decode(stored: &StoredRecord) -> Result<ApiKey, KeyError> {
    rmp_serde::from_slice(&stored.body)
        .map_err(|error| KeyError::Corrupt { id: stored.name.clone(), why: error.to_string() })
}

/// So many random bytes as hex digits.
fn random<const N: usize>() -> Result<String, KeyError> {
    let mut bytes = [0u8; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| KeyError::NoRandomness)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_include_what_people_expect() {
        assert!(Scope::Admin.includes(Scope::Submit) && Scope::Admin.includes(Scope::Operate));
        assert!(Scope::Operate.includes(Scope::Read) && !Scope::Operate.includes(Scope::Submit));
        assert!(!Scope::Submit.includes(Scope::Read) && !Scope::Read.includes(Scope::Operate));
        assert_eq!("operate".parse(), Ok(Scope::Operate));
        assert!("root".parse::<Scope>().is_err());
    }
}
