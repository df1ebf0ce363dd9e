//! What threads share, under schedules that `shuttle` chooses: at random, and few switches at the worst moments. A
//! wake-up that is lost ends with everybody waiting, which it notices; the rest the threads assert.
//!
//! `cargo test --manifest-path tests/schedules/Cargo.toml --lib schedules`: nothing else runs with these locks.
//! `HIGHWATER_SCHEDULES` is how many of each kind, `HIGHWATER_SEED` where they begin.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use highwater_records::{
    Offset, TimestampMs,
    batch::{BatchView, split},
};
use shuttle::{
    Config, Runner, future,
    scheduler::{PctScheduler, RandomScheduler},
    thread,
};

use crate::{
    CompactError, Compaction, Log, LogConfig, LogReader, ReadError, StartReason,
    disk::{
        Host,
        memory::{Loss, MemoryDisk},
    },
    embed::{Batches, Logs, Options, SharedLog},
    sync::Mutex,
    testing::*,
};

/// Switches that a schedule of the second kind has.
const SWITCHES: usize = 3;

#[expect(clippy::disallowed_methods, reason = "how long a test runs is no configuration")]
fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn schedules() -> usize {
    from_environment("HIGHWATER_SCHEDULES", 50) as usize
}

fn explore(scenario: fn(), count: usize) {
    let seed = from_environment("HIGHWATER_SEED", 1);
    let config = || {
        let mut config = Config::new();
        // What a test needs without optimization.
        config.stack_size = 1 << 20;
        config
    };
    let worst = Runner::new(PctScheduler::new_from_seed(seed, SWITCHES, count), config()).run(scenario);
    let random = Runner::new(RandomScheduler::new_from_seed(seed, count), config()).run(scenario);
    println!("{random} schedules at random, {worst} with {SWITCHES} switches, from seed {seed}");
}

/// Always the same moment; never the same number twice.
#[derive(Debug)]
struct Still(AtomicU64);

impl Host for Still {
    fn now(&self) -> TimestampMs {
        NOW
    }

    fn random(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// `first` sets the identities apart from those of another life.
fn open(disk: &MemoryDisk, first: u64) -> Logs {
    let config = LogConfig { segment_bytes: 2000, index_interval_bytes: 200, ..Options::default().config };
    let options = Options {
        config,
        disk: Arc::new(disk.clone()),
        host: Arc::new(Still(AtomicU64::new(first))),
        ..Options::default()
    };
    Logs::open_with(Path::new("/data"), options).unwrap()
}

/// What was acknowledged, or seen by a reader, is there after a power cut at this moment.
fn survives(disk: &MemoryDisk, log: &str, offset: Offset, value: &str) {
    let after = disk.fork();
    after.crash_with(Loss::Everything);
    let record = open(&after, 1000).log(log).unwrap().get(offset).unwrap();
    let record = record.unwrap_or_else(|| panic!("{log} lost offset {offset}"));
    assert_eq!(record.text(), Some(value), "offset {offset} of {log}");
}

/// Records are written, and threads wait for the commit that one of them does for all.
fn waiters() {
    let disk = MemoryDisk::new();
    let logs = open(&disk, 1);
    let log = logs.log("log").unwrap();
    let tickets: Vec<_> = (0..3).map(|n| log.write(&n.to_string()).unwrap()).collect();
    let threads: Vec<_> =
        tickets.into_iter().map(|ticket| thread::spawn(move || ticket.wait().unwrap().get())).collect();
    let offsets: Vec<u64> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(offsets, [0, 1, 2]);
    (0..3).for_each(|n| survives(&disk, "log", offset(n), &n.to_string()));
    logs.close().unwrap();
}

/// Threads append to two logs, sharing the journal's groups; one follows.
fn commits() {
    let disk = MemoryDisk::new();
    let logs = open(&disk, 1);
    let (a, b) = (logs.log("a").unwrap(), logs.log("b").unwrap());
    let writer = |name: &'static str, log: &SharedLog, n: usize| {
        let (disk, log) = (disk.clone(), log.clone());
        thread::spawn(move || {
            for round in 0..2 {
                let value = format!("{n} {round}");
                let offset = log.append(&value).unwrap();
                survives(&disk, name, offset, &value);
            }
        })
    };
    let mut threads = vec![writer("a", &a, 1), writer("a", &a, 2), writer("b", &b, 3)];
    let (tail, disk) = (a.tail(Offset::ZERO), disk.clone());
    threads.push(thread::spawn(move || {
        for (expected, record) in tail.take(4).enumerate() {
            let record = record.unwrap();
            assert_eq!(record.offset, offset(expected as u64));
            survives(&disk, "a", record.offset, record.text().unwrap());
        }
    }));
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    logs.close().unwrap();
}

/// Threads append to a log each, so that several groups are in flight, and land in any order; one settles meanwhile, for
/// which nothing may be in flight.
fn leaders() {
    let disk = MemoryDisk::new();
    let logs = Arc::new(open(&disk, 1));
    // The first group of an extent is written alone.
    logs.log("a").unwrap().append("first").unwrap();
    let mut threads: Vec<_> = ["a", "b", "c"]
        .into_iter()
        .map(|name| {
            let (disk, log) = (disk.clone(), logs.log(name).unwrap());
            thread::spawn(move || {
                for round in 0..2 {
                    let value = format!("{name} {round}");
                    let offset = log.append(&value).unwrap();
                    survives(&disk, name, offset, &value);
                }
            })
        })
        .collect();
    let upkeep = logs.clone();
    threads.push(thread::spawn(move || {
        upkeep.maintain().unwrap();
    }));
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    logs.close().unwrap();
}

/// Tasks wait for tickets and for records; one thread commits for them; closing ends who waits.
fn tasks() {
    let disk = MemoryDisk::new();
    let logs = Arc::new(open(&disk, 1));
    let log = logs.log("log").unwrap();
    let committer = {
        let logs = logs.clone();
        thread::spawn(move || logs.run_commits())
    };
    let tasks: Vec<_> = (0..2)
        .map(|n| {
            let (disk, log) = (disk.clone(), log.clone());
            thread::spawn(move || {
                future::block_on(async move {
                    let value = n.to_string();
                    let offset = log.write(&value).unwrap().await.unwrap();
                    survives(&disk, "log", offset, &value);
                });
            })
        })
        .collect();
    let mut tail = log.tail(Offset::ZERO);
    let follower = thread::spawn(move || {
        future::block_on(async move {
            let mut seen = 0;
            while let Some(record) = tail.recv().await {
                assert_eq!(record.unwrap().offset, offset(seen));
                seen += 1;
            }
            seen
        })
    });
    tasks.into_iter().for_each(|task| task.join().unwrap());
    logs.close().unwrap();
    committer.join().unwrap();
    assert_eq!(follower.join().unwrap(), 2, "records until the log was closed");
}

/// A log and what it has: (base offset, checksum) of each batch.
struct Known {
    log: Log,
    batches: Vec<(u64, u32)>,
}

impl Known {
    fn append(&mut self, seed: u64) {
        let batch = batch(seed, &[NOW.0, NOW.0]);
        let crc = batch.view().stored_crc();
        let appended = self.log.append(batch, EPOCH, NOW).unwrap();
        self.batches.push((appended.base_offset.get(), crc));
    }
}

fn read(reader: &LogReader, mut next: Offset) -> Result<Vec<(u64, u32)>, ReadError> {
    let mut found = Vec::new();
    loop {
        let range = reader.read(next, 300, Offset::MAX, true)?;
        if range.is_empty() {
            return Ok(found);
        }
        for piece in split(range.bytes().map_err(ReadError::from)?) {
            let piece = piece.unwrap();
            let view = BatchView::parse(&piece).unwrap();
            view.verify_crc().expect("no byte of it changed");
            found.push((view.base_offset().get(), view.stored_crc()));
        }
        next = range.next_offset();
    }
}

/// Two readers read what they took while `change` goes on: all of it as it was then, or they are told.
fn pictures(change: fn(&Mutex<Known>)) {
    let disk = MemoryDisk::new();
    let (_dir, log) = create(&disk, small());
    let mut known = Known { log, batches: Vec::new() };
    (0..6).for_each(|seed| known.append(seed * 10));
    known.log.commit().unwrap();
    let known = Arc::new(Mutex::new(known));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let known = known.clone();
            thread::spawn(move || {
                for _ in 0..2 {
                    let (reader, mut expected) = {
                        let known = known.lock();
                        (known.log.reader(), known.batches.clone())
                    };
                    let start = reader.positions().log_start;
                    expected.retain(|(base, _)| offset(*base) >= start);
                    match read(&reader, start) {
                        Ok(found) => assert_eq!(found, expected),
                        Err(ReadError::Changed) => {}
                        // The same, from the bytes.
                        Err(ReadError::Disk(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(other) => panic!("{other}"),
                    }
                }
            })
        })
        .collect();
    change(&known);
    readers.into_iter().for_each(|reader| reader.join().unwrap());
}

/// The tail is cut off and written anew, with other records.
fn truncations() {
    pictures(|known| {
        for round in 0..2 {
            let mut known = known.lock();
            known.log.truncate_to(offset(4), NOW).unwrap();
            known.batches.retain(|(base, _)| *base < 4);
            (0..4).for_each(|seed| known.append(seed * 10 + round + 1));
            known.log.commit().unwrap();
        }
    });
}

/// Segments are deleted at the start while more is appended.
fn deletions() {
    pictures(|known| {
        for start in [4, 8] {
            let job = {
                let mut known = known.lock();
                known.append(start);
                known.log.roll(NOW).unwrap();
                let end = known.log.positions().log_end;
                known.log.set_high_watermark(end);
                known.log.begin_advance(offset(start), StartReason::RecordsDeleted).unwrap().unwrap()
            };
            let done = job.run();
            let mut known = known.lock();
            known.log.finish_head(done).unwrap();
            known.log.retain(NOW).unwrap();
        }
    });
}

/// Records of these texts in a log.
fn has_record(log: &SharedLog, text: &str) -> bool {
    let end = log.snapshot().unwrap().end();
    let read = |at| log.get(offset(at)).unwrap();
    (0..end.get()).any(|at| read(at).is_some_and(|record| record.text() == Some(text)))
}

/// Threads and a task append to two logs at once, somebody to one of them, somebody follows: whoever sees an append in
/// one log finds it in the other, and each survives as a whole.
fn together() {
    let disk = MemoryDisk::new();
    let logs = Arc::new(open(&disk, 1));
    let (a, b) = (logs.log("a").unwrap(), logs.log("b").unwrap());
    let committer = {
        let logs = logs.clone();
        thread::spawn(move || logs.run_commits())
    };
    let writer = |n: usize| {
        let (disk, a, b) = (disk.clone(), a.clone(), b.clone());
        thread::spawn(move || {
            let value = format!("both {n}");
            let mut batches = Batches::new();
            // Not everybody names them in the same order.
            let order = if n == 0 { [&a, &b] } else { [&b, &a] };
            for log in order {
                batches.append(log, &value).unwrap();
            }
            let offsets =
                if n == 2 { future::block_on(batches.write()).unwrap() } else { batches.commit().unwrap() };
            for (log, offset) in order.iter().zip(offsets) {
                survives(&disk, log.name(), offset, &value);
            }
        })
    };
    let mut threads = vec![writer(0), writer(1), writer(2)];
    let alone = a.clone();
    threads.push(thread::spawn(move || {
        alone.append("alone").unwrap();
    }));
    let tail = a.tail(Offset::ZERO);
    threads.push(thread::spawn(move || {
        for record in tail.take(4) {
            let record = record.unwrap();
            let text = record.text().unwrap();
            assert!(text == "alone" || has_record(&b, text), "{text:?} is in one log only");
        }
    }));
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    logs.close().unwrap();
    committer.join().unwrap();
}

/// Whoever sees of an atomic append what is in one log finds it in the other one. With fewer threads than above, so that
/// a switch just between the two comes up more often.
fn shown() {
    let disk = MemoryDisk::new();
    let logs = open(&disk, 1);
    let (a, b) = (logs.log("a").unwrap(), logs.log("b").unwrap());
    let mut tail = a.tail(Offset::ZERO);
    let writer = {
        let b = b.clone();
        thread::spawn(move || {
            let mut batches = Batches::new();
            batches.append(&a, "both").unwrap().append(&b, "both").unwrap();
            batches.commit().unwrap();
        })
    };
    let record = tail.next().unwrap().unwrap();
    assert!(has_record(&b, record.text().unwrap()), "it is in one log only");
    writer.join().unwrap();
    logs.close().unwrap();
}

/// A pass of compaction replaces files while the tail is cut and written anew and somebody reads; what comes back after a
/// power cut is what was there.
fn compactions() {
    let disk = MemoryDisk::new();
    let compaction =
        Compaction { min_lag_ms: 0, max_lag_ms: None, min_dirty_millionths: 0, delete_retention_ms: 1000 };
    // Each of the three segments is compacted for itself.
    let config = LogConfig { compaction: Some(compaction), segment_bytes: 200, ..small() };
    let (dir, mut log) = create(&disk, config.clone());
    for n in 0..6 {
        log.append(keyed(n as u8 % 2, 7, n), EPOCH, NOW).unwrap();
        if n % 2 == 1 {
            log.roll(NOW).unwrap();
        }
    }
    let end = log.positions().log_end;
    log.set_high_watermark(end);
    log.commit().unwrap();
    dir.write_checkpoints().unwrap();
    let log = Arc::new(Mutex::new(log));
    let compactor = {
        let log = log.clone();
        thread::spawn(move || {
            let Some(mut pass) = log.lock().begin_compaction(1 << 20, NOW) else { return };
            loop {
                let group = match pass.next_group(|| true) {
                    Ok(Some(group)) => group,
                    Ok(None) => break,
                    // A segment went away meanwhile.
                    Err(CompactError::Changed | CompactError::Disk(_)) => return,
                    Err(other) => panic!("{other}"),
                };
                let swap = log.lock().swap_compacted(group);
                // The disk in memory lets nobody else come in between.
                thread::yield_now();
                match swap {
                    Ok(job) => job.run().unwrap(),
                    Err(CompactError::Changed) => return,
                    Err(other) => panic!("{other}"),
                }
            }
            let _ = log.lock().finish_compaction(pass);
        })
    };
    let reader = {
        let log = log.clone();
        thread::spawn(move || {
            for _ in 0..2 {
                let reader = log.lock().reader();
                match read(&reader, reader.positions().log_start) {
                    Ok(found) => assert!(!found.is_empty()),
                    Err(ReadError::Changed) => {}
                    Err(ReadError::Disk(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(other) => panic!("{other}"),
                }
            }
        })
    };
    {
        let mut log = log.lock();
        log.truncate_to(offset(2), NOW).unwrap();
        log.append(keyed(3, 8, 0), EPOCH, NOW).unwrap();
        log.commit().unwrap();
    }
    compactor.join().unwrap();
    reader.join().unwrap();
    let expected = {
        let log = log.lock();
        read(&log.reader(), log.positions().log_start).unwrap()
    };
    drop((Arc::into_inner(log), dir));
    disk.crash_with(Loss::Everything);
    let (_dir, log, report) = reopen(&disk, config);
    assert!(report.quarantined.is_empty() && report.cut.is_empty(), "{report:?}");
    assert_eq!(read(&log.reader(), log.positions().log_start).unwrap(), expected);
}

const SCENARIOS: [(&str, fn()); 9] = [
    ("waiters", waiters),
    ("commits", commits),
    ("leaders", leaders),
    ("tasks", tasks),
    ("truncations", truncations),
    ("deletions", deletions),
    ("together", together),
    ("shown", shown),
    ("compactions", compactions),
];

#[test]
fn nothing_depends_on_who_runs_when() {
    for (name, scenario) in SCENARIOS {
        print!("{name}: ");
        explore(scenario, schedules());
    }
}

#[cfg(feature = "museum")]
#[test]
fn what_depends_on_it_is_caught() {
    use crate::museum::{Bug, build_in};

    for (bug, scenario) in [
        (Bug::WakeUpLost, waiters as fn()),
        (Bug::GroupInFlightBelieved, commits),
        (Bug::TruncationUnseen, truncations),
        (Bug::ShownApart, shown),
        (Bug::GateIgnored, compactions),
    ] {
        build_in(Some(bug));
        let outcome = std::panic::catch_unwind(|| explore(scenario, 10_000));
        build_in(None);
        assert!(outcome.is_err(), "{bug:?} escaped");
        println!("{bug:?}: caught");
    }
}
