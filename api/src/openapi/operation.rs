//! [`Operation`]: what the document says of a route.

use crate::key::Scope;
use axum::http::StatusCode;
use serde_json::{Map, Value, json};
use utoipa::openapi::path::ParameterIn;
use utoipa::{IntoParams, ToSchema};

/// What an idempotency key may be: 1 to 200 characters, with or without the quotes of RFC 8941.
const IDEMPOTENCY_KEY: &str = "^\"?[!#-~]([ -~]{0,198}[!#-~])?\"?$";

/// The digits of an id of a run.
const RUN_ID: &str = "^run_[0-9a-fA-F]{32}$";

/// What the document says of a route.
#[derive(Debug)]
pub(crate) struct Operation {
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
    /// What is told besides, as Markdown.
    description: String,
    is_open: bool,
    parameters: Vec<Value>,
    body: Option<Value>,
    responses: Vec<(u16, Value)>,
    schemas: Vec<(String, Value)>,
}

/// A reference to a schema.
pub(crate) fn of(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

impl Operation {
    pub(crate) fn new(id: &'static str, tag: &'static str, summary: &'static str) -> Operation {
        Operation {
            id,
            tag,
            summary,
            description: String::new(),
            is_open: false,
            parameters: Vec::new(),
            body: None,
            responses: Vec::new(),
            schemas: Vec::new(),
        }
    }

    /// Says more of it.
    pub(crate) fn says(mut self, more: &str) -> Operation {
        if !self.description.is_empty() {
            self.description.push(' ');
        }
        self.description.push_str(more);
        self
    }

    /// It needs a key, with these scopes.
    pub(crate) fn needs(self, scopes: &[Scope]) -> Operation {
        let names: Vec<String> = scopes.iter().map(|scope| format!("`{}`", scope.name())).collect();
        let operation = match scopes {
            [] => self.says("Needs a key."),
            [_] => self.says(&format!("Needs the scope {}.", names.join(""))),
            _ => self.says(&format!("Needs the scopes {}.", names.join(" and "))),
        };
        let operation = operation.refuses(&[401, 503]);
        if scopes.is_empty() { operation } else { operation.refuses(&[403]) }
    }

    /// It needs no key.
    pub(crate) fn needs_nothing(mut self) -> Operation {
        self.is_open = true;
        self
    }

    /// A segment of the address.
    pub(crate) fn segment(mut self, name: &str, what: &str, schema: Value) -> Operation {
        self.parameters.push(json!({
            "name": name, "in": "path", "required": true, "description": what, "schema": schema,
        }));
        self.refuses(&[404])
    }

    /// The run that it is about, whose id is the segment of this name.
    pub(crate) fn run(self, name: &str) -> Operation {
        self.segment(name, "The run's id.", json!({ "type": "string", "pattern": RUN_ID }))
    }

    /// What stands behind the `?`.
    pub(crate) fn query<T: IntoParams>(mut self) -> Operation {
        let parameters = T::into_params(|| Some(ParameterIn::Query));
        self.parameters.extend(parameters.iter().map(|parameter| {
            let mut parameter = json!(parameter);
            // What may be left out is not null when it is there.
            if let Some(kinds) = parameter["schema"]["type"].as_array() {
                parameter["schema"]["type"] = kinds.first().cloned().unwrap_or_default();
            }
            parameter
        }));
        self.refuses(&[400])
    }

    /// A header that may be sent.
    pub(crate) fn header(mut self, name: &str, what: &str, pattern: Option<&str>) -> Operation {
        let mut schema = json!({ "type": "string" });
        if let Some(pattern) = pattern {
            schema["pattern"] = pattern.into();
        }
        self.parameters.push(json!({ "name": name, "in": "header", "description": what, "schema": schema }));
        self
    }

    /// Sending it twice under one key is sending it once.
    pub(crate) fn idempotent(self) -> Operation {
        let what = "Sending twice under one key is sending once.";
        self.header("Idempotency-Key", what, Some(IDEMPOTENCY_KEY)).refuses(&[400])
    }

    /// The client may have the answer already.
    pub(crate) fn cached(self) -> Operation {
        let what = "The `ETag` of the answer that the client has.";
        self.header("If-None-Match", what, None).gives(304, "It has not changed.", None)
    }

    /// A JSON body.
    pub(crate) fn takes<T: ToSchema>(self) -> Operation {
        self.takes_json::<T>(true)
    }

    /// A JSON body that may be left out.
    pub(crate) fn may_take<T: ToSchema>(self) -> Operation {
        self.takes_json::<T>(false)
    }

    fn takes_json<T: ToSchema>(mut self, required: bool) -> Operation {
        self.learn::<T>();
        let schema = of(&T::name());
        self.body = Some(json!({ "required": required, "content": { "application/json": { "schema": schema } } }));
        self.refuses(&[400, 413])
    }

    /// A body of another type.
    pub(crate) fn takes_other(mut self, media_type: &str, schema: Value) -> Operation {
        self.body = Some(json!({ "required": true, "content": { media_type: { "schema": schema } } }));
        self.refuses(&[400, 408, 413])
    }

    /// Has a schema in the document.
    pub(crate) fn learn<T: ToSchema>(&mut self) {
        let mut schemas = vec![(T::name().into_owned(), T::schema())];
        T::schemas(&mut schemas);
        self.schemas.extend(schemas.into_iter().map(|(name, schema)| (name, json!(schema))));
    }

    /// An answer; its schema if it is JSON.
    pub(crate) fn gives(self, status: u16, what: &str, schema: Option<Value>) -> Operation {
        match schema {
            Some(schema) => self.gives_other(status, what, "application/json", schema),
            None => self.with(status, json!({ "description": what })),
        }
    }

    /// An answer with the JSON of a type.
    pub(crate) fn gives_a<T: ToSchema>(mut self, status: u16, what: &str) -> Operation {
        self.learn::<T>();
        self.gives(status, what, Some(of(&T::name())))
    }

    /// An answer of another type.
    pub(crate) fn gives_other(self, status: u16, what: &str, media_type: &str, schema: Value) -> Operation {
        self.with(status, json!({ "description": what, "content": { media_type: { "schema": schema } } }))
    }

    /// Server-Sent Events of these kinds, whose data is JSON. The schema is that of one event.
    pub(crate) fn streams(self, kinds: &[&str]) -> Operation {
        let event = json!({
            "type": "object",
            "description": "One event. A comment every 15 seconds keeps the connection alive.",
            "required": ["id", "event", "data"],
            "properties": {
                "id": { "type": "string", "pattern": "^[0-9]+$" },
                "event": { "type": "string", "enum": kinds },
                "data": { "type": "string", "contentMediaType": "application/json" },
            },
        });
        self.gives_other(200, "Events.", "text/event-stream", event)
    }

    /// The answer of this status always has a header.
    pub(crate) fn has(self, status: u16, name: &str, what: &str) -> Operation {
        self.with_header(status, name, what, true)
    }

    /// The answer of this status may have a header.
    pub(crate) fn may_have(self, status: u16, name: &str, what: &str) -> Operation {
        self.with_header(status, name, what, false)
    }

    fn with_header(mut self, status: u16, name: &str, what: &str, required: bool) -> Operation {
        if let Some((_, response)) = self.responses.iter_mut().find(|(given, _)| *given == status) {
            response["headers"][name] =
                json!({ "description": what, "required": required, "schema": { "type": "string" } });
        }
        self
    }

    /// It may be answered with these problems.
    pub(crate) fn refuses(self, statuses: &[u16]) -> Operation {
        statuses.iter().fold(self, |operation, status| {
            if operation.responses.iter().any(|(given, _)| given == status) {
                return operation;
            }
            let what = match *status {
                400 => "The request is not as it has to be; `errors` says where.",
                401 => "No key was shown, or none that lets in.",
                403 => "The key does not have the scope.",
                404 => "There is no such thing, or it is another tenant's.",
                409 => "It does not fit with how things stand.",
                413 => "Something is too large.",
                503 => "A server does not answer at the moment.",
                other => {
                    StatusCode::from_u16(other).ok().and_then(|code| code.canonical_reason()).unwrap_or("A problem.")
                }
            };
            let operation = operation.gives_other(*status, what, "application/problem+json", of("Problem"));
            match *status {
                401 => operation.has(401, "WWW-Authenticate", "`Bearer`."),
                503 => operation.may_have(503, "Retry-After", "How many seconds to wait."),
                _ => operation,
            }
        })
    }

    fn with(mut self, status: u16, response: Value) -> Operation {
        self.responses.push((status, response));
        self
    }

    /// The schemas that it needs.
    pub(super) fn schemas(&self) -> Map<String, Value> {
        self.schemas.iter().cloned().collect()
    }

    /// It as the document has it.
    pub(super) fn document(&self) -> Value {
        let mut document = json!({ "operationId": self.id, "tags": [self.tag], "summary": self.summary });
        if !self.description.is_empty() {
            document["description"] = self.description.as_str().into();
        }
        if self.is_open {
            document["security"] = json!([]);
        }
        if !self.parameters.is_empty() {
            document["parameters"] = json!(self.parameters);
        }
        if let Some(body) = &self.body {
            document["requestBody"] = body.clone();
        }
        let mut responses: Vec<&(u16, Value)> = self.responses.iter().collect();
        responses.sort_by_key(|(status, _)| *status);
        document["responses"] = responses
            .into_iter()
            .map(|(status, response)| (status.to_string(), response.clone()))
            .collect::<Map<_, _>>()
            .into();
        document
    }
}
