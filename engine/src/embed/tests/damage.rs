//! Damage is an item, not the end.

use super::*;
use crate::{ReadError, disk::Disk};

/// One record per batch, and the log's files by name.
fn filled(disk: &MemoryDisk) -> (Logs, SharedLog) {
    let logs = open(disk);
    let log = logs.log("log").unwrap();
    for n in 0..60 {
        log.append(&format!("{n:050}")).unwrap();
    }
    (logs, log)
}

/// Flips a byte of the value of the record at `at`.
fn flip_value(disk: &MemoryDisk, at: u64) {
    let needle = format!("{at:050}");
    for file in disk.files().into_iter().filter(|file| file.extension().is_some_and(|kind| kind == "log")) {
        let mut bytes = disk.contents(&file).unwrap();
        if let Some(found) = bytes.windows(50).position(|window| window == needle.as_bytes()) {
            bytes[found + 3] ^= 1;
            disk.overwrite(&file, &bytes).unwrap();
            return;
        }
    }
    panic!("record {at} is nowhere");
}

#[test]
fn what_lies_around_a_damaged_record_is_read() {
    let disk = MemoryDisk::new();
    let (_logs, log) = filled(&disk);
    flip_value(&disk, 17);
    let now = log.snapshot().unwrap();
    let mut expected: Vec<Option<u64>> = (0..60).map(Some).collect();
    expected[17] = None;
    let found = |item: Result<crate::embed::Record, ReadError>| match item {
        Ok(record) => Some(record.offset.get()),
        Err(ReadError::Corrupt { .. }) => None,
        Err(error) => panic!("{error}"),
    };
    assert_eq!(now.records().map(found).collect::<Vec<_>>(), expected);
    expected.reverse();
    assert_eq!(now.backwards().map(found).collect::<Vec<_>>(), expected);
}

#[test]
fn a_quarantined_range_is_one_error_either_way() {
    let disk = MemoryDisk::new();
    let (logs, log) = filled(&disk);
    logs.close().unwrap();
    drop((logs, log));
    // Recovery, which reads headers below the bound, finds a length that cannot be.
    let file = disk.files().into_iter().find(|file| file.ends_with("00000000000000000000.log")).unwrap();
    let mut bytes = disk.contents(&file).unwrap();
    let size = bytes.len();
    let one = size / (size / 119);
    bytes[one * 3 + 8] ^= 0x40;
    disk.overwrite(&file, &bytes).unwrap();
    disk.remove_file(Path::new("/data/.kafka_cleanshutdown")).unwrap();
    disk.remove_file(Path::new("/data/log-0/00000000000000000000.index")).unwrap();

    let logs = open(&disk);
    let now = logs.log("log").unwrap().snapshot().unwrap();
    let count =
        |items: Vec<bool>| (items.iter().filter(|ok| **ok).count(), items.iter().filter(|ok| !**ok).count());
    let forwards = count(now.records().map(|item| item.is_ok()).collect());
    let backwards = count(now.backwards().map(|item| item.is_ok()).collect());
    assert_eq!(forwards, backwards);
    assert_eq!(forwards.1, 1);
    assert!((40..60).contains(&forwards.0), "{forwards:?}");
}

#[test]
fn every_flipped_bit_of_a_segment_ends_every_reading() {
    let disk = MemoryDisk::new();
    let (_logs, log) = filled(&disk);
    let now = log.snapshot().unwrap();
    let file = disk.files().into_iter().find(|file| file.ends_with("00000000000000000000.log")).unwrap();
    let bytes = disk.contents(&file).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        disk.overwrite(&file, &flipped).unwrap();
        // Shown is what was written, in order, whatever is missing.
        for (items, step) in
            [(now.records().collect::<Vec<_>>(), 1), (now.backwards().collect::<Vec<_>>(), -1)]
        {
            assert!(items.len() <= 120, "bit {bit}: {} items", items.len());
            let mut last = if step > 0 { -1 } else { 60 };
            let mut shown = 0;
            for record in items.into_iter().flatten() {
                let at = record.offset.get() as i64;
                assert!((at - last) * step > 0, "bit {bit}");
                assert_eq!(record.text().unwrap(), format!("{at:050}"), "bit {bit}");
                (last, shown) = (at, shown + 1);
            }
            assert!(shown >= 40, "bit {bit}: {shown} records");
        }
    }
}
