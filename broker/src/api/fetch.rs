//! Fetch: batches from an offset on.

use super::{Decoded, Refused, reply, throttle::milliseconds};
use crate::server::{Reply, Step};
use bytes::Bytes;
use highwater_engine::AbortedTransaction;
use highwater_node::request::{
    Fetch, FetchError, FetchPartition, FetchSession, FetchSessionError, Fetched, Isolation, SessionFetched,
    TopicRef,
};
use highwater_records::TopicId;
use highwater_wire::{
    ErrorCode, RequestStart,
    messages::fetch::{
        AbortedTransaction as WireAborted, FetchRequest, FetchResponse, FetchTopic, FetchableTopicResponse,
        PartitionData,
    },
};
use std::{
    collections::btree_map::{BTreeMap, Entry},
    time::Duration,
};

pub(super) fn answer(call: Decoded<FetchRequest>) -> Result<Step, Refused> {
    let Decoded { node, caller, start, request } = call;
    let isolation = isolation(request.isolation_level)?;
    if let Some(error) = refusal(&request) {
        return Ok(Step::Now(reply(start, &refused(request.topics, error))));
    }
    // The broker's own bound: no answer is larger, but for a single larger batch.
    let answer_bytes_max = usize::try_from(node.config().fetch_bytes_max).unwrap_or(usize::MAX);
    let session = session(start.api_version, &request);
    // Older clients cannot be sent to another replica, and do not know that one may lag behind.
    let rack = (start.api_version >= 11).then(|| request.rack_id.clone());
    let partitions = split(start.api_version, request.topics);
    let fetch = Fetch {
        max_wait: Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)),
        min_bytes: usize::try_from(request.min_bytes).unwrap_or(0),
        max_bytes: usize::try_from(request.max_bytes).unwrap_or(0).min(answer_bytes_max),
        isolation,
        rack,
        partitions,
    };
    Ok(Step::Poll(Box::pin(async move {
        let answer = node.fetch_in_session(&caller, session, fetch).await;
        respond(start, isolation, answer)
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
        // Followers have a protocol of their own: whoever says here that it is one has no right to be.
        return Some(ErrorCode::ClusterAuthorizationFailed);
    }
    None
}

/// Nothing was read. Old versions can say so only of each partition.
fn refused(topics: Vec<FetchTopic>, error: ErrorCode) -> FetchResponse {
    let topic = |topic: FetchTopic| {
        let partitions = topic
            .partitions
            .iter()
            .map(|asked| PartitionData { error_code: error.code(), ..nothing(asked.partition) });
        let partitions = partitions.collect();
        FetchableTopicResponse { topic: topic.topic, topic_id: topic.topic_id, partitions }
    };
    let responses = topics.into_iter().map(topic).collect();
    FetchResponse { error_code: error.code(), responses, ..FetchResponse::default() }
}

fn session(version: i16, request: &FetchRequest) -> FetchSession {
    let forgotten = request.forgotten_topics_data.iter().flat_map(|topic| {
        let reference = reference(version, topic.topic_id, &topic.topic);
        topic.partitions.iter().map(move |partition| (reference.clone(), *partition))
    });
    FetchSession {
        id: request.session_id,
        epoch: request.session_epoch,
        forgotten: forgotten.collect(),
        uses_ids: version >= 13,
    }
}

fn reference(version: i16, id: TopicId, name: &str) -> TopicRef {
    if version >= 13 { TopicRef::Id(id) } else { TopicRef::Name(name.to_owned()) }
}

fn split(version: i16, topics: Vec<FetchTopic>) -> Vec<FetchPartition> {
    let mut wanted: Vec<FetchPartition> = Vec::new();
    // Of a partition that is named twice the last wish counts. Most requests name few, in order.
    let mut places: BTreeMap<(TopicRef, i32), usize> = BTreeMap::new();
    for topic in topics {
        let reference = reference(version, topic.topic_id, &topic.topic);
        for partition in topic.partitions {
            let wish = FetchPartition {
                topic: reference.clone(),
                partition: partition.partition,
                offset: partition.fetch_offset,
                max_bytes: usize::try_from(partition.partition_max_bytes).unwrap_or(0),
                current_leader_epoch: epoch(partition.current_leader_epoch),
            };
            match places.entry((reference.clone(), partition.partition)) {
                Entry::Occupied(place) => wanted[*place.get()] = wish,
                Entry::Vacant(place) => {
                    place.insert(wanted.len());
                    wanted.push(wish);
                }
            }
        }
    }
    wanted
}

/// A leader epoch as it travels to be fetched with: negative means unknown.
fn epoch(epoch: i32) -> Option<i32> {
    (epoch >= 0).then_some(epoch)
}

fn respond(
    start: RequestStart,
    isolation: Isolation,
    answer: Result<SessionFetched, FetchSessionError>,
) -> Reply {
    let mut response = FetchResponse::default();
    let fetched = match answer {
        Ok(fetched) => fetched,
        Err(error) => {
            (response.error_code, response.session_id) = match error {
                FetchSessionError::UnknownId => (ErrorCode::FetchSessionIdNotFound.code(), 0),
                FetchSessionError::InvalidEpoch { id } => (ErrorCode::InvalidFetchSessionEpoch.code(), id),
                FetchSessionError::TopicIds => (ErrorCode::FetchSessionTopicIdError.code(), 0),
            };
            return reply(start, &response);
        }
    };
    response.session_id = fetched.id;
    response.throttle_time_ms = milliseconds(fetched.pause);
    let mut last = None;
    for (topic, index, answer) in fetched.partitions {
        if last.as_ref() != Some(&topic) {
            response.responses.push(match &topic {
                TopicRef::Id(id) => FetchableTopicResponse { topic_id: *id, ..Default::default() },
                TopicRef::Name(name) => FetchableTopicResponse { topic: name.clone(), ..Default::default() },
            });
            last = Some(topic);
        }
        if let Some(topic) = response.responses.last_mut() {
            topic.partitions.push(partition(index, isolation, answer.result));
        }
    }
    reply(start, &response)
}

fn nothing(index: i32) -> PartitionData {
    PartitionData {
        partition_index: index,
        high_watermark: -1,
        // Clients take null for a broken answer; "no records" is an empty record set.
        records: Some(Bytes::new()),
        ..PartitionData::default()
    }
}

fn partition(index: i32, isolation: Isolation, answer: Result<Fetched, FetchError>) -> PartitionData {
    let empty = nothing(index);
    match answer {
        Ok(fetched) => PartitionData {
            high_watermark: fetched.high_watermark.as_i64(),
            last_stable_offset: fetched.last_stable.as_i64(),
            log_start_offset: fetched.log_start.as_i64(),
            aborted_transactions: (isolation == Isolation::ReadCommitted).then(|| {
                let aborted = |aborted: AbortedTransaction| WireAborted {
                    producer_id: aborted.producer_id.0 as i64,
                    first_offset: aborted.first_offset.as_i64(),
                };
                fetched.aborted.into_iter().map(aborted).collect()
            }),
            preferred_read_replica: fetched.preferred_replica.map_or(-1, |broker| broker.0.cast_signed()),
            records: Some(one_piece(fetched.records)),
            ..empty
        },
        Err(error) => {
            // Kafka has null for what it could not read, and an empty array for what it does not know.
            let unknown = matches!(error, FetchError::UnknownTopicOrPartition | FetchError::UnknownTopicId);
            PartitionData {
                error_code: code(&error).code(),
                aborted_transactions: unknown.then(Vec::new),
                ..empty
            }
        }
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
        FetchError::NotAvailable => ErrorCode::OffsetNotAvailable,
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
    use highwater_wire::messages::fetch::FetchPartition as FetchPartitionRequest;

    #[test]
    fn followers_are_sent_away() {
        assert_eq!(refusal(&FetchRequest::default()), None);
        let spoofed = FetchRequest { replica_id: 2, ..FetchRequest::default() };
        assert_eq!(refusal(&spoofed), Some(ErrorCode::ClusterAuthorizationFailed));
        let mut spoofed = FetchRequest::default();
        spoofed.replica_state.replica_id = 2;
        assert_eq!(refusal(&spoofed), Some(ErrorCode::ClusterAuthorizationFailed));
        let asked = FetchPartitionRequest { partition: 4, ..FetchPartitionRequest::default() };
        let topics = vec![FetchTopic { topic: "t".into(), partitions: vec![asked], ..FetchTopic::default() }];
        let answer = refused(topics, ErrorCode::ClusterAuthorizationFailed);
        let told = &answer.responses[0].partitions[0];
        assert_eq!((answer.error_code, told.partition_index, told.error_code), (31, 4, 31));
        assert_eq!((told.high_watermark, told.records.as_deref()), (-1, Some(&[] as &[u8])));
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
