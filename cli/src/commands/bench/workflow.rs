//! The workflows that benchmarks run.

use crate::failure::Failure;
use crate::workflow_file::WorkflowFile;
use darkroom_backend::{Clock, Definition};
use darkroom_engine::{About, Source, Spec, compile};
use darkroom_proto::{Duration, Map};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

/// A workflow of a benchmark's own.
pub(super) fn compiled(name: &str, text: &str) -> Result<WorkflowFile, Failure> {
    let source = Source::new(format!("{name}.yaml"), text);
    let compiled = compile(&source).map_err(|errors| {
        let first = errors.first().map(|error| error.message.clone()).unwrap_or_default();
        Failure::other(format!("the benchmark's own workflow does not compile: {first}"))
    })?;
    let definition = Definition {
        hash: compiled.plan.definition,
        workflow: compiled.plan.workflow.clone(),
        file: source.name().to_owned(),
        source: source.text().to_owned(),
    };
    let (plan, folder) = (Arc::new(compiled.plan), PathBuf::new());
    Ok(WorkflowFile {
        plan,
        definition,
        about: About::default(),
        enabled: true,
        is_off: false,
        schedules: Vec::new(),
        folder,
        children: Vec::new(),
    })
}

/// No-op steps that pass 200 bytes on, one after the other.
pub(super) fn pipeline(name: &str, steps: u32, step_time: Duration) -> String {
    let mut text = format!("workflow: {name}\nsteps:\n");
    for number in 1..=steps {
        let data = match number {
            1 => "x".repeat(200),
            _ => format!("${{{{ steps.s{}.data }}}}", number - 1),
        };
        let _ =
            writeln!(text, "  - {{ id: s{number}, uses: noop, with: {{ data: \"{data}\", step-time: {step_time} }} }}");
    }
    text
}

/// No-op steps that pass some 200 bytes on, all at once.
pub(super) fn fan_out(name: &str, step_time: Duration) -> String {
    format!(
        "workflow: {name}\ninputs:\n  items: {{ type: json }}\nsteps:\n  - id: each\n    for-each: inputs.items\n    \
         uses: noop\n    with: {{ data: \"${{{{ item }}}} {}\", step-time: {step_time} }}\n",
        "x".repeat(190)
    )
}

/// The same, and behind it a step that gets all results.
pub(super) fn fan_out_and_in(name: &str, step_time: Duration) -> String {
    let mut text = fan_out(name, step_time);
    text.push_str("  - { id: join, uses: noop, needs: each, with: { data: \"${{ steps.each.results }}\" } }\n");
    text
}

/// Films that a provider makes, all at once, each from words of its own.
pub(super) fn films(name: &str, model: &str) -> String {
    format!(
        "workflow: {name}\ninputs:\n  items: {{ type: json }}\nsteps:\n  - id: each\n    for-each: inputs.items\n    \
         uses: video.generate\n    with: {{ model: {model}, prompt: \"film ${{{{ item }}}}\" }}\n"
    )
}

/// What a run of it is given.
pub(super) fn spec(file: &WorkflowFile, inputs: Map) -> Spec {
    Spec::new(&file.plan, inputs, Clock::system().now())
}

/// Pictures for the web.
pub(super) const WEB_READY: &str = "workflow: media
inputs:
  images: { type: 'image[]' }
steps:
  - id: each
    for-each: inputs.images
    steps:
      - { uses: image.resize, with: { width: 800, height: 800 } }
      - uses: image.grayscale
      - { uses: image.encode, with: { format: webp, quality: 85 } }
";
