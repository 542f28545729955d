//! URLs of artifact stores.

use super::ArtifactError;
use std::path::{Path, PathBuf};

/// Where a URL says that a store is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Location {
    /// In a local folder.
    Folder(PathBuf),
    /// In a bucket, under a prefix without slashes at its ends, which may be empty.
    Bucket { bucket: String, prefix: String },
}

/// Reads a path, `file:///path` or `s3://bucket/prefix`.
pub(super) fn parse(url: &str) -> Result<Location, ArtifactError> {
    let bad = |shown: &str, why: &str| ArtifactError::BadUrl { url: shown.to_owned(), why: why.to_owned() };
    match url.split_once("://") {
        None if url.is_empty() => Err(bad(url, "it is empty")),
        None => Ok(Location::Folder(PathBuf::from(url))),
        Some(("file", rest)) => match rest.strip_prefix("localhost").unwrap_or(rest) {
            path if path.starts_with('/') => Ok(Location::Folder(decoded(path))),
            _ => Err(bad(url, "a file URL begins with three slashes")),
        },
        Some(("s3", rest)) => {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            // What is not shown here may be a password that somebody put before an `@`.
            let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
            if bucket.is_empty() || !bucket.bytes().all(named) {
                return Err(bad(
                    "s3://…",
                    "after s3:// comes the name of a bucket, and nothing else before the next slash",
                ));
            }
            let prefix = prefix.trim_matches('/');
            let is_odd = |segment: &str| matches!(segment, "" | "." | "..");
            if !prefix.is_empty() && prefix.split('/').any(is_odd) {
                return Err(bad(url, "the prefix has an empty part, `.` or `..`"));
            }
            if prefix.bytes().any(|byte| byte.is_ascii_control() || matches!(byte, b'?' | b'#')) {
                return Err(bad(&format!("s3://{bucket}/…"), "the prefix has a `?`, a `#` or a control character"));
            }
            Ok(Location::Bucket { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
        }
        Some((scheme, _)) => {
            Err(bad(&format!("{scheme}://…"), "artifacts are kept in a folder or in a bucket that speaks S3"))
        }
    }
}

/// A path without its percent-encoding. What is no encoding stays as it is.
fn decoded(path: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match code.filter(|_| first == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    use std::os::unix::ffi::OsStringExt as _;
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

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

    #[test]
    fn a_store_is_a_path_a_file_url_or_a_bucket() {
        let folder = |path: &str| Location::Folder(path.into());
        let bucket = |bucket: &str, prefix: &str| Location::Bucket { bucket: bucket.into(), prefix: prefix.into() };
        let cases = [
            (".darkroom/artifacts", folder(".darkroom/artifacts")),
            ("/srv/100%", folder("/srv/100%")),
            ("file:///srv/art", folder("/srv/art")),
            ("file://localhost/srv/art", folder("/srv/art")),
            ("file:///a%20b/%C3%BC%", folder("/a b/ü%")),
            ("s3://prints", bucket("prints", "")),
            ("s3://prints/", bucket("prints", "")),
            ("s3://my.prints-1/shop/mugs/", bucket("my.prints-1", "shop/mugs")),
        ];
        for (url, want) in cases {
            assert_eq!(parse(url).unwrap(), want, "{url}");
        }
        let round = Path::new("/a b/ü#?%/%41");
        assert_eq!(parse(&of_file(round)).unwrap(), Location::Folder(round.into()));
    }

    #[test]
    fn a_url_that_can_t_be_used_is_refused_without_showing_what_may_be_secret() {
        let secret = "hunter2";
        for url in [
            "",
            "s3://",
            "s3:///prefix",
            "s3://key:hunter2@prints/x",
            "s3://prints/x?secret=hunter2",
            "s3://prints/a//b",
            "s3://prints/../x",
            "file://server/share",
            "gs://prints",
            "https://key:hunter2@prints",
        ] {
            let error = parse(url).unwrap_err();
            assert!(matches!(error, ArtifactError::BadUrl { .. }), "{url}: {error}");
            assert!(!format!("{error} {error:?}").contains(secret), "{url}: {error}");
        }
    }
}
