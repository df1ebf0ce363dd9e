//! Runs seeds. `--seed N` replays one and prints what happened; `--seeds A..B` runs many and counts.

use std::{process::ExitCode, time::Instant};

use highwater_sim::{
    cluster::{run_cluster, watch::MARKS},
    real::RealNode,
    simulation::{Options, Outcome, run},
    stats::Table,
};

const USAGE: &str = "\
usage: highwater-sim [--cluster] --seed N [--lines N]    replay one seed and print the end of its transcript
       highwater-sim [--cluster] --seeds A..B            run the seeds from A to B (exclusive); stop at the first that fails
       highwater-sim [--cluster] --hash N                print the trace's hash of a seed, and nothing else

With --cluster a seed is a cluster of brokers, else one broker.";

/// What a seed is.
#[derive(Clone, Copy)]
enum Kind {
    Node,
    Cluster,
}

impl Kind {
    fn run(self, seed: u64, options: Options) -> Outcome {
        match self {
            Kind::Node => run(seed, &RealNode, options),
            Kind::Cluster => run_cluster(seed, options),
        }
    }

    fn flag(self) -> &'static str {
        match self {
            Kind::Node => "",
            Kind::Cluster => "--cluster ",
        }
    }
}

/// Lines of a transcript that are printed unless told otherwise.
const LINES: usize = 400;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut kind = Kind::Node;
    if arguments.first() == Some(&"--cluster") {
        arguments.remove(0);
        kind = Kind::Cluster;
    }
    let done = match arguments[..] {
        ["--seed", seed] => seed.parse().ok().map(|seed| replay(kind, seed, LINES)),
        ["--seed", seed, "--lines", lines] => {
            seed.parse().ok().zip(lines.parse().ok()).map(|(seed, lines)| replay(kind, seed, lines))
        }
        ["--hash", seed] => seed.parse().ok().map(|seed| hash(kind, seed)),
        ["--seeds", seeds] => {
            let range = seeds.split_once("..").and_then(|(a, b)| a.parse().ok().zip(b.parse().ok()));
            range.map(|(from, to)| many(kind, from, to))
        }
        _ => None,
    };
    done.unwrap_or_else(|| {
        eprintln!("{USAGE}");
        ExitCode::from(2)
    })
}

fn hash(kind: Kind, seed: u64) -> ExitCode {
    println!("{:016x}", kind.run(seed, Options::default()).hash);
    ExitCode::SUCCESS
}

fn replay(kind: Kind, seed: u64, lines: usize) -> ExitCode {
    let outcome = kind.run(seed, Options { lines });
    for line in &outcome.transcript {
        println!("{line}");
    }
    println!(
        "seed {seed}: {:.1?} simulated, {} steps, trace {:016x}",
        outcome.simulated, outcome.steps, outcome.hash
    );
    print!("{}", Table(&outcome.counts));
    verdict(kind, &outcome)
}

fn verdict(kind: Kind, outcome: &Outcome) -> ExitCode {
    match &outcome.violation {
        None => ExitCode::SUCCESS,
        Some(violation) => {
            let seed = outcome.seed;
            println!("seed {seed} FAILED: {violation}");
            println!("replay: cargo run -p highwater-sim --release -- {}--seed {seed}", kind.flag());
            ExitCode::FAILURE
        }
    }
}

fn many(kind: Kind, from: u64, to: u64) -> ExitCode {
    let began = Instant::now();
    let (mut simulated, mut steps, mut runs) = (0.0, 0, 0);
    let mut counts = std::collections::BTreeMap::new();
    let mut failed = None;
    for seed in from..to {
        let outcome = kind.run(seed, Options::default());
        simulated += outcome.simulated.as_secs_f64();
        steps += outcome.steps;
        runs += 1;
        for (name, count) in &outcome.counts {
            *counts.entry(*name).or_default() += count;
        }
        if outcome.violation.is_some() {
            failed = Some(outcome);
            break;
        }
    }
    let took = began.elapsed().as_secs_f64();
    println!(
        "{runs} seeds in {took:.1} s: {:.2} simulated hours ({:.1} per minute), {:.0} steps/s",
        simulated / 3600.0,
        simulated / 60.0 / took,
        steps as f64 / took
    );
    print!("{}", Table(&counts));
    if matches!(kind, Kind::Cluster) {
        for mark in MARKS.iter().filter(|mark| !counts.contains_key(*mark)) {
            println!("never seen: {mark}");
        }
    }
    match failed {
        None => ExitCode::SUCCESS,
        Some(outcome) => replay(kind, outcome.seed, LINES),
    }
}
