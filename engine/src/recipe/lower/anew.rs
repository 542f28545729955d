//! Sentences that nothing flows into: they make pictures or a sound, wait, or gather all there is.

use super::{COUNT_MAX, Lowering, Made, braces, entry, key, matrix, step, text};
use crate::node::{Entry, NodeKind};
use crate::recipe::clause::{Axis, Clause, node};
use crate::recipe::verbs::PICTURES;
use darkroom_proto::op::OpSpec;

impl Lowering<'_> {
    /// A step that nothing flows into: it makes pictures or a sound, waits, or gathers all there is.
    pub(super) fn anew(&mut self, clause: &Clause, op: &'static OpSpec) {
        let mut clause_axes = clause.axes.clone();
        let mut with = self.with(clause, op);
        let verb = clause.verb_span;
        match op.name {
            "image.generate" => {
                self.counted(clause, &mut clause_axes, &mut with);
                self.of_subject(&mut with);
            }
            "image.contact-sheet" => {
                let made = std::mem::take(&mut self.open);
                let gathered = match made.as_slice() {
                    [one] if one.many => ("results", format!("{}.results", one.path)),
                    _ => ("images", Made::items(&made)),
                };
                if made.is_empty() {
                    self.form(verb, "there are no pictures to put on a sheet", "make or take in some before");
                }
                with.insert(0, entry(gathered.0, verb, text(braces(&gathered.1), verb)));
            }
            "human.approve" => {
                if !clause.with.iter().any(|(name, _)| *name == "title") {
                    with.push(entry("title", verb, text("Go on?", verb)));
                }
                if let Some(made) = self.open.last() {
                    with.push(entry("show", verb, text(braces(&made.file()), verb)));
                }
            }
            "notify.webhook" => match &clause.path {
                Some(path) => with.insert(0, entry("url", path.span, path.clone())),
                None => self.form(verb, "whom to notify is missing", format!("such as `{}`", clause.verb.example)),
            },
            _ => {}
        }
        let id = self.id(&op.last_word().replace('-', "_"));
        let many = !clause_axes.is_empty();
        let matrix = many.then(|| entry("matrix", verb, matrix(&clause_axes, verb)));
        for axis in &clause_axes {
            with.push(entry(axis.param, axis.span, text(braces(&format!("matrix.{}", key(axis))), axis.span)));
        }
        let mut made = step(Some(&id), clause, with);
        if let (NodeKind::Map(entries), Some(matrix)) = (&mut made.kind, matrix) {
            entries.insert(1, matrix);
        }
        self.steps.push(made);
        if let (true, Some((pace, span))) = (many, clause.pace) {
            self.set_pace(self.steps.len() - 1, pace, span);
        }
        let kind = match op.name {
            "image.generate" | "image.contact-sheet" => "image",
            "audio.speech" => "audio",
            _ => return,
        };
        self.open.push(Made { path: format!("steps.{id}"), kind, many, flows: !many, format: None });
    }

    /// How many pictures are made: as many as there are combinations, or one for each of as many seeds.
    pub(super) fn counted(&mut self, clause: &Clause, axes: &mut Vec<Axis>, with: &mut Vec<Entry>) {
        let Some((count, span)) = clause.count else { return };
        if count == 0 || count > COUNT_MAX {
            let message = format!("{count} pictures can't be made by one sentence");
            self.count(span, message, format!("from 1 to {COUNT_MAX}"));
            return;
        }
        if !axes.is_empty() {
            let product = axes.iter().fold(1_u64, |product, axis| product.saturating_mul(axis.values.len() as u64));
            if product != count {
                let lists = axes.iter().map(|axis| format!("{} of `{}`", axis.values.len(), axis.param));
                let lists = lists.collect::<Vec<_>>().join(" × ");
                let message = format!("{count} are asked for, and {lists} makes {product}");
                self.count(span, message, format!("write {product}, or make the lists longer or shorter"));
            }
            return;
        }
        if count == 1 {
            return;
        }
        // Equal seeds would make equal pictures.
        let seed = with.iter().position(|entry| entry.key.text == "seed").map(|at| with.remove(at).value);
        let first = match seed.map(|node| node.kind) {
            Some(NodeKind::Number(number)) => number.as_u64().unwrap_or(1),
            _ => 1,
        };
        let values = (0..count).map(|more| node(&(first + more).into(), span)).collect();
        axes.push(Axis { param: "seed", span, values });
    }

    /// `3 supporting images` after `a hero image of a spring collection` are of a spring collection too.
    pub(super) fn of_subject(&mut self, with: &mut [Entry]) {
        let Some(prompt) = with.iter_mut().find(|entry| entry.key.text == "prompt") else { return };
        let NodeKind::Text(words) = &mut prompt.value.kind else { return };
        if let Some((_, subject)) = words.split_once(" of ") {
            self.subject = Some(subject.to_owned());
        } else if let (Some(last), Some(subject)) = (words.rsplit(' ').next(), &self.subject)
            && PICTURES.contains(&last.to_lowercase().as_str())
        {
            let more = format!(" of {subject}");
            words.push_str(&more);
        }
    }
}
