//! Every crash of a small workload of transactions: what comes back decides about the batches that came back, and
//! nothing else. The workload is stopped at each change it makes to the disk; recovery is interrupted too.

use std::{cell::Cell, path::Path, sync::Arc};

use highwater_records::{LeaderEpoch, TopicId, batch::CheckedBatch};

use super::{
    crashes::Crashes,
    model::{Role, outcome},
    points,
};
use crate::{LogConfig, LogDir, disk::memory::MemoryDisk, testing::*};

fn config() -> LogConfig {
    LogConfig { segment_bytes: 400, ..small() }
}

/// What the workload was told before the power failed.
#[derive(Clone, Debug, Default)]
struct Promise {
    created: bool,
    /// Every batch that was appended, in order, by its first offset.
    appended: Vec<(u64, Role)>,
    committed: u64,
    truncating_to: Option<u64>,
}

fn part(id: u64, sequence: i32) -> (CheckedBatch, Role) {
    (transactional(id, 0, sequence, 2), Role::Part(id))
}

fn end(id: u64, committed: bool) -> (CheckedBatch, Role) {
    (marker(id, 0, committed), Role::End { producer: id, committed })
}

/// Two producers whose transactions overlap and lie over segment borders; a truncation takes a decision back; one
/// transaction stays open over a clean stop.
fn workload(disk: &MemoryDisk, promise: &mut Promise) -> Option<()> {
    let (dir, _) = LogDir::open(Arc::new(disk.clone()), Path::new("/data"), options(), NOW).ok()?;
    let id = TopicId::from_random(2, 2);
    let mut log = dir.create_log(name(), id, config(), NOW).ok()?;
    promise.created = true;
    let script = [
        part(20, 0),
        part(21, 0),
        end(20, false),
        (batch(60, &[1, 2]), Role::Plain),
        end(21, true),
        part(20, 2),
        end(20, false),
        part(21, 2),
        part(22, 0),
        end(21, false),
        end(22, true),
        part(20, 2),
    ];
    for (n, (batch, role)) in script.into_iter().enumerate() {
        let appended = log.append(batch, LeaderEpoch(1), NOW).ok()?;
        promise.appended.push((appended.base_offset.get(), role));
        match n {
            2 | 4 | 9 => promise.committed = log.commit().ok()?.get(),
            3 | 8 => dir.write_checkpoints().ok()?,
            6 => {
                // The second abort of the first producer is taken back, and its records with it.
                let (to, _) = promise.appended[5];
                promise.truncating_to = Some(to);
                log.truncate_to(offset(to), NOW).ok()?;
                promise.truncating_to = None;
                promise.appended.truncate(5);
                promise.committed = promise.committed.min(to);
            }
            7 => {
                let end = log.positions().log_end;
                log.set_high_watermark(end);
            }
            _ => {}
        }
    }
    let log_end = log.positions().log_end.get();
    log.close(NOW).ok()?;
    promise.committed = log_end;
    dir.close(NOW).ok()?;
    Some(())
}

/// Opens what is left and compares it with the promise. `None` if the power failed again.
fn check(disk: &MemoryDisk, promise: &Promise, context: &str) -> Option<u64> {
    if context.ends_with("Nothing") || context.ends_with("Seeded(0)") {
        points::agree(disk, &name(), &config(), context);
    }
    let (dir, _) = match LogDir::open(Arc::new(disk.clone()), Path::new("/data"), options(), NOW) {
        Ok(opened) => opened,
        Err(_) if disk.stopped() => return None,
        Err(error) => panic!("{context}: {error}"),
    };
    let (log, report) = match dir.open_log(&name(), config(), NOW) {
        Ok(opened) => opened,
        Err(_) if disk.stopped() => return None,
        Err(crate::OpenLogError::NotFound(_)) if !promise.created => return Some(0),
        Err(error) => panic!("{context}: {error}"),
    };
    assert!(report.quarantined.is_empty(), "{context}: {report:?}");
    let positions = log.positions();
    let log_end = positions.log_end.get();
    let committed = promise.truncating_to.map_or(promise.committed, |to| to.min(promise.committed));
    assert!(log_end >= committed, "{context}: ends at {log_end}, below {committed}");
    let kept = promise.appended.iter().copied().filter(|(base, _)| *base < log_end);
    let expected = outcome(kept, positions.high_watermark.get());
    let stable = expected.first_unstable.unwrap_or(u64::MAX).min(positions.high_watermark.get());
    assert_eq!(positions.last_stable.get(), stable, "{context}");
    let aborted = log.reader().aborted(offset(0), positions.log_end).unwrap().into_iter();
    let aborted: Vec<_> =
        aborted.map(|t| (t.producer_id.0, t.first_offset.get(), t.last_offset.get())).collect();
    assert_eq!(aborted, expected.aborted, "{context}");
    let open: Vec<u64> = log.open_transactions().iter().map(|open| open.first_offset.get()).collect();
    assert_eq!(open, expected.open.iter().map(|(first, _)| *first).collect::<Vec<_>>(), "{context}");
    Some(log_end)
}

#[test]
fn every_crash_leaves_decisions_that_fit_the_batches() {
    let states = Cell::new(0);
    every_crash(16, &states);
    assert!(states.get() >= 10_000, "{states:?}");
}

/// Counts the crash states that it looks at.
///
/// # Panics
/// Where something else came back than was promised.
pub(super) fn every_crash(seeds: u64, states: &Cell<u64>) {
    Crashes { what: "transactions", seeds, from: 0, interrupted_every: 1, workload, check }.enumerate(states);
}
