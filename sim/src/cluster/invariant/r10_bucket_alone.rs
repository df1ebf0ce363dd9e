//! R10: whoever knows nothing but the bucket gets from it exactly what was committed, from its log start to its end: every
//! object that a head names is there (R6, R7), holds what its sums say (R8), and the batches are those that replicas had
//! on their disks (R12). Checked when nothing happens any more.

use std::collections::{BTreeMap, BTreeSet};

use highwater_records::TopicIdPartition;

use super::{ClusterInvariant, DependsOn};
use crate::{batch::SeenBatch, cluster::look::PartitionLook};

/// See the file's text.
#[derive(Default)]
pub struct BucketAlone {
    /// What was committed, by base offset: last offset, content, leader epoch.
    committed: BTreeMap<TopicIdPartition, BTreeMap<u64, (u64, u64, i32)>>,
    /// Partitions that the older one of two processes with one number has led: what it copied to the bucket need not be
    /// on any other disk.
    led_by_older: BTreeSet<TopicIdPartition>,
}

impl ClusterInvariant for BucketAlone {
    fn name(&self) -> &'static str {
        "R10 the bucket alone gives what was committed"
    }

    fn depends_on(&self) -> DependsOn {
        DependsOn::Batches
    }

    fn partition(&mut self, at: &TopicIdPartition, partition: &PartitionLook) -> Result<(), String> {
        if !partition.is_tiered {
            return Ok(());
        }
        if !partition.older.is_empty() {
            self.led_by_older.insert(*at);
        }
        let by_older = self.led_by_older.contains(at);
        let committed = self.committed.entry(*at).or_default();
        for replica in partition.replicas.values() {
            // A batch is shown once, which may be before its replica has heard that it counts. What an older process counts
            // need not be what others have.
            let by_others = if by_older { 0 } else { partition.true_watermark };
            let counts = replica.watermark.max(by_others);
            for batch in replica.fresh.iter().filter(|batch| batch.last < counts) {
                committed.entry(batch.base).or_insert((batch.last, batch.content, batch.epoch));
            }
        }
        Ok(())
    }

    fn bucket(
        &mut self,
        at: &TopicIdPartition,
        batches: &Result<Vec<SeenBatch>, String>,
    ) -> Result<(), String> {
        let batches = batches.as_ref().map_err(|why| format!("{at}: {why}"))?;
        let committed = self.committed.entry(*at).or_default();
        let mut next = None;
        for batch in batches {
            if next.is_some_and(|next| next != batch.base) {
                return Err(format!(
                    "{at}: the bucket has a batch at {}, and none between {next:?} and it",
                    batch.base
                ));
            }
            next = Some(batch.last + 1);
            let found = (batch.last, batch.content, batch.epoch);
            match committed.get(&batch.base) {
                Some(known) if *known == found => {}
                None if self.led_by_older.contains(at) => {}
                known => {
                    return Err(format!(
                        "{at}: at {} the bucket has {found:?}, and {known:?} was committed",
                        batch.base
                    ));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use highwater_records::BrokerId;

    use super::*;
    use crate::cluster::invariant::testing::{AT, batch, sound};

    #[test]
    fn other_batches_and_gaps() {
        let mut alone = BucketAlone::default();
        let mut partition = PartitionLook { is_tiered: true, ..sound() };
        partition.replicas.get_mut(&BrokerId(1)).unwrap().fresh =
            vec![batch(0, 1, 4), batch(2, 2, 5), batch(3, 6, 6)];
        assert_eq!(alone.partition(&AT, &partition), Ok(()));
        let mut says = |batches: &[SeenBatch]| alone.bucket(&AT, &Ok(batches.to_vec()));
        assert_eq!(says(&[batch(2, 2, 5), batch(3, 6, 6)]), Ok(()));
        assert!(says(&[batch(0, 1, 4), batch(3, 6, 6)]).unwrap_err().contains("none between Some(2)"));
        assert!(says(&[batch(2, 2, 9)]).unwrap_err().contains("was committed"));
        assert!(says(&[batch(7, 7, 9)]).unwrap_err().contains("None was committed"));
        assert!(alone.bucket(&AT, &Err("gone".into())).unwrap_err().contains("gone"));
    }
}
