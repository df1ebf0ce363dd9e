use super::*;
use crate::simulation::Options;

/// A few seeds in every build; `highwater-sim --coordinator` runs many.
#[test]
fn some_seeds_hold() {
    for seed in 0..6 {
        let outcome = run_coordinator(seed, Options::default());
        assert_eq!(outcome.violation, None, "seed {seed}");
    }
}

#[test]
fn a_seed_is_the_same_run_again() {
    let first = run_coordinator(7, Options::default());
    let again = run_coordinator(7, Options { lines: 10 });
    assert_eq!((first.hash, first.steps), (again.hash, again.steps));
}
