//! `darkroom run FILE`

use crate::asked::Asked;
use crate::children::{self, WithChildren};
use crate::commands;
use crate::conclusion::conclude;
use crate::door::Records;
use crate::embedded::{Embedded, Heard, Running};
use crate::failure::{EXIT_INTERRUPTED, Failure};
use crate::fleet::Fleet;
use crate::folder;
use crate::given::{self, Assignment};
use crate::handing::{Bring, Watch, hand_in};
use crate::interrupt::Interrupt;
use crate::links::Links;
use crate::named;
use crate::offer::offers;
use crate::output::{Format, complain};
use crate::progress::Progress;
use crate::settings::{FleetPlace, Settings};
use crate::tasks;
use crate::trail::Trail;
use crate::workflow_file::WorkflowFile;
use darkroom_backend::{Artifacts, Clock, RabbitQueue, RedisStore, RunFilter, Store, StoreError};
use darkroom_coordinator::{Desk, Stored, Submission};
use darkroom_engine::preview::{Action, Preview, preview, skip_paths};
use darkroom_engine::{Reusable, Run, Spec, saved_scope};
use darkroom_proto::{Map, Money, RunId, RunStatus, Saved};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Run a workflow durably: here, in this process, or in the fleet if one is set
#[derive(Debug, clap::Args)]
#[command(after_help = "An interrupted run goes on when the same command is given again; a failed one with \
    `darkroom resume`.\n\nExamples:\n  darkroom run workflows/product-photo.yaml\n  \
    darkroom run workflows/product-photo.yaml -i photo=mug.jpg --out ./shop\n  \
    darkroom run workflows/web-ready.yaml -i 'images=@./photos/*.png' -i quality=90\n  \
    darkroom run workflows/web-ready.yaml -i 'images=@./photos/*.png' --only 1,3 --force")]
pub(crate) struct Args {
    /// The workflow file, or the name of a workflow, such as web-ready or web-ready@3
    file: PathBuf,
    #[command(flatten)]
    what: What,
    /// Begin a new run although an unfinished one of the same could go on
    #[arg(long)]
    new: bool,
    /// Drop this step of the newest such run, and what depends on it, and do them again
    #[arg(long, value_name = "STEP", conflicts_with_all = ["new", "force"])]
    from_step: Option<String>,
}

/// What a run does: shared by `run` and `plan`.
#[derive(Debug, clap::Args)]
pub(crate) struct What {
    #[command(flatten)]
    asked: Asked,
    /// The folder that outputs are saved under
    #[arg(long, default_value = ".")]
    out: PathBuf,
    /// Do everything anew, also what exists
    #[arg(long)]
    force: bool,
}

pub(crate) async fn run(args: Args, format: Format) -> Result<ExitCode, Failure> {
    let settings = Settings::load()?;
    let file = named::open(&args.file, &settings).await?;
    file.check_enabled(&args.file)?;
    // Mistakes on the command line are told before anything is created.
    given::check_names(&file.plan, args.what.inputs())?;
    args.what.asked.check(&file)?;
    if let Some(place) = settings.fleet()? {
        return in_fleet(&args, &file, &place, &settings, format).await;
    }
    tasks::can_run_here(&file.plan)?;
    let engine = Embedded::open(&settings).await.map_err(in_use)?;
    let mut spec = args.what.spec(&file, &engine, &settings).await?;
    let fingerprint = Desk::<darkroom_backend::EmbeddedStore, darkroom_backend::EmbeddedQueue>::fingerprint(&spec);
    let newest = newest(&engine.store, fingerprint).await?;
    if let Some(step) = &args.from_step {
        let (id, _) = newest.ok_or_else(none_to_go_on_with)?;
        return commands::resume::go_on(&engine, id, from_step(step), &settings, format).await;
    }
    if let Some((id, status)) = newest
        && !status.is_terminal()
        && !args.new
        && !args.what.force
    {
        if status == RunStatus::Paused {
            return Err(Failure::conflict(format!("{id} is paused"))
                .advice(format!("to go on: darkroom resume {}; --new begins another run", id.short())));
        }
        complain(&format!("continuing {id}, which was interrupted (--new begins another)"));
        let stored = engine.desk.load(id).await?.ok_or_else(|| Failure::not_found(format!("there is no run {id}")))?;
        let running = engine.start(Some(BTreeSet::from([id])));
        return follow(&engine, running, stored, &settings, format).await;
    }
    let id = new_id();
    let shown = previewed(&file, &Run::new(id, Arc::new(spec.clone())), &settings)?;
    spec.estimated = Money::from_usd(shown.cost.high);
    let run = Run::new(id, Arc::new(spec.clone()));
    if format == Format::Table {
        complain(&commands::plan::text(&shown));
    }
    note_fallback(&shown);
    engine.desk.define(&file.definition, file.plan.clone()).await?;
    children::define(&engine.desk, &file.children).await?;
    engine.artifacts.put_run(id, run_manifest(id, &file, &spec).as_bytes())?;
    let running = engine.start(Some(BTreeSet::from([id])));
    engine.desk.submit(&[Submission { run: id, spec }]).await?;
    follow(&engine, running, Stored { run, plan: file.plan }, &settings, format).await
}

/// The same on a fleet: handed in, watched until it ends, its files brought here.
async fn in_fleet(
    args: &Args,
    file: &WorkflowFile,
    place: &FleetPlace,
    settings: &Settings,
    format: Format,
) -> Result<ExitCode, Failure> {
    let artifacts = folder::artifacts(settings)?;
    let fleet = Fleet::open(place, artifacts.clone()).await?;
    let store = &fleet.store.store;
    let out = args.what.out()?;
    let inputs =
        given::take_in(&file.plan, args.what.inputs(), &file.folder, &artifacts, &Links::new(settings)).await?;
    let spec = args.what.asked.spec(file, inputs, None)?;
    let mut spec = Spec { fresh: args.what.force, ..spec };
    spec.artifacts_url = artifacts.root_url();
    children::take_in(&mut spec, &file.children, &artifacts, &Links::new(settings)).await;
    if !args.what.force {
        let found = find_existing(&mut spec, file, &out, store, &artifacts).await;
        found.map_err(|error| fleet.store.failed(error))?;
    }
    let fingerprint = Desk::<RedisStore, RabbitQueue>::fingerprint(&spec);
    let newest = newest(store, fingerprint).await.map_err(|error| fleet.store.failed(error))?;
    let bring = Bring::Saved(&out);
    let watch = Watch { settings, artifacts: &artifacts, wait: None, bring, began: spec.created_at, format };
    let records = Records::Fleet(fleet.store.clone());
    if let Some(step) = &args.from_step {
        let (id, _) = newest.ok_or_else(none_to_go_on_with)?;
        return commands::resume::in_fleet(&fleet, id, from_step(step), Some(watch), &artifacts, format).await;
    }
    let id = match newest {
        Some((id, status)) if !status.is_terminal() && !args.new && !args.what.force => {
            complain(&format!("following {id}, which is under way (--new begins another)"));
            id
        }
        _ => {
            let id = new_id();
            let shown = previewed(file, &Run::new(id, Arc::new(spec.clone())), settings)?;
            spec.estimated = Money::from_usd(shown.cost.high);
            if format == Format::Table {
                complain(&commands::plan::text(&shown));
            }
            note_fallback(&shown);
            hand_in(&fleet, file, id, spec, &artifacts).await?;
            id
        }
    };
    let ended = watch.until_it_ends(Trail::new(settings, records, id, 0), id, file.plan.clone()).await;
    fleet.close().await;
    ended
}

fn from_step(step: &str) -> commands::resume::Wish<'_> {
    commands::resume::Wish { from_step: Some(step), ..Default::default() }
}

fn none_to_go_on_with() -> Failure {
    Failure::not_found("there is no run of this workflow with these inputs to go on with")
        .advice("run it without --from-step first")
}

/// What the run directory says besides the manifests: enough to make the run again if the state is lost.
pub(crate) fn run_manifest(id: RunId, file: &WorkflowFile, spec: &Spec) -> String {
    serde_json::json!({
        "run": id, "workflow": spec.workflow, "definition": file.definition.hash, "file": file.definition.file,
        "source": file.definition.source, "inputs": spec.inputs, "created_at": spec.created_at.to_string(),
    })
    .to_string()
}

/// A state that somebody else has open, told as what it means here.
pub(crate) fn in_use(failure: Failure) -> Failure {
    if failure.is_conflict() {
        return failure
            .saying("another run is under way in this folder")
            .advice("wait for it, or stop it with Ctrl-C where it runs; `darkroom list` and `darkroom show @latest` tell how far it is");
    }
    failure
}

/// The newest run that was to do the same.
async fn newest<S: Store>(
    store: &S,
    fingerprint: darkroom_proto::Sha256,
) -> Result<Option<(RunId, RunStatus)>, StoreError> {
    let filter = RunFilter { fingerprint: Some(fingerprint), limit: 1, ..RunFilter::default() };
    let newest = store.list(&filter).await?.into_iter().next();
    Ok(newest.map(|(id, summary)| (id, summary.status)))
}

pub(crate) fn new_id() -> RunId {
    let mut random = [0u8; 10];
    random.copy_from_slice(&uuid::Uuid::new_v4().as_bytes()[..10]);
    RunId::new(Clock::system().now(), random)
}

/// What the run will do.
pub(crate) fn previewed(file: &WorkflowFile, run: &Run, settings: &Settings) -> Result<Preview, Failure> {
    let shown =
        preview(&file.plan, run, None, run.spec.created_at, &WithChildren::of(&offers(settings), &file.children))
            .map_err(|(path, error)| {
                Failure::usage(format!("`{path}` can't run: {}", error.message)).advice(error.advice)
            })?;
    if let Some(only) = &run.spec.only
        && let Some(total) = shown.steps.iter().find(|step| step.path == only.step).and_then(|step| step.items)
        && let Some(beyond) = only.numbers.iter().find(|number| **number > total)
    {
        return Err(Failure::usage(format!("--only {beyond}: `{}` has {total} items", only.step)));
    }
    Ok(shown)
}

/// Says that models are stood in for, so that nobody takes a preview for the real thing.
pub(crate) fn note_fallback(shown: &Preview) {
    let stood_in: BTreeSet<&str> = shown
        .steps
        .iter()
        .filter(|step| step.route.as_deref() == Some("local"))
        .filter(|step| matches!(step.action, Action::Run | Action::Unknown))
        .filter_map(|step| step.model.as_deref())
        .flat_map(|models| models.split(", "))
        .filter(|model| !darkroom_proto::model::all().iter().any(|known| known.alias == *model && known.local))
        .collect();
    if !stood_in.is_empty() {
        let names: Vec<&str> = stood_in.into_iter().collect();
        complain(&format!(
            "note: no provider key is configured, so the local preview stands in for {}",
            names.join(", ")
        ));
    }
}

impl What {
    /// What `-i` gave.
    pub(crate) fn inputs(&self) -> &[Assignment] {
        &self.asked.input
    }

    /// What the run is given: inputs read, files taken in, and what is there already found.
    pub(crate) async fn spec(
        &self,
        file: &WorkflowFile,
        engine: &Embedded,
        settings: &Settings,
    ) -> Result<Spec, Failure> {
        let inputs =
            given::take_in(&file.plan, self.inputs(), &file.folder, &engine.artifacts, &Links::new(settings)).await?;
        let mut spec = self.spec_of(file, inputs)?;
        spec.artifacts_url = engine.artifacts.root_url();
        children::take_in(&mut spec, &file.children, &engine.artifacts, &Links::new(settings)).await;
        if !self.force {
            find_existing(&mut spec, file, &self.out()?, &engine.store, &engine.artifacts).await?;
        }
        Ok(spec)
    }

    /// What the run is given, without looking at what is there already.
    pub(crate) fn spec_of(&self, file: &WorkflowFile, inputs: Map) -> Result<Spec, Failure> {
        let out = self.out()?.to_str().map(str::to_owned);
        let out = out.ok_or_else(|| Failure::usage("--out is no UTF-8 path, and can't be recorded"))?;
        let spec = self.asked.spec(file, inputs, Some(out))?;
        Ok(Spec { fresh: self.force, ..spec })
    }

    /// The folder that outputs are saved under, from the root.
    fn out(&self) -> Result<PathBuf, Failure> {
        let out = std::path::absolute(&self.out)
            .map_err(|error| Failure::usage(format!("--out {}: {error}", self.out.display())))?;
        // `absolute` keeps a `.` at the end of what it was given; the folder is the same.
        Ok(out.components().collect())
    }
}

/// Finds what an equal run saved under `out` and is still there, and what steps skip when it exists.
async fn find_existing<S: Store>(
    spec: &mut Spec,
    file: &WorkflowFile,
    out: &Path,
    store: &S,
    artifacts: &Artifacts,
) -> Result<(), StoreError> {
    for record in store.saved(saved_scope(spec), SAVED_MAX).await? {
        let saved = Saved { path: record.path, artifact: record.artifact };
        if still_there(out, &saved, artifacts)
            && let Ok(outputs) = serde_json::from_str(&record.outputs)
        {
            spec.saved.insert(record.key, Reusable { saved, outputs });
        }
    }
    let tentative = Run::new(new_id(), Arc::new(spec.clone()));
    let wanted = skip_paths(&file.plan, &tentative);
    spec.existing = wanted.into_iter().filter(|path| out.join(path).exists()).collect();
    Ok(())
}

/// How many saved files a run looks for.
const SAVED_MAX: usize = 100_000;

/// Whether a saved file is still what was saved, and what it was made of still in the artifact store.
fn still_there(out: &Path, saved: &Saved, artifacts: &Artifacts) -> bool {
    let path = out.join(&saved.path);
    let same_length = std::fs::metadata(&path).is_ok_and(|file| file.is_file() && file.len() == saved.artifact.bytes);
    same_length
        && std::fs::read(&path).is_ok_and(|bytes| darkroom_proto::Sha256::of(&bytes) == saved.artifact.sha256)
        && artifacts.has(&saved.artifact).unwrap_or(false)
}

/// Shows a run until it ends, and how it ended.
pub(crate) async fn follow(
    engine: &Embedded,
    mut running: Running,
    stored: Stored,
    settings: &Settings,
    format: Format,
) -> Result<ExitCode, Failure> {
    let id = stored.run.id;
    let began = Clock::system().now();
    let mut progress = Progress::new(stored.plan.clone(), id);
    let mut interrupt = Interrupt::listen()?;
    let ended = loop {
        tokio::select! {
            heard = running.hear() => match heard? {
                Heard::News(news) if news.run == id => {
                    progress.show(&news);
                    if news.status.is_terminal() {
                        break true;
                    }
                }
                Heard::News(_) => {}
                Heard::Missed => {
                    let status = engine.store.load(id).await?.map(|stored| stored.summary.status);
                    if status.is_none_or(RunStatus::is_terminal) {
                        break true;
                    }
                }
            },
            _ = interrupt.pressed() => break false,
        }
    };
    progress.end();
    if !ended {
        complain("interrupted: finishing the steps that are under way (Ctrl-C again ends at once)");
        tokio::select! {
            stopped = running.stop() => stopped?,
            _ = interrupt.pressed() => {}
        }
        complain(&format!("{id} goes on with the same command, or with: darkroom resume {}", id.short()));
        return Ok(ExitCode::from(EXIT_INTERRUPTED));
    }
    running.stop().await?;
    let Some(stored) = engine.desk.load(id).await? else {
        return Err(Failure::not_found(format!("there is no run {id}")));
    };
    let out = stored.run.spec.out.clone();
    conclude(&stored, began, out.as_deref().map(Path::new), settings, format)
}
