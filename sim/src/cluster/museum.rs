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

use ClusterFault::{
    BadNetwork, BadQuorum, CleanStop, CutFromQuorum, CutOneWay, Isolate, Kill, LeaderChange, Pause, PowerCut,
    Reassign, ReplaceDisk, SlowDisk,
};

/// Every piece.
pub const PIECES: &[Piece] = &[
    Piece {
        name: "a follower's tail counts although it diverges (KIP-279)",
        bug: Bug::Replica(replicas::Bug::FetchIgnoresDivergence),
        promise: Promise::Synced,
        faults: &[Kill, Isolate, Pause, CutOneWay],
    },
    Piece {
        name: "fetches of other leader epochs count (KIP-320)",
        bug: Bug::Replica(replicas::Bug::FetchIgnoresLeaderEpoch),
        promise: Promise::Synced,
        faults: &[Isolate, Pause, CutFromQuorum, LeaderChange, Reassign],
    },
    Piece {
        name: "joining at an old watermark (KIP-966 analysis, 6.5.3)",
        bug: Bug::Replica(replicas::Bug::JoinBelowEpochStart),
        promise: Promise::Synced,
        faults: &[Kill, Isolate, Pause, BadNetwork, CleanStop],
    },
    Piece {
        name: "the committed set decides, not the maximal one (6.5.2)",
        bug: Bug::Replica(replicas::Bug::CommittedIsrDecides),
        promise: Promise::Synced,
        faults: &[Pause, CutOneWay, BadQuorum, BadNetwork, SlowDisk],
    },
    Piece {
        name: "a refused proposal is forgotten",
        bug: Bug::Replica(replicas::Bug::RefusedMeansNever),
        promise: Promise::Synced,
        faults: &[BadNetwork, BadQuorum, CleanStop, Isolate, Pause],
    },
    Piece {
        name: "the watermark moves below the minimum (before KIP-966)",
        bug: Bug::Replica(replicas::Bug::WatermarkIgnoresMinimum),
        promise: Promise::Synced,
        faults: &[Isolate, Kill, PowerCut, Pause],
    },
    Piece {
        name: "the log end counts on a synced topic",
        bug: Bug::Replica(replicas::Bug::LogEndIsDurable),
        promise: Promise::Synced,
        faults: &[PowerCut, ClusterFault::Blackout],
    },
    Piece {
        name: "an answer of a former leader is applied (KAFKA-13207)",
        bug: Bug::Replica(replicas::Bug::AnswerOfFormerLeader),
        promise: Promise::Synced,
        faults: &[BadNetwork, Pause, Isolate, CleanStop],
    },
    Piece {
        name: "a follower cuts at its own watermark (before KIP-101)",
        bug: Bug::Replica(replicas::Bug::TruncateToWatermark),
        promise: Promise::Synced,
        faults: &[Kill, Isolate, Pause, CleanStop],
    },
    Piece {
        name: "former lives of a broker join (before KIP-903)",
        bug: Bug::Controller(controllers::Bug::AnyBrokerEpoch),
        promise: Promise::Replicated,
        faults: &[PowerCut, BadNetwork, BadQuorum, ReplaceDisk],
    },
    Piece {
        name: "the last replica standing lost its tail (KIP-966)",
        bug: Bug::Controller(controllers::Bug::LossyStopForgiven),
        promise: Promise::Replicated,
        faults: &[PowerCut],
    },
    Piece {
        name: "an empty disk is taken for the one before",
        bug: Bug::Controller(controllers::Bug::EmptyDiskTrusted),
        promise: Promise::Synced,
        faults: &[ReplaceDisk],
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
}

impl Piece {
    /// Runs seeds with the bug built in until one is caught, `most` at most.
    pub fn hunt(&self, most: u64) -> Caught {
        self.build_in();
        let mut caught = Caught { by: None, seeds: 0, simulated: Duration::ZERO };
        for seed in 0..most {
            let outcome = run_plan(seed, self.plan(seed), Options::default());
            caught.seeds += 1;
            caught.simulated += outcome.simulated;
            if outcome.violation.is_some() {
                caught.by = Some(outcome);
                break;
            }
        }
        replicas::build_in(None);
        controllers::build_in(None);
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
