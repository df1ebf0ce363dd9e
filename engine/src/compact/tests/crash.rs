//! Every crash of a small compaction: whatever the disk kept, the log is the one before a group was replaced or the one
//! after, and another pass completes it.

use std::{path::Path, sync::Arc};

use super::model::{Model, Pair, config};
use crate::{
    CompactError, LogDir,
    disk::memory::{Fault, Loss, MemoryDisk},
    testing::*,
};

/// Three producers over several segments: overwritten keys, tombstones, an aborted transaction, a committed one.
fn prepared() -> Pair {
    let mut pair = Pair::new();
    for round in 0..4u8 {
        pair.append(&[(1, true), (2, true), (round, true)], None);
        pair.append(&[(3, true), (4 + round, round % 2 == 0)], Some(20));
        pair.append(&[(5, true), (6, true)], Some(21));
        pair.append(&[(7, true)], Some(7));
        pair.end(20, false);
        pair.end(21, true);
    }
    pair.settle();
    pair.append(&[(8, true), (1, true)], None);
    pair.log().commit().unwrap();
    pair.check("prepared");
    pair
}

fn open_and_check(disk: &MemoryDisk, model: &Model, context: &str) -> Option<()> {
    let (dir, _) = match LogDir::open(Arc::new(disk.clone()), Path::new("/data"), options(), NOW) {
        Ok(opened) => opened,
        Err(_) if disk.stopped() => return None,
        Err(error) => panic!("{context}: {error}"),
    };
    let (mut log, report) = match dir.open_log(&name(), config(), NOW) {
        Ok(opened) => opened,
        Err(_) if disk.stopped() => return None,
        Err(error) => panic!("{context}: {error}"),
    };
    assert!(report.quarantined.is_empty() && report.cut.is_empty(), "{context}: {report:?}");
    let end = log.positions().log_end;
    log.set_high_watermark(end);
    model.check(&log, context);
    let left = |file: &std::path::PathBuf| {
        let name = file.to_string_lossy();
        name.ends_with(".cleaned") || name.ends_with(".swap")
    };
    assert!(!disk.files().iter().any(left), "{context}: {:?}", disk.files());
    Some(())
}

#[test]
fn every_crash_of_a_compaction_loses_nothing() {
    let mut states = 0u64;
    for changes in 0.. {
        let mut finished = false;
        for tear in [false, true] {
            let mut pair = prepared();
            pair.disk.stop_after(changes, tear);
            let compacted = pair.log.as_mut().unwrap().compact(1 << 20, NOW);
            finished |= matches!(compacted, Ok(Some(_))) && pair.dir.write_checkpoints().is_ok();
            let model = pair.model.clone();
            let disk = pair.disk.clone();
            drop(pair);
            for loss in [Loss::Everything, Loss::Nothing].into_iter().chain((0..3).map(Loss::Seeded)) {
                let crashed = disk.fork();
                crashed.crash_with(loss);
                let context = format!("stopped after {changes} changes (torn: {tear}), {loss:?}");
                let again = crashed.fork();
                open_and_check(&again, &model, &context).unwrap();
                states += 1;
                if matches!(loss, Loss::Everything | Loss::Seeded(0)) {
                    states += interrupted(&crashed, &model, &context);
                    complete(&again, &model, &context);
                }
            }
        }
        if finished {
            break;
        }
    }
    println!("{states} crash states");
    assert!(states >= 2_000, "{states}");
}

/// The power fails at each change of a recovery; the one after it finds the same.
fn interrupted(crashed: &MemoryDisk, model: &Model, context: &str) -> u64 {
    for changes in 0.. {
        let disk = crashed.fork();
        disk.stop_after(changes, changes % 2 == 1);
        let done = open_and_check(&disk, model, context).is_some() && !disk.stopped();
        disk.crash(changes);
        let context = format!("{context}, again after {changes} changes of recovery");
        open_and_check(&disk, model, &context).unwrap();
        if done {
            return changes + 1;
        }
    }
    0
}

/// Another pass does what is left to do.
fn complete(disk: &MemoryDisk, model: &Model, context: &str) {
    disk.kill();
    let (dir, mut log, _) = reopen(disk, config());
    let end = log.positions().log_end;
    log.set_high_watermark(end);
    log.commit().unwrap();
    dir.write_checkpoints().unwrap();
    if let Some(report) = log.compact(1 << 20, NOW).unwrap() {
        model.check_compacted(&log, report.up_to);
    }
    model.check(&log, context);
}

#[test]
fn an_operation_that_fails_leaves_the_log_usable_or_says_that_it_must_be_opened_again() {
    let mut pair = prepared();
    let before = pair.disk.counts().all;
    pair.compact(1 << 20).unwrap();
    let operations = pair.disk.counts().all - before;
    let (mut usable, mut to_be_opened) = (0, 0);
    for after in 0..operations {
        let mut pair = prepared();
        pair.disk.inject(Fault {
            after,
            operations: Vec::new(),
            error: std::io::ErrorKind::StorageFull,
            lasting: false,
        });
        let outcome = pair.log().compact(1 << 20, NOW);
        let context = format!("after {after} operations: {outcome:?}");
        assert!(
            matches!(outcome, Ok(Some(_)) | Err(CompactError::Disk(_) | CompactError::Offline(_))),
            "{context}"
        );
        pair.disk.clear_faults();
        let now = pair.now;
        if pair.log().roll(now).is_ok() {
            pair.check(&context);
            // Another pass is none the worse for it.
            pair.settle();
            pair.compact(1 << 20);
            pair.check(&context);
            usable += 1;
        } else {
            to_be_opened += 1;
        }
        let Pair { disk, model, .. } = pair;
        disk.kill();
        open_and_check(&disk, &model, &context).unwrap();
    }
    println!("{operations} operations: usable after {usable}, to be opened again after {to_be_opened}");
    assert!(usable > 50 && to_be_opened > 10, "{usable} {to_be_opened}");
}
