//! Waiting for what was written to become durable.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use highwater_records::Offset;

use super::{SharedLog, WriteError, watch::Changed};
use crate::Appended;

/// Something that was written and may not be durable yet. Wait for it in a thread with [`Ticket::wait`], or in a task
/// of any runtime: it is a future. Dropping it loses nothing.
///
/// A task cannot sync itself, so one thread of the program must be in
/// [`Logs::run_commits`](super::Logs::run_commits).
#[derive(Debug)]
#[must_use = "it is durable only once this was waited for"]
pub struct Ticket {
    log: SharedLog,
    appended: Appended,
    next: Offset,
    /// How many refusals there had been when the task began to wait.
    refusals: Option<u64>,
    changed: Option<Changed>,
}

impl Ticket {
    pub(super) fn new(log: SharedLog, appended: Appended) -> Ticket {
        // A log never holds the largest offset, so there is always one after it.
        let next = appended.last_offset.checked_add(1).unwrap_or(Offset::MAX);
        Ticket { log, appended, next, refusals: None, changed: None }
    }

    /// Offset of the (first) record.
    pub fn offset(&self) -> Offset {
        self.appended.base_offset
    }

    /// One past the offset of the (last) record.
    pub fn next_offset(&self) -> Offset {
        self.next
    }

    /// Waits in this thread until it survives a power cut. Returns the (first) record's offset.
    ///
    /// # Errors
    /// `Unsynced`, `Offline`, `Broken`, `Closed`.
    pub fn wait(self) -> Result<Offset, WriteError> {
        self.log.shared.commit_up_to(self.next)?;
        Ok(self.appended.base_offset)
    }

    /// Whether it survives a power cut.
    ///
    /// # Errors
    /// When it never will: `Offline`, `Closed`.
    pub fn is_durable(&self) -> Result<bool, WriteError> {
        let slot = self.log.shared.log.lock();
        if slot.as_ref().ok_or(WriteError::Closed)?.positions().durable_end >= self.next {
            return Ok(true);
        }
        self.log.shared.check()?;
        Ok(false)
    }
}

impl Future for Ticket {
    type Output = Result<Offset, WriteError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            let shared = this.log.shared.clone();
            let seen = shared.watch.changes();
            let (refusals, reason) = {
                let refused = shared.refused.lock();
                (refused.0, refused.1.clone())
            };
            let first = *this.refusals.get_or_insert(refusals);
            match this.is_durable() {
                Ok(true) => return Poll::Ready(Ok(this.appended.base_offset)),
                Err(error) => return Poll::Ready(Err(error)),
                Ok(false) if refusals > first => {
                    let offset = this.appended.base_offset;
                    return Poll::Ready(Err(WriteError::Unsynced { offset, reason }));
                }
                Ok(false) => {}
            }
            let changed = this.changed.insert(shared.watch.changed(seen));
            if Pin::new(changed).poll(context).is_pending() {
                shared.work.ask(&shared);
                return Poll::Pending;
            }
        }
    }
}
