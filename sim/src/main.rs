//! Runs seeds. `--seed N` replays one and prints what happened; `--seeds A..B` runs many and counts.

use std::{process::ExitCode, time::Instant};

use highwater_sim::{
    real::RealNode,
    simulation::{Options, Outcome, run},
    stats::Table,
};

const USAGE: &str = "\
usage: highwater-sim --seed N [--lines N]    replay one seed and print the end of its transcript
       highwater-sim --seeds A..B            run the seeds from A to B (exclusive); stop at the first that fails
       highwater-sim --hash N                print the trace's hash of a seed, and nothing else";

/// Lines of a transcript that are printed unless told otherwise.
const LINES: usize = 400;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["--seed", seed] => seed.parse().ok().map(|seed| replay(seed, LINES)),
        ["--seed", seed, "--lines", lines] => {
            seed.parse().ok().zip(lines.parse().ok()).map(|(seed, lines)| replay(seed, lines))
        }
        ["--hash", seed] => seed.parse().ok().map(hash),
        ["--seeds", seeds] => {
            let range = seeds.split_once("..").and_then(|(a, b)| a.parse().ok().zip(b.parse().ok()));
            range.map(|(from, to)| many(from, to))
        }
        _ => None,
    };
    done.unwrap_or_else(|| {
        eprintln!("{USAGE}");
        ExitCode::from(2)
    })
}

fn hash(seed: u64) -> ExitCode {
    println!("{:016x}", run(seed, &RealNode, Options::default()).hash);
    ExitCode::SUCCESS
}

fn replay(seed: u64, lines: usize) -> ExitCode {
    let outcome = run(seed, &RealNode, Options { lines });
    for line in &outcome.transcript {
        println!("{line}");
    }
    println!(
        "seed {seed}: {:.1?} simulated, {} steps, trace {:016x}",
        outcome.simulated, outcome.steps, outcome.hash
    );
    print!("{}", Table(&outcome.counts));
    verdict(&outcome)
}

fn verdict(outcome: &Outcome) -> ExitCode {
    match &outcome.violation {
        None => ExitCode::SUCCESS,
        Some(violation) => {
            let seed = outcome.seed;
            println!("seed {seed} FAILED: {violation}");
            println!("replay: cargo run -p highwater-sim --release -- --seed {seed}");
            ExitCode::FAILURE
        }
    }
}

fn many(from: u64, to: u64) -> ExitCode {
    let began = Instant::now();
    let (mut simulated, mut steps, mut runs) = (0.0, 0, 0);
    let mut counts = std::collections::BTreeMap::new();
    let mut failed = None;
    for seed in from..to {
        let outcome = run(seed, &RealNode, Options::default());
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
        "{runs} seeds in {took:.1} s: {:.2} simulated hours, {:.0} steps/s",
        simulated / 3600.0,
        steps as f64 / took
    );
    print!("{}", Table(&counts));
    match failed {
        None => ExitCode::SUCCESS,
        Some(outcome) => replay(outcome.seed, LINES),
    }
}
