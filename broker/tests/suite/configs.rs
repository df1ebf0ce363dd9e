//! Configurations altered over TCP, at every version, and what that does to logs that are in use.

use std::time::Duration;

use highwater_broker::{Broker, BrokerOptions, client::Client};
use highwater_records::{
    Offset, TimestampMs,
    batch::{BatchBuilder, BatchView, Record},
    compression::Codec,
};

use crate::running::{Raw, Running, ask, one_record, served};
use highwater_wire::{
    ErrorCode,
    messages::{
        alter_configs as whole,
        consumer_group_heartbeat::ConsumerGroupHeartbeatRequest,
        describe_configs::{DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult},
        find_coordinator::FindCoordinatorRequest,
        incremental_alter_configs::*,
        list_config_resources::ListConfigResourcesRequest,
    },
};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const GROUP: i8 = 32;
const SET: i8 = 0;
const DELETE: i8 = 1;

fn change(
    resource_type: i8,
    name: &str,
    configs: &[(&str, i8, Option<&str>)],
) -> IncrementalAlterConfigsRequest {
    let config = |(name, config_operation, value): &(&str, i8, Option<&str>)| AlterableConfig {
        name: (*name).to_owned(),
        config_operation: *config_operation,
        value: value.map(str::to_owned),
    };
    IncrementalAlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type,
            resource_name: name.into(),
            configs: configs.iter().map(config).collect(),
        }],
        validate_only: false,
    }
}

async fn described(raw: &mut Raw, kind: i8, name: &str, key: &str) -> DescribeConfigsResourceResult {
    let resource = DescribeConfigsResource {
        resource_type: kind,
        resource_name: name.into(),
        configuration_keys: Some(vec![key.into()]),
    };
    let request = DescribeConfigsRequest {
        resources: vec![resource],
        include_synonyms: true,
        ..DescribeConfigsRequest::default()
    };
    let mut answer = ask(raw, 4, &request).await;
    assert_eq!(answer.results[0].error_code, 0);
    answer.results.remove(0).configs.remove(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_in_use_takes_a_smaller_limit_at_once() {
    let running = Running::start().await;
    let mut client = running.client().await;
    client.create_topic("t", 1, &[]).await.unwrap();
    let batch = one_record(b"key", b"value");
    client.produce("t", 0, batch.clone()).await.unwrap();
    let mut raw = Raw::connect(&running).await;
    let limit = (batch.len() - 1).to_string();
    for version in served::<IncrementalAlterConfigsRequest>() {
        let request = change(TOPIC, "t", &[("max.message.bytes", SET, Some(&limit))]);
        let answer = ask(&mut raw, version, &request).await.responses.remove(0);
        assert_eq!((answer.error_code, answer.error_message), (0, None));
        assert_eq!(raw.produce(Some(batch.clone())).await.0, ErrorCode::MessageTooLarge);
        let request = change(TOPIC, "t", &[("max.message.bytes", DELETE, None)]);
        assert_eq!(ask(&mut raw, version, &request).await.responses[0].error_code, 0);
        assert_eq!(raw.produce(Some(batch.clone())).await.0, ErrorCode::None);
    }
    for version in served::<whole::AlterConfigsRequest>() {
        let configs = |values: &[(&str, &str)]| whole::AlterConfigsRequest {
            resources: vec![whole::AlterConfigsResource {
                resource_type: TOPIC,
                resource_name: "t".into(),
                configs: values
                    .iter()
                    .map(|(name, value)| whole::AlterableConfig {
                        name: (*name).to_owned(),
                        value: Some((*value).to_owned()),
                    })
                    .collect(),
            }],
            validate_only: false,
        };
        let limited = configs(&[("max.message.bytes", &limit)]);
        assert_eq!(ask(&mut raw, version, &limited).await.responses[0].error_code, 0);
        assert_eq!(raw.produce(Some(batch.clone())).await.0, ErrorCode::MessageTooLarge);
        let tried = whole::AlterConfigsRequest { validate_only: true, ..configs(&[]) };
        assert_eq!(ask(&mut raw, version, &tried).await.responses[0].error_code, 0);
        assert_eq!(raw.produce(Some(batch.clone())).await.0, ErrorCode::MessageTooLarge);
        assert_eq!(ask(&mut raw, version, &configs(&[])).await.responses[0].error_code, 0);
        assert_eq!(raw.produce(Some(batch.clone())).await.0, ErrorCode::None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_brokers_defaults_reach_topics_that_have_no_value_of_their_own() {
    let running = Running::start().await;
    let mut client = running.client().await;
    client.create_topic("t", 1, &[]).await.unwrap();
    let batch = one_record(b"key", b"value");
    client.produce("t", 0, batch.clone()).await.unwrap();
    let mut raw = Raw::connect(&running).await;
    let limit = (batch.len() - 1).to_string();
    let request = change(BROKER, "", &[("message.max.bytes", SET, Some(&limit))]);
    assert_eq!(ask(&mut raw, 1, &request).await.responses[0].error_code, 0);
    assert_eq!(raw.produce(Some(batch.clone())).await.0, ErrorCode::MessageTooLarge);
    let found = described(&mut raw, TOPIC, "t", "max.message.bytes").await;
    assert_eq!((found.value, found.config_source), (Some(limit.clone()), 3));
    let found = described(&mut raw, BROKER, "1", "message.max.bytes").await;
    assert_eq!((found.value, found.config_source, found.read_only), (Some(limit.clone()), 3, false));
    let found = described(&mut raw, BROKER, "", "message.max.bytes").await;
    assert_eq!((found.value, found.config_source), (Some(limit), 3));
    let request = change(BROKER, "1", &[("message.max.bytes", SET, Some("1000000"))]);
    assert_eq!(ask(&mut raw, 1, &request).await.responses[0].error_code, 0);
    assert_eq!(raw.produce(Some(batch)).await.0, ErrorCode::None);
    let found = described(&mut raw, BROKER, "1", "message.max.bytes").await;
    let sources: Vec<_> = found.synonyms.iter().map(|synonym| synonym.source).collect();
    assert_eq!((found.config_source, sources), (2, vec![2, 3, 5]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_altered_says_why() {
    let running = Running::start().await;
    running.client().await.create_topic("t", 1, &[]).await.unwrap();
    let mut raw = Raw::connect(&running).await;
    for (kind, name, configs, code) in [
        (TOPIC, "t", &[("retention.ms", SET, Some("x"))][..], ErrorCode::InvalidConfig),
        (TOPIC, "t", &[("no.such.key", SET, Some("1"))], ErrorCode::InvalidConfig),
        (TOPIC, "t", &[("retention.ms", 2, Some("1"))], ErrorCode::InvalidConfig),
        (TOPIC, "t", &[("retention.ms", SET, None)], ErrorCode::InvalidRequest),
        (TOPIC, "t", &[("retention.ms", 9, Some("1"))], ErrorCode::InvalidRequest),
        (TOPIC, "t", &[("a", SET, Some("1")), ("a", SET, Some("1"))], ErrorCode::InvalidRequest),
        (TOPIC, "u", &[("retention.ms", SET, Some("1"))], ErrorCode::UnknownTopicOrPartition),
        (BROKER, "1", &[("log.dirs", SET, Some("/x"))], ErrorCode::InvalidRequest),
        (BROKER, "7", &[("log.retention.ms", SET, Some("1"))], ErrorCode::InvalidRequest),
        (BROKER, "x", &[("log.retention.ms", SET, Some("1"))], ErrorCode::InvalidRequest),
        (3, "x", &[("a", SET, Some("1"))], ErrorCode::InvalidRequest),
    ] {
        let answer = ask(&mut raw, 1, &change(kind, name, configs)).await.responses.remove(0);
        assert_eq!(answer.error_code, code.code(), "{kind} {name} {configs:?}: {:?}", answer.error_message);
        assert!(answer.error_message.is_some_and(|message| !message.is_empty()));
    }
    let mut twice = change(TOPIC, "t", &[("retention.ms", SET, Some("1"))]);
    twice.resources.push(twice.resources[0].clone());
    let answers = ask(&mut raw, 1, &twice).await.responses;
    assert_eq!(answers.iter().map(|answer| answer.error_code).collect::<Vec<_>>(), [42, 42]);
    assert_eq!(described(&mut raw, TOPIC, "t", "retention.ms").await.config_source, 5);
}

#[tokio::test]
async fn a_topic_compresses_as_it_is_told_and_keeps_the_records() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Broker::start(BrokerOptions::in_directory(directory.path()).unwrap()).await.unwrap();
    let mut client = Client::connect(broker.bootstrap(), "test").await.unwrap();
    for (wish, stored) in [
        ("producer", Codec::Lz4),
        ("uncompressed", Codec::None),
        ("gzip", Codec::Gzip),
        ("snappy", Codec::Snappy),
        ("lz4", Codec::Lz4),
        ("zstd", Codec::Zstd),
    ] {
        let configs = [
            ("compression.type", wish),
            ("compression.zstd.level", "19"),
            ("compression.gzip.level", "1"),
            ("compression.lz4.level", "12"),
        ];
        client.create_topic(wish, 1, &configs).await.unwrap();
        // Who has chosen the topic's codec already is left alone.
        let chosen = if wish == "lz4" { Codec::Gzip } else { Codec::Lz4 };
        let mut builder = BatchBuilder::new(chosen);
        for at in 0..500 {
            let value = format!("a value that is much like others, number {at}");
            let record =
                Record { timestamp: TimestampMs(at), key: None, value: Some(value.as_bytes()), headers: &[] };
            builder.push(record).unwrap();
        }
        let batch = builder.build(Offset::ZERO, None).unwrap();
        client.produce(wish, 0, batch.clone()).await.unwrap();
        let fetched = client.fetch(wish, 0, Offset::ZERO, 1 << 20, Duration::from_secs(10)).await.unwrap();
        let (sent, kept) = (BatchView::parse(&batch).unwrap(), BatchView::parse(&fetched.records).unwrap());
        assert_eq!(kept.codec(), stored, "{wish}");
        let (mut sent, mut kept) = (sent.records(1 << 20).unwrap(), kept.records(1 << 20).unwrap());
        while let Some(record) = sent.next_record().unwrap() {
            assert_eq!(kept.next_record().unwrap(), Some(record), "{wish}");
        }
    }
    // The limit holds for what is stored.
    let configs = [("compression.type", "uncompressed"), ("max.message.bytes", "1000")];
    client.create_topic("small", 1, &configs).await.unwrap();
    let mut builder = BatchBuilder::new(Codec::Gzip);
    let value = [b'x'; 5000];
    builder.push(Record { timestamp: TimestampMs(1), key: None, value: Some(&value), headers: &[] }).unwrap();
    let refused = client.produce("small", 0, builder.build(Offset::ZERO, None).unwrap()).await.unwrap_err();
    assert!(refused.to_string().contains("MESSAGE_TOO_LARGE"), "{refused}");
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_set_for_a_group_is_told_to_its_members_and_outlives_the_broker() {
    let directory = tempfile::tempdir().unwrap();
    let start = || Broker::start(BrokerOptions::in_directory(directory.path()).unwrap());
    let broker = start().await.unwrap();
    let mut client = Client::connect(broker.bootstrap(), "test").await.unwrap();
    let session = ("consumer.session.timeout.ms", SET, Some("50000"));
    let heartbeat = ("consumer.heartbeat.interval.ms", SET, Some("7000"));
    let wish = change(GROUP, "readers", &[session, heartbeat]);
    let done = client.connection().call(&wish).await.unwrap().responses.remove(0);
    assert_eq!((done.error_code, done.error_message), (0, None));
    for wrong in [change(GROUP, "", &[session]), change(GROUP, "readers", &[("no.such.key", SET, Some("1"))])]
    {
        assert_ne!(client.connection().call(&wrong).await.unwrap().responses[0].error_code, 0);
    }
    broker.stop().await.unwrap();

    let broker = start().await.unwrap();
    let mut client = Client::connect(broker.bootstrap(), "test").await.unwrap();
    let asked = ListConfigResourcesRequest { resource_types: vec![GROUP] };
    let listed = client.connection().call(&asked).await.unwrap().config_resources;
    assert_eq!(listed.iter().map(|each| each.resource_name.as_str()).collect::<Vec<_>>(), ["readers"]);
    for (group, interval) in [("readers", 7_000), ("others", 5_000)] {
        let beat = ConsumerGroupHeartbeatRequest {
            group_id: group.into(),
            member_id: "one".into(),
            rebalance_timeout_ms: 60_000,
            subscribed_topic_names: Some(vec!["t".into()]),
            topic_partitions: Some(Vec::new()),
            ..ConsumerGroupHeartbeatRequest::default()
        };
        let key = FindCoordinatorRequest {
            coordinator_keys: vec![group.into()],
            ..FindCoordinatorRequest::default()
        };
        let answer = loop {
            client.connection().call(&key).await.unwrap();
            let answer = client.connection().call(&beat).await.unwrap();
            let retriable = ErrorCode::from_code(answer.error_code).is_some_and(ErrorCode::is_retriable);
            if !retriable {
                break answer;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!((answer.error_code, answer.heartbeat_interval_ms), (0, interval), "{group}");
    }
    broker.stop().await.unwrap();
}
