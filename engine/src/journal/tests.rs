//! The journal's own files, with every bit flipped, cut at every length, and gone.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use highwater_records::Durability;

use crate::{
    LogConfig, LogDir, OpenReport, RecoveryReport,
    disk::memory::{Loss, MemoryDisk},
    testing::*,
};

/// Bytes of the journal's files that were ever written; behind them lie zeros.
const USED: usize = 5 * 4096;

fn config() -> LogConfig {
    LogConfig { durability: Durability::Synced, ..small() }
}

fn open(disk: &MemoryDisk) -> (Arc<LogDir>, OpenReport) {
    let journal = crate::JournalOptions::of(crate::JournalOptions::LEAST);
    LogDir::open_with(Arc::new(disk.clone()), "/data".as_ref(), options(), journal, NOW).unwrap()
}

/// A log of four commits after a power cut that left them in the journal alone. Where each ends, and the journal.
fn crashed() -> (MemoryDisk, Vec<u64>, PathBuf) {
    let disk = MemoryDisk::new();
    let (dir, _) = open(&disk);
    let id = highwater_records::TopicId::from_random(2, 2);
    let mut log = dir.create_log(name(), id, config(), NOW).unwrap();
    let mut ends = vec![0];
    for n in 0..4 {
        log.append(batch(n, &[1, 2]), EPOCH, NOW).unwrap();
        ends.push(log.commit().unwrap().get());
    }
    disk.crash_with(Loss::Everything);
    let journal =
        disk.files().into_iter().find(|file| file.extension().is_some_and(|kind| kind == "journal"));
    (disk, ends, journal.unwrap())
}

/// What an opening makes of it: where the log ends, and what it was told.
fn recovered(disk: &MemoryDisk) -> (u64, OpenReport, RecoveryReport) {
    let (dir, opened) = open(disk);
    let (log, report) = dir.open_log(&name(), config(), NOW).unwrap();
    let end = log.positions().log_end.get();
    let read = read_all(&log.reader(), log.positions().log_start);
    if report.quarantined.is_empty() {
        assert_eq!(read.unwrap().len() as u64 * 2, end);
    }
    (end, opened, report)
}

#[test]
fn what_a_power_cut_took_comes_back() {
    let (disk, ends, _) = crashed();
    assert_eq!(disk.contents("/data/topic-0/00000000000000000000.log".as_ref()).unwrap(), []);
    let (end, opened, _) = recovered(&disk.fork());
    assert_eq!((end, opened.replayed.0), (ends[4], 4));
    assert!(!opened.clean && opened.distrusted.is_empty());
}

/// The same journal as one of another version: the header says which, and the groups of this one are as those of the first.
fn of_version(disk: &MemoryDisk, journal: &Path, version: u8) {
    let mut bytes = disk.contents(journal).unwrap();
    assert!(bytes.starts_with(b"HWJRNL"));
    bytes[6] = version;
    let crc = crc32c::crc32c(&bytes[..40]);
    bytes[40..44].copy_from_slice(&crc.to_le_bytes());
    disk.overwrite(journal, &bytes).unwrap();
}

#[test]
fn a_journal_of_before_there_were_groups_in_flight_is_read() {
    let (disk, ends, journal) = crashed();
    of_version(&disk, &journal, b'1');
    let (end, opened, _) = recovered(&disk);
    assert_eq!((end, opened.replayed.0), (ends[4], 4));
    assert!(opened.distrusted.is_empty());
}

#[test]
fn a_journal_of_a_newer_version_is_refused_and_kept() {
    let (disk, ends, journal) = crashed();
    of_version(&disk, &journal, b'3');
    let before = disk.contents(&journal).unwrap();
    let options = crate::JournalOptions::default();
    let opened =
        LogDir::open_with(Arc::new(disk.clone()), "/data".as_ref(), crate::testing::options(), options, NOW);
    let error = opened.map(drop).unwrap_err().to_string();
    assert!(error.contains("the journal is of version 3"), "{error}");
    assert_eq!(disk.contents(&journal).unwrap(), before);
    // The build that wrote it opens it.
    of_version(&disk, &journal, b'2');
    assert_eq!(recovered(&disk).0, ends[4]);
}

#[test]
fn replaying_twice_is_replaying_once() {
    let (disk, ends, _) = crashed();
    for changes in 0.. {
        let once = disk.fork();
        once.stop_after(changes, false);
        let interrupted = LogDir::open(Arc::new(once.clone()), "/data".as_ref(), options(), NOW).is_err();
        once.crash_with(Loss::Seeded(changes));
        assert_eq!(recovered(&once).0, ends[4], "after {changes} changes");
        if !interrupted {
            return;
        }
    }
}

/// A flip in a group that others follow is told of. In the last one it is what a torn write looks like: nobody can tell.
#[test]
fn every_bit() {
    let (disk, ends, journal) = crashed();
    let bytes = disk.contents(&journal).unwrap();
    assert!(
        bytes[USED..].iter().all(|byte| *byte == 0) && bytes[USED - 4096..USED].iter().any(|byte| *byte != 0)
    );
    for bit in 0..USED * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        // Behind a group lies padding, which nobody reads.
        let read = bytes[bit / 8] != 0 || bit / 8 % 4096 < 200;
        if !read && bit % 509 != 0 {
            continue;
        }
        let other = disk.fork();
        other.overwrite(&journal, &flipped).unwrap();
        let (end, opened, report) = recovered(&other);
        assert!(ends.contains(&end), "bit {bit}: the log ends at {end}");
        assert!(report.quarantined.is_empty() && report.cut.is_empty(), "bit {bit}: {report:?}");
        // Block 0 is the header: without it there is no journal. Groups are in the blocks after it.
        let block = bit / 8 / 4096;
        match block {
            0 => assert!(end == ends[4] || end == 0, "bit {bit}: {end}"),
            _ => assert!(end == ends[4] || end == ends[block - 1], "bit {bit}: {end}"),
        }
        if end < ends[4] && block < 4 {
            assert!(!opened.distrusted.is_empty(), "bit {bit}: nobody was told");
        }
    }
}

#[test]
fn every_length_and_no_file_at_all() {
    let (disk, ends, journal) = crashed();
    let bytes = disk.contents(&journal).unwrap();
    for len in (0..USED + 512).step_by(512) {
        let other = disk.fork();
        other.overwrite(&journal, &bytes[..len]).unwrap();
        let (end, ..) = recovered(&other);
        assert!(ends.contains(&end), "{len} bytes: the log ends at {end}");
        assert!(end == ends[4] || len < USED, "{len} bytes: the log ends at {end}");
    }
    disk.vandalize(&journal).unwrap();
    assert_eq!(recovered(&disk).0, 0);
}

#[test]
fn what_was_written_down_as_promised_and_is_lost_with_the_journal_is_quarantined() {
    let (disk, ends, journal) = crashed();
    // The replay writes the recovery point down, then the media lose everything.
    let (dir, _) = open(&disk);
    drop(dir);
    disk.kill();
    assert!(disk.contents(&journal).is_err());
    disk.overwrite("/data/topic-0/00000000000000000000.log".as_ref(), b"").unwrap();
    let (end, _, report) = recovered(&disk);
    assert_eq!(end, ends[4], "offsets that were promised are never used again");
    assert_eq!(report.quarantined.len(), 1);
}
