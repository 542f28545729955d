//! Recipes: workflows written as plain English sentences, a second way to write what a YAML file says.
//!
//! A recipe becomes the same tree that [`crate::yaml`] makes of a file, its places those of the recipe's words, so that
//! everything that is checked later points into the recipe too. The grammar is a table of verbs ([`verbs`]): a sentence means
//! the same always, and a word that nothing in the grammar takes is an error, never ignored.

mod clause;
mod lower;
mod outline;
mod setting;
mod token;
pub mod verbs;
mod written;

use crate::code;
use crate::diagnostic::{Diagnostic, Findings};
use crate::node::{Node, NodeKind};
use crate::source::{Source, Span};
use crate::yaml;

/// The most sentences of a recipe.
pub const SENTENCES_MAX: usize = 1_000;

/// Whether a file is read as a recipe: its name ends in `.txt`, or it has no ending of a YAML or JSON file and its first
/// line begins as recipes do, with `Workflow "`, `For each`, `Phase 1` or `1.`.
pub fn is_recipe(source: &Source) -> bool {
    let extension = source.name().rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    match extension.as_deref() {
        Some("txt") => true,
        Some("yaml" | "yml" | "json") => false,
        _ => {
            let is_text = |line: &&str| !line.is_empty() && !line.starts_with('#');
            let first = source.text().lines().map(str::trim).find(is_text).unwrap_or_default().to_ascii_lowercase();
            ["workflow \"", "for each ", "phase 1", "1. ", "1) "].iter().any(|opening| first.starts_with(opening))
        }
    }
}

/// The tree of a recipe, as far as there is one, and what is wrong with its words.
pub(crate) fn parse(source: &Source) -> (Option<Node>, Vec<Diagnostic>) {
    if let Some(fault) = source.fault() {
        return (None, vec![yaml::unreadable(fault)]);
    }
    let mut found = Vec::new();
    let lines = token::lines(source.text(), &mut found);
    let recipe = outline::outline(&lines, &mut found);
    if recipe.sentences() > SENTENCES_MAX {
        let message = format!("the recipe has more than {SENTENCES_MAX} sentences");
        let help = "give large data as an input of a workflow file instead of writing it into a recipe";
        return (None, vec![Diagnostic::error(code::TOO_LARGE, Span::default(), message).help(help)]);
    }
    let tree = lower::lower(source, &lines, &recipe, &mut found);
    if found.is_empty() && tree.is_none() && !source.text().trim().is_empty() {
        let message = "the recipe has no step";
        let help = "write a sentence for each step, such as `1. Generate a product photo of a mug`";
        found.push(Diagnostic::error(code::NO_STEPS, Span::default(), message).help(help));
    }
    if tree.as_ref().is_some_and(|tree| nodes(tree) > yaml::NODES_MAX) {
        let message = "the recipe holds more than 10,000 values";
        let help = "give large data as an input of a workflow file instead of writing it into a recipe";
        found.push(Diagnostic::error(code::TOO_LARGE, Span::default(), message).help(help));
    }
    // What follows from words that were not read would only mislead.
    let failed = found.iter().any(Diagnostic::is_error);
    (tree.filter(|_| !failed), found)
}

fn nodes(node: &Node) -> usize {
    1 + match &node.kind {
        NodeKind::List(items) => items.iter().map(nodes).sum(),
        NodeKind::Map(entries) => entries.iter().map(|entry| nodes(&entry.value)).sum(),
        _ => 0,
    }
}

/// The workflow file that says what a recipe says, in YAML; or what can't be read.
///
/// It compiles to the same plan: its definition has the same hash.
pub fn to_yaml(source: &Source) -> Result<String, Vec<Diagnostic>> {
    let (tree, mistakes) = parse(source);
    let mut found = Findings::default();
    found.extend(mistakes);
    match tree {
        Some(tree) if !found.has_errors() => Ok(written::write(&tree)),
        _ => Err(found.finish(source)),
    }
}
