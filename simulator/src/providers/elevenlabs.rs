//! ElevenLabs: speech, answered at once.
//!
//! What is wrong with an account comes with status 401, like a wrong key. The sound is always the same; what is counted is
//! the text. Source: the official client elevenlabs, and the documentation of ElevenLabs.

use crate::answer::{Answer, Reply};
use crate::asked::{Asked, to_base64};
use crate::job::{Job, Order, Phase, Verdict};
use crate::media::{Recipe, SPEECH_SECONDS};
use crate::options::Kind;
use crate::provider::{Class, Provider, Refusal, Route};
use crate::studio::Studio;
use crate::world::{World, new_id};
use darkroom_proto::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;

/// Voices that every account has: id and name. Any other id of twenty letters and digits is taken too.
const VOICES: &[(&str, &str)] = &[
    ("21m00Tcm4TlvDq8ikWAM", "Rachel"),
    ("JBFqnCBsd6RMkjVDRZzb", "George"),
    ("EXAVITQu4vr4xnSDxMaL", "Sarah"),
    ("pNInz6obpgDQGcFmaJgB", "Adam"),
];

/// Models, with their longest texts in characters and what a character costs.
const MODELS: &[(&str, usize, f64)] = &[
    ("eleven_multilingual_v2", 10_000, 1.0),
    ("eleven_turbo_v2_5", 40_000, 0.5),
    ("eleven_flash_v2_5", 40_000, 0.5),
    ("eleven_v3", 5_000, 1.0),
];

/// Samples a second of the sound that is kept.
const SAMPLES: u32 = 8_000;

/// What stands before the samples of a WAV file.
const WAV_HEADER: usize = 44;

pub(super) struct ElevenLabs;

impl Provider for ElevenLabs {
    fn name(&self) -> &'static str {
        "elevenlabs"
    }

    fn route(&self, asked: &Asked) -> Option<Route> {
        Some(match (asked.parts().0, &asked.parts().1[..]) {
            ("POST", ["v1", "text-to-speech", _] | ["v1", "text-to-speech", _, "stream" | "with-timestamps"]) => {
                Route::submit(asked.json()["model_id"].as_str().unwrap_or(MODELS[0].0))
            }
            ("GET", ["v1" | "v2", "voices"]) => Route::other(Class::Other, "voices"),
            ("GET", ["v1", "models"]) => Route::other(Class::Other, "models"),
            _ => return None,
        })
    }

    fn key(&self, asked: &Asked) -> Option<String> {
        asked.header("xi-api-key").map(str::to_owned)
    }

    fn order(&self, asked: &Asked, route: &Route, _studio: &Studio<'_>) -> Result<Order, Refusal> {
        let mut input = asked.json();
        let voice = asked.parts().1.get(2).copied().unwrap_or_default();
        if !(voice.len() == 20 && voice.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
            return Err(Refusal::invalid("voice_not_found", format!("A voice with voice_id {voice} was not found.")));
        }
        let Some((_, text_max, _)) = MODELS.iter().find(|(name, ..)| *name == route.endpoint) else {
            let told = format!("A model with model ID {} does not exist.", route.endpoint);
            return Err(Refusal::invalid("model_not_found", told));
        };
        let text = input["text"].as_str().filter(|text| !text.is_empty()).ok_or_else(|| Refusal::missing("text"))?;
        let length = text.chars().count();
        if length > *text_max {
            let told = format!("This request has {length} characters, which exceeds the limit of {text_max}.");
            return Err(Refusal::invalid("max_character_limit_exceeded", told));
        }
        let format = asked.query("output_format").unwrap_or_else(|| "mp3_44100_128".to_owned());
        let is_wave = match format.split_once('_') {
            Some(("mp3", _)) => false,
            Some(("pcm", rate)) if rate.parse().is_ok_and(|rate: u32| (8_000..=48_000).contains(&rate)) => true,
            _ => return Err(Refusal::invalid("invalid_output_format", format!("{format} is not offered here."))),
        };
        let recipe = Recipe::speech(text, is_wave);
        (input["voice_id"], input["output_format"]) = (voice.into(), format.into());
        let mut order = Order::new(&*route.endpoint, Kind::Audio, Value::Null).makes(recipe);
        order.memory = input["text"].clone();
        order.input = input;
        Ok(order)
    }

    fn accepted(&self, _asked: &Asked, job: &Arc<Job>, _now: Timestamp) -> Answer {
        Answer::At(job.ends, job.clone())
    }

    fn look(&self, _asked: &Asked, route: &Route, _world: &mut World) -> Answer {
        let body = match route.endpoint.as_str() {
            "voices" => {
                let voices: Vec<Value> = VOICES
                    .iter()
                    .map(|(id, name)| json!({"voice_id": id, "name": name, "category": "premade", "labels": {}}))
                    .collect();
                json!({"voices": voices, "has_more": false, "total_count": voices.len(), "next_page_token": null})
            }
            _ => MODELS
                .iter()
                .map(|(id, text_max, factor)| {
                    json!({
                        "model_id": id, "name": id, "can_do_text_to_speech": true, "token_cost_factor": factor,
                        "maximum_text_length_per_request": text_max,
                    })
                })
                .collect(),
        };
        Reply::json(200, &body).into()
    }

    fn finished(&self, asked: &Asked, job: &Job, studio: &Studio<'_>) -> Reply {
        let Some(recipe) = job.makes.first().filter(|_| job.phase(studio.now()) != Phase::Cancelled) else {
            return Reply::empty(500);
        };
        if job.verdict == Verdict::Rejected {
            return self.refuse(&Refusal::Content);
        }
        let made = studio.make(recipe);
        let format = job.input["output_format"].as_str().unwrap_or_default();
        let (bytes, media_type) = match format.strip_prefix("pcm_").and_then(|rate| rate.parse().ok()) {
            Some(rate) => (resampled(made.get(WAV_HEADER..).unwrap_or_default(), rate).into(), "audio/pcm"),
            None => (made, "audio/mpeg"),
        };
        let reply = if asked.path.ends_with("/with-timestamps") {
            let alignment = alignment(job.memory.as_str().unwrap_or_default());
            Reply::json(
                200,
                &json!({
                    "audio_base64": to_base64(&bytes), "alignment": alignment, "normalized_alignment": alignment,
                }),
            )
        } else {
            Reply::bytes(200, media_type, bytes)
        };
        let factor = MODELS.iter().find(|(name, ..)| *name == job.endpoint).map_or(1.0, |(.., factor)| *factor);
        let cost = (recipe.characters() as f64 * factor).ceil() as u64;
        reply.with("request-id", &*job.id).with("character-cost", cost.to_string())
    }

    fn refuse(&self, refusal: &Refusal) -> Reply {
        let reply = match refusal {
            Refusal::NoKey => {
                error(401, "needs_authorization", "Neither authorization header nor xi-api-key received.")
            }
            Refusal::InvalidKey => error(401, "invalid_api_key", "Invalid API key"),
            Refusal::Forbidden => error(401, "missing_permissions", "The API key you used is missing a permission."),
            Refusal::Quota => {
                error(401, "quota_exceeded", "This request exceeds your quota. You have 0 credits remaining.")
            }
            Refusal::TooMany { at_once: true, .. } => {
                error(429, "too_many_concurrent_requests", "Too many concurrent requests for your subscription.")
            }
            Refusal::TooMany { .. } => error(429, "rate_limit_exceeded", "You have sent too many requests."),
            Refusal::Content => error(400, "content_against_policy", "The text was rejected by our moderation."),
            Refusal::NotFound => Reply::json(404, &json!({"detail": "Not Found"})),
            Refusal::Invalid { field, message } if message == "Field required" => {
                let detail = json!([{"loc": ["body", field], "msg": message, "type": "missing"}]);
                Reply::json(422, &json!({"detail": detail}))
            }
            Refusal::Invalid { field, message } => {
                error(if field == "voice_not_found" { 404 } else { 400 }, field, message)
            }
            Refusal::Status { status, .. } => {
                error(*status, "internal_server_error", &format!("Request failed with status {status}"))
            }
        };
        reply.after(refusal)
    }

    fn bills_rejected(&self) -> bool {
        false
    }
}

fn error(status: u16, word: &str, message: &str) -> Reply {
    Reply::json(status, &json!({"detail": {"status": word, "message": message, "request_id": new_id()}}))
}

/// When each character is spoken: all take as long.
fn alignment(text: &str) -> Value {
    let characters: Vec<String> = text.chars().map(String::from).collect();
    let each = SPEECH_SECONDS / characters.len().max(1) as f64;
    let at = |number: usize| (number as f64 * each * 1e3).round() / 1e3;
    let starts: Vec<f64> = (0..characters.len()).map(at).collect();
    let ends: Vec<f64> = (1..=characters.len()).map(at).collect();
    json!({
        "characters": characters, "character_start_times_seconds": starts, "character_end_times_seconds": ends,
    })
}

/// Samples of 16 bits at another rate, each from the one that was heard then.
fn resampled(samples: &[u8], rate: u32) -> Vec<u8> {
    let samples: Vec<&[u8]> = samples.chunks_exact(2).collect();
    let count = samples.len() as u64 * u64::from(rate) / u64::from(SAMPLES);
    let source = |at: u64| samples[(at * u64::from(SAMPLES) / u64::from(rate)) as usize];
    (0..count).flat_map(source).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asked::from_base64;
    use crate::trial::Trial;

    const KEY: &str = "xi-api-key: k";
    const SPEAK: &str = "/elevenlabs/v1/text-to-speech/21m00Tcm4TlvDq8ikWAM";

    #[tokio::test]
    async fn a_text_is_spoken_and_its_characters_are_counted() {
        let trial = Trial::taking(0);
        let input = json!({"text": "hello", "model_id": "eleven_flash_v2_5"});
        let sound = trial.post(&format!("{SPEAK}?output_format=mp3_44100_128"), &[KEY], &input).await;
        assert_eq!((sound.header("content-type"), sound.header("character-cost")), ("audio/mpeg", "3"));
        assert!(sound.body.len() > 1_000);
        let bare = trial.post(&format!("{SPEAK}/stream?output_format=pcm_24000"), &[KEY], &input).await;
        assert_eq!((bare.header("content-type"), bare.body.len()), ("audio/pcm", 48_000));
        let timed = trial.post(&format!("{SPEAK}/with-timestamps"), &[KEY], &input).await;
        assert_eq!(from_base64(timed.text("/audio_base64")).unwrap(), sound.body);
        assert_eq!(timed.json["alignment"]["characters"], json!(["h", "e", "l", "l", "o"]));
        let charges = trial.charges().await;
        assert_eq!((charges.len(), &charges[0]["endpoint"]), (3, &json!("eleven_flash_v2_5")));
        assert_eq!(trial.get("/elevenlabs/v1/voices", &[KEY]).await.text("/voices/0/name"), "Rachel");
    }

    #[tokio::test]
    async fn refusals_are_said_as_elevenlabs_says_them() {
        let trial = Trial::taking(0);
        trial.key("elevenlabs", "bad", "invalid").await;
        trial.key("elevenlabs", "poor", "exhausted").await;
        let good = json!({"text": "hi"});
        let nobody = "/elevenlabs/v1/text-to-speech/nobody";
        let cases: [(&str, &[&str], &Value, u16, &str); 6] = [
            (SPEAK, &[], &good, 401, "needs_authorization"),
            (SPEAK, &["xi-api-key: bad"], &good, 401, "invalid_api_key"),
            (SPEAK, &["xi-api-key: poor"], &good, 401, "quota_exceeded"),
            (nobody, &[KEY], &good, 404, "voice_not_found"),
            (SPEAK, &[KEY], &json!({"text": "hi", "model_id": "none"}), 400, "model_not_found"),
            (SPEAK, &[KEY], &json!({"text": "x".repeat(10_001)}), 400, "max_character_limit_exceeded"),
        ];
        for (path, headers, input, status, word) in cases {
            let got = trial.post(path, headers, input).await;
            assert_eq!((got.status, got.text("/detail/status")), (status, word));
        }
        let missing = trial.post(SPEAK, &[KEY], &json!({})).await;
        assert_eq!((missing.status, &missing.json["detail"][0]["loc"]), (422, &json!(["body", "text"])));
        trial.fault(json!({"provider": "elevenlabs", "kind": "http:500", "count": 1})).await;
        assert_eq!(trial.post(SPEAK, &[KEY], &good).await.status, 500);
        assert!(trial.charges().await.is_empty());
        trial.fault(json!({"provider": "elevenlabs", "kind": "content"})).await;
        assert_eq!(trial.post(SPEAK, &[KEY], &good).await.text("/detail/status"), "content_against_policy");
        assert_eq!(trial.charges().await[0]["refunded"], true);
    }
}
