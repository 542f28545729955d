//! Working an expression out: compiled once, given only the values that it reads.
//!
//! In the compiled text every path to a value is replaced by a word of its own (`_r0`, `_r1`, …), so that names with dashes
//! work, nothing but the listed references can be read, and no tree of values has to be built for each evaluation.

use crate::expr::{Expr, ExprError, Reference, Scope};
use crate::filter;
use crate::names::{Segment, SegmentKind};
use darkroom_proto::Artifact;
use minijinja::value::{Enumerator, Object, ObjectRepr, Value as Jinja, ValueKind};
use minijinja::{Environment, ErrorKind, Expression, UndefinedBehavior};
use serde_json::{Map, Value};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

/// The most steps that one evaluation takes. Filters count once, however long their list is.
const FUEL: u64 = 100_000;
/// The most values that a result may hold; room for the results of the widest fan-outs.
const VALUES_MAX: usize = 1_000_000;
/// The most bytes of text that a result may hold.
const BYTES_MAX: usize = 64 * 1024 * 1024;

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_fuel(Some(FUEL));
    for name in ["debug", "namespace"] {
        environment.remove_global(name);
    }
    for name in ["safe", "escape", "e", "pprint"] {
        environment.remove_filter(name);
    }
    filter::register(&mut environment);
    environment
});

/// The compiled form of an expression. Cheap to clone.
#[derive(Clone)]
pub struct Program(Arc<Code>);

struct Code {
    compiled: Expression<'static, 'static>,
    /// A path and nothing else needs no evaluation: it is followed in the JSON value.
    path: Option<Vec<Step>>,
    /// Whether the text mentions `url`: only then links are made, which may mean signing them.
    links: bool,
}

#[derive(Debug, Clone)]
enum Step {
    Name(String),
    Index(usize),
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Program")
    }
}

impl Program {
    /// Compiles `source`, in which `_r0`, `_r1` … stand for references. `path` is what follows the only reference, when
    /// the expression is nothing but that.
    pub(crate) fn new(source: String, path: Option<&[Segment]>) -> Result<Program, String> {
        let links = source.contains("url");
        let compiled = ENVIRONMENT
            .compile_expression_owned(source)
            .map_err(|error| error.detail().map_or_else(|| error.kind().to_string(), str::to_owned))?;
        let step = |segment: &Segment| match &segment.kind {
            SegmentKind::Name(name) => Some(Step::Name(name.clone())),
            SegmentKind::Index(index) => usize::try_from(*index).ok().map(Step::Index),
            SegmentKind::Dynamic => None,
        };
        let path = path.and_then(|segments| segments.iter().map(step).collect());
        Ok(Program(Arc::new(Code { compiled, path, links })))
    }

    pub(crate) fn run(&self, expr: &Expr, scope: &dyn Scope) -> Result<Value, ExprError> {
        if let (Some(path), [reference]) = (&self.0.path, expr.references.as_slice())
            && let Some(value) = follow(scope.value(reference), path, scope)
        {
            return Ok(value);
        }
        let failed = |detail: String| ExprError::Failed { source_text: expr.source.clone(), detail };
        let printed = Arc::new(AtomicBool::new(false));
        let import = Import { scope, links: self.0.links, printed: &printed };
        let values = expr.references.iter().map(|reference| import.value(scope.value(reference))).collect();
        filter::refill();
        let value = self.0.compiled.eval(Jinja::from_object(Frame(values))).map_err(|error| match error.kind() {
            ErrorKind::OutOfFuel => {
                ExprError::TooMuch { source_text: expr.source.clone(), detail: format!("more than {FUEL} steps") }
            }
            kind => failed(error.detail().map_or_else(|| explain(kind), str::to_owned)),
        })?;
        if printed.load(Ordering::Relaxed) {
            return Err(ExprError::NotText { source_text: expr.source.clone(), what: "an artifact" });
        }
        Export { values: 0, bytes: 0 }.value(&value).map_err(|stop| match stop {
            Stop::TooMuch(detail) => ExprError::TooMuch { source_text: expr.source.clone(), detail },
            Stop::Failed(detail) => failed(detail),
        })
    }
}

fn explain(kind: ErrorKind) -> String {
    match kind {
        ErrorKind::UndefinedError => "a value on the way to it does not exist".to_owned(),
        kind => kind.to_string(),
    }
}

/// Follows `path` in `value` without copying. `None` where the way ends early: evaluating tells what is wrong.
fn follow(mut value: Value, path: &[Step], scope: &dyn Scope) -> Option<Value> {
    for (at, step) in path.iter().enumerate() {
        let last = at + 1 == path.len();
        let next = match (step, &mut value) {
            (Step::Name(name), Value::Object(fields)) => match fields.get_mut(name) {
                Some(next) => Some(next.take()),
                None => virtual_field(&value, name, scope),
            },
            (Step::Index(index), Value::Array(items)) => items.get_mut(*index).map(Value::take),
            (_, Value::Null) => None,
            _ => return None,
        };
        value = match next {
            Some(next) => next,
            None if last => Value::Null,
            None => return None,
        };
    }
    Some(value)
}

/// The fields that an artifact has only in expressions.
fn virtual_field(value: &Value, name: &str, scope: &dyn Scope) -> Option<Value> {
    if !matches!(name, "stem" | "ext" | "url") {
        return None;
    }
    let artifact = Artifact::from_value(value)?;
    Some(Value::String(match name {
        "stem" => artifact.stem().to_owned(),
        "ext" => artifact.ext().to_owned(),
        _ => scope.url(&artifact),
    }))
}

/// The values of one evaluation, by the words that stand for them.
#[derive(Debug)]
struct Frame(Vec<Jinja>);

impl Object for Frame {
    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Jinja> {
        self.0.get(key.strip_prefix("_r")?.parse::<usize>().ok()?).cloned()
    }
}

/// An artifact in an expression: its fields, and `stem`, `ext` and `url`.
#[derive(Debug)]
struct ArtifactObject {
    fields: Map<String, Value>,
    stem: String,
    ext: &'static str,
    url: Option<String>,
    /// Set when it is made into text, which is a mistake that Jinja would not notice.
    printed: Arc<AtomicBool>,
}

impl Object for ArtifactObject {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        match key.as_str()? {
            "stem" => Some(Jinja::from(self.stem.as_str())),
            "ext" => Some(Jinja::from(self.ext)),
            "url" => self.url.as_deref().map(Jinja::from),
            name => self.fields.get(name).map(scalar),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.fields.keys().map(|key| Jinja::from(key.as_str())).collect())
    }

    fn render(self: &Arc<Self>, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.printed.store(true, Ordering::Relaxed);
        f.write_str(&self.stem)
    }
}

/// An object in an expression, its keys in order.
#[derive(Debug)]
struct Fields(Vec<(String, Jinja)>);

impl Object for Fields {
    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Jinja> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.iter().map(|(name, _)| Jinja::from(name.as_str())).collect())
    }
}

/// JSON to values of expressions.
struct Import<'a> {
    scope: &'a dyn Scope,
    links: bool,
    printed: &'a Arc<AtomicBool>,
}

impl Import<'_> {
    fn value(&self, value: Value) -> Jinja {
        match value {
            Value::Array(items) => {
                Jinja::from_object(items.into_iter().map(|item| self.value(item)).collect::<Vec<_>>())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => scalar(&value),
            value => match (Artifact::from_value(&value), value) {
                (Some(artifact), Value::Object(fields)) => Jinja::from_object(ArtifactObject {
                    stem: artifact.stem().to_owned(),
                    ext: artifact.ext(),
                    url: self.links.then(|| self.scope.url(&artifact)),
                    fields,
                    printed: self.printed.clone(),
                }),
                (_, Value::Object(fields)) if fields.len() <= 32 => Jinja::from_object(Fields(
                    fields.into_iter().map(|(key, value)| (key, self.value(value))).collect(),
                )),
                (_, Value::Object(fields)) => {
                    fields.into_iter().map(|(key, value)| (key, self.value(value))).collect::<Jinja>()
                }
                _ => Jinja::UNDEFINED,
            },
        }
    }
}

/// A value that holds no others.
fn scalar(value: &Value) -> Jinja {
    match value {
        Value::Bool(value) => Jinja::from(*value),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(value), _) => Jinja::from(value),
            (_, Some(value)) => Jinja::from(value),
            _ => Jinja::from(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => Jinja::from(text.as_str()),
        Value::Null | Value::Array(_) | Value::Object(_) => Jinja::from(()),
    }
}

/// Why a value can't leave an expression.
enum Stop {
    TooMuch(String),
    Failed(String),
}

/// Values of expressions to JSON, counted.
struct Export {
    values: usize,
    bytes: usize,
}

impl Export {
    fn value(&mut self, value: &Jinja) -> Result<Value, Stop> {
        self.values += 1;
        if self.values > VALUES_MAX {
            return Err(Stop::TooMuch(format!("more than {VALUES_MAX} values")));
        }
        match value.kind() {
            ValueKind::Undefined | ValueKind::None => Ok(Value::Null),
            ValueKind::Bool => Ok(Value::Bool(value.is_true())),
            ValueKind::Number => number(value),
            ValueKind::String => {
                let text = value.as_str().unwrap_or_default();
                self.text(text)?;
                Ok(Value::String(text.to_owned()))
            }
            ValueKind::Seq | ValueKind::Iterable => {
                let items = value.try_iter().map_err(|error| Stop::Failed(error.to_string()))?;
                items.map(|item| self.value(&item)).collect::<Result<Vec<_>, _>>().map(Value::Array)
            }
            ValueKind::Map => self.object(value),
            kind => Err(Stop::Failed(format!("its value is {kind}, which is no value of a workflow"))),
        }
    }

    fn object(&mut self, value: &Jinja) -> Result<Value, Stop> {
        if let Some(artifact) = value.downcast_object_ref::<ArtifactObject>() {
            return Ok(Value::Object(artifact.fields.clone()));
        }
        let keys = value.try_iter().map_err(|error| Stop::Failed(error.to_string()))?;
        let mut fields = Map::new();
        for key in keys {
            let name = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
            self.text(&name)?;
            let field = value.get_item(&key).map_err(|error| Stop::Failed(error.to_string()))?;
            fields.insert(name, self.value(&field)?);
        }
        Ok(Value::Object(fields))
    }

    fn text(&mut self, text: &str) -> Result<(), Stop> {
        self.bytes += text.len();
        if self.bytes > BYTES_MAX {
            return Err(Stop::TooMuch(format!("more than {BYTES_MAX} bytes of text")));
        }
        Ok(())
    }
}

fn number(value: &Jinja) -> Result<Value, Stop> {
    if value.is_integer() {
        if let Some(integer) = value.as_i64() {
            return Ok(Value::from(integer));
        }
        if let Ok(integer) = u64::try_from(value.clone()) {
            return Ok(Value::from(integer));
        }
        return Err(Stop::Failed("the number is too large".to_owned()));
    }
    let float = f64::try_from(value.clone()).map_err(|error| Stop::Failed(error.to_string()))?;
    serde_json::Number::from_f64(float)
        .map(Value::Number)
        .ok_or_else(|| Stop::Failed(format!("the result {float} is no number")))
}

/// What `compile` makes of an expression's text, once its references are known.
pub(crate) fn expr(
    source: &str,
    normalized: String,
    references: Vec<Reference>,
    path: Option<&[Segment]>,
) -> Result<Expr, ExprError> {
    match Program::new(normalized, path) {
        Ok(program) => Ok(Expr { source: source.to_owned(), references, program }),
        Err(detail) => Err(ExprError::Syntax { source_text: source.to_owned(), detail }),
    }
}
