//! A simulator of providers in this process.

use darkroom_simulator::{Options, Simulator};
use std::thread::JoinHandle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A simulator on a port of its own. It ends when it is dropped.
#[derive(Debug)]
pub struct SimulatorServer {
    /// Its URL.
    pub url: String,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl SimulatorServer {
    /// Starts one in which nothing has happened yet, on a thread of its own.
    pub fn start(options: Options) -> SimulatorServer {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            runtime.block_on(Simulator::new(options).serve(listener, stopped)).unwrap();
        });
        SimulatorServer { url, stop, thread: Some(thread) }
    }
}

impl Drop for SimulatorServer {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
