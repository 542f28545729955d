//! [`Caller`]: who asks, whose they are, and what they may do.

use crate::key::{KeyError, Scope};
use crate::problem::Problem;
use crate::service::{RequestId, Shared};
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::{StatusCode, header, request::Parts};
use darkroom_backend::{Ledger, Queue, Store};
use darkroom_proto::Tenant;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

/// Whoever sent a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    tenant: Tenant,
    scopes: BTreeSet<Scope>,
    key: Option<String>,
    name: String,
}

impl Caller {
    /// Somebody on this machine, while there are no keys.
    pub(crate) fn local() -> Caller {
        Caller {
            tenant: Tenant::default(),
            scopes: BTreeSet::from([Scope::Admin]),
            key: None,
            name: "local".to_owned(),
        }
    }

    /// Whoever may publish to the broker, which let them in; they hand in runs and do nothing else.
    pub(crate) fn publisher(tenant: Tenant, user: Option<&str>) -> Caller {
        let name = user.map_or_else(|| "amqp".to_owned(), |user| format!("{user} (amqp)"));
        Caller { tenant, scopes: BTreeSet::from([Scope::Submit]), key: None, name }
    }

    /// Whose they are.
    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// The id of their key, if they showed one.
    pub fn key_id(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Who did it, for the audit trail.
    pub(crate) fn who(&self) -> String {
        match &self.key {
            Some(id) if self.name.is_empty() => format!("key {id}"),
            Some(id) => format!("{} (key {id})", self.name),
            None => self.name.clone(),
        }
    }

    pub(crate) fn scopes(&self) -> impl Iterator<Item = Scope> {
        self.scopes.iter().copied()
    }

    /// Refuses what their key does not allow.
    pub(crate) fn may(&self, scope: Scope) -> Result<(), Problem> {
        if self.scopes.iter().any(|held| held.includes(scope)) {
            return Ok(());
        }
        let detail = format!("the key does not have the scope `{}`", scope.name());
        Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail)
            .advice(format!("use another key: darkroom keys create --scopes {}", scope.name())))
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Problem {
        match error {
            KeyError::Store(error) => error.into(),
            KeyError::Missing(_) => Problem::not_found(error.to_string()),
            KeyError::Busy(_) | KeyError::TooMany => Problem::conflict(error.to_string()),
            KeyError::NoRandomness | KeyError::Corrupt { .. } => Problem::internal(error.to_string()),
        }
    }
}

impl<S: Store + Ledger, Q: Queue> FromRequestParts<Shared<S, Q>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Shared<S, Q>) -> Result<Caller, Problem> {
        let caller = Caller::of(parts, api).await?;
        if !parts.method.is_safe() {
            // The audit trail: who changed what, by the id of the request, under which its outcome is logged as well.
            let request = parts.extensions.get::<RequestId>().map(|id| id.0.as_str());
            let (who, tenant, method, path) = (caller.who(), caller.tenant(), &parts.method, parts.uri.path());
            tracing::info!(target: "darkroom_api::audit", who, %tenant, %method, path, request, "asked");
        }
        Ok(caller)
    }
}

impl Caller {
    /// Who sent a request.
    async fn of<S: Store + Ledger, Q: Queue>(parts: &Parts, api: &Shared<S, Q>) -> Result<Caller, Problem> {
        let Some(shown) = parts.headers.get(header::AUTHORIZATION) else {
            if api.options.lets_local_in && is_local(parts) && !api.keys.any().await? {
                return Ok(Caller::local());
            }
            return Err(Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "no key was shown")
                .advice("send `Authorization: Bearer dk_…`; darkroom keys create makes a key"));
        };
        let secret = shown.to_str().ok().and_then(|text| {
            let (scheme, secret) = text.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
        });
        let key = match secret {
            Some(secret) => api.keys.shown(secret).await?,
            None => None,
        };
        let key = key.ok_or_else(|| {
            Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "the key is not known, has expired or was revoked")
                .advice("darkroom keys list shows the keys that there are")
        })?;
        Ok(Caller { tenant: key.tenant, scopes: key.scopes, key: Some(key.id), name: key.name })
    }
}

/// Whether a request comes from a program on this machine: not passed on by a proxy, and not sent by a page in a browser, which
/// anybody may have written.
fn is_local(parts: &Parts) -> bool {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
    let says = |name: &str| parts.headers.contains_key(name);
    let is_passed_on = says("x-forwarded-for") || says("forwarded") || says("via");
    let is_of_a_page = says("origin") || says("sec-fetch-site");
    // A page can have a name of its own lead here; what was meant is told by the name that was asked for.
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_matches(['[', ']']);
    let means_here = name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    peer.is_some_and(|ip| ip.is_loopback()) && means_here && !is_passed_on && !is_of_a_page
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    #[test]
    fn a_page_in_a_browser_and_a_proxy_are_not_somebody_on_this_machine() {
        let is_local_from = |peer: &str, headers: &[(&str, &str)]| {
            let mut request = Request::builder().uri("/v1/runs");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let (mut parts, ()) = request.body(()).unwrap().into_parts();
            parts.extensions.insert(ConnectInfo(peer.parse::<SocketAddr>().unwrap()));
            is_local(&parts)
        };
        let here = ("host", "127.0.0.1:8080");
        assert!(is_local_from("127.0.0.1:5", &[here]));
        assert!(is_local_from("[::1]:5", &[("host", "localhost:8080")]));
        assert!(is_local_from("[::1]:5", &[("host", "[::1]:8080")]));
        assert!(!is_local_from("10.0.0.7:5", &[here]));
        for other in [("x-forwarded-for", "1.2.3.4"), ("origin", "https://a.test"), ("sec-fetch-site", "none")] {
            assert!(!is_local_from("127.0.0.1:5", &[here, other]), "{other:?}");
        }
        assert!(!is_local_from("127.0.0.1:5", &[("host", "rebound.test:8080")]));
        assert!(!is_local_from("127.0.0.1:5", &[]));
    }
}
