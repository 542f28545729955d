//! The compiled form of a workflow: what `compile` makes and `advance` walks.

use crate::definition::About;
use crate::expr::{Expr, Template};
use darkroom_proto::op::{self, OpSpec};
use darkroom_proto::{Duration, ErrorClass, Money, Sha256};
use std::borrow::Cow;

/// A workflow that was checked: every name in it is resolved, every wire is drawn.
#[derive(Debug)]
pub struct Plan {
    /// The workflow's id.
    pub workflow: String,
    /// Its title, or its id.
    pub title: String,
    /// What a catalogue shows of it.
    pub about: About,
    /// The content hash of the definition, its version: of its canonical JSON, so comments and layout don't count.
    pub definition: Sha256,
    /// What it is given.
    pub inputs: Vec<Input>,
    /// Every step of the workflow, outer ones before the ones in their bodies. A node's place is its [`NodeIndex`].
    pub nodes: Vec<Node>,
    /// The top-level steps.
    pub top: Body,
    /// The workflow's outputs.
    pub outputs: Vec<(String, Template)>,
    /// What the provider calls of a run may cost together.
    pub budget: Option<Money>,
}

impl Plan {
    /// The node at `index`.
    pub fn node(&self, index: NodeIndex) -> &Node {
        &self.nodes[index.0 as usize]
    }

    /// The workflows that its steps run, each once.
    pub fn children(&self) -> std::collections::BTreeSet<&str> {
        self.nodes
            .iter()
            .filter_map(|node| match &node.work {
                Work::Call(call) => call.child.as_ref().map(|child| child.reference.as_str()),
                Work::FanOut(_) => None,
            })
            .collect()
    }

    /// The tasks that its steps are, each once: only a fleet has workers for them.
    pub fn tasks(&self) -> std::collections::BTreeSet<&str> {
        self.nodes
            .iter()
            .filter_map(|node| match &node.work {
                Work::Call(call) => call.task.as_deref(),
                Work::FanOut(_) => None,
            })
            .collect()
    }

    /// The primary output of a race or `repeat`: that of the last step of its (first) body.
    pub(crate) fn primary(&self, fan: &FanOut) -> &'static str {
        let last = fan.body_of(1).nodes.last().map(|node| &self.node(*node).work);
        match last {
            Some(Work::Call(call)) => call.op.primary,
            Some(Work::FanOut(inner)) if !inner.has_items() => self.primary(inner),
            Some(Work::FanOut(_)) | None => "",
        }
    }
}

/// The place of a node in [`Plan::nodes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIndex(pub u32);

/// A list of steps that run in one scope: the top level, or the body of a fan-out.
#[derive(Debug, Clone, Default)]
pub struct Body {
    /// Its steps in list order; the members of a `parallel:` group stand here themselves.
    pub nodes: Vec<NodeIndex>,
}

/// One step of the workflow.
#[derive(Debug)]
pub struct Node {
    /// Its id in its body.
    pub id: String,
    /// What it is for, if the file says.
    pub title: Option<String>,
    /// Its position in its body, from 1, as people count.
    pub number: u32,
    /// The line where it stands in the file.
    pub line: u32,
    /// The step in whose body or branch it is.
    pub parent: Option<NodeIndex>,
    /// The branch of `parent` that it is in, if it is in one.
    pub branch: Option<BranchKind>,
    /// What has to end before it starts: list order, `needs`, references and wires, all in the same body.
    pub after: Vec<NodeIndex>,
    /// The reverse of `after`.
    pub before: Vec<NodeIndex>,
    /// Steps of the same body whose *outputs* it uses, by reference or wire, except those used only in its condition.
    /// When one of them failed (tolerated), a step without `if` is skipped.
    pub uses: Vec<NodeIndex>,
    /// `if`, its own and that of the group around it: all must hold.
    pub conditions: Vec<Expr>,
    /// Its failure does not stop what follows.
    pub continue_on_error: bool,
    /// What is done when it ends otherwise than well, at most one of each kind.
    pub branches: Vec<Branch>,
    /// What it does.
    pub work: Work,
}

/// What a node does.
#[derive(Debug)]
pub enum Work {
    /// One call of an op.
    Call(Call),
    /// The same once for each item and combination.
    FanOut(FanOut),
}

/// A call of an op.
#[derive(Debug)]
pub struct Call {
    /// The op.
    pub op: &'static OpSpec,
    /// What `with:` gives and what is wired, each at most once, in the order of the op's table.
    pub arguments: Vec<Argument>,
    /// Where the primary output is saved.
    pub save: Option<Template>,
    /// How failures are retried.
    pub retry: RetryPolicy,
    /// How long an attempt may take.
    pub timeout: Duration,
    /// How it uses the step cache.
    pub cache: CacheMode,
    /// Paths that make the step unnecessary when all of them exist (`skip-if-exists`). Always empty for the one call of a
    /// fan-out that has `uses` itself: its paths are the fan-out's.
    pub skip_if_exists: Vec<Template>,
    /// The workflow that it runs, where it is no op.
    pub child: Option<Child>,
    /// The task that a worker of somebody's does, without `task.`, where it is no op.
    pub task: Option<String>,
}

impl Call {
    /// What `uses:` says.
    pub fn uses(&self) -> String {
        match (&self.child, &self.task) {
            (Some(child), _) => format!("{}{}", op::CHILD_PREFIX, child.reference),
            (None, Some(task)) => format!("{}{task}", op::TASK_PREFIX),
            (None, None) => self.op.name.to_owned(),
        }
    }

    /// The pool whose workers do it; empty where the engine itself does.
    pub fn pool(&self) -> Cow<'static, str> {
        match &self.task {
            Some(task) => Cow::Owned(format!("{}{task}", op::TASK_PREFIX)),
            None => Cow::Borrowed(self.op.pool),
        }
    }
}

/// A workflow that a step runs.
#[derive(Debug)]
pub struct Child {
    /// Its name, with a version behind an `@` or not: which definition that is, is settled when a run is handed in.
    pub reference: String,
    /// Whether the step is done once the child was started.
    pub detach: bool,
    /// Whether the child goes on when its parent ends.
    pub abandons: bool,
    /// What it saves lies under this path.
    pub save_dir: Option<Template>,
}

/// How a step uses the step cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CacheMode {
    /// What an equal step gave is taken, and what it gives is kept.
    #[default]
    Auto,
    /// Nothing is taken and nothing kept.
    Off,
    /// Nothing is taken; what it gives replaces what is kept.
    Refresh,
}

/// The value of a parameter.
#[derive(Debug)]
pub struct Argument {
    /// The parameter's name.
    pub name: &'static str,
    /// Where its value comes from.
    pub source: Source,
}

/// Where the value of a parameter comes from.
#[derive(Debug)]
pub enum Source {
    /// It was written.
    Given(Template),
    /// Nobody wrote it: it flows in.
    Wired(Wire),
}

/// A value that flows without being written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wire {
    /// The output of an earlier step.
    Step {
        /// The step.
        node: NodeIndex,
        /// Its output, a picture for instance.
        output: &'static str,
    },
    /// The first of the boxes of an earlier `image.detect`.
    FirstBox {
        /// The step.
        node: NodeIndex,
    },
    /// The item of the fan-out, or the artifact of this kind that it has under this name.
    Item,
    /// The workflow's only input of that kind.
    Input {
        /// Its name.
        name: String,
    },
}

/// Steps that are done when a step ends otherwise than well.
#[derive(Debug)]
pub struct Branch {
    /// When.
    pub kind: BranchKind,
    /// Its steps; its outputs are those of the last one.
    pub body: Body,
    /// Whether it ends in `then: fail`: the step fails of what it failed of.
    pub fails: bool,
}

/// When the steps of a branch are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BranchKind {
    /// The step failed for good, and no other branch is more specific.
    OnError,
    /// It took too long.
    OnTimeout,
    /// Somebody rejected what it asked.
    OnReject,
    /// The run is cancelled: what the step did is undone.
    OnCancel,
}

impl BranchKind {
    /// All of them.
    pub const ALL: [BranchKind; 4] =
        [BranchKind::OnError, BranchKind::OnTimeout, BranchKind::OnReject, BranchKind::OnCancel];

    /// Its key in workflow files, and its segment in paths.
    pub fn name(self) -> &'static str {
        match self {
            BranchKind::OnError => "on-error",
            BranchKind::OnTimeout => "on-timeout",
            BranchKind::OnReject => "on-reject",
            BranchKind::OnCancel => "on-cancel",
        }
    }

    /// The kind of this name.
    pub fn from_name(name: &str) -> Option<BranchKind> {
        BranchKind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A contender of a race.
#[derive(Debug)]
pub struct Contender {
    /// Its steps.
    pub body: Body,
    /// Whether it *is* its one step: it then has the path `id[2]` itself, not `id[2]/step`.
    pub single: bool,
    /// How long after the race it begins.
    pub delay: Duration,
}

/// How the instances of a container follow from it, and when they are enough.
#[derive(Debug)]
pub enum Rule {
    /// `for-each`, `matrix`: one instance for each item and combination. All of them are wanted, or as many as make
    /// `stop-when` true.
    Each {
        /// `stop-when`, asked after each instance.
        enough: Option<Expr>,
    },
    /// `race`: one instance for each contender; the first success is enough.
    Race(Vec<Contender>),
    /// `repeat`: one instance after the other, until the expression holds.
    Repeat {
        /// `until`, asked after each iteration as if from inside it.
        until: Expr,
        /// The most iterations.
        max: u32,
    },
}

/// A step with numbered instances: one for each item and combination, contender or iteration.
#[derive(Debug)]
pub struct FanOut {
    /// What its instances are.
    pub rule: Rule,
    /// The list; without one there is a single item, `none`.
    pub for_each: Option<Template>,
    /// How many items of the list one instance gets (`batch`): its item is then a list of so many, the last of the rest.
    pub batch: Option<u32>,
    /// The axes, the first the slowest.
    pub matrix: Vec<(String, Template)>,
    /// How many instances run at once at most.
    pub max_parallel: Option<u32>,
    /// How many may fail before the step does.
    pub tolerate: Tolerate,
    /// The steps of one instance. Those of a race are its contenders': [`FanOut::body_of`] knows.
    pub body: Body,
    /// Whether the instance *is* its one step (`uses` beside `for-each`): it then has the path `id[3]` itself, not
    /// `id[3]/step`.
    pub single: bool,
    /// Paths that make an instance unnecessary when all of them exist (`skip-if-exists`).
    pub skip_if_exists: Vec<Template>,
}

impl FanOut {
    /// The steps of instance `number`.
    pub fn body_of(&self, number: u32) -> &Body {
        self.contender(number).map_or(&self.body, |contender| &contender.body)
    }

    /// Whether instance `number` is its one step.
    pub fn is_single(&self, number: u32) -> bool {
        self.contender(number).map_or(self.single, |contender| contender.single)
    }

    /// The contender of this number, from 1, of a race.
    pub fn contender(&self, number: u32) -> Option<&Contender> {
        match &self.rule {
            Rule::Race(contenders) => contenders.get((number as usize).checked_sub(1)?),
            Rule::Each { .. } | Rule::Repeat { .. } => None,
        }
    }

    /// Every body that an instance may have.
    pub fn bodies(&self) -> Vec<&Body> {
        match &self.rule {
            Rule::Race(contenders) => contenders.iter().map(|contender| &contender.body).collect(),
            Rule::Each { .. } | Rule::Repeat { .. } => vec![&self.body],
        }
    }

    /// Whether `number` counts its instances.
    pub fn counts(&self) -> bool {
        !matches!(self.rule, Rule::Race(_))
    }

    /// Whether it goes over items and combinations.
    pub fn has_items(&self) -> bool {
        matches!(self.rule, Rule::Each { .. })
    }
}

impl Node {
    /// Its branch of this kind.
    pub fn branch(&self, kind: BranchKind) -> Option<&Branch> {
        self.branches.iter().find(|branch| branch.kind == kind)
    }
}

/// How many instances of a fan-out may fail.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tolerate {
    /// At most this many; 0 is the default.
    Count(u32),
    /// At most this share, in percent.
    Percent(f64),
    /// All may (`continue-on-error: true`).
    All,
}

/// How failures of a step are retried.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryPolicy {
    /// How many attempts in all.
    pub attempts: u32,
    /// The wait before each further attempt.
    pub backoff: Backoff,
    /// No wait is longer.
    pub delay_max: Duration,
    /// Which classes are retried; `None` means every retryable one.
    pub classes: Option<Vec<ErrorClass>>,
}

/// The waits between attempts.
#[derive(Debug, Clone, PartialEq)]
pub enum Backoff {
    /// Always the same.
    Fixed(Duration),
    /// n times the first before attempt n + 1.
    Linear(Duration),
    /// Doubles each time.
    Exponential(Duration),
    /// As listed; the last is repeated.
    Listed(Vec<Duration>),
}

impl Default for RetryPolicy {
    /// Five attempts; 1, 2, 4 and 8 s between them.
    fn default() -> Self {
        Self {
            attempts: 5,
            backoff: Backoff::Exponential(Duration::from_secs(1)),
            delay_max: Duration::from_secs(60),
            classes: None,
        }
    }
}

/// An input of the workflow.
#[derive(Debug, Clone)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// What it takes.
    pub ty: InputType,
    /// What it is when it is not given, as written: a path for pictures and files.
    pub default: Option<serde_json::Value>,
    /// Whether it must be given.
    pub required: bool,
    /// The least number, the least length of a list or text.
    pub min: Option<f64>,
    /// The most.
    pub max: Option<f64>,
    /// A regular expression that the text must match.
    pub pattern: Option<String>,
    /// The largest file.
    pub bytes_max: Option<u64>,
    /// For forms.
    pub title: Option<String>,
}

impl Input {
    /// Whether its values are files.
    pub fn takes_files(&self) -> bool {
        use InputType::{Audio, File, Files, Image, Images, Video};
        matches!(self.ty, Image | Images | Video | Audio | File | Files)
    }
}

/// What an input takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputType {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// One of these.
    Enum(Vec<String>),
    /// A picture.
    Image,
    /// Pictures.
    Images,
    /// A film.
    Video,
    /// A sound.
    Audio,
    /// Any file.
    File,
    /// Any files.
    Files,
    /// Any JSON value.
    Json,
    /// A table: a list of objects.
    Csv,
    /// A JSON value on each line: a list of them.
    JsonLines,
    /// A script of scenes: a list of `{number, prompt, narration, …}`.
    Scenes,
}

impl InputType {
    /// The word of the language for it; `enum` for words.
    pub fn name(&self) -> &'static str {
        match self {
            InputType::String => "string",
            InputType::Integer => "integer",
            InputType::Number => "number",
            InputType::Boolean => "boolean",
            InputType::Enum(_) => "enum",
            InputType::Image => "image",
            InputType::Images => "image[]",
            InputType::Video => "video",
            InputType::Audio => "audio",
            InputType::File => "file",
            InputType::Files => "file[]",
            InputType::Json => "json",
            InputType::Csv => "csv",
            InputType::JsonLines => "jsonl",
            InputType::Scenes => "scenes",
        }
    }

    /// The words that an `enum` takes; none of other types.
    pub fn words(&self) -> &[String] {
        match self {
            InputType::Enum(words) => words,
            _ => &[],
        }
    }
}
