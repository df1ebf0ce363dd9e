//! Every bit of every file of a small log is flipped, and every file cut at every length: the log says so, or gives
//! what it would have given anyway. It never gives anything else, never panics, and never silently has less.

use std::{
    cell::Cell,
    collections::BTreeSet,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use highwater_records::{
    LeaderEpoch, Offset, TimestampMs,
    batch::{BatchView, split},
};

use crate::{
    LogConfig, LogDir,
    disk::memory::{Loss, MemoryDisk},
    testing::*,
};

fn config() -> LogConfig {
    LogConfig { segment_bytes: 500, index_interval_bytes: 100, ..small() }
}

/// What a sound log answers to every question.
#[derive(Debug, PartialEq)]
struct Answers {
    batches: Batches,
    times: Vec<Option<(TimestampMs, u64)>>,
    log_start: u64,
    log_end: u64,
    epochs: Vec<(u32, u64)>,
    retry: Option<u64>,
    aborted: Vec<(u64, u64)>,
}

enum Outcome {
    /// It said that something is wrong: an error, a note, a range that it will not read. The batches that it gives all
    /// the same, each with its checksum verified; `None` if it does not open, so that a person looks at it.
    Detected(Option<Batches>),
    Answered(Answers),
}

/// Base offset, checksum and leader epoch.
type Batches = Vec<(u64, u32, u32)>;

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

fn ask(disk: &MemoryDisk) -> Outcome {
    let opened = LogDir::open(Arc::new(disk.clone()), Path::new("/data"), options(), NOW);
    let Ok((dir, opening)) = opened else { return Outcome::Detected(None) };
    if !opening.unidentified.is_empty() {
        return Outcome::Detected(None);
    }
    let Ok((mut log, report)) = dir.open_log(&name(), config(), NOW) else {
        return Outcome::Detected(None);
    };
    let reader = log.reader();
    let positions = log.positions();
    let detected = || Outcome::Detected(Some(read_around(&reader)));
    let Ok(batches) = read_all(&reader, positions.log_start) else { return detected() };
    if !report.cut.is_empty() || !report.quarantined.is_empty() || !report.notes.is_empty() {
        return detected();
    }
    let mut times = Vec::new();
    for time in (0..1300).step_by(50) {
        match reader.offset_for_timestamp(TimestampMs(time)) {
            Ok(found) => times.push(found.map(|(time, offset)| (time, offset.get()))),
            Err(_) => return detected(),
        }
    }
    let epochs = log.epochs().iter().map(|entry| (entry.epoch.0, entry.start.get())).collect();
    let Ok(aborted) = reader.aborted(positions.log_start, positions.log_end) else { return detected() };
    let aborted = aborted.iter().map(|t| (t.first_offset.get(), t.last_offset.get())).collect();
    let retry = log.append(produced(7, 0, 4, 1), LeaderEpoch(2), NOW).ok();
    let retry = retry.filter(|retry| retry.duplicate).map(|retry| retry.base_offset.get());
    // What the directory reports it did not believe is said, and must not have changed an answer that matters less
    // than the batches: those are compared all the same.
    let answers = Answers {
        batches,
        times,
        log_start: positions.log_start.get(),
        log_end: positions.log_end.get(),
        epochs,
        retry,
        aborted,
    };
    if opening.distrusted.is_empty() {
        Outcome::Answered(answers)
    } else {
        Outcome::Detected(Some(answers.batches))
    }
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
fn repaired(disk: &MemoryDisk, end: u64) -> Batches {
    disk.kill();
    let opened = LogDir::open(Arc::new(disk.clone()), Path::new("/data"), options(), NOW);
    let Ok((dir, _)) = opened else { return Batches::new() };
    dir.reread(&name(), offset(end));
    match dir.open_log(&name(), config(), NOW) {
        Ok((log, _)) => read_around(&log.reader()),
        Err(_) => Batches::new(),
    }
}

/// A batch, the file in which it lies, and where.
type Placed = ((u64, u32, u32), PathBuf, Range<usize>);

/// The batches of a log's segments.
fn laid_out(disk: &MemoryDisk) -> Vec<Placed> {
    let mut found = Vec::new();
    for file in disk.files().into_iter().filter(|file| file.extension().is_some_and(|kind| kind == "log")) {
        let mut at = 0;
        for piece in split(disk.contents(&file).unwrap().into()) {
            let piece = piece.unwrap();
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

pub(super) fn every_damage(clean: bool, damages: &Cell<u64>) {
    let sound = prepare(clean);
    let Outcome::Answered(expected) = ask(&sound.fork()) else { panic!("the sound log is not sound") };
    assert!(expected.retry.is_some() && expected.batches.len() >= 11, "{expected:?}");
    assert_eq!(expected.aborted.len(), 1);
    let layout = laid_out(&sound);
    let (mut detected, mut harmless, mut around) = (0u64, 0u64, 0u64);
    let mut wrong = BTreeSet::new();
    // What was done to which bytes of which file.
    let mut judge = |disk: &MemoryDisk, what: &str, file: &Path, damaged: Range<usize>| {
        damages.set(damages.get() + 1);
        let what = || format!("{} {what} of bytes {damaged:?}", file.display());
        let before = bytes_of_batches(disk);
        let outcome = ask(disk);
        if bytes_of_batches(disk) < before {
            wrong.insert(format!("{}: something was deleted", what()));
        }
        match outcome {
            Outcome::Detected(served) => {
                detected += 1;
                let hit = |place: &Range<usize>| place.start < damaged.end && damaged.start < place.end;
                let untouched = layout.iter().filter(|(_, path, place)| path != file || !hit(place));
                let untouched: Vec<_> = untouched.map(|(batch, ..)| batch).collect();
                let lost = |served: &Batches| -> Vec<u64> {
                    let missing = untouched
                        .iter()
                        .filter(|batch| expected.batches.contains(batch) && !served.contains(batch));
                    missing.map(|(base, ..)| *base).collect()
                };
                let lost_at_first = served.as_ref().map_or(Vec::new(), lost);
                if !lost_at_first.is_empty() {
                    // A reader that runs into damage goes on at the next index entry; a repair looks at every byte.
                    around += 1;
                    let served = repaired(disk, expected.log_end);
                    let lost = lost(&served);
                    // The leader epoch lies outside the checksum: of two lone batches whose epochs do not fit
                    // together nobody can tell which is the damaged one.
                    let epoch = |place: &Range<usize>| place.start + 12..place.start + 16;
                    let in_epoch = layout
                        .iter()
                        .any(|(_, path, place)| path == file && epoch(place).contains(&damaged.start));
                    if lost.len() > usize::from(in_epoch) {
                        wrong.insert(format!("{}: {lost:?} are not served", what()));
                    }
                }
            }
            Outcome::Answered(answers) if answers == expected => harmless += 1,
            Outcome::Answered(answers) => {
                let starts = (answers.log_start, answers.log_end, &answers.epochs, answers.retry);
                let same = (answers.batches == expected.batches, answers.times == expected.times);
                wrong.insert(format!("{}: batches and times right: {same:?}, {starts:?}", what()));
            }
        }
    };
    for file in sound.files() {
        let bytes = sound.contents(&file).unwrap();
        for bit in 0..bytes.len() * 8 {
            let disk = sound.fork();
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            disk.overwrite(&file, &flipped).unwrap();
            judge(&disk, &format!("flip of bit {}", bit % 8), &file, bit / 8..bit / 8 + 1);
        }
        for len in 0..bytes.len() {
            let disk = sound.fork();
            disk.overwrite(&file, &bytes[..len]).unwrap();
            judge(&disk, "loss", &file, len..bytes.len());
        }
        let disk = sound.fork();
        disk.vandalize(&file).unwrap();
        judge(&disk, "removal", &file, 0..bytes.len());
    }
    println!(
        "clean: {clean}: {detected} detected ({around} need a repair to serve what lies behind), {harmless} harmless, {} wrong",
        wrong.len()
    );
    let shown: Vec<&String> = wrong.iter().take(20).collect();
    assert!(wrong.is_empty(), "{shown:#?}");
}

#[test]
fn after_a_clean_stop() {
    every_damage(true, &Cell::new(0));
}

#[test]
fn after_a_crash() {
    every_damage(false, &Cell::new(0));
}
