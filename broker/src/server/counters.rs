use std::sync::atomic::{AtomicU64, Ordering};

use super::memory::RequestMemory;

/// What a server has seen since it was started.
#[derive(Debug, Default)]
pub(super) struct ServerCounters {
    pub(super) accepted: AtomicU64,
    pub(super) closed: AtomicU64,
    pub(super) accept_errors: AtomicU64,
    pub(super) bytes_in: AtomicU64,
    pub(super) bytes_out: AtomicU64,
    pub(super) requests: AtomicU64,
    pub(super) responses: AtomicU64,
    pub(super) frames_refused: AtomicU64,
    pub(super) timed_out: AtomicU64,
    pub(super) panics: AtomicU64,
}

/// What a server has seen since it was started. Each figure is read by itself: two of them need not fit together
/// exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerSnapshot {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections ended, for whatever reason.
    pub closed: u64,
    /// Times that accepting failed, for example for want of file descriptors.
    pub accept_errors: u64,
    /// Bytes read from clients.
    pub bytes_in: u64,
    /// Bytes written to clients.
    pub bytes_out: u64,
    /// Whole requests read.
    pub requests: u64,
    /// Whole responses written.
    pub responses: u64,
    /// Connections closed because a frame's length was negative or above the maximum.
    pub frames_refused: u64,
    /// Connections closed because the client was idle, dribbled a request or did not read its responses.
    pub timed_out: u64,
    /// Connections lost to a panic in a handler.
    pub panics: u64,
    /// Times that a connection had to wait for request memory.
    pub memory_waits: u64,
    /// Request memory in use, in bytes.
    pub request_memory_bytes: u64,
}

impl ServerSnapshot {
    /// Connections open now.
    pub fn open(&self) -> u64 {
        self.accepted.saturating_sub(self.closed)
    }
}

impl ServerCounters {
    pub(super) fn add(counter: &AtomicU64, amount: usize) {
        counter.fetch_add(amount as u64, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self, memory: &RequestMemory) -> ServerSnapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ServerSnapshot {
            // Before `accepted`, so that no scrape shows fewer than no open connections.
            closed: read(&self.closed),
            accepted: read(&self.accepted),
            accept_errors: read(&self.accept_errors),
            bytes_in: read(&self.bytes_in),
            bytes_out: read(&self.bytes_out),
            requests: read(&self.requests),
            responses: read(&self.responses),
            frames_refused: read(&self.frames_refused),
            timed_out: read(&self.timed_out),
            panics: read(&self.panics),
            memory_waits: read(&memory.waits),
            request_memory_bytes: memory.used(),
        }
    }
}
