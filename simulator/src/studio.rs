//! [`Studio`]: where a provider's file reads inputs and makes outputs, while no lock is held.

use crate::job::Job;
use crate::media::{Media, Recipe, Source, hash};
use crate::server::Shared;
use axum::body::Bytes;
use darkroom_proto::{BoxPx, Timestamp};
use serde_json::Value;

/// What a provider's file needs to read inputs and to make outputs. The world must not be locked by whoever uses it.
pub(crate) struct Studio<'a> {
    shared: &'a Shared,
}

impl Studio<'_> {
    pub(crate) fn of(shared: &Shared) -> Studio<'_> {
        Studio { shared }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    pub(crate) fn media(&self) -> &Media {
        &self.shared.media
    }

    /// The picture that a field of a request means: a data URI, a link of ours, or something that is not looked at.
    pub(crate) fn picture(&self, value: &Value) -> Source {
        let Some(text) = value.as_str() else { return Source::Elsewhere };
        if text.starts_with("data:") {
            return self.media().data_uri(text).unwrap_or(Source::Elsewhere);
        }
        let path = text.split(['?', '#']).next().unwrap_or_default();
        let world = self.shared.world();
        let linked = path.split('/').find_map(|part| world.files.get(part));
        match linked.map(|linked| linked.recipe.clone()) {
            Some(recipe) => match &*recipe {
                Recipe::Sent { blob, .. } => Source::Sent(*blob),
                _ => Source::Made(recipe),
            },
            None => Source::Elsewhere,
        }
    }

    /// The same, where bare base64 is taken too.
    pub(crate) fn picture_or_base64(&self, value: &Value) -> Source {
        match value.as_str() {
            Some(text) if !text.starts_with("data:") && !text.contains("://") => {
                self.media().base64(text).unwrap_or(Source::Elsewhere)
            }
            _ => self.picture(value),
        }
    }

    /// What stands out in a picture, clearest first, in its pixels, and its size.
    pub(crate) fn find(&self, source: &Source) -> (Vec<(BoxPx, f32)>, (u32, u32)) {
        self.media().find(source)
    }

    pub(crate) fn make(&self, recipe: &Recipe) -> Bytes {
        self.media().make(recipe)
    }

    /// The link to an output of a job.
    pub(crate) fn link(&self, job: &Job, output: usize) -> String {
        self.shared.world().link(job, output)
    }
}

/// The seed that was given, or one that follows from the whole input: the same input makes the same picture.
pub(crate) fn seed(input: &Value) -> u64 {
    let given = input["seed"].as_i64().filter(|seed| *seed >= 0).map(i64::unsigned_abs);
    given.unwrap_or_else(|| hash(&input.to_string()) & 0x7fff_ffff)
}

/// The size that an aspect such as `16:9` has, at about a megapixel.
pub(crate) fn aspect(text: &str) -> Option<(u32, u32)> {
    let (across, down) = text.split_once(':')?;
    let (across, down): (f64, f64) = (across.parse().ok()?, down.parse().ok()?);
    let ratio = (across / down).clamp(0.1, 10.0);
    if !ratio.is_finite() {
        return None;
    }
    let side = |length: f64| ((length / 16.0).round() * 16.0) as u32;
    Some((side(1_024.0 * ratio.sqrt()), side(1_024.0 / ratio.sqrt())))
}

/// A number of seconds, which is written as a number, as text, or as text with an `s`.
pub(crate) fn seconds(value: &Value, otherwise: u32) -> u32 {
    let given = match value {
        Value::String(text) => text.trim_end_matches('s').parse().ok(),
        other => other.as_f64(),
    };
    given.map_or(otherwise, |seconds: f64| seconds.clamp(1.0, 3_600.0).ceil() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn aspects_and_seconds_are_read_in_every_spelling() {
        assert_eq!(aspect("1:1"), Some((1_024, 1_024)));
        assert_eq!(aspect("16:9"), Some((1_360, 768)));
        for text in ["auto", "1:0", "0:0", "a:b"] {
            assert!(aspect(text).is_none_or(|(w, h)| w > 0 && h > 0), "{text}");
        }
        for (value, want) in [(json!("10"), 10), (json!("5s"), 5), (json!(8), 8), (json!(null), 5), (json!("x"), 5)] {
            assert_eq!(seconds(&value, 5), want, "{value}");
        }
    }
}
