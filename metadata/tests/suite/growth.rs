//! Topics grow, and never shrink.

use highwater_metadata::{
    Applied, Broker, Entry, EntryId, Image, MetadataRecord,
    config::BrokerConfig,
    decide::{self, CreatePartitions, CreatePartitionsError, CreateTopic},
};
use highwater_records::{BrokerId, PartitionIndex, TopicId};

fn apply(image: &mut Image, records: Vec<MetadataRecord>) {
    let id = EntryId::after(image.applied()).unwrap();
    let entry = Entry { id, expects: image.last_effective(), records };
    assert_eq!(image.apply(&entry), Applied::Effective);
}

/// Three brokers and a topic of two partitions with two replicas each.
fn cluster() -> Image {
    let mut image = Image::new();
    for broker in 1..=3 {
        let registered = Broker { endpoints: vec![], rack: None };
        let records = decide::register_broker(&image, BrokerId(broker), registered);
        apply(&mut image, records);
    }
    let wish = CreateTopic {
        name: "t".into(),
        partitions: Some(2),
        replication_factor: Some(2),
        ..CreateTopic::default()
    };
    let id = TopicId::from_bytes([7; 16]);
    let records = decide::create_topic(&image, &wish, &BrokerConfig::default(), id).unwrap();
    apply(&mut image, records);
    image
}

fn to(count: i32) -> CreatePartitions {
    CreatePartitions { topic: "t".into(), count, assignments: None }
}

fn assigned(count: i32, assignments: &[&[u32]]) -> CreatePartitions {
    let brokers = |ids: &&[u32]| ids.iter().map(|id| BrokerId(*id)).collect();
    CreatePartitions { assignments: Some(assignments.iter().map(brokers).collect()), ..to(count) }
}

#[test]
fn new_partitions_go_round_the_brokers_where_the_old_ones_stopped() {
    let mut image = cluster();
    let before = image.topic_named("t").unwrap().partitions.clone();
    let records = decide::create_partitions(&image, &to(6)).unwrap();
    assert_eq!(records.len(), 4);
    apply(&mut image, records);
    let topic = image.topic_named("t").unwrap();
    assert!(topic.partitions.iter().take(2).eq(before.iter()));
    assert_eq!(topic.partitions.len(), 6);
    for (at, partition) in topic.partitions.iter().enumerate() {
        // Leaders go on round the circle; the followers of the second round are others than those of the first.
        assert_eq!(partition.replicas[0], topic.partitions[at % 3].replicas[0]);
        assert_eq!(partition.replicas == topic.partitions[at % 3].replicas, at < 3);
        assert_eq!((partition.leader, &partition.isr), (Some(partition.replicas[0]), &partition.replicas));
    }
}

#[test]
fn the_caller_may_choose_the_replicas() {
    let mut image = cluster();
    let records = decide::create_partitions(&image, &assigned(4, &[&[3, 1], &[2, 3]])).unwrap();
    apply(&mut image, records);
    let topic = image.topic_named("t").unwrap();
    assert_eq!(topic.partitions[2].replicas, [BrokerId(3), BrokerId(1)]);
    assert_eq!(topic.partitions[3].leader, Some(BrokerId(2)));
}

#[test]
fn what_does_not_grow_is_refused_in_kafkas_words() {
    let image = cluster();
    let refusal = |wish: &CreatePartitions| decide::create_partitions(&image, wish).unwrap_err();
    assert_eq!(refusal(&to(2)).to_string(), "Topic already has 2 partition(s).");
    assert_eq!(
        refusal(&to(1)).to_string(),
        "The topic t currently has 2 partition(s); 1 would not be an increase."
    );
    assert!(matches!(refusal(&to(-5)), CreatePartitionsError::NotAnIncrease { wanted: -5, .. }));
    assert_eq!(refusal(&to(i32::MAX)), CreatePartitionsError::TooMany(i32::MAX));
    assert_eq!(
        refusal(&assigned(4, &[&[1, 2]])).to_string(),
        "Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified."
    );
    for brokers in [&[1][..], &[1, 1], &[1, 9], &[1, 2, 3]] {
        let refused = refusal(&assigned(3, &[brokers]));
        assert_eq!(refused, CreatePartitionsError::InvalidAssignment(PartitionIndex(2)), "{brokers:?}");
    }
    let unknown = CreatePartitions { topic: "u".into(), ..to(3) };
    assert_eq!(refusal(&unknown), CreatePartitionsError::UnknownTopic);
}
