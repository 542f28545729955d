//! Races, loops and branches: what they give, and what is seen from inside them.

use super::scope::{Found, GATHERED, Lost, View};
use super::{Compiler, Step};
use crate::code;
use crate::expr::Reference;
use crate::names::Path;
use crate::plan::BranchKind;
use crate::suggest;
use crate::types::Type;
use std::ops::Range;

impl<'a> Compiler<'a, '_> {
    /// The container whose instances a step lies in and that `number` counts: a fan-out or a loop.
    pub(super) fn items_of(&self, at: usize) -> Option<usize> {
        let list = &self.lists[self.steps[at].list];
        let owner = list.owner?;
        match list.branch.is_some() || self.steps[owner].def.race.is_some() {
            true => self.items_of(owner),
            false => Some(owner),
        }
    }

    /// The fan-out that `item` and `matrix` are of, seen from an instance of `inside`.
    pub(super) fn each_around(&self, inside: Option<usize>) -> Option<usize> {
        std::iter::successors(inside, |at| self.items_of(*at)).find(|at| self.steps[*at].def.is_fan_out())
    }

    pub(super) fn no_items(&self, inside: usize, path: &Path) -> Lost {
        let id = &self.steps[inside].id;
        Lost {
            code: code::UNKNOWN_NAME,
            message: format!("`{id}` has no items"),
            label: String::new(),
            help: "a loop has `number`, `index` and `previous`".to_owned(),
            range: path.range.clone(),
        }
    }

    /// The race that a step is, or lies in, a contender of.
    pub(super) fn race_around(&self, at: usize) -> Option<usize> {
        let list = &self.lists[self.steps[at].list];
        let owner = list.owner?;
        let is_contender = list.branch.is_none() && self.steps[owner].def.race.is_some();
        if is_contender { Some(owner) } else { self.race_around(owner) }
    }

    /// The branch of `viewer` in which the step lies that `view` is from.
    pub(super) fn branch_towards(&self, view: &View, viewer: usize) -> Option<BranchKind> {
        let mut at = view.step?;
        while at != viewer {
            let list = &self.lists[self.steps[at].list];
            let owner = list.owner?;
            if owner == viewer {
                return list.branch;
            }
            at = owner;
        }
        None
    }

    /// Whether `error` is known: inside of an `on-error`, `on-timeout` or `on-reject`.
    pub(super) fn catches(&self, view: &View) -> bool {
        let mut at = view.step;
        while let Some(step) = at {
            let list = &self.lists[self.steps[step].list];
            if list.branch.is_some_and(|branch| branch != BranchKind::OnCancel) {
                return true;
            }
            at = list.owner;
        }
        false
    }

    /// `previous`: what the iteration before gave.
    pub(super) fn previous(&self, view: &View, path: &Path) -> Result<Found, Lost> {
        let inside = std::iter::successors(view.items, |at| self.items_of(*at));
        let Some(at) = inside.into_iter().find(|at| self.steps[*at].def.repeat.is_some()) else {
            return Err(Lost {
                code: code::UNKNOWN_NAME,
                message: "there is no `previous` here".to_owned(),
                label: String::new(),
                help: "`previous` exists in the steps of a `repeat` only".to_owned(),
                range: path.range.clone(),
            });
        };
        // Its steps may not all have been looked at: the names are those of the ops, the types may be open.
        let last = self.last_of_body(at).map(|last| self.given_by(last));
        let ty = match last {
            Some(Some(fields)) => Type::Object { fields, open: false },
            _ => Type::Any,
        };
        Ok(Found { reference: Reference::Previous, ty, covered: 0 })
    }

    /// `stop-when` of a fan-out, `until` of a loop.
    pub(super) fn enough(&mut self, at: usize) {
        let def = self.steps[at].def;
        let own = View { condition: true, own: true, ..View::of(Some(at), self.items_of(at)) };
        let (node, view) = match (&def.repeat, def.stop_when) {
            (Some(repeat), _) => (repeat.until, View { items: Some(at), list: self.steps[at].body, ..own }),
            (None, node) => (node, own),
        };
        let Some(node) = node else { return };
        self.steps[at].enough = self.bare(node, &view).map(|(expr, _)| expr);
    }

    /// What a step gives, if that is known.
    fn given_by(&self, at: usize) -> Option<Vec<(String, Type)>> {
        let step = &self.steps[at];
        let gathered = || GATHERED.iter().map(|name| ((*name).to_owned(), Type::Any)).collect();
        match step.op {
            _ if step.broken => None,
            Some(_) if step.def.is_foreign() => self.child_gives(at),
            Some(op) => {
                let incoming = self.file_kind(at);
                let field = |output: &darkroom_proto::op::OutputSpec| {
                    (output.name.to_owned(), Type::of_output(output.ty, incoming))
                };
                Some(op.outputs.iter().map(field).collect())
            }
            None => Some(self.shared_outputs(at).unwrap_or_else(gathered)),
        }
    }

    /// What a race or a loop gives: what all contenders, or the iterations, give at their end; nothing for other steps.
    pub(super) fn shared_outputs(&self, at: usize) -> Option<Vec<(String, Type)>> {
        let step = &self.steps[at];
        let own = |name: &str| (name.to_owned(), Type::Integer);
        if step.def.repeat.is_some() {
            let mut fields = self.last_of_body(at).and_then(|last| self.given_by(last)).unwrap_or_default();
            fields.retain(|(name, _)| name != "count");
            fields.push(own("count"));
            return Some(fields);
        }
        step.def.race.as_ref()?;
        let mut all = self.contenders_give(step).into_iter().flatten();
        let mut fields = all.next().unwrap_or_default();
        for other in all {
            fields.retain_mut(|(name, ty)| match other.iter().find(|(field, _)| field == name) {
                Some((_, other)) => {
                    *ty = std::mem::replace(ty, Type::Any).or(other.clone());
                    true
                }
                None => false,
            });
        }
        fields.push(own("winner"));
        Some(fields)
    }

    /// What each contender gives; nothing for one that is broken.
    fn contenders_give(&self, step: &Step<'_>) -> Vec<Option<Vec<(String, Type)>>> {
        let last = |list: &usize| self.lists[*list].steps.last().copied();
        step.contenders.iter().map(|list| last(list).and_then(|last| self.given_by(last))).collect()
    }

    /// The mistake of using an output of a race that only some of its contenders have.
    pub(super) fn not_shared(&self, at: usize, id: &str, name: &str, range: &Range<usize>) -> Option<Lost> {
        let step = &self.steps[at];
        step.def.race.as_ref()?;
        let given = self.contenders_give(step);
        let has = |fields: &Option<Vec<(String, Type)>>| {
            fields.as_ref().is_none_or(|fields| fields.iter().any(|(field, _)| field == name))
        };
        let without: Vec<String> =
            (1..).zip(&given).filter(|(_, fields)| !has(fields)).map(|(number, _)| format!("{id}[{number}]")).collect();
        if without.len() == given.len() {
            return None;
        }
        let who = suggest::list(without.iter().map(String::as_str));
        Some(Lost {
            code: code::UNKNOWN_OUTPUT,
            message: format!("not every contender of `{id}` gives `{name}`"),
            label: format!("missing in {who}"),
            help: "use what all contenders give, or let their last steps give the same".to_owned(),
            range: range.clone(),
        })
    }

    /// The mistake of naming a step from outside of a branch, race or loop that it is inside of.
    pub(super) fn inside_other(&self, step: &Step<'_>, owner: usize, id: &str, range: &Range<usize>) -> Option<Lost> {
        let name = &self.steps[owner].id;
        let (what, help) = match (self.lists[step.list].branch, &self.steps[owner].def) {
            (Some(branch), _) => (
                format!("`{id}` is a step of `{}` of `{name}`", branch.name()),
                format!("after the branch `steps.{name}` has the outputs of the branch's last step"),
            ),
            (None, def) if def.race.is_some() => (
                format!("`{id}` is a step of a contender of `{name}`"),
                format!("use what the winner gives: `steps.{name}`"),
            ),
            (None, def) if def.repeat.is_some() => (
                format!("`{id}` is a step inside the loop `{name}`"),
                format!("use what the last iteration gives: `steps.{name}`"),
            ),
            _ => return None,
        };
        Some(Lost { code: code::INTO_BODY, message: what, label: String::new(), help, range: range.clone() })
    }
}

/// `error` in a branch.
pub(super) fn caught() -> Found {
    let field = |name: &str| (name.to_owned(), Type::Text);
    let fields = ["class", "code", "message", "advice", "step"].into_iter().map(field).collect();
    Found { reference: Reference::Error, ty: Type::Object { fields, open: false }, covered: 0 }
}
