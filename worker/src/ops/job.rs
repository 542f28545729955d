//! One attempt of a step, as its op sees it.

use super::{Files, NewFile, Params, PixelCache};
use crate::media::{
    DecodeHint, Decoded, Encoding, Limits, MediaError, Picture, PictureInfo, decode, encode, read_info,
};
use crate::program::Programs;
use crate::routes::Routes;
use darkroom_proto::op::{self, OpSpec};
use darkroom_proto::{Artifact, ErrorClass, Map, StepError, StepMessage, Succeeded};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// What ops need from the worker around them.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The artifact store.
    pub files: &'a dyn Files,
    /// Decoded pictures of the steps before.
    pub cache: &'a PixelCache,
    /// What is too much.
    pub limits: Limits,
    /// Where in a picture the eye goes first, from 0,0 at the top left to 1,1: what `focus: auto` keeps.
    pub focus: fn(&Picture) -> (f32, f32),
    /// A folder for unfinished files, on the file system of the output folders where that is possible and never under one.
    pub staging: &'a Path,
    /// Who serves the models of steps.
    pub routes: Routes,
    /// The programs of this machine.
    pub programs: &'a Programs,
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("limits", &self.limits).field("staging", &self.staging).finish_non_exhaustive()
    }
}

/// One attempt: the message, its checked parameters and the worker around it.
#[derive(Debug)]
pub struct Job<'a> {
    op: &'static OpSpec,
    message: &'a StepMessage,
    params: Params<'a>,
    context: &'a Context<'a>,
    begun: Instant,
}

impl<'a> Job<'a> {
    /// Checks the parameters of a message.
    ///
    /// # Errors
    /// When the op is unknown, or a parameter is missing, unknown or not what the op takes.
    pub fn new(message: &'a StepMessage, context: &'a Context<'a>) -> Result<Job<'a>, StepError> {
        let op = op::find(&message.op).ok_or_else(|| {
            StepError::new(ErrorClass::WorkflowError, format!("`{}` is no op that this worker knows", message.op))
                .code("unknown_op")
                .advice("Upgrade the workers to the coordinator's release.")
        })?;
        Ok(Job { op, message, params: Params::new(op, &message.params)?, context, begun: Instant::now() })
    }

    /// The op.
    pub fn op(&self) -> &'static OpSpec {
        self.op
    }

    /// The message.
    pub fn message(&self) -> &'a StepMessage {
        self.message
    }

    /// The parameters.
    pub fn params(&self) -> &Params<'a> {
        &self.params
    }

    /// The worker around it.
    pub fn context(&self) -> &'a Context<'a> {
        self.context
    }

    /// How much of the attempt's time is left.
    pub fn time_left(&self) -> std::time::Duration {
        self.message.timeout.to_std().saturating_sub(self.begun.elapsed())
    }

    /// The whole picture of an artifact.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn picture(&self, artifact: &Artifact) -> Result<Arc<Decoded>, StepError> {
        self.context.picture(artifact, |_| Ok(DecodeHint::FULL))
    }

    /// The picture of an artifact, at a reduced scale where `hint` allows it.
    ///
    /// # Errors
    /// When it can't be read, or `hint` fails.
    pub fn picture_for(
        &self,
        artifact: &Artifact,
        hint: impl FnOnce(&PictureInfo) -> Result<DecodeHint, MediaError>,
    ) -> Result<Arc<Decoded>, StepError> {
        self.context.picture(artifact, hint)
    }

    /// Stores a picture as the step's output, as a PNG, named like what it was made from. The next step finds its pixels
    /// in the cache.
    ///
    /// # Errors
    /// When it can't be stored.
    pub fn hand_on(&self, picture: Picture, source: Option<&Artifact>) -> Result<Artifact, StepError> {
        let artifact = self.context.store(&picture, Encoding::Png, &self.stem(source))?;
        let info = PictureInfo {
            format: Encoding::Png.format(),
            size: picture.size(),
            alpha: picture.layout().has_alpha(),
            frames: 1,
            profile: String::new(),
        };
        self.context.cache.insert(artifact.sha256, Arc::new(Decoded { picture, info }));
        Ok(artifact)
    }

    /// The name of the output, without extension: the source's, or the step's id.
    pub fn stem(&self, source: Option<&Artifact>) -> String {
        let stem = source.map(Artifact::stem).unwrap_or_default();
        if stem.is_empty() { self.message.path.last().0.to_owned() } else { stem.to_owned() }
    }
}

impl Context<'_> {
    pub(super) fn picture(
        &self,
        artifact: &Artifact,
        hint: impl FnOnce(&PictureInfo) -> Result<DecodeHint, MediaError>,
    ) -> Result<Arc<Decoded>, StepError> {
        let named = |error: MediaError| named(error.into(), artifact);
        // What comes out must not depend on what is in the cache: where the file would be decoded at a reduced scale, it is.
        if let Some(cached) = self.cache.get(&artifact.sha256) {
            let hint = hint(&cached.info).map_err(named)?;
            if !hint.reduces(&cached.info) {
                return Ok(cached);
            }
            let bytes = self.read(artifact)?;
            return decode(&bytes, hint, &self.limits).map(Arc::new).map_err(named);
        }
        let bytes = self.read(artifact)?;
        let info = read_info(&bytes, &self.limits).map_err(named)?;
        let hint = hint(&info).map_err(named)?;
        let decoded = Arc::new(decode(&bytes, hint, &self.limits).map_err(named)?);
        if !hint.reduces(&info) {
            self.cache.insert(artifact.sha256, decoded.clone());
        }
        Ok(decoded)
    }

    /// The bytes of an artifact that is to be decoded.
    pub(super) fn read(&self, artifact: &Artifact) -> Result<Vec<u8>, StepError> {
        // Asked before the bytes are fetched; `read_info` asks again of what came.
        self.limits.check_bytes(artifact.bytes).map_err(|error| named(error.into(), artifact))?;
        self.files.read(artifact)
    }

    pub(super) fn store(&self, picture: &Picture, encoding: Encoding, stem: &str) -> Result<Artifact, StepError> {
        let format = encoding.format();
        self.files.store(NewFile {
            bytes: encode(picture, encoding)?,
            media_type: format.media_type(),
            name: format!("{stem}.{}", format.extension()),
            width: Some(picture.width()),
            height: Some(picture.height()),
            duration: None,
        })
    }
}

/// The error, with the name of the file that it is about.
fn named(mut error: StepError, artifact: &Artifact) -> StepError {
    if !artifact.name.is_empty() {
        error.message = format!("{}: {}", artifact.name, error.message);
    }
    error
}

/// An outcome of these outputs.
pub(super) fn outputs<const N: usize>(outputs: [(&str, Value); N]) -> Succeeded {
    let outputs: Map = outputs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Succeeded { outputs, ..Succeeded::default() }
}
