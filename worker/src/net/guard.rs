//! [`Guard`]: where requests may go, decided twice: for a URL before anything is done, and for the addresses of its host
//! when a connection is made.

use super::address::not_public;
use super::{NetError, NetPolicy};
use darkroom_proto::{ErrorClass, StepError};
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

/// The longest URL. A signed link of a bucket has about a thousand bytes.
const URL_BYTES_MAX: usize = 8 << 10;

/// Ports that strangers are asked on.
const PORTS: [u16; 4] = [80, 443, 8080, 8443];

/// The most that is shown of a URL.
const SHOWN_CHARS_MAX: usize = 200;

/// The addresses of a host, from whoever knows them.
pub(super) type Lookup = Arc<dyn Fn(String) -> Looking + Send + Sync>;

/// A look-up under way.
pub(super) type Looking = Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>>;

/// The names of the operating system.
pub(super) fn system() -> Lookup {
    Arc::new(|host| {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, 0)).await?.map(|found| found.ip()).collect()) })
    })
}

/// Decides where requests may go.
#[derive(Clone)]
pub(super) struct Guard {
    allow_private: bool,
    /// Hosts with their ports that may be private and speak without TLS.
    trusted: Arc<BTreeSet<(String, u16)>>,
    lookup: Lookup,
}

/// An address that a name led to and that may not be connected to.
#[derive(Debug, thiserror::Error)]
#[error("{host} leads to an address that is {what}")]
pub(super) struct Denied {
    host: String,
    what: &'static str,
}

impl Guard {
    pub(super) fn new(policy: &NetPolicy, lookup: Lookup) -> Result<Guard, NetError> {
        let mut trusted = BTreeSet::new();
        for entry in &policy.trusted {
            let is_url = entry.contains("://");
            let url = if is_url { Url::parse(entry) } else { Url::parse(&format!("http://{entry}")) };
            let bad = || NetError::Trusted { entry: shown(entry) };
            let url = url.map_err(|_| bad())?;
            let host = bare(url.host_str().ok_or_else(bad)?);
            match url.port() {
                Some(port) => trusted.insert((host, port)),
                None if is_url => trusted.insert((host, url.port_or_known_default().ok_or_else(bad)?)),
                // Port 80 of `http:` is what the parser takes out of an address; without one, both are meant.
                None => trusted.insert((host.clone(), 80)) | trusted.insert((host, 443)),
            };
        }
        Ok(Guard { allow_private: policy.allow_private, trusted: Arc::new(trusted), lookup })
    }

    /// The URL, if requests may go there as far as it tells by itself. Spellings of addresses are one after parsing:
    /// `0x7f.1`, `2130706433` and `127.0.0.1` are the same host.
    pub(super) fn check(&self, text: &str) -> Result<Url, StepError> {
        let refused = |why: &str| {
            StepError::new(ErrorClass::InvalidInput, format!("{} is not fetched: {why}", shown(text)))
                .code("url_refused")
        };
        if text.len() > URL_BYTES_MAX {
            return Err(refused("it is longer than a URL may be"));
        }
        let url = Url::parse(text).map_err(|error| refused(&error.to_string()))?;
        let host = bare(url.host_str().unwrap_or_default());
        let port = url.port_or_known_default().unwrap_or_default();
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused("it has a user name or a password in it"));
        }
        if host.is_empty() {
            return Err(refused("it names no host"));
        }
        let private_ok = self.allow_private || self.trusted.contains(&(host.clone(), port));
        match url.scheme() {
            "https" => {}
            "http" if private_ok => {}
            "http" => return Err(refused("it has no TLS").advice(ADVICE)),
            _ => return Err(refused("only https:// is")),
        }
        if private_ok {
            return Ok(url);
        }
        // The resolver sees a name and no port: where a name is trusted, its other ports are nobody's.
        if self.trusts(&host) || !PORTS.contains(&port) {
            return Err(refused(&format!("its port {port} is not one that is asked")).advice(ADVICE));
        }
        if let Ok(address) = host.parse::<IpAddr>()
            && let Some(what) = not_public(address)
        {
            return Err(refused(&format!("its address is {what}")).code("address_refused").advice(ADVICE));
        }
        Ok(url)
    }

    fn trusts(&self, host: &str) -> bool {
        self.trusted.iter().any(|(known, _)| known == host)
    }
}

/// What to do about an address that is refused.
pub(super) const ADVICE: &str = "give a public https:// address; to reach private ones, set net.allow_private";

/// Each connection asks here, and connects to what it gets: no second look-up can give another answer. One bad address
/// among several is enough to refuse all.
impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let any = self.allow_private || self.trusts(&host);
        let looking = (self.lookup)(host.clone());
        Box::pin(async move {
            let found = looking.await?;
            if !any && let Some(what) = found.iter().find_map(|address| not_public(*address)) {
                return Err(Denied { host, what }.into());
            }
            let addresses: Addrs = Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}

/// A host without the brackets of IPv6.
fn bare(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').to_owned()
}

/// A URL as it may be shown: without what follows the path, where signatures and keys are, and without user and password.
pub(crate) fn shown(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let without_user = match url.split_once("://") {
        Some((scheme, rest)) => {
            let end = rest.find(['/', '\\']).unwrap_or(rest.len());
            let from = rest[..end].rfind('@').map_or(0, |at| at + 1);
            format!("{scheme}://{}", &rest[from..])
        }
        // Without slashes an `@` may still be one of a user: nothing before it is shown.
        None => url.rsplit('@').next().unwrap_or_default().to_owned(),
    };
    let visible = without_user.chars().map(|c| if c.is_control() { ' ' } else { c });
    visible.take(SHOWN_CHARS_MAX).collect()
}
