//! Beginning a new segment.

use std::{io, sync::Arc};

use highwater_records::{Offset, TimestampMs};

use super::{ChangeError, Log};
use crate::{
    disk::{Disk, DiskFile, write_file},
    index::{IndexEntry, OffsetEntry, TimeEntry},
    name::FileKind,
    producer::{encode_kafka, encode_window},
    segment::{BatchHeader, Segment},
};

impl Log {
    /// Seals the active segment and begins a new one, unless it is empty. Syncs nothing: the old segment is part of
    /// the next commit. Returns whether it did.
    ///
    /// # Errors
    /// The disk's; the log is as it was.
    pub fn roll(&mut self, now: TimestampMs) -> Result<bool, ChangeError> {
        self.check_free()?;
        if self.active().facts().size == 0 {
            return Ok(false);
        }
        self.roll_active(now)?;
        self.publish();
        Ok(true)
    }

    /// When the active segment is due to be rolled by time, or `None` if it is empty. The caller rolls once that time
    /// has come, so that a log that nobody writes to is rolled too.
    pub fn roll_due(&self) -> Option<TimestampMs> {
        let facts = self.active().facts();
        let after_ms = i64::try_from(self.config.segment_max_ms()).unwrap_or(i64::MAX);
        (facts.size > 0).then_some(())?;
        Some(TimestampMs(facts.first_append?.0.saturating_add(after_ms)))
    }

    /// Whether the active segment must be sealed before this batch: Kafka's rules, and the broker's clock.
    pub(super) fn roll_before(&self, batch: &BatchHeader, now: TimestampMs) -> bool {
        let (base, facts) = (self.active().base, self.active().facts());
        if batch.last_offset.since(base) > i32::MAX as u64 {
            return true;
        }
        if facts.size == 0 {
            return false;
        }
        let older_than = |from: Option<TimestampMs>, to: Option<TimestampMs>| match (from, to) {
            (Some(from), Some(to)) => {
                u64::try_from(to.0.saturating_sub(from.0)).is_ok_and(|age| age > self.config.segment_max_ms())
            }
            _ => false,
        };
        facts.size + batch.size > u64::from(self.config.segment_bytes)
            || older_than(facts.first_timestamp, batch.max_timestamp)
            || older_than(facts.first_append, Some(now))
            || self.indexes_full()
    }

    fn indexes_full(&self) -> bool {
        let bytes = u64::from(self.config.segment_index_bytes);
        let active = self.active();
        active.offset_index.len() >= bytes / OffsetEntry::SIZE as u64
            // One entry is kept for the seal.
            || active.time_index.len() + 1 >= bytes / TimeEntry::SIZE as u64
    }

    /// Writes the page cache only. On an error the log is as it was; files may lie around that the next try
    /// replaces.
    pub(super) fn roll_active(&mut self, now: TimestampMs) -> io::Result<()> {
        self.remove_rest()?;
        self.as_opened = false;
        self.expire_producers(now);
        let base = self.positions.log_end;
        let snapshot = self.write_snapshot(base)?;
        let next = Segment::create(&self.dir.disk, self.path(), base)?;
        let active = self.active().clone();
        if let Err(error) = active.seal(&self.dir.disk, self.path()) {
            // The log goes on in the old segment, so the new one must not be there. Recovery removes it otherwise.
            let _ = self.dir.disk.remove_file(&self.path().join(FileKind::Log.at(base)));
            return Err(error);
        }
        // Its indexes are to be synced, even if its batches were.
        self.pending.touch(&active);
        self.pending.created(snapshot);
        self.points.rolled(active.base, base);
        Arc::make_mut(&mut self.segments).push(Arc::new(next));
        Ok(())
    }

    /// Writes the producers' state at the log end; not durable. Returns what to sync.
    pub(super) fn write_snapshot(&mut self, at: Offset) -> io::Result<Vec<Arc<dyn DiskFile>>> {
        let disk = &*self.dir.disk;
        let window = self.path().join(FileKind::Producers.at(at));
        let mut files = Vec::new();
        if !self.producers.producers.is_empty() {
            files.push(write_file(disk, &window, &encode_window(&self.producers))?);
        }
        let kafka = self.path().join(FileKind::Snapshot.at(at));
        files.push(write_file(disk, &kafka, &encode_kafka(&self.producers))?);
        self.snapshots.insert(at);
        Ok(files)
    }
}
