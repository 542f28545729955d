//! Runs that other services hand in over AMQP: every coordinator takes some of them.
//!
//! A message is acked after its run is stored and the answer is with the broker, so at worst it comes twice; under one
//! `message_id` that is still one run.

use crate::api::FleetApi;
use darkroom_api::{Letter, Problem};
use darkroom_backend::{Answer, RabbitQueue, Submissions, Submitted};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How many messages are worked on at once by one coordinator.
const AT_ONCE: u16 = 50;

/// How long is waited before they are taken again after the connection or the queue was lost.
const AGAIN: Duration = Duration::from_secs(1);

/// How soon a message is tried again that could not be stored; doubles up to the second.
const RETRY_MIN: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// How long a message is tried again here before it is given back. Giving back counts as a delivery, and the broker allows
/// 20 of them; it takes messages away that are held for 30 minutes.
const HELD_MAX: Duration = Duration::from_secs(600);

/// How long what was begun may take when the role stops.
const FINISH_MAX: Duration = Duration::from_secs(10);

/// How much of a cause is kept in a header.
const CAUSE_CHARS_MAX: usize = 500;

/// Takes what others hand in until told to stop; then finishes what was begun.
pub(crate) async fn take(api: Arc<FleetApi>, queue: RabbitQueue, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let begun = tokio::select! {
            begun = queue.submissions(AT_ONCE) => begun,
            () = stop.cancelled() => return,
        };
        match begun {
            Ok(submissions) => take_from(submissions, &api, &stop).await,
            Err(error) => tracing::warn!(%error, "runs that others publish are not taken; trying again"),
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Takes what comes over one connection.
async fn take_from(mut submissions: Submissions, api: &Arc<FleetApi>, stop: &CancellationToken) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = open.join_next() => told(ended),
            submitted = submissions.next() => match submitted {
                Some(submitted) => {
                    open.spawn(settle(submitted, api.clone(), stop.clone()));
                }
                None => break,
            },
        }
    }
    let finish = async {
        while let Some(ended) = open.join_next().await {
            told(ended);
        }
    };
    if tokio::time::timeout(FINISH_MAX, finish).await.is_err() {
        tracing::warn!(open = open.len(), "runs that others published are not all answered; they come again elsewhere");
    }
    submissions.close().await;
}

fn told(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "taking in a run that was published broke; it comes again");
    }
}

/// Takes one in and answers it, or gives it back.
async fn settle(submitted: Submitted, api: Arc<FleetApi>, stop: CancellationToken) {
    // A message without a name is given one, so that storing it again after a lost answer makes no second run.
    let name = submitted.message_id().filter(|id| !id.is_empty());
    let name = name.map_or_else(|| format!("amqp-{}", uuid::Uuid::new_v4().simple()), str::to_owned);
    let letter = Letter {
        body: submitted.body(),
        content_type: submitted.content_type(),
        content_encoding: submitted.content_encoding(),
        routing_key: submitted.routing_key(),
        message_id: submitted.message_id(),
        fallback_key: &name,
        tenant: submitted.header("tenant"),
        user: submitted.user_id(),
    };
    let Some(outcome) = taken_in(&api, &letter, &stop).await else {
        submitted.give_back().await;
        return;
    };
    let reply = letter.reply(&outcome);
    submitted.answer(&Answer { kind: reply.kind, content_type: reply.content_type, body: reply.body }).await;
    match outcome {
        Ok(_) => {
            metrics::counter!("darkroom_submissions_total", "outcome" => "taken").increment(1);
            submitted.ack().await;
        }
        Err(problem) => {
            metrics::counter!("darkroom_submissions_total", "outcome" => "refused").increment(1);
            let document = problem.document();
            let code = document["code"].as_str().unwrap_or_default().to_owned();
            let detail = document["detail"].as_str().unwrap_or_default();
            tracing::warn!(key = submitted.routing_key(), code, detail, "a run that was published is refused");
            let cause: String = format!("{code}: {detail}").chars().take(CAUSE_CHARS_MAX).collect();
            let headers =
                [("dr-problem", problem.header()), ("dr-code", code), ("dr-status", problem.status().to_string())];
            submitted.bury(&cause, &headers).await;
        }
    }
}

/// Takes a letter in, again and again while a server is away. None: it should come again.
async fn taken_in(api: &FleetApi, letter: &Letter<'_>, stop: &CancellationToken) -> Option<Result<Value, Problem>> {
    let give_up = Instant::now() + HELD_MAX;
    let mut pause = RETRY_MIN;
    loop {
        match api.submitted(letter).await {
            Err(problem) if problem.is_retryable() => {
                tracing::warn!(problem = problem.header(), "a run that was published can't be stored yet");
            }
            outcome => return Some(outcome),
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return None,
        }
        if Instant::now() >= give_up {
            return None;
        }
        pause = (pause * 2).min(RETRY_MAX);
    }
}
