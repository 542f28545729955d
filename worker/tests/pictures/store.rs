//! A worker around an op: an artifact store in memory, and messages.

use darkroom_proto::{
    Artifact, Duration, ErrorClass, Map, Provenance, RunId, SaveTarget, Sha256, StepError, StepMessage, StepPath,
    Succeeded,
};
use darkroom_worker::Routes;
use darkroom_worker::media::{DecodeHint, Limits, Picture, decode};
use darkroom_worker::ops::{self, Context, Files, NewFile, PixelCache};
use darkroom_worker::program::Programs;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Default)]
pub(crate) struct MemoryFiles {
    files: Mutex<HashMap<Sha256, Vec<u8>>>,
    pub(crate) reads: AtomicUsize,
}

impl MemoryFiles {
    pub(crate) fn add(&self, name: &str, bytes: &[u8]) -> Artifact {
        let sha256 = Sha256::of(bytes);
        self.files.lock().unwrap().insert(sha256, bytes.to_vec());
        // The media type is wrong on purpose wherever it could matter: nothing may trust it.
        Artifact {
            sha256,
            media_type: "image/png".into(),
            bytes: bytes.len() as u64,
            width: None,
            height: None,
            duration: None,
            name: name.into(),
        }
    }
}

impl Files for MemoryFiles {
    fn read(&self, artifact: &Artifact) -> Result<Vec<u8>, StepError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.files
            .lock()
            .unwrap()
            .get(&artifact.sha256)
            .cloned()
            .ok_or_else(|| StepError::new(ErrorClass::WorkflowError, "no such artifact"))
    }

    fn store(&self, file: NewFile) -> Result<Artifact, StepError> {
        let artifact = self.add(&file.name, &file.bytes);
        Ok(Artifact {
            media_type: file.media_type.into(),
            width: file.width,
            height: file.height,
            duration: file.duration,
            ..artifact
        })
    }
}

pub(crate) struct Worker {
    pub(crate) files: MemoryFiles,
    pub(crate) cache: PixelCache,
    pub(crate) staging: tempfile::TempDir,
    pub(crate) programs: Programs,
}

impl Default for Worker {
    fn default() -> Self {
        Worker {
            files: MemoryFiles::default(),
            cache: PixelCache::new(64 << 20),
            staging: tempfile::tempdir().unwrap(),
            programs: Programs::installed(),
        }
    }
}

impl Worker {
    pub(crate) fn context(&self) -> Context<'_> {
        Context {
            files: &self.files,
            cache: &self.cache,
            limits: Limits::default(),
            focus: |_| (1.0, 1.0),
            staging: self.staging.path(),
            routes: Routes { has_provider_key: false },
            programs: &self.programs,
        }
    }

    pub(crate) fn run(&self, op: &str, params: Value) -> Result<Succeeded, StepError> {
        ops::run(&message(op, params), &self.context())
    }

    /// The primary output `image` of an op, as artifact and decoded.
    pub(crate) fn image(&self, op: &str, params: Value) -> (Artifact, Picture) {
        let succeeded = self.run(op, params).unwrap();
        let artifact = Artifact::from_value(&succeeded.outputs["image"]).unwrap();
        let picture = self.decode(&artifact);
        assert_eq!(artifact.width, Some(picture.width()));
        assert_eq!(artifact.height, Some(picture.height()));
        (artifact, picture)
    }

    pub(crate) fn decode(&self, artifact: &Artifact) -> Picture {
        decode(&self.files.read(artifact).unwrap(), DecodeHint::FULL, &Limits::default()).unwrap().picture
    }
}

pub(crate) fn message(op: &str, params: Value) -> StepMessage {
    let Value::Object(params) = params else { panic!("parameters are an object") };
    let params: Map = params;
    StepMessage {
        run: RunId::from_bytes([1; 16]),
        path: StepPath::top("shot"),
        generation: 0,
        attempt: 1,
        op: op.into(),
        params,
        timeout: Duration::from_secs(60),
        save: None,
        provenance: Provenance { workflow: "test".into(), definition: Sha256::of(b"") },
        budget: None,
        ticket: None,
        deferred_since: None,
        epoch: None,
        cache: None,
    }
}

pub(crate) fn saving(message: StepMessage, path: &str, out: Option<&std::path::Path>) -> StepMessage {
    let out = out.map(|out| out.to_str().unwrap().to_owned());
    StepMessage { save: Some(SaveTarget { path: path.into(), out }), ..message }
}
