//! One segment: a file of batches and its indexes.

mod header;
mod recent;
mod walk;

use std::{
    io::{self, IoSlice},
    path::Path,
    sync::Arc,
};

use highwater_records::{Offset, TimestampMs};

pub(crate) use header::BatchHeader;
pub(crate) use recent::Boundary;
use recent::Recent;
pub(crate) use walk::{Depth, INDEXED_WINDOW, LARGE_WINDOW, SMALL_WINDOW, Step, Walk};

use crate::{
    disk::{Disk, DiskFile, FileSlot, KeepingDisk, Open, write_file},
    index::{AbortedTransaction, Index, OffsetEntry, TimeEntry, decode, sum_of},
    museum::{Bug, has},
    name::FileKind,
    sync::Mutex,
};

/// A segment, shared between the writer and its readers. Sealed ones never change.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) base: Offset,
    pub(crate) log: FileSlot,
    pub(crate) offset_index: Index<OffsetEntry>,
    pub(crate) time_index: Index<TimeEntry>,
    /// Empty, without files, where nothing was aborted.
    pub(crate) transaction_index: Index<AbortedTransaction>,
    /// Whether offsets may have no batch: Kafka's cleaner has been here.
    pub(crate) sparse: bool,
    /// The file that vouches for the transaction index, until it is synced.
    transaction_sum: Mutex<Option<Arc<dyn DiskFile>>>,
    grown: Mutex<Grown>,
}

/// How far it has.
#[derive(Debug)]
struct Grown {
    facts: Facts,
    /// Its newest batches, as long as there may be newer ones.
    recent: Option<Box<Recent>>,
}

/// What changes as a segment grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Bytes of whole batches.
    pub(crate) size: u64,
    /// Where the next batch begins.
    pub(crate) next_offset: Offset,
    /// The largest timestamp, and the last offset of the first batch that has it.
    pub(crate) max_timestamp: Option<(TimestampMs, Offset)>,
    /// Of the first batch: its largest timestamp, which decides when to roll.
    pub(crate) first_timestamp: Option<TimestampMs>,
    /// Log bytes since the last index entry.
    pub(crate) bytes_since_entry: u64,
    /// When the first batch was appended, by the broker's clock.
    pub(crate) first_append: Option<TimestampMs>,
}

impl Facts {
    pub(crate) const fn empty(base: Offset) -> Facts {
        Facts {
            size: 0,
            next_offset: base,
            max_timestamp: None,
            first_timestamp: None,
            bytes_since_entry: 0,
            first_append: None,
        }
    }

    /// Adds a batch at the end and says which index entries it calls for.
    pub(crate) fn add(&mut self, base: Offset, batch: &BatchHeader, interval_bytes: u32) -> Entries {
        let mut entries = Entries::default();
        if self.bytes_since_entry > u64::from(interval_bytes) {
            entries.offset = offset_entry(base, batch.last_offset, self.size);
            entries.time = self.time_entry(base);
            self.bytes_since_entry = 0;
        }
        if self.size == 0 {
            self.first_timestamp = batch.max_timestamp;
        }
        if let Some(timestamp) = batch.max_timestamp
            && self.max_timestamp.is_none_or(|(largest, _)| timestamp > largest)
        {
            self.max_timestamp = Some((timestamp, batch.last_offset));
        }
        self.size += batch.size;
        self.bytes_since_entry += batch.size;
        self.next_offset = batch.next_offset;
        entries
    }

    /// The entry that tells the largest timestamp so far.
    pub(crate) fn time_entry(&self, base: Offset) -> Option<TimeEntry> {
        let (timestamp, offset) = self.max_timestamp?;
        let relative = u32::try_from(offset.since(base)).ok()?;
        Some(TimeEntry { timestamp: timestamp.0, relative })
    }
}

/// Index entries that a batch calls for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Entries {
    pub(crate) offset: Option<OffsetEntry>,
    /// Of what came before the batch.
    pub(crate) time: Option<TimeEntry>,
}

pub(crate) fn offset_entry(base: Offset, last_offset: Offset, position: u64) -> Option<OffsetEntry> {
    let relative = u32::try_from(last_offset.since(base)).ok()?;
    Some(OffsetEntry { relative, position: u32::try_from(position).ok()? })
}

impl Segment {
    /// Creates an empty segment, replacing whatever unreadable rest has its name. Its name is not durable yet.
    pub(crate) fn create(disk: &Arc<KeepingDisk>, directory: &Path, base: Offset) -> io::Result<Segment> {
        let log = slot(disk, directory, FileKind::Log, base);
        let file = disk.open(log.path(), Open::Create)?;
        file.set_len(0)?;
        log.set(file);
        Ok(Segment::open(log, Index::growing(vec![]), Index::growing(vec![]), base, Facts::empty(base)))
    }

    pub(crate) fn open(
        log: FileSlot,
        offset_index: Index<OffsetEntry>,
        time_index: Index<TimeEntry>,
        base: Offset,
        facts: Facts,
    ) -> Segment {
        Segment {
            base,
            log,
            offset_index,
            time_index,
            transaction_index: Index::growing(Vec::new()),
            sparse: false,
            transaction_sum: Mutex::new(None),
            grown: Mutex::new(Grown { facts, recent: None }),
        }
    }

    /// The same segment, in which offsets may have no batch if `sparse`.
    pub(crate) fn sparse(self, sparse: bool) -> Segment {
        Segment { sparse, ..self }
    }

    /// Of a sealed segment: offsets without a batch follow its last one, up to `next_base`.
    pub(crate) fn end_at(&self, next_base: Offset) {
        self.grown.lock().facts.next_offset = next_base;
    }

    /// Whether a batch may begin at `found` where `due` is due.
    pub(crate) fn in_turn(&self, due: Offset, found: Offset) -> bool {
        found == due || (self.sparse && found > due)
    }

    pub(crate) fn facts(&self) -> Facts {
        self.grown.lock().facts
    }

    /// Appends a batch to the page cache. On an error the segment is as before, but bytes may lie behind its end.
    pub(crate) fn append(
        &self,
        slices: &[IoSlice<'_>],
        header: &BatchHeader,
        after: Facts,
    ) -> io::Result<()> {
        let position = after.size - header.size;
        debug_assert_eq!(position, self.facts().size);
        self.log.get_to_write()?.write_at(slices, position)?;
        let mut grown = self.grown.lock();
        grown.facts = after;
        grown.recent.get_or_insert_with(|| Box::new(Recent::new(self.base))).push(position, header);
        Ok(())
    }

    /// Where the batch that holds `offset` begins and ends, if it is one of the newest.
    pub(crate) fn recent_holding(&self, offset: Offset) -> Option<(Boundary, Boundary)> {
        self.grown.lock().recent.as_ref()?.holding(offset)
    }

    /// The last end of a batch that lies neither behind `position` nor above `offset`, if it is one of the newest.
    pub(crate) fn recent_within(&self, position: u64, offset: Offset) -> Option<Boundary> {
        self.grown.lock().recent.as_ref()?.last_within(position, offset)
    }

    /// Gives up the memory of its newest batches, unless some were appended since this was last asked: they are found like
    /// all others then.
    pub(crate) fn rest(&self) {
        let mut grown = self.grown.lock();
        if grown.recent.as_mut().is_some_and(|recent| !recent.grew()) {
            grown.recent = None;
        }
    }

    pub(crate) fn push(&self, entries: Entries) {
        if let Some(entry) = entries.offset {
            self.offset_index.push(entry);
        }
        if let Some(entry) = entries.time {
            self.time_index.push(entry);
        }
    }

    /// Where a walk that looks for what lies at or above `offset` may begin: at a batch below it that the index knows, or at
    /// the segment's first.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn position_before(&self, walk: &mut Walk<'_>, offset: Offset) -> io::Result<u64> {
        if offset > self.base
            && let relative = offset.since(self.base)
            && let Some(entry) = self.offset_index.last_where(|entry| u64::from(entry.relative) < relative)?
            && let Step::Batch(header) = walk.at(u64::from(entry.position), Depth::Headers)?
            && header.last_offset.since(self.base) == u64::from(entry.relative)
        {
            return Ok(u64::from(entry.position));
        }
        Ok(0)
    }

    /// Removes bytes behind the segment's end.
    pub(crate) fn cut_back(&self) -> io::Result<()> {
        let size = self.facts().size;
        self.log.get_to_write()?.set_len(size)
    }

    /// Writes the indexes to their files, for good; the page cache only. On an error they stay in memory.
    pub(crate) fn seal(&self, disk: &Arc<KeepingDisk>, directory: &Path) -> io::Result<()> {
        let SavedIndexes { offsets, times, transactions } = self.save_indexes(disk, directory)?;
        // The files stay open until they are synced, whatever happens to their names.
        let at = |kind, file| slot(disk, directory, kind, self.base).holding(file);
        self.offset_index.seal(at(FileKind::OffsetIndex, offsets));
        self.time_index.seal(at(FileKind::TimeIndex, times));
        self.grown.lock().recent = None;
        self.sealed_transactions(disk, directory, transactions);
        Ok(())
    }

    /// Writes the transaction index to its files, for good; the page cache only.
    pub(crate) fn seal_transactions(&self, disk: &Arc<KeepingDisk>, directory: &Path) -> io::Result<()> {
        let saved = self.save_transactions(disk, directory)?;
        self.sealed_transactions(disk, directory, saved);
        Ok(())
    }

    fn sealed_transactions(
        &self,
        disk: &Arc<KeepingDisk>,
        directory: &Path,
        saved: Option<[Arc<dyn DiskFile>; 2]>,
    ) {
        if let Some([index, sum]) = saved {
            let file = slot(disk, directory, FileKind::TransactionIndex, self.base).holding(index);
            self.transaction_index.seal(file);
            *self.transaction_sum.lock() = Some(sum);
        }
    }

    /// Writes the indexes to their files as they are now; the page cache only.
    pub(crate) fn save_indexes(&self, disk: &Arc<KeepingDisk>, directory: &Path) -> io::Result<SavedIndexes> {
        if let Some(entry) = self.facts().time_entry(self.base) {
            self.time_index.push(entry);
        }
        let path = |kind: FileKind| directory.join(kind.at(self.base));
        let offsets = self.offset_index.save(&**disk, &path(FileKind::OffsetIndex))?;
        let times = self.time_index.save(&**disk, &path(FileKind::TimeIndex))?;
        let transactions = self.save_transactions(disk, directory)?;
        Ok(SavedIndexes { offsets, times, transactions })
    }

    /// Writes the transaction index and what vouches for it, unless it is empty.
    fn save_transactions(
        &self,
        disk: &Arc<KeepingDisk>,
        directory: &Path,
    ) -> io::Result<Option<[Arc<dyn DiskFile>; 2]>> {
        if self.transaction_index.len() == 0 {
            return Ok(None);
        }
        let path = |kind: FileKind| directory.join(kind.at(self.base));
        let index = self.transaction_index.save(&**disk, &path(FileKind::TransactionIndex))?;
        let sum = sum_of(&self.transaction_index.bytes()?);
        Ok(Some([index, write_file(&**disk, &path(FileKind::TransactionSum), &sum)?]))
    }

    /// Whether it grows no more.
    pub(crate) fn is_sealed(&self) -> bool {
        self.offset_index.is_sealed() && self.time_index.is_sealed()
    }

    /// Closes the files of a sealed segment, which has been synced; they are opened again when they are read.
    pub(crate) fn release(&self) {
        self.log.close();
        self.offset_index.close();
        self.time_index.close();
        self.transaction_index.close();
    }

    /// Whether it keeps descriptors until [`Segment::release`].
    pub(crate) fn is_held(&self) -> bool {
        self.log.is_written()
            || self.offset_index.is_written()
            || self.time_index.is_written()
            || self.transaction_index.is_written()
    }

    /// Another segment takes the names of its files: who reads it goes on with what is open.
    pub(crate) fn retire(&self) {
        self.log.retire();
        self.offset_index.retire();
        self.time_index.retire();
        self.transaction_index.retire();
    }

    /// The same segment, cut to `facts` and growing again.
    pub(crate) fn reopened(
        &self,
        disk: &Arc<KeepingDisk>,
        directory: &Path,
        facts: Facts,
    ) -> io::Result<Segment> {
        let end = facts.next_offset.since(self.base);
        let mut offsets: Vec<OffsetEntry> = decode(&self.offset_index.bytes()?).unwrap_or_default();
        offsets.retain(|entry| u64::from(entry.relative) < end && u64::from(entry.position) < facts.size);
        let mut times: Vec<TimeEntry> = decode(&self.time_index.bytes()?).unwrap_or_default();
        times.retain(|entry| u64::from(entry.relative) < end);
        let mut aborted: Vec<AbortedTransaction> =
            decode(&self.transaction_index.bytes()?).unwrap_or_default();
        aborted.retain(|transaction| {
            transaction.last_offset < facts.next_offset || has(Bug::AbortsOutliveTruncation)
        });
        let log = slot(disk, directory, FileKind::Log, self.base);
        let segment = Segment::open(log, Index::growing(offsets), Index::growing(times), self.base, facts);
        segment.transaction_index.set(Index::growing(aborted));
        segment.grown.lock().recent =
            self.grown.lock().recent.as_ref().map(|recent| Box::new(recent.cut_at(facts.size)));
        Ok(segment.sparse(self.sparse))
    }

    /// Makes the batches, and the indexes of a sealed segment, durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.log.get()?.sync_data()?;
        self.offset_index.sync()?;
        self.time_index.sync()?;
        self.transaction_index.sync()?;
        let sum = self.transaction_sum.lock().clone();
        if let Some(sum) = sum {
            sum.sync_data()?;
            *self.transaction_sum.lock() = None;
        }
        Ok(())
    }
}

/// The files that a segment's indexes were written to; not durable.
pub(crate) struct SavedIndexes {
    pub(crate) offsets: Arc<dyn DiskFile>,
    pub(crate) times: Arc<dyn DiskFile>,
    /// The transaction index and what vouches for it, where anything was aborted.
    pub(crate) transactions: Option<[Arc<dyn DiskFile>; 2]>,
}

impl SavedIndexes {
    pub(crate) fn files(self) -> impl Iterator<Item = Arc<dyn DiskFile>> {
        [self.offsets, self.times].into_iter().chain(self.transactions.into_iter().flatten())
    }
}

pub(crate) fn slot(disk: &Arc<KeepingDisk>, directory: &Path, kind: FileKind, base: Offset) -> FileSlot {
    FileSlot::new(disk.clone(), directory.join(kind.at(base)))
}
