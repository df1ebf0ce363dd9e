//! The tail of a log that another leader did not have.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
};

use highwater_records::{Offset, TimestampMs};

use super::{ChangeError, Log};
use crate::{
    disk::{Disk, replace_file},
    epochs::{self, EpochStart, LeaderEpochs},
    gaps,
    journal::Change,
    museum::{Bug, has},
    name::FileKind,
    producer::{ProducerStates, decode_kafka},
    quarantine::Quarantined,
    recovery::{ProducerSource, not_found_is_none, remove_snapshot},
    segment::{BatchHeader, Depth, Facts, LARGE_WINDOW, Segment, Step, Walk},
};

impl Log {
    /// Drops everything at or above `offset`: batches, index entries, leader epochs, producer state. A batch that
    /// straddles it goes whole. Waits for syncs. Returns the log end.
    ///
    /// Pictures that readers hold are void where it changes bytes; they notice.
    ///
    /// # Errors
    /// `OutOfRange` below the local start; the disk's, after which the log must be opened again.
    pub fn truncate_to(&mut self, offset: Offset, now: TimestampMs) -> Result<Offset, ChangeError> {
        self.gate.pass();
        self.check_free()?;
        if offset >= self.positions.log_end {
            return Ok(self.positions.log_end);
        }
        let (low, high) = (self.positions.local_start, self.positions.log_end);
        if offset < low {
            return Err(ChangeError::OutOfRange { asked: offset, low, high });
        }
        let at = self.segments.partition_point(|segment| segment.base <= offset).saturating_sub(1);
        let boundary = self.segments[at].clone();
        let (facts, end) = self.cut_facts(&boundary, offset)?;
        if end < self.positions.log_start {
            // The log starts within the batch that goes: nothing is left to read.
            let start = self.positions.log_start;
            self.truncate_fully_and_start_at(start)?;
            return Ok(start);
        }
        // A start that is being written down may lie above what is left.
        let moving = self.heads.start().is_some();
        self.heads.forget();
        if (self.positions.durable_end > end || moving) && !has(Bug::TruncatedWhilePromised) {
            self.promise_only(end, Some(self.positions.log_start))?;
        }
        // Points first: they promise, and once the journal says what is void, nobody else brings those batches back.
        self.or_break(|log| log.forget_points(at))?;
        // Nothing from here on may come back by a replay.
        self.dir.journal.change(&self.entry, Change::TruncateTo(end))?;
        self.halfway(|log| {
            log.delete_tail(at + 1)?;
            if !has(Bug::TruncationUnseen) {
                log.generation.fetch_add(1, Ordering::AcqRel);
            }
            let file = boundary.log.get_to_write()?;
            file.set_len(facts.size)?;
            file.sync_data()?;
            log.replace_boundary(at, facts)?;
            log.settle_at(end, now)?;
            log.settle_below(end)
        })
    }

    /// Drops everything and begins again at `offset`, which may be anywhere. Waits for syncs.
    ///
    /// # Errors
    /// The disk's, after which the log must be opened again.
    pub fn truncate_fully_and_start_at(&mut self, offset: Offset) -> Result<(), ChangeError> {
        self.gate.pass();
        self.check_free()?;
        let start = self.positions.log_start.min(offset);
        self.heads.forget();
        // Nothing is promised until the new start is written down, not even where the log begins.
        self.promise_only(start, None)?;
        self.or_break(|log| log.forget_points(0))?;
        self.dir.journal.change(&self.entry, Change::Restart(offset))?;
        self.halfway(|log| {
            log.delete_tail(0)?;
            log.generation.fetch_add(1, Ordering::AcqRel);
            let snapshots: Vec<Offset> = log.snapshots.iter().copied().collect();
            for snapshot in snapshots {
                remove_snapshot(&*log.dir.disk, log.path(), snapshot)?;
                log.snapshots.remove(&snapshot);
            }
            // What is appended from now on is dense.
            not_found_is_none(log.dir.disk.remove_file(&log.path().join(gaps::FILE_NAME)))?;
            let first = Segment::create(&log.dir.disk, log.path(), offset)?;
            first.sync()?;
            log.dir.disk.sync_dir(log.path())?;
            log.segments = Arc::new(vec![Arc::new(first)]);
            log.positions = crate::positions::Positions::starting_at(offset);
            Arc::make_mut(&mut log.epochs).truncate_to(Offset::ZERO);
            log.epochs_dirty = true;
            log.producers = ProducerStates::default();
            for file in log.write_snapshot(offset)? {
                file.sync_data()?;
            }
            log.quarantine = Arc::new(Vec::new());
            log.rest_behind_end = false;
            log.pending.truncated(Offset::ZERO);
            log.pending.clear();
            log.settle_below(offset)
        })?;
        Ok(())
    }

    /// Of a tiered log that ends below what the bucket has: drops everything and begins again, empty, at `offset`, with
    /// what the bucket knows: where the log starts (at or below `offset`), the leader epochs and the producers as of
    /// `offset` (Kafka's snapshot; `None` where it is not known, so that every producer begins anew). Waits for syncs.
    ///
    /// # Errors
    /// `OutOfRange` if `log_start` is above `offset`; `Disk` with `InvalidData`, the log as it was, if the snapshot or
    /// the epochs do not read; the disk's, after which the log must be opened again.
    pub fn restart_at(
        &mut self,
        offset: Offset,
        log_start: Offset,
        epochs: &[EpochStart],
        producer_snapshot: Option<&[u8]>,
        now: TimestampMs,
    ) -> Result<(), ChangeError> {
        if log_start > offset {
            return Err(ChangeError::OutOfRange { asked: log_start, low: Offset::ZERO, high: offset });
        }
        let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let producers = producer_snapshot
            .map(|snapshot| decode_kafka(snapshot, now))
            .transpose()
            .map_err(|damaged| invalid(&damaged.to_string()))?;
        let epochs =
            LeaderEpochs::from_entries(epochs, offset).ok_or_else(|| invalid("leader epochs do not grow"))?;
        self.truncate_fully_and_start_at(offset)?;
        if let Some(producers) = producers {
            self.producers = producers;
        }
        self.epochs = Arc::new(epochs);
        self.epochs_dirty = true;
        self.positions.log_start = log_start;
        let (path, disk) = (self.path().to_owned(), self.dir.disk.clone());
        self.halfway(|log| {
            for file in log.write_snapshot(offset)? {
                file.sync_data()?;
            }
            replace_file(&*disk, &path, epochs::FILE_NAME, log.epochs.encode().as_bytes())?;
            log.epochs_dirty = false;
            Ok(offset)
        })?;
        // The start is below the only segment; without its checkpoint it would be taken for the segment's.
        Ok(self.dir.write_checkpoint_files()?)
    }

    /// Lowers the recovery point, durably, before anything below it goes: else recovery would miss it.
    fn promise_only(&mut self, end: Offset, log_start: Option<Offset>) -> Result<(), ChangeError> {
        {
            let mut state = self.entry.state.lock();
            state.durable_end = Some(end);
            state.recovery_point = state.recovery_point.map(|point| point.min(end));
            state.log_start = log_start;
            state.compacted_to = state.compacted_to.map(|to| to.min(end));
            // What is open once the tail is gone is not known yet.
            state.decided = Offset::ZERO;
            state.decided_at_point = Offset::ZERO;
        }
        Ok(self.dir.write_checkpoint_files()?)
    }

    /// Runs a change that, once begun, must reach its end, and is then known to the directory.
    fn halfway(
        &mut self,
        change: impl FnOnce(&mut Log) -> io::Result<Offset>,
    ) -> Result<Offset, ChangeError> {
        let end = self.or_break(change)?;
        self.publish();
        self.decided = self.decided.min(self.positions.last_stable);
        Ok(end)
    }

    /// Runs a part of such a change. The directory does not hear of it: it would take what is about to go for promised again.
    fn or_break<T>(&mut self, change: impl FnOnce(&mut Log) -> io::Result<T>) -> Result<T, ChangeError> {
        self.as_opened = false;
        change(self).map_err(|error| {
            self.broken = Some(format!("truncation broke off: {error}"));
            error.into()
        })
    }

    /// What is left of a segment that ends before the batch that holds `offset`.
    fn cut_facts(&self, segment: &Segment, offset: Offset) -> io::Result<(Facts, Offset)> {
        let file = segment.log.get()?;
        let before = segment.facts();
        let mut walk = Walk::new(&*file, before.size, LARGE_WINDOW);
        let mut facts = Facts::empty(segment.base);
        let mut last_entry = 0;
        loop {
            let (position, expected) = (facts.size, facts.next_offset);
            let in_turn = |header: &BatchHeader| segment.in_turn(expected, header.base_offset);
            let header: BatchHeader = match walk.at(position, Depth::Checksums)? {
                Step::End => break,
                Step::Batch(header) if in_turn(&header) && header.last_offset >= offset => break,
                Step::Batch(header) if in_turn(&header) => header,
                // A damaged header may name any offset: what lies behind it is not to go for that.
                Step::Batch(_) | Step::Bad(_) => match self.behind(segment, &mut walk, position, expected)? {
                    Some((position, next)) if next <= offset => {
                        facts.size = position;
                        facts.next_offset = next;
                        continue;
                    }
                    _ if expected >= self.positions.high_watermark => break,
                    _ => {
                        let why = format!("segment {} is damaged from {expected} on", segment.base);
                        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
                    }
                },
            };
            if facts.add(segment.base, &header, u32::MAX).offset.is_some() {
                last_entry = facts.size;
            }
        }
        let relative = facts.next_offset.since(segment.base);
        if let Some(entry) = segment.offset_index.last_where(|entry| u64::from(entry.relative) < relative)? {
            last_entry = u64::from(entry.position);
        }
        facts.bytes_since_entry = facts.size - last_entry.min(facts.size);
        facts.first_append = if facts.size > 0 { before.first_append } else { None };
        Ok((facts, facts.next_offset))
    }

    /// The next batch behind damage at `from`, where `expected` was due: its position and its offset. As recovery has noted
    /// it, or the first one that reads and is followed by its successor.
    fn behind(
        &self,
        segment: &Segment,
        walk: &mut Walk<'_>,
        from: u64,
        expected: Offset,
    ) -> io::Result<Option<(u64, Offset)>> {
        let here = |range: &&Quarantined| range.segment == segment.base && range.positions.start == from;
        if let Some(known) = self.quarantine.iter().find(here).filter(|range| !range.positions.is_empty()) {
            return Ok(Some((known.positions.end, known.offsets.end)));
        }
        for position in from + 1..walk.end() {
            let Step::Batch(header) = walk.at(position, Depth::Headers)? else { continue };
            let possible = header.base_offset > expected && header.next_offset <= self.positions.log_end;
            if !possible || !matches!(walk.at(position, Depth::Checksums)?, Step::Batch(_)) {
                continue;
            }
            let goes_on = match walk.at(position + header.size, Depth::Headers)? {
                Step::Batch(next) => segment.in_turn(header.next_offset, next.base_offset),
                Step::End => true,
                Step::Bad(_) => false,
            };
            if goes_on {
                return Ok(Some((position, header.base_offset)));
            }
        }
        Ok(None)
    }

    /// Deletes the files of the segments from `at` on, newest first, for good. The list stays as it is until the caller has
    /// the segment that takes their place: also a log that broke off here has one to answer with.
    fn delete_tail(&mut self, at: usize) -> io::Result<()> {
        let doomed: Vec<Arc<Segment>> = self.segments[at..].to_vec();
        let mut files = Vec::new();
        for segment in doomed.iter().rev() {
            files.extend(self.rename_deleted(segment)?);
            // Names become durable in this order too: what is left is always a prefix.
            self.dir.disk.sync_dir(self.path())?;
        }
        for file in files {
            self.dir.disk.remove_file(&file)?;
        }
        self.dir.disk.sync_dir(self.path())
    }

    /// The boundary segment becomes the active one, with indexes that end where it does.
    fn replace_boundary(&mut self, at: usize, facts: Facts) -> io::Result<()> {
        let boundary = &self.segments[at];
        let active = boundary.reopened(&self.dir.disk, self.path(), facts)?;
        // What they tell of is gone in part; they are written anew when the segment is sealed.
        for kind in FileKind::TRANSACTIONS {
            not_found_is_none(self.dir.disk.remove_file(&self.path().join(kind.at(boundary.base))))?;
        }
        let segments = Arc::make_mut(&mut self.segments);
        segments.truncate(at);
        segments.push(Arc::new(active));
        Ok(())
    }

    /// Syncs what the log has, which ends at `end`, if the journal had something of it; then it needs nothing there.
    fn settle_below(&mut self, end: Offset) -> io::Result<Offset> {
        if !self.entry.journaled.load(Ordering::Acquire) {
            return Ok(end);
        }
        let journaled = self.dir.journal.unsettled(self.id());
        let touched = |segment: &&Arc<Segment>| {
            let is = |other: &Arc<Segment>| other.base == segment.base;
            self.pending.segments.iter().any(is) || journaled.iter().any(is)
        };
        let health = self.dir.health();
        let offline = |error| io::Error::other(health.fail("a sync failed", &error));
        for segment in self.segments.iter().filter(touched) {
            segment.sync().map_err(offline)?;
        }
        self.dir.disk.sync_dir(self.path()).map_err(offline)?;
        let truncations = self.entry.truncations.load(Ordering::Acquire);
        if let Some(place) = self.dir.journal.submit_floor(&self.entry, truncations, end) {
            self.dir.journal.wait(place).map_err(io::Error::other)?;
        }
        // The files of the others are gone: they must not be synced again.
        self.dir.journal.keep_only(self.id(), &self.segments);
        self.pending.clear();
        self.positions.durable_end = end;
        Ok(end)
    }

    fn settle_at(&mut self, end: Offset, now: TimestampMs) -> io::Result<Offset> {
        let is_stale = |at: &Offset| *at > end && !has(Bug::SnapshotsOutliveTruncation);
        let stale: Vec<Offset> = self.snapshots.iter().copied().filter(is_stale).collect();
        for at in stale {
            remove_snapshot(&*self.dir.disk, self.path(), at)?;
            self.snapshots.remove(&at);
        }
        self.dir.disk.sync_dir(self.path())?;
        let directory = self.path().to_owned();
        let (segments, quarantine) = (self.segments.clone(), self.quarantine.clone());
        let watermark = self.positions.high_watermark;
        let source = ProducerSource {
            disk: &*self.dir.disk,
            directory: &directory,
            segments: &segments,
            quarantined: &quarantine,
            snapshots: &self.snapshots,
            now,
        };
        let mut read = source.at(end, watermark)?;
        // Something may have rotted that nobody has come across yet, and what lies behind it was not read.
        read.complete_batches(&self.producers, end);
        read.complete_transactions(&self.producers, end, watermark);
        let before = std::mem::replace(&mut self.producers, read);
        if has(Bug::UnstableOutlivesTruncation) {
            self.producers.transactions = before.transactions;
        }
        if !has(Bug::EpochsOutliveTruncation) && Arc::make_mut(&mut self.epochs).truncate_to(end) {
            self.epochs_dirty = true;
        }
        self.rest_behind_end = false;
        self.pending.truncated(end);
        self.pending.touch(&self.segments[self.segments.len() - 1].clone());
        let positions = &mut self.positions;
        positions.log_end = end;
        positions.durable_end = positions.durable_end.min(end);
        positions.high_watermark = positions.high_watermark.min(end).max(positions.log_start);
        Ok(end)
    }
}
