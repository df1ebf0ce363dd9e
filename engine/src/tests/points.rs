//! Recoveries that begin at a trusted point come to the same as those that walk the segment from its start, and read what
//! was not synced instead of everything.

use std::path::{Path, PathBuf};

use highwater_records::{Durability, LeaderEpoch, Offset, TopicId};

use crate::{
    LogConfig, LogName, ReadError,
    disk::memory::{Loss, MemoryDisk},
    testing::*,
};

fn points_of(disk: &MemoryDisk) -> Vec<PathBuf> {
    disk.files().into_iter().filter(|file| file.extension().is_some_and(|end| end == "hwpoints")).collect()
}

/// Opens the same log twice, as the disk has it and without its points. Says whether there were any.
///
/// # Panics
/// Where the two differ.
pub(super) fn agree(disk: &MemoryDisk, name: &LogName, config: &LogConfig, context: &str) -> bool {
    let points = points_of(disk);
    if points.is_empty() {
        return false;
    }
    let with = disk.fork();
    let without = disk.fork();
    for file in points {
        without.vandalize(&file).unwrap();
    }
    let open = |disk: &MemoryDisk| {
        let (dir, _) = open_dir(disk);
        dir.open_log(name, config.clone(), NOW).ok().map(|(log, report)| (dir, log, report))
    };
    let (Some((_one, mut with, report)), Some((_other, mut without, walk))) = (open(&with), open(&without))
    else {
        return false;
    };
    assert!(
        report.cut == walk.cut && report.quarantined == walk.quarantined,
        "{context}: {report:?} {walk:?}"
    );
    // A point knows a newer watermark than the checkpoint; what both settle is the same.
    let watermark = with.positions().high_watermark.max(without.positions().high_watermark);
    assert_eq!(with.set_high_watermark(watermark), without.set_high_watermark(watermark), "{context}");
    let (mut with, without) = (with.known(), without.known());
    for (one, other) in with.segments.iter_mut().zip(&without.segments) {
        // A clean stop adds the largest timestamp to the index, which no walk would.
        assert!(other.times.iter().all(|entry| one.times.contains(entry)), "{context}: {one:?} {other:?}");
        one.times.clone_from(&other.times);
    }
    assert_eq!(with, without, "{context}");
    true
}

/// Large against what a point says of four producers.
const INTERVAL: u32 = 16 << 10;

fn large(segment_bytes: u32) -> LogConfig {
    LogConfig { segment_bytes, point_bytes: INTERVAL, ..small() }
}

/// A log of one segment, `synced` bytes of it committed, one part at a time, and `more` bytes not; then the process dies.
/// Epochs change, producers come and go, transactions end and stay open.
fn crashed(synced: u64, more: u64, records: usize) -> (MemoryDisk, LogConfig) {
    crashed_log(large(64 << 20), synced, more, records)
}

fn crashed_log(config: LogConfig, synced: u64, more: u64, records: usize) -> (MemoryDisk, LogConfig) {
    let disk = MemoryDisk::new();
    let (dir, _) = open_dir(&disk);
    let mut log = dir.create_log(name(), TopicId::from_random(2, 2), config.clone(), NOW).unwrap();
    let mut n = 0u64;
    while log.size_bytes() < synced + more {
        let batch = match n % 8 {
            3 => transactional(20 + n / 8 % 3, 0, (n / 24) as i32, 1),
            7 => marker(20 + n / 8 % 3, 0, n % 16 == 7),
            5 => produced(7, 0, (n / 8) as i32, 1),
            _ => batch(n % 90, &vec![n as i64; records]),
        };
        log.append(batch, LeaderEpoch((n / 500) as u32), NOW).unwrap();
        n += 1;
        if n.is_multiple_of(5) && log.size_bytes() <= synced {
            log.commit().unwrap();
            log.set_high_watermark(log.positions().log_end);
        }
    }
    drop((dir, log));
    disk.kill();
    (disk, config)
}

/// Bytes that are read when directory and log are opened.
fn read_by_recovery(disk: &MemoryDisk, config: &LogConfig) -> u64 {
    let disk = disk.fork();
    let (_dir, log, report) = reopen(&disk, config.clone());
    assert!(report.cut.is_empty() && report.quarantined.is_empty(), "{report:?}");
    assert!(log.positions().log_end > Offset::ZERO);
    disk.counts().read_bytes
}

#[test]
fn recovery_reads_what_was_not_synced_and_not_what_was() {
    let share = |synced: u64, more: u64| {
        let (disk, config) = crashed(synced, more, 40);
        let with = read_by_recovery(&disk, &config);
        points_of(&disk).iter().for_each(|file| disk.vandalize(file).unwrap());
        (with, read_by_recovery(&disk, &config))
    };
    let (small, small_walk) = share(512 << 10, 64 << 10);
    let (large, large_walk) = share(4 << 20, 64 << 10);
    let (more, _) = share(4 << 20, 320 << 10);
    println!(
        "read after a crash: {small} of {small_walk}, {large} of {large_walk}; {more} with 256 KiB more"
    );
    assert!(small_walk > 512 << 10 && large_walk > 4 << 20, "without points all of it is read");
    // What was not synced is read three times: checked, written again, replayed; and what came since the last point.
    assert!(small < 3 * ((64 + 2 * 16) << 10) + (64 << 10), "{small}");
    // Beyond that there are the index entries, and a few producers for each point.
    assert!(large < small + (4 << 20) / 16, "{large} against {small}");
    assert!(more > large && more < large + 4 * (256 << 10), "{more} against {large}");
}

#[test]
fn what_a_point_tells_is_what_the_batches_tell() {
    for durability in [Durability::Replicated, Durability::Synced] {
        let config = LogConfig { durability, ..large(64 << 20) };
        let (disk, config) = crashed_log(config, 160 << 10, 30 << 10, 2);
        for loss in (0..20).map(Loss::Seeded).chain([Loss::Nothing, Loss::Everything]) {
            let disk = disk.fork();
            disk.crash_with(loss);
            let any = agree(&disk, &name(), &config, &format!("{loss:?}"));
            assert!(any || loss != Loss::Nothing);
        }
    }
}

#[test]
fn points_go_on_after_a_crash_and_after_a_clean_stop() {
    let (disk, config) = crashed(400 << 10, 1 << 10, 40);
    for round in 0..4u32 {
        let (dir, mut log, report) = reopen(&disk, config.clone());
        assert_eq!(report.clean, round % 2 == 1);
        for n in 0..30 {
            log.append(batch(n, &[n as i64; 20]), LeaderEpoch(100 + round), NOW).unwrap();
        }
        log.commit().unwrap();
        log.set_high_watermark(log.positions().log_end);
        for n in 0..3 {
            log.append(batch(n, &[n as i64]), LeaderEpoch(100 + round), NOW).unwrap();
        }
        if round % 2 == 0 {
            close(dir, log);
            assert_eq!(points_of(&disk).len(), 1, "one record");
            disk.kill();
        } else {
            drop((dir, log));
            disk.kill();
            assert!(agree(&disk, &name(), &config, "after a clean stop and more"));
        }
        let read = read_by_recovery(&disk, &config);
        assert!(read < 160 << 10, "{read} of 400 KiB");
    }
}

#[test]
fn damage_below_a_point_is_found_by_who_reads_it_and_takes_nothing_with_it() {
    let (disk, config) = crashed(40 << 10, 2 << 10, 2);
    let (_dir, log, _) = reopen(&disk.fork(), config.clone());
    let all = read_all(&log.reader(), offset(0)).unwrap();
    let end = log.positions().log_end;
    let path = Path::new("/data/topic-0/00000000000000000000.log");
    let bytes = disk.contents(path).unwrap();
    let starts: Vec<usize> = {
        let mut at = 0;
        std::iter::from_fn(|| {
            let len = u32::from_be_bytes(bytes.get(at + 8..at + 12)?.try_into().unwrap()) as usize + 12;
            let start = at;
            at += len;
            Some(start)
        })
        .collect()
    };
    assert_eq!(starts.len(), all.len());
    let mut looked = 0;
    for at in (3..starts.len() / 2).step_by(17) {
        let next = starts[at + 1];
        // A base offset, a length, an epoch, the magic byte, a checksum, and a record.
        for byte in
            [starts[at] + 7, starts[at] + 11, starts[at] + 15, starts[at] + 16, starts[at] + 20, next - 1]
        {
            let disk = disk.fork();
            let mut damaged = bytes.clone();
            damaged[byte] ^= 0x10;
            disk.overwrite(path, &damaged).unwrap();
            let (_dir, log, report) = reopen(&disk, config.clone());
            assert!(report.cut.is_empty(), "{report:?}");
            let reader = log.reader();
            assert_eq!(log.positions().log_end, end, "nothing is given up");
            let whole = read_all(&reader, offset(0));
            let noticed = match &whole {
                Err(ReadError::Corrupt { .. }) => true,
                Err(ReadError::Disk(error)) => error.kind() == std::io::ErrorKind::InvalidData,
                _ => false,
            };
            assert!(noticed, "batch {at}, byte {byte}: {whole:?}");
            let behind = all[at + 1..].iter().find(|(base, ..)| read_all(&reader, offset(*base)).is_ok());
            let behind = behind.expect("what lies behind the damage is served");
            assert!(behind.0 <= all[at].0 + 40, "from the next index entry on");
            looked += 1;
        }
    }
    assert!(looked >= 60, "{looked}");
}

#[test]
fn a_file_that_ends_below_a_point_has_lost_what_was_promised() {
    let (disk, config) = crashed(40 << 10, 2 << 10, 2);
    let path = Path::new("/data/topic-0/00000000000000000000.log");
    let bytes = disk.contents(path).unwrap();
    disk.overwrite(path, &bytes[..bytes.len() / 2]).unwrap();
    let mut before = None;
    for _ in 0..3 {
        let (dir, log, report) = reopen(&disk, config.clone());
        assert!(report.cut.len() <= 1 && report.quarantined.len() == 1, "{report:?}");
        assert!(log.positions().log_end > report.quarantined[0].offsets.start);
        assert_eq!(log.positions().log_end, report.quarantined[0].offsets.end);
        let now = (log.positions().log_end, log.quarantined().to_vec());
        assert_eq!(*before.get_or_insert(now.clone()), now, "also without what the point said");
        drop((dir, log));
        disk.crash_with(Loss::Everything);
    }
}

/// Kafka had the directory in between: it cut the log and went on with other batches.
#[test]
fn points_of_a_log_that_somebody_else_had_count_for_nothing() {
    let (disk, config) = crashed(40 << 10, 0, 2);
    let (dir, log, _) = reopen(&disk, config.clone());
    close(dir, log);
    disk.kill();
    let points = points_of(&disk);
    assert_eq!(points.len(), 1);
    let stale = disk.contents(&points[0]).unwrap();
    // The same log, cut and grown again by other batches, cleanly stopped.
    let (dir, mut log, _) = reopen(&disk, config.clone());
    log.truncate_to(offset(100), NOW).unwrap();
    while log.size_bytes() < 44 << 10 {
        log.append(batch(3, &[1, 2]), LeaderEpoch(200), NOW).unwrap();
    }
    close(dir, log);
    disk.kill();
    let put = |disk: &MemoryDisk| disk.overwrite(&points_of(disk)[0], &stale).unwrap();
    put(&disk);
    let (dir, mut log, report) = reopen(&disk, config.clone());
    assert!(report.clean && points_of(&disk).is_empty(), "{:?}", points_of(&disk));
    log.append(batch(3, &[1, 2]), LeaderEpoch(200), NOW).unwrap();
    drop((dir, log));
    disk.kill();
    let (_dir, log, report) = reopen(&disk, config);
    assert!(report.cut.is_empty() && report.quarantined.is_empty(), "{report:?}");
    read_all(&log.reader(), offset(0)).unwrap();
}

#[test]
fn a_truncation_removes_what_a_point_says_of_the_tail() {
    for to in [10, 300] {
        let (disk, config) = crashed(40 << 10, 0, 2);
        let (dir, mut log, _) = reopen(&disk, config.clone());
        log.append(batch(3, &[1, 2]), LeaderEpoch(200), NOW).unwrap();
        log.commit().unwrap();
        log.truncate_to(offset(to), NOW).unwrap();
        assert!(points_of(&disk).is_empty());
        while log.size_bytes() < 60 << 10 {
            log.append(batch(9, &[5, 6]), LeaderEpoch(201), NOW).unwrap();
        }
        log.commit().unwrap();
        drop((dir, log));
        disk.kill();
        assert!(agree(&disk, &name(), &config, "after a truncation"));
    }
}
