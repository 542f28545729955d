//! The files that a call takes along.

use super::Caller;
use super::choice::Candidate;
use crate::calls::Stuck;
use darkroom_backend::{Ledger, Store};
use darkroom_proto::op::{self, ParamType};
use darkroom_proto::{Artifact, ErrorClass, Map, StepError, StepMessage};
use darkroom_provider::{File, Uploaded};
use serde_json::Value;

/// How many exchanges sending one file ahead may take.
const STAGES_MAX: usize = 6;

/// How long the files of one call may be together.
const FILES_BYTES_MAX: u64 = 200 << 20;

impl<S: Store + Ledger> Caller<S> {
    /// The artifacts among the parameters, sent ahead where the provider wants that. Costs nothing.
    pub(super) async fn inputs(&self, message: &StepMessage, candidate: &Candidate) -> Result<Vec<File>, Stuck> {
        let artifacts = artifacts(&message.op, &message.params);
        let bytes: u64 = artifacts.iter().map(|(_, artifact)| artifact.bytes).sum();
        if bytes > FILES_BYTES_MAX {
            let text = format!("the files of the step are {bytes} bytes, over the limit of {FILES_BYTES_MAX}");
            return Err(StepError::new(ErrorClass::TooLarge, text).advice("make them smaller before this step"));
        }
        let mut files = Vec::with_capacity(artifacts.len());
        for (param, artifact) in artifacts {
            let (workbench, wanted) = (self.workbench.clone(), artifact.clone());
            let read = tokio::task::spawn_blocking(move || workbench.read_upright(&wanted)).await;
            let bytes =
                read.unwrap_or_else(|_| Err(StepError::new(ErrorClass::WorkflowError, "reading was aborted")))?;
            let name = match artifact.name.is_empty() {
                true => format!("{}.{}", artifact.sha256.short(12), artifact.ext()),
                false => artifact.name.clone(),
            };
            let mut file = File {
                param: param.to_owned(),
                name,
                media_type: artifact.media_type.clone(),
                bytes: bytes.into(),
                size: artifact.width.zip(artifact.height),
                url: None,
            };
            file.url = self.sent_ahead(candidate, &file).await?;
            files.push(file);
        }
        Ok(files)
    }

    /// Where a file is after it was sent ahead, if it was.
    async fn sent_ahead(&self, candidate: &Candidate, file: &File) -> Result<Option<String>, Stuck> {
        let adapter = candidate.account.adapter;
        let access = self.access(&candidate.account, &candidate.key).await?;
        let Some(mut request) = adapter.upload(&access, candidate.route, file) else { return Ok(None) };
        let (mut stage, mut memory) = ("", Value::Null);
        for _ in 0..STAGES_MAX {
            let response = self.ask(adapter.name(), "upload", &request).await.map_err(|failed| failed.error)?;
            match adapter.uploaded(&access, file, stage, &memory, &response)? {
                Uploaded::Done(url) => return Ok(Some(url)),
                Uploaded::Next { request: next, stage: of, memory: kept } => {
                    (request, stage, memory) = (next, of, kept);
                }
            }
        }
        Err(StepError::new(ErrorClass::ServerUnavailable, format!("{} takes the file in circles", adapter.name())))
    }
}

/// The artifacts among the parameters of an op, by the parameter.
fn artifacts(op: &str, params: &Map) -> Vec<(&'static str, Artifact)> {
    let Some(op) = op::find(op) else { return Vec::new() };
    let mut found = Vec::new();
    for spec in op.params {
        match (spec.ty, params.get(spec.name)) {
            (ParamType::Artifact(_) | ParamType::AnyArtifact, Some(value)) => {
                found.extend(Artifact::from_value(value).map(|artifact| (spec.name, artifact)));
            }
            (ParamType::Images, Some(Value::Array(values))) => {
                found.extend(values.iter().filter_map(Artifact::from_value).map(|artifact| (spec.name, artifact)));
            }
            _ => {}
        }
    }
    found
}

/// The files that a call would take along, without their bytes.
pub(super) fn files_without_bytes(message: &StepMessage) -> Vec<File> {
    let file = |(param, artifact): (&'static str, Artifact)| File {
        param: param.to_owned(),
        name: artifact.name.clone(),
        media_type: artifact.media_type.clone(),
        bytes: std::sync::Arc::from([]),
        size: artifact.width.zip(artifact.height),
        url: None,
    };
    artifacts(&message.op, &message.params).into_iter().map(file).collect()
}

/// The parameters that are no artifacts, with the defaults of the op table.
pub(super) fn canonical(op: &str, params: &Map) -> Map {
    let Some(op) = op::find(op) else { return params.clone() };
    let mut canonical = Map::new();
    for spec in op.params {
        if matches!(spec.ty, ParamType::Artifact(_) | ParamType::AnyArtifact | ParamType::Images) {
            continue;
        }
        let given = params.get(spec.name).filter(|value| !value.is_null()).cloned();
        let value = given.or_else(|| serde_json::from_str(spec.default).ok()).filter(|value: &Value| !value.is_null());
        if let Some(value) = value {
            canonical.insert(spec.name.to_owned(), value);
        }
    }
    canonical
}
