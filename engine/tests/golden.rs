//! Golden texts: what each mistake is answered with, and how the workflows of the catalogue are wired.
//!
//! `UPDATE_GOLDEN=1 cargo test -p darkroom-engine` writes them anew; read the difference before committing it.

#![allow(clippy::unwrap_used, reason = "test code: a panic is the report")]

use darkroom_engine::plan::{Plan, Source as Value, Wire, Work};
use darkroom_engine::{Library, Source, compile, compile_with, render, summary};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn files(folder: &str, extensions: &[&str]) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| extensions.iter().any(|extension| path.extension().is_some_and(|found| found == *extension)))
        .collect();
    files.sort();
    files
}

fn source(path: &Path) -> Source {
    Source::from_bytes(path.file_name().unwrap().to_string_lossy(), &std::fs::read(path).unwrap())
}

/// Compares with the file, or writes it.
fn golden(path: &Path, found: &str, wrong: &mut Vec<String>) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, found).unwrap();
        return;
    }
    let wanted = std::fs::read_to_string(path).unwrap_or_default();
    if wanted != found {
        wrong.push(format!("--- {}\nwanted:\n{wanted}\nfound:\n{found}", path.display()));
    }
}

#[test]
fn every_mistake_is_answered_as_recorded() {
    let mut wrong = Vec::new();
    let cases = files("tests/diagnostics", &["yaml", "json"]);
    assert!(cases.len() >= 45, "{} cases", cases.len());
    for path in cases {
        let source = source(&path);
        let diagnostics = match compile(&source) {
            Ok(compiled) => compiled.warnings,
            Err(diagnostics) => diagnostics,
        };
        assert!(!diagnostics.is_empty(), "{} has no mistake", path.display());
        let text = format!("{}\n{}\n", render(&diagnostics, &source, false), summary(&diagnostics, 1));
        golden(&path.with_extension("txt"), &text, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_mistake_with_a_child_is_answered_as_recorded() {
    let mut library = Library::default();
    for path in files("tests/children/library", &["yaml"]) {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        library.insert(name, compile(&source(&path)).unwrap().signature);
    }
    let mut wrong = Vec::new();
    for path in files("tests/children", &["yaml"]) {
        let source = source(&path);
        let diagnostics = match compile_with(&source, &library) {
            Ok(compiled) => compiled.warnings,
            Err(diagnostics) => diagnostics,
        };
        let text = format!("{}\n{}\n", render(&diagnostics, &source, false), summary(&diagnostics, 1));
        golden(&path.with_extension("txt"), &text, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_catalogue_compiles_and_is_wired_as_recorded() {
    let mut wrong = Vec::new();
    for path in files("../workflows", &["yaml"]).into_iter().chain(files("tests/wiring", &["yaml"])) {
        let source = source(&path);
        let compiled = compile(&source)
            .unwrap_or_else(|diagnostics| panic!("{}:\n{}", path.display(), render(&diagnostics, &source, false)));
        assert_eq!(compiled.warnings, [], "{}", path.display());
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wiring");
        let name = path.with_extension("txt");
        golden(&folder.join(name.file_name().unwrap()), &wiring(&compiled.plan), &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The plan as text: what each step waits for, and where its values come from.
fn wiring(plan: &Plan) -> String {
    let mut text = format!("{}\n", plan.workflow);
    body(plan, &plan.top.nodes, 1, &mut text);
    text
}

fn body(plan: &Plan, nodes: &[darkroom_engine::plan::NodeIndex], depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    let ids = |nodes: &[darkroom_engine::plan::NodeIndex]| {
        nodes.iter().map(|index| plan.node(*index).id.as_str()).collect::<Vec<_>>().join(" ")
    };
    for index in nodes {
        let node = plan.node(*index);
        let _ = write!(text, "{indent}{} {}", node.number, node.id);
        let _ = match &node.work {
            Work::Call(call) => write!(text, " ({})", call.op.name),
            Work::FanOut(fan_out) => write!(text, " (fan-out{})", if fan_out.single { ", single" } else { "" }),
        };
        let _ = writeln!(text, " after [{}] uses [{}]", ids(&node.after), ids(&node.uses));
        match &node.work {
            Work::Call(call) => {
                for argument in &call.arguments {
                    let source = match &argument.source {
                        Value::Given(_) => continue,
                        Value::Wired(Wire::Step { node, output }) => format!("steps.{}.{output}", plan.node(*node).id),
                        Value::Wired(Wire::FirstBox { node }) => format!("steps.{}.boxes[0]", plan.node(*node).id),
                        Value::Wired(Wire::Item) => "item".to_owned(),
                        Value::Wired(Wire::Input { name }) => format!("inputs.{name}"),
                    };
                    let _ = writeln!(text, "{indent}    {} <- {source}", argument.name);
                }
            }
            Work::FanOut(fan_out) => body(plan, &fan_out.body.nodes, depth + 2, text),
        }
    }
}
