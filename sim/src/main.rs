//! Runs seeds. `--seed N` replays one and prints what happened; `--seeds A..B` runs many and counts; `--forever` goes on
//! until somebody stops it.

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use highwater_env::{Env as _, TokioEnv};
use highwater_sim::{
    campaign::{Kind, Sum, run_all},
    cluster::shrink::{Without, shrink},
    simulation::Options,
    stats::Table,
};
use parking_lot::Mutex;
use tokio::runtime;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "\
usage: highwater-sim [KIND] --seed N [--without A,B..] [--lines N]   replay one seed, print the end of its transcript
       highwater-sim [KIND] --seeds A..B [--all-marks]               run the seeds from A to B (exclusive), on all
                                                                     cores, until one fails; make that one smaller
       highwater-sim [KIND] --forever [A]                            run seeds from A on, on all cores, until one fails
                                                                     or the program is interrupted; without A, seeds
                                                                     that nobody has run; without KIND, all kinds in turn
       highwater-sim [KIND] --hash N                                 print the trace's hash of a seed, nothing else

A seed is one broker; with --cluster it is a cluster of brokers, with --beyond one in which more breaks than can be
survived: records may be lost then, and every loss must be reported; with --coordinator one broker with groups and
transactions.
--all-marks fails if something rare was never seen that such seeds must have seen.
--without leaves something out of a cluster's plan: a kind of fault (power-cut), or one of passing, topics, partitions,
bucket, plain, idempotent, readers.";

/// Lines of a transcript that are printed unless told otherwise.
const LINES: usize = 400;

/// How often a campaign without an end says how far it is.
const SAYS_EVERY: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    done(&arguments).unwrap_or_else(|| {
        eprintln!("{USAGE}");
        ExitCode::from(2)
    })
}

fn done(arguments: &[&str]) -> Option<ExitCode> {
    let (named, arguments) = match arguments {
        ["--cluster", rest @ ..] => (Some(Kind::Cluster), rest),
        ["--beyond", rest @ ..] => (Some(Kind::Beyond), rest),
        ["--coordinator", rest @ ..] => (Some(Kind::Coordinator), rest),
        rest => (None, rest),
    };
    let kind = named.unwrap_or(Kind::Node);
    match arguments {
        ["--hash", seed] => {
            println!("{:016x}", kind.run(seed.parse().ok()?, &[], Options::default()).hash);
            Some(ExitCode::SUCCESS)
        }
        ["--seeds", seeds, options @ ..] => {
            let (from, to) = seeds.split_once("..")?;
            let all_marks = match options {
                [] => false,
                ["--all-marks"] => true,
                _ => return None,
            };
            Some(many(kind, from.parse().ok()?, to.parse().ok()?, all_marks))
        }
        ["--forever"] => forever(named, unused_seed()?),
        ["--forever", from] => forever(named, from.parse().ok()?),
        ["--seed", seed, options @ ..] => {
            let (mut without, mut lines) = (Vec::new(), LINES);
            for option in options.chunks(2) {
                match option {
                    ["--lines", number] => lines = number.parse().ok()?,
                    ["--without", words] if matches!(kind, Kind::Cluster | Kind::Beyond) => {
                        without = words.split(',').map(|word| word.parse().ok()).collect::<Option<_>>()?;
                    }
                    _ => return None,
                }
            }
            Some(replay(kind, seed.parse().ok()?, &without, lines))
        }
        _ => None,
    }
}

fn replay(kind: Kind, seed: u64, without: &[Without], lines: usize) -> ExitCode {
    let outcome = kind.run(seed, without, Options { lines });
    for line in &outcome.transcript {
        println!("{line}");
    }
    println!(
        "seed {seed}: {:.1?} simulated, {} steps, trace {:016x}",
        outcome.simulated, outcome.steps, outcome.hash
    );
    print!("{}", Table(&outcome.counts));
    let Some(violation) = &outcome.violation else { return ExitCode::SUCCESS };
    println!("seed {seed} FAILED: {violation}");
    let words: Vec<String> = without.iter().map(ToString::to_string).collect();
    let left_out = if words.is_empty() { String::new() } else { format!(" --without {}", words.join(",")) };
    println!("replay: cargo run -p highwater-sim --release -- {}--seed {seed}{left_out}", kind.flag());
    ExitCode::FAILURE
}

/// Seconds for which this process has run on any core, in user mode and in the kernel's. `None` where the system does
/// not say.
fn processor_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // Behind the name, which may hold anything: the 12th and 13th field, in hundredths of a second.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some((ticks(11)? + ticks(12)?) as f64 / 100.0)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn many(kind: Kind, from: u64, to: u64, all_marks: bool) -> ExitCode {
    let began = Instant::now();
    let nth = |nth: u64| from.checked_add(nth).filter(|seed| *seed < to).map(|seed| (kind, seed));
    let sum = Mutex::default();
    run_all(cores(), &nth, &AtomicBool::new(false), &sum);
    let sum = sum.into_inner();
    let never_seen = sum.never_seen();
    let ended = report(sum, began);
    let wanted = all_marks && !never_seen.is_empty();
    for (_, mark) in never_seen.iter().filter(|_| all_marks || kind == Kind::Cluster) {
        println!("never seen: {mark}");
    }
    if wanted && ended == ExitCode::SUCCESS {
        println!("FAILED: {} marks were never seen", never_seen.len());
        return ExitCode::FAILURE;
    }
    ended
}

/// Runs seeds until one fails or somebody interrupts it. Without a kind each seed is run as every kind.
fn forever(kind: Option<Kind>, from: u64) -> Option<ExitCode> {
    let began = Instant::now();
    println!("seeds from {from} on");
    let kinds = kind.map_or(Kind::ALL.to_vec(), |kind| vec![kind]);
    let nth = move |nth: u64| {
        let (turn, seed) = (nth % kinds.len() as u64, nth / kinds.len() as u64);
        Some((kinds[turn as usize], from.checked_add(seed)?))
    };
    let (stop, sum) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Sum::default())));
    let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().ok()?;
    let (asked, so_far) = (stop.clone(), sum.clone());
    runtime.spawn(async move {
        let interrupted = tokio::signal::ctrl_c();
        let mut interrupted = std::pin::pin!(interrupted);
        while tokio::time::timeout(SAYS_EVERY, interrupted.as_mut()).await.is_err() {
            let (sum, seconds) = (so_far.lock(), began.elapsed().as_secs_f64());
            println!("{:.0} min: {} seeds, {}", seconds / 60.0, sum.runs, sum.rate(seconds));
        }
        // Those that run come to their end.
        asked.store(true, Ordering::Relaxed);
    });
    run_all(cores(), &nth, &stop, &sum);
    runtime.shutdown_background();
    let sum = std::mem::take(&mut *sum.lock());
    Some(report(sum, began))
}

/// A seed from which on nobody has run any: the time in milliseconds, more of which pass than seeds are run.
fn unused_seed() -> Option<u64> {
    TokioEnv::start().ok()?.wall_ms().try_into().ok()
}

/// Prints what came of many seeds, and the smallest run that fails as the first one of them does.
fn report(sum: Sum, began: Instant) -> ExitCode {
    let took = began.elapsed().as_secs_f64();
    let used = processor_seconds();
    println!("{} seeds in {took:.1} s on {} cores: {}", sum.runs, cores(), sum.rate(took));
    if let Some(used) = used {
        // Other programs on the same cores do not change this as much.
        println!(
            "{used:.1} s of processor time: {:.1} simulated hours per minute of one core, {:.0} steps/s",
            sum.simulated / 60.0 / used,
            sum.steps as f64 / used
        );
    }
    print!("{sum}");
    let Some((kind, failed)) = sum.failed else { return ExitCode::SUCCESS };
    let seed = failed.seed;
    let without = match kind {
        Kind::Node | Kind::Coordinator => Vec::new(),
        Kind::Cluster | Kind::Beyond => shrink(failed, &kind.plan(seed, &[])).0,
    };
    replay(kind, seed, &without, LINES)
}
