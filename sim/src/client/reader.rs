use std::{sync::Arc, time::Duration};

use highwater_env::BoxFuture;
use highwater_node::request::{
    Fetch, FetchError, FetchPartition, Fetched, Isolation, ListOffset, ListOffsetsError, ListedOffset,
    OffsetSpec,
};
use highwater_records::TopicIdPartition;

use super::some_partition;
use crate::{
    batch::{Batches, SeenBatch},
    broker::Broker,
    history::{Event, OpId, Positions, Said},
    observer::Violation,
    random::Random,
    topic::Topic,
    world::World,
};

/// Reads here and there: from the beginning, from the end, from the middle of a batch, and goes on from there for a
/// while.
pub async fn reader(world: Arc<World>, mut random: Random) {
    while !world.is_quiet() {
        world.pause(Duration::from_millis(5), Duration::from_millis(200)).await;
        let Some((topic, index)) = some_partition(&world, &mut random) else { continue };
        let Some(mut offset) = some_start(&world, &topic, index, &mut random).await else { continue };
        for _ in 0..random.between(1, 6) {
            let max_wait = Duration::from_millis(random.below(500));
            // Brokers of a cluster stand in the first three of these racks.
            let rack = Some(format!("rack-{}", offset % 4));
            match fetch(&world, &topic, index, (offset, rack), max_wait, &mut random).await {
                Some(Ok(Read { next: Some(next), .. })) => offset = next,
                Some(Err(FetchError::OffsetOutOfRange { log_start, .. })) => offset = log_start.get(),
                _ => break,
            }
        }
    }
}

async fn some_start(world: &Arc<World>, topic: &Arc<Topic>, index: u32, random: &mut Random) -> Option<u64> {
    let earliest = offset_of(world, topic, index, OffsetSpec::Earliest, random).await?.ok()?;
    let latest = offset_of(world, topic, index, OffsetSpec::Latest, random).await?.ok()?;
    let (earliest, latest) = (earliest.offset?.get(), latest.offset?.get());
    Some(match random.below(4) {
        0 => earliest,
        1 => latest,
        2 => latest.saturating_sub(1 + random.below(20)),
        // The log start may have moved past it, which is an answer too.
        _ => random.between(earliest, latest.max(earliest)),
    })
}

/// What one fetch brought.
pub(super) struct Read {
    /// The offset to go on from; `None` if there was nothing.
    pub(super) next: Option<u64>,
    pub(super) positions: Positions,
    pub(super) batches: Vec<SeenBatch>,
}

/// One fetch of one partition, reported: from its leader, or for a reader in a rack from the nearest replica. `None`
/// without an answer.
pub(super) async fn fetch(
    world: &Arc<World>,
    topic: &Arc<Topic>,
    index: u32,
    (offset, rack): (u64, Option<String>),
    max_wait: Duration,
    random: &mut Random,
) -> Option<Result<Read, FetchError>> {
    let (op, at) = (world.op(), topic.partition(index));
    world.event(&Event::ReadInvoked { op, at });
    let max_bytes = random.between(1, 20_000) as usize;
    let request = Fetch {
        max_wait,
        min_bytes: 1,
        max_bytes,
        rack,
        isolation: *random.pick(&[Isolation::ReadUncommitted, Isolation::ReadCommitted]),
        partitions: vec![FetchPartition {
            topic: topic.reference(random),
            partition: index as i32,
            offset: offset as i64,
            max_bytes,
            current_leader_epoch: None,
        }],
    };
    let inside = world.clone();
    let ask = move |broker: Arc<dyn Broker>| -> BoxFuture<'static, _> {
        Box::pin(async move {
            let answer = broker.fetch(request).await;
            if let Some(Ok(fetched)) = answer.first().map(|answer| &answer.result) {
                inside.probe_power(at, Said::Shown, fetched.high_watermark.get());
            }
            answer
        })
    };
    let answer = world.call(ask).await?;
    let answer = answer.into_iter().next()?.result;
    match &answer {
        Ok(fetched) => Some(Ok(report(world, op, at, offset, fetched))),
        Err(FetchError::OffsetOutOfRange { log_start, high_watermark }) => {
            world.stats.progress("fetches out of range");
            world.event(&Event::OutOfRange {
                op,
                at,
                from: offset,
                log_start: log_start.get(),
                watermark: high_watermark.get(),
            });
            Some(Err(answer.err()?))
        }
        Err(error) => {
            world.stats.count("fetch: error");
            if matches!(error, FetchError::UnknownTopicOrPartition | FetchError::UnknownTopicId) {
                known_topic_is_unknown(world, topic);
            }
            Some(Err(error.clone()))
        }
    }
}

fn report(world: &World, op: OpId, at: TopicIdPartition, from: u64, fetched: &Fetched) -> Read {
    let positions = Positions {
        log_start: fetched.log_start.get(),
        last_stable: fetched.last_stable.get(),
        watermark: fetched.high_watermark.get(),
    };
    let mut batches = Batches::parse(&fetched.records.concat());
    if batches.bad.is_some() && world.may_be_rotten(at) {
        // As Kafka's consumers do: nothing of it is taken for records.
        batches.bad = None;
        world.stats.count("mark: a reader sees damage by the checksum");
    }
    world.stats.progress(if batches.good.is_empty() {
        "fetches without records"
    } else {
        "fetches with records"
    });
    let good = batches.good.clone();
    let by_follower = fetched.by_follower;
    if by_follower && !good.is_empty() {
        world.stats.count("mark: a follower is read from");
    }
    world.event(&Event::Fetched { op, at, from, positions, by_follower, batches });
    Read { next: good.last().map(|batch| batch.last + 1), positions, batches: good }
}

/// One position query, reported. `None` without an answer.
pub(super) async fn offset_of(
    world: &World,
    topic: &Arc<Topic>,
    index: u32,
    spec: OffsetSpec,
    random: &mut Random,
) -> Option<Result<ListedOffset, ListOffsetsError>> {
    let (op, at) = (world.op(), topic.partition(index));
    world.event(&Event::ReadInvoked { op, at });
    let request = vec![ListOffset {
        topic: topic.reference(random),
        partition: index as i32,
        current_leader_epoch: None,
        isolation: Isolation::ReadUncommitted,
        spec,
    }];
    let answers = world.call(move |broker| broker.list_offsets(request)).await?;
    let answer = answers.into_iter().next()?;
    match (&answer, spec) {
        (Ok(ListedOffset { offset: Some(offset), .. }), OffsetSpec::Latest) => {
            world.stats.progress("offsets listed");
            world.event(&Event::ListedLatest { op, at, watermark: offset.get() });
        }
        (Ok(ListedOffset { offset: Some(offset), .. }), OffsetSpec::Earliest) => {
            world.stats.progress("offsets listed");
            world.event(&Event::ListedEarliest { op, at, log_start: offset.get() });
        }
        (Ok(_), _) => world.stats.progress("offsets listed"),
        (Err(error), _) => {
            world.stats.count("list offsets: error");
            if *error == ListOffsetsError::UnknownTopicOrPartition {
                known_topic_is_unknown(world, topic);
            }
        }
    }
    Some(answer)
}

fn known_topic_is_unknown(world: &World, topic: &Topic) {
    if world.topics().iter().any(|other| other.id == topic.id) {
        let why = format!("topic {} ({}) is unknown to the broker", topic.name, topic.id);
        world.violate(Violation { invariant: "D1 an acknowledged topic stays", why });
    }
}
