//! Requests cut out of what a client sends.

use std::{future::ready, io, pin::Pin, sync::Arc, time::Duration};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::{
    io::AsyncReadExt,
    net::tcp::ReadHalf,
    task::coop::consume_budget,
    time::{Instant, Sleep, sleep_until},
};

use super::{
    ServerCounters,
    memory::{Held, RequestMemory},
    pace::{Pace, Transfer},
};
use crate::first_of::{First, first_of};

/// What one read asks for at most before the size of a request is known, and the first step of a large one.
pub(super) const READ_AHEAD_BYTES: usize = 64 * 1024;
/// Requests up to this size are copied out of the read-ahead, so that a small one that waits long does not keep
/// the whole of it.
const COPIED_MAX_BYTES: usize = 8 * 1024;
/// Requests above this size get memory of their own.
const SHARED_MAX_BYTES: usize = READ_AHEAD_BYTES / 2;
/// The first read after a large request: the next is likely large too, and read-ahead would only be copied.
const READ_AHEAD_AFTER_LARGE_BYTES: usize = 4 * 1024;

/// One request, without its length prefix, and the memory it holds.
pub(super) struct Frame {
    pub(super) bytes: Bytes,
    pub(super) held: Held,
}

/// Why no more requests come.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadEnd {
    /// The client sends no more. Half a request is dropped.
    #[error("the client closed it")]
    Eof,
    /// The connection is broken.
    #[error("it broke while reading: {0}")]
    Broken(io::Error),
    /// A length that is negative or above the maximum.
    #[error("a request of {0} bytes was announced")]
    Length(i32),
    /// A request came too slowly.
    #[error("a request came too slowly")]
    Slow,
    /// Nothing came for too long, and nothing is owed.
    #[error("it was idle")]
    Idle,
}

pub(super) struct FrameReader<'a> {
    stream: ReadHalf<'a>,
    memory: &'a Arc<RequestMemory>,
    counters: &'a ServerCounters,
    frame_max_bytes: usize,
    pace: Pace,
    idle_max: Duration,
    idle: Pin<Box<Sleep>>,
    last_read: Instant,
    ahead: BytesMut,
    // What this connection has shown to be its size of requests: so much is allocated at once. Everything else
    // grows with what arrives.
    proven_bytes: usize,
    after_large: bool,
}

impl<'a> FrameReader<'a> {
    pub(super) fn new(
        stream: ReadHalf<'a>,
        memory: &'a Arc<RequestMemory>,
        counters: &'a ServerCounters,
        options: &super::ServerOptions,
    ) -> FrameReader<'a> {
        let now = Instant::now();
        FrameReader {
            stream,
            memory,
            counters,
            frame_max_bytes: options.request_max_bytes,
            pace: options.pace(),
            idle_max: options.idle_max,
            idle: Box::pin(sleep_until(now + options.idle_max)),
            last_read: now,
            ahead: BytesMut::new(),
            proven_bytes: 0,
            after_large: false,
        }
    }

    /// The next request. `is_owed` says whether the client waits for a response: then it is not idle.
    ///
    /// Dropping the future half way loses the request, so it is only done when no more are wanted.
    pub(super) async fn next(&mut self, is_owed: impl Fn() -> bool) -> Result<Frame, ReadEnd> {
        let limit = if self.after_large { READ_AHEAD_AFTER_LARGE_BYTES } else { READ_AHEAD_BYTES };
        while self.ahead.is_empty() {
            // No buffer while there is nothing to put into it.
            self.ahead = BytesMut::new();
            self.readable(&is_owed).await?;
            // A task that has had its turn reads nothing before it gives way, and readiness does not know of turns: without
            // this the false alarm below would be taken for one again and again, and nobody else would have a turn.
            consume_budget().await;
            // Readiness may be a false alarm: then waiting for a request goes on, it has not begun.
            read_once(&mut self.stream, &mut self.ahead, limit, ready(()), self.counters).await?;
        }
        let mut transfer = self.pace.start();
        while self.ahead.len() < 4 {
            fill(&mut self.stream, &mut self.ahead, limit, &mut transfer, self.counters).await?;
        }
        self.last_read = Instant::now();
        let length = self.ahead.get_i32();
        let size = usize::try_from(length).ok().filter(|&size| size <= self.frame_max_bytes);
        let Some(size) = size else {
            ServerCounters::add(&self.counters.frames_refused, 1);
            return Err(ReadEnd::Length(length));
        };
        self.after_large = size > SHARED_MAX_BYTES;
        let mut held = self.memory.nothing();
        let bytes = if self.after_large {
            let first = size.min(READ_AHEAD_BYTES.max(self.proven_bytes));
            transfer.forgive(timed(held.grow_to(first)).await);
            let mut body = BytesMut::with_capacity(first);
            let arrived = size.min(self.ahead.len());
            body.extend_from_slice(&self.ahead[..arrived]);
            self.ahead.advance(arrived);
            let mut room = first;
            while body.len() < size {
                if body.len() == room {
                    room = size.min(room.saturating_mul(2));
                    transfer.forgive(timed(held.grow_to(room)).await);
                }
                let limit = room - body.len();
                fill(&mut self.stream, &mut body, limit, &mut transfer, self.counters).await?;
            }
            self.proven_bytes = size.max(self.proven_bytes / 2);
            self.last_read = Instant::now();
            body.freeze()
        } else {
            transfer.forgive(timed(held.grow_to(size)).await);
            while self.ahead.len() < size {
                fill(&mut self.stream, &mut self.ahead, READ_AHEAD_BYTES, &mut transfer, self.counters)
                    .await?;
                self.last_read = Instant::now();
            }
            if size > COPIED_MAX_BYTES {
                self.ahead.split_to(size).freeze()
            } else {
                let copy = Bytes::copy_from_slice(&self.ahead[..size]);
                self.ahead.advance(size);
                copy
            }
        };
        ServerCounters::add(&self.counters.requests, 1);
        Ok(Frame { bytes, held })
    }

    /// Waits until there is something to read.
    async fn readable(&mut self, is_owed: &impl Fn() -> bool) -> Result<(), ReadEnd> {
        loop {
            match first_of(self.stream.readable(), self.idle.as_mut()).await {
                First::Left(ready) => return ready.map(|_| ()).map_err(ReadEnd::Broken),
                First::Right(()) => {
                    let now = Instant::now();
                    if is_owed() {
                        self.last_read = now;
                    }
                    if now >= self.last_read + self.idle_max {
                        return Err(ReadEnd::Idle);
                    }
                    self.idle.as_mut().reset(self.last_read + self.idle_max);
                }
            }
        }
    }
}

/// Reads once, at most `limit` bytes, unless the client is too slow.
async fn fill(
    stream: &mut ReadHalf<'_>,
    into: &mut BytesMut,
    limit: usize,
    transfer: &mut Transfer,
    counters: &ServerCounters,
) -> Result<(), ReadEnd> {
    let moved = into.len();
    if read_once(stream, into, limit, transfer.too_slow(moved), counters).await? {
        Ok(())
    } else {
        Err(ReadEnd::Slow)
    }
}

/// Reads once, at most `limit` bytes. `false` if nothing has come when `until` completes.
async fn read_once(
    stream: &mut ReadHalf<'_>,
    into: &mut BytesMut,
    limit: usize,
    until: impl Future<Output = ()>,
    counters: &ServerCounters,
) -> Result<bool, ReadEnd> {
    let have = into.len();
    // A block that is nearly full is replaced by a whole one: what it holds is less than a request.
    if into.capacity() - have < limit.min(READ_AHEAD_BYTES / 4) {
        into.reserve(limit);
    }
    let mut limited = into.limit(limit);
    match first_of(stream.read_buf(&mut limited), until).await {
        First::Left(Ok(0)) => Err(ReadEnd::Eof),
        First::Left(Ok(read)) => {
            ServerCounters::add(&counters.bytes_in, read);
            Ok(true)
        }
        First::Left(Err(error)) => Err(ReadEnd::Broken(error)),
        First::Right(()) => Ok(false),
    }
}

async fn timed(work: impl Future<Output = ()>) -> Duration {
    let before = Instant::now();
    work.await;
    before.elapsed()
}
