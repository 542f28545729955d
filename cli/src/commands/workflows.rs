//! `darkroom workflows …`

use crate::failure::Failure;
use crate::output::{Format, say, say_json, table};
use darkroom_engine::{Source, compile, schema, template};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Workflow files: their schema for editors, a new one, a folder's list
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  darkroom workflows schema > workflow.schema.json\n  \
    darkroom workflows new my-pictures > my-pictures.yaml\n  darkroom workflows list workflows")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print the JSON Schema of workflow files
    Schema,
    /// Print a commented workflow file to begin with
    New {
        /// The id of the workflow
        name: String,
    },
    /// List the workflow files of a folder
    List {
        /// The folder
        #[arg(default_value = "workflows")]
        folder: PathBuf,
    },
}

pub(crate) fn run(args: Args, format: Format) -> Result<ExitCode, Failure> {
    match args.command {
        Command::Schema => say_json(&schema::schema()),
        Command::New { name } => say(new(&name)?.trim_end()),
        Command::List { folder } => list(&folder, format)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn new(name: &str) -> Result<String, Failure> {
    let text = template::template(name);
    match compile(&Source::new(format!("{name}.yaml"), text.clone())) {
        Ok(_) => Ok(text),
        Err(_) => Err(Failure::usage(format!("`{name}` can't be the id of a workflow"))
            .advice("use letters, digits, - and _, beginning with a letter")),
    }
}

fn list(folder: &Path, format: Format) -> Result<(), Failure> {
    let entries = std::fs::read_dir(folder).map_err(|error| {
        Failure::not_found(format!("the folder {} can't be read: {error}", folder.display()))
            .advice("name the folder that your workflow files are in: darkroom workflows list FOLDER")
    })?;
    let mut paths: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ext| ext == "yaml" || ext == "yml" || ext == "json"));
    paths.sort();
    let mut rows = Vec::new();
    for path in paths {
        let Ok(source) = crate::workflow_file::read(&path) else { continue };
        let (id, title, state) = match compile(&source) {
            Ok(compiled) => (compiled.plan.workflow, compiled.plan.title, "ok".to_owned()),
            Err(errors) => ("–".to_owned(), String::new(), format!("{} errors", errors.len())),
        };
        rows.push(vec![id, title, path.display().to_string(), state]);
    }
    match format {
        Format::Table => say(&table(&["WORKFLOW", "TITLE", "FILE", "STATE"], &rows)),
        Format::Json => {
            let row = |row: &Vec<String>| serde_json::json!({ "workflow": row[0], "title": row[1], "file": row[2], "state": row[3] });
            say_json(&serde_json::json!({ "data": rows.iter().map(row).collect::<Vec<_>>(), "next_cursor": null }));
        }
    }
    Ok(())
}
