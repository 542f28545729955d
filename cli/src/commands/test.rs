//! `darkroom test FILE…|DIR…`

use crate::failure::{EXIT_FAILED, EXIT_USAGE, Failure};
use crate::output::{Format, complain, say, say_json, span};
use darkroom_backend::Clock;
use darkroom_proto::Duration;
use darkroom_testkit::{TestFile, TestkitError, Verdict};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Try workflows: run the tests in *.test.yaml files, without providers, servers or waiting
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  darkroom test workflows/tests\n  \
    darkroom test workflows/tests/product-photo.test.yaml --filter branded")]
pub(crate) struct Args {
    /// Files of tests, or folders in which and under which they are
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Only tests that have this in their name or in that of their file
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
}

/// What files of tests are called.
const ENDING: &str = ".test.yaml";

/// How deep folders are looked into.
const DEPTH_MAX: usize = 16;

/// How the tests went so far.
#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
    unreadable: usize,
    files: Vec<Value>,
}

pub(crate) fn run(args: &Args, format: Format) -> Result<ExitCode, Failure> {
    let mut paths = Vec::new();
    for path in &args.paths {
        match path.is_dir() {
            true => find(path, DEPTH_MAX, &mut paths)?,
            false => paths.push(path.clone()),
        }
    }
    if paths.is_empty() {
        return Err(
            Failure::usage("there are no tests in it").advice(format!("files of tests are called NAME{ENDING}"))
        );
    }
    let mut tally = Tally::default();
    for path in &paths {
        try_file(path, args.filter.as_deref(), format, &mut tally);
    }
    let Tally { passed, failed, unreadable, files } = tally;
    if passed + failed + unreadable == 0 {
        return Err(Failure::usage("no test has that in its name").advice("leave out --filter to run all of them"));
    }
    match format {
        Format::Json => {
            say_json(&json!({ "passed": passed, "failed": failed, "unreadable": unreadable, "files": files }));
        }
        Format::Table => {
            let cannot = if unreadable > 0 { format!(", {unreadable} files can't be read") } else { String::new() };
            complain(&format!("{passed} passed, {failed} failed{cannot}"));
        }
    }
    Ok(ExitCode::from(match (unreadable, failed) {
        (0, 0) => 0,
        (0, _) => EXIT_FAILED,
        _ => EXIT_USAGE,
    }))
}

fn try_file(path: &Path, filter: Option<&str>, format: Format, tally: &mut Tally) {
    let file = path.display().to_string();
    let is_wanted = |name: &str| filter.is_none_or(|text| name.contains(text) || file.contains(text));
    let tests = match TestFile::read(path) {
        Ok(tests) => tests,
        Err(error) => {
            tally.unreadable += 1;
            tally.files.push(unread(&file, error));
            return;
        }
    };
    let clock = Clock::system();
    let mut shown = Vec::new();
    for case in tests.cases().iter().filter(|case| is_wanted(case.name())) {
        let began = clock.now();
        let verdict = case.run();
        let took = clock.now().since(began);
        match verdict.passed() {
            true => tally.passed += 1,
            false => tally.failed += 1,
        }
        if format == Format::Table {
            say(&line(&file, &verdict, took));
        }
        shown.push(json!({
            "name": verdict.name, "passed": verdict.passed(), "ms": took.0,
            "mismatches": verdict.mismatches, "timeline": verdict.timeline,
        }));
    }
    tally.files.push(json!({ "file": file, "tests": shown }));
}

/// A file that can't be read: told at once, and in the document.
fn unread(file: &str, error: TestkitError) -> Value {
    match error {
        TestkitError::Invalid { diagnostics, rendered } => {
            complain(rendered.trim_end());
            json!({ "file": file, "error": "it has mistakes", "diagnostics": diagnostics })
        }
        other => {
            complain(&format!("error: {other}"));
            json!({ "file": file, "error": other.to_string() })
        }
    }
}

/// How a test went; of one that failed, what came and how it came to that.
fn line(file: &str, verdict: &Verdict, took: Duration) -> String {
    let word = if verdict.passed() { "ok    " } else { "FAILED" };
    let mut lines = vec![format!("{word}  {file}: {}  {}", verdict.name, span(took))];
    for mismatch in &verdict.mismatches {
        lines.push(format!("          {}", mismatch.what));
        lines.push(format!("            expected  {}", mismatch.expected));
        lines.push(format!("            found     {}", mismatch.found));
    }
    if !verdict.passed() {
        lines.extend(verdict.timeline.iter().map(|line| format!("        {line}")));
    }
    lines.join("\n")
}

/// The files of tests in a folder, in the order in which people count.
fn find(folder: &Path, depth: usize, paths: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::usage(format!("{} can't be read: {error}", folder.display()));
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        entries.push(entry.map_err(failed)?.path());
    }
    entries.sort_by(|a, b| natord::compare(&a.to_string_lossy(), &b.to_string_lossy()));
    for path in entries {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() && !path.is_symlink() && depth > 0 {
            find(&path, depth - 1, paths)?;
        } else if name.ends_with(ENDING) {
            paths.push(path);
        }
    }
    Ok(())
}
