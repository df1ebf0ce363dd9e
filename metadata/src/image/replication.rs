//! Who is alive and who may lead, as the entries say.

use super::{Image, Partition};
use crate::{BrokerState, EntryId, FeatureRange, ReplicationRecord};
use alloc::{collections::BTreeMap, string::String, sync::Arc, vec::Vec};
use highwater_records::{BrokerEpoch, BrokerId, PartitionIndex, TopicId};

/// A broker's latest registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Its number: the id of the entry that registered it.
    pub epoch: BrokerEpoch,
    /// Drawn by the process that registered; all zero for a broker that stands alone.
    pub incarnation: [u8; 16],
    /// The identity of its data directory; all zero for a broker that stands alone.
    pub directory: [u8; 16],
    /// Whether it takes part.
    pub state: BrokerState,
    /// Features that it supports.
    pub features: Vec<FeatureRange>,
}

impl Image {
    /// The latest registration of a broker.
    pub fn registration(&self, broker: BrokerId) -> Option<&Registration> {
        self.registrations.get(&broker)
    }

    /// Every broker's latest registration.
    pub fn registrations(&self) -> &BTreeMap<BrokerId, Registration> {
        &self.registrations
    }

    /// Whether a broker may lead and be in sync.
    pub fn is_active(&self, broker: BrokerId) -> bool {
        self.registration(broker).is_some_and(|registration| registration.state == BrokerState::Active)
    }

    /// Levels of the features that were set.
    pub fn features(&self) -> &BTreeMap<String, u16> {
        &self.features
    }

    /// A broker registered; unless more is said it takes part at once.
    pub(super) fn register(&mut self, entry: EntryId, broker: BrokerId) {
        let registration = Registration {
            epoch: BrokerEpoch(entry.get()),
            incarnation: [0; 16],
            directory: [0; 16],
            state: BrokerState::Active,
            features: Vec::new(),
        };
        Arc::make_mut(&mut self.registrations).insert(broker, registration);
    }

    pub(super) fn apply_replication(&mut self, entry: EntryId, record: &ReplicationRecord) {
        match record {
            ReplicationRecord::BrokerStarted { broker, incarnation, directory, features } => {
                let registration = Registration {
                    epoch: BrokerEpoch(entry.get()),
                    incarnation: *incarnation,
                    directory: *directory,
                    state: BrokerState::Fenced,
                    features: features.clone(),
                };
                Arc::make_mut(&mut self.registrations).insert(*broker, registration);
            }
            ReplicationRecord::BrokerStateChanged { broker, epoch, state } => {
                if let Some(registration) = Arc::make_mut(&mut self.registrations).get_mut(broker)
                    && registration.epoch == *epoch
                {
                    registration.state = *state;
                }
            }
            ReplicationRecord::ReplicasAssigned { topic, partition, replicas, adding, removing } => {
                self.change_partition(*topic, *partition, |partition| {
                    partition.replicas.clone_from(replicas);
                    partition.adding.clone_from(adding);
                    partition.removing.clone_from(removing);
                });
            }
            ReplicationRecord::EligibleLeaders { topic, partition, replicas, last_known } => {
                self.change_partition(*topic, *partition, |partition| {
                    partition.eligible_leaders.clone_from(replicas);
                    partition.last_known_leader = *last_known;
                });
            }
            ReplicationRecord::LeaderElectedUncleanly { topic, partition, leader_epoch, .. } => {
                self.change_partition(*topic, *partition, |partition| {
                    partition.unclean_epoch = Some(*leader_epoch);
                });
            }
            ReplicationRecord::FeatureLevelSet { feature, level } => {
                Arc::make_mut(&mut self.features).insert(feature.clone(), *level);
            }
        }
    }

    fn change_partition(
        &mut self,
        topic: TopicId,
        partition: PartitionIndex,
        change: impl FnOnce(&mut Partition),
    ) {
        self.change_topic(topic, |topic| {
            if let Some(partition) = topic.partitions.get_mut(partition.0 as usize) {
                change(partition);
            }
        });
    }
}
