//! One append to several logs: all of them have it, or none.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use highwater_records::{Offset, batch::CheckedBatch};

use super::{
    SharedLog, ToBatch, WriteAllError, WriteError,
    shared::{Turn, epoch_of},
    watch::{Changed, Watch},
};
use crate::{
    AppendIfError, BatchesError, BatchesJob, Log, PrepareError, PreparedBatch,
    museum::{Bug, has},
    sync::Mutex,
};

/// One append to several logs of the same [`Logs`](super::Logs): after any crash all of them have it, or none. The logs
/// have to be [`Durability::Synced`](highwater_records::Durability::Synced) ones, as they are by default.
///
/// ```
/// use highwater_engine::embed::{Batches, Logs};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let place = tempfile::tempdir()?;
/// let logs = Logs::open(place.path())?;
/// let (jobs, done) = (logs.log("jobs")?, logs.log("done")?);
/// let first = jobs.append("resize picture 7")?;
///
/// // The job is done and its successor waits, whatever happens; and only if nobody else has finished anything.
/// let mut batches = Batches::new();
/// batches.append_if(&done, done.snapshot()?.end(), &first.to_string())?;
/// batches.append(&jobs, "publish picture 7")?;
/// let offsets = batches.commit()?;
///
/// assert_eq!(jobs.get(offsets[1])?.unwrap().text(), Some("publish picture 7"));
/// logs.close()?;
/// # Ok(())
/// # }
/// ```
///
/// It costs one write of the disk, as an append to a single log does. Until that has ended nobody sees any of it, and
/// other appends to these logs wait; from then on it can be read and survives a power cut, and whoever sees it in one of
/// the logs finds it in all others.
#[derive(Default)]
#[must_use = "nothing is appended before it is committed"]
pub struct Batches {
    parts: Vec<Part>,
}

struct Part {
    log: SharedLog,
    batch: CheckedBatch,
    next: Option<Offset>,
}

impl Batches {
    /// Nothing yet.
    pub fn new() -> Batches {
        Batches::default()
    }

    /// Adds a record, or a batch that was built elsewhere, for one log. Each log can be in it once.
    ///
    /// # Errors
    /// `Invalid`: this can never be written.
    pub fn append<B: ToBatch + ?Sized>(
        &mut self,
        log: &SharedLog,
        record: &B,
    ) -> Result<&mut Batches, WriteError> {
        self.add(log, record, None)
    }

    /// As [`Batches::append`], and all of it happens only if the next record of this log gets the offset `next`.
    ///
    /// # Errors
    /// `Invalid`.
    pub fn append_if<B: ToBatch + ?Sized>(
        &mut self,
        log: &SharedLog,
        next: Offset,
        record: &B,
    ) -> Result<&mut Batches, WriteError> {
        self.add(log, record, Some(next))
    }

    fn add<B: ToBatch + ?Sized>(
        &mut self,
        log: &SharedLog,
        record: &B,
        next: Option<Offset>,
    ) -> Result<&mut Batches, WriteError> {
        let batch = record.to_batch(log.shared.codec, log.shared.host.now())?;
        if let Some(first) = self.parts.first()
            && !Arc::ptr_eq(&first.log.shared.work, &log.shared.work)
        {
            return Err(WriteError::invalid("the logs lie in different directories"));
        }
        if self.parts.iter().any(|part| Arc::ptr_eq(&part.log.shared, &log.shared)) {
            let name = log.name();
            return Err(WriteError::invalid(format_args!("{name:?} is in it already: give it one batch")));
        }
        self.parts.push(Part { log: log.clone(), batch, next });
        Ok(self)
    }

    /// Appends all of it, durably, and waits for that in this thread. Returns the first offset in each log, in the order in
    /// which they were added.
    ///
    /// # Errors
    /// [`WriteAllError`]; unless it is `Offline` or `Unshown` none of the logs has any of it.
    pub fn commit(self) -> Result<Vec<Offset>, WriteAllError> {
        // All who want several logs take them in the same order, so that nobody waits for somebody who waits for him.
        let mut order: Vec<usize> = (0..self.parts.len()).collect();
        order.sort_by_key(|at| &self.parts[*at].log.shared.name);
        let mut turns = Vec::with_capacity(order.len());
        for at in &order {
            turns.push(Turn::take(&self.parts[*at].log.shared)?);
        }
        for turn in &turns {
            // What others appended before: what is acknowledged must not lie above what is not durable.
            let end = turn.shared.log.lock().as_ref().ok_or(WriteAllError::Closed)?.positions().log_end;
            turn.shared.commit_up_to(end).map_err(|error| turn.refused(error))?;
        }
        let mut prepared = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let mut slot = part.log.shared.log.lock();
            prepared.push(part.prepare(slot.as_mut().ok_or(WriteAllError::Closed)?)?);
        }
        let written = BatchesJob::new(prepared)?.run()?;
        let offsets: Vec<Offset> = written.iter().map(|written| written.appended().base_offset).collect();
        // All locks at once, in order: whoever sees it in one log finds it in the others. Nothing is synced here.
        let mut slots = Vec::with_capacity(order.len());
        let mut written: BTreeMap<usize, _> = written.into_iter().enumerate().collect();
        let mut unshown = None;
        for at in &order {
            let mut slot = self.parts[*at].log.shared.log.lock();
            if has(Bug::ShownApart) {
                let finish = |log: &mut Log| Some(log.finish_batch(written.remove(at)?));
                drop(slot.as_mut().and_then(finish));
                continue;
            }
            slots.push((*at, slot));
        }
        for (at, slot) in &mut slots {
            let (Some(written), name) = (written.remove(at), self.parts[*at].log.name()) else { continue };
            let finished =
                slot.as_mut().map(|log| log.finish_batch(written).map_err(|error| error.to_string()));
            let reason = match finished {
                Some(Ok(_)) => continue,
                Some(Err(reason)) => reason,
                None => "the log has been closed".to_owned(),
            };
            unshown.get_or_insert((name.to_owned(), reason));
        }
        match unshown {
            None => Ok(offsets),
            Some((log, reason)) => Err(WriteAllError::Unshown { log, offsets, reason }),
        }
    }

    /// As [`Batches::commit`], for tasks: a future that does nothing before it is polled. Needs a thread in
    /// [`Logs::run_commits`](super::Logs::run_commits).
    pub fn write(self) -> BatchesTicket {
        let handed = Handed {
            batches: Mutex::new(Some(self)),
            outcome: Mutex::default(),
            watch: Arc::new(Watch::default()),
        };
        BatchesTicket { handed: Arc::new(handed), asked: false, changed: None }
    }
}

impl Part {
    fn prepare(&self, log: &mut Log) -> Result<PreparedBatch, WriteAllError> {
        let name = || self.log.name().to_owned();
        let epoch = epoch_of(log);
        log.prepare(self.batch.clone(), self.next, epoch, self.log.shared.host.now()).map_err(|error| {
            match error {
                PrepareError::Append(AppendIfError::Moved { next_offset }) => {
                    WriteAllError::Moved { log: name(), next: next_offset }
                }
                PrepareError::Append(AppendIfError::Append(error)) => {
                    WriteAllError::of_log(name(), WriteError::from(error))
                }
                other => WriteAllError::of_log(name(), WriteError::invalid(other)),
            }
        })
    }
}

impl From<BatchesError> for WriteAllError {
    fn from(error: BatchesError) -> WriteAllError {
        match error {
            BatchesError::Closed => WriteAllError::Closed,
            BatchesError::Disk(reason) => WriteAllError::Disk(reason),
            BatchesError::Offline(offline) => WriteAllError::Offline(offline),
            other => WriteAllError::Invalid { reason: other.to_string() },
        }
    }
}

/// An append to several logs that a task can await, or a thread wait for. Nothing happens before that; if it is dropped
/// after it was polled, it happens, or not.
#[must_use = "nothing is appended before it is waited for"]
pub struct BatchesTicket {
    handed: Arc<Handed>,
    asked: bool,
    changed: Option<Changed>,
}

/// What a task hands to the thread that commits.
pub(super) struct Handed {
    /// Taken by whoever does it.
    batches: Mutex<Option<Batches>>,
    outcome: Mutex<Option<Result<Vec<Offset>, WriteAllError>>>,
    watch: Arc<Watch>,
}

impl Handed {
    pub(super) fn run(&self) {
        let batches = self.batches.lock().take();
        if let Some(batches) = batches {
            self.end(batches.commit());
        }
    }

    pub(super) fn end(&self, outcome: Result<Vec<Offset>, WriteAllError>) {
        *self.outcome.lock() = Some(outcome);
        self.watch.change();
    }
}

impl BatchesTicket {
    /// Waits in this thread, in which it is done unless another has begun it. As [`Batches::commit`].
    ///
    /// # Errors
    /// As [`Batches::commit`].
    pub fn wait(self) -> Result<Vec<Offset>, WriteAllError> {
        self.handed.run();
        loop {
            let seen = self.handed.watch.changes();
            if let Some(outcome) = self.handed.outcome.lock().take() {
                return outcome;
            }
            self.handed.watch.wait(seen);
        }
    }
}

impl Future for BatchesTicket {
    type Output = Result<Vec<Offset>, WriteAllError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if !std::mem::replace(&mut this.asked, true) {
            let first = this
                .handed
                .batches
                .lock()
                .as_ref()
                .and_then(|batches| Some(batches.parts.first()?.log.clone()));
            match first {
                Some(log) => log.shared.work.ask_all(&this.handed),
                // There is nothing in it.
                None => this.handed.run(),
            }
        }
        loop {
            let seen = this.handed.watch.changes();
            if let Some(outcome) = this.handed.outcome.lock().take() {
                return Poll::Ready(outcome);
            }
            let changed = this.changed.insert(this.handed.watch.changed(seen));
            if Pin::new(changed).poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl fmt::Debug for Batches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.parts.iter().map(|part| part.log.name())).finish()
    }
}

impl fmt::Debug for BatchesTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchesTicket").field("asked", &self.asked).finish_non_exhaustive()
    }
}
