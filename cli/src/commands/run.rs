//! `darkroom run FILE`

use crate::commands;
use crate::document::say_document;
use crate::embedded::{Embedded, Heard, Running};
use crate::failure::{EXIT_FAILED, EXIT_INTERRUPTED, EXIT_PARTLY_FAILED, Failure};
use crate::given::{self, Assignment};
use crate::output::{Format, complain, say, span};
use crate::progress::Progress;
use crate::settings::Settings;
use crate::workflow_file::{self, WorkflowFile};
use darkroom_backend::{Clock, RunFilter, Store, StoreError};
use darkroom_coordinator::{Desk, Stored, Submission};
use darkroom_engine::plan::Work;
use darkroom_engine::preview::{Action, Preview, preview, skip_paths};
use darkroom_engine::{OnError, Only, Reusable, Run, Spec, run_document, saved_scope};
use darkroom_proto::{Map, RunId, RunStatus, Saved, StepStatus, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Run a workflow here, in this process, durably
#[derive(Debug, clap::Args)]
#[command(after_help = "An interrupted run goes on when the same command is given again; a failed one with \
    `darkroom resume`.\n\nExamples:\n  darkroom run workflows/product-photo.yaml\n  \
    darkroom run workflows/product-photo.yaml -i photo=mug.jpg --out ./shop\n  \
    darkroom run workflows/web-ready.yaml -i 'images=@./photos/*.png' -i quality=90\n  \
    darkroom run workflows/web-ready.yaml -i 'images=@./photos/*.png' --only 1,3 --force")]
pub(crate) struct Args {
    /// The workflow file
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
    /// An input: a value, a file's path, or for lists `@` and a pattern; may be given several times
    #[arg(short, long = "input", value_name = "NAME=VALUE")]
    input: Vec<Assignment>,
    /// The folder that outputs are saved under
    #[arg(long, default_value = ".")]
    out: PathBuf,
    /// Do everything anew, also what exists
    #[arg(long)]
    force: bool,
    /// Only these items of the workflow's fan-out, counted from 1: `1,3` or `STEP=1,3`
    #[arg(long, value_name = "NUMBERS")]
    only: Option<String>,
    /// The name of the workflow's single saved file
    #[arg(long, value_name = "NAME")]
    filename: Option<String>,
    /// Whether other items go on when one fails
    #[arg(long, value_name = "stop|continue", value_parser = on_error)]
    on_error: Option<OnError>,
}

fn on_error(text: &str) -> Result<OnError, String> {
    match text {
        "stop" => Ok(OnError::Stop),
        "continue" => Ok(OnError::Continue),
        _ => Err("expected stop or continue".to_owned()),
    }
}

pub(crate) async fn run(args: Args, format: Format) -> Result<ExitCode, Failure> {
    let settings = Settings::load()?;
    let file = workflow_file::load(&args.file)?;
    if !file.enabled {
        return Err(Failure::conflict(format!("{} is switched off", args.file.display()))
            .advice("its file says `enabled: false`"));
    }
    // Mistakes on the command line are told before anything is created.
    given::check_names(&file.plan, &args.what.input)?;
    args.what.check(&file)?;
    let engine = Embedded::open(&settings).await.map_err(in_use)?;
    let spec = args.what.spec(&file, &engine).await?;
    let fingerprint = Desk::<darkroom_backend::EmbeddedStore, darkroom_backend::EmbeddedQueue>::fingerprint(&spec);
    let newest = newest(&engine, fingerprint).await?;
    if let Some(step) = &args.from_step {
        let (id, _) = newest.ok_or_else(|| {
            Failure::not_found("there is no run of this workflow with these inputs to go on with")
                .advice("run it without --from-step first")
        })?;
        return commands::resume::go_on(&engine, id, Some(step), &settings, format).await;
    }
    if let Some((id, RunStatus::Pending | RunStatus::Running)) = newest
        && !args.new
        && !args.what.force
    {
        complain(&format!("continuing {id}, which was interrupted (--new begins another)"));
        let stored = engine.desk.load(id).await?.ok_or_else(|| Failure::not_found(format!("there is no run {id}")))?;
        let running = engine.start(Some(BTreeSet::from([id])));
        return follow(&engine, running, stored, &settings, format).await;
    }
    let id = new_id();
    let run = Run::new(id, Arc::new(spec.clone()));
    let shown = previewed(&file, &run, &settings)?;
    if format == Format::Table {
        complain(&commands::plan::text(&shown));
    }
    note_fallback(&shown);
    engine.desk.define(&file.definition, file.plan.clone()).await?;
    engine.artifacts.put_run(id, run_manifest(id, &file, &spec).as_bytes())?;
    let running = engine.start(Some(BTreeSet::from([id])));
    engine.desk.submit(&[Submission { run: id, spec }]).await?;
    follow(&engine, running, Stored { run, plan: file.plan }, &settings, format).await
}

/// What the run directory says besides the manifests: enough to make the run again if the state is lost.
fn run_manifest(id: RunId, file: &WorkflowFile, spec: &Spec) -> String {
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
async fn newest(
    engine: &Embedded,
    fingerprint: darkroom_proto::Sha256,
) -> Result<Option<(RunId, RunStatus)>, StoreError> {
    let filter = RunFilter { fingerprint: Some(fingerprint), limit: 1, ..RunFilter::default() };
    let newest = engine.store.list(&filter).await?.into_iter().next();
    Ok(newest.map(|(id, summary)| (id, summary.status)))
}

pub(crate) fn new_id() -> RunId {
    let mut random = [0u8; 10];
    random.copy_from_slice(&uuid::Uuid::new_v4().as_bytes()[..10]);
    RunId::new(Clock::system().now(), random)
}

/// What the run will do.
pub(crate) fn previewed(file: &WorkflowFile, run: &Run, settings: &Settings) -> Result<Preview, Failure> {
    let routes = darkroom_worker::Routes { has_provider_key: settings.has_provider_key() };
    let shown = preview(&file.plan, run, None, run.spec.created_at, &|op, model| routes.of(op, model)).map_err(
        |(path, error)| Failure::usage(format!("`{path}` can't run: {}", error.message)).advice(error.advice),
    )?;
    if let Some(only) = &run.spec.only
        && let Some(total) = shown.steps.iter().find(|step| step.path == only.step).and_then(|step| step.items)
        && let Some(beyond) = only.numbers.iter().find(|number| **number > total)
    {
        return Err(Failure::usage(format!("--only {beyond}: `{}` has {total} items", only.step)));
    }
    Ok(shown)
}

/// Says that models are stood in for, so that nobody takes a preview for the real thing.
fn note_fallback(shown: &Preview) {
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
        &self.input
    }

    /// Checks what does not depend on inputs.
    fn check(&self, file: &WorkflowFile) -> Result<(), Failure> {
        self.only(file)?;
        if let Some(name) = &self.filename {
            if name.is_empty() || name.contains(['/', '\\']) || name == ".." || name == "." {
                return Err(
                    Failure::usage(format!("--filename `{name}` is no file name")).advice("--out chooses the folder")
                );
            }
            let saves = |work: &Work| matches!(work, Work::Call(call) if call.saves());
            let all = file.plan.nodes.iter().filter(|node| saves(&node.work)).count();
            let top = file.plan.top.nodes.iter().filter(|node| saves(&file.plan.node(**node).work)).count();
            if (all, top) != (1, 1) {
                return Err(Failure::usage(
                    "--filename names a workflow's single saved file, and this one saves several or none",
                )
                .advice("use --out to choose a folder"));
            }
        }
        Ok(())
    }

    fn only(&self, file: &WorkflowFile) -> Result<Option<Only>, Failure> {
        let Some(text) = &self.only else { return Ok(None) };
        let fans: Vec<&str> = file
            .plan
            .top
            .nodes
            .iter()
            .map(|node| file.plan.node(*node))
            .filter(|node| matches!(node.work, Work::FanOut(_)))
            .map(|node| node.id.as_str())
            .collect();
        let (step, numbers) = match (text.split_once('='), fans.as_slice()) {
            (Some((step, numbers)), fans) if fans.contains(&step) => (step, numbers),
            (Some((step, _)), fans) => {
                return Err(Failure::usage(format!("--only: the workflow has no fan-out `{step}`")).advice(format!(
                    "its fan-outs: {}",
                    if fans.is_empty() { "none".to_owned() } else { fans.join(", ") }
                )));
            }
            (None, [step]) => (*step, text.as_str()),
            (None, []) => return Err(Failure::usage("--only: the workflow has no fan-out")),
            (None, fans) => {
                return Err(Failure::usage("--only: the workflow has several fan-outs")
                    .advice(format!("name one: --only {}={text}", fans[0])));
            }
        };
        let numbers: Result<BTreeSet<u32>, _> = numbers.split(',').map(|number| number.trim().parse::<u32>()).collect();
        match numbers {
            Ok(numbers) if !numbers.contains(&0) => Ok(Some(Only { step: step.to_owned(), numbers })),
            _ => Err(Failure::usage(format!("--only {text}: expected numbers from 1, such as 1,3,5"))),
        }
    }

    /// What the run is given: inputs read, files taken in, and what is there already found.
    pub(crate) async fn spec(&self, file: &WorkflowFile, engine: &Embedded) -> Result<Spec, Failure> {
        let inputs = given::take_in(&file.plan, &self.input, &file.folder, &engine.artifacts)?;
        let mut spec = self.spec_of(file, inputs)?;
        spec.artifacts_url = engine.artifacts.root_url();
        if self.force {
            return Ok(spec);
        }
        let Some(out) = spec.out.clone() else { return Ok(spec) };
        let records = engine.store.saved(saved_scope(&spec), SAVED_MAX).await?;
        for record in records {
            let saved = Saved { path: record.path, artifact: record.artifact };
            if still_there(Path::new(&out), &saved, engine)
                && let Ok(outputs) = serde_json::from_str(&record.outputs)
            {
                spec.saved.insert(record.key, Reusable { saved, outputs });
            }
        }
        let tentative = Run::new(new_id(), Arc::new(spec.clone()));
        let wanted = skip_paths(&file.plan, &tentative);
        spec.existing = wanted.into_iter().filter(|path| Path::new(&out).join(path).exists()).collect();
        Ok(spec)
    }

    /// What the run is given, without looking at what is there already.
    pub(crate) fn spec_of(&self, file: &WorkflowFile, inputs: Map) -> Result<Spec, Failure> {
        let out = std::path::absolute(&self.out)
            .map_err(|error| Failure::usage(format!("--out {}: {error}", self.out.display())))?;
        // `absolute` keeps a `.` at the end of what it was given; the folder is the same.
        let out: PathBuf = out.components().collect();
        let out = out.to_str().map(str::to_owned);
        let out = out.ok_or_else(|| Failure::usage("--out is no UTF-8 path, and can't be recorded"))?;
        Ok(Spec {
            workflow: file.plan.workflow.clone(),
            definition: file.plan.definition,
            inputs,
            created_at: Clock::system().now(),
            artifacts_url: String::new(),
            out: Some(out),
            filename: self.filename.clone(),
            only: self.only(file)?,
            on_error: self.on_error,
            existing: BTreeSet::new(),
            saved: BTreeMap::new(),
        })
    }
}

/// How many saved files a run looks for.
const SAVED_MAX: usize = 100_000;

/// Whether a saved file is still what was saved, and what it was made of still in the artifact store.
fn still_there(out: &Path, saved: &Saved, engine: &Embedded) -> bool {
    let path = out.join(&saved.path);
    let same_length = std::fs::metadata(&path).is_ok_and(|file| file.is_file() && file.len() == saved.artifact.bytes);
    same_length
        && std::fs::read(&path).is_ok_and(|bytes| darkroom_proto::Sha256::of(&bytes) == saved.artifact.sha256)
        && engine.artifacts.has(&saved.artifact).unwrap_or(false)
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
    let mut progress = Progress::new(stored.plan.clone());
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
            _ = tokio::signal::ctrl_c() => break false,
        }
    };
    progress.end();
    if !ended {
        complain("interrupted: finishing the steps that are under way (Ctrl-C again ends at once)");
        tokio::select! {
            stopped = running.stop() => stopped?,
            _ = tokio::signal::ctrl_c() => {}
        }
        complain(&format!("{id} goes on with the same command, or with: darkroom resume {}", id.short()));
        return Ok(ExitCode::from(EXIT_INTERRUPTED));
    }
    running.stop().await?;
    let Some(stored) = engine.desk.load(id).await? else {
        return Err(Failure::not_found(format!("there is no run {id}")));
    };
    conclude(&stored, began, settings, format)
}

/// Prints how a run ended.
fn conclude(stored: &Stored, began: Timestamp, settings: &Settings, format: Format) -> Result<ExitCode, Failure> {
    let Stored { run, plan } = stored;
    let id = run.id;
    if format == Format::Json {
        say_document(&run_document(plan, run), settings)?;
    } else {
        let mut files: Vec<&Saved> = run.steps.values().filter_map(|step| step.saved.as_ref()).collect();
        files.sort_by(|a, b| natord::compare(&a.path, &b.path));
        files.dedup();
        for saved in files.iter().take(FILES_SHOWN) {
            let size = match (saved.artifact.width, saved.artifact.height) {
                (Some(width), Some(height)) => format!("{width}×{height}, "),
                _ => String::new(),
            };
            say(&format!(
                "saved {}  ({size}{} kB)",
                shown_path(run, &saved.path),
                saved.artifact.bytes.div_ceil(1_000)
            ));
        }
        if files.len() > FILES_SHOWN {
            say(&format!("… and {} more files: darkroom outputs {} --out DIR", files.len() - FILES_SHOWN, id.short()));
        }
    }
    let statistics = Statistics::of(stored);
    let took = run.head.finished_at.unwrap_or(run.head.updated_at).since(began);
    let line = format!(
        "completed {} · skipped {} · failed {} · {} · {} {id}",
        statistics.completed,
        statistics.skipped,
        statistics.failed,
        span(took),
        run.head.status,
    );
    match format {
        Format::Table => say(&line),
        Format::Json => complain(&line),
    }
    if let Some(failure) = &run.head.failure {
        complain("");
        let attempts = run.step(&failure.path).map_or(1, |step| step.attempt);
        let after = if attempts > 1 { format!(" after {attempts} attempts") } else { String::new() };
        complain(&format!("error: step {} `{}` failed{after}: {}", failure.number, failure.path, failure.error));
        if !failure.error.advice.is_empty() {
            complain(&format!("  help: {}", failure.error.advice));
        }
        complain(&format!("  resume: darkroom resume {}", id.short()));
        return Ok(ExitCode::from(EXIT_FAILED));
    }
    if run.head.status == RunStatus::Cancelled {
        return Ok(ExitCode::from(EXIT_FAILED));
    }
    if run.head.tolerated > 0 {
        complain(&format!(
            "{} failed and were tolerated; try them again: darkroom resume {}",
            run.head.tolerated,
            id.short()
        ));
        return Ok(ExitCode::from(EXIT_PARTLY_FAILED));
    }
    Ok(ExitCode::SUCCESS)
}

/// How many saved files are listed.
const FILES_SHOWN: usize = 20;

/// The path of a saved file as somebody in the current folder would write it.
fn shown_path(run: &Run, path: &str) -> String {
    let Some(out) = &run.spec.out else { return path.to_owned() };
    let full = Path::new(out).join(path);
    match std::env::current_dir().ok().and_then(|here| full.strip_prefix(here).ok().map(Path::to_path_buf)) {
        Some(relative) => format!("./{}", relative.display()),
        None => full.display().to_string(),
    }
}

/// How many items and single steps ended how.
struct Statistics {
    completed: u32,
    skipped: u32,
    failed: u32,
}

impl Statistics {
    fn of(stored: &Stored) -> Statistics {
        let mut statistics = Statistics { completed: 0, skipped: 0, failed: 0 };
        for node in &stored.plan.top.nodes {
            let path = darkroom_proto::StepPath::top(&stored.plan.node(*node).id);
            let Some(step) = stored.run.step(&path) else { continue };
            match &step.fan {
                Some(fan) => {
                    statistics.completed += fan.completed;
                    statistics.skipped += fan.skipped;
                    statistics.failed += fan.failed;
                }
                None => match step.state.status() {
                    StepStatus::Completed => statistics.completed += 1,
                    StepStatus::Skipped | StepStatus::Cached => statistics.skipped += 1,
                    StepStatus::Failed => statistics.failed += 1,
                    _ => {}
                },
            }
        }
        statistics
    }
}
