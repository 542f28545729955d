//! The schemas of the documents that are made elsewhere: the ones that the CLI prints as well.
//!
//! A test compares them with documents that have every field.

use super::of;
use darkroom_proto::{ErrorClass, RunStatus, StepStatus};
use serde_json::{Map, Value, json};

/// A field: its name, whether it is always there, and what it is.
type Field = (&'static str, bool, Value);

/// Every schema by its name.
pub(super) fn schemas() -> Map<String, Value> {
    let statuses: Vec<&str> = RunStatus::ALL.iter().map(|status| status.name()).collect();
    let step_statuses: Vec<&str> = StepStatus::ALL.iter().map(|status| status.name()).collect();
    let classes: Vec<&str> = ErrorClass::ALL.iter().map(|class| class.name()).collect();
    let list = |of_what: &str| {
        object(
            "A page of a list.",
            vec![
                ("data", true, json!({ "type": "array", "items": of(of_what) })),
                ("next_cursor", true, told("`cursor` of the next page; null on the last one.", or_null(text()))),
            ],
        )
    };
    [
        ("RunStatus", json!({ "type": "string", "enum": statuses })),
        ("StepStatus", json!({ "type": "string", "enum": step_statuses })),
        ("ErrorClass", json!({ "type": "string", "enum": classes, "description": "What is done about an error follows from this alone." })),
        ("Problem", problem()),
        ("Mistake", mistake()),
        ("Run", run()),
        ("Step", step()),
        ("Items", items()),
        ("Error", error()),
        ("RunRow", run_row()),
        ("RunList", list("RunRow")),
        ("StepList", list("Step")),
        ("Created", created()),
        ("BatchOutcome", batch_outcome()),
        ("Outcome", outcome()),
        ("Approval", approval()),
        ("ApprovalList", list("Approval")),
        ("Plan", plan()),
        ("PlanStep", plan_step()),
        ("PlanCost", plan_cost()),
        ("WorkflowRow", object("A workflow in a list.", workflow_row())),
        ("WorkflowList", list("WorkflowRow")),
        ("Workflow", workflow()),
        ("WorkflowInput", workflow_input()),
        ("WorkflowPushed", workflow_pushed()),
        ("File", file()),
        ("Whoami", whoami()),
    ]
    .into_iter()
    .map(|(name, schema)| (name.to_owned(), schema))
    .collect()
}

fn object(about: &str, fields: Vec<Field>) -> Value {
    let required: Vec<&str> = fields.iter().filter(|(_, always, _)| *always).map(|(name, ..)| *name).collect();
    let properties: Map<String, Value> =
        fields.iter().map(|(name, _, what)| ((*name).to_owned(), what.clone())).collect();
    json!({ "type": "object", "description": about, "required": required, "properties": properties })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn number() -> Value {
    json!({ "type": "number" })
}

fn truth() -> Value {
    json!({ "type": "boolean" })
}

fn any_object() -> Value {
    json!({ "type": "object" })
}

fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn digest() -> Value {
    json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" })
}

fn run_id() -> Value {
    json!({ "type": "string", "pattern": "^run_[0-9a-f]{32}$" })
}

fn or_null(schema: Value) -> Value {
    json!({ "oneOf": [schema, { "type": "null" }] })
}

fn list_of(schema: Value) -> Value {
    json!({ "type": "array", "items": schema })
}

fn told(about: &str, mut schema: Value) -> Value {
    schema["description"] = about.into();
    schema
}

fn problem() -> Value {
    object(
        "Why a request was not answered as it was meant, as RFC 9457 has it.",
        vec![
            ("type", true, json!({ "type": "string", "format": "uri-reference" })),
            ("title", true, text()),
            ("status", true, json!({ "type": "integer", "minimum": 400, "maximum": 599 })),
            ("code", true, told("What programs decide by.", text())),
            ("detail", true, told("What happened.", text())),
            ("advice", true, told("What to do; may be empty.", text())),
            ("retryable", true, told("Whether the same request may succeed later.", truth())),
            ("retry_after", false, told("After how many seconds.", count())),
            ("errors", false, told("Each mistake in the request.", list_of(of("Mistake")))),
        ],
    )
}

fn mistake() -> Value {
    object(
        "Something that is wrong with a body.",
        vec![
            ("pointer", true, told("Where, as RFC 6901 has it.", text())),
            ("detail", true, text()),
            ("line", false, told("Where it is in a text that the value is.", count())),
            ("column", false, count()),
        ],
    )
}

fn run() -> Value {
    object(
        "A run, as `darkroom show -o json` prints it. Artifacts in it have a `url` that ends after an hour.",
        vec![
            ("id", true, run_id()),
            ("workflow", true, text()),
            ("version", true, told("The digest of its definition.", digest())),
            ("status", true, of("RunStatus")),
            ("created_at", true, time()),
            ("updated_at", true, time()),
            ("finished_at", true, or_null(time())),
            ("inputs", true, told("What it was given, defaults included.", any_object())),
            (
                "schedule",
                false,
                object("The schedule that started it.", vec![("id", true, text()), ("at", true, time())]),
            ),
            ("rerun_of", false, run_id()),
            ("forked_from", false, run_id()),
            (
                "parent",
                false,
                object("The step that started it.", vec![("run", true, run_id()), ("step", true, text())]),
            ),
            ("steps", true, told("Its top-level steps.", list_of(of("Step")))),
            ("outputs", true, told("The workflow's outputs, once it completed.", any_object())),
            (
                "cost",
                true,
                object(
                    "In USD.",
                    vec![
                        ("estimated", true, number()),
                        ("spent", true, number()),
                        ("possible_duplicates", true, count()),
                    ],
                ),
            ),
            ("error", true, or_null(of("Error"))),
        ],
    )
}

fn step() -> Value {
    object(
        "A step, or an instance of one.",
        vec![
            ("path", true, told("Such as `branded[3]/resize`.", text())),
            ("op", true, text()),
            ("status", true, of("StepStatus")),
            ("attempts", true, count()),
            ("started_at", true, or_null(time())),
            ("finished_at", true, or_null(time())),
            ("output", true, told("Its outputs by name.", any_object())),
            ("error", true, or_null(of("Error"))),
            ("cost", true, told("In USD.", number())),
            ("saved", false, text()),
            ("reason", false, told("Why it was skipped, or what it waits for.", text())),
            ("asks", false, told("While it waits for a person: what it asks.", any_object())),
            ("child", false, told("The run that it started.", run_id())),
            ("items", false, of("Items")),
            ("steps", false, told("Its instances, or the steps of an instance.", list_of(of("Step")))),
        ],
    )
}

fn items() -> Value {
    let counts = ["total", "completed", "skipped", "failed"];
    object("How far a fan-out is.", counts.into_iter().map(|name| (name, true, count())).collect())
}

fn error() -> Value {
    object(
        "Why a step failed.",
        vec![
            ("class", true, of("ErrorClass")),
            ("code", true, told("A finer name.", text())),
            ("message", true, text()),
            ("advice", true, text()),
            ("retryable", true, truth()),
        ],
    )
}

fn run_row() -> Value {
    object(
        "A run in a list.",
        vec![
            ("id", true, run_id()),
            ("workflow", true, text()),
            ("version", true, digest()),
            ("status", true, of("RunStatus")),
            ("step", true, told("The step that it is at or that failed.", or_null(text()))),
            ("created_at", true, time()),
            ("updated_at", true, time()),
            ("finished_at", true, or_null(time())),
            ("error", true, or_null(of("Error"))),
            ("cost", true, told("In USD.", number())),
            ("parent", false, told("The run that it is the child of.", run_id())),
        ],
    )
}

fn created() -> Value {
    let urls = ["self", "events", "cancel", "resume"].into_iter();
    object(
        "A run that was taken in.",
        vec![
            ("id", true, run_id()),
            ("status", true, of("RunStatus")),
            ("urls", true, object("Where it goes on.", urls.map(|name| (name, true, text())).collect())),
        ],
    )
}

fn batch_outcome() -> Value {
    let one =
        json!({ "oneOf": [of("Created"), object("It was not taken in.", vec![("problem", true, of("Problem"))])] });
    object(
        "What came of each run of a batch, in its order.",
        vec![("created", true, count()), ("failed", true, count()), ("data", true, list_of(one))],
    )
}

fn outcome() -> Value {
    object(
        "What came of a command.",
        vec![
            ("id", true, run_id()),
            ("status", true, or_null(of("RunStatus"))),
            ("applied", true, told("Whether it is known that the run has taken it; if not it will.", truth())),
        ],
    )
}

fn approval() -> Value {
    object(
        "A step that waits for a person.",
        vec![
            ("run", true, run_id()),
            ("workflow", true, text()),
            ("step", true, text()),
            ("asks", true, told("`title`, `show`, `ask`, `choose`, `since`, `deadline`.", or_null(any_object()))),
        ],
    )
}

fn plan() -> Value {
    object(
        "What a run would do, as `darkroom plan -o json` prints it.",
        vec![
            ("workflow", true, text()),
            ("version", true, digest()),
            ("steps", true, list_of(of("PlanStep"))),
            ("items", true, count()),
            ("cost", true, of("PlanCost")),
        ],
    )
}

fn plan_step() -> Value {
    object(
        "A step of a plan.",
        vec![
            ("path", true, text()),
            ("op", true, text()),
            ("model", true, or_null(text())),
            ("route", true, told("Who serves the model.", or_null(text()))),
            ("from", true, told("Where its picture comes from.", or_null(text()))),
            ("action", true, json!({ "type": "string", "enum": ["run", "keep", "cached", "skip", "unknown"] })),
            ("reason", true, text()),
            ("items", true, or_null(count())),
            ("save", true, or_null(text())),
            ("cost", true, of("PlanCost")),
            ("seconds", true, or_null(number())),
        ],
    )
}

fn plan_cost() -> Value {
    object(
        "What it would cost, in USD.",
        vec![
            ("low", true, number()),
            ("high", true, number()),
            ("source", true, text()),
            ("per_item", false, told("Something in it is the cost of a single item.", truth())),
        ],
    )
}

fn workflow_row() -> Vec<Field> {
    vec![
        ("name", true, text()),
        ("version", true, count()),
        ("hash", true, digest()),
        ("enabled", true, truth()),
        ("pushed_at", true, time()),
        ("pushed_by", true, text()),
    ]
}

fn workflow() -> Value {
    let mut fields = workflow_row();
    fields.extend([
        ("latest", true, told("The number of its newest version.", count())),
        ("inputs", true, list_of(of("WorkflowInput"))),
        ("outputs", true, told("Their names.", list_of(text()))),
        ("source", true, told("Its file.", text())),
    ]);
    object("A version of a workflow.", fields)
}

fn workflow_input() -> Value {
    object(
        "An input, as a form is built from it.",
        vec![
            ("name", true, text()),
            ("title", true, or_null(text())),
            ("type", true, text()),
            ("words", true, told("What an `enum` takes.", list_of(text()))),
            ("default", true, json!({})),
            ("required", true, truth()),
            ("min", true, or_null(number())),
            ("max", true, or_null(number())),
            ("pattern", true, or_null(text())),
            ("bytes_max", true, or_null(count())),
        ],
    )
}

fn workflow_pushed() -> Value {
    object(
        "What came of a push.",
        vec![
            ("name", true, text()),
            ("version", true, count()),
            ("hash", true, digest()),
            ("is_new", true, told("False where it is the same as the latest.", truth())),
            ("warnings", true, told("What is probably not as meant.", list_of(any_object()))),
        ],
    )
}

fn file() -> Value {
    object(
        "A file that was kept.",
        vec![
            ("file", true, told("What an input takes; of use to its tenant alone.", text())),
            ("sha256", true, digest()),
            ("media_type", true, told("Told from the content.", text())),
            ("bytes", true, count()),
            ("width", false, count()),
            ("height", false, count()),
            ("duration", true, told("In seconds.", or_null(number()))),
            ("name", false, text()),
            ("stem", true, text()),
            ("ext", true, text()),
            ("url", true, told("Good for an hour, without a key.", text())),
        ],
    )
}

fn whoami() -> Value {
    let scopes: Vec<&str> = crate::Scope::ALL.iter().map(|scope| scope.name()).collect();
    object(
        "Who asks.",
        vec![
            ("tenant", true, text()),
            ("key", true, told("The id of the key.", or_null(text()))),
            ("scopes", true, list_of(json!({ "type": "string", "enum": scopes }))),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use darkroom_engine::preview::{Action, Cost, Preview, PreviewStep};
    use darkroom_proto::{
        CostDocument, ErrorDocument, ItemsDocument, Map as Fields, ParentDocument, RunDocument, RunId, RunRow,
        ScheduledDocument, Sha256, StepDocument, StepError, Timestamp,
    };
    use std::collections::BTreeSet;

    fn keys(value: &Value) -> BTreeSet<&str> {
        value.as_object().unwrap().keys().map(String::as_str).collect()
    }

    /// The schema of this name has the fields of a document that has all of them, and requires those of one that has the least.
    fn describes(name: &str, full: &impl serde::Serialize, least: &impl serde::Serialize) {
        let (schema, full, least) =
            (&schemas()[name], serde_json::to_value(full).unwrap(), serde_json::to_value(least).unwrap());
        let required: BTreeSet<&str> =
            schema["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        assert_eq!(keys(&schema["properties"]), keys(&full), "{name}");
        assert_eq!(required, keys(&least), "{name}");
    }

    fn error() -> ErrorDocument {
        ErrorDocument::from(&StepError::new(ErrorClass::Timeout, "slow"))
    }

    fn step() -> StepDocument {
        StepDocument {
            path: "x".into(),
            op: "noop".into(),
            status: StepStatus::Pending,
            attempts: 0,
            started_at: None,
            finished_at: None,
            output: Fields::new(),
            error: None,
            cost: 0.0,
            saved: None,
            reason: None,
            asks: None,
            child: None,
            items: None,
            steps: Vec::new(),
        }
    }

    #[test]
    fn the_documents_of_runs_are_described_field_by_field() {
        let id: RunId = format!("run_{}", "0".repeat(32)).parse().unwrap();
        let least = step();
        let full = StepDocument {
            saved: Some("a.png".into()),
            reason: Some("waits".into()),
            asks: Some(json!({})),
            child: Some(id.to_string()),
            items: Some(ItemsDocument::default()),
            steps: vec![step()],
            ..step()
        };
        describes("Step", &full, &least);
        describes("Items", &ItemsDocument::default(), &ItemsDocument::default());
        describes("Error", &error(), &error());
        let least = RunDocument {
            id: id.to_string(),
            workflow: "x".into(),
            version: Sha256::of(b""),
            status: RunStatus::Pending,
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
            finished_at: None,
            inputs: Fields::new(),
            schedule: None,
            rerun_of: None,
            forked_from: None,
            parent: None,
            steps: Vec::new(),
            outputs: Fields::new(),
            cost: CostDocument::default(),
            error: None,
        };
        let full = RunDocument {
            schedule: Some(ScheduledDocument { id: "nightly".parse().unwrap(), at: Timestamp(0) }),
            rerun_of: Some(id),
            forked_from: Some(id),
            parent: Some(ParentDocument { run: id.to_string(), step: "x".into() }),
            ..least.clone()
        };
        describes("Run", &full, &least);
        let row = RunRow {
            id: id.to_string(),
            workflow: "x".into(),
            version: Sha256::of(b""),
            status: RunStatus::Pending,
            step: None,
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
            finished_at: None,
            error: None,
            cost: 0.0,
            parent: None,
        };
        describes("RunRow", &RunRow { parent: Some(id.to_string()), ..row.clone() }, &row);
    }

    #[test]
    fn plans_and_problems_are_described_field_by_field() {
        let cost = |per_item| Cost { low: 0.0, high: 0.0, source: "local".into(), per_item };
        describes("PlanCost", &cost(true), &cost(false));
        let step = PreviewStep {
            path: "x".into(),
            op: "noop".into(),
            model: None,
            route: None,
            from: None,
            action: Action::Run,
            reason: String::new(),
            items: None,
            is_fan_out: false,
            save: None,
            cost: cost(false),
            seconds: None,
        };
        describes("PlanStep", &step, &step);
        let plan =
            Preview { workflow: "x".into(), version: Sha256::of(b""), steps: vec![step], items: 0, cost: cost(false) };
        describes("Plan", &plan, &plan);
        let least = crate::problem::Mistake::at("/inputs", "wrong");
        let full = crate::problem::Mistake { line: Some(1), column: Some(1), ..least.clone() };
        describes("Mistake", &full, &least);
        let problem = crate::Problem::conflict("not now");
        describes("Problem", &problem.clone().retry_after(1).mistakes(vec![full]).document(), &problem.document());
    }
}
