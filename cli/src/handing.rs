//! Runs of a fleet: handed in, and watched until they end.

use crate::children;
use crate::commands::run::run_manifest;
use crate::conclusion::conclude;
use crate::delivery::{all_files, deliver, saved_by_children, saved_files};
use crate::document::say_document;
use crate::door::Records;
use crate::failure::{EXIT_INTERRUPTED, EXIT_TIMED_OUT, Failure};
use crate::fleet::Fleet;
use crate::output::{Format, complain};
use crate::progress::Progress;
use crate::settings::Settings;
use crate::trail::{Followed, Trail};
use crate::workflow_file::WorkflowFile;
use darkroom_backend::{Artifacts, Created, RabbitQueue, RedisStore};
use darkroom_coordinator::{Desk, DeskError, Stored, Submission};
use darkroom_engine::plan::Plan;
use darkroom_engine::{Spec, run_document};
use darkroom_proto::{Artifact, Duration, RunId, RunStatus, Timestamp};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

/// Hands a run in. One that was handed in under the same id before is left as it is; where it stands is told.
pub(crate) async fn hand_in(
    fleet: &Fleet,
    file: &WorkflowFile,
    id: RunId,
    spec: Spec,
    artifacts: &Artifacts,
) -> Result<RunStatus, Failure> {
    let desk = fleet.desk();
    desk.define(&file.definition, file.plan.clone()).await.map_err(|error| failed(fleet, error))?;
    children::define(&desk, &file.children).await.map_err(|error| failed(fleet, error))?;
    let manifest = run_manifest(id, file, &spec);
    let fingerprint = Desk::<RedisStore, RabbitQueue>::fingerprint(&spec);
    let earlier = summary(fleet, id).await?;
    if earlier.is_none() {
        artifacts.put_run(id, manifest.as_bytes())?;
    }
    match desk.submit(&[Submission { run: id, spec }]).await {
        Ok(created) if created.first() == Some(&Created::Existed) => {
            let found = summary(fleet, id).await?;
            let found = found.ok_or_else(|| Failure::not_found(format!("{id} was removed just now")))?;
            if found.fingerprint != fingerprint {
                return Err(Failure::conflict(format!("the key was used for another run already: {id}"))
                    .advice("give another --key for another workflow or other inputs"));
            }
            complain(&format!("{id} was handed in before under this key"));
            Ok(found.status)
        }
        Ok(_) => Ok(RunStatus::Pending),
        // The run is stored, and its coordinator looks at what is due.
        Err(DeskError::Queue(error)) => {
            let why = fleet.broker_failed(error);
            complain(&format!("warning: {}; {id} is stored, and starts a little later", why.message()));
            Ok(RunStatus::Pending)
        }
        Err(error) => Err(failed(fleet, error)),
    }
}

async fn summary(fleet: &Fleet, id: RunId) -> Result<Option<darkroom_backend::RunSummary>, Failure> {
    Ok(Records::Fleet(fleet.store.clone()).load(id).await?.map(|stored| stored.summary))
}

/// What an error of the desk of a fleet means for a person.
pub(crate) fn failed(fleet: &Fleet, error: DeskError) -> Failure {
    match error {
        DeskError::Store(error) => fleet.store.failed(error),
        DeskError::Queue(error) => fleet.broker_failed(error),
        error => error.into(),
    }
}

/// How a run of a fleet is watched, and what is done when it ends.
pub(crate) struct Watch<'a> {
    /// The settings.
    pub(crate) settings: &'a Settings,
    /// Where its files are.
    pub(crate) artifacts: &'a Artifacts,
    /// How long; `None`: until it ends.
    pub(crate) wait: Option<Duration>,
    /// Which of its files are brought where.
    pub(crate) bring: Bring<'a>,
    /// Since when its time counts.
    pub(crate) began: Timestamp,
    /// How the result is printed.
    pub(crate) format: Format,
}

/// Which files of a run are brought back when it ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bring<'a> {
    /// None.
    Nothing,
    /// Those that it saved.
    Saved(&'a Path),
    /// Those that it saved, and its other outputs.
    All(&'a Path),
}

impl Watch<'_> {
    /// Shows what happens until the run ends, brings its files, and says how it ended.
    pub(crate) async fn until_it_ends(
        &self,
        mut trail: Trail<'_>,
        id: RunId,
        plan: Arc<Plan>,
    ) -> Result<ExitCode, Failure> {
        let mut progress = Progress::new(plan, id);
        let followed = trail.follow(self.wait, |_, happened| progress.happened(happened)).await?;
        progress.end();
        let records = Records::open(self.settings).await?;
        let stored = records.stored(id).await?;
        match followed {
            Followed::Ended => self.conclude(&stored, saved_by_children(&records, &stored.run).await?),
            Followed::TimedOut => {
                let time = self.wait.map(|wait| wait.to_string()).unwrap_or_default();
                complain(&format!(
                    "{id} is {} after {time}, and goes on: darkroom tail {}",
                    stored.run.head.status,
                    id.short()
                ));
                if self.format == Format::Json {
                    say_document(&run_document(&stored.plan, &stored.run), self.settings)?;
                }
                Ok(ExitCode::from(EXIT_TIMED_OUT))
            }
            Followed::Interrupted => {
                complain(&format!(
                    "{id} goes on; to see it: darkroom tail {0}; to end it: darkroom cancel {0}",
                    id.short()
                ));
                Ok(ExitCode::from(EXIT_INTERRUPTED))
            }
        }
    }

    fn conclude(&self, stored: &Stored, of_children: BTreeMap<String, Artifact>) -> Result<ExitCode, Failure> {
        let (out, mut files) = match self.bring {
            Bring::Nothing => (None, Default::default()),
            Bring::Saved(out) => (Some(out), saved_files(&stored.run)),
            Bring::All(out) => (Some(out), all_files(&stored.run)),
        };
        if out.is_some() {
            files.extend(of_children);
        }
        let delivered = out.map_or(Ok(()), |out| deliver(&files, out, self.artifacts));
        // How it ended is told even if its files can't be written here.
        let concluded = conclude(stored, self.began, out, self.settings, self.format);
        delivered.and(concluded)
    }
}
