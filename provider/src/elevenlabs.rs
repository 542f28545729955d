//! ElevenLabs: speech.
//!
//! `POST api.elevenlabs.io/v1/text-to-speech/<voice>` answers with the sound. What is wrong with an account comes with status
//! 401, like a wrong key. Source: the client elevenlabs (Python) and the documentation of ElevenLabs.

use crate::adapter::{Access, Adapter, Ask, Failure, Made, Polled, Product, Source, Submission, Submitted, Traits};
use crate::answer;
use crate::http::{Request, Response, encoded, is_id};
use crate::{classify, mapping};
use darkroom_proto::{ErrorClass, Map, StepError};
use secrecy::ExposeSecret;
use serde_json::Value;

/// The adapter. The endpoint of a route is the model. `voice` among what a route always sends is the voice where none is
/// asked for.
#[derive(Debug)]
pub(crate) struct ElevenLabs;

const NAME: &str = "elevenlabs";
const HOST: &str = "https://api.elevenlabs.io";

/// How long speaking a text may take.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(180);

/// The sound that is asked for where the route does not say.
const FORMAT: &str = "mp3_44100_128";

/// Ids of voices that every account has, by name. Others are given by their id. Source: the documentation's examples and
/// its list of default voices.
const VOICES: &[(&str, &str)] = &[
    ("rachel", "21m00Tcm4TlvDq8ikWAM"),
    ("george", "JBFqnCBsd6RMkjVDRZzb"),
    ("sarah", "EXAVITQu4vr4xnSDxMaL"),
    ("adam", "pNInz6obpgDQGcFmaJgB"),
    ("antoni", "ErXwobaYiN019PkySvjV"),
    ("josh", "TxGEqnHWrfWFTfGW9XjX"),
    ("arnold", "VR6AewLTigWG4xSOukaG"),
    ("domi", "AZnzlk1XvdvUeBnXmlld"),
    ("elli", "MF3mGyEYCl7XYWbV9V6O"),
    ("sam", "yoZ06aMxZJJ28mfd3POQ"),
];

/// Who speaks where nobody is asked for.
const VOICE: &str = "21m00Tcm4TlvDq8ikWAM";

impl Adapter for ElevenLabs {
    fn name(&self) -> &'static str {
        NAME
    }

    fn traits(&self) -> Traits {
        Traits {
            synchronous: true,
            webhook: false,
            signed: false,
            cancels: false,
            looks_up: false,
            // Of the smaller plans; the header `maximum-concurrent-requests` tells the account's own.
            at_once: 4,
            rate: None,
        }
    }

    fn hosts(&self) -> &'static [&'static str] {
        &["api.elevenlabs.io"]
    }

    fn submit(&self, access: &Access, ask: &Ask<'_>) -> Result<Submission, StepError> {
        let mut mapped = mapping::body(ask)?;
        mapped.body.remove("voice");
        let asked = ask.params.get("voice").or_else(|| ask.route.fixed.get("voice")).and_then(Value::as_str);
        let voice = asked.map(str::trim).filter(|voice| !voice.is_empty()).map_or(VOICE, id_of_voice);
        if !is_id(voice) {
            return Err(unknown_voice(voice));
        }
        let format = mapped.body.remove("output_format");
        let format = format.as_ref().and_then(Value::as_str).unwrap_or(FORMAT);
        mapped.body.entry("model_id").or_insert_with(|| ask.route.endpoint.as_str().into());
        let path = format!("/v1/text-to-speech/{voice}?output_format={}", encoded(format));
        let request = Request::post(access.url(HOST, &path), Value::Object(mapped.body)).within(TIMEOUT);
        let request = request.secret("xi-api-key", access.key.expose_secret());
        Ok(Submission { request, ignored: mapped.ignored, notes: mapped.notes })
    }

    fn submitted(&self, _access: &Access, ask: &Ask<'_>, response: &Response) -> Submitted {
        if !response.is_success() {
            return answer::refused(self, response);
        }
        let kind = response.header("content-type").unwrap_or("audio/mpeg");
        if kind.contains("json") || classify::is_html(response) {
            return answer::unreadable(NAME);
        }
        if response.body.is_empty() {
            return Submitted::Refused(Failure::billed(classify::no_media(NAME, "")));
        }
        let is_bare = kind.contains("pcm") || (kind == "application/octet-stream" && wants_wave(ask));
        let (bytes, media_type) = match is_bare {
            true => (wave(&response.body), "audio/wav"),
            false => (response.body.clone(), kind.split(';').next().unwrap_or(kind).trim()),
        };
        let source = Source::Bytes { bytes, media_type: media_type.to_owned() };
        let request = response.header("request-id").map(|id| ("request_id".to_owned(), id.into()));
        Submitted::Done(Product {
            files: vec![Made { output: answer::output_of(ask.op), source }],
            facts: Map::from_iter(request),
            ..Product::default()
        })
    }

    fn poll(&self, _access: &Access, _handle: &Value) -> Result<Request, StepError> {
        Err(classify::bad_handle(NAME))
    }

    fn polled(&self, _access: &Access, _handle: &Value, _stage: &str, response: &Response) -> Polled {
        Polled::Again(self.classify(response))
    }

    fn classify(&self, response: &Response) -> StepError {
        let body = response.json();
        let found = ["code", "status", "type"].iter().find_map(|name| {
            let word = body.pointer(&format!("/detail/{name}"))?.as_str()?;
            Some((word, class_of(word)?))
        });
        match found {
            Some((word, class)) => classify::error(NAME, response, Some(class), "").code(word),
            None => classify::error(NAME, response, classify::by_words(&classify::message_of(response)), ""),
        }
    }
}

fn class_of(word: &str) -> Option<ErrorClass> {
    Some(match word {
        "quota_exceeded" | "insufficient_credits" | "payment_required" => ErrorClass::QuotaExceeded,
        "invalid_api_key" | "missing_permissions" | "needs_authorization" | "detected_unusual_activity" => {
            ErrorClass::InvalidKey
        }
        "max_character_limit_exceeded" | "text_too_long" => ErrorClass::TooLarge,
        "voice_not_found" | "model_not_found" | "invalid_voice_id" => ErrorClass::ModelNotFound,
        "content_against_policy" | "moderation" => ErrorClass::ContentRejected,
        "rate_limit_exceeded" | "too_many_concurrent_requests" | "concurrent_limit_exceeded" => ErrorClass::RateLimit,
        "system_busy" => ErrorClass::ServerUnavailable,
        _ => return None,
    })
}

fn id_of_voice(voice: &str) -> &str {
    VOICES.iter().find(|(name, _)| name.eq_ignore_ascii_case(voice)).map_or(voice, |(_, id)| id)
}

fn unknown_voice(voice: &str) -> StepError {
    let names: Vec<&str> = VOICES.iter().map(|(name, _)| *name).collect();
    StepError::new(ErrorClass::InvalidInput, format!("`{voice}` is no voice of elevenlabs"))
        .code("unknown_voice")
        .advice(format!("Name one of {}, or give the id of a voice of your account.", names.join(", ")))
}

/// Samples per second of the bare sound that stands in for a WAV file.
const SAMPLES: u32 = 24_000;

/// Whether bare samples were asked for.
fn wants_wave(ask: &Ask<'_>) -> bool {
    ask.params.get("format").and_then(Value::as_str) == Some("wav")
}

/// Bare samples (16 bits, one channel) as a WAV file.
fn wave(samples: &[u8]) -> Vec<u8> {
    let length = u32::try_from(samples.len()).unwrap_or(u32::MAX - 36);
    let mut file = Vec::with_capacity(samples.len() + 44);
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&(length + 36).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt ");
    file.extend_from_slice(&16u32.to_le_bytes());
    // PCM, one channel.
    file.extend_from_slice(&[1, 0, 1, 0]);
    file.extend_from_slice(&SAMPLES.to_le_bytes());
    file.extend_from_slice(&(SAMPLES * 2).to_le_bytes());
    // Two bytes for a moment, 16 bits for a sample.
    file.extend_from_slice(&[2, 0, 16, 0]);
    file.extend_from_slice(b"data");
    file.extend_from_slice(&length.to_le_bytes());
    file.extend_from_slice(samples);
    file
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Sample, answered, json_of, keyed_by, secret};
    use serde_json::json;

    fn speech(params: Value) -> Sample {
        let map = json!({"text": "text", "voice": "voice", "speed": "voice_settings.speed:clamp(0.7,1.2)",
                         "format": "output_format:words(mp3=mp3_44100_128|wav=pcm_24000)"});
        Sample::made("audio.speech", json!({"endpoint": "eleven_multilingual_v2", "map": map}), params)
    }

    fn sound(kind: &str, bytes: &[u8]) -> Response {
        let headers = [("content-type", kind), ("request-id", "r1"), ("character-cost", "2")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Response { status: 200, headers, body: bytes.to_vec() }
    }

    #[test]
    fn a_submission_is_what_the_official_client_sends() {
        let sample = speech(json!({"text": "hi", "voice": "V1", "format": "mp3"}));
        let sent = ElevenLabs.submit(&keyed_by("k"), &sample.ask()).unwrap().request;
        assert_eq!(sent.url, "https://api.elevenlabs.io/v1/text-to-speech/V1?output_format=mp3_44100_128");
        assert_eq!(secret(&sent, "xi-api-key"), "k");
        assert_eq!(*json_of(&sent), json!({"text": "hi", "model_id": "eleven_multilingual_v2"}));
    }

    #[test]
    fn voices_go_by_name_or_by_id() {
        let cases = [
            (json!({"text": "hi"}), VOICE),
            (json!({"text": "hi", "voice": ""}), VOICE),
            (json!({"text": "hi", "voice": "George"}), "JBFqnCBsd6RMkjVDRZzb"),
            (json!({"text": "hi", "voice": "abc123"}), "abc123"),
        ];
        for (params, voice) in cases {
            let sent = ElevenLabs.submit(&keyed_by("k"), &speech(params.clone()).ask()).unwrap().request;
            assert!(sent.url.contains(&format!("/text-to-speech/{voice}?")), "{params}: {}", sent.url);
            assert!(json_of(&sent).get("voice").is_none());
        }
        let odd = speech(json!({"text": "hi", "voice": "../voices"}));
        assert_eq!(ElevenLabs.submit(&keyed_by("k"), &odd.ask()).unwrap_err().code, "unknown_voice");
    }

    #[test]
    fn a_sound_comes_at_once() {
        let sample = speech(json!({"text": "hi", "speed": 2, "format": "mp3"}));
        let sent = ElevenLabs.submit(&keyed_by("k"), &sample.ask()).unwrap();
        assert_eq!(json_of(&sent.request)["voice_settings"]["speed"], 1.2);
        assert_eq!(sent.notes, ["speed: 2 became 1.2"]);
        let Submitted::Done(product) =
            ElevenLabs.submitted(&keyed_by("k"), &sample.ask(), &sound("audio/mpeg", b"ID3"))
        else {
            panic!("it is done");
        };
        assert_eq!((product.cost, &product.facts["request_id"]), (None, &json!("r1")));
        assert_eq!(product.files[0].output, "audio");
        let Source::Bytes { bytes, media_type } = &product.files[0].source else { panic!("it is here") };
        assert_eq!((bytes.as_slice(), media_type.as_str()), (&b"ID3"[..], "audio/mpeg"));
    }

    #[test]
    fn bare_samples_become_a_wav_file() {
        let sample = speech(json!({"text": "hi", "format": "wav"}));
        let sent = ElevenLabs.submit(&keyed_by("k"), &sample.ask()).unwrap().request;
        assert!(sent.url.ends_with("?output_format=pcm_24000"));
        for kind in ["audio/pcm", "application/octet-stream"] {
            let Submitted::Done(product) =
                ElevenLabs.submitted(&keyed_by("k"), &sample.ask(), &sound(kind, &[1, 0, 2, 0]))
            else {
                panic!("it is done");
            };
            let Source::Bytes { bytes, media_type } = &product.files[0].source else { panic!("it is here") };
            assert_eq!((media_type.as_str(), bytes.len(), &bytes[8..12]), ("audio/wav", 48, &b"WAVE"[..]));
        }
    }

    #[test]
    fn refusals_are_classed_by_word_before_status() {
        use ErrorClass::{
            ContentRejected, InvalidInput, InvalidKey, ModelNotFound, QuotaExceeded, RateLimit, ServerUnavailable,
            TooLarge,
        };
        let word = |name: &str, word: &str| json!({"detail": {name: word, "message": "no"}});
        let cases = [
            (401, word("status", "invalid_api_key"), InvalidKey),
            (401, word("status", "quota_exceeded"), QuotaExceeded),
            (
                401,
                json!({"detail": {"type": "payment_required", "code": "quota_exceeded", "message": "no"}}),
                QuotaExceeded,
            ),
            (400, word("status", "max_character_limit_exceeded"), TooLarge),
            (400, word("status", "voice_not_found"), ModelNotFound),
            (404, word("code", "voice_not_found"), ModelNotFound),
            (400, word("status", "content_against_policy"), ContentRejected),
            (
                422,
                json!({"detail": [{"loc": ["body", "text"], "msg": "field required", "type": "missing"}]}),
                InvalidInput,
            ),
            (429, word("status", "rate_limit_exceeded"), RateLimit),
            (429, word("status", "too_many_concurrent_requests"), RateLimit),
            (429, word("code", "concurrent_limit_exceeded"), RateLimit),
            (429, word("status", "system_busy"), ServerUnavailable),
            (429, word("status", "something_new"), RateLimit),
            (500, json!({}), ServerUnavailable),
        ];
        for (status, body, class) in cases {
            let answer = answered(status, body.clone());
            let Submitted::Refused(failure) = ElevenLabs.submitted(&keyed_by("k"), &speech(json!({})).ask(), &answer)
            else {
                panic!("{body} is a refusal");
            };
            assert_eq!((failure.error.class, failure.billed), (class, false), "{status} {body}");
        }
    }

    #[test]
    fn an_answer_without_a_sound_is_none() {
        let sample = speech(json!({"text": "hi"}));
        let submitted = |response: &Response| ElevenLabs.submitted(&keyed_by("k"), &sample.ask(), response);
        assert!(matches!(submitted(&sound("audio/mpeg", b"")), Submitted::Refused(failure) if failure.billed));
        assert!(matches!(submitted(&sound("application/json", b"{}")), Submitted::Unclear(_)));
        assert!(matches!(submitted(&sound("text/html", b"<html>")), Submitted::Unclear(_)));
    }
}
