//! Following a log as it grows.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use highwater_records::Offset;

use super::{Isolation, Record, Records, SharedLog, Snapshot, WriteError, records::Decoded, watch::Changed};
use crate::ReadError;

/// Every record of a log from some offset on, those that are there and those to come.
///
/// As an iterator it blocks the thread until there is another record; [`Tail::recv`] and [`Tail::poll_next`] wait in a
/// task of any runtime; [`Tail::try_next`] does not wait. Nothing is polled: whoever makes a record readable wakes
/// those who wait for it. When the log is closed it
/// ends, behind the last record that was readable then.
///
/// ```
/// use highwater_engine::embed::Logs;
/// use highwater_records::Offset;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let place = tempfile::tempdir()?;
/// let logs = Logs::open(place.path())?;
/// let jobs = logs.log("jobs")?;
/// let mut tail = jobs.tail(Offset::ZERO);
/// let worker = std::thread::spawn(move || tail.next().unwrap().unwrap().text().unwrap().to_owned());
/// jobs.append("sweep the floor")?;
/// assert_eq!(worker.join().unwrap(), "sweep the floor");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Tail {
    log: SharedLog,
    isolation: Isolation,
    next: Offset,
    records: Option<Records>,
    changed: Option<Changed>,
    /// The directory went offline, and that was said.
    ended: bool,
}

/// What [`Tail::step`] came to.
enum Step {
    Item(Result<Record, ReadError>),
    /// Nothing until there are more than this many changes.
    Wait(u64),
    End,
}

impl Tail {
    pub(super) fn new(log: SharedLog, from: Offset, isolation: Isolation) -> Tail {
        Tail { log, isolation, next: from, records: None, changed: None, ended: false }
    }

    /// The same, up to where `isolation` says.
    #[must_use]
    pub fn isolated(self, isolation: Isolation) -> Tail {
        Tail { isolation, records: None, ..self }
    }

    /// Where it goes on: one past the last record it gave.
    pub fn next_offset(&self) -> Offset {
        self.records.as_ref().map_or(self.next, Records::next_offset)
    }

    /// The next record if it is there, without waiting for another to be written.
    pub fn try_next(&mut self) -> Option<Result<Record, ReadError>> {
        match self.step() {
            Step::Item(item) => Some(item),
            Step::Wait(_) | Step::End => None,
        }
    }

    /// The next record; waits in this thread no longer than about `most`. `None` if there was none, or when the log
    /// was closed.
    pub fn next_within(&mut self, most: Duration) -> Option<Result<Record, ReadError>> {
        loop {
            match self.step() {
                Step::Item(item) => return Some(item),
                Step::End => return None,
                Step::Wait(seen) => {
                    if !self.log.shared.watch.wait_for(seen, most) {
                        return None;
                    }
                }
            }
        }
    }

    /// The next record; waits in this task. `None` when the log was closed.
    pub async fn recv(&mut self) -> Option<Result<Record, ReadError>> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// The next record, for a hand-written future or stream. `Ready(None)` when the log was closed.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Record, ReadError>>> {
        loop {
            match self.step() {
                Step::Item(item) => return Poll::Ready(Some(item)),
                Step::End => return Poll::Ready(None),
                Step::Wait(seen) => {
                    let changed = self.changed.insert(self.log.shared.watch.changed(seen));
                    if Pin::new(changed).poll(context).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    /// The same, each record read as a `T`.
    pub fn decoded<T: super::FromRecord>(self) -> Decoded<Tail, T> {
        Decoded::new(self)
    }

    fn step(&mut self) -> Step {
        loop {
            if let Some(records) = &mut self.records {
                match records.next() {
                    // A segment went away under the picture; a newer one knows, if there will be one.
                    Some(Err(ReadError::Changed)) if self.log.positions().is_ok() => {}
                    Some(Err(ReadError::Changed)) => return Step::End,
                    Some(item) => return Step::Item(item),
                    None => {}
                }
                self.next = records.next_offset();
                self.records = None;
            }
            // First the number, then the look: a change in between is not missed.
            let seen = self.log.shared.watch.changes();
            let (snapshot, closed) = match self.log.snapshot_of(self.isolation) {
                Ok(snapshot) => (snapshot, false),
                Err(_) => match &*self.log.shared.last.lock() {
                    Some(last) => (Snapshot::new(last.clone(), self.isolation), true),
                    None => return Step::End,
                },
            };
            if snapshot.end() > self.next {
                self.records = Some(snapshot.records_from(self.next));
                continue;
            }
            if closed {
                return Step::End;
            }
            match self.log.shared.check() {
                Ok(()) => return Step::Wait(seen),
                Err(WriteError::Offline(offline)) if !self.ended => {
                    self.ended = true;
                    return Step::Item(Err(offline.into()));
                }
                Err(_) => return Step::End,
            }
        }
    }
}

impl Iterator for Tail {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.step() {
                Step::Item(item) => return Some(item),
                Step::End => return None,
                Step::Wait(seen) => self.log.shared.watch.wait(seen),
            }
        }
    }
}
