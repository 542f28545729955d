//! [`Adapter`]: one provider's wire format.

use crate::http::{Request, Response};
use darkroom_proto::model::Route;
use darkroom_proto::{CallId, Duration, Map, Money, StepError, Timestamp};
use secrecy::SecretString;
use serde_json::Value;
use std::sync::Arc;

/// How a provider is reached.
#[derive(Debug, Clone)]
pub struct Access {
    /// Instead of the provider's own hosts, without a slash at its end: a proxy, a compatible server or the simulator.
    pub base_url: Option<String>,
    /// The key, as it was configured.
    pub key: SecretString,
    /// The time, for keys that are signed with it.
    pub now: Timestamp,
}

impl Access {
    /// `path`, which begins with a slash, at `host` (`https://…`, without a slash at its end) or at the base URL that is
    /// configured instead. A base URL may end with the version that the path begins with, such as `/v1`: clients differ in
    /// that.
    pub fn url(&self, host: &str, path: &str) -> String {
        let base = self.base_url.as_deref().unwrap_or(host).trim_end_matches('/');
        let version = path.get(1..).and_then(|path| path.split('/').next()).filter(|first| first.starts_with('v'));
        let is_said = version.is_some_and(|version| base.rsplit('/').next() == Some(version));
        let path = version.filter(|_| is_said).and_then(|version| path.get(1 + version.len()..)).unwrap_or(path);
        format!("{base}{path}")
    }

    /// Whether a URL that a provider gave leads to `hosts` (without scheme) or below the base URL that is configured
    /// instead: only then may the key go there.
    pub fn leads_home(&self, url: &str, hosts: &[&str]) -> bool {
        if let Some(base) = &self.base_url {
            let base = base.trim_end_matches('/');
            return url.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
        }
        let Some(rest) = url.strip_prefix("https://") else { return false };
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        hosts.iter().any(|known| host == *known || host.strip_suffix(known).is_some_and(|sub| sub.ends_with('.')))
    }
}

/// What a provider is asked for: the canonical parameters of an op, the same for all providers.
#[derive(Debug, Clone)]
pub struct Ask<'a> {
    /// The op.
    pub op: &'a str,
    /// Which model of which provider, and how its parameters are called there.
    pub route: &'a Route,
    /// The parameters as the op table names them, defaults included, without artifacts.
    pub params: &'a Map,
    /// The artifacts among the parameters.
    pub files: &'a [File],
    /// Our id of the call.
    pub call: &'a CallId,
    /// Where the provider may tell that the job has ended, if it can and somebody listens there.
    pub webhook: Option<&'a str>,
}

/// A file that goes to a provider.
#[derive(Debug, Clone)]
pub struct File {
    /// The parameter that it is the value of, such as `image`.
    pub param: String,
    /// Its name, with extension.
    pub name: String,
    /// Its type.
    pub media_type: String,
    /// Its bytes.
    pub bytes: Arc<[u8]>,
    /// Pixels across and down, of a picture.
    pub size: Option<(u32, u32)>,
    /// Where the provider can fetch it: a signed link of the artifact store, or where it was uploaded.
    pub url: Option<String>,
}

/// A request that hands a job in.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The request.
    pub request: Request,
    /// Parameters that this route has no use for, as the op table names them.
    pub ignored: Vec<String>,
    /// What is asked for otherwise than it was given, because the route can't do just that: a sentence each.
    pub notes: Vec<String>,
}

/// What came of handing a job in.
#[derive(Debug, Clone)]
pub enum Submitted {
    /// The provider has the job, under this handle: everything that is needed to ask about it, and nothing secret.
    Accepted(Value),
    /// It is done already.
    Done(Product),
    /// The provider refused it, or it failed.
    Refused(Failure),
    /// The answer does not tell whether the provider has the job.
    Unclear(StepError),
}

/// What came of asking about a job.
#[derive(Debug, Clone)]
pub enum Polled {
    /// It is not done.
    Pending {
        /// From 0 to 1, where the provider tells.
        progress: Option<f64>,
    },
    /// Something else has to be asked first; the answer goes to `polled` with this stage.
    Next {
        /// The question.
        request: Request,
        /// What it is about, in the adapter's own words.
        stage: &'static str,
    },
    /// It is done.
    Done(Product),
    /// It failed for good.
    Failed(Failure),
    /// This question failed, which says nothing about the job: ask again later.
    Again(StepError),
}

/// A failure, and whether it is paid all the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// What went wrong.
    pub error: StepError,
    /// Whether the provider charges for it.
    pub billed: bool,
}

impl Failure {
    /// A failure that costs nothing.
    pub fn unbilled(error: StepError) -> Failure {
        Failure { error, billed: false }
    }

    /// A failure that costs what a success does.
    pub fn billed(error: StepError) -> Failure {
        Failure { error, billed: true }
    }
}

/// What a job gave.
#[derive(Debug, Clone, Default)]
pub struct Product {
    /// The files.
    pub files: Vec<Made>,
    /// Other outputs, as the op table names them; boxes in pixels of the original.
    pub values: Map,
    /// What it cost, where the provider tells.
    pub cost: Option<Money>,
    /// Facts for the manifest, such as the seed that was used.
    pub facts: Map,
}

/// A file that was made.
#[derive(Debug, Clone)]
pub struct Made {
    /// The output that it is, as the op table names it.
    pub output: &'static str,
    /// Where it is.
    pub source: Source,
}

/// Where a file is.
#[derive(Debug, Clone)]
pub enum Source {
    /// At a URL, which may expire soon.
    Url {
        /// The URL.
        url: String,
        /// Whether the key has to be shown there.
        with_key: bool,
    },
    /// Here.
    Bytes {
        /// The bytes.
        bytes: Vec<u8>,
        /// What the provider says that they are.
        media_type: String,
    },
}

/// What came of sending a file ahead.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
pub enum Uploaded {
    /// It is there, under this URL.
    Done(String),
    /// Something else has to be sent; the answer goes to `uploaded` with this stage.
    Next {
        /// The request.
        request: Request,
        /// What it is about, in the adapter's own words.
        stage: &'static str,
        /// What has to be remembered for it.
        memory: Value,
    },
}

/// What a provider says when it is asked for a job by our id of the call.
#[derive(Debug, Clone)]
pub enum Found {
    /// It has the job.
    Job(Value),
    /// It has no such job, for sure.
    Nothing,
    /// It can't tell.
    Unclear,
}

/// What came to a webhook.
#[derive(Debug, Clone)]
pub struct Incoming<'a> {
    /// Headers, names in small letters.
    pub headers: &'a [(String, String)],
    /// The body as it came: signatures are over these bytes.
    pub body: &'a [u8],
    /// When.
    pub now: Timestamp,
    /// What signatures are checked with: JWKS as JSON (fal), a secret (Replicate); null when there is none.
    pub trust: &'a Value,
}

/// What a webhook told.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// Something happened to this job: ask about it. Nothing else in it is believed but what [`Adapter::told`] reads, if it is
    /// signed.
    Ended {
        /// What the provider calls the job, in its own words; compared with the handle's `id`.
        job: String,
        /// Tells this piece of news from others, for dropping copies.
        id: String,
    },
    /// Nothing that ends a job.
    Other,
    /// The provider wants this back, to see that somebody is here.
    Challenge(Value),
}

/// Why a webhook is not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disbelief {
    /// It has no signature, or a wrong one.
    Signature,
    /// It is too old, or from the future.
    Stale,
    /// It can't be read.
    Malformed,
}

/// What a provider can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traits {
    /// Whether it answers a submission with the outcome itself, after a while.
    pub synchronous: bool,
    /// Whether it tells a webhook when a job has ended.
    pub webhook: bool,
    /// Whether what a webhook says is signed.
    pub signed: bool,
    /// Whether a job can be cancelled.
    pub cancels: bool,
    /// Whether it can tell by our id of the call whether it has the job.
    pub looks_up: bool,
    /// How many jobs of one key it takes at once, unless the settings say otherwise.
    pub at_once: u32,
    /// How many submissions a key may make in how long a time.
    pub rate: Option<(u32, Duration)>,
}

/// One provider's wire format: values in, values out, no I/O, no clock.
///
/// Requests carry the key in [`Request::secrets`] only. URLs that a provider gave are used only if
/// [`Access::leads_home`]. Whatever comes back is read with suspicion: a missing field is an error, not a panic.
pub trait Adapter: std::fmt::Debug + Send + Sync {
    /// Its name in settings and in `models.toml`.
    fn name(&self) -> &'static str;

    /// What it can do.
    fn traits(&self) -> Traits;

    /// Whether it can't be called without a key; a server of one's own may want none.
    fn needs_key(&self) -> bool {
        true
    }

    /// The hosts that are the provider's own, without scheme: the key goes nowhere else.
    fn hosts(&self) -> &'static [&'static str];

    /// A request that sends a file ahead, where a submission of this route can't carry it.
    fn upload(&self, _access: &Access, _route: &Route, _file: &File) -> Option<Request> {
        None
    }

    /// Reads the answer to an upload, or to the part of it that `stage` names (empty for the first one).
    ///
    /// # Errors
    /// When it was refused.
    fn uploaded(
        &self,
        _access: &Access,
        _file: &File,
        _stage: &str,
        _memory: &Value,
        response: &Response,
    ) -> Result<Uploaded, StepError> {
        Err(self.classify(response))
    }

    /// The request that hands a job in. It costs money.
    ///
    /// # Errors
    /// When the route can't do what is asked.
    fn submit(&self, access: &Access, ask: &Ask<'_>) -> Result<Submission, StepError>;

    /// Reads the answer to a submission.
    fn submitted(&self, access: &Access, ask: &Ask<'_>, response: &Response) -> Submitted;

    /// The request that asks about a job.
    ///
    /// # Errors
    /// When the handle is none of this provider's.
    fn poll(&self, access: &Access, handle: &Value) -> Result<Request, StepError>;

    /// Reads the answer to a poll, or to the part of it that `stage` names (empty for the first one).
    fn polled(&self, access: &Access, handle: &Value, stage: &str, response: &Response) -> Polled;

    /// The headers that carry the key where an output is fetched that wants it.
    fn download_secrets(&self, _access: &Access) -> Vec<(&'static str, SecretString)> {
        Vec::new()
    }

    /// The request that cancels a job, where there is one.
    fn cancel(&self, _access: &Access, _handle: &Value) -> Option<Request> {
        None
    }

    /// Whether the answer says that the job will not run and is not charged.
    fn cancelled(&self, _response: &Response) -> bool {
        false
    }

    /// The request that asks for a job by our id of the call; `at` is when it was written down.
    fn look_up(&self, _access: &Access, _call: &CallId, _route: &Route, _at: Timestamp) -> Option<Request> {
        None
    }

    /// Reads the answer to a look-up.
    fn looked_up(&self, _access: &Access, _call: &CallId, _route: &Route, _response: &Response) -> Found {
        Found::Unclear
    }

    /// A request that costs nothing and fails when the key is not good, where the provider has one.
    fn check(&self, _access: &Access) -> Option<Request> {
        None
    }

    /// The request that fetches what webhooks are checked with.
    fn trust(&self, _access: &Access) -> Option<Request> {
        None
    }

    /// The handle of a job that a webhook told of, for a call of `op` whose answer was lost. Only what is signed is believed
    /// so far.
    fn handle_of(&self, _op: &str, _route: &Route, _job: &str) -> Option<Value> {
        None
    }

    /// Reads what came to a webhook.
    ///
    /// # Errors
    /// When it is not to be believed.
    fn webhook(&self, _incoming: &Incoming<'_>) -> Result<News, Disbelief> {
        Err(Disbelief::Malformed)
    }

    /// Reads the outcome of a job out of a webhook whose signature was found good, as the answer to a poll would be read.
    /// `None`: it is not in there, or is nothing good, and the provider is to be asked.
    fn told(&self, _access: &Access, _handle: &Value, _body: &str) -> Option<Product> {
        None
    }

    /// The error that an answer is which says that something did not go well: by its body before its status.
    fn classify(&self, response: &Response) -> StepError;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(base_url: Option<&str>) -> Access {
        Access { base_url: base_url.map(str::to_owned), key: "k".to_owned().into(), now: Timestamp(0) }
    }

    #[test]
    fn a_base_url_replaces_the_host_with_or_without_the_version() {
        let cases = [
            (None, "https://api.x.com/v1/images"),
            (Some("http://127.0.0.1:1/x"), "http://127.0.0.1:1/x/v1/images"),
            (Some("http://127.0.0.1:1/x/"), "http://127.0.0.1:1/x/v1/images"),
            (Some("http://127.0.0.1:1/x/v1"), "http://127.0.0.1:1/x/v1/images"),
            (Some("http://127.0.0.1:1/v1/"), "http://127.0.0.1:1/v1/images"),
        ];
        for (base, want) in cases {
            assert_eq!(access(base).url("https://api.x.com", "/v1/images"), want, "{base:?}");
        }
    }

    #[test]
    fn only_the_providers_own_hosts_or_the_base_url_are_home() {
        let home = access(None);
        for (url, want) in [
            ("https://fal.run/a", true),
            ("https://queue.fal.run/a?b", true),
            ("http://queue.fal.run/a", false),
            ("https://evilfal.run/a", false),
            ("https://fal.run.evil.com/a", false),
            ("https://fal.run@evil.com/a", false),
            ("https://evil.com/fal.run", false),
        ] {
            assert_eq!(home.leads_home(url, &["fal.run"]), want, "{url}");
        }
        let simulated = access(Some("http://127.0.0.1:1/fal/"));
        for (url, want) in [
            ("http://127.0.0.1:1/fal/x", true),
            ("http://127.0.0.1:1/fal", true),
            ("http://127.0.0.1:1/falx", false),
            ("http://127.0.0.1:12/fal/x", false),
            ("https://fal.run/x", false),
        ] {
            assert_eq!(simulated.leads_home(url, &["fal.run"]), want, "{url}");
        }
    }
}
