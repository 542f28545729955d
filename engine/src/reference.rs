//! The generated pages of the reference: ops, verbs of recipes, and diagnostic codes.

mod verbs;

pub use verbs::recipes;

use crate::code::CODES;
use darkroom_proto::op::{self, OpSpec, OutputType, ParamSpec, ParamType};
use darkroom_proto::{Kind, model};
use std::fmt::Write as _;

/// The page of all ops, in Markdown.
pub fn ops() -> String {
    let mut page = String::from(
        "<!-- generated from the op table; do not edit -->\n\n# Ops\n\n\
         An op is what `uses:` names. A picture, video or sound that is not given flows in from the nearest earlier step. \
         Every step also has the outputs `status` and `error`.\n",
    );
    for op in op::OPS {
        one(&mut page, op);
    }
    page.push_str("\n## Not in this release yet\n\n");
    for name in op::LATER {
        let _ = writeln!(page, "- `{name}`");
    }
    page
}

fn one(page: &mut String, op: &OpSpec) {
    // Writing to a String does not fail.
    let _ = writeln!(page, "\n## {}\n\n{}\n", op.name, op.summary);
    if !op.params.is_empty() {
        page.push_str("| parameter | type | default | |\n|---|---|---|---|\n");
        for param in op.params {
            let default = match (param.required, param.default) {
                (true, _) if flows(param) => "flows in".to_owned(),
                (true, _) => "required".to_owned(),
                (false, _) if flows(param) => "flows in, if there is one".to_owned(),
                (false, "") => String::new(),
                (false, default) => format!("`{}`", default.trim_matches('"')),
            };
            let _ =
                writeln!(page, "| `{}` | {} | {default} | {} |", param.name, cell(&ty(param.ty)), cell(param.summary));
        }
        page.push('\n');
    }
    if !op.outputs.is_empty() {
        page.push_str("| output | type | |\n|---|---|---|\n");
    }
    for output in op.outputs {
        let is_main = output.name == op.primary && op.gives_file();
        let primary = if is_main { " (the main one: it is saved and flows on)" } else { "" };
        let _ =
            writeln!(page, "| `{}` | {} | {}{primary} |", output.name, output_type(output.ty), cell(output.summary));
    }
    let _ = match op.performed_by_engine() {
        true => writeln!(page, "\nIt needs no worker.\n"),
        false => writeln!(page, "\nOne attempt may take {}. It runs in the pool `{}`.\n", op.timeout, op.pool),
    };
    let mut example = String::new();
    for (number, line) in op.example.lines().enumerate() {
        let _ = writeln!(example, "{}{line}", if number == 0 { "- " } else { "  " });
    }
    let _ = writeln!(page, "```yaml\n{example}```");
}

fn flows(param: &ParamSpec) -> bool {
    match param.ty {
        ParamType::Artifact(kind) => param.name == kind.name(),
        ParamType::AnyArtifact => param.name == Kind::File.name(),
        _ => false,
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

fn ty(ty: ParamType) -> String {
    match ty {
        ParamType::Text { max } => format!("text, at most {max} characters"),
        ParamType::Integer { min, max } => format!("whole number, {min} to {max}"),
        ParamType::Number { min, max } => format!("number, {min} to {max}"),
        ParamType::Boolean => "true or false".into(),
        ParamType::Enum(list) => words(list.iter().copied()),
        ParamType::Model(capability) => {
            let of = model::all().iter().filter(|model| model.capability == capability);
            format!("model: {}", words(of.map(|model| model.alias.as_str())))
        }
        ParamType::Color => "colour, `#rrggbb` or `#rrggbbaa`".into(),
        ParamType::Aspect => "proportion, such as `16:9`".into(),
        ParamType::Duration => "duration, such as `20ms`".into(),
        ParamType::Time => "time, such as `2027-01-31T09:00:00Z`".into(),
        ParamType::Condition => "expression that knows `data`".into(),
        ParamType::Schema => "JSON Schema".into(),
        ParamType::Form => "JSON Schema for each field".into(),
        ParamType::SavePath => "path".into(),
        ParamType::Box => "box `{x, y, w, h}`".into(),
        ParamType::Artifact(kind) => kind.name().into(),
        ParamType::AnyArtifact => "any file".into(),
        ParamType::Images => "list of images".into(),
        ParamType::Results => "`.results` of a fan-out".into(),
        ParamType::TextList => "list of texts".into(),
        ParamType::Any => "anything".into(),
    }
}

fn output_type(ty: OutputType) -> &'static str {
    match ty {
        OutputType::Artifact(kind) => kind.name(),
        OutputType::SameArtifact => "the file that came in",
        OutputType::Boxes => "list of boxes",
        OutputType::TextList => "list of texts",
        OutputType::NumberList => "list of numbers",
        OutputType::Text => "text",
        OutputType::Number => "number",
        OutputType::Boolean => "true or false",
        OutputType::Any => "anything",
    }
}

/// The page of all diagnostic codes, in Markdown.
pub fn errors() -> String {
    let mut page = String::from(
        "<!-- generated from the table of codes; do not edit -->\n\n# Codes of `darkroom validate`\n\n\
         `darkroom explain DR014` prints the paragraph of a code.\n",
    );
    for code in CODES {
        let _ = writeln!(page, "\n## {}: {}\n\n{}", code.code, code.title, code.explanation);
    }
    page
}
