//! Times the work of `darkroom bench media` on one file: `cargo run --release --example thumbnail -- FILE [TIMES]`.
//!
//! Compare with `tests/bench/sharp.mjs`, run right before or after on the same machine.

use darkroom_proto::Sha256;
use darkroom_worker::media::{Limits, thumbnail_webp};
use std::error::Error;
use std::io::Write;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("which file?")?;
    let times: u32 = arguments.next().map_or(Ok(10), |times| times.parse())?;
    let bytes = std::fs::read(file)?;
    let mut digests = Vec::new();
    let mut once = || {
        digests.clear();
        let webp = thumbnail_webp(&bytes, 800, 85, &Limits::default(), |png| digests.push(Sha256::of(png)))?;
        digests.push(Sha256::of(&webp));
        Ok::<_, Box<dyn Error>>(webp)
    };
    let webp = once()?;
    let before = cpu_ms()?;
    for _ in 0..times {
        once()?;
    }
    let each = (cpu_ms()? - before) / f64::from(times);
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default().to_owned();
    writeln!(std::io::stdout(), "darkroom: {each:.1} ms of CPU, {} bytes, {peak}", webp.len())?;
    Ok(())
}

/// CPU time of this, the only thread.
fn cpu_ms() -> Result<f64, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/self/schedstat")?;
    Ok(text.split(' ').next().unwrap_or_default().parse::<f64>()? / 1e6)
}
