//! One append to several synced logs of a directory: after any crash all of them have it, or none.
//!
//! The order is the reverse of an ordinary append's: the journal first, the segments once it is durable. See
//! `docs/format/journal.md`, section 3.

use std::{
    collections::BTreeSet,
    fmt, io,
    sync::{Arc, Weak},
};

use highwater_records::{LeaderEpoch, Offset, TimestampMs, batch::CheckedBatch};

use super::{
    AppendError, AppendIfError, Appended, ChangeError, Log,
    append::{Accepted, Judged},
};
use crate::{
    directory::{LogEntry, Offline},
    disk::DiskFile,
    journal::{self, Ahead, AheadError, Journal, JournalError, JournaledBatch},
    museum::{Bug, has},
    name::LogName,
    producer::MarkerEpoch,
    segment::Segment,
};

/// One log's part of an append to several ([`Log::prepare`]). Dropping it gives the place up: nothing happened.
#[must_use = "nothing is appended until a BatchesJob with it has run"]
pub struct PreparedBatch {
    appended: Appended,
    /// `None` for a duplicate: there is nothing to write.
    part: Option<Part>,
}

struct Part {
    journal: Arc<Journal>,
    entry: Arc<LogEntry>,
    truncations: u64,
    batch: JournaledBatch,
    segments: Vec<Arc<Segment>>,
    snapshots: Vec<Arc<dyn DiskFile>>,
    names: u64,
    /// While this lives the log takes nothing else.
    token: Arc<()>,
}

/// Why a log takes no part in an append to several. It is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// As for [`Log::append_if`].
    #[error(transparent)]
    Append(#[from] AppendIfError),
    /// Commit, then prepare again: an atomic append is acknowledged by itself, and so it must not lie above something that
    /// is not durable yet.
    #[error("what was appended before is not durable yet")]
    Uncommitted,
    /// Fix the call: only [`Durability::Synced`](highwater_records::Durability::Synced) logs of a directory that has a
    /// journal can do this.
    #[error("the log is not a synced one of a directory with a journal")]
    NotJournaled,
}

/// An append to several logs that was prepared in each of them.
#[must_use = "nothing is appended until it has run"]
pub struct BatchesJob {
    parts: Vec<PreparedBatch>,
}

/// Why an append to several logs did not happen. Unless it is `Offline` none of the logs has any of it, nor ever will.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchesError {
    /// Fix the call: a log has one part at most.
    #[error("{0} is in it twice")]
    Twice(LogName),
    /// Fix the call: what is atomic lies in one directory.
    #[error("{0} is a log of another directory")]
    OtherDirectory(LogName),
    /// Fix the call: all batches together, with about 60 bytes more for each, have to fit into one group of the journal.
    #[error("{size} bytes are more than the {max} that the journal takes at once")]
    TooLarge {
        /// Bytes of all of it.
        size: u64,
        /// The limit, inclusive: 8 MiB, less in a journal of less than 512 MiB.
        max: u64,
    },
    /// Look again: one of the logs was closed or deleted meanwhile.
    #[error("one of the logs has been closed")]
    Closed,
    /// Try again later: there is no room in the journal or for its next file.
    #[error("cannot write the journal: {0}")]
    Disk(String),
    /// A restart is needed, and tells: all of it is there then, or nothing.
    #[error(transparent)]
    Offline(#[from] Offline),
}

/// One log's part of an append that is durable; the log must hear of it by [`Log::finish_batch`].
#[must_use = "readers see it only when the log hears of it"]
pub struct WrittenBatch {
    appended: Appended,
    log: Option<(Arc<LogEntry>, Arc<()>)>,
}

/// What a log has given a place to.
pub(super) struct Reserved {
    accepted: Accepted,
    token: Weak<()>,
}

impl PreparedBatch {
    /// Where it will be, or is if it is a duplicate.
    pub fn appended(&self) -> Appended {
        self.appended
    }
}

impl WrittenBatch {
    /// Where it is.
    pub fn appended(&self) -> Appended {
        self.appended
    }
}

impl BatchesJob {
    /// All the parts of one append, in any order.
    ///
    /// # Errors
    /// `Twice`, `OtherDirectory`, `TooLarge`.
    pub fn new(parts: Vec<PreparedBatch>) -> Result<BatchesJob, BatchesError> {
        let mut seen = BTreeSet::new();
        let mut size = 0;
        let mut first: Option<&Part> = None;
        for part in parts.iter().filter_map(|part| part.part.as_ref()) {
            let name = &part.entry.name;
            if first.is_some_and(|first| !Arc::ptr_eq(&first.journal, &part.journal)) {
                return Err(BatchesError::OtherDirectory(name.clone()));
            }
            if !seen.insert(name) {
                return Err(BatchesError::Twice(name.clone()));
            }
            size += part.batch.journaled_len();
            first = first.or(Some(part));
        }
        let max = first.map_or(u64::MAX, |first| first.journal.group_bytes());
        if size > max { Err(BatchesError::TooLarge { size, max }) } else { Ok(BatchesJob { parts }) }
    }

    /// Makes it durable in all the logs at once, by one write. Blocks for as long as the disk takes; hold no lock. The
    /// parts come back in the order in which they were given.
    ///
    /// # Errors
    /// `Closed`, `Disk`, `Offline`.
    pub fn run(self) -> Result<Vec<WrittenBatch>, BatchesError> {
        let mut journal = None;
        let (mut parts, mut written) = (Vec::new(), Vec::new());
        for PreparedBatch { appended, part } in self.parts {
            let log = part.map(|part| {
                journal = Some(part.journal);
                let log = (part.entry.clone(), part.token);
                parts.push(Ahead {
                    entry: part.entry,
                    truncations: part.truncations,
                    from: part.batch.base,
                    appended: journal::Appended {
                        batches: vec![part.batch],
                        segments: part.segments,
                        snapshots: part.snapshots,
                        names: part.names,
                    },
                });
                log
            });
            written.push(WrittenBatch { appended, log });
        }
        if let Some(journal) = journal {
            if has(Bug::PartsApart) {
                parts.drain(1..).try_for_each(|part| journal.write_ahead(vec![part]))?;
            }
            journal.write_ahead(parts)?;
        }
        Ok(written)
    }
}

impl Log {
    /// Takes part in an append to several synced logs of a directory, of which all or none have it after any crash:
    ///
    /// 1. this, of each log, under the caller's lock of it; of logs in an order that all callers keep to, or they wait
    ///    for one another for ever. The log must have nothing that is not durable ([`Log::commit`] before). It judges the
    ///    batch as [`Log::append`] does, with `next_offset` as [`Log::append_if`] does, and from then on takes nothing else:
    ///    every other change answers `Busy`. It can be read.
    /// 2. [`BatchesJob::run`] makes all of them durable, without a lock;
    /// 3. [`Log::finish_batch`], of each log under its lock, shows it to readers. It is durable then, and so is all below.
    ///
    /// A duplicate is answered with the offsets it has: it is there, and durable, and takes part by nothing.
    ///
    /// # Errors
    /// [`PrepareError`].
    pub fn prepare(
        &mut self,
        batch: CheckedBatch,
        next_offset: Option<Offset>,
        epoch: LeaderEpoch,
        now: TimestampMs,
    ) -> Result<PreparedBatch, PrepareError> {
        self.check_free().map_err(|error| AppendIfError::Append(error.into()))?;
        if !self.journals() {
            return Err(PrepareError::NotJournaled);
        }
        if self.positions.durable_end < self.positions.log_end || self.is_committing() {
            return Err(PrepareError::Uncommitted);
        }
        if let Some(next) = next_offset
            && let Some(appended) = self.duplicate_elsewhere(next, &batch)?
        {
            return Ok(PreparedBatch { appended, part: None });
        }
        let judged = self.judge(batch, MarkerEpoch::SameOrNewer, epoch, now);
        let accepted = match judged.map_err(AppendIfError::Append)? {
            Judged::Duplicate(appended) => return Ok(PreparedBatch { appended, part: None }),
            Judged::New(accepted) => accepted,
        };
        self.make_place(&accepted).map_err(|error| AppendIfError::Append(error.into()))?;
        self.publish();
        let (segment, position) = self.next_place();
        let Accepted { batch, placed, .. } = &accepted;
        let batch = JournaledBatch {
            segment,
            position,
            base: placed.base_offset,
            next: placed.next_offset,
            prefix: batch.patched_prefix(placed.base_offset, epoch),
            bytes: batch.bytes().clone(),
        };
        let mut segments = self.pending.segments.clone();
        if !segments.iter().any(|segment| Arc::ptr_eq(segment, self.active())) {
            segments.push(self.active().clone());
        }
        let token = Arc::new(());
        let appended = accepted.appended();
        self.committing = Arc::downgrade(&token);
        self.reserved = Some(Reserved { accepted, token: Arc::downgrade(&token) });
        let part = Part {
            journal: self.dir.journal.clone(),
            entry: self.entry.clone(),
            truncations: self.entry.truncations.load(std::sync::atomic::Ordering::Acquire),
            batch,
            segments,
            snapshots: self.pending.snapshots.clone(),
            names: self.pending.names,
            token,
        };
        Ok(PreparedBatch { appended, part: Some(part) })
    }

    /// Shows an append that is durable to readers.
    ///
    /// # Errors
    /// `Disk`, `Offline`, `Broken`: it is durable, and will be shown once the disk takes it: by [`Log::finish_owed`] or the
    /// next change of the log that succeeds, or by the next opening of the directory. Do not append it again.
    ///
    /// # Panics
    /// If it was prepared in another log.
    pub fn finish_batch(&mut self, written: WrittenBatch) -> Result<Appended, AppendError> {
        if let Some((entry, token)) = written.log {
            assert!(
                Arc::ptr_eq(&entry, &self.entry),
                "a batch of {} is finished in {}",
                entry.name,
                self.name()
            );
            drop(token);
        }
        self.check_free()?;
        Ok(written.appended)
    }

    /// Writes and shows the log's part of an append to several that has ended, if that was left: because its segment did
    /// not take it, or because nobody called [`Log::finish_batch`]. Until then the journal needs everything that came after
    /// it too, so that it fills up in the end; a log that nobody changes should therefore try this from time to time.
    ///
    /// # Errors
    /// `Disk`, `Offline`, `Broken`: it is still left. `Busy` while the append has not ended.
    pub fn finish_owed(&mut self) -> Result<(), ChangeError> {
        self.check_free()
    }

    /// Whether the log takes nothing since it has its part in an append to several that has not ended.
    pub fn is_busy(&self) -> bool {
        self.reserved.as_ref().is_some_and(|reserved| reserved.token.strong_count() > 0)
    }

    /// Ends what was prepared and has ended: written to the segment if it is durable, forgotten if not.
    ///
    /// # Errors
    /// `Busy` while it has not ended, or the disk's; any of [`Log::check`].
    pub(super) fn check_free(&mut self) -> Result<(), ChangeError> {
        self.check()?;
        if self.is_busy() {
            return Err(ChangeError::Busy);
        }
        let Some(reserved) = self.reserved.take() else { return Ok(()) };
        if !self.dir.journal.is_ahead(self.id()) {
            return Ok(());
        }
        let applied = self.remove_rest().and_then(|()| self.put(&reserved.accepted));
        if let Err(error) = applied {
            self.reserved = Some(reserved);
            return Err(error.into());
        }
        let active = self.active().clone();
        self.dir.journal.applied(self.id(), &active);
        // All of it is the journal's business now.
        self.pending.clear();
        self.positions.durable_end = self.positions.log_end;
        self.follow_own_watermark();
        self.publish();
        self.decided = self.positions.last_stable;
        self.publish();
        Ok(())
    }

    /// Nobody will hear of what was prepared: it is void unless it is in the journal already.
    pub(super) fn give_up_place(&mut self) {
        if self.reserved.take().is_some() {
            self.dir.journal.void(&self.entry);
        }
    }
}

impl From<AheadError> for BatchesError {
    fn from(error: AheadError) -> BatchesError {
        match error {
            AheadError::Void => BatchesError::Closed,
            AheadError::TooLarge { size, max } => BatchesError::TooLarge { size, max },
            AheadError::Journal(JournalError::Offline(offline)) => BatchesError::Offline(offline),
            AheadError::Journal(JournalError::Disk(error)) => BatchesError::Disk(error.to_string()),
        }
    }
}

/// Of a log whose batch lies in the journal only: whoever had it open has let it go.
pub(super) fn left_ahead() -> io::Error {
    io::Error::other("an append to several logs was not finished in it; open the directory again")
}

impl fmt::Debug for PreparedBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedBatch").field("appended", &self.appended).finish_non_exhaustive()
    }
}

impl fmt::Debug for BatchesJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchesJob").field("parts", &self.parts).finish()
    }
}

impl fmt::Debug for WrittenBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WrittenBatch").field("appended", &self.appended).finish_non_exhaustive()
    }
}
