//! The engine where the disk decides, against system calls in the same run: batches made durable as they stream in, a
//! log that is not in memory, opening after a crash, compaction.
//!
//! `cargo run --release -p highwater-benches --bin disk [DIRECTORY [stream|cold|crash|compact]...]`

use std::{
    error::Error,
    fs::{File, OpenOptions},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use highwater_benches::machine;
use highwater_engine::{Compaction, DirOptions, Log, LogConfig, LogDir, LogName, Watermark, disk::RealDisk};
use highwater_records::{
    BrokerId, Durability, LeaderEpoch, Offset, PartitionIndex, TimestampMs, TopicId,
    batch::{BatchBuilder, CheckPolicy, CheckedBatch, Record},
    compression::Codec,
};
use rustix::fs::{Advice, OFlags, fadvise};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const NOW: TimestampMs = TimestampMs(1_700_000_000_000);
const MIB: usize = 1 << 20;
const BLOCK: usize = 4096;
const ROUNDS: usize = 4;
const STREAM_BYTES: usize = 256 * MIB;
const COLD_BYTES: usize = 512 * MIB;
/// What is written between two syncs, where not every batch is synced.
const SYNC_BYTES: usize = 32 * MIB;
const KEYS: u64 = 100_000;
const COMPACTED_BYTES: usize = 256 * MIB;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let place = match arguments.next() {
        Some(directory) => tempfile::tempdir_in(directory)?,
        None => tempfile::tempdir()?,
    };
    let parts: Vec<String> = arguments.collect();
    let asked = |part: &str| parts.is_empty() || parts.iter().any(|known| known == part);
    println!("{}", machine::description());
    if asked("stream") {
        stream(place.path())?;
    }
    if asked("cold") {
        cold(place.path())?;
    }
    if asked("crash") {
        crash(place.path())?;
        crash_synced(place.path())?;
    }
    if asked("compact") {
        compact(place.path())?;
    }
    Ok(())
}

/// Seconds and CPU seconds of all rounds, for a number of bytes each.
#[derive(Default)]
struct Took {
    bytes: usize,
    seconds: f64,
    cpu_seconds: f64,
}

impl Took {
    fn add(&mut self, bytes: usize, work: impl FnOnce() -> Result<()>) -> Result<()> {
        let (cpu, start) = (machine::cpu_seconds(std::process::id())?, Instant::now());
        work()?;
        self.bytes += bytes;
        self.seconds += start.elapsed().as_secs_f64();
        self.cpu_seconds += machine::cpu_seconds(std::process::id())? - cpu;
        Ok(())
    }

    fn rate(&self) -> f64 {
        self.bytes as f64 / MIB as f64 / self.seconds
    }

    fn row(&self, name: &str, best: f64) {
        let cpu = self.cpu_seconds / (self.bytes as f64 / f64::from(1 << 30));
        println!("| {name} | {:.0} | {cpu:.2} | {:.2} |", self.rate(), self.rate() / best);
    }
}

/// Contenders in turns, one round unmeasured; every other round goes the other way round, since whoever comes first finds
/// another memory.
fn alternate(title: &str, bytes: usize, sides: &mut [(&str, &mut dyn FnMut() -> Result<()>)]) -> Result<()> {
    let mut took: Vec<Took> = sides.iter().map(|_| Took::default()).collect();
    for round in 0..=ROUNDS {
        let mut order: Vec<usize> = (0..sides.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for n in order {
            let mut warm = Took::default();
            if round == 0 { &mut warm } else { &mut took[n] }.add(bytes, &mut sides[n].1)?;
        }
    }
    let best = took.iter().skip(1).map(Took::rate).fold(0.0, f64::max);
    println!("\n| {title} | MiB/s | CPU-s/GiB | to the best of the others |\n|---|---|---|---|");
    sides.iter().zip(&took).for_each(|((name, _), took)| took.row(name, best));
    Ok(())
}

/// Large batches, durable as they stream in: in page cache and `fdatasync`, or past the page cache.
fn stream(place: &Path) -> Result<()> {
    let batch = batch(MIB)?;
    for (interval, title) in [
        (MIB, "stream 1 MiB batches, each durable before the next"),
        (SYNC_BYTES, "stream 1 MiB batches, durable every 32 MiB"),
    ] {
        let (dir, mut log) = create(&place.join("stream"), config(Durability::Synced))?;
        let naive = file(&place.join("naive"), OFlags::empty())?;
        let over = file(&place.join("over"), OFlags::empty())?;
        over.write_all_at(&vec![1; STREAM_BYTES], 0)?;
        over.sync_all()?;
        let direct = file(&place.join("over"), OFlags::DIRECT | OFlags::DSYNC)?;
        let memory = vec![b'x'; MIB + BLOCK];
        let aligned = &memory[memory.as_ptr().align_offset(BLOCK)..][..MIB];
        let mut position = 0;
        alternate(
            title,
            STREAM_BYTES,
            &mut [
                ("the engine, synced log", &mut || {
                    for n in 1..=STREAM_BYTES / MIB {
                        log.append(batch.clone(), LeaderEpoch(0), NOW)?;
                        if (n * MIB).is_multiple_of(interval) {
                            log.commit()?;
                        }
                    }
                    Ok(())
                }),
                ("`pwrite` at the end, `fdatasync`", &mut || {
                    for n in 1..=STREAM_BYTES / MIB {
                        naive.write_all_at(batch.bytes(), position)?;
                        position += MIB as u64;
                        if (n * MIB).is_multiple_of(interval) {
                            naive.sync_data()?;
                        }
                    }
                    Ok(())
                }),
                ("the same over bytes that were there", &mut || {
                    for n in 1..=STREAM_BYTES / MIB {
                        over.write_all_at(batch.bytes(), ((n - 1) * MIB) as u64)?;
                        if (n * MIB).is_multiple_of(interval) {
                            over.sync_data()?;
                        }
                    }
                    Ok(())
                }),
                ("past the page cache, over bytes that were there", &mut || {
                    for n in 0..STREAM_BYTES / MIB {
                        direct.write_all_at(aligned, (n * MIB) as u64)?;
                    }
                    Ok(())
                }),
            ],
        )?;
        drop((naive, over, direct, log, dir));
        clear(place)?;
    }
    Ok(())
}

/// A log none of which is in memory, from its start to its end.
fn cold(place: &Path) -> Result<()> {
    let (dir, mut log) = create(&place.join("cold"), config(Durability::Replicated))?;
    let batch = batch(64 << 10)?;
    for _ in 0..COLD_BYTES / batch.bytes().len() {
        log.append(batch.clone(), LeaderEpoch(0), NOW)?;
    }
    log.commit()?;
    let segment = File::open(place.join("cold").join(name(0).to_string()).join("00000000000000000000.log"))?;
    let plain = file(&place.join("plain"), OFlags::empty())?;
    for n in 0..COLD_BYTES / MIB {
        plain.write_all_at(&vec![b'x'; MIB], (n * MIB) as u64)?;
    }
    plain.sync_all()?;
    let direct = file(&place.join("plain"), OFlags::DIRECT)?;
    let end = log.positions().log_end;
    let mut memory = vec![0; MIB + BLOCK];
    let from = memory.as_ptr().align_offset(BLOCK);
    alternate(
        "read from the device, 1 MiB at a time",
        COLD_BYTES,
        &mut [
            ("the engine, 64 KiB batches", &mut || {
                fadvise(&segment, 0, None, Advice::DontNeed)?;
                let mut next = Offset::ZERO;
                while next < end {
                    let range = log.reader().read(next, MIB, end, true)?;
                    std::hint::black_box(range.bytes()?);
                    next = range.next_offset();
                }
                Ok(())
            }),
            ("`pread` through the page cache", &mut || {
                fadvise(&plain, 0, None, Advice::DontNeed)?;
                for n in 0..COLD_BYTES / MIB {
                    let mut bytes = vec![0; MIB];
                    plain.read_exact_at(&mut bytes, (n * MIB) as u64)?;
                    std::hint::black_box(&bytes);
                }
                Ok(())
            }),
            ("`pread` past it", &mut || {
                for n in 0..COLD_BYTES / MIB {
                    direct.read_exact_at(&mut memory[from..from + MIB], (n * MIB) as u64)?;
                    std::hint::black_box(&memory);
                }
                Ok(())
            }),
        ],
    )?;
    drop((log, dir));
    clear(place)
}

/// Opening what a process left behind that did not stop in order: nothing is known to be whole.
fn crash(place: &Path) -> Result<()> {
    println!(
        "\n| open after a crash | ms | reading and checking the same bytes, ms | ratio |\n|---|---|---|---|"
    );
    for (logs, mib) in [(1, 64), (1, 256), (1, 1024), (64, 16)] {
        let root = place.join("crash");
        let batch = batch(64 << 10)?;
        let (dir, _) = LogDir::open(Arc::new(RealDisk), &root, options(), NOW)?;
        for n in 0..logs {
            let mut log =
                dir.create_log(name(n), TopicId::from_random(3, 4), config(Durability::Replicated), NOW)?;
            let plain = file(&place.join(format!("plain{n}")), OFlags::empty())?;
            for at in 0..mib * MIB / batch.bytes().len() {
                log.append(batch.clone(), LeaderEpoch(0), NOW)?;
                plain.write_all_at(batch.bytes(), (at * batch.bytes().len()) as u64)?;
            }
        }
        // What a crash leaves: no mark of a clean end, and nothing says how much is durable.
        drop(dir);
        let floor = Instant::now();
        let mut bytes = vec![0; MIB];
        for n in 0..logs {
            let plain = file(&place.join(format!("plain{n}")), OFlags::empty())?;
            for position in 0..mib {
                plain.read_exact_at(&mut bytes, (position * MIB) as u64)?;
                std::hint::black_box(crc32c::crc32c(&bytes));
            }
            // What was found is promised from now on.
            plain.sync_data()?;
        }
        let floor = floor.elapsed();
        let start = Instant::now();
        let (dir, _) = LogDir::open(Arc::new(RealDisk), &root, options(), NOW)?;
        let opened: Vec<Log> = (0..logs)
            .map(|n| Ok(dir.open_log(&name(n), config(Durability::Replicated), NOW)?.0))
            .collect::<Result<_>>()?;
        let took = start.elapsed();
        let whole = (mib * MIB / batch.bytes().len()) as u64;
        assert!(opened.iter().all(|log| log.positions().log_end.get() == whole), "everything is there");
        println!(
            "| {logs} x {mib} MiB, in the page cache | {:.0} | {:.0} | {:.2} |",
            took.as_secs_f64() * 1e3,
            floor.as_secs_f64() * 1e3,
            took.as_secs_f64() / floor.as_secs_f64()
        );
        drop((opened, dir));
        clear(place)?;
    }
    Ok(())
}

/// The same where all but the last mebibyte was synced: with the trusted points, and without them, as if they were lost.
fn crash_synced(place: &Path) -> Result<()> {
    println!(
        "\n| open after a crash, all but 1 MiB synced | ms | without trusted points, ms | ratio | bytes of the points |\n|---|---|---|---|---|"
    );
    for (mib, batch_bytes) in [(64, 64 << 10), (1023, 64 << 10), (255, 1 << 10)] {
        let root = place.join("crash");
        let batch = batch(batch_bytes)?;
        let (dir, _) = LogDir::open(Arc::new(RealDisk), &root, options(), NOW)?;
        let mut log =
            dir.create_log(name(0), TopicId::from_random(3, 4), config(Durability::Replicated), NOW)?;
        for part in 0..mib {
            for _ in 0..MIB / batch.bytes().len() {
                log.append(batch.clone(), LeaderEpoch(0), NOW)?;
            }
            if part + 1 < mib {
                log.commit()?;
            }
        }
        let end = log.positions().log_end;
        drop((log, dir));
        let points = root.join(name(0).to_string()).join(format!("{:020}.hwpoints", 0));
        let (bytes, mut took) = (std::fs::metadata(&points)?.len(), Vec::new());
        for round in 0..2 {
            if round == 1 {
                std::fs::remove_file(&points)?;
            }
            let start = Instant::now();
            let (dir, _) = LogDir::open(Arc::new(RealDisk), &root, options(), NOW)?;
            let (log, _) = dir.open_log(&name(0), config(Durability::Replicated), NOW)?;
            took.push(start.elapsed().as_secs_f64());
            assert_eq!(log.positions().log_end, end, "everything is there");
        }
        println!(
            "| {mib} MiB in batches of {} KiB, in the page cache | {:.1} | {:.0} | {:.3} | {bytes} |",
            batch_bytes >> 10,
            took[0] * 1e3,
            took[1] * 1e3,
            took[0] / took[1],
        );
        clear(place)?;
    }
    Ok(())
}

/// One pass over a log in which each key was written some times.
fn compact(place: &Path) -> Result<()> {
    println!(
        "\n| compaction, records of 1 KiB | MiB/s of what is read | CPU-s/GiB | bytes left |\n|---|---|---|---|"
    );
    for together in [1, 64] {
        let compaction = Compaction {
            min_lag_ms: 0,
            max_lag_ms: None,
            min_dirty_millionths: 0,
            delete_retention_ms: 86_400_000,
        };
        let config = LogConfig {
            compaction: Some(compaction),
            segment_bytes: 64 << 20,
            ..config(Durability::Replicated)
        };
        let (dir, mut log) = create(&place.join("compact"), config)?;
        let (mut state, value) = (1_u64, vec![b'x'; 1 << 10]);
        for _ in 0..COMPACTED_BYTES / (1 << 10) / together {
            let mut builder = BatchBuilder::new(Codec::None);
            for _ in 0..together {
                // The constants of Knuth's MMIX.
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let key = (state >> 33) % KEYS;
                builder.push(Record {
                    timestamp: NOW,
                    key: Some(&key.to_be_bytes()),
                    value: Some(&value),
                    headers: &[],
                })?;
            }
            let batch = CheckedBatch::check(builder.build(Offset::ZERO, None)?, &CheckPolicy::internal())?;
            log.append(batch, LeaderEpoch(0), NOW)?;
        }
        log.roll(NOW)?;
        log.commit()?;
        dir.write_checkpoints()?;
        let mut took = Took::default();
        let mut left = (0, 0);
        took.add(0, || {
            while let Some(done) = log.compact(64 << 20, NOW)? {
                left = (left.0 + done.bytes_before, left.1 + done.bytes_after);
            }
            Ok(())
        })?;
        let rate = left.0 as f64 / MIB as f64 / took.seconds;
        let cpu = took.cpu_seconds / (left.0 as f64 / f64::from(1 << 30));
        println!(
            "| {together} in a batch | {rate:.0} | {cpu:.2} | {:.0} % |",
            100.0 * left.1 as f64 / left.0 as f64
        );
        drop((log, dir));
        clear(place)?;
    }
    let data = vec![b'x'; COMPACTED_BYTES];
    let mut took = Took::default();
    let (from, to) = (file(&place.join("from"), OFlags::empty())?, file(&place.join("to"), OFlags::empty())?);
    from.write_all_at(&data, 0)?;
    let mut bytes = vec![0; MIB];
    took.add(COMPACTED_BYTES, || {
        // Twice, for the keys and for the records; a third of it is written and synced.
        for round in 0..2 {
            for n in 0..COMPACTED_BYTES / MIB {
                from.read_exact_at(&mut bytes, (n * MIB) as u64)?;
                std::hint::black_box(crc32c::crc32c(&bytes));
                if round == 1 && n % 3 == 0 {
                    to.write_all_at(&bytes, (n * MIB) as u64 / 3)?;
                }
            }
        }
        Ok(to.sync_data()?)
    })?;
    let cpu = took.cpu_seconds / (took.bytes as f64 / f64::from(1 << 30));
    println!("| read and checked twice, a third written and synced | {:.0} | {cpu:.2} | |", took.rate());
    clear(place)
}

fn clear(place: &Path) -> Result<()> {
    for entry in std::fs::read_dir(place)? {
        let path = entry?.path();
        if path.is_dir() { std::fs::remove_dir_all(path)? } else { std::fs::remove_file(path)? }
    }
    Ok(())
}

fn file(path: &PathBuf, flags: OFlags) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).custom_flags(flags.bits().cast_signed());
    Ok(options.open(path)?)
}

fn config(durability: Durability) -> LogConfig {
    LogConfig { durability, watermark: Watermark::Own, max_message_bytes: 2 << 20, ..LogConfig::default() }
}

fn options() -> DirOptions {
    DirOptions {
        cluster_id: "bench".into(),
        node_id: BrokerId(1),
        new_directory_id: TopicId::from_random(1, 2),
    }
}

fn name(n: usize) -> LogName {
    LogName::new("bench", PartitionIndex(n as u32))
}

fn create(root: &Path, config: LogConfig) -> Result<(Arc<LogDir>, Log)> {
    let (dir, _) = LogDir::open(Arc::new(RealDisk), root, options(), NOW)?;
    let log = dir.create_log(name(0), TopicId::from_random(3, 4), config, NOW)?;
    Ok((dir, log))
}

/// A batch of exactly `size` bytes.
fn batch(size: usize) -> Result<CheckedBatch> {
    let build = |len: usize| -> Result<CheckedBatch> {
        let mut builder = BatchBuilder::new(Codec::None);
        builder.push(Record { timestamp: NOW, key: None, value: Some(&vec![b'x'; len]), headers: &[] })?;
        Ok(CheckedBatch::check(builder.build(Offset::ZERO, None)?, &CheckPolicy::internal())?)
    };
    let mut len = size - 80;
    loop {
        let batch = build(len)?;
        match size.checked_sub(batch.bytes().len()) {
            Some(0) => return Ok(batch),
            Some(missing) => len += missing,
            None => return Err("no batch has that size".into()),
        }
    }
}
