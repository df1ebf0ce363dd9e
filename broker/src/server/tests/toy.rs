//! A protocol small enough to see what the server does: the first byte says what to do, the rest is a name.
//!
//! `e` echoes; `w` echoes once the gate of its name is open; `x` does the same but executes until then; `l`
//! like `w`, but can be dropped; `n` answers nothing; `b` answers 64 MiB; `c` closes; `p` panics; `u` answers nothing and
//! uses up what tokio lets a task do before it must give others a turn.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::{BufMut, Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    task::coop,
};

use crate::server::{Handler, Listener, Peer, Reply, Server, ServerOptions, Step};

pub(super) const BIG: usize = 64 << 20;

pub(super) struct Toy {
    state: watch::Sender<State>,
    open: Arc<Mutex<Open>>,
}

#[derive(Clone, Default)]
pub(super) struct State {
    pub(super) log: Vec<String>,
    gates: BTreeSet<String>,
}

#[derive(Default)]
pub(super) struct Open {
    now: usize,
    pub(super) most: usize,
}

pub(super) struct Session(Arc<Mutex<Open>>);

impl Drop for Session {
    fn drop(&mut self) {
        self.0.lock().now -= 1;
    }
}

impl Toy {
    pub(super) fn open_gate(&self, name: &str) {
        self.state.send_modify(|state| {
            state.gates.insert(name.to_owned());
        });
    }

    /// Waits until the log satisfies the condition.
    pub(super) async fn logged(&self, holds: impl Fn(&[String]) -> bool) -> Vec<String> {
        self.state.subscribe().wait_for(|state| holds(&state.log)).await.unwrap().log.clone()
    }

    pub(super) fn connections_at_most(&self) -> usize {
        self.open.lock().most
    }

    fn log(state: &watch::Sender<State>, what: &str, name: &str) {
        state.send_modify(|state| state.log.push(format!("{what} {name}")));
    }
}

impl Handler for Toy {
    type Session = Session;

    fn connected(&self, _: &Peer) -> Session {
        let mut open = self.open.lock();
        open.now += 1;
        open.most = open.most.max(open.now);
        Session(self.open.clone())
    }

    async fn handle(&self, _: &mut Session, frame: Bytes) -> Step {
        let name = String::from_utf8_lossy(&frame[1..frame.len().min(9)]).into_owned();
        Toy::log(&self.state, "start", &name);
        let state = self.state.clone();
        let gate = |name: String, frame: Bytes| async move {
            state.subscribe().wait_for(|state| state.gates.contains(&name)).await.unwrap();
            Toy::log(&state, "end", &name);
            Reply::Response(framed(&frame))
        };
        match frame[0] {
            b'e' => Step::Now(Reply::Response(framed(&frame))),
            b'w' => Step::Later(Box::pin(gate(name, frame))),
            b'l' => Step::Poll(Box::pin(gate(name, frame))),
            b'x' => Step::Now(gate(name, frame).await),
            b'n' => Step::Now(Reply::Nothing),
            b'b' => Step::Now(Reply::Response(framed(&Bytes::from(vec![b'b'; BIG])))),
            b'c' => Step::Close,
            b'u' => {
                while coop::has_budget_remaining() {
                    coop::consume_budget().await;
                }
                Step::Now(Reply::Nothing)
            }
            _ => panic!("as asked"),
        }
    }
}

fn framed(payload: &Bytes) -> Vec<Bytes> {
    // In several segments, an empty one among them, as real responses are.
    let middle = payload.len() / 2;
    let length = Bytes::copy_from_slice(&(payload.len() as u32).to_be_bytes());
    vec![length, payload.slice(..middle), Bytes::new(), payload.slice(middle..)]
}

pub(super) async fn start(options: ServerOptions) -> (Server, Arc<Toy>) {
    let toy = Arc::new(Toy { state: watch::Sender::new(State::default()), open: Arc::default() });
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    (Server::start(vec![listener], toy.clone(), options), toy)
}

/// Waits for a condition that nobody announces.
pub(super) async fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        tokio::task::yield_now().await;
    }
}

pub(super) struct Client(pub(super) TcpStream);

static NUMBER: AtomicUsize = AtomicUsize::new(0);

impl Client {
    pub(super) async fn connect(server: &Server) -> Client {
        Client(TcpStream::connect(server.addresses()[0]).await.unwrap())
    }

    pub(super) async fn raw(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    pub(super) async fn send(&mut self, payload: &[u8]) {
        self.raw(&request(payload)).await;
    }

    /// The next response; `None` when the server has closed the connection.
    pub(super) async fn receive(&mut self) -> Option<Vec<u8>> {
        let length = self.0.read_u32().await.ok()?;
        let mut payload = vec![0; length as usize];
        self.0.read_exact(&mut payload).await.unwrap();
        Some(payload)
    }

    /// A round trip that nothing else looks like.
    pub(super) async fn is_served(&mut self) {
        let payload = format!("eping{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.send(payload.as_bytes()).await;
        assert_eq!(self.receive().await.as_deref(), Some(payload.as_bytes()));
    }
}

pub(super) fn request(payload: &[u8]) -> BytesMut {
    let mut framed = BytesMut::new();
    framed.put_u32(payload.len() as u32);
    framed.put_slice(payload);
    framed
}
