//! The engine with many logs: synced appends that share a journal against the same bytes in one shared file, from one
//! thread and from several, and what logs cost that nobody uses.
//!
//! `cargo run --release -p highwater-benches --bin many [DIRECTORY [LOGS [idle]]]`

#[path = "many/threads.rs"]
mod threads;

use std::{
    error::Error,
    fs::{File, OpenOptions},
    io::{self, IoSlice},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use highwater_benches::machine;
use highwater_engine::{
    CheckpointError, CommitJob, DirOptions, JournalOptions, Log, LogConfig, LogDir, LogName, Watermark,
    disk::{DirEntry, Disk, DiskFile, DiskLock, Open, RealDisk, Space},
};
use highwater_records::{
    BrokerId, Durability, LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, Sequence,
    TimestampMs, TopicId,
    batch::{BatchBuilder, CheckPolicy, CheckedBatch, Producer, Record},
    compression::Codec,
};
use rustix::fs::OFlags;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const NOW: TimestampMs = TimestampMs(1_700_000_000_000);
const ROUNDS: usize = 5;
const COMMITS: usize = 60;
/// Turns of each way of committing much, and commits in each.
const TURNS: usize = 5;
const TURN_COMMITS: usize = 12;
/// Appends that share a commit.
const GROUP: usize = 64;
const BATCH_BYTES: usize = 4 << 10;
/// Producers that each idle log remembers.
const PRODUCERS: u64 = 10;
const BLOCK: usize = 4096;
const FLOOR_BYTES: u64 = 64 << 20;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let place = match arguments.next() {
        Some(directory) => tempfile::tempdir_in(directory)?,
        None => tempfile::tempdir()?,
    };
    let logs = arguments.next().map_or(Ok(100_000), |logs| logs.parse())?;
    println!("{}\n", machine::description());
    if arguments.next().is_some_and(|only| only == "idle") {
        return idle(&place.path().join("idle"), logs);
    }
    println!("| 4 KiB appends, synced | acks/s | commit p50 / p99, ms | CPU-s/GiB | to the shared file |");
    println!("|---|---|---|---|---|");
    for logs in [1, 256] {
        synced(&place.path().join("synced"), logs)?;
    }
    println!();
    threads::one_by_one(&place.path().join("threads"))?;
    threads::in_groups(&place.path().join("groups"))?;
    println!(
        "| one commit of | through the journal, ms p50 / p99 | by the files, ms p50 / p99 | files / journal |"
    );
    println!("|---|---|---|---|");
    for logs in [1, 4, 16, 64] {
        for kib in [16, 32, 64, 128, 256, 512, 1024] {
            if logs * kib <= 8 << 10 {
                twice(&place.path().join("twice"), logs, kib << 10)?;
            }
        }
    }
    println!();
    idle(&place.path().join("idle"), logs)
}

#[derive(Default)]
struct Took {
    commits: Vec<Duration>,
    cpu_seconds: f64,
    /// What was still to be synced afterwards.
    settling: Duration,
}

impl Took {
    fn measure(&mut self, commit: impl FnMut() -> Result<()>) -> Result<()> {
        self.measure_some(COMMITS, commit)
    }

    fn measure_some(&mut self, commits: usize, mut commit: impl FnMut() -> Result<()>) -> Result<()> {
        let cpu = machine::cpu_seconds(std::process::id())?;
        for _ in 0..commits {
            let start = Instant::now();
            commit()?;
            self.commits.push(start.elapsed());
        }
        self.cpu_seconds += machine::cpu_seconds(std::process::id())? - cpu;
        Ok(())
    }

    fn acks_per_second(&self, group: usize) -> f64 {
        (self.commits.len() * group) as f64 / self.commits.iter().sum::<Duration>().as_secs_f64()
    }

    fn row(&mut self, name: &str, group: usize, floor: f64) {
        let acks = self.acks_per_second(group);
        self.commits.sort();
        let at =
            |share: f64| self.commits[((self.commits.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
        let gib = (self.commits.len() * group * BATCH_BYTES) as f64 / f64::from(1 << 30);
        println!(
            "| {name} | {acks:.0} | {:.2} / {:.2} | {:.2} | {:.2} |",
            at(0.5),
            at(0.99),
            self.cpu_seconds / gib,
            acks / floor
        );
    }
}

/// Who makes room in a journal before it is needed, as a broker does in the background.
struct Reliever {
    tell: mpsc::SyncSender<()>,
    thread: thread::JoinHandle<std::result::Result<(), CheckpointError>>,
}

impl Reliever {
    fn of(dir: &Arc<LogDir>) -> Reliever {
        let (tell, told) = mpsc::sync_channel(1);
        let dir = dir.clone();
        let thread = thread::spawn(move || told.into_iter().try_for_each(|()| dir.relieve()));
        Reliever { tell, thread }
    }

    fn look(&self, dir: &LogDir) {
        if dir.wants_relief() {
            // It is told already, or at it; or it has failed, which is heard of in the end.
            let _ = self.tell.try_send(());
        }
    }

    fn end(self) -> Result<()> {
        drop(self.tell);
        Ok(self.thread.join().map_err(|_| "whoever relieves the journal has panicked")??)
    }
}

/// Groups of appends, each to another log, that become durable together.
fn synced(place: &Path, count: usize) -> Result<()> {
    let (dir, mut logs) = create(&RealDisk, place, count, Durability::Synced)?;
    let (other, mut unsynced) =
        create(&RealDisk, &place.with_extension("unsynced"), count, Durability::Replicated)?;
    let batch = batch(BATCH_BYTES)?;
    let floor = Floor::new(&place.with_extension("floor"), count)?;
    let group = GROUP.min(count);
    let (mut next, mut position, mut at) = (0, 0, 0);
    let mut advance = move || {
        next = (next + 7) % count;
        next
    };
    let [mut ours, mut raw, mut cached] = [Took::default(), Took::default(), Took::default()];
    let reliever = Reliever::of(&dir);
    for round in 0..=ROUNDS {
        let [mut one, mut two, mut three] = [Took::default(), Took::default(), Took::default()];
        one.measure(|| {
            let mut jobs: Vec<(usize, CommitJob)> = Vec::with_capacity(group);
            for _ in 0..group {
                let at = advance();
                logs[at].append(batch.clone(), LeaderEpoch(0), NOW)?;
                jobs.extend(logs[at].begin_commit().map(|job| (at, job)));
            }
            let (which, jobs): (Vec<usize>, Vec<CommitJob>) = jobs.into_iter().unzip();
            for (at, done) in which.into_iter().zip(CommitJob::run_all(jobs)) {
                logs[at].finish_commit(done)?;
            }
            reliever.look(&dir);
            Ok(())
        })?;
        // What is still to be done for it does not disturb the others.
        dir.relieve()?;
        two.measure(|| floor.commit(group, batch.bytes(), &mut position, &mut at))?;
        three.measure(|| {
            for _ in 0..group {
                unsynced[advance()].append(batch.clone(), LeaderEpoch(0), NOW)?;
            }
            Ok(())
        })?;
        // The first round warms up.
        if round > 0 {
            for (sum, one) in [(&mut ours, one), (&mut raw, two), (&mut cached, three)] {
                sum.commits.extend(one.commits);
                sum.cpu_seconds += one.cpu_seconds;
            }
        }
    }
    reliever.end()?;
    let limit = raw.acks_per_second(group);
    raw.row(&format!("{count}: files written, one shared file through O_DIRECT + O_DSYNC"), group, limit);
    ours.row(&format!("{count}: the engine's journal"), group, limit);
    cached.row(&format!("{count}: the engine, page cache only"), group, limit);
    let start = Instant::now();
    dir.settle()?;
    println!(
        "| {count}: settling all of it afterwards, ms | {:.0} | | | |",
        start.elapsed().as_secs_f64() * 1e3
    );
    drop((dir, logs, other, unsynced, floor));
    for directory in [place, &place.with_extension("unsynced"), &place.with_extension("floor")] {
        std::fs::remove_dir_all(directory)?;
    }
    Ok(())
}

/// Commits of `bytes` of each of some logs, written twice and once: with a journal that takes them all, and with one that
/// takes none and is told that the files were synced. In turns.
fn twice(place: &Path, count: usize, bytes: usize) -> Result<()> {
    let batch = batch(bytes)?;
    let mut ways = Vec::new();
    for (name, direct_bytes) in [("journal", u64::MAX), ("files", 0)] {
        let place = place.with_extension(name);
        let journal = JournalOptions { direct_bytes, ..JournalOptions::default() };
        ways.push((
            create_with(&RealDisk, &place, count, Durability::Synced, journal)?,
            place,
            Took::default(),
        ));
    }
    for round in 0..=TURNS {
        for ((dir, logs), _, took) in &mut ways {
            let mut one = Took::default();
            one.measure_some(TURN_COMMITS, || {
                let mut jobs = Vec::with_capacity(count);
                for log in &mut *logs {
                    log.append(batch.clone(), LeaderEpoch(0), NOW)?;
                    jobs.extend(log.begin_commit());
                }
                for (log, done) in logs.iter_mut().zip(CommitJob::run_all(jobs)) {
                    log.finish_commit(done)?;
                }
                Ok(())
            })?;
            let settling = Instant::now();
            dir.settle()?;
            // The first round warms up.
            if round > 0 {
                took.commits.extend(one.commits);
                took.settling += settling.elapsed();
            }
        }
    }
    let [journal, files] = [0, 1].map(|at: usize| {
        let Took { commits, settling, .. } = &mut ways[at].2;
        commits.sort();
        let at = |share: f64| commits[((commits.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
        let all = commits.iter().sum::<Duration>() + *settling;
        let mib = (commits.len() * count * bytes) as f64 / f64::from(1 << 20);
        (at(0.5), at(0.99), mib / all.as_secs_f64())
    });
    println!(
        "| {count} x {} KiB | {:.2} / {:.2} | {:.2} / {:.2} | {:.2} | {:.0} / {:.0} |",
        bytes >> 10,
        journal.0,
        journal.1,
        files.0,
        files.1,
        files.0 / journal.0,
        journal.2,
        files.2
    );
    for (opened, place, _) in ways {
        drop(opened);
        std::fs::remove_dir_all(place)?;
    }
    Ok(())
}

/// The same in system calls.
struct Floor {
    files: Vec<File>,
    shared: File,
    memory: Vec<u8>,
}

impl Floor {
    fn new(place: &Path, count: usize) -> Result<Floor> {
        std::fs::create_dir_all(place)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true);
        let files: io::Result<Vec<File>> =
            (0..count).map(|n| options.open(place.join(n.to_string()))).collect();
        let path = place.join("shared");
        let file = options.open(&path)?;
        for position in (0..FLOOR_BYTES).step_by(1 << 20) {
            file.write_all_at(&vec![0; 1 << 20], position)?;
        }
        file.sync_all()?;
        options.custom_flags((OFlags::DIRECT | OFlags::DSYNC).bits().cast_signed());
        let memory = vec![b'x'; (GROUP + 2) * BATCH_BYTES + BLOCK];
        Ok(Floor { files: files?, shared: options.open(path)?, memory })
    }

    fn commit(&self, group: usize, batch: &[u8], position: &mut u64, at: &mut usize) -> Result<()> {
        for _ in 0..group {
            *at = (*at + 7) % self.files.len();
            let file = &self.files[*at];
            file.write_all_at(batch, file.metadata()?.len())?;
        }
        // One more block for what a journal says of each append.
        let size = group * batch.len() + BLOCK;
        if *position + size as u64 > FLOOR_BYTES {
            *position = 0;
        }
        let start = self.memory.as_ptr().align_offset(BLOCK);
        self.shared.write_all_at(&self.memory[start..start + size], *position)?;
        *position += size as u64;
        Ok(())
    }
}

/// What logs cost that lie in a directory and that nobody asks for.
fn idle(place: &Path, count: usize) -> Result<()> {
    let made = Instant::now();
    let (dir, logs) = create(&Unsynced, place, 0, Durability::Replicated)?;
    drop(logs);
    let batch = batch(BATCH_BYTES)?;
    let producers: Vec<CheckedBatch> = (0..PRODUCERS).map(batch_of).collect::<Result<_>>()?;
    for n in 0..count {
        let mut log = dir.create_log(name(n), TopicId::from_random(3, 4), LogConfig::default(), NOW)?;
        log.append(batch.clone(), LeaderEpoch(0), NOW)?;
        for producer in &producers {
            log.append(producer.clone(), LeaderEpoch(0), NOW)?;
        }
        log.close(NOW)?;
    }
    dir.close(NOW)?;
    drop(dir);
    println!(
        "{count} logs of {PRODUCERS} producers each, closed cleanly (made in {:.0} s):\n",
        made.elapsed().as_secs_f64()
    );

    let pid = std::process::id();
    let mut opens = Vec::new();
    for _ in 0..4 {
        let (cpu, start) = (machine::cpu_seconds(pid)?, Instant::now());
        let (dir, _) = LogDir::open(Arc::new(RealDisk), place, options(), NOW)?;
        opens.push((start.elapsed().as_secs_f64(), machine::cpu_seconds(pid)? - cpu));
        dir.close(NOW)?;
    }
    let (before, cpu, start) = (machine::resident_mib(pid)?, machine::cpu_seconds(pid)?, Instant::now());
    let (dir, report) = LogDir::open(Arc::new(RealDisk), place, options(), NOW)?;
    opens.push((start.elapsed().as_secs_f64(), machine::cpu_seconds(pid)? - cpu));
    let resident = machine::resident_mib(pid)? - before;
    assert_eq!((report.logs.len(), report.clean), (count, true), "the directory was closed cleanly");
    drop(report);
    let start = Instant::now();
    let (log, _) = dir.open_log(&name(count / 2), LogConfig::default(), NOW)?;
    let range = log.reader().read(Offset::ZERO, 1 << 20, log.positions().log_end, true)?;
    assert!(range.bytes()?.len() > BATCH_BYTES, "the batches are there");
    let first_read = start.elapsed();
    drop(range);
    log.close(NOW)?;
    let start = Instant::now();
    for n in 0..count {
        let (log, _) = dir.open_log(&name(n), LogConfig::default(), NOW)?;
        assert_eq!(log.producers().count() as u64, PRODUCERS);
        log.close(NOW)?;
    }
    let visits = start.elapsed();
    let resident_after = machine::resident_mib(pid)? - before;
    println!("| | |\n|---|---|");
    opens.sort_by(|a, b| a.0.total_cmp(&b.0));
    let [(least, _), .., (most, _)] = opens[..] else { return Err("it was not opened".into()) };
    let (middle, cpu) = opens[opens.len() / 2];
    println!(
        "| open the directory five times, s: median (its CPU-s), least, most | {middle:.2} ({cpu:.2}), {least:.2}, {most:.2} |"
    );
    println!("| then open one log and read it, ms | {:.2} |", first_read.as_secs_f64() * 1e3);
    let each = |mib: f64| mib * f64::from(1 << 20) / count as f64;
    println!("| resident memory, bytes for each log | {:.0} |", each(resident));
    println!(
        "| then open and close every log, us for each | {:.0} |",
        visits.as_secs_f64() * 1e6 / count as f64
    );
    println!("| resident memory after that, bytes for each log | {:.0} |", each(resident_after));
    println!("| descriptors open | {} |", std::fs::read_dir("/proc/self/fd")?.count());
    Ok(())
}

/// A record of an idempotent producer.
fn batch_of(producer: u64) -> Result<CheckedBatch> {
    let producer =
        Producer { id: ProducerId(producer), epoch: ProducerEpoch(0), base_sequence: Some(Sequence::ZERO) };
    let mut builder = BatchBuilder::new(Codec::None).producer(producer);
    builder.push(Record { timestamp: NOW, key: None, value: Some(b"x"), headers: &[] })?;
    Ok(CheckedBatch::check(builder.build(Offset::ZERO, None)?, &CheckPolicy::client(1 << 20))?)
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

fn create(
    disk: &(impl Disk + Clone + 'static),
    place: &Path,
    count: usize,
    durability: Durability,
) -> Result<(Arc<LogDir>, Vec<Log>)> {
    create_with(disk, place, count, durability, JournalOptions::default())
}

fn create_with(
    disk: &(impl Disk + Clone + 'static),
    place: &Path,
    count: usize,
    durability: Durability,
    journal: JournalOptions,
) -> Result<(Arc<LogDir>, Vec<Log>)> {
    let (dir, _) = LogDir::open_with(Arc::new(disk.clone()), place, options(), journal, NOW)?;
    let config = LogConfig { durability, watermark: Watermark::Own, ..LogConfig::default() };
    let log = |n| dir.create_log(name(n), TopicId::from_random(3, 4), config.clone(), NOW);
    let logs: std::result::Result<Vec<Log>, _> = (0..count).map(log).collect();
    Ok((dir.clone(), logs?))
}

/// A batch of exactly `size` bytes.
fn batch(size: usize) -> Result<CheckedBatch> {
    let build = |len: usize| -> Result<CheckedBatch> {
        let mut builder = BatchBuilder::new(Codec::None);
        builder.push(Record { timestamp: NOW, key: None, value: Some(&vec![b'x'; len]), headers: &[] })?;
        Ok(CheckedBatch::check(builder.build(Offset::ZERO, None)?, &CheckPolicy::client(1 << 30))?)
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

/// The real disk without syncs: only for making what is measured afterwards.
#[derive(Clone, Debug)]
struct Unsynced;

#[derive(Debug)]
struct UnsyncedFile(Arc<dyn DiskFile>);

impl Disk for Unsynced {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(UnsyncedFile(RealDisk.open(path, how)?)))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        RealDisk.list(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_dir(path)
    }

    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        RealDisk.lock(path)
    }

    fn space(&self, path: &Path) -> io::Result<Option<Space>> {
        RealDisk.space(path)
    }
}

impl DiskFile for UnsyncedFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.0.read_at(buffer, position)
    }

    fn write_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        self.0.write_at(slices, position)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn modified_ms(&self) -> io::Result<i64> {
        self.0.modified_ms()
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(())
    }
}
