//! What can be chosen about the world.

use darkroom_proto::Duration;

/// What a job makes, as far as its time is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Pictures, and what is said about them.
    Image,
    /// Films.
    Video,
    /// Sound.
    Audio,
}

/// What can be chosen about a [`Simulator`](crate::Simulator).
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// How long a picture takes. Default: 500 ms.
    pub image: Duration,
    /// How long a film takes. Default: 5 s.
    pub video: Duration,
    /// How long sound takes. Default: 300 ms.
    pub audio: Duration,
    /// How long a link to an output is good. Default: as long as each provider's own.
    pub links_expire: Option<Duration>,
    /// Which keys are good: these and no other, or any that is not empty. Default: any.
    pub keys: Option<Vec<String>>,
    /// How long a webhook that was not taken waits until it is sent again, at first; doubled each time. Providers wait for
    /// minutes. Default: 500 ms.
    pub webhook_again: Duration,
    /// Faults with a rate happen by this seed. Default: 0.
    pub seed: u64,
    /// The most jobs, and the most charges, that are remembered; the oldest are forgotten first. Default: 200,000.
    pub remember_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            image: Duration(500),
            video: Duration::from_secs(5),
            audio: Duration(300),
            links_expire: None,
            keys: None,
            webhook_again: Duration(500),
            seed: 0,
            remember_max: 200_000,
        }
    }
}

impl Options {
    pub(crate) fn latency(&self, kind: Kind) -> Duration {
        match kind {
            Kind::Image => self.image,
            Kind::Video => self.video,
            Kind::Audio => self.audio,
        }
    }
}
