//! A hostile directory: files of any name with any content, where they belong and where they do not. It opens or says
//! why not; what it opens can be read, written, looked at, repaired and closed; nothing panics and nothing grows beyond
//! what is there.

use bytes::Bytes;
use highwater_engine::{
    DirOptions, JournalOptions, Log, LogConfig, LogDir, LogName, OpenReport,
    disk::{Disk, Open, memory::MemoryDisk},
    inspect,
};
use highwater_records::{
    BrokerId, Durability, LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, Sequence,
    TimestampMs, TopicId,
    batch::{BatchBuilder, CheckPolicy, CheckedBatch, Producer, Record, split},
    compression::Codec,
};
use std::{
    io::IoSlice,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

const NOW: TimestampMs = TimestampMs(1_700_000_000_000);
/// Reads of one log; damage may span more offsets than there is time for.
const STEPS_MAX: usize = 300;
/// Changes of one directory.
const CHANGES_MAX: usize = 40;

/// The first byte chooses what the directory was before; changes of its files follow: kind, name, another name or a
/// length, content.
pub(crate) fn run(input: &[u8]) {
    let [flags, rest @ ..] = input else { return };
    let disk = match flags % 3 {
        0 => MemoryDisk::new(),
        1 => template().clean.fork(),
        _ => template().crashed.fork(),
    };
    change(&disk, rest);
    let _ = inspect::verify(&disk, Path::new("/data"), true, &mut |_| {});
    let _ = inspect::inspect(&disk, Path::new("/data"));
    if flags & 0x40 != 0 {
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let _ = inspect::repair(&shared, Path::new("/data"), NOW, &mut |_| {});
        disk.kill();
    }
    let Some(ends) = open_and_use(&disk) else { return };
    disk.kill();
    // What was opened once opens again, and no log is shorter than before: offsets are never given out twice.
    let again = open_and_use(&disk).expect("it has opened before");
    for (name, end) in ends {
        let other = again.iter().find(|(other, _)| *other == name).map(|(_, end)| *end);
        assert!(other.is_some_and(|other| other >= end), "{name} ended at {end}, now at {other:?}");
    }
}

fn change(disk: &MemoryDisk, mut input: &[u8]) {
    let files = &template().files;
    for _ in 0..CHANGES_MAX {
        let [kind, name, more, rest @ ..] = input else { return };
        input = rest;
        let path = &names()[usize::from(*name) % names().len()];
        match kind % 4 {
            0 => {
                let length = usize::from(*more).min(input.len());
                let (content, rest) = input.split_at(length);
                input = rest;
                write(disk, path, content);
            }
            1 => write(disk, path, &files[usize::from(*more) % files.len()]),
            2 => drop(disk.vandalize(path)),
            _ => {
                let other = &names()[usize::from(*more) % names().len()];
                let _ = disk.create_dir_all(other.parent().expect("none is the root"));
                let _ = disk.rename(path, other);
            }
        }
    }
}

fn write(disk: &MemoryDisk, path: &Path, content: &[u8]) {
    // A file may stand where the directory should be, and the other way round.
    let _ = disk.create_dir_all(path.parent().expect("none is the root"));
    if let Ok(file) = disk.open(path, Open::Create) {
        let _ = file.set_len(0);
        let _ = file.write_at(&[IoSlice::new(content)], 0);
    }
}

/// Where every log ends; `None` if the directory does not open, or a log that is there does not.
fn open_and_use(disk: &MemoryDisk) -> Option<Vec<(LogName, Offset)>> {
    let (dir, report) = open(disk).ok()?;
    let mut ends = Vec::new();
    let mut all = true;
    for name in report.logs {
        let Ok((mut log, _)) = dir.open_log(&name, config(), NOW) else {
            all = false;
            continue;
        };
        read(&log);
        let end = log.positions().log_end;
        if let Ok(appended) = log.append(batch(5, None), LeaderEpoch(1 << 20), NOW) {
            assert_eq!(appended.base_offset, end);
            let _ = log.commit();
        }
        ends.push((name, log.positions().log_end));
        let _ = log.close(NOW);
    }
    let _ = dir.write_checkpoints();
    let _ = dir.close(NOW);
    all.then_some(ends)
}

fn read(log: &Log) {
    let reader = log.reader();
    let mut next = reader.positions().local_start;
    for _ in 0..STEPS_MAX {
        let Ok(range) = reader.read(next, 900, Offset::MAX, true) else {
            let Some(after) = next.checked_add(1) else { return };
            next = after;
            continue;
        };
        if range.is_empty() {
            return;
        }
        if let Ok(bytes) = range.bytes() {
            assert!(split(bytes).all(|piece| piece.is_ok()), "the log yields whole batches");
        }
        next = range.next_offset();
    }
    let _ = reader.offset_for_timestamp(NOW);
    let _ = reader.aborted(reader.positions().log_start, reader.positions().log_end);
}

/// What a directory was before.
struct Template {
    clean: MemoryDisk,
    /// With a journal.
    crashed: MemoryDisk,
    /// The content of every file of both.
    files: Vec<Bytes>,
}

fn template() -> &'static Template {
    static TEMPLATE: OnceLock<Template> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let disk = MemoryDisk::new();
        let (dir, _) = open(&disk).expect("an empty disk");
        let name = LogName::new("topic", PartitionIndex(0));
        let mut log =
            dir.create_log(name, TopicId::from_bytes([9; 16]), config(), NOW).expect("no such log yet");
        for number in 0..14 {
            let producer = (number % 3 == 0).then_some(number / 3);
            log.append(batch(number, producer), LeaderEpoch(1 + number as u32 / 6), NOW)
                .expect("a sound disk");
            if number % 4 == 3 {
                log.commit().expect("a sound disk");
            }
        }
        let crashed = disk.fork();
        crashed.kill();
        log.close(NOW).expect("a sound disk");
        dir.close(NOW).expect("a sound disk");
        drop(dir);
        disk.kill();
        let content = |disk: &MemoryDisk| {
            let files = disk.files().into_iter();
            files.map(|file| Bytes::from(disk.contents(&file).expect("it is there"))).collect::<Vec<_>>()
        };
        let files = [content(&disk), content(&crashed)].concat();
        Template { clean: disk, crashed, files }
    })
}

fn open(disk: &MemoryDisk) -> Result<(Arc<LogDir>, OpenReport), highwater_engine::OpenDirError> {
    let options = DirOptions {
        cluster_id: "AQIDBAUGBwgJCgsMDQ4PEA".to_owned(),
        node_id: BrokerId(1),
        new_directory_id: TopicId::from_bytes([3; 16]),
    };
    let journal = JournalOptions::of(JournalOptions::LEAST);
    LogDir::open_with(Arc::new(disk.clone()), Path::new("/data"), options, journal, NOW)
}

fn config() -> LogConfig {
    LogConfig {
        durability: Durability::Synced,
        segment_bytes: 900,
        index_interval_bytes: 150,
        point_bytes: 300,
        retention_ms: None,
        timestamp_after_max_ms: None,
        ..LogConfig::default()
    }
}

fn batch(number: u64, turn: Option<u64>) -> CheckedBatch {
    let mut builder = BatchBuilder::new(Codec::None);
    if let Some(turn) = turn {
        let base_sequence = i32::try_from(turn).ok().and_then(Sequence::from_i32);
        builder = builder.producer(Producer { id: ProducerId(5), epoch: ProducerEpoch(0), base_sequence });
    }
    let value = format!("{number} {}", "x".repeat(number as usize * 7 % 60));
    builder
        .push(Record { timestamp: NOW, key: None, value: Some(value.as_bytes()), headers: &[] })
        .expect("a small record");
    let bytes = builder.build(Offset::ZERO, None).expect("a small batch");
    CheckedBatch::check(bytes, &CheckPolicy::client(1 << 20)).expect("a good batch")
}

/// Names that mean something, and some that nearly do; fewer than 256.
fn names() -> &'static [PathBuf] {
    static NAMES: OnceLock<Vec<PathBuf>> = OnceLock::new();
    NAMES.get_or_init(|| {
        let mut names = Vec::new();
        for name in [
            "meta.properties",
            "recovery-point-offset-checkpoint",
            "log-start-offset-checkpoint",
            "replication-offset-checkpoint",
            "cleaner-offset-checkpoint",
            "checkpoints.hwsum",
            ".kafka_cleanshutdown",
            ".lock",
            "highwater-000001.journal",
            "highwater-000002.journal",
            "highwater-999999.journal",
            "topic-0",
            "topic-0/partition.metadata",
            "topic-0/leader-epoch-checkpoint",
            "topic-0/highwater-quarantine",
            "topic-0/00000000000000000000.log/x",
            "topic-1/partition.metadata",
            "topic-0-delete/partition.metadata",
            "topic-0.0123456789abcdef-delete/00000000000000000000.log",
            "topic-99999999999/00000000000000000000.log",
            "strange",
        ] {
            names.push(Path::new("/data").join(name));
        }
        let bases =
            ["00000000000000000000", "00000000000000000005", "00000000000000000007", "09223372036854775807"];
        let kinds = ["log", "index", "timeindex", "txnindex", "hwtxn", "hwpoints", "snapshot", "hwproducers"];
        for base in bases {
            for kind in kinds {
                for suffix in ["", ".deleted", ".cleaned", ".swap", ".cut-7", ".tmp"] {
                    names.push(PathBuf::from(format!("/data/topic-0/{base}.{kind}{suffix}")));
                }
            }
        }
        assert!(names.len() < 256, "a byte names one");
        names
    })
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![vec![0], vec![1], vec![2], vec![0x41], vec![0x42]];
    for flags in [0, 1, 2, 0x42] {
        for name in (0..names().len() as u8).step_by(3) {
            seeds.push(vec![flags, 0, name, 4, 0, 0xff, 0x7f, 1]);
            seeds.push(vec![flags, 1, name, name / 2, 2, name / 3, 0]);
            seeds.push(vec![flags, 3, name, name.wrapping_mul(7), 1, 0, name]);
        }
    }
    seeds
}
