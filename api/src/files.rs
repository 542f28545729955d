//! `POST /v1/files`: files for inputs, streamed to the disk and from there into the artifact store.

use crate::caller::Caller;
use crate::key::Scope;
use crate::problem::Problem;
use crate::service::{Api, Shared};
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use darkroom_backend::{Details, Ledger, Queue, Store};
use darkroom_proto::{Artifact, Tenant};
use futures_util::{Stream, StreamExt as _};
use serde::Deserialize;
use serde_json::{Value, json};
use std::fmt::Display;
use std::path::Path;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use utoipa::IntoParams;

/// The longest name of a file.
const NAME_CHARS_MAX: usize = 200;

/// How long an upload may bring nothing.
const STALLED_MAX: Duration = Duration::from_secs(30);

/// What is said of a file.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Named {
    /// What the file is called.
    pub(crate) name: Option<String>,
}

/// A file that nothing else has, and that is gone when it is dropped.
pub(crate) fn staged(folder: Option<&Path>) -> std::io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix("darkroom-upload-");
    match folder {
        Some(folder) => builder.tempfile_in(folder),
        None => builder.tempfile(),
    }
}

/// The usual extension of a type.
pub(crate) fn extension(media_type: &str) -> &str {
    match media_type {
        "image/jpeg" => "jpg",
        "audio/mpeg" => "mp3",
        "text/plain" => "txt",
        "application/octet-stream" | "" => "bin",
        other => other.rsplit('/').next().unwrap_or("bin"),
    }
}

/// A name without what could lead out of a folder or break a header.
fn plain(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default().trim_matches(['.', ' ']);
    last.chars().map(|c| if c.is_control() || matches!(c, '"' | ':') { '-' } else { c }).take(NAME_CHARS_MAX).collect()
}

/// `POST /v1/files?name=mug.jpg`, with the file as its body.
pub(crate) async fn upload<S: Store + Ledger, Q: Queue>(
    State(api): State<Shared<S, Q>>,
    caller: Caller,
    query: Result<Query<Named>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    caller.may(Scope::Submit)?;
    let Query(named) = query.map_err(|error| Problem::bad_request(error.body_text()))?;
    receive(&api, caller.tenant(), named, &headers, body).await
}

/// Takes a file in for a tenant, and answers with what it is and a reference to it.
pub(crate) async fn receive<S: Store + Ledger, Q: Queue>(
    api: &Shared<S, Q>,
    tenant: &Tenant,
    Named { name }: Named,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let bytes_max = api.options.file_bytes_max;
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if let Some(length) = announced.filter(|length| *length > bytes_max) {
        return Err(too_large(length, bytes_max));
    }
    let received = api.receive(body.into_data_stream()).await?;
    let artifact = api.keep_received(received, name.as_deref().unwrap_or_default()).await?;
    let reference = api.signer().await?.file(tenant, &artifact);
    let Value::Object(mut document) = api.with_links(artifact.to_value()).await? else {
        return Err(Problem::internal("an artifact is no object"));
    };
    document.insert("file".to_owned(), json!(reference));
    Ok((StatusCode::CREATED, axum::Json(Value::Object(document))).into_response())
}

/// A file that came in and is not kept yet; dropped, it is gone.
pub(crate) struct Received {
    file: tempfile::NamedTempFile,
    bytes: u64,
}

impl Received {
    /// How long it is.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl<S: Store + Ledger, Q: Queue> Api<S, Q> {
    /// Takes a file in, piece by piece to the disk.
    pub(crate) async fn receive<E: Display>(
        &self,
        pieces: impl Stream<Item = Result<Bytes, E>>,
    ) -> Result<Received, Problem> {
        let bytes_max = self.options.file_bytes_max;
        let failed = |error: std::io::Error| {
            tracing::warn!(%error, "an upload can't be written");
            Problem::unavailable("the file can't be written here at the moment")
        };
        let file = staged(self.options.staging.as_deref()).map_err(failed)?;
        let mut out = tokio::fs::File::from_std(file.reopen().map_err(failed)?);
        let (mut pieces, mut bytes) = (std::pin::pin!(pieces), 0u64);
        loop {
            let piece = tokio::time::timeout(STALLED_MAX, pieces.next()).await.map_err(|_| {
                let detail = format!("nothing came for {} s", STALLED_MAX.as_secs());
                Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", detail)
            })?;
            let Some(piece) = piece else { break };
            let piece = piece.map_err(|error| Problem::bad_request(format!("the upload broke off: {error}")))?;
            bytes += piece.len() as u64;
            if bytes > bytes_max {
                return Err(too_large(bytes, bytes_max));
            }
            out.write_all(&piece).await.map_err(failed)?;
        }
        out.flush().await.map_err(failed)?;
        Ok(Received { file, bytes })
    }

    /// Keeps a file that came in. Its type is told from its content, whatever the client says of it.
    pub(crate) async fn keep_received(&self, received: Received, name: &str) -> Result<Artifact, Problem> {
        let Received { file, bytes } = received;
        if bytes == 0 {
            return Err(Problem::bad_request("the file is empty"));
        }
        let (surroundings, name) = (self.surroundings.clone(), plain(name));
        let artifact = self.blocking(move |artifacts| {
            let found = surroundings.look(file.path(), bytes);
            let name = if name.is_empty() { format!("file.{}", extension(&found.media_type)) } else { name };
            artifacts.put_file(file.path(), &Details { name, ..found })
        });
        Ok(artifact.await??)
    }
}

fn too_large(bytes: u64, bytes_max: u64) -> Problem {
    Problem::too_large(format!("the file has {bytes} bytes or more, over the limit of {bytes_max}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_uploads_lead_nowhere() {
        assert_eq!(plain("../../etc/passwd"), "passwd");
        assert_eq!(plain("C:\\photos\\mug.jpg"), "mug.jpg");
        assert_eq!(plain(".."), "");
        assert_eq!(plain("a\"\r\nb.png"), "a---b.png");
    }
}
