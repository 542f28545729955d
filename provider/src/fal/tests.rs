//! What fal is asked and what it answers.

use super::*;
use crate::adapter::Source;
use crate::sample::{self, Sample, access, answer, json_of, secret};
use darkroom_proto::Timestamp;

const ACCEPTED: &str = r#"{"status":"IN_QUEUE","request_id":"REQ1","queue_position":0,
    "response_url":"https://queue.fal.run/fal-ai/flux/requests/REQ1",
    "status_url":"https://queue.fal.run/fal-ai/flux/requests/REQ1/status",
    "cancel_url":"https://queue.fal.run/fal-ai/flux/requests/REQ1/cancel"}"#;

fn flux() -> Sample {
    Sample::new("image.generate", "fal", "flux-dev", json!({"prompt": "x", "seed": 7}))
}

fn handle(op: &str) -> Value {
    json!({"id": "REQ1", "app": "fal-ai/flux", "op": op, "size": [1000, 500], "target": "mug"})
}

fn result(op: &str, status: u16, body: &str) -> Polled {
    Fal.polled(&access(None), &handle(op), "result", &answer(status, body))
}

#[test]
fn a_job_is_handed_in_as_the_clients_do() {
    let mut sample = flux();
    sample.webhook = Some("http://h/w".to_owned());
    let Submission { request, ignored, .. } = Fal.submit(&access(None), &sample.ask()).unwrap();
    assert_eq!(request.url, "https://queue.fal.run/fal-ai/flux/dev?fal_webhook=http%3A%2F%2Fh%2Fw");
    assert_eq!(secret(&request, "authorization"), format!("Key {}", sample::KEY));
    let want = json!({
        "prompt": "x", "seed": 7, "image_size": {"width": 1024, "height": 1024}, "output_format": "png",
    });
    assert_eq!(*json_of(&request), want);
    assert_eq!(ignored, Vec::<String>::new());
    let simulated = Fal.submit(&access(Some("http://127.0.0.1:1/fal")), &flux().ask()).unwrap().request;
    assert_eq!(simulated.url, "http://127.0.0.1:1/fal/fal-ai/flux/dev");
}

#[test]
fn the_status_is_asked_for_below_owner_and_app_or_where_fal_said() {
    let Submitted::Accepted(handle) = Fal.submitted(&access(None), &flux().ask(), &answer(200, ACCEPTED)) else {
        panic!("not accepted")
    };
    assert_eq!(handle["id"], "REQ1");
    let status = Fal.poll(&access(None), &handle).unwrap();
    assert_eq!(status.url, "https://queue.fal.run/fal-ai/flux/requests/REQ1/status");
    // Somebody put a proxy in between: URLs that lead past it are not followed.
    let proxied = Fal.poll(&access(Some("http://127.0.0.1:1/fal")), &handle).unwrap();
    assert_eq!(proxied.url, "http://127.0.0.1:1/fal/fal-ai/flux/requests/REQ1/status");
    let evil = ACCEPTED.replace("https://queue.fal.run", "https://evil.example");
    let Submitted::Accepted(handle) = Fal.submitted(&access(None), &flux().ask(), &answer(200, &evil)) else {
        panic!("not accepted")
    };
    assert_eq!(Fal.poll(&access(None), &handle).unwrap().url, status.url);
    let cancel = Fal.cancel(&access(None), &handle).unwrap();
    assert_eq!(
        (cancel.method, cancel.url.as_str()),
        (Method::Put, "https://queue.fal.run/fal-ai/flux/requests/REQ1/cancel")
    );
}

#[test]
fn an_app_is_owner_and_name_and_two_namespaces_are_part_of_it() {
    let cases = [
        ("fal-ai/flux/dev", "fal-ai/flux"),
        ("fal-ai/nano-banana", "fal-ai/nano-banana"),
        ("workflows/me/mine/v2", "workflows/me/mine"),
        ("comfy/me/mine/x", "comfy/me/mine"),
    ];
    for (endpoint, app) in cases {
        assert_eq!(app_of(endpoint), app);
    }
}

#[test]
fn a_handle_that_leads_elsewhere_is_refused() {
    for handle in
        [json!({}), json!({"id": "../x", "app": "a/b"}), json!({"id": "x", "app": "a/../b"}), json!({"id": 7})]
    {
        assert!(Fal.poll(&access(None), &handle).is_err(), "{handle}");
    }
}

#[test]
fn whether_fal_has_the_job_after_a_bad_answer() {
    let runner = Response { headers: vec![("x-fal-request-id".into(), "r".into())], ..answer(503, "{}") };
    let cases = [
        (answer(422, "{}"), "refused"),
        (answer(429, "{}"), "refused"),
        (answer(500, "{}"), "refused"),
        (answer(503, "{}"), "refused"),
        (runner, "unclear"),
        (answer(502, "<html>"), "unclear"),
        (answer(504, "{}"), "unclear"),
        (answer(200, "<html>"), "unclear"),
        (answer(200, "{}"), "unclear"),
        (answer(200, ACCEPTED), "accepted"),
    ];
    for (response, want) in cases {
        let is = match Fal.submitted(&access(None), &flux().ask(), &response) {
            Submitted::Accepted(_) => "accepted",
            Submitted::Refused(failure) if !failure.billed => "refused",
            Submitted::Unclear(_) => "unclear",
            other => panic!("{other:?}"),
        };
        assert_eq!(is, want, "{response:?}");
    }
}

#[test]
fn completed_means_only_that_there_is_a_result_to_ask_for() {
    let poll = |status, body: &str| Fal.polled(&access(None), &handle("image.generate"), "", &answer(status, body));
    for body in [
        r#"{"status":"IN_QUEUE","queue_position":3}"#,
        r#"{"status":"IN_PROGRESS","logs":null}"#,
        r#"{"status":"NEW"}"#,
    ] {
        assert!(matches!(poll(202, body), Polled::Pending { .. }), "{body}");
    }
    let Polled::Next { request, stage } = poll(200, r#"{"status":"COMPLETED","logs":[]}"#) else { panic!("no result") };
    assert_eq!((request.url.as_str(), stage), ("https://queue.fal.run/fal-ai/flux/requests/REQ1", "result"));
    let failed = poll(200, r#"{"status":"COMPLETED","error":"boom","error_type":"runner_server_error"}"#);
    assert!(matches!(failed, Polled::Next { stage: FAILED, .. }));
    for (status, body) in [(404, r#"{"detail":"not found"}"#), (500, "{}"), (401, "{}"), (200, "<html>")] {
        assert!(matches!(poll(status, body), Polled::Again(_)), "{status}");
    }
}

#[test]
fn outputs_are_found_where_the_models_put_them() {
    let cases = [
        ("image.generate", r#"{"images":[{"url":"https://v3.fal.media/a.png"}],"seed":7,"has_nsfw_concepts":[false]}"#),
        ("image.upscale", r#"{"image":{"url":"https://v3.fal.media/a.png","width":2}}"#),
        ("video.generate", r#"{"video":{"url":"https://v3.fal.media/a.png"}}"#),
        ("audio.speech", r#"{"audio":{"url":"https://v3.fal.media/a.png"}}"#),
    ];
    for (op, body) in cases {
        let Polled::Done(product) = result(op, 200, body) else { panic!("{op}") };
        let [made] = product.files.as_slice() else { panic!("{op}") };
        assert_eq!(made.output, answer::output_of(op));
        assert!(matches!(&made.source, Source::Url { url, with_key: false } if url == "https://v3.fal.media/a.png"));
    }
    let Polled::Done(product) = result("image.generate", 200, cases[0].1) else { panic!() };
    assert_eq!(product.facts["seed"], 7);
    let inline = r#"{"images":[{"url":"data:image/png;base64,cG5n"}]}"#;
    let Polled::Done(product) = result("image.generate", 200, inline) else { panic!() };
    assert!(matches!(&product.files[0].source, Source::Bytes { bytes, .. } if bytes == b"png"));
}

#[test]
fn boxes_are_in_pixels_of_the_picture_whoever_found_them() {
    let cases = [
        r#"{"results":{"bboxes":[{"x":100.0,"y":50.0,"w":300.0,"h":200.0,"label":"mug"}]}}"#,
        r#"{"objects":[{"x_min":0.1,"y_min":0.1,"x_max":0.4,"y_max":0.5}],"finish_reason":"stop"}"#,
        r#"{"objects":[{"x_min":100,"y_min":50,"x_max":400,"y_max":250}]}"#,
    ];
    for body in cases {
        let Polled::Done(product) = result("image.detect", 200, body) else { panic!("{body}") };
        assert_eq!(product.values["boxes"], json!([{"x": 100, "y": 50, "w": 300, "h": 200}]), "{body}");
        assert_eq!(product.values["labels"], json!(["mug"]));
    }
    let over = r#"{"results":{"bboxes":[{"x":-10,"y":0,"w":2000,"h":100,"label":"a"},{"x":5,"y":5,"w":0,"h":3,"label":"b"}]}}"#;
    let Polled::Done(product) = result("image.detect", 200, over) else { panic!() };
    assert_eq!(product.values["boxes"], json!([{"x": 0, "y": 0, "w": 1000, "h": 100}]));
    let none = r#"{"results":{"bboxes":[]}}"#;
    let Polled::Done(product) = result("image.detect", 200, none) else { panic!() };
    assert_eq!(product.values["boxes"], json!([]));
}

#[test]
fn a_result_that_is_black_or_empty_is_a_failure_that_is_paid() {
    use ErrorClass::{ContentRejected, ServerUnavailable};
    let cases = [
        (r#"{"images":[{"url":"https://a/b"}],"has_nsfw_concepts":[true]}"#, ContentRejected),
        (r#"{"images":[]}"#, ServerUnavailable),
        (r#"{"images":[{}]}"#, ServerUnavailable),
        ("{}", ServerUnavailable),
        (r#"{"images":[{"url":"ftp://a/b"}]}"#, ServerUnavailable),
    ];
    for (body, want) in cases {
        let Polled::Failed(failure) = result("image.generate", 200, body) else { panic!("{body}") };
        assert_eq!((failure.error.class, failure.billed), (want, true), "{body}");
    }
    assert!(matches!(result("image.generate", 200, "<html>"), Polled::Again(_)));
}

#[test]
fn an_error_in_place_of_a_result_fails_the_job_only_if_it_is_the_jobs() {
    let typed = r#"{"detail":"gone","error_type":"runner_disconnected"}"#;
    let model = r#"{"detail":[{"loc":["body","prompt"],"msg":"no","type":"content_policy_violation"}]}"#;
    for (status, body) in [(422, model), (503, typed), (422, "{}"), (400, "{}")] {
        assert!(matches!(result("image.generate", status, body), Polled::Failed(_)), "{status} {body}");
    }
    for (status, body) in [(503, "{}"), (500, "<html>"), (404, "{}"), (429, "{}"), (401, typed)] {
        assert!(matches!(result("image.generate", status, body), Polled::Again(_)), "{status} {body}");
    }
    let told = Fal.polled(&access(None), &handle("image.generate"), FAILED, &answer(500, "{}"));
    assert!(matches!(told, Polled::Failed(_)));
}

#[test]
fn errors_have_the_class_that_fal_documents() {
    use ErrorClass::*;
    let model = |kind: &str| format!(r#"{{"detail":[{{"loc":["body","x"],"msg":"m","type":"{kind}"}}]}}"#);
    let request = |kind: &str| format!(r#"{{"detail":"m","error_type":"{kind}"}}"#);
    let locked =
        r#"{"detail":"User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing."}"#;
    let cases = [
        (504, request("request_timeout"), Timeout),
        (504, request("startup_timeout"), Timeout),
        (503, request("runner_scheduling_failure"), ServerUnavailable),
        (503, request("runner_disconnected"), ServerUnavailable),
        (502, request("runner_incomplete_response"), ServerUnavailable),
        (500, request("internal_error"), ServerUnavailable),
        (499, request("client_cancelled"), Cancelled),
        (400, request("bad_request"), InvalidInput),
        (422, model("content_policy_violation"), ContentRejected),
        (422, model("no_media_generated"), ServerUnavailable),
        (422, model("missing"), InvalidInput),
        (422, model("multiple_of"), InvalidInput),
        (422, model("image_load_error"), InvalidInput),
        (422, model("image_too_large"), TooLarge),
        (422, model("file_too_large"), TooLarge),
        (422, model("unsupported_image_format"), UnsupportedFormat),
        (422, model("file_download_error"), InvalidInput),
        (500, model("internal_server_error"), ServerUnavailable),
        (504, model("generation_timeout"), Timeout),
        (502, model("downstream_service_error"), ServerUnavailable),
        (401, r#"{"detail":"bad key"}"#.to_owned(), InvalidKey),
        (403, locked.to_owned(), QuotaExceeded),
        (403, r#"{"detail":"no access"}"#.to_owned(), InvalidKey),
        (404, r#"{"detail":"not found"}"#.to_owned(), ModelNotFound),
        (429, "{}".to_owned(), RateLimit),
        (413, "{}".to_owned(), TooLarge),
    ];
    for (status, body, want) in cases {
        assert_eq!(Fal.classify(&answer(status, &body)).class, want, "{status} {body}");
    }
    assert_eq!(Fal.classify(&answer(422, &model("image_too_large"))).code, "image_too_large");
}

#[test]
fn a_large_file_is_sent_ahead_and_a_small_one_is_not() {
    let (access, mut file) = (access(None), sample::picture("image"));
    let route = &flux().route;
    assert!(Fal.upload(&access, route, &file).is_none());
    file.bytes = vec![0; 1_000_001].into();
    let request = Fal.upload(&access, route, &file).unwrap();
    assert_eq!(request.url, "https://rest.fal.ai/storage/upload/initiate?storage_type=fal-cdn-v3");
    assert_eq!(*json_of(&request), json!({"content_type": "image/png", "file_name": "image.png"}));
    let placed = answer(200, r#"{"upload_url":"https://up.example/x?sig=1","file_url":"https://v3.fal.media/x.png"}"#);
    let Ok(Uploaded::Next { request, stage, memory }) = Fal.uploaded(&access, &file, "", &Value::Null, &placed) else {
        panic!("nothing more to send")
    };
    assert_eq!((request.method, request.url.as_str()), (Method::Put, "https://up.example/x?sig=1"));
    assert!(request.secrets.is_empty(), "the key is not for the place that is uploaded to");
    let Ok(Uploaded::Done(url)) = Fal.uploaded(&access, &file, stage, &memory, &answer(200, "")) else { panic!() };
    assert_eq!(url, "https://v3.fal.media/x.png");
    assert!(Fal.uploaded(&access, &file, stage, &memory, &answer(403, "")).is_err());
    let unsafe_place = answer(200, r#"{"upload_url":"http://10.0.0.1/","file_url":"https://v3.fal.media/x.png"}"#);
    assert!(Fal.uploaded(&access, &file, "", &Value::Null, &unsafe_place).is_err());
    file.url = Some("https://store.example/x".to_owned());
    assert!(Fal.upload(&access, route, &file).is_none());
}

/// A vector made with the keys of RFC 8032.
#[test]
fn a_webhook_is_believed_only_with_a_signature_of_a_known_key() {
    const BODY: &str = r#"{"request_id":"123e4567-e89b-12d3-a456-426614174000","gateway_request_id":"123e4567-e89b-12d3-a456-426614174000","status":"OK","payload":{"seed":42}}"#;
    const SIGNED: &str = "4f67aa3d4b38badee973a3b6741b92f0aa5a029c3d7f792c025b37896e409519ae538d86b8a084154e94a8d2b60a6310d6f22ee72299d62a12729934399edc08";
    let trust = json!({"keys": [
        {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"},
        {"kty": "OKP", "crv": "Ed25519", "x": "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg"},
    ]});
    let check = |id: &str, body: &str, signed: &str, now: u64, trust: &Value| {
        let headers: Vec<(String, String)> = [
            ("X-Fal-Webhook-Request-Id", id),
            ("X-Fal-Webhook-User-Id", "user_1"),
            ("X-Fal-Webhook-Timestamp", "1700000000"),
            ("X-Fal-Webhook-Signature", signed),
        ]
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .to_vec();
        Fal.webhook(&Incoming { headers: &headers, body: body.as_bytes(), now: Timestamp(now * 1_000), trust })
    };
    let (id, now) = ("123e4567-e89b-12d3-a456-426614174000", 1_700_000_000);
    let told = Ok(News::Ended { job: id.to_owned(), id: format!("{id}/OK") });
    assert_eq!(check(id, BODY, SIGNED, now, &trust), told);
    let cases = [
        ("another body", check(id, &BODY.replace("42", "43"), SIGNED, now, &trust), Disbelief::Signature),
        ("another job", check("other", BODY, SIGNED, now, &trust), Disbelief::Signature),
        ("no signature", check(id, BODY, "", now, &trust), Disbelief::Signature),
        ("no hex", check(id, BODY, "zz", now, &trust), Disbelief::Signature),
        ("no keys", check(id, BODY, SIGNED, now, &Value::Null), Disbelief::Signature),
        ("too old", check(id, BODY, SIGNED, now + 301, &trust), Disbelief::Stale),
        ("from the future", check(id, BODY, SIGNED, now - 301, &trust), Disbelief::Stale),
    ];
    for (name, is, want) in cases {
        assert_eq!(is, Err(want), "{name}");
    }
}

#[test]
fn a_webhook_brings_along_what_the_job_gave_if_it_ended_well() {
    let told = |body: &str| Fal.told(&access(None), &handle("image.generate"), body);
    let good = r#"{"request_id":"REQ1","gateway_request_id":"REQ1","status":"OK","payload":{"images":[{"url":"https://v3.fal.media/a.png"}],"seed":42}}"#;
    let product = told(good).unwrap();
    let Source::Url { url, with_key } = &product.files[0].source else { panic!("{product:?}") };
    assert_eq!((url.as_str(), *with_key, &product.facts["seed"]), ("https://v3.fal.media/a.png", false, &json!(42)));
    for (name, body) in [
        ("another job", good.replace(r#""request_id":"REQ1""#, r#""request_id":"REQ2""#)),
        ("it failed", good.replace("OK", "ERROR")),
        ("it could not be written down", r#"{"request_id":"REQ1","status":"OK","payload":null}"#.to_owned()),
        ("nothing was made", r#"{"request_id":"REQ1","status":"OK","payload":{"images":[]}}"#.to_owned()),
        ("blackened", good.replace(r#""seed":42"#, r#""has_nsfw_concepts":[true]"#)),
        ("cut off", good[..good.len() - 1].to_owned()),
    ] {
        assert!(told(&body).is_none(), "{name}");
    }
}
