//! The HTTP API as this binary serves it: with its HTTP client, its eye for files and its models, on an address that is safe.

use crate::failure::Failure;
use crate::fleet::Fleet;
use crate::links::Links;
use crate::offer::offers;
use crate::settings::Settings;
use axum::Router;
use darkroom_api::{Api, ApiKeys, Fetched, Options, Problem, Surroundings, router};
use darkroom_backend::{Artifacts, Details, RabbitQueue, RedisStore};
use darkroom_coordinator::hooks;
use darkroom_engine::preview::Offer;
use darkroom_worker::media::{Limits, read_info};
use darkroom_worker::net;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long is waited before it is tried again to listen where somebody else does, and until keys are looked for again.
const AGAIN: Duration = Duration::from_secs(2);

/// How much of a file tells what it is, if it is no picture.
const HEAD_BYTES: u64 = 4096;

/// What the API is lent by this binary.
struct Lent {
    links: Arc<Links>,
    settings: Settings,
}

impl Surroundings for Lent {
    fn fetch(&self, link: String, bytes_max: u64) -> BoxFuture<'static, Result<Fetched, Problem>> {
        let links = self.links.clone();
        async move {
            let found = links.fetch(&link, bytes_max).await;
            let found = found.map_err(|failure| Problem::of_link(failure.message(), failure.remedy()))?;
            Ok(Fetched { bytes: found.bytes, media_type: found.media_type, name: found.name })
        }
        .boxed()
    }

    fn look(&self, file: &Path, bytes: u64) -> Details {
        let limits = Limits::default();
        let unknown = || Details { media_type: "application/octet-stream".to_owned(), ..Details::default() };
        let mut head = Vec::new();
        let opened = std::fs::File::open(file).and_then(|file| file.take(HEAD_BYTES).read_to_end(&mut head));
        if opened.is_err() {
            return unknown();
        }
        let media_type = match net::media_type(&head) {
            Some(media_type) => media_type,
            // The end of what was read may cut a character in two.
            None if head.utf8_chunks().next().is_some_and(|text| head.len() - text.valid().len() < 4) => "text/plain",
            None => return unknown(),
        };
        let mut details = Details { media_type: media_type.to_owned(), ..Details::default() };
        if media_type.starts_with("image/")
            && limits.check_bytes(bytes).is_ok()
            && let Ok(content) = std::fs::read(file)
            && let Ok(info) = read_info(&content, &limits)
        {
            (details.width, details.height) = (Some(info.size.width), Some(info.size.height));
        }
        details
    }

    fn offer(&self, op: &str, model: &str) -> Option<Offer> {
        offers(&self.settings)(op, model)
    }
}

/// What is asked of a fleet, over HTTP or AMQP.
pub(crate) type FleetApi = Api<RedisStore, RabbitQueue>;

/// What is asked of a fleet, with what this binary lends it.
pub(crate) fn open(settings: Settings, artifacts: Artifacts, fleet: &Fleet) -> Arc<FleetApi> {
    let public_url = settings.public_url().unwrap_or_default().trim_end_matches('/').to_owned();
    // Where this machine reaches it; a wrong address was told before.
    let local_url = settings.api_listen().map(local_url).unwrap_or_default();
    let options = Options { lets_local_in: public_url.is_empty(), public_url, local_url, ..Options::default() };
    let lent = Arc::new(Lent { links: Arc::new(Links::new(&settings)), settings });
    Arc::new(Api::new(fleet.store.store.clone(), fleet.desk(), artifacts, lent, options))
}

/// The API as this machine reaches it that listens there.
fn local_url(listen: SocketAddr) -> String {
    let ip = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    format!("http://{}", SocketAddr::new(ip, listen.port()))
}

/// Serves the API, and webhooks of providers if somebody told where they arrive, until told to stop. One coordinator of a
/// machine is enough for that.
pub(crate) async fn serve(
    api: Arc<FleetApi>,
    settings: Settings,
    fleet: Fleet,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let wanted = settings.api_listen()?;
    let store = fleet.store.store.clone();
    let hears_providers = settings.public_url().is_some();
    let mut told = false;
    while !stop.is_cancelled() {
        // Whoever is on this machine may do everything as long as there are no keys, so nobody else is let near it. What
        // providers say has keys of its own.
        let is_open = hears_providers || wanted.ip().is_loopback() || has_keys(api.keys()).await;
        let address = if is_open { wanted } else { SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), wanted.port()) };
        match TcpListener::bind(address).await {
            Ok(listener) => {
                let no_keys = if is_open {
                    ""
                } else {
                    "; only on this machine, because there are no keys: darkroom keys create"
                };
                tracing::info!(%address, "the API listens under /v1{no_keys}");
                let mut routes = router(api.clone());
                if hears_providers {
                    tracing::info!(%address, "listening for webhooks of providers under /hooks");
                    routes = Router::new().merge(hooks(store.clone(), fleet.queue.clone(), fleet.desk())).merge(routes);
                }
                let closed = until_open(is_open, api.keys().clone(), stop.clone());
                let routes = routes.into_make_service_with_connect_info::<SocketAddr>();
                if let Err(error) = axum::serve(listener, routes).with_graceful_shutdown(closed).await {
                    tracing::error!(%error, "the API is not served any more; trying again");
                }
                continue;
            }
            Err(error) if !told => {
                told = true;
                tracing::warn!(%address, %error, "the API can't listen there; another coordinator may");
            }
            Err(_) => {}
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            () = stop.cancelled() => {}
        }
    }
    Ok(())
}

async fn has_keys<S: darkroom_backend::Store>(keys: &ApiKeys<S>) -> bool {
    keys.any().await.unwrap_or(false)
}

/// Until the role stops, or, where only this machine is let in, until there is a key.
async fn until_open<S: darkroom_backend::Store>(is_open: bool, keys: ApiKeys<S>, stop: CancellationToken) {
    let opened = async {
        while is_open || !has_keys(&keys).await {
            tokio::time::sleep(AGAIN).await;
        }
    };
    tokio::select! {
        () = opened => {}
        () = stop.cancelled() => {}
    }
}
