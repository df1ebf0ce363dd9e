//! Byte for byte what Apache Kafka's own client library (4.3.1) writes: `vectors.txt` has one frame a line, as
//! name, version and hex digits without the length prefix. Each was made from the value below.

use bytes::Bytes;
use highwater_records::TopicId;
use highwater_wire::messages::{api_versions::*, describe_configs::*, fetch, metadata::*, produce};
use highwater_wire::{
    Frame, Message, Request, RequestHeader, RequestStart, decode_response, encode_request, encode_response,
};

const CLIENT: &str = "client-ü";
const CORRELATION: i32 = 77;

fn topic_id() -> TopicId {
    TopicId::from_bytes([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16])
}

/// `value` where the version has the field, the default otherwise.
fn since<T: Default>(has: bool, value: T) -> T {
    if has { value } else { T::default() }
}

/// The same where the default is not the type's own.
fn since_or<T>(has: bool, value: T, default: T) -> T {
    if has { value } else { default }
}

fn fetch_request(v: i16) -> fetch::FetchRequest {
    use fetch::*;
    FetchRequest {
        cluster_id: since(v >= 12, Some("abc".into())),
        replica_state: since(v >= 15, ReplicaState { replica_id: 5, replica_epoch: 6 }),
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: 52428800,
        isolation_level: 1,
        session_id: since(v >= 7, 9),
        session_epoch: since_or(v >= 7, 3, -1),
        topics: vec![FetchTopic {
            topic: since(v < 13, "topic".into()),
            topic_id: since_or(v >= 13, topic_id(), TopicId::ZERO),
            partitions: vec![FetchPartition {
                partition: 2,
                current_leader_epoch: since_or(v >= 9, 4, -1),
                fetch_offset: 1 << 40,
                last_fetched_epoch: since_or(v >= 12, 3, -1),
                partition_max_bytes: 1048576,
                replica_directory_id: since_or(v >= 17, topic_id(), TopicId::ZERO),
                high_watermark: since_or(v >= 18, 123456789, i64::MAX),
                ..FetchPartition::default()
            }],
        }],
        forgotten_topics_data: since(
            v >= 7,
            vec![ForgottenTopic {
                topic: since(v < 13, "old".into()),
                topic_id: since_or(v >= 13, topic_id(), TopicId::ZERO),
                partitions: vec![1, 2],
            }],
        ),
        rack_id: since(v >= 11, "rack".into()),
        ..FetchRequest::default()
    }
}

fn fetch_response(v: i16) -> fetch::FetchResponse {
    use fetch::*;
    FetchResponse {
        throttle_time_ms: 11,
        session_id: since(v >= 7, 5),
        responses: vec![FetchableTopicResponse {
            topic: since(v < 13, "topic".into()),
            topic_id: since_or(v >= 13, topic_id(), TopicId::ZERO),
            partitions: vec![PartitionData {
                partition_index: 2,
                error_code: 3,
                high_watermark: 10,
                last_stable_offset: 9,
                log_start_offset: since_or(v >= 5, 1, -1),
                diverging_epoch: since(v >= 12, EpochEndOffset { epoch: 2, end_offset: 33 }),
                current_leader: since(v >= 12, LeaderIdAndEpoch { leader_id: 1, leader_epoch: 2 }),
                aborted_transactions: Some(vec![AbortedTransaction { producer_id: 7, first_offset: 8 }]),
                preferred_read_replica: since_or(v >= 11, 4, -1),
                records: Some(Bytes::from_static(b"records!")),
                ..PartitionData::default()
            }],
        }],
        node_endpoints: since(
            v >= 16,
            vec![NodeEndpoint { node_id: 1, host: "h".into(), port: 9092, rack: None }],
        ),
        ..FetchResponse::default()
    }
}

fn produce_request(v: i16) -> produce::ProduceRequest {
    use produce::*;
    ProduceRequest {
        transactional_id: None,
        acks: -1,
        timeout_ms: 30000,
        topic_data: vec![TopicProduceData {
            name: since(v < 13, "topic".into()),
            topic_id: since_or(v >= 13, topic_id(), TopicId::ZERO),
            partition_data: vec![
                PartitionProduceData { index: 1, records: Some(Bytes::from_static(b"batch")) },
                PartitionProduceData { index: 2, records: None },
            ],
        }],
    }
}

fn produce_response(v: i16) -> produce::ProduceResponse {
    use produce::*;
    ProduceResponse {
        responses: vec![TopicProduceResponse {
            name: since(v < 13, "topic".into()),
            topic_id: since_or(v >= 13, topic_id(), TopicId::ZERO),
            partition_responses: vec![PartitionProduceResponse {
                index: 1,
                error_code: 87,
                base_offset: -1,
                log_append_time_ms: 1234567890123,
                log_start_offset: since_or(v >= 5, 3, -1),
                record_errors: since(
                    v >= 8,
                    vec![BatchIndexAndErrorMessage { batch_index: 4, batch_index_error_message: None }],
                ),
                error_message: since(v >= 8, Some("bad".into())),
                current_leader: since(v >= 10, LeaderIdAndEpoch { leader_id: 6, leader_epoch: 7 }),
            }],
        }],
        throttle_time_ms: 2,
        node_endpoints: Vec::new(),
    }
}

fn metadata_request(v: i16) -> MetadataRequest {
    MetadataRequest {
        topics: Some(vec![MetadataRequestTopic {
            topic_id: since_or(v >= 12, topic_id(), TopicId::ZERO),
            name: since(v < 12, Some("topic".into())),
        }]),
        allow_auto_topic_creation: v < 4,
        include_cluster_authorized_operations: (8..=10).contains(&v),
        include_topic_authorized_operations: false,
    }
}

fn metadata_response(v: i16) -> MetadataResponse {
    MetadataResponse {
        throttle_time_ms: since(v >= 3, 1),
        brokers: vec![MetadataResponseBroker {
            node_id: 1,
            host: "localhost".into(),
            port: 9092,
            rack: None,
        }],
        cluster_id: since(v >= 2, Some("cid".into())),
        controller_id: since_or(v >= 1, 1, -1),
        topics: vec![MetadataResponseTopic {
            name: Some("topic".into()),
            topic_id: since_or(v >= 10, topic_id(), TopicId::ZERO),
            is_internal: v >= 1,
            partitions: vec![MetadataResponsePartition {
                leader_id: 1,
                leader_epoch: since_or(v >= 7, 8, -1),
                replica_nodes: vec![1, 2],
                isr_nodes: vec![1],
                offline_replicas: since(v >= 5, vec![2]),
                ..MetadataResponsePartition::default()
            }],
            ..MetadataResponseTopic::default()
        }],
        error_code: since(v >= 13, 5),
        ..MetadataResponse::default()
    }
}

fn api_versions_request(v: i16) -> ApiVersionsRequest {
    ApiVersionsRequest {
        client_software_name: since(v >= 3, "n".into()),
        client_software_version: since(v >= 3, "1".into()),
    }
}

fn api_versions_response(v: i16) -> ApiVersionsResponse {
    ApiVersionsResponse {
        error_code: 35,
        api_keys: vec![ApiVersion { api_key: 18, min_version: 0, max_version: 4 }],
        throttle_time_ms: since(v >= 1, 3),
        finalized_features_epoch: since_or(v >= 3, 9, -1),
        zk_migration_ready: v >= 3,
        ..ApiVersionsResponse::default()
    }
}

fn describe_configs_request(v: i16) -> DescribeConfigsRequest {
    DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type: 2,
            resource_name: "t".into(),
            configuration_keys: None,
        }],
        include_synonyms: true,
        include_documentation: v >= 3,
    }
}

fn from_hex(digits: &str) -> Bytes {
    (0..digits.len() / 2).map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).unwrap()).collect()
}

fn without_length(frame: &Frame) -> Bytes {
    let whole = frame.to_bytes();
    assert_eq!(whole[..4], i32::try_from(whole.len() - 4).unwrap().to_be_bytes());
    whole.slice(4..)
}

fn request<R: Request>(version: i16, expected: &Bytes, value: &R) {
    let ours = encode_request(value, version, CORRELATION, Some(CLIENT)).unwrap();
    assert_eq!(without_length(&ours), *expected, "{} {version}", R::DECLARATION.name);
    let header = RequestHeader::decode(R::DECLARATION, expected).unwrap();
    let start =
        RequestStart { api_key: R::DECLARATION.api_key, api_version: version, correlation_id: CORRELATION };
    assert_eq!((header.start, header.client_id.as_deref()), (start, Some(CLIENT)));
    assert_eq!(R::from_frame(expected, header.body_position, version).as_ref(), Ok(value));
}

fn response<M: Message>(version: i16, expected: &Bytes, value: &M) {
    let ours = encode_response(value, version, CORRELATION).unwrap();
    assert_eq!(without_length(&ours), *expected, "{} {version}", M::DECLARATION.name);
    assert_eq!(decode_response::<M>(expected, version), Ok((CORRELATION, value.clone())));
}

#[test]
fn kafka_writes_the_same_bytes() {
    let vectors = include_str!("vectors.txt");
    assert_eq!(vectors.lines().count(), 51);
    for line in vectors.lines() {
        let mut words = line.split(' ');
        let (name, version, hex) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
        let (v, frame) = (version.parse().unwrap(), from_hex(hex));
        match name {
            "FetchRequest" => request(v, &frame, &fetch_request(v)),
            "FetchResponse" => response(v, &frame, &fetch_response(v)),
            "ProduceRequest" => request(v, &frame, &produce_request(v)),
            "ProduceResponse" => response(v, &frame, &produce_response(v)),
            "MetadataRequest" => request(v, &frame, &metadata_request(v)),
            "MetadataResponse" => response(v, &frame, &metadata_response(v)),
            "ApiVersionsRequest" => request(v, &frame, &api_versions_request(v)),
            "ApiVersionsResponse" => response(v, &frame, &api_versions_response(v)),
            "DescribeConfigsRequest" => request(v, &frame, &describe_configs_request(v)),
            other => panic!("no value for {other}"),
        }
    }
}
