//! Who looks on while a run goes: somebody who writes what groups read, somebody who asks for committed offsets, and
//! somebody who reads committed records.

use std::{sync::Arc, time::Duration};

use highwater_env::{BoxFuture, Env};
use highwater_node::request::{Fetch, FetchPartition, Isolation, Produce, ProducePartition, TopicRef};
use highwater_replication::Acks;

use super::{
    batch,
    hall::{Hall, INPUT, OUTPUT, caller},
    happening::{Happening, LogBatch, Part},
    worker::committed,
};
use crate::{batch::NewBatch, broker::Whom, observer::Violation, random::Random};

/// Writes what groups read.
pub(super) async fn feeder(hall: Arc<Hall>, mut random: Random) {
    let _ends = hall.ends_when_good();
    while !hall.is_over() && !hall.is_good() {
        hall.pause(50, 600).await;
        let part = random.below(u64::from(hall.input)) as i32;
        let batch = NewBatch {
            tag: hall.number(),
            count: random.between(1, 4) as u32,
            value_size: 20,
            timestamp_ms: hall.world.clients.wall_ms(),
            producer: None,
        };
        let partition = ProducePartition {
            topic: TopicRef::Name(INPUT.to_owned()),
            partition: part,
            records: batch.encode(),
        };
        let timeout = Duration::from_secs(5);
        let request = Produce { acks: Acks::All, timeout, transactional: false, partitions: vec![partition] };
        let answer = hall
            .call(Whom::Leader(INPUT, part as u32), move |node| -> BoxFuture<'static, _> {
                Box::pin(async move { node.produce(&caller(), request).await.wait().await })
            })
            .await;
        if answer.is_some_and(|answers| answers.iter().all(Result::is_ok)) {
            hall.world.stats.progress("batches of input");
        }
    }
}

/// Asks for committed offsets, as an administrator does.
pub(super) async fn asker(hall: Arc<Hall>, mut random: Random) {
    while !hall.is_over() {
        hall.pause(100, 1_500).await;
        let group = random.below(hall.groups.len() as u64) as u32;
        let part = random.below(u64::from(hall.input)) as Part;
        committed(&hall, group, part, random.chance(2, 3)).await;
    }
}

/// Reads committed records, here and there.
pub(super) async fn reader(hall: Arc<Hall>, mut random: Random) {
    let mut position = vec![0; hall.output as usize];
    while !hall.is_over() {
        hall.pause(100, 1_500).await;
        let part = random.below(u64::from(hall.output)) as Part;
        if let Some(seen) = fetch(&hall, part, position[part as usize], Isolation::ReadCommitted).await
            && let Some(next) = seen.next
        {
            position[part as usize] = if random.chance(1, 5) { 0 } else { next };
        }
    }
}

/// What a fetch of the topic of transactions brought.
pub(super) struct Seen {
    /// Its batches.
    pub(super) batches: Vec<LogBatch>,
    /// The offset to go on from; `None` if there was nothing.
    pub(super) next: Option<u64>,
    /// How far everything is decided, and how far it is there at all.
    pub(super) ends: (u64, u64),
}

/// Reads the topic of transactions; what a reader of committed records sees is told.
pub(super) async fn fetch(hall: &Hall, part: Part, from: u64, isolation: Isolation) -> Option<Seen> {
    let request = Fetch {
        max_wait: Duration::ZERO,
        min_bytes: 1,
        max_bytes: 3_000,
        isolation,
        rack: None,
        partitions: vec![FetchPartition {
            topic: TopicRef::Name(OUTPUT.to_owned()),
            partition: part.cast_signed(),
            offset: from.cast_signed(),
            max_bytes: 3_000,
            current_leader_epoch: None,
        }],
    };
    let answer = hall
        .call(Whom::Leader(OUTPUT, part), move |node| -> BoxFuture<'static, _> {
            Box::pin(async move { node.fetch(&caller(), request).await })
        })
        .await?;
    let fetched = answer.into_iter().next()?.result.ok()?;
    let batches = match batch::parse(&fetched.records.concat()) {
        Ok(batches) => batches,
        Err(why) => {
            hall.world.violate(Violation { invariant: "L2 every batch is valid", why });
            return None;
        }
    };
    if isolation == Isolation::ReadCommitted {
        let aborted: Vec<_> = fetched
            .aborted
            .iter()
            .map(|one| (one.producer_id.0.cast_signed(), one.first_offset.get()))
            .collect();
        // What lies before the offset asked for was not asked for.
        for write in batch::committed(&batches, &aborted) {
            hall.tell(Happening::Read { write, part });
        }
    }
    hall.world.stats.progress("fetches of transactions");
    let next = batches.last().map(|(_, next)| *next);
    let batches = batches.into_iter().map(|(batch, _)| batch).collect();
    Some(Seen { batches, next, ends: (fetched.last_stable.get(), fetched.high_watermark.get()) })
}
