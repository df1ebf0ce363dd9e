use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream, lookup_host},
    sync::{Semaphore, mpsc, watch},
    time::sleep,
};

use super::{
    ConnectionId, Handler, Peer, Phase, ServerCounters,
    connection::{End, Shared, serve},
    frame::ReadEnd,
    write::WriteEnd,
};
use crate::first_of::{First, first_of};

/// A bound address: clients may connect, and wait until a server is started on it.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds `host:port`; port 0 takes a free one. A name is resolved, and its first address that can be bound is.
    ///
    /// # Errors
    /// The name does not resolve, or the address is taken or not ours.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn bind(address: &str) -> io::Result<Listener> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in lookup_host(address).await? {
            match TcpListener::bind(address).await {
                Ok(socket) => {
                    let address = socket.local_addr()?;
                    return Ok(Listener { socket, address });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The address with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// What every accept loop of a server shares.
pub(super) struct Accepting<H> {
    pub(super) shared: Arc<Shared<H>>,
    pub(super) room: Arc<Semaphore>,
    pub(super) next_id: Arc<AtomicU64>,
    pub(super) phase: watch::Receiver<Phase>,
    /// Cloned into every connection: the receiver learns when the last one is gone.
    pub(super) alive: mpsc::Sender<()>,
}

impl<H> Clone for Accepting<H> {
    fn clone(&self) -> Self {
        Accepting {
            shared: self.shared.clone(),
            room: self.room.clone(),
            next_id: self.next_id.clone(),
            phase: self.phase.clone(),
            alive: self.alive.clone(),
        }
    }
}

/// Accepts until the server stops. At the limit of connections, further ones wait in the kernel's queue.
pub(super) async fn accept<H: Handler>(listener: Listener, accepting: Accepting<H>) {
    let mut phase = accepting.phase.clone();
    let stopping = std::pin::pin!(reached(&mut phase, Phase::Draining));
    let accepted = std::pin::pin!(accept_for_ever(&listener.socket, &accepting));
    // The socket closes when the listener is dropped: nobody new is let in from then on.
    first_of(stopping, accepted).await;
}

async fn accept_for_ever<H: Handler>(socket: &TcpListener, accepting: &Accepting<H>) {
    let mut failures = 0;
    loop {
        let room = accepting.room.clone().acquire_owned().await.expect("the semaphore is never closed");
        match socket.accept().await {
            Ok((stream, remote)) => {
                failures = 0;
                let accepting = accepting.clone();
                tokio::spawn(async move {
                    connection(stream, remote, accepting).await;
                    drop(room);
                });
            }
            Err(error) => {
                ServerCounters::add(&accepting.shared.counters.accept_errors, 1);
                let pause = pause_after(&error, failures);
                if !pause.is_zero() {
                    if failures == 0 {
                        tracing::warn!(%error, "cannot accept connections; trying again");
                    }
                    failures += 1;
                    sleep(pause).await;
                }
            }
        }
    }
}

/// How long to leave the socket alone after `failures` failures in a row. One client that left early says nothing
/// about the next; want of descriptors or memory lasts, and trying at once would only burn a core.
fn pause_after(error: &io::Error, failures: u32) -> Duration {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    match error.kind() {
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted => Duration::ZERO,
        _ => Duration::from_millis(20 << failures.min(6)),
    }
}

async fn connection<H: Handler>(stream: TcpStream, remote: SocketAddr, accepting: Accepting<H>) {
    let counters = accepting.shared.counters.clone();
    let _leaving = Leaving::enter(&counters);
    let id = ConnectionId(accepting.next_id.fetch_add(1, Ordering::Relaxed));
    // Small responses must not wait for the acknowledgement of earlier ones.
    let Ok(local) = stream.set_nodelay(true).and_then(|()| stream.local_addr()) else { return };
    let peer = Peer { id, remote, local };
    let (mut draining, mut closing) = (accepting.phase.clone(), accepting.phase.clone());
    let served = serve(stream, peer, &accepting.shared, reached(&mut draining, Phase::Draining));
    let end = match first_of(reached(&mut closing, Phase::Closed), served).await {
        First::Left(()) => return tracing::debug!(%remote, "connection cut off by the stop"),
        First::Right(end) => end,
    };
    if let End::Read(ReadEnd::Slow | ReadEnd::Idle) | End::Write(WriteEnd::Slow) = &end {
        ServerCounters::add(&counters.timed_out, 1);
    }
    tracing::debug!(%remote, %end, "connection ended");
}

/// Completes once the server is in `phase` or a later one, or gone.
async fn reached(watched: &mut watch::Receiver<Phase>, phase: Phase) {
    // An error says that the server was dropped, which is the last phase.
    let _ = watched.wait_for(|now| *now >= phase).await;
}

/// Counts a connection in and, however it ends, out.
struct Leaving<'a>(&'a ServerCounters);

impl<'a> Leaving<'a> {
    fn enter(counters: &'a ServerCounters) -> Leaving<'a> {
        ServerCounters::add(&counters.accepted, 1);
        Leaving(counters)
    }
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            ServerCounters::add(&self.0.panics, 1);
        }
        ServerCounters::add(&self.0.closed, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn want_of_descriptors_backs_off_and_an_early_leaver_does_not() {
        // EMFILE and ENFILE on Linux.
        for code in [24, 23] {
            let error = io::Error::from_raw_os_error(code);
            let pauses: Vec<_> = (0..9).map(|failures| pause_after(&error, failures).as_millis()).collect();
            assert_eq!(pauses, [20, 40, 80, 160, 320, 640, 1280, 1280, 1280]);
        }
        assert_eq!(pause_after(&io::ErrorKind::ConnectionAborted.into(), 3), Duration::ZERO);
    }
}
