//! Which step waits for which: list order, `needs`, and no circles.

use super::scope::View;
use super::{Compiler, Role};
use crate::code;
use crate::diagnostic::Diagnostic;
use crate::expr::Template;
use crate::node::{Node, NodeKind};
use crate::source::Span;
use crate::suggest;
use crate::types::Type;
use std::collections::{BTreeSet, HashMap, HashSet};

/// A set of steps of one list, by their places; one bit each, because a list may have thousands of steps.
#[derive(Debug, Default)]
pub(super) struct Ancestors(Vec<u64>);

impl Ancestors {
    fn insert(&mut self, place: usize) {
        if self.0.len() <= place / 64 {
            self.0.resize(place / 64 + 1, 0);
        }
        self.0[place / 64] |= 1 << (place % 64);
    }

    fn extend(&mut self, other: &Ancestors) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        self.0.iter_mut().zip(&other.0).for_each(|(mine, others)| *mine |= others);
    }

    pub(super) fn contains(&self, place: usize) -> bool {
        self.0.get(place / 64).is_some_and(|bits| bits & (1 << (place % 64)) != 0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> Compiler<'a, '_> {
    /// The edges that follow from the order of the lists and from `needs`.
    pub(super) fn order(&mut self) {
        for list in 0..self.lists.len() {
            // Earlier steps that no earlier step waits for: waiting for these is waiting for all of them. Members of one
            // `parallel:` group wait for what the group waits for.
            let mut open: BTreeSet<usize> = BTreeSet::new();
            let groups = self.groups(list);
            let mut before_group: Option<(usize, BTreeSet<usize>)> = None;
            for at in self.lists[list].steps.clone() {
                let group = groups.get(&at).copied();
                match (&before_group, group) {
                    (Some((current, _)), Some(group)) if *current == group => {}
                    (_, Some(group)) => before_group = Some((group, open.clone())),
                    (_, None) => before_group = None,
                }
                let waits = match self.steps[at].needs {
                    Some(names) => names.iter().filter_map(|name| self.need(at, name)).collect(),
                    None => before_group.as_ref().map_or_else(|| open.clone(), |(_, before)| before.clone()),
                };
                open.retain(|earlier| !waits.contains(earlier));
                open.insert(at);
                self.steps[at].after = waits;
            }
        }
    }

    /// The outermost `parallel:` group of each step of a list that is in one.
    fn groups(&self, list: usize) -> HashMap<usize, usize> {
        fn walk(
            elements: &[crate::definition::Element<'_>],
            group: Option<usize>,
            next: &mut usize,
            out: &mut Vec<Option<usize>>,
        ) {
            for element in elements {
                match element {
                    crate::definition::Element::Step(_) => out.push(group),
                    crate::definition::Element::Parallel(inner) => {
                        *next += 1;
                        let group = group.or(Some(*next));
                        walk(&inner.members, group, next, out);
                    }
                }
            }
        }
        let mut groups = Vec::new();
        walk(self.lists[list].elements, None, &mut 0, &mut groups);
        self.lists[list].steps.iter().zip(groups).filter_map(|(at, group)| Some((*at, group?))).collect()
    }

    /// The step that `needs` names, if it is an earlier one.
    fn need(&mut self, at: usize, name: &crate::node::Name) -> Option<usize> {
        let list = &self.lists[self.steps[at].list];
        let Some(&target) = list.ids.get(&name.text) else {
            let ids = list.steps.iter().filter(|other| **other != at).map(|other| self.steps[*other].id.as_str());
            let help = match self.steps.iter().any(|step| step.id == name.text) {
                true => "`needs` names steps of the same list".to_owned(),
                false => suggest::advice(&name.text, ids, "there is no other step in this list"),
            };
            let error = Diagnostic::error(
                code::UNKNOWN_STEP,
                name.span,
                format!("there is no step `{}` in this list", name.text),
            );
            self.found.push(error.help(help));
            return None;
        };
        if target == at {
            let error =
                Diagnostic::error(code::CYCLE, name.span, format!("`{}` needs itself", name.text)).help("remove it");
            self.found.push(error);
            return None;
        }
        if self.steps[target].place > self.steps[at].place {
            self.forward.push((at, target, name.span));
            return None;
        }
        Some(target)
    }

    /// Reports references to later steps: as a circle where the later one needs the earlier one in turn.
    pub(super) fn report_forward(&mut self) {
        let mut explicit: HashMap<usize, Vec<usize>> = HashMap::new();
        for (from, to, _) in &self.forward {
            explicit.entry(*from).or_default().push(*to);
        }
        for (at, step) in self.steps.iter().enumerate() {
            let named = step.needs.is_some().then_some(&step.after);
            explicit.entry(at).or_default().extend(step.uses.iter().chain(named.into_iter().flatten()));
        }
        let mut told: HashSet<usize> = HashSet::new();
        let mut forward = self.forward.clone();
        forward.sort_by_key(|(.., span)| span.start);
        for (from, to, span) in forward {
            let (one, other) = (self.steps[from].id.clone(), self.steps[to].id.clone());
            let Some(way) = way(&explicit, to, from) else {
                let error =
                    Diagnostic::error(code::FORWARD, span, format!("`{one}` uses `{other}`, which comes after it"))
                        .label(format!("`{other}` is on line {}", self.line(self.steps[to].def.span)))
                        .help(format!("move `{other}` up, before `{one}`"));
                self.found.push(error);
                continue;
            };
            if way.iter().any(|at| told.contains(at)) {
                continue;
            }
            told.extend(&way);
            let ids: Vec<String> =
                std::iter::once(&from).chain(&way).map(|at| format!("`{}`", self.steps[*at].id)).collect();
            let error = Diagnostic::error(code::CYCLE, span, format!("`{one}` and `{other}` wait for each other"))
                .label(format!("the circle is {}", ids.join(" → ")))
                .help("remove one of these references, or move what both need into a step of its own");
            self.found.push(error);
        }
    }

    /// All steps that end before `at` starts.
    pub(super) fn close_ancestors(&mut self, at: usize) {
        let mut ancestors = Ancestors::default();
        for earlier in &self.steps[at].after {
            ancestors.insert(self.steps[*earlier].place);
            ancestors.extend(&self.steps[*earlier].ancestors);
        }
        self.steps[at].ancestors = ancestors;
    }

    /// The conditions of a step and of the groups around it.
    pub(super) fn conditions(&mut self, at: usize) {
        for node in self.steps[at].conditions.clone() {
            let view = View { condition: true, ..View::of(Some(at), self.items_of(at)) };
            if let Some((expr, _)) = self.bare(node, &view) {
                self.steps[at].holds.push(expr);
            }
        }
    }

    /// What a fan-out goes over.
    pub(super) fn fan_out(&mut self, at: usize) {
        let def = self.steps[at].def;
        let view = View::of(Some(at), self.items_of(at));
        if let Some(node) = def.for_each {
            let (template, ty) = match &node.kind {
                NodeKind::List(items) => {
                    if items.is_empty() {
                        self.found.push(
                            Diagnostic::warning(
                                code::NO_STEPS,
                                node.span,
                                "`for-each` lists nothing, so nothing is done",
                            )
                            .help("list the items, or write an expression that makes a list"),
                        );
                    }
                    self.template(node, &view).unzip()
                }
                _ => {
                    let found = self.bare(node, &view);
                    found.map(|(expr, ty)| (Template::Expr(expr), ty)).unzip()
                }
            };
            let ty = ty.unwrap_or(Type::Any);
            self.check_list(node, &ty);
            self.steps[at].for_each = template;
            self.steps[at].item = if def.batch.is_some() { Type::list(ty.item()) } else { ty.item() };
        }
        for (key, node) in def.matrix.iter().flatten() {
            let found = self.template(node, &view);
            let ty = found.as_ref().map_or(Type::Any, |(_, ty)| ty.clone());
            let literals: Vec<&Node> = match &node.kind {
                NodeKind::List(items) => {
                    items.iter().filter(|item| !item.as_text().is_some_and(|text| text.contains("${{"))).collect()
                }
                _ => Vec::new(),
            };
            self.check_axis(&key.text, node, &ty);
            self.steps[at].axes.push((key.text.clone(), ty.item(), literals));
            if let Some((template, _)) = found {
                self.steps[at].matrix.push((key.text.clone(), template));
            }
        }
        if self.steps[at].role == Role::FanOut && def.body.as_ref().is_some_and(Vec::is_empty) {
            self.steps[at].broken = true;
        }
    }

    fn check_list(&mut self, node: &Node, ty: &Type) {
        let help = match ty {
            Type::Artifact(_) => "write a list: `[steps.hero.image]`",
            Type::Null
            | Type::Text
            | Type::Word(_)
            | Type::Integer
            | Type::Number
            | Type::Boolean
            | Type::Box
            | Type::Object { .. } => {
                "write a list, or an expression that makes one, such as `inputs.images` or `range(3)`"
            }
            Type::Any | Type::List(_) => return,
        };
        let message = format!("`for-each` goes over a list, and this is {}", ty.describe());
        self.found.push(Diagnostic::error(code::WRONG_TYPE, node.span, message).help(help));
    }

    fn check_axis(&mut self, key: &str, node: &Node, ty: &Type) {
        let span: Span = node.span;
        let message = match ty {
            Type::Any => return,
            Type::List(_) if !matches!(&node.kind, NodeKind::List(items) if items.is_empty()) => return,
            Type::List(_) => format!("`{key}` has no values, so there are no combinations"),
            _ => format!("`{key}` needs a list of values, and this is {}", ty.describe()),
        };
        let help = match node.as_text().and_then(|text| self.bare_path(text)) {
            Some(path) => format!("write `${{{{ {path} }}}}`"),
            None => match &node.kind {
                NodeKind::Text(_) | NodeKind::Number(_) | NodeKind::Bool(_) => {
                    format!("write `{key}: [{}]`", self.source.slice(node.span))
                }
                _ => format!("write `{key}: [a, b]`"),
            },
        };
        self.found.push(Diagnostic::error(code::WRONG_TYPE, span, message).help(help));
    }
}

/// The steps on the way from `from` to `to`, both included, if there is one.
fn way(edges: &HashMap<usize, Vec<usize>>, from: usize, to: usize) -> Option<Vec<usize>> {
    let mut came: HashMap<usize, usize> = HashMap::from([(from, from)]);
    let mut open = vec![from];
    while let Some(at) = open.pop() {
        if at == to {
            let mut way = vec![to];
            let mut at = to;
            while at != from {
                at = *came.get(&at)?;
                way.push(at);
            }
            way.reverse();
            return Some(way);
        }
        for next in edges.get(&at).into_iter().flatten() {
            if !came.contains_key(next) {
                came.insert(*next, at);
                open.push(*next);
            }
        }
    }
    None
}
