//! What notices leave this process by, as the settings say.

use crate::failure::Failure;
use crate::masked::masked;
use crate::settings::{Settings, Webhooks};
use darkroom_coordinator::{NoticeOptions, Notices, Notifier, Outlet, Undelivered};
use darkroom_proto::Act;
use darkroom_provider::{Body, Method, Request};
use darkroom_worker::net::Net;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// How long one try of a webhook may take.
const TIME_MAX: Duration = Duration::from_secs(10);

/// Where notices are left, and what takes them further, for a process that nobody looks at or that somebody waits for.
///
/// # Errors
/// When what is set can't be used.
pub(crate) fn open(settings: &Settings, is_role: bool) -> Result<(Notices, Notifier), Failure> {
    let options: NoticeOptions = settings.notices(is_role)?;
    let webhooks = settings.notice_webhooks();
    let urls = [&webhooks.user, &webhooks.admin].into_iter().flatten();
    let trusted = urls.map(|url| url.expose_secret().to_owned()).collect();
    let net = match options.user.webhook || options.admin.webhook {
        // Whoever set the address wants requests to go there.
        true => Some(Net::new(settings.net.policy(trusted)).map_err(|_| {
            Failure::usage("a webhook of `notices` is no URL that can be used").advice("write it as https://host/path")
        })?),
        false => None,
    };
    Ok(Notices::open(options, Arc::new(Process { net, webhooks })))
}

/// This process: its console, and its HTTP client.
#[derive(Debug)]
struct Process {
    net: Option<Net>,
    webhooks: Webhooks,
}

impl Outlet for Process {
    fn console(&self, line: &str) {
        crate::output::complain(line);
    }

    fn post(&self, to: Act, id: String, body: Value) -> BoxFuture<'static, Result<(), Undelivered>> {
        let url: Option<SecretString> = match to {
            Act::User => self.webhooks.user.clone(),
            Act::Admin => self.webhooks.admin.clone(),
            Act::Nobody => None,
        };
        let (Some(net), Some(url)) = (self.net.clone(), url) else { return std::future::ready(Ok(())).boxed() };
        async move {
            let place = masked(url.expose_secret());
            let request = Request {
                method: Method::Post,
                url: url.expose_secret().to_owned(),
                headers: vec![("webhook-id", id.clone()), ("idempotency-key", id)],
                secrets: Vec::new(),
                body: Body::Json(body),
                timeout: TIME_MAX,
            };
            match net.send(&request).await {
                Ok(answer) if (200..300).contains(&answer.status) => Ok(()),
                Ok(answer) => Err(Undelivered {
                    reason: format!("{place} answered {}", answer.status),
                    passes: matches!(answer.status, 408 | 425 | 429 | 500..=599),
                }),
                // Its message may repeat the address as it was set.
                Err(failed) => Err(Undelivered {
                    reason: format!("{place} can't be reached ({})", failed.error.class),
                    passes: failed.error.class.retryable(),
                }),
            }
        }
        .boxed()
    }
}
