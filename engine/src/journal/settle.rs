//! Making room: segments are synced, floors say so, extents are free.

use std::sync::{Arc, Weak, atomic::Ordering};

use super::{
    Journal, JournalError,
    tracked::ToSettle,
    writer::{Floors, Writer},
};
use crate::{disk::Disk, segment::Segment, sync::MutexGuard};

/// Of those who settle logs or make extents there is one at a time.
type Turn<'a> = MutexGuard<'a, ()>;

/// When something is done ahead of need, in hundredths.
#[derive(Clone, Copy)]
struct Marks {
    /// Of the current extent: the next one is made.
    extent: u64,
    /// Of all of them: older logs are settled.
    settling: u32,
}

/// Somebody in the background is asked.
const DUE: Marks = Marks { extent: 50, settling: 50 };
/// Nobody came: one of those who commit does it.
const LATE: Marks = Marks { extent: 75, settling: 75 };

impl Marks {
    fn wants_extent(self, writer: &Writer) -> bool {
        writer.wants_extent(self.extent)
    }

    fn wants_settling(self, writer: &Writer) -> bool {
        writer.extents.is_taken(self.settling)
    }
}

impl Journal {
    /// Whether so much of it is in use that older logs should be settled, or its next extent be made.
    pub(crate) fn wants_relief(&self) -> bool {
        self.pressed.load(Ordering::Acquire)
    }

    /// Makes the next extent, and settles the older half, where either is due.
    ///
    /// # Errors
    /// [`JournalError`].
    pub(crate) fn relieve(&self) -> Result<(), JournalError> {
        let turn = self.settling.lock();
        self.relieve_in_turn(&turn, DUE)
    }

    /// The same, by one who has written a group and would have nothing else to do, where nobody else has come to it in time:
    /// else all would wait for it soon. What fails here fails again where it is needed.
    pub(super) fn relieve_late(&self) {
        if let Some(turn) = self.settling.try_lock() {
            let _ = self.relieve_in_turn(&turn, LATE);
        }
    }

    /// Whether it is late: see [`Journal::relieve_late`].
    pub(super) fn is_late(writer: &Writer) -> bool {
        LATE.wants_extent(writer) || LATE.wants_settling(writer)
    }

    /// Notes whether somebody should come.
    pub(super) fn note_pressure(&self, writer: &Writer) {
        self.pressed.store(DUE.wants_extent(writer) || DUE.wants_settling(writer), Ordering::Release);
    }

    fn relieve_in_turn(&self, turn: &Turn<'_>, when: Marks) -> Result<(), JournalError> {
        if when.wants_extent(&self.writer.lock()) {
            self.make_extent(turn)?;
        }
        if when.wants_settling(&self.writer.lock()) {
            self.settle_half(turn)?;
        }
        self.note_pressure(&self.writer.lock());
        Ok(())
    }

    /// Makes the extent that is needed now, unless somebody else has.
    ///
    /// # Errors
    /// The disk's.
    pub(super) fn make_needed(&self) -> Result<(), JournalError> {
        self.make_extent(&self.settling.lock())
    }

    /// Makes one extent, if none is free. Nobody waits for it but those who need it.
    fn make_extent(&self, _: &Turn<'_>) -> Result<(), JournalError> {
        let spare = self.writer.lock().extents.spare();
        if let Some(spare) = spare {
            let extent = spare.make()?;
            self.writer.lock().extents.add(extent);
        }
        Ok(())
    }

    /// Syncs every log that has something here and nowhere else.
    ///
    /// # Errors
    /// [`JournalError`].
    pub(crate) fn settle_all(&self) -> Result<(), JournalError> {
        let turn = self.settling.lock();
        let newest = self.writer.lock().extents.sequence();
        self.settle_up_to(&turn, newest, 0)
    }

    /// Like [`Journal::settle_all`]. Returns whether there is a free extent afterwards.
    ///
    /// # Errors
    /// [`JournalError`].
    pub(super) fn make_room(&self) -> Result<bool, JournalError> {
        let turn = self.settling.lock();
        let newest = self.writer.lock().extents.sequence();
        self.write_down(newest);
        self.settle_up_to(&turn, newest, newest)?;
        Ok(self.writer.lock().extents.has_free())
    }

    /// Syncs the logs that keep the older half of it in use. Returns whether there is a free extent afterwards.
    ///
    /// # Errors
    /// [`JournalError`].
    pub(crate) fn settle_older(&self) -> Result<bool, JournalError> {
        let turn = self.settling.lock();
        self.settle_half(&turn)?;
        self.make_extent(&turn)?;
        let writer = self.writer.lock();
        self.note_pressure(&writer);
        Ok(writer.extents.has_free())
    }

    fn settle_half(&self, turn: &Turn<'_>) -> Result<(), JournalError> {
        let middle = {
            let writer = self.writer.lock();
            writer.oldest + (writer.extents.sequence() - writer.oldest) / 2
        };
        self.write_down(middle);
        self.settle_up_to(turn, middle, middle)
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

    fn settle_up_to(&self, turn: &Turn<'_>, up_to: u64, said_up_to: u64) -> Result<(), JournalError> {
        self.health.check()?;
        let work = self.tracked.lock().to_settle(up_to, said_up_to);
        let mut sealed = Vec::new();
        for one in &work {
            sealed.push(self.sync(one)?);
        }
        self.write_floors(turn, &work)?;
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

    fn write_floors(&self, turn: &Turn<'_>, mut work: &[ToSettle]) -> Result<(), JournalError> {
        loop {
            // Its lock must be free again before anything is done about it.
            let begun = self.quiet()?.begin_floors(work, &self.tracked)?;
            match begun {
                Floors::None => return Ok(()),
                Floors::Unmade => self.make_extent(turn)?,
                Floors::Flight(floors, done) => {
                    self.write_alone(floors)?;
                    work = &work[done..];
                    if work.is_empty() {
                        return Ok(());
                    }
                }
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
        // Nobody makes an extent meanwhile.
        let _turn = self.settling.lock();
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
