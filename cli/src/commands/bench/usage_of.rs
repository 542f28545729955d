//! What everybody who takes part uses: this command, the roles, and the servers if they run on this machine.

use super::listeners::listeners;
use crate::settings::FleetPlace;
use crate::usage::Usage;
use secrecy::ExposeSecret as _;
use std::collections::{BTreeMap, BTreeSet};

/// The processes that take part, by role.
#[derive(Debug, Clone, Default)]
pub(super) struct Cast(BTreeSet<(&'static str, u32)>);

/// What each of them had used at some moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Used(BTreeMap<(&'static str, u32), Usage>);

impl Cast {
    /// This process, and the servers as far as they can be found.
    pub(super) fn with_servers(place: &FleetPlace) -> Cast {
        let mut cast = Cast::default();
        cast.add("bench", std::process::id());
        for (role, port) in [("rabbitmq", broker_port(place)), ("redis", store_port(place))] {
            for pid in port.map(listeners).unwrap_or_default() {
                cast.add(role, pid);
            }
        }
        cast
    }

    /// One more.
    pub(super) fn add(&mut self, role: &'static str, pid: u32) {
        self.0.insert((role, pid));
    }

    /// A role by the name under which it takes part, which says its process: `worker-HOST-PID-RANDOM`. Those of other
    /// machines are left out.
    pub(super) fn add_member(&mut self, role: &'static str, id: &str) {
        let pid = id.rsplit('-').nth(1).and_then(|pid| pid.parse().ok());
        let Some(pid) = pid else { return };
        let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if command.split('\0').any(|word| word == role) {
            self.add(role, pid);
        }
    }

    /// How many processes each role has.
    pub(super) fn count(&self) -> BTreeMap<&'static str, u32> {
        let mut counts = BTreeMap::new();
        self.0.iter().for_each(|(role, _)| *counts.entry(*role).or_default() += 1);
        counts
    }

    /// Those of both.
    pub(super) fn and(mut self, other: Cast) -> Cast {
        self.0.extend(other.0);
        self
    }

    /// What they have used until now.
    pub(super) fn used(&self) -> Used {
        // The servers work through children as well, which rewrite files.
        let usage = |(role, pid): (&'static str, u32)| {
            let mut usage = Usage::of(pid);
            if matches!(role, "redis" | "rabbitmq") {
                usage.cpu_s += usage.children_cpu_s;
            }
            ((role, pid), usage)
        };
        Used(self.0.iter().copied().map(usage).collect())
    }
}

impl Used {
    /// Processor seconds since then, by role. Whoever is new since then began with none.
    pub(super) fn cpu_s_since(&self, before: &Used) -> BTreeMap<&'static str, f64> {
        self.sum(|process, usage| {
            let then = before.0.get(&process).map_or(0.0, |then| then.cpu_s);
            (usage.cpu_s - then).max(0.0)
        })
    }

    /// The most memory at once, by role.
    pub(super) fn peak_rss_mb(&self) -> BTreeMap<&'static str, f64> {
        self.sum(|_, usage| usage.peak_rss_mb)
    }

    /// The memory now, by role.
    pub(super) fn rss_mb(&self) -> BTreeMap<&'static str, f64> {
        self.sum(|_, usage| usage.rss_mb)
    }

    fn sum(&self, value: impl Fn((&'static str, u32), &Usage) -> f64) -> BTreeMap<&'static str, f64> {
        let mut sums = BTreeMap::new();
        for (process, usage) in &self.0 {
            *sums.entry(process.0).or_insert(0.0) += value(*process, usage);
        }
        sums.values_mut().for_each(|sum| *sum = (*sum * 1_000.0).round() / 1_000.0);
        sums
    }
}

/// The port of the broker, if it is on this machine.
fn broker_port(place: &FleetPlace) -> Option<u16> {
    let uri: lapin::uri::AMQPUri = place.broker.expose_secret().parse().ok()?;
    is_here(&uri.authority.host).then_some(uri.authority.port)
}

/// The port of the store, if it is on this machine.
fn store_port(place: &FleetPlace) -> Option<u16> {
    let client = redis::Client::open(place.store.expose_secret()).ok()?;
    match client.get_connection_info().addr() {
        redis::ConnectionAddr::Tcp(host, port) if is_here(host) => Some(*port),
        _ => None,
    }
}

fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(cpu_s: [f64; 2]) -> Used {
        let usage = |cpu_s| Usage { cpu_s, children_cpu_s: 0.0, peak_rss_mb: 10.0, rss_mb: 5.0 };
        Used([(("worker", 1), usage(cpu_s[0])), (("worker", 2), usage(cpu_s[1]))].into())
    }

    #[test]
    fn a_role_uses_what_its_processes_use() {
        let since = used([3.0, 5.0]).cpu_s_since(&used([1.0, 2.5]));
        assert_eq!(since, BTreeMap::from([("worker", 4.5)]));
        assert_eq!(used([0.0; 2]).peak_rss_mb(), BTreeMap::from([("worker", 20.0)]));
    }

    #[test]
    fn who_came_later_counts_from_its_beginning() {
        assert_eq!(used([3.0, 5.0]).cpu_s_since(&Used::default()), BTreeMap::from([("worker", 8.0)]));
    }

    #[test]
    fn a_member_that_is_no_process_of_this_machine_is_left_out() {
        let mut cast = Cast::default();
        cast.add_member("worker", "worker-elsewhere-4194399-abcdef");
        cast.add_member("worker", "nonsense");
        // This process is no worker.
        cast.add_member("worker", &format!("worker-here-{}-abcdef", std::process::id()));
        assert!(cast.0.is_empty());
    }
}
