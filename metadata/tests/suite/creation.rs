//! Which topics are created, and what is stored with them.

use highwater_metadata::{
    Applied, Broker, Entry, EntryId, Image, MetadataRecord,
    config::{BrokerConfig, ConfigProblem, Settings, TopicConfig},
    decide::{self, CreateTopic, CreateTopicError, InvalidTopicName},
};
use highwater_records::{BrokerId, Durability, PartitionIndex, TopicId};
use std::collections::BTreeMap;

pub(crate) fn apply(image: &mut Image, records: Vec<MetadataRecord>) {
    let id = EntryId::after(image.applied()).unwrap();
    let entry = Entry { id, expects: image.last_effective(), records };
    assert_eq!(image.apply(&entry), Applied::Effective);
}

pub(crate) fn cluster(brokers: u32) -> Image {
    let mut image = Image::new();
    for broker in 1..=brokers {
        let records =
            decide::register_broker(&image, BrokerId(broker), Broker { endpoints: vec![], rack: None });
        apply(&mut image, records);
    }
    image
}

pub(crate) fn id(number: u8) -> TopicId {
    TopicId::from_bytes([number; 16])
}

fn wish(name: &str) -> CreateTopic {
    CreateTopic { name: name.into(), ..CreateTopic::default() }
}

pub(crate) fn configured(given: &[(&str, &str)]) -> BrokerConfig {
    let mut settings = Settings::new();
    for (key, value) in given {
        settings.give(key, value).unwrap();
    }
    BrokerConfig::new(settings).unwrap()
}

pub(crate) fn with(name: &str, configs: &[(&str, &str)]) -> CreateTopic {
    let configs = configs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    CreateTopic { configs, ..wish(name) }
}

fn refusal(wish: &CreateTopic) -> CreateTopicError {
    decide::create_topic(&cluster(3), wish, &BrokerConfig::default(), id(1)).unwrap_err()
}

#[test]
fn a_plain_topic_has_the_defaults_and_what_is_decided_once() {
    let mut image = cluster(1);
    let broker = configured(&[("num.partitions", "4")]);
    let records = decide::create_topic(&image, &wish("orders"), &broker, id(1)).unwrap();
    apply(&mut image, records);
    let topic = image.topic_named("orders").unwrap();
    assert_eq!(topic.partitions.len(), 4);
    for (_, partition) in topic.numbered() {
        assert_eq!(partition.leader, Some(BrokerId(1)));
        assert_eq!(partition.isr, [BrokerId(1)]);
    }
    let stored: Vec<_> = topic.configs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(stored, [("highwater.durability", "synced"), ("remote.storage.enable", "true")]);

    // A later default does not change what was decided.
    let changed =
        configured(&[("highwater.durability", "replicated"), ("remote.log.storage.system.enable", "false")]);
    let resolved = TopicConfig::resolve(&topic.configs, &changed, 1).unwrap();
    assert_eq!((resolved.durability, resolved.remote_storage), (Durability::Synced, true));
}

#[test]
fn replicas_are_spread_and_make_a_topic_replicated() {
    let mut image = cluster(3);
    let wish = CreateTopic { partitions: Some(6), replication_factor: Some(2), ..wish("orders") };
    let records = decide::create_topic(&image, &wish, &BrokerConfig::default(), id(7)).unwrap();
    apply(&mut image, records);
    let topic = image.topic_named("orders").unwrap();
    assert_eq!(topic.configs["highwater.durability"], "replicated");
    for broker in 1..=3 {
        let led = topic.partitions.iter().filter(|partition| partition.leader == Some(BrokerId(broker)));
        assert_eq!(led.count(), 2);
    }
    assert!(topic.partitions.iter().all(|partition| partition.replicas[0] != partition.replicas[1]));
}

#[test]
fn names_are_kafkas() {
    for (name, why) in [
        ("", InvalidTopicName::Empty),
        (".", InvalidTopicName::Dots),
        ("..", InvalidTopicName::Dots),
        ("a b", InvalidTopicName::Character),
        ("a/b", InvalidTopicName::Character),
        ("größe", InvalidTopicName::Character),
        (&"x".repeat(250), InvalidTopicName::TooLong),
    ] {
        assert_eq!(refusal(&wish(name)), CreateTopicError::InvalidName(why));
    }
    let image = cluster(1);
    for name in ["a", "...", "A.b_C-9", &"x".repeat(249)] {
        assert!(decide::create_topic(&image, &wish(name), &BrokerConfig::default(), id(1)).is_ok(), "{name}");
    }
}

#[test]
fn names_do_not_repeat_or_collide_in_metrics() {
    let mut image = cluster(1);
    let broker = BrokerConfig::default();
    let records = decide::create_topic(&image, &wish("a.b_c"), &broker, id(1)).unwrap();
    apply(&mut image, records);
    let create = |name, id| decide::create_topic(&image, &wish(name), &broker, id);
    assert_eq!(create("a.b_c", id(2)), Err(CreateTopicError::Exists("a.b_c".into())));
    let collides = CreateTopicError::NameCollides { name: "a_b.c".into(), other: "a.b_c".into() };
    assert_eq!(create("a_b.c", id(2)), Err(collides));
    assert_eq!(create("other", id(1)), Err(CreateTopicError::IdInUse(id(1))));
    assert_eq!(create("other", TopicId::ZERO), Err(CreateTopicError::IdInUse(TopicId::ZERO)));
    assert!(create("a-b-c", id(2)).is_ok());
}

#[test]
fn numbers_have_bounds() {
    let numbers = |partitions, replicas| CreateTopic {
        partitions: Some(partitions),
        replication_factor: Some(replicas),
        ..wish("t")
    };
    assert_eq!(refusal(&numbers(0, 1)), CreateTopicError::InvalidPartitions(0));
    assert_eq!(refusal(&numbers(10_001, 1)), CreateTopicError::InvalidPartitions(10_001));
    let replicas = |wanted| CreateTopicError::InvalidReplicationFactor { wanted, brokers: 3 };
    assert_eq!(refusal(&numbers(1, 0)), replicas(0));
    assert_eq!(refusal(&numbers(1, 4)), replicas(4));
}

#[test]
fn assignments_are_taken_as_they_are_or_refused() {
    let assign = |partitions: &[(u32, &[u32])]| CreateTopic {
        assignments: partitions
            .iter()
            .map(|(index, brokers)| (PartitionIndex(*index), brokers.iter().copied().map(BrokerId).collect()))
            .collect(),
        ..wish("t")
    };
    let records = decide::create_topic(
        &cluster(3),
        &assign(&[(0, &[3, 1]), (1, &[2, 3])]),
        &BrokerConfig::default(),
        id(1),
    );
    let leaders: Vec<_> = records
        .unwrap()
        .into_iter()
        .filter_map(|record| match record {
            MetadataRecord::PartitionCreated { leader, replicas, .. } => {
                Some((leader.unwrap().0, replicas.len()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(leaders, [(3, 2), (2, 2)]);

    for (wrong, at) in [
        (assign(&[(0, &[1]), (2, &[1])]), 2),
        (assign(&[(0, &[])]), 0),
        (assign(&[(0, &[1]), (1, &[9])]), 1),
        (assign(&[(0, &[1, 1])]), 0),
        (assign(&[(0, &[1]), (1, &[1, 2])]), 1),
    ] {
        assert_eq!(refusal(&wrong), CreateTopicError::InvalidAssignment(PartitionIndex(at)));
    }
    let both = CreateTopic { partitions: Some(1), ..assign(&[(0, &[1])]) };
    assert_eq!(refusal(&both), CreateTopicError::AssignmentAndNumbers);
}

#[test]
fn configs_are_checked_alone_and_together() {
    let problem = |configs: &[(&str, &str)]| match refusal(&with("t", configs)) {
        CreateTopicError::InvalidConfig(error) => (error.key.clone(), error.problem),
        other => panic!("{other:?}"),
    };
    let (key, why) = problem(&[("retention.mss", "1")]);
    assert_eq!((key.as_str(), why), ("retention.mss", ConfigProblem::UnknownKey { nearest: "retention.ms" }));
    for (key, value) in [
        ("retention.ms", "-2"),
        ("retention.ms", "soon"),
        ("segment.bytes", "1048575"),
        ("segment.bytes", "4294967296"),
        ("max.message.bytes", "-1"),
        ("cleanup.policy", "keep"),
        ("cleanup.policy", "delete,keep"),
        ("highwater.durability", "none"),
        ("remote.storage.enable", "yes"),
        ("min.cleanable.dirty.ratio", "1.5"),
        ("compression.gzip.level", "0"),
        ("leader.replication.throttled.replicas", "1-2"),
    ] {
        let (named, why) = problem(&[(key, value)]);
        assert_eq!(named, key);
        assert!(matches!(why, ConfigProblem::Invalid { .. }), "{key}={value}: {why}");
    }
    let (key, value) = ("remote.log.copy.disable", "TRUE");
    let (named, why) = problem(&[(key, value)]);
    assert_eq!(named, key);
    assert!(matches!(why, ConfigProblem::NotBuilt { .. }), "{key}={value}: {why}");
    for (key, value) in [("local.retention.ms", "604800001"), ("local.retention.ms", "-1")] {
        let (named, why) = problem(&[(key, value)]);
        assert_eq!(named, key);
        assert!(matches!(why, ConfigProblem::Contradiction { .. }), "{key}={value}: {why}");
    }
    // What compacts stays on local disk, unless somebody insists on the bucket.
    let (key, why) = problem(&[("cleanup.policy", "compact"), ("remote.storage.enable", "true")]);
    assert_eq!(key, "remote.storage.enable");
    assert!(matches!(why, ConfigProblem::Contradiction { .. }));
    let (key, why) = problem(&[("min.compaction.lag.ms", "11"), ("max.compaction.lag.ms", "10")]);
    assert_eq!(key, "min.compaction.lag.ms");
    assert!(matches!(why, ConfigProblem::Contradiction { .. }));
    let (key, why) = problem(&[("local.retention.bytes", "11"), ("retention.bytes", "10")]);
    assert_eq!(key, "local.retention.bytes");
    assert!(matches!(why, ConfigProblem::Contradiction { .. }));

    // Without a bucket, the local bound says nothing and asking for a bucket is refused.
    let image = cluster(1);
    let broker = configured(&[("remote.log.storage.system.enable", "false")]);
    let create = |configs: &[(&str, &str)]| decide::create_topic(&image, &with("t", configs), &broker, id(1));
    assert!(create(&[("local.retention.ms", "604800001")]).is_ok());
    assert!(matches!(create(&[("remote.storage.enable", "true")]), Err(CreateTopicError::InvalidConfig(_))));
}

#[test]
fn local_retention_resolves_to_the_whole_unless_given() {
    let resolve = |set: &[(&str, &str)]| {
        let set: BTreeMap<String, String> = set.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        let resolved = TopicConfig::resolve(&set, &BrokerConfig::default(), 1).unwrap();
        (resolved.local_retention_ms, resolved.local_retention_bytes)
    };
    let week = 7 * 24 * 3_600_000;
    assert_eq!(resolve(&[]), (Some(week), None));
    assert_eq!(resolve(&[("retention.ms", "-1"), ("retention.bytes", "5")]), (None, Some(5)));
    assert_eq!(resolve(&[("local.retention.ms", "9"), ("local.retention.bytes", "0")]), (Some(9), Some(0)));
    // A topic that does not delete keeps everything, locally too unless told.
    assert_eq!(resolve(&[("cleanup.policy", ""), ("retention.bytes", "5")]), (None, None));
    assert_eq!(resolve(&[("cleanup.policy", ""), ("local.retention.ms", "5")]), (Some(5), None));
    // A broker default lowered later does not break the topic: the smaller one holds.
    assert_eq!(resolve(&[("retention.ms", "5"), ("local.retention.ms", "9")]).0, Some(5));
    assert_eq!(resolve(&[("local.retention.ms", "-1")]).0, Some(week));
}
