//! URLs as they may be shown: without passwords.

use secrecy::{ExposeSecret, SecretString};
use serde::Serializer;

/// What stands where something is not shown.
const HIDDEN: &str = "***";

/// A URL without its password and query. What is no URL is not shown at all, because nobody knows what it is.
pub(crate) fn masked(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return HIDDEN.to_owned() };
    // The last `@` of all: passwords with a bare `/`, `?` or `@` in them are wrong, and are not shown all the same.
    let (user, place) = match rest.rsplit_once('@') {
        Some((user, place)) => match user.split_once(':') {
            Some((user, _)) => (format!("{user}:{HIDDEN}@"), place),
            None => (format!("{HIDDEN}@"), place),
        },
        None => (String::new(), rest),
    };
    let (place, query) = match place.find(['?', '#']) {
        Some(end) => (&place[..end], "?…"),
        None => (place, ""),
    };
    format!("{scheme}://{user}{place}{query}")
}

/// Writes a URL as it may be shown.
pub(crate) fn serialize<S: Serializer>(url: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    match url {
        Some(url) => serializer.serialize_str(&masked(url.expose_secret())),
        None => serializer.serialize_none(),
    }
}

/// Writes the place of artifacts, a path or a URL, as it may be shown.
pub(crate) fn serialize_place<S: Serializer>(place: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&place_masked(place))
}

/// The place of artifacts as it may be shown.
pub(crate) fn place_masked(place: &str) -> String {
    if place.contains("://") { masked(place) } else { place.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_never_shown() {
        let cases = [
            ("amqp://guest:sesame@rabbit:5672/%2f", "amqp://guest:***@rabbit:5672/%2f"),
            ("redis://:sesame@redis:6379/0", "redis://:***@redis:6379/0"),
            ("redis://sesame@redis", "redis://***@redis"),
            ("redis://u:ses/ame@x@redis/1", "redis://u:***@redis/1"),
            ("redis://redis:6379", "redis://redis:6379"),
            ("s3://bucket/prefix?secret=sesame", "s3://bucket/prefix?…"),
            ("redis://u:ses?ame@redis", "redis://u:***@redis"),
            ("sesame", "***"),
        ];
        for (url, want) in cases {
            assert_eq!(masked(url), want, "{url}");
        }
    }
}
