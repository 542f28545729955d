//! `darkroom workflows …`

mod convert;
mod diff;
mod import;
mod pushed;

pub(crate) use pushed::push_all;

use crate::failure::Failure;
use crate::fleet::FleetStore;
use crate::output::{Format, say, say_json, table};
use crate::settings::Settings;
use crate::{folder, named};
use darkroom_engine::{Source, compile, schema, template};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Workflows: keep them by name and version, and files to begin with
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  darkroom workflows schema > workflow.schema.json\n  \
    darkroom workflows new my-pictures > my-pictures.yaml\n  darkroom workflows list workflows\n  \
    darkroom workflows push workflows\n  darkroom workflows diff web-ready@1 @2")]
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
    /// List the workflows that can be run by name, or the workflow files of a folder
    List {
        /// The folder
        folder: Option<PathBuf>,
    },
    /// Keep workflow files by name; new content is a new version
    Push {
        /// Files, or folders of them
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Who pushes; the user, if nothing is said
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
    },
    /// Print the file of a workflow, such as web-ready or web-ready@2
    Show {
        /// The workflow
        name: String,
    },
    /// Show what differs between two versions; exit code 1 when something does
    #[command(
        after_help = "What is compared is what workflows mean: comments and layout don't count.\n\nExamples:\n  \
        darkroom workflows diff web-ready              the last two versions\n  \
        darkroom workflows diff web-ready@1 @3\n  \
        darkroom workflows diff web-ready web-ready.yaml"
    )]
    Diff {
        /// The workflow, with a version or not
        name: String,
        /// Another version, such as @3, or a file
        other: Option<String>,
    },
    /// List the versions of a workflow, and how many runs are on each
    History {
        /// The workflow
        name: String,
    },
    /// Let no run of it be started by name; runs that are under way go on
    Disable {
        /// The workflow
        name: String,
    },
    /// Let it be run by name again
    Enable {
        /// The workflow
        name: String,
    },
    /// Print the workflow file that a recipe means
    Convert {
        /// The recipe
        recipe: PathBuf,
        /// Write it to this file instead
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Print the workflow file for a workflow in the JSON form of a catalogue
    Import {
        /// The JSON file
        file: PathBuf,
        /// Which, if the file has more than one
        #[arg(long)]
        id: Option<String>,
    },
}

pub(crate) async fn run(args: Args, format: Format) -> Result<ExitCode, Failure> {
    match &args.command {
        Command::Schema => say_json(&schema::schema()),
        Command::New { name } => say(new(name)?.trim_end()),
        Command::List { folder: Some(folder) } => list(folder, format)?,
        Command::Show { name } => {
            let source = named::look_up(name, &Settings::load()?).await?.source;
            match format {
                Format::Json => say_json(&serde_json::json!({ "file": source.name(), "source": source.text() })),
                Format::Table => say(source.text().trim_end()),
            }
        }
        Command::Convert { recipe, out } => convert::run(recipe, out.as_deref())?,
        Command::Import { file, id } => import::run(file, id.as_deref())?,
        _ => {
            let settings = Settings::load()?;
            return match settings.fleet()? {
                Some(place) => {
                    let store = FleetStore::open(&place).await?.store;
                    pushed::command(args.command, Some(store), format).await
                }
                // Looking leaves no state behind where there is none.
                None if !named::has_state() && !args.command.writes() => {
                    pushed::command::<darkroom_backend::EmbeddedStore>(args.command, None, format).await
                }
                None => {
                    let store = folder::store(&folder::state()).await?;
                    pushed::command(args.command, Some(store), format).await
                }
            };
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Command {
    fn writes(&self) -> bool {
        matches!(self, Command::Push { .. } | Command::Disable { .. } | Command::Enable { .. })
    }
}

fn new(name: &str) -> Result<String, Failure> {
    let text = template::template(name);
    match compile(&Source::new(format!("{name}.yaml"), text.clone())) {
        Ok(_) => Ok(text),
        Err(_) => Err(Failure::usage(format!("`{name}` can't be the id of a workflow"))
            .advice("use letters, digits, - and _, beginning with a letter")),
    }
}

/// The workflow files of a folder, by name.
fn files_of(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = std::fs::read_dir(folder).map_err(|error| {
        Failure::not_found(format!("the folder {} can't be read: {error}", folder.display()))
            .advice("name the folder that your workflow files are in: darkroom workflows list FOLDER")
    })?;
    let mut paths: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ext| ext == "yaml" || ext == "yml" || ext == "json"));
    paths.sort();
    Ok(paths)
}

fn list(folder: &Path, format: Format) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for path in files_of(folder)? {
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
