//! The one who writes: takes everything that waits and makes it durable, group by group.

use std::{
    io::{IoSlice, Result},
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
};

use highwater_records::TopicId;

use super::{
    JournalError, JournalOptions, Place, Queue,
    entry::{Change, Entry},
    extents::{Extents, Full, Room},
    frame::{BLOCK, ExtentHeader, GROUP_HEAD, GroupHeader, padded},
    group_bytes,
    tracked::{ToSettle, TrackedLogs},
};
use crate::{
    directory::{Claim, Health},
    disk::Disk,
    museum::{Bug, has},
    sync::Mutex,
};

/// Who writes the journal.
pub(super) struct Writer {
    id: TopicId,
    claim: Claim,
    health: Arc<Health>,
    pub(super) extents: Extents,
    /// Where in the current extent the next group goes.
    position: u64,
    next_lsn: u64,
    /// Sequence of the oldest extent that is needed.
    pub(super) oldest: u64,
    /// Up to where the queue is durable.
    pub(super) written: Place,
    /// What a write takes; a part of it begins at a block, in memory too.
    buffer: Vec<u8>,
}

impl Writer {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        root: PathBuf,
        options: JournalOptions,
        health: Arc<Health>,
        id: TopicId,
        claim: Claim,
    ) -> Writer {
        Writer {
            id,
            claim,
            health,
            extents: Extents::new(disk, root, options.extent_bytes(), options.max_extents()),
            position: 0,
            next_lsn: 1,
            oldest: 1,
            written: Place(0),
            buffer: Vec::new(),
        }
    }

    /// Whether there is anything of it on the disk.
    fn begun(&self) -> bool {
        self.extents.current().is_some()
    }

    /// Writes what waits. `Full` if some of it has to wait until extents are free; it stays in the queue.
    pub(super) fn write(
        &mut self,
        queue: &Mutex<Queue>,
        tracked: &Mutex<TrackedLogs>,
    ) -> std::result::Result<std::result::Result<(), Full>, JournalError> {
        let waiting = std::mem::take(&mut queue.lock().waiting);
        let mut rest = waiting.as_slice();
        let mut outcome = Ok(Ok(()));
        while !rest.is_empty() {
            let (count, bytes) = self.take(rest);
            let group: Vec<&Entry> = rest[..count].iter().flatten().collect();
            outcome = self.make_room(bytes, Room::Any).map_err(JournalError::Disk);
            if !matches!(outcome, Ok(Ok(()))) {
                break;
            }
            self.write_group(&group, tracked)?;
            self.written.0 += count as u64;
            rest = &rest[count..];
        }
        if !rest.is_empty() {
            let left = rest.len();
            let mut unwritten = waiting;
            unwritten.drain(..unwritten.len() - left);
            let mut queue = queue.lock();
            unwritten.append(&mut queue.waiting);
            queue.waiting = unwritten;
        }
        outcome
    }

    /// Writes floors of logs that were not truncated since they were synced. They do not wait in the queue: what waits
    /// there may wait for the room that they make.
    pub(super) fn write_floors(
        &mut self,
        settled: &[ToSettle],
        tracked: &Mutex<TrackedLogs>,
    ) -> std::result::Result<(), JournalError> {
        // Whoever truncates from here on is written behind them.
        let floors: Vec<Entry> = {
            let _logs = tracked.lock();
            let holds = |one: &&ToSettle| one.entry.truncations.load(Ordering::Acquire) == one.truncations;
            let floor = |one: &ToSettle| Entry { log: one.entry.id(), change: Change::Floor(one.floor) };
            settled.iter().filter(holds).map(floor).collect()
        };
        let (sequence, oldest) = (self.extents.sequence(), self.oldest);
        if floors.is_empty() && self.begun() && tracked.lock().oldest_after(&[], sequence) > oldest {
            // Others have let go since the last group that could say so.
            if self.make_room(0, Room::Reserve)?.is_ok() {
                self.write_group(&[], tracked)?;
            }
        }
        // The extent that is kept for floors is for those that free another one.
        let all: Vec<&Entry> = floors.iter().collect();
        let frees = tracked.lock().oldest_after(&all, sequence) > oldest;
        let room = if frees { Room::Reserve } else { Room::Any };
        for group in all.chunks(FLOORS_AT_ONCE) {
            let bytes = group.iter().map(|entry| entry.encoded_len()).sum();
            if self.make_room(bytes, room)?.is_err() {
                // The extent kept for floors is in use: the ones written so far free others.
                return Ok(());
            }
            self.write_group(group, tracked)?;
        }
        Ok(())
    }

    /// How many of these one group takes, and their bytes: at least one.
    fn take(&self, waiting: &[Vec<Entry>]) -> (usize, usize) {
        let limit = group_bytes(self.extents.bytes);
        let room = self.room();
        let (mut count, mut bytes) = (0, 0);
        for entries in waiting {
            let len: usize = entries.iter().map(Entry::encoded_len).sum();
            let fits = bytes + len <= limit && (room == 0 || padded(GROUP_HEAD + bytes + len) <= room);
            if count > 0 && !fits {
                break;
            }
            count += 1;
            bytes += len;
        }
        (count, bytes)
    }

    /// Bytes left in the current extent for groups; 0 before the first. The last block is kept for the group that
    /// empties the journal.
    fn room(&self) -> usize {
        if self.begun() { (self.extents.bytes - BLOCK as u64 - self.position) as usize } else { 0 }
    }

    fn make_room(&mut self, bytes: usize, room: Room) -> Result<std::result::Result<(), Full>> {
        if padded(GROUP_HEAD + bytes) <= self.room() {
            return Ok(Ok(()));
        }
        if !self.begun() {
            self.claim.set_journal(true)?;
        }
        if let Err(full) = self.extents.advance(room)? {
            return Ok(Err(full));
        }
        self.position = 0;
        Ok(Ok(()))
    }

    fn write_group(
        &mut self,
        group: &[&Entry],
        tracked: &Mutex<TrackedLogs>,
    ) -> std::result::Result<(), JournalError> {
        let sequence = self.extents.sequence();
        let oldest = {
            let tracked = tracked.lock();
            let lets_go = |entry: &&Entry| matches!(entry.change, Change::Floor(_) | Change::Delete);
            if has(Bug::ExtentFreedTooEarly) {
                self.oldest = sequence;
            }
            let may_move = group.is_empty() || group.iter().copied().any(|entry| lets_go(&entry));
            if may_move { tracked.oldest_after(group, sequence).max(self.oldest) } else { self.oldest }
        };
        self.put(group, oldest)?;
        self.oldest = oldest;
        self.extents.release_below(oldest);
        tracked.lock().apply(group, sequence);
        Ok(())
    }

    /// Writes one group, and at the start of an extent its header before it.
    fn put(&mut self, group: &[&Entry], oldest: u64) -> std::result::Result<(), JournalError> {
        let bytes: usize = group.iter().map(|entry| entry.encoded_len()).sum();
        let out = &mut self.buffer;
        out.clear();
        // Enough for everything, so that it does not move once it is aligned.
        out.reserve(BLOCK + BLOCK + padded(GROUP_HEAD + bytes));
        let from = out.as_ptr().align_offset(BLOCK);
        out.resize(from, 0);
        if self.position == 0 {
            let sequence = self.extents.sequence();
            ExtentHeader { journal: self.id, sequence, first_lsn: self.next_lsn }.encode(out);
        }
        let start = out.len();
        out.resize(start + GROUP_HEAD, 0);
        group.iter().for_each(|entry| entry.encode(out));
        GroupHeader::seal(out, start, self.id, self.next_lsn, oldest, group.len() as u32);
        let slice = &self.buffer[from..];
        let current = self.extents.current().expect("there is room in it");
        if let Err(error) = current.file.write_at(&[IoSlice::new(slice)], self.position) {
            return Err(self.health.fail("a write to the journal failed", &error).into());
        }
        self.position += slice.len() as u64;
        self.next_lsn += 1;
        Ok(())
    }

    /// Empties the journal, in which nothing is needed: a group says so, and the files are removed.
    pub(super) fn retire(&mut self) -> std::result::Result<(), JournalError> {
        if self.begun() {
            self.put(&[], self.extents.sequence())?;
            self.extents.remove_all()?;
            self.claim.set_journal(false)?;
            self.position = 0;
        }
        Ok(())
    }
}

/// Floors in one group, so that one fits into the smallest extent.
const FLOORS_AT_ONCE: usize = 1000;
