//! Reads what coordinators write of transactions: `__transaction_state`, record by record, as far as it counts.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use highwater_coordinator::{
    DescribedTransaction,
    format::{TransactionValue, transactional_id},
};
use highwater_env::BoxFuture;
use highwater_node::request::{Fetch, FetchPartition, Isolation, TopicRef};
use highwater_records::{
    PartitionIndex, TopicIdPartition,
    batch::{BatchView, split},
};

use super::{
    hall::{Hall, TXN_SHARDS, caller},
    happening::{Happening, Part, Stage, Standing, StateRecord},
};
use crate::{broker::Whom, observer::Violation, random::Random};

const TOPIC: &str = "__transaction_state";

/// Several records.
const CHUNK_BYTES: usize = 20_000;

/// Records decompress to less.
const RECORDS_MAX: usize = 1 << 20;

/// Follows both logs until it is time to be quiet.
pub(super) async fn follower(hall: Arc<Hall>, mut random: Random) {
    let mut position = [0; TXN_SHARDS as usize];
    while !hall.is_over() {
        hall.pause(200, 1_000).await;
        let shard = random.below(u64::from(TXN_SHARDS)) as Part;
        if let Some((next, _)) = read(&hall, shard, position[shard as usize]).await {
            position[shard as usize] = next;
        }
    }
}

/// Reads on from an offset, and tells what is there. The offset to go on from, and where what counts ends; `None`
/// without an answer.
pub(super) async fn read(hall: &Hall, shard: Part, from: u64) -> Option<(u64, u64)> {
    let request = Fetch {
        max_wait: Duration::ZERO,
        min_bytes: 1,
        max_bytes: CHUNK_BYTES,
        isolation: Isolation::ReadUncommitted,
        rack: None,
        partitions: vec![FetchPartition {
            topic: TopicRef::Name(TOPIC.to_owned()),
            partition: shard.cast_signed(),
            offset: from.cast_signed(),
            max_bytes: CHUNK_BYTES,
            current_leader_epoch: None,
        }],
    };
    let answer = hall
        .call(Whom::Leader(TOPIC, shard), move |node| -> BoxFuture<'static, _> {
            Box::pin(async move { node.fetch(&caller(), request).await })
        })
        .await?;
    let fetched = answer.into_iter().next()?.result.ok()?;
    let at = hall.world.topic_named(TOPIC).map(|topic_id| {
        let partition = PartitionIndex(shard);
        TopicIdPartition { topic_id, partition }
    });
    let bytes = Bytes::from(fetched.records.concat());
    let bytes = if at.is_some_and(|at| hall.world.may_be_rotten(at)) { sound(bytes) } else { bytes };
    match decode(bytes, from) {
        Ok((records, next)) => {
            if !records.is_empty() {
                hall.tell(Happening::StateLog { shard, records });
                hall.world.stats.progress("reads of transactions' states");
            }
            Some((next, fetched.high_watermark.get()))
        }
        Err(why) => {
            let why = format!("shard {shard} from {from} on: {why}");
            hall.world.violate(Violation { invariant: "T6 the log of transactions can be read", why });
            None
        }
    }
}

/// How a coordinator describes a transactional id, in the words of the log. `None` for a state that it does not have.
pub(super) fn standing_of(described: &DescribedTransaction) -> Option<Standing> {
    let stage = match described.listed.state {
        "Empty" => Stage::Empty,
        "Ongoing" => Stage::Ongoing,
        "PrepareCommit" => Stage::PrepareCommit,
        "PrepareAbort" => Stage::PrepareAbort,
        "CompleteCommit" => Stage::CompleteCommit,
        "CompleteAbort" => Stage::CompleteAbort,
        _ => return None,
    };
    let topics = described.partitions.iter().map(|(topic, partitions)| (topic, partitions.as_slice()));
    Some(Standing {
        producer: described.listed.producer_id,
        epoch: described.producer_epoch,
        stage,
        partitions: flat(topics),
    })
}

/// What lies before the first damage: what is behind it is read once it is mended.
fn sound(bytes: Bytes) -> Bytes {
    let is_sound = |piece: &Bytes| BatchView::parse(piece).is_ok_and(|view| view.verify_crc().is_ok());
    let pieces = split(bytes.clone()).map_while(Result::ok).take_while(is_sound);
    let length: usize = pieces.map(|piece| piece.len()).sum();
    bytes.slice(..length)
}

fn decode(bytes: Bytes, from: u64) -> Result<(Vec<StateRecord>, u64), String> {
    let (mut found, mut next) = (Vec::new(), from);
    for batch in split(bytes) {
        let batch = batch.map_err(|error| error.to_string())?;
        let view = BatchView::parse(&batch).map_err(|error| error.to_string())?;
        next = view.next_offset().get();
        if view.is_control() {
            continue;
        }
        let mut records = view.records(RECORDS_MAX).map_err(|error| error.to_string())?;
        while let Some(record) = records.next_record().map_err(|error| error.to_string())? {
            let offset = record.offset.get();
            // What lies before the offset asked for was not asked for.
            if offset < from {
                continue;
            }
            let wrong = |error| format!("record at {offset}: {error}");
            let id =
                record.key.map(transactional_id).transpose().map_err(|error| wrong(error.to_string()))?;
            let id = id.flatten().ok_or_else(|| wrong("no key of a transactional id".into()))?;
            let value = record.value.map(TransactionValue::decode).transpose();
            let value = value.map_err(|error| wrong(error.to_string()))?;
            let standing = value.map(|value| standing(&value)).transpose().map_err(wrong)?;
            found.push(StateRecord { offset, id, standing });
        }
    }
    Ok((found, next))
}

fn standing(value: &TransactionValue) -> Result<Standing, String> {
    let stage = match value.status {
        0 => Stage::Empty,
        1 => Stage::Ongoing,
        2 => Stage::PrepareCommit,
        3 => Stage::PrepareAbort,
        4 => Stage::CompleteCommit,
        5 => Stage::CompleteAbort,
        other => return Err(format!("state {other}")),
    };
    let topics = value.partitions.iter().flatten().map(|(topic, partitions)| (topic, partitions.as_slice()));
    Ok(Standing { producer: value.producer_id, epoch: value.producer_epoch, stage, partitions: flat(topics) })
}

fn flat<'a>(topics: impl Iterator<Item = (&'a String, &'a [i32])>) -> BTreeSet<(String, i32)> {
    topics
        .flat_map(|(topic, partitions)| partitions.iter().map(|partition| (topic.clone(), *partition)))
        .collect()
}
