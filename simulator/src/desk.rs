//! The way of every request to a provider, and to the files.

use crate::answer::{Answer, Hangup, Reply};
use crate::asked::Asked;
use crate::fault::FaultKind;
use crate::job::Job;
use crate::key::KeyState;
use crate::media::Recipe;
use crate::provider::{Class, Provider, Refusal, Route};
use crate::server::Shared;
use crate::studio::Studio;
use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// The longest body that is taken: what the providers take for files, and some room.
const BODY_MAX: usize = 200 << 20;

/// How often states are told to somebody who listens to a job.
const EVENT_EVERY: Duration = Duration::from_millis(200);

/// Answers whatever is no control request.
pub(crate) async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let path: Vec<&str> = head.uri.path().split('/').filter(|part| !part.is_empty()).collect();
    if let ["_files", id, ..] = path[..] {
        return download(&shared, id).await;
    }
    let provider = path.first().and_then(|name| shared.provider(name));
    let Some(provider) = provider else {
        let names = shared.provider_names().join(", ");
        let told = format!("there is no such provider; there are {names}, and the control under /_sim\n");
        return Reply::bytes(404, "text/plain", told).into_response();
    };
    let host = head.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let mut asked = Asked {
        method: head.method,
        path: path[1..].join("/"),
        query: head.uri.query().unwrap_or_default().to_owned(),
        base: format!("http://{host}"),
        headers: head.headers,
        body: Bytes::new(),
        blob: None,
        provider: provider.name(),
    };
    match to_bytes(body, BODY_MAX).await {
        Ok(body) => asked.body = body,
        Err(_) => return provider.refuse(&Refusal::Status { status: 413, retry_after_ms: None }).into_response(),
    }
    attend(&shared, provider, asked).await
}

/// What becomes of a request before its provider's file sees it.
enum Passed {
    /// It goes on.
    On {
        content: bool,
        then_drop: bool,
        broken: bool,
    },
    Refused(Refusal),
    /// The key was not shown to be the caller's.
    Unproven(Reply),
    HungUp,
    Hangs,
}

async fn attend(shared: &Arc<Shared>, provider: &dyn Provider, mut asked: Asked) -> Response {
    let Some(route) = provider.route(&asked) else {
        return provider.refuse(&Refusal::NotFound).into_response();
    };
    let key = provider.key(&asked).filter(|key| !key.is_empty());
    let (slow_ms, passed) = pass(shared, provider, &asked, &route, key.as_deref());
    // Of a submission the answer is slow: the job is taken, and whoever asked does not know it yet.
    let slow = Duration::from_millis(slow_ms);
    if route.class != Class::Submit {
        tokio::time::sleep(slow).await;
    }
    let (content, then_drop, broken) = match passed {
        Passed::On { content, then_drop, broken } => (content, then_drop, broken),
        Passed::Refused(refusal) => return provider.refuse(&refusal).into_response(),
        Passed::Unproven(reply) => return reply.into_response(),
        Passed::HungUp => return Hangup::response(),
        Passed::Hangs => std::future::pending().await,
    };
    if route.class == Class::Upload {
        asked.blob = Some(shared.media.keep(asked.body.clone()));
    }
    let answer = match route.class {
        Class::Submit => match submit(shared, provider, &asked, &route, key.unwrap_or_default(), content) {
            Ok(answer) => {
                tokio::time::sleep(slow).await;
                answer
            }
            // Nothing was taken, so nothing can get lost on the way back.
            Err(refusal) => return provider.refuse(&refusal).into_response(),
        },
        _ => provider.look(&asked, &route, &mut shared.world()),
    };
    if then_drop {
        return Hangup::response();
    }
    let reply = match answer {
        Answer::Now(reply) => reply,
        Answer::At(at, job) => {
            shared.clock.until(at).await;
            finish(shared, asked, job).await
        }
        Answer::Events(job) => return events(shared.clone(), job),
        Answer::File(recipe) => file(shared, recipe).await,
    };
    if broken { reply.broken().into_response() } else { reply.into_response() }
}

fn pass(shared: &Shared, provider: &dyn Provider, asked: &Asked, route: &Route, key: Option<&str>) -> (u64, Passed) {
    let mut world = shared.world();
    world.count(provider.name(), route.class, route.job.as_deref());
    if route.needs_key {
        let Some(key) = key else { return (0, Passed::Refused(Refusal::NoKey)) };
        let key = &match provider.prove(asked, key, &world) {
            Ok(key) => key,
            Err(reply) => return (0, Passed::Unproven(reply)),
        };
        let is_new = route.class == Class::Submit;
        let refusal = match world.key_state(provider.name(), key) {
            KeyState::Ok => None,
            KeyState::Invalid => Some(Refusal::InvalidKey),
            KeyState::Disabled => Some(Refusal::Forbidden),
            KeyState::Exhausted => is_new.then_some(Refusal::Quota),
            KeyState::RateLimited => is_new.then_some(Refusal::TooMany { retry_after_ms: None, at_once: false }),
        };
        if let Some(refusal) = refusal {
            return (0, Passed::Refused(refusal));
        }
    }
    let (slow_ms, happens) = world.faults.of_request(provider.name(), route.class, &route.endpoint);
    let on = |content, then_drop, broken| Passed::On { content, then_drop, broken };
    let passed = match happens.map(|happens| (happens.kind, happens.retry_after_ms)) {
        None => on(false, false, false),
        Some((FaultKind::Http(status), after)) => Passed::Refused(Refusal::of_status(status, after)),
        Some((FaultKind::Reset, _)) => Passed::HungUp,
        Some((FaultKind::Hang, _)) => Passed::Hangs,
        Some((FaultKind::AcceptThenDrop, _)) => on(false, true, false),
        Some((FaultKind::Malformed, _)) => on(false, false, true),
        Some((FaultKind::Quota, _)) => Passed::Refused(Refusal::Quota),
        Some((FaultKind::InvalidKey, _)) => Passed::Refused(Refusal::InvalidKey),
        Some((FaultKind::Content, _)) => on(true, false, false),
        // They are no faults of requests.
        Some((FaultKind::Slow(_) | FaultKind::ExpireOutput | FaultKind::LostWebhook, _)) => on(false, false, false),
    };
    (slow_ms, passed)
}

fn submit(
    shared: &Shared,
    provider: &dyn Provider,
    asked: &Asked,
    route: &Route,
    key: String,
    content: bool,
) -> Result<Answer, Refusal> {
    let mut order = provider.order(asked, route, &Studio::of(shared))?;
    if content {
        provider.rejected(&mut order);
    }
    let job = shared.world().accept(provider, order, key, &asked.base, content)?;
    Ok(provider.accepted(asked, &job, shared.clock.now()))
}

/// Lets a provider say what came of a job, where it may take its time to make pictures.
async fn finish(shared: &Arc<Shared>, asked: Asked, job: Arc<Job>) -> Reply {
    let shared = shared.clone();
    let made = tokio::task::spawn_blocking(move || {
        let provider = shared.provider(asked.provider)?;
        // It may have been cancelled meanwhile.
        let job = shared.world().job(job.provider, &job.id).unwrap_or(job);
        Some(provider.finished(&asked, &job, &Studio::of(&shared)))
    });
    made.await.ok().flatten().unwrap_or_else(|| Reply::empty(500))
}

/// Serves an output, or what was uploaded.
async fn download(shared: &Arc<Shared>, id: &str) -> Response {
    let found = {
        let mut world = shared.world();
        let now = world.now();
        let found = world.files.get(id).cloned();
        found.map(|linked| {
            world.count(linked.provider, Class::Download, None);
            let faults = world.faults.of_request(linked.provider, Class::Download, "");
            (now < linked.expires, linked, faults)
        })
    };
    let missing = |status| Reply::bytes(status, "text/plain", "the file is not here, or not any more\n");
    let Some((is_good, linked, (slow_ms, happens))) = found else { return missing(404).into_response() };
    if slow_ms > 0 {
        tokio::time::sleep(Duration::from_millis(slow_ms)).await;
    }
    let mut broken = false;
    match happens.map(|happens| happens.kind) {
        Some(FaultKind::Http(status)) => return missing(status).into_response(),
        Some(FaultKind::Reset | FaultKind::AcceptThenDrop) => return Hangup::response(),
        Some(FaultKind::Hang) => return std::future::pending().await,
        Some(FaultKind::Malformed) => broken = true,
        _ => {}
    }
    if !is_good {
        return missing(linked.gone).into_response();
    }
    let reply = file(shared, linked.recipe).await;
    if broken { reply.broken().into_response() } else { reply.into_response() }
}

/// A file as it is served.
async fn file(shared: &Arc<Shared>, recipe: Arc<Recipe>) -> Reply {
    let (media_type, shared) = (recipe.media_type().to_owned(), shared.clone());
    match tokio::task::spawn_blocking(move || shared.media.make(&recipe)).await {
        Ok(made) => Reply::bytes(200, &media_type, made),
        Err(_) => Reply::empty(500),
    }
}

/// The states of a job as they change, until it has ended.
fn events(shared: Arc<Shared>, job: Arc<Job>) -> Response {
    let mut response = Response::new(Body::new(Events { shared, job, waits: None, last: String::new(), over: false }));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

struct Events {
    shared: Arc<Shared>,
    job: Arc<Job>,
    waits: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    last: String,
    over: bool,
}

impl HttpBody for Events {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
        loop {
            if let Some(waits) = &mut self.waits {
                std::task::ready!(waits.as_mut().poll(context));
                self.waits = None;
            }
            if self.over {
                return Poll::Ready(None);
            }
            let job = self.shared.world().job(self.job.provider, &self.job.id).unwrap_or_else(|| self.job.clone());
            let now = self.shared.clock.now();
            self.over = job.ended(now).is_some();
            let event =
                self.shared.provider(job.provider).map(|provider| provider.event(&job, now)).unwrap_or_default();
            self.waits = Some(Box::pin(tokio::time::sleep(EVENT_EVERY)));
            if self.over {
                self.waits = None;
            }
            if event != self.last || self.over {
                self.last.clone_from(&event);
                return Poll::Ready(Some(Ok(hyper::body::Frame::data(format!("data: {event}\n\n").into()))));
            }
        }
    }
}
