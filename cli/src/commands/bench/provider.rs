//! The provider of a benchmark: a simulator in this process, and a model that takes as long as is wanted.

use super::folder::Folder;
use super::roles::Wants;
use crate::failure::Failure;
use crate::settings::{Provider as Account, Settings};
use darkroom_proto::{Duration, model};
use darkroom_simulator::{Options, Simulator, Tally};
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The model that the provider offers.
pub(super) const MODEL: &str = "bench-film";

/// The key that it is asked with: never one of the user's.
const KEY: &str = "bench:key";

/// As many jobs at once as anybody hands in: what a provider limits is not measured here.
const AT_ONCE: u32 = 1_000_000;

/// A provider that is asked for films; it ends when it is dropped.
#[derive(Debug)]
pub(super) struct Provider {
    simulator: Simulator,
    url: String,
    models: PathBuf,
    _served: JoinSet<()>,
}

impl Provider {
    /// Begins to serve films that take `wait` each, and remembers so many of them. The model is in the catalogue of this
    /// process from now on.
    pub(super) async fn start(folder: &Folder, wait: Duration, jobs: u32) -> Result<Provider, Failure> {
        let failed = |error: std::io::Error| Failure::other(format!("the simulator can't be started: {error}"));
        let catalogue = catalogue(wait);
        model::with_user_models(&catalogue).map_err(|error| Failure::other(format!("the model: {error}")))?;
        let models = folder.0.join("models.toml");
        std::fs::write(&models, catalogue).map_err(failed)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
        let url = format!("http://{}", listener.local_addr().map_err(failed)?);
        let remember_max = Options::default().remember_max.max(jobs as usize * 2);
        let simulator = Simulator::new(Options { video: wait, remember_max, ..Options::default() });
        let (serving, mut served) = (simulator.clone(), JoinSet::new());
        served.spawn(async move {
            if let Err(error) = serving.serve(listener, CancellationToken::new()).await {
                tracing::error!(%error, "the simulator ended");
            }
        });
        Ok(Provider { simulator, url, models, _served: served })
    }

    /// How much it was asked.
    pub(super) fn tally(&self) -> Tally {
        self.simulator.tally()
    }

    /// Settings by which this process asks it, and nobody else.
    pub(super) fn settings(&self, settings: &Settings) -> Settings {
        let account = Account {
            keys: SecretString::from(KEY.to_owned()),
            base_url: Some(format!("{}/fal", self.url)),
            at_once: Some(AT_ONCE),
            per_minute: None,
        };
        let providers = BTreeMap::from([("fal".to_owned(), account)]);
        let mut settings = settings.clone().without_webhooks();
        (settings.providers, settings.simulator) = (providers, Some(self.url.clone()));
        settings
    }

    /// What makes roles ask it, and nobody else. `hooks`: where it tells that a job has ended.
    pub(super) fn wants(&self, hooks: Option<Hooks>) -> Wants {
        let public = hooks.as_ref().map(|hooks| hooks.url.clone());
        let listen = hooks.map(|hooks| hooks.listen);
        let variables = vec![
            ("DARKROOM__SIMULATOR", Some(self.url.clone())),
            ("DARKROOM__PROVIDERS__FAL__BASE_URL", Some(format!("{}/fal", self.url))),
            ("DARKROOM__PROVIDERS__FAL__KEYS", Some(KEY.to_owned())),
            ("DARKROOM__PROVIDERS__FAL__KEYS_FILE", None),
            ("DARKROOM__PROVIDERS__FAL__AT_ONCE", Some(AT_ONCE.to_string())),
            ("DARKROOM__MODELS__FILE", Some(self.models.display().to_string())),
            // Without webhooks an empty one stands before what a file says.
            ("DARKROOM__API__PUBLIC_URL", Some(public.unwrap_or_default())),
            ("DARKROOM__API__LISTEN", listen),
        ];
        Wants { pools: "image,video", variables }
    }
}

/// Where webhooks arrive.
#[derive(Debug)]
pub(super) struct Hooks {
    url: String,
    listen: String,
}

impl Hooks {
    /// A free port of this machine. It is free until a coordinator takes it, which is as good as it gets for a process that
    /// is told where to listen.
    pub(super) async fn free() -> Result<Hooks, Failure> {
        let failed = |error: std::io::Error| Failure::other(format!("no port is free: {error}"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
        let listen = listener.local_addr().map_err(failed)?.to_string();
        Ok(Hooks { url: format!("http://{listen}"), listen })
    }
}

/// A model whose usual time is the true one: as of a model that is used all day. Its price is one that no budget feels, and
/// its endpoint is one of fal's, as the built-in catalogue has it.
fn catalogue(wait: Duration) -> String {
    format!(
        "[[model]]\nalias = \"{MODEL}\"\ncapability = \"video.generate\"\ntitle = \"What benchmarks wait for\"\n\n\
         [[model.route]]\nprovider = \"fal\"\nendpoint = \"fal-ai/minimax/video-01\"\nmap.prompt = \"prompt\"\n\
         price = {{ low = 0.000001, high = 0.000001, per = \"call\", source = \"simulated\" }}\nusually = \"{wait}\"\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_one_of_fal_that_takes_as_long_as_is_wanted() {
        model::with_user_models(&catalogue(Duration::from_secs(30))).unwrap();
        let offers = model::offers("video.generate", MODEL, "2026-11-25");
        assert_eq!(offers.len(), 1);
        assert_eq!((offers[0].provider.as_str(), offers[0].usually), ("fal", Some(Duration::from_secs(30))));
        darkroom_provider::mapping::check(offers[0]).unwrap();
    }
}
