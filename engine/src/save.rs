//! Paths that outputs are saved to.

use crate::expr::{Reference, Template, holds};
use crate::fanout::Expansion;
use crate::plan::{Call, FanOut, Node, NodeIndex, Plan, Source, Work};
use crate::run::{Frame, Place, Run};
use crate::scope::RunScope;
use darkroom_proto::{ErrorClass, StepError, StepPath};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The longest save path, in bytes.
const PATH_BYTES_MAX: usize = 1_024;

/// A save path with its `.` and empty parts taken out, relative and inside the output folder. A `/` at its end stays.
pub fn clean_save_path(text: &str) -> Result<String, StepError> {
    let error = |why: &str| {
        Err(StepError::new(ErrorClass::InvalidInput, format!("can't save to `{text}`: {why}"))
            .code("save_path")
            .advice("write a path below the output folder, such as ./output/final.png; --out chooses the folder"))
    };
    if text.starts_with('/') || text.contains(['\\', '\0']) || text.chars().any(char::is_control) {
        return error("only relative paths with `/` are allowed");
    }
    if text.as_bytes().get(1) == Some(&b':') && text.as_bytes()[0].is_ascii_alphabetic() {
        return error("only relative paths are allowed");
    }
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        return error("it leaves the output folder");
    }
    if text.len() > PATH_BYTES_MAX || parts.iter().any(|part| part.len() > 255) {
        return error("it is too long");
    }
    let keeps_name = text.ends_with('/') || text == "." || text.is_empty();
    let path = parts.join("/");
    match (path.is_empty(), keeps_name) {
        (true, _) if text.is_empty() => error("it is empty"),
        (true, _) => Ok("./".to_owned()),
        (false, true) => Ok(format!("{path}/")),
        (false, false) => Ok(path),
    }
}

impl Call {
    /// Whether it saves a file: it has a `save:`, or is a `save`.
    pub fn saves(&self) -> bool {
        self.save_template().is_some()
    }

    /// The path that it saves to, as written.
    pub fn save_template(&self) -> Option<&Template> {
        let path = || self.arguments.iter().find(|argument| self.op.name == "save" && argument.name == "path");
        self.save.as_ref().or_else(|| match &path()?.source {
            Source::Given(template) => Some(template),
            Source::Wired(_) => None,
        })
    }
}

/// The most save paths of one fan-out that are compared before it runs; work past it would hold up other runs.
const COMPARED_MAX: usize = 100_000;

/// Refuses a fan-out of which two instances would save to one path, as far as the paths are known before it runs. The
/// fan-outs in its body count too.
pub(crate) fn check_collisions(
    plan: &Plan,
    run: &mut Run,
    place: &Place,
    fan_path: &StepPath,
    fan: &FanOut,
) -> Result<(), StepError> {
    let mut check = Check { plan, run, outermost: place.node, taken: BTreeMap::new(), inner: Vec::new() };
    let checked = check.instances(place.node, fan, fan_path, &mut place.frames.clone());
    for path in std::mem::take(&mut check.inner) {
        check.run.expansions.remove(&path);
    }
    checked
}

struct Check<'a> {
    plan: &'a Plan,
    run: &'a mut Run,
    /// The fan-out that is to be opened.
    outermost: NodeIndex,
    /// Who saves where.
    taken: BTreeMap<String, StepPath>,
    /// Fan-outs that were expanded for the check alone.
    inner: Vec<StepPath>,
}

impl Check<'_> {
    fn instances(
        &mut self,
        index: NodeIndex,
        fan: &FanOut,
        path: &StepPath,
        frames: &mut Vec<Frame>,
    ) -> Result<(), StepError> {
        let plan = self.plan;
        let saves = |node: &&Node| match &node.work {
            Work::Call(call) => call.save_template().is_some_and(|template| self.is_known_template(template)),
            Work::FanOut(_) => true,
        };
        // What contenders save is not let through by `compile`; iterations come one after the other.
        let nodes: Vec<&Node> = fan.body.nodes.iter().map(|node| plan.node(*node)).filter(saves).collect();
        let total = self.run.expansions.get(path).map_or(0, |expansion| expansion.total());
        if nodes.is_empty() {
            return Ok(());
        }
        for number in 1..=total {
            frames.push(Frame::instance(index, path.clone(), number));
            let checked = nodes.iter().try_for_each(|node| self.step(node, fan.single, frames));
            frames.pop();
            checked?;
            if self.taken.len() >= COMPARED_MAX {
                break;
            }
        }
        Ok(())
    }

    fn step(&mut self, node: &Node, is_instance: bool, frames: &mut Vec<Frame>) -> Result<(), StepError> {
        let Some(instance) = frames.last().map(Frame::path) else { return Ok(()) };
        let scope = RunScope { plan: self.plan, run: self.run, frames };
        for condition in &node.conditions {
            // One that may be skipped is let through.
            let is_known = condition.references.iter().all(|reference| self.is_known(reference));
            if !is_known || !matches!(holds(condition, &scope), Ok(true)) {
                return Ok(());
            }
        }
        let (path, by) = match &node.work {
            Work::FanOut(fan) => {
                let path = instance.child(&node.id);
                let mut templates = fan.for_each.iter().chain(fan.matrix.iter().map(|(_, template)| template));
                if !templates.all(|template| self.is_known_template(template)) {
                    return Ok(());
                }
                let Ok(expansion) = Expansion::of(fan, &scope) else { return Ok(()) };
                self.run.expansions.insert(path.clone(), Arc::new(expansion));
                self.inner.push(path.clone());
                let index = self.plan.nodes.iter().position(|other| std::ptr::eq(other, node)).unwrap_or_default();
                return self.instances(NodeIndex(index as u32), fan, &path, frames);
            }
            // What can't be evaluated fails when the step runs, with its own path.
            Work::Call(call) => match call.save_template().map(|template| scope.text(template)) {
                Some(Ok(text)) => {
                    (clean_save_path(&text), if is_instance { instance } else { instance.child(&node.id) })
                }
                _ => return Ok(()),
            },
        };
        let Some(path) = path.ok().filter(|path| !path.ends_with('/')) else { return Ok(()) };
        match self.taken.insert(path.clone(), by.clone()) {
            Some(other) => {
                Err(StepError::new(ErrorClass::InvalidInput, format!("`{other}` and `{by}` would both save to {path}"))
                    .code("save_collision")
                    .advice("put ${{ number }} or a name that differs into the path"))
            }
            None => Ok(()),
        }
    }

    fn is_known_template(&self, template: &Template) -> bool {
        template.references().into_iter().all(|reference| self.is_known(reference))
    }

    /// Whether a value is known before the fan-out runs: everything but what the steps inside it give.
    fn is_known(&self, reference: &Reference) -> bool {
        let Reference::Step { node, .. } = reference else { return true };
        let mut around = self.plan.node(*node).parent;
        while let Some(fan) = around {
            if fan == self.outermost {
                return false;
            }
            around = self.plan.node(fan).parent;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn save_paths_are_cleaned_and_never_leave_the_folder() {
        let cases = [
            ("./output/final.png", Some("output/final.png")),
            ("output//a/./b.png", Some("output/a/b.png")),
            ("shots/", Some("shots/")),
            ("./", Some("./")),
            ("a/../b.png", None),
            ("../b.png", None),
            ("/etc/passwd", None),
            ("C:/x.png", None),
            ("a\\b.png", None),
            ("a\nb.png", None),
            ("", None),
        ];
        for (text, want) in cases {
            assert_eq!(clean_save_path(text).ok().as_deref(), want, "{text:?}");
        }
    }
}
