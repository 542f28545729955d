//! What Redis says: replies taken apart, and failures told as the seam tells them.

use crate::StoreError;
use ::redis::{ErrorKind, FromRedisValue, RedisError, ServerErrorKind, Value};

/// A reply as the type that it must have.
pub(super) fn parse<T: FromRedisValue>(what: &str, reply: Value) -> Result<T, StoreError> {
    ::redis::from_redis_value(reply)
        .map_err(|error| StoreError::Corrupt { what: what.to_owned(), why: format!("unexpected reply: {error}") })
}

/// The replies of a pipeline, one by one.
pub(super) struct Replies(std::vec::IntoIter<Value>);

impl Replies {
    pub(super) fn new(replies: Vec<Value>) -> Self {
        Self(replies.into_iter())
    }

    /// The next one.
    pub(super) fn value(&mut self) -> Value {
        self.0.next().unwrap_or_default()
    }

    /// The next one, as the type that it must have.
    pub(super) fn next<T: FromRedisValue>(&mut self, what: &str) -> Result<T, StoreError> {
        parse(what, self.value())
    }
}

/// What a failed command means for the connection that it was sent over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// The connection had ended before: what was sent may be sent again over a new one.
    Dead,
    /// It can't be trusted any more, but sending again at once would not help.
    Suspect,
    /// The server answered, and refused.
    Alive,
}

pub(super) fn fate(error: &RedisError) -> Fate {
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown) => Fate::Suspect,
        _ if error.is_timeout() => Fate::Suspect,
        _ if error.is_unrecoverable_error() || error.is_io_error() => Fate::Dead,
        _ => Fate::Alive,
    }
}

/// Why a transaction was not done, where that is what the error says: the first refusal of what was queued.
pub(super) fn cause(error: RedisError) -> RedisError {
    if error.kind() != ErrorKind::Server(ServerErrorKind::ExecAbort) {
        return error;
    }
    let refusals = error.clone().into_server_errors();
    refusals.and_then(|refusals| refusals.first().map(|(_, refusal)| refusal.clone().into())).unwrap_or(error)
}

/// Whether a script has to be loaded first.
pub(super) fn is_missing_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

/// The failure as the seam says it.
pub(super) fn failed(place: &str, error: &RedisError) -> StoreError {
    match error.kind() {
        ErrorKind::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::MasterDown
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::TryAgain,
        )
        | ErrorKind::Io
        | ErrorKind::AuthenticationFailed
        | ErrorKind::InvalidClientConfig
        | ErrorKind::Parse => StoreError::Unreachable { place: place.to_owned(), why: said(error) },
        _ if matches!(error.code(), Some("NOAUTH" | "WRONGPASS")) => {
            StoreError::Unreachable { place: place.to_owned(), why: said(error) }
        }
        _ => StoreError::Unavailable(format!("{place}: {}", said(error))),
    }
}

/// The server's own words where there are any.
fn said(error: &RedisError) -> String {
    match (error.code(), error.detail()) {
        (Some("ERR"), Some(detail)) => detail.to_owned(),
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        _ if error.is_timeout() => "no answer in time".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_in_the_words_of_the_server() {
        let cases = [
            ("LOADING", "Redis is loading the dataset in memory", true, Fate::Alive),
            ("MASTERDOWN", "Link with MASTER is down", true, Fate::Suspect),
            ("NOAUTH", "Authentication required.", true, Fate::Alive),
            ("READONLY", "You can't write against a read only replica.", false, Fate::Suspect),
            ("OOM", "command not allowed when used memory > 'maxmemory'.", false, Fate::Alive),
            ("MISCONF", "Errors writing to the AOF file: No space left on device", false, Fate::Alive),
        ];
        for (code, words, is_unreachable, then) in cases {
            let line = format!("-{code} {words}\r\n");
            let error = match ::redis::parse_redis_value(line.as_bytes()) {
                Ok(Value::ServerError(error)) => RedisError::from(error),
                other => panic!("{other:?}"),
            };
            let told = failed("redis://x", &error);
            assert_eq!(matches!(told, StoreError::Unreachable { .. }), is_unreachable, "{told}");
            assert!(told.to_string().contains(&format!("{code} {words}")), "{told}");
            assert_eq!(fate(&error), then, "{code}");
        }
    }
}
