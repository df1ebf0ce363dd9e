//! A journal that is as small as can be, and full of what is no batch: it goes round all the same.

use std::{path::Path, sync::Arc};

use highwater_records::{Durability, PartitionIndex, TopicId};

use crate::{
    CommitJob, JournalOptions, Log, LogConfig, LogDir, LogName, Watermark,
    disk::memory::{Loss, MemoryDisk},
    testing::*,
};

fn config() -> LogConfig {
    LogConfig { durability: Durability::Synced, watermark: Watermark::Own, ..small() }
}

fn open(disk: &MemoryDisk) -> Arc<LogDir> {
    let journal = JournalOptions::of(JournalOptions::LEAST);
    LogDir::open_with(Arc::new(disk.clone()), Path::new("/data"), options(), journal, NOW).unwrap().0
}

fn new_log(dir: &Arc<LogDir>, at: u64) -> Log {
    let name = LogName::new("topic", PartitionIndex(at as u32));
    dir.create_log(name, TopicId::from_random(2, at), config(), NOW).unwrap()
}

fn commit_one(log: &mut Log) {
    log.append(batch(7, &[1]), EPOCH, NOW).unwrap();
    let end = log.positions().log_end;
    assert_eq!(log.commit().unwrap(), end);
}

#[test]
fn any_number_of_deletions() {
    let dir = open(&MemoryDisk::new());
    let mut kept = new_log(&dir, 1000);
    let mut logs: Vec<Log> = (0..100).map(|at| new_log(&dir, at)).collect();
    let jobs = logs.iter_mut().map(|log| {
        log.append(batch(7, &[1]), EPOCH, NOW).unwrap();
        log.begin_commit().unwrap()
    });
    for (log, done) in CommitJob::run_all(jobs.collect()).into_iter().enumerate() {
        logs[log].finish_commit(done).unwrap();
    }
    for log in logs {
        dir.delete_log(log).unwrap();
    }
    (0..50).for_each(|_| commit_one(&mut kept));
    kept.close(NOW).unwrap();
    assert!(dir.close(NOW).unwrap().clean);
}

#[test]
fn any_number_of_truncations() {
    let dir = open(&MemoryDisk::new());
    let (mut other, mut log) = (new_log(&dir, 1), new_log(&dir, 2));
    commit_one(&mut other);
    for n in 0..60 {
        commit_one(&mut log);
        match n % 3 {
            0 => log.truncate_fully_and_start_at(offset(n)).unwrap(),
            _ => assert_eq!(log.truncate_to(offset(0), NOW).ok(), log.truncate_to(offset(0), NOW).ok()),
        }
    }
    commit_one(&mut log);
    commit_one(&mut other);
}

/// What one log was promised is known however often others go round: damage to it is no torn end. Whether its commit was told
/// that it ended, so that a checkpoint may say so, or not yet, so that the journal has to go on saying it.
#[test]
fn what_was_promised_is_known_however_often_the_journal_goes_round() {
    for told in [true, false] {
        let disk = MemoryDisk::new();
        let dir = open(&disk);
        let (mut idle, mut busy) = (new_log(&dir, 1), new_log(&dir, 2));
        idle.append(batch(7, &[1]), EPOCH, NOW).unwrap();
        let done = CommitJob::run_all(vec![idle.begin_commit().unwrap()]);
        if told {
            for one in done {
                idle.finish_commit(one).unwrap();
            }
        }
        for n in 0..100 {
            commit_one(&mut busy);
            if n % 5 == 0 {
                let later = disk.fork();
                later.crash_with(Loss::Nothing);
                let segment = Path::new("/data/topic-1/00000000000000000000.log");
                let mut bytes = later.contents(segment).unwrap();
                *bytes.last_mut().unwrap() ^= 1;
                later.overwrite(segment, &bytes).unwrap();
                let name = LogName::new("topic", PartitionIndex(1));
                let (log, report) = open(&later).open_log(&name, config(), NOW).unwrap();
                assert_eq!((log.positions().log_end, report.cut), (offset(1), vec![]), "{told} {n}");
            }
        }
    }
}

/// What a truncation took away is never synced again: its files are gone.
#[test]
fn what_was_truncated_is_not_settled() {
    let dir = open(&MemoryDisk::new());
    let mut log = new_log(&dir, 1);
    for to in [0, 5] {
        for _ in 0..4 {
            (0..3).for_each(|_| commit_one(&mut log));
            log.roll(NOW).unwrap();
        }
        let first = log.positions().log_start.get();
        match to {
            0 => log.truncate_fully_and_start_at(offset(1)).unwrap(),
            _ => assert_eq!(log.truncate_to(offset(first + to), NOW).unwrap(), offset(first + to)),
        }
        assert!(dir.journal.unsettled(log.id()).is_empty());
        commit_one(&mut log);
        assert_eq!(dir.journal.unsettled(log.id()).len(), 1);
        dir.settle().unwrap();
        assert!(dir.journal.unsettled(log.id()).is_empty());
    }
}

fn extents(disk: &MemoryDisk) -> usize {
    let files = disk.files();
    let names = files.iter().filter_map(|file| file.file_name()?.to_str());
    names.filter(|name| crate::journal::is_extent(name)).count()
}

#[test]
fn the_next_file_is_there_before_it_is_needed() {
    let disk = MemoryDisk::new();
    let dir = open(&disk);
    let mut log = new_log(&dir, 1);
    commit_one(&mut log);
    assert_eq!((extents(&disk), dir.wants_relief()), (1, false), "nothing is made that nobody may need");
    while !dir.wants_relief() {
        commit_one(&mut log);
    }
    assert_eq!(extents(&disk), 1);
    dir.relieve().unwrap();
    assert_eq!((extents(&disk), dir.wants_relief()), (2, false));

    // Where nobody comes, one who commits makes the third before the second is full: six groups of a block each fit,
    // between its header and the block that is kept.
    let mut groups = 0;
    while !dir.wants_relief() {
        // Two of four files in use: somebody should settle.
        commit_one(&mut log);
        groups = 1;
    }
    while extents(&disk) == 2 {
        commit_one(&mut log);
        groups += 1;
    }
    assert!(groups < 6, "made after {groups} groups");
}
