//! One kind of step of the engine, again and again, for whoever counts instructions: `benches/instructions` runs it
//! under callgrind with two counts and takes the difference.
//!
//! `cargo run --release -p highwater-benches --bin steps -- append-1k|append-64k|gather-100|look-up|look-up-old|read COUNT`

use std::{error::Error, path::Path, sync::Arc};

use highwater_engine::{
    DirOptions, Log, LogConfig, LogDir, LogName,
    disk::RealDisk,
    embed::{Logs, Options},
};
use highwater_records::{
    BrokerId, Durability, LeaderEpoch, Offset, PartitionIndex, TimestampMs, TopicId,
    batch::{BatchBuilder, CheckPolicy, CheckedBatch, Record},
    compression::Codec,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const NOW: TimestampMs = TimestampMs(1_700_000_000_000);
/// Batches in a log that is only read.
const FILLED: u64 = 4_000;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let step = arguments.next().ok_or("which step?")?;
    let count: u64 = arguments.next().ok_or("how often?")?.parse()?;
    let place = tempfile::tempdir()?;
    match step.as_str() {
        "append-1k" => append(place.path(), 1 << 10, count),
        "append-64k" => append(place.path(), 64 << 10, count),
        "gather-100" => gather(place.path(), count),
        "look-up" => look_up(place.path(), count, true, false),
        "look-up-old" => look_up(place.path(), count, false, false),
        "read" => look_up(place.path(), count, false, true),
        other => Err(format!("there is no step {other}").into()),
    }
}

fn batch(size: usize) -> Result<CheckedBatch> {
    let mut builder = BatchBuilder::new(Codec::None);
    let value = vec![b'x'; size];
    builder.push(Record { timestamp: NOW, key: None, value: Some(&value), headers: &[] })?;
    Ok(CheckedBatch::check(builder.build(Offset::ZERO, None)?, &CheckPolicy::client(1 << 30))?)
}

fn log(place: &Path) -> Result<(Arc<LogDir>, Log)> {
    let options = DirOptions {
        cluster_id: "bench".to_owned(),
        node_id: BrokerId(1),
        new_directory_id: TopicId::from_random(1, 2),
    };
    let (dir, _) = LogDir::open(Arc::new(RealDisk), place, options, NOW)?;
    let name = LogName::new("bench", PartitionIndex(0));
    let log = dir.create_log(name, TopicId::from_random(3, 4), LogConfig::default(), NOW)?;
    Ok((dir, log))
}

fn append(place: &Path, size: usize, count: u64) -> Result<()> {
    let (_dir, mut log) = log(place)?;
    let batch = batch(size)?;
    for _ in 0..count {
        log.append(batch.clone(), LeaderEpoch(0), NOW)?;
    }
    Ok(())
}

fn gather(place: &Path, count: u64) -> Result<()> {
    let options = Options::default();
    let config = LogConfig { durability: Durability::Replicated, ..options.config };
    let logs = Logs::open_with(place, Options { config, ..options })?;
    let log = logs.log("bench")?;
    let mut gather = log.gather(64 << 10);
    for _ in 0..count {
        drop(gather.push(&[b'x'; 100])?);
    }
    drop(gather.write()?);
    Ok(())
}

/// Among the newest batches of a log, or those that were that.
fn look_up(place: &Path, count: u64, newest: bool, read: bool) -> Result<()> {
    let (_dir, mut log) = log(place)?;
    let batch = batch(1 << 10)?;
    for _ in 0..FILLED {
        log.append(batch.clone(), LeaderEpoch(0), NOW)?;
    }
    if !newest {
        // Nothing is appended between the two: the log rests.
        log.release_sealed();
        log.release_sealed();
    }
    let (reader, end) = (log.reader(), log.positions().log_end);
    for n in 0..count {
        let from = Offset::new(n * 7_919 % FILLED).ok_or("an offset")?;
        let range = reader.read(from, 16 << 10, end, true)?;
        if read {
            std::hint::black_box(range.bytes()?);
        }
    }
    Ok(())
}
