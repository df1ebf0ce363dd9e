//! What a seed means: which topics and clients there are, which faults strike and how often.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use crate::{client, random::Random, topic::TopicPlan, world::World};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// The process dies between two steps; the machine lives.
    Kill,
    /// The power is cut between two steps.
    PowerCut,
    /// The power is cut in the middle of disk operations, and a write may be torn.
    PowerCutInIo,
    /// The broker is asked to stop, and does.
    CleanStop,
    /// One disk operation fails.
    DiskError,
    /// The disk is full for a while.
    DiskFull,
    /// The disk is slow for a while.
    DiskSlow,
    /// Some calls of the bucket fail, some of them after they took effect, for a while.
    BucketFlaky,
    /// Every call of the bucket fails for a while.
    BucketDown,
    /// The bucket is slow for a while.
    BucketSlow,
    /// What the bucket returns is wrong or cut short now and then, for a while.
    BucketLies,
    /// The wall clock jumps.
    ClockJump,
    /// Tasks of the process begin late for a while, as where all threads are busy.
    TasksLate,
}

impl FaultKind {
    /// Every kind that strikes a broker whose clients only write and read.
    pub const ALL: [FaultKind; 12] = [
        FaultKind::Kill,
        FaultKind::PowerCut,
        FaultKind::PowerCutInIo,
        FaultKind::CleanStop,
        FaultKind::DiskError,
        FaultKind::DiskFull,
        FaultKind::DiskSlow,
        FaultKind::BucketFlaky,
        FaultKind::BucketDown,
        FaultKind::BucketSlow,
        FaultKind::BucketLies,
        FaultKind::ClockJump,
    ];

    /// What its count is called.
    pub const fn name(self) -> &'static str {
        match self {
            FaultKind::Kill => "fault: process killed",
            FaultKind::PowerCut => "fault: power cut",
            FaultKind::PowerCutInIo => "fault: power cut within disk i/o",
            FaultKind::CleanStop => "fault: clean stop",
            FaultKind::DiskError => "fault: disk error",
            FaultKind::DiskFull => "fault: disk full",
            FaultKind::DiskSlow => "fault: disk slow",
            FaultKind::BucketFlaky => "fault: bucket flaky",
            FaultKind::BucketDown => "fault: bucket down",
            FaultKind::BucketSlow => "fault: bucket slow",
            FaultKind::BucketLies => "fault: bucket lies",
            FaultKind::ClockJump => "fault: clock jump",
            FaultKind::TasksLate => "fault: tasks begin late",
        }
    }
}

/// What one run does; a cluster's run has faults of its own kinds.
#[derive(Clone, Debug)]
pub struct Plan<Fault = FaultKind> {
    /// The kinds of faults that strike; a random subset, and sometimes none (swarm testing: a run with everything on
    /// reaches less than many runs with different things on).
    pub faults: BTreeSet<Fault>,
    /// Time between two faults, on average.
    pub fault_interval: Duration,
    /// How long everything breaks.
    pub safety: Duration,
    /// Whether there is a bucket.
    pub bucket: bool,
    /// Topics that stay.
    pub topics: Vec<TopicPlan>,
    /// Topics that come and go.
    pub passing: Vec<TopicPlan>,
    /// Clients that produce without a producer id.
    pub plain_producers: u64,
    /// Clients that produce under one.
    pub idempotent_producers: u64,
    /// Clients that read.
    pub readers: u64,
}

impl<Fault> Plan<Fault> {
    /// Starts every client that it names.
    pub fn start_clients(&self, world: &Arc<World>) {
        world.start(client::create_topics(world.clone(), self.topics.clone()));
        for plan in &self.passing {
            world.start(client::make_and_break_topics(world.clone(), plan.clone(), world.fork_random()));
        }
        for _ in 0..self.plain_producers {
            world.start(client::plain_producer(world.clone(), world.fork_random()));
        }
        for _ in 0..self.idempotent_producers {
            world.start(client::idempotent_producer(world.clone(), world.fork_random()));
        }
        for _ in 0..self.readers {
            world.start(client::reader(world.clone(), world.fork_random()));
        }
    }
}

impl Plan {
    /// What `seed` means.
    pub fn draw(seed: u64) -> Plan {
        let mut random = Random::new(seed).fork("plan");
        let faults = if random.chance(1, 8) {
            BTreeSet::new()
        } else {
            FaultKind::ALL.into_iter().filter(|_| random.chance(1, 2)).collect()
        };
        let bucket = random.chance(5, 6);
        let lasting = random.between(1, 3);
        let topics = (0..lasting)
            .map(|number| TopicPlan::draw(&mut random, format!("lasting-{number}"), bucket, true))
            .collect();
        let passing = (0..random.below(2))
            .map(|number| TopicPlan::draw(&mut random, format!("passing-{number}"), bucket, false))
            .collect();
        Plan {
            faults,
            fault_interval: Duration::from_millis(random.between(300, 8_000)),
            safety: Duration::from_secs(random.between(10, 40)),
            bucket,
            topics,
            passing,
            plain_producers: random.between(0, 2),
            idempotent_producers: random.between(1, 3),
            readers: random.between(1, 3),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_fault_comes_up_alone_and_some_runs_have_none() {
        let plans: Vec<Plan> = (0..400).map(Plan::draw).collect();
        for kind in FaultKind::ALL {
            assert!(plans.iter().any(|plan| plan.faults.contains(&kind)), "{kind:?}");
            assert!(plans.iter().any(|plan| !plan.faults.contains(&kind)), "{kind:?}");
        }
        assert!(plans.iter().any(|plan| plan.faults.is_empty()));
        assert!(plans.iter().any(|plan| !plan.bucket));
    }
}
