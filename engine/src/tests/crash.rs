//! Every crash of a small workload.
//!
//! The workload is run once for each change it makes to the disk, with the power failing there, whole or within the
//! write. Then the unsynced rest is lost, kept, and shuffled by several seeds; and what comes back is compared with
//! what was promised: everything whose commit finished, and always a prefix. For some of these the power fails again
//! within recovery, at each of its changes.

use std::cell::Cell;

use highwater_records::LeaderEpoch;

use super::{
    crashes::{Crashes, seeds},
    points,
};
use crate::{LogConfig, LogDir, StartReason, disk::memory::MemoryDisk, testing::*};

/// What the workload was told before the power failed.
#[derive(Clone, Debug, Default)]
struct Promise {
    /// Every batch that was appended, in order: (base offset, checksum, leader epoch).
    appended: Vec<(u64, u32, u32)>,
    /// Below this everything was committed.
    committed: u64,
    /// The log start that checkpoints hold, and the one that was shown.
    durable_start: u64,
    shown_start: u64,
    created: bool,
    /// Where a truncation has begun, and not finished.
    truncating_to: Option<u64>,
}

fn config() -> LogConfig {
    LogConfig { segment_bytes: 600, ..small() }
}

/// Creates, appends, commits, rolls, writes checkpoints, retains, truncates, changes epochs, closes, opens again.
fn workload(disk: &MemoryDisk, promise: &mut Promise) -> Option<()> {
    let (dir, _) =
        LogDir::open(std::sync::Arc::new(disk.clone()), std::path::Path::new("/data"), options(), NOW)
            .ok()?;
    let id = highwater_records::TopicId::from_random(2, 2);
    let mut log = dir.create_log(name(), id, config(), NOW).ok()?;
    promise.created = true;
    let mut done = None;
    for n in 0..14u64 {
        let batch =
            if n % 3 == 0 { produced(7, 0, n as i32 / 3 * 2, 2) } else { batch(n * 7 % 80, &[n as i64, 5]) };
        let crc = batch.view().stored_crc();
        let epoch = n as u32 / 5;
        let appended = log.append(batch, LeaderEpoch(epoch), NOW).ok()?;
        promise.appended.push((appended.base_offset.get(), crc, epoch));
        match n {
            2 | 6 | 11 => promise.committed = log.commit().ok()?.get(),
            7 => {
                let done = log.begin_commit()?.run();
                promise.committed = log.finish_commit(done).ok()?.get();
                // The truncation that comes next goes below what this promises.
                dir.write_checkpoints().ok()?;
            }
            // Between begin and finish the log goes on.
            12 => done = Some(log.begin_commit()?.run()),
            13 => promise.committed = log.finish_commit(done.take()?).ok()?.get(),
            4 | 9 => {
                dir.write_checkpoints().ok()?;
                promise.durable_start = promise.shown_start;
            }
            8 => {
                promise.truncating_to = Some(14);
                log.truncate_to(offset(14), NOW).ok()?;
                promise.truncating_to = None;
                promise.appended.truncate(7);
                promise.committed = promise.committed.min(14);
            }
            10 => {
                log.set_high_watermark(offset(10));
                promise.shown_start = 7;
                log.advance_start_to(offset(7), StartReason::RecordsDeleted).ok()?;
                promise.durable_start = 7;
                log.retain(NOW).ok()?;
                dir.write_checkpoints().ok()?;
            }
            _ => {}
        }
    }
    let end = log.positions().log_end.get();
    log.close(NOW).ok()?;
    promise.committed = end;
    dir.close(NOW).ok()?;
    drop(dir);

    let (dir, _) =
        LogDir::open(std::sync::Arc::new(disk.clone()), std::path::Path::new("/data"), options(), NOW)
            .ok()?;
    let (mut log, _) = dir.open_log(&name(), config(), NOW).ok()?;
    let last = batch(30, &[1, 5]);
    let crc = last.view().stored_crc();
    let appended = log.append(last, LeaderEpoch(3), NOW).ok()?;
    promise.appended.push((appended.base_offset.get(), crc, 3));
    promise.committed = log.commit().ok()?.get();
    Some(())
}

/// Opens what is left and compares it with the promise. `None` if the power failed again.
fn check(disk: &MemoryDisk, promise: &Promise, context: &str) -> Option<Vec<(u64, u32, u32)>> {
    if context.ends_with("Nothing") || context.ends_with("Seeded(0)") {
        points::agree(disk, &name(), &config(), context);
    }
    let opened =
        LogDir::open(std::sync::Arc::new(disk.clone()), std::path::Path::new("/data"), options(), NOW);
    let (dir, report) = match opened {
        Ok(opened) => opened,
        Err(_) if disk.stopped() => return None,
        Err(error) => panic!("{context}: {error}"),
    };
    assert!(report.unidentified.is_empty(), "{context}: {report:?}");
    let (log, report) = match dir.open_log(&name(), config(), NOW) {
        Ok(opened) => opened,
        Err(_) if disk.stopped() => return None,
        Err(crate::OpenLogError::NotFound(_)) if !promise.created => return Some(Vec::new()),
        Err(error) => panic!("{context}: {error}"),
    };
    assert!(report.quarantined.is_empty(), "{context}: {report:?}");
    let positions = log.positions();
    let (start, end) = (positions.log_start.get(), positions.log_end.get());
    let committed = promise.truncating_to.map_or(promise.committed, |to| to.min(promise.committed));
    assert!(end >= committed, "{context}: the log ends at {end}, below the commit {committed}");
    assert!(
        start >= promise.durable_start && start <= promise.shown_start,
        "{context}: start {start}, {promise:?}"
    );
    let read =
        read_all(&log.reader(), positions.log_start).unwrap_or_else(|error| panic!("{context}: {error}"));
    let expected: Vec<_> =
        promise.appended.iter().copied().filter(|(base, ..)| base + 2 > start && *base < end).collect();
    assert_eq!(read, expected, "{context}");
    assert_eq!(read.last().map_or(end, |(base, ..)| base + 2), end, "{context}");
    Some(read)
}

#[test]
fn every_crash_leaves_what_was_promised() {
    let states = Cell::new(0);
    every_crash(seeds(40), &states);
    assert!(states.get() >= 20_000, "{states:?}");
}

/// Counts the crash states that it looks at.
///
/// # Panics
/// Where something else came back than was promised.
pub(super) fn every_crash(seeds: u64, states: &Cell<u64>) {
    Crashes { what: "one log", seeds, from: 0, interrupted_every: 1, workload, check }.enumerate(states);
}
