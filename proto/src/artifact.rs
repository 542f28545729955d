//! Artifacts: immutable files, named by their digest, and what is known about them.

use crate::Sha256;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What kind of file an artifact is, as far as workflows care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A picture.
    Image,
    /// A film.
    Video,
    /// A sound.
    Audio,
    /// Anything else.
    File,
}

impl Kind {
    /// The kind of a media type.
    pub fn of_media_type(media_type: &str) -> Kind {
        match media_type.split('/').next() {
            Some("image") => Kind::Image,
            Some("video") => Kind::Video,
            Some("audio") => Kind::Audio,
            _ => Kind::File,
        }
    }

    /// The name in files and messages, which is also the name of the output that carries one.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Image => "image",
            Kind::Video => "video",
            Kind::Audio => "audio",
            Kind::File => "file",
        }
    }
}

/// A reference to an immutable file in the artifact store.
///
/// Workflows see it as an object with these fields and, in expressions, `ext` and `url` besides. Inside JSON values an
/// object with `sha256`, `media_type` and `bytes` *is* an artifact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Artifact {
    /// The digest of the bytes, which is its name in the store.
    pub sha256: Sha256,
    /// What it is, found by looking at the bytes, such as `image/png`.
    pub media_type: String,
    /// How long it is.
    pub bytes: u64,
    /// Pixels across, upright.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Pixels down, upright.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Seconds, for video and audio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// The name that it came with, or that the step which made it gave it, with extension.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
}

impl Artifact {
    /// The artifact that a JSON value is, if it is one.
    pub fn from_value(value: &Value) -> Option<Artifact> {
        let object = value.as_object()?;
        if !(object.contains_key("sha256") && object.contains_key("media_type") && object.contains_key("bytes")) {
            return None;
        }
        Artifact::deserialize(value).ok()
    }

    /// The artifact as a JSON value.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// What kind of file it is.
    pub fn kind(&self) -> Kind {
        Kind::of_media_type(&self.media_type)
    }

    /// The name without its extension.
    pub fn stem(&self) -> &str {
        match self.name.rsplit_once('.') {
            Some((stem, _)) if !stem.is_empty() => stem,
            _ => &self.name,
        }
    }

    /// The usual extension of its media type, without a dot.
    pub fn ext(&self) -> &'static str {
        match self.media_type.as_str() {
            "image/png" => "png",
            "image/jpeg" => "jpg",
            "image/webp" => "webp",
            "image/gif" => "gif",
            "image/avif" => "avif",
            "video/mp4" => "mp4",
            "audio/mpeg" => "mp3",
            "audio/wav" => "wav",
            "application/json" => "json",
            "text/plain" => "txt",
            "text/csv" => "csv",
            _ => "bin",
        }
    }
}

/// A rectangle in pixels of an upright picture, its origin at the top left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoxPx {
    /// Left edge.
    pub x: u32,
    /// Top edge.
    pub y: u32,
    /// Width.
    pub w: u32,
    /// Height.
    pub h: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_is_recognised_in_json_and_other_objects_are_not() {
        let artifact = Artifact {
            sha256: Sha256::of(b"x"),
            media_type: "image/png".into(),
            bytes: 1,
            width: Some(2),
            height: Some(3),
            duration: None,
            name: "mug.large.png".into(),
        };
        assert_eq!(Artifact::from_value(&artifact.to_value()).as_ref(), Some(&artifact));
        assert_eq!(artifact.stem(), "mug.large");
        assert_eq!(artifact.kind(), Kind::Image);
        assert_eq!(Artifact::from_value(&serde_json::json!({"sha256": "no", "media_type": "a", "bytes": 1})), None);
    }
}
