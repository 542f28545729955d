//! What the client promises, against servers on this machine.

// The lint's exception for tests covers test functions, and these modules have what those share.
#![allow(clippy::unwrap_used, clippy::panic)]

mod server;

use super::guard::{Looking, system};
use super::*;
use darkroom_provider::{Body, Part};
use reqwest::dns::Resolve as _;
use server::{Server, Turn, answer, chunked};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and so on";

/// A secret that must not be seen anywhere.
const CANARY: &str = "canary-7f3a9c";

const LIMITS: FetchLimits = FetchLimits { bytes_max: 1 << 20, time_max: Duration::from_secs(20) };

/// A few moments: what must fail for its time alone.
const BRIEF: Duration = Duration::from_millis(200);

fn open() -> Net {
    Net::new(NetPolicy { allow_private: true, trusted: Vec::new() }).unwrap()
}

/// A client that goes to these places of ours and otherwise only to public ones.
fn trusting(trusted: &[String]) -> Net {
    Net::new(NetPolicy { allow_private: false, trusted: trusted.to_vec() }).unwrap()
}

/// Every name leads to these addresses.
fn leading_to(addresses: &[&str]) -> Lookup {
    let found: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
    Arc::new(move |_| {
        let found = found.clone();
        Box::pin(async move { Ok(found) }) as Looking
    })
}

fn refusal(failed: FetchError) -> StepError {
    match failed {
        FetchError::Refused(error) => error,
        other => panic!("it is not refused for good, but {other:?}"),
    }
}

/// URLs that lead inside, or out of HTTP, in all spellings that are known to have fooled somebody.
const INSIDE: [&str; 53] = [
    "https://127.0.0.1/",
    "https://127.1/",
    "https://127.0.1/",
    "https://0x7f.1/",
    "https://0x7f000001/",
    "https://0X7F.0X0.0X0.0X1/",
    "https://0177.0.0.1/",
    "https://017700000001/",
    "https://2130706433/",
    "https://127.0.0.1./",
    "https://%31%32%37.0.0.1/",
    "https://１２７.０.０.１/",
    "https://127。0。0。1/",
    "https://①②⑦.⓪.⓪.①/",
    "https://0/",
    "https://0.0.0.0/",
    "https://10.1.2.3/",
    "https://0xa010203/",
    "https://172.16.0.1/",
    "https://192.168.1.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://2852039166/",
    "https://0xa9fea9fe/",
    "https://0251.0376.0251.0376/",
    "https://100.100.100.200/",
    "https://100.64.0.1/",
    "https://192.0.0.192/",
    "https://168.63.129.16/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://[::1]/",
    "https://[::]/",
    "https://[0:0:0:0:0:0:0:1]/",
    "https://[::127.0.0.1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::ffff:169.254.169.254]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[64:ff9b:1::a9fe:a9fe]/",
    "https://[2002:7f00:1::]/",
    "https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
    "https://[fe80::1]/",
    "https://[fc00::1]/",
    "https://[fd00:ec2::254]/",
    "https://[fec0::1]/",
    "https://[ff02::1]/",
    "http://example.com/",
    "https://example.com:22/",
    "https://example.com:6379/",
    "https://example.com@127.0.0.1/",
    "https://user:password@example.com/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_FLUSHALL",
];

/// What is no URL that is fetched at all.
const OUTSIDE_OF_HTTP: [&str; 9] = [
    "ftp://example.com/",
    "data:text/plain,hello",
    "javascript:alert(1)",
    "dict://example.com/",
    "ldap://example.com/",
    "unix:/run/docker.sock",
    "/etc/passwd",
    "https://",
    "",
];

#[tokio::test]
async fn what_leads_inside_is_refused_before_anything_is_done() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let lookup: Lookup = Arc::new(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { Ok(vec!["127.0.0.1".parse().unwrap()]) })
    });
    let net = Net::with_lookup(&NetPolicy::default(), lookup).unwrap();
    for url in INSIDE.into_iter().chain(OUTSIDE_OF_HTTP) {
        let error = refusal(net.fetch(url, &[], LIMITS).await.unwrap_err());
        assert_eq!(error.class, ErrorClass::InvalidInput, "{url}: {error}");
        let failed = net.send(&Request::post(url, serde_json::json!({}))).await.unwrap_err();
        assert!(!failed.maybe_sent && failed.error.class == ErrorClass::InvalidInput, "{url}: {failed}");
    }
    let long = format!("https://example.com/{}", "x".repeat(9_000));
    refusal(net.fetch(&long, &[], LIMITS).await.unwrap_err());
    assert_eq!(asked.load(Ordering::Relaxed), 0, "no name was looked up");
}

#[tokio::test]
async fn a_name_that_leads_inside_is_refused_by_the_address() {
    let cases: [&[&str]; 9] = [
        &["127.0.0.1"],
        &["::1"],
        &["10.0.0.7"],
        &["169.254.169.254"],
        &["100.64.0.1"],
        &["::ffff:127.0.0.1"],
        &["64:ff9b::a00:1"],
        &["93.184.216.34", "127.0.0.1"],
        &["2606:4700:4700::1111", "fd00::1"],
    ];
    for addresses in cases {
        let net = Net::with_lookup(&NetPolicy::default(), leading_to(addresses)).unwrap();
        let error = refusal(net.fetch("https://rebound.test/", &[], LIMITS).await.unwrap_err());
        assert_eq!(error.code, "address_refused", "{addresses:?}: {error}");
        let failed = net.send(&Request::get("https://rebound.test/")).await.unwrap_err();
        assert!(!failed.maybe_sent && failed.error.code == "address_refused", "{addresses:?}: {failed}");
    }
    let net = Net::with_lookup(&NetPolicy::default(), system()).unwrap();
    let error = refusal(net.fetch("https://localhost/", &[], LIMITS).await.unwrap_err());
    assert_eq!(error.code, "address_refused", "{error}");
}

#[tokio::test]
async fn a_name_that_changes_its_mind_is_refused_the_second_time() {
    let times = Arc::new(AtomicUsize::new(0));
    let lookup: Lookup = Arc::new(move |_| {
        let public = times.fetch_add(1, Ordering::Relaxed) == 0;
        let found = if public { "93.184.216.34" } else { "127.0.0.1" };
        Box::pin(async move { Ok(vec![found.parse().unwrap()]) })
    });
    let guard = Guard::new(&NetPolicy::default(), lookup).unwrap();
    let first: Vec<_> = guard.resolve("rebound.test".parse().unwrap()).await.unwrap().collect();
    assert_eq!(first, ["93.184.216.34:0".parse().unwrap()], "what was checked is what is connected to");
    assert!(guard.resolve("rebound.test".parse().unwrap()).await.is_err());
}

#[tokio::test]
async fn a_redirect_that_leads_inside_is_refused() {
    for url in INSIDE.into_iter().chain(["ftp://example.com/", "data:image/png;base64,AAAA"]) {
        let headers = format!("location: {url}\r\n");
        let server = Server::of(Turn::Answer(answer(302, &headers, b"")));
        let net = trusting(&[format!("127.0.0.1:{}", server.port)]);
        refusal(net.fetch(&server.url("/"), &[], LIMITS).await.unwrap_err());
        assert_eq!(server.seen().len(), 1, "{url}");
    }
    // Another port of a host that is trusted is none of ours.
    let other = Server::of(Turn::Answer(answer(200, "", PNG)));
    let headers = format!("location: {}\r\n", other.url("/"));
    let server = Server::of(Turn::Answer(answer(307, &headers, b"")));
    let net = trusting(&[format!("http://127.0.0.1:{}/fal", server.port)]);
    refusal(net.fetch(&server.url("/"), &[], LIMITS).await.unwrap_err());
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn a_trusted_host_is_reached_by_its_name_and_only_on_its_port() {
    let server = Server::of(Turn::Answer(answer(200, "", PNG)));
    let policy = NetPolicy { allow_private: false, trusted: vec![format!("comfy.test:{}", server.port)] };
    let net = Net::with_lookup(&policy, leading_to(&["127.0.0.1"])).unwrap();
    net.fetch(&format!("http://comfy.test:{}/view", server.port), &[], LIMITS).await.unwrap();
    for url in ["https://comfy.test/", "http://comfy.test/", "https://comfy.test:8443/"] {
        let error = refusal(net.fetch(url, &[], LIMITS).await.unwrap_err());
        assert_eq!(error.code, "url_refused", "{url}: {error}");
    }
    let error = refusal(net.fetch("https://other.test/", &[], LIMITS).await.unwrap_err());
    assert_eq!(error.code, "address_refused", "{error}");
}

#[test]
fn what_is_trusted_must_be_a_host() {
    for good in ["comfy.local:8188", "127.0.0.1:9000", "[::1]:9000", "http://[::1]:9000/fal", "https://fal.run", "box"]
    {
        assert!(Net::new(NetPolicy { trusted: vec![good.to_owned()], ..NetPolicy::default() }).is_ok(), "{good}");
    }
    for bad in ["", "http://", "a b", "host:port", "host:99999"] {
        let failed = Net::new(NetPolicy { trusted: vec![bad.to_owned()], ..NetPolicy::default() });
        assert!(matches!(failed, Err(NetError::Trusted { .. })), "{bad}");
    }
}

#[tokio::test]
async fn a_redirect_to_another_host_drops_the_key() {
    let other = Server::of(Turn::Answer(answer(200, "", PNG)));
    let there = format!("location: http://other.test:{}/file\r\n", other.port);
    let server = Server::start(move |path| match path {
        "/near" => Turn::Answer(answer(302, "location: /file\r\n", b"")),
        "/far" => Turn::Answer(answer(302, &there, b"")),
        _ => Turn::Answer(answer(200, "", PNG)),
    });
    let policy = NetPolicy { allow_private: true, trusted: Vec::new() };
    let net = Net::with_lookup(&policy, leading_to(&["127.0.0.1"])).unwrap();
    let key = [("authorization", SecretString::from(format!("Key {CANARY}")))];
    for path in ["/near", "/far"] {
        let url = format!("http://files.test:{}{path}", server.port);
        assert_eq!(net.fetch(&url, &key, LIMITS).await.unwrap().bytes, PNG);
    }
    let shown: Vec<_> = server.seen().iter().map(|seen| seen.header("authorization").is_some()).collect();
    assert_eq!(shown, [true, true, true], "/near, /file and /far are the host's own");
    let far = other.seen();
    assert_eq!(far.len(), 1);
    assert_eq!(far[0].header("authorization"), None);
}

#[tokio::test]
async fn three_redirects_are_followed_and_no_more() {
    let server = Server::start(|path| {
        let left: u32 = path.trim_start_matches('/').parse().unwrap_or(0);
        match left {
            0 => Turn::Answer(answer(200, "", PNG)),
            _ => Turn::Answer(answer(302, &format!("location: /{}\r\n", left - 1), b"")),
        }
    });
    assert_eq!(open().fetch(&server.url("/3"), &[], LIMITS).await.unwrap().bytes, PNG);
    let error = refusal(open().fetch(&server.url("/4"), &[], LIMITS).await.unwrap_err());
    assert_eq!(error.code, "too_many_redirects");
    let nowhere = Server::of(Turn::Answer(answer(302, "", b"")));
    assert_eq!(refusal(open().fetch(&nowhere.url("/"), &[], LIMITS).await.unwrap_err()).code, "bad_redirect");
}

#[tokio::test]
async fn a_file_over_its_limit_is_refused_with_and_without_a_length() {
    let limits = FetchLimits { bytes_max: 10_000, ..LIMITS };
    let body = |bytes: usize| [PNG, &vec![7; bytes - PNG.len()]].concat();
    let answers = [
        ("length", answer(200, "", &body(10_000)), answer(200, "", &body(10_001))),
        ("chunks", chunked("", &body(10_000)), chunked("", &body(10_001))),
        // A length that is not kept: the bytes decide.
        ("length alone", chunked("", &body(10_000)), b"HTTP/1.1 200 OK\r\ncontent-length: 999999999\r\n\r\n".to_vec()),
    ];
    for (name, fits, too_large) in answers {
        let server = Server::start(move |path| match path {
            "/fits" => Turn::Answer(fits.clone()),
            _ => Turn::Answer(too_large.clone()),
        });
        let net = open();
        assert_eq!(net.fetch(&server.url("/fits"), &[], limits).await.unwrap().bytes.len(), 10_000, "{name}");
        let error = refusal(net.fetch(&server.url("/too-large"), &[], limits).await.unwrap_err());
        assert_eq!(error.class, ErrorClass::TooLarge, "{name}");
    }
}

#[tokio::test]
async fn nothing_is_unpacked() {
    // 1 KB of gzip can be 1 MB of zeros. It is asked for as it is, and refused when it comes packed all the same.
    let server =
        Server::of(Turn::Answer(answer(200, "content-encoding: gzip\r\ncontent-type: image/png\r\n", b"\x1f\x8b\x08")));
    let error = refusal(open().fetch(&server.url("/"), &[], LIMITS).await.unwrap_err());
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::UnsupportedFormat, "wrong_type"));
    assert_eq!(server.seen()[0].header("accept-encoding"), Some("identity"));
    let answered = open().send(&Request::get(server.url("/"))).await.unwrap();
    assert_eq!(answered.body, b"\x1f\x8b\x08");
}

#[tokio::test]
async fn an_answer_that_does_not_come_ends_with_its_time() {
    let stalled = answer(200, "", PNG);
    let (head, _) = stalled.split_at(stalled.len() - 3);
    for turn in [Turn::Silence, Turn::Stall(Vec::new()), Turn::Stall(head.to_vec())] {
        let server = Server::of(turn.clone());
        let failed = open().fetch(&server.url("/"), &[], FetchLimits { time_max: BRIEF, ..LIMITS }).await.unwrap_err();
        assert!(
            matches!(&failed, FetchError::Passing(error) if error.class == ErrorClass::Timeout),
            "{turn:?}: {failed:?}"
        );
        for request in [Request::get(server.url("/")), Request::post(server.url("/"), serde_json::json!({}))] {
            let failed = open().send(&request.within(BRIEF)).await.unwrap_err();
            assert!(failed.maybe_sent && failed.error.class == ErrorClass::Timeout, "{turn:?}: {failed:?}");
        }
    }
}

/// A port where nobody listens.
fn closed_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn a_request_surely_was_not_sent_only_without_a_connection() {
    let post = |url: &str| Request::post(url, serde_json::json!({"prompt": "a fox"})).within(Duration::from_secs(5));
    let whole = answer(200, "", b"{\"id\": 1}");
    let cut = whole[..whole.len() - 4].to_vec();
    let cases = [
        ("closed before it is read", Turn::Drop),
        ("closed after it was read", Turn::ReadAndDrop),
        ("closed in the middle of the answer", Turn::Answer(cut)),
        ("an answer that is none of HTTP", Turn::Answer(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec())),
    ];
    for (name, turn) in cases {
        let server = Server::of(turn);
        let failed = open().send(&post(&server.url("/"))).await.unwrap_err();
        assert!(failed.maybe_sent && failed.error.class == ErrorClass::Network, "{name}: {failed:?}");
        assert!(server.seen().len() <= 1, "{name}: it was sent {} times", server.seen().len());
    }

    let nobody = format!("http://127.0.0.1:{}/", closed_port());
    let failed = open().send(&post(&nobody)).await.unwrap_err();
    assert!(!failed.maybe_sent && failed.error.code == "connect", "nobody listens: {failed:?}");

    let policy = NetPolicy { allow_private: true, trusted: Vec::new() };
    let lookup: Lookup = Arc::new(|_| Box::pin(async { Err(std::io::Error::other("no such host")) }));
    let failed = Net::with_lookup(&policy, lookup).unwrap().send(&post("https://nowhere.test/")).await.unwrap_err();
    assert!(!failed.maybe_sent && failed.error.code == "dns", "no address: {failed:?}");

    // Nothing of a request is sent before TLS is agreed on: neither when that fails, nor when it takes too long.
    let no_tls = Server::of(Turn::Answer(answer(400, "", b"")));
    let https = |port: u16| format!("https://127.0.0.1:{port}/");
    let closing = Server::of(Turn::Drop);
    let failed = open().send(&post(&https(closing.port))).await.unwrap_err();
    assert!(!failed.maybe_sent && failed.error.code == "connect", "no TLS: {failed:?}");
    let failed = open().send(&post(&https(no_tls.port)).within(BRIEF)).await.unwrap_err();
    assert!(!failed.maybe_sent && failed.error.class == ErrorClass::Timeout, "TLS takes too long: {failed:?}");

    let bad_header = post(&nobody).header("x-note", "a\r\nb: c");
    let failed = open().send(&bad_header).await.unwrap_err();
    assert!(!failed.maybe_sent && failed.error.class == ErrorClass::InvalidInput, "{failed:?}");
}

#[tokio::test]
async fn an_answer_over_its_limit_says_that_the_request_was_sent() {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", ANSWER_BYTES_MAX + 1);
    let server = Server::of(Turn::Answer(head.into_bytes()));
    let failed = open().send(&Request::post(server.url("/"), serde_json::json!({}))).await.unwrap_err();
    assert!(failed.maybe_sent && failed.error.class == ErrorClass::TooLarge, "{failed:?}");
}

#[tokio::test]
async fn what_may_cost_money_never_goes_over_a_connection_that_was_used_before() {
    let server = Server::of(Turn::Keep(answer(200, "", b"{}")));
    let net = open();
    let (question, submission) = (Request::get(server.url("/")), Request::post(server.url("/"), serde_json::json!({})));
    for request in [&question, &question, &submission, &submission, &question] {
        net.send(request).await.unwrap();
    }
    let connections: Vec<usize> = server.seen().iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, [0, 0, 1, 2, 0], "questions share one, submissions have their own");
}

#[tokio::test]
async fn bodies_arrive_as_they_are() {
    let server = Server::of(Turn::Answer(answer(200, "x-request-id: 7\r\n", b"{\"ok\": true}")));
    let net = open();
    let json = serde_json::json!({"prompt": "ein Fuchs \u{1f98a} \"im\" Schnee", "n": 1});
    let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let url = || server.url("/v1/images?size=1024");
    let form = vec![
        Part::text("prompt", "a fox"),
        Part {
            name: "image".into(),
            file_name: Some("fox.png".into()),
            media_type: Some("image/png".into()),
            bytes: bytes.clone(),
        },
    ];
    let raw = Body::Bytes { media_type: "image/png".into(), bytes: bytes.clone() };
    let requests = [
        Request::post(url(), json.clone()).secret("authorization", format!("Key {CANARY}")).header("x-note", "hello"),
        Request { body: Body::Multipart(form), ..Request::new(Method::Post, url()) },
        Request { body: raw, ..Request::new(Method::Put, url()) }.header("content-type", "image/x-own"),
        Request::new(Method::Post, url()),
        Request::new(Method::Delete, url()),
        Request::get(url()),
    ];
    for request in &requests {
        let answered = net.send(request).await.unwrap();
        assert_eq!((answered.status, answered.header("x-request-id")), (200, Some("7")));
        assert_eq!(answered.json(), serde_json::json!({"ok": true}));
    }
    let seen = server.seen();
    let lines: Vec<&str> = seen.iter().map(|seen| seen.line.split(' ').next().unwrap()).collect();
    assert_eq!(lines, ["POST", "POST", "PUT", "POST", "DELETE", "GET"]);
    assert!(seen.iter().all(|seen| seen.line.ends_with(" /v1/images?size=1024 HTTP/1.1")));
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&seen[0].body).unwrap(), json);
    assert_eq!(seen[0].header("content-type"), Some("application/json"));
    assert_eq!(seen[0].header("authorization"), Some(format!("Key {CANARY}").as_str()));
    assert_eq!(seen[0].header("x-note"), Some("hello"));
    let boundary = seen[1].header("content-type").unwrap().strip_prefix("multipart/form-data; boundary=").unwrap();
    let parts: Vec<&[u8]> = split(&seen[1].body, format!("--{boundary}").as_bytes());
    assert_eq!(parts.len(), 4, "before, two parts, after");
    assert!(parts[1].ends_with(b"\r\n\r\na fox\r\n"));
    assert!(parts[2].ends_with(&[b"\r\n\r\n", &bytes[..], b"\r\n"].concat()));
    assert_eq!(parts[3], b"--\r\n");
    assert_eq!(seen[2].body, bytes);
    assert_eq!(seen[2].header("content-type"), Some("image/x-own"), "what the adapter says goes first");
    assert!(seen[3].body.is_empty() && seen[3].header("content-type").is_none());
}

fn split<'a>(bytes: &'a [u8], by: &[u8]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(by.len()).position(|window| window == by) {
        parts.push(&rest[..at]);
        rest = &rest[at + by.len()..];
    }
    parts.push(rest);
    parts
}

#[tokio::test]
async fn a_redirect_of_a_provider_is_an_answer() {
    let server = Server::of(Turn::Answer(answer(307, "location: https://example.com/\r\n", b"")));
    let answered = open().send(&Request::post(server.url("/"), serde_json::json!({}))).await.unwrap();
    assert_eq!((answered.status, answered.header("location")), (307, Some("https://example.com/")));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_status_tells_whether_to_try_again() {
    let kind = |failed: &FetchError| match failed {
        FetchError::Gone { status } => format!("gone {status}"),
        FetchError::Refused(error) => format!("refused {}", error.class),
        FetchError::Passing(error) => format!("passing {}", error.class),
    };
    let cases = [
        (400, "refused invalid_input"),
        (401, "refused invalid_input"),
        (403, "gone 403"),
        (404, "gone 404"),
        (408, "passing server_unavailable"),
        (410, "gone 410"),
        (429, "passing rate_limit"),
        (500, "passing server_unavailable"),
        (503, "passing server_unavailable"),
    ];
    for (status, want) in cases {
        let server = Server::of(Turn::Answer(answer(status, "retry-after: 7\r\n", &vec![b'x'; 2 << 20])));
        let failed = open().fetch(&server.url("/"), &[], LIMITS).await.unwrap_err();
        assert_eq!(kind(&failed), want, "{status}");
        if let FetchError::Passing(error) = failed {
            assert_eq!(error.retry_after, Some(darkroom_proto::Duration::from_secs(7)), "{status}");
        }
    }
    let empty = Server::of(Turn::Answer(answer(200, "", b"")));
    let failed = open().fetch(&empty.url("/"), &[], LIMITS).await.unwrap_err();
    assert_eq!(kind(&failed), "passing server_unavailable", "an empty file");
    let cut = answer(200, "", PNG);
    let cut = Server::of(Turn::Answer(cut[..cut.len() - 2].to_vec()));
    let failed = open().fetch(&cut.url("/"), &[], LIMITS).await.unwrap_err();
    assert_eq!(kind(&failed), "passing network", "a file that ends early");
}

#[tokio::test]
async fn a_file_is_what_its_bytes_say() {
    let cases: [(&str, &[u8], Result<&str, &str>); 8] = [
        ("image/png", PNG, Ok("image/png")),
        ("image/jpeg", PNG, Ok("image/png")),
        ("text/html", PNG, Ok("image/png")),
        ("image/png", b"<!doctype html><p>Please log in", Err("wrong_type")),
        ("video/mp4", b"{\"error\": \"expired\"}", Err("wrong_type")),
        ("text/html; charset=utf-8", b"<html></html>", Ok("text/html")),
        ("audio/pcm;rate=24000", b"\x00\x01\x00\x02", Ok("audio/pcm")),
        ("application/x-sh", b"echo", Ok("application/octet-stream")),
    ];
    for (said, bytes, want) in cases {
        let server = Server::of(Turn::Answer(answer(200, &format!("content-type: {said}\r\n"), bytes)));
        let fetched = open().fetch(&server.url("/"), &[], LIMITS).await;
        let got = fetched.map(|file| file.media_type).map_err(|failed| refusal(failed).code);
        assert_eq!(got.as_deref().map_err(String::as_str), want, "{said}");
    }
}

#[tokio::test]
async fn a_secret_is_in_no_error() {
    let closed = closed_port();
    let silent = Server::of(Turn::Silence);
    let dropping = Server::of(Turn::ReadAndDrop);
    let far = format!("location: http://user:{CANARY}@127.0.0.1/?{CANARY}\r\n");
    let far = Server::of(Turn::Answer(answer(302, &far, b"")));
    let missing = Server::of(Turn::Answer(answer(400, "", CANARY.as_bytes())));
    let page = Server::of(Turn::Answer(answer(200, "content-type: image/png\r\n", b"<html>")));
    let private = format!("https://10.0.0.1/a?sig={CANARY}");
    let urls = [
        format!("http://127.0.0.1:{closed}/a?sig={CANARY}#{CANARY}"),
        silent.url(&format!("/a?sig={CANARY}")),
        dropping.url(&format!("/a?sig={CANARY}")),
        far.url(&format!("/a?sig={CANARY}")),
        missing.url(&format!("/a?sig={CANARY}")),
        page.url(&format!("/a?sig={CANARY}")),
        format!("http://user:{CANARY}@example.com/"),
        format!("http://{CANARY}@example.com/"),
        format!("ftp://user:{CANARY}@example.com/?{CANARY}"),
        format!("user:{CANARY}@example.com/?{CANARY}"),
        private.clone(),
    ];
    let key = [("authorization", SecretString::from(format!("Key {CANARY}")))];
    let limits = FetchLimits { time_max: BRIEF, ..LIMITS };
    for url in &urls {
        let failed = open().fetch(url, &key, limits).await.err();
        let failed = failed.filter(|_| url != &private);
        let sent = open().send(&Request::get(url).secret("authorization", CANARY).within(BRIEF)).await.err();
        let strict = Net::new(NetPolicy::default()).unwrap().fetch(url, &key, limits).await.unwrap_err();
        let all = format!("{failed:?} {sent:?} {strict:?} {strict}");
        assert!(!all.contains(CANARY), "{all}");
    }
    let broken = [("authorization", SecretString::from(format!("{CANARY}\n")))];
    let failed = refusal(open().fetch(&silent.url("/"), &broken, LIMITS).await.unwrap_err());
    assert_eq!((failed.class, failed.code.as_str()), (ErrorClass::InvalidKey, "key_malformed"));
    assert!(!format!("{failed:?}").contains(CANARY));
    let trusted = Net::new(NetPolicy { trusted: vec![format!("http://user:{CANARY}@")], ..NetPolicy::default() });
    assert!(!format!("{trusted:?}").contains(CANARY));
}
