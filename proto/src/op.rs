//! The op catalogue: the one table from which validation, the JSON Schema and the reference page are made.
//!
//! An op is what `uses:` names. Adding one is an entry here and a function in the worker.

use crate::{Duration, Kind};

/// An op: its parameters, its outputs and how it is run.
#[derive(Debug)]
pub struct OpSpec {
    /// What `uses:` says, such as `image.crop`.
    pub name: &'static str,
    /// One sentence for people.
    pub summary: &'static str,
    /// The pool whose workers run it; empty when the engine performs it itself.
    pub pool: &'static str,
    /// What `with:` may give.
    pub params: &'static [ParamSpec],
    /// What it gives.
    pub outputs: &'static [OutputSpec],
    /// Which output is *the* output: a file is saved, gathered, and flows into the next step. Empty where there is none.
    pub primary: &'static str,
    /// How long one attempt may take unless the step says otherwise.
    pub timeout: Duration,
    /// A step of it that goes on in a workflow, ready to be pasted.
    pub example: &'static str,
}

/// A parameter of an op.
#[derive(Debug)]
pub struct ParamSpec {
    /// Its key under `with:`.
    pub name: &'static str,
    /// One sentence for people.
    pub summary: &'static str,
    /// What it takes.
    pub ty: ParamType,
    /// Whether a step must give it (or have it wired).
    pub required: bool,
    /// What holds when it is not given, as JSON text. Empty when there is no single value.
    pub default: &'static str,
}

/// What a parameter takes, with its limits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ParamType {
    /// Text of at most this many characters.
    Text {
        /// The most characters.
        max: usize,
    },
    /// A whole number.
    Integer {
        /// The least.
        min: i64,
        /// The most.
        max: i64,
    },
    /// A number.
    Number {
        /// The least.
        min: f64,
        /// The most.
        max: f64,
    },
    /// True or false.
    Boolean,
    /// One of these words.
    Enum(&'static [&'static str]),
    /// A model that has this capability, by its alias.
    Model(&'static str),
    /// A colour, `#rrggbb` or `#rrggbbaa`.
    Color,
    /// A proportion, such as `16:9`.
    Aspect,
    /// A span of time, such as `20ms`.
    Duration,
    /// A point in time, in RFC 3339.
    Time,
    /// A bare expression that also knows `data`, the data of an event.
    Condition,
    /// A JSON Schema, written out.
    Schema,
    /// The fields of a form: a JSON Schema for each name, written out.
    Form,
    /// A relative path to save to.
    SavePath,
    /// A rectangle `{x, y, w, h}` in pixels.
    Box,
    /// One artifact of this kind. It is wired from an earlier step when it is not given.
    Artifact(Kind),
    /// One artifact of any kind. Wired like the others.
    AnyArtifact,
    /// A list of pictures.
    Images,
    /// The `.results` of a fan-out.
    Results,
    /// A list of texts.
    TextList,
    /// Any JSON value.
    Any,
}

/// An output of an op.
#[derive(Debug)]
pub struct OutputSpec {
    /// Its name after `steps.<id>.`.
    pub name: &'static str,
    /// One sentence for people.
    pub summary: &'static str,
    /// What it is.
    pub ty: OutputType,
}

/// What an output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputType {
    /// An artifact of this kind.
    Artifact(Kind),
    /// An artifact of the kind that came in.
    SameArtifact,
    /// Rectangles, best first.
    Boxes,
    /// A list of texts.
    TextList,
    /// A list of numbers.
    NumberList,
    /// Text.
    Text,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// Any JSON value.
    Any,
}

impl OpSpec {
    /// The parameter of this name.
    pub fn param(&self, name: &str) -> Option<&'static ParamSpec> {
        self.params.iter().find(|param| param.name == name)
    }

    /// The output of this name.
    pub fn output(&self, name: &str) -> Option<&'static OutputSpec> {
        self.outputs.iter().find(|output| output.name == name)
    }

    /// Whether a step of it may call a provider, and then be paid for: it may not run twice.
    pub fn calls_a_provider(&self) -> bool {
        matches!(self.pool, "api" | "video")
    }

    /// Whether no worker runs it: the engine itself waits, or works it out.
    pub fn performed_by_engine(&self) -> bool {
        self.pool.is_empty()
    }

    /// Whether what it gives is kept in the step cache: it calls a model, which takes money or time, and gives the same for
    /// the same. Plain work on pixels is done again in less time than a durable write takes.
    pub fn is_cached(&self) -> bool {
        self.calls_a_provider() || self.model_param().is_some()
    }

    /// The parameter that names its model, if it has one.
    pub fn model_param(&self) -> Option<&'static ParamSpec> {
        self.params.iter().find(|param| matches!(param.ty, ParamType::Model(_)))
    }

    /// Rises whenever a release makes something else of the same parameters, so that nothing older is taken for it.
    pub fn revision(&self) -> u32 {
        REVISIONS.iter().find(|(name, _)| *name == self.name).map_or(1, |(_, revision)| *revision)
    }

    /// Whether its primary output is a file, which can be saved and flows on.
    pub fn gives_file(&self) -> bool {
        let primary = self.output(self.primary);
        primary.is_some_and(|output| matches!(output.ty, OutputType::Artifact(_) | OutputType::SameArtifact))
    }

    /// The last word of the name, which is the id of a step that gives none.
    pub fn last_word(&self) -> &'static str {
        self.name.rsplit('.').next().unwrap_or(self.name)
    }
}

/// The op of this name.
pub fn find(name: &str) -> Option<&'static OpSpec> {
    OPS.iter().find(|op| op.name == name)
}

/// What a step that `uses: workflow:NAME` is: no op of the table, for its inputs and outputs are those of the workflow.
pub static CHILD: OpSpec = OpSpec {
    name: "workflow",
    summary: "Runs another workflow, as a run of its own.",
    pool: "",
    params: &[optional("with", ParamType::Any, "", "the inputs of the other workflow")],
    outputs: &[],
    primary: "",
    timeout: WAIT_MAX,
    example: "",
};

/// What `uses:` begins with when it names a workflow.
pub const CHILD_PREFIX: &str = "workflow:";

/// What a step that `uses: task.NAME` is: no op of the table, for whoever serves the task knows what it takes and gives.
pub static TASK: OpSpec = OpSpec {
    name: "task",
    summary: "Is done by a worker of yours, in whatever language.",
    pool: "task",
    params: &[optional("with", ParamType::Any, "", "what the worker is given")],
    outputs: &[],
    primary: "",
    timeout: TEN_MINUTES,
    example: "",
};

/// What `uses:` begins with when it names a task, and the name of the pool whose workers serve it.
pub const TASK_PREFIX: &str = "task.";

/// The longest name of a task.
pub const TASK_NAME_CHARS_MAX: usize = 64;

/// The task that `uses:` names, without its prefix: small letters, digits and `-`, a letter first. None if it names none.
pub fn task_name(uses: &str) -> Option<&str> {
    let name = uses.strip_prefix(TASK_PREFIX)?;
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let begins_well = name.bytes().next().is_some_and(|first| first.is_ascii_lowercase());
    (begins_well && name.len() <= TASK_NAME_CHARS_MAX && name.bytes().all(fits)).then_some(name)
}

/// The ops that do not do any more what they did in the first release, and which revision they are at.
const REVISIONS: &[(&str, u32)] = &[];

/// Ops of the language that this release knows the names of and does not run yet.
pub const LATER: &[&str] = &[];

/// The most pixels along one side of a picture that an op makes.
pub const SIDE_MAX: i64 = 16_384;

const fn required(name: &'static str, ty: ParamType, summary: &'static str) -> ParamSpec {
    ParamSpec { name, summary, ty, required: true, default: "" }
}

const fn optional(name: &'static str, ty: ParamType, default: &'static str, summary: &'static str) -> ParamSpec {
    ParamSpec { name, summary, ty, required: false, default }
}

const fn output(name: &'static str, ty: OutputType, summary: &'static str) -> OutputSpec {
    OutputSpec { name, summary, ty }
}

const IMAGE: ParamSpec = required("image", ParamType::Artifact(Kind::Image), "the picture to work on");
const IMAGE_OUT: OutputSpec = output("image", OutputType::Artifact(Kind::Image), "the picture that was made");
const IMAGE_PASSED: OutputSpec = output("image", OutputType::Artifact(Kind::Image), "the picture that came in");
const SIDE: ParamType = ParamType::Integer { min: 1, max: SIDE_MAX };
const FORMATS: ParamType = ParamType::Enum(&["png", "jpeg", "webp"]);
/// The nine places that a picture can lean towards.
pub const GRAVITY: &[&str] =
    &["center", "north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west"];
const PROMPT: ParamType = ParamType::Text { max: 32_000 };
const URL: ParamType = ParamType::Text { max: 8_192 };
const NEGATIVE_PROMPT: ParamSpec = optional("negative-prompt", PROMPT, "", "what it should not show");
const SEED: ParamSpec = optional(
    "seed",
    ParamType::Integer { min: 0, max: 4_294_967_295 },
    "0",
    "the same seed gives the same result, where the model can",
);
const STEPS: ParamSpec =
    optional("steps", ParamType::Integer { min: 1, max: 200 }, "", "how many steps the model takes");
const GUIDANCE: ParamSpec =
    optional("guidance", ParamType::Number { min: 0.0, max: 50.0 }, "", "how closely the model follows the prompt");
const STRENGTH: ParamSpec = optional(
    "strength",
    ParamType::Number { min: 0.0, max: 1.0 },
    "",
    "how far from the picture the result may go: 0 keeps it, 1 only remembers it",
);
/// Sides of pictures that models make.
const MADE_SIDE: ParamType = ParamType::Integer { min: 64, max: 4_096 };
const ASPECT: ParamSpec =
    optional("aspect", ParamType::Aspect, "", "width to height, such as `16:9`, instead of both sides");
/// What every op takes that a provider may be called for.
const STRICT: ParamSpec = optional(
    "strict",
    ParamType::Boolean,
    "false",
    "take no provider that would ignore one of the parameters; not given, what was ignored is told",
);
const ON_UNKNOWN: ParamSpec = optional(
    "on-unknown",
    ParamType::Enum(&["retry", "hold"]),
    "\"retry\"",
    "what to do when nobody can tell whether a call was paid: `retry` calls again and marks the step as possibly paid twice, `hold` fails it instead",
);
const MINUTE: Duration = Duration::from_secs(60);
const TEN_MINUTES: Duration = Duration::from_secs(600);
const TWENTY_MINUTES: Duration = Duration::from_secs(1_200);

/// The longest that a step may wait for a time, an event or a person.
pub const WAIT_MAX: Duration = Duration::from_secs(365 * 86_400);

/// Every op, in the order of the reference page.
pub static OPS: &[OpSpec] = &[
    OpSpec {
        name: "image.generate",
        summary: "Makes a picture from words.",
        pool: "api",
        params: &[
            required("prompt", PROMPT, "what the picture shows"),
            optional("model", ParamType::Model("image.generate"), "\"local\"", "who makes it"),
            NEGATIVE_PROMPT,
            SEED,
            optional("width", MADE_SIDE, "1024", "pixels across"),
            optional("height", MADE_SIDE, "1024", "pixels down"),
            ASPECT,
            STEPS,
            GUIDANCE,
            optional(
                "safety",
                ParamType::Integer { min: 0, max: 6 },
                "",
                "how much the model's filter lets through: 0 is the strictest, 6 the most tolerant",
            ),
            STRICT,
            ON_UNKNOWN,
        ],
        outputs: &[IMAGE_OUT],
        primary: "image",
        timeout: TEN_MINUTES,
        example: "uses: image.generate\nwith:\n  model: flux-pro\n  prompt: a coffee mug on a wooden table\n  seed: 42\n",
    },
    OpSpec {
        name: "image.detect",
        summary: "Finds things in a picture and gives their boxes, the best first.",
        pool: "api",
        params: &[
            IMAGE,
            optional(
                "target",
                ParamType::Text { max: 1_000 },
                "",
                "what to look for; not given, the most striking thing",
            ),
            optional("model", ParamType::Model("image.detect"), "\"detect\"", "who looks"),
            optional(
                "min-score",
                ParamType::Number { min: 0.0, max: 1.0 },
                "0",
                "leave out what is less certain than this",
            ),
            optional("max", ParamType::Integer { min: 1, max: 100 }, "5", "the most boxes to give"),
            optional("allow-empty", ParamType::Boolean, "false", "finding nothing is no error"),
            STRICT,
            ON_UNKNOWN,
        ],
        outputs: &[
            output("boxes", OutputType::Boxes, "where they are: `{x, y, w, h}` in pixels of the upright picture"),
            output("labels", OutputType::TextList, "what they are"),
            output("scores", OutputType::NumberList, "how certain that is, from 0 to 1"),
            IMAGE_PASSED,
        ],
        primary: "image",
        timeout: TEN_MINUTES,
        example: "uses: image.detect\nwith:\n  target: coffee mug\n",
    },
    OpSpec {
        name: "image.edit",
        summary: "Changes a picture as told in words.",
        pool: "api",
        params: &[
            IMAGE,
            required("prompt", PROMPT, "what is to change"),
            optional("model", ParamType::Model("image.edit"), "\"local\"", "who changes it"),
            NEGATIVE_PROMPT,
            SEED,
            optional("width", MADE_SIDE, "", "pixels across; not given, about as the picture"),
            optional("height", MADE_SIDE, "", "pixels down"),
            ASPECT,
            STRENGTH,
            STEPS,
            GUIDANCE,
            optional("images", ParamType::Images, "", "further pictures to look at, such as a face or a product"),
            optional(
                "mask",
                ParamType::Artifact(Kind::Image),
                "",
                "white where the picture may change, black where it stays; it is never wired",
            ),
            STRICT,
            ON_UNKNOWN,
        ],
        outputs: &[IMAGE_OUT],
        primary: "image",
        timeout: TEN_MINUTES,
        example: "uses: image.edit\nwith:\n  model: nano-banana\n  prompt: standing in neon rain\n",
    },
    OpSpec {
        name: "image.style",
        summary: "Paints a picture anew in a style told in words.",
        pool: "api",
        params: &[
            IMAGE,
            required("prompt", PROMPT, "the style"),
            optional("model", ParamType::Model("image.style"), "\"local\"", "who paints it"),
            NEGATIVE_PROMPT,
            SEED,
            STRENGTH,
            STEPS,
            GUIDANCE,
            STRICT,
            ON_UNKNOWN,
        ],
        outputs: &[IMAGE_OUT],
        primary: "image",
        timeout: TEN_MINUTES,
        example: "uses: image.style\nwith:\n  prompt: ukiyo-e woodblock print\n",
    },
    OpSpec {
        name: "image.upscale",
        summary: "Makes a picture larger, with more detail where the model can.",
        pool: "api",
        params: &[
            IMAGE,
            optional("factor", ParamType::Number { min: 1.0, max: 8.0 }, "2", "times the width and height"),
            optional("model", ParamType::Model("image.upscale"), "\"local\"", "who enlarges it"),
            STRICT,
            ON_UNKNOWN,
        ],
        outputs: &[IMAGE_OUT],
        primary: "image",
        timeout: TEN_MINUTES,
        example: "uses: image.upscale\nwith:\n  factor: 2\n",
    },
    OpSpec {
        name: "image.remove-background",
        summary: "Makes everything but the subject transparent.",
        pool: "api",
        params: &[
            IMAGE,
            optional("model", ParamType::Model("image.remove-background"), "\"local\"", "who cuts it out"),
            STRICT,
            ON_UNKNOWN,
        ],
        outputs: &[IMAGE_OUT],
        primary: "image",
        timeout: TEN_MINUTES,
        example: "uses: image.remove-background\n",
    },
    OpSpec {
        name: "image.describe",
        summary: "Says in words what a picture shows, or answers a question about it.",
        pool: "api",
        params: &[
            IMAGE,
            optional("prompt", PROMPT, "", "a question, or what to pay attention to"),
            optional("model", ParamType::Model("image.describe"), "\"local\"", "who looks"),
            STRICT,
            ON_UNKNOWN,
        ],
        outputs: &[output("text", OutputType::Text, "the description or the answer")],
        primary: "text",
        timeout: TEN_MINUTES,
        example: "uses: image.describe\nwith:\n  prompt: what is on the table?\n",
    },
    OpSpec {
        name: "image.crop",
        summary: "Cuts a part out: a box with padding, or the largest part of a proportion.",
        pool: "image",
        params: &[
            IMAGE,
            optional(
                "box",
                ParamType::Box,
                "",
                "the part to keep; the first box of the nearest `image.detect` when neither it nor `aspect` is given",
            ),
            optional(
                "padding",
                ParamType::Integer { min: 0, max: SIDE_MAX },
                "0",
                "pixels to keep around the box, as far as the picture goes",
            ),
            optional("aspect", ParamType::Aspect, "", "width to height, such as `16:9`; instead of a box"),
            optional(
                "focus",
                ParamType::Enum(&["auto", "center", "north", "east", "south", "west"]),
                "\"auto\"",
                "what to keep with `aspect`: `auto` keeps what strikes the eye",
            ),
        ],
        outputs: &[IMAGE_OUT],
        primary: "image",
        timeout: MINUTE,
        example: "uses: image.crop\nwith:\n  aspect: \"16:9\"\n  focus: auto\n",
    },
    OpSpec {
        name: "image.resize",
        summary: "Changes the size. With one side the other follows.",
        pool: "image",
        params: &[
            IMAGE,
            optional("width", SIDE, "", "pixels across; `width`, `height` or both must be given"),
            optional("height", SIDE, "", "pixels down"),
            optional(
                "fit",
                ParamType::Enum(&["cover", "inside", "exact", "pad"]),
                "\"cover\"",
                "with both sides: `cover` fills them and cuts what sticks out, `inside` fits into them, `exact` distorts, `pad` fits into them and fills up with `background`",
            ),
            optional(
                "focus",
                ParamType::Enum(&["auto", "center", "north", "east", "south", "west"]),
                "\"center\"",
                "what `cover` keeps",
            ),
            optional("background", ParamType::Color, "\"#ffffff\"", "what `pad` fills up with"),
            optional("enlarge", ParamType::Boolean, "true", "whether a smaller picture grows"),
        ],
        outputs: &[IMAGE_OUT],
        primary: "image",
        timeout: MINUTE,
        example: "uses: image.resize\nwith:\n  width: 1024\n  height: 1024\n",
    },
    OpSpec {
        name: "image.overlay",
        summary: "Lays one picture over another, at a position or towards an edge.",
        pool: "image",
        params: &[
            IMAGE,
            required("overlay", ParamType::Artifact(Kind::Image), "the picture to lay on top; it is never wired"),
            optional(
                "x",
                ParamType::Integer { min: -SIDE_MAX, max: SIDE_MAX },
                "",
                "pixels from the left edge to the overlay's; with `y`, instead of `gravity`",
            ),
            optional(
                "y",
                ParamType::Integer { min: -SIDE_MAX, max: SIDE_MAX },
                "",
                "pixels from the top edge to the overlay's",
            ),
            optional("gravity", ParamType::Enum(GRAVITY), "\"center\"", "where it goes without `x` and `y`"),
            optional(
                "margin",
                ParamType::Integer { min: 0, max: SIDE_MAX },
                "0",
                "pixels between it and the edges that it leans to",
            ),
            optional("opacity", ParamType::Number { min: 0.0, max: 1.0 }, "1", "0 is invisible, 1 is solid"),
            optional("scale", ParamType::Number { min: 0.01, max: 16.0 }, "1", "times the overlay's own size"),
        ],
        outputs: &[IMAGE_OUT],
        primary: "image",
        timeout: MINUTE,
        example: "uses: image.overlay\nwith:\n  overlay: ${{ inputs.logo }}\n  gravity: south-east\n  margin: 40\n",
    },
    OpSpec {
        name: "image.grayscale",
        summary: "Takes the colour out.",
        pool: "image",
        params: &[IMAGE],
        outputs: &[IMAGE_OUT],
        primary: "image",
        timeout: MINUTE,
        example: "uses: image.grayscale\n",
    },
    OpSpec {
        name: "image.adjust",
        summary: "Changes brightness, contrast, saturation and gamma. 1 leaves a value as it is.",
        pool: "image",
        params: &[
            IMAGE,
            optional("brightness", ParamType::Number { min: 0.0, max: 10.0 }, "1", "times the light"),
            optional("contrast", ParamType::Number { min: 0.0, max: 10.0 }, "1", "times the distance from middle grey"),
            optional("saturation", ParamType::Number { min: 0.0, max: 10.0 }, "1", "times the colour; 0 is grey"),
            optional("gamma", ParamType::Number { min: 0.1, max: 10.0 }, "1", "more than 1 lightens the shadows"),
            optional("auto-white-balance", ParamType::Boolean, "false", "make what should be grey grey"),
        ],
        outputs: &[IMAGE_OUT],
        primary: "image",
        timeout: MINUTE,
        example: "uses: image.adjust\nwith:\n  contrast: 1.05\n  saturation: 1.1\n",
    },
    OpSpec {
        name: "image.encode",
        summary: "Writes the picture in a format.",
        pool: "image",
        params: &[
            IMAGE,
            required("format", FORMATS, "the format"),
            optional("quality", ParamType::Integer { min: 1, max: 100 }, "85", "of JPEG and of lossy WebP"),
            optional("lossless", ParamType::Boolean, "false", "WebP without loss; PNG always is, JPEG never"),
            optional(
                "background",
                ParamType::Color,
                "\"#ffffff\"",
                "what shows through where JPEG can't be transparent",
            ),
        ],
        outputs: &[IMAGE_OUT],
        primary: "image",
        timeout: MINUTE,
        example: "uses: image.encode\nwith:\n  format: webp\n  quality: 85\n",
    },
    OpSpec {
        name: "image.contact-sheet",
        summary: "Puts many pictures on one labelled sheet.",
        pool: "image",
        params: &[
            optional(
                "results",
                ParamType::Results,
                "",
                "the `.results` of a fan-out, labelled by its matrix or items; `results` or `images` must be given",
            ),
            optional("images", ParamType::Images, "", "the pictures, with `labels`"),
            optional("labels", ParamType::TextList, "", "a label for each of `images`"),
            optional(
                "columns",
                ParamType::Integer { min: 1, max: 100 },
                "",
                "how many side by side; not given, a sheet about as wide as high, or one row for each value of a matrix of two keys",
            ),
            optional(
                "cell",
                ParamType::Integer { min: 32, max: 2_048 },
                "320",
                "pixels of the side that a picture is fitted into",
            ),
            optional("background", ParamType::Color, "\"#ffffff\"", "the sheet's colour"),
        ],
        outputs: &[IMAGE_OUT],
        primary: "image",
        timeout: MINUTE,
        example: "uses: image.contact-sheet\nwith:\n  results: ${{ steps.variants.results }}\n",
    },
    OpSpec {
        name: "image.info",
        summary: "Tells what a picture is.",
        pool: "image",
        params: &[IMAGE],
        outputs: &[
            output("width", OutputType::Number, "pixels across, upright"),
            output("height", OutputType::Number, "pixels down, upright"),
            output("media_type", OutputType::Text, "such as `image/png`"),
            output("bytes", OutputType::Number, "size of the file"),
            output("alpha", OutputType::Boolean, "whether it can be transparent"),
            output("frames", OutputType::Number, "1 for a still"),
            output("profile", OutputType::Text, "the name of its colour profile, or empty"),
            IMAGE_PASSED,
        ],
        primary: "image",
        timeout: MINUTE,
        example: "uses: image.info\n",
    },
    OpSpec {
        name: "video.generate",
        summary: "Makes a film from words, or from a picture and words.",
        pool: "video",
        params: &[
            required("prompt", PROMPT, "what happens, and how the camera moves"),
            optional(
                "image",
                ParamType::Artifact(Kind::Image),
                "",
                "the picture that it begins with; that of the nearest earlier step when there is one",
            ),
            optional(
                "last-frame",
                ParamType::Artifact(Kind::Image),
                "",
                "the picture that it ends with; it is never wired",
            ),
            optional("model", ParamType::Model("video.generate"), "\"local\"", "who makes it"),
            optional("duration", ParamType::Duration, "\"5s\"", "how long it is; models offer a few lengths only"),
            optional("aspect", ParamType::Aspect, "", "width to height, such as `16:9`; not given, the picture's"),
            NEGATIVE_PROMPT,
            SEED,
            STRICT,
            ON_UNKNOWN,
        ],
        outputs: &[output("video", OutputType::Artifact(Kind::Video), "the film that was made")],
        primary: "video",
        timeout: TWENTY_MINUTES,
        example: "uses: video.generate\nwith:\n  model: minimax/video-01\n  prompt: slow zoom in\n",
    },
    OpSpec {
        name: "audio.speech",
        summary: "Speaks a text.",
        pool: "api",
        params: &[
            required("text", ParamType::Text { max: 20_000 }, "what is said"),
            optional("model", ParamType::Model("audio.speech"), "\"local\"", "who speaks"),
            optional("voice", ParamType::Text { max: 200 }, "", "the voice, by the model's name for it"),
            optional("speed", ParamType::Number { min: 0.25, max: 4.0 }, "1", "times the usual speed"),
            optional("format", ParamType::Enum(&["mp3", "wav"]), "\"mp3\"", "the format"),
            STRICT,
            ON_UNKNOWN,
        ],
        outputs: &[output("audio", OutputType::Artifact(Kind::Audio), "the sound that was made")],
        primary: "audio",
        timeout: TEN_MINUTES,
        example: "uses: audio.speech\nwith:\n  text: Every journey starts with a light.\n",
    },
    OpSpec {
        name: "save",
        summary: "Saves a file under the run's output folder. The extension decides a picture's format.",
        pool: "image",
        params: &[
            required("file", ParamType::AnyArtifact, "what to save"),
            required("path", ParamType::SavePath, "where, relative to `--out`; ending in `/` it keeps the file's name"),
        ],
        outputs: &[
            output("path", OutputType::Text, "where it was saved, relative to `--out`"),
            output("file", OutputType::SameArtifact, "what was saved"),
        ],
        primary: "file",
        timeout: MINUTE,
        example: "uses: save\nwith:\n  path: ./output/final.png\n",
    },
    OpSpec {
        name: "http.request",
        summary: "Asks a server and gives its answer. Every attempt is sent under one `Idempotency-Key`.",
        pool: "system",
        params: &[
            required("url", URL, "where to; public addresses over TLS, unless `net.allow_private` is set"),
            optional(
                "method",
                ParamType::Enum(&["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]),
                "\"GET\"",
                "the verb",
            ),
            optional("headers", ParamType::Any, "", "names and texts, such as `authorization`"),
            optional("body", ParamType::Any, "", "what is sent: text as it is, anything else as JSON"),
            optional(
                "any-status",
                ParamType::Boolean,
                "false",
                "take every answer as the outcome; not given, one that is not 2xx is a failure",
            ),
        ],
        outputs: &[
            output("status", OutputType::Number, "the status of the answer"),
            output("headers", OutputType::Any, "its headers, names in small letters"),
            output(
                "body",
                OutputType::Any,
                "its body: a value if it is JSON, text, or a file if it is neither or over 32 KiB",
            ),
        ],
        primary: "body",
        timeout: MINUTE,
        example: "uses: http.request\nwith:\n  url: https://api.example.com/products/7\n",
    },
    OpSpec {
        name: "notify.webhook",
        summary: "Tells a server something, as a POST. Every attempt is sent under one `Idempotency-Key`.",
        pool: "system",
        params: &[
            required("url", URL, "where to; public addresses over TLS, unless `net.allow_private` is set"),
            required("body", ParamType::Any, "what it is told, as JSON"),
            optional("headers", ParamType::Any, "", "names and texts, such as `authorization`"),
        ],
        outputs: &[output("status", OutputType::Number, "the status of the answer")],
        primary: "",
        timeout: MINUTE,
        example: "uses: notify.webhook\nwith:\n  url: https://hooks.example.com/ops\n  body:\n    done: true\n",
    },
    OpSpec {
        name: "sleep",
        summary: "Waits for a span of time, or until a point in time. It holds no worker.",
        pool: "",
        params: &[
            optional("for", ParamType::Duration, "", "how long, at most 365 days; `for` or `until` must be given"),
            optional(
                "until",
                ParamType::Time,
                "",
                "until when, at most 365 days from then; in the past it is over at once",
            ),
        ],
        outputs: &[output("until", OutputType::Text, "when it was over, in RFC 3339")],
        primary: "",
        timeout: WAIT_MAX,
        example: "uses: sleep\nwith:\n  for: 48h\n",
    },
    OpSpec {
        name: "wait.event",
        summary: "Waits for an event that somebody sends with `darkroom signal`. One that came first is kept for it. Without `timeout` it waits up to 365 days.",
        pool: "",
        params: &[
            required("name", ParamType::Text { max: 100 }, "the event's name"),
            optional("filter", ParamType::Condition, "", "take only events for which this holds; it knows `data`"),
            optional(
                "schema",
                ParamType::Schema,
                "",
                "what the data has to be like; an event with other data is refused",
            ),
        ],
        outputs: &[output("data", OutputType::Any, "the event's data")],
        primary: "",
        timeout: WAIT_MAX,
        example: "uses: wait.event\ntimeout: 7d\nwith:\n  name: payment\n  filter: data.amount >= 10\n  schema:\n    type: object\n    required: [amount]\n    properties:\n      amount: { type: number, minimum: 0 }\n",
    },
    OpSpec {
        name: "human.approve",
        summary: "Waits until a person approves or rejects, with `darkroom approve` or `darkroom reject`. Without `timeout` it waits up to 365 days.",
        pool: "",
        params: &[
            required("title", ParamType::Text { max: 1_000 }, "what is asked"),
            optional("show", ParamType::Any, "", "a file, or a list of files, to look at"),
            optional("ask", ParamType::Form, "", "the fields of a form; one with a `default` need not be filled in"),
            optional("choose", ParamType::Images, "", "pictures of which one has to be chosen to approve"),
        ],
        outputs: &[
            output("decision", OutputType::Text, "`approved`, `rejected` or `timed_out`"),
            output("answers", OutputType::Any, "the form, filled in"),
            output("choice", OutputType::Artifact(Kind::Image), "the picture that was chosen"),
            output("by", OutputType::Text, "who decided"),
            output("at", OutputType::Text, "when, in RFC 3339"),
            output("note", OutputType::Text, "what they wrote about it"),
        ],
        primary: "",
        timeout: WAIT_MAX,
        example: "uses: human.approve\ntimeout: 48h\nwith:\n  title: Publish this picture?\n  ask:\n    caption: { type: string, maxLength: 200 }\n",
    },
    OpSpec {
        name: "value",
        summary: "Gives the value of an expression a name.",
        pool: "",
        params: &[optional("value", ParamType::Any, "", "the value; it must be given, and may be none")],
        outputs: &[output("value", OutputType::Any, "the value")],
        primary: "",
        timeout: MINUTE,
        example: "uses: value\nwith:\n  value: ${{ run.workflow | upper }}\n",
    },
    OpSpec {
        name: "noop",
        summary: "Does nothing and passes `data` on; what benchmarks run.",
        pool: "image",
        params: &[
            optional("data", ParamType::Any, "null", "passed on"),
            optional("step-time", ParamType::Duration, "\"0ms\"", "how long to take"),
        ],
        outputs: &[output("data", OutputType::Any, "what came in")],
        primary: "",
        timeout: TEN_MINUTES,
        example: "uses: noop\nwith:\n  data: hello\n",
    },
    OpSpec {
        name: "fail",
        summary: "Fails on purpose, to try out what a workflow does then.",
        pool: "image",
        params: &[
            optional(
                "class",
                ParamType::Enum(FAIL_CLASSES),
                "\"invalid_input\"",
                "the class of the error; `panic` makes the worker panic",
            ),
            optional("message", ParamType::Text { max: 1_000 }, "\"failed on purpose\"", "what the error says"),
            optional(
                "times",
                ParamType::Integer { min: 1, max: 1_000 },
                "",
                "fail only so many attempts, then pass; not given, always",
            ),
            optional("data", ParamType::Any, "null", "passed on when it passes"),
        ],
        outputs: &[output("data", OutputType::Any, "what came in")],
        primary: "",
        timeout: MINUTE,
        example: "uses: fail\nwith:\n  class: server_unavailable\n  times: 2\n",
    },
];

const FAIL_CLASSES: &[&str] = &[
    "rate_limit",
    "quota_exceeded",
    "timeout",
    "invalid_key",
    "server_unavailable",
    "network",
    "content_rejected",
    "invalid_input",
    "unsupported_format",
    "model_not_found",
    "too_large",
    "missing_parameter",
    "workflow_error",
    "panic",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tasks_are_plain() {
        let longest = format!("task.{}", "a".repeat(TASK_NAME_CHARS_MAX));
        for good in ["task.resize-3d", "task.a", &longest] {
            assert_eq!(task_name(good), good.strip_prefix("task."), "{good}");
        }
        for bad in [
            "task",
            "task.",
            "task.Resize",
            "task.3d",
            "task.-a",
            "task.a.b",
            "task.a_b",
            "image.crop",
            &format!("{longest}a"),
        ] {
            assert_eq!(task_name(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_catalogue_is_consistent() {
        for op in OPS {
            assert_eq!(OPS.iter().filter(|other| other.name == op.name).count(), 1, "{} stands twice", op.name);
            assert!(!LATER.contains(&op.name), "{} is here already", op.name);
            assert!(op.primary.is_empty() || op.output(op.primary).is_some(), "{}: primary", op.name);
            assert!(op.example.starts_with(&format!("uses: {}\n", op.name)), "{}: example", op.name);
            for param in op.params {
                assert!(!param.required || param.default.is_empty(), "{}.{}", op.name, param.name);
                if !param.default.is_empty() {
                    assert!(
                        serde_json::from_str::<serde_json::Value>(param.default).is_ok(),
                        "{}.{}",
                        op.name,
                        param.name
                    );
                }
            }
        }
    }
}
