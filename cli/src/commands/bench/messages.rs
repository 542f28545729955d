//! How many messages roles have published, as their metrics say.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

/// The metric that counts them.
const PUBLISHED: &str = "darkroom_broker_published_total";

/// How long a role may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many messages the role with this log has published; `None` if it can't be asked.
pub(super) fn published(log: &Path) -> Option<u64> {
    let log = std::fs::read_to_string(log).ok()?;
    let line = log.lines().find(|line| line.contains("serving /metrics"))?;
    let address: SocketAddr = line.rsplit("address=").next()?.trim().parse().ok()?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    write!(stream, "GET /metrics HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(sum(&answer))
}

fn sum(page: &str) -> u64 {
    let of_it =
        page.lines().filter(|line| line.strip_prefix(PUBLISHED).is_some_and(|rest| rest.starts_with([' ', '{'])));
    of_it.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_added_up_over_its_labels() {
        let page = "# TYPE darkroom_broker_published_total counter\ndarkroom_broker_published_total 7\n\
                    darkroom_broker_published_total{kind=\"step\"} 5\ndarkroom_broker_published_total_created 9\n";
        assert_eq!(sum(page), 12);
    }
}
