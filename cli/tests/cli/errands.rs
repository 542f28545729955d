//! Steps that ask other people's servers.

use crate::folder::Folder;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

const OPEN: (&str, &str) = ("DARKROOM__NET__ALLOW_PRIVATE", "true");

/// A request as it came: its first line, headers in small letters, and body.
#[derive(Debug, Clone)]
struct Seen {
    line: String,
    head: String,
    body: String,
}

impl Seen {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).map(str::trim)
    }
}

/// A server that answers so, one answer after the other and then the last again, and what it was asked.
fn answering(answers: Vec<(u16, &'static str, &'static [u8])>) -> (String, Arc<Mutex<Vec<Seen>>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let place = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let remembered = seen.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut seen = remembered.lock().unwrap();
            let (status, media_type, body) = answers[seen.len().min(answers.len() - 1)];
            seen.push(read(&mut stream));
            drop(seen);
            let head =
                format!("HTTP/1.1 {status} X\r\ncontent-type: {media_type}\r\ncontent-length: {}\r\n", body.len());
            let _ = stream.write_all(format!("{head}connection: close\r\n\r\n").as_bytes());
            let _ = stream.write_all(body);
        }
    });
    (place, seen)
}

fn read(stream: &mut TcpStream) -> Seen {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let (line, head) = head.split_once("\r\n").unwrap_or((head, ""));
            let seen = Seen { line: line.into(), head: head.to_ascii_lowercase(), body: body.into() };
            let length = seen.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            if body.len() >= length {
                return seen;
            }
        }
        let count = stream.read(&mut chunk).unwrap_or(0);
        assert!(count > 0, "the request ended early: {text}");
        bytes.extend_from_slice(&chunk[..count]);
    }
}

fn workflow(place: &str, step: &str) -> String {
    format!("workflow: ask\nsteps:\n  - id: ask\n    retry: {{ delay: 1ms }}\n{}", step.replace("PLACE", place))
}

#[test]
fn an_answer_is_what_the_next_steps_go_on_with() {
    let (place, seen) = answering(vec![(200, "application/json", br#"{"product": {"name": "mug"}}"#)]);
    let folder = Folder::new();
    let text = workflow(
        &place,
        "    uses: http.request\n    with: { url: PLACE/products/7?key=sesame, headers: { authorization: Bearer sesame } }\n  - id: tell\n    uses: notify.webhook\n    with: { url: PLACE/tell, body: { name: '${{ steps.ask.body.product.name }}', status: '${{ steps.ask.status }}' } }\n",
    );
    folder.write("ask.yaml", text);
    folder.run_with(&[OPEN], &["run", "ask.yaml"]).expect(0);
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].line, "GET /products/7?key=sesame HTTP/1.1");
    assert_eq!(seen[0].header("authorization"), Some("bearer sesame"));
    assert_eq!(seen[0].header("idempotency-key"), None, "reading needs none");
    assert_eq!(
        (seen[1].line.as_str(), seen[1].header("content-type")),
        ("POST /tell HTTP/1.1", Some("application/json"))
    );
    assert_eq!(seen[1].body, r#"{"name":"mug","status":200}"#);
    assert_eq!(
        seen[1].header("webhook-id").map(|id| id.replace("msg_", "")).as_deref(),
        seen[1].header("idempotency-key")
    );
}

#[test]
fn every_attempt_is_sent_under_one_key() {
    let (place, seen) =
        answering(vec![(503, "text/plain", b"not now"), (500, "text/plain", b""), (200, "text/plain", b"ok")]);
    let folder = Folder::new();
    let step = "    uses: http.request\n    with: { url: PLACE/pay, method: POST, body: { amount: 5 } }\n  - id: again\n    uses: http.request\n    with: { url: PLACE/pay, method: POST, body: { amount: 5 } }\n";
    folder.write("ask.yaml", workflow(&place, step));
    folder.run_with(&[OPEN], &["run", "ask.yaml"]).expect(0);
    let keys: Vec<String> =
        seen.lock().unwrap().iter().filter_map(|seen| seen.header("idempotency-key").map(str::to_owned)).collect();
    assert_eq!(keys.len(), 4);
    assert_eq!((&keys[0], &keys[0]), (&keys[1], &keys[2]), "three attempts of one step");
    assert_ne!(keys[0], keys[3], "another step");
}

#[test]
fn what_is_no_text_and_no_json_becomes_a_file() {
    let (place, _) = answering(vec![(200, "image/png", include_bytes!("../../../photos/coffee.png"))]);
    let folder = Folder::new();
    let step = "    uses: http.request\n    with: { url: PLACE/coffee }\n  - uses: image.resize\n    with: { image: '${{ steps.ask.body }}', width: 64 }\n    save: small.png\n";
    folder.write("ask.yaml", workflow(&place, step));
    folder.run_with(&[OPEN], &["run", "ask.yaml"]).expect(0);
    assert!(folder.path("small.png").exists());
}

#[test]
fn an_answer_of_failure_is_told_with_what_to_do_and_without_secrets() {
    let (place, seen) = answering(vec![(404, "application/json", br#"{"error": "no such product"}"#)]);
    let folder = Folder::new();
    let with = "url: 'PLACE/products/8?key=sesame', headers: { authorization: Bearer sesame }";
    folder.write("ask.yaml", workflow(&place, &format!("    uses: http.request\n    with: {{ {with} }}\n")));
    let ended = folder.run_with(&[OPEN], &["run", "ask.yaml"]).expect(1);
    ended.says(&["/products/8 answered 404: no such product", "any-status"]).never_says(&["sesame"]);
    assert_eq!(seen.lock().unwrap().len(), 1, "what can't help is not tried again");
    folder.write(
        "ask.yaml",
        workflow(&place, &format!("    uses: http.request\n    with: {{ {with}, any-status: true }}\n")),
    );
    folder.run_with(&[OPEN], &["run", "ask.yaml"]).expect(0);
}

#[test]
fn a_private_address_is_asked_only_if_the_settings_allow_it() {
    let (place, seen) = answering(vec![(200, "text/plain", b"inside")]);
    let folder = Folder::new();
    folder.write("ask.yaml", workflow(&place, "    uses: http.request\n    with: { url: PLACE/ }\n"));
    folder.run(&["run", "ask.yaml"]).expect(1).says(&["net.allow_private"]);
    assert!(seen.lock().unwrap().is_empty());
}
