//! The museum of coordinators: bugs that others had, or could have had, built in one at a time, and what catches them.
//!
//! A bug is built in for the whole process: pieces run one after another.

use std::{collections::BTreeSet, time::Duration};

pub use highwater_coordinator::museum::Bug;
use highwater_coordinator::museum::build_in;

use super::{CoordinatorPlan, GroupPlan, Work, run_plan};
use crate::{
    hunt::{Caught, hunt},
    plan::FaultKind,
    simulation::Options,
};

/// A piece of the museum.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    /// What it is, in a few words.
    pub name: &'static str,
    /// The bug.
    pub bug: Bug,
    /// What members do where it shows; anything if it does not matter.
    work: Option<Work>,
    /// Whether members speak the newer protocol; either if it does not matter.
    consumers: Option<bool>,
    /// The faults under which it shows.
    faults: &'static [FaultKind],
}

/// Every piece.
pub const PIECES: &[Piece] = &[
    Piece {
        name: "offsets are acknowledged before their records count",
        work: Some(Work::Commit),
        faults: &[FaultKind::PowerCut, FaultKind::PowerCutInIo, FaultKind::DiskSlow],
        ..piece(Bug::CommitsAnsweredEarly)
    },
    Piece { name: "former members commit offsets", work: Some(Work::Commit), ..piece(Bug::CommitsNotFenced) },
    Piece {
        name: "a partition is not given up before it is given away (KIP-848)",
        consumers: Some(true),
        ..piece(Bug::RevocationNotAwaited)
    },
    Piece {
        name: "a replay forgets what a member is still giving up (KIP-848)",
        consumers: Some(true),
        faults: &[FaultKind::Kill, FaultKind::PowerCut],
        ..piece(Bug::ReplayForgetsRevocation)
    },
    Piece {
        name: "offsets expire although members read the topic",
        faults: &[FaultKind::ClockJump],
        ..piece(Bug::OffsetsOfMembersExpire)
    },
    Piece {
        name: "partitions join a transaction while it is being ended (KIP-890)",
        faults: &[FaultKind::TasksLate],
        ..piece(Bug::JoinsWhileEnding)
    },
    Piece {
        name: "offsets of open transactions show",
        work: Some(Work::Transact(false)),
        ..piece(Bug::PendingOffsetsShow)
    },
    Piece {
        name: "offsets of aborted transactions show",
        work: Some(Work::Transact(true)),
        ..piece(Bug::AbortedOffsetsShow)
    },
    Piece { name: "a producer does not fence the one before", ..piece(Bug::SuccessorDoesNotFence) },
    Piece {
        name: "a producer leaves the transaction of the one before open",
        ..piece(Bug::SuccessorDoesNotAbort)
    },
    Piece { name: "a fenced producer ends a transaction", ..piece(Bug::EndsNotFenced) },
    Piece {
        name: "a replay forgets markers that are not written yet",
        faults: &[FaultKind::Kill, FaultKind::DiskSlow],
        ..piece(Bug::MarkersForgotten)
    },
    Piece {
        name: "a replay forgets that transactions time out",
        faults: &[FaultKind::Kill],
        ..piece(Bug::TimeOutsForgotten)
    },
];

const fn piece(bug: Bug) -> Piece {
    Piece { name: "", bug, work: None, consumers: None, faults: &[] }
}

impl Piece {
    /// Runs seeds with the bug built in until one is caught, `most` at most. What is caught runs once more without the
    /// bug, and must pass.
    pub fn hunt(&self, most: u64) -> Caught {
        let build = |wanted: bool| build_in(wanted.then_some(self.bug));
        hunt(most, build, |seed| run_plan(seed, self.plan(seed), Options::default()))
    }

    /// A plan under which the bug may show.
    fn plan(&self, seed: u64) -> CoordinatorPlan {
        let mut plan = CoordinatorPlan::draw(seed);
        plan.faults = self.faults.iter().copied().collect::<BTreeSet<_>>();
        plan.fault_interval = plan.fault_interval.min(Duration::from_secs(4));
        plan.mischief = 30;
        plan.producers = plan.producers.max(1);
        for group in &mut plan.groups {
            let members = group.classic + group.consumers;
            let consumers = self.consumers.unwrap_or(group.consumers > 0);
            *group = GroupPlan {
                work: self.work.unwrap_or(group.work),
                classic: if consumers { 0 } else { members.max(2) },
                consumers: if consumers { members.max(2) } else { 0 },
                ..*group
            };
        }
        plan
    }
}
