//! Runs seeds. `--seed N` replays one and prints what happened; `--seeds A..B` runs many and counts.

use std::{
    collections::BTreeMap,
    process::ExitCode,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Instant,
};

use highwater_sim::{
    cluster::{
        ClusterPlan,
        marks::MARKS,
        run_plan,
        shrink::{Without, shrink},
    },
    coordinator::run_coordinator,
    real::RealNode,
    simulation::{Options, Outcome, run},
    stats::Table,
};

const USAGE: &str = "\
usage: highwater-sim [KIND] --seed N [--without A,B..] [--lines N]   replay one seed, print the end of its transcript
       highwater-sim [KIND] --seeds A..B                             run the seeds from A to B (exclusive), on all
                                                                     cores, until one fails; make that one smaller
       highwater-sim [KIND] --hash N                                 print the trace's hash of a seed, nothing else

A seed is one broker; with --cluster it is a cluster of brokers, with --beyond one in which more breaks than can be
survived: records may be lost then, and every loss must be reported; with --coordinator one broker with groups and
transactions.
--without leaves something out of a cluster's plan: a kind of fault (power-cut), or one of passing, topics, partitions,
bucket, plain, idempotent, readers.";

/// What a seed is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Node,
    Cluster,
    Beyond,
    Coordinator,
}

impl Kind {
    fn run(self, seed: u64, without: &[Without], options: Options) -> Outcome {
        match self {
            Kind::Node => run(seed, &RealNode, options),
            Kind::Coordinator => run_coordinator(seed, options),
            Kind::Cluster | Kind::Beyond => run_plan(seed, self.plan(seed, without), options),
        }
    }

    fn plan(self, seed: u64, without: &[Without]) -> ClusterPlan {
        let mut plan = match self {
            Kind::Beyond => ClusterPlan::draw_beyond(seed),
            Kind::Node | Kind::Coordinator | Kind::Cluster => ClusterPlan::draw(seed),
        };
        for one in without {
            one.take_from(&mut plan);
        }
        plan
    }

    fn flag(self) -> &'static str {
        match self {
            Kind::Node => "",
            Kind::Cluster => "--cluster ",
            Kind::Beyond => "--beyond ",
            Kind::Coordinator => "--coordinator ",
        }
    }
}

/// Lines of a transcript that are printed unless told otherwise.
const LINES: usize = 400;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    done(&arguments).unwrap_or_else(|| {
        eprintln!("{USAGE}");
        ExitCode::from(2)
    })
}

fn done(arguments: &[&str]) -> Option<ExitCode> {
    let (kind, arguments) = match arguments {
        ["--cluster", rest @ ..] => (Kind::Cluster, rest),
        ["--beyond", rest @ ..] => (Kind::Beyond, rest),
        ["--coordinator", rest @ ..] => (Kind::Coordinator, rest),
        rest => (Kind::Node, rest),
    };
    match arguments {
        ["--hash", seed] => {
            println!("{:016x}", kind.run(seed.parse().ok()?, &[], Options::default()).hash);
            Some(ExitCode::SUCCESS)
        }
        ["--seeds", seeds] => {
            let (from, to) = seeds.split_once("..")?;
            Some(many(kind, from.parse().ok()?, to.parse().ok()?))
        }
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

/// What many seeds add up to.
#[derive(Default)]
struct Sum {
    simulated: f64,
    steps: u64,
    runs: u64,
    counts: BTreeMap<&'static str, u64>,
    failed: Option<Outcome>,
}

impl Sum {
    fn add(&mut self, outcome: Outcome) {
        self.simulated += outcome.simulated.as_secs_f64();
        self.steps += outcome.steps;
        self.runs += 1;
        for (name, count) in &outcome.counts {
            *self.counts.entry(*name).or_default() += count;
        }
        let earlier = self.failed.as_ref().is_none_or(|known| outcome.seed < known.seed);
        if outcome.violation.is_some() && earlier {
            self.failed = Some(outcome);
        }
    }

    fn and(mut self, other: Sum) -> Sum {
        self.simulated += other.simulated;
        self.steps += other.steps;
        self.runs += other.runs;
        for (name, count) in other.counts {
            *self.counts.entry(name).or_default() += count;
        }
        let seed = |failed: &Option<Outcome>| failed.as_ref().map_or(u64::MAX, |failed| failed.seed);
        if seed(&other.failed) < seed(&self.failed) {
            self.failed = other.failed;
        }
        self
    }
}

fn many(kind: Kind, from: u64, to: u64) -> ExitCode {
    let began = Instant::now();
    let (next, failed) = (AtomicU64::new(from), AtomicBool::new(false));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    // Seeds share nothing: each core takes the next one.
    let one_core = || {
        let mut sum = Sum::default();
        while !failed.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= to {
                break;
            }
            let outcome = kind.run(seed, &[], Options::default());
            failed.fetch_or(outcome.violation.is_some(), Ordering::Relaxed);
            sum.add(outcome);
        }
        sum
    };
    let sum = std::thread::scope(|scope| {
        let others: Vec<_> = (1..cores).map(|_| scope.spawn(one_core)).collect();
        let mine = one_core();
        // A panic inside a run is an outcome; one of the harness ends the program.
        others.into_iter().fold(mine, |sum, other| match other.join() {
            Ok(more) => sum.and(more),
            Err(panic) => std::panic::resume_unwind(panic),
        })
    });
    let took = began.elapsed().as_secs_f64();
    let used = processor_seconds();
    println!(
        "{} seeds in {took:.1} s on {cores} cores: {:.2} simulated hours ({:.1} per minute), {:.0} steps/s",
        sum.runs,
        sum.simulated / 3600.0,
        sum.simulated / 60.0 / took,
        sum.steps as f64 / took
    );
    if let Some(used) = used {
        // Other programs on the same cores do not change this as much.
        println!(
            "{used:.1} s of processor time: {:.1} simulated hours per minute of one core, {:.0} steps/s",
            sum.simulated / 60.0 / used,
            sum.steps as f64 / used
        );
    }
    print!("{}", Table(&sum.counts));
    if kind == Kind::Cluster {
        for mark in MARKS.iter().filter(|mark| !sum.counts.contains_key(*mark)) {
            println!("never seen: {mark}");
        }
    }
    let Some(failed) = sum.failed else { return ExitCode::SUCCESS };
    let seed = failed.seed;
    let without = match kind {
        Kind::Node | Kind::Coordinator => Vec::new(),
        Kind::Cluster | Kind::Beyond => shrink(failed, &kind.plan(seed, &[])).0,
    };
    replay(kind, seed, &without, LINES)
}
