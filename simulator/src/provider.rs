//! [`Provider`]: what a provider's file says about it.

use crate::answer::{Answer, Reply};
use crate::asked::Asked;
use crate::job::{Job, Order};
use crate::lane::{Limits, Over};
use crate::studio::Studio;
use crate::webhook::{Notice, Occasion};
use crate::world::World;
use darkroom_proto::{Duration, Timestamp};
use serde_json::Value;
use std::sync::Arc;

/// One provider's wire format. A file of its own implements it; everything else is common to all.
///
/// The way of a request: `route` says what it is about; the key is looked at; faults happen; a submission is read by
/// `order` and, when there is room, becomes a job and a charge, and `accepted` answers; anything else is answered by
/// `look`.
pub(crate) trait Provider: Send + Sync {
    /// Its name in paths and documents.
    fn name(&self) -> &'static str;

    /// What a request is about, or nothing if there is no such path.
    fn route(&self, asked: &Asked) -> Option<Route>;

    /// The key that a request shows. Where none is needed: any word.
    fn key(&self, asked: &Asked) -> Option<String>;

    /// The key whose state counts, where a request shows a part of it only and proves that it has the rest.
    ///
    /// # Errors
    /// When it proves nothing: with the answer to that.
    fn prove(&self, _asked: &Asked, shown: &str, _world: &World) -> Result<String, Reply> {
        Ok(shown.to_owned())
    }

    /// Reads a submission. No lock is held: the place to decode.
    ///
    /// # Errors
    /// When it can't be taken: with the provider's answer to that.
    fn order(&self, asked: &Asked, route: &Route, studio: &Studio<'_>) -> Result<Order, Refusal>;

    /// Answers a submission that was taken.
    fn accepted(&self, asked: &Asked, job: &Arc<Job>, now: Timestamp) -> Answer;

    /// Answers everything that is no submission. Short: the world waits meanwhile.
    fn look(&self, asked: &Asked, route: &Route, world: &mut World) -> Answer;

    /// Answers when a job for which [`Answer::At`] waited is due. No lock is held; pictures may be made.
    fn finished(&self, _asked: &Asked, _job: &Job, _studio: &Studio<'_>) -> Reply {
        Reply::empty(500)
    }

    /// The state of a job as one server-sent event, for [`Answer::Events`].
    fn event(&self, _job: &Job, _now: Timestamp) -> String {
        String::new()
    }

    /// An error in the provider's own form.
    fn refuse(&self, refusal: &Refusal) -> Reply;

    /// What is told to a webhook. Links in it are made with the world.
    fn notice(&self, _job: &Arc<Job>, _occasion: Occasion, _world: &mut World) -> Option<Notice> {
        None
    }

    /// Changes an order whose result will be rejected, where that gives something else than an error.
    fn rejected(&self, _order: &mut Order) {}

    /// What is sent to a webhook before the first notice of a job, and must come back as it was.
    fn challenge(&self, _job: &Job) -> Option<Value> {
        None
    }

    /// Whether its jobs cost anything.
    fn charges(&self) -> bool {
        true
    }

    /// How long links to outputs are good.
    fn links(&self) -> Links {
        Links { lifetime: Duration::from_secs(7 * 86_400), renewed: false, gone: 404 }
    }

    /// What is taken without being asked for by `/_sim/limits`.
    fn limits(&self) -> Limits {
        Limits::default()
    }

    /// What happens to a job that is one too many at once.
    fn over(&self) -> Over {
        Over::Refused
    }

    /// Whether a job whose result was rejected costs what a good one does.
    fn bills_rejected(&self) -> bool {
        true
    }

    /// Whether a webhook is sent again when nobody took it.
    fn webhook_tries(&self, _occasion: Occasion) -> u32 {
        5
    }
}

/// How long links to outputs are good.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Links {
    pub(crate) lifetime: Duration,
    /// Whether asking for a job again gives a fresh link when the old one has expired by itself. One that expired by a fault
    /// is always renewed.
    pub(crate) renewed: bool,
    /// The status of a link that has expired.
    pub(crate) gone: u16,
}

/// The kind of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Class {
    /// Hands a job in.
    Submit,
    /// Asks about a job.
    Poll,
    /// Cancels a job.
    Cancel,
    /// Sends a file ahead.
    Upload,
    /// Fetches an output.
    Download,
    /// Anything else.
    Other,
}

impl Class {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Class::Submit => "submit",
            Class::Poll => "poll",
            Class::Cancel => "cancel",
            Class::Upload => "upload",
            Class::Download => "download",
            Class::Other => "other",
        }
    }
}

/// What a request is about.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) class: Class,
    /// Of a submission: the provider's name of the model or path. Otherwise a word that `look` knows.
    pub(crate) endpoint: String,
    /// The id of the job, where there is one.
    pub(crate) job: Option<String>,
    /// Whether a key has to be shown.
    pub(crate) needs_key: bool,
}

impl Route {
    pub(crate) fn submit(endpoint: impl Into<String>) -> Route {
        Route { class: Class::Submit, endpoint: endpoint.into(), job: None, needs_key: true }
    }

    pub(crate) fn of_job(class: Class, what: &str, job: impl Into<String>) -> Route {
        Route { class, endpoint: what.to_owned(), job: Some(job.into()), needs_key: true }
    }

    pub(crate) fn other(class: Class, what: &str) -> Route {
        Route { class, endpoint: what.to_owned(), job: None, needs_key: true }
    }

    pub(crate) fn without_key(mut self) -> Route {
        self.needs_key = false;
        self
    }

    /// The id of the job, empty if there is none.
    pub(crate) fn id(&self) -> &str {
        self.job.as_deref().unwrap_or_default()
    }
}

/// Why a request is not done, for a provider to say in its own words.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Refusal {
    /// No key was shown.
    NoKey,
    /// The key is not known.
    InvalidKey,
    /// The key may not do this.
    Forbidden,
    /// The money is used up.
    Quota,
    /// Too many requests, or too many jobs at once.
    TooMany {
        /// When another try is worth it, in milliseconds, if that is to be told.
        retry_after_ms: Option<u64>,
        /// Whether it is the number of jobs at once.
        at_once: bool,
    },
    /// What is asked for is against the rules.
    Content,
    /// There is no such path, model or job.
    NotFound,
    /// The input is wrong.
    Invalid {
        /// The field, or empty.
        field: String,
        /// What is wrong with it.
        message: String,
    },
    /// Any other status.
    Status {
        /// The status.
        status: u16,
        /// When another try is worth it, in milliseconds, if that is to be told.
        retry_after_ms: Option<u64>,
    },
}

impl Refusal {
    /// A field that has to be there.
    pub(crate) fn missing(field: &str) -> Refusal {
        Refusal::Invalid { field: field.to_owned(), message: "Field required".to_owned() }
    }

    pub(crate) fn invalid(field: &str, message: impl Into<String>) -> Refusal {
        Refusal::Invalid { field: field.to_owned(), message: message.into() }
    }

    /// The refusal that a bare status stands for, so that its body is the provider's usual one.
    pub(crate) fn of_status(status: u16, retry_after_ms: Option<u64>) -> Refusal {
        match status {
            429 => Refusal::TooMany { retry_after_ms, at_once: false },
            status => Refusal::Status { status, retry_after_ms },
        }
    }
}

/// Milliseconds as the whole seconds of a `Retry-After`.
pub(crate) fn whole_seconds(ms: u64) -> u64 {
    ms.div_ceil(1_000).max(1)
}
