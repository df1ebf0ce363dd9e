//! P4: what a leader knows of producers is what the log says, however it came to know it: from batches that it took as
//! leader or follower, from a snapshot and the batches behind it after a restart or a truncation, or from its own log where
//! it began at the end of the tier. Checked when nothing happens any more.

use std::collections::BTreeMap;

use highwater_node::request::ActiveProducer;
use highwater_records::TopicIdPartition;

use super::{ClusterInvariant, DependsOn};
use crate::cluster::look::PartitionLook;

/// See the file's text.
#[derive(Default)]
pub struct Producers {
    /// For each producer: the offset of its last committed batch, the epoch, and the last sequence of it.
    last: BTreeMap<(TopicIdPartition, i64), (u64, i16, i32)>,
}

impl ClusterInvariant for Producers {
    fn name(&self) -> &'static str {
        "P4 producers are what the log says"
    }

    fn depends_on(&self) -> DependsOn {
        DependsOn::Batches
    }

    fn partition(&mut self, at: &TopicIdPartition, partition: &PartitionLook) -> Result<(), String> {
        for replica in partition.replicas.values() {
            // What an older process of the leader counts as committed its followers have before they hear of it, and are read
            // once.
            let committed = replica.watermark.max(partition.true_watermark);
            for batch in replica.fresh.iter().filter(|batch| batch.last < committed) {
                let Some((id, epoch, sequence)) = batch.producer else { continue };
                let records =
                    i32::try_from(batch.last - batch.base).map_err(|_| "a batch of too many records")?;
                // Sequences wrap after the highest number there is.
                let end = i32::try_from((i64::from(sequence) + i64::from(records)) & i64::from(i32::MAX));
                let seen = (batch.base, epoch, end.map_err(|error| error.to_string())?);
                let known = self.last.entry((*at, id)).or_insert(seen);
                *known = (*known).max(seen);
            }
        }
        Ok(())
    }

    fn producers(&mut self, at: &TopicIdPartition, told: &[ActiveProducer]) -> Result<(), String> {
        for producer in told {
            let id = producer.id.0.cast_signed();
            let Some((base, epoch, last)) = self.last.get(&(*at, id)) else { continue };
            // A marker may have raised the epoch, and begun its sequences anew.
            let same = producer.epoch == *epoch && producer.last_sequence.is_some();
            if producer.epoch < *epoch || (same && producer.last_sequence != Some(*last)) {
                return Err(format!(
                    "{at}: producer {id} wrote sequence {last} in epoch {epoch} at {base}, and the leader says {producer:?}"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use highwater_records::{BrokerId, ProducerId, TimestampMs};

    use super::*;
    use crate::{
        batch::SeenBatch,
        cluster::invariant::testing::{AT, batch, sound},
    };

    #[test]
    fn an_older_state() {
        let mut producers = Producers::default();
        let mut partition = sound();
        let of = |base, last, epoch, sequence| SeenBatch {
            producer: Some((7, epoch, sequence)),
            ..batch(base, last, 1)
        };
        partition.replicas.get_mut(&BrokerId(1)).unwrap().fresh =
            vec![of(0, 2, 1, 0), of(3, 3, 1, 3), of(4, 6, 1, i32::MAX)];
        assert_eq!(producers.partition(&AT, &partition), Ok(()));
        let mut says = |epoch, last_sequence| {
            producers.producers(
                &AT,
                &[ActiveProducer {
                    id: ProducerId(7),
                    epoch,
                    last_sequence,
                    last_timestamp: TimestampMs(0),
                    coordinator_epoch: None,
                    transaction_start: None,
                }],
            )
        };
        assert_eq!(says(1, Some(1)), Ok(()), "the last batch wraps");
        assert_eq!(says(2, None), Ok(()), "a marker has raised the epoch");
        assert!(says(1, Some(3)).unwrap_err().contains("wrote sequence 1 in epoch 1 at 4"));
        assert!(says(0, None).is_err());
    }
}
