//! What idles costs nothing: rounds of replication, counted in allocations.

use std::{collections::BTreeSet, time::Duration};

use allocation_counter::measure;
use highwater_node::request::{Produce, ProducePartition, TopicRef};
use highwater_replication::Acks;

use super::Run;
use crate::{
    batch::NewBatch, cluster::ClusterPlan, history::Promise, plan::Plan, topic::TopicPlan, trace::Trace,
};

const ROUNDS: usize = 10;
/// Time between two records: each is fetched before the next one comes.
const ROUND: Duration = Duration::from_millis(6);

fn topic(name: &str, partitions: u32) -> TopicPlan {
    TopicPlan {
        name: name.into(),
        partitions,
        promise: Promise::Replicated,
        tiered: false,
        lasting: true,
        segment_bytes: 1 << 20,
        segment_ms: 3_600_000,
        retention_bytes: None,
        retention_ms: None,
        local_retention_bytes: 0,
    }
}

/// Allocations of ten rounds, while every broker has replicas of `idle` partitions to which nothing happens: the fewest
/// of many such times, because now and then a broker looks through what it has.
fn allocations(idle: u32) -> u64 {
    let plan = ClusterPlan {
        brokers: 3,
        at_first: 3,
        run: Plan {
            faults: BTreeSet::new(),
            fault_interval: Duration::from_secs(1),
            safety: Duration::ZERO,
            bucket: false,
            topics: vec![topic("busy", 1), topic("idle", idle)],
            passing: Vec::new(),
            plain_producers: 0,
            idempotent_producers: 0,
            readers: 0,
        },
        ..ClusterPlan::draw(0)
    };
    let mut run = Run::new(0, plan, Trace::hashed());
    run.plan.run.start_clients(&run.around.world);
    run.converge("every topic to exist", |run| run.around.world.topics().len() == 2);
    run.converge("every replica to be in sync", Run::is_whole);
    run.run_for(Duration::from_secs(10), |_| false);
    let world = run.around.world.clone();
    let inside = world.clone();
    world.start(async move {
        loop {
            inside.pause(ROUND, ROUND).await;
            let batch = NewBatch { tag: 1, count: 1, value_size: 8, timestamp_ms: 1, producer: None };
            let request = Produce {
                acks: Acks::None,
                timeout: Duration::from_secs(5),
                transactional: false,
                partitions: vec![ProducePartition {
                    topic: TopicRef::Name("busy".into()),
                    partition: 0,
                    records: batch.encode(),
                }],
            };
            inside.call(move |broker| broker.produce(request)).await;
        }
    });
    let step = |time: Duration| {
        let executor = &run.around.world.executor;
        executor.run_until(executor.now() + time.as_nanos() as u64);
    };
    step(Duration::from_secs(1));
    let times = (0..200).map(|_| measure(|| step(ROUND * ROUNDS as u32)).count_total);
    let fewest = times.min().expect("many times");
    let outcome = run.outcome(0, true);
    assert_eq!(outcome.violation, None);
    fewest
}

#[test]
fn a_round_allocates_nothing_for_a_partition_that_idles() {
    let (few, many) = (allocations(10), allocations(210));
    assert!(few >= ROUNDS as u64, "rounds were counted: {few}");
    assert!(many < few + 200, "{few} allocations beside 10 idle partitions, {many} beside 210");
}
