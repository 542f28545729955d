//! The parameters of a step, checked against the op table.

use darkroom_proto::op::{OpSpec, ParamSpec, ParamType};
use darkroom_proto::{Artifact, Duration, ErrorClass, Kind, Map, StepError};
use serde_json::Value;

/// Resolved parameters that are what the op takes. The engine has checked them; a worker checks again, because what comes
/// over a broker was made elsewhere.
///
/// A JSON null means "not given". Getters give the table's default for what is not given.
#[derive(Debug, Clone, Copy)]
pub struct Params<'a> {
    op: &'static OpSpec,
    map: &'a Map,
}

impl<'a> Params<'a> {
    /// Checks parameters.
    ///
    /// # Errors
    /// When one is missing, unknown or not what the op takes. The error names op, parameter, value and what is allowed.
    pub fn new(op: &'static OpSpec, map: &'a Map) -> Result<Params<'a>, StepError> {
        let params = Params { op, map };
        if let Some(unknown) = map.keys().find(|name| op.param(name).is_none()) {
            let known: Vec<&str> = op.params.iter().map(|param| param.name).collect();
            return Err(StepError::new(
                ErrorClass::InvalidInput,
                format!("`{}` has no parameter `{unknown}`", op.name),
            )
            .code("unknown_parameter")
            .advice(format!("It takes {}.", known.join(", "))));
        }
        for spec in op.params {
            match params.given(spec.name) {
                Some(value) => check(op, spec, value)?,
                None if spec.required => return Err(params.missing(spec.name)),
                None => {}
            }
        }
        Ok(params)
    }

    /// The value that was given, nulls aside.
    pub fn given(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// The value that was given or the table's default, if either is there.
    fn value(&self, name: &str) -> Option<Value> {
        self.given(name).cloned().or_else(|| {
            let default = self.op.param(name)?.default;
            serde_json::from_str(default).ok().filter(|value: &Value| !value.is_null())
        })
    }

    fn required<T>(&self, name: &str, value: Option<T>) -> Result<T, StepError> {
        value.ok_or_else(|| self.missing(name))
    }

    /// The error of a parameter that must be given and is not.
    pub fn missing(&self, name: &str) -> StepError {
        let summary = self.op.param(name).map(|spec| spec.summary).unwrap_or_default();
        StepError::new(ErrorClass::MissingParameter, format!("`{}` needs `{name}`: {summary}", self.op.name))
            .advice(format!("Give `{name}` under `with:`."))
    }

    /// The error of a parameter whose value can't be used.
    pub fn invalid(&self, name: &str, reason: impl std::fmt::Display) -> StepError {
        StepError::new(ErrorClass::InvalidInput, format!("`{}`: `{name}` {reason}", self.op.name))
    }

    /// A whole number, if it is given or has a default.
    pub fn integer(&self, name: &str) -> Option<i64> {
        self.value(name).as_ref().and_then(whole)
    }

    /// A length or count in pixels, if it is given or has a default.
    pub fn pixels(&self, name: &str) -> Option<u32> {
        self.integer(name).and_then(|number| u32::try_from(number).ok())
    }

    /// A number.
    ///
    /// # Errors
    /// When it is not given and has no default.
    pub fn number(&self, name: &str) -> Result<f64, StepError> {
        self.required(name, self.value(name).and_then(|value| value.as_f64()))
    }

    /// True or false.
    ///
    /// # Errors
    /// When it is not given and has no default.
    pub fn boolean(&self, name: &str) -> Result<bool, StepError> {
        self.required(name, self.value(name).and_then(|value| value.as_bool()))
    }

    /// Text or a word.
    ///
    /// # Errors
    /// When it is not given and has no default.
    pub fn text(&self, name: &str) -> Result<String, StepError> {
        match self.value(name) {
            Some(Value::String(text)) => Ok(text),
            _ => Err(self.missing(name)),
        }
    }

    /// Text that reads as something, such as a colour.
    ///
    /// # Errors
    /// When it is not given and has no default, or does not read.
    pub fn parsed<T>(&self, name: &str) -> Result<T, StepError>
    where
        T: std::str::FromStr<Err = crate::media::MediaError>,
    {
        self.text(name)?.parse().map_err(|error: crate::media::MediaError| {
            self.invalid(name, format_args!("can't be used: {error}")).code(error.code()).advice(error.advice())
        })
    }

    /// A span of time: text with a unit, or a number of seconds.
    ///
    /// # Errors
    /// When it is not given and has no default.
    pub fn duration(&self, name: &str) -> Result<Duration, StepError> {
        self.required(name, self.value(name).as_ref().and_then(span))
    }

    /// An artifact.
    ///
    /// # Errors
    /// When it is not given.
    pub fn artifact(&self, name: &str) -> Result<Artifact, StepError> {
        self.required(name, self.given(name).and_then(Artifact::from_value))
    }

    /// The elements of a list, if it is given.
    pub fn list(&self, name: &str) -> Option<&'a [Value]> {
        self.given(name).and_then(Value::as_array).map(Vec::as_slice)
    }
}

fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| {
        let number = value.as_f64()?;
        (number.fract() == 0.0 && number.abs() < 9.0e15).then_some(number as i64)
    })
}

fn span(value: &Value) -> Option<Duration> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.to_string().parse().ok(),
        _ => None,
    }
}

/// Checks one value against its type and limits.
fn check(op: &OpSpec, spec: &ParamSpec, value: &Value) -> Result<(), StepError> {
    let text_up_to = |max: usize| value.as_str().is_some_and(|text| text.chars().count() <= max);
    let fits = match spec.ty {
        ParamType::Text { max } => text_up_to(max),
        ParamType::Integer { min, max } => whole(value).is_some_and(|number| (min..=max).contains(&number)),
        ParamType::Number { min, max } => value.as_f64().is_some_and(|number| (min..=max).contains(&number)),
        ParamType::Boolean => value.is_boolean(),
        ParamType::Enum(words) => value.as_str().is_some_and(|word| words.contains(&word)),
        // Names, colours, proportions and paths are read, with errors of their own, where they are used.
        ParamType::Model(_) | ParamType::Color | ParamType::Aspect => text_up_to(200),
        ParamType::SavePath => text_up_to(4_096),
        ParamType::Duration => span(value).is_some(),
        ParamType::Box => ["x", "y", "w", "h"].iter().all(|side| value.get(side).is_some_and(Value::is_number)),
        ParamType::Artifact(kind) => Artifact::from_value(value).is_some_and(|artifact| fits_kind(&artifact, kind)),
        ParamType::AnyArtifact => Artifact::from_value(value).is_some(),
        ParamType::Images => {
            value.as_array().is_some_and(|list| list.iter().all(|item| Artifact::from_value(item).is_some()))
        }
        ParamType::Results => value.as_array().is_some_and(|list| list.iter().all(Value::is_object)),
        ParamType::TextList => value.as_array().is_some_and(|list| list.iter().all(Value::is_string)),
        ParamType::Any => true,
        // Of ops that the engine performs itself.
        ParamType::Time | ParamType::Condition | ParamType::Schema | ParamType::Form => true,
    };
    if fits {
        return Ok(());
    }
    let message = format!("`{}`: `{}` is {}, and it takes {}", op.name, spec.name, shown(value), allowed(spec.ty));
    Err(StepError::new(ErrorClass::InvalidInput, message))
}

/// Media types are often wrong, so a picture may come as any of them but those that say clearly that it is something else.
/// What it is shows when it is decoded.
fn fits_kind(artifact: &Artifact, kind: Kind) -> bool {
    artifact.kind() == kind || artifact.kind() == Kind::File
}

fn shown(value: &Value) -> String {
    if let Some(artifact) = Artifact::from_value(value) {
        return format!("the file `{}` ({})", artifact.name, artifact.media_type);
    }
    let text = match value {
        Value::String(text) => format!("`{text}`"),
        Value::Array(list) => format!("a list of {}", list.len()),
        Value::Object(_) => "an object".to_owned(),
        other => other.to_string(),
    };
    if text.chars().count() > 80 { text.chars().take(77).collect::<String>() + "...`" } else { text }
}

fn allowed(ty: ParamType) -> String {
    match ty {
        ParamType::Text { max } => format!("text of at most {max} characters"),
        ParamType::Integer { min, max } => format!("a whole number from {min} to {max}"),
        ParamType::Number { min, max } => format!("a number from {min} to {max}"),
        ParamType::Boolean => "true or false".into(),
        ParamType::Enum(words) => format!("one of {}", words.join(", ")),
        ParamType::Model(_) => "the name of a model".into(),
        ParamType::Color => "a colour such as \"#ff8800\"".into(),
        ParamType::Aspect => "a proportion such as \"16:9\"".into(),
        ParamType::Duration => "a duration such as 20ms".into(),
        ParamType::SavePath => "a path".into(),
        ParamType::Box => "a box {x, y, w, h} in pixels".into(),
        ParamType::Artifact(kind) => format!("a file of kind {}", kind.name()),
        ParamType::AnyArtifact => "a file".into(),
        ParamType::Images => "a list of pictures".into(),
        ParamType::Results => "the `.results` of a fan-out".into(),
        ParamType::TextList => "a list of texts".into(),
        ParamType::Any | ParamType::Time | ParamType::Condition | ParamType::Schema | ParamType::Form => {
            "anything".into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use darkroom_proto::{Sha256, op};
    use serde_json::json;

    fn image(media_type: &str) -> Value {
        json!({"sha256": Sha256::of(b"x"), "media_type": media_type, "bytes": 1, "name": "x.png"})
    }

    #[test]
    fn null_means_not_given_and_defaults_come_from_the_table() {
        let map = json!({"image": image("image/png"), "width": 800, "fit": null, "enlarge": null});
        let params = Params::new(op::find("image.resize").unwrap(), map.as_object().unwrap()).unwrap();
        assert_eq!(params.text("fit").unwrap(), "cover");
        assert!(params.boolean("enlarge").unwrap());
        assert_eq!((params.pixels("width"), params.pixels("height")), (Some(800), None));
    }

    #[test]
    fn errors_name_op_parameter_value_and_what_is_allowed() {
        let cases = [
            (
                "image.resize",
                json!({"image": image("image/png"), "width": 99_999}),
                "invalid_input",
                "`image.resize`: `width` is 99999, and it takes a whole number from 1 to 16384",
            ),
            ("image.resize", json!({"image": image("image/png"), "width": 1.5}), "invalid_input", "`width` is 1.5"),
            (
                "image.resize",
                json!({"image": image("image/png"), "fit": "fill"}),
                "invalid_input",
                "`fit` is `fill`, and it takes one of cover, inside, exact, pad",
            ),
            (
                "image.resize",
                json!({"image": image("video/mp4")}),
                "invalid_input",
                "`image` is the file `x.png` (video/mp4), and it takes a file of kind image",
            ),
            ("image.resize", json!({"width": 5}), "missing_parameter", "`image.resize` needs `image`"),
            ("image.resize", json!({"image": null}), "missing_parameter", "`image.resize` needs `image`"),
            (
                "image.resize",
                json!({"image": image("image/png"), "widht": 5}),
                "unknown_parameter",
                "`image.resize` has no parameter `widht`",
            ),
            ("noop", json!({"step-time": "soon"}), "invalid_input", "a duration such as 20ms"),
        ];
        for (name, map, code, message) in cases {
            let error = Params::new(op::find(name).unwrap(), map.as_object().unwrap()).unwrap_err();
            assert_eq!(error.code, code, "{error}");
            assert!(error.message.contains(message), "{error}");
        }
    }
}
