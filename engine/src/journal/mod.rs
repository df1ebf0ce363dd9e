//! What makes appends to the synced logs of a directory durable with one write: `docs/format/journal.md`.

mod ahead;
mod entry;
mod extents;
mod flight;
mod frame;
mod look;
mod read;
mod replay;
mod settle;
mod tracked;
mod waiting;
mod writer;

use std::{
    collections::VecDeque,
    fmt, io,
    path::PathBuf,
    sync::{Arc, OnceLock, Weak, atomic::Ordering},
};

use highwater_records::{Offset, TopicId, TopicIdPartition};

pub(crate) use ahead::{Ahead, AheadError};
pub(crate) use entry::{Change, Entry, JournaledBatch};
pub(crate) use extents::is_extent;
#[cfg(test)]
pub(crate) use flight::Flight;
pub(crate) use look::{Looked, look};
#[cfg(test)]
pub(crate) use read::void_groups;
pub(crate) use replay::{Replayed, replay};

use crate::{
    directory::{Claim, Health, LogDir, LogEntry, Offline},
    disk::{Disk, DiskFile},
    segment::Segment,
    sync::{AtomicBool, Condvar, Mutex},
};
use flight::IN_FLIGHT;
use frame::{BLOCK, GROUP_HEAD, GROUP_MAX};
use tracked::TrackedLogs;
use writer::Writer;

/// How large a directory's journal may become: what [`LogDir::open_with`](crate::LogDir::open_with) is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalOptions {
    /// Bytes of all its files; at least [`JournalOptions::LEAST`], in whole extents. 0 for no journal:
    /// then a commit syncs the files it touched.
    pub max_bytes: u64,
    /// A commit with more bytes than this of one log syncs its files instead of writing them twice, and one that is run
    /// alone with more than an eighth of it; at most a quarter of an extent, which is a 64th of `max_bytes`.
    pub direct_bytes: u64,
}

impl JournalOptions {
    /// The smallest journal there is.
    pub const LEAST: u64 = 4 * SMALLEST_EXTENT;

    /// No journal. Right for a directory of one log: its commits have nothing to share.
    pub const fn none() -> JournalOptions {
        JournalOptions::of(0)
    }

    /// A journal of this size, else as by default.
    pub const fn of(max_bytes: u64) -> JournalOptions {
        JournalOptions { max_bytes, direct_bytes: DIRECT_BYTES }
    }

    fn extent_bytes(self) -> u64 {
        (self.max_bytes / 64).next_power_of_two().clamp(SMALLEST_EXTENT, 16 << 20)
    }

    fn max_extents(self) -> u32 {
        u32::try_from(self.max_bytes / self.extent_bytes()).unwrap_or(u32::MAX).max(4)
    }
}

impl Default for JournalOptions {
    /// 1 GiB, and 1 MiB.
    fn default() -> JournalOptions {
        JournalOptions::of(1 << 30)
    }
}

const SMALLEST_EXTENT: u64 = 32 << 10;
/// Up to here a second copy of what several logs commit together takes less time than a sync of each, even if these are
/// counted that come later; for one log up to an eighth of it. Measured by `benches/src/bin/many.rs`.
const DIRECT_BYTES: u64 = 1 << 20;

/// The most bytes of entries in a group of an extent of this size: its header and a block for the group that empties
/// the journal take the rest.
fn group_bytes(extent_bytes: u64) -> usize {
    GROUP_MAX.min(extent_bytes as usize - 2 * BLOCK) - GROUP_HEAD
}

/// Why something was not made durable by the journal.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JournalError {
    /// A write failed.
    #[error(transparent)]
    Offline(#[from] Offline),
    /// There is no room for it, on the disk or in the journal. Nothing was written.
    #[error(transparent)]
    Disk(#[from] io::Error),
}

/// A directory's journal. Begun when it is first needed.
///
/// Locks, in the order in which they are taken: `settling`, `writer`, `tracked`, `queue`; the directory's, for its
/// checkpoints, between the first two.
pub(crate) struct Journal {
    options: JournalOptions,
    disk: Arc<dyn Disk>,
    health: Arc<Health>,
    /// Whether more than half of the room is in use.
    pressed: AtomicBool,
    settling: Mutex<()>,
    writer: Mutex<Writer>,
    /// Who waits for a group, by its turn: those in flight and the next one have different ones.
    turns: [Condvar; IN_FLIGHT + 1],
    /// Who waits until nothing is in flight.
    quiet: Condvar,
    tracked: Mutex<TrackedLogs>,
    queue: Mutex<Queue>,
    /// Whose it is.
    directory: OnceLock<Weak<LogDir>>,
}

/// Entries that wait to be written.
#[derive(Debug, Default)]
struct Queue {
    /// Each becomes durable as a whole.
    waiting: VecDeque<Vec<Entry>>,
    /// How many were ever put in.
    submitted: u64,
}

/// A place in the queue; durable once everything up to it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(u64);

impl Journal {
    /// A journal that has nothing; `id` must be one that no other journal ever had.
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        root: PathBuf,
        options: JournalOptions,
        health: Arc<Health>,
        id: TopicId,
        claim: Claim,
    ) -> Journal {
        Journal {
            options,
            disk: disk.clone(),
            pressed: AtomicBool::new(false),
            writer: Mutex::new(Writer::new(disk, root, options, health.clone(), id, claim)),
            turns: std::array::from_fn(|_| Condvar::default()),
            quiet: Condvar::default(),
            health,
            settling: Mutex::default(),
            tracked: Mutex::default(),
            queue: Mutex::default(),
            directory: OnceLock::new(),
        }
    }

    /// Whether commits of synced logs use it.
    pub(crate) fn enabled(&self) -> bool {
        self.options.max_bytes > 0
    }

    /// The most bytes of batches of one log that one commit puts here.
    pub(crate) fn direct_bytes(&self) -> u64 {
        self.options.direct_bytes.min(self.options.extent_bytes() / 4)
    }

    /// The most bytes of entries that become durable together.
    pub(crate) fn group_bytes(&self) -> u64 {
        group_bytes(self.options.extent_bytes()) as u64
    }

    /// The most bytes of batches that a commit of one log alone puts here.
    pub(crate) fn alone_bytes(&self) -> u64 {
        self.direct_bytes() / 8
    }

    /// Takes a log's batches, which lie in these segments. `None` if the log was truncated since `truncations` was
    /// read: nothing of that is to be written any more.
    pub(crate) fn submit_batches(
        &self,
        entry: &Arc<LogEntry>,
        truncations: u64,
        appended: Appended,
    ) -> Option<Place> {
        let mut logs = self.tracked.lock();
        if entry.truncations.load(Ordering::Acquire) != truncations {
            return None;
        }
        entry.journaled.store(true, Ordering::Release);
        let tracked = logs.track(entry);
        tracked.add(&appended.segments);
        tracked.snapshots.extend(appended.snapshots);
        tracked.names += appended.names;
        let log = entry.id();
        let entries = appended.batches.into_iter().map(|batch| Entry { log, change: Change::Batch(batch) });
        Some(self.put(entries.collect()))
    }

    /// Notes that everything below `floor` is durable in the log's own files. `None` if the log was truncated since
    /// `truncations` was read, or nothing of any log is here.
    pub(crate) fn submit_floor(
        &self,
        entry: &Arc<LogEntry>,
        truncations: u64,
        floor: Offset,
    ) -> Option<Place> {
        let mut logs = self.tracked.lock();
        let begun = self.enabled() && entry.journaled.load(Ordering::Acquire);
        (begun && entry.truncations.load(Ordering::Acquire) == truncations).then(|| {
            logs.track(entry);
            self.put(vec![Entry { log: entry.id(), change: Change::Floor(floor) }])
        })
    }

    /// Makes a truncation or a new beginning durable, before any of it is done. What the log has submitted before is
    /// written before it; what it began to commit before is not written after it.
    ///
    /// # Errors
    /// [`JournalError`]; whether it counts is unknown then.
    pub(crate) fn change(&self, entry: &Arc<LogEntry>, change: Change) -> Result<(), JournalError> {
        let place = {
            let mut logs = self.tracked.lock();
            entry.truncations.fetch_add(1, Ordering::AcqRel);
            if !entry.journaled.load(Ordering::Acquire) {
                return Ok(());
            }
            if !matches!(change, Change::Delete) {
                logs.track(entry);
            }
            self.put(vec![Entry { log: entry.id(), change }])
        };
        self.wait(place)
    }

    /// Forgets a log that is being deleted.
    pub(crate) fn forget(&self, entry: &LogEntry) {
        let mut logs = self.tracked.lock();
        entry.truncations.fetch_add(1, Ordering::AcqRel);
        logs.logs.remove(&entry.id());
    }

    /// Notes, after a truncation, which segments a log still has. Whatever of it is durable here is durable in its files too.
    pub(crate) fn keep_only(&self, log: TopicIdPartition, segments: &[Arc<Segment>]) {
        if let Some(tracked) = self.tracked.lock().logs.get_mut(&log) {
            tracked.segments.retain(|known| segments.iter().any(|segment| Arc::ptr_eq(known, segment)));
        }
    }

    /// Notes up to where logs were promised, now that a checkpoint says so durably.
    pub(crate) fn written_down(&self, promised: impl Iterator<Item = (TopicIdPartition, Offset)>) {
        let mut logs = self.tracked.lock();
        for (log, promised) in promised {
            logs.written_down(log, promised);
        }
    }

    /// Has this directory write its checkpoints where floors would be forgotten that say what they do not.
    pub(crate) fn belongs_to(&self, directory: Weak<LogDir>) {
        let _ = self.directory.set(directory);
    }

    /// Segments of a log with bytes that are durable here and maybe nowhere else, oldest first.
    pub(crate) fn unsettled(&self, log: TopicIdPartition) -> Vec<Arc<Segment>> {
        self.tracked.lock().logs.get(&log).map(|tracked| tracked.segments.clone()).unwrap_or_default()
    }

    fn put(&self, entries: Vec<Entry>) -> Place {
        let mut queue = self.queue.lock();
        queue.waiting.push_back(entries);
        queue.submitted += 1;
        Place(queue.submitted)
    }
}

/// What a commit brings.
pub(crate) struct Appended {
    pub(crate) batches: Vec<JournaledBatch>,
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) snapshots: Vec<Arc<dyn DiskFile>>,
    pub(crate) names: u64,
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("options", &self.options).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
