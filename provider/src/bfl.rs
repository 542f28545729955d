//! Black Forest Labs: FLUX where it is made.
//!
//! `POST api.bfl.ai/v1/<endpoint>` gives a URL to ask at, which leads to the region that has the job: nobody else knows it.
//! A job that the filters refuse costs nothing. Source: the documentation of BFL; there is no official client.

use crate::adapter::{
    Access, Adapter, Ask, Disbelief, Failure, Incoming, News, Polled, Product, Submission, Submitted, Traits,
};
use crate::answer;
use crate::http::{Request, Response, is_id};
use crate::{classify, mapping};
use darkroom_proto::{ErrorClass, Money, StepError};
use secrecy::ExposeSecret;
use serde_json::Value;

/// The adapter.
#[derive(Debug)]
pub(crate) struct Bfl;

const NAME: &str = "bfl";
const HOST: &str = "https://api.bfl.ai";

/// US dollars of a credit.
const CREDIT: f64 = 0.01;

impl Adapter for Bfl {
    fn name(&self) -> &'static str {
        NAME
    }

    fn traits(&self) -> Traits {
        Traits {
            synchronous: false,
            webhook: true,
            // Its secret comes back as it was sent, and whoever has our URL could send it too: a hint only.
            signed: false,
            cancels: false,
            looks_up: false,
            at_once: 24,
            rate: None,
        }
    }

    fn hosts(&self) -> &'static [&'static str] {
        &["bfl.ai", "bfl.ml"]
    }

    fn submit(&self, access: &Access, ask: &Ask<'_>) -> Result<Submission, StepError> {
        let mut mapped = mapping::body(ask)?;
        if let Some(webhook) = ask.webhook {
            mapped.body.insert("webhook_url".to_owned(), webhook.into());
        }
        let url = access.url(HOST, &format!("/v1/{}", ask.route.endpoint));
        let request = keyed(access, Request::post(url, Value::Object(mapped.body)));
        Ok(Submission { request, ignored: mapped.ignored, notes: mapped.notes })
    }

    fn submitted(&self, access: &Access, ask: &Ask<'_>, response: &Response) -> Submitted {
        if !response.is_success() {
            return answer::refused(self, response);
        }
        let body = response.json();
        let Some(id) = answer::id_in(&body, "id") else { return answer::unreadable(NAME) };
        let mut handle = answer::handle(access, ask, id);
        let url = answer::text_in(&body, "polling_url").filter(|url| access.leads_home(url, self.hosts()));
        handle.extend(url.map(|url| ("polling_url".to_owned(), url.into())));
        let cost = body.get("cost").filter(|cost| cost.is_number());
        handle.extend(cost.map(|cost| ("cost".to_owned(), cost.clone())));
        Submitted::Accepted(Value::Object(handle))
    }

    fn poll(&self, access: &Access, handle: &Value) -> Result<Request, StepError> {
        let given = answer::text_in(handle, "polling_url").filter(|url| access.leads_home(url, self.hosts()));
        let url = match (given, answer::text_in(handle, "id").filter(|id| is_id(id))) {
            (Some(url), _) => url.to_owned(),
            (None, Some(id)) => access.url(HOST, &format!("/v1/get_result?id={id}")),
            (None, None) => return Err(classify::bad_handle(NAME)),
        };
        Ok(keyed(access, Request::get(url)))
    }

    fn polled(&self, access: &Access, handle: &Value, _stage: &str, response: &Response) -> Polled {
        let body = response.json();
        let state = answer::text_in(&body, "status");
        // A job that is not found may be told with a status of its own.
        if !response.is_success() && state != Some("Task not found") {
            return Polled::Again(self.classify(response));
        }
        let progress = body.get("progress").and_then(Value::as_f64);
        let failed = |class| Polled::Failed(Failure::unbilled(classify::failed(NAME, class, &reason(&body))));
        match state {
            Some("Pending") => Polled::Pending { progress },
            Some("Ready") => match answer::made(NAME, product(handle, &body)) {
                Ok(product) => Polled::Done(product),
                Err(failure) => Polled::Failed(failure),
            },
            Some("Request Moderated" | "Content Moderated") => failed(ErrorClass::ContentRejected),
            Some("Error") => failed(ErrorClass::ServerUnavailable),
            Some("Task not found") if answer::is_new(access, handle) => Polled::Pending { progress: None },
            // Where BFL did not say where to ask, another region may have it.
            Some("Task not found") if handle.get("polling_url").is_none() => {
                Polled::Again(classify::failed(NAME, ErrorClass::ServerUnavailable, "the job was not found there"))
            }
            Some("Task not found") => Polled::Failed(answer::gone(NAME)),
            Some(other) => answer::unknown_state(NAME, other, progress),
            None => Polled::Again(classify::malformed(NAME, "the status can't be read")),
        }
    }

    fn webhook(&self, incoming: &Incoming<'_>) -> Result<News, Disbelief> {
        let body: Value = serde_json::from_slice(incoming.body).map_err(|_| Disbelief::Malformed)?;
        let job = ["task_id", "id"].iter().find_map(|name| answer::id_in(&body, name)).ok_or(Disbelief::Malformed)?;
        Ok(match answer::text_in(&body, "status") {
            Some("Pending") => News::Other,
            state => News::Ended { id: format!("{job}/{}", state.unwrap_or_default()), job },
        })
    }

    fn classify(&self, response: &Response) -> StepError {
        classify::error(NAME, response, classify::by_words(&classify::message_of(response)), "")
    }
}

fn keyed(access: &Access, request: Request) -> Request {
    request.secret("x-key", access.key.expose_secret())
}

fn product(handle: &Value, body: &Value) -> Product {
    let output = answer::output_of(answer::text_in(handle, "op").unwrap_or_default());
    let sample = body.pointer("/result/sample").and_then(Value::as_str).and_then(|url| answer::at(output, url));
    let mut product = Product { files: sample.into_iter().collect(), ..Product::default() };
    product.cost = handle.get("cost").and_then(Value::as_f64).map(|credits| Money::from_usd(credits * CREDIT));
    if let Some(seed) = body.pointer("/result/seed").filter(|seed| seed.is_number()) {
        product.facts.insert("seed".to_owned(), seed.clone());
    }
    product
}

/// The state, and what is told of it.
fn reason(body: &Value) -> String {
    let state = answer::text_in(body, "status").unwrap_or_default();
    match body.get("details").filter(|details| !details.is_null()) {
        Some(details) => format!("{state}: {details}"),
        None => state.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::Source;
    use crate::sample::{Sample, answered, incoming, json_of, keyed_by, later, secret};
    use serde_json::json;

    fn flux() -> Sample {
        let map = json!({"prompt": "prompt", "width": "width:multiple(32,256,1440)", "height": "height:multiple(32,256,1440)",
                         "seed": "seed", "safety": "safety_tolerance:int"});
        let params = json!({"prompt": "x", "width": 1000, "height": 768, "seed": 42});
        Sample::made("image.generate", json!({"endpoint": "flux-pro-1.1", "map": map}), params)
    }

    fn accepted(access: &Access, sample: &Sample) -> Value {
        let answer = json!({"id": "8c3f", "polling_url": "https://api.eu4.bfl.ai/v1/get_result?id=8c3f", "cost": 4.0,
                            "input_mp": 0.0, "output_mp": 0.79});
        match Bfl.submitted(access, &sample.ask(), &answered(200, answer)) {
            Submitted::Accepted(handle) => handle,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_submission_has_sides_that_bfl_takes() {
        let (access, sample) = (keyed_by("k"), flux().webhook("https://h/w"));
        let sent = Bfl.submit(&access, &sample.ask()).unwrap();
        assert_eq!(sent.request.url, "https://api.bfl.ai/v1/flux-pro-1.1");
        assert_eq!(secret(&sent.request, "x-key"), "k");
        let want = json!({"prompt": "x", "width": 992, "height": 768, "seed": 42, "webhook_url": "https://h/w"});
        assert_eq!(*json_of(&sent.request), want);
        assert_eq!(sent.notes, ["width: 1000 became 992"]);
    }

    #[test]
    fn a_job_is_asked_about_where_bfl_said_and_nowhere_else() {
        let (access, sample) = (keyed_by("k"), flux());
        let handle = accepted(&access, &sample);
        assert_eq!(Bfl.poll(&access, &handle).unwrap().url, "https://api.eu4.bfl.ai/v1/get_result?id=8c3f");

        let stray = json!({"id": "8c3f", "polling_url": "https://bfl.ai.evil.example/x"});
        let Submitted::Accepted(handle) = Bfl.submitted(&access, &sample.ask(), &answered(200, stray)) else {
            panic!("it was taken");
        };
        assert_eq!(Bfl.poll(&access, &handle).unwrap().url, "https://api.bfl.ai/v1/get_result?id=8c3f");
        assert!(Bfl.poll(&access, &json!({"id": "../x"})).is_err());
    }

    #[test]
    fn a_result_has_its_cost_and_seed() {
        let (access, sample) = (keyed_by("k"), flux());
        let handle = accepted(&access, &sample);
        let pending = answered(200, json!({"id": "8c3f", "status": "Pending", "result": null, "progress": 0.5}));
        assert!(matches!(Bfl.polled(&access, &handle, "", &pending), Polled::Pending { progress: Some(0.5) }));
        let ready = json!({"id": "8c3f", "status": "Ready", "progress": null, "details": null, "preview": null,
                           "result": {"sample": "https://delivery-eu4.bfl.ai/r/a.jpeg?sig=s", "prompt": "x", "seed": 42}});
        let Polled::Done(product) = Bfl.polled(&access, &handle, "", &answered(200, ready)) else {
            panic!("it is done")
        };
        assert_eq!(product.cost, Some(Money(40_000)));
        assert_eq!(product.facts["seed"], 42);
        assert!(matches!(&product.files[0].source, Source::Url { with_key: false, url } if url.ends_with("sig=s")));
    }

    #[test]
    fn every_way_to_fail_has_its_class() {
        use ErrorClass::{ContentRejected, ServerUnavailable};
        let (access, sample) = (keyed_by("k"), flux());
        let (handle, much_later) = (accepted(&access, &sample), later(&access, 60));
        let cases = [
            (json!({"status": "Request Moderated", "details": {"Moderation Reasons": ["x"]}}), ContentRejected, false),
            (json!({"status": "Content Moderated"}), ContentRejected, false),
            (json!({"status": "Error"}), ServerUnavailable, false),
            (json!({"status": "Task not found"}), ServerUnavailable, true),
            (json!({"status": "Ready", "result": null}), ServerUnavailable, true),
            (json!({"status": "Failed Somehow"}), ServerUnavailable, false),
        ];
        for (answer, class, billed) in cases {
            let Polled::Failed(failure) = Bfl.polled(&much_later, &handle, "", &answered(200, answer.clone())) else {
                panic!("{answer} is a failure");
            };
            assert_eq!((failure.error.class, failure.billed), (class, billed), "{answer}");
        }
        let unknown = answered(404, json!({"status": "Task not found"}));
        assert!(matches!(Bfl.polled(&access, &handle, "", &unknown), Polled::Pending { .. }), "it is new");
        let word = answered(200, json!({"status": "Warming"}));
        assert!(matches!(Bfl.polled(&access, &handle, "", &word), Polled::Pending { .. }));
        assert!(matches!(Bfl.polled(&access, &handle, "", &answered(502, json!({}))), Polled::Again(_)));
    }

    #[test]
    fn refusals_are_classed_by_what_they_say() {
        use ErrorClass::{InvalidInput, InvalidKey, ModelNotFound, QuotaExceeded, RateLimit, ServerUnavailable};
        let detail =
            json!({"detail": [{"loc": ["body", "width"], "msg": "must be a multiple of 32", "type": "value_error"}]});
        let cases = [
            (400, json!({"detail": "bad"}), InvalidInput),
            (402, json!({"detail": "Insufficient credits"}), QuotaExceeded),
            (403, json!({"detail": "Not authenticated"}), InvalidKey),
            (404, json!({"detail": "Not Found"}), ModelNotFound),
            (422, detail, InvalidInput),
            (429, json!({"detail": "too many active tasks"}), RateLimit),
            (500, json!({}), ServerUnavailable),
        ];
        for (status, body, class) in cases {
            let Submitted::Refused(failure) =
                Bfl.submitted(&keyed_by("k"), &flux().ask(), &answered(status, body.clone()))
            else {
                panic!("{status} is a refusal");
            };
            assert_eq!((failure.error.class, failure.billed), (class, false), "{status} {body}");
        }
        let gateway = Bfl.submitted(&keyed_by("k"), &flux().ask(), &answered(504, json!({})));
        assert!(matches!(gateway, Submitted::Unclear(_)));
        assert!(matches!(
            Bfl.submitted(&keyed_by("k"), &flux().ask(), &answered(200, json!({}))),
            Submitted::Unclear(_)
        ));
    }

    #[test]
    fn a_webhook_says_only_that_somebody_should_ask() {
        let news = Bfl.webhook(&incoming(br#"{"task_id": "8c3f", "status": "SUCCESS", "result": {}}"#));
        assert_eq!(news, Ok(News::Ended { job: "8c3f".to_owned(), id: "8c3f/SUCCESS".to_owned() }));
        assert_eq!(Bfl.webhook(&incoming(br#"{"id": "8c3f", "status": "Pending"}"#)), Ok(News::Other));
        assert_eq!(Bfl.webhook(&incoming(b"[]")), Err(Disbelief::Malformed));
    }
}
