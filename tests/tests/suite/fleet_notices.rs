//! Notices of what went wrong on a fleet.

use darkroom_proto::{Map, RunStatus};
use darkroom_tests::fleet::Fleet;
use darkroom_tests::fleet::load::Workflow;
use darkroom_tests::poll;
use serde_json::Value;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const BROKEN: &str = "workflow: broken
steps:
  - id: many
    for-each: range(12)
    continue-on-error: true
    uses: fail
    with: {class: content_rejected, message: 'item ${{ item }} was refused'}
  - id: last
    uses: fail
    with: {class: invalid_input, message: the mug is missing}
";

/// The posts that came: each once, as it was sent.
type Posts = Arc<Mutex<Vec<String>>>;

/// A server that takes everything down and says yes, but to the first, which it tells to come back.
async fn receiver(tasks: &mut JoinSet<()>) -> (String, Posts) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/hook?key=sesame", listener.local_addr().unwrap());
    let posts = Posts::default();
    let taken = posts.clone();
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut text = String::new();
            let mut chunk = [0; 4096];
            while !text.ends_with("}}") {
                let count = stream.read(&mut chunk).await.unwrap_or(0);
                if count == 0 {
                    break;
                }
                text.push_str(&String::from_utf8_lossy(&chunk[..count]));
            }
            let answer = if taken.lock().unwrap().is_empty() { "503 Later" } else { "204 Thanks" };
            taken.lock().unwrap().push(text);
            let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (url, posts)
}

fn header<'a>(post: &'a str, name: &str) -> &'a str {
    post.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).unwrap_or_default().trim()
}

fn body(post: &str) -> Value {
    serde_json::from_str(post.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_hears_of_each_trouble_of_a_run_once_and_the_run_waits_for_nobody() {
    let fleet = Fleet::shared();
    let mut tasks = JoinSet::new();
    let (url, posts) = receiver(&mut tasks).await;
    let coordinator = fleet.start("coordinator", &[], &[("DARKROOM__NOTICES__USER__WEBHOOK", url.as_str())]);
    let worker = fleet.worker();
    coordinator.ready().await;
    worker.ready().await;
    let run = fleet.submit(&Workflow::new("broken", BROKEN), Map::new()).await;
    let ended = fleet.ended(run, Duration::from_secs(20)).await;
    assert_eq!(ended.run.head.status, RunStatus::Failed);
    poll::until("both notices arrive, one of them at its second try", async || posts.lock().unwrap().len() >= 3).await;
    let (id, posts) = (run.to_string(), posts.lock().unwrap().clone());
    assert_eq!(posts.len(), 3, "{posts:#?}");
    assert!(posts.iter().all(|post| body(post)["data"]["run"] == id.as_str()), "{posts:#?}");
    let of = |kind: &str| posts.iter().filter(|post| body(post)["type"] == kind).collect::<Vec<_>>();
    let (steps, runs) = (of("step.failed"), of("run.failed"));
    assert_eq!(body(runs[0])["data"]["message"], "the mug is missing");
    assert_eq!(body(steps[0])["data"]["class"], "content_rejected");
    for posts in [&steps, &runs] {
        let ids: Vec<&str> = posts.iter().map(|post| header(post, "webhook-id")).collect();
        assert!(ids[0].starts_with("msg_") && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }
    assert_ne!(header(steps[0], "webhook-id"), header(runs[0], "webhook-id"));
    let log = coordinator.log();
    assert!(log.contains("the mug is missing") && !log.contains("sesame"), "{log}");
    fleet.leaves_nothing(vec![coordinator, worker]).await;
    fleet.remove().await;
}
