//! A workflow as it was written: every key read and of the right shape, no name resolved yet.

use crate::node::{Name, Node};
use crate::plan::{BranchKind, CacheMode, Input, RetryPolicy, Tolerate};
use crate::source::Span;
use darkroom_proto::{Duration, Money};

/// What the top of the file says.
#[derive(Debug, Default)]
pub(crate) struct Definition<'a> {
    pub id: String,
    pub about: About,
    pub budget: Option<Money>,
    pub inputs: Vec<InputDef<'a>>,
    pub steps: Vec<Element<'a>>,
    pub outputs: Vec<(&'a Name, &'a Node)>,
}

/// What a catalogue shows of a workflow.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct About {
    /// Its title, or its id.
    pub title: String,
    /// What it does.
    pub description: Option<String>,
    /// Whether it may be started.
    pub enabled: bool,
    /// What a run is charged for.
    pub credits: Option<u32>,
    /// About how long a run takes.
    pub estimated_duration: Option<Duration>,
    /// The most that a run may spend, as written, such as `1.50 USD`.
    pub budget: Option<String>,
    /// When runs start by themselves.
    pub schedules: Vec<crate::schedule::Declared>,
    /// A symbol for it.
    pub icon: Option<String>,
    /// What it is listed under.
    pub category: Option<String>,
    /// A file that shows what it makes, relative to the workflow file.
    pub preview: Option<String>,
    /// A small picture, relative to the workflow file.
    pub thumbnail: Option<String>,
}

/// An input and where it is declared.
#[derive(Debug)]
pub(crate) struct InputDef<'a> {
    pub input: Input,
    pub name: &'a Name,
    /// Its type could not be read: nothing is known of its values.
    pub broken: bool,
}

/// An item of a list of steps.
#[derive(Debug)]
pub(crate) enum Element<'a> {
    Step(Box<StepDef<'a>>),
    Parallel(Group<'a>),
}

/// A `parallel:` group.
#[derive(Debug)]
pub(crate) struct Group<'a> {
    pub condition: Option<&'a Node>,
    pub needs: Option<Vec<Name>>,
    pub continue_on_error: bool,
    pub members: Vec<Element<'a>>,
}

/// A step.
#[derive(Debug)]
pub(crate) struct StepDef<'a> {
    /// Where it begins, and what is marked when something is missing in it.
    pub span: Span,
    pub id: Option<Name>,
    pub title: Option<String>,
    pub uses: Option<Name>,
    pub with: Vec<(&'a Name, &'a Node)>,
    pub needs: Option<Vec<Name>>,
    pub condition: Option<&'a Node>,
    pub for_each: Option<&'a Node>,
    pub matrix: Option<Vec<(&'a Name, &'a Node)>>,
    pub body: Option<Vec<Element<'a>>>,
    pub batch: Option<u32>,
    pub max_parallel: Option<u32>,
    pub continue_on_error: bool,
    pub tolerate: Option<Tolerate>,
    pub retry: RetryPolicy,
    pub timeout: Option<Duration>,
    pub cache: CacheMode,
    pub save: Option<&'a Node>,
    pub race: Option<Vec<StepDef<'a>>>,
    pub repeat: Option<RepeatDef<'a>>,
    pub stop_when: Option<&'a Node>,
    /// Of a contender.
    pub delay: Duration,
    pub branches: Vec<BranchDef<'a>>,
    pub skip_if_exists: Vec<&'a Node>,
    /// Of a child: where what it saves lies.
    pub save_dir: Option<&'a Node>,
    /// Of a child: it is started and not waited for.
    pub detach: bool,
    /// Of a child: it goes on when its parent ends.
    pub abandons: bool,
    /// Something in it could not be read or is not in this release: what follows from it is not reported.
    pub broken: bool,
}

/// What `repeat:` says.
#[derive(Debug)]
pub(crate) struct RepeatDef<'a> {
    pub until: Option<&'a Node>,
    pub max: u32,
}

/// A branch of a step.
#[derive(Debug)]
pub(crate) struct BranchDef<'a> {
    pub kind: BranchKind,
    pub body: Vec<Element<'a>>,
    /// It ends in `then: fail`.
    pub fails: bool,
}

impl StepDef<'_> {
    /// The workflow that it runs, as `NAME` or `NAME@VERSION`.
    pub(crate) fn child(&self) -> Option<&str> {
        self.uses.as_ref()?.text.strip_prefix(darkroom_proto::op::CHILD_PREFIX)
    }

    /// The task that its worker does, if it is one.
    pub(crate) fn task(&self) -> Option<&str> {
        darkroom_proto::op::task_name(&self.uses.as_ref()?.text)
    }

    /// Whether what it takes and gives is not in the table of ops: another workflow's, or a task's.
    pub(crate) fn is_foreign(&self) -> bool {
        self.child().is_some() || self.task().is_some()
    }

    /// Whether it has numbered instances: items, contenders or iterations.
    pub(crate) fn is_container(&self) -> bool {
        self.is_fan_out() || self.race.is_some() || self.repeat.is_some()
    }

    /// Whether it runs once for each item or combination.
    pub(crate) fn is_fan_out(&self) -> bool {
        self.for_each.is_some() || self.matrix.is_some()
    }
}
