//! The engine against the system calls it is made of: appends against `pwrite`, reads against `pread`, commits
//! against `fdatasync`, alternating in one run over files of the same size.
//!
//! `cargo run --release -p highwater-benches --bin engine [DIRECTORY]`

use std::{
    error::Error,
    fs::{File, OpenOptions},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use highwater_benches::machine;
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

const NOW: TimestampMs = TimestampMs(1_700_000_000_000);
const ROUNDS: usize = 5;
const ROUND_BYTES: usize = 128 << 20;
const GATHERED_BYTES: usize = 32 << 20;
const COMMITS: usize = 500;
const LOOK_UPS: u32 = 500_000;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What one side of one round took.
#[derive(Clone, Copy, Default)]
struct Took {
    bytes: usize,
    seconds: f64,
    cpu_seconds: f64,
}

impl Took {
    fn mib_per_second(&self) -> f64 {
        self.bytes as f64 / f64::from(1 << 20) / self.seconds
    }

    fn cpu_seconds_per_gib(&self) -> f64 {
        self.cpu_seconds / (self.bytes as f64 / f64::from(1 << 30))
    }

    fn add(&mut self, other: Took) {
        self.bytes += other.bytes;
        self.seconds += other.seconds;
        self.cpu_seconds += other.cpu_seconds;
    }
}

fn main() -> Result<()> {
    let place = match std::env::args().nth(1) {
        Some(directory) => tempfile::tempdir_in(directory)?,
        None => tempfile::tempdir()?,
    };
    println!("{}\n", machine::description());
    println!("| | engine MiB/s | system call MiB/s | engine CPU-s/GiB | system call CPU-s/GiB | CPU ratio |");
    println!("|---|---|---|---|---|---|");
    for size in [1 << 10, 64 << 10] {
        alternate(
            &format!("append {} KiB, page cache", size >> 10),
            || append(place.path(), size, ROUND_BYTES / size),
            || write(place.path(), size, ROUND_BYTES / size),
        )?;
    }
    for size in [100, 1 << 10] {
        alternate(
            &format!("append records of {size} bytes, 64 KiB gathered, against a write for each"),
            || gather(place.path(), size, GATHERED_BYTES / size),
            || write(place.path(), size, GATHERED_BYTES / size),
        )?;
    }
    for (size, read_size) in [(1 << 10, 64 << 10), (64 << 10, 64 << 10), (64 << 10, 1 << 20)] {
        let (dir, log) = filled(place.path(), size, ROUND_BYTES / size)?;
        let plain = plain_file(place.path(), ROUND_BYTES)?;
        alternate(
            &format!("read {} KiB of {} KiB batches", read_size >> 10, size >> 10),
            || read(&log, read_size),
            || pread(&plain, read_size),
        )?;
        dir.delete_log(log)?;
    }
    commits(place.path())?;
    look_ups(place.path())
}

/// Runs both sides in turn, one unmeasured round first, and prints their sums.
fn alternate(
    name: &str,
    mut engine: impl FnMut() -> Result<Took>,
    mut system: impl FnMut() -> Result<Took>,
) -> Result<()> {
    engine()?;
    system()?;
    let (mut ours, mut floor) = (Took::default(), Took::default());
    for _ in 0..ROUNDS {
        ours.add(engine()?);
        floor.add(system()?);
    }
    println!(
        "| {name} | {:.0} | {:.0} | {:.3} | {:.3} | {:.2} |",
        ours.mib_per_second(),
        floor.mib_per_second(),
        ours.cpu_seconds_per_gib(),
        floor.cpu_seconds_per_gib(),
        ours.cpu_seconds / floor.cpu_seconds
    );
    Ok(())
}

fn measure(bytes: usize, work: impl FnOnce() -> Result<()>) -> Result<Took> {
    let pid = std::process::id();
    let (cpu, start) = (machine::cpu_seconds(pid)?, Instant::now());
    work()?;
    Ok(Took { bytes, seconds: start.elapsed().as_secs_f64(), cpu_seconds: machine::cpu_seconds(pid)? - cpu })
}

/// A batch of exactly `size` bytes.
fn batch(size: usize) -> Result<CheckedBatch> {
    let build = |value: &[u8]| -> Result<CheckedBatch> {
        let mut builder = BatchBuilder::new(Codec::None);
        builder.push(Record { timestamp: NOW, key: None, value: Some(value), headers: &[] })?;
        Ok(CheckedBatch::check(builder.build(Offset::ZERO, None)?, &CheckPolicy::client(1 << 30))?)
    };
    let mut len = size - 80;
    loop {
        let batch = build(&vec![b'x'; len])?;
        match size.checked_sub(batch.bytes().len()) {
            Some(0) => return Ok(batch),
            Some(missing) => len += missing,
            None => return Err("no batch has that size".into()),
        }
    }
}

fn create(place: &Path) -> Result<(Arc<LogDir>, Log)> {
    let options = DirOptions {
        cluster_id: "bench".to_owned(),
        node_id: BrokerId(1),
        new_directory_id: TopicId::from_random(1, 2),
    };
    let (dir, _) = LogDir::open(Arc::new(RealDisk), &place.join("log"), options, NOW)?;
    let name = LogName::new("bench", PartitionIndex(0));
    let log = dir.create_log(name, TopicId::from_random(3, 4), LogConfig::default(), NOW)?;
    Ok((dir, log))
}

fn filled(place: &Path, size: usize, count: usize) -> Result<(Arc<LogDir>, Log)> {
    let (dir, mut log) = create(place)?;
    let batch = batch(size)?;
    for _ in 0..count {
        log.append(batch.clone(), LeaderEpoch(0), NOW)?;
    }
    Ok((dir, log))
}

fn append(place: &Path, size: usize, count: usize) -> Result<Took> {
    let (dir, mut log) = create(place)?;
    let batch = batch(size)?;
    let took = measure(size * count, || {
        for _ in 0..count {
            log.append(batch.clone(), LeaderEpoch(0), NOW)?;
        }
        Ok(())
    })?;
    dir.delete_log(log)?;
    Ok(took)
}

/// One record after the other, as a program has them.
fn gather(place: &Path, size: usize, count: usize) -> Result<Took> {
    let logs = Logs::open_with(place.join("gathered"), in_memory())?;
    let log = logs.log("bench")?;
    let record = vec![b'x'; size];
    let took = measure(size * count, || {
        let mut gather = log.gather(64 << 10);
        for _ in 0..count {
            drop(gather.push(&record[..])?);
        }
        drop(gather.write()?);
        Ok(())
    })?;
    logs.close()?;
    std::fs::remove_dir_all(place.join("gathered"))?;
    Ok(took)
}

/// Acknowledged from the page cache, as `write` is.
fn in_memory() -> Options {
    let options = Options::default();
    Options { config: LogConfig { durability: Durability::Replicated, ..options.config }, ..options }
}

/// From an offset, and from a time, to where the batch lies; nothing of it is read.
fn look_ups(place: &Path) -> Result<()> {
    let (dir, log) = filled(place, 1 << 10, 256 << 10)?;
    let reader = log.reader();
    let end = log.positions().log_end;
    // The least there is: the places of as many batches in memory, searched for an offset and for where a range ends.
    let places: Vec<(u64, u64)> = (0..end.get()).map(|n| (n, n << 10)).collect();
    println!(
        "\n| look-up of an offset in a log of {end} batches of 1 KiB in the page cache | us | CPU us | of a search in memory, CPU us |\n\
         |---|---|---|---|"
    );
    for (which, among) in [("the newest 4,000", 4_000), ("all", end.get())] {
        let mut at = 0;
        let mut next = || {
            at = (at + 7_919) % among;
            end.get() - 1 - at
        };
        let (mut engine, mut floor) = (Took::default(), Took::default());
        for _ in 0..ROUNDS {
            engine.add(measure(0, || {
                for _ in 0..LOOK_UPS {
                    let from = Offset::new(next()).ok_or("an offset")?;
                    std::hint::black_box(reader.read(from, 16 << 10, end, true)?);
                }
                Ok(())
            })?);
            floor.add(measure(0, || {
                for _ in 0..LOOK_UPS {
                    let from = next();
                    let first = places.partition_point(|(offset, _)| *offset <= from);
                    let limit = places[first - 1].1 + (16 << 10);
                    std::hint::black_box(places.partition_point(|(_, position)| *position <= limit));
                }
                Ok(())
            })?);
        }
        let each = |seconds: f64| seconds * 1e6 / f64::from(LOOK_UPS) / ROUNDS as f64;
        println!(
            "| among {which} | {:.2} | {:.2} | {:.2} |",
            each(engine.seconds),
            each(engine.cpu_seconds),
            each(floor.cpu_seconds)
        );
    }
    dir.delete_log(log)?;
    Ok(())
}

fn open(path: &PathBuf) -> Result<File> {
    Ok(OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?)
}

fn write(place: &Path, size: usize, count: usize) -> Result<Took> {
    let path = place.join("plain");
    let file = open(&path)?;
    let bytes = vec![b'x'; size];
    let took = measure(size * count, || {
        for n in 0..count {
            file.write_all_at(&bytes, (n * size) as u64)?;
        }
        Ok(())
    })?;
    std::fs::remove_file(path)?;
    Ok(took)
}

fn plain_file(place: &Path, len: usize) -> Result<File> {
    let file = open(&place.join("plain"))?;
    let chunk = vec![b'x'; 1 << 20];
    for n in 0..len >> 20 {
        file.write_all_at(&chunk, (n << 20) as u64)?;
    }
    Ok(file)
}

fn read(log: &Log, read_size: usize) -> Result<Took> {
    let end = log.positions().log_end;
    measure(ROUND_BYTES, || {
        let mut next = Offset::ZERO;
        while next < end {
            // A reader per read, as a fetch takes one.
            let range = log.reader().read(next, read_size, end, true)?;
            std::hint::black_box(range.bytes()?);
            next = range.next_offset();
        }
        Ok(())
    })
}

fn pread(file: &File, read_size: usize) -> Result<Took> {
    measure(ROUND_BYTES, || {
        for position in (0..ROUND_BYTES).step_by(read_size) {
            let mut bytes = vec![0; read_size];
            file.read_exact_at(&mut bytes, position as u64)?;
            std::hint::black_box(&bytes);
        }
        Ok(())
    })
}

/// One 4 KiB batch and its sync after the other: the median of each side.
fn commits(place: &Path) -> Result<()> {
    let size = 4 << 10;
    let (dir, mut log) = create(place)?;
    let path = place.join("plain");
    let file = open(&path)?;
    let batch = batch(size)?;
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for n in 0..COMMITS {
        let start = Instant::now();
        log.append(batch.clone(), LeaderEpoch(0), NOW)?;
        log.commit()?;
        ours.push(start.elapsed());
        let start = Instant::now();
        file.write_all_at(batch.bytes(), (n * size) as u64)?;
        file.sync_data()?;
        floor.push(start.elapsed());
    }
    ours.sort();
    floor.sort();
    let middle = COMMITS / 2;
    println!(
        "\nappend 4 KiB and commit, one after the other: {:?} (write and fdatasync: {:?})",
        ours[middle], floor[middle]
    );
    dir.delete_log(log)?;
    std::fs::remove_file(path)?;
    Ok(())
}
