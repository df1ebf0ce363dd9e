use std::{collections::BTreeSet, sync::Arc, time::Duration};

use highwater_engine::disk::memory::MemoryDisk;

use super::{Bug, ModelSystem};
use crate::{
    broker::System,
    plan::{FaultKind, Plan},
    simulation::{Options, Outcome, Subject, run},
    store::Store,
};

struct Model {
    bug: Option<Bug>,
}

impl Subject for Model {
    fn system(&self, _: &Plan, disk: &MemoryDisk, _: Option<&Store>) -> Arc<dyn System> {
        Arc::new(ModelSystem { disk: disk.clone(), bug: self.bug })
    }

    fn adapt(&self, plan: &mut Plan) {
        plan.bucket = false;
        plan.safety = Duration::from_secs(10);
        for topic in plan.topics.iter_mut().chain(&mut plan.passing) {
            topic.tiered = false;
        }
    }
}

fn first_failure(bug: Bug) -> Option<Outcome> {
    (0..60)
        .map(|seed| run(seed, &Model { bug: Some(bug) }, Options::default()))
        .find(|o| o.violation.is_some())
}

#[test]
fn a_broker_without_bugs_passes() {
    let mut faults = BTreeSet::new();
    for seed in 0..if cfg!(debug_assertions) { 12 } else { 60 } {
        let outcome = run(seed, &Model { bug: None }, Options::default());
        assert_eq!(outcome.violation, None, "seed {seed}");
        assert!(outcome.counts["batches acknowledged"] > 30, "seed {seed}: {:?}", outcome.counts);
        faults.extend(outcome.counts.into_keys());
    }
    if cfg!(debug_assertions) {
        return;
    }
    for kind in FaultKind::ALL.into_iter().filter(|kind| !kind.name().contains("bucket")) {
        assert!(faults.contains(kind.name()), "{kind:?} never struck");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..6 {
        let (quiet, loud) = (Options::default(), Options { lines: 50 });
        let first = run(seed, &Model { bug: None }, quiet);
        let second = run(seed, &Model { bug: None }, loud);
        assert_eq!((first.hash, first.steps, &first.counts), (second.hash, second.steps, &second.counts));
        assert_eq!((first.transcript.len(), second.transcript.len()), (0, 50));
    }
}

/// Each bug is caught, by one of the invariants that are about it.
#[track_caller]
fn caught(bug: Bug, by: &[&str]) {
    let outcome = first_failure(bug).unwrap_or_else(|| panic!("{bug:?} was not caught"));
    let violation = outcome.violation.expect("a failure has a violation");
    assert!(
        by.iter().any(|name| violation.invariant.starts_with(name)),
        "{bug:?} with seed {} was caught by {violation}",
        outcome.seed
    );
}

#[test]
fn catches_an_ack_before_the_sync() {
    caught(Bug::AckBeforeSync, &["D1", "D16", "L6"]);
}

#[test]
fn catches_a_watermark_beyond_the_durable_end() {
    caught(Bug::WatermarkBeyondDurable, &["D1", "D14", "D15", "D16"]);
}

#[test]
fn catches_a_failed_sync_that_is_believed() {
    caught(Bug::IgnoreFailedSync, &["D1", "P2", "D14", "D16", "L6"]);
}

#[test]
fn catches_duplicates() {
    caught(Bug::AppendDuplicates, &["L6", "L7"]);
}

#[test]
fn catches_forgotten_producers() {
    caught(Bug::ForgetProducers, &["L6", "L7"]);
}

#[test]
fn catches_a_read_above_the_watermark() {
    caught(Bug::ReadAboveWatermark, &["D15"]);
}

#[test]
fn catches_what_follows_a_torn_batch() {
    caught(Bug::SkipTornBatch, &["L1", "D15", "L6"]);
}

#[test]
fn catches_a_batch_cut_at_the_start() {
    caught(Bug::CutOneBatchAtStart, &["D1", "L1", "D14", "D16", "L6"]);
}

#[test]
fn catches_an_offset_used_twice() {
    caught(Bug::ReuseOffsets, &["L1", "L6", "L7"]);
}

#[test]
fn catches_a_stale_latest() {
    caught(Bug::StaleLatest, &["D1", "D14", "L6"]);
}

#[test]
fn catches_a_skipped_batch() {
    caught(Bug::SkipToNextBatch, &["L1", "D16"]);
}

#[test]
fn catches_a_broker_that_hangs() {
    caught(Bug::HangAfterDiskFull, &["liveness"]);
}
