//! Every bit of the files that only some logs have: what compaction, retention, deletion, recovery and writers that were
//! interrupted leave behind, what Kafka's cleaner left, and the checkpoint of ours.

use std::{
    cell::Cell,
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use highwater_records::{LeaderEpoch, Offset, PartitionIndex, TopicId};

use super::flips::{Sound, ask, every_damage, laid_out, ordinary};
use crate::{
    Compaction, LogConfig, LogName, SparseSegment, StartReason,
    disk::{
        Disk,
        memory::{Loss, MemoryDisk},
        write_file,
    },
    name::FileKind,
    testing::*,
    write_gaps,
};

const LOG: &str = "/data/topic-0";

fn config() -> LogConfig {
    let compaction =
        Compaction { min_lag_ms: 0, max_lag_ms: None, min_dirty_millionths: 0, delete_retention_ms: 1000 };
    LogConfig { segment_bytes: 1000, index_interval_bytes: 100, compaction: Some(compaction), ..small() }
}

fn is_called(file: &Path, suffix: &str) -> bool {
    file.to_string_lossy().ends_with(suffix)
}

/// A log with an aborted transaction, ready to be compacted; the power goes after so many changes of the pass.
fn compacted(changes: Option<u64>) -> (MemoryDisk, bool) {
    let disk = MemoryDisk::new();
    let (dir, mut log) = create(&disk, config());
    for n in 0..6 {
        log.append(keyed(n as u8 % 2, 7, n), EPOCH, NOW).unwrap();
        match n {
            1 => drop(log.append(keyed(9, 20, 0), EPOCH, NOW).unwrap()),
            3 => drop(log.append(marker(20, 0, false), EPOCH, NOW).unwrap()),
            _ => {}
        }
        if n % 2 == 1 {
            log.roll(NOW).unwrap();
        }
    }
    log.append(keyed(1, 7, 6), EPOCH, NOW).unwrap();
    let end = log.positions().log_end;
    log.set_high_watermark(end);
    log.commit().unwrap();
    dir.write_checkpoints().unwrap();
    if let Some(changes) = changes {
        disk.stop_after(changes, false);
    }
    let done = log.compact(1 << 20, NOW).is_ok_and(|done| done.is_some()) && dir.write_checkpoints().is_ok();
    drop((dir, log));
    disk.crash_with(Loss::Nothing);
    (disk, done)
}

/// Files of which each name has one of these endings, once per set of names that a compaction goes through.
fn stages_of_a_compaction() -> Vec<Sound> {
    let mut before = vec![compacted(Some(0)).0];
    let mut seen = BTreeSet::new();
    let mut stages = Vec::new();
    let (_, done) = compacted(None);
    assert!(done, "there is something to compact");
    for changes in 1..1000 {
        let (disk, done) = compacted(Some(changes));
        if done {
            break;
        }
        let on_their_way = |file: &Path| is_called(file, ".cleaned") || is_called(file, ".swap");
        let names = disk.files();
        let shape: Vec<bool> = [".log.cleaned", ".hwtxn.cleaned", ".log.swap", "index.swap", ".hwtxn.swap"]
            .iter()
            .map(|end| names.iter().any(|name| is_called(name, end)))
            .chain([names.iter().filter(|name| is_called(name, ".log")).count() > 2])
            .collect();
        if names.iter().any(|name| on_their_way(name)) && seen.insert(shape) {
            let or = before.clone();
            before.push(disk.fork());
            stages.push(Sound { disk, config: config(), damaged: on_their_way, or, removes: true });
        }
    }
    stages
}

/// What a pass leaves when it is done.
fn after_a_compaction(clean: bool) -> Sound {
    let (disk, done) = compacted(None);
    assert!(done);
    if clean {
        let (dir, log, _) = reopen(&disk, config());
        close(dir, log);
        disk.kill();
    }
    let damaged =
        |file: &Path| is_called(file, "-checkpoint") || is_called(file, ".hwsum") || is_called(file, "index");
    Sound { disk, config: config(), damaged, or: Vec::new(), removes: false }
}

/// Segments were renamed for their deletion, and nobody came to remove them.
fn retention() -> Sound {
    let Sound { disk, config, .. } = ordinary(true);
    let config = LogConfig { point_bytes: 100, ..config };
    let (dir, mut log, _) = reopen(&disk, config.clone());
    for n in 0..8 {
        log.append(batch(n, &[1]), LeaderEpoch(2), NOW).unwrap();
        log.commit().unwrap();
    }
    let end = log.positions().log_end;
    log.set_high_watermark(end);
    log.commit().unwrap();
    log.advance_start_to(offset(end.get() - 1), StartReason::RecordsDeleted).unwrap();
    assert!(!log.retain(NOW).unwrap().is_empty());
    drop((dir, log));
    disk.crash_with(Loss::Nothing);
    let damaged = |file: &Path| is_called(file, ".deleted");
    Sound { disk, config, damaged, or: Vec::new(), removes: true }
}

/// Points from which a recovery goes on.
fn points() -> Sound {
    let config = LogConfig { segment_bytes: 2000, index_interval_bytes: 100, point_bytes: 150, ..small() };
    let disk = MemoryDisk::new();
    let (dir, mut log) = create(&disk, config.clone());
    for n in 0..8u64 {
        let batch = match n {
            3 => transactional(20, 0, 0, 1),
            6 => marker(20, 0, false),
            _ if n % 2 == 0 => produced(7, 0, n as i32 / 2, 1),
            _ => batch(n * 3, &[n as i64 * 100, 50]),
        };
        log.append(batch, LeaderEpoch(n as u32 / 5), NOW).unwrap();
        log.commit().unwrap();
    }
    let end = log.positions().log_end;
    log.set_high_watermark(end);
    dir.write_checkpoints().unwrap();
    drop((dir, log));
    disk.crash_with(Loss::Nothing);
    Sound { disk, config, damaged: |_| true, or: Vec::new(), removes: false }
}

/// A log was deleted, and not all of its files were removed.
fn deletion() -> Sound {
    for changes in 1..1000 {
        let Sound { disk, config, .. } = ordinary(true);
        let (dir, _) = open_dir(&disk);
        let other = LogName::new("other", PartitionIndex(0));
        let mut log = dir.create_log(other, TopicId::from_random(3, 3), config.clone(), NOW).unwrap();
        log.append(batch(1, &[1]), EPOCH, NOW).unwrap();
        log.commit().unwrap();
        disk.stop_after(changes, false);
        assert!(dir.delete_log(log).is_err(), "it never came to that");
        drop(dir);
        disk.crash_with(Loss::Nothing);
        if disk.files().iter().any(|file| file.to_string_lossy().contains("-delete/")) {
            let damaged = |file: &Path| file.to_string_lossy().contains("-delete/");
            return Sound { disk, config, damaged, or: Vec::new(), removes: true };
        }
    }
    unreachable!("the renaming is one of the changes")
}

/// Files that were being replaced.
fn replacement() -> Sound {
    let Sound { disk, config, .. } = ordinary(false);
    let root = Path::new("/data");
    let mut all: Vec<PathBuf> = ["meta.properties", "checkpoints.hwsum", "log-start-offset-checkpoint"]
        .map(|name| root.join(name))
        .into();
    all.extend(["leader-epoch-checkpoint", "partition.metadata"].map(|name| Path::new(LOG).join(name)));
    for file in all {
        let bytes = disk.contents(&file).unwrap();
        let temporary = file.with_file_name(format!("{}.tmp", file.file_name().unwrap().to_str().unwrap()));
        write_file(&disk, &temporary, &bytes[..bytes.len() / 2]).unwrap();
    }
    let damaged = |file: &Path| is_called(file, ".tmp");
    Sound { disk, config, damaged, or: Vec::new(), removes: false }
}

/// Recovery found damage where nothing was promised any more, and where it was.
fn recovered(clean: bool) -> Sound {
    let Sound { disk, config, .. } = ordinary(false);
    let (dir, mut log, _) = reopen(&disk, config.clone());
    for n in 0..2 {
        log.append(batch(n, &[1]), LeaderEpoch(2), NOW).unwrap();
    }
    drop((dir, log));
    disk.crash_with(Loss::Nothing);
    let layout = laid_out(&disk);
    let [.., (_, last, place)] = &layout[..] else { panic!("{layout:?}") };
    let mut bytes = disk.contents(last).unwrap();
    bytes[place.end - 1] ^= 1;
    disk.overwrite(last, &bytes).unwrap();
    let (_, file, place) = &layout[4];
    let mut bytes = disk.contents(file).unwrap();
    // Its magic: below the bound recovery reads headers.
    bytes[place.start + 16] ^= 0xff;
    disk.overwrite(file, &bytes).unwrap();
    let (dir, log, report) = reopen(&disk, config.clone());
    assert_eq!((report.quarantined.len(), report.cut.len()), (1, 1), "{report:?}");
    if clean {
        close(dir, log);
    } else {
        drop((dir, log));
    }
    disk.crash_with(Loss::Nothing);
    let damaged =
        |file: &Path| is_called(file, "highwater-quarantine") || file.to_string_lossy().contains(".cut-");
    Sound { disk, config, damaged, or: Vec::new(), removes: false }
}

/// A log that Kafka's cleaner has been in: a batch is gone from its first segment.
fn sparse() -> Sound {
    let Sound { disk, config, .. } = ordinary(true);
    let layout = laid_out(&disk);
    let (_, file, place) = layout[2].clone();
    let mut bytes = disk.contents(&file).unwrap();
    bytes.drain(place);
    disk.overwrite(&file, &bytes).unwrap();
    for kind in [FileKind::OffsetIndex, FileKind::TimeIndex] {
        disk.remove_file(&Path::new(LOG).join(kind.at(Offset::ZERO))).unwrap();
    }
    let next = layout.iter().find(|(_, other, _)| *other != file).unwrap().0.0;
    let sparse = SparseSegment { base: Offset::ZERO, end: offset(next), next_base: offset(next) };
    write_gaps(&disk, Path::new(LOG), &[sparse]).unwrap();
    let damaged = |file: &Path| is_called(file, "highwater-gaps");
    Sound { disk, config, damaged, or: Vec::new(), removes: false }
}

type Prepare = fn() -> Vec<Sound>;

const SCENARIOS: [(&str, Prepare); 11] = [
    ("every log, cleanly stopped", || vec![ordinary(true)]),
    ("every log, after a crash", || vec![ordinary(false)]),
    ("a compaction on its way", stages_of_a_compaction),
    ("a compaction that is done", || vec![after_a_compaction(false), after_a_compaction(true)]),
    ("points", || vec![points()]),
    ("retention on its way", || vec![retention()]),
    ("a deletion on its way", || vec![deletion()]),
    ("files being replaced", || vec![replacement()]),
    ("what recovery moved aside", || vec![recovered(false)]),
    ("the same, cleanly stopped since", || vec![recovered(true)]),
    ("what Kafka's cleaner left", || vec![sparse()]),
];

#[test]
fn no_file_of_any_kind_misleads() {
    // The first two have their own tests.
    for (name, prepare) in &SCENARIOS[2..] {
        for (stage, sound) in prepare().iter().enumerate() {
            let asked = ask(&sound.disk.fork(), &sound.config);
            assert!(asked.answers.is_some(), "{name}: {:?}", asked.said);
            every_damage(sound, &format!("{name}, {stage}"), &Cell::new(0));
        }
    }
}

/// What a name is, whatever its offset, time or number.
fn kind(file: &Path) -> String {
    let name = file.file_name().unwrap().to_str().unwrap();
    if file.parent().is_some_and(|parent| is_called(parent, "-delete")) {
        return "-delete".to_owned();
    }
    let name = name.trim_start_matches(|c: char| c.is_ascii_digit());
    match name.split_once(".cut-") {
        Some((name, _)) => format!("{name}.cut"),
        None if name.ends_with(".tmp") => ".tmp".to_owned(),
        None => name.to_owned(),
    }
}

/// Whoever adds a kind of file adds a scenario that has it. The journal's have theirs in `flips_journal.rs`.
#[test]
fn every_kind_of_file_is_damaged() {
    let mut damaged = BTreeSet::new();
    for (_, prepare) in SCENARIOS {
        for sound in prepare() {
            damaged.extend(
                sound.disk.files().iter().filter(|file| (sound.damaged)(file)).map(|file| kind(file)),
            );
        }
    }
    let mut expected = BTreeSet::new();
    for of in FileKind::ALL {
        let name = kind(Path::new(&of.at(Offset::ZERO)));
        expected.insert(format!("{name}.deleted"));
        // Compaction makes neither producer snapshots nor points.
        if FileKind::SEGMENT.contains(&of) && of != FileKind::Points {
            expected.insert(format!("{name}.cleaned"));
            expected.insert(format!("{name}.swap"));
        }
        expected.insert(name);
    }
    expected.extend(
        [
            ".lock",
            "meta.properties",
            ".kafka_cleanshutdown",
            "recovery-point-offset-checkpoint",
            "replication-offset-checkpoint",
            "cleaner-offset-checkpoint",
            "log-start-offset-checkpoint",
            "checkpoints.hwsum",
            "highwater-catalog",
            "leader-epoch-checkpoint",
            "partition.metadata",
            "highwater-quarantine",
            "highwater-gaps",
            ".log.cut",
            ".tmp",
            "-delete",
        ]
        .map(str::to_owned),
    );
    assert_eq!(damaged, expected);
}
