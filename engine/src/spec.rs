//! What a run is given.

use crate::child::{Parent, Pinned};
use crate::part::Part;
use crate::plan::Plan;
use crate::recorded::{Origin, Recorded};
use darkroom_proto::{Map, Money, Saved, Scheduled, Sha256, StepPath, Tenant, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What a run was given; it never changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Tenant::is_default")]
    pub tenant: Tenant,
    /// The workflow's id.
    pub workflow: String,
    /// The version that the run is pinned to.
    pub definition: Sha256,
    /// The inputs, defaults included, files as artifacts.
    pub inputs: Map,
    /// When it was created.
    pub created_at: Timestamp,
    /// Where links to artifacts lead: the artifact store as a URL, without a slash at its end.
    #[serde(default)]
    pub artifacts_url: String,
    /// The output folder, absolute; none on a fleet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out: Option<String>,
    /// The name of the workflow's single saved file, instead of the one in the workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// Only these items of one top-level fan-out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<Only>,
    /// Overrides what top-level fan-outs tolerate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_error: Option<OnError>,
    /// Everything is done anew: nothing is taken from equal steps of before, nor from the step cache.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fresh: bool,
    /// Paths of `skip-if-exists` that exist.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub existing: BTreeSet<String>,
    /// What it was expected to cost at most.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub estimated: Money,
    /// Files that equal steps have saved before and that are still there, by the key of what determined them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub saved: BTreeMap<Sha256, Reusable>,
    /// What started it, if nobody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Scheduled>,
    /// The run that it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// What calls of that run gave, by step.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub recorded: BTreeMap<StepPath, Recorded>,
    /// Which definitions the workflows are that its steps run, and the steps of these, by the name that a step writes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub children: BTreeMap<String, Pinned>,
    /// The step that it is the child of, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Box<Parent>>,
    /// What it saves lies under this path of the output folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub save_dir: Option<String>,
    /// The instances that it has of a fan-out of its parent, if it is no more than a part of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Box<Part>>,
    /// What the run that it belongs to leaves it to spend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowance: Option<Money>,
}

impl Spec {
    /// What a run of a plan is given, with nothing special about it.
    pub fn new(plan: &Plan, inputs: Map, created_at: Timestamp) -> Spec {
        Spec {
            tenant: Tenant::default(),
            workflow: plan.workflow.clone(),
            definition: plan.definition,
            inputs,
            created_at,
            artifacts_url: String::new(),
            out: None,
            filename: None,
            only: None,
            on_error: None,
            fresh: false,
            existing: BTreeSet::new(),
            estimated: Money::ZERO,
            saved: BTreeMap::new(),
            schedule: None,
            origin: None,
            recorded: BTreeMap::new(),
            children: BTreeMap::new(),
            parent: None,
            save_dir: None,
            part: None,
            allowance: None,
        }
    }
}

/// The outcome of an earlier, equal step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reusable {
    /// What it saved.
    pub saved: Saved,
    /// Its outputs.
    pub outputs: Map,
}

/// Which items of a fan-out are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Only {
    /// The id of the fan-out.
    pub step: String,
    /// Positions of items, from 1.
    pub numbers: BTreeSet<u32>,
}

/// What a failing item does to its siblings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The first failure ends the fan-out.
    Stop,
    /// All may fail.
    Continue,
}

/// The definition and output folder within which a file that was saved is found again.
pub fn saved_scope(spec: &Spec) -> Sha256 {
    Sha256::of(format!("{}\0{}", spec.definition, spec.out.as_deref().unwrap_or_default()).as_bytes())
}

fn is_nothing(amount: &Money) -> bool {
    *amount == Money::ZERO
}
