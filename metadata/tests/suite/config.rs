//! The definitions agree with each other, with Kafka, and with the page made from them.

use highwater_metadata::config::{
    BROKER_KEYS, BrokerConfig, BucketLocation, Compaction, ConfigProblem, ConfigSource, Settings, TOPIC_KEYS,
    TimestampType, TopicConfig, broker_key, broker_keys, describe_broker, describe_topic, documentation,
};
use highwater_records::{BrokerId, Durability};
use std::collections::{BTreeMap, BTreeSet};

fn settings(given: &[(&str, &str)]) -> Settings {
    let mut settings = Settings::new();
    for (key, value) in given {
        settings.give(key, value).unwrap();
    }
    settings
}

fn broker(given: &[(&str, &str)]) -> BrokerConfig {
    BrokerConfig::new(settings(given)).unwrap()
}

fn topic(given: &[(&str, &str)]) -> TopicConfig {
    TopicConfig::resolve(&BTreeMap::new(), &broker(given), 1).unwrap()
}

#[test]
fn every_default_passes_its_own_check() {
    for definition in TOPIC_KEYS {
        if let Some(default) = definition.default {
            assert_eq!(definition.check(default), Ok(()), "{}", definition.name);
        }
        assert!(!definition.doc.is_empty(), "{}", definition.name);
    }
    for key in broker_keys() {
        if let Some(default) = key.default {
            assert_eq!(key.check(default), Ok(()), "{}", key.name);
        }
        assert!(!key.definition.doc.is_empty(), "{}", key.name);
    }
}

#[test]
fn names_are_sorted_and_defined_once() {
    assert!(TOPIC_KEYS.is_sorted_by_key(|definition| definition.name));
    assert!(BROKER_KEYS.is_sorted_by_key(|definition| definition.name));
    let names: Vec<_> = broker_keys().map(|key| key.name).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
}

#[test]
fn topics_have_every_key_that_kafka_has_with_its_default() {
    // Kafka 4.3.1, from the definitions of its LogConfig; internal ones left out.
    let kafka = "cleanup.policy=delete compression.gzip.level=-1 compression.lz4.level=9 compression.type=producer \
        compression.zstd.level=3 delete.retention.ms=86400000 file.delete.delay.ms=60000 \
        flush.messages=9223372036854775807 flush.ms=9223372036854775807 follower.replication.throttled.replicas= \
        index.interval.bytes=4096 leader.replication.throttled.replicas= local.retention.bytes=-2 \
        local.retention.ms=-2 max.compaction.lag.ms=9223372036854775807 max.message.bytes=1048588 \
        message.timestamp.after.max.ms=3600000 message.timestamp.before.max.ms=9223372036854775807 \
        message.timestamp.type=CreateTime min.cleanable.dirty.ratio=0.5 min.compaction.lag.ms=0 \
        min.insync.replicas=1 preallocate=false remote.log.copy.disable=false remote.log.delete.on.disable=false \
        remote.storage.enable=false retention.bytes=-1 retention.ms=604800000 segment.bytes=1073741824 \
        segment.index.bytes=10485760 segment.jitter.ms=0 segment.ms=604800000 \
        unclean.leader.election.enable=false";
    let described = describe_topic(&BTreeMap::new(), &BrokerConfig::default());
    let ours: BTreeMap<_, _> = described.iter().map(|key| (key.name, key.value.as_deref())).collect();
    for pair in kafka.split_whitespace() {
        let (name, default) = pair.split_once('=').unwrap();
        let value = ours.get(name).unwrap_or_else(|| panic!("{name} is missing"));
        // Resolved when a topic is created, and always stored.
        if name != "remote.storage.enable" {
            assert_eq!(*value, Some(default), "{name}");
        }
    }
    assert_eq!(ours.len(), kafka.split_whitespace().count() + 1, "and one of ours");
}

#[test]
fn synonyms_have_kafkas_order_and_units() {
    assert_eq!(topic(&[]).retention_ms, Some(7 * 24 * 3_600_000));
    assert_eq!(topic(&[("log.retention.hours", "2")]).retention_ms, Some(7_200_000));
    let minutes = [("log.retention.hours", "2"), ("log.retention.minutes", "3")];
    assert_eq!(topic(&minutes).retention_ms, Some(180_000));
    let all = [minutes[0], minutes[1], ("log.retention.ms", "-1")];
    assert_eq!(topic(&all).retention_ms, None);
    assert_eq!(topic(&[("log.retention.minutes", "-1")]).retention_ms, None);
    assert_eq!(topic(&[("log.roll.hours", "1")]).segment_ms, 3_600_000);
    let own = topic(&[
        ("log.segment.bytes", "2097152"),
        ("message.max.bytes", "77"),
        ("log.local.retention.ms", "5"),
        ("log.message.timestamp.type", "LogAppendTime"),
        ("highwater.durability", "replicated"),
        ("min.insync.replicas", "2"),
    ]);
    assert_eq!(own.segment_bytes, 2 << 20);
    assert_eq!(own.max_message_bytes, 77);
    assert_eq!(own.local_retention_ms, Some(5));
    assert_eq!(own.timestamp_type, TimestampType::LogAppendTime);
    assert_eq!(own.durability, Durability::Replicated);
    assert_eq!(own.min_insync_replicas, 2);
}

#[test]
fn a_synonym_is_checked_in_the_units_of_what_it_stands_for() {
    let mut settings = Settings::new();
    assert!(settings.give("log.roll.hours", "0").is_err());
    assert!(settings.give("log.retention.hours", "9223372036854775807").is_err());
    assert!(settings.give("log.retention.minutes", "some").is_err());
    assert!(settings.give("log.segment.bytes", "1000").is_err());
    assert!(settings.give("log.cleanup.policy", "compacted").is_err());
    assert_eq!(settings, Settings::new());
}

#[test]
fn what_compacts_says_how() {
    let broker = BrokerConfig::new(Settings::new()).unwrap();
    let resolve = |set: &[(&str, &str)]| {
        let set = set.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        TopicConfig::resolve(&set, &broker, 1).unwrap()
    };
    assert_eq!(resolve(&[]).compaction, None);
    let both = resolve(&[("cleanup.policy", "compact,delete"), ("min.cleanable.dirty.ratio", "0.25")]);
    let expected = Compaction {
        min_lag_ms: 0,
        max_lag_ms: None,
        min_dirty_millionths: 250_000,
        delete_retention_ms: 86_400_000,
    };
    assert_eq!((both.compaction, both.retention_ms), (Some(expected), Some(604_800_000)));
    assert!(!both.remote_storage);
    let only = resolve(&[("cleanup.policy", "compact"), ("max.compaction.lag.ms", "9")]);
    assert_eq!((only.compaction.unwrap().max_lag_ms, only.retention_ms), (Some(9), None));
}

#[test]
fn unknown_keys_are_refused_and_unused_ones_said() {
    let mut settings = Settings::new();
    assert_eq!(settings.give("num.partitions", " 3 "), Ok(true));
    assert_eq!(settings.given("num.partitions"), Some("3"));
    assert_eq!(settings.give("num.io.threads", "8"), Ok(false));
    assert_eq!(settings.give("log.preallocate", "true"), Ok(false));
    assert_eq!(settings.give("ssl.keystore.location", "/keys"), Ok(false));
    let error = settings.give("num.partition", "3").unwrap_err();
    assert_eq!(error.problem, ConfigProblem::UnknownKey { nearest: "num.partitions" });
    assert_eq!(
        error.to_string(),
        "`num.partition` is not a configuration key; the nearest one is `num.partitions`"
    );
    assert!(settings.give("authorizer.class.name", "org.example.Authorizer").is_err());
    assert_eq!(settings.give("authorizer.class.name", ""), Ok(true));
}

#[test]
fn a_broker_without_configuration_is_local() {
    let broker = BrokerConfig::default();
    assert_eq!(broker.node_id, BrokerId(1));
    assert_eq!(broker.listeners[0].to_string(), "PLAINTEXT://127.0.0.1:9092");
    assert_eq!(broker.advertised_listeners, broker.listeners);
    assert_eq!(broker.log_dir, "./highwater/data");
    assert_eq!(broker.metadata_log_dir, "./highwater/metadata");
    assert_eq!(broker.bucket, Some(BucketLocation::Directory("./highwater/bucket".into())));
    assert!(broker.auto_create_topics && broker.delete_topic && broker.has_remote_storage());
    assert_eq!((broker.num_partitions, broker.default_replication_factor), (1, 1));
    assert_eq!(broker.retention_check_interval_ms, 300_000);
    assert_eq!(broker.request_bytes_max, 100 << 20);
}

#[test]
fn metadata_and_bucket_lie_beside_the_logs_unless_given() {
    let beside = |log_dirs: &str| {
        let broker = broker(&[("log.dirs", log_dirs)]);
        (broker.metadata_log_dir, broker.bucket)
    };
    let expected = |metadata: &str, bucket: &str| {
        (metadata.to_string(), Some(BucketLocation::Directory(bucket.to_string())))
    };
    assert_eq!(beside("/srv/kafka/logs/"), expected("/srv/kafka/metadata", "/srv/kafka/bucket"));
    assert_eq!(beside("data"), expected("metadata", "bucket"));
    assert_eq!(beside("/data"), expected("/metadata", "/bucket"));
    assert_eq!(broker(&[("log.dir", "/a/b")]).log_dir, "/a/b");
    assert_eq!(broker(&[("log.dir", "/a/b"), ("log.dirs", "/c/d")]).log_dir, "/c/d");
    let given = broker(&[("metadata.log.dir", "/m"), ("remote.log.storage.url", "s3://bucket/some/prefix")]);
    assert_eq!(given.metadata_log_dir, "/m");
    assert_eq!(given.bucket, Some(BucketLocation::Url("s3://bucket/some/prefix".into())));
    assert_eq!(broker(&[("remote.log.storage.system.enable", "false")]).bucket, None);
    for url in ["bucket", "file://relative/path", "file:///", "s3://", "s3:///x", "http://h/b"] {
        assert!(Settings::new().give("remote.log.storage.url", url).is_err(), "{url}");
    }
}

#[test]
fn kafkas_own_file_for_one_node_is_understood() {
    let broker = broker(&[
        ("process.roles", "broker,controller"),
        ("node.id", "7"),
        ("controller.quorum.bootstrap.servers", "localhost:9093"),
        ("listeners", "PLAINTEXT://:9092,CONTROLLER://:9093"),
        ("inter.broker.listener.name", "PLAINTEXT"),
        ("advertised.listeners", "PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093"),
        ("controller.listener.names", "CONTROLLER"),
        ("listener.security.protocol.map", "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL"),
        ("num.network.threads", "3"),
        ("log.dirs", "/var/lib/kafka/logs"),
        ("log.retention.hours", "168"),
    ]);
    assert_eq!(broker.node_id, BrokerId(7));
    assert_eq!(broker.listeners.len(), 1);
    assert!(broker.listeners[0].is_wildcard());
    assert_eq!(broker.advertised_listeners[0].to_string(), "PLAINTEXT://localhost:9092");
}

#[test]
fn listeners_that_are_not_built_or_make_no_sense_are_refused() {
    let refused = |given: &[(&str, &str)]| BrokerConfig::new(settings(given)).unwrap_err();
    let error = refused(&[("listeners", "SSL://127.0.0.1:9093")]);
    assert!(matches!(error.problem, ConfigProblem::NotBuilt { .. }), "{error}");
    let two = [
        ("listeners", "PLAINTEXT://:1,OTHER://:2"),
        ("listener.security.protocol.map", "OTHER:PLAINTEXT,PLAINTEXT:PLAINTEXT"),
    ];
    assert!(matches!(refused(&two).problem, ConfigProblem::NotBuilt { .. }));
    let error = refused(&[("listeners", "OUTSIDE://127.0.0.1:9093")]);
    assert!(matches!(error.problem, ConfigProblem::Contradiction { .. }), "{error}");
    let error = refused(&[
        ("listeners", "A://:1"),
        ("listener.security.protocol.map", "A:PLAINTEXT"),
        ("controller.listener.names", "A"),
    ]);
    assert_eq!(error.key, "listeners");
    let error = refused(&[("advertised.listeners", "PLAINTEXT://0.0.0.0:9092")]);
    assert_eq!(error.key, "advertised.listeners");
    let error = refused(&[("advertised.listeners", "OTHER://localhost:9092")]);
    assert_eq!(error.key, "advertised.listeners");
    assert!(Settings::new().give("log.dirs", "/a,/b").is_err());
}

#[test]
fn descriptions_say_where_a_value_comes_from() {
    let broker = broker(&[("log.retention.minutes", "3"), ("num.partitions", "5")]);
    let set = BTreeMap::from([("retention.ms".to_string(), "9".to_string())]);
    let find = |set: &BTreeMap<String, String>| {
        describe_topic(set, &broker).into_iter().find(|key| key.name == "retention.ms").unwrap()
    };
    let from_broker = find(&BTreeMap::new());
    assert_eq!(
        (from_broker.value.as_deref(), from_broker.source),
        (Some("180000"), ConfigSource::BrokerFile)
    );
    let set_for_it = find(&set);
    assert_eq!((set_for_it.value.as_deref(), set_for_it.source), (Some("9"), ConfigSource::Topic));
    let synonyms: Vec<_> = set_for_it
        .synonyms
        .iter()
        .map(|other| (other.name, other.value.as_deref().unwrap(), other.source))
        .collect();
    assert_eq!(
        synonyms,
        [
            ("retention.ms", "9", ConfigSource::Topic),
            ("log.retention.minutes", "3", ConfigSource::BrokerFile),
            ("log.retention.hours", "168", ConfigSource::Default),
        ]
    );

    let described = describe_broker(&broker);
    assert!(described.is_sorted_by_key(|key| key.name));
    let of = |name: &str| described.iter().find(|key| key.name == name).unwrap();
    assert_eq!(
        (of("num.partitions").value.as_deref(), of("num.partitions").source),
        (Some("5"), ConfigSource::BrokerFile)
    );
    assert_eq!(of("log.retention.minutes").value.as_deref(), Some("3"));
    assert_eq!(
        (of("log.retention.ms").value.as_deref(), of("log.retention.ms").source),
        (None, ConfigSource::Default)
    );
    assert!(of("log.dirs").is_read_only);
}

#[test]
fn broker_keys_are_found_by_every_name() {
    assert_eq!(broker_key("log.roll.hours").unwrap().definition.name, "segment.ms");
    assert_eq!(broker_key("log.dirs").unwrap().definition.name, "log.dirs");
    assert!(broker_key("retention.ms").is_none(), "a topic key is no broker key");
}

#[test]
fn the_page_is_the_one_in_docs() {
    let page = include_str!("../../../docs/configuration.md");
    assert!(page == documentation(), "write docs/configuration.md again, as its first lines say");
}
