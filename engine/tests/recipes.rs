//! Recipes: each means the workflow file that is recorded for it, and that file makes the same plan.
//!
//! `UPDATE_GOLDEN=1 cargo test -p darkroom-engine --test recipes` writes them anew; read the difference before committing it.

#![allow(clippy::unwrap_used, reason = "test code: a panic is the report")]

use darkroom_engine::{Source, compile, recipe, render};
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
