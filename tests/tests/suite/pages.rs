//! The documentation: its links lead somewhere, and its workflows compile.

use crate::house::{files, root};
use darkroom_engine::{Source, compile, render};
use std::path::{Path, PathBuf};

fn pages() -> Vec<PathBuf> {
    files().into_iter().filter(|path| path.extension().is_some_and(|ext| ext == "md")).collect()
}

/// The blocks of a page fenced with this word, each with the number of its first line.
fn blocks(page: &str, word: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(bool, usize, String)> = None;
    for (number, line) in page.lines().enumerate() {
        match (&mut open, line.trim_start().strip_prefix("```")) {
            (None, Some(info)) => open = Some((info == word, number + 2, String::new())),
            (Some(_), Some(_)) => {
                if let Some((true, first, text)) = open.take() {
                    blocks.push((first, text));
                }
            }
            (Some((_, _, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

/// The targets of links and pictures, outside of blocks.
fn links(page: &str) -> Vec<String> {
    let mut inside = false;
    let mut links = Vec::new();
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        }
        if inside {
            continue;
        }
        let mut rest = line;
        while let Some((_, after)) = rest.split_once("](") {
            let Some((target, behind)) = after.split_once(')') else { break };
            links.push(target.to_owned());
            rest = behind;
        }
    }
    links
}

/// The anchors of a page, as mdBook and code hosts make them from headings.
fn anchors(page: &str) -> Vec<String> {
    let headings = page.lines().filter_map(|line| Some(line.strip_prefix('#')?.trim_start_matches('#').trim()));
    let anchor = |heading: &str| {
        let kept = heading.to_lowercase().replace(' ', "-");
        kept.chars().filter(|c| c.is_alphanumeric() || *c == '-' || *c == '_').collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn every_link_between_pages_leads_somewhere() {
    let mut count = 0;
    for path in pages() {
        let text = std::fs::read_to_string(&path).unwrap();
        for link in links(&text).into_iter().filter(|link| !link.contains("://") && !link.starts_with("mailto:")) {
            count += 1;
            let (file, anchor) = link.split_once('#').map_or((link.as_str(), None), |(file, a)| (file, Some(a)));
            let target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            assert!(target.exists(), "{}: there is no {link}", path.display());
            if let Some(anchor) = anchor {
                let there = anchors(&std::fs::read_to_string(&target).unwrap());
                assert!(there.iter().any(|known| known == anchor), "{}: {link}: {there:?}", path.display());
            }
        }
    }
    assert!(count > 10, "only {count} links were found");
}

#[test]
fn every_page_of_the_book_is_in_its_summary() {
    let book = root().join("docs/src");
    let summary = links(&std::fs::read_to_string(book.join("SUMMARY.md")).unwrap());
    let summary: Vec<PathBuf> = summary.iter().map(|link| book.join(link).canonicalize().unwrap()).collect();
    for path in pages() {
        let path = path.canonicalize().unwrap();
        if path.starts_with(book.canonicalize().unwrap()) && !path.ends_with("SUMMARY.md") {
            assert!(summary.contains(&path), "{} is not in SUMMARY.md", path.display());
        }
    }
}

#[test]
fn every_workflow_in_the_pages_compiles() {
    let mut count = 0;
    for path in pages() {
        let page = std::fs::read_to_string(&path).unwrap();
        for (line, text) in blocks(&page, "yaml") {
            let first = text.lines().find(|line| !line.starts_with('#')).unwrap_or_default();
            if !first.starts_with("workflow:") {
                continue;
            }
            count += 1;
            let source = Source::new(format!("{}:{line}", path.display()), text);
            if let Err(found) = compile(&source) {
                panic!("{}", render(&found, &source, false));
            }
        }
    }
    assert!(count >= 4, "only {count} workflows were found");
}

#[test]
fn the_picture_of_the_readme_is_small_enough_for_a_page() {
    let picture = root().join("docs/src/images/product-final.png");
    let bytes = std::fs::metadata(&picture).unwrap().len();
    assert!(bytes <= 200_000, "{bytes}");
}

#[test]
fn the_architecture_page_names_files_that_exist() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let mut count = 0;
    for word in text.split('`') {
        let is_file = word.contains('/') && (word.ends_with(".rs") || word.ends_with('/')) && !word.contains(' ');
        if is_file {
            count += 1;
            assert!(Path::new(root()).join(word).exists(), "ARCHITECTURE.md names {word}");
        }
    }
    assert!(count > 20, "only {count} files were found");
    assert!(text.lines().count() <= 200);
}
