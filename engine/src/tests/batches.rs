//! Every crash of appends to several logs: all of them have it, or none.
//!
//! As in `journal.rs`: the power fails at each change of the workload, whole or within the write; what was not synced is
//! lost, kept and shuffled; and recovery is interrupted too. The journal is as small as can be, so that it goes round and
//! is settled in between.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use highwater_records::{Durability, LeaderEpoch, Offset, PartitionIndex, TopicId};

use super::crashes::{Crashes, seeds};
use crate::{
    AppendError, AppendIfError, BatchesError, BatchesJob, CommitJob, JournalOptions, Log, LogConfig, LogDir,
    LogName, PrepareError, PreparedBatch, Watermark,
    disk::memory::{Fault, Loss, MemoryDisk, Operation},
    testing::*,
};

const LOGS: usize = 3;

fn config() -> LogConfig {
    LogConfig {
        durability: Durability::Synced,
        watermark: Watermark::Own,
        segment_bytes: 1500,
        index_interval_bytes: 300,
        ..small()
    }
}

fn open(disk: &MemoryDisk) -> Option<Arc<LogDir>> {
    let journal = JournalOptions::of(JournalOptions::LEAST);
    match LogDir::open_with(Arc::new(disk.clone()), Path::new("/data"), options(), journal, NOW) {
        Ok((dir, _)) => Some(dir),
        Err(_) if disk.stopped() => None,
        Err(error) => panic!("{error}"),
    }
}

fn log_name(at: usize) -> LogName {
    LogName::new("topic", PartitionIndex(at as u32))
}

fn new_log(dir: &Arc<LogDir>, at: usize) -> Option<Log> {
    dir.create_log(log_name(at), TopicId::from_random(2, 2), config(), NOW).ok()
}

/// A batch as the logs were told of it: base, next, checksum; and which atomic append it is a part of.
type Entry = (u64, u64, u32, Option<u64>);

#[derive(Clone, Debug, Default)]
struct Promise {
    created: usize,
    logs: [Vec<Entry>; LOGS],
    committed: [u64; LOGS],
    /// Atomic appends that were acknowledged.
    acknowledged: BTreeSet<u64>,
}

struct Run<'a> {
    dir: Arc<LogDir>,
    logs: Vec<Log>,
    promise: &'a mut Promise,
}

impl Run<'_> {
    fn append(&mut self, at: usize, seed: u64, records: usize) -> Option<()> {
        let batch = batch(seed, &vec![seed as i64; records]);
        let crc = batch.view().stored_crc();
        let epoch = self.logs[at].latest_epoch().unwrap_or(LeaderEpoch(0));
        let base = self.logs[at].append(batch, epoch, NOW).ok()?.base_offset.get();
        self.promise.logs[at].push((base, base + records as u64, crc, None));
        Some(())
    }

    fn commit(&mut self, which: &[usize]) -> Option<()> {
        let logs = &mut self.logs;
        let (which, jobs): (Vec<usize>, Vec<CommitJob>) =
            which.iter().filter_map(|at| Some((*at, logs[*at].begin_commit()?))).unzip();
        let done = CommitJob::run_all(jobs);
        for (at, done) in which.into_iter().zip(done) {
            self.promise.committed[at] = self.logs[at].finish_commit(done).ok()?.get();
        }
        Some(())
    }

    fn prepare(&mut self, id: u64, which: &[(usize, usize)]) -> Option<Vec<PreparedBatch>> {
        let mut parts = Vec::new();
        for (at, records) in which {
            let batch = batch(id % 80, &vec![id as i64; *records]);
            let crc = batch.view().stored_crc();
            let epoch = LeaderEpoch(id as u32 % 100 / 8);
            let part = self.logs[*at].prepare(batch, None, epoch, NOW).ok()?;
            let base = part.appended().base_offset.get();
            self.promise.logs[*at].push((base, base + *records as u64, crc, Some(id)));
            parts.push(part);
        }
        Some(parts)
    }

    /// As many records for each of the logs, under one number.
    fn atomic(&mut self, id: u64, which: &[(usize, usize)]) -> Option<()> {
        let all: Vec<usize> = which.iter().map(|(at, _)| *at).collect();
        self.commit(&all)?;
        let parts = self.prepare(id, which)?;
        let job = BatchesJob::new(parts).unwrap();
        if id % 3 == 1 {
            // Others settle while it is under way.
            let written = job.run().ok()?;
            self.promise.acknowledged.insert(id);
            self.dir.settle().ok()?;
            self.finish(which, written)
        } else {
            let written = job.run().ok()?;
            self.promise.acknowledged.insert(id);
            self.finish(which, written)
        }
    }

    fn finish(&mut self, which: &[(usize, usize)], written: Vec<crate::WrittenBatch>) -> Option<()> {
        for ((at, _), written) in which.iter().zip(written) {
            let log = &mut self.logs[*at];
            let before = log.positions();
            let appended = log.finish_batch(written).ok()?;
            let positions = log.positions();
            assert_eq!(before.log_end, appended.base_offset, "nothing was seen of it before");
            assert_eq!(positions.durable_end, positions.log_end);
            assert_eq!(positions.high_watermark, positions.log_end);
            self.promise.committed[*at] = positions.durable_end.get();
        }
        Some(())
    }

    fn all(&mut self) -> Option<()> {
        for at in 0..LOGS {
            self.logs.push(new_log(&self.dir, at)?);
            self.promise.created += 1;
        }
        for id in 0..14u64 {
            let at = (id % 3) as usize;
            let next = (at + 1) % LOGS;
            self.append(at, id, 1 + at)?;
            match id {
                2 => self.commit(&[0, 1, 2])?,
                5 => {
                    // Not run: nothing of it happened, and the logs go on.
                    self.commit(&[0, 1, 2])?;
                    let before = self.promise.logs.clone();
                    drop(self.prepare(100, &[(0, 1), (1, 2)])?);
                    self.promise.logs = before;
                }
                7 => {
                    // Written, and the logs do not hear of it by themselves.
                    self.commit(&[0, 1, 2])?;
                    let parts = self.prepare(101, &[(1, 2), (2, 1)])?;
                    drop(BatchesJob::new(parts).unwrap().run().ok()?);
                    self.promise.acknowledged.insert(101);
                    self.append(1, 50, 1)?;
                    self.append(2, 51, 1)?;
                }
                9 => self.dir.write_checkpoints().ok()?,
                11 => {
                    self.logs[1].roll(NOW).ok()?;
                }
                _ => {}
            }
            match id % 3 {
                0 => self.atomic(id, &[(at, 2), (next, 1)])?,
                1 => self.atomic(id, &[(2, 1), (1, 3), (0, 1)])?,
                _ => self.atomic(id, &[(next, 8), (at, 1)])?,
            }
        }
        for (at, log) in self.logs.drain(..).enumerate() {
            let end = log.positions().log_end.get();
            log.close(NOW).ok()?;
            self.promise.committed[at] = end;
        }
        self.dir.close(NOW).ok()?.clean.then_some(())
    }
}

fn workload(disk: &MemoryDisk, promise: &mut Promise) -> Option<()> {
    Run { dir: open(disk)?, logs: Vec::new(), promise }.all()
}

type Read = Vec<(u64, u32, u32)>;

/// Opens what is left and compares it with the promise. `None` if the power failed again.
fn check(disk: &MemoryDisk, promise: &Promise, context: &str) -> Option<Vec<Read>> {
    let dir = open(disk)?;
    let mut found = Vec::new();
    // Of each atomic append how many logs have it, and how many should.
    let mut parts: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
    for at in 0..promise.created {
        let (log, report) = match dir.open_log(&log_name(at), config(), NOW) {
            Ok(opened) => opened,
            Err(_) if disk.stopped() => return None,
            Err(error) => panic!("{context}: {error}"),
        };
        assert!(report.quarantined.is_empty(), "{context}: log {at}: {report:?}");
        let read = match read_all(&log.reader(), Offset::ZERO) {
            Ok(read) => read,
            Err(_) if disk.stopped() => return None,
            Err(error) => panic!("{context}: log {at}: {error}"),
        };
        let end = log.positions().log_end.get();
        assert!(end >= promise.committed[at], "{context}: log {at} ends at {end}: {promise:?}");
        let told = &promise.logs[at];
        let expected: Vec<(u64, u32)> =
            told.iter().filter(|(_, next, ..)| *next <= end).map(|(base, _, crc, _)| (*base, *crc)).collect();
        let is: Vec<(u64, u32)> = read.iter().map(|(base, crc, _)| (*base, *crc)).collect();
        assert_eq!(is, expected, "{context}: log {at}");
        for (_, next, _, id) in told {
            if let Some(id) = id {
                let (has, of) = parts.entry(*id).or_default();
                *has += usize::from(*next <= end);
                *of += 1;
            }
        }
        found.push(read);
    }
    for (id, (has, of)) in parts {
        assert!(has == 0 || has == of, "{context}: {has} of {of} logs have append {id}");
        assert!(has == of || !promise.acknowledged.contains(&id), "{context}: append {id} is lost");
    }
    Some(found)
}

#[test]
fn every_crash_leaves_all_or_none() {
    let states = Cell::new(0);
    every_crash(seeds(10), &states);
    assert!(states.get() >= 6_000, "{states:?}");
}

/// Counts the crash states that it looks at.
///
/// # Panics
/// Where something else came back than was promised.
pub(super) fn every_crash(seeds: u64, states: &Cell<u64>) {
    Crashes { what: "atomic appends", seeds, from: 0, interrupted_every: 5, workload, check }
        .enumerate(states);
}

fn three(disk: &MemoryDisk) -> (Arc<LogDir>, Vec<Log>) {
    let dir = open(disk).unwrap();
    let logs = (0..LOGS).map(|at| new_log(&dir, at).unwrap()).collect();
    (dir, logs)
}

fn prepare(log: &mut Log, seed: u64) -> PreparedBatch {
    log.prepare(batch(seed, &[1]), None, EPOCH, NOW).unwrap()
}

fn ends(logs: &[Log]) -> Vec<u64> {
    logs.iter().map(|log| log.positions().log_end.get()).collect()
}

#[test]
fn a_log_that_takes_part_takes_nothing_else_and_can_be_read() {
    let (dir, mut logs) = three(&MemoryDisk::new());
    logs[0].append(batch(1, &[1]), EPOCH, NOW).unwrap();
    assert!(matches!(logs[0].prepare(batch(1, &[1]), None, EPOCH, NOW), Err(PrepareError::Uncommitted)));
    logs[0].commit().unwrap();
    let parts = vec![prepare(&mut logs[0], 2), prepare(&mut logs[1], 3)];
    let log = &mut logs[0];
    assert!(log.is_busy());
    assert!(matches!(log.append(batch(1, &[1]), EPOCH, NOW), Err(AppendError::Busy)));
    assert!(log.append_if(offset(1), batch(1, &[1]), EPOCH, NOW).is_err());
    assert!(log.truncate_to(offset(0), NOW).is_err() && log.roll(NOW).is_err());
    assert!(log.begin_commit().is_none() && log.retain(NOW).unwrap().is_empty());
    assert_eq!(read_all(&log.reader(), offset(0)).unwrap().len(), 1);
    let written = BatchesJob::new(parts).unwrap().run().unwrap();
    assert_eq!(ends(&logs), [1, 0, 0], "nobody has heard of it");
    for (log, written) in logs.iter_mut().zip(written) {
        log.finish_batch(written).unwrap();
    }
    assert_eq!(ends(&logs), [2, 1, 0]);
    assert!(logs.iter().all(|log| !log.is_busy()));
    logs[0].append(batch(1, &[1]), EPOCH, NOW).unwrap();
    logs.into_iter().for_each(|log| log.close(NOW).unwrap());
    assert!(dir.close(NOW).unwrap().clean);
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_written() {
    let disk = MemoryDisk::new();
    let (_dir, mut logs) = three(&disk);
    // One of the parts is not what its log takes next.
    let first = prepare(&mut logs[0], 1);
    let refused = logs[1].prepare(batch(1, &[1]), Some(offset(7)), EPOCH, NOW);
    assert!(
        matches!(refused, Err(PrepareError::Append(AppendIfError::Moved { next_offset })) if next_offset == offset(0))
    );
    drop(first);
    let refused = logs[1].prepare(produced(7, 0, 3, 1), None, EPOCH, NOW);
    assert!(refused.is_ok(), "a producer may begin anywhere");
    drop(refused);

    // More than a group takes: 24 KiB in a journal like this one.
    let large = || batch(89, &vec![1; 120]);
    let mut big = LogConfig { segment_bytes: 1 << 20, ..config() };
    big.max_message_bytes = 1 << 20;
    logs.iter_mut().for_each(|log| log.set_config(big.clone()));
    let parts: Vec<PreparedBatch> =
        logs.iter_mut().map(|log| log.prepare(large(), None, EPOCH, NOW).unwrap()).collect();
    assert!(matches!(BatchesJob::new(parts), Err(BatchesError::TooLarge { max: 24_544, .. })));

    // Closed in between.
    let parts = vec![prepare(&mut logs[0], 1), prepare(&mut logs[1], 1)];
    drop(logs.remove(1));
    assert_eq!(BatchesJob::new(parts).unwrap().run().unwrap_err(), BatchesError::Closed);
    assert_eq!(ends(&logs), [0, 0]);

    // Another directory, and a log that is not synced.
    let (_other, mut others) = three(&MemoryDisk::new());
    let parts = vec![prepare(&mut logs[0], 1), prepare(&mut others[1], 1)];
    assert!(matches!(BatchesJob::new(parts), Err(BatchesError::OtherDirectory(name)) if name == log_name(1)));
    others[2].set_config(LogConfig { durability: Durability::Replicated, ..config() });
    assert!(matches!(others[2].prepare(batch(1, &[1]), None, EPOCH, NOW), Err(PrepareError::NotJournaled)));
    logs[0].append(batch(1, &[1]), EPOCH, NOW).unwrap();
}

#[test]
fn a_duplicate_takes_part_by_nothing() {
    let (_dir, mut logs) = three(&MemoryDisk::new());
    let run = |logs: &mut Vec<Log>| -> Vec<(u64, bool)> {
        let a = logs[0].prepare(produced(7, 0, 0, 2), None, EPOCH, NOW).unwrap();
        let b = logs[1].prepare(produced(8, 0, 0, 3), Some(offset(0)), EPOCH, NOW).unwrap();
        let written = BatchesJob::new(vec![a, b]).unwrap().run().unwrap();
        let finish = |(log, written): (&mut Log, _)| {
            let appended = log.finish_batch(written).unwrap();
            (appended.base_offset.get(), appended.duplicate)
        };
        logs.iter_mut().zip(written).map(finish).collect()
    };
    assert_eq!(run(&mut logs), [(0, false), (0, false)]);
    assert_eq!(run(&mut logs), [(0, true), (0, true)]);
    assert_eq!(ends(&logs), [2, 3, 0]);
}

/// Wherever the disk refuses, once or from then on: all of it or nothing, now and after a restart.
#[test]
fn a_disk_that_refuses() {
    for (error, lasting) in [
        (std::io::ErrorKind::StorageFull, false),
        (std::io::ErrorKind::StorageFull, true),
        (std::io::ErrorKind::Other, false),
    ] {
        for after in 0.. {
            let disk = MemoryDisk::new();
            let (_dir, mut logs) = three(&disk);
            disk.inject(Fault {
                after,
                operations: vec![Operation::Write, Operation::Name, Operation::Open],
                error,
                lasting,
            });
            let before = disk.counts().all;
            let parts = logs.iter_mut().map(|log| log.prepare(batch(3, &[1]), None, EPOCH, NOW));
            let parts: Result<Vec<PreparedBatch>, PrepareError> = parts.collect();
            let written = parts.ok().map(|parts| BatchesJob::new(parts).unwrap().run());
            let mut done = false;
            match written {
                Some(Ok(written)) => {
                    let finish = |(log, written): (&mut Log, _)| log.finish_batch(written).is_ok();
                    done = logs.iter_mut().zip(written).map(finish).fold(true, |all, ok| all & ok);
                    disk.clear_faults();
                    // Whoever did not take it then does now.
                    logs.iter_mut().for_each(|log| {
                        log.append(batch(1, &[1]), EPOCH, NOW).unwrap();
                    });
                    assert_eq!(ends(&logs), [2, 2, 2], "{error} after {after}");
                }
                Some(Err(BatchesError::Offline(_))) => disk.clear_faults(),
                _ => {
                    disk.clear_faults();
                    logs.iter_mut().for_each(|log| {
                        log.append(batch(1, &[1]), EPOCH, NOW).unwrap();
                        assert_eq!(log.commit().unwrap(), offset(1), "{error} after {after}");
                    });
                }
            }
            let finished = disk.counts().all - before;
            drop(logs);
            disk.crash_with(Loss::Seeded(after));
            let dir = open(&disk).unwrap();
            let logs: Vec<Log> =
                (0..LOGS).map(|at| dir.open_log(&log_name(at), config(), NOW).unwrap().0).collect();
            let first =
                |log: &Log| read_all(&log.reader(), offset(0)).unwrap().first().map(|(_, crc, _)| *crc);
            let firsts: BTreeSet<Option<u32>> = logs.iter().map(first).collect();
            assert_eq!(firsts.len(), 1, "{error} after {after}: {firsts:?}");
            if done && finished < after {
                break;
            }
        }
    }
}

#[test]
fn the_workload_ends() {
    let mut promise = Promise::default();
    assert!(workload(&MemoryDisk::new(), &mut promise).is_some(), "{promise:?}");
}
