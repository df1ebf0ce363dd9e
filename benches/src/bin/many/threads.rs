//! Synced appends from several threads at once, which share the journal's groups and have several in flight.

use std::{
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use highwater_benches::machine;
use highwater_engine::{
    CommitJob, Log,
    disk::RealDisk,
    embed::{Logs, Options},
};
use highwater_records::{Durability, LeaderEpoch, batch::CheckedBatch};

use crate::{BATCH_BYTES, GROUP, NOW, Result, batch, create};

/// How long each line is measured.
const SPAN: Duration = Duration::from_secs(2);

/// Threads that append to one log after the other and wait for each append.
pub(crate) fn one_by_one(place: &Path) -> Result<()> {
    println!("| 4 KiB appends, each waited for | acks/s | p50 / p99, ms | CPU-ms each |");
    println!("|---|---|---|---|");
    for (threads, count) in [(1, 1), (4, 64), (16, 64), (64, 256)] {
        let logs = Logs::open_with(place, Options::default())?;
        let all =
            (0..count).map(|n| logs.log(&format!("log-{n}"))).collect::<std::result::Result<Vec<_>, _>>()?;
        let value = vec![7; BATCH_BYTES - 100];
        for log in &all {
            log.append(&value[..])?;
        }
        let (cpu, start) = (machine::cpu_seconds(std::process::id())?, Instant::now());
        let mut took: Vec<Duration> = thread::scope(|scope| {
            let each = |n: usize| {
                let (all, value) = (&all, &value);
                scope.spawn(move || -> std::result::Result<Vec<Duration>, String> {
                    let mut took = Vec::new();
                    for log in all.iter().cycle().skip(n).step_by(threads) {
                        let before = Instant::now();
                        log.append(&value[..]).map_err(|error| error.to_string())?;
                        took.push(before.elapsed());
                        if start.elapsed() > SPAN {
                            break;
                        }
                    }
                    Ok(took)
                })
            };
            let running: Vec<_> = (0..threads).map(each).collect();
            let took: std::result::Result<Vec<_>, String> =
                running.into_iter().map(|thread| thread.join().map_err(|_| "a panic")?).collect();
            took.map(|took| took.concat())
        })?;
        let (elapsed, cpu) = (start.elapsed(), machine::cpu_seconds(std::process::id())? - cpu);
        took.sort();
        let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
        println!(
            "| {threads} threads, {count} logs | {:.0} | {:.2} / {:.2} | {:.3} |",
            took.len() as f64 / elapsed.as_secs_f64(),
            at(0.5),
            at(0.99),
            cpu * 1e3 / took.len() as f64
        );
        drop(all);
        logs.close()?;
        std::fs::remove_dir_all(place)?;
    }
    println!();
    Ok(())
}

/// Threads with logs of their own that commit groups of appends, each to another log; and the same without a sync, in turns.
pub(crate) fn in_groups(place: &Path) -> Result<()> {
    println!("| groups of {GROUP} appends of 4 KiB, 256 logs | acks/s | without a sync | share |");
    println!("|---|---|---|---|");
    let batch = batch(BATCH_BYTES)?;
    for threads in [1, 2, 4] {
        let mut rates = [0.0, 0.0];
        for round in 0..4 {
            for (rate, durability) in rates.iter_mut().zip([Durability::Synced, Durability::Replicated]) {
                let (dir, logs) = create(&RealDisk, place, 256, durability)?;
                let found = rate_of(logs, threads, &batch, durability == Durability::Synced)?;
                // The first round warms up.
                if round > 0 {
                    *rate += found / 3.0;
                }
                drop(dir);
                std::fs::remove_dir_all(place)?;
            }
        }
        let [synced, unsynced] = rates;
        println!("| {threads} threads | {synced:.0} | {unsynced:.0} | {:.2} |", synced / unsynced);
    }
    println!();
    Ok(())
}

/// Appends in a second.
fn rate_of(mut logs: Vec<Log>, threads: usize, batch: &CheckedBatch, synced: bool) -> Result<f64> {
    let appends = AtomicU64::new(0);
    let start = Instant::now();
    let share = logs.len() / threads;
    thread::scope(|scope| {
        let each = |logs: &mut [Log]| group_after_group(logs, batch, synced, start, &appends);
        let running: Vec<_> = logs.chunks_mut(share).map(|logs| scope.spawn(move || each(logs))).collect();
        running.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a panic".to_owned())?)
    })?;
    Ok(appends.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64())
}

fn group_after_group(
    logs: &mut [Log],
    batch: &CheckedBatch,
    synced: bool,
    start: Instant,
    appends: &AtomicU64,
) -> std::result::Result<(), String> {
    let mut from = 0;
    while start.elapsed() < SPAN {
        let to = (from + GROUP).min(logs.len());
        let group = &mut logs[from..to];
        for log in &mut *group {
            log.append(batch.clone(), LeaderEpoch(0), NOW).map_err(|error| error.to_string())?;
        }
        if synced {
            let jobs: Vec<CommitJob> = group.iter_mut().filter_map(Log::begin_commit).collect();
            for (log, done) in group.iter_mut().zip(CommitJob::run_all(jobs)) {
                log.finish_commit(done).map_err(|error| error.to_string())?;
            }
        }
        appends.fetch_add((to - from) as u64, Ordering::Relaxed);
        from = to % logs.len();
    }
    Ok(())
}
