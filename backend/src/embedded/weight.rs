//! How long a message would be on a broker.

use crate::{Publication, ShardMessage};
use darkroom_proto::{Map, Outcome, Report, StepMessage};
use serde_json::Value;
use std::io::Write;

/// What a message takes beside its maps: names of fields, ids and times, with room.
const FIXED: u64 = 1 << 10;

/// The length of a message. Exact where it may be over `bytes_max`; else a bound that is quick to find, because nearly
/// all messages are far below their limit and are never encoded here.
pub(super) fn of(publication: &Publication, bytes_max: u64) -> u64 {
    match publication {
        Publication::Step { message, .. } => {
            let bound = bound_of_step(message);
            if bound > bytes_max { exact(message) } else { bound }
        }
        Publication::Shard { message: ShardMessage::Reports(reports), .. } => {
            let bound = reports.iter().map(bound_of_report).sum();
            if bound > bytes_max { exact(reports) } else { bound }
        }
        Publication::Task { message, .. } => FIXED + bound_of_map(&message.with),
        Publication::Shard { message: ShardMessage::Task(report), .. } => exact(report),
        Publication::Shard { message: ShardMessage::Start(_) | ShardMessage::Nudge { .. }, .. } => FIXED,
    }
}

fn bound_of_step(message: &StepMessage) -> u64 {
    let texts = message.path.as_str().len() + message.op.len() + message.provenance.workflow.len();
    let save = message.save.as_ref().map_or(0, |save| save.path.len() + save.out.as_ref().map_or(0, String::len));
    let ticket = message
        .ticket
        .as_ref()
        .map_or(0, |ticket| (ticket.provider.len() + ticket.endpoint.len()) as u64 + bound_of_value(&ticket.handle));
    FIXED + (texts + save) as u64 + ticket + bound_of_map(&message.params)
}

/// At most so long is a report in a message; quick to find.
pub fn bound_of_report(report: &Report) -> u64 {
    let outcome = match &report.outcome {
        Outcome::Succeeded(done) => {
            let saved = done.saved.as_ref().map_or(0, |saved| saved.path.len() + saved.artifact.name.len());
            let notes: usize = done.notes.iter().map(|note| note.len() + 5).sum();
            (saved + notes) as u64 + bound_of_map(&done.outputs)
        }
        Outcome::Failed(error) => (error.code.len() + error.message.len() + error.advice.len()) as u64,
        Outcome::Waiting(waiting) => waiting.reason.len() as u64,
        Outcome::Working(working) => working.note.len() as u64,
    };
    FIXED + report.path.as_str().len() as u64 + outcome
}

fn bound_of_map(map: &Map) -> u64 {
    map.iter().map(|(name, value)| 5 + name.len() as u64 + bound_of_value(value)).sum::<u64>() + 5
}

fn bound_of_value(value: &Value) -> u64 {
    match value {
        Value::Null | Value::Bool(_) => 1,
        Value::Number(_) => 9,
        Value::String(text) => 5 + text.len() as u64,
        Value::Array(items) => items.iter().map(bound_of_value).sum::<u64>() + 5,
        Value::Object(map) => bound_of_map(map),
    }
}

/// A sink that counts.
struct Count(u64);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What can't be encoded can't be sent: it is longer than any limit.
fn exact<T: serde::Serialize + ?Sized>(message: &T) -> u64 {
    let mut count = Count(0);
    match message.serialize(&mut rmp_serde::Serializer::new(&mut count).with_struct_map()) {
        Ok(()) => count.0,
        Err(_) => u64::MAX,
    }
}
