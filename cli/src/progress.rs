//! What people see while a run is under way: bars on a terminal, plain lines elsewhere.

use crate::output::{complain, span};
use darkroom_coordinator::News;
use darkroom_engine::plan::{Plan, Work};
use darkroom_engine::{CYCLES_MAX, Happened, What, held_op};
use darkroom_proto::{ItemsDocument, RunId, StepPath, StepStatus, Timestamp};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::sync::Arc;

/// Shows what happens to one run, on stderr.
pub(crate) struct Progress {
    plan: Arc<Plan>,
    run: RunId,
    started: BTreeMap<StepPath, Timestamp>,
    /// What an instance saved, until it has ended.
    saved: BTreeMap<StepPath, Vec<String>>,
    /// What items of a fan-out were said to wait for.
    waits: BTreeSet<(StepPath, String)>,
    bars: Option<Bars>,
}

struct Bars {
    all: MultiProgress,
    fans: BTreeMap<StepPath, ProgressBar>,
}

impl Progress {
    /// Progress of this run, which is of this plan.
    pub(crate) fn new(plan: Arc<Plan>, run: RunId) -> Progress {
        let bars = std::io::stderr().is_terminal().then(|| Bars { all: MultiProgress::new(), fans: BTreeMap::new() });
        Progress { plan, run, started: BTreeMap::new(), saved: BTreeMap::new(), waits: BTreeSet::new(), bars }
    }

    /// Shows a piece of news.
    pub(crate) fn show(&mut self, news: &News) {
        for happened in &news.events {
            self.happened(happened);
        }
    }

    /// Takes the bars away.
    pub(crate) fn end(&mut self) {
        if let Some(bars) = &mut self.bars {
            for bar in bars.fans.values() {
                bar.finish_and_clear();
            }
            bars.fans.clear();
        }
    }

    fn line(&self, text: &str) {
        match &self.bars {
            // A bar would be torn apart by a line printed past it.
            Some(bars) => {
                if bars.all.println(text).is_err() {
                    complain(text);
                }
            }
            None => complain(text),
        }
    }

    /// Says what a step waits for, and what ends that.
    fn waits(&mut self, step: &StepPath, reason: &str) {
        let run = self.run.short();
        let how = match held_op(&self.plan, step) {
            Some("sleep") => return self.line(&format!("      {step}  sleeps until {reason}")),
            Some("wait.event") => format!("\n      to send it: darkroom signal {run} NAME JSON"),
            Some("human.approve") => format!("\n      to decide: darkroom approve {run}/{step}, or reject"),
            _ => String::new(),
        };
        // Of a wide fan-out only the first item that waits for something is told of: the others wait for the same.
        let fan = instance_of(step).and_then(|instance| instance.parent());
        if fan.is_none_or(|fan| self.waits.insert((fan, reason.to_owned()))) {
            self.line(&format!("      {step}  waits for {reason}{how}"));
        }
    }

    /// Shows an event.
    pub(crate) fn happened(&mut self, happened: &Happened) {
        match &happened.what {
            What::StepDispatched { step, .. } => {
                self.started.entry(step.clone()).or_insert(happened.at);
            }
            What::StepCompleted { step, saved, notes, .. } => {
                let took = self.started.remove(step).map(|started| happened.at.since(started));
                if let (Some(saved), Some(instance)) = (saved, instance_of(step)) {
                    self.saved.entry(instance).or_default().push(saved.clone());
                }
                for note in notes {
                    self.line(&format!("      {step}: {note}"));
                }
                if let Some(position) = self.position(step) {
                    let took = took.map(|took| format!("  {}", span(took))).unwrap_or_default();
                    let saved = saved.as_ref().map(|path| format!("  → {path}")).unwrap_or_default();
                    self.line(&format!("{position} {step}  completed{took}{saved}"));
                }
            }
            What::StepSkipped { step, reason } => {
                if let Some(position) = self.position(step) {
                    self.line(&format!("{position} {step}  skipped: {reason}"));
                }
            }
            What::StepRetrying { step, attempt, again_at, error } => {
                let wait = span(again_at.since(happened.at));
                self.line(&format!("      {step}  attempt {attempt} failed, again in {wait}: {error}"));
            }
            What::StepWaiting { step, reason } => self.waits(step, reason),
            What::StepProgress { step, progress, note } => {
                let share = progress.map(|progress| format!("  {:.0} %", progress * 100.0)).unwrap_or_default();
                let note = if note.is_empty() { String::new() } else { format!("  {note}") };
                self.line(&format!("      {step}{share}{note}"));
            }
            What::StepParked { step, error, again_at, cycle } => {
                let wait = span(again_at.since(happened.at));
                self.line(&format!(
                    "      {step}  parked: {error}; looked at again in {wait} (cycle {cycle} of {CYCLES_MAX})"
                ));
            }
            What::StepFailed { step, error, tolerated, .. } => {
                self.started.remove(step);
                let goes_on = if *tolerated { " (the run goes on)" } else { "" };
                match self.position(step) {
                    Some(position) => self.line(&format!("{position} {step}  failed: {error}{goes_on}")),
                    None => self.line(&format!("      {step}  failed: {error}{goes_on}")),
                }
            }
            What::StepCancelled { step, spent } if spent.usd() > 0.0 => {
                self.line(&format!("      {step}  called off, after ${:.4} was spent on it", spent.usd()));
            }
            What::StepCancelled { .. } => {}
            What::BranchBegun { step, branch, error } => {
                let of = error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
                self.line(&format!("      {step}  {}{of}", branch.name()));
            }
            What::FanOutOpened { step, total } => self.open(step, *total),
            What::ItemStarted { step, label } => self.begin(step, label),
            What::ItemEnded { step, label, status, items } => self.item(step, label, *status, *items),
            What::RunResumed { from: Some(from) } => self.line(&format!("resumed from `{from}`")),
            What::RunPaused { reason } => self.line(&format!(
                "paused: {reason}; what is under way is let end. To go on: darkroom resume {}",
                self.run.short()
            )),
            What::SignalKept { name, by, .. } => self.line(&format!("      the event `{name}` of {by} is kept")),
            What::SignalTaken { step, name, by, .. } => {
                self.line(&format!("      {step}  takes the event `{name}` of {by}"));
            }
            What::StepDecided { step, decision, by, .. } => self.line(&format!("      {step}  {decision} by {by}")),
            What::InputsSet { names } => self.line(&format!("other inputs from here on: {}", names.join(", "))),
            What::Refused { command, reason, .. } => self.line(&format!("      {command} refused: {reason}")),
            What::RunStarted
            | What::RunResumed { from: None }
            | What::RunCompleted { .. }
            | What::RunFailed { .. }
            | What::RunCancelled { .. } => {}
        }
    }

    /// `[2/5]` of a top-level call; nothing for what lies deeper, and for fan-outs, whose items are shown.
    fn position(&self, step: &StepPath) -> Option<String> {
        let node = self.plan.find(&self.plan.top, step.as_str())?;
        let node = self.plan.node(node);
        matches!(node.work, Work::Call(_)).then(|| format!("[{}/{}]", node.number, self.plan.top.nodes.len()))
    }

    fn open(&mut self, step: &StepPath, total: u32) {
        let Some(bars) = &mut self.bars else { return };
        let bar = bars.all.add(ProgressBar::new(u64::from(total)));
        if let Ok(style) = ProgressStyle::with_template("{prefix:.bold} {bar:24} [{pos}/{len}] {wide_msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(step.to_string());
        bars.fans.insert(step.clone(), bar);
    }

    fn begin(&mut self, instance: &StepPath, label: &str) {
        if let (Some(bars), Some(fan)) = (&self.bars, instance.parent())
            && let Some(bar) = bars.fans.get(&fan)
        {
            bar.set_message(format!("{label} …"));
        }
    }

    fn item(&mut self, instance: &StepPath, label: &str, status: StepStatus, items: ItemsDocument) {
        let saved = self.saved.remove(instance).unwrap_or_default();
        self.started.remove(instance);
        let done = items.completed + items.skipped + items.failed;
        let Some(fan) = instance.parent() else { return };
        if let Some(bars) = &mut self.bars
            && let Some(bar) = bars.fans.get(&fan)
        {
            bar.set_position(u64::from(done));
            if done >= items.total {
                bar.finish_and_clear();
                bars.fans.remove(&fan);
            }
        }
        let saved = if saved.is_empty() { String::new() } else { format!("  → {}", saved.join(", ")) };
        self.line(&format!("[{done}/{}] {label}  {status}{saved}", items.total));
    }
}

/// The outermost instance that a step lies in, or is.
fn instance_of(step: &StepPath) -> Option<StepPath> {
    let text = step.as_str();
    let end = text.find(']')?;
    text[..=end].parse().ok()
}
