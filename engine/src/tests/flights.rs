//! Every crash of a journal with several groups in flight: of those the power cut keeps any. What counts is always a
//! prefix, whatever order they land in; what lies behind a gap is void, now and after a recovery that is interrupted.
//!
//! One thread plays all: it begins groups, hands them to the disk and lets them land in an order that a seed chooses.

use std::{cell::Cell, io, path::Path, sync::Arc};

use highwater_records::{Durability, LeaderEpoch, PartitionIndex, TopicId};

use super::crashes::{Crashes, seeds};
use crate::{
    JournalOptions, Log, LogConfig, LogDir, LogName, OpenDirError, OpenLogError, Watermark,
    disk::memory::{Fault, Loss, MemoryDisk, Operation},
    journal::{self, Flight},
    log::Started,
    testing::*,
};

const LOGS: usize = 7;
const STEPS: u64 = 76;

fn config() -> LogConfig {
    LogConfig { durability: Durability::Synced, watermark: Watermark::Own, ..small() }
}

/// One that goes round, or one in which more groups lie between those that are written alone.
fn open(disk: &MemoryDisk, round: bool) -> Result<(Arc<LogDir>, crate::OpenReport), OpenDirError> {
    let journal = JournalOptions::of(if round { JournalOptions::LEAST } else { 4 << 20 });
    LogDir::open_with(Arc::new(disk.clone()), Path::new("/data"), options(), journal, NOW)
}

fn log_name(at: usize) -> LogName {
    LogName::new("topic", PartitionIndex(at as u32))
}

/// What one log was told.
#[derive(Clone, Debug, Default)]
struct Told {
    /// (base offset, next offset, checksum).
    appended: Vec<(u64, u64, u32)>,
    committed: u64,
    exists: bool,
    truncating_to: Option<u64>,
}

#[derive(Clone, Debug, Default)]
struct Promise {
    logs: [Told; LOGS],
}

struct Run<'a> {
    disk: &'a MemoryDisk,
    dir: Arc<LogDir>,
    logs: [Option<Log>; LOGS],
    promise: &'a mut Promise,
    /// Commits that are not told yet.
    waiting: Vec<(usize, Started)>,
    /// Groups that the disk has not been given.
    begun: Vec<Flight>,
    /// Groups that it has been given, in that order.
    held: Vec<Flight>,
    state: u64,
}

impl<'a> Run<'a> {
    fn new(disk: &'a MemoryDisk, promise: &'a mut Promise, seed: u64) -> Option<Run<'a>> {
        let (dir, _) = open(disk, seed % 2 == 1).ok()?;
        let (waiting, begun, held) = (Vec::new(), Vec::new(), Vec::new());
        let logs = [const { None }; LOGS];
        let mut run = Run { disk, dir, logs, promise, waiting, begun, held, state: seed + 1 };
        for at in 0..LOGS {
            let id = TopicId::from_random(2, at as u64 + 1);
            run.logs[at] = Some(run.dir.create_log(log_name(at), id, config(), NOW).ok()?);
            run.promise.logs[at].exists = true;
        }
        run.disk.hold_through(true);
        Some(run)
    }

    fn draw(&mut self, below: usize) -> usize {
        // Knuth's generator: its upper bits are good enough.
        self.state =
            self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) as usize % below
    }

    /// A log appends and asks for a commit.
    fn submit(&mut self, at: usize, seed: u64, records: usize) -> Option<()> {
        let batch = batch(seed, &vec![seed as i64; records]);
        let crc = batch.view().stored_crc();
        let log = self.logs[at].as_mut()?;
        let base = log.append(batch, LeaderEpoch(0), NOW).ok()?.base_offset.get();
        self.promise.logs[at].appended.push((base, base + records as u64, crc));
        let started = log.begin_commit()?.start(true);
        self.waiting.push((at, started));
        Some(())
    }

    fn begin(&mut self) {
        self.begun.extend(self.dir.journal.begin_one());
    }

    /// The disk is given a group.
    fn write(&mut self, nth: usize) -> Option<()> {
        let mut flight = self.begun.remove(nth);
        flight.write().ok()?;
        self.held.push(flight);
        Some(())
    }

    /// A group becomes durable; whoever counts now is told.
    fn land(&mut self, nth: usize) -> Option<()> {
        let outcome = self.disk.land(nth);
        self.dir.journal.land(self.held.remove(nth), outcome).ok()?;
        self.tell()
    }

    fn tell(&mut self) -> Option<()> {
        let counts = |(_, started): &mut (usize, Started)| {
            started.place.is_none_or(|place| self.dir.journal.counts(place))
        };
        for (at, started) in self.waiting.extract_if(.., counts).collect::<Vec<_>>() {
            let end = self.logs[at].as_mut()?.finish_commit(started.finish()).ok()?;
            self.promise.logs[at].committed = end.get();
        }
        Some(())
    }

    /// Everything lands, in some order; what waits is written too.
    fn drain(&mut self) -> Option<()> {
        loop {
            while !self.begun.is_empty() || !self.held.is_empty() {
                let nth = self.draw(self.begun.len() + self.held.len());
                match nth.checked_sub(self.begun.len()) {
                    None => self.write(nth)?,
                    Some(nth) => self.land(nth)?,
                }
            }
            self.begin();
            if self.begun.is_empty() {
                break;
            }
        }
        if !self.waiting.is_empty() {
            // The journal is full: whoever waits makes room.
            self.disk.hold_through(false);
            for (at, started) in std::mem::take(&mut self.waiting) {
                let end = self.logs[at].as_mut()?.finish_commit(started.finish()).ok()?;
                self.promise.logs[at].committed = end.get();
            }
            self.disk.hold_through(true);
        }
        Some(())
    }

    fn alone(&mut self, change: impl FnOnce(&mut Self) -> Option<()>) -> Option<()> {
        self.drain()?;
        self.disk.hold_through(false);
        change(self)?;
        self.disk.hold_through(true);
        Some(())
    }

    fn truncate(&mut self, at: usize) -> Option<()> {
        let told = &mut self.promise.logs[at];
        let to = told.appended.len().checked_sub(2).map_or(0, |last| told.appended[last].1);
        told.truncating_to = Some(to);
        self.logs[at].as_mut()?.truncate_to(offset(to), NOW).ok()?;
        told.truncating_to = None;
        told.appended.retain(|(_, next, _)| *next <= to);
        told.committed = told.committed.min(to);
        Some(())
    }

    fn all(&mut self) -> Option<()> {
        for step in 0..STEPS {
            let free: Vec<usize> =
                (0..LOGS).filter(|at| !self.waiting.iter().any(|(busy, _)| busy == at)).collect();
            // As many in flight as may be, most of the time.
            if !self.begun.is_empty() && self.draw(3) > 0 {
                let nth = self.draw(self.begun.len());
                self.write(nth)?;
            } else if !free.is_empty() && (self.held.len() < 2 || self.draw(6) > 0) {
                let (at, records) = (free[self.draw(free.len())], 1 + self.draw(3) * 4);
                self.submit(at, step % 80, records)?;
                self.begin();
            } else if !self.held.is_empty() {
                let nth = self.draw(self.held.len());
                self.land(nth)?;
                self.begin();
            }
            match step {
                31 => self.alone(|run| run.truncate(1))?,
                55 => self.alone(|run| run.dir.settle_older().ok())?,
                71 => self.alone(|run| run.dir.write_checkpoints().map(drop).ok())?,
                _ => {}
            }
        }
        self.drain()?;
        self.disk.hold_through(false);
        for at in 0..LOGS {
            self.logs[at].take()?.close(NOW).ok()?;
        }
        self.dir.close(NOW).ok()?.clean.then_some(())
    }
}

fn workload(disk: &MemoryDisk, promise: &mut Promise, seed: u64) -> Option<()> {
    Run::new(disk, promise, seed)?.all()
}

type Read = Vec<(u64, u32)>;

/// Opens what is left and compares it with the promise. `None` if the power failed again.
fn check(disk: &MemoryDisk, promise: &Promise, context: &str) -> Option<Vec<Read>> {
    let (dir, report) = match open(disk, true) {
        Ok(opened) => opened,
        Err(_) if disk.stopped() => return None,
        Err(error) => panic!("{context}: {error}"),
    };
    let journal = report.distrusted.iter().find(|text| text.contains("journal"));
    assert_eq!(journal, None, "{context}");
    let mut found = Vec::new();
    for (at, told) in promise.logs.iter().enumerate() {
        let (log, report) = match dir.open_log(&log_name(at), config(), NOW) {
            Ok(opened) => opened,
            Err(_) if disk.stopped() => return None,
            Err(OpenLogError::NotFound(_)) if !told.exists => {
                found.push(Vec::new());
                continue;
            }
            Err(error) => panic!("{context}: {error}"),
        };
        assert!(report.quarantined.is_empty(), "{context}: log {at}: {report:?}, {told:?}");
        let end = log.positions().log_end.get();
        let read: Read = match read_all(&log.reader(), offset(0)) {
            Ok(read) => read.into_iter().map(|(base, crc, _)| (base, crc)).collect(),
            Err(_) if disk.stopped() => return None,
            Err(error) => panic!("{context}: log {at}: {error}"),
        };
        let expected: Read = told
            .appended
            .iter()
            .filter(|(_, next, _)| *next <= end)
            .map(|(base, _, crc)| (*base, *crc))
            .collect();
        assert_eq!(read, expected, "{context}: log {at}");
        let committed = told.truncating_to.map_or(told.committed, |to| to.min(told.committed));
        assert!(
            end >= committed,
            "{context}: log {at} ends at {end}, below the commit {committed}: {told:?}"
        );
        found.push(read);
    }
    Some(found)
}

#[test]
fn every_crash_leaves_what_was_promised() {
    let (states, voids) = (Cell::new(0), Cell::new(0));
    every_crash(2, seeds(3), &states, &voids);
    println!("{} of the states have a group behind a gap", voids.get());
    assert!(states.get() >= 10_000, "{states:?}");
    assert!(voids.get() >= 200, "{voids:?}");
}

/// Counts the crash states that it looks at, and those in which there is a void group.
///
/// # Panics
/// Where something else came back than was promised.
pub(super) fn every_crash(workloads: u64, seeds: u64, states: &Cell<u64>, voids: &Cell<u64>) {
    let beginning = MemoryDisk::new();
    Run::new(&beginning, &mut Promise::default(), 0).expect("the power does not fail");
    for seed in 0..workloads {
        Crashes {
            what: "groups in flight",
            seeds,
            from: beginning.counts().changes,
            interrupted_every: 19,
            workload: |disk: &MemoryDisk, promise: &mut Promise| workload(disk, promise, seed),
            check: |disk: &MemoryDisk, promise: &Promise, context: &str| {
                let listed = disk.files().iter().any(|file| file.starts_with("/data"));
                if !context.contains("again") && listed && journal::void_groups(disk, Path::new("/data")) > 0
                {
                    voids.set(voids.get() + 1);
                }
                check(disk, promise, context)
            },
        }
        .enumerate(states);
    }
}

/// A run with three groups in flight, which the disk has: of the first log, of the second, of the next two.
fn in_flight<'a>(disk: &'a MemoryDisk, promise: &'a mut Promise) -> Run<'a> {
    let groups: [&[usize]; 3] = [&[0], &[1], &[2, 3]];
    let mut run = Run::new(disk, promise, 1).unwrap();
    // The first of an extent is written alone.
    run.submit(LOGS - 1, 0, 1).unwrap();
    run.drain().unwrap();
    for group in &groups {
        // Beside others there is none of fewer appends than there are others.
        for at in *group {
            run.begin();
            run.submit(*at, 1, 1).unwrap();
        }
        run.begin();
        run.write(0).unwrap();
    }
    assert_eq!((run.held.len(), run.begun.len()), (groups.len(), 0));
    run
}

fn committed(promise: &Promise) -> Vec<u64> {
    promise.logs.iter().map(|told| told.committed).collect()
}

#[test]
fn a_group_counts_when_all_before_it_do() {
    let (disk, mut promise) = (MemoryDisk::new(), Promise::default());
    let mut run = in_flight(&disk, &mut promise);
    run.land(2).unwrap();
    run.land(1).unwrap();
    assert_eq!(committed(run.promise), [0, 0, 0, 0, 0, 0, 1]);
    let mut before = run.promise.clone();
    let gap = disk.fork();
    gap.crash_with(Loss::Everything);
    assert_eq!(journal::void_groups(&gap, Path::new("/data")), 2);
    let found = check(&gap, &before, "the first is lost").unwrap();
    assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [0, 0, 0, 0, 0, 0, 1]);
    run.land(0).unwrap();
    assert_eq!(committed(run.promise), [1, 1, 1, 1, 0, 0, 1]);
    before.clone_from(run.promise);
    disk.crash_with(Loss::Everything);
    let found = check(&disk, &before, "none is lost").unwrap();
    assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 1, 1, 0, 0, 1]);
}

#[test]
fn nothing_behind_a_failed_write_counts_and_all_before_it_does() {
    let (disk, mut promise) = (MemoryDisk::new(), Promise::default());
    let mut run = in_flight(&disk, &mut promise);
    disk.inject(Fault {
        after: 0,
        operations: vec![Operation::Sync],
        error: io::ErrorKind::Other,
        lasting: false,
    });
    assert!(run.land(1).is_none(), "the directory is offline");
    run.land(1).unwrap();
    assert_eq!(committed(run.promise), [0, 0, 0, 0, 0, 0, 1]);
    run.land(0).unwrap();
    assert_eq!(committed(run.promise), [1, 0, 0, 0, 0, 0, 1]);
    for (_, started) in std::mem::take(&mut run.waiting) {
        let at = started.place.unwrap();
        assert!(!run.dir.journal.counts(at) && run.dir.journal.wait(at).is_err());
    }
    assert!(run.dir.check().is_err());
}
