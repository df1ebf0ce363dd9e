//! Which cluster this is, and who belongs to it.

use crate::{Broker, Image, MetadataRecord};
use alloc::{string::String, vec, vec::Vec};
use highwater_records::{BrokerId, LeaderEpoch};

/// Names the cluster, unless it has a name.
pub fn create_cluster(image: &Image, cluster_id: &str) -> Vec<MetadataRecord> {
    match image.cluster_id() {
        Some(_) => Vec::new(),
        None => vec![MetadataRecord::ClusterCreated { cluster_id: String::from(cluster_id) }],
    }
}

/// Registers a broker, unless it is registered with the same properties.
pub fn register_broker(image: &Image, id: BrokerId, broker: Broker) -> Vec<MetadataRecord> {
    if image.brokers().get(&id) == Some(&broker) {
        return Vec::new();
    }
    let Broker { endpoints, rack } = broker;
    vec![MetadataRecord::BrokerRegistered { broker: id, endpoints, rack }]
}

/// After an unclean stop of `broker`: makes the leader epoch of everything it leads greater than any that was in force,
/// with one record however many partitions that are. Nothing when it leads nothing.
///
/// The broker may have handed out offsets in its last epoch that its log no longer has; in a new epoch they
/// can be told apart.
pub fn raise_epoch_floor(image: &Image, broker: BrokerId) -> Vec<MetadataRecord> {
    let in_force = image
        .topics()
        .flat_map(|topic| topic.partitions.iter())
        .filter(|partition| partition.leader == Some(broker))
        .map(|partition| image.leader_epoch(partition))
        .max();
    match in_force {
        None => Vec::new(),
        Some(epoch) => {
            let floor = LeaderEpoch(epoch.0.saturating_add(1));
            vec![MetadataRecord::EpochFloorRaised { broker, floor }]
        }
    }
}
