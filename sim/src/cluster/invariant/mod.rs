//! What must hold in every picture of a cluster, one file each. Each file says what it checks and proves on a made-up
//! picture that it can fail.
//!
//! | File | Promise |
//! |---|---|
//! | [`d2_reported_loss`] | losses are asked for and reported |
//! | [`d3_ack_rule`] | the watermark moves over what every replica in sync has, and only while enough are |
//! | [`d4_joining`] | who joins has everything |
//! | [`d5_unclean`] | who may have lost something is no candidate |
//! | [`d6_leader_completeness`] | a leader has everything that was ever committed |
//! | [`d7_candidates`] | so has everyone who may be elected |
//! | [`d8_quorum`] | a leader counts everyone who may be elected |
//! | [`d9_strong_isr`] | who may be elected has the same as was committed |
//! | [`d10_matching`] | below the watermark all replicas are the same |
//! | [`d11_lineage`] | an epoch begins at one offset, and epochs grow |
//! | [`d12_truncation`] | nobody cuts what it took for committed |
//! | [`d13_one_leader`] | one leader per epoch |
//! | [`d14_watermark`] | a watermark is not beyond the end, and a leader's never goes back |
//! | [`l1_dense`] | no gaps between batches |
//! | [`l5_log_start`] | deleted records do not come back with another leader |
//! | [`l9_compaction`] | compaction keeps the last record of each key, and changes none |
//! | [`m4_same_image`] | the same entries give the same image |
//! | [`m5_replay`] | the log as bytes gives the same image |
//! | [`m6_prefix`] | a broker knows a prefix of the log, and more and more of it |
//! | [`p1_one_copy`] | what a producer sends is committed once and in order |
//! | [`p3_wrap`] | a producer's sequences go on without a gap, and wrap |
//! | [`p4_producers`] | what a leader knows of producers is what the log says |
//! | [`q1_no_spin`] | nobody asks the same again and again while nothing changes |
//! | [`r10_bucket_alone`] | the bucket alone gives what was committed |
//! | [`r1_coverage`] | disk and bucket leave no hole |
//! | [`r3_committed_only`] | only what is committed is in the bucket |
//! | [`r5_manifest`] | what is in the bucket stays known |
//! | [`r7_delete_order`] | nothing goes from the bucket before the log start has moved |

pub mod d10_matching;
pub mod d11_lineage;
pub mod d12_truncation;
pub mod d13_one_leader;
pub mod d14_watermark;
pub mod d2_reported_loss;
pub mod d3_ack_rule;
pub mod d4_joining;
pub mod d5_unclean;
pub mod d6_leader_completeness;
pub mod d7_candidates;
pub mod d8_quorum;
pub mod d9_strong_isr;
pub mod l1_dense;
pub mod l5_log_start;
pub mod l9_compaction;
pub mod m4_same_image;
pub mod m5_replay;
pub mod m6_prefix;
pub mod p1_one_copy;
pub mod p3_wrap;
pub mod p4_producers;
pub mod q1_no_spin;
pub mod r10_bucket_alone;
pub mod r1_coverage;
pub mod r3_committed_only;
pub mod r5_manifest;
pub mod r7_delete_order;
pub(crate) mod r9_orphans;
#[cfg(test)]
pub(crate) mod testing;

use std::collections::BTreeMap;

use highwater_metadata::{Entry, Image, MetadataRecord, ReplicationRecord};
use highwater_node::request::ActiveProducer;
use highwater_records::{BrokerId, TopicIdPartition};

use super::{
    Tombstones,
    look::{Look, PartitionLook},
};
use crate::batch::SeenBatch;

/// What of a partition a promise is about: it is checked again after the very step in which that has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DependsOn {
    /// Who leads, who is in sync, in which epochs, on which brokers.
    Roles,
    /// The same, and any position of any replica.
    Positions,
    /// Batches of any replica that were not read before.
    Batches,
    /// What the bucket has.
    Bucket,
    /// No partition.
    Nothing,
}

/// Something that must hold in every picture.
pub trait ClusterInvariant: Send {
    /// Its number in the list of invariants, and a few words.
    fn name(&self) -> &'static str;

    /// What of a partition it is about.
    fn depends_on(&self) -> DependsOn {
        DependsOn::Nothing
    }

    /// Checks one partition, of which something has changed that it depends on.
    ///
    /// # Errors
    /// What does not hold, for people.
    fn partition(&mut self, at: &TopicIdPartition, partition: &PartitionLook) -> Result<(), String> {
        let _ = (at, partition);
        Ok(())
    }

    /// Checks what a leader says of a partition's producers when nothing happens any more.
    ///
    /// # Errors
    /// What does not hold, for people.
    fn producers(&mut self, at: &TopicIdPartition, told: &[ActiveProducer]) -> Result<(), String> {
        let _ = (at, told);
        Ok(())
    }

    /// Checks what the bucket alone gives of a partition when nothing happens any more.
    ///
    /// # Errors
    /// What does not hold, for people.
    fn bucket(
        &mut self,
        at: &TopicIdPartition,
        batches: &Result<Vec<SeenBatch>, String>,
    ) -> Result<(), String> {
        let _ = (at, batches);
        Ok(())
    }

    /// Checks what brokers know of the metadata log.
    ///
    /// # Errors
    /// What does not hold, for people.
    fn images(&mut self, look: &Look) -> Result<(), String> {
        let _ = look;
        Ok(())
    }

    /// Checks an entry of the metadata log, every one and in order.
    ///
    /// # Errors
    /// What does not hold, for people.
    fn decided(&mut self, decision: &Decision<'_>) -> Result<(), String> {
        let _ = decision;
        Ok(())
    }
}

/// An entry of the metadata log, and what it changed.
pub struct Decision<'a> {
    /// The entry.
    pub entry: &'a Entry,
    /// Whether it took effect.
    pub effective: bool,
    /// The image before it.
    pub before: &'a Image,
    /// The image after it.
    pub after: &'a Image,
    /// How each broker stopped since it last registered.
    pub stops: &'a BTreeMap<BrokerId, Stopped>,
}

impl Decision<'_> {
    /// The brokers that it registers.
    pub fn registered(&self) -> Vec<BrokerId> {
        let started = self.entry.records.iter().filter_map(|record| match record {
            MetadataRecord::Replication(ReplicationRecord::BrokerStarted { broker, .. }) => Some(*broker),
            _ => None,
        });
        if self.effective { started.collect() } else { Vec::new() }
    }

    /// The partitions whose loss it reports.
    pub fn elected_uncleanly(&self) -> Vec<TopicIdPartition> {
        let elected = self.entry.records.iter().filter_map(|record| match record {
            MetadataRecord::Replication(ReplicationRecord::LeaderElectedUncleanly {
                topic,
                partition,
                ..
            }) => Some(TopicIdPartition { topic_id: *topic, partition: *partition }),
            _ => None,
        });
        if self.effective { elected.collect() } else { Vec::new() }
    }

    /// The partitions that it gives other replicas.
    pub fn assigned(&self) -> Vec<TopicIdPartition> {
        let assigned = self.entry.records.iter().filter_map(|record| match record {
            MetadataRecord::Replication(ReplicationRecord::ReplicasAssigned { topic, partition, .. }) => {
                Some(TopicIdPartition { topic_id: *topic, partition: *partition })
            }
            _ => None,
        });
        if self.effective { assigned.collect() } else { Vec::new() }
    }
}

/// How a broker stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stopped {
    /// Not of its own will: the end of its logs may be gone.
    pub unclean: bool,
    /// Its disk was replaced by an empty one.
    pub emptied: bool,
}

/// All of them, for a cluster in which an operator may have partitions led uncleanly, or may not.
pub fn all(operator: bool, tombstones: Tombstones) -> Vec<Box<dyn ClusterInvariant>> {
    vec![
        Box::new(d2_reported_loss::ReportedLoss { operator }),
        Box::new(d3_ack_rule::AckRule::default()),
        Box::new(d4_joining::Joining::default()),
        Box::new(d5_unclean::Unclean),
        Box::new(d6_leader_completeness::LeaderCompleteness),
        Box::new(d7_candidates::Candidates),
        Box::new(d8_quorum::Quorum),
        Box::new(d9_strong_isr::StrongIsr::default()),
        Box::new(d10_matching::Matching::default()),
        Box::new(d11_lineage::Lineage::default()),
        Box::new(d12_truncation::Truncation::default()),
        Box::new(d13_one_leader::OneLeader::default()),
        Box::new(d14_watermark::Watermark::default()),
        Box::new(l1_dense::Dense::default()),
        Box::new(l5_log_start::LogStart),
        Box::new(l9_compaction::Compaction::new(tombstones)),
        Box::new(m4_same_image::SameImage::default()),
        Box::new(m5_replay::Replay::default()),
        Box::new(m6_prefix::Prefix::default()),
        Box::new(p1_one_copy::OneCopy::default()),
        Box::new(p3_wrap::Wrap::default()),
        Box::new(p4_producers::Producers::default()),
        Box::new(r10_bucket_alone::BucketAlone::default()),
        Box::new(r1_coverage::Coverage),
        Box::new(r3_committed_only::CommittedOnly),
        Box::new(r5_manifest::Manifest::default()),
        Box::new(r7_delete_order::DeleteOrder),
    ]
}
