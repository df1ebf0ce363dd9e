//! The museum: bugs that others had, built in again one at a time, and what catches them.
//!
//! A bug is built in for the whole process: pieces run one after another.

use std::{collections::BTreeSet, time::Duration};

use highwater_metadata::museum as controllers;
use highwater_replication::museum as replicas;

use super::{ClusterFault, ClusterPlan, run_plan};
use crate::{
    history::Promise,
    simulation::{Options, Outcome},
};

/// A bug of either core.
#[derive(Clone, Copy, Debug)]
pub enum Bug {
    /// Of replicas.
    Replica(replicas::Bug),
    /// Of controllers.
    Controller(controllers::Bug),
}

/// A piece of the museum.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    /// What it is, in a few words, and who had it.
    pub name: &'static str,
    /// The bug.
    pub bug: Bug,
    /// What topics promise where it shows.
    promise: Promise,
    /// The faults under which it shows.
    faults: &'static [ClusterFault],
}

use ClusterFault::{BadNetwork, BadQuorum, CutOneWay, Isolate, Kill, Pause, PowerCut, SlowDisk};

/// Every piece.
pub const PIECES: &[Piece] = &[
    Piece {
        name: "a follower's tail counts although it diverges (KIP-279)",
        bug: Bug::Replica(replicas::Bug::FetchIgnoresDivergence),
        promise: Promise::Synced,
        faults: &[Kill, Isolate, Pause, CutOneWay],
    },
    Piece {
        name: "the committed set decides, not the maximal one (6.5.2)",
        bug: Bug::Replica(replicas::Bug::CommittedIsrDecides),
        promise: Promise::Synced,
        faults: &[Pause, CutOneWay, BadQuorum, BadNetwork, SlowDisk],
    },
    Piece {
        name: "the watermark moves below the minimum (before KIP-966)",
        bug: Bug::Replica(replicas::Bug::WatermarkIgnoresMinimum),
        promise: Promise::Synced,
        faults: &[Isolate, Kill, PowerCut, Pause],
    },
];

/// How a piece was caught.
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

fn build_nothing_in() {
    replicas::build_in(None);
    controllers::build_in(None);
}

impl Piece {
    /// Runs seeds with the bug built in until one is caught, `most` at most.
    pub fn hunt(&self, most: u64) -> Caught {
        self.build_in();
        let mut caught = Caught { by: None, seeds: 0, simulated: Duration::ZERO, findings: Vec::new() };
        for seed in 0..most {
            let outcome = run_plan(seed, self.plan(seed), Options::default());
            caught.seeds += 1;
            caught.simulated += outcome.simulated;
            if outcome.violation.is_none() {
                continue;
            }
            // The same seed without the bug: what fails then, too, is another bug.
            build_nothing_in();
            let control = run_plan(seed, self.plan(seed), Options::default());
            if control.violation.is_none() {
                caught.by = Some(outcome);
                break;
            }
            caught.findings.push(control);
            self.build_in();
        }
        build_nothing_in();
        caught
    }

    fn build_in(&self) {
        match self.bug {
            Bug::Replica(bug) => replicas::build_in(Some(bug)),
            Bug::Controller(bug) => controllers::build_in(Some(bug)),
        }
    }

    /// A plan under which the bug may show.
    fn plan(&self, seed: u64) -> ClusterPlan {
        let mut plan = ClusterPlan::draw(seed);
        plan.faults = self.faults.iter().copied().collect::<BTreeSet<_>>();
        plan.fault_interval = plan.fault_interval.min(Duration::from_secs(2));
        plan.topics.iter_mut().chain(&mut plan.passing).for_each(|topic| topic.promise = self.promise);
        plan
    }
}
