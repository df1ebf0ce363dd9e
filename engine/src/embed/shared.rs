//! One log, for any number of threads.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use highwater_records::{LeaderEpoch, Offset, TimestampMs, batch::CheckedBatch, compression::Codec};

use super::{
    Isolation, NewRecord, Snapshot, Tail, Ticket, ToBatch, ToRecord, UpkeepError, WriteAllError, WriteError,
    error::read_error, record::one_batch, watch::Watch, work::Work,
};
use crate::{
    AppendIfError, Log, LogDir, LogReader, Positions, ReadError, StartReason,
    disk::Host,
    museum::{Bug, has},
    sync::{Mutex, MutexGuard},
};

/// The epoch of a log that has one writer for all its life.
const EPOCH: LeaderEpoch = LeaderEpoch(0);

/// One log, for any number of threads. Clones are the same log; see [`Logs::log`](super::Logs::log).
///
/// Records lie in it in the order in which they were appended, each under its [offset](Offset): 0 for the first, one
/// more for each that follows. They are never changed; they go away at the log's start only, by
/// [`SharedLog::delete_before`] or by retention, if that was asked for.
#[derive(Clone)]
pub struct SharedLog {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) name: String,
    /// Not kept alive: whoever forgets a log must not hold the directory.
    pub(super) dir: Weak<LogDir>,
    pub(super) host: Arc<dyn Host>,
    pub(super) codec: Codec,
    /// `None` once it was closed.
    pub(super) log: Mutex<Option<Log>>,
    /// What could be read when it was closed: whoever follows it reads that to the end.
    pub(super) last: Mutex<Option<LogReader>>,
    /// Changes when more can be read, more is durable, or nothing ever will.
    pub(super) watch: Arc<Watch>,
    /// Commits that the disk refused for now, and the last reason.
    pub(super) refused: Mutex<(u64, String)>,
    pub(super) work: Arc<Work>,
    /// Whether an append to several logs has it: others wait. Changed under the lock of `log`.
    pub(super) taken: Mutex<bool>,
}

/// The right to be the only one who appends to a log.
pub(super) struct Turn {
    pub(super) shared: Arc<Shared>,
}

impl Turn {
    /// Waits until nobody else has it.
    ///
    /// # Errors
    /// `Closed`.
    pub(super) fn take(shared: &Arc<Shared>) -> Result<Turn, WriteAllError> {
        loop {
            let seen = shared.watch.changes();
            {
                let slot = shared.log.lock();
                if slot.is_none() {
                    return Err(WriteAllError::Closed);
                }
                if !std::mem::replace(&mut *shared.taken.lock(), true) {
                    return Ok(Turn { shared: shared.clone() });
                }
            }
            shared.watch.wait(seen);
        }
    }

    pub(super) fn refused(&self, error: WriteError) -> WriteAllError {
        WriteAllError::of_log(self.shared.name.clone(), error)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *self.shared.taken.lock() = false;
        self.shared.watch.change();
    }
}

/// The epoch that a log's only writer appends under.
pub(super) fn epoch_of(log: &Log) -> LeaderEpoch {
    EPOCH.max(log.latest_epoch().unwrap_or(EPOCH))
}

impl SharedLog {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Where everything is: [`log_start`](Positions::log_start) is the first offset that can be read,
    /// [`high_watermark`](Positions::high_watermark) the first that cannot be read yet, [`log_end`](Positions::log_end)
    /// what the next record gets.
    ///
    /// # Errors
    /// `Closed`.
    pub fn positions(&self) -> Result<Positions, UpkeepError> {
        Ok(self.shared.log.lock().as_ref().ok_or(UpkeepError::Closed)?.positions())
    }

    /// Appends a record, or a batch that was built elsewhere. Returns the (first) record's offset.
    ///
    /// On a [`Durability::Synced`](highwater_records::Durability::Synced) log, which is the default, it survives a
    /// power cut when this returns; threads that append at the same time share one sync. On the other kind it
    /// survives the end of the process, and a power cut only after a [`SharedLog::sync`]. Either way it can be read
    /// when this returns.
    ///
    /// # Errors
    /// Any [`WriteError`] but `Moved`.
    pub fn append<B: ToBatch + ?Sized>(&self, record: &B) -> Result<Offset, WriteError> {
        self.settle(self.write(record)?)
    }

    /// Appends several records as one batch, which lands whole or not at all, under offsets without a gap. Returns the
    /// first record's offset. Durable as with [`SharedLog::append`].
    ///
    /// # Errors
    /// `Invalid` if there are none, or if they are larger than the largest batch
    /// ([`LogConfig::max_message_bytes`](crate::LogConfig::max_message_bytes)) together; any other but `Moved`.
    pub fn append_all<R: ToRecord>(
        &self,
        records: impl IntoIterator<Item = R>,
    ) -> Result<Offset, WriteError> {
        let records: Vec<R> = records.into_iter().collect();
        let records: Vec<NewRecord<'_>> = records.iter().map(ToRecord::to_record).collect();
        let batch = one_batch(&records, self.shared.codec, self.shared.host.now())?;
        self.settle(self.write(&batch)?)
    }

    /// Appends only if nobody has appended since the caller looked: if the next record gets the offset `next`. What
    /// was decided by reading up to there holds then. Durable as with [`SharedLog::append`].
    ///
    /// # Errors
    /// `Moved`, with the offset that the next record gets; any other.
    pub fn append_if<B: ToBatch + ?Sized>(&self, next: Offset, record: &B) -> Result<Offset, WriteError> {
        self.settle(
            self.write_batch(record.to_batch(self.shared.codec, self.shared.host.now())?, Some(next))?,
        )
    }

    /// Appends without waiting for the disk, except for that of an append to several logs
    /// ([`Batches`](super::Batches)) that has this one. It survives the end of the process when this returns; the [`Ticket`] can
    /// be waited for, in a thread or in a task, for it to survive a power cut. One sync covers everything that was
    /// written before it, so write many, then wait for the last.
    ///
    /// # Errors
    /// Any [`WriteError`] but `Moved` and `Unsynced`.
    pub fn write<B: ToBatch + ?Sized>(&self, record: &B) -> Result<Ticket, WriteError> {
        self.write_batch(record.to_batch(self.shared.codec, self.shared.host.now())?, None)
    }

    fn write_batch(&self, batch: CheckedBatch, next: Option<Offset>) -> Result<Ticket, WriteError> {
        let now = self.shared.host.now();
        let (appended, visible) = {
            let mut slot = self.shared.free_slot();
            let log = slot.as_mut().ok_or(WriteError::Closed)?;
            let before = log.positions().high_watermark;
            let epoch = epoch_of(log);
            let appended = match next {
                None => log.append(batch, epoch, now)?,
                Some(next) => log.append_if(next, batch, epoch, now).map_err(|error| match error {
                    AppendIfError::Moved { next_offset } => WriteError::Moved { next: next_offset },
                    AppendIfError::Append(error) => error.into(),
                })?,
            };
            (appended, log.positions().high_watermark > before)
        };
        if visible {
            self.shared.watch.change();
        }
        Ok(Ticket::new(self.clone(), appended))
    }

    fn settle(&self, ticket: Ticket) -> Result<Offset, WriteError> {
        if self.shared.readable(ticket.next_offset())? {
            return Ok(ticket.offset());
        }
        ticket.wait()
    }

    /// Waits until everything written so far survives a power cut. Returns the log end at that moment (exclusive).
    ///
    /// # Errors
    /// `Unsynced`, `Offline`, `Broken`, `Closed`.
    pub fn sync(&self) -> Result<Offset, WriteError> {
        let end = self.shared.log.lock().as_ref().ok_or(WriteError::Closed)?.positions().log_end;
        self.shared.commit_up_to(end)
    }

    /// What can be read now, unchanging.
    ///
    /// # Errors
    /// `Closed` as [`UpkeepError`]: the log was closed.
    pub fn snapshot(&self) -> Result<Snapshot, UpkeepError> {
        self.snapshot_of(Isolation::default())
    }

    /// As [`SharedLog::snapshot`], up to where `isolation` says.
    ///
    /// # Errors
    /// `Closed`.
    pub fn snapshot_of(&self, isolation: Isolation) -> Result<Snapshot, UpkeepError> {
        let slot = self.shared.log.lock();
        Ok(Snapshot::new(slot.as_ref().ok_or(UpkeepError::Closed)?.reader(), isolation))
    }

    /// Every record from `from` on (inclusive), those that are there and those to come: waits for them without
    /// polling, and ends when the log is closed.
    pub fn tail(&self, from: Offset) -> Tail {
        Tail::new(self.clone(), from, Isolation::default())
    }

    /// The record at `offset`, or `None` if it cannot be read yet.
    ///
    /// # Errors
    /// `OutOfRange` below the log start, damage, the disk's.
    pub fn get(&self, offset: Offset) -> Result<Option<super::Record>, ReadError> {
        let snapshot =
            self.snapshot().map_err(|_| read_error(std::io::Error::other("the log has been closed")))?;
        snapshot.records_from(offset).next().transpose()
    }

    /// Deletes everything below `offset` (exclusive): it cannot be read from now on, not even after a power cut. Its files
    /// go with the next [`Logs::maintain`](super::Logs::maintain). Waits for a sync. Returns the log start.
    ///
    /// # Errors
    /// `OutOfRange` beyond what can be read; any other.
    pub fn delete_before(&self, offset: Offset) -> Result<Offset, UpkeepError> {
        let job = {
            let mut slot = self.shared.log.lock();
            let log = slot.as_mut().ok_or(UpkeepError::Closed)?;
            match log.begin_advance(offset, StartReason::RecordsDeleted)? {
                Some(job) => job,
                None => return Ok(log.positions().log_start),
            }
        };
        let done = job.run();
        let mut slot = self.shared.log.lock();
        let log = slot.as_mut().ok_or(UpkeepError::Closed)?;
        log.finish_head(done)?;
        Ok(log.positions().log_start)
    }
}

impl fmt::Debug for SharedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedLog").field("name", &self.shared.name).finish_non_exhaustive()
    }
}

impl Shared {
    /// The log, once no append to several has it.
    fn free_slot(&self) -> MutexGuard<'_, Option<Log>> {
        loop {
            let seen = self.watch.changes();
            let slot = self.log.lock();
            if slot.is_none() || !*self.taken.lock() {
                return slot;
            }
            drop(slot);
            self.watch.wait(seen);
        }
    }

    /// # Errors
    /// `Offline`; `Closed` if the directory was closed.
    pub(super) fn check(&self) -> Result<(), WriteError> {
        Ok(self.dir.upgrade().ok_or(WriteError::Closed)?.check()?)
    }

    /// Whether everything below `offset` can be read: then nobody needs to wait.
    fn readable(&self, offset: Offset) -> Result<bool, WriteError> {
        Ok(self.log.lock().as_ref().ok_or(WriteError::Closed)?.positions().high_watermark >= offset)
    }

    /// Commits, or waits for whoever does, until everything below `target` is durable. Returns the durable end.
    pub(super) fn commit_up_to(&self, target: Offset) -> Result<Offset, WriteError> {
        loop {
            let seen = self.watch.changes();
            let job = {
                let mut slot = self.log.lock();
                let log = slot.as_mut().ok_or(WriteError::Closed)?;
                let durable_end = log.positions().durable_end;
                if durable_end >= target {
                    return Ok(durable_end);
                }
                match log.begin_commit() {
                    Some(job) => Some(job),
                    None => {
                        self.check()?;
                        if !log.is_committing() {
                            return Err(WriteError::Broken("a change broke off halfway".to_owned()));
                        }
                        None
                    }
                }
            };
            let Some(job) = job else {
                // Somebody syncs already; what it does not cover is covered by the next one.
                self.watch.wait(if has(Bug::WakeUpLost) { self.watch.changes() } else { seen });
                continue;
            };
            // Whoever waits learns of the end of the job however it ends.
            let _tell = Tell(&self.watch);
            let done = job.run();
            let mut slot = self.log.lock();
            let log = slot.as_mut().ok_or(WriteError::Closed)?;
            match log.finish_commit(done) {
                Ok(_) => {}
                Err(crate::CommitError::Offline(offline)) => return Err(offline.into()),
                Err(crate::CommitError::Disk(reason)) => {
                    let mut refused = self.refused.lock();
                    *refused = (refused.0 + 1, reason.clone());
                    return Err(WriteError::Unsynced { offset: target, reason });
                }
            }
        }
    }

    /// Ends the use of the log in order. Waits for a commit that is under way. However it goes, the log is closed when
    /// this returns, and nobody waits any more.
    pub(super) fn close(&self, now: TimestampMs) -> Result<(), UpkeepError> {
        let closed = self.try_close(now);
        if closed.is_err() {
            drop(self.log.lock().take());
            self.watch.change();
        }
        closed
    }

    fn try_close(&self, now: TimestampMs) -> Result<(), UpkeepError> {
        loop {
            let seen = self.watch.changes();
            let mut slot = self.log.lock();
            match &*slot {
                None => return Ok(()),
                Some(log) if log.is_committing() || *self.taken.lock() => {
                    drop(slot);
                    self.watch.wait(seen);
                }
                Some(log) if log.positions().durable_end < log.positions().log_end => {
                    let end = log.positions().log_end;
                    drop(slot);
                    self.commit_up_to(end)?;
                }
                Some(log) => {
                    *self.last.lock() = Some(log.reader());
                    let log = slot.take();
                    drop(slot);
                    let _tell = Tell(&self.watch);
                    return Ok(log.map_or(Ok(()), |log| log.close(now))?);
                }
            }
        }
    }
}

/// Tells a watch of a change when it goes out of scope, also by a panic.
struct Tell<'a>(&'a Watch);

impl Drop for Tell<'_> {
    fn drop(&mut self) {
        self.0.change();
    }
}
