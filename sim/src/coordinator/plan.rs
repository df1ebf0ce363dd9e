//! What a seed means: which groups there are, who is in them, and what goes wrong.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    plan::{FaultKind, Plan},
    random::Random,
};

/// What the members of a group do with what they read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// They commit how far they came.
    Commit,
    /// They write something for it and commit both in one transaction; `true` for the newer protocol of transactions
    /// (KIP-890).
    Transact(bool),
}

/// A group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupPlan {
    /// What its members do.
    pub work: Work,
    /// Members that speak the classic protocol.
    pub classic: u64,
    /// Members that speak the newer one (KIP-848).
    pub consumers: u64,
    /// Whether its members are static (KIP-345).
    pub is_static: bool,
}

/// What one run does.
#[derive(Clone, Debug)]
pub struct CoordinatorPlan {
    /// The kinds of faults that strike the broker; a random subset, now and then none.
    pub faults: BTreeSet<FaultKind>,
    /// Time between two faults, on average.
    pub fault_interval: Duration,
    /// How long everything breaks.
    pub safety: Duration,
    /// Partitions of the topic that groups read.
    pub input: u32,
    /// Partitions of the topic that transactions write.
    pub output: u32,
    /// The groups.
    pub groups: Vec<GroupPlan>,
    /// Transactional producers without a group.
    pub producers: u64,
    /// Of so many rounds a client misbehaves in one, on average; zero for never.
    pub mischief: u64,
}

/// What strikes: everything but the bucket, which coordinators do not have.
const FAULTS: [FaultKind; 9] = [
    FaultKind::Kill,
    FaultKind::PowerCut,
    FaultKind::PowerCutInIo,
    FaultKind::CleanStop,
    FaultKind::DiskError,
    FaultKind::DiskFull,
    FaultKind::DiskSlow,
    FaultKind::ClockJump,
    FaultKind::TasksLate,
];

impl CoordinatorPlan {
    /// What `seed` means.
    pub fn draw(seed: u64) -> CoordinatorPlan {
        let mut random = Random::new(seed).fork("coordinator plan");
        let faults = if random.chance(1, 5) {
            BTreeSet::new()
        } else {
            FAULTS.into_iter().filter(|_| random.chance(2, 5)).collect()
        };
        let groups = (0..random.between(1, 3)).map(|_| GroupPlan::draw(&mut random)).collect();
        CoordinatorPlan {
            faults,
            fault_interval: Duration::from_millis(random.between(1_500, 12_000)),
            safety: Duration::from_secs(random.between(20, 60)),
            input: random.between(1, 4) as u32,
            output: random.between(1, 3) as u32,
            groups,
            producers: random.between(0, 2),
            mischief: if random.chance(1, 6) { 0 } else { random.between(20, 150) },
        }
    }

    /// The same for whoever lets faults strike.
    pub(super) fn nemesis(&self) -> Plan {
        Plan {
            faults: self.faults.clone(),
            fault_interval: self.fault_interval,
            safety: self.safety,
            bucket: false,
            topics: Vec::new(),
            passing: Vec::new(),
            plain_producers: 0,
            idempotent_producers: 0,
            readers: 0,
        }
    }
}

impl GroupPlan {
    pub(crate) fn draw(random: &mut Random) -> GroupPlan {
        let (classic, consumers) = match random.below(3) {
            0 => (random.between(1, 4), 0),
            1 => (0, random.between(1, 4)),
            _ => (random.between(1, 2), random.between(1, 2)),
        };
        let work = match random.below(3) {
            0 => Work::Commit,
            1 => Work::Transact(false),
            _ => Work::Transact(true),
        };
        GroupPlan { work, classic, consumers, is_static: random.chance(1, 4) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_and_every_kind_of_group_comes_up() {
        let plans: Vec<CoordinatorPlan> = (0..300).map(CoordinatorPlan::draw).collect();
        for kind in FAULTS {
            assert!(plans.iter().any(|plan| plan.faults.contains(&kind)), "{kind:?}");
        }
        assert!(plans.iter().any(|plan| plan.faults.is_empty()));
        let groups: Vec<_> = plans.iter().flat_map(|plan| &plan.groups).collect();
        for work in [Work::Commit, Work::Transact(false), Work::Transact(true)] {
            assert!(groups.iter().any(|group| group.work == work && group.classic > 1), "{work:?}");
            assert!(groups.iter().any(|group| group.work == work && group.consumers > 1), "{work:?}");
            let is_mixed = |group: &&&GroupPlan| group.classic > 0 && group.consumers > 0;
            assert!(groups.iter().filter(is_mixed).any(|group| group.work == work), "{work:?}");
        }
    }
}
