//! `darkroom explain CODE`

use crate::failure::Failure;
use crate::output::say;
use darkroom_engine::code;
use std::process::ExitCode;

/// Explain the code of a diagnostic, such as DR014
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The code
    code: String,
}

pub(crate) fn run(args: Args) -> Result<ExitCode, Failure> {
    let wanted = args.code.to_ascii_uppercase();
    let Some(code) = code::find(&wanted) else {
        return Err(Failure::not_found(format!("there is no code {wanted}"))
            .advice("codes stand in brackets behind `error` or `warning`"));
    };
    say(&format!("{}: {}\n\n{}", code.code, code.title, code.explanation));
    Ok(ExitCode::SUCCESS)
}
