//! Every code that a diagnostic can have, with what `darkroom explain` says about it.

/// What a code means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// The code, such as `DR014`.
    pub code: &'static str,
    /// A few words.
    pub title: &'static str,
    /// A paragraph: why it is a mistake and what to write instead.
    pub explanation: &'static str,
}

/// The code of this name, in upper or lower case.
pub fn find(code: &str) -> Option<&'static Code> {
    CODES.iter().find(|known| known.code.eq_ignore_ascii_case(code))
}

macro_rules! codes {
    ($($name:ident $code:literal $title:literal $explanation:literal)*) => {
        $(#[doc = $title] pub const $name: &str = $code;)*

        /// Every code, in order.
        pub const CODES: &[Code] = &[$(Code { code: $code, title: $title, explanation: $explanation }),*];
    };
}

codes! {
    UNREADABLE "DR001" "the file is not text"
    "A workflow file is UTF-8 text, YAML or JSON. Editors on Windows sometimes save UTF-16: choose UTF-8 when saving."

    TOO_LARGE "DR002" "the file is too large"
    "A workflow file has at most 1 MiB, is nested at most 64 deep and holds at most 10,000 values, counted after YAML aliases are written out. Large data belongs into an input of type `json`, `csv`, `jsonl` or `file`, which has no such limit."

    SYNTAX "DR003" "the file is no YAML"
    "The text breaks the rules of YAML 1.2. The usual causes: a tab in the indentation, text with `: ` in it that is not quoted, a value that begins with `@`, `*`, `&`, `%` or a backtick and is not quoted, or a bracket or quote that is not closed."

    UNQUOTED "DR004" "an expression needs quotes here"
    "Inside `{ }` and `[ ]` YAML reads a brace as the beginning of a mapping, so that `{ box: ${{ steps.detect.boxes[0] }} }` is no YAML. Put the value in quotes, `{ box: \"${{ steps.detect.boxes[0] }}\" }`, or write the mapping on lines of its own, where no quotes are needed."

    DUPLICATE_KEY "DR005" "a key stands twice"
    "Two equal keys in one mapping: most YAML readers would silently keep the last one. Keep one of them. For several steps of the same op, write several items of the list `steps`."

    ALIAS "DR006" "an alias that can't be followed"
    "`*name` in YAML stands for what `&name` marks further up. Unquoted text that begins with `*`, such as a glob, is taken for an alias: put it in quotes. An alias can't stand inside the value that it stands for."

    UNKNOWN_KEY "DR007" "an unknown key"
    "The language has no key of this name at this place. Keys are written in lower case with dashes, such as `max-parallel`. Parameters of an op stand under `with:`, not beside `uses:`."

    MISSING_KEY "DR008" "a key is missing"
    "A workflow needs `workflow` (its id) and `steps`; a step needs `uses`, `parallel` or, with `for-each` or `matrix`, `steps`; an input needs `type`; an input of type `enum` needs `enum`."

    WRONG_SHAPE "DR009" "a value of another kind is expected"
    "The value of this key has to be of another kind: a list instead of a mapping, a number instead of text, and so on. In YAML an unquoted `yes` is text, `true` is a boolean, `85` is a number and `\"85\"` is text."

    UNKNOWN_OP "DR010" "an unknown op"
    "`uses:` names an op of the catalogue, such as `image.crop`. `darkroom workflows schema` and the reference page list all of them."

    UNKNOWN_MODEL "DR011" "an unknown model"
    "`model:` names a model of the catalogue that can do what the op does, by its alias (`flux-pro`) or as `provider/alias` (`fal/flux-pro`) where that provider offers it."

    UNKNOWN_INPUT "DR012" "an unknown input"
    "`inputs.NAME` has to be declared under `inputs:` at the top of the file."

    UNKNOWN_STEP "DR013" "an unknown step"
    "`steps.ID` and `needs:` name steps by their `id:`. A step without one has the last word of its op as its id (`image.resize` is `resize`), then `resize-2` and so on. Steps in the body of a fan-out are visible only inside the same instance."

    UNKNOWN_OUTPUT "DR014" "an unknown output"
    "The step gives no output of this name. Every op lists its outputs in the reference; besides them there are `status` and `error`. A fan-out gives `results`, `ok`, `images`, `videos`, `audios`, `total`, `completed`, `skipped` and `failed`."

    UNKNOWN_NAME "DR015" "an unknown name in an expression"
    "Expressions know `inputs`, `steps`, `run` and, inside a fan-out, `item`, `index`, `number` and `matrix`. The `filter` of a `wait.event` also knows `data`, that of the event. Text in an expression needs quotes: `item.kind == 'photo'`."

    BAD_ID "DR016" "not usable as an id"
    "Ids begin with a letter, go on with letters, digits, `_` and `-`, and have at most 64 characters: they become parts of paths and expressions."

    DUPLICATE_ID "DR017" "two steps have one id"
    "Within one list of steps, the members of its `parallel:` groups included, every id stands once, so that `steps.ID` means one step."

    UNKNOWN_PARAMETER "DR018" "an unknown parameter"
    "The op has no parameter of this name. The reference page of the op lists what it takes."

    MISSING_PARAMETER "DR019" "a parameter is missing"
    "The op can't work without this parameter, and nothing flows into it by itself. Only pictures, videos and sounds flow from step to step."

    WRONG_TYPE "DR020" "a value of another type is expected"
    "The parameter takes another type of value. Numbers are written without quotes and text that looks like a number with them. An expression that is a value by itself keeps its type: `${{ inputs.quality }}` is a number when the input is one."

    OUT_OF_RANGE "DR021" "a value is out of its range"
    "The value is smaller or larger than the parameter or key allows."

    UNKNOWN_WORD "DR022" "an unknown word"
    "The parameter or key takes one of a few words. Other tools may call the same thing differently; the help names the nearest one."

    BAD_EXPRESSION "DR023" "the expression can't be read"
    "Expressions are those of Jinja: `and`, `or`, `not`, `==`, `in`, `a if condition else b`, filters such as `x | upper`, lists and indexes. There are no statements, assignments or methods."

    DYNAMIC "DR024" "a name has to be written out"
    "`steps`, `inputs` and `run` are followed by a name that is written out, so that the order of steps can be known before the run. Choose between written-out values: `steps.a.image if inputs.first else steps.b.image`."

    MISSING_BRACES "DR025" "a path without braces"
    "The value looks like a path to a value, and without `${{ }}` it is only text. `if:` and `for-each:` take an expression as it is; everywhere else it needs the braces."

    FORWARD "DR026" "a reference to a later step"
    "A step can use only what ends before it starts. Move the step that is used up, or the one that uses it down."

    CYCLE "DR027" "steps wait for each other"
    "A step that waits, by `needs` or by a reference, for one that waits for it would never start."

    AMBIGUOUS "DR028" "it is not clear which picture is meant"
    "A picture, video or sound that is not given is that of the nearest earlier step that makes one. Here two steps are equally near, as after `parallel:`, so the step has to say which one it means."

    NOTHING_FLOWS "DR029" "nothing flows into the step"
    "A picture, video or sound that is not given is that of the nearest earlier step that makes one; the first step takes the workflow's only input of that kind; the first step of a `for-each` body takes the item, if it is one. Fan-outs do not flow on, and nothing else flows into their bodies."

    SAME_PATH "DR030" "two files would be saved to one path"
    "Every `save` needs a path of its own. Inside a fan-out the path has to differ from instance to instance: put `${{ number }}`, `${{ item.stem }}` or `${{ matrix.… }}` in it, or end it with `/` to keep each item's name."

    PATH_LEAVES "DR031" "a path that leaves the output folder"
    "Paths of `save` are relative to the output folder (`--out`) and stay inside it: they do not begin with `/`, `~` or a drive and have no `..` in them."

    EXTENSION "DR032" "the extension does not fit"
    "The extension of the path decides the format of a picture: `.png`, `.jpg`, `.jpeg` or `.webp`. After `image.encode` it has to agree with the `format` given there."

    BAD_DURATION "DR033" "not a duration"
    "Durations are a number with a unit: `250ms`, `30s`, `5m`, `48h`, `7d`. A number alone means seconds."

    LATER "DR034" "not in this release yet"
    "The language has a place for this and this release does not run it. The rest of the file was checked."

    INTO_BODY "DR035" "a step inside a fan-out is used from outside"
    "A body runs once for each item, so its steps have no single output. Use what the fan-out gathers: `steps.X.images`, `steps.X.ok` or `steps.X.results`, which holds the outputs of the last step of each instance."

    BAD_INPUT "DR036" "an input that contradicts itself"
    "The default of an input has to be something that the input accepts, `min` must not be larger than `max`, and `pattern` must be a regular expression."

    CONFLICT "DR037" "these do not go together"
    "Two keys or parameters exclude each other, or one of them needs another one."

    NO_STEPS "DR038" "nothing to do"
    "A list of steps needs at least one step."

    NOT_TEXT "DR039" "this is no text"
    "An artifact, a list or an object inside text would have no useful form. Of an artifact, write `.name`, `.stem` or `.url`; of a list, write `| join(', ')`."

    DOCUMENTS "DR040" "more or less than one document"
    "A workflow file holds exactly one YAML document, a mapping."

    NO_ARTIFACT "DR041" "there is no file to save"
    "`save:` keeps the step's main output, which this op does not have. Steps that make or pass on a picture, video or sound can be saved."

    BAD_SCHEMA "DR042" "a schema that can't be used"
    "`schema` and `ask` are JSON Schemas that are written out. They can say `type`, `properties`, `required`, `additionalProperties` (true or false), `items`, `enum`, `const`, `minimum`, `maximum`, `minLength`, `maxLength`, `minItems`, `maxItems` and `pattern`, and for people `title`, `description`, `default`, `examples` and `format`. Anything else would not be heeded, so it is an error."

    UNKNOWN_WORKFLOW "DR043" "an unknown workflow"
    "`uses: workflow:NAME` names a workflow: a file NAME.yaml beside this one, one that was pushed (`darkroom workflows push`), or one that comes with Darkroom. A version stands behind an `@`: `@3` is the third push, `@1f3a` a hash that begins so, `@latest` the last one."

    BAD_TIME "DR049" "a time that can't be"
    "A cron line has five fields: minute (0 to 59), hour (0 to 23), day of the month (1 to 31, or `L` for the last one), month (1 to 12, or jan to dec) and weekday (0 to 7 from Sunday to Sunday, or sun to sat; `1#2` is the second Monday, `5L` the last Friday). Each is `*`, a number, a range `1-5`, a step `*/10`, or several of these with commas. If both day fields say something, either is enough. Time zones have the names of the IANA database, such as `Europe/Berlin`; without `timezone:` the zone is UTC."

    UNUSED "DR052" "never used"
    "An input that no expression reads and that flows into no step. Perhaps an expression misses its braces or names another input."

    BAD_TEST "DR070" "a test that does not fit its workflow"
    "A file of tests names a workflow, and its tests name steps, inputs and outputs of that workflow: a mock of a step that is not there would never be used. Paths of steps are written as `darkroom show` writes them, such as `branded[3]/resize`; in mocks `branded[*]/resize` means the step in every item."

    RECIPE_UNREAD "DR080" "words of a recipe that can't be read"
    "Every word of a recipe means something, or is one of a few words that are known to mean nothing (`the`, `please`). These words are neither, and nothing is ever left out silently. The page on recipes has each verb with what it takes. Put text that is meant as text, such as a prompt, in quotes."

    RECIPE_VERB "DR081" "a sentence of a recipe without a verb that is known"
    "A step of a recipe begins with a verb of the table of verbs: `Generate …`, `Crop to …`, `Save as …`. `darkroom workflows convert` prints what a recipe means; what recipes can't say, a workflow file can."

    RECIPE_COUNT "DR082" "a recipe that contradicts itself"
    "A number that a recipe gives has to agree with what it lists: six variations are three models with two seeds. Steps and phases are numbered from 1 in their order, and what was detected is called what it was called when it was detected."

    RECIPE_FORM "DR083" "a recipe that is not built like one"
    "A recipe is an optional line `Workflow \"name\":` and steps, one a line, numbered or not; or `For each image in FOLDER:` with steps below it; or lines `Phase 1: …`. Steps of a line are joined with `→` or `then`. Quotations end on their line."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_order_and_each_stands_once() {
        assert!(CODES.windows(2).all(|pair| pair[0].code < pair[1].code));
        assert_eq!(find("dr014").map(|code| code.title), Some("an unknown output"));
    }
}
