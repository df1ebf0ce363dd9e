//! The engine beside other logs for Rust programs (`commitlog`, `raft-engine`, `walrus-rust`) and beside the system
//! calls that all of them are made of: the same records, in turns, each turn in a process of its own.
//!
//! Prints tables for `docs/performance.md`; nothing here asserts a figure.
//!
//! `cargo run --release --manifest-path benches/peers/Cargo.toml [DIRECTORY [ROUNDS]]`
//!
//! Compared are CPU time and ratios within a run; rates mean something on a machine that does nothing else.

mod side;
mod task;

use std::{
    error::Error,
    path::{Path, PathBuf},
    process::Command,
};

use side::SIDES;
use task::{TASKS, Took};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The first argument of a process that takes one turn.
const TURN: &str = "--turn";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [turn, task, side, place] = &arguments[..]
        && turn == TURN
    {
        let took = task::run(task, side, Path::new(place))?;
        println!("{took}");
        // Not every side can be dropped: some leave threads behind.
        std::process::exit(0);
    }
    let mut arguments = arguments.into_iter();
    let place = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let rounds: usize = arguments.next().map_or(Ok(3), |rounds| rounds.parse())?;
    println!("{}", load());
    for task in &TASKS {
        println!("\n{}, {rounds} rounds\n", task.title);
        println!("| | {} | CPU-{} | to Highwater | CPU to Highwater |", task.rate, task.cpu);
        println!("|---|---|---|---|---|");
        let mut turns = vec![Vec::new(); SIDES.len()];
        // The first round warms up; every other one goes the other way round.
        let taking_part = |side: &str| task::left_out(task.name, side).is_none();
        for round in 0..=rounds {
            let mut order: Vec<usize> = (0..SIDES.len()).filter(|n| taking_part(SIDES[*n])).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for n in order {
                let took = turn(&place, task.name, SIDES[n])?;
                if round > 0 {
                    turns[n].push(took);
                }
            }
        }
        let medians: Vec<Took> = turns.into_iter().map(Took::median).collect();
        let (ours, _) = medians.split_first().ok_or("a side")?;
        for (side, took) in SIDES.iter().zip(&medians) {
            match task::left_out(task.name, side) {
                Some(why) => println!("| {side} | {why} | | | |"),
                None => println!("| {side} | {} |", took.row(task, ours)),
            }
        }
    }
    println!("\n{}", load());
    Ok(())
}

/// One side's turn, in a process and a directory that are new.
fn turn(place: &Path, task: &str, side: &str) -> Result<Took> {
    let directory = tempfile::tempdir_in(place)?;
    let mut took = None;
    // Some tasks need something that another process has left there.
    for step in task::steps(task) {
        let output = Command::new(std::env::current_exe()?)
            .args([TURN, step, side])
            .arg(directory.path())
            // Where walrus keeps its files, and that it keeps quiet about them.
            .env("WALRUS_DATA_DIR", directory.path())
            .env("WALRUS_QUIET", "1")
            .output()?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{side}, {step}: {} {why}", output.status).into());
        }
        let text = String::from_utf8(output.stdout)?;
        took = Some(text.lines().last().ok_or("the process said nothing")?.parse()?);
    }
    took.ok_or_else(|| "a task without steps".into())
}

fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!("load {}", load.split_whitespace().take(3).collect::<Vec<_>>().join(" "))
}
