//! Sockets: accepts connections, cuts requests out of what arrives, and writes responses in the order of the
//! requests.
//!
//! What a request means is the [`Handler`]'s business. The server's is that no client costs more than its share: a
//! length is believed only as far as bytes arrive, requests in memory are bounded over all connections, and who
//! is silent, dribbles or does not read is closed.

mod connection;
mod counters;
mod frame;
mod handler;
mod listener;
mod memory;
mod pace;
mod queue;
#[cfg(test)]
mod tests;
mod write;

pub use counters::ServerSnapshot;
pub use handler::{ConnectionId, Handler, Peer, Reply, Step};
pub use listener::Listener;

use highwater_env::BoxFuture;
use std::{
    net::SocketAddr,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{Semaphore, mpsc, watch},
    time::timeout,
};

use self::{
    connection::Shared,
    counters::ServerCounters,
    listener::{Accepting, accept},
    memory::RequestMemory,
    pace::Pace,
};

/// Bounds of a server. The defaults are Kafka's where Kafka has them.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The largest request, in bytes without its length prefix, inclusive (`socket.request.max.bytes`). A larger
    /// one closes the connection before it is read.
    pub request_max_bytes: usize,
    /// Memory for requests over all connections, in bytes (`queued.max.request.bytes`). One request at a time may
    /// go beyond it, so that one larger than what is free gets through; everyone else waits. Up to 64 KiB per
    /// connection that is being read do not count.
    pub request_memory_bytes: usize,
    /// Requests of one connection that may wait for their replies at the same time; at least 1.
    pub in_flight_max: usize,
    /// Bytes of responses one connection may owe before its next request waits. The response that passes the limit
    /// is not cut.
    pub unsent_max_bytes: usize,
    /// Connections open at the same time (`max.connections`). Further ones wait to be accepted.
    pub connections_max: usize,
    /// How long a connection may be silent while nothing is owed to it (`connections.max.idle.ms`).
    pub idle_max: Duration,
    /// How long a request may take to arrive, or responses to be read, beyond what `pace_bytes_per_second` allows.
    pub stall_grace: Duration,
    /// The least speed at which half a request arrives or half a response is read.
    pub pace_bytes_per_second: u64,
}

impl Default for ServerOptions {
    fn default() -> Self {
        ServerOptions {
            request_max_bytes: 100 * 1024 * 1024,
            request_memory_bytes: 256 * 1024 * 1024,
            in_flight_max: 32,
            unsent_max_bytes: 4 * 1024 * 1024,
            connections_max: usize::MAX,
            idle_max: Duration::from_secs(600),
            stall_grace: Duration::from_secs(30),
            pace_bytes_per_second: 16 * 1024,
        }
    }
}

impl ServerOptions {
    fn pace(&self) -> Pace {
        Pace { grace: self.stall_grace, bytes_per_second: self.pace_bytes_per_second }
    }
}

/// Connections being served. Dropping it cuts all of them off.
pub struct Server {
    phase: watch::Sender<Phase>,
    addresses: Vec<SocketAddr>,
    counters: Arc<ServerCounters>,
    memory: Arc<RequestMemory>,
    // Nothing is ever sent: it ends when the last connection has dropped its sender.
    gone: Mutex<Option<mpsc::Receiver<()>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    Draining,
    Closed,
}

/// How a stop went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Every request that had been started was answered.
    Finished,
    /// Time ran out; so many connections were cut off.
    Cut(u64),
}

impl Server {
    /// Serves the listeners until [`Server::stop`].
    ///
    /// # Panics
    /// Outside a tokio runtime; the connections live on the one that is current.
    pub fn start<H: Handler>(listeners: Vec<Listener>, handler: Arc<H>, options: ServerOptions) -> Server {
        let (phase, watched) = watch::channel(Phase::Serving);
        let (alive, gone) = mpsc::channel(1);
        let counters = Arc::new(ServerCounters::default());
        let memory = RequestMemory::new(options.request_memory_bytes);
        let connections_max = options.connections_max.clamp(1, Semaphore::MAX_PERMITS);
        let shared = Shared { handler, options, memory: memory.clone(), counters: counters.clone() };
        let accepting = Accepting {
            shared: Arc::new(shared),
            room: Arc::new(Semaphore::new(connections_max)),
            next_id: Arc::new(AtomicU64::new(0)),
            phase: watched,
            alive,
        };
        let addresses = listeners.iter().map(Listener::address).collect();
        for listener in listeners {
            tokio::spawn(accept(listener, accepting.clone()));
        }
        Server { phase, addresses, counters, memory, gone: Mutex::new(Some(gone)) }
    }

    /// The addresses of the listeners, in their order.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What the server has seen so far.
    pub fn counters(&self) -> ServerSnapshot {
        self.counters.snapshot(&self.memory)
    }

    /// Stops accepting, lets connections finish the requests they have started for up to `grace`, and closes them.
    /// No handler runs any more when it returns. A second call waits for nothing.
    pub fn stop(&self, grace: Duration) -> BoxFuture<'_, Stopped> {
        Box::pin(async move {
            self.phase
                .send_if_modified(|phase| std::mem::replace(phase, Phase::Draining.max(*phase)) < *phase);
            let Some(mut gone) = self.gone.lock().take() else { return Stopped::Finished };
            let finished = timeout(grace, gone.recv()).await.is_ok();
            let left = self.counters().open();
            self.phase.send_replace(Phase::Closed);
            if finished {
                return Stopped::Finished;
            }
            gone.recv().await;
            Stopped::Cut(left)
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.phase.send_replace(Phase::Closed);
    }
}
