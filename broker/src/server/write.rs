use std::io::{self, IoSlice};

use bytes::{Buf, Bytes};
use tokio::{io::AsyncWriteExt, net::tcp::WriteHalf};

use super::{ServerCounters, pace::Pace};
use crate::first_of::{First, first_of};

/// Segments handed to the kernel with one call. Linux takes 1024; beyond a few dozen nothing is gained.
const SEGMENTS_PER_WRITE: usize = 64;

/// Why writing ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteEnd {
    /// The connection is broken.
    #[error("it broke while writing: {0}")]
    Broken(io::Error),
    /// The client does not read.
    #[error("the client does not read its responses")]
    Slow,
}

/// Writes every byte of `segments`, in order, and leaves them empty.
pub(super) async fn write_all(
    stream: &mut WriteHalf<'_>,
    segments: &mut [Bytes],
    pace: Pace,
    counters: &ServerCounters,
) -> Result<(), WriteEnd> {
    let mut transfer = pace.start();
    let mut total = 0;
    let mut rest = segments;
    loop {
        // Empty ones are passed over, so that a write of nothing is never taken for a closed socket.
        while rest.first().is_some_and(Bytes::is_empty) {
            rest = &mut rest[1..];
        }
        if rest.is_empty() {
            return Ok(());
        }
        let mut slices = [IoSlice::new(&[]); SEGMENTS_PER_WRITE];
        let count = rest.len().min(SEGMENTS_PER_WRITE);
        for (slice, segment) in slices.iter_mut().zip(rest.iter()) {
            *slice = IoSlice::new(segment);
        }
        let written = match first_of(stream.write_vectored(&slices[..count]), transfer.too_slow(total)).await
        {
            First::Left(Ok(0)) => return Err(WriteEnd::Broken(io::ErrorKind::WriteZero.into())),
            First::Left(Ok(written)) => written,
            First::Left(Err(error)) => return Err(WriteEnd::Broken(error)),
            First::Right(()) => return Err(WriteEnd::Slow),
        };
        ServerCounters::add(&counters.bytes_out, written);
        total += written;
        advance(rest, written);
    }
}

/// Takes `written` bytes off the front; what is wholly written becomes empty.
fn advance(segments: &mut [Bytes], mut written: usize) {
    for segment in segments {
        let part = written.min(segment.len());
        segment.advance(part);
        written -= part;
        if written == 0 {
            return;
        }
    }
}
