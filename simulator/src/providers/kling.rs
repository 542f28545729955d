//! Kling: films as tasks that can carry a name of the caller's own, by which they are found.
//!
//! A request is signed with the secret half of a key `ACCESS:SECRET` (a JSON web token, HS256). The secret of a key that
//! nobody named is not known here: then every token is taken that has the form and holds now. Source: the documentation of
//! Kling.

use crate::answer::{Answer, Reply};
use crate::asked::{Asked, from_base64};
use crate::job::{Job, Order, Phase, Webhook};
use crate::media::Recipe;
use crate::options::Kind;
use crate::provider::{Class, Links, Provider, Refusal, Route};
use crate::sign;
use crate::studio::{Studio, seconds, seed};
use crate::webhook::{Notice, Occasion};
use crate::world::{World, new_id};
use darkroom_proto::{Duration, Timestamp};
use serde_json::{Value, json};
use std::sync::Arc;

/// What jobs are under.
const KINDS: &[&str] = &["text2video", "image2video"];

/// The longest prompt, in characters.
const PROMPT_MAX: usize = 2_500;

pub(super) struct Kling;

impl Provider for Kling {
    fn name(&self) -> &'static str {
        "kling"
    }

    fn route(&self, asked: &Asked) -> Option<Route> {
        Some(match (asked.parts().0, &asked.parts().1[..]) {
            ("POST", ["v1", "videos", kind]) if KINDS.contains(kind) => Route::submit(format!("videos/{kind}")),
            ("GET", ["v1", "videos", kind, id]) if KINDS.contains(kind) => {
                Route::of_job(Class::Poll, &format!("videos/{kind}"), *id)
            }
            _ => return None,
        })
    }

    /// The access half of the key.
    fn key(&self, asked: &Asked) -> Option<String> {
        // What is no token at all is a key too: one that proves nothing.
        let token = asked.authorization("Bearer")?;
        Some(Token::read(&token).map_or(token, |token| token.issuer))
    }

    fn prove(&self, asked: &Asked, shown: &str, world: &World) -> Result<String, Reply> {
        let token = asked.authorization("Bearer").and_then(|token| Token::read(&token));
        let token = token.ok_or_else(|| error(401, 1_002, "Auth failed: the token is malformed"))?;
        let now = world.now().0 / 1_000;
        if token.expires.is_none_or(|expires| expires <= now) {
            return Err(error(401, 1_004, "Auth failed: the token has expired"));
        }
        if token.begins.is_some_and(|begins| begins > now) {
            return Err(error(401, 1_003, "Auth failed: the token is not yet valid"));
        }
        let named = world.named_keys("kling").find_map(|key| {
            let (access, secret) = key.split_once(':')?;
            (access == shown).then_some((key, secret))
        });
        match named {
            Some((_, secret)) if !token.is_signed_with(secret) => {
                Err(error(401, 1_000, "Auth failed: the signature is wrong"))
            }
            Some((key, _)) => Ok(key.to_owned()),
            None => Ok(shown.to_owned()),
        }
    }

    fn order(&self, asked: &Asked, route: &Route, _studio: &Studio<'_>) -> Result<Order, Refusal> {
        let input = asked.json();
        let prompt = input["prompt"].as_str().unwrap_or_default();
        if prompt.chars().count() > PROMPT_MAX {
            return Err(Refusal::invalid("prompt", "prompt is too long"));
        }
        if route.endpoint.ends_with("image2video") {
            let image = input["image"].as_str().or(input["image_tail"].as_str()).unwrap_or_default();
            if image.is_empty() {
                return Err(Refusal::invalid("image", "image and image_tail can't both be empty"));
            }
            if image.starts_with("data:") || !(image.contains("://") || from_base64(image).is_some()) {
                return Err(Refusal::invalid("image", "image is neither a URL nor base64 without a prefix"));
            }
        } else if prompt.is_empty() {
            return Err(Refusal::invalid("prompt", "prompt can't be empty"));
        }
        for (name, words) in [("duration", ["5", "10"]), ("mode", ["std", "pro"])] {
            let given = &input[name];
            if !given.is_null() && !words.iter().any(|word| given == word) {
                return Err(Refusal::invalid(name, format!("{name} value '{given}' is invalid")));
            }
        }
        let mut order = Order::new(&*route.endpoint, Kind::Video, Value::Null)
            .makes(Recipe::Film { mark: seed(&input), seconds: seconds(&input["duration"], 5) });
        order.external = input["external_task_id"].as_str().filter(|id| !id.is_empty()).map(str::to_owned);
        order.webhook = input["callback_url"].as_str().map(|url| Webhook { on_start: true, ..Webhook::at(url) });
        order.input = input;
        Ok(order)
    }

    fn accepted(&self, _asked: &Asked, job: &Arc<Job>, now: Timestamp) -> Answer {
        let mut data = data(job, now);
        data["task_status"] = "submitted".into();
        success(data).into()
    }

    fn look(&self, asked: &Asked, route: &Route, world: &mut World) -> Answer {
        let key = self.key(asked).unwrap_or_default();
        let job = world.job_or_external("kling", &key, route.id());
        match job.filter(|job| job.endpoint == route.endpoint && job.key == key) {
            Some(job) => success(told(&job, world)),
            None => error(404, 1_203, "Task not found"),
        }
        .into()
    }

    fn refuse(&self, refusal: &Refusal) -> Reply {
        let reply = match refusal {
            Refusal::NoKey => error(401, 1_001, "Authorization is empty"),
            Refusal::InvalidKey => error(401, 1_002, "Authorization is invalid"),
            Refusal::Forbidden => error(403, 1_103, "The account has no access to this resource"),
            Refusal::Quota => error(429, 1_102, "Account balance not enough"),
            Refusal::TooMany { at_once: true, .. } => error(429, 1_303, "parallel task over resource pack limit"),
            Refusal::TooMany { .. } => error(429, 1_302, "The request is too fast"),
            Refusal::Content => error(400, 1_301, "The content triggers the content security policy of the platform"),
            Refusal::NotFound => error(404, 1_202, "The request method is invalid"),
            Refusal::Invalid { message, .. } => error(400, 1_201, message),
            Refusal::Status { status, .. } => {
                let code = match status {
                    503 => 5_001,
                    504 => 5_002,
                    400 => 1_200,
                    401 => 1_000,
                    403 => 1_103,
                    404 => 1_203,
                    _ => 5_000,
                };
                error(*status, code, &format!("Request failed with status {status}"))
            }
        };
        reply.after(refusal)
    }

    fn notice(&self, job: &Arc<Job>, occasion: Occasion, world: &mut World) -> Option<Notice> {
        let mut data = told(job, world);
        if occasion == Occasion::Start {
            data["task_status"] = "processing".into();
        }
        Some(Notice::json(&data))
    }

    fn links(&self) -> Links {
        Links { lifetime: Duration::from_secs(30 * 86_400), renewed: false, gone: 404 }
    }
}

/// A JSON web token, read and not yet believed.
struct Token {
    issuer: String,
    /// Seconds since 1970.
    expires: Option<u64>,
    begins: Option<u64>,
    message: String,
    signature: Vec<u8>,
}

impl Token {
    fn read(text: &str) -> Option<Token> {
        let (message, signature) = text.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        let part = |text: &str| serde_json::from_slice::<Value>(&from_base64(text)?).ok();
        let (header, claims) = (part(header)?, part(claims)?);
        if header["alg"] != "HS256" || header["typ"] != "JWT" {
            return None;
        }
        Some(Token {
            issuer: claims["iss"].as_str().filter(|issuer| !issuer.is_empty())?.to_owned(),
            expires: claims["exp"].as_u64(),
            begins: claims["nbf"].as_u64(),
            message: message.to_owned(),
            signature: from_base64(signature)?,
        })
    }

    fn is_signed_with(&self, secret: &str) -> bool {
        sign::hmac_sha256(secret.as_bytes(), self.message.as_bytes()) == self.signature
    }
}

/// What is told about a job, without its films.
fn data(job: &Job, now: Timestamp) -> Value {
    let updated = job.ended(now).unwrap_or(job.created);
    let mut data = json!({"task_id": job.id, "created_at": job.created.0, "updated_at": updated.0, "task_info": {}});
    if let Some(external) = &job.external {
        data["task_info"]["external_task_id"] = external.as_str().into();
    }
    data
}

fn told(job: &Job, world: &mut World) -> Value {
    let now = world.now();
    let mut data = data(job, now);
    let word = match job.phase(now) {
        Phase::Queued => "submitted",
        Phase::Running => "processing",
        Phase::Done => {
            let duration = job.input["duration"].as_str().unwrap_or("5");
            data["task_result"] =
                json!({"videos": [{"id": format!("{}-0", job.id), "url": world.link(job, 0), "duration": duration}]});
            "succeed"
        }
        Phase::Failed | Phase::Cancelled => {
            data["task_status_msg"] = "Failure to pass the risk control system".into();
            "failed"
        }
    };
    data["task_status"] = word.into();
    data
}

fn success(data: Value) -> Reply {
    Reply::json(200, &json!({"code": 0, "message": "SUCCEED", "request_id": new_id(), "data": data}))
}

fn error(status: u16, code: u32, message: &str) -> Reply {
    Reply::json(status, &json!({"code": code, "message": message, "request_id": new_id()}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::{Got, Trial, come};
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    const SUBMIT: &str = "/kling/v1/videos/text2video";

    fn token(access: &str, secret: &str, expires: u64, begins: u64) -> String {
        let claims = format!(r#"{{"iss":"{access}","exp":{expires},"nbf":{begins}}}"#);
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let message = format!("{}.{}", encode(br#"{"alg":"HS256","typ":"JWT"}"#), encode(claims.as_bytes()));
        let signature = sign::hmac_sha256(secret.as_bytes(), message.as_bytes());
        format!("{message}.{}", encode(&signature))
    }

    fn key(access: &str, secret: &str) -> String {
        format!("authorization: Bearer {}", token(access, secret, 9_999_999_999, 0))
    }

    fn code(got: &Got) -> (u16, i64) {
        (got.status, got.json["code"].as_i64().unwrap_or_else(|| panic!("{}", got.json)))
    }

    #[test]
    fn a_token_is_read_as_the_documentation_makes_it() {
        let secret = "SK".repeat(16);
        let text = token("AK", &secret, 1_700_001_800, 1_699_999_995);
        assert_eq!(
            text,
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.\
             eyJpc3MiOiJBSyIsImV4cCI6MTcwMDAwMTgwMCwibmJmIjoxNjk5OTk5OTk1fQ.\
             8849R0vxKQbLDWjIi-MFI9fctJt4S6hIsvxM7TvzJb0"
        );
        let token = Token::read(&text).unwrap();
        assert_eq!(
            (token.issuer.as_str(), token.expires, token.begins),
            ("AK", Some(1_700_001_800), Some(1_699_999_995))
        );
        assert!(token.is_signed_with(&secret) && !token.is_signed_with("SK"));
        for text in ["", "a.b", "a.b.c", "k", "e30.e30.e30"] {
            assert!(Token::read(text).is_none(), "{text}");
        }
    }

    #[tokio::test]
    async fn a_film_is_found_by_either_id_and_only_once() {
        let trial = Trial::taking(0);
        let (key, other) = (key("AK", "SK"), key("BK", "SK"));
        let input =
            json!({"model_name": "kling-v1-6", "prompt": "a mug", "duration": "10", "external_task_id": "mine"});
        let taken = trial.post(SUBMIT, &[&key], &input).await;
        assert_eq!((code(&taken), taken.text("/data/task_status")), ((200, 0), "submitted"));
        let again = trial.post(SUBMIT, &[&key], &input).await;
        assert_eq!(code(&again), (400, 1_201));
        assert!(again.text("/message").contains("external_task_id"));
        for id in ["mine", taken.text("/data/task_id")] {
            let done = trial.get(&format!("{SUBMIT}/{id}"), &[&key]).await;
            assert_eq!(done.text("/data/task_status"), "succeed");
            assert_eq!(done.text("/data/task_info/external_task_id"), "mine");
            assert_eq!(done.text("/data/task_result/videos/0/duration"), "10");
            let film = trial.get(done.text("/data/task_result/videos/0/url"), &[]).await;
            assert_eq!(film.header("content-type"), "video/mp4");
        }
        assert_eq!(code(&trial.get(&format!("{SUBMIT}/mine"), &[&other]).await), (404, 1_203), "another account");
        let elsewhere = trial.get("/kling/v1/videos/image2video/mine", &[&key]).await;
        assert_eq!(code(&elsewhere), (404, 1_203), "another kind");
        let charges = trial.charges().await;
        assert_eq!(charges.len(), 1);
        assert_eq!((&charges[0]["endpoint"], &charges[0]["key"]), (&json!("videos/text2video"), &json!("AK")));
    }

    #[tokio::test]
    async fn tokens_are_checked_as_far_as_the_key_is_known() {
        let trial = Trial::taking(60_000);
        let input = json!({"prompt": "a mug"});
        trial.key("kling", "AK:SK", "ok").await;
        trial.key("kling", "POOR:SK", "exhausted").await;
        trial.key("kling", "GONE:SK", "invalid").await;
        let bearer = |token: String| format!("authorization: Bearer {token}");
        let cases = [
            ("right", key("AK", "SK"), (200, 0)),
            ("wrong secret", key("AK", "KS"), (401, 1_000)),
            ("nobody named it", key("ZZ", "any"), (200, 0)),
            ("no token", bearer("AK:SK".to_owned()), (401, 1_002)),
            ("expired", bearer(token("AK", "SK", 1_700_000_000, 0)), (401, 1_004)),
            ("too early", bearer(token("AK", "SK", 9_999_999_999, 9_999_999_998)), (401, 1_003)),
            ("no money", key("POOR", "SK"), (429, 1_102)),
            ("unknown", key("GONE", "SK"), (401, 1_002)),
        ];
        for (name, key, want) in cases {
            assert_eq!(code(&trial.post(SUBMIT, &[&key], &input).await), want, "{name}");
        }
        assert_eq!(code(&trial.post(SUBMIT, &[], &input).await), (401, 1_001));
        trial.post("/_sim/limits", &[], &json!({"provider": "kling", "at_once": 1})).await;
        assert_eq!(code(&trial.post(SUBMIT, &[&key("AK", "SK")], &input).await), (429, 1_303));
        assert_eq!(trial.charges().await.len(), 2);
    }

    #[tokio::test]
    async fn what_is_wrong_is_told_by_a_code() {
        let trial = Trial::taking(0);
        let key = key("AK", "SK");
        let cases = [
            ("text2video", json!({"prompt": ""})),
            ("text2video", json!({"prompt": "x", "duration": 5})),
            ("image2video", json!({"prompt": "x"})),
            ("image2video", json!({"prompt": "x", "image": "data:image/png;base64,AAAA"})),
        ];
        for (kind, input) in cases {
            let got = trial.post(&format!("/kling/v1/videos/{kind}"), &[&key], &input).await;
            assert_eq!(code(&got), (400, 1_201), "{input}");
        }
        trial.fault(json!({"provider": "kling", "kind": "http:503", "count": 1})).await;
        assert_eq!(code(&trial.post(SUBMIT, &[&key], &json!({"prompt": "x"})).await), (503, 5_001));
        trial.fault(json!({"provider": "kling", "kind": "content"})).await;
        let taken = trial.post(SUBMIT, &[&key], &json!({"prompt": "x"})).await;
        let done = trial.get(&format!("{SUBMIT}/{}", taken.text("/data/task_id")), &[&key]).await;
        assert_eq!(done.text("/data/task_status"), "failed");
        assert!(done.text("/data/task_status_msg").contains("risk control"));
    }

    #[tokio::test]
    async fn a_callback_is_what_the_question_gives() {
        let mut trial = Trial::taking(20);
        let (url, taken) = trial.receiver().await;
        let input = json!({"prompt": "x", "image": "AAAA", "callback_url": url});
        trial.post("/kling/v1/videos/image2video", &[&key("AK", "SK")], &input).await;
        let come = come(&taken, "task_status", &["processing", "succeed"]).await;
        assert!(come.iter().any(|(_, body)| body["task_result"]["videos"][0]["url"].is_string()));
    }
}
