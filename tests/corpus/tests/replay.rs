//! Replays what fuzzing has found, and damages the seeds in small ways of its own.

use highwater_corpus::{TARGETS, Target};
use std::{
    fs,
    panic::{RefUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

/// Runs the target; on a failure says how to see it again.
fn run(target: &Target, input: &[u8], what: &str)
where
    fn(&[u8]): RefUnwindSafe,
{
    let call = target.run;
    if catch_unwind(|| call(input)).is_err() {
        let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
        panic!("target {} fails on {what}: {hex}", target.name);
    }
}

/// The committed inputs of a target; none if nothing was found worth keeping yet.
fn committed(target: &Target) -> Vec<(String, Vec<u8>)> {
    let Ok(folder) = fs::read_dir(fuzz().join("corpus").join(target.name)) else { return Vec::new() };
    let mut inputs: Vec<_> = folder
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap())
        })
        .collect();
    inputs.sort();
    inputs
}

#[test]
fn seeds_are_taken() {
    for target in TARGETS {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{} has no seeds", target.name);
        for (number, seed) in seeds.iter().enumerate() {
            run(target, seed, &format!("seed {number}"));
        }
    }
}

#[test]
fn the_corpus_is_replayed() {
    let mut count = 0;
    for target in TARGETS {
        for (name, input) in committed(target) {
            run(target, &input, &name);
            count += 1;
        }
    }
    assert!(count >= TARGETS.len(), "only {count} inputs: is fuzz/corpus there?");
}

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}

fn damage(seed: &[u8], other: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=numbers.below(3) {
        let at = numbers.below(bytes.len());
        match numbers.below(6) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << numbers.below(8),
            1 if !bytes.is_empty() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][numbers.below(5)],
            2 => bytes.truncate(at),
            3 => bytes.insert(at.min(bytes.len()), numbers.below(256) as u8),
            4 if !bytes.is_empty() => {
                let end = bytes.len().min(at + 1 + numbers.below(8));
                bytes.drain(at..end);
            }
            _ => {
                let from = numbers.below(other.len());
                let to = other.len().min(from + numbers.below(40));
                bytes.splice(at.min(bytes.len())..at.min(bytes.len()), other[from..to].iter().copied());
            }
        }
    }
    bytes
}

#[test]
fn damaged_seeds_are_read_or_refused() {
    for target in TARGETS {
        let seeds = (target.seeds)();
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
        for _ in 0..1_000 {
            let seed = &seeds[numbers.below(seeds.len())];
            let other = &seeds[numbers.below(seeds.len())];
            run(target, &damage(seed, other, &mut numbers), "a damaged seed");
        }
    }
}

#[test]
fn every_target_is_fuzzed_and_nothing_else_is() {
    let mut found: Vec<String> = fs::read_dir(fuzz().join("fuzz_targets"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    found.sort();
    let known: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(found, known, "fuzz/fuzz_targets and TARGETS, by name");
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    for name in known {
        let source = fs::read_to_string(fuzz().join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(source.contains(&format!("run(\"{name}\"")), "{name}.rs runs another target");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is missing in fuzz/Cargo.toml");
    }
}
