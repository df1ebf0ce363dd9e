//! Many seeds on all cores: what they add up to, what they have not seen, and the first that fails.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use parking_lot::Mutex;

use crate::{
    cluster::{ClusterFault, ClusterPlan, marks::MARKS, run_plan, shrink::Without},
    coordinator::run_coordinator,
    plan::FaultKind,
    real::RealNode,
    simulation::{Options, Outcome, run},
    stats::Table,
};

/// What a seed is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// One broker.
    Node,
    /// A cluster.
    Cluster,
    /// A cluster in which more breaks than can be survived.
    Beyond,
    /// One broker with groups and transactions.
    Coordinator,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 4] = [Kind::Node, Kind::Cluster, Kind::Beyond, Kind::Coordinator];

    /// Runs a seed; `without` is left out of a cluster's plan.
    pub fn run(self, seed: u64, without: &[Without], options: Options) -> Outcome {
        match self {
            Kind::Node => run(seed, &RealNode, options),
            Kind::Coordinator => run_coordinator(seed, options),
            Kind::Cluster | Kind::Beyond => run_plan(seed, self.plan(seed, without), options),
        }
    }

    /// The plan of a cluster's seed.
    pub fn plan(self, seed: u64, without: &[Without]) -> ClusterPlan {
        let mut plan = match self {
            Kind::Beyond => ClusterPlan::draw_beyond(seed),
            Kind::Node | Kind::Coordinator | Kind::Cluster => ClusterPlan::draw(seed),
        };
        for one in without {
            one.take_from(&mut plan);
        }
        plan
    }

    /// How the command line calls it, with the space behind it.
    pub const fn flag(self) -> &'static str {
        match self {
            Kind::Node => "",
            Kind::Cluster => "--cluster ",
            Kind::Beyond => "--beyond ",
            Kind::Coordinator => "--coordinator ",
        }
    }

    /// What a campaign of this kind must have seen, else it has not looked where bugs are: every kind of fault, and rare
    /// states.
    pub fn marks(self) -> BTreeSet<&'static str> {
        let faults = FaultKind::ALL.map(FaultKind::name);
        let cluster_faults = ClusterFault::ALL.map(ClusterFault::name);
        match self {
            Kind::Node => faults.into_iter().chain(NODE).collect(),
            Kind::Coordinator => {
                let without_bucket = faults.into_iter().filter(|name| !name.contains("bucket"));
                without_bucket.chain(COORDINATOR).collect()
            }
            Kind::Cluster => cluster_faults.into_iter().chain(MARKS).collect(),
            Kind::Beyond => {
                let survived = cluster_faults.into_iter().filter(|name| *name != ClusterFault::Rot.name());
                survived.chain(BEYOND).collect()
            }
        }
    }
}

const NODE: [&str; 4] = [
    "broker starts that failed",
    "fetches out of range",
    "produce: out of order",
    "topics created, seen later",
];

const COORDINATOR: [&str; 5] = [
    "broker starts that failed",
    "fault: tasks begin late",
    "offsets committed by groups",
    "transactions aborted",
    "transactions committed",
];

const BEYOND: [&str; 8] = [
    "loss reported: unclean election",
    "mark: a follower cut its log",
    "mark: a reassignment ends",
    "mark: a replica begins at the end of the tier",
    "mark: an eligible leader is elected",
    "mark: decision on a stale image dropped",
    "mark: nobody may lead",
    "mark: unclean election",
];

/// What many seeds add up to.
#[derive(Default)]
pub struct Sum {
    /// Simulated seconds.
    pub simulated: f64,
    /// Steps of the executor.
    pub steps: u64,
    /// Seeds.
    pub runs: u64,
    /// What happened, how often, of each kind of seeds.
    pub counts: BTreeMap<Kind, BTreeMap<&'static str, u64>>,
    /// The first seed that failed.
    pub failed: Option<(Kind, Outcome)>,
}

impl Sum {
    /// Adds a seed.
    pub fn add(&mut self, kind: Kind, outcome: Outcome) {
        self.simulated += outcome.simulated.as_secs_f64();
        self.steps += outcome.steps;
        self.runs += 1;
        let counts = self.counts.entry(kind).or_default();
        for (name, count) in &outcome.counts {
            *counts.entry(*name).or_default() += count;
        }
        let earlier = self.failed.as_ref().is_none_or(|(_, known)| outcome.seed < known.seed);
        if outcome.violation.is_some() && earlier {
            self.failed = Some((kind, outcome));
        }
    }

    /// The marks that the seeds of their kinds have not seen.
    pub fn never_seen(&self) -> Vec<(Kind, &'static str)> {
        let of = |(kind, counts): (&Kind, &BTreeMap<&'static str, u64>)| {
            let unseen = kind.marks().into_iter().filter(|mark| !counts.contains_key(mark));
            unseen.map(|mark| (*kind, mark)).collect::<Vec<_>>()
        };
        self.counts.iter().flat_map(of).collect()
    }

    /// How much that is in so many seconds, in one line.
    pub fn rate(&self, seconds: f64) -> String {
        format!(
            "{:.2} simulated hours ({:.1} per minute), {:.0} steps/s",
            self.simulated / 3600.0,
            self.simulated / 60.0 / seconds,
            self.steps as f64 / seconds
        )
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, counts) in &self.counts {
            if self.counts.len() > 1 {
                writeln!(f, "{kind:?}")?;
            }
            write!(f, "{}", Table(counts))?;
        }
        Ok(())
    }
}

/// Runs what `nth` says, from zero on, until it says nothing more, one fails or somebody stops it; on so many cores. Seeds
/// share nothing: each core takes the next one. `sum` is added to after every seed.
pub fn run_all(
    cores: usize,
    nth: &(impl Fn(u64) -> Option<(Kind, u64)> + Sync),
    stop: &AtomicBool,
    sum: &Mutex<Sum>,
) {
    let next = AtomicU64::new(0);
    let one_core = || {
        while !stop.load(Ordering::Relaxed) {
            let Some((kind, seed)) = nth(next.fetch_add(1, Ordering::Relaxed)) else { return };
            let outcome = kind.run(seed, &[], Options::default());
            stop.fetch_or(outcome.violation.is_some(), Ordering::Relaxed);
            sum.lock().add(kind, outcome);
        }
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..cores).map(|_| scope.spawn(one_core)).collect();
        one_core();
        // A panic inside a run is an outcome; one of the harness ends the program.
        for other in others {
            if let Err(panic) = other.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::observer::Violation;

    fn outcome(seed: u64, counts: &[(&'static str, u64)], fails: bool) -> Outcome {
        Outcome {
            seed,
            hash: 0,
            steps: 10,
            simulated: Duration::from_secs(36),
            counts: counts.iter().copied().collect(),
            violation: fails.then(|| Violation { invariant: "L1", why: "a gap".into() }),
            transcript: Vec::new(),
        }
    }

    #[test]
    fn seeds_add_up_and_the_first_that_fails_is_kept() {
        let mut sum = Sum::default();
        sum.add(Kind::Node, outcome(4, &[("a", 1)], false));
        sum.add(Kind::Node, outcome(9, &[("a", 2), ("b", 1)], true));
        sum.add(Kind::Cluster, outcome(7, &[("a", 5)], true));
        sum.add(Kind::Node, outcome(8, &[], true));
        assert_eq!((sum.runs, sum.steps), (4, 40));
        assert_eq!(sum.counts[&Kind::Node], BTreeMap::from([("a", 3), ("b", 1)]));
        assert_eq!(sum.failed.as_ref().map(|(kind, failed)| (*kind, failed.seed)), Some((Kind::Cluster, 7)));
        assert_eq!(sum.rate(2.4), "0.04 simulated hours (1.0 per minute), 17 steps/s");
    }

    #[test]
    fn a_mark_that_was_not_seen_is_named_with_its_kind() {
        for kind in Kind::ALL {
            let mut seen: Vec<_> = kind.marks().into_iter().map(|mark| (mark, 1)).collect();
            let mut all = Sum::default();
            all.add(kind, outcome(1, &seen, false));
            assert_eq!(all.never_seen(), []);
            let missing = seen.pop().expect("every kind has marks");
            let mut less = Sum::default();
            less.add(kind, outcome(1, &seen, false));
            assert_eq!(less.never_seen(), [(kind, missing.0)]);
        }
    }

    #[test]
    fn every_seed_runs_once_until_there_are_no_more() {
        let (stop, sum) = (AtomicBool::new(false), Mutex::new(Sum::default()));
        let seeds = |nth: u64| (nth < 3).then_some((Kind::Coordinator, 100 + nth));
        run_all(2, &seeds, &stop, &sum);
        let sum = sum.into_inner();
        assert_eq!(sum.runs, 3);
        assert!(sum.failed.is_none());
        stop.store(true, Ordering::Relaxed);
        let none = Mutex::new(Sum::default());
        run_all(1, &seeds, &stop, &none);
        assert_eq!(none.into_inner().runs, 0, "somebody has stopped it");
    }
}
