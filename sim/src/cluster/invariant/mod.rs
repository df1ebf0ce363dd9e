//! What must hold in every picture of a cluster, one file each. Each file says what it checks and proves on a made-up
//! picture that it can fail.
//!
//! | File | Promise |
//! |---|---|
//! | [`d6_leader_completeness`] | a leader has everything that was ever committed |
//! | [`d7_candidates`] | so has everyone who may be elected |
//! | [`d8_quorum`] | a leader counts everyone who may be elected |
//! | [`d10_matching`] | below the watermark all replicas are the same |
//! | [`d11_lineage`] | an epoch begins at one offset, and epochs grow |
//! | [`d13_one_leader`] | one leader per epoch |

pub mod d10_matching;
pub mod d11_lineage;
pub mod d13_one_leader;
pub mod d6_leader_completeness;
pub mod d7_candidates;
pub mod d8_quorum;

use super::watch::Look;

/// Something that must hold in every picture.
pub trait ClusterInvariant: Send {
    /// Its number in the list of invariants, and a few words.
    fn name(&self) -> &'static str;

    /// Checks one picture.
    ///
    /// # Errors
    /// What does not hold, for people.
    fn check(&mut self, look: &Look) -> Result<(), String>;
}

/// All of them.
pub fn all() -> Vec<Box<dyn ClusterInvariant>> {
    vec![
        Box::new(d6_leader_completeness::LeaderCompleteness),
        Box::new(d7_candidates::Candidates),
        Box::new(d8_quorum::Quorum),
        Box::new(d10_matching::Matching::default()),
        Box::new(d11_lineage::Lineage::default()),
        Box::new(d13_one_leader::OneLeader::default()),
    ]
}

#[cfg(test)]
pub(crate) mod testing {
    use std::collections::BTreeSet;

    use highwater_records::{BrokerId, PartitionIndex, TopicId, TopicIdPartition};

    use super::ClusterInvariant;
    use crate::cluster::watch::{Look, PartitionLook, ReplicaLook};

    pub(crate) fn brokers(ids: &[u32]) -> BTreeSet<BrokerId> {
        ids.iter().copied().map(BrokerId).collect()
    }

    /// Led by broker 1 in epoch 4; brokers 1 and 2 are in sync, 3 is eligible; 10 is committed and all have 12.
    pub(crate) fn sound() -> PartitionLook {
        let replica = ReplicaLook { leader_epoch: 4, log_end: 12, watermark: 10, ..ReplicaLook::default() };
        let leads = ReplicaLook { leads: Some((brokers(&[1, 2]), 7)), ..replica.clone() };
        PartitionLook {
            leader: Some(BrokerId(1)),
            leader_epoch: 4,
            partition_epoch: 7,
            isr: brokers(&[1, 2]),
            eligible: BTreeSet::new(),
            min_isr: 2,
            replicas: [(BrokerId(1), leads), (BrokerId(2), replica.clone()), (BrokerId(3), replica)].into(),
            true_watermark: 10,
        }
    }

    pub(crate) fn look(partition: PartitionLook) -> Look {
        let at = TopicIdPartition { topic_id: TopicId::from_bytes([7; 16]), partition: PartitionIndex(0) };
        Look { partitions: [(at, partition)].into() }
    }

    /// What `invariant` says of `sound` pictures after `change`.
    pub(crate) fn says(
        mut invariant: impl ClusterInvariant,
        change: impl FnOnce(&mut PartitionLook),
    ) -> Result<(), String> {
        invariant.check(&look(sound())).expect("the picture is sound");
        let mut partition = sound();
        change(&mut partition);
        invariant.check(&look(partition))
    }
}
