//! The museum: bugs that others had, built in again one at a time, and what catches them.
//!
//! A bug is built in for the whole process: pieces run one after another.

use std::{collections::BTreeSet, time::Duration};

use highwater_engine::museum as logs;
use highwater_metadata::museum as controllers;
use highwater_node::museum as brokers;
use highwater_replication::museum as replicas;

use super::{ClusterFault, ClusterPlan, WorkPlan, run_plan};
use crate::{
    coordinator::{GroupPlan, Work},
    history::Promise,
    hunt::{Caught, hunt},
    simulation::Options,
};

/// A bug.
#[derive(Clone, Copy, Debug)]
pub enum Bug {
    /// Of replicas.
    Replica(replicas::Bug),
    /// Of controllers.
    Controller(controllers::Bug),
    /// Of brokers.
    Broker(brokers::Bug),
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
    /// Whether it shows in transactions that follow each other at once, while calls for markers are copied.
    in_haste: bool,
}

use ClusterFault::{
    BadNetwork, BadQuorum, CutFromQuorum, CutOneWay, Isolate, Kill, LeaderChange, Pause, PowerCut, Reassign,
    ReplaceDisk, SlowDisk, Twin,
};
use Promise::{Replicated, Synced};
use brokers::Bug as B;
use controllers::Bug as C;
use replicas::Bug as R;

const fn replica(name: &'static str, bug: R, promise: Promise, faults: &'static [ClusterFault]) -> Piece {
    Piece { name, bug: Bug::Replica(bug), promise, faults, in_haste: false }
}

const fn controller(name: &'static str, bug: C, promise: Promise, faults: &'static [ClusterFault]) -> Piece {
    Piece { name, bug: Bug::Controller(bug), promise, faults, in_haste: false }
}

const fn broker(name: &'static str, bug: B, promise: Promise, faults: &'static [ClusterFault]) -> Piece {
    Piece { name, bug: Bug::Broker(bug), promise, faults, in_haste: false }
}

const fn of_markers(name: &'static str, bug: B, faults: &'static [ClusterFault]) -> Piece {
    Piece { name, bug: Bug::Broker(bug), promise: Synced, faults, in_haste: true }
}

/// Every piece.
pub const PIECES: &[Piece] = &[
    replica(
        "a follower begins by cutting to its own watermark (before KIP-101)",
        R::TruncateToWatermark,
        Synced,
        &[Kill, Isolate, Pause],
    ),
    replica(
        "a follower's tail counts although it diverges (KIP-279)",
        R::FetchIgnoresDivergence,
        Synced,
        &[Kill, Isolate, Pause, CutOneWay],
    ),
    replica(
        "who missed an epoch goes on without comparing (KAFKA-7164)",
        R::MissedEpochNotCompared,
        Synced,
        &[Kill, Isolate, Pause, CutFromQuorum],
    ),
    replica(
        "joining before the leader has reached its start (6.5.3)",
        R::JoinBelowEpochStart,
        Synced,
        &[Isolate, Pause, CutOneWay, SlowDisk, PowerCut],
    ),
    replica("joining below the watermark", R::JoinBelowWatermark, Synced, &[Isolate, Pause, SlowDisk]),
    replica(
        "who is proposed for joining does not count (6.5.2)",
        R::JoiningNotCounted,
        Synced,
        &[Pause, CutOneWay, BadQuorum, BadNetwork, SlowDisk],
    ),
    replica(
        "who is proposed for leaving counts no more (6.5.2)",
        R::LeavingNotCounted,
        Synced,
        &[Pause, CutOneWay, BadQuorum, BadNetwork, SlowDisk],
    ),
    replica(
        "the watermark moves below the minimum (before KIP-966)",
        R::WatermarkIgnoresMinimum,
        Synced,
        &[Isolate, Kill, PowerCut, Pause],
    ),
    replica(
        "what is not synced counts on a synced topic",
        R::LogEndIsDurable,
        Synced,
        &[PowerCut, SlowDisk, ClusterFault::Blackout],
    ),
    replica(
        "positions of a broker's former life count (KIP-903)",
        R::PositionOfFormerLife,
        Replicated,
        &[PowerCut, ReplaceDisk, Pause],
    ),
    replica(
        "a new leader tells an old watermark (before KIP-207)",
        R::WatermarkToldTooSoon,
        Synced,
        &[Isolate, Kill, Pause, SlowDisk],
    ),
    controller(
        "in sync in whichever life it fetched (before KIP-903)",
        C::AnyBrokerEpoch,
        Replicated,
        &[PowerCut, ReplaceDisk, BadQuorum, BadNetwork],
    ),
    controller(
        "the last replica standing forgets, and leads (before KIP-966)",
        C::LossyStopForgiven,
        Replicated,
        &[PowerCut, Isolate, CutFromQuorum, Pause],
    ),
    controller(
        "an empty disk is trusted",
        C::EmptyDiskTrusted,
        Synced,
        &[ReplaceDisk, Isolate, CutFromQuorum, Pause],
    ),
    controller(
        "eligible for ever (KIP-966)",
        C::EligibleForEver,
        Synced,
        &[Isolate, Kill, Pause, CutFromQuorum],
    ),
    controller("unclean election without being asked", C::UncleanUnasked, Synced, &[Isolate, Kill, Pause]),
    controller(
        "a proposal for any version is taken (KIP-497)",
        C::AnyVersion,
        Synced,
        &[Isolate, Pause, BadQuorum, BadNetwork],
    ),
    controller("a new leader in the old epoch", C::LeaderWithoutEpoch, Synced, &[Isolate, Kill, Pause]),
    controller(
        "a decision on an old image counts",
        C::StaleDecisionCounts,
        Synced,
        &[LeaderChange, BadQuorum, Isolate, Kill, CutFromQuorum],
    ),
    broker(
        "the older of two processes with one number goes on",
        B::SupersededGoesOn,
        Synced,
        &[Twin, Kill, Isolate],
    ),
    broker("a leader answers a fetch that finds nothing at once", B::FetchNotKept, Synced, &[Kill]),
    broker(
        "a follower asks again at once after what failed",
        B::NoPauseAfterFailure,
        Synced,
        &[CutFromQuorum, Isolate, Kill, Pause, Reassign],
    ),
    broker(
        "what a copy that was cut short left in the bucket stays (KAFKA-17428)",
        B::OrphansStay,
        Synced,
        &[Kill, LeaderChange, ClusterFault::BucketFlaky],
    ),
    of_markers("a late copy of a marker ends the next transaction (KIP-890)", B::LateMarkersCount, &[Pause]),
    of_markers(
        "a marker of a former coordinator ends the next transaction (KIP-890)",
        B::FormerCoordinatorEnds,
        &[ClusterFault::CleanStop, Reassign, Pause],
    ),
];

/// Bugs that another rule covers in the cluster: campaigns of 150 seeds each did not show them. A scenario does.
pub const COVERED: &[(&str, Bug)] = &[
    ("fetches of other leader epochs count (KIP-320)", Bug::Replica(R::FetchIgnoresLeaderEpoch)),
    ("a refused proposal is taken for dead", Bug::Replica(R::RefusedMeansNever)),
    ("a proposal to join is sent again for another life (KIP-903)", Bug::Replica(R::JoinsInAnyLife)),
    ("an answer of a former leader is applied (KAFKA-13207)", Bug::Replica(R::AnswerOfFormerLeader)),
    ("a reassignment ends in the old epoch (6.5.4)", Bug::Controller(C::ReassignmentWithoutEpoch)),
];

impl Bug {
    /// Builds this bug in for the whole process, and no other.
    pub fn build_in(self) {
        Bug::build_nothing_in();
        match self {
            Bug::Replica(bug) => replicas::build_in(Some(bug)),
            Bug::Controller(bug) => controllers::build_in(Some(bug)),
            Bug::Broker(bug) => {
                // Two rules say the same: without the one the other still holds.
                let also = (bug == B::FormerCoordinatorEnds).then_some(logs::Bug::FormerCoordinatorEnds);
                logs::build_in(also);
                brokers::build_in(Some(bug));
            }
        }
    }

    /// From now on no bug is built in.
    pub fn build_nothing_in() {
        replicas::build_in(None);
        controllers::build_in(None);
        brokers::build_in(None);
        logs::build_in(None);
    }
}

impl Piece {
    /// Runs seeds with the bug built in until one is caught, `most` at most.
    pub fn hunt(&self, most: u64) -> Caught {
        let build = |wanted| if wanted { self.bug.build_in() } else { Bug::build_nothing_in() };
        hunt(most, build, |seed| run_plan(seed, self.plan(seed), Options::default()))
    }

    /// A plan under which the bug may show.
    fn plan(&self, seed: u64) -> ClusterPlan {
        // What compaction adds takes time, and shows none of these.
        let mut plan = ClusterPlan { keyed: None, ..ClusterPlan::draw(seed) };
        let run = &mut plan.run;
        run.faults = self.faults.iter().copied().collect::<BTreeSet<_>>();
        run.fault_interval = run.fault_interval.min(Duration::from_secs(2));
        if run.faults.contains(&Reassign) {
            // Where everybody has everything there is nowhere to go.
            plan.brokers = 4;
            plan.at_first = 4;
        }
        run.topics.iter_mut().chain(&mut run.passing).for_each(|topic| topic.promise = self.promise);
        if self.in_haste {
            let group = GroupPlan { work: Work::Commit, classic: 1, consumers: 0, is_static: false };
            let groups = vec![group];
            plan.work =
                Some(WorkPlan { input: 1, output: 2, groups, producers: 2, mischief: 0, in_haste: true });
        }
        plan
    }
}
