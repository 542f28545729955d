//! The workflows that the steps of a workflow run: found by name, and pinned when a run is handed in.

use crate::failure::{EXIT_USAGE, Failure};
use crate::given;
use crate::links::Links;
use crate::named;
use crate::output::complain;
use crate::settings::Settings;
use crate::workflow_file::{read, show};
use darkroom_backend::{Artifacts, Clock, Definition, Ledger, Queue, Store};
use darkroom_coordinator::{Desk, DeskError, WorkflowError};
use darkroom_engine::plan::Plan;
use darkroom_engine::preview::{Cost, Offer, Prices, preview};
use darkroom_engine::{Compiled, Library, Pinned, Run, Source, Spec, compile, summary};
use darkroom_proto::{Map, RunId};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A workflow that a step runs.
#[derive(Debug)]
pub(crate) struct ChildFile {
    /// What the step calls it, such as `product-photo@3`.
    pub(crate) reference: String,
    /// What is kept of it.
    pub(crate) definition: Definition,
    /// What was compiled.
    pub(crate) plan: Arc<Plan>,
    /// The folder that default paths are relative to.
    folder: PathBuf,
}

/// The definitions that a run is pinned to, without files.
pub(crate) fn pinned(children: &[ChildFile]) -> BTreeMap<String, Pinned> {
    let pin = |child: &ChildFile| Pinned { definition: child.definition.hash, files: Map::new() };
    children.iter().map(|child| (child.reference.clone(), pin(child))).collect()
}

/// Takes in the files that inputs of children have as defaults. One that is not there has to come from the parent.
pub(crate) async fn take_in(spec: &mut Spec, children: &[ChildFile], store: &Artifacts, links: &Links) {
    for child in children {
        let files = given::take_in_defaults(&child.plan, &child.folder, store, links).await;
        if let Some(pinned) = spec.children.get_mut(&child.reference) {
            pinned.files = files;
        }
    }
}

/// Finds the workflows that the steps of a workflow run, and those that these run. `folder` is that of its file, if it has
/// one. What is not found is missing from the library: compiling with it says where that is written.
pub(crate) async fn gather(
    plan: &Plan,
    folder: Option<&Path>,
    settings: &Settings,
) -> Result<(Vec<ChildFile>, Library), Failure> {
    let (mut found, mut library) = (Vec::new(), Library::default());
    let mut seen: BTreeSet<String> = plan.children().into_iter().map(str::to_owned).collect();
    let mut open: Vec<String> = seen.iter().cloned().collect();
    while let Some(reference) = open.pop() {
        let Some((source, folder)) = look_up(&reference, folder, settings).await? else { continue };
        let Compiled { plan, signature, .. } = compile(&source).map_err(|errors| {
            show(&errors, &source);
            complain(&summary(&errors, 1));
            Failure::printed(EXIT_USAGE)
        })?;
        let inner = plan.children().into_iter().map(str::to_owned);
        open.extend(inner.filter(|inner| seen.insert(inner.clone())).collect::<Vec<_>>());
        library.insert(reference.clone(), signature);
        let definition = Definition {
            hash: plan.definition,
            workflow: plan.workflow.clone(),
            file: source.name().to_owned(),
            source: source.text().to_owned(),
        };
        found.push(ChildFile { reference, definition, plan: Arc::new(plan), folder });
    }
    Ok((found, library))
}

/// A file beside the parent, what is stored under the name, or what comes with this release.
async fn look_up(
    reference: &str,
    folder: Option<&Path>,
    settings: &Settings,
) -> Result<Option<(Source, PathBuf)>, Failure> {
    if let (Some(folder), None) = (folder, reference.split_once('@').filter(|(_, version)| *version != "latest")) {
        let name = reference.split('@').next().unwrap_or_default();
        let path = folder.join(format!("{name}.yaml"));
        // A name is no path.
        if !name.contains(['/', '\\']) && path.is_file() {
            return Ok(Some((read(&path)?, folder.to_path_buf())));
        }
    }
    match named::find(reference, settings).await? {
        Ok(found) if found.is_off => Err(Failure::conflict(format!("the workflow `{reference}` is switched off"))
            .advice(format!("`darkroom workflows enable {reference}` lets it be run again"))),
        Ok(found) => Ok(Some((found.source, PathBuf::new()))),
        Err(WorkflowError::Missing(_) | WorkflowError::NoVersion { .. } | WorkflowError::Ambiguous { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Keeps the definitions of children, so that runs can be pinned to them.
pub(crate) async fn define<S: Store + Ledger, Q: Queue>(
    desk: &Desk<S, Q>,
    children: &[ChildFile],
) -> Result<(), DeskError> {
    for child in children {
        desk.define(&child.definition, child.plan.clone()).await?;
    }
    Ok(())
}

/// How deep children are priced that run children.
const PRICED_DEEP: u8 = 8;

/// What steps and children cost: children as their own plans say.
pub(crate) struct WithChildren<'a> {
    offers: &'a dyn Prices,
    children: &'a [ChildFile],
    depth: u8,
}

impl<'a> WithChildren<'a> {
    pub(crate) fn of(offers: &'a dyn Prices, children: &'a [ChildFile]) -> WithChildren<'a> {
        WithChildren { offers, children, depth: 0 }
    }
}

impl Prices for WithChildren<'_> {
    fn offer(&self, op: &str, model: &str) -> Option<Offer> {
        self.offers.offer(op, model)
    }

    fn child(&self, reference: &str, inputs: &Map) -> Option<Cost> {
        let child = self.children.iter().find(|child| child.reference == reference)?;
        if self.depth >= PRICED_DEEP {
            return None;
        }
        let mut given = inputs.clone();
        for input in &child.plan.inputs {
            if let (None, Some(default)) = (given.get(&input.name), &input.default) {
                given.insert(input.name.clone(), default.clone());
            }
        }
        let spec = Spec::new(&child.plan, given, Clock::system().now());
        let run = Run::new(RunId::from_bytes([0; 16]), Arc::new(spec));
        let within = WithChildren { depth: self.depth + 1, ..*self };
        Some(preview(&child.plan, &run, None, run.spec.created_at, &within).ok()?.cost)
    }
}
