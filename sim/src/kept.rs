//! Seeds that failed once, and what they found. What a seed means changes with the plans that are drawn; that it failed
//! once makes it no worse than any other, and as long as the plan stays the same it is the test of what was mended.

use crate::{
    cluster::{ClusterPlan, run_plan},
    real::RealNode,
    simulation::{Options, run},
};

/// Seeds of one broker.
const NODES: [(u64, &str); 3] = [
    (356, "a commit of the journal left epochs unwritten while the segments that show them went"),
    (420, "the same, found again"),
    (9_401_224, "a topic that was deleted while a commit of it ran took the whole directory offline"),
];

/// Seeds of clusters.
const CLUSTERS: [(u64, &str); 2] = [
    (6, "a follower showed what only the bucket had below its watermark"),
    (105, "a proposal to join was sent again for a later life of the broker, which had nothing yet"),
];

/// Seeds of clusters with groups and transactions.
const WORKING: [(u64, &str); 3] = [
    (14, "a leader that closed its logs answered its followers at once, with nothing, again and again"),
    (
        173,
        "a marker that was sent twice: the answer to the copy said that nothing was left to do, and nobody ended the rest",
    ),
    (936_540, "a follower that had nothing in common with its leader cut nothing, for ever"),
];

/// Seeds of clusters, some with a topic that compacts.
const AS_DRAWN: [(u64, &str); 8] = [
    (1, "a follower could not go on where its leader had compacted what lay across its end"),
    (
        9_400_442,
        "a truncation waited for a compaction whose next step waited for the same thread: this one stood still",
    ),
    (9_400_525, "a new leader offered what the leader before it had taken from the bucket"),
    (
        9_501_757,
        "a floor that alone said what was promised went with its extent of the journal: rot was cut as a torn end",
    ),
    (9_506_701, "a commit that found no room was not tried again: a coordinator waited for it for ever"),
    (9_701_139, "a repair refused batches of an epoch that the damage had taken from the log's knowledge"),
    (9_534_772, "a stop in the middle of a topic's deletion was not a clean one, though it said so"),
    (10_060_437, "what had rotted below the log start kept its segment from the bucket: nobody mended it"),
];

/// Seeds of clusters with a lull.
const LULLS: [(u64, &str); 2] = [
    (
        20_001_843,
        "a truncation forgot producers behind what had rotted: their next batch was out of order, for ever",
    ),
    (
        28_079_351,
        "what retention had deleted came again by way of an empty disk, and was acknowledged where it had been",
    ),
];

/// Seeds of clusters in which more breaks than can be survived.
const BEYOND: [(u64, &str); 5] = [
    (8, "an unclean election left a partition without a bucket unwritable"),
    (23, "the same, without a disk replaced"),
    (9_600_479, "a log start above what a new leader counted was heard by no follower: none came in sync"),
    (
        9_600_713,
        "after an unclean election the bucket got what the former leader had, and hid what the new one took",
    ),
    (
        9_800_304,
        "after an unclean election a follower dropped what the bucket still had of the history before",
    ),
];

#[test]
fn seeds_that_failed_once_pass() {
    for (seed, found) in NODES {
        let outcome = run(seed, &RealNode, Options::default());
        assert_eq!(outcome.violation, None, "seed {seed} failed once: {found}");
    }
    for (seed, found) in CLUSTERS {
        // There were no groups, no compaction and no lulls when they failed: with them the run would be another one.
        let plan = ClusterPlan { work: None, keyed: None, lull: None, ..ClusterPlan::draw(seed) };
        let outcome = run_plan(seed, plan, Options::default());
        assert_eq!(outcome.violation, None, "cluster seed {seed} failed once: {found}");
    }
    for (seed, found) in WORKING {
        let plan = ClusterPlan { keyed: None, lull: None, ..ClusterPlan::draw(seed) };
        let outcome = run_plan(seed, plan, Options::default());
        assert_eq!(outcome.violation, None, "cluster seed {seed} failed once: {found}");
    }
    for (seed, found) in AS_DRAWN {
        let plan = ClusterPlan { lull: None, ..ClusterPlan::draw(seed) };
        let outcome = run_plan(seed, plan, Options::default());
        assert_eq!(outcome.violation, None, "cluster seed {seed} failed once: {found}");
    }
    for (seed, found) in LULLS {
        let outcome = run_plan(seed, ClusterPlan::draw(seed), Options::default());
        assert_eq!(outcome.violation, None, "cluster seed {seed} failed once: {found}");
    }
    for (seed, found) in BEYOND {
        let plan = ClusterPlan { lull: None, ..ClusterPlan::draw_beyond(seed) };
        let outcome = run_plan(seed, plan, Options::default());
        assert_eq!(outcome.violation, None, "beyond the budget seed {seed} failed once: {found}");
    }
}
