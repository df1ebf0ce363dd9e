//! Every operation of a workload fails once, and from then on for ever; with the errors of a broken and of a full
//! disk. What was told stays true, nothing panics, and when the disk is sound again the log goes on.

use std::{cell::Cell, io::ErrorKind};

use crate::{
    Log, LogDir,
    disk::memory::{Fault, Loss, MemoryDisk},
    testing::*,
};

/// What the log told: batches it took, and how far it said they were durable.
#[derive(Default)]
struct Told {
    appended: Vec<(u64, u32, u32)>,
    committed: u64,
    /// Whether any operation failed.
    failed: bool,
    opened: bool,
}

impl Told {
    fn note<T, E>(&mut self, result: Result<T, E>) -> Option<T> {
        self.failed |= result.is_err();
        result.ok()
    }
}

fn workload(disk: &MemoryDisk, told: &mut Told) {
    let opened =
        LogDir::open(std::sync::Arc::new(disk.clone()), std::path::Path::new("/data"), options(), NOW);
    let Some((dir, _)) = told.note(opened) else { return };
    let id = highwater_records::TopicId::from_random(2, 2);
    let Some(mut log) = told.note(dir.create_log(name(), id, small(), NOW)) else { return };
    told.opened = true;
    for n in 0..16 {
        let batch = batch(n * 5, &[1, 2]);
        let crc = batch.view().stored_crc();
        let before = log.positions();
        match told.note(log.append(batch, EPOCH, NOW)) {
            Some(appended) => told.appended.push((appended.base_offset.get(), crc, EPOCH.0)),
            None => assert_eq!(log.positions(), before, "a refused append changes nothing"),
        }
        if n % 4 == 3 {
            // Whoever waits asks again, with nothing in between: a sync that failed must not be forgotten.
            if let Some(end) = told.note(log.commit()).or_else(|| log.commit().ok()) {
                told.committed = end.get();
            }
            told.note(dir.write_checkpoints());
        }
        if n == 9 {
            told.note(log.roll(NOW));
        }
        read_back(&log, told);
    }
    let end = log.positions().log_end.get();
    if told.note(log.close(NOW)).is_some() {
        told.committed = end;
    }
    told.note(dir.close(NOW));
}

/// A read gives the right batches or an error.
fn read_back(log: &Log, told: &mut Told) {
    if let Some(read) = told.note(read_all(&log.reader(), offset(0))) {
        assert!(told.appended.starts_with(&read), "{read:?}");
        assert!(log.positions().durable_end.get() <= read.last().map_or(0, |(base, ..)| base + 2));
    }
}

#[test]
fn every_operation_fails_once_and_for_ever() {
    let runs = Cell::new(0);
    every_failure(&runs);
    println!("{} runs with a failing operation", runs.get());
}

/// Counts its runs.
///
/// # Panics
/// Where something that was told is not true afterwards.
pub(super) fn every_failure(runs: &Cell<u64>) {
    for error in [ErrorKind::Other, ErrorKind::StorageFull] {
        for lasting in [false, true] {
            for after in 0.. {
                let disk = MemoryDisk::new();
                disk.inject(Fault { after, operations: Vec::new(), error, lasting });
                let mut told = Told::default();
                workload(&disk, &mut told);
                let operations = disk.counts().all;
                for loss in [Loss::Seeded(after), Loss::Everything] {
                    let disk = disk.fork();
                    disk.crash_with(loss);
                    if !told.opened {
                        continue;
                    }
                    let (_dir, mut log, report) = reopen(&disk, small());
                    let context =
                        format!("operation {after} failed with {error}, lasting: {lasting}: {report:?}");
                    assert!(report.quarantined.is_empty(), "{context}");
                    let read = read_all(&log.reader(), offset(0)).unwrap();
                    assert!(told.appended.starts_with(&read), "{context}");
                    assert!(log.positions().log_end.get() >= told.committed, "{context}");
                    log.append(batch(3, &[1]), EPOCH, NOW).unwrap();
                }
                runs.set(runs.get() + 1);
                // Not when nothing was told to have failed: some failures are nobody's business.
                if operations <= after {
                    assert!(!told.failed);
                    break;
                }
            }
        }
    }
}

#[test]
fn a_disk_that_fills_up_refuses_cleanly_and_serves_again_when_there_is_room() {
    for capacity in (0..6000).step_by(61) {
        let disk = MemoryDisk::new();
        disk.set_capacity(Some(capacity));
        let mut told = Told::default();
        workload(&disk, &mut told);
        disk.set_capacity(None);
        disk.crash(capacity);
        if told.opened {
            let (_dir, mut log, _) = reopen(&disk, small());
            let read = read_all(&log.reader(), offset(0)).unwrap();
            assert!(told.appended.starts_with(&read));
            assert!(log.positions().log_end.get() >= told.committed);
            log.append(batch(3, &[1]), EPOCH, NOW).unwrap();
        }
    }
}
