//! A TCP proxy that a test can break: between a process and a server.

use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What the proxy does with what it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    /// It passes it on.
    Flows,
    /// It passes it on after a while.
    Delayed(Duration),
    /// Connections stay and are taken, and nothing passes: as behind a cable that was pulled.
    Swallowed,
    /// Connections are reset, and new ones end at once.
    Cut,
}

/// A proxy before one server. It ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    /// The port of the loopback address that it listens on.
    pub port: u16,
    traffic: watch::Sender<Traffic>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// A proxy before a server, `host:port`.
    pub async fn before(server: &str) -> Proxy {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (traffic, seen) = watch::channel(Traffic::Flows);
        let mut tasks = JoinSet::new();
        let server = server.to_owned();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                if *seen.borrow() != Traffic::Cut
                    && let Ok(server) = TcpStream::connect(&server).await
                {
                    connections.spawn(join(client, server, seen.clone()));
                }
                while connections.try_join_next().is_some() {}
            }
        });
        Proxy { port, traffic, _tasks: tasks }
    }

    /// Changes what it does, at once and for connections that are there as well.
    pub fn set(&self, traffic: Traffic) {
        self.traffic.send_replace(traffic);
    }
}

/// Joins two connections until either ends or they are cut.
async fn join(client: TcpStream, server: TcpStream, traffic: watch::Receiver<Traffic>) {
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let mut cut = traffic.clone();
    tokio::select! {
        () = pass(from_client, to_server, traffic.clone()) => {}
        () = pass(from_server, to_client, traffic) => {}
        _ = cut.wait_for(|traffic| *traffic == Traffic::Cut) => {}
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut traffic: watch::Receiver<Traffic>) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else { return };
        let Ok(now) = traffic.wait_for(|traffic| *traffic != Traffic::Swallowed).await.map(|now| *now) else { return };
        if let Traffic::Delayed(time) = now {
            tokio::time::sleep(time).await;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
