//! Logs that Kafka's cleaner has been in: batches are gone, and that is no loss.

use std::path::{Path, PathBuf};

use highwater_records::{Offset, TimestampMs};

use crate::{
    Compaction, LogConfig, ReadError, SparseSegment,
    disk::{Disk, Open, memory::MemoryDisk, read_file, write_file},
    name::FileKind,
    segment::{Depth, LARGE_WINDOW, Step, Walk},
    testing::*,
    write_gaps,
};

type Read = Vec<(u64, u32, u32)>;

fn file(kind: FileKind, base: u64) -> PathBuf {
    Path::new("/data/topic-0").join(kind.at(offset(base)))
}

fn bases(disk: &MemoryDisk) -> Vec<u64> {
    let is_log = |path: &PathBuf| path.extension().is_some_and(|end| end == "log");
    let base = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    disk.files().into_iter().filter(is_log).map(base).collect()
}

/// 60 batches of two records in segments of five, cleanly stopped; then what `goes` says is cut out of the sealed
/// segments, with their indexes, as Kafka's cleaner does. What is left, and where the gaps are.
fn cleaned(disk: &MemoryDisk, goes: impl Fn(u64) -> bool) -> (Read, Vec<SparseSegment>) {
    let (dir, mut log) = create(disk, small());
    for n in 0..60 {
        log.append(batch(50, &[n, n]), EPOCH, NOW).unwrap();
    }
    log.set_high_watermark(offset(120));
    let all = read_all(&log.reader(), offset(0)).unwrap();
    close(dir, log);
    let bases = bases(disk);
    let mut sparse = Vec::new();
    for pair in bases.windows(2) {
        let path = file(FileKind::Log, pair[0]);
        let log = disk.open(&path, Open::Read).unwrap();
        let bytes = disk.contents(&path).unwrap();
        let mut walk = Walk::new(&*log, bytes.len() as u64, LARGE_WINDOW);
        let (mut kept, mut position, mut end, mut gaps) = (Vec::new(), 0, offset(pair[0]), 0);
        while let Step::Batch(header) = walk.at(position, Depth::Checksums).unwrap() {
            if !goes(header.base_offset.get()) {
                kept.extend_from_slice(&bytes[position as usize..(position + header.size) as usize]);
                gaps += header.base_offset.since(end);
                end = header.next_offset;
            }
            position += header.size;
        }
        write_file(disk, &path, &kept).unwrap().sync_all().unwrap();
        for kind in [FileKind::OffsetIndex, FileKind::TimeIndex] {
            disk.remove_file(&file(kind, pair[0])).unwrap();
        }
        let next_base = offset(pair[1]);
        if gaps > 0 || end < next_base {
            sparse.push(SparseSegment { base: offset(pair[0]), end, next_base });
        }
    }
    disk.sync_dir(Path::new("/data/topic-0")).unwrap();
    let active = *bases.last().unwrap();
    let left = all.into_iter().filter(|(base, ..)| *base >= active || !goes(*base)).collect();
    (left, sparse)
}

/// Two of three batches, and a whole segment with the end of the one before it.
fn most(base: u64) -> bool {
    !base.is_multiple_of(6) || (24..42).contains(&base)
}

fn adopt(disk: &MemoryDisk, sparse: &[SparseSegment]) {
    write_gaps(disk, Path::new("/data/topic-0"), sparse).unwrap();
}

#[test]
fn what_the_cleaner_left_is_served_and_outlives_stops_of_both_kinds() {
    let disk = MemoryDisk::new();
    let (mut left, sparse) = cleaned(&disk, most);
    assert!(
        left.len() < 30 && sparse.iter().any(|sparse| sparse.end == sparse.base),
        "a segment without batches"
    );
    adopt(&disk, &sparse);
    for round in 0..4 {
        let (dir, mut log, report) = reopen(&disk, small());
        assert_eq!((report.quarantined.len(), report.cut.len()), (0, 0), "{report:?}");
        let reader = log.reader();
        assert_eq!(read_all(&reader, offset(0)).unwrap(), left);
        let end = log.positions().log_end;
        for from in 0..end.get() {
            let due = left.iter().map(|(base, ..)| *base).find(|base| base + 1 >= from).unwrap();
            let range = reader.read(offset(from), 1, end, true).unwrap();
            assert_eq!(range.base_offset(), offset(due), "from {from}");
            range.bytes().unwrap();
            // Nothing of what lies beyond a gap is shown below the end that a reader may see.
            assert!(reader.read(offset(from), 1, offset(due + 1), true).unwrap().is_empty(), "from {from}");
            let time = TimestampMs(i64::try_from(from / 2).unwrap());
            let at_or_after =
                left.iter().find(|(base, ..)| base / 2 >= from / 2).map(|(base, ..)| offset(*base));
            assert_eq!(reader.offset_for_timestamp(time).unwrap().map(|found| found.1), at_or_after);
        }
        let appended = log.append(batch(50, &[60 + round, 60 + round]), EPOCH, NOW).unwrap();
        assert_eq!(appended.base_offset, end, "new offsets are dense");
        log.set_high_watermark(log.positions().log_end);
        log.commit().unwrap();
        left = read_all(&log.reader(), offset(0)).unwrap();
        if round % 2 == 0 {
            close(dir, log);
        } else {
            dir.write_checkpoints().unwrap();
            drop((dir, log));
            disk.crash(7);
        }
    }
}

#[test]
fn a_loss_beside_the_gaps_is_noticed() {
    let disk = MemoryDisk::new();
    let (left, sparse) = cleaned(&disk, most);
    adopt(&disk, &sparse);
    let (dir, log, _) = reopen(&disk, small());
    close(dir, log);

    let gone = disk.fork();
    let lost = sparse.iter().find(|sparse| sparse.end > sparse.base && sparse.base > Offset::ZERO).unwrap();
    gone.remove_file(&file(FileKind::Log, lost.base.get())).unwrap();
    let (_dir, log, report) = reopen(&gone, small());
    let quarantined: Vec<_> = report.quarantined.iter().map(|range| range.offsets.clone()).collect();
    assert_eq!(quarantined.len(), 1, "{report:?}");
    assert!(quarantined[0].contains(&lost.base) && report.cut.is_empty(), "{report:?}");
    let refused = log.reader().read(lost.base, 1, Offset::MAX, true).unwrap_err();
    assert!(matches!(refused, ReadError::Corrupt { .. }), "{refused:?}");
    assert_eq!(read_all(&log.reader(), quarantined[0].end).unwrap().last(), left.last());

    let torn = disk.fork();
    let path = file(FileKind::Log, 0);
    let mut bytes = torn.contents(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..].fill(0);
    torn.overwrite(&path, &bytes).unwrap();
    let (_dir, _log, report) = reopen(&torn, small());
    assert_eq!((report.quarantined.len(), report.cut.len()), (1, 0), "{report:?}");
    assert_eq!(report.quarantined[0].offsets.end, offset(bases(&torn)[1]), "nothing behind it");
}

#[test]
fn without_word_of_them_gaps_are_losses_and_with_a_damaged_one_they_are_not() {
    let disk = MemoryDisk::new();
    let (left, sparse) = cleaned(&disk, most);
    let unknown = disk.fork();
    let (_dir, _log, report) = reopen(&unknown, small());
    assert!(!report.quarantined.is_empty() && report.cut.is_empty(), "{report:?}");

    adopt(&disk, &sparse);
    let path = Path::new("/data/topic-0").join(crate::gaps::FILE_NAME);
    let mut bytes = read_file(&disk, &path).unwrap().unwrap();
    bytes[4] ^= 1;
    disk.overwrite(&path, &bytes).unwrap();
    let (_dir, log, report) = reopen(&disk, small());
    assert!(report.quarantined.is_empty() && !report.notes.is_empty(), "{report:?}");
    assert_eq!(read_all(&log.reader(), offset(0)).unwrap(), left);
}

#[test]
fn a_pass_of_ours_spans_the_gaps() {
    let disk = MemoryDisk::new();
    let (left, sparse) = cleaned(&disk, most);
    adopt(&disk, &sparse);
    let compaction =
        Compaction { min_lag_ms: 0, max_lag_ms: None, min_dirty_millionths: 0, delete_retention_ms: 1000 };
    // Large enough for all of them in one.
    let config = LogConfig { compaction: Some(compaction), segment_bytes: 1 << 20, ..small() };
    let (dir, mut log, _) = reopen(&disk, config.clone());
    log.commit().unwrap();
    dir.write_checkpoints().unwrap();
    let compacted = log.compact(1 << 20, NOW).unwrap().unwrap();
    assert_eq!(compacted.segments_after, 1, "{compacted:?}");
    let found = read_all(&log.reader(), offset(0)).unwrap();
    assert_eq!(found.last(), left.last());
    let end = log.positions().log_end;
    for from in 0..end.get() {
        let range = log.reader().read(offset(from), 1, end, true).unwrap();
        assert!(range.base_offset() <= offset(from), "{from} is spanned");
    }
    close(dir, log);
    let (_dir, log, report) = reopen(&disk, config);
    assert!(report.quarantined.is_empty() && report.cut.is_empty(), "{report:?}");
    assert_eq!(read_all(&log.reader(), offset(0)).unwrap(), found);
}
