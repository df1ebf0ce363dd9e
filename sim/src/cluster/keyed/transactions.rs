//! Clients that write in transactions of the newer protocol: partitions join by their first batch (KIP-890).

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use highwater_coordinator::{BeginProducer, EndTransaction, TransactionError};
use highwater_env::BoxFuture;
use highwater_node::{
    CoordinatorKey,
    request::{Produce, ProducePartition, TopicRef},
};
use highwater_records::{ProducerEpoch, ProducerId};
use highwater_replication::Acks;

use super::{Keyed, TOPIC, batch};
use crate::{
    broker::Whom,
    coordinator::{
        hall::{Hall, caller},
        producer::{is_passing, is_retriable},
    },
    random::Random,
};

/// How often a step is tried before the client gives up, and begins anew.
const TRIES: usize = 100;

struct Producer {
    name: String,
    producer: ProducerId,
    epoch: ProducerEpoch,
    next: BTreeMap<u32, i32>,
}

pub(super) async fn writer(keyed: Arc<Keyed>, hall: Arc<Hall>, number: u64, mut random: Random) {
    let name = format!("keyed-{number}");
    let mut producer = None;
    while !hall.is_over() {
        hall.pause(50, 800).await;
        let Some(known) = &mut producer else {
            producer = begin(&hall, &name).await;
            continue;
        };
        if !transaction(&keyed, &hall, known, &mut random).await {
            producer = None;
        }
    }
    // What is open is aborted, so that nobody waits for its end.
    if !keyed.world.has_violated() {
        begin(&hall, &name).await;
    }
}

/// Beginning anew aborts what an earlier one has left open. `None` if no answer says that it was done.
async fn begin(hall: &Hall, name: &str) -> Option<Producer> {
    for _ in 0..TRIES {
        let begin = BeginProducer { id: name.to_owned(), timeout_ms: 8_000, expected: None, fresh: None };
        let ask = move |node: Arc<highwater_node::Node>| -> BoxFuture<'static, _> {
            Box::pin(async move { node.begin_transactional(&caller(), begin).await })
        };
        match hall.call(Whom::Transaction(name.to_owned()), ask).await {
            Some(Ok((producer, epoch))) => {
                return Some(Producer { name: name.to_owned(), producer, epoch, next: BTreeMap::new() });
            }
            Some(Err(TransactionError::NotAvailable)) => {
                hall.find(CoordinatorKey::Transaction(name.to_owned())).await;
            }
            Some(Err(_)) | None => {}
        }
        hall.pause(20, 200).await;
    }
    None
}

/// One transaction; whether its end was told.
async fn transaction(keyed: &Keyed, hall: &Hall, producer: &mut Producer, random: &mut Random) -> bool {
    let mut written = Vec::new();
    for _ in 0..random.between(1, 3) {
        let part = random.below(u64::from(keyed.plan.partitions)) as u32;
        let records = keyed.records(random);
        let Some(base) = write(keyed, hall, producer, part, &records).await else { return false };
        written.push((part, base, records));
        hall.pause(5, 300).await;
    }
    let committed = !random.chance(1, 4);
    if !end(hall, producer, committed).await {
        return false;
    }
    if committed {
        written.iter().for_each(|(part, base, records)| keyed.acked(*part, *base, records));
    }
    keyed.world.stats.progress("keyed transactions");
    true
}

async fn write(
    keyed: &Keyed,
    hall: &Hall,
    producer: &mut Producer,
    part: u32,
    records: &[(u32, Option<u64>)],
) -> Option<u64> {
    let sequence = producer.next.get(&part).copied().unwrap_or(0);
    let identity = (producer.producer.0, producer.epoch.0, sequence);
    let bytes = batch::encode(records, keyed.world.clients_wall_ms(), Some(identity), true);
    keyed.asked(part, records);
    for _ in 0..TRIES {
        if hall.is_over() {
            return None;
        }
        let partition = ProducePartition {
            topic: TopicRef::Name(TOPIC.to_owned()),
            partition: part.cast_signed(),
            records: bytes.clone(),
        };
        let timeout = Duration::from_secs(10);
        let request = Produce { acks: Acks::All, timeout, transactional: true, partitions: vec![partition] };
        let id = producer.name.clone();
        let ask = move |node: Arc<highwater_node::Node>| -> BoxFuture<'static, _> {
            Box::pin(
                async move { node.produce_transactional(&caller(), &id, true, request).await.wait().await },
            )
        };
        let answer = hall.call(Whom::Leader(TOPIC, part), ask).await;
        match answer.and_then(|answers| answers.into_iter().next()) {
            Some(Ok(produced)) => {
                producer.next.insert(part, sequence + records.len() as i32);
                return Some(produced.base_offset.get());
            }
            Some(Err(error)) if !is_passing(&error) => return None,
            Some(Err(_)) | None => {}
        }
        hall.pause(20, 300).await;
    }
    None
}

async fn end(hall: &Hall, producer: &mut Producer, committed: bool) -> bool {
    let end = EndTransaction {
        id: producer.name.clone(),
        producer_id: producer.producer.0.cast_signed(),
        producer_epoch: producer.epoch.0.cast_signed(),
        committed,
        bumps_epoch: true,
        fresh: None,
    };
    for _ in 0..TRIES {
        let end = end.clone();
        let ask = move |node: Arc<highwater_node::Node>| -> BoxFuture<'static, _> {
            Box::pin(async move { node.end_transaction(&caller(), end).await })
        };
        match hall.call(Whom::Transaction(producer.name.clone()), ask).await {
            Some(Ok(next)) => {
                if next != (producer.producer, producer.epoch) {
                    (producer.producer, producer.epoch) = next;
                    producer.next.clear();
                }
                return true;
            }
            Some(Err(TransactionError::NotAvailable)) => {
                hall.find(CoordinatorKey::Transaction(producer.name.clone())).await;
            }
            Some(Err(error)) if !is_retriable(error) => return false,
            Some(Err(_)) | None => {}
        }
        hall.pause(20, 300).await;
    }
    false
}
