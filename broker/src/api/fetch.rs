//! Fetch: batches from an offset on.
//!
//! There are no fetch sessions yet: the response says session 0, as Kafka does when it has no room for another, and
//! the client names every partition in each request.

use super::{Decoded, Refused, reply};
use crate::server::{Reply, Step};
use bytes::Bytes;
use highwater_node::request::{Fetch, FetchError, FetchPartition, Fetched, Isolation, TopicRef};
use highwater_wire::{
    ErrorCode, RequestStart,
    messages::fetch::{FetchRequest, FetchResponse, FetchTopic, FetchableTopicResponse, PartitionData},
};
use std::time::Duration;

pub(super) fn answer(call: Decoded<FetchRequest>) -> Result<Step, Refused> {
    let Decoded { node, caller, start, request } = call;
    let isolation = isolation(request.isolation_level)?;
    if let Some(error) = refusal(&request) {
        let response = FetchResponse { error_code: error.code(), ..FetchResponse::default() };
        return Ok(Step::Now(reply(start, &response)));
    }
    // The broker's own bound: no answer is larger, but for a single larger batch.
    let answer_bytes_max = usize::try_from(node.config().fetch_bytes_max).unwrap_or(usize::MAX);
    let (asked, partitions) = split(start.api_version, request.topics);
    let fetch = Fetch {
        max_wait: Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)),
        min_bytes: usize::try_from(request.min_bytes).unwrap_or(0),
        max_bytes: usize::try_from(request.max_bytes).unwrap_or(0).min(answer_bytes_max),
        isolation,
        partitions,
    };
    Ok(Step::Poll(Box::pin(async move {
        let answers = node.fetch(&caller, fetch).await;
        respond(start, isolation, asked, answers.into_iter().map(|answer| answer.result))
    })))
}

/// The isolation level that a number on the wire means.
pub(super) fn isolation(level: i8) -> Result<Isolation, Refused> {
    match level {
        0 => Ok(Isolation::ReadUncommitted),
        1 => Ok(Isolation::ReadCommitted),
        other => Err(Refused::IsolationLevel(other)),
    }
}

/// What is wrong with the request as a whole.
fn refusal(request: &FetchRequest) -> Option<ErrorCode> {
    if request.replica_id >= 0 || request.replica_state.replica_id >= 0 {
        // Followers have a protocol of their own.
        return Some(ErrorCode::InvalidRequest);
    }
    match (request.session_id, request.session_epoch) {
        // No session, a wish for one, or the end of one.
        (0, 0) | (_, -1) => None,
        (0, _) => Some(ErrorCode::InvalidFetchSessionEpoch),
        _ => Some(ErrorCode::FetchSessionIdNotFound),
    }
}

/// What the response repeats: each topic and the numbers of its partitions.
type Asked = Vec<(FetchableTopicResponse, Vec<i32>)>;

fn split(version: i16, topics: Vec<FetchTopic>) -> (Asked, Vec<FetchPartition>) {
    let mut asked = Vec::with_capacity(topics.len());
    let mut wanted = Vec::new();
    for topic in topics {
        let reference =
            if version >= 13 { TopicRef::Id(topic.topic_id) } else { TopicRef::Name(topic.topic.clone()) };
        asked.push((
            FetchableTopicResponse { topic: topic.topic, topic_id: topic.topic_id, partitions: Vec::new() },
            topic.partitions.iter().map(|partition| partition.partition).collect(),
        ));
        wanted.extend(topic.partitions.iter().map(|partition| FetchPartition {
            topic: reference.clone(),
            partition: partition.partition,
            offset: partition.fetch_offset,
            max_bytes: usize::try_from(partition.partition_max_bytes).unwrap_or(0),
            current_leader_epoch: epoch(partition.current_leader_epoch),
        }));
    }
    (asked, wanted)
}

/// A leader epoch as it travels: negative means unknown.
pub(super) fn epoch(epoch: i32) -> Option<i32> {
    (epoch >= 0).then_some(epoch)
}

fn respond(
    start: RequestStart,
    isolation: Isolation,
    asked: Asked,
    mut answers: impl Iterator<Item = Result<Fetched, FetchError>>,
) -> Reply {
    let mut response = FetchResponse::default();
    for (mut topic, partitions) in asked {
        topic.partitions = partitions
            .into_iter()
            .zip(&mut answers)
            .map(|(index, answer)| partition(index, isolation, answer))
            .collect();
        response.responses.push(topic);
    }
    reply(start, &response)
}

fn partition(index: i32, isolation: Isolation, answer: Result<Fetched, FetchError>) -> PartitionData {
    let empty = PartitionData {
        partition_index: index,
        high_watermark: -1,
        // Clients take null for a broken answer; "no records" is an empty record set.
        records: Some(Bytes::new()),
        ..PartitionData::default()
    };
    match answer {
        Ok(fetched) => PartitionData {
            high_watermark: fetched.high_watermark.as_i64(),
            last_stable_offset: fetched.last_stable.as_i64(),
            log_start_offset: fetched.log_start.as_i64(),
            // Nothing is ever aborted while transactions are refused.
            aborted_transactions: (isolation == Isolation::ReadCommitted).then(Vec::new),
            records: Some(one_piece(fetched.records)),
            ..empty
        },
        Err(error) => PartitionData { error_code: code(&error).code(), ..empty },
    }
}

/// A record set is one value on the wire. Nearly always it is in one piece already.
fn one_piece(mut pieces: Vec<Bytes>) -> Bytes {
    match pieces.len() {
        0 => Bytes::new(),
        1 => pieces.swap_remove(0),
        _ => pieces.concat().into(),
    }
}

fn code(error: &FetchError) -> ErrorCode {
    match error {
        FetchError::UnknownTopicOrPartition => ErrorCode::UnknownTopicOrPartition,
        FetchError::UnknownTopicId => ErrorCode::UnknownTopicId,
        FetchError::NotLeader => ErrorCode::NotLeaderOrFollower,
        FetchError::FencedLeaderEpoch { .. } => ErrorCode::FencedLeaderEpoch,
        FetchError::UnknownLeaderEpoch { .. } => ErrorCode::UnknownLeaderEpoch,
        FetchError::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        FetchError::Storage(detail) => {
            tracing::warn!("fetch: {detail}");
            ErrorCode::KafkaStorageError
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use highwater_records::Offset;

    #[test]
    fn sessions_are_refused_in_the_words_that_make_clients_do_without() {
        let request =
            |session_id, session_epoch| FetchRequest { session_id, session_epoch, ..FetchRequest::default() };
        assert_eq!(refusal(&request(0, -1)), None);
        assert_eq!(refusal(&request(0, 0)), None);
        assert_eq!(refusal(&request(9, -1)), None);
        assert_eq!(refusal(&request(9, 4)), Some(ErrorCode::FetchSessionIdNotFound));
        assert_eq!(refusal(&request(0, 4)), Some(ErrorCode::InvalidFetchSessionEpoch));
        assert_eq!(
            refusal(&FetchRequest { replica_id: 2, ..FetchRequest::default() }),
            Some(ErrorCode::InvalidRequest)
        );
    }

    #[test]
    fn what_is_unknown_is_minus_one() {
        let failed = partition(3, Isolation::ReadUncommitted, Err(FetchError::NotLeader));
        assert_eq!((failed.partition_index, failed.error_code), (3, 6));
        let unknown = (failed.high_watermark, failed.last_stable_offset, failed.log_start_offset);
        assert_eq!(unknown, (-1, -1, -1));
        assert_eq!(failed.preferred_read_replica, -1);
        assert_eq!(failed.records, Some(Bytes::new()));
        let fetched = Fetched {
            high_watermark: Offset::new(5).unwrap(),
            records: vec![Bytes::from_static(b"ab"), Bytes::from_static(b"c")],
            ..Fetched::default()
        };
        let read = partition(0, Isolation::ReadCommitted, Ok(fetched));
        assert_eq!((read.high_watermark, read.aborted_transactions), (5, Some(Vec::new())));
        assert_eq!(read.records, Some(Bytes::from_static(b"abc")));
    }
}
