//! What an operator asks for, over TCP and at every version: topics that grow, records that go, who writes, what there
//! is on the disk.

use crate::running::{Raw, Running, ask, one_record, served};
use highwater_wire::{
    ErrorCode,
    messages::{
        alter_partition_reassignments::*,
        create_partitions::*,
        delete_records::*,
        describe_log_dirs::*,
        elect_leaders,
        list_config_resources::*,
        list_partition_reassignments::*,
        offset_for_leader_epoch::*,
        {describe_producers as producers, describe_topic_partitions as pages},
    },
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_grow_and_never_shrink() {
    let running = Running::start().await;
    running.client().await.create_topic("t", 1, &[]).await.unwrap();
    let mut raw = Raw::connect(&running).await;
    let mut count = 1;
    for version in served::<CreatePartitionsRequest>() {
        let topic = |name: &str, count| CreatePartitionsTopic { name: name.into(), count, assignments: None };
        let wish =
            |topics, validate_only| CreatePartitionsRequest { topics, timeout_ms: 1000, validate_only };
        let tried = ask(&mut raw, version, &wish(vec![topic("t", count + 2)], true)).await;
        assert_eq!(tried.results[0].error_code, 0, "version {version}");
        count += 1;
        let grown =
            ask(&mut raw, version, &wish(vec![topic("t", count), topic("unknown", 2)], false)).await.results;
        assert_eq!((grown[0].error_code, &grown[0].error_message), (0, &None), "version {version}");
        assert_eq!(grown[1].error_code, ErrorCode::UnknownTopicOrPartition.code());
        let refused = ask(&mut raw, version, &wish(vec![topic("t", 1)], false)).await.results.remove(0);
        assert_eq!(refused.error_code, ErrorCode::InvalidPartitions.code());
        let said = format!("The topic t currently has {count} partition(s); 1 would not be an increase.");
        assert_eq!(refused.error_message, Some(said));
        let twice = ask(&mut raw, version, &wish(vec![topic("t", 9), topic("t", 8)], false)).await.results;
        assert_eq!((twice.len(), twice[0].error_code), (1, ErrorCode::InvalidRequest.code()));
    }
    // The newest partition takes records at once.
    let mut client = running.client().await;
    let last = count - 1;
    assert_eq!(client.produce("t", last, one_record(b"k", b"v")).await.unwrap().as_i64(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_are_deleted_up_to_an_offset() {
    let running = Running::start().await;
    let mut client = running.client().await;
    client.create_topic("t", 1, &[]).await.unwrap();
    for _ in 0..10 {
        client.produce("t", 0, one_record(b"k", b"v")).await.unwrap();
    }
    for (topic, policy) in [("compacted", "compact"), ("both", "compact,delete")] {
        client.create_topic(topic, 1, &[("cleanup.policy", policy)]).await.unwrap();
        client.produce(topic, 0, one_record(b"k", b"v")).await.unwrap();
    }
    let mut raw = Raw::connect(&running).await;
    let request_of = |topic: &str, partition_index, offset| DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: topic.into(),
            partitions: vec![DeleteRecordsPartition { partition_index, offset }],
        }],
        timeout_ms: 1000,
    };
    let request = |partition_index, offset| request_of("t", partition_index, offset);
    for (topic, low, code) in [("compacted", -1, ErrorCode::PolicyViolation.code()), ("both", 1, 0)] {
        let told = ask(&mut raw, 2, &request_of(topic, 0, 1)).await.topics.remove(0).partitions.remove(0);
        assert_eq!((told.low_watermark, told.error_code), (low, code), "{topic}");
    }
    for version in served::<DeleteRecordsRequest>() {
        let out_of_range = ErrorCode::OffsetOutOfRange.code();
        let unknown = ErrorCode::UnknownTopicOrPartition.code();
        let wanted = i64::from(version) + 2;
        for (partition, offset, low, code) in [
            (0, wanted, wanted, 0),
            // Below the start nothing happens.
            (0, 1, wanted, 0),
            (0, 11, -1, out_of_range),
            (0, -2, -1, out_of_range),
            (7, 0, -1, unknown),
        ] {
            let mut answer = ask(&mut raw, version, &request(partition, offset)).await;
            let told = answer.topics.remove(0).partitions.remove(0);
            assert_eq!((told.low_watermark, told.error_code), (low, code), "{version}: {partition} {offset}");
        }
    }
    let told = ask(&mut raw, 2, &request(0, -1)).await.topics.remove(0).partitions.remove(0);
    assert_eq!((told.low_watermark, told.error_code), (10, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leader_epochs_end_where_the_log_does() {
    let running = Running::start().await;
    let mut client = running.client().await;
    client.create_topic("t", 1, &[]).await.unwrap();
    client.produce("t", 0, one_record(b"k", b"v")).await.unwrap();
    let mut raw = Raw::connect(&running).await;
    for version in served::<OffsetForLeaderEpochRequest>() {
        for (current, asked, expected) in [
            (-1, 0, (0, 0, 1)),
            (0, 0, (0, 0, 1)),
            (0, 5, (0, -1, -1)),
            (0, -1, (0, -1, -1)),
            (3, 0, (ErrorCode::UnknownLeaderEpoch.code(), -1, -1)),
        ] {
            let partition =
                OffsetForLeaderPartition { partition: 0, current_leader_epoch: current, leader_epoch: asked };
            let request = OffsetForLeaderEpochRequest {
                topics: vec![OffsetForLeaderTopic { topic: "t".into(), partitions: vec![partition] }],
                ..OffsetForLeaderEpochRequest::default()
            };
            let told = ask(&mut raw, version, &request).await.topics.remove(0).partitions.remove(0);
            let told = (told.error_code, told.leader_epoch, told.end_offset);
            assert_eq!(told, expected, "version {version} current {current} asked {asked}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn directories_and_producers_are_described() {
    let running = Running::start().await;
    let mut client = running.client().await;
    client.create_topic("t", 2, &[]).await.unwrap();
    let batch = one_record(b"k", b"v");
    client.produce("t", 1, batch.clone()).await.unwrap();
    let mut raw = Raw::connect(&running).await;
    for version in served::<DescribeLogDirsRequest>() {
        let all = ask(&mut raw, version, &DescribeLogDirsRequest::default()).await.results.remove(0);
        assert!(all.log_dir.starts_with('/'), "{}", all.log_dir);
        assert_eq!(all.total_bytes > 0 && all.usable_bytes > 0, version >= 4, "version {version}");
        let sizes: Vec<_> = all.topics[0].partitions.iter().map(|log| log.partition_size).collect();
        assert_eq!(sizes, [0, i64::try_from(batch.len()).unwrap()]);
        let some = DescribableLogDirTopic { topic: "t".into(), partitions: vec![1, 9] };
        let request = DescribeLogDirsRequest { topics: Some(vec![some]) };
        let some = ask(&mut raw, version, &request).await.results.remove(0).topics.remove(0);
        assert_eq!(some.partitions.iter().map(|log| log.partition_index).collect::<Vec<_>>(), [1]);
    }
    let topic = producers::TopicRequest { name: "t".into(), partition_indexes: vec![1, 2] };
    let request = producers::DescribeProducersRequest { topics: vec![topic] };
    let told = ask(&mut raw, 0, &request).await.topics.remove(0).partitions;
    assert_eq!((told[0].error_code, told[0].active_producers.len()), (0, 0));
    assert_eq!(told[1].error_code, ErrorCode::UnknownTopicOrPartition.code());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_are_told_in_pages() {
    let running = Running::start().await;
    let mut client = running.client().await;
    client.create_topic("a", 3, &[]).await.unwrap();
    client.create_topic("b", 2, &[]).await.unwrap();
    let mut raw = Raw::connect(&running).await;
    let mut told = Vec::new();
    let mut cursor = None;
    loop {
        let request = pages::DescribeTopicPartitionsRequest {
            topics: Vec::new(),
            response_partition_limit: 2,
            cursor: cursor.clone(),
        };
        let page = ask(&mut raw, 0, &request).await;
        for topic in page.topics {
            assert_eq!(topic.error_code, 0);
            for partition in topic.partitions {
                told.push((topic.name.clone().unwrap(), partition.partition_index));
            }
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let expected = [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1)];
    assert_eq!(told, expected.map(|(name, partition)| (name.to_owned(), partition)));
    let unknown = |name: &str| pages::DescribeTopicPartitionsRequest {
        topics: vec![pages::TopicRequest { name: name.into() }],
        ..pages::DescribeTopicPartitionsRequest::default()
    };
    for (name, code) in
        [("c", ErrorCode::UnknownTopicOrPartition), ("no such", ErrorCode::InvalidTopicException)]
    {
        assert_eq!(ask(&mut raw, 0, &unknown(name)).await.topics[0].error_code, code.code());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_a_configuration_is_listed() {
    let running = Running::start().await;
    running.client().await.create_topic("t", 1, &[]).await.unwrap();
    let mut raw = Raw::connect(&running).await;
    let metrics = ask(&mut raw, 0, &ListConfigResourcesRequest::default()).await;
    assert_eq!((metrics.error_code, metrics.config_resources.len()), (0, 0));
    let all = ask(&mut raw, 1, &ListConfigResourcesRequest::default()).await.config_resources;
    let all: Vec<_> = all.into_iter().map(|found| (found.resource_type, found.resource_name)).collect();
    assert_eq!(all, [(2, "t".to_owned()), (4, "1".to_owned()), (8, "1".to_owned())]);
    let wrong = ListConfigResourcesRequest { resource_types: vec![3] };
    assert_eq!(ask(&mut raw, 1, &wrong).await.error_code, ErrorCode::UnsupportedVersion.code());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaders_are_elected_where_that_changes_something() {
    use elect_leaders::{ElectLeadersRequest, TopicPartitions};
    let running = Running::start().await;
    running.client().await.create_topic("t", 2, &[]).await.unwrap();
    let mut raw = Raw::connect(&running).await;
    let of = |topic: &str, partitions: &[i32]| TopicPartitions {
        topic: topic.into(),
        partitions: partitions.to_vec(),
    };
    for version in served::<ElectLeadersRequest>() {
        let types: &[i8] = if version == 0 { &[0] } else { &[0, 1] };
        for election_type in types.iter().copied() {
            let wish = |topic_partitions| ElectLeadersRequest {
                election_type,
                topic_partitions,
                ..ElectLeadersRequest::default()
            };
            let named = vec![of("t", &[0, 2, -1]), of("u", &[0])];
            let answer = ask(&mut raw, version, &wish(Some(named))).await;
            let codes: Vec<Vec<i16>> = answer
                .replica_election_results
                .iter()
                .map(|topic| topic.partition_result.iter().map(|one| one.error_code).collect())
                .collect();
            let unknown = ErrorCode::UnknownTopicOrPartition.code();
            let first = vec![ErrorCode::ElectionNotNeeded.code(), unknown, unknown];
            assert_eq!((answer.error_code, codes), (0, vec![first, vec![unknown]]), "version {version}");
            // Of all partitions those that have their leader are not told.
            let answer = ask(&mut raw, version, &wish(None)).await;
            let results = &answer.replica_election_results;
            assert!(results.iter().any(|topic| topic.topic == "t"), "version {version}: {results:?}");
            assert!(results.iter().all(|topic| topic.partition_result.is_empty()), "{results:?}");
        }
    }
    let wish = ElectLeadersRequest {
        election_type: 9,
        topic_partitions: Some(vec![of("t", &[0])]),
        ..ElectLeadersRequest::default()
    };
    let answer = ask(&mut raw, 2, &wish).await;
    let invalid = ErrorCode::InvalidRequest.code();
    assert_eq!(answer.error_code, invalid);
    assert_eq!(answer.replica_election_results[0].partition_result[0].error_code, invalid);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_stay_where_they_are_unless_a_broker_is_named_that_exists() {
    let running = Running::start().await;
    running.client().await.create_topic("t", 1, &[]).await.unwrap();
    let mut raw = Raw::connect(&running).await;
    let wish = |partition_index, replicas| AlterPartitionReassignmentsRequest {
        topics: vec![ReassignableTopic {
            name: "t".into(),
            partitions: vec![ReassignablePartition { partition_index, replicas }],
        }],
        ..AlterPartitionReassignmentsRequest::default()
    };
    for version in served::<AlterPartitionReassignmentsRequest>() {
        for (partition, replicas, code) in [
            (0, Some(vec![1]), ErrorCode::None),
            (0, None, ErrorCode::NoReassignmentInProgress),
            (0, Some(vec![]), ErrorCode::InvalidReplicaAssignment),
            (0, Some(vec![1, 1]), ErrorCode::InvalidReplicaAssignment),
            (0, Some(vec![7]), ErrorCode::InvalidReplicaAssignment),
            (0, Some(vec![-1]), ErrorCode::InvalidReplicaAssignment),
            (1, Some(vec![1]), ErrorCode::UnknownTopicOrPartition),
            (-1, None, ErrorCode::UnknownTopicOrPartition),
        ] {
            let answer = ask(&mut raw, version, &wish(partition, replicas.clone())).await;
            let result = &answer.responses[0].partitions[0];
            assert_eq!(result.error_code, code.code(), "version {version}: {partition} to {replicas:?}");
            assert_eq!(result.error_message.is_none(), code == ErrorCode::None);
        }
    }
    let same_size = AlterPartitionReassignmentsRequest {
        allow_replication_factor_change: false,
        ..wish(0, Some(vec![1, 2]))
    };
    let answer = ask(&mut raw, 1, &same_size).await;
    let result = &answer.responses[0].partitions[0];
    // As in Kafka, who is nobody comes before how many there are.
    assert_eq!(result.error_code, ErrorCode::InvalidReplicaAssignment.code());
    let some = ListPartitionReassignmentsTopics { name: "t".into(), partition_indexes: vec![0, 5, -1] };
    for topics in [None, Some(vec![some])] {
        let request =
            ListPartitionReassignmentsRequest { topics, ..ListPartitionReassignmentsRequest::default() };
        let answer = ask(&mut raw, 0, &request).await;
        assert_eq!((answer.error_code, answer.topics), (0, vec![]));
    }
}
