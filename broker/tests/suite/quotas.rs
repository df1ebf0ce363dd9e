//! Quotas: set, described, and felt by the clients they bind.

use crate::running::{Raw, Running, ask, one_record, served};
use highwater_wire::{
    decode_response, encode_request,
    messages::{
        alter_client_quotas::{AlterClientQuotasRequest, EntityData, EntryData, OpData},
        describe_client_quotas::{ComponentData, DescribeClientQuotasRequest},
        fetch::{FetchPartition, FetchRequest, FetchTopic},
        metadata::MetadataRequest,
        produce::{PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData},
    },
};
use std::time::{Duration, Instant};

fn alteration(client: Option<&str>, key: &str, value: Option<f64>) -> AlterClientQuotasRequest {
    let entity = EntityData { entity_type: "client-id".into(), entity_name: client.map(str::to_owned) };
    let op = OpData { key: key.into(), value: value.unwrap_or(0.0), remove: value.is_none() };
    AlterClientQuotasRequest {
        entries: vec![EntryData { entity: vec![entity], ops: vec![op] }],
        validate_only: false,
    }
}

async fn set(raw: &mut Raw, client: Option<&str>, key: &str, value: Option<f64>) {
    let answer = ask(raw, 1, &alteration(client, key, value)).await;
    assert_eq!((answer.entries[0].error_code, &answer.entries[0].error_message), (0, &None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quotas_are_set_and_described() {
    let running = Running::start().await;
    let mut raw = Raw::connect(&running).await;
    set(&mut raw, Some("a"), "producer_byte_rate", Some(1e6)).await;
    set(&mut raw, None, "request_percentage", Some(12.5)).await;
    let component = |match_type, name: Option<&str>| ComponentData {
        entity_type: "client-id".into(),
        match_type,
        r#match: name.map(str::to_owned),
    };
    for version in served::<DescribeClientQuotasRequest>() {
        for (components, strict, expected) in [
            (vec![], false, 2),
            (vec![], true, 0),
            (vec![component(0, Some("a"))], true, 1),
            (vec![component(1, None)], true, 1),
            (vec![component(2, None)], false, 2),
            (vec![component(0, Some("b"))], false, 0),
        ] {
            let request = DescribeClientQuotasRequest { components, strict };
            let found = ask(&mut raw, version, &request).await;
            assert_eq!((found.error_code, found.entries.unwrap().len()), (0, expected), "{request:?}");
        }
        let wrong = DescribeClientQuotasRequest { components: vec![component(9, None)], strict: false };
        assert_eq!(ask(&mut raw, version, &wrong).await.error_code, 42);
    }
    for version in served::<AlterClientQuotasRequest>() {
        let mut tried = alteration(Some("a"), "producer_byte_rate", None);
        tried.validate_only = true;
        assert_eq!(ask(&mut raw, version, &tried).await.entries[0].error_code, 0);
        let refused =
            ask(&mut raw, version, &alteration(Some("a"), "speed", Some(1.0))).await.entries.remove(0);
        assert_eq!(refused.error_message.as_deref(), Some("Invalid configuration key speed"));
        assert_eq!(refused.error_code, 42);
    }
    set(&mut raw, Some("a"), "producer_byte_rate", None).await;
    let left = ask(&mut raw, 1, &DescribeClientQuotasRequest::default()).await.entries.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!((left[0].entity[0].entity_name.as_deref(), left[0].values[0].value), (None, 12.5));
}

fn produce() -> ProduceRequest {
    let data = PartitionProduceData { index: 0, records: Some(one_record(b"key", &[b'v'; 3000])) };
    let topic = TopicProduceData { name: "t".into(), partition_data: vec![data], ..Default::default() };
    ProduceRequest { acks: -1, timeout_ms: 10_000, topic_data: vec![topic], ..ProduceRequest::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_too_much_is_told_and_held_up() {
    let running = Running::start().await;
    running.client().await.create_topic("t", 1, &[]).await.unwrap();
    let mut raw = Raw::connect(&running).await;
    // The client of these tests is called `test`. It may send 3000 bytes in ten seconds.
    set(&mut raw, Some("test"), "producer_byte_rate", Some(300.0)).await;
    let answer = ask(&mut raw, 9, &produce()).await;
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
    assert!(answer.throttle_time_ms > 0, "{}", answer.throttle_time_ms);
    // Not an expectation of speed: an answer before the pause is over would mean that there is none.
    let pause = Duration::from_millis(answer.throttle_time_ms.try_into().unwrap());
    let began = Instant::now();
    ask(&mut raw, 9, &MetadataRequest::default()).await;
    assert!(began.elapsed() >= pause / 2, "{pause:?}");
    // Another client has a quota of its own, which is none.
    let mut other = Raw::connect(&running).await;
    other.write(&encode_request(&produce(), 9, 5, Some("other")).unwrap().to_bytes()).await;
    let (_, answer) = decode_response::<ProduceResponse>(&other.read().await.unwrap(), 9).unwrap();
    assert_eq!(answer.throttle_time_ms, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_too_much_gets_nothing_for_a_while() {
    let running = Running::start().await;
    running.client().await.create_topic("t", 1, &[]).await.unwrap();
    let mut raw = Raw::connect(&running).await;
    assert_eq!(ask(&mut raw, 9, &produce()).await.throttle_time_ms, 0);
    set(&mut raw, Some("test"), "consumer_byte_rate", Some(290.0)).await;
    let partition = FetchPartition { partition_max_bytes: 1 << 20, ..FetchPartition::default() };
    let topic = FetchTopic { topic: "t".into(), partitions: vec![partition], ..FetchTopic::default() };
    let request = FetchRequest { max_bytes: 1 << 20, topics: vec![topic], ..FetchRequest::default() };
    let answer = ask(&mut raw, 12, &request).await;
    assert!(answer.throttle_time_ms > 0 && answer.responses.is_empty());
    set(&mut raw, Some("test"), "consumer_byte_rate", None).await;
    let answer = ask(&mut raw, 12, &request).await;
    assert_eq!((answer.throttle_time_ms, answer.responses.len()), (0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_is_a_quota_too() {
    let running = Running::start().await;
    let mut raw = Raw::connect(&running).await;
    set(&mut raw, None, "request_percentage", Some(1e-9)).await;
    let answer = ask(&mut raw, 9, &MetadataRequest::default()).await;
    assert!((1..=1000).contains(&answer.throttle_time_ms), "{}", answer.throttle_time_ms);
}
