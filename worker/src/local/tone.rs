//! A tone that has the pace of a text, for where nothing can speak.

use crate::media::Sound;
use darkroom_proto::Sha256;

/// Samples of a second: enough for a tone.
const RATE: u32 = 8_000;

/// How loud it is, of 32,767.
const LOUD: f64 = 9_000.0;

/// A tone for each syllable of a text, with pauses where a speaker makes them, at `speed` times the usual one. The same text
/// gives the same sound; it is nothing when there is no letter or digit in the text.
pub fn speak(text: &str, speed: f64) -> Sound {
    let length = |seconds: f64| (seconds / speed.max(0.01) * f64::from(RATE)).round() as usize;
    let mut samples = Vec::new();
    for word in text.split_whitespace() {
        let letters: String = word.chars().filter(|c| c.is_alphanumeric()).collect();
        if letters.is_empty() {
            continue;
        }
        let pitch = 150.0 + f64::from(Sha256::of(letters.to_lowercase().as_bytes()).as_bytes()[0]) * 0.5;
        for syllable in 0..syllables(&letters) {
            // The voice falls within a word.
            let step = std::f64::consts::TAU * pitch * (1.0 - 0.06 * (syllable as f64).min(5.0)) / f64::from(RATE);
            let count = length(0.17);
            for at in 0..count {
                let swell = (std::f64::consts::PI * at as f64 / count as f64).sin().sqrt();
                let phase = step * at as f64;
                let wave = phase.sin() + 0.4 * (2.0 * phase).sin() + 0.15 * (3.0 * phase).sin();
                samples.push((wave / 1.55 * swell * LOUD).round() as i16);
            }
        }
        let pause = match word.chars().rev().find(|c| !matches!(c, '"' | '\'' | ')' | '”' | '’')) {
            Some('.' | '!' | '?' | '…' | '。') => 0.45,
            Some(',' | ';' | ':' | '–' | '—') => 0.22,
            _ => 0.06,
        };
        samples.resize(samples.len() + length(pause), 0);
    }
    Sound { rate: RATE, samples }
}

/// About how many syllables a word has.
fn syllables(letters: &str) -> usize {
    let mut groups = 0;
    let mut before = false;
    for letter in letters.to_lowercase().chars() {
        let vowel = matches!(letter, 'a' | 'e' | 'i' | 'o' | 'u' | 'y' | 'ä' | 'ö' | 'ü' | 'é' | 'è' | 'á' | 'ó');
        groups += usize::from(vowel && !before);
        before = vowel;
    }
    // Digits, and letters of other scripts, have no vowels that are known here.
    groups.max(letters.chars().count().div_ceil(4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_as_long_as_the_text_and_the_speed_say() {
        let (short, long) = (speak("One light.", 1.0), speak("Every journey starts with a light.", 1.0));
        assert!(
            short.seconds() > 0.5 && long.seconds() > short.seconds() * 2.0,
            "{} {}",
            short.seconds(),
            long.seconds()
        );
        let fast = speak("Every journey starts with a light.", 2.0);
        assert!((fast.seconds() * 2.0 - long.seconds()).abs() < 0.01);
        assert_eq!(speak("a b", 1.0), speak("a b", 1.0));
        assert!(speak(" … !", 1.0).samples.is_empty());
        assert!(long.samples.iter().any(|sample| *sample > 5_000));
    }
}
