//! Schedules of workflow files: what each of its runs is given, and made known where it fires.

use crate::asked::Asked;
use crate::children;
use crate::commands::run::{new_id, previewed};
use crate::failure::Failure;
use crate::given;
use crate::links::Links;
use crate::settings::Settings;
use crate::workflow_file::WorkflowFile;
use darkroom_backend::{Artifacts, Store};
use darkroom_coordinator::{ScheduleError, Schedules};
use darkroom_engine::schedule::Declared;
use darkroom_engine::{Run, Spec};
use darkroom_proto::{Money, ScheduleId};
use std::sync::Arc;

/// Where schedules are declared, and what their runs are given besides inputs.
pub(crate) struct Declaring<'a, S> {
    /// The store.
    pub(crate) store: &'a S,
    /// Where the files of inputs are kept.
    pub(crate) artifacts: &'a Artifacts,
    /// The settings.
    pub(crate) settings: &'a Settings,
    /// The folder that runs save under; none on a fleet.
    pub(crate) out: Option<String>,
}

/// A schedule that was declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Made {
    /// Its name.
    pub(crate) id: ScheduleId,
    /// Whether it was not there before.
    pub(crate) is_new: bool,
}

impl<S: Store> Declaring<'_, S> {
    /// Declares the schedules of a workflow file, pinned to the file as it is now. Those that there are already go on from
    /// where they stand, with the new version; those that are not in the file any more are left alone.
    pub(crate) async fn declare_schedules(&self, file: &WorkflowFile) -> Result<Vec<Made>, Failure> {
        let mut made = Vec::new();
        for declared in &file.schedules {
            made.push(self.declare(file, declared, &Asked::default()).await?);
        }
        Ok(made)
    }

    /// Declares one schedule of a workflow.
    pub(crate) async fn declare(
        &self,
        file: &WorkflowFile,
        declared: &Declared,
        asked: &Asked,
    ) -> Result<Made, Failure> {
        let spec = self.spec(file, declared, asked).await?;
        self.store.put_definition(&file.definition).await?;
        for child in &file.children {
            self.store.put_definition(&child.definition).await?;
        }
        let schedules = Schedules::new(self.store.clone());
        let is_new = schedules.declare(&declared.id, &declared.rule, &spec, declared.paused).await?;
        Ok(Made { id: declared.id.clone(), is_new })
    }

    /// What each run is given: inputs of the command line, of the schedule, and defaults, with their files taken in.
    async fn spec(&self, file: &WorkflowFile, declared: &Declared, asked: &Asked) -> Result<Spec, Failure> {
        given::check_names(&file.plan, &asked.input)?;
        asked.check(file)?;
        let (given, links) = (&asked.input, Links::new(self.settings));
        let inputs =
            given::take_in_with(&file.plan, given, &declared.inputs, &file.folder, self.artifacts, &links).await?;
        let mut spec = asked.spec(file, inputs, self.out.clone())?;
        children::take_in(&mut spec, &file.children, self.artifacts, &links).await;
        spec.artifacts_url = self.artifacts.root_url();
        let shown = previewed(file, &Run::new(new_id(), Arc::new(spec.clone())), self.settings)?;
        spec.estimated = Money::from_usd(shown.cost.high);
        Ok(spec)
    }
}

impl From<ScheduleError> for Failure {
    fn from(error: ScheduleError) -> Failure {
        match error {
            ScheduleError::Missing(_) => {
                Failure::not_found(error.to_string()).advice("`darkroom schedules list` shows which there are")
            }
            ScheduleError::Refused(why) => Failure::conflict(why),
            ScheduleError::Busy(_) => Failure::conflict(error.to_string()).advice("try again"),
            ScheduleError::Timing(error) => Failure::usage(error.to_string()).advice(error.advice()),
            ScheduleError::Store(error) => error.into(),
            ScheduleError::Record(error) => error.into(),
        }
    }
}
