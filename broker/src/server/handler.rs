use std::{future::Future, net::SocketAddr, pin::Pin};

use bytes::Bytes;

/// What the server does with requests: one value for all connections.
pub trait Handler: Send + Sync + 'static {
    /// What is known about one connection; lives as long as it.
    type Session: Send;

    /// A connection was accepted.
    fn connected(&self, peer: &Peer) -> Self::Session;

    /// Executes one request. `frame` is what followed the length prefix.
    ///
    /// Resolves when the connection's *next* request may start: requests execute in arrival order, and only what
    /// [`Step::Later`] and [`Step::Poll`] carry overlaps with those that follow. The future is polled to its end once it was
    /// started, also when the client is gone; only a stop that runs out of time drops it.
    ///
    /// The frame counts as request memory until its response is written: nothing should keep a slice of it longer.
    fn handle(&self, session: &mut Self::Session, frame: Bytes) -> impl Future<Output = Step> + Send;
}

/// The outcome of executing a request.
pub enum Step {
    /// The reply is there.
    Now(Reply),
    /// The reply needs waiting (for a watermark, for data); the next request may start. The future is dropped when
    /// the connection ends before it does.
    Later(Pin<Box<dyn Future<Output = Reply> + Send>>),
    /// Like [`Step::Later`], but nothing is lost if nobody waits for it: a stop drops the future and closes the
    /// connection instead of waiting.
    Poll(Pin<Box<dyn Future<Output = Reply> + Send>>),
    /// The request cannot be answered: close the connection once the responses before it are written.
    Close,
}

/// What goes back to the client.
pub enum Reply {
    /// A whole response as it goes to the socket, one segment after the other, the length prefix included.
    Response(Vec<Bytes>),
    /// Nothing: the client expects no response.
    Nothing,
    /// Close the connection once the responses before it are written.
    Close,
}

/// The two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Which connection this is. Never used twice by one server.
    pub id: ConnectionId,
    /// The client's address.
    pub remote: SocketAddr,
    /// Our address, as the client reached it.
    pub local: SocketAddr,
}

/// Names one connection of one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);
