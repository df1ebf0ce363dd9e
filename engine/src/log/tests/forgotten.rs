//! Producers whose newest batches lie at or behind damage.

use std::path::Path;

use highwater_records::batch::{CheckPolicy, CheckedBatch, split};

use crate::{
    Log, LogConfig,
    disk::memory::{Loss, MemoryDisk},
    testing::*,
};

const LOG: &str = "/data/topic-0/00000000000000000000.log";

fn one_segment() -> LogConfig {
    LogConfig { segment_bytes: 100_000, ..small() }
}

/// Damages the magic of the batch with this number: nothing of it can be read.
fn damage(disk: &MemoryDisk, number: usize) {
    let mut bytes = disk.contents(Path::new(LOG)).unwrap();
    let position: usize = split(bytes.clone().into()).take(number).map(|piece| piece.unwrap().len()).sum();
    bytes[position + 16] ^= 1;
    disk.overwrite(Path::new(LOG), &bytes).unwrap();
}

fn append(log: &mut Log, sequence: i32) -> Result<u64, String> {
    let appended = log.append(produced(7, 0, sequence, 1), EPOCH, NOW);
    appended.map(|appended| appended.base_offset.get()).map_err(|error| error.to_string())
}

#[test]
fn a_truncation_forgets_no_producer_behind_what_has_rotted_since_the_log_was_opened() {
    let disk = MemoryDisk::new();
    let (_dir, mut log) = create(&disk, one_segment());
    for sequence in 0..10 {
        assert_eq!(append(&mut log, sequence), Ok(sequence as u64));
    }
    log.commit().unwrap();
    log.set_high_watermark(offset(5));
    damage(&disk, 2);
    assert_eq!(log.truncate_to(offset(8), NOW).unwrap(), offset(8));
    assert_eq!(append(&mut log, 7), Ok(7), "a batch that is there already");
    assert_eq!(append(&mut log, 8), Ok(8));
}

#[test]
fn a_producer_that_went_with_the_damage_comes_back_with_its_batch() {
    let disk = MemoryDisk::new();
    let (dir, mut log) = create(&disk, one_segment());
    for sequence in 0..10 {
        append(&mut log, sequence).unwrap();
    }
    log.append(batch(1, &[1]), EPOCH, NOW).unwrap();
    log.roll(NOW).unwrap();
    log.commit().unwrap();
    dir.write_checkpoints().unwrap();
    let sound = disk.contents(Path::new(LOG)).unwrap();
    drop((log, dir));
    disk.crash_with(Loss::Everything);
    damage(&disk, 9);
    for file in disk.files() {
        let name = file.to_string_lossy();
        let tells = ["hwpoints", "snapshot", "hwproducers"];
        if tells.iter().any(|tail| name.ends_with(tail)) {
            disk.vandalize(&file).unwrap();
        }
    }
    let (_dir, mut log, _) = reopen(&disk, one_segment());
    log.set_high_watermark(offset(11));
    assert!(append(&mut log, 10).is_err(), "its newest batch is the damaged one");

    let mut repair = log.begin_repair(offset(9), NOW).unwrap().unwrap();
    for piece in split(sound.into()) {
        repair.push(&CheckedBatch::check(piece.unwrap(), &CheckPolicy::replica()).unwrap()).unwrap();
    }
    let repaired = repair.finish().unwrap();
    log.swap_compacted(repaired.group).unwrap().run().unwrap();
    log.finish_repair(repaired.base, repaired.aside, repaired.learned, NOW);
    assert_eq!(append(&mut log, 9), Ok(9), "a batch that is there already");
    assert_eq!(append(&mut log, 10), Ok(11));
}
