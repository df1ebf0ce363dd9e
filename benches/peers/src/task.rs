//! What each side is asked to do, and what that took.

use std::{
    fmt,
    path::Path,
    str::FromStr,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};

use crate::{
    Result,
    side::{self, Side},
};

pub(crate) struct Task {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// What [`Took::rate`] is, and what [`Took::cpu`].
    pub(crate) rate: &'static str,
    pub(crate) cpu: &'static str,
    /// Whether more of the rate is better.
    more: bool,
}

const fn rate(name: &'static str, title: &'static str) -> Task {
    Task { name, title, rate: "MiB/s", cpu: "s/GiB", more: true }
}

const fn wait(name: &'static str, title: &'static str, rate: &'static str, cpu: &'static str) -> Task {
    Task { name, title, rate, cpu, more: false }
}

pub(crate) const TASKS: [Task; 9] = [
    rate("append-64k", "Append records of 64 KiB, page cache, 128 MiB"),
    rate("append-1k", "Append records of 1 KiB, one at a time, page cache, 64 MiB"),
    rate("append-64x1k", "Append records of 1 KiB, 64 together, page cache, 128 MiB"),
    wait("sync-1", "Append 4 KiB, durable on return, one writer, 300 times", "median ms", "ms each"),
    Task {
        name: "sync-64",
        title: "Append 4 KiB, durable on return, to 64 logs by 16 threads, 60 times each",
        rate: "acks/s",
        cpu: "ms each",
        more: true,
    },
    rate("read-64k", "Read records of 64 KiB from the page cache, 128 MiB"),
    rate("read-1k", "Read records of 1 KiB, written 64 together, from the page cache, 32 MiB"),
    wait(
        "open-closed",
        "Open a log of 256 MiB of 1 KiB records and read its first, after a clean end",
        "ms",
        "ms",
    ),
    wait("open-killed", "The same after the process was killed without a sync", "ms", "ms"),
];

/// Why a side is left out of a task, if it is.
pub(crate) fn left_out(task: &str, side: &str) -> Option<&'static str> {
    match (task, side) {
        ("sync-1" | "sync-64", "commitlog") => {
            Some("left out: its `flush` syncs the index, never the records")
        }
        _ => None,
    }
}

/// The processes that a task takes one after the other; the last one is measured.
pub(crate) fn steps(task: &str) -> Vec<&str> {
    match task {
        "open-closed" => vec!["fill-close", task],
        "open-killed" => vec!["fill", task],
        _ => vec![task],
    }
}

/// A rate, or a time, and the CPU time that it needed; in the units of the task.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Took {
    rate: f64,
    cpu: f64,
}

impl Took {
    pub(crate) fn median(turns: Vec<Took>) -> Took {
        let middle = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
        };
        Took {
            rate: middle(turns.iter().map(|took| took.rate).collect()),
            cpu: middle(turns.iter().map(|took| took.cpu).collect()),
        }
    }

    /// As a row of a table; the ratios are how many times better (rate) and dearer (CPU) than `ours` it is.
    pub(crate) fn row(&self, task: &Task, ours: &Took) -> String {
        let better = if task.more { self.rate / ours.rate } else { ours.rate / self.rate };
        let digits = if self.rate < 100.0 { 3 } else { 0 };
        format!("{:.digits$} | {:.3} | {better:.2} | {:.2}", self.rate, self.cpu, self.cpu / ours.cpu)
    }
}

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.rate, self.cpu)
    }
}

impl FromStr for Took {
    type Err = Box<dyn std::error::Error + Send + Sync>;

    fn from_str(text: &str) -> Result<Took> {
        let (rate, cpu) = text.split_once(' ').ok_or_else(|| format!("no figures: {text}"))?;
        Ok(Took { rate: rate.parse()?, cpu: cpu.parse()? })
    }
}

const MIB: usize = 1 << 20;
const SYNCED: usize = 300;
const LOGS: usize = 64;
const THREADS: usize = 16;
const SYNCED_EACH: usize = 60;

pub(crate) fn run(task: &str, side: &str, place: &Path) -> Result<Took> {
    let open = |logs, synced| side::open(side, place, logs, synced);
    match task {
        "append-64k" => append(&*open(1, false)?, 64 << 10, 1, 128 * MIB),
        "append-1k" => append(&*open(1, false)?, 1 << 10, 1, 64 * MIB),
        "append-64x1k" => append(&*open(1, false)?, 1 << 10, 64, 128 * MIB),
        "sync-1" => one_writer(&*open(1, true)?),
        "sync-64" => many_writers(&*open(LOGS, true)?),
        "read-64k" => read(&*open(1, false)?, 64 << 10, 1, 128 * MIB),
        "read-1k" => read(&*open(1, false)?, 1 << 10, 64, 32 * MIB),
        "fill" => append(&*open(1, false)?, 1 << 10, 64, 256 * MIB),
        "fill-close" => {
            let side = open(1, false)?;
            let took = append(&*side, 1 << 10, 64, 256 * MIB)?;
            side.close()?;
            Ok(took)
        }
        "open-closed" | "open-killed" => {
            let (elapsed, cpu) = measure(|| {
                let (records, _) = open(1, false)?.read(0, false)?;
                if records == 0 { Err("the log is empty".into()) } else { Ok(()) }
            })?;
            Ok(Took { rate: elapsed.as_secs_f64() * 1e3, cpu: cpu * 1e3 })
        }
        _ => Err(format!("there is no task {task}").into()),
    }
}

/// Elapsed time, and CPU seconds of the whole process.
fn measure(work: impl FnOnce() -> Result<()>) -> Result<(Duration, f64)> {
    let cpu = || {
        let now = clock_gettime(ClockId::ProcessCPUTime);
        now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
    };
    let (start, before) = (Instant::now(), cpu());
    work()?;
    Ok((start.elapsed(), cpu() - before))
}

fn per_byte(bytes: usize, (elapsed, cpu): (Duration, f64)) -> Took {
    Took {
        rate: bytes as f64 / MIB as f64 / elapsed.as_secs_f64(),
        cpu: cpu / (bytes as f64 / f64::from(1 << 30)),
    }
}

fn append(side: &dyn Side, size: usize, together: usize, bytes: usize) -> Result<Took> {
    let record = record(size);
    let records = vec![&record[..]; together];
    let took = measure(|| {
        for _ in 0..bytes / size / together {
            side.append(0, &records)?;
        }
        Ok(())
    })?;
    Ok(per_byte(bytes, took))
}

fn read(side: &dyn Side, size: usize, together: usize, bytes: usize) -> Result<Took> {
    append(side, size, together, bytes)?;
    let took = measure(|| {
        let (_, read) = side.read(0, true)?;
        if read == bytes { Ok(()) } else { Err(format!("{read} of {bytes} bytes").into()) }
    })?;
    Ok(per_byte(bytes, took))
}

fn one_writer(side: &dyn Side) -> Result<Took> {
    let record = record(4 << 10);
    let mut each = Vec::new();
    let (_, cpu) = measure(|| {
        for _ in 0..SYNCED {
            let start = Instant::now();
            side.append(0, &[&record])?;
            each.push(start.elapsed());
        }
        Ok(())
    })?;
    each.sort();
    Ok(Took { rate: each[SYNCED / 2].as_secs_f64() * 1e3, cpu: cpu * 1e3 / SYNCED as f64 })
}

/// Each thread has logs of its own and goes round in them.
fn many_writers(side: &dyn Side) -> Result<Took> {
    let record = &record(4 << 10)[..];
    let count = LOGS * SYNCED_EACH;
    let (elapsed, cpu) = measure(|| {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|thread| {
                    scope.spawn(move || {
                        for n in 0..count / THREADS {
                            let own = LOGS / THREADS;
                            side.append(thread * own + n % own, &[record])?;
                        }
                        Ok(())
                    })
                })
                .collect();
            threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a thread died")?)
        })
    })?;
    Ok(Took { rate: count as f64 / elapsed.as_secs_f64(), cpu: cpu * 1e3 / count as f64 })
}

/// Bytes that look random, the same in every process.
fn record(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..size).map(|_| next()).collect()
}
