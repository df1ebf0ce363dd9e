//! One connection: a half that reads and executes, a half that writes, both in one task.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
};

use tokio::{
    io::AsyncWriteExt,
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    time::{Sleep, sleep},
};

use super::{
    Handler, Peer, ServerCounters, ServerOptions,
    frame::{FrameReader, ReadEnd},
    memory::RequestMemory,
    queue::Queue,
    write::{WriteEnd, write_all},
};

/// What the connections of a server share.
pub(super) struct Shared<H> {
    pub(super) handler: Arc<H>,
    pub(super) options: ServerOptions,
    pub(super) memory: Arc<RequestMemory>,
    pub(super) counters: Arc<ServerCounters>,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    /// What was to be written is written, and no more requests are wanted or come.
    #[error("everything is said")]
    Finished,
    /// No more requests could be read.
    #[error(transparent)]
    Read(ReadEnd),
    /// A response could not be written.
    #[error(transparent)]
    Write(WriteEnd),
}

/// Serves a connection to its end. Once `stopping` completes, no further request is started and what has been
/// started is finished.
pub(super) async fn serve<H: Handler>(
    mut stream: TcpStream,
    peer: Peer,
    shared: &Shared<H>,
    stopping: impl Future<Output = ()>,
) -> End {
    let (read, write) = stream.split();
    let queue = Queue::new(shared.options.in_flight_max, shared.options.unsent_max_bytes);
    let reader = pin!(read_requests(read, peer, shared, &queue));
    let writer = pin!(write_responses(write, shared, &queue));
    Driver {
        queue: &queue,
        reader,
        reading: true,
        writer,
        written: None,
        stopping: pin!(stopping),
        stop: false,
        last_words: None,
        options: &shared.options,
    }
    .run()
    .await
}

/// Reads and executes one request after the other.
async fn read_requests<H: Handler>(
    stream: ReadHalf<'_>,
    peer: Peer,
    shared: &Shared<H>,
    queue: &Queue,
) -> Result<(), ReadEnd> {
    let mut reader = FrameReader::new(stream, &shared.memory, &shared.counters, &shared.options);
    let mut session = shared.handler.connected(&peer);
    loop {
        let frame = reader.next(|| queue.is_owed()).await?;
        if !queue.begin().await {
            return Ok(());
        }
        let step = shared.handler.handle(&mut session, frame.bytes).await;
        if !queue.push(step, frame.held) {
            return Ok(());
        }
    }
}

/// Writes responses in the order of their requests, as many at once as there are.
async fn write_responses<H>(
    mut stream: WriteHalf<'_>,
    shared: &Shared<H>,
    queue: &Queue,
) -> Result<(), WriteEnd> {
    loop {
        let mut batch = queue.next().await;
        if !batch.segments.is_empty() {
            write_all(&mut stream, &mut batch.segments, shared.options.pace(), &shared.counters).await?;
            ServerCounters::add(&shared.counters.responses, batch.responses);
        }
        let last = batch.last;
        queue.written(batch);
        if last {
            // The client may be gone; there is nothing left to tell it.
            let _ = stream.shutdown().await;
            return Ok(());
        }
    }
}

struct Driver<'a, R, W, S> {
    queue: &'a Queue,
    reader: Pin<&'a mut R>,
    reading: bool,
    writer: Pin<&'a mut W>,
    written: Option<Result<(), WriteEnd>>,
    stopping: Pin<&'a mut S>,
    stop: bool,
    // Runs from when the client has sent its last request: so long may what it asked for take.
    last_words: Option<Pin<Box<Sleep>>>,
    options: &'a ServerOptions,
}

impl<R, W, S> Driver<'_, R, W, S>
where
    R: Future<Output = Result<(), ReadEnd>>,
    W: Future<Output = Result<(), WriteEnd>>,
    S: Future<Output = ()>,
{
    async fn run(mut self) -> End {
        poll_fn(|context| {
            loop {
                if !self.stop && self.stopping.as_mut().poll(context).is_ready() {
                    self.stop = true;
                    self.queue.stop();
                }
                if self.reading
                    && let Poll::Ready(ended) = self.reader.as_mut().poll(context)
                {
                    self.reading = false;
                    self.queue.end();
                    match ended {
                        Ok(()) => {}
                        // Half closed, perhaps: it may still want its answers.
                        Err(ReadEnd::Eof | ReadEnd::Length(_)) => {
                            self.last_words = Some(Box::pin(sleep(self.options.stall_grace)));
                        }
                        Err(end) => return Poll::Ready(End::Read(end)),
                    }
                }
                if self.stop && self.reading && !self.queue.is_executing() {
                    self.reading = false;
                }
                if self.written.is_none()
                    && let Poll::Ready(ended) = self.writer.as_mut().poll(context)
                {
                    self.written = Some(ended);
                    self.queue.end();
                }
                // A request that executes is not abandoned, even if nobody is left to hear of it.
                if self.written.is_some() && !(self.reading && self.queue.is_executing()) {
                    return Poll::Ready(match self.written.take() {
                        Some(Err(error)) => End::Write(error),
                        _ => End::Finished,
                    });
                }
                if let Some(last_words) = &mut self.last_words
                    && last_words.as_mut().poll(context).is_ready()
                {
                    return Poll::Ready(End::Read(ReadEnd::Eof));
                }
                if !self.queue.take_moved() {
                    return Poll::Pending;
                }
            }
        })
        .await
    }
}
