//! A clean stop of one log.

use std::sync::atomic::Ordering;

use highwater_records::TimestampMs;

use super::{ChangeError, Log};
use crate::disk::Disk;

impl Log {
    /// Ends the use of the log in order: producer snapshot at the log end, indexes and batches synced, so that it
    /// opens without recovery. Waits for syncs. After an error the log counts as not closed: it is recovered when it
    /// is opened again.
    ///
    /// # Errors
    /// The disk's, or when the directory is offline.
    pub fn close(mut self, now: TimestampMs) -> Result<(), ChangeError> {
        self.gate.pass();
        self.check_free()?;
        if self.as_opened && !self.epochs_dirty {
            self.entry.state.lock().dirty = false;
            return Ok(());
        }
        self.remove_rest()?;
        self.expire_producers(now);
        let end = self.positions.log_end;
        let directory = self.path().to_owned();
        let mut files = self.write_snapshot(end)?;
        files.extend(self.active().save_indexes(&self.dir.disk, &directory)?.files());
        let point = self.point_at_rest()?;
        files.extend(point.iter().map(|point| point.file.clone()));
        let health = self.dir.health().clone();
        let offline = |error| health.fail("a sync failed", &error);
        let truncations = self.entry.truncations.load(Ordering::Acquire);
        let journaled = self.dir.journal.unsettled(self.id());
        for segment in self.pending.segments.iter().chain(&journaled) {
            segment.sync().map_err(offline)?;
        }
        self.active().sync().map_err(offline)?;
        for file in files.iter().chain(&self.pending.snapshots) {
            file.sync_data().map_err(offline)?;
        }
        self.write_epochs()?;
        if let Some(point) = point {
            point.name(&*self.dir.disk)?;
        }
        self.dir.disk.sync_dir(&directory).map_err(offline)?;
        let floor = self.dir.journal.submit_floor(&self.entry, truncations, end);
        if let Some(place) = floor {
            self.dir.journal.wait(place)?;
        }
        self.pending.clear();
        self.positions.durable_end = end;
        self.follow_own_watermark();
        self.publish();
        let mut state = self.entry.state.lock();
        state.dirty = false;
        state.settled = true;
        Ok(())
    }
}
