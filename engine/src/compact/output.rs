//! A compacted segment while it is written.

use std::{
    io::{self, IoSlice},
    path::Path,
    sync::Arc,
};

use highwater_records::{LeaderEpoch, Offset, TimestampMs, batch::BatchView, batch::filler};

use crate::{
    disk::{Disk, DiskFile, FileSlot, KeepingDisk, Open, write_file},
    epochs::LeaderEpochs,
    index::{AbortedTransaction, Index, IndexEntry, OffsetEntry, TimeEntry, encode, sum_of},
    name::{CLEANED, FileKind},
    segment::{BatchHeader, Facts, Segment, slot},
};

/// How much is written at once.
const BUFFER: usize = 1 << 20;

/// The files of a compacted segment, under names that recovery removes. Offsets are dense: what was removed is spanned by
/// batches without records, one for each leader epoch of a gap.
pub(super) struct Output {
    disk: Arc<KeepingDisk>,
    base: Offset,
    interval_bytes: u32,
    log: Arc<dyn DiskFile>,
    buffer: Vec<u8>,
    written: u64,
    facts: Facts,
    offsets: Vec<OffsetEntry>,
    times: Vec<TimeEntry>,
    aborted: Vec<AbortedTransaction>,
    /// The run of removed offsets that nothing spans yet: first, last, leader epoch.
    gap: Option<(Offset, Offset, Option<LeaderEpoch>)>,
    /// The log's.
    epochs: Arc<LeaderEpochs>,
}

impl Output {
    pub(super) fn create(
        disk: &Arc<KeepingDisk>,
        directory: &Path,
        base: Offset,
        interval_bytes: u32,
        epochs: Arc<LeaderEpochs>,
    ) -> io::Result<Output> {
        let log = disk.open(&cleaned(directory, FileKind::Log, base), Open::Create)?;
        log.set_len(0)?;
        Ok(Output {
            disk: disk.clone(),
            base,
            interval_bytes,
            log,
            buffer: Vec::new(),
            written: 0,
            facts: Facts::empty(base),
            offsets: Vec::new(),
            times: Vec::new(),
            aborted: Vec::new(),
            gap: None,
            epochs,
        })
    }

    /// Adds a batch that stays.
    pub(super) fn keep(&mut self, header: &BatchHeader, bytes: &[u8]) -> io::Result<()> {
        self.span_to(header.base_offset)?;
        self.fill_gap()?;
        self.write(bytes)
    }

    /// Leaves a batch out. What lies around it stays where it is.
    pub(super) fn remove(&mut self, header: &BatchHeader) -> io::Result<()> {
        self.span_to(header.base_offset)?;
        self.span(header.base_offset, header.last_offset, header.leader_epoch)
    }

    /// Offsets that had no batch before are spanned too, by the epochs that the log knows for them.
    fn span_to(&mut self, to: Offset) -> io::Result<()> {
        loop {
            let spanned = self.gap.and_then(|(_, last, _)| last.checked_add(1));
            let due = spanned.unwrap_or(self.facts.next_offset);
            if due >= to {
                return Ok(());
            }
            let next = self.epochs.entries().iter().map(|entry| entry.start).find(|start| *start > due);
            let end = next.map_or(to, |next| next.min(to));
            self.span(due, Offset::new(end.get() - 1).unwrap_or(due), self.epochs.epoch_of(due))?;
        }
    }

    fn span(&mut self, first: Offset, last: Offset, epoch: Option<LeaderEpoch>) -> io::Result<()> {
        self.gap = match self.gap {
            Some((from, _, same)) if same == epoch => Some((from, last, epoch)),
            _ => {
                self.fill_gap()?;
                Some((first, last, epoch))
            }
        };
        Ok(())
    }

    /// A marker that stays has aborted this.
    pub(super) fn note_aborted(&mut self, aborted: AbortedTransaction) {
        self.aborted.push(aborted);
    }

    fn fill_gap(&mut self) -> io::Result<()> {
        let Some((first, last, epoch)) = self.gap.take() else { return Ok(()) };
        // A segment's offsets fit into 31 bits, and a gap lies within one.
        let filler = filler(first, last, epoch).ok_or_else(|| io::Error::other("a gap of 2^31 offsets"))?;
        self.write(&filler)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let view = BatchView::parse(bytes).map_err(io::Error::other)?;
        let entries = self.facts.add(self.base, &BatchHeader::of(&view), self.interval_bytes);
        self.offsets.extend(entries.offset);
        let grows = |entry: &TimeEntry| self.times.last().is_none_or(|last| entry.follows(last));
        self.times.extend(entries.time.filter(grows));
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.log.write_at(&[IoSlice::new(&self.buffer)], self.written)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Completes the files, up to `end` (exclusive), and syncs them; their names are not durable yet. The segment knows its files by the names that
    /// they will have, and holds them open until they have those.
    pub(super) fn finish(
        mut self,
        directory: &Path,
        first_append: Option<TimestampMs>,
        end: Offset,
    ) -> io::Result<Written> {
        self.span_to(end)?;
        self.fill_gap()?;
        self.flush()?;
        self.log.sync_data()?;
        self.facts.first_append = first_append;
        let grows = |entry: &TimeEntry| self.times.last().is_none_or(|last| entry.follows(last));
        self.times.extend(self.facts.time_entry(self.base).filter(grows));
        let mut kinds = vec![FileKind::Log];
        let mut save = |kind: FileKind, bytes: &[u8]| -> io::Result<FileSlot> {
            let file = write_file(&*self.disk, &cleaned(directory, kind, self.base), bytes)?;
            file.sync_data()?;
            kinds.push(kind);
            Ok(slot(&self.disk, directory, kind, self.base).holding(file))
        };
        let offsets = save(FileKind::OffsetIndex, &encode(&self.offsets))?;
        let times = save(FileKind::TimeIndex, &encode(&self.times))?;
        let aborted = encode(&self.aborted);
        let transactions = if aborted.is_empty() {
            None
        } else {
            save(FileKind::TransactionSum, &sum_of(&aborted))?;
            Some(save(FileKind::TransactionIndex, &aborted)?)
        };
        let segment = Segment::open(
            slot(&self.disk, directory, FileKind::Log, self.base).holding(self.log),
            Index::sealed(offsets, self.offsets.len() as u64),
            Index::sealed(times, self.times.len() as u64),
            self.base,
            self.facts,
        );
        if let Some(index) = transactions {
            segment.transaction_index.set(Index::sealed(index, self.aborted.len() as u64));
        }
        Ok(Written { segment: Arc::new(segment), kinds })
    }
}

/// A compacted segment whose files are there, under other names.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) segment: Arc<Segment>,
    /// Which files it has.
    pub(super) kinds: Vec<FileKind>,
}

pub(super) fn cleaned(directory: &Path, kind: FileKind, base: Offset) -> std::path::PathBuf {
    directory.join(format!("{}{CLEANED}", kind.at(base)))
}
