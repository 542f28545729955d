//! Properties that hold for every file: nothing panics, and a file means the same as YAML and as JSON.

#![allow(clippy::unwrap_used, reason = "test code: a panic is the report")]

use darkroom_engine::{Source, compile, render};
use proptest::prelude::*;
use std::path::Path;
use std::sync::LazyLock;

static CATALOGUE: LazyLock<Vec<String>> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts = Vec::new();
    for folder in ["../workflows", "tests/diagnostics", "tests/wiring"] {
        let mut paths: Vec<_> =
            std::fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "yaml")) {
            texts.push(String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned());
        }
    }
    texts
});

/// Every recipe that is tested.
static RECIPES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts = Vec::new();
    for folder in ["../workflows/recipes", "tests/recipes", "tests/recipes/mistakes"] {
        let mut paths: Vec<_> =
            std::fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "txt")) {
            texts.push(String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned());
        }
    }
    texts
});

/// Words that recipes give a meaning.
const RECIPE_WORDS: &[&str] = &[
    "Workflow \"a\":\n",
    "For each image in ./input/:\n",
    "Phase 1 (per image): ",
    "\n1. ",
    "\n2. ",
    "\n- Models: ",
    "\n- Seeds: ",
    "Run in parallel.",
    "Generate ",
    "Detect ",
    "Crop to ",
    "Resize to ",
    "Overlay ",
    "Save as ",
    "Process all images: ",
    "optimize for web ",
    "animate it ",
    "remove the background ",
    "wait for 2 hours ",
    "all images ",
    "the detected mug ",
    "4 photos of a mug ",
    "with seed 1 ",
    "seeds 1, 2, 3 ",
    "50 steps ",
    "flux-pro ",
    "16:9 ",
    "800x600 ",
    "./a.png ",
    "./out/ ",
    "step 1 ",
    "by 20% ",
    "at (8, 9) ",
    "in the bottom right corner ",
    "one at a time ",
    "\"quoted, text\" ",
    "using:",
    "→ ",
    " then ",
    " and ",
    ", ",
    ". ",
    ": ",
    "(",
    ")",
    "\"",
    "“",
    "${{ ",
    " }}",
    "ä",
    "99999999999999999999 ",
    "-1e308 ",
    "\n  ",
    "\r\n",
    "# ",
];

/// Exercises a recipe; what it means as a file makes the same plan.
fn exercise_recipe(source: &Source) {
    exercise(source);
    let Ok(compiled) = compile(source) else { return };
    let yaml = darkroom_engine::recipe::to_yaml(source).unwrap();
    match compile(&Source::new("written.yaml", yaml.as_str())) {
        Ok(written) => assert_eq!(written.plan.definition, compiled.plan.definition, "{yaml}"),
        Err(found) => {
            panic!("{}\n{yaml}\n{}", source.text(), render(&found, &Source::new("a.yaml", yaml.as_str()), false))
        }
    }
}

/// Compiles and renders; what comes out has to point into the file.
fn exercise(source: &Source) {
    let diagnostics = match compile(source) {
        Ok(compiled) => compiled.warnings,
        Err(diagnostics) => {
            assert!(diagnostics.iter().any(|diagnostic| diagnostic.is_error()), "refused without an error");
            diagnostics
        }
    };
    for diagnostic in &diagnostics {
        assert!(
            diagnostic.span.start <= diagnostic.span.end
                && diagnostic.span.end <= source.text().len().max(diagnostic.span.end.min(1))
        );
        assert!(darkroom_engine::code::find(diagnostic.code).is_some(), "{}", diagnostic.code);
    }
    assert!(diagnostics.is_sorted_by_key(|diagnostic| diagnostic.span.start));
    render(&diagnostics, source, true);
    serde_json::to_string(&diagnostics).unwrap();
}

/// Words that the language gives a meaning, to get further into it than noise does.
const WORDS: &[&str] = &[
    "workflow",
    "steps",
    "inputs",
    "outputs",
    "uses",
    "with",
    "id",
    "if",
    "needs",
    "parallel",
    "for-each",
    "matrix",
    "save",
    "retry",
    "image.crop",
    "image.detect",
    "image.resize",
    "noop",
    "${{",
    "}}",
    "steps.",
    "inputs.",
    "item",
    ".image",
    "[0]",
    "| map(attribute='x')",
    ": ",
    "- ",
    "\n",
    "\n  ",
    "\n    ",
    "{",
    "}",
    "[",
    "]",
    ",",
    "\"",
    "'",
    "#",
    "&a ",
    "*a",
    "<<",
    "!!str ",
    "---",
    "|\n",
    ">-\n",
    "\t",
    "ä",
    "🎬",
    "\u{0}",
    "null",
    "true",
    "1e9",
    "-5",
    "image[]",
    "type",
    "default",
    "or",
    "not",
    "~",
];

/// A value whose quotes do not make it YAML was quoted again and again, twice as long each time.
#[test]
fn a_value_that_quotes_do_not_mend_is_quoted_once() {
    let text = "workflow: case\nsteps:\n  - uses: noop\n    with: { data: [a ${{ inputs.most }} b, ${{ inputs.photo.name ~ \"x\" }: 1\n";
    exercise(&Source::new("mutated.yaml", text));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        exercise(&Source::from_bytes("noise.yaml", &bytes));
    }

    #[test]
    fn words_never_panic(words in prop::collection::vec(prop::sample::select(WORDS), 0..120)) {
        exercise(&Source::new("words.yaml", words.concat()));
    }

    #[test]
    fn mutated_files_never_panic(
        which in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..12, prop::sample::select(WORDS)), 1..6),
    ) {
        let mut text: Vec<char> = which.get(&CATALOGUE).chars().collect();
        for (at, remove, insert) in edits {
            let at = at.index(text.len() + 1);
            let end = (at + remove).min(text.len());
            text.splice(at..end, insert.chars());
        }
        exercise(&Source::new("mutated.yaml", text.into_iter().collect::<String>()));
    }

    #[test]
    fn words_of_recipes_never_panic(words in prop::collection::vec(prop::sample::select(RECIPE_WORDS), 0..60)) {
        exercise_recipe(&Source::new("words.txt", words.concat()));
    }

    #[test]
    fn noise_as_a_recipe_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400), text in "\\PC{0,200}") {
        exercise_recipe(&Source::from_bytes("noise.txt", &bytes));
        exercise_recipe(&Source::new("noise.txt", text));
    }

    #[test]
    fn mutated_recipes_never_panic(
        which in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..12, prop::sample::select(RECIPE_WORDS)), 0..6),
    ) {
        let mut text: Vec<char> = which.get(&RECIPES).chars().collect();
        for (at, remove, insert) in edits {
            let at = at.index(text.len() + 1);
            let end = (at + remove).min(text.len());
            text.splice(at..end, insert.chars());
        }
        exercise_recipe(&Source::new("mutated.txt", text.into_iter().collect::<String>()));
    }

    #[test]
    fn expressions_never_panic(words in prop::collection::vec(prop::sample::select(WORDS), 0..20)) {
        let expression: String = words.concat().replace('\n', " ");
        let json = serde_json::json!({
            "workflow": "case",
            "inputs": {"a": {"type": "json"}},
            "steps": [
                {"uses": "noop", "with": {"data": format!("x ${{{{ {expression} }}}}")}, "if": expression.clone()},
                {"id": "each", "for-each": expression, "uses": "noop", "with": {"data": "${{ item.a }}"}},
            ],
        });
        exercise(&Source::new("expression.json", json.to_string()));
    }
}

#[test]
fn a_file_means_the_same_as_yaml_and_as_json() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../workflows");
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let yaml = compile(&Source::from_bytes("a.yaml", &std::fs::read(&path).unwrap())).unwrap();
        let json = compile(&Source::new("a.json", yaml.definition.clone())).unwrap();
        assert_eq!(json.plan.definition, yaml.plan.definition, "{}", path.display());
        let pretty: serde_json::Value = serde_json::from_str(&yaml.definition).unwrap();
        let pretty = compile(&Source::new("a.json", serde_json::to_string_pretty(&pretty).unwrap())).unwrap();
        assert_eq!(pretty.plan.definition, yaml.plan.definition, "{}", path.display());
    }
}

#[test]
fn numbers_and_words_mean_the_same_in_yaml_and_in_json() {
    let hash = |text: &str| compile(&Source::new("a", text)).unwrap().plan.definition;
    let yaml = "workflow: a\nsteps:\n- uses: noop\n  with:\n    data: [1, -2, 1.50, 1e3, ~, null, true, yes, '1', 0x10, |-\n        x\n      ]\n";
    let yaml = yaml.replace(", |-\n        x\n      ]", ", x]");
    let json = r#"{"workflow": "a", "steps": [{"uses": "noop", "with": {"data": [1, -2, 1.5, 1000.0, null, null, true, "yes", "1", 16, "x"]}}]}"#;
    assert_eq!(hash(&yaml), hash(json));
    let anchored = "workflow: a\nsteps:\n- &s\n  uses: noop\n  with: {data: 1}\n- <<: *s\n  id: b\n";
    let written =
        r#"{"workflow":"a","steps":[{"uses":"noop","with":{"data":1}},{"uses":"noop","with":{"data":1},"id":"b"}]}"#;
    assert_eq!(hash(anchored), hash(written));
}

#[test]
fn large_files_are_refused() {
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n";
    let text_bomb = format!("a: &a {}\nb: [{}]\n", "x".repeat(500_000), vec!["*a"; 5_000].join(","));
    let cases = [
        bomb.to_owned(),
        text_bomb,
        "[".repeat(500_000),
        "{a: ".repeat(200_000),
        "- ".repeat(300_000),
        "${{ x".repeat(100_000),
        format!("workflow: a\nsteps:\n- uses: noop\n  with: {{ data: \"{}\" }}\n", "${{ inputs.a }}".repeat(60_000)),
        format!("a: {{ b: {} }}\n", "${{ x }}, ".repeat(20_000)),
        format!("workflow: a\nsteps:\n{}", "- uses: noop\n".repeat(3_000)),
        format!("workflow: a\nsteps:\n- uses: noop\n  if: {}1{}\n", "(".repeat(2_000), ")".repeat(2_000)),
        format!("workflow: a\nsteps:\n- uses: noop\n  if: {}1\n", "not ".repeat(1_000)),
        format!("workflow: a\nsteps:\n- uses: noop\n  if: {}1\n", "1 + ".repeat(1_000)),
    ];
    for text in cases {
        let (start, head) = (std::time::Instant::now(), text.chars().take(60).collect::<String>());
        exercise(&Source::new("large.yaml", text));
        println!("{:?} {head:?}", start.elapsed());
    }
}

#[test]
fn large_recipes_are_refused() {
    let recipes = [
        "(".repeat(500_000),
        "\"a\" ".repeat(100_000),
        "a, ".repeat(200_000),
        "Crop to 1:1, ".repeat(50_000),
        format!("Generate {}", "a mug and then ".repeat(30_000)),
        format!("Generate a mug ({})", "seed 1, ".repeat(50_000)),
        format!("Detect {}", "in the image ".repeat(50_000)),
        format!("Crop {}", "frobnicate ".repeat(50_000)),
        "Process all images: ".repeat(20_000),
        "Process (".repeat(20_000),
        format!("1. {}", (2..50_000).map(|n| format!("a {n}. ")).collect::<String>()),
        "1. Resize to 8x8\n".repeat(3_000),
        "1000 x\n".repeat(100_000),
    ];
    for text in recipes {
        let (start, head) = (std::time::Instant::now(), text.chars().take(60).collect::<String>());
        exercise_recipe(&Source::new("large.txt", text));
        println!("{:?} {head:?}", start.elapsed());
    }
}
