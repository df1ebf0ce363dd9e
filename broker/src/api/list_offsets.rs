//! ListOffsets: positions of partitions, and records by time. Nobody looks at `replica_id`: whoever claims to be a follower is
//! told what consumers are, and nothing beyond the watermark.

use super::{Decoded, Refused, fetch, reply};
use crate::server::Reply;
use highwater_node::request::{ListOffset, ListOffsetsError, ListedOffset, OffsetSpec, TopicRef};
use highwater_records::TimestampMs;
use highwater_wire::{
    ErrorCode,
    messages::list_offsets::{
        ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
        ListOffsetsTopic, ListOffsetsTopicResponse,
    },
};
use std::collections::BTreeSet;

pub(super) async fn answer(call: Decoded<ListOffsetsRequest>) -> Result<Reply, Refused> {
    let Decoded { node, caller, start, request } = call;
    let isolation = fetch::isolation(request.isolation_level)?;
    let twice = twice(&request.topics);
    let mut wanted = Vec::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            if twice.contains(&(topic.name.as_str(), partition.partition_index)) {
                continue;
            }
            if let Some(spec) = spec(start.api_version, partition.timestamp) {
                wanted.push(ListOffset {
                    topic: TopicRef::Name(topic.name.clone()),
                    partition: partition.partition_index,
                    current_leader_epoch: epoch(partition.current_leader_epoch),
                    isolation,
                    spec,
                });
            }
        }
    }
    let mut answers = node.list_offsets(&caller, wanted).await.into_iter();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let mut next = |partition: &ListOffsetsPartition| {
            let answer = match spec(start.api_version, partition.timestamp) {
                _ if twice.contains(&(topic.name.as_str(), partition.partition_index)) => {
                    Some(Err(ErrorCode::InvalidRequest))
                }
                Some(_) => answers.next().map(|answer| answer.map_err(|error| code(&error))),
                None => Some(Err(ErrorCode::UnsupportedVersion)),
            };
            // One answer for each question; a missing one would be a mistake of ours.
            partition_response(
                partition.partition_index,
                answer.unwrap_or(Err(ErrorCode::UnknownServerError)),
            )
        };
        let partitions = topic.partitions.iter().map(&mut next).collect();
        topics.push(ListOffsetsTopicResponse { name: topic.name.clone(), partitions });
    }
    Ok(reply(start, &ListOffsetsResponse { topics, ..ListOffsetsResponse::default() }))
}

/// A leader epoch as it travels with everything but Fetch: -1 means unknown, and one below is older than any.
pub(super) fn epoch(epoch: i32) -> Option<i32> {
    (epoch != -1).then_some(epoch)
}

/// The partitions that are asked for more than once, which none of their answers could be told apart by.
fn twice(topics: &[ListOffsetsTopic]) -> BTreeSet<(&str, i32)> {
    let named = topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|partition| (topic.name.as_str(), partition.partition_index))
    });
    let mut seen = BTreeSet::new();
    named.filter(|partition| !seen.insert(*partition)).collect()
}

/// What a timestamp or a sentinel asks for, or `None` for one that the version does not have.
fn spec(version: i16, timestamp: i64) -> Option<OffsetSpec> {
    let (spec, since) = match timestamp {
        -1 => (OffsetSpec::Latest, 0),
        -2 => (OffsetSpec::Earliest, 0),
        -3 => (OffsetSpec::MaxTimestamp, 7),
        -4 => (OffsetSpec::EarliestLocal, 8),
        -5 => (OffsetSpec::LatestTiered, 9),
        -6 => (OffsetSpec::EarliestPendingUpload, 11),
        i64::MIN..=-7 => return None,
        time => (OffsetSpec::At(TimestampMs(time)), 0),
    };
    (version >= since).then_some(spec)
}

fn partition_response(
    partition_index: i32,
    answer: Result<ListedOffset, ErrorCode>,
) -> ListOffsetsPartitionResponse {
    match answer {
        Ok(listed) => ListOffsetsPartitionResponse {
            partition_index,
            timestamp: listed.timestamp.map_or(-1, |time| time.0),
            offset: listed.offset.map_or(-1, |offset| offset.as_i64()),
            leader_epoch: listed.leader_epoch.map_or(-1, |epoch| epoch.as_i32()),
            ..ListOffsetsPartitionResponse::default()
        },
        Err(error) => ListOffsetsPartitionResponse {
            partition_index,
            error_code: error.code(),
            ..ListOffsetsPartitionResponse::default()
        },
    }
}

fn code(error: &ListOffsetsError) -> ErrorCode {
    match error {
        ListOffsetsError::UnknownTopicOrPartition => ErrorCode::UnknownTopicOrPartition,
        ListOffsetsError::NotLeader => ErrorCode::NotLeaderOrFollower,
        ListOffsetsError::FencedLeaderEpoch { .. } => ErrorCode::FencedLeaderEpoch,
        ListOffsetsError::NotAvailable => ErrorCode::OffsetNotAvailable,
        ListOffsetsError::UnknownLeaderEpoch { .. } => ErrorCode::UnknownLeaderEpoch,
        ListOffsetsError::Storage(detail) => {
            tracing::warn!("list offsets: {detail}");
            ErrorCode::KafkaStorageError
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentinels_exist_since_the_version_that_brought_them() {
        assert_eq!(spec(1, -1), Some(OffsetSpec::Latest));
        assert_eq!(spec(1, -2), Some(OffsetSpec::Earliest));
        for (sentinel, since) in [(-3, 7), (-4, 8), (-5, 9), (-6, 11)] {
            assert_eq!(spec(since - 1, sentinel), None);
            assert!(spec(since, sentinel).is_some());
        }
        assert_eq!(spec(11, -7), None);
        assert_eq!(spec(1, 0), Some(OffsetSpec::At(TimestampMs(0))));
    }

    #[test]
    fn nothing_found_is_minus_one_without_an_error() {
        let response = partition_response(4, Ok(ListedOffset::default()));
        assert_eq!((response.partition_index, response.error_code), (4, 0));
        assert_eq!((response.offset, response.timestamp, response.leader_epoch), (-1, -1, -1));
    }
}
