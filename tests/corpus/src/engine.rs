//! A data directory with damaged files: it opens or says why not, and never shows other records than were written.

use crate::edits::{Edits, seed};
use bytes::Bytes;
use highwater_engine::{
    DirOptions, Log, LogConfig, LogDir, LogName, LogReader, ReadError,
    disk::memory::{Loss, MemoryDisk},
};
use highwater_records::{
    BrokerId, LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, Sequence, TimestampMs, TopicId,
    batch::{BatchBuilder, BatchView, CheckPolicy, CheckedBatch, Producer, Record, split},
    compression::Codec,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

/// More than there are records.
const STEPS_MAX: usize = 500;

const NOW: TimestampMs = TimestampMs(1_700_000_000_000);

/// The first byte chooses how the directory was left; edits of its files follow.
pub(crate) fn run(input: &[u8]) {
    let [flags, edits @ ..] = input else { return };
    let truth = truth();
    let disk = if flags & 1 == 0 { truth.clean.fork() } else { truth.unclean.fork() };
    let files = disk.files();
    let mut edits = Edits::new(edits);
    while let Some((file, edit)) = edits.next(files.len()) {
        let path = &files[file];
        let Ok(before) = disk.contents(path) else { continue };
        match edit.apply(before) {
            Some(after) => disk.overwrite(path, &after).expect("it is there"),
            None => disk.vandalize(path).expect("it is there"),
        }
    }
    let Some(found) = open_and_use(&disk, truth) else { return };
    // What was opened once opens again, to the same records, whatever stop lies between.
    if flags & 2 == 0 {
        disk.kill();
    } else {
        disk.crash_with(Loss::Everything);
    }
    let again = open_and_use(&disk, truth).expect("it has opened before");
    let common = found.range(..).all(|(base, crc)| again.get(base).is_none_or(|other| other == crc));
    assert!(common, "other records than at the first opening");
    if flags & 2 == 0 {
        assert!(found.keys().all(|base| again.contains_key(base)), "records are gone at the second opening");
    }
}

/// Every batch that can be read, by base offset: its checksum.
type Found = BTreeMap<u64, u32>;

fn open_and_use(disk: &MemoryDisk, truth: &Truth) -> Option<Found> {
    let (dir, report) = LogDir::open(Arc::new(disk.clone()), Path::new("/data"), options(), NOW).ok()?;
    let _ = report;
    let (mut log, _) = dir.open_log(&name(), config(), NOW).ok()?;
    let found = read_all(&log.reader(), truth);
    search_times(&log.reader());
    for segment in log.sealed_segments() {
        assert!(segment.base_offset <= segment.next_offset);
        if !segment.damaged {
            let _ = segment.parts();
        }
    }
    let positions = log.positions();
    let end = positions.log_end;
    // It can be written on, unless it says that it cannot.
    if let Ok(appended) = log.append(batch(77, 1, None), LeaderEpoch(1 << 20), NOW) {
        assert_eq!(appended.base_offset, end);
        let range = log.reader().read(end, 1 << 20, Offset::MAX, true).expect("what was appended is read");
        assert_eq!(range.base_offset(), end);
        log.truncate_to(end, NOW).expect("nobody holds it");
    }
    let _ = log.close(NOW);
    let _ = dir.write_checkpoints();
    Some(found)
}

fn read_all(reader: &LogReader, truth: &Truth) -> Found {
    let mut found = Found::new();
    let mut next = reader.positions().local_start;
    let end = reader.positions().log_end;
    // Damage may span more offsets than there is time for.
    for _ in 0..STEPS_MAX {
        if next >= end {
            break;
        }
        let range = match reader.read(next, 700, Offset::MAX, true) {
            Ok(range) => range,
            Err(ReadError::OutOfRange { .. } | ReadError::BelowLocal { .. }) => {
                panic!("{next} is in the log")
            }
            Err(_) => {
                // On behind the damage.
                next = next.checked_add(1).expect("small offsets");
                continue;
            }
        };
        assert!(!range.is_empty(), "nothing at {next}, below the end {end}");
        assert!(range.next_offset() > next);
        if let Ok(bytes) = range.bytes() {
            assert_eq!(bytes.len(), range.len());
            check_batches(bytes, truth, &mut found);
        }
        next = range.next_offset();
    }
    found
}

/// A consumer verifies checksums, so what fails there is detected damage. What does not is what was written.
fn check_batches(bytes: Bytes, truth: &Truth, found: &mut Found) {
    for piece in split(bytes) {
        let piece = piece.expect("the log yields whole batches");
        let view = BatchView::parse(&piece).expect("split has parsed it");
        if view.verify_crc().is_err() {
            continue;
        }
        let base = view.base_offset().get();
        let written = truth.batches.get(&base).unwrap_or_else(|| panic!("nothing was written at {base}"));
        assert_eq!(&written[16..], &piece[16..], "other records at {base}");
        found.insert(base, view.stored_crc());
    }
}

fn search_times(reader: &LogReader) {
    for time in [0, NOW.0 + 3, NOW.0 + 17, i64::MAX] {
        if let Ok(Some((at, offset))) = reader.offset_for_timestamp(TimestampMs(time)) {
            assert!(at.0 >= time);
            assert!(offset < reader.positions().log_end);
        }
    }
    let _ = reader.max_timestamp(reader.positions().log_end);
}

/// What was written, and the two directories that have it.
struct Truth {
    batches: BTreeMap<u64, Bytes>,
    clean: MemoryDisk,
    unclean: MemoryDisk,
}

fn truth() -> &'static Truth {
    static TRUTH: OnceLock<Truth> = OnceLock::new();
    TRUTH.get_or_init(|| {
        let mut batches = BTreeMap::new();
        let disk = MemoryDisk::new();
        let (dir, _) =
            LogDir::open(Arc::new(disk.clone()), Path::new("/data"), options(), NOW).expect("an empty disk");
        let mut log =
            dir.create_log(name(), TopicId::from_bytes([9; 16]), config(), NOW).expect("no such log yet");
        write(&mut log, &mut batches, 0..20);
        commit(&mut log);
        dir.write_checkpoints().expect("a sound disk");
        write(&mut log, &mut batches, 20..26);
        // Durable or not, all of it is on the media after a kill.
        let unclean = disk.fork();
        log.close(NOW).expect("a sound disk");
        dir.close(NOW).expect("a sound disk");
        drop(dir);
        unclean.kill();
        disk.kill();
        Truth { batches, clean: disk, unclean }
    })
}

fn write(log: &mut Log, batches: &mut BTreeMap<u64, Bytes>, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let batch = batch(number, 1 + number % 3, (number % 4 == 1).then_some(number / 4));
        let epoch = LeaderEpoch(1 + number as u32 / 9);
        let appended = log.append(batch.clone(), epoch, NOW).expect("a sound disk");
        let prefix = batch.patched_prefix(appended.base_offset, epoch);
        batches.insert(appended.base_offset.get(), [&prefix[..], &batch.bytes()[16..]].concat().into());
    }
    log.set_high_watermark(log.positions().log_end);
}

fn commit(log: &mut Log) {
    if let Some(job) = log.begin_commit() {
        let done = job.run();
        log.finish_commit(done).expect("a sound disk");
    }
}

/// `turn` makes it the batch number `turn` of an idempotent producer; all of those have two records.
fn batch(number: u64, count: u64, turn: Option<u64>) -> CheckedBatch {
    let mut builder = BatchBuilder::new(Codec::None);
    let count = if turn.is_some() { 2 } else { count };
    if let Some(turn) = turn {
        let sequence = i32::try_from(turn * 2).ok().and_then(Sequence::from_i32);
        builder = builder.producer(Producer {
            id: ProducerId(5),
            epoch: ProducerEpoch(0),
            base_sequence: sequence,
        });
    }
    for index in 0..count {
        let value = format!("{number} {index} {}", "x".repeat(number as usize % 50));
        let timestamp = TimestampMs(NOW.0 + (number * 7 % 30) as i64);
        builder
            .push(Record { timestamp, key: None, value: Some(value.as_bytes()), headers: &[] })
            .expect("a small record");
    }
    let bytes = builder.build(Offset::ZERO, None).expect("a small batch");
    CheckedBatch::check(bytes, &CheckPolicy::client(1 << 20)).expect("a good batch")
}

fn options() -> DirOptions {
    DirOptions {
        cluster_id: "AQIDBAUGBwgJCgsMDQ4PEA".to_owned(),
        node_id: BrokerId(1),
        new_directory_id: TopicId::from_bytes([3; 16]),
    }
}

fn name() -> LogName {
    LogName::new("topic", PartitionIndex(0))
}

/// Small segments with dense indexes.
fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 1_000,
        index_interval_bytes: 150,
        point_bytes: 300,
        retention_ms: None,
        timestamp_after_max_ms: None,
        ..LogConfig::default()
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let truth = truth();
    let mut seeds = vec![vec![0], vec![1]];
    for (flags, disk) in [(0, &truth.clean), (1, &truth.unclean)] {
        let files: Vec<PathBuf> = disk.files();
        for (thing, _) in files.iter().enumerate() {
            let thing = u8::try_from(thing).expect("few files");
            seeds.push(seed(flags, thing, 0, 0, &[]));
            seeds.push(seed(flags, thing, 1, 30, &[]));
            seeds.push(seed(flags | 2, thing, 5, 9, &[0xff, 0, 1]));
        }
    }
    seeds
}
