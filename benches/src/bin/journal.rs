//! Ways to make appends to many partitions durable, in raw system calls: a sync for each file, or one shared,
//! pre-written file in front of them. The figures behind `docs/decisions/journal.md`.
//!
//! `cargo run --release -p highwater-benches --bin journal [DIRECTORY [PARTITIONS BATCH_BYTES]]`

use std::{
    error::Error,
    fs::{File, OpenOptions},
    io::IoSlice,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use highwater_benches::machine;
use rustix::{fs::OFlags, io::ReadWriteFlags};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Appends that share one commit.
const GROUP: usize = 64;
const ROUNDS: usize = 5;
/// Commits of one round.
const COMMITS: usize = 60;
const JOURNAL_BYTES: u64 = 64 << 20;
const BLOCK: usize = 4096;

/// How a group becomes durable.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// `fdatasync` of every file that was touched.
    EachFile,
    /// Appended to a growing file, then `fdatasync`.
    Growing,
    /// Over written space, then `fdatasync`.
    Written,
    /// Over written space, `pwritev2` with `RWF_DSYNC`.
    WrittenDsync,
    /// Over written space, `O_DIRECT | O_DSYNC`.
    WrittenDirect,
}

const WAYS: [(Way, &str); 5] = [
    (Way::EachFile, "fdatasync of each file"),
    (Way::Growing, "shared file that grows, fdatasync"),
    (Way::Written, "shared pre-written file, fdatasync"),
    (Way::WrittenDsync, "shared pre-written file, RWF_DSYNC"),
    (Way::WrittenDirect, "shared pre-written file, O_DIRECT + O_DSYNC"),
];

#[derive(Default)]
struct Took {
    commits: Vec<Duration>,
    seconds: f64,
    cpu_seconds: f64,
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let place = match arguments.next() {
        Some(directory) => tempfile::tempdir_in(directory)?,
        None => tempfile::tempdir()?,
    };
    let one = match (arguments.next(), arguments.next()) {
        (Some(partitions), Some(bytes)) => Some((partitions.parse()?, bytes.parse()?)),
        _ => None,
    };
    println!("{}\n", machine::description());
    println!(
        "Groups of {GROUP} appends (one where there is one partition), {ROUNDS} rounds of {COMMITS} commits in turns.\n"
    );
    let cases = one.map_or(
        vec![(1, 4 << 10), (16, 256 << 10), (256, 4 << 10), (256, 64 << 10), (10_000, 4 << 10)],
        |one| vec![one],
    );
    for (partitions, bytes) in cases {
        compare(place.path(), partitions, bytes)?;
    }
    Ok(())
}

fn compare(place: &Path, partitions: usize, bytes: usize) -> Result<()> {
    let files = (0..partitions)
        .map(|n| {
            Ok(OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .open(place.join(format!("p{n}")))?)
        })
        .collect::<Result<Vec<File>>>()?;
    let mut bench = Bench {
        files,
        lengths: vec![0; partitions],
        next: 0,
        bytes,
        buffer: aligned(GROUP.min(partitions) * bytes + BLOCK),
    };
    let mut took: Vec<Took> = WAYS.iter().map(|_| Took::default()).collect();
    for round in 0..=ROUNDS {
        for (at, (way, _)) in WAYS.iter().enumerate() {
            let measured = bench.round(place, *way)?;
            // The first round warms up.
            if round > 0 {
                took[at].commits.extend(measured.commits);
                took[at].seconds += measured.seconds;
                took[at].cpu_seconds += measured.cpu_seconds;
            }
        }
    }
    println!(
        "| {} KiB over {partitions} partitions | acks/s | commit p50 / p99 / max, ms | CPU-s/GiB | to each file |",
        bytes >> 10
    );
    println!("|---|---|---|---|---|");
    let acks = |took: &Took| (took.commits.len() * GROUP.min(partitions)) as f64 / took.seconds;
    let all = took;
    for ((_, name), took) in WAYS.iter().zip(&all) {
        let mut commits = took.commits.clone();
        commits.sort();
        let at = |share: f64| commits[((commits.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
        let gib = (commits.len() * GROUP.min(partitions) * bytes) as f64 / f64::from(1 << 30);
        println!(
            "| {name} | {:.0} | {:.2} / {:.2} / {:.1} | {:.2} | {:.1} |",
            acks(took),
            at(0.5),
            at(0.99),
            at(1.0),
            took.cpu_seconds / gib,
            acks(took) / acks(&all[0])
        );
    }
    println!();
    for n in 0..partitions {
        std::fs::remove_file(place.join(format!("p{n}")))?;
    }
    Ok(())
}

struct Bench {
    files: Vec<File>,
    lengths: Vec<u64>,
    /// The partition whose turn it is.
    next: usize,
    bytes: usize,
    /// Memory that `O_DIRECT` takes.
    buffer: Aligned,
}

impl Bench {
    fn round(&mut self, place: &Path, way: Way) -> Result<Took> {
        let path = place.join("journal");
        let journal = open_journal(&path, way)?;
        let mut position = 0;
        let group = GROUP.min(self.files.len());
        let mut took = Took::default();
        let (cpu, start) = (machine::cpu_seconds(std::process::id())?, Instant::now());
        for _ in 0..COMMITS {
            let began = Instant::now();
            let mut touched = Vec::with_capacity(group);
            for _ in 0..group {
                let at = self.next;
                self.next = (self.next + 7) % self.files.len();
                self.files[at].write_all_at(&self.buffer.slice()[..self.bytes], self.lengths[at])?;
                self.lengths[at] += self.bytes as u64;
                touched.push(at);
            }
            let size = group * self.bytes + BLOCK;
            if position + size as u64 > JOURNAL_BYTES {
                position = 0;
            }
            match way {
                Way::EachFile => {
                    for at in touched {
                        self.files[at].sync_data()?;
                    }
                }
                Way::Growing | Way::Written => {
                    journal.write_all_at(&self.buffer.slice()[..size], position)?;
                    journal.sync_data()?;
                }
                Way::WrittenDsync => {
                    let slices = [IoSlice::new(&self.buffer.slice()[..size])];
                    let written = rustix::io::pwritev2(&journal, &slices, position, ReadWriteFlags::DSYNC)?;
                    assert_eq!(written, size, "a short write");
                }
                Way::WrittenDirect => journal.write_all_at(&self.buffer.slice()[..size], position)?,
            }
            position += size as u64;
            took.commits.push(began.elapsed());
        }
        took.seconds = start.elapsed().as_secs_f64();
        took.cpu_seconds = machine::cpu_seconds(std::process::id())? - cpu;
        // What lies in the page cache is nobody else's burden.
        for file in &self.files {
            file.sync_data()?;
        }
        std::fs::remove_file(path)?;
        Ok(took)
    }
}

fn open_journal(path: &PathBuf, way: Way) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true);
    let file = options.open(path)?;
    if !matches!(way, Way::EachFile | Way::Growing) {
        let zeros = vec![0; 1 << 20];
        for position in (0..JOURNAL_BYTES).step_by(zeros.len()) {
            file.write_all_at(&zeros, position)?;
        }
        file.sync_all()?;
    }
    if way == Way::WrittenDirect {
        options.custom_flags((OFlags::DIRECT | OFlags::DSYNC).bits() as i32);
        return Ok(options.open(path)?);
    }
    Ok(file)
}

/// Memory that begins at a multiple of a block.
struct Aligned {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

impl Aligned {
    fn slice(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.len]
    }
}

fn aligned(len: usize) -> Aligned {
    let bytes = vec![b'x'; len + BLOCK];
    let start = bytes.as_ptr().align_offset(BLOCK);
    Aligned { bytes, start, len }
}
