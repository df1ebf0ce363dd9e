//! Every bit of every file of a small log is flipped, and every file cut at every length: the log says so, or gives
//! what it would have given anyway. It never gives anything else, never panics, and never silently has less.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use highwater_records::{LeaderEpoch, TimestampMs};

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
    batches: Vec<(u64, u32, u32)>,
    times: Vec<Option<(TimestampMs, u64)>>,
    log_start: u64,
    log_end: u64,
    epochs: Vec<(u32, u64)>,
    retry: Option<u64>,
    aborted: Vec<(u64, u64)>,
}

enum Outcome {
    /// It said that something is wrong: an error, a note, a range that it will not read.
    Detected,
    Answered(Answers),
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

fn ask(disk: &MemoryDisk) -> Outcome {
    let opened = LogDir::open(Arc::new(disk.clone()), Path::new("/data"), options(), NOW);
    let Ok((dir, opening)) = opened else { return Outcome::Detected };
    if !opening.unidentified.is_empty() {
        return Outcome::Detected;
    }
    let Ok((mut log, report)) = dir.open_log(&name(), config(), NOW) else { return Outcome::Detected };
    let reader = log.reader();
    let positions = log.positions();
    let Ok(batches) = read_all(&reader, positions.log_start) else { return Outcome::Detected };
    if !report.cut.is_empty() || !report.quarantined.is_empty() || !report.notes.is_empty() {
        return Outcome::Detected;
    }
    let mut times = Vec::new();
    for time in (0..1300).step_by(50) {
        match reader.offset_for_timestamp(TimestampMs(time)) {
            Ok(found) => times.push(found.map(|(time, offset)| (time, offset.get()))),
            Err(_) => return Outcome::Detected,
        }
    }
    let epochs = log.epochs().iter().map(|entry| (entry.epoch.0, entry.start.get())).collect();
    let Ok(aborted) = reader.aborted(positions.log_start, positions.log_end) else {
        return Outcome::Detected;
    };
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
    if opening.distrusted.is_empty() { Outcome::Answered(answers) } else { distrusted(answers, disk) }
}

/// A checkpoint was not believed, and said so; the batches must be all there.
fn distrusted(answers: Answers, _disk: &MemoryDisk) -> Outcome {
    assert!(answers.batches.len() >= 11, "{answers:?}");
    Outcome::Detected
}

fn every_damage(clean: bool) {
    let sound = prepare(clean);
    let Outcome::Answered(expected) = ask(&sound.fork()) else { panic!("the sound log is not sound") };
    assert!(expected.retry.is_some() && expected.batches.len() >= 11, "{expected:?}");
    assert_eq!(expected.aborted.len(), 1);
    let (mut detected, mut harmless) = (0u64, 0u64);
    let mut wrong = BTreeSet::new();
    let mut judge = |disk: &MemoryDisk, what: String| match ask(disk) {
        Outcome::Detected => detected += 1,
        Outcome::Answered(answers) if answers == expected => harmless += 1,
        Outcome::Answered(answers) => {
            let starts = (answers.log_start, answers.log_end, &answers.epochs, answers.retry);
            let same = (answers.batches == expected.batches, answers.times == expected.times);
            wrong.insert(format!("{what}: batches and times right: {same:?}, {starts:?}"));
        }
    };
    for file in sound.files() {
        let bytes = sound.contents(&file).unwrap();
        for bit in 0..bytes.len() * 8 {
            let disk = sound.fork();
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            disk.overwrite(&file, &flipped).unwrap();
            judge(&disk, format!("{} bit {} of byte {}", file.display(), bit % 8, bit / 8));
        }
        for len in 0..bytes.len() {
            let disk = sound.fork();
            disk.overwrite(&file, &bytes[..len]).unwrap();
            judge(&disk, format!("{} cut to {len} bytes", file.display()));
        }
        let disk = sound.fork();
        disk.vandalize(&file).unwrap();
        judge(&disk, format!("{} removed", file.display()));
    }
    println!("clean: {clean}: {detected} detected, {harmless} harmless, {} wrong", wrong.len());
    let shown: Vec<&String> = wrong.iter().take(20).collect();
    assert!(wrong.is_empty(), "{shown:#?}");
}

#[test]
fn after_a_clean_stop() {
    every_damage(true);
}

#[test]
fn after_a_crash() {
    every_damage(false);
}
