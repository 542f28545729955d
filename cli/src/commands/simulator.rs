//! `darkroom simulator`

use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::output::{Format, complain, say, say_json};
use darkroom_proto::Duration;
use darkroom_simulator::{Options, Simulator};
use serde_json::json;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::str::FromStr;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Stand in for all providers: their wire formats under /PROVIDER, with faults and a record of charges
#[derive(Debug, clap::Args)]
#[command(
    after_help = "It costs nothing, forgets everything at its end, and must not be reachable from outside: whoever \
    reaches it controls it under /_sim.\n\nExamples:\n  darkroom simulator --listen 127.0.0.1:8400\n  \
    darkroom simulator --latency image=50ms,video=1s --links-expire 10m\n  \
    curl http://127.0.0.1:8400/_sim/charges\n  \
    curl http://127.0.0.1:8400/_sim/faults -d '{\"kind\": \"http:503\", \"rate\": 0.1}'"
)]
pub(crate) struct Args {
    /// Where it listens; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8400")]
    listen: SocketAddr,
    /// How long jobs take, by what they make
    #[arg(long, value_name = "KIND=DURATION,...", default_value = "image=500ms,video=5s,audio=300ms")]
    latency: Latency,
    /// How long links to outputs are good. Default: as long as each provider's own
    #[arg(long, value_name = "DURATION")]
    links_expire: Option<Duration>,
    /// Which keys are good, comma separated; `any` is every key that is not empty
    #[arg(long, value_name = "KEYS", default_value = "any")]
    keys: String,
    /// Faults that have a rate happen by this number
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

/// How long jobs take; what is not named takes its usual time.
#[derive(Debug, Clone, Default)]
struct Latency {
    image: Option<Duration>,
    video: Option<Duration>,
    audio: Option<Duration>,
}

impl FromStr for Latency {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut latency = Latency::default();
        for pair in text.split(',') {
            let (kind, duration) = pair
                .split_once('=')
                .ok_or_else(|| format!("`{pair}`: write a kind and a duration, as in image=500ms"))?;
            let of = match kind.trim() {
                "image" => &mut latency.image,
                "video" => &mut latency.video,
                "audio" => &mut latency.audio,
                other => return Err(format!("`{other}` is no kind; there are image, video and audio")),
            };
            *of = Some(duration.trim().parse().map_err(|error| format!("{error}"))?);
        }
        Ok(latency)
    }
}

pub(crate) async fn run(args: Args, format: Format) -> Result<ExitCode, Failure> {
    let usual = Options::default();
    let keys = (args.keys != "any").then(|| args.keys.split(',').map(|key| key.trim().to_owned()).collect());
    let options = Options {
        image: args.latency.image.unwrap_or(usual.image),
        video: args.latency.video.unwrap_or(usual.video),
        audio: args.latency.audio.unwrap_or(usual.audio),
        links_expire: args.links_expire,
        keys,
        seed: args.seed,
        ..usual
    };
    let mut interrupt = Interrupt::listen()?;
    let failed = |error: std::io::Error| {
        Failure::other(format!("the simulator can't listen at {}: {error}", args.listen))
            .advice("choose another --listen; 127.0.0.1:0 takes a free port")
    };
    let listener = TcpListener::bind(args.listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let simulator = Simulator::new(options);
    let (url, providers) = (format!("http://{address}"), simulator.providers());
    match format {
        Format::Json => say_json(&json!({"url": url, "providers": providers})),
        Format::Table => {
            say(&format!("simulator  {url}"));
            say(&format!("providers  {}", providers.join(" ")));
            say(&format!("control    {url}/_sim"));
        }
    }
    if !address.ip().is_loopback() {
        complain("warning: whoever reaches the simulator controls it");
    }
    let stop = CancellationToken::new();
    let served = simulator.serve(listener, stop.clone());
    tokio::pin!(served);
    tokio::select! {
        ended = &mut served => ended.map_err(failed)?,
        () = interrupt.pressed() => {
            stop.cancel();
            served.await.map_err(failed)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_read_by_kind() {
        let latency: Latency = "image=50ms, video=2s".parse().unwrap();
        assert_eq!((latency.image, latency.video, latency.audio), (Some(Duration(50)), Some(Duration(2_000)), None));
        for text in ["", "image", "image=soon", "smell=1s"] {
            assert!(text.parse::<Latency>().is_err(), "{text}");
        }
    }
}
