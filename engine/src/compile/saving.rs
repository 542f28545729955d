//! Where files are saved: paths stay inside, extensions fit, and no two files get one path.

use super::scope::View;
use super::{Compiler, Role};
use crate::code;
use crate::diagnostic::Diagnostic;
use crate::expr::{Part, Reference, Template};
use crate::node::{Node, NodeKind};
use crate::types::Type;
use darkroom_proto::Kind;
use serde_json::Value;

/// The extensions of pictures that can be written.
const PICTURES: &[&str] = &["png", "jpg", "jpeg", "webp"];
/// The extensions of films and of sounds, as far as somebody may take one for another.
const FILMS: &[&str] = &["mp4", "m4v", "mov", "webm", "mkv", "avi"];
const SOUNDS: &[&str] = &["mp3", "wav", "m4a", "aac", "ogg", "opus", "flac"];
/// Extensions of pictures that can't.
const OTHER_PICTURES: &[&str] = &["gif", "avif", "bmp", "tif", "tiff", "heic", "jxl", "svg", "psd", "ico"];

impl<'a> Compiler<'a, '_> {
    /// Checks where a step saves: `save:`, or the `path` of the op `save`.
    pub(super) fn saves(&mut self, at: usize) {
        let step = &self.steps[at];
        let op = step.op;
        let place = step.def.save.map(|node| node.span).or_else(|| {
            step.def.uses.as_ref().filter(|_| op.is_some_and(|op| op.name == "save")).map(|name| name.span)
        });
        // Of a contender that is one call, the reader said it already.
        let is_told = step.role == Role::Inner && step.def.save.is_some();
        if let (Some(span), Some(race), false) = (place, self.race_around(at), is_told) {
            let id = &self.steps[race].id;
            let help = format!("save after the race: `- uses: save` with `file: ${{{{ steps.{id}.image }}}}`");
            let message = format!("a contender of `{id}` can't save: who wins is known only afterwards");
            self.found.push(Diagnostic::error(code::CONFLICT, span, message).help(help));
            return;
        }
        if let Some(node) = step.def.save {
            let template = self.path(at, node, self.items_of(at));
            match op {
                Some(op) if op.name == "save" => {
                    let help = "remove `save:`, or use it on the step before instead of this one";
                    self.found.push(
                        Diagnostic::error(code::CONFLICT, node.span, "a `save` step says where in `with: path`")
                            .help(help),
                    );
                }
                Some(op) if !op.gives_file() => {
                    let (message, help) = match self.steps[at].def.task() {
                        Some(task) => (
                            format!("which of the outputs of `task.{task}` is to be saved is not known"),
                            format!("add a step `uses: save` with `file: ${{{{ steps.{}.NAME }}}}`", self.steps[at].id),
                        ),
                        None => (
                            format!("`{}` makes no file that could be saved", op.name),
                            "use `save:` on a step that makes a picture, video or sound".to_owned(),
                        ),
                    };
                    self.found.push(Diagnostic::error(code::NO_ARTIFACT, node.span, message).help(help));
                }
                _ => {}
            }
            if let Some(template) = template {
                self.saved(at, node, &template);
                self.steps[at].save = Some(template);
            }
        }
        if op.is_some_and(|op| op.name == "save")
            && let Some((node, Some(template))) =
                self.steps[at].given.get("path").map(|given| (given.node, given.template.clone()))
        {
            self.saved(at, node, &template);
        }
    }

    /// A path to look at before an instance.
    pub(super) fn skip_path(&mut self, at: usize, node: &'a Node) -> Option<Template> {
        let items = if self.steps[at].role == Role::FanOut { Some(at) } else { self.items_of(at) };
        let template = self.path(at, node, items)?;
        self.stays_inside(node, &template);
        Some(template)
    }

    fn path(&mut self, at: usize, node: &'a Node, items: Option<usize>) -> Option<Template> {
        let view = View::of(Some(at), items);
        if let NodeKind::Text(_) = node.kind {
            let (template, ty) = self.template(node, &view)?;
            if !matches!(ty, Type::Text | Type::Word(_) | Type::Any) {
                let message = format!("a path is text, and this is {}", ty.describe());
                let help = match (&ty, node.as_text()) {
                    (Type::Artifact(_), Some(text)) => format!("write `{}`", text.replace(" }}", ".name }}")),
                    _ => "write a path, such as `./output/final.png`".to_owned(),
                };
                self.found.push(Diagnostic::error(code::WRONG_TYPE, node.span, message).help(help));
                return None;
            }
            return Some(template);
        }
        let message = format!("a path is text, and this is {}", node.describe());
        let help = "write a path, such as `./output/final.png`";
        self.found.push(Diagnostic::error(code::WRONG_SHAPE, node.span, message).help(help));
        None
    }

    fn saved(&mut self, at: usize, node: &Node, template: &Template) {
        if self.stays_inside(node, template) {
            self.extension(at, node, template);
            self.unique(at, node, template);
        }
    }

    fn stays_inside(&mut self, node: &Node, template: &Template) -> bool {
        let outline = outline(template);
        let drive = outline.as_bytes().get(1) == Some(&b':') && outline.starts_with(|c: char| c.is_ascii_alphabetic());
        let message = if outline.trim().is_empty() {
            "the path is empty"
        } else if outline.starts_with(['/', '\\', '~']) || drive {
            "the path is absolute"
        } else if outline.split(['/', '\\']).any(|part| part == "..") {
            "the path leaves the output folder"
        } else if outline.contains('\\') {
            "the path has a backslash in it"
        } else if outline.contains('\0') {
            "the path has a zero byte in it"
        } else {
            return true;
        };
        let help = match outline.strip_prefix("store://") {
            Some(_) => "files of the fleet are saved under a relative path and read back with `store://NAME`",
            None => "write a path below `--out`, such as `./output/final.png`; whoever runs it chooses the folder",
        };
        self.found.push(Diagnostic::error(code::PATH_LEAVES, node.span, message).help(help));
        false
    }

    fn extension(&mut self, at: usize, node: &Node, template: &Template) {
        let Some(tail) = tail(template).filter(|tail| !tail.ends_with('/')) else { return };
        let name = tail.rsplit('/').next().unwrap_or_default();
        let step = &self.steps[at];
        let Some(op) = step.op.filter(|_| !step.broken) else { return };
        let kind = match Type::of_output(
            op.output(op.primary).map_or(darkroom_proto::op::OutputType::Any, |o| o.ty),
            self.file_kind(at),
        ) {
            Type::Artifact(kind) => kind,
            _ => return,
        };
        let error = |message: String| Diagnostic::error(code::EXTENSION, node.span, message);
        let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
        let is_picture = |extension: &str| PICTURES.contains(&extension) || OTHER_PICTURES.contains(&extension);
        match (kind, extension.as_deref()) {
            (Some(Kind::Image), _) => {}
            (Some(Kind::Video), Some(extension)) if is_picture(extension) || SOUNDS.contains(&extension) => {
                self.found.push(error(format!("`.{extension}` is no format of films")).help("use `.mp4`"));
                return;
            }
            (Some(Kind::Audio), Some(extension)) if is_picture(extension) || FILMS.contains(&extension) => {
                self.found.push(error(format!("`.{extension}` is no format of sound")).help("use `.mp3` or `.wav`"));
                return;
            }
            (Some(Kind::Audio), Some(extension)) => {
                if let Some(format) = self.explicit_format(at).filter(|format| format != extension) {
                    let help = format!("write `.{format}` in the path, or `format: {extension}` in the step");
                    let message = format!("`.{extension}` contradicts the format `{format}`");
                    self.found.push(error(message).help(help));
                }
                return;
            }
            _ => return,
        }
        let Some(extension) = extension else {
            let help = format!(
                "write `{tail}.png`, `.jpg` or `.webp`; or end the path with `/` to keep the picture's own name"
            );
            self.found.push(error("the path of a picture needs an extension: it decides the format".into()).help(help));
            return;
        };
        let explicit = self.explicit_format(at);
        if !PICTURES.contains(&extension.as_str()) {
            let what = if OTHER_PICTURES.contains(&extension.as_str()) {
                "can't be written"
            } else {
                "is no format of pictures"
            };
            let help = "use `.png`, `.jpg` or `.webp`";
            self.found.push(error(format!("`.{extension}` {what}")).help(help));
        } else if let Some(format) = explicit {
            let fits =
                if format == "jpeg" { matches!(extension.as_str(), "jpg" | "jpeg") } else { format == extension };
            if !fits {
                let wanted = if format == "jpeg" { "jpg" } else { &format };
                let help = format!(
                    "write `.{wanted}` in the path, or `format: {}` in the step",
                    if extension == "jpg" { "jpeg" } else { &extension }
                );
                self.found.push(error(format!("`.{extension}` contradicts the format `{format}`")).help(help));
            }
        }
    }

    /// The format that `image.encode` or `audio.speech` was told or has by itself, in this step or in the one whose file a
    /// `save` step takes.
    fn explicit_format(&self, at: usize) -> Option<String> {
        let step = &self.steps[at];
        match step.op?.name {
            "image.encode" => match step.given.get("format")?.template.as_ref()? {
                Template::Literal(Value::String(format)) => Some(format.clone()),
                _ => None,
            },
            "audio.speech" => match step.given.get("format") {
                None => step.op?.param("format")?.default.trim_matches('"').to_owned().into(),
                Some(given) => match given.template.as_ref()? {
                    Template::Literal(Value::String(format)) => Some(format.clone()),
                    _ => None,
                },
            },
            "save" => match step.wires.get("file")? {
                crate::plan::Wire::Step { node, .. } => self.explicit_format(node.0 as usize),
                _ => None,
            },
            _ => None,
        }
    }

    fn unique(&mut self, at: usize, node: &Node, template: &Template) {
        if tail(template).is_some_and(|tail| tail.ends_with('/')) {
            return;
        }
        if let Some(owner) = self.items_of(at)
            && !self.varies(at, template)
        {
            let owner = &self.steps[owner];
            let part = match (&owner.def.for_each, &owner.def.matrix) {
                (Some(_), _) => match owner.item {
                    Type::Artifact(_) => "${{ item.stem }}".to_owned(),
                    _ => "${{ number }}".to_owned(),
                },
                (None, _) => owner
                    .axes
                    .first()
                    .map_or("${{ number }}".to_owned(), |(key, ..)| format!("${{{{ matrix.{key} }}}}")),
            };
            let error = Diagnostic::error(
                code::SAME_PATH,
                node.span,
                format!("every instance of `{}` would save to this one path", owner.id),
            )
            .help(format!("put what differs into it, such as `{part}`"));
            self.found.push(error);
            return;
        }
        // The same text in one body means the same path; in different bodies the items may differ.
        let scope = match template {
            Template::Literal(_) => String::new(),
            _ => format!("{}:", self.steps[at].list),
        };
        let key = format!("{scope}{}", normal(&written(template)));
        if let Some(first) = self.saved.get(&key).copied().filter(|first| *first != node.span) {
            let line = self.line(first);
            let error = Diagnostic::error(code::SAME_PATH, node.span, "two steps save to this path")
                .label(format!("the first is on line {line}"))
                .help("give one of them another path");
            self.found.push(error);
        } else {
            self.saved.insert(key, node.span);
        }
    }

    /// Whether a path depends on the instance that it is in.
    fn varies(&self, at: usize, template: &Template) -> bool {
        let list = self.steps[at].list;
        template.references().iter().any(|reference| match reference {
            Reference::Item | Reference::Index | Reference::Number | Reference::Matrix => true,
            Reference::Step { node, .. } => self.steps.get(node.0 as usize).is_some_and(|step| step.list == list),
            _ => false,
        })
    }
}

/// The text of a template with a letter for each expression.
fn outline(template: &Template) -> String {
    match template {
        Template::Literal(Value::String(text)) => text.clone(),
        Template::Text(parts) => parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.as_str(),
                Part::Expr(_) => "x",
            })
            .collect(),
        _ => "x".to_owned(),
    }
}

/// What a path ends with, as far as it is written out.
fn tail(template: &Template) -> Option<&str> {
    match template {
        Template::Literal(Value::String(text)) => Some(text),
        Template::Text(parts) => match parts.last() {
            Some(Part::Text(text)) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// A template as it was written.
fn written(template: &Template) -> String {
    match template {
        Template::Literal(Value::String(text)) => text.clone(),
        Template::Expr(expr) => format!("${{{{{}}}}}", expr.source),
        Template::Text(parts) => parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.clone(),
                Part::Expr(expr) => format!("${{{{{}}}}}", expr.source),
            })
            .collect(),
        _ => String::new(),
    }
}

/// A path without `.` and empty parts. Case is folded: on many disks it makes no difference.
fn normal(path: &str) -> String {
    path.split('/').filter(|part| !part.is_empty() && *part != ".").collect::<Vec<_>>().join("/").to_lowercase()
}
