//! What people ask of a workflow on the command line, wherever it runs.

use crate::children;
use crate::failure::Failure;
use crate::given::Assignment;
use crate::workflow_file::WorkflowFile;
use darkroom_backend::Clock;
use darkroom_engine::plan::Work;
use darkroom_engine::{OnError, Only, Spec};
use darkroom_proto::Map;
use std::collections::BTreeSet;

/// What a run is to do: shared by `run`, `plan` and `submit`.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Asked {
    /// An input: a value, a file's path, or for lists `@` and a pattern; may be given several times
    #[arg(short, long = "input", value_name = "NAME=VALUE")]
    pub(crate) input: Vec<Assignment>,
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

impl Asked {
    /// Checks what does not depend on inputs.
    pub(crate) fn check(&self, file: &WorkflowFile) -> Result<(), Failure> {
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
            .filter(|node| matches!(&node.work, Work::FanOut(fan) if fan.has_items()))
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

    /// What the run is given, without looking at what is there already. `out`: the folder that workers write to.
    pub(crate) fn spec(&self, file: &WorkflowFile, inputs: Map, out: Option<String>) -> Result<Spec, Failure> {
        Ok(Spec {
            out,
            filename: self.filename.clone(),
            only: self.only(file)?,
            on_error: self.on_error,
            children: children::pinned(&file.children),
            ..Spec::new(&file.plan, inputs, Clock::system().now())
        })
    }
}
