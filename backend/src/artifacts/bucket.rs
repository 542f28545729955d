//! Artifacts in a bucket of S3, or of a server that speaks like it.

use super::refusal::{Server, is_told_by_uploading};
use super::requests::Requests;
use super::{
    ArtifactError, CHUNK_BYTES, FILE_BYTES_MAX, MANIFEST_BYTES_MAX, PIECE_BYTES_MAX, check, name_of, too_large,
    unavailable,
};
use darkroom_proto::{Artifact, Sha256};
use futures_util::{Stream, StreamExt as _};
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path as Key;
use object_store::{
    Attribute, Attributes, BackoffConfig, ClientOptions, GetOptions, ObjectStore as _, PutMultipartOptions, PutOptions,
    PutPayload, RetryConfig, WriteMultipart,
};
use sha2::Digest as _;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek as _};
use std::path::Path;
use std::time::Duration;

/// How much is sent by one request. What is in flight together has to pass a slow line within the time that a request
/// may take: 32 MiB in a minute, 4.5 Mbit/s.
const PART_BYTES: u64 = 8 << 20;
/// How many parts of one file are in flight.
const PARTS_IN_FLIGHT: usize = 4;
/// Up to here a file is sent in one request: most pictures are, and one request is quicker than four.
const WHOLE_BYTES_MAX: u64 = 2 * PART_BYTES;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the server may be silent: while it is sent a part, and between two pieces of what it sends.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// How long it may take to fetch as much as a part has, so that one that sends byte by byte is given up as well.
const FETCH_TIMEOUT: Duration = Duration::from_secs(120);

/// A short hiccup is not worth failing a step; what lasts longer is the business of the step's own retries.
fn retries() -> RetryConfig {
    let backoff =
        BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(5), base: 2.0 };
    RetryConfig { backoff, max_retries: 5, retry_timeout: Duration::from_secs(30) }
}

/// A bucket with `sha256/ab/cdef…` and `runs/…` under a prefix.
pub(super) struct Bucket {
    // Its own `Debug` would print the secret key.
    store: AmazonS3,
    requests: Requests,
    server: Server,
    root: String,
    prefix: String,
}

impl std::fmt::Debug for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bucket").field("root", &self.root).finish_non_exhaustive()
    }
}

impl Bucket {
    /// Nothing is asked of the server yet. Keys, region and endpoint are read from `variables` as the AWS tools read
    /// them from the environment.
    pub(super) fn open(
        bucket: &str,
        prefix: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ArtifactError> {
        let root = if prefix.is_empty() { format!("s3://{bucket}") } else { format!("s3://{bucket}/{prefix}") };
        let client = ClientOptions::new()
            .with_connect_timeout(CONNECT_TIMEOUT)
            .with_read_timeout(SILENCE_MAX)
            // It would count for fetching a whole file, however large.
            .with_timeout_disabled();
        let mut builder = AmazonS3Builder::new().with_client_options(client).with_retry(retries());
        for (name, value) in variables {
            // A variable that is set to nothing is not set, for the AWS tools as well.
            if name.starts_with("AWS_")
                && !value.is_empty()
                && let Ok(key) = name.to_ascii_lowercase().parse()
            {
                builder = builder.with_config(key, value);
            }
        }
        let endpoint = builder
            .get_config_value(&AmazonS3ConfigKey::S3Endpoint)
            .or_else(|| builder.get_config_value(&AmazonS3ConfigKey::Endpoint));
        let server = Server::new(&root, endpoint.as_deref());
        // Secrets are not sent in the clear unless the endpoint says so itself.
        let is_plain = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
        let store = builder
            .with_bucket_name(bucket)
            .with_allow_http(is_plain)
            .build()
            .map_err(|error| ArtifactError::BadUrl { url: root.clone(), why: server.why_unusable(&error) })?;
        let requests =
            Requests::start().map_err(|source| ArtifactError::Unavailable { place: root.clone(), source })?;
        Ok(Self { store, requests, server, root, prefix: prefix.to_owned() })
    }

    /// The URL of the bucket and the prefix.
    pub(super) fn root(&self) -> &str {
        &self.root
    }

    pub(super) fn url(&self, sha256: Sha256) -> String {
        format!("{}/{}", self.root, name_of(sha256))
    }

    pub(super) fn put(&self, bytes: &[u8], media_type: &str) -> Result<Sha256, ArtifactError> {
        let length = bytes.len() as u64;
        if length > PIECE_BYTES_MAX {
            return Err(too_large("the file", length, PIECE_BYTES_MAX));
        }
        let sha256 = Sha256::of(bytes);
        let key = self.key(&name_of(sha256))?;
        if self.length(&key)? == Some(length) {
            return Ok(sha256);
        }
        if length <= WHOLE_BYTES_MAX {
            self.upload(&key, bytes, media_type)?;
        } else {
            let mut parts = bytes.chunks(PART_BYTES as usize);
            self.upload_parts(&key, media_type, || Ok(parts.next().map(<[u8]>::to_vec)))?;
        }
        Ok(sha256)
    }

    pub(super) fn put_file(&self, from: &Path, media_type: &str) -> Result<(Sha256, u64), ArtifactError> {
        let unread = |error| unavailable(from, error);
        let mut file = File::open(from).map_err(unread)?;
        let mut start = Vec::new();
        (&mut file).take(WHOLE_BYTES_MAX + 1).read_to_end(&mut start).map_err(unread)?;
        if start.len() as u64 <= WHOLE_BYTES_MAX {
            return Ok((self.put(&start, media_type)?, start.len() as u64));
        }
        drop(start);
        // Its name is its digest, and so it is read once for that before it is sent.
        file.rewind().map_err(unread)?;
        let (mut hasher, mut length) = (sha2::Sha256::new(), 0);
        while let Some(chunk) = read_up_to(&mut file, CHUNK_BYTES).map_err(unread)? {
            length += chunk.len() as u64;
            if length > FILE_BYTES_MAX {
                return Err(too_large(from.display().to_string(), length, FILE_BYTES_MAX));
            }
            hasher.update(&chunk);
        }
        let sha256 = Sha256::from_bytes(hasher.finalize().into());
        let key = self.key(&name_of(sha256))?;
        if self.length(&key)? != Some(length) {
            file.rewind().map_err(unread)?;
            let mut sent = sha2::Sha256::new();
            self.upload_parts(&key, media_type, || {
                let part = read_up_to(&mut file, PART_BYTES as usize).map_err(unread)?;
                match &part {
                    Some(part) => sent.update(part),
                    None if Sha256::from_bytes(sent.clone().finalize().into()) != sha256 => {
                        return Err(unread(std::io::Error::other("it was changed while it was read")));
                    }
                    None => {}
                }
                Ok(part)
            })?;
        }
        Ok((sha256, length))
    }

    pub(super) fn get(&self, artifact: &Artifact) -> Result<Vec<u8>, ArtifactError> {
        if artifact.bytes > PIECE_BYTES_MAX {
            return Err(too_large("the file", artifact.bytes, PIECE_BYTES_MAX));
        }
        let mut bytes = Vec::new();
        self.fetch(artifact, |part| {
            // Reserved only once the server has said that the file is as long as it should be.
            bytes.reserve_exact(artifact.bytes as usize - bytes.len());
            bytes.extend_from_slice(part);
        })?;
        check(artifact, bytes.len() as u64, Sha256::of(&bytes))?;
        Ok(bytes)
    }

    pub(super) fn verify(&self, artifact: &Artifact) -> Result<(), ArtifactError> {
        let (mut hasher, mut length) = (sha2::Sha256::new(), 0);
        self.fetch(artifact, |part| {
            hasher.update(part);
            length += part.len() as u64;
        })?;
        check(artifact, length, Sha256::from_bytes(hasher.finalize().into()))
    }

    pub(super) fn has(&self, artifact: &Artifact) -> Result<bool, ArtifactError> {
        let key = self.key(&name_of(artifact.sha256))?;
        match self.head(&key)? {
            Ok(length) => Ok(length == artifact.bytes),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.server.refusal(&error)),
        }
    }

    /// Keeps a document under a name of its own; one of the same name is replaced.
    pub(super) fn put_document(&self, name: &str, json: &[u8]) -> Result<(), ArtifactError> {
        if json.len() as u64 > MANIFEST_BYTES_MAX {
            return Err(too_large(name, json.len() as u64, MANIFEST_BYTES_MAX));
        }
        self.upload(&self.key(name)?, json, "application/json")
    }

    pub(super) fn document(&self, name: &str) -> Result<Option<Vec<u8>>, ArtifactError> {
        let (store, key) = (self.store.clone(), self.key(name)?);
        let got = self.wait(async move {
            let found = store.get_opts(&key, GetOptions::default()).await?;
            let length = found.meta.size;
            // What is too long is not fetched at all.
            let bytes = if length <= MANIFEST_BYTES_MAX { found.bytes().await? } else { Default::default() };
            Ok((length, bytes))
        })?;
        match got {
            Ok((length, _)) if length > MANIFEST_BYTES_MAX => Err(too_large(name, length, MANIFEST_BYTES_MAX)),
            Ok((_, bytes)) => Ok(Some(bytes.into())),
            Err(error) if self.server.lacks_only_the_object(&error) => Ok(None),
            Err(error) => Err(self.server.refusal(&error)),
        }
    }

    fn key(&self, name: &str) -> Result<Key, ArtifactError> {
        let whole = if self.prefix.is_empty() { name.to_owned() } else { format!("{}/{name}", self.prefix) };
        // `parse` leaves the name as it is, where `from` would encode the `%` of manifests once more.
        Key::parse(whole).map_err(|error| ArtifactError::BadUrl { url: self.root.clone(), why: error.to_string() })
    }

    fn wait<T: Send + 'static>(
        &self,
        request: impl Future<Output = Result<T, object_store::Error>> + Send + 'static,
    ) -> Result<Result<T, object_store::Error>, ArtifactError> {
        self.requests.wait(request).ok_or_else(|| self.server.unreachable("the request broke"))
    }

    fn head(&self, key: &Key) -> Result<Result<u64, object_store::Error>, ArtifactError> {
        let (store, key) = (self.store.clone(), key.clone());
        self.wait(async move {
            let options = GetOptions { head: true, ..GetOptions::default() };
            Ok(store.get_opts(&key, options).await?.meta.size)
        })
    }

    /// How long the object is, if it is there and we may know.
    fn length(&self, key: &Key) -> Result<Option<u64>, ArtifactError> {
        match self.head(key)? {
            Ok(length) => Ok(Some(length)),
            Err(error) if is_told_by_uploading(&error) => Ok(None),
            Err(error) => Err(self.server.refusal(&error)),
        }
    }

    fn upload(&self, key: &Key, bytes: &[u8], media_type: &str) -> Result<(), ArtifactError> {
        let (store, key, payload) = (self.store.clone(), key.clone(), PutPayload::from(bytes.to_vec()));
        let options = PutOptions { attributes: attributes(media_type), ..PutOptions::default() };
        self.wait(async move { store.put_opts(&key, payload, options).await })?
            .map_err(|error| self.server.refusal(&error))?;
        Ok(())
    }

    /// Sends a file part by part. It gets its name when `next` has no more parts, and does not when `next` fails.
    fn upload_parts(
        &self,
        key: &Key,
        media_type: &str,
        mut next: impl FnMut() -> Result<Option<Vec<u8>>, ArtifactError>,
    ) -> Result<(), ArtifactError> {
        let (store, key) = (self.store.clone(), key.clone());
        let options = PutMultipartOptions { attributes: attributes(media_type), ..PutMultipartOptions::default() };
        let begun = self.wait(async move { store.put_multipart_opts(&key, options).await })?;
        let begun = begun.map_err(|error| self.server.refusal(&error))?;
        let mut upload = WriteMultipart::new_with_chunk_size(begun, PART_BYTES as usize);
        loop {
            let part = match next() {
                Ok(Some(part)) => part,
                Ok(None) => break,
                Err(error) => {
                    self.abort(upload);
                    return Err(error);
                }
            };
            let (given_back, sent) = self
                .wait(async move {
                    let sent = upload.wait_for_capacity(PARTS_IN_FLIGHT).await;
                    if sent.is_ok() {
                        upload.put(part.into());
                    }
                    Ok((upload, sent))
                })?
                .map_err(|error| self.server.refusal(&error))?;
            upload = given_back;
            if let Err(error) = sent {
                self.abort(upload);
                return Err(self.server.refusal(&error));
            }
        }
        self.wait(async move { upload.finish().await })?.map_err(|error| self.server.refusal(&error))?;
        Ok(())
    }

    /// Removes the parts that were sent. If this fails too, the bucket's rule for unfinished uploads does it.
    fn abort(&self, upload: WriteMultipart) {
        let _ = self.wait(async move { upload.abort().await });
    }

    /// Gives the bytes of an artifact piece by piece, none of them unless they are as many as they should be.
    fn fetch(&self, artifact: &Artifact, mut take: impl FnMut(&[u8])) -> Result<(), ArtifactError> {
        let (store, key) = (self.store.clone(), self.key(&name_of(artifact.sha256))?);
        let found = self.wait(async move { store.get_opts(&key, GetOptions::default()).await })?;
        let found = found.map_err(|error| match self.server.lacks_only_the_object(&error) {
            true => ArtifactError::Missing { sha256: artifact.sha256 },
            false => self.server.refusal(&error),
        })?;
        check(artifact, found.meta.size, artifact.sha256)?;
        let mut stream = found.into_stream();
        loop {
            let fetched = self.wait(async move {
                let pieces = tokio::time::timeout(FETCH_TIMEOUT, next_part(&mut stream)).await;
                Ok((stream, pieces))
            })?;
            let (given_back, pieces) = fetched.map_err(|error| self.server.refusal(&error))?;
            stream = given_back;
            let pieces = pieces.map_err(|_| self.server.unreachable("it sends too slowly"))?;
            let pieces = pieces.map_err(|error| self.server.refusal(&error))?;
            if pieces.is_empty() {
                return Ok(());
            }
            pieces.iter().for_each(|piece| take(piece));
        }
    }
}

/// The next pieces of a stream, about as many bytes as a part has; none at its end.
async fn next_part<B: AsRef<[u8]>, E>(stream: &mut (impl Stream<Item = Result<B, E>> + Unpin)) -> Result<Vec<B>, E> {
    let (mut pieces, mut length) = (Vec::new(), 0);
    while length < PART_BYTES
        && let Some(piece) = stream.next().await
    {
        let piece = piece?;
        length += piece.as_ref().len() as u64;
        pieces.push(piece);
    }
    Ok(pieces)
}

/// What is kept with an object, so that a browser shows it as what it is.
fn attributes(media_type: &str) -> Attributes {
    let mut attributes = Attributes::new();
    if !media_type.is_empty() && media_type.bytes().all(|byte| byte.is_ascii_graphic()) {
        attributes.insert(Attribute::ContentType, media_type.to_owned().into());
    }
    attributes
}

/// So many bytes of a file, fewer only at its end; `None` after it.
fn read_up_to(file: &mut File, count: usize) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = vec![0; count];
    let mut read = 0;
    while read < count {
        match file.read(&mut bytes[read..]) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(read);
    Ok((read > 0).then_some(bytes))
}
