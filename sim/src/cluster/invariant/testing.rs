//! Made-up pictures.

use std::collections::{BTreeMap, BTreeSet};

use highwater_metadata::{
    ConfigResource, Entry, EntryId, FeatureRange, Image, MetadataRecord, ReplicationRecord,
};
use highwater_records::{BrokerId, Durability, LeaderEpoch, PartitionIndex, TopicId, TopicIdPartition};

use super::{ClusterInvariant, Decision, Stopped};
use crate::{
    batch::SeenBatch,
    cluster::look::{Leads, PartitionLook, ReplicaLook},
};

pub(crate) fn brokers(ids: &[u32]) -> BTreeSet<BrokerId> {
    ids.iter().copied().map(BrokerId).collect()
}

/// Led by broker 1 in epoch 4, which began at 11; brokers 1 and 2 are in sync; 10 is committed and all have 12.
pub(crate) fn sound() -> PartitionLook {
    let replica = ReplicaLook {
        leader_epoch: 4,
        log_end: 12,
        durable_end: 12,
        watermark: 10,
        ..ReplicaLook::default()
    };
    let leads = Leads { maximal: brokers(&[1, 2]), version: 7, epoch_start: 11 };
    let leader = ReplicaLook { leads: Some(leads), ..replica.clone() };
    PartitionLook {
        leader: Some(BrokerId(1)),
        leader_epoch: 4,
        partition_epoch: 7,
        isr: brokers(&[1, 2]),
        eligible: BTreeSet::new(),
        min_isr: 2,
        is_tiered: false,
        durability: Durability::Synced,
        replicas: [(BrokerId(1), leader), (BrokerId(2), replica.clone()), (BrokerId(3), replica)].into(),
        older: BTreeMap::new(),
        true_watermark: 10,
        true_start: 0,
        deleted: 0,
        tiered: None,
        compacts: false,
    }
}

pub(crate) fn batch(base: u64, last: u64, content: u64) -> SeenBatch {
    SeenBatch { base, last, epoch: 1, content, first_timestamp: 0, size: 100, producer: None }
}

/// What `invariant` says of `sound` pictures after `change`.
pub(crate) fn says(
    mut invariant: impl ClusterInvariant,
    change: impl FnOnce(&mut PartitionLook),
) -> Result<(), String> {
    invariant.partition(&AT, &sound()).expect("the picture is sound");
    let mut partition = sound();
    change(&mut partition);
    invariant.partition(&AT, &partition)
}

const TOPIC: TopicId = TopicId::from_bytes([7; 16]);
/// The partition that pictures are of.
pub(crate) const AT: TopicIdPartition = TopicIdPartition { topic_id: TOPIC, partition: PartitionIndex(0) };

/// An image of so many entries, each of which sets one feature.
pub(crate) fn image(features: &[&str]) -> Image {
    let mut image = Image::new();
    for feature in features {
        let feature = (*feature).to_owned();
        apply(
            &mut image,
            vec![MetadataRecord::Replication(ReplicationRecord::FeatureLevelSet { feature, level: 1 })],
        );
    }
    image
}

fn apply(image: &mut Image, records: Vec<MetadataRecord>) -> Entry {
    let id = EntryId::new(image.applied().map_or(0, EntryId::get) + 1).expect("above zero");
    let entry = Entry { id, expects: image.last_effective(), records };
    image.apply(&entry);
    entry
}

/// What `invariant` says when a broker that stopped like this registers and stays in sync in a topic of this durability.
pub(crate) fn registered_again(
    mut invariant: impl ClusterInvariant,
    durability: &str,
    stopped: Stopped,
) -> Result<(), String> {
    let mut before = Image::new();
    apply(
        &mut before,
        vec![
            MetadataRecord::TopicCreated { id: TOPIC, name: "t".into() },
            MetadataRecord::PartitionCreated {
                topic: TOPIC,
                partition: PartitionIndex(0),
                replicas: vec![BrokerId(1), BrokerId(2)],
                isr: vec![BrokerId(1), BrokerId(2)],
                leader: Some(BrokerId(2)),
                leader_epoch: LeaderEpoch(0),
            },
            MetadataRecord::ConfigSet {
                resource: ConfigResource::Topic(TOPIC),
                key: "highwater.durability".into(),
                value: Some(durability.into()),
            },
        ],
    );
    let mut after = before.clone();
    let started = ReplicationRecord::BrokerStarted {
        broker: BrokerId(1),
        incarnation: [1; 16],
        directory: [2; 16],
        features: Vec::<FeatureRange>::new(),
    };
    let entry = apply(&mut after, vec![MetadataRecord::Replication(started)]);
    let stops = BTreeMap::from([(BrokerId(1), stopped)]);
    let decision = Decision { entry: &entry, effective: true, before: &before, after: &after, stops: &stops };
    invariant.decided(&decision)
}

/// A partition of brokers 1 and 2 that nobody leads, in which 2 alone is in sync.
pub(crate) fn image_with_topic() -> Image {
    let mut image = Image::new();
    let created = MetadataRecord::PartitionCreated {
        topic: AT.topic_id,
        partition: AT.partition,
        replicas: vec![BrokerId(1), BrokerId(2)],
        isr: vec![BrokerId(2)],
        leader: None,
        leader_epoch: LeaderEpoch(0),
    };
    apply(&mut image, vec![MetadataRecord::TopicCreated { id: TOPIC, name: "t".into() }, created]);
    image
}

/// What `invariant` says when `leader` is elected in `epoch`, with a report or without, in a partition of brokers 1 and 2
/// that nobody leads, in which 2 alone is in sync.
pub(crate) fn elected(
    mut invariant: impl ClusterInvariant,
    leader: u32,
    epoch: u32,
    report: bool,
) -> Result<(), String> {
    let (topic, partition) = (AT.topic_id, AT.partition);
    let before = image_with_topic();
    let mut after = before.clone();
    let changed = MetadataRecord::PartitionChanged {
        topic,
        partition,
        isr: vec![BrokerId(leader)],
        leader: Some(BrokerId(leader)),
        leader_epoch: LeaderEpoch(epoch),
        partition_epoch: 1,
    };
    let unclean = ReplicationRecord::LeaderElectedUncleanly {
        topic,
        partition,
        leader: BrokerId(leader),
        leader_epoch: LeaderEpoch(epoch),
    };
    let mut records = vec![changed];
    records.extend(report.then_some(MetadataRecord::Replication(unclean)));
    let entry = apply(&mut after, records);
    let stops = BTreeMap::new();
    let decision = Decision { entry: &entry, effective: true, before: &before, after: &after, stops: &stops };
    invariant.decided(&decision)
}
