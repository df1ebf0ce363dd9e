//! What a seed means for a cluster.

use std::{collections::BTreeSet, time::Duration};

use super::{KeyedPlan, work::WorkPlan};
use crate::{history::Promise, plan::Plan, random::Random, topic::TopicPlan};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClusterFault {
    /// A broker's process dies; its machine lives.
    Kill,
    /// The power of one machine is cut.
    PowerCut,
    /// The power of all machines is cut at one instant.
    Blackout,
    /// A broker is asked to stop, and does.
    CleanStop,
    /// A broker stands still, longer than its session at times.
    Pause,
    /// One direction between two brokers is cut.
    CutOneWay,
    /// A broker is cut off from everybody.
    Isolate,
    /// A broker is cut off from the metadata log.
    CutFromQuorum,
    /// Messages are lost, doubled and late.
    BadNetwork,
    /// Proposals are lost, or of unknown fate.
    BadQuorum,
    /// The metadata log has another leader.
    LeaderChange,
    /// A disk is slow.
    SlowDisk,
    /// A machine gets an empty disk.
    ReplaceDisk,
    /// A partition gets other replicas.
    Reassign,
    /// Some calls of the bucket fail.
    BucketFlaky,
    /// The wall clock jumps.
    ClockJump,
    /// The power of one machine is cut in the middle of disk operations, and a write may be torn.
    PowerCutInIo,
    /// A disk is full for a while.
    DiskFull,
    /// A disk operation fails; an operator restarts the broker later.
    DiskError,
    /// The wall clock of one broker goes differently from the others'.
    ClockSkew,
    /// A second process with one broker's number, on an empty disk, while the first one stands still.
    Twin,
    /// Somebody has records deleted.
    DeleteRecords,
    /// Disk operations of a broker do not come back any more; an operator restarts it later.
    StuckDisk,
    /// Some bits of a replica flip on the disk, of what is committed and synced and other replicas have.
    Rot,
}

impl ClusterFault {
    /// Every kind.
    pub const ALL: [ClusterFault; 24] = [
        ClusterFault::Kill,
        ClusterFault::PowerCut,
        ClusterFault::Blackout,
        ClusterFault::CleanStop,
        ClusterFault::Pause,
        ClusterFault::CutOneWay,
        ClusterFault::Isolate,
        ClusterFault::CutFromQuorum,
        ClusterFault::BadNetwork,
        ClusterFault::BadQuorum,
        ClusterFault::LeaderChange,
        ClusterFault::SlowDisk,
        ClusterFault::ReplaceDisk,
        ClusterFault::Reassign,
        ClusterFault::BucketFlaky,
        ClusterFault::ClockJump,
        ClusterFault::PowerCutInIo,
        ClusterFault::DiskFull,
        ClusterFault::DiskError,
        ClusterFault::ClockSkew,
        ClusterFault::Twin,
        ClusterFault::DeleteRecords,
        ClusterFault::StuckDisk,
        ClusterFault::Rot,
    ];

    /// So many of [`ClusterFault::ALL`] are drawn before everything else of a plan. Kinds that came later are drawn by
    /// themselves, so that what a seed meant before it still means.
    const DRAWN_FIRST: usize = 20;

    /// What its count is called.
    pub const fn name(self) -> &'static str {
        match self {
            ClusterFault::Kill => "fault: broker killed",
            ClusterFault::PowerCut => "fault: power cut",
            ClusterFault::Blackout => "fault: power cut everywhere",
            ClusterFault::CleanStop => "fault: clean stop",
            ClusterFault::Pause => "fault: pause",
            ClusterFault::CutOneWay => "fault: one direction cut",
            ClusterFault::Isolate => "fault: broker isolated",
            ClusterFault::CutFromQuorum => "fault: cut off from the metadata log",
            ClusterFault::BadNetwork => "fault: messages lost and doubled",
            ClusterFault::BadQuorum => "fault: proposals lost and unknown",
            ClusterFault::LeaderChange => "fault: controller changed",
            ClusterFault::SlowDisk => "fault: slow disk",
            ClusterFault::ReplaceDisk => "fault: disk replaced",
            ClusterFault::Reassign => "fault: partition reassigned",
            ClusterFault::BucketFlaky => "fault: bucket flaky",
            ClusterFault::ClockJump => "fault: clock jump",
            ClusterFault::PowerCutInIo => "fault: power cut within disk i/o",
            ClusterFault::DiskFull => "fault: full disk",
            ClusterFault::DiskError => "fault: disk error",
            ClusterFault::ClockSkew => "fault: clock skew",
            ClusterFault::Twin => "fault: two processes with one number",
            ClusterFault::DeleteRecords => "fault: records deleted",
            ClusterFault::StuckDisk => "fault: stuck disk",
            ClusterFault::Rot => "fault: bit rot",
        }
    }

    /// Its name as one word.
    pub fn word(self) -> String {
        self.name().trim_start_matches("fault: ").replace(' ', "-")
    }

    /// Whether it can take the unsynced end of a log.
    pub const fn is_lossy(self) -> bool {
        matches!(
            self,
            ClusterFault::Kill
                | ClusterFault::PowerCut
                | ClusterFault::Blackout
                | ClusterFault::PowerCutInIo
                | ClusterFault::DiskError
                | ClusterFault::StuckDisk
        )
    }
}

/// A time in which clients ask nothing, and things break as seldom as they do in a cluster that lives: what is due by time
/// alone comes due, and the brokers wait for each other.
#[derive(Clone, Copy, Debug)]
pub struct Lull {
    /// After how much of the safety phase it begins. It comes on top of that.
    pub begins: Duration,
    /// How long it lasts.
    pub lasts: Duration,
    /// Time between two faults while it lasts, on average.
    pub fault_interval: Duration,
    /// Whether in all of the run brokers beat, look after each other and keep their logs at the intervals that they are
    /// shipped with; else at the short ones of all other runs.
    pub as_shipped: bool,
}

impl Lull {
    fn draw(random: &mut Random, safety: Duration) -> Lull {
        let as_shipped = random.chance(2, 3);
        let minutes = if as_shipped { random.between(5, 60) } else { random.between(1, 15) };
        Lull {
            begins: safety * random.between(1, 9) as u32 / 10,
            lasts: Duration::from_secs(60 * minutes),
            fault_interval: Duration::from_secs(random.between(10, 300)),
            as_shipped,
        }
    }
}

/// What one run does.
#[derive(Clone, Debug)]
pub struct ClusterPlan {
    /// How many brokers.
    pub brokers: u32,
    /// How many of them are there from the beginning; the others come while everything breaks.
    pub at_first: u32,
    /// How many of them, the last ones, have no part in the metadata log and follow those that have.
    pub tails: u32,
    /// Whether more breaks than can be survived. Then records may be lost, and every loss must be reported.
    pub beyond: bool,
    /// Replicas of each partition.
    pub replicas: u32,
    /// `min.insync.replicas`.
    pub min_isr: u32,
    /// Groups and transactions, in some of the runs.
    pub work: Option<WorkPlan>,
    /// A topic that compacts, in some of the runs. Then the coordinators' topics compact too; else nothing does.
    pub keyed: Option<KeyedPlan>,
    /// A time in which little happens, in some of the runs.
    pub lull: Option<Lull>,
    /// Faults, topics and clients. All topics promise the same: what faults may do depends on it.
    pub run: Plan<ClusterFault>,
}

impl ClusterPlan {
    /// What `seed` means.
    pub fn draw(seed: u64) -> ClusterPlan {
        let mut random = Random::new(seed).fork("cluster plan");
        let faults = if random.chance(1, 10) {
            BTreeSet::new()
        } else {
            let first = ClusterFault::ALL.into_iter().take(ClusterFault::DRAWN_FIRST);
            let mut faults: BTreeSet<_> = first.filter(|_| random.chance(2, 5)).collect();
            let mut later = Random::new(seed).fork("later kinds of faults");
            let others = ClusterFault::ALL.into_iter().skip(ClusterFault::DRAWN_FIRST);
            faults.extend(others.filter(|_| later.chance(1, 5)));
            faults
        };
        let bucket = random.chance(2, 3);
        let promise = if random.chance(2, 3) { Promise::Synced } else { Promise::Replicated };
        let topic = |random: &mut Random, name: String, lasting| {
            let drawn = TopicPlan::draw(random, name, bucket, lasting);
            TopicPlan { promise, retention_bytes: None, ..drawn }
        };
        let mut retention = Random::new(seed).fork("retention");
        let mut keeps_less = |plan: TopicPlan| TopicPlan {
            retention_bytes: retention.chance(1, 5).then(|| retention.between(20_000, 60_000)),
            retention_ms: retention.chance(1, 6).then(|| retention.between(4_000, 30_000)),
            ..plan
        };
        let lasting = random.between(1, 3);
        let topics: Vec<_> = (0..lasting).map(|n| topic(&mut random, format!("lasting-{n}"), true)).collect();
        let passing: Vec<_> =
            (0..random.below(2)).map(|n| topic(&mut random, format!("passing-{n}"), false)).collect();
        let topics = topics.into_iter().map(&mut keeps_less).collect();
        let passing = passing.into_iter().map(&mut keeps_less).collect();
        let brokers = random.between(3, 4) as u32;
        let in_haste = Random::new(seed).fork("haste").chance(1, 3);
        let mut compaction = Random::new(seed).fork("compaction");
        let keyed = compaction.chance(1, 3).then(|| KeyedPlan::draw(&mut compaction, &faults));
        let mut plan = ClusterPlan {
            brokers,
            at_first: if random.chance(1, 2) { 3 } else { brokers },
            beyond: false,
            replicas: 3,
            min_isr: 2,
            run: Plan {
                faults,
                fault_interval: Duration::from_millis(random.between(500, 6_000)),
                safety: Duration::from_secs(random.between(20, 60)),
                bucket,
                topics,
                passing,
                plain_producers: random.between(0, 2),
                idempotent_producers: random.between(1, 3),
                readers: random.between(1, 3),
            },
            tails: random.below(2) as u32,
            keyed,
            work: random.chance(1, 3).then(|| WorkPlan { in_haste, ..WorkPlan::draw(&mut random) }),
            lull: None,
        };
        let mut lull = Random::new(seed).fork("lull");
        plan.lull = lull.chance(1, 6).then(|| Lull::draw(&mut lull, plan.run.safety));
        plan
    }

    /// What `seed` means where more breaks than can be survived.
    pub fn draw_beyond(seed: u64) -> ClusterPlan {
        let mut random = Random::new(seed).fork("beyond");
        let mut plan = ClusterPlan::draw(seed);
        plan.beyond = true;
        // Of a coordinator that may have lost records nothing could be demanded.
        plan.work = None;
        let worst = [ClusterFault::PowerCut, ClusterFault::Blackout, ClusterFault::ReplaceDisk];
        plan.run.faults.extend(worst.into_iter().filter(|_| random.chance(2, 3)));
        plan
    }

    /// Whether brokers have the intervals that they are shipped with.
    pub fn as_shipped(&self) -> bool {
        self.lull.is_some_and(|lull| lull.as_shipped)
    }

    /// What all its topics promise.
    pub fn promise(&self) -> Promise {
        self.run.topics.first().map_or(Promise::Synced, |topic| topic.promise)
    }
}
