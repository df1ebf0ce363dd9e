//! Images are built by replay alone.

use highwater_metadata::{
    Applied, Broker, ConfigResource, Entry, EntryId, Image, MetadataRecord,
    decide::{self, UnknownTopic},
};
use highwater_records::{BrokerId, LeaderEpoch, PartitionIndex, ProducerId, TopicId, TopicIdPartition};

const ORDERS: TopicId = TopicId::from_bytes([1; 16]);
const MINE: BrokerId = BrokerId(1);
const OTHER: BrokerId = BrokerId(2);

fn apply(image: &mut Image, records: Vec<MetadataRecord>) {
    let id = EntryId::after(image.applied()).unwrap();
    let entry = Entry { id, expects: image.last_effective(), records };
    assert_eq!(image.apply(&entry), Applied::Effective);
}

fn topic(id: TopicId, name: &str, leaders: &[BrokerId]) -> Vec<MetadataRecord> {
    let mut records = vec![MetadataRecord::TopicCreated { id, name: name.into() }];
    for (index, leader) in (0..).zip(leaders) {
        records.push(MetadataRecord::PartitionCreated {
            topic: id,
            partition: PartitionIndex(index),
            replicas: vec![*leader],
            isr: vec![*leader],
            leader: Some(*leader),
            leader_epoch: LeaderEpoch(0),
        });
    }
    records
}

fn epoch(image: &Image, partition: u32) -> LeaderEpoch {
    let id = TopicIdPartition { topic_id: ORDERS, partition: PartitionIndex(partition) };
    image.leader_epoch(image.partition(id).unwrap())
}

#[test]
fn an_entry_decided_on_another_image_changes_nothing() {
    let mut image = Image::new();
    let records = decide::create_cluster(&image, "abc");
    apply(&mut image, records);
    let before = image.clone();

    let stale =
        Entry { id: EntryId::new(2).unwrap(), expects: None, records: topic(ORDERS, "orders", &[MINE]) };
    assert_eq!(image.apply(&stale), Applied::Dropped);
    assert_eq!(image.applied(), EntryId::new(2));
    assert_eq!(image.last_effective(), EntryId::new(1));
    assert!(image.topic(ORDERS).is_none());
    assert_eq!(image.cluster_id(), before.cluster_id());

    // The next one expects what was effective, not what was seen.
    let current = Entry { id: EntryId::new(3).unwrap(), expects: EntryId::new(1), records: stale.records };
    assert_eq!(image.apply(&current), Applied::Effective);
    assert_eq!(image.topic_named("orders").unwrap().id, ORDERS);
}

#[test]
fn readers_keep_the_picture_they_hold() {
    use std::sync::Arc;
    let mut current = Arc::new(Image::new());
    apply(Arc::make_mut(&mut current), topic(ORDERS, "orders", &[MINE, MINE]));
    let held = Arc::clone(&current);
    let records = decide::delete_topic(&current, ORDERS).unwrap();
    apply(Arc::make_mut(&mut current), records);
    assert_eq!(held.topic(ORDERS).unwrap().partitions.len(), 2);
    assert!(current.topic(ORDERS).is_none());
    assert!(current.topic_named("orders").is_none());
    assert_eq!(decide::delete_topic(&current, ORDERS), Err(UnknownTopic(ORDERS)));
}

#[test]
fn the_floor_raises_every_epoch_of_its_broker_and_no_other() {
    let mut image = Image::new();
    assert!(decide::raise_epoch_floor(&image, MINE).is_empty());
    apply(&mut image, topic(ORDERS, "orders", &[MINE, OTHER, MINE]));
    for expected in 1..=2 {
        let records = decide::raise_epoch_floor(&image, MINE);
        assert_eq!(records.len(), 1);
        apply(&mut image, records);
        let expected = LeaderEpoch(expected);
        assert_eq!(
            [epoch(&image, 0), epoch(&image, 1), epoch(&image, 2)],
            [expected, LeaderEpoch(0), expected]
        );
    }
    assert_eq!(image.epoch_floor(MINE), LeaderEpoch(2));
    assert_eq!(image.epoch_floor(OTHER), LeaderEpoch(0));
    // A lower floor from anywhere does not bring it down.
    apply(&mut image, vec![MetadataRecord::EpochFloorRaised { broker: MINE, floor: LeaderEpoch(1) }]);
    assert_eq!(epoch(&image, 0), LeaderEpoch(2));
}

#[test]
fn a_leader_epoch_does_not_go_back_when_the_leader_with_the_floor_leaves() {
    let mut image = Image::new();
    apply(&mut image, topic(ORDERS, "orders", &[MINE]));
    let raise = decide::raise_epoch_floor(&image, MINE);
    apply(&mut image, raise);
    apply(
        &mut image,
        vec![MetadataRecord::PartitionChanged {
            topic: ORDERS,
            partition: PartitionIndex(0),
            isr: vec![OTHER],
            leader: Some(OTHER),
            leader_epoch: LeaderEpoch(0),
            partition_epoch: 1,
        }],
    );
    assert_eq!(epoch(&image, 0), LeaderEpoch(1));
}

#[test]
fn topic_names_come_free_and_ids_do_not_mix() {
    let mut image = Image::new();
    apply(&mut image, topic(ORDERS, "orders", &[MINE]));
    apply(
        &mut image,
        vec![MetadataRecord::ConfigSet {
            resource: ConfigResource::Topic(ORDERS),
            key: "retention.ms".into(),
            value: Some("1".into()),
        }],
    );
    let records = decide::delete_topic(&image, ORDERS).unwrap();
    apply(&mut image, records);
    let again = TopicId::from_bytes([2; 16]);
    apply(&mut image, topic(again, "orders", &[OTHER]));
    let topic = image.topic_named("orders").unwrap();
    assert_eq!(topic.id, again);
    assert!(topic.configs.is_empty());
    assert_eq!(image.topics().count(), 1);
    assert_eq!(image.topic_count(), 1);
}

#[test]
fn records_that_contradict_the_image_change_nothing() {
    let mut image = Image::new();
    apply(&mut image, topic(ORDERS, "orders", &[MINE]));
    let topics: Vec<_> = image.topics().cloned().collect();
    let other = TopicId::from_bytes([9; 16]);
    let mut records = topic(other, "orders", &[MINE]);
    records.extend(topic(ORDERS, "renamed", &[]));
    records.push(MetadataRecord::TopicDeleted { id: other });
    records.push(MetadataRecord::PartitionChanged {
        topic: ORDERS,
        partition: PartitionIndex(7),
        isr: vec![],
        leader: None,
        leader_epoch: LeaderEpoch(9),
        partition_epoch: 9,
    });
    apply(&mut image, records);
    assert_eq!(image.topics().cloned().collect::<Vec<_>>(), topics);
}

#[test]
fn producer_ids_come_in_blocks_that_never_overlap() {
    let mut image = Image::new();
    let mut next = 0;
    for broker in [MINE, OTHER, MINE] {
        let (records, block) = decide::allocate_producer_ids(&image, broker).unwrap();
        assert_eq!((block.first, block.end), (ProducerId(next), ProducerId(next + 1000)));
        apply(&mut image, records);
        next += 1000;
    }
    apply(
        &mut image,
        vec![MetadataRecord::ProducerIdsAllocated { broker: MINE, next: ProducerId(i64::MAX as u64 - 10) }],
    );
    assert!(decide::allocate_producer_ids(&image, MINE).is_err());
}

#[test]
fn clusters_and_brokers_are_registered_once() {
    let mut image = Image::new();
    let records = decide::create_cluster(&image, "first");
    apply(&mut image, records);
    assert!(decide::create_cluster(&image, "second").is_empty());
    assert_eq!(image.cluster_id(), Some("first"));

    let broker = Broker { endpoints: vec![], rack: Some("a".into()) };
    let records = decide::register_broker(&image, MINE, broker.clone());
    apply(&mut image, records);
    assert!(decide::register_broker(&image, MINE, broker).is_empty());
    assert_eq!(decide::register_broker(&image, MINE, Broker { endpoints: vec![], rack: None }).len(), 1);
}

#[test]
fn configs_are_set_and_unset() {
    let mut image = Image::new();
    let set = |resource, value: Option<&str>| {
        vec![MetadataRecord::ConfigSet { resource, key: "k".into(), value: value.map(Into::into) }]
    };
    apply(&mut image, set(ConfigResource::Brokers, Some("all")));
    apply(&mut image, set(ConfigResource::Broker(MINE), Some("mine")));
    assert_eq!(image.broker_configs(None)["k"], "all");
    assert_eq!(image.broker_configs(Some(MINE))["k"], "mine");
    apply(&mut image, set(ConfigResource::Broker(MINE), None));
    assert!(image.broker_configs(Some(MINE)).is_empty());
    assert!(image.broker_configs(Some(OTHER)).is_empty());
}

#[test]
fn a_deleted_topic_is_remembered_until_it_is_purged() {
    let id = TopicId::from_bytes([7; 16]);
    let mut image = Image::new();
    let mut entry = |records| {
        let expects = image.last_effective();
        let id = EntryId::after(image.applied()).unwrap();
        assert_eq!(image.apply(&Entry { id, expects, records }), Applied::Effective);
        image.clone()
    };
    entry(vec![MetadataRecord::TopicCreated { id, name: "t".into() }]);
    let deleted = entry(vec![MetadataRecord::TopicDeleted { id }]);
    assert_eq!(deleted.deleted_topics().map(|topic| topic.id).collect::<Vec<_>>(), [id]);
    assert!(deleted.topic_named("t").is_none());
    let records = highwater_metadata::decide::purge_topic(&deleted, id);
    let purged = entry(records);
    assert_eq!(purged.deleted_topics().count(), 0);
    assert_eq!(highwater_metadata::decide::purge_topic(&purged, id), []);
}

#[test]
fn a_change_shares_with_the_old_image_what_it_does_not_touch() {
    use std::sync::Arc;
    let mut image = Image::new();
    apply(&mut image, topic(ORDERS, "orders", &[MINE; 2_000]));
    for number in 0..2_000u16 {
        let mut id = [9; 16];
        id[..2].copy_from_slice(&number.to_be_bytes());
        apply(&mut image, topic(TopicId::from_bytes(id), &format!("other-{number}"), &[MINE]));
    }
    let held = image.clone();
    let changed = MetadataRecord::PartitionChanged {
        topic: ORDERS,
        partition: PartitionIndex(1_234),
        isr: vec![OTHER],
        leader: Some(OTHER),
        leader_epoch: LeaderEpoch(1),
        partition_epoch: 1,
    };
    apply(&mut image, vec![changed]);
    let topics = held.topics().zip(image.topics());
    assert_eq!(topics.filter(|(before, after)| !Arc::ptr_eq(before, after)).count(), 1);
    let partitions = |image: &Image| image.topic(ORDERS).unwrap().partitions.clone();
    let (before, after) = (partitions(&held), partitions(&image));
    let moved = |at: &usize| !std::ptr::eq(&before[*at], &after[*at]);
    assert_eq!((0..2_000).filter(moved).collect::<Vec<_>>(), [1_234]);
    assert_eq!((before[1_234].leader, after[1_234].leader), (Some(MINE), Some(OTHER)));
}
