//! `inputs:`.

use super::Reader;
use crate::code;
use crate::definition::InputDef;
use crate::node::{Entry, Name, Node, NodeKind};
use crate::plan::{Input, InputType};
use crate::suggest;

pub(crate) const INPUT_KEYS: &[&str] =
    &["type", "title", "description", "default", "required", "enum", "min", "max", "pattern", "max-bytes", "ui"];
pub(crate) const INPUT_UI_KEYS: &[&str] = &["widget", "placeholder", "group"];
/// The words after `type:`.
pub(crate) const TYPES: &[&str] = &[
    "string", "integer", "number", "boolean", "enum", "image", "image[]", "video", "audio", "file", "file[]", "json",
    "csv", "jsonl", "scenes",
];
const TYPE_SYNONYMS: &[(&str, &str)] = &[
    ("text", "string"),
    ("str", "string"),
    ("int", "integer"),
    ("float", "number"),
    ("bool", "boolean"),
    ("choice", "enum"),
    ("select", "enum"),
    ("picture", "image"),
    ("images", "image[]"),
    ("files", "file[]"),
    ("object", "json"),
    ("array", "json"),
    ("list", "json"),
    ("path", "file"),
    ("sound", "audio"),
    ("film", "video"),
    ("script", "scenes"),
    ("table", "csv"),
    ("ndjson", "jsonl"),
    ("json-lines", "jsonl"),
    ("jsonlines", "jsonl"),
];
const SYNONYMS: &[(&str, &str)] = &[
    ("options", "enum"),
    ("choices", "enum"),
    ("values", "enum"),
    ("minimum", "min"),
    ("maximum", "max"),
    ("label", "title"),
    ("name", "title"),
    ("regex", "pattern"),
    ("optional", "required"),
    ("max-size", "max-bytes"),
    ("help", "description"),
];

impl Reader<'_> {
    pub(super) fn inputs<'a>(&mut self, key: &Name, value: &'a Node) -> Vec<InputDef<'a>> {
        let entries = self.map(key, value);
        entries
            .iter()
            .map(|entry| {
                self.id(&entry.key, "an input");
                self.input(&entry.key, &entry.value)
            })
            .collect()
    }

    fn input<'a>(&mut self, name: &'a Name, value: &'a Node) -> InputDef<'a> {
        let mut input = Input {
            name: name.text.clone(),
            ty: InputType::Json,
            default: None,
            required: true,
            min: None,
            max: None,
            pattern: None,
            bytes_max: None,
            title: None,
        };
        if let Some(text) = value.as_text().filter(|text| TYPES.contains(text)) {
            let help = format!("write `{}: {{ type: {text} }}`", name.text);
            self.error(code::WRONG_SHAPE, value.span, "an input is a mapping", "this is only its type", help);
            return InputDef { input, name, broken: true };
        }
        let NodeKind::Map(entries) = &value.kind else {
            let help = format!("such as `{}: {{ type: string, default: … }}`", name.text);
            let span = if value.span.start == value.span.end { name.span } else { value.span };
            self.error(
                code::WRONG_SHAPE,
                span,
                "an input is a mapping",
                &format!("this is {}", value.describe()),
                help,
            );
            return InputDef { input, name, broken: true };
        };
        let mut ty = None;
        let mut words = None;
        let mut required = None;
        let mut default = None;
        let mut limits = Vec::new();
        for Entry { key, value } in entries {
            match key.text.as_str() {
                "type" => ty = Some((key, value)),
                "title" => input.title = self.text(key, value),
                "description" => drop(self.text(key, value)),
                "default" => default = Some(value),
                "required" => required = self.boolean(key, value),
                "enum" => words = Some((key, value)),
                "min" => {
                    input.min = self.number(key, value);
                    limits.push(key);
                }
                "max" => {
                    input.max = self.number(key, value);
                    limits.push(key);
                }
                "pattern" => input.pattern = self.pattern(key, value),
                "max-bytes" => input.bytes_max = self.bytes(key, value),
                "ui" => {
                    for Entry { key, .. } in self.map(key, value) {
                        if !INPUT_UI_KEYS.contains(&key.text.as_str()) {
                            self.unknown_key(key, INPUT_UI_KEYS, &[], "`ui`");
                        }
                    }
                }
                _ => self.unknown_key(key, INPUT_KEYS, SYNONYMS, "an input"),
            }
        }
        let Some(read) = self.input_type(name, ty, words) else {
            input.required = required.unwrap_or(default.is_none());
            return InputDef { input, name, broken: true };
        };
        input.ty = read;
        input.default = default.filter(|node| node.kind != NodeKind::Null).map(Node::to_json);
        input.required = required.unwrap_or(input.default.is_none()) && input.default.is_none();
        self.limits(&input, &limits, entries);
        if let (Some(node), Some(given)) = (default, &input.default)
            && let Err(error) = crate::input::check(&input, given)
        {
            let message = format!("the default of `{}` is not accepted: {}", name.text, error.reason());
            self.error(code::BAD_INPUT, node.span, message, "", "give a default that fits the input's type and limits");
        }
        InputDef { input, name, broken: false }
    }

    fn input_type(
        &mut self,
        name: &Name,
        ty: Option<(&Name, &Node)>,
        words: Option<(&Name, &Node)>,
    ) -> Option<InputType> {
        let Some((key, value)) = ty else {
            let help = match words {
                Some(_) => "add `type: enum`".to_owned(),
                None => format!("add `type:`, one of {}", TYPES.join(", ")),
            };
            self.error(code::MISSING_KEY, name.span, format!("the input `{}` has no `type`", name.text), "", help);
            return None;
        };
        let text = self.text(key, value)?;
        let ty = match text.as_str() {
            "string" => InputType::String,
            "integer" => InputType::Integer,
            "number" => InputType::Number,
            "boolean" => InputType::Boolean,
            "enum" => {
                let Some((key, value)) = words else {
                    let help = "add `enum: [a, b]` with the words that can be chosen";
                    self.error(
                        code::MISSING_KEY,
                        name.span,
                        format!("the input `{}` lists no words: `enum` is missing", name.text),
                        "",
                        help,
                    );
                    return None;
                };
                return self.enum_words(key, value);
            }
            "image" => InputType::Image,
            "image[]" => InputType::Images,
            "video" => InputType::Video,
            "audio" => InputType::Audio,
            "file" => InputType::File,
            "file[]" => InputType::Files,
            "json" => InputType::Json,
            "csv" => InputType::Csv,
            "jsonl" => InputType::JsonLines,
            "scenes" => InputType::Scenes,
            other => {
                let help = match TYPE_SYNONYMS.iter().find(|(synonym, _)| *synonym == other) {
                    Some((_, here)) => format!("it is called `{here}` here"),
                    None => suggest::advice(other, TYPES.iter().copied(), ""),
                };
                self.error(code::UNKNOWN_WORD, value.span, format!("there is no input type `{other}`"), "", help);
                return None;
            }
        };
        if let Some((key, _)) = words {
            let help = "write `type: enum`, or remove the list";
            self.error(
                code::CONFLICT,
                key.span,
                format!("`enum` belongs to `type: enum`, and this is `{text}`"),
                "",
                help,
            );
        }
        Some(ty)
    }

    fn enum_words(&mut self, key: &Name, value: &Node) -> Option<InputType> {
        let items = self.list(key, value, "write `enum: [a, b]`")?;
        let mut words: Vec<String> = Vec::new();
        for item in items {
            match &item.kind {
                NodeKind::Text(text) if words.contains(text) => {
                    self.error(code::BAD_INPUT, item.span, format!("`{text}` stands twice"), "", "remove one of them");
                }
                NodeKind::Text(text) => words.push(text.clone()),
                _ => {
                    let help = "put it in quotes: the words of an `enum` are text";
                    self.error(
                        code::WRONG_SHAPE,
                        item.span,
                        "the words of `enum` are text",
                        &format!("this is {}", item.describe()),
                        help,
                    );
                }
            }
        }
        if items.is_empty() {
            self.error(code::BAD_INPUT, value.span, "`enum` lists no words", "", "write `enum: [a, b]`");
        }
        Some(InputType::Enum(words))
    }

    fn pattern(&mut self, key: &Name, value: &Node) -> Option<String> {
        let text = self.text(key, value)?;
        match crate::input::compile_pattern(&text) {
            Ok(_) => Some(text),
            Err(error) => {
                let message = format!("`pattern` is no regular expression: {error}");
                self.error(
                    code::BAD_INPUT,
                    value.span,
                    message,
                    "",
                    "a backslash needs single quotes in YAML: '^\\d+$'",
                );
                None
            }
        }
    }

    /// `20MB`, `512KB`, `1GB` or a number of bytes.
    fn bytes(&mut self, key: &Name, value: &Node) -> Option<u64> {
        let text = match &value.kind {
            NodeKind::Number(number) => number.to_string(),
            _ => self.text(key, value)?,
        };
        let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
        let unit = match text[end..].trim().to_ascii_lowercase().as_str() {
            "" | "b" => Some(1.0),
            "kb" | "kib" | "k" => Some(1024.0),
            "mb" | "mib" | "m" => Some(1024.0 * 1024.0),
            "gb" | "gib" | "g" => Some(1024.0 * 1024.0 * 1024.0),
            _ => None,
        };
        match (text[..end].parse::<f64>(), unit) {
            (Ok(number), Some(unit)) if number > 0.0 && number * unit < 1e15 => Some((number * unit) as u64),
            _ => {
                let help = "write a number of bytes, or one with KB, MB or GB, such as `20MB`";
                self.error(code::WRONG_SHAPE, value.span, format!("`max-bytes` can't be `{text}`"), "", help);
                None
            }
        }
    }

    /// Which limits go with which type.
    fn limits(&mut self, input: &Input, keys: &[&Name], entries: &[Entry]) {
        use InputType::{Audio, Boolean, Enum, File, Files, Image, Images, Json, String, Video};
        let counted = !matches!(input.ty, Boolean | Enum(_) | Image | Video | Audio | File | Json);
        for key in keys.iter().filter(|_| !counted) {
            let help = "`min` and `max` limit numbers, the length of text and the length of lists";
            self.error(code::CONFLICT, key.span, format!("`{}` means nothing for this type", key.text), "", help);
        }
        let key = |name: &str| entries.iter().find(|entry| entry.key.text == name).map(|entry| entry.key.span);
        if let Some(span) = key("pattern").filter(|_| input.ty != String) {
            self.error(code::CONFLICT, span, "`pattern` belongs to `type: string`", "", "remove it");
        }
        let file = matches!(input.ty, Image | Images | Video | Audio | File | Files);
        if let Some(span) = key("max-bytes").filter(|_| !file) {
            self.error(
                code::CONFLICT,
                span,
                "`max-bytes` belongs to files",
                "",
                "remove it, or use `max` for the length of text",
            );
        }
        if let (Some(min), Some(max), Some(span)) = (input.min, input.max, key("max"))
            && min > max
        {
            self.error(code::BAD_INPUT, span, format!("`max` ({max}) is less than `min` ({min})"), "", "swap them");
        }
    }
}
