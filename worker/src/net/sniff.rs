//! What a file is, by its first bytes.

use crate::media::Format;

/// Where a type is told by bytes at a fixed place.
const MAGIC: [(usize, &[u8], &str); 17] = [
    (0, b"RIFF\0\0\0\0WAVE", "audio/wav"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"OggS", "audio/ogg"),
    (0, b"fLaC", "audio/flac"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftypavis", "image/avif"),
    (4, b"ftypheic", "image/heic"),
    (4, b"ftypheix", "image/heic"),
    (4, b"ftypqt  ", "video/quicktime"),
    (4, b"ftypM4A ", "audio/mp4"),
    (4, b"ftypM4B ", "audio/mp4"),
    (4, b"ftyp", "video/mp4"),
    (4, b"moov", "video/quicktime"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, &[0x1f, 0x8b], "application/gzip"),
    (0, b"BM", "image/bmp"),
];

/// How far into an EBML header its document type is looked for.
const EBML_BYTES: usize = 64;

/// How much of a text is looked at.
const TEXT_BYTES: usize = 1024;

/// The media type of these bytes; `None` when they are nothing that is known.
pub fn media_type(bytes: &[u8]) -> Option<&'static str> {
    if let Ok(format) = Format::sniff(bytes) {
        return Some(format.media_type());
    }
    let begins = |(at, magic, _): &&(usize, &[u8], &str)| {
        // A zero in the table is any byte: the length in a RIFF header.
        bytes.get(*at..at + magic.len()).is_some_and(|here| here.iter().zip(*magic).all(|(b, m)| *m == 0 || b == m))
    };
    if let Some((_, _, found)) = MAGIC.iter().find(begins) {
        return Some(found);
    }
    match bytes {
        [0x1a, 0x45, 0xdf, 0xa3, ..] => {
            let head = &bytes[..bytes.len().min(EBML_BYTES)];
            let is_webm = head.windows(4).any(|word| word == b"webm");
            Some(if is_webm { "video/webm" } else { "video/x-matroska" })
        }
        [0xff, 0xf1 | 0xf9, ..] => Some("audio/aac"),
        // A frame of MPEG audio, layer III, of a version, bit rate and sampling rate that exist.
        [0xff, second, third, ..] if is_mp3(*second, *third) => Some("audio/mpeg"),
        _ => of_text(bytes),
    }
}

fn is_mp3(second: u8, third: u8) -> bool {
    let (version, layer) = (second & 0x18, second & 0x06);
    let (bit_rate, sampling) = (third & 0xf0, third & 0x0c);
    second & 0xe0 == 0xe0 && version != 0x08 && layer == 0x02 && !matches!(bit_rate, 0 | 0xf0) && sampling != 0x0c
}

fn of_text(bytes: &[u8]) -> Option<&'static str> {
    let head = &bytes[..bytes.len().min(TEXT_BYTES)];
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The end of the head may cut a character in two.
        Err(error) if head.len() - error.valid_up_to() < 4 => std::str::from_utf8(&head[..error.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    let text = valid.trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase();
    if text.starts_with("<!doctype html") || ["<html", "<head", "<body"].iter().any(|tag| text.starts_with(tag)) {
        Some("text/html")
    } else if text.starts_with("<svg") || (text.starts_with('<') && text.contains("<svg")) {
        Some("image/svg+xml")
    } else if text.starts_with("<?xml") {
        Some("application/xml")
    } else if text.starts_with('{') || text.starts_with("[{") || text.starts_with("[\"") {
        Some("application/json")
    } else {
        None
    }
}

/// Whether a file that is said to be a picture, film or sound is a page or a message instead, which is how errors come.
pub(super) fn contradicts(said: &str, found: &str) -> bool {
    let is_medium = ["image/", "video/", "audio/"].iter().any(|family| said.trim_start().starts_with(family));
    is_medium && matches!(found, "text/html" | "application/json" | "application/xml")
}

/// What a server said, if nobody runs it: what can carry scripts, and what is not written as a type is, is bytes.
pub(super) fn harmless(said: Option<&str>) -> String {
    let said = said.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '.' | '_');
    let family = said.split('/').next().unwrap_or_default();
    let known =
        matches!(family, "audio" | "video" | "image" | "model") || matches!(said.as_str(), "text/plain" | "text/csv");
    if known && said.len() <= 64 && said.chars().all(is_plain) && said.matches('/').count() == 1 {
        said
    } else {
        "application/octet-stream".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_first_bytes() {
        let cases: [(&[u8], Option<&str>); 29] = [
            (b"\x89PNG\r\n\x1a\n", Some("image/png")),
            (b"\xff\xd8\xff\xe0", Some("image/jpeg")),
            (b"RIFF\x10\0\0\0WEBPVP8 ", Some("image/webp")),
            (b"GIF89a", Some("image/gif")),
            (b"\0\0\0\x1cftypavif\0\0\0\0", Some("image/avif")),
            (b"\0\0\0\x18ftypheic", Some("image/heic")),
            (b"\0\0\0\x20ftypisom\0\0\x02\0", Some("video/mp4")),
            (b"\0\0\0\x20ftypmp42", Some("video/mp4")),
            (b"\0\0\0\x14ftypqt  ", Some("video/quicktime")),
            (b"\0\0\0\x14ftypM4A ", Some("audio/mp4")),
            (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm", Some("video/webm")),
            (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x88matroska", Some("video/x-matroska")),
            (b"ID3\x04\0", Some("audio/mpeg")),
            (b"\xff\xfb\x90\x64", Some("audio/mpeg")),
            (b"\xff\xf3\x40\xc0", Some("audio/mpeg")),
            (b"\xff\xff\xff\xff", None),
            (b"\xff\xf1\x50\x80", Some("audio/aac")),
            (b"RIFF\x10\0\0\0WAVEfmt ", Some("audio/wav")),
            (b"OggS\0\x02", Some("audio/ogg")),
            (b"fLaC\0", Some("audio/flac")),
            (b"  {\"error\": \"expired\"}", Some("application/json")),
            (b"[{\"a\": 1}]", Some("application/json")),
            (b"\xef\xbb\xbf<!DOCTYPE html><p>", Some("text/html")),
            (b"<html lang=en>", Some("text/html")),
            (b"<?xml version='1.0'?><svg onload='x()'/>", Some("image/svg+xml")),
            (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", Some("application/xml")),
            (b"\x1f\x8b\x08", Some("application/gzip")),
            (b"hello", None),
            (b"", None),
        ];
        for (bytes, want) in cases {
            assert_eq!(media_type(bytes), want, "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn what_a_server_says_is_believed_only_if_it_is_harmless() {
        let cases = [
            (Some("audio/L16; rate=24000"), "audio/l16"),
            (Some("Text/Plain; charset=utf-8"), "text/plain"),
            (Some("model/gltf-binary"), "model/gltf-binary"),
            (Some("text/html"), "application/octet-stream"),
            (Some("image/svg+xml"), "application/octet-stream"),
            (Some("application/javascript"), "application/octet-stream"),
            (Some("image/png\"><script>"), "application/octet-stream"),
            (Some("video"), "application/octet-stream"),
            (Some("binary/octet-stream"), "application/octet-stream"),
            (None, "application/octet-stream"),
        ];
        for (said, want) in cases {
            assert_eq!(harmless(said), want, "{said:?}");
        }
    }
}
