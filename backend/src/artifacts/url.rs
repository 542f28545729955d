//! File URLs.

use std::path::Path;

/// The URL of an absolute path (RFC 8089), with everything percent-encoded that a path segment does not allow.
pub(super) fn of_file(path: &Path) -> String {
    let mut url = String::from("file://");
    for &byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => url.push(char::from(byte)),
            _ => url.push_str(&format!("%{byte:02X}")),
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_url_does_not_allow_is_encoded() {
        assert_eq!(of_file(Path::new("/a b/ü#?%/c.png")), "file:///a%20b/%C3%BC%23%3F%25/c.png");
    }
}
