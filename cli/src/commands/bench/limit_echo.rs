//! `darkroom bench limit-echo`: what stands in for a worker while the limit of the broker is measured. It sends every
//! message back, durably, before it acks it.

use super::limit_cycle::{broken, connect, message, short};
use crate::failure::Failure;
use crate::settings::FleetPlace;
use futures_util::future::try_join_all;
use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt as _, StreamExt as _};
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, Confirmation};
use std::process::ExitCode;

/// How many messages it takes before it has acked any.
const PREFETCH: u16 = 512;

/// How many messages are sent back together, if they are.
const BATCH: usize = 64;

/// Send messages back, for `bench limit`
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The queue that messages are taken from
    from: String,
    /// The queue that they are sent to
    to: String,
    /// Ack what was sent back together with what was sent before it
    #[arg(long)]
    together: bool,
}

/// Goes on until it is killed.
pub(super) async fn run(args: Args, place: &FleetPlace) -> Result<ExitCode, Failure> {
    let (publishing, consuming) = tokio::try_join!(connect(place), connect(place))?;
    let out = publishing.create_channel().await.map_err(broken)?;
    out.confirm_select(ConfirmSelectOptions::default()).await.map_err(broken)?;
    let channel = consuming.create_channel().await.map_err(broken)?;
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await.map_err(broken)?;
    let options = BasicConsumeOptions::default();
    let consume = channel.basic_consume(short(&args.from), short("echo"), options, FieldTable::default());
    let mut consumer = consume.await.map_err(broken)?;
    let mut sent = FuturesOrdered::new();
    let (batch, ack) = match args.together {
        true => (BATCH, BasicAckOptions { multiple: true }),
        false => (1, BasicAckOptions::default()),
    };
    loop {
        tokio::select! {
            biased;
            Some(tag) = sent.next(), if !sent.is_empty() => {
                let mut last: u64 = tag?;
                // In order, so that one ack may be for all before it.
                while args.together && let Some(Some(tag)) = sent.next().now_or_never() {
                    last = tag?;
                }
                channel.basic_ack(last, ack).await.map_err(broken)?;
            }
            delivery = consumer.next() => {
                let mut bodies = Vec::new();
                let mut tag = 0;
                let mut next = Some(delivery);
                while let Some(delivery) = next {
                    let Some(delivery) = delivery else { return Ok(ExitCode::SUCCESS) };
                    let delivery = delivery.map_err(broken)?;
                    tag = delivery.delivery_tag;
                    bodies.push(delivery.data);
                    next = if bodies.len() < batch { consumer.next().now_or_never() } else { None };
                }
                sent.push_back(send_back(out.clone(), args.to.clone(), bodies, tag));
            }
        }
    }
}

async fn send_back(out: Channel, to: String, bodies: Vec<Vec<u8>>, tag: u64) -> Result<u64, Failure> {
    try_join_all(bodies.iter().map(|body| publish(&out, &to, body))).await?;
    Ok(tag)
}

/// Publishes a message and waits until it is durable.
pub(super) async fn publish(out: &Channel, to: &str, body: &[u8]) -> Result<(), Failure> {
    let options = BasicPublishOptions { mandatory: true, immediate: false };
    let confirm = out.basic_publish(short(""), short(to), options, body, message()).await.map_err(broken)?;
    match confirm.await.map_err(broken)? {
        Confirmation::Ack(None) => Ok(()),
        Confirmation::Ack(Some(_)) => Err(Failure::other("the broker returned a message of the benchmark")),
        Confirmation::Nack(_) | Confirmation::NotRequested => {
            Err(Failure::other("the broker refused a message of the benchmark"))
        }
    }
}
