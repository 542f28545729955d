//! What a worker has at hand for a step: the files, the pictures of the steps before, the providers.

use crate::begun::Begun;
use crate::local;
use crate::media::{Layout, Limits, Picture};
use crate::ops::{self, Context, Files, NewFile, PixelCache};
use crate::program::Programs;
use crate::routes::Routes;
use darkroom_backend::{Artifacts, Details};
use darkroom_proto::op::{self, ParamType};
use darkroom_proto::{Artifact, Map, Money, RunId, StepError, StepMessage, StepPath, Succeeded};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// How many bytes of decoded pictures are kept for the next step.
const CACHE_BYTES_MAX: usize = 96 << 20;

/// The folder with the marks of steps that are being done.
const BEGUN: &str = "begun";

/// Does steps. Every worker of a process shares one.
#[derive(Debug)]
pub struct Workbench {
    files: Stored,
    cache: PixelCache,
    staging: PathBuf,
    begun: Begun,
    routes: Routes,
    programs: Programs,
}

/// A step that is done, as its manifest tells.
#[derive(Debug)]
pub(crate) struct Kept {
    /// What it gave.
    pub(crate) succeeded: Succeeded,
    /// The call that was paid for it, if one was.
    pub(crate) call: Option<String>,
    /// What that cost.
    pub(crate) cost: Money,
}

/// The artifact store, as ops see it.
#[derive(Debug)]
struct Stored(Artifacts);

impl Files for Stored {
    fn read(&self, artifact: &Artifact) -> Result<Vec<u8>, StepError> {
        Ok(self.0.get(artifact)?)
    }

    fn store(&self, file: NewFile) -> Result<Artifact, StepError> {
        let details = Details {
            media_type: file.media_type.to_owned(),
            name: file.name,
            width: file.width,
            height: file.height,
            duration: file.duration,
        };
        Ok(self.0.put(&file.bytes, &details)?)
    }
}

impl Workbench {
    /// A workbench over an artifact store. Unfinished files, and marks of the steps that are being done, lie in `folder`.
    pub fn new(artifacts: Artifacts, folder: &Path, routes: Routes) -> Workbench {
        Workbench {
            files: Stored(artifacts),
            cache: PixelCache::new(CACHE_BYTES_MAX),
            staging: folder.join("staging"),
            begun: Begun::new(folder.join(BEGUN)),
            routes,
            programs: Programs::installed(),
        }
    }

    /// The steps that were being done over this folder when a process was killed. They are told once.
    pub fn interrupted(folder: &Path) -> Vec<(RunId, StepPath)> {
        Begun::take(&folder.join(BEGUN))
    }

    /// Removes what processes that were killed left half written in the staging folder. Files of processes that are
    /// alive stay.
    pub fn clear_leftovers(&self) {
        ops::clear_leftovers(&self.staging);
    }

    /// Does one attempt of a step. Blocks.
    ///
    /// # Errors
    /// When the op fails.
    pub fn perform(&self, message: &StepMessage) -> Result<Succeeded, StepError> {
        let _mark = self.begun.mark(message);
        ops::run(message, &self.context())
    }

    /// Whether what a step gave is told in a manifest: it made or saved a file.
    pub(crate) fn leaves_manifest(succeeded: &Succeeded) -> bool {
        succeeded.saved.is_some() || succeeded.outputs.values().any(|value| Artifact::from_value(value).is_some())
    }

    /// Keeps the manifest of a step. Blocks.
    ///
    /// # Errors
    /// When it can't be kept.
    pub(crate) fn keep_manifest(&self, message: &StepMessage, succeeded: &Succeeded) -> Result<(), StepError> {
        let manifest = manifest(message, succeeded).to_string();
        Ok(self.files.0.put_manifest(message.run, &message.path, message.generation, manifest.as_bytes())?)
    }

    /// The bytes of an artifact. Blocks.
    ///
    /// # Errors
    /// When it can't be read, or is not what it was.
    pub(crate) fn read(&self, artifact: &Artifact) -> Result<Vec<u8>, StepError> {
        self.files.read(artifact)
    }

    /// The bytes of an artifact as a provider is to see it: a picture stands upright, because not all of them heed the note
    /// in the file that it does not, and boxes would be of another picture. What can't be read here is given as it is.
    /// Blocks.
    ///
    /// # Errors
    /// When it can't be read, or is not what it was.
    pub(crate) fn read_upright(&self, artifact: &Artifact) -> Result<Vec<u8>, StepError> {
        let bytes = self.read(artifact)?;
        if !artifact.media_type.starts_with("image/") {
            return Ok(bytes);
        }
        let turned = crate::media::upright(&bytes, &Limits::default()).ok().flatten();
        Ok(turned.unwrap_or(bytes))
    }

    /// Keeps a file that a provider made, named like its step. Blocks.
    ///
    /// # Errors
    /// When it is a picture that can't be read, or it can't be kept.
    pub(crate) fn keep_made(
        &self,
        message: &StepMessage,
        bytes: Vec<u8>,
        media_type: &str,
    ) -> Result<Artifact, StepError> {
        let size = match media_type.starts_with("image/") {
            true => Some(crate::media::read_info(&bytes, &Limits::default())?.size),
            false => None,
        };
        let details = Details {
            media_type: media_type.to_owned(),
            name: String::new(),
            width: size.map(|size| size.width),
            height: size.map(|size| size.height),
            duration: None,
        };
        let mut artifact = self.files.0.put(&bytes, &details)?;
        artifact.name = format!("{}.{}", message.path.last().0, artifact.ext());
        Ok(artifact)
    }

    /// Ends a step that a provider did: saves its primary output where it is to be saved, and keeps its manifest with
    /// where it comes from. Blocks.
    ///
    /// # Errors
    /// When it can't be saved or kept.
    pub(crate) fn finish_called(
        &self,
        message: &StepMessage,
        mut succeeded: Succeeded,
        origin: &Value,
    ) -> Result<Succeeded, StepError> {
        if let (Some(target), Some(op)) = (&message.save, op::find(&message.op))
            && let Some(primary) = succeeded.outputs.get(op.primary).and_then(Artifact::from_value)
        {
            succeeded.saved = Some(ops::place(&primary, target, &self.context())?);
        }
        let mut manifest = manifest(message, &succeeded);
        if let (Some(manifest), Some(origin)) = (manifest.as_object_mut(), origin.as_object()) {
            manifest.remove("preview");
            manifest.extend(origin.clone());
            manifest.insert("notes".to_owned(), json!(succeeded.notes));
        }
        let text = manifest.to_string();
        self.files.0.put_manifest(message.run, &message.path, message.generation, text.as_bytes())?;
        Ok(succeeded)
    }

    /// Whether all files that these outputs refer to are there, whole. Blocks.
    pub(crate) fn has_all(&self, outputs: &Map) -> bool {
        let artifacts: Vec<Artifact> = outputs.values().flat_map(artifacts_of).collect();
        artifacts.iter().all(|artifact| self.files.0.verify(artifact).is_ok())
    }

    /// What a step gave, as its manifest tells; nothing if there is none. Blocks.
    ///
    /// # Errors
    /// When the artifact store can't be asked.
    pub(crate) fn read_manifest(&self, message: &StepMessage) -> Result<Option<Kept>, StepError> {
        let Some(text) = self.files.0.manifest(message.run, &message.path, message.generation)? else {
            return Ok(None);
        };
        let Ok(manifest) = serde_json::from_slice::<Value>(&text) else { return Ok(None) };
        let Some(outputs) = manifest.get("outputs").and_then(Value::as_object) else { return Ok(None) };
        let saved = manifest.get("saved").cloned().and_then(|saved| serde_json::from_value(saved).ok());
        let cached = manifest.get("cached").cloned().and_then(|cached| serde_json::from_value(cached).ok());
        let notes = manifest.get("notes").cloned().and_then(|notes| serde_json::from_value(notes).ok());
        Ok(Some(Kept {
            succeeded: Succeeded { outputs: outputs.clone(), saved, notes: notes.unwrap_or_default(), cached },
            call: manifest.get("call").and_then(Value::as_str).map(str::to_owned),
            cost: Money::from_usd(manifest.get("cost").and_then(Value::as_f64).unwrap_or(0.0)),
        }))
    }

    /// What ops get to see of it.
    pub fn context(&self) -> Context<'_> {
        Context {
            files: &self.files,
            cache: &self.cache,
            limits: Limits::default(),
            focus: strikes_the_eye,
            staging: &self.staging,
            routes: self.routes,
            programs: &self.programs,
        }
    }
}

/// The files that a value refers to, by itself or in a list.
pub(crate) fn artifacts_of(value: &Value) -> Vec<Artifact> {
    match (Artifact::from_value(value), value) {
        (Some(artifact), _) => vec![artifact],
        (None, Value::Array(items)) => items.iter().filter_map(Artifact::from_value).collect(),
        (None, _) => Vec::new(),
    }
}

/// The point of a picture that the eye goes to first.
fn strikes_the_eye(picture: &Picture) -> (f32, f32) {
    local::focus(&rgb(picture))
}

/// A picture as the local provider looks at it: without transparency, on white.
pub(crate) fn rgb(picture: &Picture) -> image::RgbImage {
    let opaque = picture.flattened(crate::media::Color::WHITE).to_layout(Layout::Rgb);
    image::RgbImage::from_raw(opaque.width(), opaque.height(), opaque.pixels().to_vec()).unwrap_or_default()
}

/// Where a file comes from, and what is needed to record the step again if the state is lost.
fn manifest(message: &StepMessage, succeeded: &Succeeded) -> Value {
    let mut manifest = json!({
        "v": 1,
        "run": message.run,
        "step": message.path,
        "generation": message.generation,
        "attempt": message.attempt,
        "workflow": message.provenance.workflow,
        "definition": message.provenance.definition,
        "op": message.op,
        "params": message.params,
        "outputs": succeeded.outputs,
        "cost": 0.0,
    });
    if op::find(&message.op).is_some_and(|op| op.params.iter().any(|param| matches!(param.ty, ParamType::Model(_)))) {
        // Made here: nobody is to take it for what the model would have made.
        manifest["provider"] = json!("local");
        manifest["preview"] = json!(true);
    }
    if let Some(saved) = &succeeded.saved {
        manifest["saved"] = json!(saved);
    }
    manifest
}
