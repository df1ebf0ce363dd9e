//! The recovery table of the format page, cell by cell, on files.

use std::{
    cell::Cell,
    path::{Path, PathBuf},
};

use crate::{
    ReadError,
    disk::memory::{Loss, MemoryDisk},
    testing::*,
};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Found {
    Valid,
    Bad,
    Missing,
}

/// Without trusted points: below those nothing is looked at.
fn config() -> crate::LogConfig {
    crate::LogConfig { segment_bytes: 1 << 20, point_bytes: u32::MAX, ..small() }
}

/// Ten batches of two records, one segment; the checkpoint says that `promised` of them are durable.
fn prepare(promised: u64, clean: bool) -> (MemoryDisk, Vec<(u64, u32, u32)>) {
    let disk = MemoryDisk::new();
    let (dir, mut log) = create(&disk, config());
    for n in 0..10 {
        log.append(batch(30, &[n, n]), EPOCH, NOW).unwrap();
        if n + 1 == promised as i64 {
            log.commit().unwrap();
            dir.write_checkpoints().unwrap();
        }
    }
    let all = read_all(&log.reader(), offset(0)).unwrap();
    drop((dir, log));
    disk.crash_with(Loss::Nothing);
    if clean {
        // The mark alone: what the checkpoint says stays as it was.
        let mark = Path::new("/data/.kafka_cleanshutdown");
        crate::disk::Disk::open(&disk, mark, crate::disk::Open::Create).unwrap();
    }
    (disk, all)
}

fn log_file() -> PathBuf {
    Path::new("/data/topic-0/00000000000000000000.log").to_owned()
}

/// Damages batch `at`, or cuts the file before it.
fn damage(disk: &MemoryDisk, at: usize, found: Found) {
    let mut bytes = disk.contents(&log_file()).unwrap();
    let size = bytes.len() / 10;
    match found {
        Found::Valid => {}
        // Not in the header alone: below the bound an unclean opening reads headers, so damage that it can see.
        Found::Bad => bytes[at * size + 16] ^= 0xff,
        Found::Missing => bytes.truncate(at * size),
    }
    disk.overwrite(&log_file(), &bytes).unwrap();
}

#[test]
fn below_or_above_times_valid_bad_missing_times_clean_or_not() {
    every_cell(&Cell::new(0));
}

/// Counts the cells that it looks at.
///
/// # Panics
/// Where recovery does something else than the table says.
pub(super) fn every_cell(cells: &Cell<u64>) {
    let config = config();
    for clean in [false, true] {
        for (below, promised, at) in [(true, 8, 5), (false, 4, 6)] {
            for found in [Found::Valid, Found::Bad, Found::Missing] {
                cells.set(cells.get() + 1);
                let (disk, all) = prepare(promised, clean);
                damage(&disk, at, found);
                let context = format!("clean: {clean}, below: {below}, {found:?}");
                let (_dir, log, report) = reopen(&disk, config.clone());
                assert_eq!(report.clean, clean, "{context}");
                let reader = log.reader();
                let end = log.positions().log_end.get();
                match (below, found) {
                    (_, Found::Valid) => {
                        assert!(report.cut.is_empty() && report.quarantined.is_empty(), "{context}");
                        assert_eq!(read_all(&reader, offset(0)).unwrap(), all, "{context}");
                    }
                    (true, Found::Bad | Found::Missing) => {
                        assert!(report.cut.is_empty(), "{context}: {report:?}");
                        assert_eq!(report.quarantined.len(), 1, "{context}: {report:?}");
                        let range = &report.quarantined[0].offsets;
                        let until = if found == Found::Bad { 12 } else { 16 };
                        assert_eq!(*range, offset(10)..offset(until), "{context}");
                        let refused = reader.read(offset(10), 1000, offset(100), true);
                        assert!(matches!(refused, Err(ReadError::Corrupt { .. })), "{context}");
                        assert_eq!(
                            reader.read(offset(0), 1 << 20, offset(100), true).unwrap().next_offset(),
                            offset(10)
                        );
                        assert_eq!(end, if found == Found::Bad { 20 } else { 16 }, "{context}");
                        let after = read_all(&reader, offset(until)).unwrap();
                        assert_eq!(after, all[until as usize / 2..end as usize / 2], "{context}");
                    }
                    (false, Found::Bad) => {
                        assert_eq!(report.cut.len(), 1, "{context}");
                        assert_eq!(report.cut[0].at, offset(12), "{context}");
                        assert_eq!(read_all(&reader, offset(0)).unwrap(), all[..6], "{context}");
                    }
                    (false, Found::Missing) => {
                        assert!(report.cut.is_empty() && report.quarantined.is_empty(), "{context}");
                        assert_eq!(read_all(&reader, offset(0)).unwrap(), all[..6], "{context}");
                    }
                }
                // Recovering again changes nothing.
                let before = (log.positions().log_end, log.quarantined().to_vec());
                drop((_dir, log));
                disk.crash_with(Loss::Everything);
                let (_dir, log, _) = reopen(&disk, config.clone());
                assert_eq!((log.positions().log_end, log.quarantined().to_vec()), before, "{context}");
            }
        }
    }
}
