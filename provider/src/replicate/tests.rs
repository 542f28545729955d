//! What Replicate is asked and what it answers.

use super::*;
use crate::sample::{self, Sample, access, answer, json_of, secret};

fn flux() -> Sample {
    Sample::new("image.generate", "replicate", "flux-pro", json!({"prompt": "x", "safety": 0}))
}

fn prediction(status: &str, output: Value, error: Value) -> String {
    json!({
        "id": "P1", "model": "black-forest-labs/flux-1.1-pro", "version": "hidden", "input": {"prompt": "x", "seed": 7},
        "output": output, "error": error, "status": status, "logs": "", "metrics": {},
        "urls": {"get": "https://api.replicate.com/v1/predictions/P1"},
    })
    .to_string()
}

fn polled(op: &str, body: &str) -> Polled {
    Replicate.polled(&access(None), &json!({"id": "P1", "op": op, "size": [1000, 500]}), "", &answer(200, body))
}

#[test]
fn a_prediction_is_made_of_a_model_a_version_or_a_deployment() {
    let submit = |sample: &Sample, base| Replicate.submit(&access(base), &sample.ask()).unwrap().request;
    let mut sample = flux();
    sample.webhook = Some("https://h/w".to_owned());
    let request = submit(&sample, None);
    assert_eq!(request.url, "https://api.replicate.com/v1/models/black-forest-labs/flux-1.1-pro/predictions");
    assert_eq!(secret(&request, "authorization"), format!("Bearer {}", sample::KEY));
    let want = json!({
        "input": {
            "prompt": "x", "seed": 0, "width": 1024, "height": 1024, "safety_tolerance": 1,
            "aspect_ratio": "custom", "output_format": "png",
        },
        "webhook": "https://h/w", "webhook_events_filter": ["completed"],
    });
    assert_eq!(*json_of(&request), want);
    let version = Sample::new("image.remove-background", "replicate", "remove-bg", json!({})).with("image");
    let request = submit(&version, Some("http://127.0.0.1:1/replicate"));
    assert_eq!(request.url, "http://127.0.0.1:1/replicate/v1/predictions");
    let body = json_of(&request);
    assert_eq!(body["version"], "95fcc2a26d3899cd6c2691c900465aaeff466285a65c14638cc5f36f34befaf1");
    assert_eq!(body["input"], json!({"image": "data:image/png;base64,cG5n"}));
    let mut deployed = flux();
    deployed.route.endpoint = "deployments/me/mine".to_owned();
    assert_eq!(submit(&deployed, None).url, "https://api.replicate.com/v1/deployments/me/mine/predictions");
}

#[test]
fn a_submission_is_accepted_done_refused_or_unclear() {
    let cases = [
        (answer(201, &prediction("starting", Value::Null, Value::Null)), "accepted"),
        (answer(202, &prediction("processing", json!("https://a/b"), Value::Null)), "accepted"),
        (answer(201, &prediction("succeeded", json!("https://a/b"), Value::Null)), "done"),
        (answer(201, &prediction("failed", Value::Null, json!("boom"))), "refused"),
        (answer(402, r#"{"title":"Insufficient credit","status":402}"#), "refused"),
        (answer(429, "{}"), "refused"),
        (answer(503, "{}"), "refused"),
        (answer(504, "{}"), "unclear"),
        (answer(201, "{}"), "unclear"),
        (answer(201, "<html>"), "unclear"),
    ];
    for (response, want) in cases {
        let is = match Replicate.submitted(&access(None), &flux().ask(), &response) {
            Submitted::Accepted(handle) => {
                assert_eq!(handle["id"], "P1");
                "accepted"
            }
            Submitted::Done(_) => "done",
            Submitted::Refused(_) => "refused",
            Submitted::Unclear(_) => "unclear",
        };
        assert_eq!(is, want, "{response:?}");
    }
}

#[test]
fn a_job_is_asked_about_where_it_lives() {
    let body: Value = serde_json::from_str(&prediction("starting", Value::Null, Value::Null)).unwrap();
    let handle = handle(&access(None), &body, "image.generate", None).unwrap();
    let url = |base| Replicate.poll(&access(base), &handle).unwrap().url;
    assert_eq!(url(None), "https://api.replicate.com/v1/predictions/P1");
    assert_eq!(url(Some("http://127.0.0.1:1/replicate/v1")), "http://127.0.0.1:1/replicate/v1/predictions/P1");
    let cancel = Replicate.cancel(&access(None), &handle).unwrap();
    assert_eq!(cancel.url, "https://api.replicate.com/v1/predictions/P1/cancel");
    assert!(Replicate.poll(&access(None), &json!({"id": "../account"})).is_err());
}

#[test]
fn outputs_come_as_a_text_a_list_or_an_object() {
    let (one, two) = ("https://replicate.delivery/a.png", "https://replicate.delivery/b.png");
    for (output, want) in [(json!(one), 1), (json!([one, two]), 2), (json!({"image": one}), 1)] {
        let Polled::Done(product) = polled("image.generate", &prediction("succeeded", output.clone(), Value::Null))
        else {
            panic!("{output}")
        };
        assert_eq!(product.files.len(), want, "{output}");
        assert!(matches!(&product.files[0].source, Source::Url { url, with_key: false } if url == one));
        assert_eq!(product.facts["seed"], 7);
    }
    let kept = json!("https://api.replicate.com/v1/files/F1");
    let Polled::Done(product) = polled("image.upscale", &prediction("succeeded", kept, Value::Null)) else { panic!() };
    assert!(matches!(product.files[0].source, Source::Url { with_key: true, .. }));
    let found = json!({"detections": [
        {"bbox": [10, 20, 110, 70], "label": "mug", "confidence": 0.5},
        {"bbox": [0, 0, 5000, 5000], "label": "table", "confidence": 0.9},
    ]});
    let Polled::Done(product) = polled("image.detect", &prediction("succeeded", found, Value::Null)) else { panic!() };
    let want = json!([{"x": 0, "y": 0, "w": 1000, "h": 500}, {"x": 10, "y": 20, "w": 100, "h": 50}]);
    assert_eq!((&product.values["boxes"], &product.values["scores"]), (&want, &json!([0.9, 0.5])));
    let words = json!(["A ", "mug."]);
    let Polled::Done(product) = polled("image.describe", &prediction("succeeded", words, Value::Null)) else {
        panic!()
    };
    assert_eq!(product.values["text"], "A mug.");
}

#[test]
fn a_prediction_that_failed_has_the_class_of_its_words() {
    use ErrorClass::*;
    let cases = [
        (
            "failed",
            json!("NSFW content detected. Try running it again, or try a different prompt."),
            ContentRejected,
            false,
        ),
        (
            "failed",
            json!("The input or output was flagged as sensitive. Please try again. (E005)"),
            ContentRejected,
            false,
        ),
        ("failed", json!("(E1001) CUDA out of memory"), ServerUnavailable, false),
        ("failed", json!("(E1000) unknown error"), ServerUnavailable, false),
        ("failed", json!("E6716: the model did not start in time"), Timeout, false),
        ("failed", Value::Null, ServerUnavailable, false),
        ("canceled", Value::Null, Cancelled, true),
        ("aborted", Value::Null, Timeout, false),
        ("succeeded", Value::Null, ServerUnavailable, true),
    ];
    for (status, error, class, billed) in cases {
        let Polled::Failed(failure) = polled("image.generate", &prediction(status, Value::Null, error.clone())) else {
            panic!("{status} {error}")
        };
        assert_eq!((failure.error.class, failure.billed), (class, billed), "{status} {error}");
    }
}

#[test]
fn an_output_that_was_removed_is_paid_and_gone() {
    let removed = json!({"id": "P1", "status": "succeeded", "output": null, "data_removed": true}).to_string();
    let Polled::Failed(failure) = polled("image.generate", &removed) else { panic!() };
    assert!(failure.billed && failure.error.message.contains("removed"), "{failure:?}");
}

#[test]
fn a_poll_that_fails_says_nothing_about_the_job() {
    for (status, body) in [(404, "{}"), (401, "{}"), (429, "{}"), (500, "{}"), (200, "<html>")] {
        let polled = Replicate.polled(&access(None), &json!({"id": "P1"}), "", &answer(status, body));
        assert!(matches!(polled, Polled::Again(_)), "{status}");
    }
    let logs = prediction("processing", Value::Null, Value::Null)
        .replace(r#""logs":"""#, r#""logs":"loading\n 45%|████▌     | 9/20 [00:01<00:01]\n""#);
    assert!(
        matches!(polled("image.generate", &logs), Polled::Pending { progress: Some(progress) } if progress == 0.45)
    );
    let unknown = prediction("dreaming", Value::Null, Value::Null);
    assert!(matches!(polled("image.generate", &unknown), Polled::Pending { progress: None }));
}

#[test]
fn errors_have_the_class_that_replicate_documents() {
    use ErrorClass::*;
    let cases = [
        (401, r#"{"title":"Unauthenticated","status":401,"detail":"You did not pass a token"}"#, InvalidKey),
        (402, r#"{"title":"Insufficient credit","status":402,"detail":"Go to billing"}"#, QuotaExceeded),
        (
            404,
            r#"{"title":"Not found","status":404,"detail":"The requested resource could not be found."}"#,
            ModelNotFound,
        ),
        (413, "payload too large", TooLarge),
        (
            422,
            r#"{"title":"Input validation failed","status":422,"detail":"- input: prompt is required"}"#,
            InvalidInput,
        ),
        (
            422,
            r#"{"title":"Invalid version or not permitted","status":422,"detail":"The specified version does not exist"}"#,
            ModelNotFound,
        ),
        (429, r#"{"status":429,"detail":"Request was throttled. Your rate limit resets in ~30s."}"#, RateLimit),
        (500, "{}", ServerUnavailable),
        (503, "<html>", ServerUnavailable),
    ];
    for (status, body, want) in cases {
        assert_eq!(Replicate.classify(&answer(status, body)).class, want, "{status} {body}");
    }
    let throttled = Replicate.classify(&answer(429, cases[6].1));
    assert_eq!(throttled.retry_after, Some(Duration::from_secs(30)));
}

#[test]
fn the_list_tells_what_was_certainly_not_made() {
    let sample = flux();
    let ask = sample.ask();
    let at = Timestamp(1_700_000_000_000);
    let request = Replicate.look_up(&access(None), ask.call, ask.route, at).unwrap();
    assert_eq!(request.url, "https://api.replicate.com/v1/predictions?created_after=2023-11-14T22:12:20.000Z");
    let of = |model: &str| json!({"id": "P9", "model": model, "version": "v"});
    let ours = json!({"id": "P9", "model": "x/y", "webhook": format!("https://h/hooks/replicate/{}", ask.call)});
    let flux = "black-forest-labs/flux-1.1-pro";
    let cases = [
        (200, json!({"results": [], "next": null}), "nothing"),
        (200, json!({"results": [of("x/y")], "next": null}), "nothing"),
        (200, json!({"results": [of("x/y")], "next": "https://more"}), "unclear"),
        (200, json!({"results": [of(flux)], "next": null}), "unclear"),
        (200, json!({"results": [of(flux), ours], "next": null}), "job"),
        (200, json!({}), "unclear"),
        (404, json!({"results": []}), "unclear"),
    ];
    for (status, body, want) in cases {
        let found = Replicate.looked_up(&access(None), ask.call, ask.route, &answer(status, &body.to_string()));
        let is = match found {
            Found::Job(handle) => {
                assert_eq!((&handle["id"], &handle["op"]), (&json!("P9"), &json!("image.generate")));
                "job"
            }
            Found::Nothing => "nothing",
            Found::Unclear => "unclear",
        };
        assert_eq!(is, want, "{status} {body}");
    }
}

#[test]
fn a_webhook_of_the_end_is_news_and_others_are_none() {
    let trust = json!({"key": "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"});
    let check = |body: &str, signed: &str| {
        let headers: Vec<(String, String)> =
            [("webhook-id", "msg_1"), ("webhook-timestamp", "1700000000"), ("webhook-signature", signed)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec();
        let now = Timestamp(1_700_000_000_000);
        Replicate.webhook(&Incoming { headers: &headers, body: body.as_bytes(), now, trust: &trust })
    };
    let sign = |body: &str| {
        use base64::Engine;
        let secret = (0u8..24).collect::<Vec<_>>();
        let signed = sign::hmac_sha256(&secret, format!("msg_1.1700000000.{body}").as_bytes());
        format!("v1,{}", base64::engine::general_purpose::STANDARD.encode(signed))
    };
    let ended = r#"{"id":"P1","status":"succeeded"}"#;
    assert_eq!(check(ended, &sign(ended)), Ok(News::Ended { job: "P1".into(), id: "msg_1".into() }));
    let begun = r#"{"id":"P1","status":"processing"}"#;
    assert_eq!(check(begun, &sign(begun)), Ok(News::Other));
    assert_eq!(check("[]", &sign("[]")), Err(Disbelief::Malformed));
    assert_eq!(check(ended, &sign(begun)), Err(Disbelief::Signature));
}

#[test]
fn a_large_file_is_sent_ahead_as_a_file_of_replicate() {
    let (access, mut file) = (access(None), sample::picture("image"));
    assert!(Replicate.upload(&access, &flux().route, &file).is_none());
    file.bytes = vec![0; 256 * 1024 + 1].into();
    let request = Replicate.upload(&access, &flux().route, &file).unwrap();
    assert_eq!(request.url, "https://api.replicate.com/v1/files");
    let Body::Multipart(parts) = &request.body else { panic!("{request:?}") };
    assert_eq!((parts[0].name.as_str(), parts[0].file_name.as_deref()), ("content", Some("image.png")));
    let made = answer(201, r#"{"id":"F1","urls":{"get":"https://api.replicate.com/v1/files/F1"}}"#);
    let Ok(Uploaded::Done(url)) = Replicate.uploaded(&access, &file, "", &Value::Null, &made) else { panic!() };
    assert_eq!(url, "https://api.replicate.com/v1/files/F1");
    assert!(Replicate.uploaded(&access, &file, "", &Value::Null, &answer(201, "{}")).is_err());
}

#[test]
fn a_webhook_brings_along_what_the_job_gave_if_it_ended_well() {
    let handle = json!({"id": "P1", "op": "image.generate"});
    let told = |body: &str| Replicate.told(&access(None), &handle, body);
    let good = r#"{"id":"P1","status":"succeeded","output":["https://replicate.delivery/a.png"],"input":{"seed":42}}"#;
    let product = told(good).unwrap();
    let Source::Url { url, .. } = &product.files[0].source else { panic!("{product:?}") };
    assert_eq!((url.as_str(), &product.facts["seed"]), ("https://replicate.delivery/a.png", &json!(42)));
    for (name, body) in [
        ("another job", good.replace("P1", "P2")),
        ("it failed", good.replace("succeeded", "failed")),
        ("it runs", good.replace("succeeded", "processing")),
        ("its output was removed", good.replace(r#""input""#, r#""data_removed":true,"input""#)),
        ("nothing was made", r#"{"id":"P1","status":"succeeded","output":[]}"#.to_owned()),
        ("cut off", good[..good.len() - 1].to_owned()),
    ] {
        assert!(told(&body).is_none(), "{name}");
    }
}
