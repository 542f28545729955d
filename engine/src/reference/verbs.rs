//! The page of the verbs of recipes.

use super::{cell, words};
use crate::recipe::verbs::{ALL, FILLERS, MADE, OWN, PICTURES, VERBS, Verb, Words};
use std::fmt::Write as _;

/// The page of all verbs, in Markdown.
pub fn recipes() -> String {
    let mut page = String::from(
        "<!-- generated from the table of verbs; do not edit -->\n\n# Verbs of recipes\n\n\
         A recipe is a workflow in plain English: one sentence a line, numbered or not. A sentence begins with a verb; several \
         are joined with `→`, `->`, `then`, or a comma or `and` before the next verb. Every word has to be known: what is not \
         is an error. `darkroom workflows convert recipe.txt` prints the workflow file that a recipe means.\n\n\
         ## Verbs\n\n| verb | also | op | |\n|---|---|---|---|\n",
    );
    for verb in VERBS {
        let op =
            if verb.op.is_empty() { String::new() } else { format!("[`{0}`](ops.md#{1})", verb.op, anchor(verb.op)) };
        let name = verb.names[0];
        let others = words(verb.names.iter().skip(1).copied());
        // Writing to a String does not fail.
        let _ = writeln!(page, "| `{name}` | {others} | {op} | {} |", cell(&about(verb)));
    }
    page.push_str(STRUCTURE);
    let _ = writeln!(
        page,
        "\n## Words that mean nothing by themselves\n\n\
         Little words: {}.\n\nWords for what is worked on: {}; before them {}.\n\nThat all the pictures are meant is said by {}.\n",
        words(FILLERS.iter().copied()),
        words(PICTURES.iter().copied()),
        words(MADE.iter().copied()),
        words(ALL.iter().copied()),
    );
    for (op, own) in OWN {
        let _ = writeln!(page, "- in sentences about `{op}`: {}", words(own.iter().copied()));
    }
    page
}

fn anchor(op: &str) -> String {
    op.replace('.', "")
}

fn about(verb: &Verb) -> String {
    let mut about = verb.summary.to_owned();
    match verb.words {
        Words::Text(param) => {
            let _ = write!(about, "; the words behind it are its `{param}`");
        }
        Words::Whole(param) => {
            let _ = write!(about, ": the sentence is its `{param}`");
        }
        Words::Settings | Words::Sentences => {}
    }
    let _ = write!(about, ". *{}*", verb.example);
    about
}

const STRUCTURE: &str = "
## What stands around sentences

| | |
|---|---|
| `Workflow \"name\":` | The first line: the workflow's id. Without it the id is the file's name. `(checkpointed)` may follow: every run is. |
| `1.` `2.` | Numbers of steps, in order. `the image of step 2` means what that step made. |
| `For each image in ./input/:` | The steps below are done for each picture of the folder, an input `images` that `-i 'images=@other/*.png'` replaces. |
| `Phase 1 (parallel): …` | A phase. `(per image)` does it for each picture that there is, `(sequential)` one after the other. |
| `- Models: a, b` | Lists below a sentence that ends in `:`. Each combination is made. |
| `Run in parallel.` | How the several pictures before it are made: also `Run at most 4 in parallel.` and `Run one at a time.` |
| `# …` | A comment. |

## What a sentence says

- **Settings** are parameters of the op by their names, in either order: `seed 42`, `50 steps`, `with 30px padding`, `quality 85`, `(flux-pro, seed 42)`. A model, a format, a proportion such as `16:9`, a size such as `800x600` and a place such as `bottom right` need no name. Percentages are of 1: `opacity 50%` is 0.5.
- **A list** of values makes one picture for each: `seeds 1, 2, 3`, `crop to 1:1, 16:9`. Several lists make each combination.
- **A number** says how many: `Generate 4 photos of a tea pot` makes four with the seeds 1 to 4, or from the `seed` that is given; with lists, the number has to be that of their combinations.
- **Text**, such as a prompt, goes up to a bracket, to `with` or `using` before a setting, to an arrow, or to a comma, `and` or `then` before a verb. In quotes it may hold anything. `3 supporting images` without `of …` are of what the sentence before it is of.
- **What is worked on** is what the step before it made, each of them if there are several; `all images` means everything that was made and not worked on yet. The first step of a recipe that makes nothing itself works on an input `image`.
- **Files** that are named become inputs, called as the file is, so that `-i logo=other.png` replaces them. Paths are relative to the recipe; those of `save` to `--out`.
- **Saving several** into a folder numbers them, or keeps the names that the user's own files have.
";
