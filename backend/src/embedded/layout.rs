//! How values are laid out in the file: plain fields in order, little-endian, byte strings behind their length.
//!
//! By hand rather than by serde because the record of a run is rewritten with every commit and read for every line of
//! a list: fixed fields first, so that a list decodes the summary and never looks at the state behind it.

use crate::{Command, RunSummary, StoreError};
use darkroom_proto::{Money, RunId, RunStatus, Sha256, Tenant, Timestamp};

/// The first byte of records; another one is of another release.
const RECORD_LAYOUT: u8 = 3;

/// The oldest layout that is read still. The first had no cost of the run, the second no tenant.
const RECORD_LAYOUT_FIRST: u8 = 1;

/// Stands for "never" where a time is optional.
const NEVER: u64 = u64::MAX;

/// The record of a run: everything that changes with every commit.
#[derive(Debug, Clone)]
pub(super) struct Record<'a> {
    pub(super) version: u64,
    pub(super) commit_id: u64,
    /// The position of the last event.
    pub(super) last_event: u64,
    pub(super) due: Option<Timestamp>,
    pub(super) summary: RunSummary,
    pub(super) head: &'a [u8],
    pub(super) outbox: &'a [u8],
}

impl<'a> Record<'a> {
    pub(super) fn encode(&self) -> Result<Vec<u8>, StoreError> {
        let mut out = Writer(Vec::with_capacity(256 + self.head.len() + self.outbox.len()));
        out.0.push(RECORD_LAYOUT);
        out.u64(self.version);
        out.u64(self.commit_id);
        out.u64(self.last_event);
        out.time(self.due);
        out.summary(&self.summary)?;
        out.u64(self.summary.spent.0);
        out.bytes(self.summary.tenant.as_str().as_bytes());
        out.bytes(self.head);
        out.bytes(self.outbox);
        Ok(out.0)
    }

    pub(super) fn decode(bytes: &'a [u8]) -> Result<Self, StoreError> {
        let mut input = Reader { what: "the record of a run", left: bytes };
        let layout = input.u8()?;
        if !(RECORD_LAYOUT_FIRST..=RECORD_LAYOUT).contains(&layout) {
            return Err(input.corrupt(format!("it has layout {layout}, this release reads {RECORD_LAYOUT}")));
        }
        let (version, commit_id, last_event, due) = (input.u64()?, input.u64()?, input.u64()?, input.time()?);
        let mut summary = input.summary()?;
        if layout >= 2 {
            summary.spent = Money(input.u64()?);
        }
        if layout >= 3 {
            let tenant = input.text()?;
            summary.tenant = tenant.parse().map_err(|error| input.corrupt(format!("`{tenant}`: {error}")))?;
        }
        Ok(Record { version, commit_id, last_event, due, summary, head: input.bytes()?, outbox: input.bytes()? })
    }
}

/// What lists filter by, beside the order of the index: enough to pass over a run without reading its record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct IndexEntry<'a> {
    pub(super) status: RunStatus,
    pub(super) fingerprint: Sha256,
    pub(super) workflow: &'a str,
    pub(super) tenant: &'a str,
}

impl<'a> IndexEntry<'a> {
    pub(super) fn of(summary: &'a RunSummary) -> Self {
        let (workflow, tenant) = (&summary.workflow, summary.tenant.as_str());
        Self { status: summary.status, fingerprint: summary.fingerprint, workflow, tenant }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Writer(Vec::with_capacity(40 + self.workflow.len()));
        out.0.push(status_byte(self.status));
        out.0.extend_from_slice(self.fingerprint.as_bytes());
        out.bytes(self.workflow.as_bytes());
        if self.tenant != Tenant::default().as_str() {
            out.bytes(self.tenant.as_bytes());
        }
        out.0
    }

    pub(super) fn decode(bytes: &'a [u8]) -> Result<Self, StoreError> {
        let mut input = Reader { what: "the index of runs", left: bytes };
        let (status, fingerprint, workflow) = (input.status()?, input.digest()?, input.text()?);
        // Entries of the first releases, and those of nobody in particular, end here.
        let tenant = if input.left.is_empty() { "default" } else { input.text()? };
        Ok(Self { status, fingerprint, workflow, tenant })
    }
}

/// The events of one commit, as one value.
pub(super) fn encode_events(events: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Writer(Vec::with_capacity(events.iter().map(|event| event.len() + 4).sum()));
    for event in events {
        out.bytes(event);
    }
    out.0
}

/// The events in such a value.
pub(super) fn decode_events(bytes: &[u8]) -> impl Iterator<Item = Result<&[u8], StoreError>> {
    let mut input = Reader { what: "the events of a run", left: bytes };
    std::iter::from_fn(move || if input.left.is_empty() { None } else { Some(input.bytes()) })
}

pub(super) fn encode_command(command: &Command) -> Vec<u8> {
    let mut out = Writer(Vec::with_capacity(32 + command.key.len() + command.body.len()));
    out.0.extend_from_slice(command.run.as_bytes());
    out.bytes(command.key.as_bytes());
    out.bytes(&command.body);
    out.0
}

pub(super) fn decode_command(bytes: &[u8]) -> Result<Command, StoreError> {
    let mut input = Reader { what: "a command of the inbox", left: bytes };
    Ok(Command {
        run: RunId::from_bytes(input.array()?),
        key: input.text()?.to_owned(),
        body: input.bytes()?.to_owned(),
    })
}

struct Writer(Vec<u8>);

impl Writer {
    fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn time(&mut self, time: Option<Timestamp>) {
        self.u64(time.map_or(NEVER, |time| time.0));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        // Lengths fit: every value is checked against its limit, megabytes, before it is laid out.
        self.0.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        self.0.extend_from_slice(bytes);
    }

    fn summary(&mut self, summary: &RunSummary) -> Result<(), StoreError> {
        self.0.push(status_byte(summary.status));
        self.u64(summary.created_at.0);
        self.u64(summary.updated_at.0);
        self.time(summary.finished_at);
        self.0.extend_from_slice(summary.definition.as_bytes());
        self.0.extend_from_slice(summary.fingerprint.as_bytes());
        self.bytes(summary.workflow.as_bytes());
        // An empty step and none are told apart by a byte before it.
        self.0.push(u8::from(summary.step.is_some()));
        self.bytes(summary.step.as_deref().unwrap_or_default().as_bytes());
        let error = match &summary.error {
            Some(error) => encode_named(error)?,
            None => Vec::new(),
        };
        self.bytes(&error);
        Ok(())
    }
}

/// A value of a type that may grow fields, as MessagePack with field names.
pub(super) fn encode_named<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, StoreError> {
    rmp_serde::to_vec_named(value)
        .map_err(|error| StoreError::Corrupt { what: "a value to store".into(), why: error.to_string() })
}

pub(super) fn decode_named<T: serde::de::DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, StoreError> {
    rmp_serde::from_slice(bytes).map_err(|error| StoreError::Corrupt { what: what.to_owned(), why: error.to_string() })
}

struct Reader<'a> {
    what: &'static str,
    left: &'a [u8],
}

impl<'a> Reader<'a> {
    fn corrupt(&self, why: String) -> StoreError {
        StoreError::Corrupt { what: self.what.to_owned(), why }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], StoreError> {
        match self.left.split_at_checked(length) {
            Some((taken, left)) => {
                self.left = left;
                Ok(taken)
            }
            None => Err(self.corrupt(format!("it ends {} bytes early", length - self.left.len()))),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let mut array = [0u8; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u8(&mut self) -> Result<u8, StoreError> {
        self.array().map(|[byte]| byte)
    }

    fn u64(&mut self) -> Result<u64, StoreError> {
        self.array().map(u64::from_le_bytes)
    }

    fn time(&mut self) -> Result<Option<Timestamp>, StoreError> {
        Ok(Some(self.u64()?).filter(|&at| at != NEVER).map(Timestamp))
    }

    fn bytes(&mut self) -> Result<&'a [u8], StoreError> {
        let length = self.array().map(u32::from_le_bytes)?;
        self.take(length as usize)
    }

    fn text(&mut self) -> Result<&'a str, StoreError> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map_err(|error| self.corrupt(error.to_string()))
    }

    fn digest(&mut self) -> Result<Sha256, StoreError> {
        self.array().map(Sha256::from_bytes)
    }

    fn status(&mut self) -> Result<RunStatus, StoreError> {
        let byte = self.u8()?;
        let known = RunStatus::ALL.iter().copied().find(|&status| status_byte(status) == byte);
        known.ok_or_else(|| self.corrupt(format!("no status has number {byte}")))
    }

    fn summary(&mut self) -> Result<RunSummary, StoreError> {
        let status = self.status()?;
        let (created_at, updated_at, finished_at) = (Timestamp(self.u64()?), Timestamp(self.u64()?), self.time()?);
        let (definition, fingerprint) = (self.digest()?, self.digest()?);
        let workflow = self.text()?.to_owned();
        let (has_step, step) = (self.u8()? != 0, self.text()?);
        let error = self.bytes()?;
        Ok(RunSummary {
            workflow,
            definition,
            status,
            created_at,
            updated_at,
            finished_at,
            fingerprint,
            step: has_step.then(|| step.to_owned()),
            error: if error.is_empty() { None } else { Some(decode_named("the error of a run", error)?) },
            spent: Money::ZERO,
            tenant: Tenant::default(),
            part: false,
        })
    }
}

/// The number of a status in the file. Numbers are never used again for another one.
fn status_byte(status: RunStatus) -> u8 {
    match status {
        RunStatus::Pending => 1,
        RunStatus::Running => 2,
        RunStatus::Waiting => 3,
        RunStatus::PendingRetry => 4,
        RunStatus::Paused => 5,
        RunStatus::Completed => 6,
        RunStatus::Failed => 7,
        RunStatus::Cancelled => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use darkroom_proto::{ErrorClass, StepError};

    #[test]
    fn a_record_reads_as_it_was_written_and_no_prefix_of_it_reads() {
        let summary = RunSummary {
            workflow: "product-shots".into(),
            definition: Sha256::of(b"d"),
            status: RunStatus::Failed,
            created_at: Timestamp(1),
            updated_at: Timestamp(2),
            finished_at: Some(Timestamp(3)),
            fingerprint: Sha256::of(b"f"),
            step: Some(String::new()),
            error: Some(StepError::new(ErrorClass::Timeout, "too slow").advice("wait")),
            spent: Money(40_000),
            tenant: "acme".parse().unwrap(),
            part: false,
        };
        let record = Record {
            version: 7,
            commit_id: u64::MAX,
            last_event: 9,
            due: None,
            summary: summary.clone(),
            head: b"head",
            outbox: b"",
        };
        let bytes = record.encode().unwrap();
        let read = Record::decode(&bytes).unwrap();
        assert_eq!((read.version, read.commit_id, read.last_event, read.due), (7, u64::MAX, 9, None));
        assert_eq!((read.summary, read.head, read.outbox), (summary.clone(), &b"head"[..], &b""[..]));
        for end in 0..bytes.len() {
            assert!(matches!(Record::decode(&bytes[..end]), Err(StoreError::Corrupt { .. })), "{end}");
        }
        // What earlier releases wrote: the same without the tenant, and before that without the cost, which stand before
        // the two byte strings at the end.
        let mut old = bytes.clone();
        let tenant = 4 + b"acme".len();
        let end = bytes.len() - (4 + b"head".len()) - 4;
        old[0] = 2;
        old.drain(end - tenant..end);
        let nobodys = RunSummary { tenant: Tenant::default(), ..summary.clone() };
        let read = Record::decode(&old).unwrap();
        assert_eq!((read.summary, read.head), (nobodys.clone(), &b"head"[..]));
        old[0] = 1;
        old.drain(end - tenant - 8..end - tenant);
        let read = Record::decode(&old).unwrap();
        assert_eq!((read.summary, read.head), (RunSummary { spent: Money::ZERO, ..nobodys }, &b"head"[..]));
        let entry = IndexEntry::of(&summary).encode();
        assert_eq!(IndexEntry::decode(&entry).unwrap(), IndexEntry::of(&summary));
    }
}
