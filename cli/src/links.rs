//! [`Links`]: files that are given as URLs.

use crate::failure::Failure;
use crate::masked::masked;
use crate::settings::Settings;
use darkroom_worker::net::{FetchError, FetchLimits, Net, NetPolicy};
use std::sync::OnceLock;
use std::time::Duration;

/// Fetches what links lead to. The client is made when the first one comes: it reads the certificates of the system.
#[derive(Debug, Default)]
pub(crate) struct Links {
    policy: NetPolicy,
    net: OnceLock<Net>,
}

/// What a link led to.
#[derive(Debug)]
pub(crate) struct Linked {
    /// The bytes.
    pub(crate) bytes: Vec<u8>,
    /// What they are.
    pub(crate) media_type: String,
    /// The name at the end of the link, with an extension.
    pub(crate) name: String,
    /// The link, as it may be shown.
    pub(crate) place: String,
}

/// How long fetching one file may take.
const TIME_MAX: Duration = Duration::from_secs(300);

/// The longest name that is taken from a link.
const NAME_CHARS_MAX: usize = 120;

impl Links {
    /// The largest file, which is held in memory for a moment.
    pub(crate) const BYTES_MAX: u64 = 512 << 20;

    /// Links of a command with these settings.
    pub(crate) fn new(settings: &Settings) -> Links {
        Links { policy: settings.net.policy(Vec::new()), net: OnceLock::new() }
    }

    /// What `link` leads to.
    pub(crate) async fn fetch(&self, link: &str, bytes_max: u64) -> Result<Linked, Failure> {
        let limits = FetchLimits { bytes_max, time_max: TIME_MAX };
        let fetched = self.net()?.fetch(link, &[], limits).await.map_err(|failed| match failed {
            FetchError::Gone { status } => Failure::usage(format!("{} answers {status}", masked(link)))
                .advice("open the link in a browser: it may ask to log in, or have expired"),
            FetchError::Refused(error) => Failure::usage(error.message).advice(error.advice),
            FetchError::Passing(error) => {
                Failure::other(error.message).advice("try again, or download the file and give its path")
            }
        })?;
        let name = name_of(link, &fetched.media_type);
        Ok(Linked { bytes: fetched.bytes, media_type: fetched.media_type, name, place: masked(link) })
    }

    fn net(&self) -> Result<&Net, Failure> {
        if let Some(net) = self.net.get() {
            return Ok(net);
        }
        let net = Net::new(self.policy.clone()).map_err(|error| Failure::other(error.to_string()))?;
        Ok(self.net.get_or_init(|| net))
    }
}

/// The last part of a link's path, as a file of it would be called.
fn name_of(link: &str, media_type: &str) -> String {
    let path = link.split(['?', '#']).next().unwrap_or_default();
    let path = path.split_once("://").map_or("", |(_, rest)| rest).split_once('/').map_or("", |(_, path)| path);
    let last = unescaped(path.rsplit('/').next().unwrap_or_default());
    let plain = |c: char| if c.is_control() || matches!(c, '/' | '\\' | ':') { '-' } else { c };
    let name: String = last.trim_matches(['.', ' ']).chars().map(plain).take(NAME_CHARS_MAX).collect();
    let name = if name.is_empty() { "file".to_owned() } else { name };
    if name.contains('.') {
        return name;
    }
    let kind = media_type.rsplit('/').next().unwrap_or_default();
    let extension = match kind {
        "jpeg" => "jpg",
        "mpeg" => "mp3",
        "quicktime" => "mov",
        "svg+xml" => "svg",
        "octet-stream" => "bin",
        "plain" => "txt",
        kind => kind,
    };
    format!("{name}.{extension}")
}

/// `%20` and the like as what they stand for; what is no UTF-8 stays as it is.
fn unescaped(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = bytes.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        let code = code.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match code.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| bytes[at] == b'%') {
            Some(byte) => {
                plain.push(byte);
                at += 3;
            }
            None => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(plain).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_called_after_the_end_of_its_link() {
        let cases = [
            ("https://example.com/a/photo.png", "image/png", "photo.png"),
            ("https://example.com/a/photo.png?X-Amz-Signature=1#x", "image/png", "photo.png"),
            ("https://example.com/my%20photo%C3%A9.jpg", "image/jpeg", "my photoé.jpg"),
            ("https://example.com/files/1234", "image/jpeg", "1234.jpg"),
            ("https://example.com/", "video/mp4", "file.mp4"),
            ("https://example.com", "audio/mpeg", "file.mp3"),
            ("https://example.com/..%2f..%2fetc%2fpasswd", "image/png", "-..-etc-passwd"),
            ("https://example.com/%ff%ff", "image/png", "%ff%ff.png"),
            ("https://example.com/100%", "image/png", "100%.png"),
            ("https://example.com/a%0ab.png", "image/png", "a-b.png"),
        ];
        for (link, media_type, want) in cases {
            assert_eq!(name_of(link, media_type), want, "{link}");
        }
    }
}
