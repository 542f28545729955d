//! `GET /v1/artifacts/{sha256}`: files by their links, whole or in part.

use crate::link::Linked;
use crate::problem::Problem;
use crate::segment::Segment;
use crate::service::Shared;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use darkroom_backend::{Clock, Ledger, Queue, Store};
use darkroom_proto::{Artifact, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

/// The longest file that is read in one piece, from a store that is no folder.
const WHOLE_BYTES_MAX: u64 = 256 << 20;

/// Types that a browser may show; all others are downloaded, because what is shown could be a page with scripts.
const SHOWN: [&str; 9] = [
    "image/png",
    "image/jpeg",
    "image/webp",
    "image/gif",
    "image/avif",
    "video/mp4",
    "audio/mpeg",
    "audio/wav",
    "text/plain",
];

/// `GET /v1/artifacts/{sha256}?…`, as documents link to it. The link is what lets in, so that pages can show it.
pub(crate) async fn get<S: Store + Ledger, Q: Queue>(
    State(api): State<Shared<S, Q>>,
    Segment(sha256): Segment,
    query: Result<Query<Linked>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let none = || {
        Problem::not_found("there is no such artifact, or the link has ended")
            .advice("documents of runs have fresh links: GET /v1/runs/{id}")
    };
    let sha256: Sha256 = sha256.parse().map_err(|_| none())?;
    let Query(link) = query.map_err(|_| none())?;
    let artifact = api.signer().await?.linked(sha256, link, Clock::system().now()).ok_or_else(none)?;
    let tag = format!("\"{sha256}\"");
    if headers.get(header::IF_NONE_MATCH).is_some_and(|given| given.as_bytes() == tag.as_bytes()) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    let range =
        match headers.get(header::RANGE).map(|range| range.to_str().ok().and_then(|text| part(text, artifact.bytes))) {
            None | Some(Some(Part::All)) => None,
            Some(Some(Part::Bytes(first, last))) => Some((first, last)),
            Some(Some(Part::Nothing) | None) => {
                let whole = format!("bytes */{}", artifact.bytes);
                let problem = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "range", "the file is shorter");
                return Ok(([(header::CONTENT_RANGE, whole)], problem).into_response());
            }
        };
    let (first, last) = range.unwrap_or((0, artifact.bytes.saturating_sub(1)));
    let length = if artifact.bytes == 0 { 0 } else { last - first + 1 };
    let body = match api.artifacts.path(&artifact) {
        Some(path) => {
            let mut file = tokio::fs::File::open(path).await.map_err(|_| none())?;
            file.seek(std::io::SeekFrom::Start(first))
                .await
                .map_err(|error| Problem::unavailable(error.to_string()))?;
            Body::from_stream(ReaderStream::new(file.take(length)))
        }
        None if artifact.bytes > WHOLE_BYTES_MAX => {
            return Err(Problem::too_large("the file is too large to be passed on from a bucket; get it there"));
        }
        None => {
            let wanted = artifact.clone();
            let bytes = api.blocking(move |artifacts| artifacts.get(&wanted)).await??;
            let end = usize::try_from(first + length).unwrap_or(usize::MAX).min(bytes.len());
            Body::from(bytes.get(first as usize..end).unwrap_or_default().to_vec())
        }
    };
    let mut response = Response::new(body);
    if range.is_some() {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        set(&mut response, header::CONTENT_RANGE, &format!("bytes {first}-{last}/{}", artifact.bytes));
    }
    set(&mut response, header::CONTENT_LENGTH, &length.to_string());
    set(&mut response, header::CONTENT_TYPE, type_of(&artifact));
    set(&mut response, header::CONTENT_DISPOSITION, &disposition(&artifact));
    set(&mut response, header::ACCEPT_RANGES, "bytes");
    set(&mut response, header::ETAG, &tag);
    // It never changes; but the link ends, and nobody else is to keep it.
    set(&mut response, header::CACHE_CONTROL, "private, max-age=3600, immutable");
    set(&mut response, header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox");
    Ok(response)
}

fn set(response: &mut Response, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

fn type_of(artifact: &Artifact) -> &str {
    if SHOWN.contains(&artifact.media_type.as_str()) { &artifact.media_type } else { "application/octet-stream" }
}

fn disposition(artifact: &Artifact) -> String {
    let how = if SHOWN.contains(&artifact.media_type.as_str()) { "inline" } else { "attachment" };
    match artifact.name.is_empty() {
        true => how.to_owned(),
        // Names may have any letters, which RFC 8187 writes so.
        false => format!("{how}; filename*=UTF-8''{}", crate::link::escaped(&artifact.name)),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    All,
    /// The first and the last byte.
    Bytes(u64, u64),
    Nothing,
}

/// What a `Range` header asks for. Several ranges, and units that are none, are answered with the whole.
fn part(text: &str, length: u64) -> Option<Part> {
    let Some(ranges) = text.trim().strip_prefix("bytes=") else { return Some(Part::All) };
    if ranges.contains(',') {
        return Some(Part::All);
    }
    let (first, last) = ranges.trim().split_once('-')?;
    let bytes = match (first.is_empty(), last.is_empty()) {
        (true, true) => return None,
        // The last bytes.
        (true, false) => (length.saturating_sub(last.parse().ok()?), length.checked_sub(1)?),
        (false, true) => (first.parse().ok()?, length.checked_sub(1)?),
        (false, false) => (first.parse().ok()?, last.parse::<u64>().ok()?.min(length.saturating_sub(1))),
    };
    Some(if bytes.0 < length && bytes.0 <= bytes.1 { Part::Bytes(bytes.0, bytes.1) } else { Part::Nothing })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_rfc_9110_says() {
        for (text, expected) in [
            ("bytes=0-3", Some(Part::Bytes(0, 3))),
            ("bytes=2-", Some(Part::Bytes(2, 9))),
            ("bytes=-4", Some(Part::Bytes(6, 9))),
            ("bytes=-40", Some(Part::Bytes(0, 9))),
            ("bytes=5-99", Some(Part::Bytes(5, 9))),
            ("bytes=10-", Some(Part::Nothing)),
            ("bytes=5-2", Some(Part::Nothing)),
            ("bytes=0-1,4-5", Some(Part::All)),
            ("pages=1-2", Some(Part::All)),
            ("bytes=-", None),
            ("bytes=a-b", None),
        ] {
            assert_eq!(part(text, 10), expected, "{text}");
        }
        assert_eq!(part("bytes=-1", 0), None);
    }

    #[test]
    fn what_could_be_a_page_is_downloaded() {
        let artifact = |media_type: &str| Artifact {
            sha256: Sha256::of(b""),
            media_type: media_type.into(),
            bytes: 0,
            width: None,
            height: None,
            duration: None,
            name: "ä.svg".into(),
        };
        assert_eq!(disposition(&artifact("image/png")), "inline; filename*=UTF-8''%C3%A4.svg");
        for bad in ["text/html", "image/svg+xml", "application/javascript"] {
            assert!(disposition(&artifact(bad)).starts_with("attachment"));
            assert_eq!(type_of(&artifact(bad)), "application/octet-stream");
        }
    }
}
