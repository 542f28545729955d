//! `${{ }}` expressions.

use crate::eval::Program;
use crate::plan::NodeIndex;
use serde_json::{Map, Value};

/// One expression, checked: it parses, and its names exist.
#[derive(Debug, Clone)]
pub struct Expr {
    /// The text between the braces.
    pub source: String,
    /// What it reads. Evaluating asks the scope for these and for nothing else.
    pub references: Vec<Reference>,
    /// Its compiled form.
    pub program: Program,
}

/// A value with expressions in it, as written under `with:`, `matrix:`, `save:` or `outputs:`.
#[derive(Debug, Clone)]
pub enum Template {
    /// No expression in it.
    Literal(Value),
    /// Exactly one expression: it keeps its type.
    Expr(Expr),
    /// Text with expressions in it.
    Text(Vec<Part>),
    /// A list.
    List(Vec<Template>),
    /// An object, its keys in order.
    Map(Vec<(String, Template)>),
}

/// A part of a text with expressions in it.
#[derive(Debug, Clone)]
pub enum Part {
    /// Text as it is.
    Text(String),
    /// An expression whose value is put in.
    Expr(Expr),
}

/// Something that an expression reads.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reference {
    /// `inputs.NAME`
    Input(String),
    /// `steps.ID.NAME`: an output of the step, or one of `status`, `error`, and for a fan-out `results`, `ok`, `images`,
    /// `videos`, `audios`, `total`, `completed`, `skipped`, `failed`.
    Step {
        /// The step.
        node: NodeIndex,
        /// Its id as written.
        id: String,
        /// The name after it.
        name: String,
    },
    /// `item`
    Item,
    /// `index`
    Index,
    /// `number`
    Number,
    /// `matrix`
    Matrix,
    /// `run.NAME`: `id`, `workflow` or `started_at`.
    Run(String),
    /// `data`: that of the event that a condition is asked about.
    Data,
    /// `error`: what the step failed of, in its `on-error` branch.
    Error,
    /// `previous`: the outputs of the iteration before, in the body of a `repeat`.
    Previous,
}

/// Where the values of an expression come from.
pub trait Scope {
    /// The value of `reference`; JSON null is `none`.
    fn value(&self, reference: &Reference) -> Value;

    /// The link to an artifact, for its `.url`.
    fn url(&self, artifact: &darkroom_proto::Artifact) -> String;
}

/// Why an expression has no usable value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExprError {
    /// It can't be read; `compile` finds this before the run.
    #[error("the expression `{source_text}` can't be read: {detail}")]
    Syntax {
        /// The expression.
        source_text: String,
        /// What is wrong with it.
        detail: String,
    },
    /// Working it out failed.
    #[error("`{source_text}` can't be worked out: {detail}")]
    Failed {
        /// The expression.
        source_text: String,
        /// What went wrong.
        detail: String,
    },
    /// It took too many steps or made too large a value.
    #[error("`{source_text}` is too much work: {detail}")]
    TooMuch {
        /// The expression.
        source_text: String,
        /// Which limit it went over.
        detail: String,
    },
    /// It stands inside text and is `none`.
    #[error("`{source_text}` is none and can't be put into text")]
    NoneInText {
        /// The expression.
        source_text: String,
    },
    /// It stands inside text and is an artifact, a list or an object.
    #[error("`{source_text}` is {what} and can't be put into text")]
    NotText {
        /// The expression.
        source_text: String,
        /// What it is.
        what: &'static str,
    },
}

impl ExprError {
    /// What to do about it, as a sentence.
    pub fn advice(&self) -> String {
        match self {
            ExprError::Syntax { .. } => "Correct the expression; `darkroom validate` shows where.".to_owned(),
            ExprError::Failed { .. } => {
                "Check the values that it reads: one of them is missing or of another type.".to_owned()
            }
            ExprError::TooMuch { .. } => "Make the lists that it works on shorter, or split the work.".to_owned(),
            ExprError::NoneInText { source_text } => {
                format!("Give a value for this case: `${{{{ {source_text} or 'something' }}}}`.")
            }
            ExprError::NotText { source_text, what } => match *what {
                "an artifact" => format!("Write `{source_text}.name` for its name or `{source_text}.url` for a link."),
                "a list" => format!("Write `{source_text} | join(', ')`."),
                _ => "Name the field that is meant.".to_owned(),
            },
        }
    }
}

/// The most bytes that a text with expressions in it may come to.
pub const TEXT_MAX: usize = 1024 * 1024;

impl Template {
    /// The value, with everything in it worked out.
    pub fn resolve(&self, scope: &dyn Scope) -> Result<Value, ExprError> {
        Ok(match self {
            Template::Literal(value) => value.clone(),
            Template::Expr(expr) => evaluate(expr, scope)?,
            Template::Text(parts) => Value::String(resolve_text(parts, scope)?),
            Template::List(items) => {
                Value::Array(items.iter().map(|item| item.resolve(scope)).collect::<Result<Vec<_>, _>>()?)
            }
            Template::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(key, value)| Ok((key.clone(), value.resolve(scope)?)))
                    .collect::<Result<Map<_, _>, _>>()?,
            ),
        })
    }

    /// Everything that its expressions read, each once.
    pub fn references(&self) -> Vec<&Reference> {
        let mut found = Vec::new();
        self.visit(&mut |expr| found.extend(&expr.references));
        found.sort();
        found.dedup();
        found
    }

    /// Calls `visit` with every expression in it.
    pub fn visit<'a>(&'a self, visit: &mut dyn FnMut(&'a Expr)) {
        match self {
            Template::Literal(_) => {}
            Template::Expr(expr) => visit(expr),
            Template::Text(parts) => parts.iter().for_each(|part| {
                if let Part::Expr(expr) = part {
                    visit(expr);
                }
            }),
            Template::List(items) => items.iter().for_each(|item| item.visit(visit)),
            Template::Map(entries) => entries.iter().for_each(|(_, value)| value.visit(visit)),
        }
    }
}

fn resolve_text(parts: &[Part], scope: &dyn Scope) -> Result<String, ExprError> {
    let mut text = String::new();
    for part in parts {
        let expr = match part {
            Part::Text(plain) => {
                text.push_str(plain);
                continue;
            }
            Part::Expr(expr) => expr,
        };
        let source_text = || expr.source.clone();
        match evaluate(expr, scope)? {
            Value::String(value) => text.push_str(&value),
            Value::Bool(value) => text.push_str(if value { "true" } else { "false" }),
            Value::Number(value) => text.push_str(&value.to_string()),
            Value::Null => return Err(ExprError::NoneInText { source_text: source_text() }),
            Value::Array(_) => return Err(ExprError::NotText { source_text: source_text(), what: "a list" }),
            value if darkroom_proto::Artifact::from_value(&value).is_some() => {
                return Err(ExprError::NotText { source_text: source_text(), what: "an artifact" });
            }
            Value::Object(_) => return Err(ExprError::NotText { source_text: source_text(), what: "an object" }),
        }
        if text.len() > TEXT_MAX {
            let detail = format!("the text is longer than {TEXT_MAX} bytes");
            return Err(ExprError::TooMuch { source_text: source_text(), detail });
        }
    }
    Ok(text)
}

/// The value of an expression. `none` and undefined are JSON null; artifacts come out as they were stored, without the
/// fields that they have in expressions only.
pub fn evaluate(expr: &Expr, scope: &dyn Scope) -> Result<Value, ExprError> {
    expr.program.run(expr, scope)
}

/// Whether an expression holds, by the rules of Jinja: `none`, `false`, 0, and empty text, lists and objects do not.
pub fn holds(expr: &Expr, scope: &dyn Scope) -> Result<bool, ExprError> {
    Ok(match evaluate(expr, scope)? {
        Value::Null => false,
        Value::Bool(value) => value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    })
}
