//! Clients that write without transactions: half of them under a producer id, and then again and again until it is decided.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use highwater_node::request::{Produce, ProduceError, ProducePartition, Produced, TopicRef};
use highwater_replication::Acks;

use super::{Keyed, batch};
use crate::random::Random;

/// A producer id, its epoch, and what comes next in each partition.
type Session = (u64, u16, BTreeMap<u32, i32>);

pub(super) async fn writer(keyed: Arc<Keyed>, mut random: Random) {
    let world = keyed.world.clone();
    let think = Duration::from_millis(random.between(10, 150));
    let (has_id, mut session): (bool, Option<Session>) = (random.chance(1, 2), None);
    while !world.is_quiet() {
        world.pause(think / 4, think * 2).await;
        if has_id && session.is_none() {
            let begun = world.call(|broker| broker.init_producer_id()).await;
            session = begun.and_then(Result::ok).map(|(id, epoch)| (id.0, epoch.0, BTreeMap::new()));
            continue;
        }
        let part = random.below(u64::from(keyed.plan.partitions)) as u32;
        let records = keyed.records(&mut random);
        let producer =
            session.as_ref().map(|(id, epoch, next)| (*id, *epoch, next.get(&part).copied().unwrap_or(0)));
        let bytes = batch::encode(&records, world.clients_wall_ms(), producer, false);
        keyed.asked(part, &records);
        loop {
            match send(&keyed, part, bytes.clone()).await {
                Some(Ok(produced)) => {
                    keyed.acked(part, produced.base_offset.get(), &records);
                    if let Some((_, _, next)) = &mut session {
                        *next.entry(part).or_default() += records.len() as i32;
                    }
                    break;
                }
                // A second one without an id would be another record.
                None | Some(Err(_)) if !has_id => break,
                None
                | Some(Err(
                    ProduceError::NotLeader
                    | ProduceError::TimedOut
                    | ProduceError::Storage(_)
                    | ProduceError::NotEnoughReplicasAfterAppend,
                )) => {}
                // What the broker knows of this session is gone: begin anew.
                Some(Err(_)) => {
                    session = None;
                    break;
                }
            }
            if world.is_quiet() || world.has_violated() {
                return;
            }
            world.pause(Duration::from_millis(20), Duration::from_millis(200)).await;
        }
    }
}

async fn send(keyed: &Keyed, part: u32, records: bytes::Bytes) -> Option<Result<Produced, ProduceError>> {
    let topic = TopicRef::Id(keyed.id);
    let partitions = vec![ProducePartition { topic, partition: part.cast_signed(), records }];
    let timeout = Duration::from_secs(5);
    let request = Produce { acks: Acks::All, timeout, transactional: false, partitions };
    keyed.world.call(move |broker| broker.produce(request)).await?.into_iter().next()
}
