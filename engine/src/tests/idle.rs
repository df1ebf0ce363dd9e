//! What thousands of logs cost that nobody uses.

use std::{fs, path::Path, sync::Arc};

use highwater_records::{Offset, PartitionIndex, TopicId};

use crate::{Log, LogConfig, LogDir, LogName, directory::LogEntry, disk::RealDisk, testing::*};

const LOGS: u32 = 2_000;

fn name(partition: u32) -> LogName {
    LogName::new("idle", PartitionIndex(partition))
}

#[expect(clippy::disallowed_methods, reason = "asks the system about this process")]
/// Files below `root` that this process has open, and that it has mapped.
fn held(root: &Path) -> (usize, usize) {
    let links = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let open = links.filter_map(|link| fs::read_link(link.path()).ok()).filter(|to| to.starts_with(root));
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    (open.count(), maps.lines().filter(|line| line.contains(root.to_str().unwrap())).count())
}

/// In memory where there is such a place: syncs are not what is looked at.
fn place() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

#[test]
fn logs_that_nobody_uses_have_no_descriptor_and_no_map() {
    let place = place();
    let root = fs::canonicalize(place.path()).unwrap();
    let open = || LogDir::open(Arc::new(RealDisk), &root, options(), NOW).unwrap();
    let (dir, _) = open();
    for n in 0..LOGS {
        let mut log = dir.create_log(name(n), TopicId::from_random(2, 2), LogConfig::default(), NOW).unwrap();
        log.append(batch(10, &[NOW.0]), EPOCH, NOW).unwrap();
        log.close(NOW).unwrap();
    }
    let (open_of_directory, _) = held(&root);
    assert!(open_of_directory <= 2, "the lock and the journal, not {open_of_directory}");
    assert!(dir.close(NOW).unwrap().clean);
    drop(dir);

    let (dir, report) = open();
    assert_eq!((report.logs.len(), report.clean), (LOGS as usize, true));
    assert_eq!(held(&root), (open_of_directory, 0), "logs that were not asked for");
    let logs: Vec<_> =
        (0..LOGS).map(|n| dir.open_log(&name(n), LogConfig::default(), NOW).unwrap().0).collect();
    for log in &logs {
        assert!(!log.reader().read(Offset::ZERO, 1 << 20, log.positions().log_end, true).unwrap().is_empty());
    }
    let (open_with_logs, maps) = held(&root);
    assert!(open_with_logs <= open_of_directory + LOGS as usize, "one file for a log that is read");
    assert_eq!(maps, 0);
    for log in logs {
        log.close(NOW).unwrap();
    }
    assert_eq!(held(&root), (open_of_directory, 0), "logs that are not used any more");
    assert!(size_of::<LogEntry>() <= 512, "{}", size_of::<LogEntry>());
    assert!(dir.close(NOW).unwrap().clean);
}

#[test]
fn sealed_segments_that_are_read_share_a_few_descriptors() {
    const LOGS: u32 = 8;
    const SEGMENTS: u64 = 250;
    const KEPT: usize = 40;
    let place = place();
    let root = fs::canonicalize(place.path()).unwrap();
    let (dir, _) = LogDir::open(Arc::new(RealDisk), &root, options(), NOW).unwrap();
    dir.set_open_files(KEPT);
    let create = |n| {
        let mut log = dir.create_log(name(n), TopicId::from_random(2, 2), LogConfig::default(), NOW).unwrap();
        for _ in 0..SEGMENTS {
            log.append(batch(10, &[NOW.0]), EPOCH, NOW).unwrap();
            log.append(batch(11, &[NOW.0]), EPOCH, NOW).unwrap();
            log.roll(NOW).unwrap();
        }
        log.commit().unwrap();
        log
    };
    let logs: Vec<Log> = (0..LOGS).map(create).collect();
    let others = held(&root).0;
    // The lock, and a journal where there is one, and of each log the segment that is written.
    assert!(others <= 2 + LOGS as usize, "what was written and synced is closed: {others}");
    let mut last = Vec::new();
    for at in 0..2 * SEGMENTS {
        for log in &logs {
            let range = log.reader().read(offset(at), 1, log.positions().log_end, true).unwrap();
            assert_eq!(range.base_offset(), offset(at));
            assert!(!range.bytes().unwrap().is_empty());
            log.reader().offset_for_timestamp(NOW).unwrap().unwrap();
            last.push(range);
        }
        if at % 20 == 19 {
            let open = held(&root).0;
            assert!(open > KEPT && open <= others + KEPT + last.len(), "{open} files at {at}");
        }
        last.drain(..last.len() - 4);
    }
    // What somebody has in hand is read whatever became of its descriptor.
    dir.set_open_files(0);
    assert_eq!(held(&root).0, others + last.len());
    last.iter().for_each(|range| assert!(!range.bytes().unwrap().is_empty()));
    drop(last);
    assert_eq!(held(&root).0, others);
}

#[test]
fn a_log_that_is_only_looked_at_writes_nothing() {
    let disk = crate::disk::memory::MemoryDisk::new();
    let (dir, mut log) = create(&disk, small());
    for n in 0..30 {
        log.append(produced(7, 0, n, 1), EPOCH, NOW).unwrap();
    }
    close(dir, log);
    let (dir, _) = open_dir(&disk);
    let before = disk.counts();
    let (log, _) = dir.open_log(&crate::testing::name(), small(), NOW).unwrap();
    let opened = disk.counts();
    assert_eq!((opened.changes, opened.dir_syncs), (before.changes, before.dir_syncs), "opening it");
    assert_eq!(read_all(&log.reader(), Offset::ZERO).unwrap().len(), 30);
    log.close(NOW).unwrap();
    let after = disk.counts();
    assert_eq!(after.changes, before.changes, "closing it");
    let (log, report) = dir.open_log(&crate::testing::name(), small(), NOW).unwrap();
    assert!(report.clean && report.indexes_rebuilt == 0);
    close(dir, log);
}
