//! Recipes: each means the workflow file that is recorded for it, and that file makes the same plan.
//!
//! `UPDATE_GOLDEN=1 cargo test -p darkroom-engine --test recipes` writes them anew; read the difference before committing it.

#![allow(clippy::unwrap_used, reason = "test code: a panic is the report")]

use darkroom_engine::{Source, compile, recipe, render, summary};
use std::path::{Path, PathBuf};

fn texts(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|ending| ending == "txt")).collect();
    paths.sort();
    paths
}

#[test]
fn every_recipe_means_the_workflow_that_is_recorded() {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recipes");
    let mut wrong = Vec::new();
    for path in texts("../workflows/recipes").into_iter().chain(texts("tests/recipes")) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let source = Source::from_bytes(name.as_str(), &std::fs::read(&path).unwrap());
        let shown = |diagnostics: &[_]| render(diagnostics, &source, false);
        let yaml = match recipe::to_yaml(&source) {
            Ok(yaml) => yaml,
            Err(diagnostics) => {
                wrong.push(format!("{name}:\n{}", shown(&diagnostics)));
                continue;
            }
        };
        let golden = recorded.join(&name).with_extension("yaml");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&golden, &yaml).unwrap();
        } else if std::fs::read_to_string(&golden).unwrap_or_default() != yaml {
            wrong.push(format!("{name} means now:\n{yaml}"));
        }
        match (compile(&source), compile(&Source::new("written.yaml", yaml.as_str()))) {
            (Ok(of_recipe), Ok(of_file)) => {
                assert_eq!(of_recipe.plan.definition, of_file.plan.definition, "{name}");
                assert_eq!(of_recipe.definition, of_file.definition, "{name}");
                if !of_recipe.warnings.is_empty() {
                    wrong.push(format!("{name}:\n{}", shown(&of_recipe.warnings)));
                }
            }
            (Err(diagnostics), _) => wrong.push(format!("{name}:\n{}\n{yaml}", shown(&diagnostics))),
            (Ok(_), Err(_)) => wrong.push(format!("{name}: what is written for it does not compile:\n{yaml}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Beside each recipe stands what is answered.
#[test]
fn every_mistake_in_a_recipe_is_answered_as_recorded() {
    let mut wrong = Vec::new();
    let cases = texts("tests/recipes/mistakes");
    assert!(cases.len() >= 14, "{} cases", cases.len());
    for path in cases {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let source = Source::from_bytes(name.as_str(), &std::fs::read(&path).unwrap());
        let diagnostics = compile(&source).err().unwrap_or_else(|| panic!("{name} has no mistake"));
        let answer = format!("{}\n{}\n", render(&diagnostics, &source, false), summary(&diagnostics, 1));
        let golden = path.with_extension("answer");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&golden, &answer).unwrap();
        } else if std::fs::read_to_string(&golden).unwrap_or_default() != answer {
            wrong.push(format!("{name}:\n{answer}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_example_of_the_table_of_verbs_is_read() {
    for verb in recipe::verbs::VERBS {
        // Pictures to gather, or one to work on with something to crop to.
        let before = match verb.op {
            "image.contact-sheet" | "" => "Generate 2 pictures of a mug\n",
            _ => "Generate a picture of a mug\nDetect the mug\n",
        };
        let source = Source::new("example.txt", format!("{before}{}\n", verb.example));
        let compiled = compile(&source).unwrap_or_else(|found| panic!("{}", render(&found, &source, false)));
        if !verb.op.is_empty() {
            assert!(
                compiled.definition.contains(&format!("\"{}\"", verb.op)),
                "{}: {}",
                verb.example,
                compiled.definition
            );
        }
    }
}

#[test]
fn a_verb_has_each_name_alone_and_gives_parameters_of_its_op() {
    use darkroom_proto::op;
    let names: Vec<&str> = recipe::verbs::VERBS.iter().flat_map(|verb| verb.names.iter().copied()).collect();
    for verb in recipe::verbs::VERBS {
        for name in verb.names {
            assert_eq!(names.iter().filter(|other| *other == name).count(), 1, "{name}");
        }
        let params = verb.gives.iter().map(|(name, _)| *name).chain(verb.percent.map(|(name, _)| name));
        for param in params {
            assert!(op::find(verb.op).and_then(|op| op.param(param)).is_some(), "{}: {param}", verb.names[0]);
        }
        assert!(verb.gives.iter().all(|(_, value)| serde_json::from_str::<serde_json::Value>(value).is_ok()));
    }
}

#[test]
fn a_recipe_is_told_by_its_name_or_by_its_first_line() {
    let cases = [
        ("a.txt", "whatever", true),
        ("a.yaml", "1. Generate a mug", false),
        ("a.json", "{}", false),
        ("recipe", "# note\n\n1. Generate a mug", true),
        ("recipe", "Workflow \"a\":\n", true),
        ("recipe", "For each image in ./a/:", true),
        ("recipe", "Phase 1: Generate a mug", true),
        ("recipe", "workflow: a\nsteps: []", false),
        ("recipe", "", false),
    ];
    for (name, text, is_recipe) in cases {
        assert_eq!(recipe::is_recipe(&Source::new(name, text)), is_recipe, "{name}: {text}");
    }
}
