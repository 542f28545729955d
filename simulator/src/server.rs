//! [`Simulator`]: serves the world.

use crate::answer::Hangup;
use crate::clock::Clock;
use crate::media::Media;
use crate::options::Options;
use crate::provider::Provider;
use crate::tally::Tally;
use crate::world::World;
use crate::{control, desk, providers, webhook};
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A world of providers. Cheap to clone; every clone is the same world.
#[derive(Clone)]
pub struct Simulator {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Simulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulator").finish_non_exhaustive()
    }
}

/// What all requests share.
pub(crate) struct Shared {
    world: Mutex<World>,
    pub(crate) clock: Clock,
    pub(crate) media: Arc<Media>,
    providers: Vec<Box<dyn Provider>>,
}

impl Shared {
    /// The world, for a moment.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn provider(&self, name: &str) -> Option<&dyn Provider> {
        self.providers.iter().find(|provider| provider.name() == name).map(|provider| &**provider)
    }

    pub(crate) fn provider_names(&self) -> Vec<&'static str> {
        self.providers.iter().map(|provider| provider.name()).collect()
    }
}

impl Simulator {
    /// A world in which nothing has happened yet. Its time begins now.
    pub fn new(options: Options) -> Simulator {
        let (clock, media, providers) = (Clock::start(), Arc::new(Media::default()), providers::all());
        let world = Mutex::new(World::new(options, clock, media.clone(), &providers));
        Simulator { shared: Arc::new(Shared { world, clock, media, providers }) }
    }

    /// The names of all providers, which are also the first parts of their paths.
    pub fn providers(&self) -> Vec<&'static str> {
        self.shared.provider_names()
    }

    /// How much has happened so far.
    pub fn tally(&self) -> Tally {
        self.shared.world().tally()
    }

    /// Everything that is served, for a server of your own. Such a server can't end a connection without an answer (it says
    /// 500 where [`serve`](Simulator::serve) hangs up), and webhooks are delivered by `serve` only.
    pub fn router(&self) -> Router {
        control::routes().fallback(desk::serve).with_state(self.shared.clone())
    }

    /// Serves and delivers webhooks until `stop`. Then connections are ended, and what is under way with them.
    ///
    /// # Errors
    /// When the listener fails for good.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) -> std::io::Result<()> {
        let (tasks, router) = (TaskTracker::new(), self.router());
        // Also when this future is dropped, and not only when it is told to stop.
        let stop = stop.child_token();
        let _ends = stop.clone().drop_guard();
        tasks.spawn(webhook::deliver(self.shared.clone(), stop.clone()));
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => break,
            };
            match accepted {
                Ok((stream, _)) => {
                    let (router, stop) = (router.clone(), stop.clone());
                    tasks.spawn(async move {
                        tokio::select! {
                            () = connection(stream, router) => {}
                            () = stop.cancelled() => {}
                        }
                    });
                }
                // One connection failed, or there are too many: others will do better.
                Err(error) => {
                    tracing::debug!(%error, "a connection could not be taken");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
        tasks.close();
        tasks.wait().await;
        Ok(())
    }
}

/// Serves one connection to its end.
async fn connection(stream: TcpStream, router: Router) {
    // Answers are small and sent at once.
    let _ = stream.set_nodelay(true);
    let inner = TowerToHyperService::new(router);
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = inner.call(request.map(Body::new));
        async move {
            let response = match answer.await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            match response.extensions().get::<Hangup>() {
                // An error of the service ends the connection before anything is sent.
                Some(Hangup) => Err(std::io::Error::other("hung up on purpose")),
                None => Ok(response),
            }
        }
    });
    if let Err(error) = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
    {
        tracing::debug!(%error, "a connection ended");
    }
}
