//! [`World`]: everything that is known, behind one lock that is held for moments only.

use crate::charge::{Charge, cut};
use crate::clock::Clock;
use crate::fault::{FaultKind, Faults};
use crate::files::{Files, Linked};
use crate::job::{Cancelled, Job, Order, Phase, Verdict};
use crate::key::{KeyState, Keys};
use crate::lane::{Lane, Limits};
use crate::media::{Media, Recipe};
use crate::options::Options;
use crate::provider::{Class, Links, Provider, Refusal};
use crate::tally::Tally;
use crate::webhook::{Due, Occasion, Outbox};
use darkroom_proto::{Money, Timestamp};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// What came of cancelling a job.
#[derive(Debug, Clone)]
pub(crate) enum Cancel {
    /// It will not go on.
    Done(Arc<Job>),
    /// It had ended.
    TooLate(Arc<Job>),
    /// There is no such job.
    Unknown,
}

/// Everything that is known.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) options: Options,
    pub(crate) clock: Clock,
    pub(crate) media: Arc<Media>,
    pub(crate) faults: Faults,
    pub(crate) keys: Keys,
    pub(crate) files: Files,
    pub(crate) outbox: Outbox,
    links: HashMap<&'static str, Links>,
    limits: HashMap<String, Limits>,
    lanes: BTreeMap<(&'static str, String), Lane>,
    jobs: HashMap<(&'static str, String), Arc<Job>>,
    /// By provider, key and the caller's own name.
    externals: HashMap<(&'static str, String, String), String>,
    order: VecDeque<(&'static str, String)>,
    charges: VecDeque<Charge>,
    /// The number of the first charge that is remembered.
    first: u64,
    polls: HashMap<u64, u32>,
    /// The numbers of jobs whose webhooks gave a challenge back.
    pub(crate) challenged: HashSet<u64>,
    requests: BTreeMap<(&'static str, Class), u64>,
}

impl World {
    pub(crate) fn new(options: Options, clock: Clock, media: Arc<Media>, providers: &[Box<dyn Provider>]) -> World {
        World {
            faults: Faults::new(options.seed),
            options,
            clock,
            media,
            keys: Keys::default(),
            files: Files::default(),
            outbox: Outbox::default(),
            links: providers.iter().map(|provider| (provider.name(), provider.links())).collect(),
            limits: HashMap::new(),
            lanes: BTreeMap::new(),
            jobs: HashMap::new(),
            externals: HashMap::new(),
            order: VecDeque::new(),
            charges: VecDeque::new(),
            first: 0,
            polls: HashMap::new(),
            challenged: HashSet::new(),
            requests: BTreeMap::new(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Forgets everything that happened or was set.
    pub(crate) fn reset(&mut self) {
        self.faults = Faults::new(self.options.seed);
        self.keys.clear();
        self.files.clear();
        self.outbox.clear();
        self.limits.clear();
        self.lanes.clear();
        self.jobs.clear();
        self.externals.clear();
        self.order.clear();
        self.first += self.charges.len() as u64;
        self.charges.clear();
        self.polls.clear();
        self.challenged.clear();
        self.requests.clear();
    }

    pub(crate) fn set_limits(&mut self, provider: &str, limits: Limits) {
        self.limits.insert(provider.to_owned(), limits);
    }

    /// What a key is worth, by what was set and by what keys are good at all.
    pub(crate) fn key_state(&self, provider: &str, key: &str) -> KeyState {
        if self.options.keys.as_ref().is_some_and(|good| !good.iter().any(|known| known == key)) {
            return KeyState::Invalid;
        }
        self.keys.state(provider, key)
    }

    pub(crate) fn count(&mut self, provider: &'static str, class: Class, job: Option<&str>) {
        *self.requests.entry((provider, class)).or_default() += 1;
        if let (Class::Poll, Some(job)) = (class, job.and_then(|id| self.job(provider, id))) {
            let number = job.number;
            *self.polls.entry(number).or_default() += 1;
        }
    }

    /// Takes a submission: a job begins, or will, and is charged.
    ///
    /// # Errors
    /// When there are too many, or the caller's own name of it is taken.
    pub(crate) fn accept(
        &mut self,
        provider: &dyn Provider,
        order: Order,
        key: String,
        base: &str,
        rejected: bool,
    ) -> Result<Arc<Job>, Refusal> {
        let (name, now, number) = (provider.name(), self.now(), self.first + self.charges.len() as u64);
        if let Some(external) = &order.external
            && self.externals.contains_key(&(name, key.clone(), external.clone()))
        {
            return Err(Refusal::invalid("external_task_id", "external_task_id is not unique"));
        }
        if order.id.as_ref().is_some_and(|id| self.jobs.contains_key(&(name, id.clone()))) {
            return Err(Refusal::invalid("id", "there is a job of this id"));
        }
        let limits = self.limits.get(name).copied().unwrap_or_else(|| provider.limits());
        let lane = self.lanes.entry((name, key.clone())).or_default();
        let starts = lane.admit(limits, provider.over(), now).map_err(|after| Refusal::TooMany {
            retry_after_ms: Some(after.0),
            at_once: limits.rate.is_none() || lane.under_way(now) >= limits.at_once.unwrap_or(usize::MAX),
        })?;
        let latency = self.options.latency(order.kind);
        let late = order.begins_within_ms.filter(|ms| starts.since(now).0 > *ms);
        let (starts, ends, verdict) = match late {
            Some(ms) => {
                let gives_up = Timestamp(now.0 + ms);
                (gives_up, gives_up, Verdict::Late)
            }
            None => (starts, starts.after(latency), if rejected { Verdict::Rejected } else { Verdict::Good }),
        };
        lane.take(number, ends, now, limits);
        let id = order.id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        let job = Arc::new(Job {
            id: id.clone(),
            number,
            provider: name,
            endpoint: order.endpoint,
            key: key.clone(),
            kind: order.kind,
            input: Arc::new(cut(&order.input)),
            makes: order.makes.into_iter().map(Arc::new).collect(),
            webhook: order.webhook,
            external: order.external,
            memory: order.memory,
            created: now,
            starts,
            ends,
            cancelled: None,
            verdict,
            base: base.to_owned(),
        });
        let mut charge = Charge::of(&job);
        if !provider.charges() {
            charge.price = Money::from_usd(0.0);
        }
        charge.refunded = verdict == Verdict::Late || (verdict == Verdict::Rejected && !provider.bills_rejected());
        self.charges.push_back(charge);
        if let Some(external) = &job.external {
            self.externals.insert((name, key, external.clone()), id.clone());
        }
        if let Some(webhook) = &job.webhook {
            let due = |at, occasion| Due { at, provider: name, job: id.clone(), occasion, tries: 0, cancelled: false };
            if webhook.on_start {
                self.outbox.put(due(starts, Occasion::Start));
            }
            if webhook.on_end {
                self.outbox.put(due(ends, Occasion::End));
            }
        }
        self.jobs.insert((name, id.clone()), job.clone());
        self.order.push_back((name, id));
        self.forget_oldest();
        Ok(job)
    }

    fn forget_oldest(&mut self) {
        while self.charges.len() > self.options.remember_max.max(1) {
            self.charges.pop_front();
            self.first += 1;
            if let Some((provider, id)) = self.order.pop_front() {
                self.forget(provider, &id);
            }
        }
    }

    fn forget(&mut self, provider: &'static str, id: &str) -> Option<Arc<Job>> {
        let job = self.jobs.remove(&(provider, id.to_owned()))?;
        self.polls.remove(&job.number);
        self.challenged.remove(&job.number);
        self.files.forget(job.number, job.makes.len());
        if let Some(external) = &job.external {
            self.externals.remove(&(job.provider, job.key.clone(), external.clone()));
        }
        Some(job)
    }

    /// Deletes a job and its outputs, for its caller: what it makes goes on in secret, and is paid.
    pub(crate) fn delete(&mut self, provider: &'static str, id: &str) -> bool {
        let Some(job) = self.job(provider, id) else { return false };
        for output in 0..job.makes.len() {
            if let Some(link) = self.files.of_output(job.number, output).map(|(link, _)| link.to_owned()) {
                self.files.remove(&link);
            }
        }
        self.forget(provider, id).is_some()
    }

    /// The keys of a provider that are known by name, whatever they are worth.
    pub(crate) fn named_keys<'a>(&'a self, provider: &'a str) -> impl Iterator<Item = &'a str> {
        self.keys.named(provider).chain(self.options.keys.iter().flatten().map(String::as_str))
    }

    pub(crate) fn job(&self, provider: &'static str, id: &str) -> Option<Arc<Job>> {
        self.jobs.get(&(provider, id.to_owned())).cloned()
    }

    /// A job by its id or by the caller's own name of it.
    pub(crate) fn job_or_external(&self, provider: &'static str, key: &str, name: &str) -> Option<Arc<Job>> {
        self.job(provider, name).or_else(|| {
            let id = self.externals.get(&(provider, key.to_owned(), name.to_owned()))?;
            self.job(provider, id)
        })
    }

    /// The jobs of a key, newest first.
    pub(crate) fn jobs_of(&self, provider: &'static str, key: &str) -> impl Iterator<Item = &Arc<Job>> {
        let of_provider = self.order.iter().rev().filter(move |(known, _)| *known == provider);
        of_provider.filter_map(|name| self.jobs.get(name)).filter(move |job| job.key == key)
    }

    /// Ends a job early. One that had not begun costs nothing; of one that had, `refund_running` decides.
    pub(crate) fn cancel(&mut self, provider: &'static str, id: &str, refund_running: bool) -> Cancel {
        let now = self.now();
        let Some(job) = self.jobs.get_mut(&(provider, id.to_owned())) else { return Cancel::Unknown };
        let had_begun = match job.phase(now) {
            Phase::Queued => false,
            Phase::Running => true,
            Phase::Done | Phase::Failed | Phase::Cancelled => return Cancel::TooLate(job.clone()),
        };
        Arc::make_mut(job).cancelled = Some(Cancelled { at: now, had_begun });
        let job = job.clone();
        if let Some(lane) = self.lanes.get_mut(&(provider, job.key.clone())) {
            lane.release(job.number, job.ends);
        }
        let charge = job.number.checked_sub(self.first).and_then(|at| self.charges.get_mut(at as usize));
        if let Some(charge) = charge {
            charge.refunded |= !had_begun || refund_running;
        }
        if job.webhook.as_ref().is_some_and(|webhook| webhook.on_end) {
            let (job, occasion) = (job.id.clone(), Occasion::End);
            self.outbox.put(Due { at: now, provider, job, occasion, tries: 0, cancelled: true });
        }
        Cancel::Done(job)
    }

    /// The link to an output of a job that is done. The same one each time, unless it has expired and can be renewed.
    pub(crate) fn link(&mut self, job: &Job, output: usize) -> String {
        let now = self.now();
        let Some(recipe) = job.makes.get(output) else { return String::new() };
        let rules = self.links.get(job.provider).copied();
        let rules = rules.unwrap_or(Links { lifetime: darkroom_proto::Duration(0), renewed: false, gone: 404 });
        let (id, doomed) = match self.files.of_output(job.number, output) {
            Some((id, linked)) if now < linked.expires => (id.to_owned(), None),
            // It expired at once, by a fault, or the provider renews links.
            Some((_, linked)) if linked.expires <= job.ends || rules.renewed => (new_id(), Some(false)),
            Some((id, _)) => (id.to_owned(), None),
            None => (new_id(), Some(self.faults.of_job(FaultKind::ExpireOutput, job.provider, &job.endpoint))),
        };
        if let Some(doomed) = doomed {
            let lifetime = self.options.links_expire.unwrap_or(rules.lifetime);
            let expires = if doomed { job.ends } else { now.after(lifetime) };
            let (provider, recipe) = (job.provider, recipe.clone());
            let linked = Linked { provider, recipe, name: String::new(), expires, gone: rules.gone };
            self.files.put_output(job.number, output, id.clone(), linked);
        }
        format!("{}/_files/{id}/{output}.{}", job.base, recipe.extension())
    }

    /// A link to what was uploaded; `id` is also how the provider calls it.
    pub(crate) fn keep(
        &mut self,
        provider: &'static str,
        recipe: Recipe,
        name: &str,
        lifetime: darkroom_proto::Duration,
    ) -> String {
        let (id, expires) = (new_id(), self.now().after(lifetime));
        self.files
            .put(id.clone(), Linked { provider, recipe: Arc::new(recipe), name: name.to_owned(), expires, gone: 404 });
        id
    }

    pub(crate) fn charges(&self) -> impl Iterator<Item = &Charge> {
        self.charges.iter()
    }

    /// How much has happened.
    pub(crate) fn tally(&self) -> Tally {
        Tally {
            charges: self.charges.len() as u64,
            polls: self.polls.values().map(|count| u64::from(*count)).sum(),
            polls_most: self.polls.values().max().copied().unwrap_or(0),
            requests: self.requests.values().sum(),
        }
    }

    /// What tests look at.
    pub(crate) fn state(&mut self) -> Value {
        let now = self.now();
        let mut phases = BTreeMap::from(["queued", "running", "done", "failed", "cancelled"].map(|word| (word, 0u64)));
        for job in self.jobs.values() {
            *phases.entry(word(job.phase(now))).or_default() += 1;
        }
        let lanes: Vec<Value> = self
            .lanes
            .iter_mut()
            .map(|((provider, key), lane)| {
                json!({"provider": provider, "key": key, "now": lane.under_way(now), "most": lane.most})
            })
            .collect();
        let mut requests: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
        for ((provider, class), count) in &self.requests {
            requests.entry(provider).or_default().insert(class.word(), *count);
        }
        let polls_max = self.polls.values().max().copied().unwrap_or(0);
        let polls_total: u64 = self.polls.values().map(|count| u64::from(*count)).sum();
        json!({
            "now": now.to_string(), "jobs": phases, "at_once": lanes, "requests": requests,
            "polls": {"jobs": self.polls.len(), "total": polls_total, "most": polls_max},
            "webhooks": self.outbox.document(), "charges": self.charges.len(),
        })
    }
}

fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Queued => "queued",
        Phase::Running => "running",
        Phase::Done => "done",
        Phase::Failed => "failed",
        Phase::Cancelled => "cancelled",
    }
}

/// An id that nobody can guess.
pub(crate) fn new_id() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}
