//! The same seed gives the same trace in different processes: nothing of a run comes from the machine.

use std::process::Command;

fn hash_in_a_process_of_its_own(seed: u64) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_highwater-sim"))
        .args(["--hash", &seed.to_string()])
        .output()
        .expect("the program runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("a hash is text")
}

#[test]
fn two_processes_agree_on_every_step_of_a_seed() {
    let mut hashes = Vec::new();
    for seed in 3..7 {
        let first = hash_in_a_process_of_its_own(seed);
        assert_eq!(first, hash_in_a_process_of_its_own(seed), "seed {seed}");
        hashes.push(first);
    }
    hashes.dedup();
    assert_eq!(hashes.len(), 4, "different seeds are different runs");
}
