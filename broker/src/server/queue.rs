use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use parking_lot::Mutex;

use super::{Reply, Step, memory::Held};

/// Replies of one connection in the order of their requests, between the half that reads and the half that writes.
///
/// Both halves belong to one task, which polls them again whenever [`Queue::take_moved`] says that something
/// changed; so nothing here wakes anybody.
pub(super) struct Queue {
    state: Mutex<State>,
    in_flight_max: usize,
    unsent_max_bytes: usize,
}

struct State {
    slots: VecDeque<Slot>,
    // Bytes of responses that are complete but not taken by the writer, or taken and not written.
    unsent_bytes: usize,
    writing: bool,
    executing: bool,
    ended: bool,
    stopping: bool,
    moved: bool,
}

struct Slot {
    reply: SlotReply,
    held: Held,
}

enum SlotReply {
    Waiting { future: Pin<Box<dyn Future<Output = Reply> + Send>>, can_be_dropped: bool },
    There(Reply),
}

/// Responses to be written together.
pub(super) struct Batch {
    pub(super) segments: Vec<Bytes>,
    pub(super) responses: usize,
    /// Nothing is to be written after this.
    pub(super) last: bool,
    /// The memory of their requests.
    held: Vec<Held>,
    size: usize,
}

impl Queue {
    pub(super) fn new(in_flight_max: usize, unsent_max_bytes: usize) -> Queue {
        let state = State {
            slots: VecDeque::new(),
            unsent_bytes: 0,
            writing: false,
            executing: false,
            ended: false,
            stopping: false,
            moved: false,
        };
        Queue { state: Mutex::new(state), in_flight_max: in_flight_max.max(1), unsent_max_bytes }
    }

    /// Waits until another request may execute, and says that it does. `false` when no more are wanted.
    pub(super) async fn begin(&self) -> bool {
        poll_fn(|_| {
            let mut state = self.state.lock();
            if state.ended {
                return Poll::Ready(false);
            }
            if state.slots.len() >= self.in_flight_max || state.unsent_bytes > self.unsent_max_bytes {
                return Poll::Pending;
            }
            state.executing = true;
            Poll::Ready(true)
        })
        .await
    }

    /// The request that began has executed. `false` when no more are wanted.
    pub(super) fn push(&self, step: Step, held: Held) -> bool {
        let mut state = self.state.lock();
        let (reply, closes) = match step {
            Step::Now(reply) => {
                state.unsent_bytes += size_of_reply(&reply);
                (SlotReply::There(reply), false)
            }
            Step::Later(future) => (SlotReply::Waiting { future, can_be_dropped: false }, false),
            Step::Poll(future) => (SlotReply::Waiting { future, can_be_dropped: true }, false),
            Step::Close => (SlotReply::There(Reply::Close), true),
        };
        state.slots.push_back(Slot { reply, held });
        state.executing = false;
        state.moved = true;
        state.ended |= closes;
        !state.ended
    }

    /// No more requests will execute.
    pub(super) fn end(&self) {
        let mut state = self.state.lock();
        state.ended = true;
        state.moved = true;
    }

    /// Like [`Queue::end`], and what nobody needs to wait for is not waited for either: the connection closes where
    /// the first such reply would be.
    pub(super) fn stop(&self) {
        let mut state = self.state.lock();
        state.ended = true;
        state.stopping = true;
        state.moved = true;
    }

    pub(super) fn is_executing(&self) -> bool {
        self.state.lock().executing
    }

    /// Whether the client waits for something from us.
    pub(super) fn is_owed(&self) -> bool {
        let state = self.state.lock();
        state.executing || state.writing || !state.slots.is_empty()
    }

    /// Whether something changed that the other half may wait for.
    pub(super) fn take_moved(&self) -> bool {
        std::mem::take(&mut self.state.lock().moved)
    }

    /// The responses at the front that are there. Waits for the first of them, or for the end.
    pub(super) async fn next(&self) -> Batch {
        poll_fn(|context| self.state.lock().poll_batch(context, self.unsent_max_bytes)).await
    }

    /// The batch is written.
    pub(super) fn written(&self, batch: Batch) {
        let mut state = self.state.lock();
        state.unsent_bytes -= batch.size;
        state.writing = false;
        state.moved = true;
        drop(batch.held);
    }
}

impl State {
    fn poll_batch(&mut self, context: &mut Context<'_>, unsent_max_bytes: usize) -> Poll<Batch> {
        self.poll_waiting(context, unsent_max_bytes);
        let mut batch = Batch { segments: Vec::new(), responses: 0, last: false, held: Vec::new(), size: 0 };
        let mut taken = false;
        while let Some(Slot { reply: SlotReply::There(_), .. }) = self.slots.front() {
            let Some(Slot { reply: SlotReply::There(reply), held }) = self.slots.pop_front() else { break };
            taken = true;
            batch.size += size_of_reply(&reply);
            batch.held.push(held);
            match reply {
                Reply::Response(segments) => {
                    batch.responses += 1;
                    batch.segments.extend(segments);
                }
                Reply::Nothing => {}
                Reply::Close => {
                    batch.last = true;
                    self.ended = true;
                    self.slots.clear();
                }
            }
        }
        if self.ended && !self.executing && self.slots.is_empty() {
            batch.last = true;
        }
        if !taken && !batch.last {
            return Poll::Pending;
        }
        self.writing = true;
        self.moved = true;
        Poll::Ready(batch)
    }

    /// Asks every waiting reply, not only the first: their waiting overlaps. But the first alone once many bytes are
    /// unsent, so that a client that asks without reading does not fill our memory.
    fn poll_waiting(&mut self, context: &mut Context<'_>, unsent_max_bytes: usize) {
        for (position, slot) in self.slots.iter_mut().enumerate() {
            if position > 0 && self.unsent_bytes > unsent_max_bytes {
                return;
            }
            let SlotReply::Waiting { future, can_be_dropped } = &mut slot.reply else { continue };
            match future.as_mut().poll(context) {
                Poll::Ready(reply) => {
                    self.unsent_bytes += size_of_reply(&reply);
                    slot.reply = SlotReply::There(reply);
                }
                Poll::Pending if self.stopping && *can_be_dropped => {
                    slot.reply = SlotReply::There(Reply::Close);
                }
                Poll::Pending => {}
            }
        }
    }
}

fn size_of_reply(reply: &Reply) -> usize {
    match reply {
        Reply::Response(segments) => segments.iter().map(Bytes::len).sum(),
        Reply::Nothing | Reply::Close => 0,
    }
}
