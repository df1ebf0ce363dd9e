//! Every API at every version that is advertised, over TCP: each request gets the answer it should, in the
//! version's own layout.

use crate::running::{Raw, Running, ask, one_record, served};
use highwater_records::TopicId;
use highwater_wire::{
    ErrorCode,
    messages::{
        api_versions::*, create_topics::*, delete_topics::*, describe_cluster::*, describe_configs::*, fetch,
        find_coordinator::*, init_producer_id::*, list_offsets::*, metadata::*, produce,
    },
    versions::APIS,
};
use std::collections::BTreeMap;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_table_is_what_is_told() {
    let running = Running::start().await;
    let mut raw = Raw::connect(&running).await;
    for version in served::<ApiVersionsRequest>() {
        let who =
            ApiVersionsRequest { client_software_name: "a".into(), client_software_version: "1".into() };
        let answer = ask(&mut raw, version, &who).await;
        assert_eq!(answer.error_code, 0);
        let told: BTreeMap<_, _> =
            answer.api_keys.iter().map(|api| (api.api_key, (api.min_version, api.max_version))).collect();
        let ours = APIS.iter().map(|api| (api.key(), (api.advertised.min, api.advertised.max))).collect();
        assert_eq!(told, ours);
        let supported: Vec<_> =
            answer.supported_features.iter().map(|feature| feature.name.as_str()).collect();
        let finalized: Vec<_> =
            answer.finalized_features.iter().map(|feature| feature.name.as_str()).collect();
        let told =
            |since: i16| if version >= since { vec!["group.version", "transaction.version"] } else { vec![] };
        assert_eq!((supported, finalized), (told(4), told(3)), "version {version}");
        assert_eq!(answer.finalized_features_epoch, if version >= 3 { 0 } else { -1 });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_are_created_found_described_and_deleted() {
    let running = Running::start().await;
    let mut raw = Raw::connect(&running).await;
    for version in served::<CreateTopicsRequest>() {
        let topic = CreatableTopic {
            name: format!("created-by-{version}"),
            num_partitions: 2,
            replication_factor: 1,
            configs: vec![CreatableTopicConfig { name: "retention.ms".into(), value: Some("1000".into()) }],
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() };
        let created = ask(&mut raw, version, &request).await.topics.remove(0);
        assert_eq!((created.error_code, created.error_message), (0, None), "version {version}");
        assert_eq!(created.topic_id.is_zero(), version < 7, "version {version}");
        assert_eq!(created.num_partitions, if version < 5 { -1 } else { 2 });
        let again = ask(&mut raw, version, &request).await.topics.remove(0);
        assert_eq!(again.error_code, ErrorCode::TopicAlreadyExists.code(), "version {version}");
    }
    for version in served::<MetadataRequest>() {
        let topic =
            MetadataRequestTopic { name: Some("created-by-7".into()), ..MetadataRequestTopic::default() };
        let request = MetadataRequest { topics: Some(vec![topic]), ..MetadataRequest::default() };
        let mut answer = ask(&mut raw, version, &request).await;
        assert_eq!((answer.brokers.len(), answer.topics.len(), answer.error_code), (1, 1, 0));
        assert_eq!(answer.brokers[0].port, i32::from(running.address().port()), "version {version}");
        if version >= 2 {
            assert_eq!(answer.cluster_id.as_deref().map(str::len), Some(22));
        }
        if version >= 1 {
            assert_eq!(answer.controller_id, answer.brokers[0].node_id);
        }
        let topic = answer.topics.remove(0);
        assert_eq!((topic.error_code, topic.name.as_deref()), (0, Some("created-by-7")));
        let leaders: Vec<_> = topic.partitions.iter().map(|partition| partition.leader_id).collect();
        assert_eq!(leaders, [answer.brokers[0].node_id; 2], "version {version}");
    }
    for version in served::<DescribeConfigsRequest>() {
        let resource = DescribeConfigsResource {
            resource_type: 2,
            resource_name: "created-by-7".into(),
            configuration_keys: Some(vec!["retention.ms".into(), "cleanup.policy".into()]),
        };
        let request =
            DescribeConfigsRequest { resources: vec![resource.clone()], ..DescribeConfigsRequest::default() };
        let found = ask(&mut raw, version, &request).await.results.remove(0);
        let strange = DescribeConfigsResource { resource_type: 7, ..resource.clone() };
        let both = DescribeConfigsRequest { resources: vec![resource, strange], ..request };
        let refused = ask(&mut raw, version, &both).await.results;
        assert_eq!(refused.iter().map(|result| result.error_code).collect::<Vec<_>>(), [42, 42]);
        let values: BTreeMap<_, _> = found
            .configs
            .into_iter()
            .map(|config| (config.name, (config.value, config.config_source)))
            .collect();
        let expected = [
            ("cleanup.policy".to_owned(), (Some("delete".to_owned()), 5)),
            ("retention.ms".to_owned(), (Some("1000".to_owned()), 1)),
        ];
        assert_eq!((found.error_code, values), (0, BTreeMap::from(expected)), "version {version}");
    }
    for version in served::<DeleteTopicsRequest>() {
        // There is one topic for each version of CreateTopics; version 1 meets a topic that is not there.
        let name = format!("created-by-{version}");
        let request = if version >= 6 {
            let state = DeleteTopicState { name: Some(name), ..DeleteTopicState::default() };
            DeleteTopicsRequest { topics: vec![state], timeout_ms: 10_000, ..DeleteTopicsRequest::default() }
        } else {
            DeleteTopicsRequest { topic_names: vec![name], timeout_ms: 10_000, ..Default::default() }
        };
        let deleted = ask(&mut raw, version, &request).await.responses.remove(0);
        let expected = if version == 1 { ErrorCode::UnknownTopicOrPartition } else { ErrorCode::None };
        assert_eq!(deleted.error_code, expected.code(), "version {version}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_are_written_found_and_read() {
    let running = Running::start().await;
    let id = running.client().await.create_topic("t", 1, &[]).await.unwrap();
    let mut raw = Raw::connect(&running).await;
    let batch = one_record(b"key", b"value");
    let mut count = 0;
    for version in served::<produce::ProduceRequest>() {
        let data = produce::PartitionProduceData { index: 0, records: Some(batch.clone()) };
        let topic = produce::TopicProduceData { name: "t".into(), topic_id: id, partition_data: vec![data] };
        let request = produce::ProduceRequest {
            acks: if version % 2 == 0 { -1 } else { 1 },
            timeout_ms: 10_000,
            topic_data: vec![topic],
            ..produce::ProduceRequest::default()
        };
        let answer = ask(&mut raw, version, &request).await.responses.remove(0).partition_responses.remove(0);
        assert_eq!((answer.error_code, answer.base_offset, answer.log_append_time_ms), (0, count, -1));
        count += 1;
    }
    for version in served::<fetch::FetchRequest>() {
        let partition =
            fetch::FetchPartition { fetch_offset: 1, partition_max_bytes: 1 << 20, ..Default::default() };
        let topic = fetch::FetchTopic { topic: "t".into(), topic_id: id, partitions: vec![partition] };
        let request = fetch::FetchRequest {
            max_wait_ms: 10_000,
            min_bytes: 1,
            max_bytes: 1 << 20,
            topics: vec![topic],
            ..fetch::FetchRequest::default()
        };
        let answer = ask(&mut raw, version, &request).await;
        assert_eq!((answer.error_code, answer.session_id), (0, 0));
        let read = &answer.responses[0].partitions[0];
        assert_eq!((read.error_code, read.high_watermark), (0, count), "version {version}");
        assert_eq!(read.preferred_read_replica, -1);
        let records = read.records.as_ref().unwrap();
        assert_eq!(records.len(), batch.len() * (usize::try_from(count).unwrap() - 1), "version {version}");
        assert_eq!(records[..8], 1i64.to_be_bytes(), "version {version}");
    }
    for version in served::<ListOffsetsRequest>() {
        let sentinels = [(-1, count, -1), (-2, 0, -1), (1, 0, 1_000), (i64::MAX, -1, -1)];
        let partition = |(timestamp, ..): &(i64, i64, i64)| ListOffsetsPartition {
            timestamp: *timestamp,
            ..ListOffsetsPartition::default()
        };
        for sentinel in &sentinels {
            let topic = ListOffsetsTopic { name: "t".into(), partitions: vec![partition(sentinel)] };
            let request = ListOffsetsRequest { topics: vec![topic], ..ListOffsetsRequest::default() };
            let found = ask(&mut raw, version, &request).await.topics.remove(0).partitions.remove(0);
            let values = (found.error_code, found.offset, found.timestamp);
            assert_eq!(values, (0, sentinel.1, sentinel.2), "{version}");
        }
        // None of the answers could be told apart from the others.
        let topic =
            ListOffsetsTopic { name: "t".into(), partitions: sentinels.iter().map(partition).collect() };
        let request = ListOffsetsRequest { topics: vec![topic], ..ListOffsetsRequest::default() };
        let found = ask(&mut raw, version, &request).await.topics.remove(0).partitions;
        assert!(found.iter().all(|each| each.error_code == ErrorCode::InvalidRequest.code()), "{version}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn producers_get_ids_and_groups_get_the_truth() {
    let running = Running::start().await;
    let mut raw = Raw::connect(&running).await;
    let mut last = -1;
    for version in served::<InitProducerIdRequest>() {
        let mut request =
            InitProducerIdRequest { transaction_timeout_ms: 1, ..InitProducerIdRequest::default() };
        let given = ask(&mut raw, version, &request).await;
        assert_eq!((given.error_code, given.producer_epoch), (0, 0));
        assert!(given.producer_id > last, "ids are given once");
        last = given.producer_id;
        let refusals = [
            ("", ErrorCode::InvalidRequest, "an id has letters"),
            ("t", ErrorCode::CoordinatorNotAvailable, "nobody looked for it yet"),
        ];
        for (id, code, why) in refusals {
            request.transactional_id = Some(id.to_owned());
            let refused = ask(&mut raw, version, &request).await;
            assert_eq!(refused.error_code, code.code(), "{why}");
            assert_eq!((refused.producer_id, refused.producer_epoch), (-1, -1));
        }
    }
    for version in served::<FindCoordinatorRequest>() {
        let group = FindCoordinatorRequest {
            key: "g".into(),
            coordinator_keys: vec!["g".into()],
            ..FindCoordinatorRequest::default()
        };
        let answer = ask(&mut raw, version, &group).await;
        let port = answer.coordinators.first().map_or(answer.port, |found| found.port);
        let told = answer.coordinators.first().map_or(answer.error_code, |found| found.error_code);
        assert_eq!((told, port), (0, i32::from(running.address().port())), "version {version}");
        if version >= 1 {
            let transaction = FindCoordinatorRequest { key_type: 1, ..group };
            let answer = ask(&mut raw, version, &transaction).await;
            let told = answer.coordinators.first().map_or(answer.error_code, |found| found.error_code);
            assert_eq!(told, 0);
            let share = FindCoordinatorRequest { key_type: 2, ..transaction };
            let answer = ask(&mut raw, version, &share).await;
            let told = answer.coordinators.first().map_or(answer.error_code, |found| found.error_code);
            assert_eq!(told, ErrorCode::InvalidRequest.code(), "there are no share groups");
        }
    }
    for version in served::<DescribeClusterRequest>() {
        let answer = ask(&mut raw, version, &DescribeClusterRequest::default()).await;
        assert_eq!((answer.error_code, answer.brokers.len()), (0, 1));
        assert_eq!(answer.cluster_authorized_operations, i32::MIN);
        if version >= 1 {
            let controllers =
                DescribeClusterRequest { endpoint_type: 2, ..DescribeClusterRequest::default() };
            let refused = ask(&mut raw, version, &controllers).await;
            assert_eq!(refused.error_code, ErrorCode::MismatchedEndpointType.code());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_unknown_has_its_own_code() {
    let running = Running::start().await;
    running.client().await.create_topic("t", 1, &[]).await.unwrap();
    let mut raw = Raw::connect(&running).await;
    let unknown = TopicId::from_bytes([9; 16]);

    let topic = MetadataRequestTopic { topic_id: unknown, name: None };
    let request = MetadataRequest { topics: Some(vec![topic]), ..MetadataRequest::default() };
    let told = ask(&mut raw, 12, &request).await.topics.remove(0);
    assert_eq!((told.error_code, told.topic_id), (ErrorCode::UnknownTopicId.code(), unknown));

    let partitions = vec![fetch::FetchPartition::default()];
    let by_id = fetch::FetchTopic { topic_id: unknown, partitions: partitions.clone(), ..Default::default() };
    let request = fetch::FetchRequest { topics: vec![by_id], ..fetch::FetchRequest::default() };
    let told = ask(&mut raw, 13, &request).await.responses.remove(0).partitions.remove(0);
    assert_eq!(told.error_code, ErrorCode::UnknownTopicId.code());

    for (offset, epoch, partition, expected) in [
        (1, -1, 0, ErrorCode::OffsetOutOfRange),
        (-1, -1, 0, ErrorCode::OffsetOutOfRange),
        (0, 99, 0, ErrorCode::UnknownLeaderEpoch),
        (0, -1, 1, ErrorCode::UnknownTopicOrPartition),
        (0, -1, -1, ErrorCode::UnknownTopicOrPartition),
        (0, -1, 0, ErrorCode::None),
    ] {
        let wanted = fetch::FetchPartition {
            partition,
            fetch_offset: offset,
            current_leader_epoch: epoch,
            partition_max_bytes: 100,
            ..fetch::FetchPartition::default()
        };
        let topic = fetch::FetchTopic { topic: "t".into(), partitions: vec![wanted], ..Default::default() };
        let request = fetch::FetchRequest { topics: vec![topic], ..fetch::FetchRequest::default() };
        let told = ask(&mut raw, 12, &request).await.responses.remove(0).partitions.remove(0);
        assert_eq!(told.error_code, expected.code(), "offset {offset} epoch {epoch} partition {partition}");
    }

    // Created by being asked for, unless the client says no.
    let mut request = MetadataRequest {
        topics: Some(vec![MetadataRequestTopic {
            name: Some("new".into()),
            ..MetadataRequestTopic::default()
        }]),
        allow_auto_topic_creation: false,
        ..MetadataRequest::default()
    };
    let told = ask(&mut raw, 4, &request).await.topics.remove(0);
    assert_eq!(told.error_code, ErrorCode::UnknownTopicOrPartition.code());
    request.allow_auto_topic_creation = true;
    let told = ask(&mut raw, 4, &request).await.topics.remove(0);
    assert_eq!((told.error_code, told.partitions.len()), (0, 1));
    request.topics =
        Some(vec![MetadataRequestTopic { name: Some("no such/name".into()), ..Default::default() }]);
    let told = ask(&mut raw, 4, &request).await.topics.remove(0);
    assert_eq!(told.error_code, ErrorCode::InvalidTopicException.code());
}
