//! `/hooks/…`: where providers tell that a job has ended.
//!
//! What they say is a hint: the job is asked about at once instead of at its next turn. Only what is signed is believed
//! beyond that: which job a call has that nobody knew of, and what a job gave, which then need not be asked for.

use crate::desk::{Desk, Stored};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use darkroom_backend::{Call, CallState, Fact, Lane, Ledger, Publication, Queue, Store};
use darkroom_engine::step_message;
use darkroom_proto::{CallId, RunId, Sha256, StepMessage, Ticket, Timestamp, model, op};
use darkroom_provider::{Adapter, Disbelief, Incoming, News};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// How long a webhook's body may be.
const BODY_BYTES_MAX: usize = 1 << 20;

/// How long a run that was read is good enough to make a message of: the jobs of a fan-out end together, and each of them
/// would read all of it. Whether the message is the right one is told by the call, which is read each time.
const READ_KEPT: Duration = Duration::from_secs(5);

/// How many runs are kept so long. The jobs of many runs end at the same time, too.
const READ_MAX: usize = 128;

/// For how long what webhooks are checked with is taken as it was read.
const KNOWN_KEPT: Duration = Duration::from_secs(1);

/// What webhooks are checked with.
struct Known {
    /// When it was read.
    at: Instant,
    /// The store's time then.
    time: Timestamp,
    /// What makes the URLs hard to guess.
    secret: String,
    /// What signatures are checked with, by provider.
    trust: BTreeMap<&'static str, Value>,
}

struct Hooks<S, Q> {
    store: S,
    queue: Q,
    desk: Desk<S, Q>,
    /// What every webhook is checked with, as it was read last.
    known: Mutex<Option<Known>>,
    /// The runs that were read last.
    read: Mutex<Vec<(RunId, Instant, Arc<Stored>)>>,
}

/// The routes that webhooks of providers come to.
pub fn hooks<S: Store + Ledger, Q: Queue>(store: S, queue: Q, desk: Desk<S, Q>) -> Router {
    let hooks = Arc::new(Hooks { store, queue, desk, known: Mutex::default(), read: Mutex::default() });
    Router::new()
        .route("/hooks/{provider}/{call}/{token}", post(hear::<S, Q>))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(hooks)
}

async fn hear<S: Store + Ledger, Q: Queue>(
    State(hooks): State<Arc<Hooks<S, Q>>>,
    Path((provider, call, token)): Path<(String, String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let heard = hooks.heard(&provider, &call, &token, &headers, &body).await;
    let (outcome, response) = match heard {
        Ok(Heard::Taken) => ("taken", StatusCode::OK.into_response()),
        Ok(Heard::Nothing) => ("nothing", StatusCode::OK.into_response()),
        Ok(Heard::Challenge(back)) => ("challenge", Bytes::from(back.to_string()).into_response()),
        Err(Unheard::Unknown) => ("unknown", StatusCode::NOT_FOUND.into_response()),
        Err(Unheard::Disbelieved) => ("disbelieved", StatusCode::UNAUTHORIZED.into_response()),
        Err(Unheard::Malformed) => ("malformed", StatusCode::BAD_REQUEST.into_response()),
        // The provider comes again.
        Err(Unheard::Busy) => ("busy", StatusCode::SERVICE_UNAVAILABLE.into_response()),
    };
    let provider = darkroom_provider::find(&provider).map_or("unknown", |adapter| adapter.name());
    metrics::counter!("darkroom_provider_webhooks_total", "provider" => provider, "outcome" => outcome).increment(1);
    response
}

enum Heard {
    Taken,
    Nothing,
    Challenge(Value),
}

enum Unheard {
    Unknown,
    Disbelieved,
    Malformed,
    Busy,
}

impl<S: Store + Ledger, Q: Queue> Hooks<S, Q> {
    async fn heard(
        &self,
        provider: &str,
        call: &str,
        token: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Heard, Unheard> {
        let adapter = darkroom_provider::find(provider).ok_or(Unheard::Unknown)?;
        let id: CallId = call.parse().map_err(|_| Unheard::Unknown)?;
        let run = id.run().ok_or(Unheard::Unknown)?;
        let (secret, now, trust) = self.known(adapter).await?;
        // Digests are compared, so how long that takes tells nothing of the token.
        if Sha256::of(darkroom_provider::hook_token(&secret, call).as_bytes()) != Sha256::of(token.as_bytes()) {
            return Err(Unheard::Unknown);
        }
        let (news, is_believed) = read(adapter, headers, body, now, trust)?;
        let (job, news) = match news {
            News::Challenge(back) => return Ok(Heard::Challenge(back)),
            News::Other => return Ok(Heard::Nothing),
            News::Ended { job, id } => (job, id),
        };
        let known = self.store.call(run, &id).await.map_err(|_| Unheard::Busy)?;
        let Some(mut known) = known.filter(|known| known.provider == provider) else { return Err(Unheard::Unknown) };
        if known.state == CallState::Intent && is_believed {
            self.tell_the_job(run, &mut known, adapter, &job, now).await?;
        }
        let is_wanted =
            known.state == CallState::Submitted && known.handle.as_ref().is_some_and(|handle| is_of(handle, &job));
        if !is_wanted {
            return Ok(Heard::Nothing);
        }
        tracing::debug!(call = %known.id, news, "a webhook says that the job has ended");
        let told = std::str::from_utf8(body).ok().filter(|told| is_believed && told.len() <= Ticket::TOLD_BYTES_MAX);
        self.ask_at_once(run, &known, told).await
    }

    /// What a webhook is checked with: the secret of the URLs, the time, and what the provider signs with, if anybody has
    /// fetched that yet.
    async fn known(&self, adapter: &dyn Adapter) -> Result<(String, Timestamp, Option<Value>), Unheard> {
        let mut known = self.known.lock().await;
        let mut fresh = match known.take().filter(|known| known.at.elapsed() < KNOWN_KEPT) {
            Some(fresh) => fresh,
            None => {
                let at = Instant::now();
                let asked = tokio::try_join!(self.store.secret(), self.store.now());
                let (secret, time) = asked.map_err(|_| Unheard::Busy)?;
                Known { at, time, secret, trust: BTreeMap::new() }
            }
        };
        let name = adapter.name();
        if adapter.traits().signed
            && !fresh.trust.contains_key(name)
            && let Some(trust) = self.store.trust(name).await.map_err(|_| Unheard::Busy)?
        {
            fresh.trust.insert(name, trust);
        }
        let now = fresh.time.after(darkroom_proto::Duration(fresh.at.elapsed().as_millis() as u64));
        let answer = (fresh.secret.clone(), now, fresh.trust.get(name).cloned());
        *known = Some(fresh);
        Ok(answer)
    }

    /// The answer to the submission was lost, and here is the job after all.
    async fn tell_the_job(
        &self,
        run: RunId,
        call: &mut Call,
        adapter: &dyn Adapter,
        job: &str,
        now: Timestamp,
    ) -> Result<(), Unheard> {
        let Some((op, route)) = offered(call) else { return Ok(()) };
        let Some(handle) = adapter.handle_of(op, route, job) else { return Ok(()) };
        let fact = Fact::Submitted { handle, next_at: now };
        if let Some(noted) = self.store.note(run, &call.id, &fact).await.map_err(|_| Unheard::Busy)? {
            tracing::info!(call = %call.id, "a webhook told which job the call has; nothing is paid again");
            *call = noted.call;
        }
        Ok(())
    }

    /// Publishes the next turn of a call now, with what is believed of its outcome; the one that waits finds its turn taken.
    async fn ask_at_once(&self, run: RunId, call: &Call, told: Option<&str>) -> Result<Heard, Unheard> {
        let message = match self.message(run, call, READ_KEPT).await? {
            Some(message) if message.attempt == call.attempt => Some(message),
            // What was read may be too old.
            _ => self.message(run, call, Duration::ZERO).await?,
        };
        let Some(message) = message else { return Ok(Heard::Nothing) };
        let pool = op::find(&message.op).map_or("api", |op| op.pool).to_owned();
        let ticket = Ticket {
            call: call.id.clone(),
            turn: call.turn + 1,
            provider: call.provider.clone(),
            endpoint: call.endpoint.clone(),
            key: call.key.clone(),
            handle: call.handle.clone().unwrap_or_default(),
            since: call.at,
            price: call.price,
            is_only_copy: false,
            told: told.map(str::to_owned),
        };
        let message = Box::new(StepMessage { ticket: Some(Box::new(ticket)), ..message });
        let publication = Publication::Step { pool, lane: Lane::Poll, delay: None, message };
        self.queue.publish(vec![publication]).await.map_err(|_| Unheard::Busy)?;
        Ok(Heard::Taken)
    }

    /// The message of the step that a call is for, by what was read of its run so long ago at most.
    async fn message(&self, run: RunId, call: &Call, kept: Duration) -> Result<Option<StepMessage>, Unheard> {
        let stored = {
            // One reads, and the others of the same run wait for it.
            let mut read = self.read.lock().await;
            read.retain(|(of, at, _)| at.elapsed() < READ_KEPT && (*of != run || at.elapsed() < kept));
            match read.iter().find(|(of, ..)| *of == run) {
                Some((.., stored)) => stored.clone(),
                None => {
                    let stored = self.desk.load(run).await.map_err(|_| Unheard::Busy)?;
                    let Some(stored) = stored.map(Arc::new) else { return Ok(None) };
                    if read.len() == READ_MAX {
                        read.remove(0);
                    }
                    read.push((run, Instant::now(), stored.clone()));
                    stored
                }
            }
        };
        let message = step_message(&stored.plan, &stored.run, &call.step);
        Ok(message.filter(|message| message.generation == call.generation))
    }
}

/// Reads what came. What is signed wrongly is refused; what can't be checked here only counts as a hint.
fn read(
    adapter: &dyn Adapter,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
    trust: Option<Value>,
) -> Result<(News, bool), Unheard> {
    let headers: Vec<(String, String)> = headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect();
    if adapter.traits().signed && trust.is_none() {
        // Nobody has fetched yet what it is checked with. The provider comes again.
        return Err(Unheard::Busy);
    }
    let trust = trust.unwrap_or_default();
    let incoming = Incoming { headers: &headers, body, now, trust: &trust };
    match adapter.webhook(&incoming) {
        Ok(news) => Ok((news, adapter.traits().signed)),
        Err(Disbelief::Malformed) => Err(Unheard::Malformed),
        Err(Disbelief::Signature | Disbelief::Stale) => Err(Unheard::Disbelieved),
    }
}

/// The op that a call was made for, and the route that it took.
fn offered(call: &Call) -> Option<(&'static str, &'static model::Route)> {
    for known in model::all().iter().filter(|known| is_named(known, &call.model)) {
        let of_call = |route: &&model::Route| route.provider == call.provider && route.endpoint == call.endpoint;
        if let Some(route) = known.routes.iter().find(of_call) {
            return Some((&known.capability, route));
        }
    }
    None
}

/// Whether a workflow that says `name` means this model.
fn is_named(known: &model::Model, name: &str) -> bool {
    model::find(&known.capability, name).is_some_and(|found| found.alias == known.alias)
}

/// Whether a handle is of this job.
fn is_of(handle: &Value, job: &str) -> bool {
    handle.get("id").and_then(Value::as_str) == Some(job)
}
