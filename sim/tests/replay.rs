//! The same seed gives the same trace in different processes: nothing of a run comes from the machine.

use std::process::Command;

fn hash_in_a_process_of_its_own(kind: &[&str], seed: u64) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_highwater-sim"))
        .args(kind)
        .args(["--hash", &seed.to_string()])
        .output()
        .expect("the program runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("a hash is text")
}

#[test]
fn two_processes_agree_on_every_step_of_a_seed() {
    agree(&[], 3..7);
}

#[test]
fn two_processes_agree_on_every_step_of_a_cluster() {
    agree(&["--cluster"], 2..6);
}

fn agree(kind: &[&str], seeds: std::ops::Range<u64>) {
    let mut hashes = Vec::new();
    for seed in seeds {
        let first = hash_in_a_process_of_its_own(kind, seed);
        assert_eq!(first, hash_in_a_process_of_its_own(kind, seed), "{kind:?} seed {seed}");
        hashes.push(first);
    }
    hashes.dedup();
    assert_eq!(hashes.len(), 4, "different seeds are different runs");
}
