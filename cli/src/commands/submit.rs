//! `darkroom submit FILE`

use crate::asked::Asked;
use crate::children;
use crate::commands::run::{new_id, note_fallback, previewed};
use crate::door::Records;
use crate::failure::Failure;
use crate::fleet::Fleet;
use crate::handing::{Bring, Watch, hand_in};
use crate::links::Links;
use crate::output::{Format, say, say_json};
use crate::settings::Settings;
use crate::trail::Trail;
use crate::{folder, given, named};
use darkroom_engine::Run;
use darkroom_proto::{Duration, Money, RunId};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Hand a workflow in to the fleet
#[derive(Debug, clap::Args)]
#[command(after_help = "Inputs are uploaded to the artifact store; workers need not see this disk. The run goes on \
    whatever happens to this command.\n\nExit codes with --wait: 0 completed, 1 failed or cancelled, 6 completed with \
    failures that were tolerated, 7 not ended in time.\n\nExamples:\n  \
    darkroom submit workflows/product-photo.yaml -i photo=mug.jpg\n  \
    darkroom submit workflows/product-photo.yaml --wait=60s --out ./shop\n  \
    darkroom submit workflows/product-photo.yaml --key order-4711")]
pub(crate) struct Args {
    /// The workflow file, or the name of a workflow, such as web-ready or web-ready@3
    file: PathBuf,
    #[command(flatten)]
    asked: Asked,
    /// Show the run until it ends, or for so long
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true)]
    wait: Option<Option<Duration>>,
    /// With --wait: copy its saved files and outputs into this folder when it ends
    #[arg(long, value_name = "DIR", requires = "wait")]
    out: Option<PathBuf>,
    /// Hand in at most once: the same key gives the same run
    #[arg(long, value_name = "KEY", value_parser = key)]
    key: Option<String>,
}

/// How long a key may be.
const KEY_BYTES_MAX: usize = 200;

fn key(text: &str) -> Result<String, String> {
    match text.len() {
        1..=KEY_BYTES_MAX => Ok(text.to_owned()),
        _ => Err(format!("expected 1 to {KEY_BYTES_MAX} characters")),
    }
}

/// Whose keys those of the command line are.
const TENANT: &str = "default";

pub(crate) async fn run(args: Args, format: Format) -> Result<ExitCode, Failure> {
    let settings = Settings::load()?;
    let place = settings.fleet_for("submit")?;
    let file = named::open(&args.file, &settings).await?;
    file.check_enabled(&args.file)?;
    given::check_names(&file.plan, &args.asked.input)?;
    args.asked.check(&file)?;
    let artifacts = folder::artifacts(&settings)?;
    let fleet = Fleet::open(&place, artifacts.clone()).await?;
    let inputs =
        given::take_in(&file.plan, &args.asked.input, &file.folder, &artifacts, &Links::new(&settings)).await?;
    let mut spec = args.asked.spec(&file, inputs, None)?;
    children::take_in(&mut spec, &file.children, &artifacts, &Links::new(&settings)).await;
    spec.artifacts_url = artifacts.root_url();
    let id = args.key.as_ref().map_or_else(new_id, |key| RunId::from_key(TENANT, key));
    let began = spec.created_at;
    let shown = previewed(&file, &Run::new(id, Arc::new(spec.clone())), &settings)?;
    spec.estimated = Money::from_usd(shown.cost.high);
    note_fallback(&shown);
    let status = hand_in(&fleet, &file, id, spec, &artifacts).await?;
    let Some(wait) = args.wait else {
        match format {
            Format::Json => say_json(&serde_json::json!({ "id": id, "status": status })),
            Format::Table => say(&format!("{id} {status}")),
        }
        return Ok(ExitCode::SUCCESS);
    };
    if format == Format::Table {
        say(&format!("{id} {status}"));
    }
    let out = args.out.map(|out| std::path::absolute(&out).map_err(|error| (out, error))).transpose();
    let out = out.map_err(|(out, error)| Failure::usage(format!("--out {}: {error}", out.display())))?;
    let bring = out.as_deref().map_or(Bring::Nothing, Bring::All);
    let watch = Watch { settings: &settings, artifacts: &artifacts, wait, bring, began, format };
    let trail = Trail::new(&settings, Records::Fleet(fleet.store.clone()), id, 0);
    let ended = watch.until_it_ends(trail, id, file.plan).await;
    fleet.close().await;
    ended
}
