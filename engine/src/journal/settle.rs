//! Making room: segments are synced, floors say so, extents are free.

use std::sync::{Arc, Weak, atomic::Ordering};

use super::{Journal, JournalError, tracked::ToSettle};
use crate::{disk::Disk, segment::Segment};

impl Journal {
    /// Whether so much of it is in use that older logs should be settled.
    pub(crate) fn wants_settling(&self) -> bool {
        self.pressed.load(Ordering::Acquire)
    }

    /// Syncs every log that has something here and nowhere else.
    ///
    /// # Errors
    /// [`JournalError`].
    pub(crate) fn settle_all(&self) -> Result<(), JournalError> {
        let _turn = self.settling.lock();
        let newest = self.writer.lock().extents.sequence();
        self.settle_up_to(newest, 0)
    }

    /// Like [`Journal::settle_all`]. Returns whether there is a free extent afterwards.
    ///
    /// # Errors
    /// [`JournalError`].
    pub(super) fn make_room(&self) -> Result<bool, JournalError> {
        let _turn = self.settling.lock();
        let newest = self.writer.lock().extents.sequence();
        self.write_down(newest);
        self.settle_up_to(newest, newest)?;
        Ok(self.writer.lock().extents.has_free())
    }

    /// Syncs the logs that keep the older half of it in use. Returns whether there is a free extent afterwards.
    ///
    /// # Errors
    /// [`JournalError`].
    pub(crate) fn settle_older(&self) -> Result<bool, JournalError> {
        {
            let _turn = self.settling.lock();
            let middle = {
                let writer = self.writer.lock();
                writer.oldest + (writer.extents.sequence() - writer.oldest) / 2
            };
            self.write_down(middle);
            self.settle_up_to(middle, middle)?;
        }
        let mut writer = self.writer.lock();
        writer.extents.make_spare()?;
        self.pressed.store(writer.extents.half_full(), Ordering::Release);
        Ok(writer.extents.has_free())
    }

    /// Has the checkpoints say what only floors in the extents up to this one do. Where it cannot, for want of room, or of a
    /// commit that has not heard yet how it ended, they are said again.
    fn write_down(&self, up_to: u64) {
        if !self.tracked.lock().is_said_in(up_to) {
            return;
        }
        if let Some(directory) = self.directory.get().and_then(Weak::upgrade)
            && let Err(error) = directory.write_checkpoint_files()
        {
            tracing::warn!(%directory, %error, "the checkpoints could not be written");
        }
    }

    fn settle_up_to(&self, up_to: u64, said_up_to: u64) -> Result<(), JournalError> {
        self.health.check()?;
        let work = self.tracked.lock().to_settle(up_to, said_up_to);
        let mut sealed = Vec::new();
        for one in &work {
            sealed.push(self.sync(one)?);
        }
        self.write_floors(&work)?;
        let mut logs = self.tracked.lock();
        for (one, sealed) in work.iter().zip(sealed) {
            if one.entry.truncations.load(Ordering::Acquire) != one.truncations {
                continue;
            }
            let still = logs.synced(one);
            for segment in sealed {
                if !still.iter().any(|unsynced| Arc::ptr_eq(unsynced, &segment)) {
                    segment.release();
                }
            }
        }
        Ok(())
    }

    fn write_floors(&self, mut work: &[ToSettle]) -> Result<(), JournalError> {
        loop {
            let Some((floors, done)) = self.quiet()?.begin_floors(work, &self.tracked)? else {
                return Ok(());
            };
            self.write_alone(floors)?;
            work = &work[done..];
            if work.is_empty() {
                return Ok(());
            }
        }
    }

    /// Syncs what one log has. Returns the segments that were sealed before, which nobody needs open.
    fn sync(&self, one: &ToSettle) -> Result<Vec<Arc<Segment>>, JournalError> {
        let sealed = one.segments.iter().filter(|segment| segment.is_sealed()).cloned().collect();
        match sync_files(&*self.disk, one) {
            Ok(()) => Ok(sealed),
            // Truncated or deleted meanwhile: files are gone, and with them what was to be synced.
            Err(_) if one.entry.truncations.load(Ordering::Acquire) != one.truncations => Ok(Vec::new()),
            Err(error) => Err(self.health.fail("a sync failed", &error).into()),
        }
    }

    /// Ends the journal: nothing is in it that is needed, and nothing is left of it on the disk. It stays where it is if it
    /// has batches that their segments do not have: the next opening replays them. Returns whether it is gone.
    ///
    /// # Errors
    /// [`JournalError`].
    pub(crate) fn retire(&self) -> Result<bool, JournalError> {
        self.settle_all()?;
        if self.is_ahead_of_any() {
            return Ok(false);
        }
        let Some(last) = self.quiet()?.begin_last(&self.tracked) else { return Ok(true) };
        self.write_alone(last)?;
        self.writer.lock().remove()?;
        Ok(true)
    }
}

fn sync_files(disk: &dyn Disk, one: &ToSettle) -> std::io::Result<()> {
    for segment in &one.segments {
        segment.sync()?;
    }
    for snapshot in &one.snapshots {
        snapshot.sync_data()?;
    }
    if one.names > 0 {
        disk.sync_dir(&one.entry.path)?;
    }
    Ok(())
}
