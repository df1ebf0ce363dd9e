//! Every bit of a journal that alone has what several logs were promised, some of it in appends to two of them at once.
//! A journal of one log: `journal/tests.rs`.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use highwater_records::{Durability, PartitionIndex, TopicId};

use crate::{
    BatchesJob, JournalOptions, Log, LogConfig, LogDir, LogName, OpenDirError, OpenReport,
    disk::memory::{Loss, MemoryDisk},
    testing::*,
};

/// Where the journal's groups lie: a block each, behind the header's.
const BLOCK: usize = 4096;
const GROUPS: usize = 5;

type Ends = [u64; 2];

fn log_name(at: u32) -> LogName {
    LogName::new("topic", PartitionIndex(at))
}

fn config() -> LogConfig {
    LogConfig { durability: Durability::Synced, ..small() }
}

fn open(disk: &MemoryDisk) -> Result<(Arc<LogDir>, OpenReport), OpenDirError> {
    let journal = JournalOptions::of(JournalOptions::LEAST);
    LogDir::open_with(Arc::new(disk.clone()), Path::new("/data"), options(), journal, NOW)
}

fn append(log: &mut Log, seed: u64) {
    log.append(batch(seed, &[1, 2]), EPOCH, NOW).unwrap();
    log.commit().unwrap();
}

fn together(logs: &mut [Log], seed: u64) {
    let part = |log: &mut Log| log.prepare(batch(seed, &[1]), None, EPOCH, NOW).unwrap();
    let parts = logs.iter_mut().map(part).collect();
    let written = BatchesJob::new(parts).unwrap().run().unwrap();
    for (log, written) in logs.iter_mut().zip(written) {
        log.finish_batch(written).unwrap();
    }
}

/// Five groups after a power cut that left nothing but them: where the logs end after each, and the journal.
fn crashed() -> (MemoryDisk, Vec<Ends>, PathBuf) {
    let disk = MemoryDisk::new();
    let (dir, _) = open(&disk).unwrap();
    let create = |at| dir.create_log(log_name(at), TopicId::from_random(2, 2), config(), NOW).unwrap();
    let mut logs = [create(0), create(1)];
    let ends = |logs: &[Log; 2]| logs.each_ref().map(|log| log.positions().log_end.get());
    let mut after = vec![ends(&logs)];
    for group in 0..GROUPS as u64 {
        match group {
            0 => append(&mut logs[0], group),
            3 => append(&mut logs[1], group),
            _ => together(&mut logs, group),
        }
        after.push(ends(&logs));
    }
    disk.crash_with(Loss::Everything);
    let journals: Vec<PathBuf> = disk
        .files()
        .into_iter()
        .filter(|file| file.extension().is_some_and(|kind| kind == "journal"))
        .filter(|file| disk.contents(file).unwrap().iter().any(|byte| *byte != 0))
        .collect();
    let [journal] = &journals[..] else { panic!("{journals:?}") };
    (disk, after, journal.clone())
}

/// Where the logs end now, every byte of them read, and whether anybody was told of something. `None` if the directory
/// does not open.
fn recovered(disk: &MemoryDisk) -> Option<(Ends, bool)> {
    let (dir, opened) = open(disk).ok()?;
    let mut told = !opened.distrusted.is_empty();
    let ends = [0, 1].map(|at| {
        let (log, report) = dir.open_log(&log_name(at), config(), NOW).expect("no log is forgotten");
        told |= !report.notes.is_empty() || !report.quarantined.is_empty();
        let positions = log.positions();
        read_all(&log.reader(), positions.log_start).unwrap();
        positions.log_end.get()
    });
    Some((ends, told))
}

#[test]
fn every_bit_of_a_journal_of_appends_to_several_logs() {
    let (disk, after, journal) = crashed();
    assert_eq!(recovered(&disk.fork()), Some((after[GROUPS], false)));
    let bytes = disk.contents(&journal).unwrap();
    let used = (1 + GROUPS) * BLOCK;
    assert!(bytes[used..].iter().all(|byte| *byte == 0), "a group has a block");
    let judge = |damaged: &[u8], at: usize, what: &str| {
        let other = disk.fork();
        other.overwrite(&journal, damaged).unwrap();
        let (ends, told) = recovered(&other).expect("the directory opens");
        // Each group as a whole, or nothing of it and of what came later.
        let groups = after.iter().position(|after| *after == ends);
        let groups = groups.unwrap_or_else(|| panic!("{what}: the logs end at {ends:?}: {after:?}"));
        let intact = (at / BLOCK).saturating_sub(1);
        assert!(groups == GROUPS || groups == intact || at < BLOCK && groups == 0, "{what}: {groups} groups");
        // The end of the last group is what a torn write looks like.
        assert!(told || groups == GROUPS || intact >= GROUPS - 1, "{what}: nobody was told");
    };
    for at in 0..used {
        // Behind a group lies padding, which nobody reads.
        if bytes[at] == 0 && at % BLOCK >= 400 && at % 61 != 0 {
            continue;
        }
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            judge(&flipped, at, &format!("bit {bit} of byte {at}"));
        }
    }
}

#[test]
fn every_length_and_every_other_file_beside_a_journal() {
    let (disk, after, journal) = crashed();
    let bytes = disk.contents(&journal).unwrap();
    for len in (0..bytes.len()).step_by(512) {
        let other = disk.fork();
        other.overwrite(&journal, &bytes[..len]).unwrap();
        let (ends, _) = recovered(&other).unwrap();
        assert!(after.contains(&ends), "{len} bytes: the logs end at {ends:?}");
        assert!(ends == after[GROUPS] || len < (1 + GROUPS) * BLOCK, "{len} bytes: {ends:?}");
    }
    for file in disk.files().into_iter().filter(|file| *file != journal) {
        let bytes = disk.contents(&file).unwrap();
        let damaged = |change: &dyn Fn(&MemoryDisk)| {
            let other = disk.fork();
            change(&other);
            match recovered(&other) {
                None => {}
                Some((ends, told)) => {
                    assert!(told || ends == after[GROUPS], "{}: {ends:?}", file.display());
                }
            }
        };
        for bit in 0..bytes.len().min(BLOCK) * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            damaged(&|disk| disk.overwrite(&file, &flipped).unwrap());
        }
        damaged(&|disk| disk.vandalize(&file).unwrap());
    }
}
