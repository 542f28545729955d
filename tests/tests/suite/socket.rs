//! Reading an embedded store that another process owns, through its socket.

use darkroom_backend::{
    Command, Commit, Definition, EmbeddedStore, Reader, RunFilter, Shard, SocketClient, Store, StoreError, serve,
};
use darkroom_proto::{ErrorClass, RunId, Sha256, StepError};
use darkroom_tests::{poll, sample};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn all() -> RunFilter {
    RunFilter { limit: 100, ..RunFilter::default() }
}

/// A store with three runs, of which the first has a history.
async fn filled(dir: &Path) -> (EmbeddedStore, Vec<RunId>) {
    let store = EmbeddedStore::open(dir).unwrap();
    let epoch = store.acquire(Shard(0), "owner", Duration::from_secs(60)).await.unwrap().unwrap();
    let runs: Vec<RunId> = (0..3).map(|number| sample::run(Shard(0), 1, number)).collect();
    let new: Vec<_> = (0..3).map(|number| sample::new_run(runs[number as usize], number)).collect();
    store.create(&new).await.unwrap();
    let mut change: Commit = sample::commit(runs[0], 0, 1, 7);
    change.summary.error = Some(StepError::new(ErrorClass::Timeout, "too slow"));
    change.fields.push(("bytes".into(), Some((0..=255).collect())));
    change.outbox = b"effects".to_vec();
    store.commit(Shard(0), epoch, vec![change], &[]).await.unwrap();
    let definition =
        Definition { hash: Sha256::of(b"x"), workflow: "w".into(), file: "w.yaml".into(), source: "x".into() };
    store.put_definition(&definition).await.unwrap();
    (store, runs)
}

#[tokio::test]
async fn a_guest_reads_what_the_owner_reads() {
    let dir = tempfile::tempdir().unwrap();
    let (store, runs) = filled(dir.path()).await;
    let server = serve(store.clone(), &Reader::socket(dir.path())).unwrap();
    let guest = Reader::open(dir.path()).await.unwrap();
    assert!(guest.is_guest());
    for filter in [all(), RunFilter { before: Some(runs[2]), workflow: Some("product-shots".into()), ..all() }] {
        assert_eq!(guest.list(&filter).await.unwrap(), store.list(&filter).await.unwrap());
    }
    for run in [runs[0], runs[1], RunId::from_bytes([1; 16])] {
        assert_eq!(guest.load(run).await.unwrap(), store.load(run).await.unwrap());
        assert_eq!(guest.events(run, 1, 10).await.unwrap(), store.events(run, 1, 10).await.unwrap());
    }
    for hash in [Sha256::of(b"x"), Sha256::of(b"y")] {
        assert_eq!(guest.definition(hash).await.unwrap(), store.definition(hash).await.unwrap());
    }
    guest.post(&sample::command(runs[0], "cancel")).await.unwrap();
    assert_eq!(store.inbox(Shard(0)).await.unwrap(), [sample::command(runs[0], "cancel")]);
    server.close().await;
}

#[tokio::test]
async fn a_guest_whose_owner_ends_reads_the_file_itself() {
    let dir = tempfile::tempdir().unwrap();
    let (store, runs) = filled(dir.path()).await;
    let server = serve(store.clone(), &Reader::socket(dir.path())).unwrap();
    let guest = Reader::open(dir.path()).await.unwrap();
    assert!(guest.is_guest());
    server.close().await;
    drop(store);
    assert_eq!(guest.list(&all()).await.unwrap().len(), runs.len());
    assert!(!guest.is_guest());
}

#[tokio::test]
async fn an_error_of_the_owner_reaches_the_guest() {
    let dir = tempfile::tempdir().unwrap();
    let (store, runs) = filled(dir.path()).await;
    let _server = serve(store, &Reader::socket(dir.path())).unwrap();
    let guest = Reader::open(dir.path()).await.unwrap();
    let large = Command { body: vec![0; 2 << 20], ..sample::command(runs[0], "large") };
    let refused = guest.post(&large).await;
    assert!(matches!(refused, Err(StoreError::TooLarge { bytes, .. }) if bytes == 2 << 20), "{refused:?}");
}

#[tokio::test]
async fn a_reply_over_the_limit_of_a_frame_is_an_error_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let (store, runs) = filled(dir.path()).await;
    let epoch = store.acquire(Shard(0), "owner", Duration::from_secs(60)).await.unwrap().unwrap();
    let mut change = sample::commit(runs[1], 1, 1, 8);
    change.fields = (0..5).map(|at| (format!("{at}"), Some(vec![at; 15 << 20]))).collect();
    store.commit(Shard(0), epoch, vec![change], &[]).await.unwrap();
    let _server = serve(store, &Reader::socket(dir.path())).unwrap();
    let guest = Reader::open(dir.path()).await.unwrap();
    assert!(matches!(guest.load(runs[1]).await, Err(StoreError::TooLarge { .. })));
    assert!(guest.load(runs[0]).await.unwrap().is_some());
}

#[tokio::test]
async fn without_an_owner_the_reader_opens_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let (store, runs) = filled(dir.path()).await;
    drop(store);
    let reader = Reader::open(dir.path()).await.unwrap();
    assert!(!reader.is_guest());
    assert_eq!(reader.list(&all()).await.unwrap().len(), 3);
    assert_eq!(reader.load(runs[0]).await.unwrap().unwrap().version, 2);
}

#[tokio::test]
async fn a_closed_server_leaves_no_socket_and_lets_go_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = filled(dir.path()).await;
    let socket = Reader::socket(dir.path());
    let server = serve(store, &socket).unwrap();
    assert!(matches!(EmbeddedStore::open(dir.path()), Err(StoreError::InUse { .. })));
    server.close().await;
    assert!(!socket.exists());
    EmbeddedStore::open(dir.path()).unwrap();
}

#[tokio::test]
async fn a_dropped_server_stops_soon() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = filled(dir.path()).await;
    drop(serve(store, &Reader::socket(dir.path())).unwrap());
    poll::until("the file is free", async || EmbeddedStore::open(dir.path()).is_ok()).await;
    assert!(!Reader::socket(dir.path()).exists());
}

#[tokio::test]
async fn a_socket_that_was_left_behind_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let socket = Reader::socket(dir.path());
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert!(socket.exists());
    assert!(matches!(SocketClient::connect(&socket).await, Err(StoreError::Unavailable(_))));
    let (store, _) = filled(dir.path()).await;
    let _server = serve(store, &socket).unwrap();
    SocketClient::connect(&socket).await.unwrap();
}

#[tokio::test]
async fn only_its_user_may_use_the_socket() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = filled(dir.path()).await;
    let _server = serve(store, &Reader::socket(dir.path())).unwrap();
    let mode = std::fs::metadata(Reader::socket(dir.path())).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_path_longer_than_a_socket_address_works() {
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("d".repeat(120)).join("ü".repeat(60));
    let (store, _) = filled(&deep).await;
    let server = serve(store, &Reader::socket(&deep)).unwrap();
    assert!(Reader::socket(&deep).exists());
    let guest = Reader::open(&deep).await.unwrap();
    assert!(guest.is_guest());
    assert_eq!(guest.list(&all()).await.unwrap().len(), 3);
    server.close().await;
    assert!(!Reader::socket(&deep).exists());
}

#[tokio::test]
async fn the_reader_waits_for_an_owner_that_is_just_ending() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = filled(dir.path()).await;
    // It has the file and no socket: it is starting, or ending as here.
    let ending = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(store);
    };
    let (reader, ()) = tokio::join!(Reader::open(dir.path()), ending);
    assert!(!reader.unwrap().is_guest());
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_never_answers_is_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let _store = EmbeddedStore::open(dir.path()).unwrap();
    assert!(matches!(Reader::open(dir.path()).await, Err(StoreError::InUse { .. })));
}

#[tokio::test]
async fn guests_that_speak_nonsense_hurt_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = filled(dir.path()).await;
    let socket = Reader::socket(dir.path());
    let _server = serve(store, &socket).unwrap();
    let mut silent = Vec::new();
    for bytes in [&b""[..], b"\xff\xff\xff\xff", b"\0\0\0\x05hello", b"\0\0\0\x05he", b"GET / HTTP/1.1\r\n\r\n"] {
        let mut stream = tokio::net::UnixStream::connect(&socket).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        if bytes.len() > 8 || bytes.first() == Some(&255) {
            // Refused, and the connection closed: with an error when bytes of ours were left unread.
            let mut reply = Vec::new();
            let _ = poll::soon("the end", stream.read_to_end(&mut reply)).await;
            assert_eq!(reply, b"");
        } else {
            silent.push(stream);
        }
    }
    assert_eq!(Reader::open(dir.path()).await.unwrap().list(&all()).await.unwrap().len(), 3);
}

#[tokio::test]
async fn many_guests_are_served_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = filled(dir.path()).await;
    let socket = Reader::socket(dir.path());
    let _server = serve(store, &socket).unwrap();
    let client = SocketClient::connect(&socket).await.unwrap();
    let mut guests = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let client = client.clone();
        guests.spawn(async move { client.list(&all()).await.unwrap().len() });
    }
    let counts = poll::soon("all of them", guests.join_all()).await;
    assert_eq!(counts, vec![3; 100]);
}
