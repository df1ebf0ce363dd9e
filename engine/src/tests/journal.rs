//! Every crash of a directory whose synced logs share a journal that is as small as can be, so that it goes round.
//!
//! As in `crash.rs`: the power fails at each change of the workload, whole or within the write; what was not synced is
//! lost, kept and shuffled; what comes back is compared with what was promised; and recovery is interrupted too.

use std::{cell::Cell, path::Path, sync::Arc};

use highwater_records::{Durability, LeaderEpoch, PartitionIndex, TopicId};

use super::crashes::{Crashes, seeds};
use crate::{
    CommitJob, JournalOptions, Log, LogConfig, LogDir, LogName, OpenDirError, OpenLogError, Watermark,
    disk::memory::MemoryDisk, testing::*,
};

const LOGS: usize = 3;

fn config() -> LogConfig {
    LogConfig {
        durability: Durability::Synced,
        watermark: Watermark::Own,
        segment_bytes: 20_000,
        index_interval_bytes: 600,
        ..small()
    }
}

fn open(disk: &MemoryDisk) -> Result<(Arc<LogDir>, crate::OpenReport), OpenDirError> {
    let journal = JournalOptions::of(JournalOptions::LEAST);
    LogDir::open_with(Arc::new(disk.clone()), Path::new("/data"), options(), journal, NOW)
}

fn log_name(at: usize) -> LogName {
    LogName::new("topic", PartitionIndex(at as u32))
}

/// What one log was told.
#[derive(Clone, Debug, Default)]
struct Told {
    /// Every batch that was appended, in order: (base offset, next offset, checksum, leader epoch).
    appended: Vec<(u64, u64, u32, u32)>,
    committed: u64,
    start: u64,
    exists: bool,
    /// A change that began and did not end.
    truncating_to: Option<u64>,
    restarting: bool,
    deleting: bool,
}

#[derive(Clone, Debug, Default)]
struct Promise {
    logs: [Told; LOGS],
}

struct Run<'a> {
    dir: Arc<LogDir>,
    logs: [Option<Log>; LOGS],
    promise: &'a mut Promise,
}

impl Run<'_> {
    fn create(&mut self, at: usize) -> Option<()> {
        let id = TopicId::from_random(2, 2);
        let log = self.dir.create_log(log_name(at), id, config(), NOW).ok()?;
        self.promise.logs[at] = Told { exists: true, ..Told::default() };
        self.logs[at] = Some(log);
        Some(())
    }

    fn append(&mut self, at: usize, seed: u64, records: usize) -> Option<()> {
        let batch = batch(seed, &vec![seed as i64; records]);
        let epoch = LeaderEpoch(self.promise.logs[at].appended.len() as u32 / 4);
        let crc = batch.view().stored_crc();
        let appended = self.logs[at].as_mut()?.append(batch, epoch, NOW).ok()?;
        let base = appended.base_offset.get();
        self.promise.logs[at].appended.push((base, base + records as u64, crc, epoch.0));
        Some(())
    }

    /// One commit for some of the logs.
    fn commit(&mut self, which: &[usize]) -> Option<()> {
        let logs = &mut self.logs;
        let jobs: Vec<(usize, CommitJob)> =
            which.iter().filter_map(|at| Some((*at, logs[*at].as_mut()?.begin_commit()?))).collect();
        let (which, jobs): (Vec<usize>, Vec<CommitJob>) = jobs.into_iter().unzip();
        let mut ok = true;
        for (at, done) in which.into_iter().zip(CommitJob::run_all(jobs)) {
            match self.logs[at].as_mut()?.finish_commit(done) {
                Ok(end) => self.promise.logs[at].committed = end.get(),
                Err(_) => ok = false,
            }
        }
        ok.then_some(())
    }

    fn truncate(&mut self, at: usize, to: u64) -> Option<()> {
        self.promise.logs[at].truncating_to = Some(to);
        let end = self.logs[at].as_mut()?.truncate_to(offset(to), NOW).ok()?.get();
        let told = &mut self.promise.logs[at];
        told.truncating_to = None;
        told.appended.retain(|(_, next, ..)| *next <= end);
        told.committed = told.committed.min(end);
        Some(())
    }

    fn restart(&mut self, at: usize, from: u64) -> Option<()> {
        self.promise.logs[at].restarting = true;
        self.logs[at].as_mut()?.truncate_fully_and_start_at(offset(from)).ok()?;
        // The start counts once it is written down.
        self.dir.write_checkpoints().ok()?;
        self.promise.logs[at] = Told { exists: true, start: from, committed: from, ..Told::default() };
        Some(())
    }

    fn delete(&mut self, at: usize) -> Option<()> {
        self.promise.logs[at].deleting = true;
        self.dir.delete_log(self.logs[at].take()?).ok()?;
        self.promise.logs[at] = Told::default();
        Some(())
    }

    fn all(&mut self) -> Option<()> {
        (0..LOGS).try_for_each(|at| self.create(at))?;
        for n in 0..26u64 {
            let at = (n % 3) as usize;
            self.append(at, n % 80, 1 + (n % 3) as usize)?;
            match n {
                3 => {
                    // Begun and dropped: the next one finds that not all of it can go into the journal.
                    drop(self.logs[0].as_mut()?.begin_commit());
                    self.commit(&[0])?;
                }
                4 => {
                    // So much that the files are synced if it is committed alone.
                    self.append(1, 79, 12)?;
                    self.commit(&[1])?;
                    self.append(1, 78, 12)?;
                    self.commit(&[1, 2])?;
                }
                5 => {
                    // Too much for the journal.
                    self.append(1, 89, 120)?;
                    self.commit(&[0, 1])?;
                }
                7 => {
                    self.logs[1].as_mut()?.roll(NOW).ok()?;
                    self.append(1, 40, 2)?;
                    self.commit(&[1, 2])?;
                }
                9 => self.truncate(1, 125)?,
                11 => {
                    // A commit that was taken before a truncation and runs after it.
                    self.append(2, 60, 2)?;
                    let job = self.logs[2].as_mut()?.begin_commit()?;
                    let keep = self.promise.logs[2].appended[1].1;
                    self.truncate(2, keep)?;
                    let done = job.run();
                    let end = self.logs[2].as_mut()?.finish_commit(done).ok()?;
                    self.promise.logs[2].committed = end.get();
                    self.append(2, 61, 2)?;
                    self.commit(&[2])?;
                }
                13 => self.dir.settle_older().ok()?,
                14 => self.restart(0, 1000)?,
                16 => {
                    self.dir.write_checkpoints().ok()?;
                }
                18 => {
                    self.delete(2)?;
                    self.create(2)?;
                    self.append(2, 77, 1)?;
                    self.commit(&[2])?;
                }
                _ => self.commit(&[at, (at + 1) % 3])?,
            }
        }
        for at in 0..LOGS {
            let end = self.logs[at].as_ref()?.positions().log_end.get();
            self.logs[at].take()?.close(NOW).ok()?;
            self.promise.logs[at].committed = end;
        }
        self.dir.close(NOW).ok()?.clean.then_some(())
    }
}

fn workload(disk: &MemoryDisk, promise: &mut Promise) -> Option<()> {
    let (dir, _) = open(disk).ok()?;
    Run { dir, logs: [const { None }; LOGS], promise }.all()
}

type Read = Vec<(u64, u32, u32)>;

/// Opens what is left and compares it with the promise. `None` if the power failed again.
fn check(disk: &MemoryDisk, promise: &Promise, context: &str) -> Option<Vec<Read>> {
    let (dir, report) = match open(disk) {
        Ok(opened) => opened,
        Err(_) if disk.stopped() => return None,
        Err(error) => panic!("{context}: {error}"),
    };
    assert!(report.unidentified.is_empty(), "{context}: {report:?}");
    // A first checkpoint that was not finished is told of too; that is no loss.
    let journal = report.distrusted.iter().find(|text| text.contains("journal"));
    assert_eq!(journal, None, "{context}");
    let mut found = Vec::new();
    for (at, told) in promise.logs.iter().enumerate() {
        let (log, report) = match dir.open_log(&log_name(at), config(), NOW) {
            Ok(opened) => opened,
            Err(_) if disk.stopped() => return None,
            Err(OpenLogError::NotFound(_)) if !told.exists || told.deleting => {
                found.push(Vec::new());
                continue;
            }
            Err(error) => panic!("{context}: {error}"),
        };
        assert!(report.quarantined.is_empty(), "{context}: log {at}: {report:?}, {told:?}");
        let positions = log.positions();
        let read = match read_all(&log.reader(), positions.log_start) {
            Ok(read) => read,
            Err(_) if disk.stopped() => return None,
            Err(error) => panic!("{context}: log {at}: {error}"),
        };
        let (start, end) = (positions.log_start.get(), positions.log_end.get());
        let appended = told.appended.iter().filter(|(_, next, ..)| *next <= end);
        let expected: Read = appended.map(|(base, _, crc, epoch)| (*base, *crc, *epoch)).collect();
        if told.restarting {
            assert!(read.is_empty() || read == expected, "{context}: log {at} restarts: {read:?}");
        } else {
            // A batch that straddles the point of a truncation goes whole.
            let kept =
                |to| told.appended.iter().map(|(_, next, ..)| *next).rfind(|next| *next <= to).unwrap_or(0);
            let committed = told.truncating_to.map_or(told.committed, |to| kept(to).min(told.committed));
            assert_eq!(read, expected, "{context}: log {at}");
            assert_eq!(start, told.start, "{context}: log {at}");
            assert!(
                end >= committed,
                "{context}: log {at} ends at {end}, below the commit {committed}: {told:?}"
            );
            let mut last =
                told.appended.iter().filter(|(_, next, ..)| *next <= end).map(|(_, next, ..)| *next);
            assert_eq!(last.next_back().unwrap_or(start), end, "{context}: log {at}");
        }
        found.push(read);
    }
    Some(found)
}

#[test]
fn every_crash_leaves_what_was_promised() {
    let states = Cell::new(0);
    every_crash(seeds(24), &states);
    assert!(states.get() >= 28_000, "{states:?}");
}

/// Counts the crash states that it looks at.
///
/// # Panics
/// Where something else came back than was promised.
pub(super) fn every_crash(seeds: u64, states: &Cell<u64>) {
    Crashes { what: "a journal", seeds, from: 0, interrupted_every: 7, workload, check }.enumerate(states);
}

#[test]
fn the_journal_goes_round_and_leaves_nothing_behind() {
    let disk = MemoryDisk::new();
    let (dir, _) = open(&disk).unwrap();
    let mut promise = Promise::default();
    let mut run = Run { dir, logs: [const { None }; LOGS], promise: &mut promise };
    (0..LOGS).for_each(|at| run.create(at).unwrap());
    for n in 0..200 {
        run.append((n % 3) as usize, n % 80, 2).unwrap();
        run.commit(&[0, 1, 2]).unwrap();
        // At every place of an extent, its first and its last block included.
        if n % 7 == 3 || n % 5 == 1 {
            run.dir.settle().unwrap();
        }
        let extents = disk.files().iter().filter(|path| path.to_string_lossy().ends_with(".journal")).count();
        assert!((1..=4).contains(&extents), "{extents} extents");
        let meta = disk.contents(Path::new("/data/meta.properties")).unwrap();
        assert!(meta.starts_with(b"version=2"), "Kafka must not start here now");
    }
    let Run { dir, logs, .. } = run;
    for (at, log) in logs.into_iter().flatten().enumerate() {
        assert_eq!(promise.logs[at].committed, log.positions().log_end.get());
        log.close(NOW).unwrap();
    }
    assert!(dir.close(NOW).unwrap().clean);
    assert!(!disk.files().iter().any(|path| path.to_string_lossy().ends_with(".journal")));
    assert!(disk.contents(Path::new("/data/meta.properties")).unwrap().starts_with(b"version=1"));
}

#[test]
fn one_commit_of_many_logs_is_one_write() {
    let disk = MemoryDisk::new();
    let (dir, _) = open(&disk).unwrap();
    let mut promise = Promise::default();
    let mut run = Run { dir, logs: [const { None }; LOGS], promise: &mut promise };
    (0..LOGS).for_each(|at| run.create(at).unwrap());
    for round in 0..2 {
        (0..LOGS).for_each(|at| run.append(at, 5, 1).unwrap());
        let before = disk.counts();
        run.commit(&[0, 1, 2]).unwrap();
        let after = disk.counts();
        if round > 0 {
            // A write that is durable when it returns counts as a write and a sync.
            assert_eq!((after.changes - before.changes, after.syncs - before.syncs), (2, 1));
            assert_eq!(after.dir_syncs, before.dir_syncs);
        }
    }
}
