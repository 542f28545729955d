//! What the errors of an S3 server mean, without repeating what it sent: that may hold signatures and keys.

use super::ArtifactError;
use object_store::Error;
use object_store::client::{HttpError, HttpErrorKind};

/// The codes of S3 that say that the key is at fault, and what each says.
const DENIALS: [(&str, &str); 13] = [
    ("AccessDenied", "the key may not do this"),
    ("AllAccessDisabled", "access to the bucket is switched off"),
    ("AuthorizationHeaderMalformed", "the region is not the bucket's"),
    ("AuthorizationQueryParametersError", "the region is not the bucket's"),
    ("ExpiredToken", "the session token has expired"),
    ("InvalidAccessKeyId", "the access key is not known there"),
    ("InvalidSecurity", "the key is not valid"),
    ("InvalidToken", "the session token is not valid"),
    ("PermanentRedirect", "the region is not the bucket's"),
    ("RequestTimeTooSkewed", "the clock of this machine differs too much from the server's"),
    ("SignatureDoesNotMatch", "the secret key does not belong to the access key"),
    ("TemporaryRedirect", "the region is not the bucket's"),
    ("UnsupportedAlgorithm", "requests without a key are not taken"),
];

/// Where instances of AWS get their keys. Asking there is the last resort when none are set.
const INSTANCE_KEYS: [&str; 2] = ["169.254.169.254", "169.254.170.2"];

/// The server of a store, as people should see it.
#[derive(Debug)]
pub(super) struct Server {
    place: String,
}

impl Server {
    /// The server of a bucket and prefix, at AWS or at an endpoint.
    pub(super) fn new(root: &str, endpoint: Option<&str>) -> Self {
        let place = match endpoint {
            None => root.to_owned(),
            Some(endpoint) => {
                // A name and a password before an `@` are not shown.
                let (scheme, rest) = endpoint.split_once("://").unwrap_or(("https", endpoint));
                let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
                let host = host.rsplit('@').next().unwrap_or_default();
                format!("{root} at {scheme}://{host}")
            }
        };
        Self { place }
    }

    pub(super) fn unreachable(&self, why: impl Into<String>) -> ArtifactError {
        ArtifactError::Unreachable { place: self.place.clone(), why: why.into() }
    }

    fn denied(&self, why: impl Into<String>) -> ArtifactError {
        ArtifactError::Denied { place: self.place.clone(), why: why.into() }
    }

    /// Why a store can't even be set up: settings that don't fit together, whose values are not shown.
    pub(super) fn why_unusable(&self, error: &Error) -> String {
        let text = error.to_string();
        let known =
            [("SecretAccessKey", "AWS_SECRET_ACCESS_KEY is not set"), ("AccessKeyId", "AWS_ACCESS_KEY_ID is not set")];
        let missing = known.into_iter().find(|(name, _)| text.contains(&format!("Missing {name}")));
        missing.map_or_else(
            || "one of the AWS_* variables has a value that can't be used".to_owned(),
            |(_, why)| why.to_owned(),
        )
    }

    /// Whether the bucket answered, and has no such object.
    pub(super) fn lacks_only_the_object(&self, error: &Error) -> bool {
        matches!(error, Error::NotFound { .. }) && code(&error.to_string()) != Some("NoSuchBucket")
    }

    /// What any other error means.
    pub(super) fn refusal(&self, error: &Error) -> ArtifactError {
        let text = error.to_string();
        if INSTANCE_KEYS.iter().any(|address| text.contains(address)) {
            return self.denied("there are no keys: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set");
        }
        if let Some(failed) = transport(error) {
            return self.unreachable(failed);
        }
        let (code, status) = (code(&text), status(&text));
        if let Some((code, why)) = code.and_then(|code| DENIALS.into_iter().find(|(known, _)| *known == code)) {
            return self.denied(format!("{why} ({code})"));
        }
        if code == Some("NoSuchBucket") || matches!(error, Error::NotFound { .. }) {
            return ArtifactError::NoBucket { place: self.place.clone() };
        }
        let said =
            [status.map(str::to_owned), code.map(str::to_owned)].into_iter().flatten().collect::<Vec<_>>().join(" ");
        match error {
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
                self.denied(format!("the key may not do this ({said})"))
            }
            _ if status.is_some_and(|status| status.starts_with('3')) || text.contains("redirect without LOCATION") => {
                self.denied("the region is not the bucket's")
            }
            _ if said.is_empty() => self.unreachable(unread(error)),
            _ => self.unreachable(format!("it answered {said}")),
        }
    }
}

/// Whether an error of asking for an object leaves open what uploading it would give. An answer to such a request has no
/// body that says more, and who may not list a bucket is refused what is not there.
pub(super) fn is_told_by_uploading(error: &Error) -> bool {
    let refused = status(&error.to_string()).is_some_and(|status| status.starts_with(['3', '4']));
    matches!(error, Error::NotFound { .. }) || refused
}

/// An error and what it comes from, the innermost last.
fn causes(error: &Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |error| error.source())
}

/// What is said of an answer that is none of S3. The innermost error names what is wrong with it; a document is not shown.
fn unread(error: &Error) -> String {
    let why = causes(error).last().map(ToString::to_string).unwrap_or_default();
    let shown = if why.contains('<') { String::new() } else { format!(": {why}") };
    format!("it sent an answer that can't be read{shown}")
}

/// What happened to a request that got no answer.
fn transport(error: &Error) -> Option<String> {
    let kind = causes(error).find_map(|cause| cause.downcast_ref::<HttpError>()).map(HttpError::kind);
    let last = causes(error).last().map(ToString::to_string).unwrap_or_default();
    Some(match kind? {
        HttpErrorKind::Timeout => "no answer in time".to_owned(),
        HttpErrorKind::Connect => format!("no connection: {last}"),
        _ => format!("the connection broke: {last}"),
    })
}

/// The status in the text of an error, three digits.
fn status(text: &str) -> Option<&str> {
    let (_, after) = text.split_once("status code: ")?;
    after.get(..3).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))
}

/// The code in the document of an error. It is the server's word, and so looked at before it is shown.
fn code(text: &str) -> Option<&str> {
    let (code, _) = text.split_once("<Code>")?.1.split_once("</Code>")?;
    (code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric())).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: &str, body: &str) -> Error {
        let source =
            format!("Error performing PUT http://x in 1ms - Server returned non-2xx status code: {status}: {body}");
        match &status[..3] {
            "404" => Error::NotFound { path: "x".into(), source: source.into() },
            "403" => Error::PermissionDenied { path: "x".into(), source: source.into() },
            _ => Error::Generic { store: "S3", source: source.into() },
        }
    }

    fn document(code: &str) -> String {
        format!("<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><StringToSign>AWS4 hunter2</StringToSign></Error>")
    }

    #[test]
    fn each_answer_of_a_server_has_its_meaning() {
        let server = Server::new("s3://prints/a", Some("https://key:hunter2@minio.example:9000/x?hunter2"));
        let cases = [
            (
                "wrong secret",
                answer("403 Forbidden", &document("SignatureDoesNotMatch")),
                "refuses access: the secret key",
            ),
            ("no right", answer("403 Forbidden", &document("AccessDenied")), "refuses access: the key may not do this"),
            ("no body", answer("403 Forbidden", ""), "refuses access: the key may not do this (403)"),
            ("old token", answer("400 Bad Request", &document("ExpiredToken")), "refuses access: the session token"),
            ("region", answer("301 Moved Permanently", ""), "refuses access: the region"),
            ("no bucket", answer("404 Not Found", &document("NoSuchBucket")), "there is no bucket"),
            ("no bucket, unsaid", answer("404 Not Found", ""), "there is no bucket"),
            (
                "busy",
                answer("503 Service Unavailable", &document("SlowDown")),
                "can't be reached: it answered 503 SlowDown",
            ),
            ("odd", answer("500 Internal", "<Code>hunter2 hunter2</Code>"), "can't be reached: it answered 500"),
            (
                "no keys",
                Error::Generic { store: "S3", source: "PUT http://169.254.169.254/latest".into() },
                "there are no keys",
            ),
        ];
        for (name, error, want) in cases {
            let said = server.refusal(&error);
            assert!(said.to_string().contains(want), "{name}: {said}");
            assert!(said.to_string().contains("s3://prints/a at https://minio.example:9000"), "{name}: {said}");
            assert!(!format!("{said} {said:?}").contains("hunter2"), "{name}: {said:?}");
        }
    }

    #[test]
    fn an_object_that_is_not_there_is_told_from_a_bucket_that_is_not() {
        let server = Server::new("s3://prints", None);
        assert!(server.lacks_only_the_object(&answer("404 Not Found", &document("NoSuchKey"))));
        assert!(!server.lacks_only_the_object(&answer("404 Not Found", &document("NoSuchBucket"))));
        assert!(!server.lacks_only_the_object(&answer("403 Forbidden", "")));
        assert!(
            is_told_by_uploading(&answer("403 Forbidden", "")) && is_told_by_uploading(&answer("404 Not Found", ""))
        );
        assert!(!is_told_by_uploading(&answer("500 Internal", "")));
    }
}
