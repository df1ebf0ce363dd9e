//! Pictures of a cluster at one moment, as plain values: what invariants check.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use highwater_metadata::Image;
use highwater_records::{BrokerId, Durability};

use super::KeyedBatch;
use crate::batch::SeenBatch;

/// What brokers know of the metadata log at one moment.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// What all entries add up to.
    pub truth: Arc<Image>,
    /// What running brokers know.
    pub images: BTreeMap<BrokerId, Arc<Image>>,
}

/// One partition.
#[derive(Clone, Debug)]
pub struct PartitionLook {
    /// Who leads, by the metadata log.
    pub leader: Option<BrokerId>,
    /// The leader epoch in force.
    pub leader_epoch: u32,
    /// Version.
    pub partition_epoch: u32,
    /// The in-sync set.
    pub isr: BTreeSet<BrokerId>,
    /// Who else may be elected.
    pub eligible: BTreeSet<BrokerId>,
    /// `min.insync.replicas`, at most the number of replicas.
    pub min_isr: usize,
    /// Whether its segments go to the bucket.
    pub is_tiered: bool,
    /// What the watermark counts.
    pub durability: Durability,
    /// Replicas of running brokers.
    pub replicas: BTreeMap<BrokerId, ReplicaLook>,
    /// The older of two processes with one number, where it leads: which life of its broker, in which epoch.
    pub older: BTreeMap<BrokerId, (u64, u32)>,
    /// The highest watermark that any replica has had until now, this look not counted but for older processes.
    pub true_watermark: u64,
    /// The highest log start that any replica has had until now, this look not counted.
    pub true_start: u64,
    /// Where it starts at least, because somebody was told that what is below is deleted.
    pub deleted: u64,
    /// What the bucket has, if it was looked at this time: from (inclusive) and to (exclusive).
    pub tiered: Option<(u64, u64)>,
    /// Whether replicas compact it, each by itself: then their batches differ.
    pub compacts: bool,
}

/// One replica.
#[derive(Clone, Debug)]
pub struct ReplicaLook {
    /// Which life of its broker.
    pub life: u64,
    /// The leader epoch that its broker knows.
    pub leader_epoch: u32,
    /// What it works with, if it leads.
    pub leads: Option<Leads>,
    /// The log start (inclusive).
    pub log_start: u64,
    /// The first offset on its disk (inclusive).
    pub local_start: u64,
    /// The durable end (exclusive).
    pub durable_end: u64,
    /// The log end (exclusive).
    pub log_end: u64,
    /// The watermark (exclusive).
    pub watermark: u64,
    /// Epochs and where they begin.
    pub epochs: Vec<(u32, u64)>,
    /// Where offsets end (exclusive) that were known to be damaged when the epochs were looked at.
    pub damage_ends: Vec<u64>,
    /// Batches below the watermark that were not looked at before. Of replicas that may be elected, below any watermark
    /// that any replica ever had.
    pub fresh: Vec<SeenBatch>,
    /// The same with their records, where the log compacts; or which of them is no valid batch.
    pub keyed: Result<Vec<KeyedBatch>, String>,
}

/// What only a leader has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leads {
    /// Everyone who may be in sync.
    pub maximal: BTreeSet<BrokerId>,
    /// The version of the partition that it knows.
    pub version: u32,
    /// Where its log ended when it began to lead (exclusive).
    pub epoch_start: u64,
}

impl Default for PartitionLook {
    fn default() -> PartitionLook {
        PartitionLook {
            leader: None,
            leader_epoch: 0,
            partition_epoch: 0,
            isr: BTreeSet::new(),
            eligible: BTreeSet::new(),
            min_isr: 0,
            is_tiered: false,
            durability: Durability::Synced,
            replicas: BTreeMap::new(),
            older: BTreeMap::new(),
            true_watermark: 0,
            true_start: 0,
            deleted: 0,
            tiered: None,
            compacts: false,
        }
    }
}

impl Default for ReplicaLook {
    fn default() -> ReplicaLook {
        ReplicaLook {
            life: 0,
            leader_epoch: 0,
            leads: None,
            log_start: 0,
            local_start: 0,
            durable_end: 0,
            log_end: 0,
            watermark: 0,
            epochs: Vec::new(),
            damage_ends: Vec::new(),
            fresh: Vec::new(),
            keyed: Ok(Vec::new()),
        }
    }
}

impl PartitionLook {
    /// What was read was looked at.
    pub fn forget_fresh(&mut self) {
        for replica in self.replicas.values_mut() {
            replica.fresh.clear();
            replica.keyed = Ok(Vec::new());
        }
    }

    /// How far a replica has come, as the watermark counts it (exclusive).
    pub fn counted(&self, replica: &ReplicaLook) -> u64 {
        match self.durability {
            Durability::Synced => replica.durable_end,
            Durability::Replicated => replica.log_end,
        }
    }

    /// Replicas that lead in the epoch in force.
    pub fn leaders(&self) -> impl Iterator<Item = (BrokerId, &ReplicaLook, &Leads)> {
        self.replicas
            .iter()
            .filter(|(_, replica)| replica.leader_epoch == self.leader_epoch)
            .filter_map(|(broker, replica)| Some((*broker, replica, replica.leads.as_ref()?)))
    }
}
