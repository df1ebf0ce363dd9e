//! Looking for a bug that was built in on request.

use std::time::Duration;

use crate::simulation::Outcome;

/// How a piece of a museum was caught.
#[derive(Clone, Debug)]
pub struct Caught {
    /// The run that caught it; `None` if none did.
    pub by: Option<Outcome>,
    /// Runs.
    pub seeds: u64,
    /// Simulated time of all of them.
    pub simulated: Duration,
    /// Runs that fail without the bug.
    pub findings: Vec<Outcome>,
}

/// Runs seeds with the bug until one is caught, `most` at most. What is caught runs once more without it, and must pass:
/// what fails then, too, is another bug.
///
/// `build_in` is told whether the bug is wanted; afterwards it is not.
pub(crate) fn hunt(most: u64, build_in: impl Fn(bool), run: impl Fn(u64) -> Outcome) -> Caught {
    let mut caught = Caught { by: None, seeds: 0, simulated: Duration::ZERO, findings: Vec::new() };
    for seed in 0..most {
        build_in(true);
        let outcome = run(seed);
        build_in(false);
        caught.seeds += 1;
        caught.simulated += outcome.simulated;
        if outcome.violation.is_none() {
            continue;
        }
        let control = run(seed);
        if control.violation.is_none() {
            caught.by = Some(outcome);
            break;
        }
        caught.findings.push(control);
    }
    caught
}
