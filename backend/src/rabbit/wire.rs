//! How messages are written on a broker and read again.
//!
//! Bodies are MessagePack with field names, so that fields can be added; what workers of tasks read and write is JSON.

use crate::{Publication, QueueError, ShardMessage};
use darkroom_proto::{Report, RunId, Sha256, Start, StepMessage, TASK_VERSION, TaskReport, WIRE_VERSION};
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable};
use serde::{Deserialize, Serialize};

/// The longest body that travels in a message.
pub(super) const INLINE_BYTES_MAX: u64 = 256 << 10;
/// From here on a body is put into the artifact store and travels by reference, if there is such a store: brokers move
/// small messages well and large ones badly.
pub(super) const REFERENCE_BYTES_MIN: u64 = 64 << 10;
/// The longest body that travels by reference.
pub(super) const REFERENCE_BYTES_MAX: u64 = 64 << 20;

pub(super) const CONTENT_TYPE: &str = "application/msgpack";
const JSON: &str = "application/json";

const VERSION: &str = "dr-v";
const REFERENCE: &str = "dr-ref";
const REFERENCE_BYTES: &str = "dr-ref-bytes";
const TRACE: &str = "traceparent";
const CAUSE: &str = "dr-cause";
const QUEUE: &str = "dr-queue";
const MESSAGE_ID: &str = "dr-message-id";
pub(super) const ROUTING_KEY: &str = "dr-routing-key";

/// Set by quorum queues on what comes again.
const DELIVERY_COUNT: &str = "x-delivery-count";

const PERSISTENT: u8 = 2;

/// What is said to the owner of a shard.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Said<'a> {
    Start(&'a Start),
    Reports(&'a [Report]),
    Nudge { run: RunId },
}

/// The same, as it is read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Heard {
    Start(Start),
    Reports(Vec<Report>),
    Nudge { run: RunId },
}

/// What is read from a broker.
pub(super) trait Wire: Sized + Send + 'static {
    fn decode(body: &[u8]) -> Result<Self, rmp_serde::decode::Error>;

    /// Reads what workers of tasks write. None where they write nothing.
    fn decode_json(_body: &[u8]) -> Option<Result<Self, Cause>> {
        None
    }
}

impl Wire for StepMessage {
    fn decode(body: &[u8]) -> Result<Self, rmp_serde::decode::Error> {
        rmp_serde::from_slice(body)
    }
}

impl Wire for ShardMessage {
    fn decode(body: &[u8]) -> Result<Self, rmp_serde::decode::Error> {
        rmp_serde::from_slice(body).map(|heard| match heard {
            Heard::Start(start) => ShardMessage::Start(start),
            Heard::Reports(reports) => ShardMessage::Reports(reports),
            Heard::Nudge { run } => ShardMessage::Nudge { run },
        })
    }

    fn decode_json(body: &[u8]) -> Option<Result<Self, Cause>> {
        let read = || {
            let report: TaskReport =
                serde_json::from_slice(body).map_err(|error| Cause::Malformed(error.to_string()))?;
            if report.v != TASK_VERSION {
                return Err(Cause::Version(report.v.into()));
            }
            match report.run() {
                Some(_) => Ok(ShardMessage::Task(report)),
                None => Err(Cause::Malformed("`token` is none of a task's message".into())),
            }
        };
        Some(read())
    }
}

/// The body of a message.
pub(super) fn encode(publication: &Publication) -> Result<Vec<u8>, QueueError> {
    let unencodable =
        |error: &dyn std::fmt::Display| QueueError::Unavailable(format!("a message can't be encoded: {error}"));
    let encoded = match publication {
        Publication::Task { message, .. } => {
            return serde_json::to_vec(message).map_err(|error| unencodable(&error));
        }
        Publication::Step { message, .. } => rmp_serde::to_vec_named(message),
        Publication::Shard { message, .. } => match message {
            ShardMessage::Start(start) => rmp_serde::to_vec_named(&Said::Start(start)),
            ShardMessage::Reports(reports) => rmp_serde::to_vec_named(&Said::Reports(reports)),
            ShardMessage::Nudge { run } => rmp_serde::to_vec_named(&Said::Nudge { run: *run }),
            ShardMessage::Task(report) => {
                return serde_json::to_vec(report).map_err(|error| unencodable(&error));
            }
        },
    };
    encoded.map_err(|error| unencodable(&error))
}

/// How the body of a message is written.
pub(super) fn content_type(publication: &Publication) -> &'static str {
    match publication {
        Publication::Task { .. } | Publication::Shard { message: ShardMessage::Task(_), .. } => JSON,
        Publication::Step { .. } | Publication::Shard { .. } => CONTENT_TYPE,
    }
}

/// A body that is kept in the artifact store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) sha256: Sha256,
    pub(super) bytes: u64,
}

/// What goes with a body.
pub(super) fn properties(
    id: &str,
    content_type: &'static str,
    trace: Option<String>,
    reference: Option<Reference>,
) -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.insert(VERSION.into(), AMQPValue::LongInt(WIRE_VERSION.into()));
    if let Some(trace) = trace {
        headers.insert(TRACE.into(), AMQPValue::LongString(trace.into()));
    }
    if let Some(Reference { sha256, bytes }) = reference {
        headers.insert(REFERENCE.into(), AMQPValue::LongString(sha256.to_string().into()));
        headers.insert(REFERENCE_BYTES.into(), AMQPValue::LongLongInt(bytes as i64));
    }
    BasicProperties::default()
        .with_content_type(content_type.into())
        .with_delivery_mode(PERSISTENT)
        .with_message_id(id.into())
        .with_headers(headers)
}

/// What goes with a body that is put with the dead: what it had, and why it is there.
///
/// Not everything that it had: with its `expiration` it would vanish there too, and the broker lets nobody send under the
/// `user_id` of somebody else.
pub(super) fn properties_of_dead(was: &BasicProperties, queue: &str, cause: &str) -> BasicProperties {
    let mut headers = was.headers().clone().unwrap_or_default();
    headers.insert(CAUSE.into(), AMQPValue::LongString(cause.into()));
    headers.insert(QUEUE.into(), AMQPValue::LongString(queue.into()));
    if let Some(id) = was.message_id() {
        headers.insert(MESSAGE_ID.into(), AMQPValue::LongString(id.as_str().into()));
    }
    let mut properties = BasicProperties::default().with_delivery_mode(PERSISTENT).with_headers(headers);
    if let Some(content_type) = was.content_type() {
        properties = properties.with_content_type(content_type.clone());
    }
    if let Some(content_encoding) = was.content_encoding() {
        properties = properties.with_content_encoding(content_encoding.clone());
    }
    if let Some(correlation) = was.correlation_id() {
        properties = properties.with_correlation_id(correlation.clone());
    }
    if let Some(reply_to) = was.reply_to() {
        properties = properties.with_reply_to(reply_to.clone());
    }
    properties
}

/// The W3C trace context of a message: all of a run is one trace, and each attempt of a step a span that can be told
/// from its path.
pub(super) fn trace(publication: &Publication) -> Option<String> {
    let (run, span) = match publication {
        Publication::Step { message, .. } => (message.run, attempt(&message.path, message.generation, message.attempt)),
        Publication::Task { message, .. } => (message.run, attempt(&message.step, message.generation, message.attempt)),
        Publication::Shard { message, .. } => match message {
            ShardMessage::Task(report) => (report.run()?, report.token.clone()),
            ShardMessage::Start(start) => (start.run, "start".to_owned()),
            ShardMessage::Nudge { run } => (*run, "nudge".to_owned()),
            ShardMessage::Reports(reports) => {
                let first = reports.first()?;
                (first.run, attempt(&first.path, first.generation, first.attempt))
            }
        },
    };
    let span = Sha256::of(span.as_bytes()).short(16);
    let run = run.to_string();
    let run = run.trim_start_matches("run_");
    Some(format!("00-{run}-{span}-01"))
}

fn attempt(path: &darkroom_proto::StepPath, generation: u32, attempt: u32) -> String {
    format!("{path}@{generation}#{attempt}")
}

/// Why a message can't be read. Reading it again would give the same, so it goes to the dead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Cause {
    #[error("too large: {0} bytes, over the limit of {INLINE_BYTES_MAX}")]
    TooLarge(u64),
    #[error("no version: header dr-v is missing or no number")]
    NoVersion,
    #[error("unknown version {0}: this release reads up to {WIRE_VERSION}")]
    Version(i64),
    #[error("content type is not application/msgpack: {0:?}")]
    ContentType(String),
    #[error("only reports of tasks, as application/json, are taken from this exchange")]
    NotATask,
    #[error("reference is malformed")]
    Reference,
    #[error("malformed: {0}")]
    Malformed(String),
}

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    MessagePack,
    /// As workers of tasks write.
    Json,
}

/// Where the body of a message is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Body {
    Here(Written),
    Elsewhere(Reference),
}

/// Reads everything of a message but its body. Only JSON comes by the exchange `tasks_report`.
pub(super) fn look(delivery: &Delivery, tasks_report: &str) -> Result<Body, Cause> {
    let bytes = delivery.data.len() as u64;
    if bytes > INLINE_BYTES_MAX {
        return Err(Cause::TooLarge(bytes));
    }
    let content_type = delivery.properties.content_type().as_ref().map(|content_type| content_type.as_str());
    match content_type.map(|content_type| content_type.split(';').next().unwrap_or_default().trim()) {
        // Its version stands in it.
        Some(JSON) => return Ok(Body::Here(Written::Json)),
        _ if delivery.exchange.as_str() == tasks_report => return Err(Cause::NotATask),
        _ => {}
    }
    let version = number(&delivery.properties, VERSION).ok_or(Cause::NoVersion)?;
    let newest = i64::from(WIRE_VERSION);
    if !(newest - 1..=newest).contains(&version) || version < 1 {
        return Err(Cause::Version(version));
    }
    match delivery.properties.content_type() {
        Some(content_type) if content_type.as_str() == CONTENT_TYPE => {}
        other => return Err(Cause::ContentType(other.clone().map(String::from).unwrap_or_default())),
    }
    match header(&delivery.properties, REFERENCE) {
        None => Ok(Body::Here(Written::MessagePack)),
        Some(AMQPValue::LongString(digest)) => {
            let digest = std::str::from_utf8(digest.as_bytes()).ok().and_then(|text| text.parse().ok());
            let bytes = number(&delivery.properties, REFERENCE_BYTES).and_then(|bytes| u64::try_from(bytes).ok());
            match (digest, bytes) {
                (Some(sha256), Some(bytes)) if bytes <= REFERENCE_BYTES_MAX => {
                    Ok(Body::Elsewhere(Reference { sha256, bytes }))
                }
                _ => Err(Cause::Reference),
            }
        }
        Some(_) => Err(Cause::Reference),
    }
}

/// Reads a body.
pub(super) fn decode<M: Wire>(body: &[u8]) -> Result<M, Cause> {
    M::decode(body).map_err(|error| Cause::Malformed(error.to_string()))
}

/// Reads a body that is written in one of the two ways.
pub(super) fn decode_as<M: Wire>(written: Written, body: &[u8]) -> Result<M, Cause> {
    match written {
        Written::MessagePack => decode(body),
        Written::Json => M::decode_json(body).unwrap_or_else(|| Err(Cause::ContentType(JSON.into()))),
    }
}

/// How often a message came back before.
pub(super) fn delivery_count(properties: &BasicProperties) -> u32 {
    number(properties, DELIVERY_COUNT).and_then(|count| u32::try_from(count).ok()).unwrap_or(0)
}

fn header<'a>(properties: &'a BasicProperties, name: &str) -> Option<&'a AMQPValue> {
    properties.headers().as_ref()?.inner().get(name)
}

/// A header that is a whole number, of whatever width the sender's library chose.
fn number(properties: &BasicProperties, name: &str) -> Option<i64> {
    match header(properties, name)? {
        AMQPValue::ShortShortInt(value) => Some((*value).into()),
        AMQPValue::ShortShortUInt(value) => Some((*value).into()),
        AMQPValue::ShortInt(value) => Some((*value).into()),
        AMQPValue::ShortUInt(value) => Some((*value).into()),
        AMQPValue::LongInt(value) => Some((*value).into()),
        AMQPValue::LongUInt(value) => Some((*value).into()),
        AMQPValue::LongLongInt(value) => Some(*value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Lane, Shard};
    use darkroom_proto::{
        Artifact, Duration, ErrorClass, Map, Outcome, Provenance, SaveTarget, Saved, StepCost, StepError, StepPath,
        Succeeded, TaskMessage,
    };
    use std::path::PathBuf;

    fn step() -> StepMessage {
        let mut params = Map::new();
        params.insert("data".into(), serde_json::json!({"number": 7, "text": "ü", "ratio": 0.5, "none": null}));
        StepMessage {
            run: RunId::from_bytes([3; 16]),
            path: StepPath::top("branded").instance(3),
            generation: 2,
            attempt: 1,
            op: "resize".into(),
            params,
            timeout: Duration::from_secs(60),
            save: Some(SaveTarget { path: "small/a.jpg".into(), out: Some("/photos".into()) }),
            provenance: Provenance { workflow: "product-shots".into(), definition: Sha256::of(b"definition") },
            budget: None,
            ticket: None,
            deferred_since: None,
            epoch: None,
            cache: None,
        }
    }

    fn reports() -> Vec<Report> {
        let artifact = Artifact {
            sha256: Sha256::of(b"picture"),
            media_type: "image/jpeg".into(),
            bytes: 7,
            width: Some(640),
            height: Some(480),
            duration: None,
            name: "a.jpg".into(),
        };
        let mut outputs = Map::new();
        outputs.insert("count".into(), 3.into());
        let succeeded = Succeeded {
            outputs,
            saved: Some(Saved { path: "small/a.jpg".into(), artifact }),
            notes: vec!["quality was ignored".into()],
            cached: None,
        };
        let failed = StepError::new(ErrorClass::InvalidInput, "no picture").code("not_a_picture").advice("use one");
        let report = |attempt, outcome| Report {
            run: RunId::from_bytes([3; 16]),
            path: StepPath::top("branded"),
            generation: 2,
            attempt,
            outcome,
            cost: StepCost::default(),
        };
        vec![report(1, Outcome::Failed(failed)), report(2, Outcome::Succeeded(succeeded))]
    }

    fn to_shard(message: ShardMessage) -> Publication {
        Publication::Shard { shard: Shard(3), message }
    }

    fn to_pool(message: StepMessage) -> Publication {
        Publication::Step { pool: "image".into(), lane: Lane::First, delay: None, message: Box::new(message) }
    }

    /// Each kind of message has a file that earlier and later releases must read too. `UPDATE_GOLDEN=1` writes them
    /// anew; that is right only together with a new version.
    fn golden(name: &str, encoded: &[u8]) -> Vec<u8> {
        let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/wire/v1"));
        let path = folder.join(format!("{name}.msgpack"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, encoded).unwrap();
        }
        std::fs::read(&path).unwrap()
    }

    #[test]
    fn steps_are_written_and_read_as_before() {
        let encoded = encode(&to_pool(step())).unwrap();
        let golden = golden("step", &encoded);
        assert_eq!(decode::<StepMessage>(&golden), Ok(step()));
        assert_eq!(encoded, golden);
    }

    #[test]
    fn messages_of_shards_are_written_and_read_as_before() {
        let run = RunId::from_bytes([3; 16]);
        let cases = [
            ("start", ShardMessage::Start(Start { run })),
            ("reports", ShardMessage::Reports(reports())),
            ("nudge", ShardMessage::Nudge { run }),
        ];
        for (name, message) in cases {
            let encoded = encode(&to_shard(message.clone())).unwrap();
            let golden = golden(name, &encoded);
            assert_eq!(decode::<ShardMessage>(&golden), Ok(message), "{name}");
            assert_eq!(encoded, golden, "{name}");
        }
    }

    #[test]
    fn what_workers_of_tasks_are_sent_is_json_as_before() {
        let tenant = darkroom_proto::Tenant::default();
        let mut task = TaskMessage::of(&StepMessage { op: "task.resize-3d".into(), ..step() }, &tenant).unwrap();
        task.token = "default~run_1/a@1.1~9~sig".into();
        let encoded = encode(&Publication::Task { delay: None, message: Box::new(task.clone()) }).unwrap();
        let written: serde_json::Value = serde_json::from_slice(&encoded).unwrap();
        let want = serde_json::json!({
            "v": 1,
            "task": "resize-3d",
            "run": "run_03030303030303030303030303030303",
            "step": "branded[3]",
            "generation": 2,
            "attempt": 1,
            "workflow": "product-shots",
            "tenant": "default",
            "idempotency_key": "run_03030303030303030303030303030303/branded[3]@2",
            "timeout_seconds": 60.0,
            "with": {"data": {"number": 7, "text": "ü", "ratio": 0.5, "none": null}},
            "upload": "",
            "token": "default~run_1/a@1.1~9~sig",
            "report_to": {"exchange": "", "routing_key": ""},
        });
        assert_eq!(written, want);
        assert!(TaskMessage::of(&step(), &tenant).is_none(), "another op is no task");
    }

    #[test]
    fn json_is_a_report_of_a_task_or_is_buried() {
        let run = RunId::from_bytes([3; 16]);
        let report = |v: u8, token: &str| {
            let report = serde_json::json!({"v": v, "token": token, "outcome": "working", "later": {"more": 1}});
            decode_as::<ShardMessage>(Written::Json, report.to_string().as_bytes())
        };
        let token = format!("default~{run}/a@1.1~9~sig");
        assert!(matches!(report(1, &token), Ok(ShardMessage::Task(report)) if report.run() == Some(run)));
        assert_eq!(report(2, &token), Err(Cause::Version(2)));
        assert!(matches!(report(1, "nobody's"), Err(Cause::Malformed(_))));
        for body in [&b""[..], b"{", b"[1]", b"\xff", br#"{"v": 1, "token": 7}"#] {
            assert!(matches!(decode_as::<ShardMessage>(Written::Json, body), Err(Cause::Malformed(_))), "{body:?}");
        }
        assert!(decode_as::<StepMessage>(Written::Json, b"{}").is_err(), "workers of ours read no JSON");
    }

    #[test]
    fn an_unknown_field_is_passed_over() {
        #[derive(Serialize)]
        struct Newer {
            run: RunId,
            priority: u8,
        }
        let run = RunId::from_bytes([3; 16]);
        let body = rmp_serde::to_vec_named(&std::collections::BTreeMap::from([("start", Newer { run, priority: 3 })]));
        assert_eq!(decode(&body.unwrap()), Ok(ShardMessage::Start(Start { run })));
    }

    #[test]
    fn what_is_cut_or_changed_anywhere_is_an_error_and_no_panic() {
        let whole = encode(&to_pool(step())).unwrap();
        for length in 0..whole.len() {
            assert!(matches!(decode::<StepMessage>(&whole[..length]), Err(Cause::Malformed(_))), "{length} bytes");
        }
        for position in 0..whole.len() {
            for bit in 0..8 {
                let mut changed = whole.clone();
                changed[position] ^= 1 << bit;
                // What it gives is not the point: text may be changed without anybody being able to tell.
                let _either = decode::<StepMessage>(&changed);
            }
        }
    }

    #[test]
    fn a_trace_names_the_run_and_tells_attempts_apart() {
        let first = trace(&to_pool(step())).unwrap();
        assert!(first.starts_with("00-03030303030303030303030303030303-") && first.ends_with("-01"), "{first}");
        assert_eq!(first.len(), 55);
        assert_ne!(trace(&to_pool(StepMessage { attempt: 2, ..step() })), Some(first));
        assert_eq!(trace(&to_shard(ShardMessage::Reports(Vec::new()))), None);
    }
}
