//! `darkroom test`: workflows are tried without providers, servers or waiting.

use crate::folder::{Folder, repository};
use std::collections::BTreeSet;

const WORKFLOW: &str = "workflow: greeting
inputs:
  name: {type: string, min: 1}
steps:
  - id: hero
    uses: image.generate
    with: {model: flux-pro, prompt: 'for ${{ inputs.name }}'}
  - id: month
    uses: sleep
    with: {for: 30d}
  - id: review
    uses: human.approve
    timeout: 48h
    with: {title: Send it?}
  - id: small
    uses: image.resize
    with: {image: '${{ steps.hero.image }}', width: 32, height: 32}
    save: small.png
outputs:
  small: ${{ steps.small.image }}
";

const TESTS: &str = "workflow: greeting.yaml
tests:
  - name: who is approved gets a small picture
    inputs: {name: Ada}
    mocks:
      hero: {error: rate_limit, times: 2, then: {image: 64x64}}
    events:
      - {when: review, after: 1h, approve: review, by: ada}
    expect:
      steps: {review: {output: {by: ada}}}
      outputs: {small: {width: 32}}
      order: [hero, month, review, small]
      attempts: {hero: 3}
      elapsed: '>= 721h'
      saved: [small.png]
";

#[test]
fn the_workflows_of_the_catalogue_pass_their_tests() {
    let tests = repository("workflows/tests");
    let stems = |folder: &std::path::Path, ending: &str| -> BTreeSet<String> {
        let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter_map(|name| name.strip_suffix(ending).map(str::to_owned)).collect()
    };
    assert_eq!(stems(&repository("workflows"), ".yaml"), stems(&tests, ".test.yaml"), "each has a file of tests");
    Folder::new().run(&["test", tests.to_str().unwrap()]).expect(0).says(&[" 0 failed"]);
}

#[test]
fn a_month_and_a_persons_decision_pass_at_once() {
    let folder = Folder::new();
    folder.write("greeting.yaml", WORKFLOW);
    folder.write("greeting.test.yaml", TESTS);
    let ended = folder.run(&["test", "."]).expect(0);
    ended.prints(&["ok ", "greeting.test.yaml: who is approved gets a small picture"]).says(&["1 passed, 0 failed"]);
}

#[test]
fn a_test_that_fails_says_what_was_expected_what_came_and_what_happened() {
    let folder = Folder::new();
    folder.write("greeting.yaml", WORKFLOW);
    folder.write("a.test.yaml", TESTS.replace("width: 32", "width: 33"));
    folder.write(
        "b.test.yaml",
        TESTS.replace("approve: review,", "reject: review,").replace("{by: ada}}}", "{decision: rejected}}}"),
    );
    let ended = folder.run(&["test", "a.test.yaml", "b.test.yaml"]).expect(1);
    ended
        .prints(&[
            "FAILED  a.test.yaml",
            "outputs.small.width",
            "expected  33",
            "found     32",
            "+0s run_started",
            "ok      b.test",
        ])
        .says(&["1 passed, 1 failed"]);
    let shown = folder.run(&["test", ".", "--filter", "a.test", "-o", "json"]).expect(1).json();
    assert_eq!((&shown["passed"], &shown["failed"]), (&0.into(), &1.into()));
    assert_eq!(shown["files"][0]["tests"][0]["mismatches"][0]["what"], "outputs.small.width");
}

#[test]
fn a_file_of_tests_is_read_as_strictly_as_a_workflow() {
    let folder = Folder::new();
    folder.write("greeting.yaml", WORKFLOW);
    let mistakes = [
        ("mocks:", "mockz:", "a test has no key `mockz`"),
        ("hero: {error", "heroo: {error", "did you mean `hero`?"),
        ("hero: {error", "month: {error", "`sleep` is performed by the engine"),
        ("rate_limit", "rate_limits", "`error` can't be `rate_limits`"),
        ("after: 1h", "after: soon", "`soon` is no duration"),
        ("{name: Ada}", "{nam: Ada}", "there is no input `nam`"),
        ("{name: Ada}", "{name: ''}", "the input `name`"),
        ("when: review", "when: preview", "the workflow has no step `preview`"),
        ("outputs: {small", "outputs: {large", "the workflow has no output `large`"),
        ("by: ada}\n", "by: ada, data: 1}\n", "`data` means nothing here"),
        ("64x64", "'@no.png'", "width and height in pixels"),
        ("greeting.yaml", "nothing.yaml", "there is no file nothing.yaml"),
    ];
    for (right, wrong, said) in mistakes {
        assert!(TESTS.contains(right), "{right}");
        folder.write("bad.test.yaml", TESTS.replacen(right, wrong, 1));
        folder.run(&["test", "bad.test.yaml"]).expect(2).says(&["bad.test.yaml:", said]);
    }
    folder.run(&["test", "none.test.yaml"]).expect(2).says(&["none.test.yaml can't be read"]);
    folder.run(&["test", ".", "--filter", "nothing"]).expect(2);
}

#[test]
fn every_pattern_of_the_book_has_a_page_and_passes_its_tests() {
    let patterns = repository("workflows/patterns");
    let pages: Vec<String> = std::fs::read_dir(repository("docs/src/patterns"))
        .unwrap()
        .map(|page| std::fs::read_to_string(page.unwrap().path()).unwrap())
        .collect();
    let mut count = 0;
    for entry in std::fs::read_dir(&patterns).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Some(stem) = name.strip_suffix(".yaml").filter(|stem| !stem.ends_with(".test")) else { continue };
        count += 1;
        assert!(patterns.join(format!("{stem}.test.yaml")).exists(), "{name} has no tests");
        let include = format!("{{{{#include ../../../workflows/patterns/{name}}}}}");
        assert!(pages.iter().any(|page| page.contains(&include)), "no page shows {name}");
    }
    assert!(count >= 8, "{count}");
    Folder::new().run(&["test", &patterns.display().to_string()]).expect(0).says(&[", 0 failed"]);
}
