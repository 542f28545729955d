//! Where a trial takes place: a folder of its own for files, and a workbench that does what has no mock.

use crate::error::TestkitError;
use darkroom_backend::{Artifacts, Details};
use darkroom_proto::op;
use darkroom_proto::{Artifact, Duration, ErrorClass, Map, Saved, StepError, StepMessage, Succeeded};
use darkroom_worker::media::{Color, Encoding, Limits, Picture, Size, encode, read_info};
use darkroom_worker::net::media_type;
use darkroom_worker::{Routes, Workbench, ops};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The colour of plain pictures.
const PLAIN: Color = Color { r: 96, g: 128, b: 160, a: 255 };

/// Films and sounds that are nothing but their beginning: enough to be kept and passed on.
const BEGINNINGS: &[(&str, &str, &[u8])] = &[
    ("mp4", "video/mp4", b"\0\0\0\x18ftypisom\0\0\x02\0isommp41"),
    ("mp3", "audio/mpeg", b"ID3\x04\0\0\0\0\0\0"),
    ("wav", "audio/wav", b"RIFF\x04\0\0\0WAVE"),
];

/// The files of a trial; they are gone with it.
#[derive(Debug)]
pub(crate) struct Stage {
    folder: tempfile::TempDir,
    artifacts: Artifacts,
    workbench: Workbench,
}

impl Stage {
    pub(crate) fn new() -> Result<Stage, TestkitError> {
        let disk = |error: String| TestkitError::Disk(error);
        let folder = tempfile::Builder::new().prefix("darkroom-test-").tempdir().map_err(|e| disk(e.to_string()))?;
        let artifacts = Artifacts::open(&folder.path().join("artifacts")).map_err(|e| disk(e.to_string()))?;
        // As without any key: every model is served by the local preview.
        let workbench = Workbench::new(artifacts.clone(), folder.path(), Routes { has_provider_key: false });
        let stage = Stage { folder, artifacts, workbench };
        std::fs::create_dir_all(stage.out()).map_err(|e| disk(e.to_string()))?;
        Ok(stage)
    }

    /// The output folder.
    pub(crate) fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    /// Where links to artifacts lead.
    pub(crate) fn artifacts_url(&self) -> String {
        self.artifacts.root_url()
    }

    /// What `@name` means: a plain picture, or a file in `folder`, taken in.
    pub(crate) fn named(&self, name: &str, folder: &Path) -> Result<Artifact, String> {
        let Some(kind) = name.strip_prefix("plain:") else { return self.file(&folder.join(name)) };
        if let Some((_, media_type, head)) = BEGINNINGS.iter().find(|(ending, ..)| *ending == kind) {
            let media_type = (*media_type).to_owned();
            let details = Details { media_type, name: format!("plain.{kind}"), ..Details::default() };
            return self.artifacts.put(head, &details).map_err(|error| error.to_string());
        }
        let sides = kind.split_once('x').and_then(|(width, height)| width.parse().ok().zip(height.parse().ok()));
        let (width, height) =
            sides.ok_or_else(|| format!("`@{name}`: write `@plain:640x480`, or `@plain:mp4`, `mp3` or `wav`"))?;
        self.plain(width, height).map_err(|error| format!("`@{name}`: {}", error.message))
    }

    /// A plain picture.
    pub(crate) fn plain(&self, width: u32, height: u32) -> Result<Artifact, StepError> {
        let size = Size { width, height };
        let bytes = Picture::filled(size, PLAIN).and_then(|picture| encode(&picture, Encoding::Png))?;
        let details = Details {
            media_type: "image/png".into(),
            name: "plain.png".into(),
            width: Some(width),
            height: Some(height),
            duration: None,
        };
        Ok(self.artifacts.put(&bytes, &details)?)
    }

    fn file(&self, path: &Path) -> Result<Artifact, String> {
        let bytes = std::fs::read(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => format!("there is no file {}", path.display()),
            _ => format!("{} can't be read: {error}", path.display()),
        })?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let media_type = media_type(&bytes).unwrap_or("application/octet-stream").to_owned();
        let mut details = Details { media_type, name, ..Details::default() };
        if let Ok(info) = read_info(&bytes, &Limits::default()) {
            details.media_type = info.format.media_type().to_owned();
            (details.width, details.height) = (Some(info.size.width), Some(info.size.height));
        }
        self.artifacts.put(&bytes, &details).map_err(|error| error.to_string())
    }

    /// Saves the main output of a step that was not done for real.
    pub(crate) fn save(&self, message: &StepMessage, outputs: &Map) -> Result<Option<Saved>, StepError> {
        let Some(target) = &message.save else { return Ok(None) };
        let primary = op::find(&message.op).and_then(|op| outputs.get(op.primary)).and_then(Artifact::from_value);
        match primary {
            Some(primary) => Ok(Some(ops::place(&primary, target, &self.workbench.context())?)),
            None => Err(StepError::new(ErrorClass::InvalidInput, "the mock gives no file, and the step saves one")
                .code("mocked")
                .advice("give its main output a file: `@path`, or `@plain:640x480`")),
        }
    }

    /// Does a step for real, and says how long it would wait meanwhile.
    pub(crate) fn perform(&self, message: &StepMessage) -> (Duration, Result<Succeeded, StepError>) {
        if message.op == "noop" {
            return match ops::noop(message) {
                Ok((takes, succeeded)) => (takes, Ok(succeeded)),
                Err(error) => (Duration::default(), Err(error)),
            };
        }
        if op::find(&message.op).is_some_and(|op| op.pool == "system") {
            return (Duration::default(), Ok(answered(message)));
        }
        if op::task_name(&message.op).is_some() {
            let error = StepError::new(ErrorClass::WorkflowError, "a test has no workers of tasks")
                .code("no_mock")
                .advice(format!("add a mock of `{}` with the outputs of `{}`", message.path, message.op));
            return (Duration::default(), Err(error));
        }
        (Duration::default(), self.workbench.perform(message))
    }
}

/// What a server is taken to answer that is never asked.
fn answered(message: &StepMessage) -> Succeeded {
    let mut outputs = Map::from_iter([("status".to_owned(), json!(200))]);
    if message.op == "http.request" {
        outputs.insert("headers".to_owned(), json!({}));
        outputs.insert("body".to_owned(), Value::Null);
    }
    Succeeded { outputs, ..Succeeded::default() }
}
