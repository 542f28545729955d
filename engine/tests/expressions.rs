//! Expressions as workflows meet them: compiled from a file, worked out against a scope.

#![allow(clippy::unwrap_used, reason = "test code: a panic is the report")]

use darkroom_engine::expr::{ExprError, Reference, Scope, Template};
use darkroom_engine::plan::{Plan, Source as Value_, Work};
use darkroom_engine::{Source, compile, render};
use darkroom_proto::{Artifact, Sha256};
use serde_json::{Value, json};

/// A scope that knows a little of everything.
struct World;

fn picture() -> Value {
    let artifact = Artifact {
        sha256: Sha256::of(b"mug"),
        media_type: "image/png".into(),
        bytes: 3,
        width: Some(1024),
        height: Some(768),
        duration: None,
        name: "mug.large.png".into(),
    };
    artifact.to_value()
}

impl Scope for World {
    fn value(&self, reference: &Reference) -> Value {
        match reference {
            Reference::Error | Reference::Previous => Value::Null,
            Reference::Input(name) => match name.as_str() {
                "subject" => json!("Tea Pot"),
                "quality" => json!(85),
                "ratio" => json!(1.5),
                "dry" => json!(false),
                "photo" => Value::Null,
                "scenes" => json!([{"number": 1, "kind": "a"}, {"number": 3, "kind": "b"}, {"number": 5, "kind": "a"}]),
                "only" => json!([1, 5]),
                "dashed-name" => json!("dashed"),
                _ => json!({"deep": {"list": [1, 2, {"x": "y"}]}}),
            },
            Reference::Data => Value::Null,
            Reference::Step { name, .. } => match name.as_str() {
                "image" => picture(),
                "boxes" => json!([{"x": 1, "y": 2, "w": 3, "h": 4}]),
                "status" => json!("completed"),
                "results" => {
                    json!([{"ok": true, "image": picture(), "number": 1}, {"ok": false, "image": null, "number": 2}])
                }
                "images" => json!([picture(), picture()]),
                "failed" => json!(1),
                _ => Value::Null,
            },
            Reference::Item => json!("item"),
            Reference::Index => json!(0),
            Reference::Number => json!(1),
            Reference::Matrix => json!({"a": 1}),
            Reference::Run(name) => json!(format!("the {name}")),
        }
    }

    fn url(&self, artifact: &Artifact) -> String {
        format!("https://files.example.com/{}", artifact.name)
    }
}

fn plan(expression: &str) -> Plan {
    let yaml = format!(
        r#"workflow: case
inputs:
  subject: {{ type: string }}
  quality: {{ type: integer }}
  ratio: {{ type: number }}
  dry: {{ type: boolean }}
  photo: {{ type: image, required: false }}
  scenes: {{ type: json }}
  only: {{ type: json }}
  any: {{ type: json }}
  dashed-name: {{ type: string }}
steps:
  - id: hero
    uses: image.generate
    with: {{ prompt: a }}
  - uses: image.detect
  - id: shots
    for-each: [1, 2]
    uses: image.generate
    with: {{ prompt: b }}
  - id: last-one
    uses: noop
    with:
      data: {}
"#,
        serde_json::to_string(expression).unwrap()
    );
    let source = Source::new("case.yaml", yaml);
    match compile(&source) {
        Ok(compiled) => compiled.plan,
        Err(diagnostics) => panic!("{expression}\n{}", render(&diagnostics, &source, false)),
    }
}

fn template(plan: &Plan) -> &Template {
    let node = plan.nodes.iter().find(|node| node.id == "last-one").unwrap();
    match &node.work {
        Work::Call(call) => match &call.arguments[0].source {
            Value_::Given(template) => template,
            Value_::Wired(_) => panic!("wired"),
        },
        Work::FanOut(_) => panic!("fan-out"),
    }
}

fn resolve(expression: &str) -> Result<Value, ExprError> {
    template(&plan(expression)).resolve(&World)
}

#[test]
fn values_keep_their_types_and_text_is_put_together() {
    let cases = [
        // Exactly one expression keeps its type.
        ("${{ inputs.quality }}", json!(85)),
        (" ${{ inputs.quality }}\n", json!(85)),
        ("${{ inputs.quality + 1 }}", json!(86)),
        ("${{ inputs.ratio }}", json!(1.5)),
        ("${{ inputs.ratio * 2 }}", json!(3.0)),
        ("${{ inputs.dry }}", json!(false)),
        ("${{ inputs.photo }}", Value::Null),
        ("${{ [inputs.quality, inputs.subject] }}", json!([85, "Tea Pot"])),
        ("${{ {'a': inputs.quality} }}", json!({"a": 85})),
        ("${{ inputs.any.deep.list[2].x }}", json!("y")),
        ("${{ inputs.any['deep'].list[-1].x }}", json!("y")),
        ("${{ inputs.any.deep.missing }}", Value::Null),
        ("${{ inputs.any.deep.list[9] }}", Value::Null),
        // Text around it makes text.
        ("a ${{ inputs.subject }} at ${{ inputs.quality }}%, ${{ inputs.dry }}", json!("a Tea Pot at 85%, false")),
        ("{{ x }} {% y %} {# z #} $${{ w }}", json!("{{ x }} {% y %} {# z #} ${{ w }}")),
        ("${{ '}}' ~ '{{' }}!", json!("}}{{!")),
        // Artifacts.
        ("${{ steps.hero.image }}", picture()),
        ("${{ steps.hero.image or inputs.photo }}", picture()),
        ("${{ [steps.hero.image] + steps.shots.images }}", json!([picture(), picture(), picture()])),
        ("${{ steps.hero.image.stem }}.${{ steps.hero.image.ext }}", json!("mug.large.png")),
        ("${{ steps.hero.image.url }}", json!("https://files.example.com/mug.large.png")),
        ("${{ steps.hero.image.width // 2 }}", json!(512)),
        ("${{ (inputs.photo or steps.hero.image).url | upper }}", json!("HTTPS://FILES.EXAMPLE.COM/MUG.LARGE.PNG")),
        (
            "${{ steps.shots.results | selectattr('ok') | map(attribute='image.name') | list }}",
            json!(["mug.large.png"]),
        ),
        ("${{ steps.shots.results | map(attribute='image') | first }}", picture()),
        // Operators.
        ("${{ not inputs.photo }}", json!(true)),
        ("${{ inputs.photo is none }}", json!(true)),
        ("${{ steps.shots.failed > 0 and steps.hero.status == 'completed' }}", json!(true)),
        ("${{ 'big' if inputs.quality > 90 else 'small' }}", json!("small")),
        ("${{ inputs.quality in [80, 85] }}", json!(true)),
        ("${{ 'a' ~ inputs.quality }}", json!("a85")),
        // Filters.
        ("${{ inputs.subject | slug }}", json!("tea-pot")),
        ("${{ '16:9' | slug }}", json!("16-9")),
        ("${{ inputs.scenes | where_in('number', inputs.only) | map(attribute='kind') | list }}", json!(["a", "a"])),
        ("${{ inputs.scenes | where_in('kind', []) | length }}", json!(3)),
        ("${{ inputs.scenes | where_in('kind', inputs.photo) | length }}", json!(3)),
        ("${{ [1, 2, 3] | slice(2) | list }}", json!([[1, 2], [3]])),
        ("${{ range(3) | list }}", json!([0, 1, 2])),
        ("${{ ['a', 'b'] | join(', ') }}", json!("a, b")),
        ("${{ '%02d' | format(7) }}", json!("07")),
        ("${{ inputs.photo | default('x', true) }}", json!("x")),
        // Names with dashes.
        ("${{ inputs.dashed-name }}", json!("dashed")),
        ("${{ inputs.quality-1 }}", json!(84)),
        ("${{ run.id }} ${{ run.workflow }}", json!("the id the workflow")),
        ("${{ steps.detect.boxes[0].w }}", json!(3)),
    ];
    for (expression, want) in cases {
        assert_eq!(resolve(expression), Ok(want), "{expression}");
    }
}

#[test]
fn what_has_no_value_says_why() {
    let cases = [
        ("a ${{ inputs.any.photo }}", "`inputs.any.photo` is none and can't be put into text"),
        ("a ${{ inputs.any }}", "`inputs.any` is an object and can't be put into text"),
        ("a ${{ inputs.scenes }}", "`inputs.scenes` is a list and can't be put into text"),
        ("${{ 'a' ~ steps.hero.image }}", "`'a' ~ steps.hero.image` is an artifact and can't be put into text"),
        ("${{ inputs.any.a.b.c }}", "`inputs.any.a.b.c` can't be worked out: a value on the way to it does not exist"),
        ("${{ 'a' * 100000000 }}", "`'a' * 100000000` is too much work: more than 67108864 bytes of text"),
        (
            "${{ inputs.subject / 2 }}",
            "`inputs.subject / 2` can't be worked out: tried to use / operator on unsupported types string and number",
        ),
    ];
    for (expression, want) in cases {
        let error = resolve(expression).unwrap_err();
        assert_eq!(error.to_string(), want, "{expression}");
        assert!(!error.advice().is_empty(), "{expression}");
    }
}

#[test]
fn work_and_size_are_limited() {
    for expression in [
        "${{ range(100000) | map('string') | map('replace', '1', '1' * 100000) | join }}",
        "${{ (range(100000) | list) * 1000 | list }}",
        "${{ 'x' | indent(100000) }}",
        "${{ '%999999999d' | format(1) }}",
        "${{ [1] | slice(1000000000) | list }}",
        "${{ [1] | batch(1000000000, 1) | list }}",
        "${{ (range(100000) | list) + (range(100000) | list) * 20 }}",
    ] {
        let start = std::time::Instant::now();
        let error = resolve(expression).unwrap_err();
        assert!(error.to_string().len() < 500, "{error}");
        assert!(start.elapsed().as_secs() < 5, "{expression}: {:?}", start.elapsed());
    }
}

#[test]
fn wide_fan_outs_can_be_mapped_over() {
    struct Wide;
    impl Scope for Wide {
        fn value(&self, _: &Reference) -> Value {
            Value::Array((0..10_000).map(|number| json!({"ok": true, "number": number, "image": picture()})).collect())
        }
        fn url(&self, _: &Artifact) -> String {
            String::new()
        }
    }
    let plan = plan("${{ steps.shots.results | selectattr('ok') | map(attribute='image') | list }}");
    let value = template(&plan).resolve(&Wide).unwrap();
    assert_eq!(value.as_array().unwrap().len(), 10_000);
    assert_eq!(value[9_999], picture());
}
