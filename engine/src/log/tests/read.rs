use highwater_records::TimestampMs;

use crate::{LogConfig, ReadError, disk::memory::MemoryDisk, testing::*};

#[test]
fn an_offset_within_a_batch_gives_the_whole_batch() {
    let (_dir, mut log) = create(&MemoryDisk::new(), small());
    for n in 0..20 {
        log.append(batch(n, &[1; 5]), EPOCH, NOW).unwrap();
    }
    let reader = log.reader();
    for at in 0..100 {
        let range = reader.read(offset(at), 1, offset(100), true).unwrap();
        assert_eq!((range.base_offset(), range.next_offset()), (offset(at / 5 * 5), offset(at / 5 * 5 + 5)));
        range.bytes().unwrap();
        assert_eq!(range.try_bytes().unwrap().unwrap(), range.bytes().unwrap());
    }
}

#[test]
fn limits_are_kept_and_the_first_batch_comes_anyway_if_asked_for() {
    let (_dir, mut log) = create(&MemoryDisk::new(), LogConfig { segment_bytes: 100_000, ..small() });
    for n in 0..100 {
        log.append(batch(n, &[1; 3]), EPOCH, NOW).unwrap();
    }
    let reader = log.reader();
    let first = reader.read(offset(0), 1, offset(300), true).unwrap().len();
    assert!(reader.read(offset(0), first - 1, offset(300), false).unwrap().is_empty());
    for max in (first..3000).step_by(37) {
        let range = reader.read(offset(0), max, offset(300), true).unwrap();
        let one_more = reader.read(range.next_offset(), 1, offset(300), true).unwrap().len();
        assert!(range.len() <= max && range.len() + one_more > max, "{} of {max}", range.len());
        range.bytes().unwrap();
    }
    for end in 0..300 {
        let range = reader.read(offset(0), 1 << 20, offset(end), true).unwrap();
        assert_eq!(range.next_offset(), offset(end / 3 * 3), "no batch that reaches the bound");
    }
}

#[test]
fn ranges_outside_are_refused() {
    let (_dir, mut log) = create(&MemoryDisk::new(), small());
    for n in 0..20 {
        log.append(batch(n, &[1; 5]), EPOCH, NOW).unwrap();
    }
    log.set_high_watermark(offset(90));
    log.advance_start_to(offset(7), crate::StartReason::RecordsDeleted).unwrap();
    let reader = log.reader();
    for outside in [0, 6, 101] {
        let error = reader.read(offset(outside), 1000, offset(100), true).unwrap_err();
        assert!(
            matches!(error, ReadError::OutOfRange { start, end } if start == offset(7) && end == offset(100))
        );
    }
    assert!(reader.read(offset(100), 1000, offset(100), true).unwrap().is_empty());
    assert_eq!(reader.read(offset(7), 1, offset(100), true).unwrap().base_offset(), offset(5));
}

#[test]
fn a_picture_does_not_move() {
    let (_dir, mut log) = create(&MemoryDisk::new(), small());
    for n in 0..5 {
        log.append(batch(n, &[1]), EPOCH, NOW).unwrap();
    }
    let reader = log.reader();
    let before = read_all(&reader, offset(0)).unwrap();
    for n in 5..50 {
        log.append(batch(n, &[1]), EPOCH, NOW).unwrap();
    }
    assert_eq!(read_all(&reader, offset(0)).unwrap(), before);
    log.truncate_to(offset(2), NOW).unwrap();
    assert!(matches!(reader.read(offset(0), 1000, offset(5), true), Err(ReadError::Changed)));
}

/// Against a table of all records, in orders that no index likes.
#[test]
fn times_are_exact() {
    let disk = MemoryDisk::new();
    let (dir, mut log) = create(&disk, small());
    let mut records = Vec::new();
    let mut clock = 100i64;
    for n in 0..60u64 {
        clock += [7, -5, 0, 40, -30, 3][n as usize % 6];
        let timestamps: Vec<i64> = (0..4).map(|i| clock + [0, 9, -9, 2][i]).collect();
        log.append(batch(n, &timestamps), EPOCH, NOW).unwrap();
        records.extend(timestamps);
    }
    let check = |log: &crate::Log, start: usize| {
        let reader = log.reader();
        for ask in 60..600 {
            let expected = records.iter().enumerate().skip(start).find(|(_, ts)| **ts >= ask);
            let expected = expected.map(|(at, ts)| (TimestampMs(*ts), offset(at as u64)));
            assert_eq!(reader.offset_for_timestamp(TimestampMs(ask)).unwrap(), expected, "time {ask}");
        }
        for end in (start..=records.len()).filter(|end| end % 4 == 0) {
            let part = &records[start..end];
            let largest = part.iter().max().map(|max| {
                let at = part.iter().position(|ts| ts == max).unwrap();
                (TimestampMs(*max), offset((start + at) as u64))
            });
            assert_eq!(reader.max_timestamp(offset(end as u64)).unwrap(), largest, "end {end}");
        }
    };
    check(&log, 0);
    log.set_high_watermark(offset(240));
    log.advance_start_to(offset(42), crate::StartReason::RecordsDeleted).unwrap();
    check(&log, 42);
    close(dir, log);
    let (_dir, log, _) = reopen(&disk, small());
    check(&log, 42);
}

#[test]
fn records_without_a_time_have_none() {
    let (_dir, mut log) = create(&MemoryDisk::new(), small());
    log.append(batch(0, &[-1, -1]), EPOCH, NOW).unwrap();
    assert_eq!(log.reader().max_timestamp(offset(2)).unwrap(), None);
    assert_eq!(log.reader().offset_for_timestamp(TimestampMs(0)).unwrap(), None);
}
