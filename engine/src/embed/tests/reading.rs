//! Every way through a log shows the same records.

use super::*;
use crate::{ReadError, embed::Record};

/// A log of batches of several sizes over several segments; record n has value n and time n * 10.
fn filled(disk: &MemoryDisk) -> (Logs, SharedLog) {
    let logs = open(disk);
    let log = logs.log("log").unwrap();
    let mut next = 0;
    for size in [1, 7, 1, 1, 30, 2, 1, 1, 1, 64, 3].iter().cycle().take(44) {
        let records = (next..next + size)
            .map(|n: i64| crate::embed::NewRecord::new(n.to_string().into_bytes()).at(TimestampMs(n * 10)));
        log.append_all(records).unwrap();
        next += size;
    }
    assert!(disk.files().iter().filter(|file| file.extension().is_some_and(|e| e == "log")).count() > 3);
    (logs, log)
}

fn offsets(records: impl Iterator<Item = Result<Record, ReadError>>) -> Vec<u64> {
    records
        .map(|record| {
            let record = record.unwrap();
            assert_eq!(record.text(), Some(record.offset.to_string().as_str()));
            assert_eq!(record.timestamp, Some(TimestampMs(record.offset.get() as i64 * 10)));
            record.offset.get()
        })
        .collect()
}

#[test]
fn from_every_offset_both_ways() {
    let disk = MemoryDisk::new();
    let (_logs, log) = filled(&disk);
    let now = log.snapshot().unwrap();
    let end = now.end().get();
    for at in 0..=end {
        let (forwards, backwards) =
            (offsets(now.records_from(offset(at))), offsets(now.backwards_from(offset(at))));
        assert_eq!(forwards, (at..end).collect::<Vec<_>>());
        assert_eq!(backwards, (0..at).rev().collect::<Vec<_>>());
    }
}

#[test]
fn from_every_time() {
    let disk = MemoryDisk::new();
    let (_logs, log) = filled(&disk);
    let now = log.snapshot().unwrap();
    let end = now.end().get();
    for time in (-5..end as i64 * 10 + 15).step_by(5) {
        let first = u64::try_from((time + 9) / 10).unwrap_or(0).min(end);
        let found = offsets(now.records_since(TimestampMs(time)).unwrap());
        assert_eq!(found, (first..end).collect::<Vec<_>>(), "{time}");
    }
}

#[test]
fn a_snapshot_does_not_change_and_respects_the_start() {
    let disk = MemoryDisk::new();
    let (logs, log) = filled(&disk);
    let before = log.snapshot().unwrap();
    let end = before.end().get();
    log.append(&end.to_string()).unwrap();
    assert_eq!(offsets(before.records()).len() as u64, end);
    log.delete_before(offset(45)).unwrap();
    logs.maintain().unwrap();
    let after = log.snapshot().unwrap();
    assert_eq!((after.start(), after.end()), (offset(45), offset(end + 1)));
    assert_eq!(offsets(after.backwards_from(offset(50))), [49, 48, 47, 46, 45]);
    let mut below = after.records_from(offset(3));
    assert!(matches!(below.next(), Some(Err(ReadError::OutOfRange { .. }))));
    assert_eq!(below.next().unwrap().unwrap().offset, offset(45));
}

#[test]
fn next_offset_is_where_another_reading_begins() {
    let disk = MemoryDisk::new();
    let (_logs, log) = filled(&disk);
    let now = log.snapshot().unwrap();
    let mut records = now.records();
    for expected in 0..now.end().get() {
        assert_eq!(records.next_offset(), offset(expected));
        assert_eq!(now.records_from(records.next_offset()).next().unwrap().unwrap().offset, offset(expected));
        assert!(records.next().is_some());
    }
    assert_eq!(records.next_offset(), now.end());
    assert!(records.next().is_none());
}
