//! Configurations altered over TCP, at every version, and what that does to logs that are in use.

use crate::running::{Raw, Running, ask, one_record, served};
use highwater_wire::{
    ErrorCode,
    messages::{
        alter_configs as whole,
        describe_configs::{DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult},
        incremental_alter_configs::*,
    },
};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
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
