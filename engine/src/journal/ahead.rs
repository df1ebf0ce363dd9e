//! Batches that are in the journal before they are in their segments, so that several logs have all of them or none.

use std::sync::{Arc, atomic::Ordering};

use highwater_records::{Offset, TopicIdPartition};

use super::{
    Appended, Journal, JournalError, Place,
    entry::{Change, Entry},
};
use crate::{directory::LogEntry, segment::Segment};

/// One log's part of such a group.
pub(crate) struct Ahead {
    pub(crate) entry: Arc<LogEntry>,
    /// How often the log had been truncated when the places of its batches were chosen.
    pub(crate) truncations: u64,
    /// First offset of its batches: its segments end here.
    pub(crate) from: Offset,
    pub(crate) appended: Appended,
}

/// Why none of it was written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AheadError {
    /// One of the logs was truncated, closed or deleted meanwhile.
    #[error("one of the logs has changed")]
    Void,
    /// More than a group takes.
    #[error("{size} bytes are more than the {max} that the journal takes at once")]
    TooLarge { size: u64, max: u64 },
    /// The journal's. If it went offline, whether it was written is unknown.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl Journal {
    /// Makes batches of several logs durable, all of them or none, before they are in their segments. Until
    /// [`Journal::applied`] is told of each, no floor covers it.
    ///
    /// # Errors
    /// [`AheadError`].
    pub(crate) fn write_ahead(&self, parts: Vec<Ahead>) -> Result<(), AheadError> {
        let logs: Vec<TopicIdPartition> = parts.iter().map(|part| part.entry.id()).collect();
        let place = self.submit_ahead(parts)?;
        match self.wait(place) {
            Err(JournalError::Disk(error)) if self.withdraw(place, &logs)? => {
                Err(JournalError::Disk(error).into())
            }
            // Somebody else has written it after all.
            Err(JournalError::Disk(_)) | Ok(()) => Ok(()),
            Err(offline) => Err(offline.into()),
        }
    }

    fn submit_ahead(&self, parts: Vec<Ahead>) -> Result<Place, AheadError> {
        let mut logs = self.tracked.lock();
        if parts.iter().any(|part| part.entry.truncations.load(Ordering::Acquire) != part.truncations) {
            return Err(AheadError::Void);
        }
        let batches = parts.iter().map(|part| {
            let log = part.entry.id();
            part.appended.batches.iter().map(move |batch| Entry { log, change: Change::Batch(batch.clone()) })
        });
        let entries: Vec<Entry> = batches.flatten().collect();
        let size = entries.iter().map(|entry| entry.encoded_len() as u64).sum();
        let max = self.group_bytes();
        if size > max {
            return Err(AheadError::TooLarge { size, max });
        }
        for part in parts {
            part.entry.journaled.store(true, Ordering::Release);
            let tracked = logs.track(&part.entry);
            tracked.add(&part.appended.segments);
            tracked.snapshots.extend(part.appended.snapshots);
            tracked.names += part.appended.names;
            tracked.ahead = Some(part.from);
        }
        Ok(self.put(entries))
    }

    /// Takes back what waits and cannot be written. False if it was written meanwhile.
    ///
    /// # Errors
    /// `Offline`: nobody knows whether it was.
    fn withdraw(&self, place: Place, logs: &[TopicIdPartition]) -> Result<bool, JournalError> {
        let writer = self.quiet()?;
        if writer.written >= place {
            return Ok(false);
        }
        let mut tracked = self.tracked.lock();
        // Nothing is in flight now, so whatever is not written waits.
        let at = (place.0 - writer.written.0 - 1) as usize;
        if let Some(entries) = self.queue.lock().waiting.get_mut(at) {
            // Its place stays: others are counted from it.
            entries.clear();
        }
        for log in logs {
            if let Some(tracked) = tracked.logs.get_mut(log) {
                tracked.ahead = None;
            }
        }
        Ok(true)
    }

    /// Whether the journal has, or is about to have, batches of a log that were not in its segments when this was asked.
    pub(crate) fn is_ahead(&self, log: TopicIdPartition) -> bool {
        self.tracked.lock().logs.get(&log).is_some_and(|tracked| tracked.ahead.is_some())
    }

    /// Whether it is ahead of any log.
    pub(super) fn is_ahead_of_any(&self) -> bool {
        self.tracked.lock().logs.values().any(|tracked| tracked.ahead.is_some())
    }

    /// Notes that what was ahead lies in this segment now.
    pub(crate) fn applied(&self, log: TopicIdPartition, segment: &Arc<Segment>) {
        if let Some(tracked) = self.tracked.lock().logs.get_mut(&log) {
            tracked.ahead = None;
            // A floor may have let go of it while nothing in it was newer.
            tracked.add(std::slice::from_ref(segment));
        }
    }

    /// What was prepared for this log is not to be written any more, unless it is already.
    pub(crate) fn void(&self, entry: &LogEntry) {
        let _logs = self.tracked.lock();
        entry.truncations.fetch_add(1, Ordering::AcqRel);
    }
}
