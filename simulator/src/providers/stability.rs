//! Stability AI: forms that are answered with the picture, as bytes or as JSON; the creative upscale is asked about later.
//!
//! A picture that the filter stops is one to Stability: it is said to be filtered, and costs. Source: the documentation of
//! Stability AI.

use crate::answer::{Answer, Reply};
use crate::asked::{Asked, to_base64};
use crate::form::Form;
use crate::job::{Job, Order, Phase, Verdict};
use crate::lane::Limits;
use crate::media::{Change, Recipe, Source};
use crate::options::Kind;
use crate::provider::{Class, Provider, Refusal, Route};
use crate::studio::{Studio, aspect, seed};
use crate::world::{World, new_id};
use darkroom_proto::{Duration, Timestamp};
use darkroom_worker::media::Format;
use serde_json::json;
use std::sync::Arc;

/// What is answered later.
const CREATIVE: &str = "stable-image/upscale/creative";

/// What is offered, behind `v2beta/`.
const ENDPOINTS: &[&str] = &[
    "stable-image/generate/core",
    "stable-image/generate/ultra",
    "stable-image/generate/sd3",
    "stable-image/edit/remove-background",
    "stable-image/upscale/fast",
    "stable-image/upscale/conservative",
    CREATIVE,
];

/// The longest prompt, in characters.
const PROMPT_MAX: usize = 10_000;

/// The longest picture, in bytes.
const PICTURE_MAX: usize = 10 << 20;

pub(super) struct Stability;

impl Provider for Stability {
    fn name(&self) -> &'static str {
        "stability"
    }

    fn route(&self, asked: &Asked) -> Option<Route> {
        let rest = asked.path.strip_prefix("v2beta/")?;
        match (asked.method.as_str(), rest.rsplit_once('/')) {
            ("POST", _) if ENDPOINTS.contains(&rest) => Some(Route::submit(rest)),
            ("GET", Some(("results" | CREATIVE | "stable-image/upscale/creative/result", id))) => {
                Some(Route::of_job(Class::Poll, "result", id))
            }
            _ => None,
        }
    }

    fn key(&self, asked: &Asked) -> Option<String> {
        asked.authorization("Bearer")
    }

    fn order(&self, asked: &Asked, route: &Route, studio: &Studio<'_>) -> Result<Order, Refusal> {
        accepts(asked)?;
        let form = Form::of(asked).ok_or_else(|| Refusal::invalid("content-type", "must be multipart/form-data"))?;
        let mut input = form.document();
        if let Some(number) = form.text("seed").and_then(|seed| seed.parse::<u32>().ok()).filter(|seed| *seed > 0) {
            input["seed"] = number.into();
        } else if let Some(fields) = input.as_object_mut() {
            fields.remove("seed");
        }
        let prompt = form.text("prompt").unwrap_or_default();
        let picture = form.files("image").next().filter(|field| !field.bytes.is_empty());
        if picture.is_some_and(|field| field.bytes.len() > PICTURE_MAX) {
            return Err(Refusal::Status { status: 413, retry_after_ms: None });
        }
        let source = picture.map(|field| Source::Sent(studio.media().keep(field.bytes.clone())));
        let picture = || source.clone().ok_or_else(|| Refusal::invalid("image", "is required"));
        let format = match form.text("output_format").as_deref() {
            None => Format::Png,
            Some(name) => Format::of_extension(name)
                .ok_or_else(|| Refusal::invalid("output_format", "must be one of jpeg, png, webp"))?,
        };
        let seed = seed(&input);
        input["seed"] = seed.into();
        let needs_prompt = !route.endpoint.ends_with("fast") && !route.endpoint.ends_with("remove-background");
        if needs_prompt && prompt.is_empty() {
            return Err(Refusal::invalid("prompt", "is required"));
        }
        if prompt.chars().count() > PROMPT_MAX {
            return Err(Refusal::invalid("prompt", format!("must be at most {PROMPT_MAX} characters")));
        }
        let changed = |source, change, format| Recipe::changed(source, &prompt, seed, change, format);
        let recipe = match route.endpoint.as_str() {
            "stable-image/edit/remove-background" if format == Format::Jpeg => {
                return Err(Refusal::invalid("output_format", "must be one of png, webp"));
            }
            "stable-image/edit/remove-background" => changed(picture()?, Change::CutOut, format),
            "stable-image/upscale/fast" => changed(picture()?, Change::Enlarge(400), format),
            endpoint if endpoint.contains("/upscale/") => changed(picture()?, Change::Enlarge(200), format),
            _ => match source.clone() {
                Some(source) => changed(source, Change::Edit, format),
                None => Recipe::drawn(&prompt, seed, size(&form)?, format),
            },
        };
        Ok(Order::new(&*route.endpoint, Kind::Image, input).makes(recipe))
    }

    fn accepted(&self, _asked: &Asked, job: &Arc<Job>, _now: Timestamp) -> Answer {
        match job.endpoint.as_str() {
            CREATIVE => Reply::json(200, &json!({"id": job.id})).into(),
            _ => Answer::At(job.ends, job.clone()),
        }
    }

    fn look(&self, asked: &Asked, route: &Route, world: &mut World) -> Answer {
        if let Err(refusal) = accepts(asked) {
            return self.refuse(&refusal).into();
        }
        let now = world.now();
        match world.job("stability", route.id()).filter(|job| job.endpoint == CREATIVE) {
            Some(job) if job.ended(now).is_some() => Answer::At(now, job),
            Some(job) => Reply::json(202, &json!({"id": job.id, "status": "in-progress"})).into(),
            None => error(404, "not_found", "generation result not found").into(),
        }
    }

    fn finished(&self, asked: &Asked, job: &Job, studio: &Studio<'_>) -> Reply {
        let Some(recipe) = job.makes.first().filter(|_| job.phase(studio.now()) != Phase::Cancelled) else {
            return error(500, "internal_error", "nothing was made");
        };
        let made = studio.make(recipe);
        let (seed, id) = (&job.input["seed"], new_id());
        let reason = if job.verdict == Verdict::Rejected { "CONTENT_FILTERED" } else { "SUCCESS" };
        match asked.header("accept") {
            Some(kind) if kind.contains("json") => {
                let name = if job.endpoint == CREATIVE { "result" } else { "image" };
                Reply::json(200, &json!({name: to_base64(&made), "finish_reason": reason, "seed": seed}))
            }
            _ => Reply::bytes(200, recipe.media_type(), made)
                .with("finish-reason", reason)
                .with("seed", seed.to_string()),
        }
        .with("x-request-id", id)
    }

    fn refuse(&self, refusal: &Refusal) -> Reply {
        let reply = match refusal {
            Refusal::NoKey => error(401, "unauthorized", "authorization: is required"),
            Refusal::InvalidKey => error(401, "unauthorized", "authorization: invalid or missing header value"),
            Refusal::Forbidden => error(403, "permission_denied", "this key may not use this"),
            Refusal::Quota => error(402, "payment_required", "You lack sufficient credits to make this request."),
            Refusal::TooMany { .. } => {
                error(429, "rate_limit_exceeded", "You have made more than 150 requests within a 10 second period.")
            }
            Refusal::Content => error(403, "content_moderation", "Your request was flagged by our moderation system."),
            Refusal::NotFound => error(404, "not_found", "The specified resource was not found."),
            Refusal::Invalid { field, message } => error(400, "bad_request", &format!("{field}: {message}")),
            Refusal::Status { status: 413, .. } => error(413, "payload_too_large", "body: payload cannot exceed 10MiB"),
            Refusal::Status { status: 403, .. } => return self.refuse(&Refusal::Content),
            Refusal::Status { status, .. } => {
                let name = if *status >= 500 { "internal_error" } else { "bad_request" };
                error(*status, name, &format!("the request failed with status {status}"))
            }
        };
        reply.after(refusal)
    }

    fn rejected(&self, order: &mut Order) {
        for recipe in &mut order.makes {
            let (width, height) = recipe.size().unwrap_or((1_024, 1_024));
            let format = Format::of_extension(recipe.extension()).unwrap_or(Format::Png);
            *recipe = Recipe::Black { width, height, format };
        }
    }

    fn limits(&self) -> Limits {
        Limits { at_once: None, rate: Some((150, Duration::from_secs(10))) }
    }
}

/// Whether the answer is wanted in a form that there is.
fn accepts(asked: &Asked) -> Result<(), Refusal> {
    let is_known = |kind: &str| ["image/*", "application/json", "*/*"].iter().any(|known| kind.starts_with(known));
    match asked.header("accept") {
        None => Ok(()),
        Some(kind) if is_known(kind) => Ok(()),
        Some(_) => Err(Refusal::invalid("accept", "must be one of image/*, application/json")),
    }
}

fn error(status: u16, name: &str, message: &str) -> Reply {
    Reply::json(status, &json!({"id": new_id(), "name": name, "errors": [message]}))
}

fn size(form: &Form) -> Result<(u32, u32), Refusal> {
    const ASPECTS: [&str; 9] = ["16:9", "1:1", "21:9", "2:3", "3:2", "4:5", "5:4", "9:16", "9:21"];
    match form.text("aspect_ratio").as_deref() {
        None => Ok((1_024, 1_024)),
        Some(text) => Some(text)
            .filter(|text| ASPECTS.contains(text))
            .and_then(aspect)
            .ok_or_else(|| Refusal::invalid("aspect_ratio", format!("must be one of {}", ASPECTS.join(", ")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asked::from_base64;
    use crate::trial::{Fields, Trial};
    use darkroom_worker::media::{Limits, read_info};

    const KEY: &str = "authorization: Bearer k";
    const JSON: &str = "accept: application/json";
    const CORE: &str = "/stability/v2beta/stable-image/generate/core";

    async fn picture(trial: &Trial) -> Vec<u8> {
        let fields: [(&str, &[u8]); 2] = [("prompt", b"a mug"), ("aspect_ratio", b"16:9")];
        trial.form(CORE, &[KEY, "accept: image/*"], &fields).await.body.to_vec()
    }

    #[tokio::test]
    async fn a_picture_comes_as_bytes_or_as_json() {
        let trial = Trial::taking(0);
        let fields: [(&str, &[u8]); 3] = [("prompt", b"a mug"), ("output_format", b"webp"), ("seed", b"7")];
        let bytes = trial.form(CORE, &[KEY, "accept: image/*"], &fields).await;
        assert_eq!((bytes.header("content-type"), bytes.header("finish-reason")), ("image/webp", "SUCCESS"));
        assert_eq!(bytes.header("seed"), "7");
        let json = trial.form(CORE, &[KEY, JSON], &fields).await;
        assert_eq!((json.text("/finish_reason"), &json.json["seed"]), ("SUCCESS", &json!(7)));
        assert_eq!(from_base64(json.text("/image")).unwrap(), bytes.body);
        let charges = trial.charges().await;
        assert_eq!((charges.len(), &charges[0]["endpoint"]), (2, &json!("stable-image/generate/core")));
        assert_eq!(charges[0]["input"]["prompt"], "a mug");
    }

    #[tokio::test]
    async fn a_given_picture_is_cut_out_or_enlarged() {
        let trial = Trial::taking(0);
        let given = picture(&trial).await;
        let given_size = read_info(&given, &Limits::default()).unwrap().size;
        for (path, alpha, percent) in [("edit/remove-background", true, 100), ("upscale/conservative", false, 200)] {
            let path = format!("/stability/v2beta/stable-image/{path}");
            let fields: [(&str, &[u8]); 2] = [("prompt", b"sharp"), ("@image", &given)];
            let got = trial.form(&path, &[KEY], &fields).await;
            let info = read_info(&got.body, &Limits::default()).unwrap();
            assert_eq!((info.alpha, info.size.width), (alpha, given_size.width * percent / 100), "{path}");
        }
        let creative = "/stability/v2beta/stable-image/upscale/creative";
        let fields: [(&str, &[u8]); 2] = [("prompt", b"sharp"), ("@image", &given)];
        let taken = trial.form(creative, &[KEY], &fields).await;
        let result = trial.get(&format!("/stability/v2beta/results/{}", taken.text("/id")), &[KEY, JSON]).await;
        assert_eq!((result.status, result.text("/finish_reason")), (200, "SUCCESS"));
        assert!(result.text("/result").len() > 1_000);
        let slow = Trial::taking(60_000);
        let taken = slow.form(creative, &[KEY], &fields).await;
        let result = slow.get(&format!("/stability/v2beta/results/{}", taken.text("/id")), &[KEY, JSON]).await;
        assert_eq!((result.status, result.text("/status")), (202, "in-progress"));
    }

    #[tokio::test]
    async fn refusals_are_said_as_stability_says_them() {
        let trial = Trial::taking(0);
        trial.key("stability", "bad", "invalid").await;
        trial.key("stability", "poor", "exhausted").await;
        let good: &Fields<'_> = &[("prompt", b"x"), ("@none", b"")];
        let cases: [(&[&str], &Fields<'_>, u16, &str); 6] = [
            (&[], good, 401, "unauthorized"),
            (&["authorization: Bearer bad"], good, 401, "unauthorized"),
            (&["authorization: Bearer poor"], good, 402, "payment_required"),
            (&[KEY], &[("@none", b"")], 400, "bad_request"),
            (&[KEY], &[("prompt", b"x"), ("aspect_ratio", b"7:7")], 400, "bad_request"),
            (&[KEY, "accept: text/html"], good, 400, "bad_request"),
        ];
        for (headers, fields, status, name) in cases {
            let got = trial.form(CORE, headers, fields).await;
            assert_eq!((got.status, got.text("/name")), (status, name), "{}", got.json);
        }
        assert_eq!(trial.post(CORE, &[KEY], &json!({"prompt": "x"})).await.status, 400, "no form");
        trial.fault(json!({"provider": "stability", "kind": "http:429", "count": 1})).await;
        assert_eq!(trial.form(CORE, &[KEY], good).await.text("/name"), "rate_limit_exceeded");
        assert!(trial.charges().await.is_empty());
        trial.fault(json!({"provider": "stability", "kind": "content"})).await;
        let got = trial.form(CORE, &[KEY, JSON], good).await;
        assert_eq!((got.status, got.text("/finish_reason")), (200, "CONTENT_FILTERED"));
    }
}
