//! `audio.speech`, by the local provider: espeak-ng where it is installed, else a tone that has the pace of the text.

use super::job::outputs;
use super::local::{ignored, require};
use super::{Job, NewFile};
use crate::local::speak;
use crate::media::Sound;
use crate::program::{Call, Program};
use darkroom_proto::{ErrorClass, StepError, Succeeded};
use std::ffi::OsString;

/// Words of a minute at the usual speed, and what espeak-ng can do.
const WORDS: f64 = 175.0;
const WORDS_MIN: f64 = 80.0;
const WORDS_MAX: f64 = 450.0;

/// The most that is taken of a program: the longest text at the slowest speed, and more.
const BYTES_MAX: usize = 256 << 20;

pub(super) fn run(job: &Job<'_>) -> Result<Succeeded, StepError> {
    let params = job.params();
    require(job)?;
    let (text, speed, format) = (params.text("text")?, params.number("speed")?, params.text("format")?);
    if !text.chars().any(char::is_alphanumeric) {
        return Err(params.invalid("text", "has nothing in it that could be said").code("nothing_to_say"));
    }
    let voice = params.text("voice").ok();
    let mut notes = Vec::new();
    let installed = |program| job.context().programs.find(program).is_some();
    let sound = if installed(Program::EspeakNg) {
        spoken(job, &text, speed, voice.as_deref(), &mut notes)?
    } else {
        notes.extend(ignored(job, &["voice"])?);
        notes.push("espeak-ng is not installed: the preview is a tone that has the pace of the text".to_owned());
        speak(&text, speed)
    };
    let wav = sound.to_wav();
    let (bytes, media_type, extension) = match format.as_str() {
        "mp3" if installed(Program::Ffmpeg) => (mp3(job, &wav)?, "audio/mpeg", "mp3"),
        "mp3" => {
            notes.push("ffmpeg is not installed, which MP3 needs: the preview is a WAV file".to_owned());
            (wav, "audio/wav", "wav")
        }
        _ => (wav, "audio/wav", "wav"),
    };
    let audio = job.context().files.store(NewFile {
        bytes,
        media_type,
        name: format!("{}.{extension}", job.stem(None)),
        width: None,
        height: None,
        duration: Some((sound.seconds() * 1_000.0).round() / 1_000.0),
    })?;
    Ok(Succeeded { notes, ..outputs([("audio", audio.to_value())]) })
}

fn spoken(
    job: &Job<'_>,
    text: &str,
    speed: f64,
    voice: Option<&str>,
    notes: &mut Vec<String>,
) -> Result<Sound, StepError> {
    let words = (WORDS * speed).round().clamp(WORDS_MIN, WORDS_MAX);
    let say = |voice: &str| {
        let words = words.to_string();
        let arguments = ["--stdin", "--stdout", "-b", "1", "-s", &words, "-v", voice].map(OsString::from).to_vec();
        let call =
            Call { program: Program::EspeakNg, arguments, time_max: job.time_left(), output_bytes_max: BYTES_MAX };
        job.context().programs.call(&call, |to| to.write_all(text.as_bytes()))
    };
    let known = voice.filter(|voice| is_voice(voice)).map(say);
    let wav = match known {
        Some(Ok(wav)) if !wav.is_empty() => wav,
        Some(Err(error)) if error.class == ErrorClass::Timeout => return Err(error),
        _ => {
            notes.extend(ignored(job, &["voice"])?);
            say("en")?
        }
    };
    Sound::from_wav(&wav).ok_or_else(|| {
        StepError::new(ErrorClass::WorkflowError, "espeak-ng wrote no sound that can be read")
            .code("espeak-ng_failed")
            .advice("check that `espeak-ng --stdout hello` writes a WAV file of 16 bits and one channel")
    })
}

/// Whether it could be the name of a voice of espeak-ng, such as `de` or `en-us+f3`: other models' voices are not asked for.
fn is_voice(text: &str) -> bool {
    let (language, variant) = text.split_once('+').unwrap_or((text, "m1"));
    let code = language.split('-').next().unwrap_or_default();
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric());
    (2..=3).contains(&code.len())
        && code.bytes().all(|b| b.is_ascii_lowercase())
        && language.split('-').all(plain)
        && plain(variant)
}

/// No date and no program's name, so that the same sound gives the same bytes.
fn mp3(job: &Job<'_>, wav: &[u8]) -> Result<Vec<u8>, StepError> {
    let arguments = [
        ["-hide_banner", "-nostats", "-loglevel", "error"].as_slice(),
        &["-f", "wav", "-i", "pipe:0", "-vn"],
        &["-c:a", "libmp3lame", "-b:a", "64k", "-threads", "1"],
        &["-fflags", "+bitexact", "-flags:a", "+bitexact", "-map_metadata", "-1"],
        &["-id3v2_version", "0", "-write_xing", "0", "-f", "mp3", "pipe:1"],
    ]
    .concat();
    let call = Call {
        program: Program::Ffmpeg,
        arguments: arguments.into_iter().map(OsString::from).collect(),
        time_max: job.time_left(),
        output_bytes_max: BYTES_MAX,
    };
    job.context().programs.call(&call, |to| to.write_all(wav))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_a_voice_of_espeak_is_asked_for() {
        for voice in ["de", "en-us", "en-us+f3", "en-gb-x-rp", "cmn"] {
            assert!(is_voice(voice), "{voice}");
        }
        for voice in ["", "alloy", "Rachel", "../x", "-v", "e", "en us", "en+", "en-us+f/3", "21m00Tcm4TlvDq8ikWAM"] {
            assert!(!is_voice(voice), "{voice}");
        }
    }
}
