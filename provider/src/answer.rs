//! What is read the same way out of the answers of many providers.

use crate::adapter::{Access, Adapter, Ask, Failure, Made, Polled, Product, Source, Submitted};
use crate::classify;
use crate::http::{Response, is_id};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use darkroom_proto::{BoxPx, Duration, ErrorClass, Map, StepError, Timestamp};
use serde_json::{Value, json};

/// The output of an op that is a file.
pub(crate) fn output_of(op: &str) -> &'static str {
    match op {
        "video.generate" => "video",
        "audio.speech" => "audio",
        _ => "image",
    }
}

/// What a submission that did not go well came to: whether the provider has the job after all.
///
/// A gateway that gave up waiting (502, 504, 52x, 408) does not know; whatever else says no means no.
pub(crate) fn refused(adapter: &dyn Adapter, response: &Response) -> Submitted {
    let error = adapter.classify(response);
    match response.status {
        400..=407 | 409..=498 | 500 | 501 | 503 => Submitted::Refused(Failure::unbilled(error)),
        _ => Submitted::Unclear(error),
    }
}

/// An answer that says that it went well and can't be read: the provider has the job, most likely.
pub(crate) fn unreadable(provider: &str) -> Submitted {
    Submitted::Unclear(classify::malformed(provider, "the answer to the submission can't be read"))
}

/// A file at a URL, or in it where it is a data URI.
pub(crate) fn at(output: &'static str, url: &str) -> Option<Made> {
    let source = match url.strip_prefix("data:") {
        Some(rest) => {
            let (kind, data) = rest.split_once(',')?;
            let media_type = kind.strip_suffix(";base64")?.to_owned();
            Source::Bytes { bytes: STANDARD.decode(data).ok()?, media_type }
        }
        None if url.starts_with("https://") || url.starts_with("http://") => {
            Source::Url { url: url.to_owned(), with_key: false }
        }
        None => return None,
    };
    Some(Made { output, source })
}

/// A file that came as base64.
pub(crate) fn inline(output: &'static str, data: &str, media_type: &str) -> Option<Made> {
    let bytes = STANDARD.decode(data).ok().filter(|bytes| !bytes.is_empty())?;
    Some(Made { output, source: Source::Bytes { bytes, media_type: media_type.to_owned() } })
}

/// Every URL in a value, in order: a string, a list, or an object to walk.
pub(crate) fn urls(value: &Value) -> Vec<&str> {
    fn walk<'a>(value: &'a Value, depth: u32, found: &mut Vec<&'a str>) {
        match value {
            Value::String(text) if ["https://", "http://", "data:"].iter().any(|start| text.starts_with(start)) => {
                found.push(text);
            }
            Value::Array(items) if depth > 0 => items.iter().for_each(|item| walk(item, depth - 1, found)),
            Value::Object(fields) if depth > 0 => fields.values().for_each(|item| walk(item, depth - 1, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(value, 4, &mut found);
    found
}

/// A thing that was found in a picture, in pixels of it, before it is cut to the picture.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) w: f64,
    pub(crate) h: f64,
    pub(crate) label: String,
    /// How certain it is; 1 where the provider does not tell.
    pub(crate) score: f64,
}

/// The outputs of `image.detect`: cut to the picture, without what is outside of it, the most certain first.
pub(crate) fn boxes(mut seen: Vec<Seen>, size: Option<(u32, u32)>) -> Map {
    seen.sort_by(|one, other| other.score.total_cmp(&one.score));
    let (width, height) = size.unwrap_or((u32::MAX, u32::MAX));
    let mut outputs = (Vec::new(), Vec::new(), Vec::new());
    for one in seen {
        let cut = |from: f64, length: f64, side: u32| {
            let start = from.clamp(0.0, f64::from(side));
            let end = (from + length).clamp(0.0, f64::from(side));
            (start.round() as u32, (end.round() - start.round()).max(0.0) as u32)
        };
        let ((x, w), (y, h)) = (cut(one.x, one.w, width), cut(one.y, one.h, height));
        if w > 0 && h > 0 {
            outputs.0.push(json!(BoxPx { x, y, w, h }));
            outputs.1.push(Value::from(one.label));
            outputs.2.push(json!(one.score));
        }
    }
    let (boxes, labels, scores) = outputs;
    Map::from_iter([
        ("boxes".to_owned(), boxes.into()),
        ("labels".to_owned(), labels.into()),
        ("scores".to_owned(), scores.into()),
    ])
}

/// A product, or the failure of a job that made nothing although it ended well and is charged.
pub(crate) fn made(provider: &str, product: Product) -> Result<Product, Failure> {
    if product.files.is_empty() && product.values.is_empty() {
        return Err(Failure::billed(classify::no_media(provider, "")));
    }
    Ok(product)
}

/// The failure of a job whose result the provider's safety rules blackened: it is charged all the same.
pub(crate) fn censored(provider: &str, said: &str) -> Failure {
    Failure::billed(classify::failed(provider, ErrorClass::ContentRejected, said))
}

/// A picture's size as it is kept in a handle, and back.
pub(crate) fn size_in(handle: &Value) -> Option<(u32, u32)> {
    let side = |at| handle.get("size")?.get(at)?.as_u64().and_then(|side| u32::try_from(side).ok());
    side(0).zip(side(1))
}

/// A field of a handle that is text.
pub(crate) fn text_in<'a>(handle: &'a Value, name: &str) -> Option<&'a str> {
    handle.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// How long after its submission a job may be unknown to the part of a provider that is asked about it.
const KNOWN_WITHIN: Duration = Duration::from_secs(10);

/// What every handle holds: the job's id, the op and when it was handed in.
pub(crate) fn handle(access: &Access, ask: &Ask<'_>, id: String) -> Map {
    Map::from_iter([
        ("id".to_owned(), id.into()),
        ("op".to_owned(), ask.op.into()),
        ("at".to_owned(), access.now.0.into()),
    ])
}

/// The id of the job in a handle.
///
/// # Errors
/// When the handle is none of this provider's.
pub(crate) fn id_of(provider: &str, handle: &Value) -> Result<String, StepError> {
    id_in(handle, "id").ok_or_else(|| classify::bad_handle(provider))
}

/// Whether a job is so new that the provider may not know it yet.
pub(crate) fn is_new(access: &Access, handle: &Value) -> bool {
    let at = handle.get("at").and_then(Value::as_u64).unwrap_or_default();
    access.now.since(Timestamp(at)) <= KNOWN_WITHIN
}

/// An id that may stand in a path, given as text or as a number.
pub(crate) fn id_in(value: &Value, name: &str) -> Option<String> {
    let id = match value.get(name)? {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    is_id(&id).then_some(id)
}

/// The failure of a job that the provider had taken, where its documentation does not tell who pays: its own failures cost
/// nothing; what its safety rules refused was worked on, and counts as paid, so that a budget is rather used up too early.
pub(crate) fn failed(provider: &str, class: ErrorClass, said: &str) -> Failure {
    Failure { error: classify::failed(provider, class, said), billed: class == ErrorClass::ContentRejected }
}

/// What a state means that no documentation lists: a failure if it sounds like one, else that the job goes on.
pub(crate) fn unknown_state(provider: &str, state: &str, progress: Option<f64>) -> Polled {
    const ENDS: &[&str] = &["fail", "error", "moderat", "reject", "cancel", "abort", "expire", "not found"];
    let lower = state.to_lowercase();
    if !ENDS.iter().any(|end| lower.contains(end)) {
        return Polled::Pending { progress };
    }
    let class = classify::by_words(&lower).unwrap_or(ErrorClass::ServerUnavailable);
    Polled::Failed(failed(provider, class, &format!("the job is {state}")))
}

/// A job that the provider has no trace of, although it had taken it: it is paid, for nothing says that it is not.
pub(crate) fn gone(provider: &str) -> Failure {
    let error = classify::failed(provider, ErrorClass::ServerUnavailable, "the job is not there any more");
    Failure::billed(error.code("job_gone"))
}

/// The sides at which a model of about a million pixels works on a picture: its proportion, in multiples of 16.
pub(crate) fn fitted((width, height): (u32, u32)) -> (u32, u32) {
    const PIXELS: f64 = 1_048_576.0;
    let (width, height) = (f64::from(width.max(1)), f64::from(height.max(1)));
    let scale = (PIXELS / (width * height)).sqrt().min(1.0);
    let round = |side: f64| ((side * scale / 16.0).round() * 16.0).clamp(64.0, 4_096.0) as u32;
    (round(width), round(height))
}

/// Whether a server of one's own says that its graphics card is full.
pub(crate) fn is_out_of_memory(said: &str) -> bool {
    let said = said.to_lowercase();
    ["outofmemory", "out of memory", "allocation on device"].iter().any(|words| said.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_nobody_knows_ends_a_job_only_if_it_sounds_like_a_failure() {
        let cases = [
            ("warming up", None),
            ("Done-ish", None),
            ("FAILED_HARD", Some((ErrorClass::ServerUnavailable, false))),
            ("expired", Some((ErrorClass::ServerUnavailable, false))),
            ("output moderated", Some((ErrorClass::ContentRejected, true))),
        ];
        for (state, want) in cases {
            let found = match unknown_state("x", state, None) {
                Polled::Failed(failure) => {
                    assert!(failure.error.message.contains(state), "{}", failure.error.message);
                    Some((failure.error.class, failure.billed))
                }
                Polled::Pending { .. } => None,
                other => panic!("{other:?}"),
            };
            assert_eq!(found, want, "{state}");
        }
    }

    #[test]
    fn an_id_is_text_or_a_number_that_leads_nowhere_else() {
        let cases = [
            (json!("a-1_b.c"), Some("a-1_b.c")),
            (json!(106_916_112_212_032_i64), Some("106916112212032")),
            (json!("a/b"), None),
            (json!(".."), None),
            (json!("a?b"), None),
            (json!(""), None),
            (json!(null), None),
        ];
        for (id, want) in cases {
            assert_eq!(id_in(&json!({"id": id}), "id").as_deref(), want, "{id}");
        }
    }

    #[test]
    fn a_picture_is_worked_on_in_its_proportion() {
        let cases = [
            ((640, 480), (640, 480)),
            ((4_000, 3_000), (1_184, 880)),
            ((1, 1), (64, 64)),
            ((8_000, 8_000), (1_024, 1_024)),
            ((0, 0), (64, 64)),
        ];
        for (size, want) in cases {
            assert_eq!(fitted(size), want, "{size:?}");
        }
    }
}
