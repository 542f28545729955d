//! A workflow in the JSON form of a catalogue, as a workflow file.

use crate::failure::Failure;
use crate::output::say;
use darkroom_engine::{Source, compile};
use darkroom_proto::{model, op};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// What a catalogue says of a workflow.
#[derive(Debug, Deserialize)]
struct Entry {
    id: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    icon: Option<String>,
    #[serde(default)]
    category: Option<String>,
    #[serde(default)]
    preview_video: Option<String>,
    #[serde(default)]
    preview_thumbnail: Option<String>,
    #[serde(default)]
    enabled: Option<bool>,
    #[serde(default)]
    default_prompts: BTreeMap<String, String>,
    #[serde(default)]
    supported_models: BTreeMap<String, Vec<String>>,
    steps: Vec<Step>,
    #[serde(default)]
    estimated_duration_seconds: Option<u64>,
    #[serde(default)]
    credits_cost: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Step {
    name: String,
    #[serde(default)]
    uses: Option<String>,
}

/// What is in the file: one workflow, or a list of them.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Entries {
    Catalogue { workflows: Vec<Entry> },
    List(Vec<Entry>),
    One(Box<Entry>),
}

/// Prints the workflow file.
pub(super) fn run(path: &Path, id: Option<&str>) -> Result<(), Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("{} can't be read: {error}", path.display())))?;
    let entries: Entries = serde_json::from_str(&text).map_err(|_| {
        Failure::usage(format!("{} is no workflow of a catalogue", path.display()))
            .advice("a workflow has an `id` and `steps`, each with a `name`; the page on definitions shows one")
    })?;
    let entries = match entries {
        Entries::Catalogue { workflows } => workflows,
        Entries::List(workflows) => workflows,
        Entries::One(entry) => vec![*entry],
    };
    let ids: Vec<String> = entries.iter().map(|entry| entry.id.clone()).collect();
    let mut wanted = entries.into_iter().filter(|entry| id.is_none_or(|id| entry.id == id));
    let (Some(entry), None) = (wanted.next(), wanted.next()) else {
        return Err(Failure::usage(format!("{} has the workflows {}", path.display(), ids.join(", ")))
            .advice("say which with --id"));
    };
    let text = file_of(&entry)?;
    if let Err(errors) = compile(&Source::new(format!("{}.yaml", entry.id), text.clone())) {
        let first = errors.first().map(|error| error.message.clone()).unwrap_or_default();
        return Err(Failure::usage(format!("what `{}` says is no workflow: {first}", entry.id))
            .advice("correct the JSON file, or write the workflow file by hand"));
    }
    say(text.trim_end());
    Ok(())
}

/// The workflow file. Text is written as JSON strings, which are YAML.
fn file_of(entry: &Entry) -> Result<String, Failure> {
    let mut text = format!("workflow: {}\n", entry.id);
    let quoted = |value: &str| serde_json::Value::from(value).to_string();
    let mut line = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = writeln!(text, "{key}: {value}");
        }
    };
    line("title", entry.name.as_deref().map(quoted));
    line("description", entry.description.as_deref().map(quoted));
    line("enabled", entry.enabled.map(|enabled| enabled.to_string()));
    line("credits", entry.credits_cost.map(|credits| credits.to_string()));
    line("estimated-duration", entry.estimated_duration_seconds.map(|seconds| format!("{seconds}s")));
    let shown = [
        ("icon", &entry.icon),
        ("category", &entry.category),
        ("preview", &entry.preview_video),
        ("thumbnail", &entry.preview_thumbnail),
    ];
    if shown.iter().any(|(_, value)| value.is_some()) {
        text.push_str("ui:\n");
        for (key, value) in shown {
            if let Some(value) = value {
                let _ = writeln!(text, "  {key}: {}", quoted(value));
            }
        }
    }
    let (mut inputs, mut steps) = (String::new(), String::new());
    for (at, step) in entry.steps.iter().enumerate() {
        let id = slug(&step.name);
        // A catalogue names steps as it shows them, or by an id.
        let models = entry.supported_models.get(&step.name).or_else(|| entry.supported_models.get(&id));
        let prompt = entry.default_prompts.get(&step.name).or_else(|| entry.default_prompts.get(&id));
        let models = models.map(Vec::as_slice).unwrap_or_default();
        let op = op_of(step, models)?;
        let takes = |name: &str| op.params.iter().any(|param| param.name == name);
        if at == 0 && takes("image") {
            inputs.push_str("  image:\n    type: image\n");
        }
        let _ = writeln!(steps, "  - id: {id}\n    uses: {}", op.name);
        let mut given = String::new();
        if let (Some(first), true) = (models.first(), takes("model")) {
            let all: Vec<String> = models.iter().map(|model| quoted(model)).collect();
            let _ = write!(
                inputs,
                "  {id}_model:\n    type: enum\n    enum: [{}]\n    default: {}\n",
                all.join(", "),
                quoted(first)
            );
            let _ = writeln!(given, "      model: ${{{{ inputs.{id}_model }}}}");
        }
        if let (Some(prompt), true) = (prompt, takes("prompt")) {
            let _ = write!(inputs, "  {id}_prompt:\n    type: string\n    default: {}\n", quoted(prompt));
            let _ = writeln!(given, "      prompt: ${{{{ inputs.{id}_prompt }}}}");
        }
        if !given.is_empty() {
            let _ = write!(steps, "    with:\n{given}");
        }
    }
    if !inputs.is_empty() {
        let _ = write!(text, "inputs:\n{inputs}");
    }
    let _ = write!(text, "steps:\n{steps}");
    Ok(text)
}

/// The op of a step: the one that it names, else one that has all its models.
fn op_of(step: &Step, models: &[String]) -> Result<&'static op::OpSpec, Failure> {
    if let Some(name) = &step.uses {
        return op::find(name).ok_or_else(|| Failure::usage(format!("`{}`: there is no op `{name}`", step.name)));
    }
    let knows_all =
        |op: &&op::OpSpec| !models.is_empty() && models.iter().all(|model| model::find(op.name, model).is_some());
    // Of several, the one that the step is called like; else one that works on a picture, as what a catalogue runs does.
    let id = slug(&step.name);
    let fits = |op: &&op::OpSpec| {
        let verb = op.name.rsplit('.').next().unwrap_or_default();
        (id == slug(op.name), id.contains(verb), op.params.iter().any(|param| param.name == "image"))
    };
    op::OPS.iter().filter(knows_all).max_by_key(fits).ok_or_else(|| {
        Failure::usage(format!("which op the step `{}` is does not follow from its models", step.name))
            .advice("give the step a `uses` with the name of an op, such as image.edit")
    })
}

/// A name as an id: letters and digits in lower case, everything between them one underscore.
fn slug(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("_")
}
