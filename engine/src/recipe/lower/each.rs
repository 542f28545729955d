//! Sentences about several pictures: a fan-out, and where each of its instances saves to.

use super::{
    Each, Lowering, Made, PICTURE_ENDINGS, braces, entry, flatten, key, map, matrix, said, step, takes_path, text,
};
use crate::node::{Entry, Node, NodeKind};
use crate::recipe::clause::{Axis, Clause};
use crate::recipe::outline::Block;
use crate::recipe::token::Token;
use crate::source::Span;

impl Lowering<'_> {
    /// A fan-out: the clauses are its body.
    pub(super) fn each(&mut self, clauses: &[Clause], each: &Each<'_>) -> Made {
        let mut axes = Vec::new();
        let mut flat: Vec<&Clause> = Vec::new();
        flatten(clauses, &mut flat);
        for clause in &flat {
            for axis in &clause.axes {
                if axes.iter().any(|other: &Axis| key(other) == key(axis)) {
                    let message = format!("a second list of `{}` for the same pictures", axis.param);
                    self.count(axis.span, message, "make a sentence of its own of it");
                } else {
                    axes.push(axis.clone());
                }
            }
        }
        let paced = flat.iter().find_map(|clause| clause.pace);
        let mut body = Vec::new();
        let mut format = None;
        let mut kind = "image";
        for clause in flat {
            let Some(op) = clause.op else { continue };
            if op.name == "image.generate" && (clause.count.is_some_and(|(count, _)| count != 1)) {
                let help = "make them before, and work on each of them after";
                self.form(clause.verb_span, "several pictures can't be made for each of several", help);
                continue;
            }
            if op.name == "image.contact-sheet" {
                self.form(
                    clause.verb_span,
                    "a sheet of all can't be made for each",
                    "make it in a sentence behind them",
                );
                continue;
            }
            let mut with = self.with(clause, op);
            // Where pictures are said before, the first sentence about them may say which.
            let path = clause.path.as_ref().filter(|_| !takes_path(op)).map(|path| path.span);
            let other = clause.from.map(|(_, span)| span).or(path);
            if let Some(span) = other.filter(|_| each.is_files) {
                self.form(span, "something else can't be meant for each", "leave it out: each picture flows on");
            }
            for axis in &clause.axes {
                with.push(entry(axis.param, axis.span, text(braces(&format!("matrix.{}", key(axis))), axis.span)));
            }
            match op.name {
                "save" => with.extend(self.save_path(clause, Some((each, &axes)), format.clone())),
                "image.encode" => format = said(clause, "format").or(Some("webp".to_owned())),
                "video.generate" => kind = "video",
                "audio.speech" => kind = "audio",
                "image.describe" => {}
                "notify.webhook" => {
                    with.splice(0..0, clause.path.iter().map(|path| entry("url", path.span, path.clone())));
                }
                _ => {
                    format = None;
                    kind = "image";
                }
            }
            body.push(step(None, clause, with));
        }
        let id = self.id(each.id);
        let mut entries = vec![
            entry("id", each.span, text(id.as_str(), each.span)),
            entry("for-each", each.span, text(each.items.as_str(), each.span)),
        ];
        if !axes.is_empty() {
            entries.push(entry("matrix", each.span, matrix(&axes, each.span)));
        }
        entries.push(entry("steps", each.span, Node { kind: NodeKind::List(body), span: each.span }));
        self.steps.push(map(entries, each.span));
        if let Some((pace, span)) = paced {
            self.set_pace(self.steps.len() - 1, pace, span);
        }
        Made { path: format!("steps.{id}"), kind, many: true, flows: false, format }
    }

    /// Where a clause saves to. In a fan-out every instance has a path of its own.
    pub(super) fn save_path(
        &mut self,
        clause: &Clause,
        each: Option<(&Each<'_>, &[Axis])>,
        format: Option<String>,
    ) -> Option<Entry> {
        let Some(path) = &clause.path else {
            let help = "such as `Save as ./output/final.png` or `Save to ./output/`";
            self.form(clause.verb_span, "where to save is missing", help);
            return None;
        };
        self.saved = true;
        let said = path.as_text().unwrap_or_default();
        let last = said.rsplit('/').next().unwrap_or_default();
        let is_folder = last.is_empty() || !last.contains('.');
        let mut to = said.to_owned();
        if is_folder && !to.ends_with('/') {
            to.push('/');
        }
        if let (true, Some((each, axes))) = (is_folder, each) {
            let ending = format.or_else(|| (!each.is_files || !axes.is_empty()).then(|| "png".to_owned()));
            if let Some(ending) = ending {
                to.push_str(if each.is_files { "${{ item.stem }}" } else { "${{ number }}" });
                for axis in axes {
                    to.push_str(&format!("-{}", braces(&format!("matrix.{} | slug", key(axis)))));
                }
                to.push('.');
                to.push_str(if ending == "jpeg" { "jpg" } else { &ending });
            }
        }
        Some(entry("path", path.span, text(to, path.span)))
    }

    pub(super) fn for_each_file(&mut self, source: &str, block: &Block<'_>, folder: &Token, span: Span) {
        let path = folder.text.trim_end_matches('/');
        let patterns = match path.contains(['*', '?']) {
            true => vec![text(format!("@{path}"), folder.span)],
            false => PICTURE_ENDINGS.iter().map(|ending| text(format!("@{path}/*.{ending}"), folder.span)).collect(),
        };
        let default = Node { kind: NodeKind::List(patterns), span: folder.span };
        let items = self.input("images", "image[]", Some(default), folder.span);
        let mut clauses = Vec::new();
        let mut paces = Vec::new();
        for sentence in &block.sentences {
            match sentence.tokens.first().is_some_and(|token| token.is_word(&["run"])) {
                true => paces.push(sentence),
                false => clauses.extend(self.read(source, sentence)),
            }
        }
        if clauses.is_empty() {
            self.form(span, "what is done for each is missing", "write the steps in the lines below, numbered or not");
            return;
        }
        let made = self.each(&clauses, &Each { id: "each", items, span, is_files: true });
        self.open.push(made);
        for sentence in paces {
            self.runs(sentence);
        }
    }
}
