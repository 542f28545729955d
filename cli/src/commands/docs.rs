//! `darkroom docs DIR`: the pages of the reference that are made from the code.

use crate::failure::Failure;
use crate::output::say;
use clap::CommandFactory;
use darkroom_backend::{RabbitQueue, RedisStore};
use darkroom_engine::{reference, schema};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Write the generated pages of the reference into a folder
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder, such as docs/src/reference
    dir: PathBuf,
    /// Also write the description of the HTTP API into this file, such as docs/openapi.json
    #[arg(long, value_name = "FILE")]
    openapi: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let failed = |error: std::io::Error| Failure::other(format!("{} can't be written: {error}", args.dir.display()));
    std::fs::create_dir_all(&args.dir).map_err(failed)?;
    for (name, text) in pages() {
        std::fs::write(args.dir.join(name), text).map_err(failed)?;
        say(&args.dir.join(name).display().to_string());
    }
    if let Some(file) = &args.openapi {
        let text = darkroom_api::document_text::<RedisStore, RabbitQueue>();
        std::fs::write(file, text)
            .map_err(|error| Failure::other(format!("{} can't be written: {error}", file.display())))?;
        say(&file.display().to_string());
    }
    Ok(ExitCode::SUCCESS)
}

/// Every page by its file name.
fn pages() -> [(&'static str, String); 6] {
    let pretty = |schema| serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n";
    [
        ("ops.md", reference::ops()),
        ("recipes.md", reference::recipes()),
        ("codes.md", reference::errors()),
        ("cli.md", command_line()),
        ("workflow.schema.json", pretty(schema::schema())),
        ("tests.schema.json", pretty(darkroom_testkit::schema())),
    ]
}

/// The page of all commands: what `--help` prints, in the order of `--help`.
fn command_line() -> String {
    let mut page = String::from(
        "<!-- generated from the command line's own help; do not edit -->\n\n# The command line\n\n\
         `-o json` prints one JSON document on stdout instead of a table. Messages and progress go to stderr.\n",
    );
    // A terminal's width would make the page differ from one machine to the next.
    let mut root = crate::Cli::command().term_width(100);
    root.build();
    one(&mut page, root.clone(), "##");
    for command in root.get_subcommands().filter(|command| shown(command)) {
        one(&mut page, command.clone(), "##");
        for command in command.get_subcommands().filter(|command| shown(command)) {
            one(&mut page, command.clone(), "###");
        }
    }
    page
}

/// `help` is the same for every command; hidden commands are for those who build Darkroom.
fn shown(command: &clap::Command) -> bool {
    command.get_name() != "help" && !command.is_hide_set()
}

fn one(page: &mut String, mut command: clap::Command, heading: &str) {
    let name = command.get_bin_name().unwrap_or("darkroom").to_owned();
    let help = command.render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    // Writing to a String does not fail.
    let _ = writeln!(page, "\n{heading} {name}\n\n```text\n{}\n```", help.join("\n").trim_end());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_pages_are_the_generated_ones() {
        let dir = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src/reference"));
        for (name, text) in pages() {
            let committed = std::fs::read_to_string(dir.join(name)).unwrap_or_default();
            assert!(committed == text, "{name} is not what the code says; `make docs-generate` writes it anew");
        }
    }

    #[test]
    fn every_command_is_on_the_page() {
        let page = command_line();
        for command in crate::Cli::command().get_subcommands().filter(|command| shown(command)) {
            assert!(page.contains(&format!("## darkroom {}\n", command.get_name())), "{}", command.get_name());
        }
    }
}
