//! `darkroom config show`

use crate::failure::Failure;
use crate::output::{Format, say, say_json};
use crate::settings::Settings;
use std::process::ExitCode;

/// Show the settings and where they are read from
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show every setting, without secrets, and the places that are read
    Show,
}

pub(crate) fn run(args: Args, format: Format) -> Result<ExitCode, Failure> {
    let Command::Show = args.command;
    let settings = Settings::load()?;
    if format == Format::Json {
        say_json(&settings);
        return Ok(ExitCode::SUCCESS);
    }
    say("read, the later over the earlier:");
    for (path, what) in Settings::files() {
        let there = if path.exists() { "found" } else { "not there" };
        say(&format!("  {:<8} {}  ({there})", what, path.display()));
    }
    let set = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let set: Vec<String> = set.filter(|name| name.starts_with("DARKROOM__")).collect();
    say(&format!("  environment  {}", if set.is_empty() { "nothing set".to_owned() } else { set.join(", ") }));
    say("");
    let value = serde_json::to_value(&settings).unwrap_or_default();
    print_values("", &value);
    Ok(ExitCode::SUCCESS)
}

fn print_values(prefix: &str, value: &serde_json::Value) {
    match value {
        serde_json::Value::Object(object) => {
            for (key, value) in object {
                let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                print_values(&name, value);
            }
        }
        serde_json::Value::Null => {}
        value => say(&format!("{prefix} = {value}  ({})", Settings::origin(prefix))),
    }
}
