//! Rescuing the outputs of a job: links expire, and what was paid must not be lost.

use super::Caller;
use crate::net::{FetchError, FetchLimits};
use crate::providers::Account;
use crate::workbench::Workbench;
use darkroom_backend::{Call, Ledger, Store};
use darkroom_proto::{ErrorClass, Kind, Map, Money, StepError, StepMessage, Succeeded};
use darkroom_provider::{Access, Made, Product, Source};
use secrecy::SecretString;
use serde_json::{Value, json};
use std::time::Duration as StdDuration;

/// How long a picture or a sound that a provider made may be.
const MADE_BYTES_MAX: u64 = 64 << 20;

/// How long a film may be.
const FILM_BYTES_MAX: u64 = 512 << 20;

/// How long fetching one file may take.
const FETCH_WITHIN: StdDuration = StdDuration::from_secs(120);

/// Why an output could not be rescued.
pub(super) enum Trouble {
    /// It may work later, perhaps with a fresh link.
    Passing(StepError),
    /// It is not what was paid for.
    Hard(StepError),
}

impl<S: Store + Ledger> Caller<S> {
    /// Copies what a job made into the artifact store, keeps what is told of the step beside it, and saves its primary output
    /// where it is to be saved.
    pub(super) async fn rescue(
        &self,
        message: &StepMessage,
        call: &Call,
        account: &Account,
        access: &Access,
        product: &Product,
    ) -> Result<Succeeded, Trouble> {
        let mut files = Vec::with_capacity(product.files.len());
        for made in &product.files {
            let (bytes, media_type) = self.bytes(account, access, made).await?;
            let wanted = wanted(made.output);
            if Kind::of_media_type(&media_type) != wanted {
                let text = format!("{} gave {media_type} where {} was wanted", call.provider, wanted.name());
                return Err(Trouble::Hard(
                    StepError::new(ErrorClass::ServerUnavailable, text)
                        .code("wrong_output")
                        .advice("the call is paid; resume the run to call it again, or take another model"),
                ));
            }
            files.push(Rescued { output: made.output, bytes, media_type });
        }
        let (values, facts) = (product.values.clone(), product.facts.clone());
        let cost = product.cost.unwrap_or(call.price);
        let (workbench, message, call) = (self.workbench.clone(), message.clone(), call.clone());
        // All of it in one visit to a thread that may wait for a disk.
        let kept = tokio::task::spawn_blocking(move || keep(&workbench, &message, &call, files, values, &facts, cost));
        kept.await.unwrap_or_else(|_| {
            Err(Trouble::Hard(StepError::new(ErrorClass::WorkflowError, "keeping the step was aborted")))
        })
    }

    async fn bytes(&self, account: &Account, access: &Access, made: &Made) -> Result<(Vec<u8>, String), Trouble> {
        let bytes_max = if wanted(made.output) == Kind::Video { FILM_BYTES_MAX } else { MADE_BYTES_MAX };
        match &made.source {
            Source::Bytes { bytes, media_type } => {
                let sniffed = crate::net::media_type(bytes).map(str::to_owned);
                Ok((bytes.clone(), sniffed.unwrap_or_else(|| media_type.clone())))
            }
            Source::Url { url, with_key } => {
                let secrets: Vec<(&'static str, SecretString)> = match with_key {
                    true => account.adapter.download_secrets(access),
                    false => Vec::new(),
                };
                let limits = FetchLimits { bytes_max, time_max: FETCH_WITHIN };
                match self.providers.net.fetch(url, &secrets, limits).await {
                    Ok(fetched) => Ok((fetched.bytes, fetched.media_type)),
                    Err(FetchError::Gone { status }) => {
                        let text = format!("the link to the output does not work any more (HTTP {status})");
                        Err(Trouble::Passing(StepError::new(ErrorClass::ServerUnavailable, text).code("link_expired")))
                    }
                    Err(FetchError::Passing(error)) => Err(Trouble::Passing(error)),
                    Err(FetchError::Refused(error)) => Err(Trouble::Hard(error)),
                }
            }
        }
    }
}

/// A file that was fetched and is not kept yet.
struct Rescued {
    output: &'static str,
    bytes: Vec<u8>,
    media_type: String,
}

/// Keeps the files of a step and what is told of it. Blocks.
fn keep(
    workbench: &Workbench,
    message: &StepMessage,
    call: &Call,
    files: Vec<Rescued>,
    values: Map,
    facts: &Map,
    cost: Money,
) -> Result<Succeeded, Trouble> {
    let mut outputs = Map::new();
    for Rescued { output, bytes, media_type } in files {
        match workbench.keep_made(message, bytes, &media_type) {
            Ok(artifact) => drop(outputs.insert(output.to_owned(), artifact.to_value())),
            Err(error) if error.class.retryable() => return Err(Trouble::Passing(error)),
            Err(error) => return Err(Trouble::Hard(error)),
        }
    }
    outputs.extend(values);
    pass_on(message, &mut outputs);
    sift(message, &mut outputs);
    check(message, &outputs).map_err(Trouble::Hard)?;
    let mut notes = told(message, call);
    let of_product = facts.get("notes").and_then(Value::as_array).into_iter().flatten();
    notes.extend(of_product.filter_map(|note| note.as_str().map(str::to_owned)));
    let origin = json!({
        "provider": call.provider,
        "endpoint": call.endpoint,
        "model": call.model,
        "call": call.id,
        "job": call.handle.as_ref().and_then(|handle| handle.get("id")),
        "cost": cost.usd(),
        "facts": facts,
    });
    let succeeded = Succeeded { outputs, saved: None, notes, cached: None };
    workbench.finish_called(message, succeeded, &origin).map_err(Trouble::Hard)
}

/// What people should know of how a call was made: what its route has no use for, and what it was asked otherwise than it
/// was given.
fn told(message: &StepMessage, call: &Call) -> Vec<String> {
    let Some(route) = super::choice::route_of(&call.model, &call.provider, &call.endpoint) else { return Vec::new() };
    let (params, files) =
        (super::inputs::canonical(&message.op, &message.params), super::inputs::files_without_bytes(message));
    let ask = darkroom_provider::Ask {
        op: &message.op,
        route,
        params: &params,
        files: &files,
        call: &call.id,
        webhook: None,
    };
    let Ok(mapped) = darkroom_provider::mapping::body(&ask) else { return Vec::new() };
    let ignored = mapped.ignored.iter().map(|name| format!("{} ignores `{name}`", call.provider));
    ignored.chain(mapped.notes.iter().map(|note| format!("{}: {note}", call.provider))).collect()
}

/// What kind of file an output is.
fn wanted(output: &str) -> Kind {
    match output {
        "video" => Kind::Video,
        "audio" => Kind::Audio,
        "image" => Kind::Image,
        _ => Kind::File,
    }
}

/// A picture that an op only looks at is passed on.
fn pass_on(message: &StepMessage, outputs: &mut Map) {
    let Some(op) = darkroom_proto::op::find(&message.op) else { return };
    if op.name == "image.detect"
        && !outputs.contains_key("image")
        && let Some(image) = message.params.get("image")
    {
        outputs.insert("image".to_owned(), image.clone());
    }
}

/// Leaves out what was found with less certainty, or beyond the number, that the step wants.
fn sift(message: &StepMessage, outputs: &mut Map) {
    let Some(boxes) = outputs.get("boxes").and_then(Value::as_array).cloned() else { return };
    let score = |at: usize| outputs.get("scores").and_then(|scores| scores.get(at)).and_then(Value::as_f64);
    let least = message.params.get("min-score").and_then(Value::as_f64).unwrap_or(0.0);
    let most = message.params.get("max").and_then(Value::as_u64).unwrap_or(5) as usize;
    let kept = (0..boxes.len()).filter(|at| score(*at).is_none_or(|score| score >= least)).take(most);
    let kept: Vec<usize> = kept.collect();
    for name in ["boxes", "labels", "scores"] {
        let Some(values) = outputs.get(name).and_then(Value::as_array) else { continue };
        let values: Vec<Value> = kept.iter().filter_map(|at| values.get(*at).cloned()).collect();
        outputs.insert(name.to_owned(), Value::Array(values));
    }
}

/// Whether everything is there that the op gives.
fn check(message: &StepMessage, outputs: &Map) -> Result<(), StepError> {
    let Some(op) = darkroom_proto::op::find(&message.op) else { return Ok(()) };
    if op.primary.is_empty() || outputs.contains_key(op.primary) {
        return detected(message, outputs);
    }
    Err(StepError::new(
        ErrorClass::ServerUnavailable,
        format!("the provider says that it is done and gives no {}", op.primary),
    )
    .code("no_output")
    .advice("the call is paid; resume the run to call it again, or take another model"))
}

/// A detection that found nothing is an error unless the step allows it.
fn detected(message: &StepMessage, outputs: &Map) -> Result<(), StepError> {
    let found_nothing = outputs.get("boxes").and_then(Value::as_array).is_some_and(Vec::is_empty);
    let allows = message.params.get("allow-empty").and_then(Value::as_bool).unwrap_or(false);
    if !found_nothing || allows {
        return Ok(());
    }
    let target = message.params.get("target").and_then(Value::as_str).unwrap_or("object");
    Err(StepError::new(ErrorClass::InvalidInput, format!("no {target} was found in the picture"))
        .code("nothing_found")
        .advice("use a picture in which it stands out, or set `allow-empty: true` and an `if` on what follows"))
}
