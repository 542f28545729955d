//! The one connection that all clones of a store share, and how it is made again.

use super::reply::{Fate, Replies, cause, failed, fate, is_missing_script};
use super::scripts;
use crate::StoreError;
use ::redis::aio::{ConnectionLike as _, MultiplexedConnection};
use ::redis::{AsyncConnectionConfig, Client, Cmd, ConnectionAddr, FromRedisValue, Pipeline, RedisResult, Value};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long making a connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// How long Redis may take to answer. A slow disk holds back every answer, so it is longer than a lease.
const RESPONSE_MAX: Duration = Duration::from_secs(5);

/// How long somebody has to have waited whose giving up makes a connection suspect.
const GIVEN_UP_AFTER: Duration = Duration::from_millis(500);

/// How long nobody tries again after a first failure to connect. It doubles with each one.
const PAUSE_MIN: Duration = Duration::from_millis(50);

/// How long nobody tries again, at most.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// How many calls may wait to be written.
const CALLS_MAX: usize = 1 << 10;

/// One multiplexed connection, made when it is first needed and again when it has ended.
///
/// Calls of all clones go out together over it, and a slow one holds back no other. After a failure to connect everybody
/// fails at once for a moment, rather than each trying for itself; those who ask while somebody connects share what comes
/// of it.
pub(super) struct Connection {
    client: Result<Client, String>,
    place: String,
    line: Mutex<Line>,
    /// Held by who connects.
    turn: tokio::sync::Mutex<()>,
}

/// The connection now, or why there is none.
#[derive(Default)]
struct Line {
    /// Counts the connections, so that who found one dead does not drop the next.
    number: u64,
    open: Option<MultiplexedConnection>,
    failure: Option<Failure>,
}

/// The last failure to connect, until one succeeds.
#[derive(Clone)]
struct Failure {
    at: Instant,
    pause: Duration,
    /// With jitter.
    again_at: Instant,
    why: String,
}

impl Connection {
    /// Nothing is sent yet. What is wrong with `url` is said when it is first used.
    pub(super) fn new(url: &str) -> Self {
        let (client, place) = match Client::open(url) {
            Ok(client) => {
                let place = place(&client);
                (Ok(client), place)
            }
            // The address may hold a password, so it is not repeated.
            Err(error) => (Err(format!("its address is none of Redis: {error}")), "store.url".to_owned()),
        };
        if url.starts_with("rediss") && rustls::crypto::CryptoProvider::get_default().is_none() {
            // It fails only if somebody else was quicker, which serves as well.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        }
        Self { client, place, line: Mutex::default(), turn: tokio::sync::Mutex::new(()) }
    }

    /// The address without secrets.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// How often it was made so far.
    pub(super) fn number(&self) -> u64 {
        self.line().number
    }

    /// Makes it unusable, for this reason.
    pub(super) fn refuse(&mut self, why: String) {
        self.client = Err(why);
    }

    /// Sends one command that may be repeated.
    pub(super) async fn send<T: FromRedisValue>(&self, what: &str, command: &Cmd) -> Result<T, StoreError> {
        self.attempt(Call::One(command)).await?.next(what)
    }

    /// Sends commands that may be repeated, in one go.
    pub(super) async fn send_all(&self, commands: &Pipeline) -> Result<Replies, StoreError> {
        if commands.is_empty() {
            return Ok(Replies::new(Vec::new()));
        }
        self.attempt(Call::Many(commands)).await
    }

    /// Sends, and once more at once where the connection turns out to have ended or scripts are missing.
    async fn attempt(&self, call: Call<'_>) -> Result<Replies, StoreError> {
        let (mut number, mut line) = self.open().await?;
        let mut may_reconnect = true;
        let mut may_load = true;
        loop {
            let mut waiting = Waiting { connection: self, number, since: Instant::now(), is_over: false };
            let answer = call.send(&mut line).await;
            waiting.is_over = true;
            let error = match answer {
                Ok(replies) => return Ok(Replies::new(replies)),
                Err(error) => cause(error),
            };
            let fate = fate(&error);
            if fate != Fate::Alive {
                self.drop_line(number);
            }
            if fate == Fate::Dead && std::mem::take(&mut may_reconnect) {
                tracing::debug!(place = self.place, %error, "the connection to the store had ended");
                (number, line) = self.open().await?;
            } else if is_missing_script(&error) && std::mem::take(&mut may_load) {
                let load = scripts::load_all();
                Call::Many(&load).send(&mut line).await.map_err(|error| failed(&self.place, &error))?;
            } else {
                return Err(failed(&self.place, &error));
            }
        }
    }

    /// The connection, made now if there is none.
    async fn open(&self) -> Result<(u64, MultiplexedConnection), StoreError> {
        let asked_at = Instant::now();
        if let Some(open) = self.line().current() {
            return Ok(open);
        }
        let _turn = self.turn.lock().await;
        {
            let line = self.line();
            if let Some(open) = line.current() {
                return Ok(open);
            }
            if let Some(failure) = &line.failure
                && (failure.at >= asked_at || Instant::now() < failure.again_at)
            {
                return Err(self.unreachable(failure.why.clone()));
            }
        }
        let connected = self.connect().await;
        let mut line = self.line();
        match connected {
            Ok(open) => {
                line.number += 1;
                line.open = Some(open.clone());
                if line.failure.take().is_some() {
                    tracing::info!(place = self.place, "the store is reached again");
                }
                Ok((line.number, open))
            }
            Err(why) => {
                let pause = line.failure.as_ref().map_or(PAUSE_MIN, |last| (last.pause * 2).min(PAUSE_MAX));
                let at = Instant::now();
                let again_at = at + pause.mul_f64(0.5 + 0.5 * (random() as f64 / u64::MAX as f64));
                if line.failure.is_none() {
                    tracing::warn!(place = self.place, why, "the store can't be reached");
                }
                line.failure = Some(Failure { at, pause, again_at, why: why.clone() });
                Err(self.unreachable(why))
            }
        }
    }

    async fn connect(&self) -> Result<MultiplexedConnection, String> {
        let client = self.client.as_ref().map_err(Clone::clone)?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_MAX))
            .set_response_timeout(Some(RESPONSE_MAX))
            .set_pipeline_buffer_size(CALLS_MAX);
        let connecting = async {
            let mut line = client.get_multiplexed_async_connection_with_config(&config).await?;
            let load = scripts::load_all();
            match Call::Many(&load).send(&mut line).await {
                Err(error) if fate(&error) != Fate::Alive => Err(error),
                // A server that refuses to load scripts now, because it is starting, says so again to who calls one.
                _ => Ok(line),
            }
        };
        match tokio::time::timeout(CONNECT_MAX, connecting).await {
            Ok(connected) => connected.map_err(|error| match failed(&self.place, &error) {
                StoreError::Unreachable { why, .. } => why,
                other => other.to_string(),
            }),
            Err(_) => Err(format!("no connection within {} s", CONNECT_MAX.as_secs())),
        }
    }

    fn drop_line(&self, number: u64) {
        let mut line = self.line();
        if line.number == number {
            line.open = None;
        }
    }

    fn unreachable(&self, why: String) -> StoreError {
        StoreError::Unreachable { place: self.place.clone(), why }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is sent in one go.
#[derive(Clone, Copy)]
enum Call<'a> {
    One(&'a Cmd),
    Many(&'a Pipeline),
}

impl Call<'_> {
    /// The replies, if none of them is a failure.
    async fn send(self, line: &mut MultiplexedConnection) -> RedisResult<Vec<Value>> {
        let replies = match self {
            Call::One(command) => vec![line.req_packed_command(command).await?],
            Call::Many(commands) if commands.is_transaction() => {
                // Of MULTI, of each command that it is queued, and then of EXEC.
                let mut replies = line.req_packed_commands(commands, commands.len() + 1, 1).await?;
                match replies.pop() {
                    Some(Value::Array(replies)) => replies,
                    other => other.into_iter().collect(),
                }
            }
            Call::Many(commands) => line.req_packed_commands(commands, 0, commands.len()).await?,
        };
        let failure = replies.iter().find_map(|reply| match reply {
            Value::ServerError(error) => Some(error.clone()),
            _ => None,
        });
        failure.map_or(Ok(replies), |error| Err(error.into()))
    }
}

/// Somebody who waits for an answer.
///
/// Who gives up after long, because a lease ends before [`RESPONSE_MAX`] does, says as much about the connection as a
/// time-out would: the other end may be gone without a word. The next one connects anew.
struct Waiting<'a> {
    connection: &'a Connection,
    number: u64,
    since: Instant,
    is_over: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.is_over && self.since.elapsed() >= GIVEN_UP_AFTER {
            self.connection.drop_line(self.number);
        }
    }
}

impl Line {
    fn current(&self) -> Option<(u64, MultiplexedConnection)> {
        self.open.clone().map(|open| (self.number, open))
    }
}

/// The address without user and password.
fn place(client: &Client) -> String {
    let info = client.get_connection_info();
    let scheme = match info.addr() {
        ConnectionAddr::TcpTls { .. } => "rediss://",
        ConnectionAddr::Unix(_) => "unix://",
        _ => "redis://",
    };
    format!("{scheme}{}/{}", info.addr(), info.redis_settings().db())
}

/// A number that differs from one process and call to the next.
pub(super) fn random() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    std::hash::RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_is_told_without_its_password() {
        for (url, place) in [
            ("redis://user:secret@127.0.0.1:1/2", "redis://127.0.0.1:1/2"),
            ("rediss://:secret@localhost:2", "rediss://localhost:2/0"),
            ("http://:secret@localhost", "store.url"),
            ("redis://:sec ret@local host:x", "store.url"),
        ] {
            let connection = Connection::new(url);
            assert_eq!(connection.place(), place);
            let error = connection.send::<()>("a reply", &::redis::cmd("PING")).await.unwrap_err();
            assert!(matches!(error, StoreError::Unreachable { .. }), "{url}: {error}");
            assert!(!error.to_string().contains("sec"), "{error}");
        }
    }
}
