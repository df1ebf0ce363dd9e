//! Configurations of what exists are altered, key by key or as a whole.

use crate::creation::{apply, cluster, configured, id, with};
use highwater_metadata::{
    ConfigResource, Image, MetadataRecord,
    config::{
        BrokerConfig, ConfigProblem, ConfigSource, GroupOverrides, describe_broker, describe_brokers,
        describe_group, describe_topic,
    },
    decide::{self, AlterConfigsError, ConfigChange, ConfigOperation as Operation, ConfigTarget},
};
use highwater_records::BrokerId;
use std::collections::BTreeMap;

fn image(configs: &[(&str, &str)]) -> Image {
    let mut image = cluster(1);
    let records = decide::create_topic(&image, &with("t", configs), &BrokerConfig::default(), id(1)).unwrap();
    apply(&mut image, records);
    image
}

fn topic() -> ConfigTarget {
    ConfigTarget::Topic("t".into())
}

fn one(key: &str, operation: Operation) -> ConfigChange {
    ConfigChange::Incremental(BTreeMap::from([(key.to_string(), operation)]))
}

fn whole(values: &[(&str, &str)]) -> ConfigChange {
    ConfigChange::Whole(values.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect())
}

fn decided(
    image: &Image,
    target: &ConfigTarget,
    change: &ConfigChange,
) -> Result<Vec<MetadataRecord>, AlterConfigsError> {
    decide::alter_configs(image, &BrokerConfig::default(), target, change)
}

fn alter(image: &mut Image, target: &ConfigTarget, change: &ConfigChange) {
    let records = decided(image, target, change).unwrap();
    apply(image, records);
}

fn problem(image: &Image, target: &ConfigTarget, change: &ConfigChange) -> ConfigProblem {
    match decided(image, target, change) {
        Err(AlterConfigsError::InvalidConfig(error)) => error.problem,
        other => panic!("{change:?}: {other:?}"),
    }
}

fn set_for_topic(image: &Image) -> BTreeMap<String, String> {
    image.topic_named("t").unwrap().configs.clone()
}

#[test]
fn single_keys_change_and_the_others_stay() {
    let mut image = image(&[("retention.ms", "5"), ("retention.bytes", "6")]);
    alter(&mut image, &topic(), &one("retention.ms", Operation::Set(" 7 ".into())));
    alter(&mut image, &topic(), &one("retention.bytes", Operation::Delete));
    let set = set_for_topic(&image);
    assert_eq!(set.get("retention.ms").map(String::as_str), Some("7"));
    assert_eq!(set.get("retention.bytes"), None);
    assert!(set.contains_key("highwater.durability"));
    let again = decided(&image, &topic(), &one("retention.ms", Operation::Set("7".into()))).unwrap();
    assert_eq!(again, [], "it has that value already");
}

#[test]
fn members_are_added_to_lists_and_taken_away() {
    let mut image = image(&[]);
    let key = "leader.replication.throttled.replicas";
    let text = |image: &Image| set_for_topic(image).get(key).cloned();
    alter(&mut image, &topic(), &one(key, Operation::Append("0:1,1:1".into())));
    alter(&mut image, &topic(), &one(key, Operation::Append("1:1,2:1".into())));
    assert_eq!(text(&image).as_deref(), Some("0:1,1:1,2:1"));
    alter(&mut image, &topic(), &one(key, Operation::Subtract("1:1,9:9".into())));
    assert_eq!(text(&image).as_deref(), Some("0:1,2:1"));
    let refused = problem(&image, &topic(), &one("retention.ms", Operation::Append("1".into())));
    assert_eq!(refused, ConfigProblem::NoList);
}

#[test]
fn the_whole_configuration_leaves_what_was_decided_at_creation() {
    let mut image = image(&[("retention.ms", "5"), ("segment.ms", "6")]);
    let before = set_for_topic(&image);
    alter(&mut image, &topic(), &whole(&[("segment.ms", "8")]));
    let after = set_for_topic(&image);
    assert_eq!(after.get("retention.ms"), None);
    assert_eq!(after.get("segment.ms").map(String::as_str), Some("8"));
    for key in ["highwater.durability", "remote.storage.enable"] {
        assert_eq!(after.get(key), before.get(key), "{key}");
    }
}

#[test]
fn what_is_wrong_is_refused_and_changes_nothing() {
    let image = image(&[("retention.ms", "100")]);
    let set = |key: &str, value: &str| problem(&image, &topic(), &one(key, Operation::Set(value.into())));
    assert!(matches!(set("retention.mss", "1"), ConfigProblem::UnknownKey { nearest: "retention.ms" }));
    assert!(matches!(set("retention.ms", "never"), ConfigProblem::Invalid { .. }));
    assert!(matches!(set("local.retention.ms", "101"), ConfigProblem::Contradiction { .. }));
    assert_eq!(set("highwater.durability", "replicated"), ConfigProblem::Fixed);
    assert_eq!(set("remote.storage.enable", "false"), ConfigProblem::Fixed);
    let same = one("highwater.durability", Operation::Set("synced".into()));
    assert_eq!(decided(&image, &topic(), &same), Ok(Vec::new()));
    let unknown = ConfigTarget::Topic("u".into());
    let refused = decided(&image, &unknown, &whole(&[])).unwrap_err();
    assert_eq!(refused, AlterConfigsError::UnknownTopic("u".into()));
}

#[test]
fn brokers_take_what_can_be_altered_while_they_run() {
    let mut image = image(&[]);
    let broker = configured(&[("log.retention.hours", "1"), ("log.retention.bytes", "9")]);
    let (own, all) = (ConfigTarget::Broker(BrokerId(1)), ConfigTarget::Brokers);
    for (target, key, value) in [
        (&all, "log.retention.bytes", "10"),
        (&all, "log.retention.ms", "11"),
        (&own, "log.retention.bytes", "12"),
        (&own, "producer.id.expiration.ms", "13"),
    ] {
        alter(&mut image, target, &one(key, Operation::Set(value.into())));
    }
    let stored = decided(&image, &own, &one("log.segment.bytes", Operation::Set("2000000".into()))).unwrap();
    assert!(matches!(&stored[..], [MetadataRecord::ConfigSet { resource, .. }]
        if *resource == ConfigResource::Broker(BrokerId(1))));
    let live =
        broker.with_dynamic(image.broker_configs(None), image.broker_configs(Some(BrokerId(1)))).unwrap();
    assert_eq!(live.producer_expiration_ms, 13);
    let described = describe_topic(&BTreeMap::new(), &live);
    let of = |name: &str| described.iter().find(|key| key.name == name).unwrap();
    assert_eq!(
        (of("retention.bytes").value.as_deref(), of("retention.bytes").source),
        (Some("12"), ConfigSource::Broker)
    );
    assert_eq!(
        (of("retention.ms").value.as_deref(), of("retention.ms").source),
        (Some("11"), ConfigSource::Brokers)
    );
    let synonyms: Vec<_> = of("retention.bytes")
        .synonyms
        .iter()
        .map(|synonym| (synonym.value.as_deref().unwrap(), synonym.source))
        .collect();
    assert_eq!(
        synonyms,
        [
            ("12", ConfigSource::Broker),
            ("10", ConfigSource::Brokers),
            ("9", ConfigSource::BrokerFile),
            ("-1", ConfigSource::Default),
        ]
    );
    let of_brokers: Vec<_> = describe_brokers(&live).into_iter().map(|key| key.name).collect();
    assert_eq!(of_brokers, ["log.retention.bytes", "log.retention.ms"]);
    let writable: Vec<_> =
        describe_broker(&live).into_iter().filter(|key| !key.is_read_only).map(|key| key.name).collect();
    assert!(writable.contains(&"log.retention.ms") && !writable.contains(&"log.retention.hours"));
    assert!(writable.contains(&"message.max.bytes") && !writable.contains(&"log.dirs"));
    for (key, value) in
        [("log.dirs", "/x"), ("log.retention.hours", "2"), ("auto.create.topics.enable", "true")]
    {
        let refused = problem(&image, &own, &one(key, Operation::Set(value.into())));
        assert_eq!(refused, ConfigProblem::NotDynamic, "{key}");
    }
    let refused = problem(&image, &all, &one("log.segment.bytes", Operation::Set("1".into())));
    assert!(matches!(refused, ConfigProblem::Invalid { .. }));
}

#[test]
fn groups_have_keys_of_their_own_within_what_the_broker_allows() {
    let mut image = image(&[]);
    let group = ConfigTarget::Group("g".into());
    let set = |key: &str, value: &str| one(key, Operation::Set(value.into()));
    let (session, heartbeat) = ("consumer.session.timeout.ms", "consumer.heartbeat.interval.ms");
    alter(&mut image, &group, &set(session, " 60000 "));
    alter(&mut image, &group, &set("consumer.assignment.interval.ms", "15000"));
    assert_eq!(image.configured_groups().collect::<Vec<_>>(), ["g"]);
    for (key, value) in [(session, "44999"), (session, "60001"), (heartbeat, "4999"), (heartbeat, "soon")] {
        let refused = problem(&image, &group, &set(key, value));
        assert!(matches!(refused, ConfigProblem::Invalid { .. }), "{key}={value}: {refused:?}");
    }
    let unknown = problem(&image, &group, &set("consumer.session.timeout", "1"));
    assert_eq!(unknown, ConfigProblem::UnknownKey { nearest: session });
    // No member may be told to keep still for longer than it may be silent.
    let settings =
        [("group.consumer.min.session.timeout.ms", "10000"), ("group.consumer.session.timeout.ms", "50000")];
    let broker = configured(&settings);
    let both = ConfigChange::Whole(
        [(session, "15000"), (heartbeat, "15000")].map(|(k, v)| (k.into(), v.into())).into(),
    );
    let refused = decide::alter_configs(&image, &broker, &group, &both).unwrap_err();
    assert!(matches!(refused, AlterConfigsError::InvalidConfig(error)
        if matches!(error.problem, ConfigProblem::Contradiction { .. })));
    let described = describe_group(image.group_config("g"), &broker);
    let of = |name: &str| described.iter().find(|key| key.name == name).unwrap();
    let synonyms = of(session).synonyms.iter().map(|known| (known.value.as_deref().unwrap(), known.source));
    assert_eq!(
        synonyms.collect::<Vec<_>>(),
        [
            ("60000", ConfigSource::Group),
            ("50000", ConfigSource::BrokerFile),
            ("45000", ConfigSource::Default)
        ]
    );
    assert_eq!((of(heartbeat).value.as_deref(), of(heartbeat).source), (Some("5000"), ConfigSource::Default));
    // What was set before the bounds changed counts as far as they go.
    let narrower = configured(&[("group.consumer.max.session.timeout.ms", "50000")]);
    let overrides = |name: &str| GroupOverrides::new(image.group_config(name), &narrower.groups.bounds);
    assert_eq!(
        (overrides("g").session_timeout_ms, overrides("g").heartbeat_interval_ms),
        (Some(50_000), None)
    );
    assert_eq!(overrides("h"), GroupOverrides::default());
    alter(&mut image, &group, &whole(&[]));
    assert_eq!(image.configured_groups().count(), 0);
}
