//! The order of the journal: which entries make the next group, which groups are in flight, and which count.

use std::{collections::VecDeque, io, path::PathBuf, sync::Arc};

use highwater_records::TopicId;

use super::{
    JournalError, JournalOptions, Place, Queue,
    entry::{Change, Entry},
    extents::{Extents, Lack, Room},
    flight::{Flight, IN_FLIGHT},
    frame::{BLOCK, ExtentHeader, GROUP_HEAD, GroupFacts, padded},
    group_bytes,
    tracked::{ToSettle, TrackedLogs},
};
use crate::{
    directory::{Claim, Health, Offline},
    disk::Disk,
    museum::{Bug, has},
    sync::Mutex,
};

/// What the next group is, and which do not count yet. It writes nothing itself: nobody has its lock while a group is
/// written, or an extent made.
pub(super) struct Writer {
    id: TopicId,
    claim: Claim,
    health: Arc<Health>,
    pub(super) extents: Extents,
    /// Where in the current extent the next group goes.
    position: u64,
    next_lsn: u64,
    /// Sequence of the oldest extent that is needed, by the groups that count.
    pub(super) oldest: u64,
    /// Up to where the queue is in groups that count.
    pub(super) written: Place,
    /// Up to where it is in groups.
    taken: Place,
    /// Groups that do not count yet, by their LSNs. If a write failed, all from that one on for ever.
    flying: VecDeque<Flying>,
    /// How many groups were ever made of what waited.
    gathered: u64,
    /// How many wait for the moment at which nothing is in flight; until then no group is begun.
    pub(super) holders: u32,
    /// What earlier groups were written from.
    buffers: Vec<Vec<u8>>,
}

/// A group that does not count yet.
struct Flying {
    lsn: u64,
    /// Up to where the queue is in it and the groups before.
    up_to: Place,
    /// Its place among those that were made of what waited.
    turn: Option<u64>,
    sequence: u64,
    oldest: u64,
    /// Whether no other may be begun beside it.
    alone: bool,
    /// Its entries, once it is durable.
    landed: Option<Vec<Vec<Entry>>>,
}

/// What became of the wish to begin a group.
pub(super) enum Begun {
    /// The caller writes it, then tells [`Writer::land`].
    Flight {
        flight: Flight,
        /// Whether it could not take all that waited.
        rest: bool,
    },
    /// Something in flight has to land before; or nothing waits.
    Later,
    /// It has to wait until there are extents.
    Lacks(Lack),
}

/// What became of the wish to say floors.
pub(super) enum Floors {
    /// The caller writes them, and is done with so many of the logs.
    Flight(Flight, usize),
    /// There is no need or no room.
    None,
    /// An extent has to be made first.
    Unmade,
}

/// Which waiters are to be woken: turns of groups that count now.
pub(super) type Landed = std::ops::Range<u64>;

/// Floors in one group, so that one fits into the smallest extent.
const FLOORS_AT_ONCE: usize = 1000;
/// Buffers beyond this are not kept, but for one.
const KEPT_BUFFER: usize = 256 << 10;

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
            taken: Place(0),
            flying: VecDeque::with_capacity(IN_FLIGHT),
            gathered: 0,
            holders: 0,
            buffers: Vec::new(),
        }
    }

    /// Whether there is anything of it on the disk.
    fn begun(&self) -> bool {
        self.extents.current().is_some()
    }

    /// Whether every group that was begun counts.
    pub(super) fn is_quiet(&self) -> bool {
        self.flying.is_empty()
    }

    /// Whether it is in a group already.
    pub(super) fn is_taken(&self, place: Place) -> bool {
        place <= self.taken
    }

    /// Whose landing tells the one who waits for this place: a group in flight, or the next one to be made.
    pub(super) fn turn_of(&self, place: Place) -> u64 {
        let group = self.flying.iter().find(|flying| flying.up_to >= place && flying.turn.is_some());
        group.and_then(|flying| flying.turn).unwrap_or(self.gathered)
    }

    /// The turn of the next group that is made of what waits.
    pub(super) fn next_turn(&self) -> u64 {
        self.gathered
    }

    /// Makes a group of what waits.
    ///
    /// # Errors
    /// The disk's, where there was no journal; it stays in the queue.
    pub(super) fn begin(
        &mut self,
        queue: &Mutex<Queue>,
        tracked: &Mutex<TrackedLogs>,
    ) -> Result<Begun, JournalError> {
        let shut = self.flying.back().is_some_and(|last| last.alone);
        if shut || self.holders > 0 || self.flying.len() >= IN_FLIGHT {
            return Ok(Begun::Later);
        }
        let Next { count, bytes, plain, rest } = self.next(&queue.lock().waiting);
        let fits = padded(GROUP_HEAD + bytes) <= self.room();
        // The more are in flight, the more have to share the next one: it would come sooner, and cost a write.
        let now = self.is_quiet() || plain && fits && count >= self.flying.len();
        if count == 0 || !now {
            return Ok(Begun::Later);
        }
        if let Err(lack) = self.make_room(bytes, Room::Any)? {
            return Ok(Begun::Lacks(lack));
        }
        // More may have come behind them, and nobody else takes any.
        let entries: Vec<Vec<Entry>> = queue.lock().waiting.drain(..count).collect();
        self.taken.0 += count as u64;
        let turn = self.gathered;
        self.gathered += 1;
        Ok(Begun::Flight { flight: self.fly(entries, Some(turn), false, tracked), rest })
    }

    /// Makes a group of floors of logs that were not truncated since they were synced, or, if there are none, one that only
    /// raises `oldest`; and says how many of the logs are done with. They do not wait in the queue: what waits there may wait
    /// for the room that they make. Nothing may be in flight. Where there is no room the floors written so far free others.
    ///
    /// # Errors
    /// The disk's, where there was no journal.
    pub(super) fn begin_floors(
        &mut self,
        settled: &[ToSettle],
        tracked: &Mutex<TrackedLogs>,
    ) -> Result<Floors, JournalError> {
        // Whoever truncates from here on is written behind them.
        let (mut floors, mut done, frees) = {
            let tracked = tracked.lock();
            let floor = |one: &ToSettle| Entry { log: one.entry.id(), change: Change::Floor(one.floor) };
            let held = settled.iter().enumerate().filter(|(_, one)| tracked.holds(one));
            let (done, floors): (Vec<usize>, Vec<Entry>) = held.map(|(at, one)| (at + 1, floor(one))).unzip();
            let oldest = tracked.oldest_after(floors.iter(), self.extents.sequence());
            (floors, done, oldest > self.oldest)
        };
        // Without floors: others may have let go since the last group that could say so.
        if floors.is_empty() && !(self.begun() && frees) {
            return Ok(Floors::None);
        }
        floors.truncate(FLOORS_AT_ONCE);
        done.truncate(FLOORS_AT_ONCE);
        let bytes = floors.iter().map(Entry::encoded_len).sum();
        // The extent that is kept for floors is for those that free another one.
        let room = if frees { Room::Reserve } else { Room::Any };
        match self.make_room(bytes, room)? {
            Err(Lack::Full) => return Ok(Floors::None),
            Err(Lack::Unmade) => return Ok(Floors::Unmade),
            Ok(()) => {}
        }
        let done = done.last().copied().unwrap_or(settled.len());
        Ok(Floors::Flight(self.fly(vec![floors], None, false, tracked), done))
    }

    /// Makes the group that empties the journal, in which nothing is needed; `None` if there is no journal. Nothing may be
    /// in flight.
    pub(super) fn begin_last(&mut self, tracked: &Mutex<TrackedLogs>) -> Option<Flight> {
        self.begun().then(|| self.fly(Vec::new(), None, true, tracked))
    }

    /// Removes the files, once the last group counts.
    ///
    /// # Errors
    /// The disk's.
    pub(super) fn remove(&mut self) -> Result<(), JournalError> {
        self.extents.remove_all()?;
        self.claim.set_journal(false)?;
        self.position = 0;
        Ok(())
    }

    /// Notes how the write of a group went. Returns the turns whose waiters have to be told.
    ///
    /// # Errors
    /// If it failed: neither it nor any group after it will ever count.
    pub(super) fn land(
        &mut self,
        flight: Flight,
        outcome: io::Result<()>,
        tracked: &Mutex<TrackedLogs>,
    ) -> Result<Landed, Offline> {
        if let Err(error) = outcome {
            return Err(self.health.fail("a write to the journal failed", &error));
        }
        self.keep(flight.buffer);
        let first = self.flying.front().map_or(flight.facts.lsn, |front| front.lsn);
        let at = (flight.facts.lsn - first) as usize;
        let landed = self.flying.get_mut(at).expect("it is in flight until it has landed");
        landed.landed = Some(flight.entries);
        if has(Bug::GroupCountsByItself) {
            self.written = self.written.max(landed.up_to);
        }
        let mut turns = 0..0;
        while let Some(entries) = self.flying.front_mut().and_then(|front| front.landed.take()) {
            let Some(front) = self.flying.pop_front() else { break };
            self.oldest = self.oldest.max(front.oldest);
            self.extents.release_below(self.oldest);
            tracked.lock().apply(entries.iter().flatten(), front.sequence);
            self.written = self.written.max(front.up_to);
            if let Some(turn) = front.turn {
                turns = if turns.is_empty() { turn } else { turns.start }..turn + 1;
            }
        }
        Ok(turns)
    }

    /// What the next group takes of what waits: at least one submission, if there is any.
    fn next(&self, waiting: &VecDeque<Vec<Entry>>) -> Next {
        let limit = group_bytes(self.extents.bytes);
        let room = self.room();
        let mut next = Next { count: 0, bytes: 0, plain: false, rest: false };
        for entries in waiting {
            let len: usize = entries.iter().map(Entry::encoded_len).sum();
            let all = next.bytes + len;
            let fits = all <= limit && (room == 0 || padded(GROUP_HEAD + all) <= room);
            if next.count > 0 && !fits {
                next.rest = true;
                break;
            }
            next.count += 1;
            next.bytes = all;
        }
        next.plain = is_plain(waiting.iter().take(next.count).flatten());
        next
    }

    /// Bytes left in the current extent for groups; 0 before the first. The last block is kept for the group that
    /// empties the journal.
    fn room(&self) -> usize {
        if self.begun() { (self.extents.bytes - BLOCK as u64 - self.position) as usize } else { 0 }
    }

    /// Whether the next extent should be made now: the current one is full up to this many hundredths.
    pub(super) fn wants_extent(&self, hundredths: u64) -> bool {
        self.begun()
            && self.position >= self.extents.bytes / 100 * hundredths
            && self.extents.has_free()
            && self.extents.lacks_spare()
    }

    fn make_room(&mut self, bytes: usize, room: Room) -> io::Result<Result<(), Lack>> {
        if padded(GROUP_HEAD + bytes) <= self.room() {
            return Ok(Ok(()));
        }
        if !self.begun() {
            self.claim.set_journal(true)?;
        }
        let advanced = self.extents.advance(room);
        if advanced.is_ok() {
            self.position = 0;
        }
        Ok(advanced)
    }

    /// Gives a group its place; at the start of an extent the header is written with it.
    fn fly(
        &mut self,
        entries: Vec<Vec<Entry>>,
        turn: Option<u64>,
        last: bool,
        tracked: &Mutex<TrackedLogs>,
    ) -> Flight {
        let sequence = self.extents.sequence();
        let all = || entries.iter().flatten();
        let lets_go = |entry: &Entry| matches!(entry.change, Change::Floor(_) | Change::Delete);
        if has(Bug::ExtentFreedTooEarly) {
            self.oldest = sequence;
        }
        let oldest = if last {
            sequence
        } else if all().next().is_none() || all().any(lets_go) {
            tracked.lock().oldest_after(all(), sequence).max(self.oldest)
        } else {
            self.oldest
        };
        let lsn = self.next_lsn;
        let first = self.position == 0;
        let bytes = all().map(Entry::encoded_len).sum();
        let alone = first || !is_plain(all());
        let flight = Flight {
            file: self.extents.current().expect("there is room in it").file.clone(),
            position: self.position,
            header: first.then_some(ExtentHeader { journal: self.id, sequence, first_lsn: lsn }),
            facts: GroupFacts { journal: self.id, lsn, in_flight: self.flying.len() as u8, oldest, last },
            entries,
            bytes,
            buffer: self.buffers.pop().unwrap_or_default(),
        };
        self.position += (padded(GROUP_HEAD + bytes) + if first { BLOCK } else { 0 }) as u64;
        self.next_lsn += 1;
        self.flying.push_back(Flying { lsn, up_to: self.taken, turn, sequence, oldest, alone, landed: None });
        flight
    }

    fn keep(&mut self, buffer: Vec<u8>) {
        if buffer.capacity() <= KEPT_BUFFER || self.buffers.is_empty() {
            self.buffers.push(buffer);
        }
    }
}

/// Whether a group of these may be in flight beside others: there are some, and all are batches.
fn is_plain<'a>(mut entries: impl Iterator<Item = &'a Entry>) -> bool {
    let is_batch = |entry: &Entry| matches!(entry.change, Change::Batch(_));
    entries.next().is_some_and(is_batch) && entries.all(is_batch)
}

/// What a group would take of what waits.
struct Next {
    count: usize,
    bytes: usize,
    /// See [`is_plain`].
    plain: bool,
    /// Whether more waits.
    rest: bool,
}
