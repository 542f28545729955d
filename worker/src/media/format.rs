//! What a file is, by its first bytes.

use super::MediaError;

/// A picture format that is read here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// PNG.
    Png,
    /// JPEG.
    Jpeg,
    /// WebP.
    WebP,
    /// GIF, which is read and not written.
    Gif,
}

impl Format {
    /// The format of these bytes. Names and media types are not asked: they are often wrong.
    ///
    /// # Errors
    /// When they are no picture that is read here; the error says what they seem to be.
    pub fn sniff(bytes: &[u8]) -> Result<Format, MediaError> {
        match bytes {
            [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => Ok(Format::Png),
            [0xff, 0xd8, 0xff, ..] => Ok(Format::Jpeg),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Ok(Format::WebP),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Ok(Format::Gif),
            _ => Err(MediaError::Unsupported { found: name_of_other(bytes) }),
        }
    }

    /// The format that a file extension stands for, if it is one that is written.
    pub fn of_extension(extension: &str) -> Option<Format> {
        match extension.to_ascii_lowercase().as_str() {
            "png" => Some(Format::Png),
            "jpg" | "jpeg" => Some(Format::Jpeg),
            "webp" => Some(Format::WebP),
            _ => None,
        }
    }

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Format::Png => "image/png",
            Format::Jpeg => "image/jpeg",
            Format::WebP => "image/webp",
            Format::Gif => "image/gif",
        }
    }

    /// Its usual file extension.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Png => "png",
            Format::Jpeg => "jpg",
            Format::WebP => "webp",
            Format::Gif => "gif",
        }
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Format::Png => "PNG",
            Format::Jpeg => "JPEG",
            Format::WebP => "WebP",
            Format::Gif => "GIF",
        })
    }
}

fn name_of_other(bytes: &[u8]) -> &'static str {
    match bytes {
        [] => "empty",
        [b'%', b'P', b'D', b'F', ..] => "a PDF document",
        [b'B', b'M', ..] => "a BMP picture",
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => "a TIFF picture",
        [b'P', b'K', 3, 4, ..] => "a ZIP archive or an office document",
        [0x1f, 0x8b, ..] => "a gzip archive",
        [0x1a, 0x45, 0xdf, 0xa3, ..] => "a WebM or Matroska film",
        [b'I', b'D', b'3', ..] | [0xff, 0xfb | 0xf3 | 0xf2, ..] => "an MP3 sound",
        [b'O', b'g', b'g', b'S', ..] => "an Ogg sound or film",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => "a WAV sound",
        [b'8', b'B', b'P', b'S', ..] => "a Photoshop document",
        [0, 0, 1, 0, ..] => "an icon (ICO)",
        [0xff, 0x0a, ..] | [0, 0, 0, 12, b'J', b'X', b'L', b' ', ..] => "a JPEG XL picture",
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => match brand {
            [b'a', b'v', b'i', b'f' | b's', ..] => "an AVIF picture",
            [b'h', b'e', b'i' | b'v', b'c' | b'x', ..] | [b'm', b'i', b'f', b'1', ..] => "a HEIC picture",
            _ => "an MP4 or QuickTime film",
        },
        _ => name_of_text(bytes),
    }
}

fn name_of_text(bytes: &[u8]) -> &'static str {
    let head = &bytes[..bytes.len().min(512)];
    let Some(text) = text_of(head) else { return "of an unknown kind" };
    let text = text.trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase();
    if text.starts_with("<!doctype html") || text.starts_with("<html") {
        "a web page (HTML)"
    } else if text.contains("<svg") {
        "an SVG drawing"
    } else if text.starts_with('{') || text.starts_with('[') {
        "a JSON document"
    } else if text.starts_with("version https://git-lfs") {
        "a Git LFS pointer instead of the file itself"
    } else {
        "text"
    }
}

/// The bytes as text, unless they are binary. A character that the end of the head cuts in two is allowed.
fn text_of(head: &[u8]) -> Option<&str> {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if head.len() - error.valid_up_to() < 4 => std::str::from_utf8(&head[..error.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    let binary = text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{c}'));
    (!binary).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_files_are_named_for_what_they_are() {
        let cases: [(&[u8], &str); 10] = [
            (b"", "empty"),
            (b"%PDF-1.7", "a PDF document"),
            (b"<!DOCTYPE html><p>not found", "a web page (HTML)"),
            (b"{\"error\": 404}", "a JSON document"),
            (b"<?xml version='1.0'?><svg/>", "an SVG drawing"),
            (b"\0\0\0\x20ftypavif\0\0\0\0", "an AVIF picture"),
            (b"\0\0\0\x20ftypisom\0\0\0\0", "an MP4 or QuickTime film"),
            (b"hello", "text"),
            (b"\x00\x01\x02\x03", "of an unknown kind"),
            (b"ID3\x04", "an MP3 sound"),
        ];
        for (bytes, found) in cases {
            assert_eq!(Format::sniff(bytes), Err(MediaError::Unsupported { found }), "{found}");
        }
    }
}
