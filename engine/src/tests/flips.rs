//! Every bit of every file of a small log is flipped, and every file cut at every length: the log says so, or gives
//! what it would have given anyway. It never gives anything else, never panics, and never silently has less.
//!
//! Here are the files that every log has, and how damage is judged; the files that only some have are in
//! `flips_kinds.rs`, and the journal's in `flips_journal.rs`.

use std::{
    cell::Cell,
    collections::BTreeSet,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use highwater_records::{
    LeaderEpoch, Offset, TimestampMs, TopicId,
    batch::{BatchView, split},
};

use crate::{
    LogConfig, LogDir,
    disk::memory::{Loss, MemoryDisk},
    testing::*,
};

/// A directory as somebody left it, which of its files are to be damaged, and how its log is opened.
pub(super) struct Sound {
    pub(super) disk: MemoryDisk,
    pub(super) config: LogConfig,
    pub(super) damaged: fn(&Path) -> bool,
    /// The same with something undone that need not have been done: answers that are as good.
    pub(super) or: Vec<MemoryDisk>,
    /// Opening it removes batches that others have replaced.
    pub(super) removes: bool,
}

/// What a log answers to every question.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answers {
    pub(super) batches: Batches,
    times: Vec<Option<(TimestampMs, u64)>>,
    log_start: u64,
    pub(super) log_end: u64,
    high_watermark: u64,
    epochs: Vec<(u32, u64)>,
    retry: Option<u64>,
    pub(super) aborted: Vec<(u64, u64)>,
    /// Of the directory and of the topic.
    ids: (TopicId, TopicId),
}

/// What came of opening a directory and asking its log everything.
pub(super) struct Asked {
    /// What it said by itself: errors, notes, ranges that it will not read, files that it did not believe.
    pub(super) said: BTreeSet<String>,
    /// `None` if it does not open, so that a person looks at it. The batches are those that it gives around what it
    /// refuses, each with its checksum verified.
    pub(super) answers: Option<Answers>,
}

/// Base offset, checksum and leader epoch.
type Batches = Vec<(u64, u32, u32)>;

fn config() -> LogConfig {
    LogConfig { segment_bytes: 500, index_interval_bytes: 100, ..small() }
}

fn prepare(clean: bool) -> MemoryDisk {
    let disk = MemoryDisk::new();
    let (dir, mut log) = create(&disk, config());
    for n in 0..12u64 {
        let batch = match n {
            3 => transactional(20, 0, 0, 2),
            7 => marker(20, 0, false),
            _ if n % 2 == 0 => produced(7, 0, n as i32 / 2, 1),
            _ => batch(n * 3, &[n as i64 * 100, 50]),
        };
        log.append(batch, LeaderEpoch(n as u32 / 5), NOW).unwrap();
    }
    log.commit().unwrap();
    log.set_high_watermark(offset(9));
    log.advance_start_to(offset(1), crate::StartReason::RecordsDeleted).unwrap();
    dir.write_checkpoints().unwrap();
    if clean {
        close(dir, log);
    } else {
        drop((dir, log));
    }
    disk.crash_with(Loss::Nothing);
    disk
}

/// The files that every log has.
pub(super) fn ordinary(clean: bool) -> Sound {
    Sound { disk: prepare(clean), config: config(), damaged: |_| true, or: Vec::new(), removes: false }
}

pub(super) fn ask(disk: &MemoryDisk, config: &LogConfig) -> Asked {
    let mut said = BTreeSet::new();
    let answers = ask_all(disk, config, &mut said).map_err(|refused| said.insert(refused)).ok();
    Asked { said, answers }
}

fn ask_all(disk: &MemoryDisk, config: &LogConfig, said: &mut BTreeSet<String>) -> Result<Answers, String> {
    let opened = LogDir::open(Arc::new(disk.clone()), Path::new("/data"), options(), NOW);
    let (dir, opening) = opened.map_err(|error| error.to_string())?;
    said.extend(opening.distrusted);
    if !opening.unidentified.is_empty() {
        return Err(format!("{:?}", opening.unidentified));
    }
    let (mut log, report) = dir.open_log(&name(), config.clone(), NOW).map_err(|error| error.to_string())?;
    said.extend(report.cut.iter().map(|cut| format!("{cut:?}")));
    said.extend(report.quarantined.iter().map(|range| format!("{range:?}")));
    said.extend(report.notes);
    let reader = log.reader();
    let positions = log.positions();
    let batches = read_all(&reader, positions.log_start).unwrap_or_else(|error| {
        said.insert(error.to_string());
        read_around(&reader)
    });
    let mut times = Vec::new();
    for time in (0..1300).step_by(50) {
        match reader.offset_for_timestamp(TimestampMs(time)) {
            Ok(found) => times.push(found.map(|(time, offset)| (time, offset.get()))),
            Err(error) => drop(said.insert(error.to_string())),
        }
    }
    let epochs = log.epochs().iter().map(|entry| (entry.epoch.0, entry.start.get())).collect();
    let aborted = reader.aborted(positions.log_start, positions.log_end).unwrap_or_else(|error| {
        said.insert(error.to_string());
        Vec::new()
    });
    let aborted = aborted.iter().map(|t| (t.first_offset.get(), t.last_offset.get())).collect();
    let retry = log.append(produced(7, 0, 4, 1), LeaderEpoch(2), NOW).ok();
    let retry = retry.filter(|retry| retry.duplicate).map(|retry| retry.base_offset.get());
    let identity = LogDir::identity(disk, Path::new("/data")).ok().flatten();
    let topic_id = dir.topic_id_of(&name());
    Ok(Answers {
        batches,
        times,
        log_start: positions.log_start.get(),
        log_end: positions.log_end.get(),
        high_watermark: positions.high_watermark.get(),
        epochs,
        retry,
        aborted,
        ids: (identity.unwrap().new_directory_id, topic_id.unwrap()),
    })
}

/// What a reader gets that goes around everything it is refused.
fn read_around(reader: &crate::LogReader) -> Batches {
    let positions = reader.positions();
    let mut found = Vec::new();
    let mut next = positions.log_start;
    while next < positions.log_end {
        let range = reader.read(next, 1, Offset::MAX, true).ok();
        let bytes = range.and_then(|range| Some((range.next_offset(), range.bytes().ok()?)));
        let Some((after, bytes)) = bytes.filter(|(after, _)| *after > next) else {
            next = next.checked_add(1).unwrap();
            continue;
        };
        let view = BatchView::parse(&bytes).unwrap();
        if view.verify_crc().is_ok() {
            found.push((view.base_offset().get(), view.stored_crc(), view.leader_epoch().unwrap().0));
        }
        next = after;
    }
    found
}

/// What is served once every byte was looked at, as `highwater log repair` does.
fn repaired(disk: &MemoryDisk, config: &LogConfig, end: u64) -> Batches {
    disk.kill();
    let opened = LogDir::open(Arc::new(disk.clone()), Path::new("/data"), options(), NOW);
    let Ok((dir, _)) = opened else { return Batches::new() };
    dir.reread(&name(), offset(end));
    match dir.open_log(&name(), config.clone(), NOW) {
        Ok((log, _)) => read_around(&log.reader()),
        Err(_) => Batches::new(),
    }
}

/// A batch, the file in which it lies, and where.
pub(super) type Placed = ((u64, u32, u32), PathBuf, Range<usize>);

/// The batches of a log's segments, of those too that are on their way into their place.
pub(super) fn laid_out(disk: &MemoryDisk) -> Vec<Placed> {
    let of_segment = |file: &PathBuf| {
        let name = file.to_string_lossy();
        name.ends_with(".log") || name.ends_with(".log.swap")
    };
    let mut found = Vec::new();
    for file in disk.files().into_iter().filter(of_segment) {
        let mut at = 0;
        for piece in split(disk.contents(&file).unwrap().into()) {
            let Ok(piece) = piece else { break };
            let view = BatchView::parse(&piece).unwrap();
            let batch = (view.base_offset().get(), view.stored_crc(), view.leader_epoch().unwrap().0);
            found.push((batch, file.clone(), at..at + piece.len()));
            at += piece.len();
        }
    }
    found
}

/// Bytes of all files of batches, those that were moved aside included.
fn bytes_of_batches(disk: &MemoryDisk) -> usize {
    let of_batches = |file: &PathBuf| file.to_string_lossy().contains(".log");
    disk.files().into_iter().filter(of_batches).map(|file| disk.contents(&file).unwrap().len()).sum()
}

/// Does every damage to the files that are to be damaged.
///
/// # Panics
/// Where one is not noticed and not harmless, or takes something else with it.
pub(super) fn every_damage(sound: &Sound, what: &str, damages: &Cell<u64>) {
    let Sound { disk: sound_disk, config, damaged, or, removes } = sound;
    let asked = |disk: &MemoryDisk| {
        let Asked { said, answers } = ask(&disk.fork(), config);
        (said, answers.expect("the sound directory opens"))
    };
    let expected: Vec<(BTreeSet<String>, Answers)> = [sound_disk].into_iter().chain(or).map(asked).collect();
    let layout = laid_out(sound_disk);
    let (mut detected, mut harmless, mut around) = (0u64, 0u64, 0u64);
    let mut wrong = BTreeSet::new();
    // What was done to which bytes of which file.
    let mut judge = |disk: &MemoryDisk, what: &str, file: &Path, damaged: Range<usize>| {
        damages.set(damages.get() + 1);
        let what = || format!("{} {what} of bytes {damaged:?}", file.display());
        let before = bytes_of_batches(disk);
        let Asked { said, answers } = ask(disk, config);
        if bytes_of_batches(disk) < before && !removes {
            wrong.insert(format!("{}: something was deleted", what()));
        }
        let end = expected.iter().map(|(_, expected)| expected.log_end).min().unwrap();
        if answers.as_ref().is_some_and(|answers| answers.log_end < end) {
            wrong.insert(format!("{}: offsets from {end} on are given out again", what()));
        }
        if let Some(answers) = &answers
            && expected.iter().any(|(usual, expected)| said == *usual && answers == expected)
        {
            harmless += 1;
            return;
        }
        let news = expected.iter().all(|(usual, _)| !said.is_subset(usual));
        if let Some(answers) = &answers
            && !news
        {
            wrong.insert(format!("{}: nobody was told: {said:?}, {answers:?}", what()));
            return;
        }
        detected += 1;
        let hit = |place: &Range<usize>| place.start < damaged.end && damaged.start < place.end;
        let untouched = layout.iter().filter(|(_, path, place)| path != file || !hit(place));
        let untouched: Vec<_> = untouched.map(|(batch, ..)| batch).collect();
        // Of what one of the answers has.
        let lost = |served: &Batches| -> Vec<u64> {
            let missing = |expected: &Answers| -> Vec<u64> {
                let missing = untouched
                    .iter()
                    .filter(|batch| expected.batches.contains(batch) && !served.contains(batch));
                missing.map(|(base, ..)| *base).collect()
            };
            expected.iter().map(|(_, expected)| missing(expected)).min_by_key(Vec::len).unwrap()
        };
        let lost_at_first = answers.as_ref().map_or(Vec::new(), |answers| lost(&answers.batches));
        if !lost_at_first.is_empty() {
            // A reader that runs into damage goes on at the next index entry; a repair looks at every byte.
            around += 1;
            let served = repaired(disk, config, end);
            let lost = lost(&served);
            // The leader epoch lies outside the checksum: of two lone batches whose epochs do not fit
            // together nobody can tell which is the damaged one.
            let epoch = |place: &Range<usize>| place.start + 12..place.start + 16;
            let in_epoch =
                layout.iter().any(|(_, path, place)| path == file && epoch(place).contains(&damaged.start));
            // Without what tells of the gap, a batch behind one is as good as a batch in a place that is not its own.
            let behind_gap = file.ends_with("highwater-gaps");
            if lost.len() > usize::from(in_epoch || behind_gap) {
                wrong.insert(format!("{}: {lost:?} are not served, but {served:?}", what()));
            }
        }
    };
    for file in sound_disk.files().into_iter().filter(|file| damaged(file)) {
        let bytes = sound_disk.contents(&file).unwrap();
        for bit in 0..bytes.len() * 8 {
            let disk = sound_disk.fork();
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            disk.overwrite(&file, &flipped).unwrap();
            judge(&disk, &format!("flip of bit {}", bit % 8), &file, bit / 8..bit / 8 + 1);
        }
        for len in 0..bytes.len() {
            let disk = sound_disk.fork();
            disk.overwrite(&file, &bytes[..len]).unwrap();
            judge(&disk, "loss", &file, len..bytes.len());
        }
        let disk = sound_disk.fork();
        disk.vandalize(&file).unwrap();
        judge(&disk, "removal", &file, 0..bytes.len());
    }
    println!(
        "{what}: {detected} detected ({around} need a repair to serve what lies behind), {harmless} harmless, {} wrong",
        wrong.len()
    );
    let shown: Vec<&String> = wrong.iter().take(20).collect();
    assert!(wrong.is_empty(), "{what}: {shown:#?}");
}

/// The files of every log, after a clean stop or a crash.
pub(super) fn every_damage_of_a_log(clean: bool, damages: &Cell<u64>) {
    let sound = ordinary(clean);
    let Asked { said, answers } = ask(&sound.disk.fork(), &sound.config);
    let answers = answers.unwrap();
    assert!(
        said.is_empty() && answers.retry.is_some() && answers.batches.len() >= 11,
        "{said:?} {answers:?}"
    );
    assert_eq!(answers.aborted.len(), 1);
    every_damage(&sound, if clean { "after a clean stop" } else { "after a crash" }, damages);
}

#[test]
fn after_a_clean_stop() {
    every_damage_of_a_log(true, &Cell::new(0));
}

#[test]
fn after_a_crash() {
    every_damage_of_a_log(false, &Cell::new(0));
}
