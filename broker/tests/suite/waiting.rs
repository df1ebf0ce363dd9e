//! Requests that wait, requests that nobody waits for, and the order of answers.

use crate::running::{Raw, Running, one_record};
use bytes::Bytes;
use highwater_records::{
    Offset, TimestampMs,
    batch::{BatchBuilder, Record},
    compression::Codec,
};
use highwater_wire::{
    ErrorCode, Request, decode_response, encode_request,
    messages::{
        fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic},
        metadata::{MetadataRequest, MetadataResponse},
        produce::{PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData},
    },
};
use std::time::Duration;

fn produce(topic: &str, acks: i16, records: Bytes) -> ProduceRequest {
    let data = PartitionProduceData { index: 0, records: Some(records) };
    let topic = TopicProduceData { name: topic.into(), partition_data: vec![data], ..Default::default() };
    ProduceRequest { acks, timeout_ms: 10_000, topic_data: vec![topic], ..ProduceRequest::default() }
}

async fn send<R: Request>(raw: &mut Raw, version: i16, correlation_id: i32, request: &R) {
    raw.write(&encode_request(request, version, correlation_id, None).unwrap().to_bytes()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_that_waits_is_answered_by_a_produce_behind_it() {
    let running = Running::start().await;
    running.client().await.create_topic("t", 1, &[]).await.unwrap();
    let mut raw = Raw::connect(&running).await;
    let partition = FetchPartition { partition_max_bytes: 1 << 20, ..FetchPartition::default() };
    let topic = FetchTopic { topic: "t".into(), partitions: vec![partition], ..FetchTopic::default() };
    // A day: it is the record that ends the wait.
    let fetch = FetchRequest {
        max_wait_ms: 86_400_000,
        min_bytes: 1,
        topics: vec![topic],
        ..FetchRequest::default()
    };
    send(&mut raw, 11, 1, &fetch).await;
    let batch = one_record(b"k", b"v");
    send(&mut raw, 9, 2, &produce("t", -1, batch.clone())).await;

    let (correlation_id, fetched) =
        decode_response::<FetchResponse>(&raw.read().await.expect("the fetch"), 11).unwrap();
    let read = &fetched.responses[0].partitions[0];
    assert_eq!((correlation_id, read.error_code, read.high_watermark), (1, 0, 1));
    assert_eq!(read.records.as_ref().unwrap()[16..], batch[16..]);
    let (correlation_id, _) =
        decode_response::<ProduceResponse>(&raw.read().await.expect("the produce"), 9).unwrap();
    assert_eq!(correlation_id, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn produces_in_flight_are_appended_and_answered_in_order() {
    let running = Running::start().await;
    running.client().await.create_topic("t", 1, &[]).await.unwrap();
    let mut raw = Raw::connect(&running).await;
    for correlation_id in 0..200 {
        let acks = if correlation_id % 3 == 0 { 1 } else { -1 };
        send(&mut raw, 9, correlation_id, &produce("t", acks, one_record(b"k", b"v"))).await;
    }
    for expected in 0..200 {
        let frame = raw.read().await.expect("an answer");
        let (correlation_id, answer) = decode_response::<ProduceResponse>(&frame, 9).unwrap();
        let partition = &answer.responses[0].partition_responses[0];
        assert_eq!((correlation_id, partition.error_code), (expected, 0));
        assert_eq!(partition.base_offset, i64::from(expected));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_acknowledgement_there_is_no_answer_and_a_failure_closes() {
    let running = Running::start().await;
    running.client().await.create_topic("t", 1, &[]).await.unwrap();
    let mut raw = Raw::connect(&running).await;
    send(&mut raw, 9, 1, &produce("t", 0, one_record(b"k", b"v"))).await;
    send(&mut raw, 1, 2, &MetadataRequest::default()).await;
    let frame = raw.read().await.expect("the answer to the second request");
    let (correlation_id, _) = decode_response::<MetadataResponse>(&frame, 1).unwrap();
    assert_eq!(correlation_id, 2);
    send(&mut raw, 9, 3, &produce("unknown", 0, one_record(b"k", b"v"))).await;
    raw.expect_closed("a failure that cannot be told").await;
    // The first one is there all the same; when it counts depends on the disk, so a reader waits for it.
    let day = Duration::from_secs(86_400);
    let read = running.client().await.fetch("t", 0, Offset::ZERO, 1 << 20, day).await.unwrap();
    assert_eq!(read.high_watermark.get(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zstd_is_for_those_who_can_know_it() {
    let running = Running::start().await;
    running.client().await.create_topic("t", 1, &[]).await.unwrap();
    let mut raw = Raw::connect(&running).await;
    let mut builder = BatchBuilder::new(Codec::Zstd);
    builder.push(Record { timestamp: TimestampMs(1), key: None, value: Some(b"v"), headers: &[] }).unwrap();
    let batch = builder.build(Offset::ZERO, None).unwrap();
    for (version, expected) in [(6, ErrorCode::UnsupportedCompressionType), (7, ErrorCode::None)] {
        send(&mut raw, version, 1, &produce("t", -1, batch.clone())).await;
        let frame = raw.read().await.expect("an answer");
        let (_, answer) = decode_response::<ProduceResponse>(&frame, version).unwrap();
        assert_eq!(
            answer.responses[0].partition_responses[0].error_code,
            expected.code(),
            "version {version}"
        );
    }
}
