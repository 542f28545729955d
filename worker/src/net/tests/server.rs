//! A server on this machine that answers what it is told to, and remembers what it was asked.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What happens to a connection. Answers that are `Keep` leave it open for the next request.
#[derive(Debug, Clone)]
pub(super) enum Turn {
    /// The connection is closed before anything is read.
    Drop,
    /// The request is read and the connection closed.
    ReadAndDrop,
    /// The request is read and nothing is answered.
    Silence,
    /// The request is read, this is answered, and nothing follows.
    Stall(Vec<u8>),
    /// The request is read, this is answered, and the connection closed.
    Answer(Vec<u8>),
    /// The request is read, this is answered, and the connection kept.
    Keep(Vec<u8>),
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// The first line.
    pub(super) line: String,
    /// The others.
    pub(super) headers: Vec<String>,
    pub(super) body: Vec<u8>,
    /// Which connection it came on.
    pub(super) connection: usize,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let of = |line: &'_ String| line.split_once(": ").is_some_and(|(known, _)| known.eq_ignore_ascii_case(name));
        self.headers.iter().find(|line| of(line)).and_then(|line| line.split_once(": ")).map(|(_, value)| value)
    }
}

pub(super) struct Server {
    pub(super) port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// Answers by the path of each request; `turn` is asked with an empty one when a connection is made, where only
    /// [`Turn::Drop`] means anything.
    pub(super) fn start(turn: impl Fn(&str) -> Turn + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (turn, remembered) = (Arc::new(turn), seen.clone());
        std::thread::spawn(move || {
            for (connection, stream) in listener.incoming().flatten().enumerate() {
                let (turn, seen) = (turn.clone(), remembered.clone());
                std::thread::spawn(move || serve(stream, connection, &*turn, &seen));
            }
        });
        Server { port, seen }
    }

    /// Answers everything the same.
    pub(super) fn of(turn: Turn) -> Server {
        Server::start(move |_| turn.clone())
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

/// An answer with a length.
pub(super) fn answer(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// An answer that does not tell its length ahead.
pub(super) fn chunked(headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 200 OK\r\n{headers}transfer-encoding: chunked\r\n\r\n").into_bytes();
    for chunk in body.chunks(1000) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

fn serve(mut stream: TcpStream, connection: usize, turn: &dyn Fn(&str) -> Turn, seen: &Mutex<Vec<Seen>>) {
    if matches!(turn(""), Turn::Drop) {
        return;
    }
    while let Some(request) = read(&mut stream, connection) {
        let path = request.line.split(' ').nth(1).unwrap_or_default().to_owned();
        seen.lock().unwrap().push(request);
        match turn(&path) {
            Turn::Drop | Turn::ReadAndDrop => return,
            Turn::Silence => hold(&mut stream),
            Turn::Stall(bytes) => {
                stream.write_all(&bytes).unwrap();
                hold(&mut stream);
            }
            Turn::Answer(bytes) => {
                // The other side may have heard enough.
                let _ = stream.write_all(&bytes);
                return;
            }
            Turn::Keep(bytes) => stream.write_all(&bytes).unwrap(),
        }
    }
}

/// Waits until the other side has gone.
fn hold(stream: &mut TcpStream) {
    let _ = stream.read(&mut [0; 1]);
}

fn read(stream: &mut TcpStream, connection: usize) -> Option<Seen> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&chunk[..read]),
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n").map(str::to_owned);
    let mut seen = Seen { line: lines.next()?, headers: lines.collect(), body: bytes.split_off(end + 4), connection };
    let length: usize = seen.header("content-length").map_or(0, |length| length.parse().unwrap());
    while seen.body.len() < length {
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return None,
            Ok(read) => seen.body.extend_from_slice(&chunk[..read]),
        }
    }
    Some(seen)
}
