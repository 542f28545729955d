//! Workflows by name: which definitions they had, which one is meant, and whether they may be run.

use crate::record::{RecordError, decode, encode};
use darkroom_backend::{Committed, Definition, RecordKind, RunFilter, Store, StoreError, StoredRecord};
use darkroom_proto::{RunId, Sha256, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How often a change is tried again that another one came before.
const TRIES_MAX: u32 = 16;

/// How many pushes of one workflow are kept.
const PUSHES_MAX: usize = 10_000;

/// The least digits of a hash that name a version.
const PREFIX_MIN: usize = 4;

/// How many runs are read at once when they are counted.
const PAGE: usize = 1_000;

/// A workflow by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkflowRecord {
    /// Whether it may be run by its name.
    pub enabled: bool,
    /// What it was, in the order of the pushes: the first is version 1.
    pub pushes: Vec<Push>,
}

/// One version of a workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Push {
    /// The definition.
    pub hash: Sha256,
    /// When.
    pub pushed_at: Timestamp,
    /// Who.
    pub by: String,
}

/// What came of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Pushed {
    /// The version that is the latest now.
    pub version: u32,
    /// Whether it is a new one: the same content as the latest is none.
    pub is_new: bool,
}

/// Which version is meant by `name@version`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Version {
    /// The newest.
    Latest,
    /// A number, from 1, or the first digits of a hash.
    Given(String),
}

impl Version {
    /// A name with or without a version behind an `@`.
    pub fn split(text: &str) -> (&str, Version) {
        match text.split_once('@') {
            None => (text, Version::Latest),
            Some((name, "latest")) => (name, Version::Latest),
            Some((name, version)) => (name, Version::Given(version.to_owned())),
        }
    }
}

/// Why a workflow was not found or not changed.
#[derive(Debug, thiserror::Error)]
pub enum WorkflowError {
    /// There is none of this name.
    #[error("there is no workflow `{0}`")]
    Missing(String),
    /// It has no such version.
    #[error("the workflow `{name}` has no version `{version}`: it has 1 to {latest}")]
    NoVersion {
        /// Its name.
        name: String,
        /// What was asked for.
        version: String,
        /// Its latest.
        latest: u32,
    },
    /// More than one version begins so.
    #[error("more than one version of `{name}` begins with `{version}`")]
    Ambiguous {
        /// Its name.
        name: String,
        /// What was asked for.
        version: String,
    },
    /// It was pushed too often.
    #[error("the workflow `{0}` was pushed {PUSHES_MAX} times, and no more are kept")]
    TooMany(String),
    /// The definition of a version is gone.
    #[error("the definition {0} is not in the store")]
    Lost(Sha256),
    /// Others changed it each time.
    #[error("the workflow `{0}` is being changed by others all the time")]
    Busy(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is stored.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl WorkflowRecord {
    /// The number of its newest version.
    pub fn latest(&self) -> u32 {
        u32::try_from(self.pushes.len()).unwrap_or(u32::MAX)
    }

    /// The version that is meant, and its number.
    ///
    /// # Errors
    /// When it has none, or more than one that begins so.
    pub fn find(&self, name: &str, version: &Version) -> Result<(u32, &Push), WorkflowError> {
        let none = |version: &str| WorkflowError::NoVersion {
            name: name.to_owned(),
            version: version.to_owned(),
            latest: self.latest(),
        };
        let numbered = || (1u32..).zip(&self.pushes);
        let text = match version {
            Version::Latest => return numbered().last().ok_or_else(|| none("latest")),
            Version::Given(text) => text,
        };
        let number = text.parse::<u32>().ok();
        if let Some(found) = numbered().find(|(at, _)| Some(*at) == number) {
            return Ok(found);
        }
        if text.len() < PREFIX_MIN {
            return Err(none(text));
        }
        // Content that was pushed again after another is one definition, whichever of its numbers is told.
        let found: Vec<(u32, &Push)> =
            numbered().filter(|(_, push)| push.hash.to_string().starts_with(text.as_str())).collect();
        let last = found.last().ok_or_else(|| none(text))?;
        match found.iter().all(|(_, push)| push.hash == last.1.hash) {
            true => Ok(*last),
            false => Err(WorkflowError::Ambiguous { name: name.to_owned(), version: text.clone() }),
        }
    }
}

/// The workflows of a store, by name.
#[derive(Debug, Clone)]
pub struct Workflows<S> {
    store: S,
}

impl<S: Store> Workflows<S> {
    /// The workflows of a store.
    pub fn new(store: S) -> Workflows<S> {
        Workflows { store }
    }

    /// All of them, by name.
    pub async fn list(&self) -> Result<Vec<(String, WorkflowRecord)>, WorkflowError> {
        let stored = self.store.records(RecordKind::Workflow).await?;
        stored.into_iter().map(|stored| Ok((stored.name, decode("workflow", &stored.body)?))).collect()
    }

    /// One of them.
    pub async fn get(&self, name: &str) -> Result<WorkflowRecord, WorkflowError> {
        let stored = self.store.record(RecordKind::Workflow, name).await?;
        let stored = stored.ok_or_else(|| WorkflowError::Missing(name.to_owned()))?;
        Ok(decode("workflow", &stored.body)?)
    }

    /// The definition of a version.
    pub async fn definition(&self, push: &Push) -> Result<Definition, WorkflowError> {
        self.store.definition(push.hash).await?.ok_or(WorkflowError::Lost(push.hash))
    }

    /// Makes a definition the latest version of the workflow that it names. The definition is stored first, so that no
    /// version is ever without one.
    pub async fn push(&self, definition: &Definition, by: &str) -> Result<Pushed, WorkflowError> {
        self.store.put_definition(definition).await?;
        let pushed_at = self.store.now().await?;
        let name = &definition.workflow;
        self.change(name, |record| {
            let mut record = record.unwrap_or(WorkflowRecord { enabled: true, pushes: Vec::new() });
            if record.pushes.last().is_some_and(|last| last.hash == definition.hash) {
                return Ok((None, Pushed { version: record.latest(), is_new: false }));
            }
            if record.pushes.len() >= PUSHES_MAX {
                return Err(WorkflowError::TooMany(name.clone()));
            }
            record.pushes.push(Push { hash: definition.hash, pushed_at, by: by.to_owned() });
            let version = record.latest();
            Ok((Some(record), Pushed { version, is_new: true }))
        })
        .await
    }

    /// Lets it be run by its name, or not. Runs that are under way go on. False: it was so already.
    pub async fn switch(&self, name: &str, enabled: bool) -> Result<bool, WorkflowError> {
        self.change(name, |record| {
            let record = record.ok_or_else(|| WorkflowError::Missing(name.to_owned()))?;
            if record.enabled == enabled {
                return Ok((None, false));
            }
            Ok((Some(WorkflowRecord { enabled, ..record }), true))
        })
        .await
    }

    /// How many runs of a workflow there are of each definition: all, and those that have not ended.
    pub async fn runs(&self, name: &str) -> Result<BTreeMap<Sha256, (u64, u64)>, WorkflowError> {
        let mut counts = BTreeMap::new();
        let mut before: Option<RunId> = None;
        loop {
            let filter = RunFilter { workflow: Some(name.to_owned()), before, limit: PAGE, ..RunFilter::default() };
            let page = self.store.list(&filter).await?;
            for (_, summary) in &page {
                let (all, open) = counts.entry(summary.definition).or_insert((0, 0));
                *all += 1;
                *open += u64::from(!summary.status.is_terminal());
            }
            match page.last() {
                Some((last, _)) if page.len() == PAGE => before = Some(*last),
                _ => return Ok(counts),
            }
        }
    }

    /// Changes a record; if another change came before, decides anew.
    async fn change<T>(
        &self,
        name: &str,
        decide: impl Fn(Option<WorkflowRecord>) -> Result<(Option<WorkflowRecord>, T), WorkflowError>,
    ) -> Result<T, WorkflowError> {
        for _ in 0..TRIES_MAX {
            let stored = self.store.record(RecordKind::Workflow, name).await?;
            let version = stored.as_ref().map_or(0, |stored| stored.version);
            let record = stored.map(|stored| decode("workflow", &stored.body)).transpose()?;
            let (next, outcome) = decide(record)?;
            let Some(next) = next else { return Ok(outcome) };
            let (kind, name, body) = (RecordKind::Workflow, name.to_owned(), encode("workflow", &next)?);
            let next = StoredRecord { kind, name, version, body };
            if let Committed::Done(_) = self.store.put_record(&next).await? {
                return Ok(outcome);
            }
        }
        Err(WorkflowError::Busy(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(hash: &str) -> Push {
        Push { hash: hash.parse().unwrap(), pushed_at: Timestamp(1), by: "ann".into() }
    }

    #[test]
    fn a_version_is_named_by_number_hash_or_latest() {
        let (a, b) = (format!("abcd1{}", "0".repeat(59)), format!("abcd2{}", "0".repeat(59)));
        let record = WorkflowRecord { enabled: true, pushes: vec![push(&a), push(&b), push(&a)] };
        let cases: [(&str, Result<u32, &str>); 9] = [
            ("shop", Ok(3)),
            ("shop@latest", Ok(3)),
            ("shop@2", Ok(2)),
            ("shop@abcd2", Ok(2)),
            ("shop@abcd1", Ok(3)),
            ("shop@abcd", Err("more than one version of `shop` begins with `abcd`")),
            ("shop@4", Err("the workflow `shop` has no version `4`: it has 1 to 3")),
            ("shop@0", Err("the workflow `shop` has no version `0`: it has 1 to 3")),
            ("shop@abc", Err("the workflow `shop` has no version `abc`: it has 1 to 3")),
        ];
        for (text, expected) in cases {
            let (name, version) = Version::split(text);
            let found = record.find(name, &version).map(|(number, _)| number).map_err(|error| error.to_string());
            assert_eq!(found, expected.map_err(str::to_owned), "{text}");
        }
    }
}
