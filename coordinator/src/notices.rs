//! Notices on their way to people: a log, a console, a webhook.
//!
//! A run is never held up by one. They are handed over after the commit, wait in a line of limited length, and are given up
//! after a few tries; what was given up is in the log. What goes to an admin is about the installation, so the same trouble
//! of many runs is told once in a while, with the number of those that were kept back.

use darkroom_engine::{Notice, NoticeKind};
use darkroom_proto::{Act, Duration, ErrorClass, Sha256, Timestamp};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// How many notices may wait. What comes when so many do is only counted.
const WAITING_MAX: usize = 1_000;

/// How many webhooks are sent at once.
const AT_ONCE_MAX: usize = 8;

/// How long is waited before each further try of a webhook.
const AGAIN_AFTER: [std::time::Duration; 3] =
    [std::time::Duration::from_secs(1), std::time::Duration::from_secs(4), std::time::Duration::from_secs(16)];

/// How long a process that ends waits for what is still to be sent.
const DRAIN: std::time::Duration = std::time::Duration::from_secs(10);

/// How many troubles are remembered as told.
const TOLD_MAX: usize = 10_000;

/// How many hex digits the id of a notice has.
const ID_DIGITS: usize = 32;

/// What notices leave the process by; the binary lends it.
pub trait Outlet: std::fmt::Debug + Send + Sync + 'static {
    /// Writes a line where whoever started the process sees it.
    fn console(&self, line: &str);

    /// Posts a notice once, under an id that is the same whenever it is posted. The error says why it did not arrive,
    /// without secrets, and whether trying again can help.
    fn post(&self, to: Act, id: String, body: Value) -> BoxFuture<'static, Result<(), Undelivered>>;
}

/// Why a notice did not arrive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Undelivered {
    /// For the log.
    pub reason: String,
    /// Whether trying again can help.
    pub passes: bool,
}

/// By which ways somebody is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ways {
    /// A line of the log, as a warning.
    pub log: bool,
    /// A line on the console.
    pub console: bool,
    /// A webhook.
    pub webhook: bool,
}

/// Who is told how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoticeOptions {
    /// Users.
    pub user: Ways,
    /// Admins.
    pub admin: Ways,
    /// How long the same trouble of other runs is not told to an admin again.
    pub quiet: Duration,
}

impl NoticeOptions {
    fn ways(&self, to: Act) -> Ways {
        match to {
            Act::User => self.user,
            Act::Admin => self.admin,
            Act::Nobody => Ways::default(),
        }
    }
}

/// Where a coordinator leaves its notices. Copies share one line.
#[derive(Debug, Clone)]
pub struct Notices {
    line: mpsc::Sender<Notice>,
}

impl Notices {
    /// Where notices are left, and what takes them further.
    pub fn open(options: NoticeOptions, outlet: Arc<dyn Outlet>) -> (Notices, Notifier) {
        let (line, waiting) = mpsc::channel(WAITING_MAX);
        (Notices { line }, Notifier { options, outlet, waiting, again_after: AGAIN_AFTER, told: BTreeMap::new() })
    }

    /// Leaves a notice. It waits for nothing: where too many wait already, it is only counted.
    pub(crate) fn tell(&self, notice: Notice) {
        if self.line.try_send(notice).is_err() {
            metrics::counter!("darkroom_notices_total", "outcome" => "dropped").increment(1);
        }
    }
}

/// What an admin is told once in a while: the same trouble of the same workflow.
type Trouble = (NoticeKind, ErrorClass, String);

/// What was told of a trouble.
#[derive(Debug, Clone, Copy)]
struct Told {
    at: Timestamp,
    kept_back: u64,
}

/// Takes notices further.
#[derive(Debug)]
pub struct Notifier {
    options: NoticeOptions,
    outlet: Arc<dyn Outlet>,
    waiting: mpsc::Receiver<Notice>,
    again_after: [std::time::Duration; 3],
    told: BTreeMap<Trouble, Told>,
}

impl Notifier {
    /// Works until nobody leaves notices any more, then up to 10 s more for what is still to be sent.
    pub async fn run(mut self) {
        let mut posts: JoinSet<()> = JoinSet::new();
        while let Some(notice) = self.waiting.recv().await {
            while posts.try_join_next().is_some() {}
            let Some(kept_back) = self.admits(&notice) else {
                metrics::counter!("darkroom_notices_total", "outcome" => "kept_back").increment(1);
                continue;
            };
            let ways = self.options.ways(notice.to);
            if ways.log {
                logged(&notice, kept_back);
            }
            if ways.console {
                self.outlet.console(&line(&notice, kept_back));
            }
            if ways.webhook {
                if posts.len() >= AT_ONCE_MAX {
                    posts.join_next().await;
                }
                posts.spawn(posted(self.outlet.clone(), self.again_after, notice, kept_back));
            }
        }
        let drained = async { while posts.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            tracing::warn!("notices could not be delivered before the process ended");
        }
    }

    /// Whether a notice is told, and how many like it were not since the last that was.
    fn admits(&mut self, notice: &Notice) -> Option<u64> {
        // A run tells each trouble once, and the next run is another user's, or another attempt.
        if notice.to != Act::Admin {
            return Some(0);
        }
        let trouble = (notice.kind, notice.class, notice.workflow.clone());
        if let Some(told) = self.told.get_mut(&trouble)
            && notice.at < told.at.after(self.options.quiet)
        {
            told.kept_back += 1;
            return None;
        }
        if self.told.len() >= TOLD_MAX {
            let quiet = self.options.quiet;
            self.told.retain(|_, told| notice.at < told.at.after(quiet));
            if self.told.len() >= TOLD_MAX {
                self.told.pop_first();
            }
        }
        let before = self.told.insert(trouble, Told { at: notice.at, kept_back: 0 });
        Some(before.map_or(0, |told| told.kept_back))
    }
}

/// Posts a notice, again if that can help.
async fn posted(outlet: Arc<dyn Outlet>, again_after: [std::time::Duration; 3], notice: Notice, kept_back: u64) {
    let (id, body) = (id(&notice), document(&notice, kept_back));
    let mut waits = again_after.into_iter();
    loop {
        match outlet.post(notice.to, id.clone(), body.clone()).await {
            Ok(()) => {
                metrics::counter!("darkroom_notices_total", "outcome" => "delivered").increment(1);
                return;
            }
            Err(Undelivered { reason, passes }) => match waits.next().filter(|_| passes) {
                Some(wait) => {
                    tracing::debug!(run = %notice.run, reason, "a notice did not arrive and is posted again");
                    tokio::time::sleep(wait).await;
                }
                None => {
                    metrics::counter!("darkroom_notices_total", "outcome" => "undelivered").increment(1);
                    tracing::warn!(run = %notice.run, kind = notice.kind.name(), reason, "a notice did not arrive");
                    return;
                }
            },
        }
    }
}

/// The same for every delivery of a notice, and for no other notice.
fn id(notice: &Notice) -> String {
    let Notice { kind, run, generation, class, .. } = notice;
    let of = format!("{run}@{generation}/{}/{class}", kind.name());
    let digits: String = Sha256::of(of.as_bytes()).to_string().chars().take(ID_DIGITS).collect();
    format!("msg_{digits}")
}

fn document(notice: &Notice, kept_back: u64) -> Value {
    json!({
        "type": notice.kind.name(),
        "timestamp": notice.at,
        "data": {
            "to": notice.to,
            "run": notice.run,
            "workflow": notice.workflow,
            "step": notice.step,
            "class": notice.class,
            "code": notice.code,
            "message": notice.message,
            "advice": notice.advice,
            "kept_back": kept_back,
        },
    })
}

fn audience(to: Act) -> &'static str {
    match to {
        Act::User => "user",
        Act::Admin => "admin",
        Act::Nobody => "nobody",
    }
}

fn logged(notice: &Notice, kept_back: u64) {
    let Notice { at: _, to, kind, run, workflow, generation: _, step, class, code, message, advice } = notice;
    tracing::warn!(
        target: "darkroom_notices",
        to = audience(*to), kind = kind.name(), %run, workflow, %step, %class, code, advice, kept_back, "{message}"
    );
}

/// A notice as a line: control characters would let a message look like several.
fn line(notice: &Notice, kept_back: u64) -> String {
    let more = match kept_back {
        0 => String::new(),
        count => format!(" (and {count} like it before)"),
    };
    let advice = if notice.advice.is_empty() { String::new() } else { format!(" {}", notice.advice) };
    let line = format!(
        "notice for {}: {}: {} of {}, {}: {}.{advice}{more}",
        audience(notice.to),
        notice.kind.name(),
        notice.step,
        notice.workflow,
        notice.run,
        notice.message
    );
    line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests;
