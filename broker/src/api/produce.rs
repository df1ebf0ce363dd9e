//! Produce: append batches, answer when they count.

use super::{
    Decoded, exists, reply,
    transaction_codes::{JOINS_SINCE, produce_code},
};
use crate::server::{Reply, Step};
use bytes::Bytes;
use highwater_metadata::Image;
use highwater_node::request::{Produce, ProduceError, ProducePartition, Produced, TopicRef};
use highwater_replication::Acks;
use highwater_wire::{
    ErrorCode, RequestStart,
    messages::produce::{
        BatchIndexAndErrorMessage, PartitionProduceResponse, ProduceRequest, ProduceResponse,
        TopicProduceData, TopicProduceResponse,
    },
};
use std::time::Duration;

/// The first version whose clients know zstd.
const ZSTD_SINCE: i16 = 7;

/// What the response repeats of a topic: name, id, partition numbers.
struct Asked {
    response: TopicProduceResponse,
    partitions: Vec<i32>,
}

pub(super) async fn answer(call: Decoded<ProduceRequest>) -> Step {
    let Decoded { node, caller, start, request } = call;
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let silent = request.acks == 0;
    let acks = match request.acks {
        0 => Some(Acks::None),
        1 => Some(Acks::Leader),
        -1 => Some(Acks::All),
        _ => None,
    };
    let id = request.transactional_id;
    let (asked, mut partitions) = split(start.api_version, request.topic_data);
    if let Some(failure) = spoiled(id.is_some(), &partitions) {
        let answers = vec![Err(failure); partitions.len()];
        return Step::Now(respond(start, silent, asked, answers));
    }
    let image = node.image();
    let refused: Vec<_> =
        partitions.iter().map(|each| refused(&image, start.api_version, acks, each)).collect();
    let Some(acks) = acks.filter(|_| refused.iter().any(Option::is_none)) else {
        let answers = refused.into_iter().flatten().map(Err).collect();
        return Step::Now(respond(start, silent, asked, answers));
    };
    let mut left = refused.iter().map(Option::is_none);
    partitions.retain(|_| left.next().unwrap_or(true));
    let produce = Produce { acks, timeout, transactional: id.is_some(), partitions };
    let pending = match id {
        None => node.produce(&caller, produce).await,
        Some(id) => node.produce_transactional(&caller, &id, start.api_version >= JOINS_SINCE, produce).await,
    };
    Step::Later(Box::pin(async move {
        let failure = |error| Failure::from(error, start.api_version);
        let mut appended = pending.wait().await.into_iter().map(|answer| answer.map_err(failure));
        let answers = refused.into_iter().filter_map(|refused| match refused {
            Some(failure) => Some(Err(failure)),
            None => appended.next(),
        });
        respond(start, silent, asked, answers.collect())
    }))
}

/// What is wrong with the request as a whole. As in Kafka one such partition is enough, as Kafka looks for transactional
/// batches before it looks at anything else.
fn spoiled(has_id: bool, partitions: &[ProducePartition]) -> Option<Failure> {
    for partition in partitions {
        match Shape::of(&partition.records) {
            Shape::Corrupt => {
                return Some(Failure::of(ErrorCode::CorruptMessage, "no batch begins so".to_owned()));
            }
            Shape::Batch { transactional: true, .. } if !has_id => {
                let message = "a transactional batch needs a transactional id".to_owned();
                return Some(Failure::of(ErrorCode::TransactionalIdAuthorizationFailed, message));
            }
            Shape::Batch { transactional: true, .. } => return None,
            Shape::None | Shape::Batch { .. } => {}
        }
    }
    None
}

/// What is wrong with a partition's share by itself. Whether there is such a partition comes before its records, and
/// those before how many replicas are to have them.
fn refused(image: &Image, version: i16, acks: Option<Acks>, asked: &ProducePartition) -> Option<Failure> {
    let failure = |code, message: &str| Some(Failure::of(code, message.to_owned()));
    let of_records = match Shape::of(&asked.records) {
        Shape::None => failure(ErrorCode::InvalidRecord, "a partition without a batch"),
        Shape::Batch { magic, .. } if magic != 2 => {
            failure(ErrorCode::InvalidRecord, "this version takes batches of magic 2 alone")
        }
        // A client that speaks no later version cannot read zstd either.
        Shape::Batch { zstd: true, .. } if version < ZSTD_SINCE => {
            failure(ErrorCode::UnsupportedCompressionType, "zstd needs a later version of this request")
        }
        Shape::Batch { size, .. } => match Shape::of(asked.records.get(size..).unwrap_or_default()) {
            Shape::None => None,
            Shape::Corrupt => failure(ErrorCode::CorruptMessage, "no batch begins so"),
            Shape::Batch { .. } => failure(ErrorCode::InvalidRecord, "a partition with more than one batch"),
        },
        Shape::Corrupt => failure(ErrorCode::CorruptMessage, "no batch begins so"),
    };
    let of_acks = || match acks {
        None => failure(ErrorCode::InvalidRequiredAcks, "acks is none of -1, 0 and 1"),
        Some(_) => None,
    };
    let refused = of_records.or_else(of_acks)?;
    let found = match &asked.topic {
        TopicRef::Name(name) => image.topic_named(name).ok_or(ProduceError::UnknownTopicOrPartition),
        TopicRef::Id(id) => image.topic(*id).ok_or(ProduceError::UnknownTopicId),
    };
    Some(match found {
        Err(error) => Failure::from(error, version),
        Ok(topic) if !exists(image, &topic.name, asked.partition) => {
            Failure::from(ProduceError::UnknownTopicOrPartition, version)
        }
        Ok(_) => refused,
    })
}

/// What records begin with, by as much as Kafka looks at before it reads a batch. What is in it is looked at later.
enum Shape {
    /// Not a whole batch.
    None,
    /// A size or a magic that no batch has.
    Corrupt,
    Batch {
        /// In bytes, with the header.
        size: usize,
        magic: u8,
        transactional: bool,
        zstd: bool,
    },
}

impl Shape {
    fn of(records: &[u8]) -> Shape {
        const SIZE_AT: usize = 8;
        const BEHIND_SIZE: usize = 12;
        const MAGIC_AT: usize = 16;
        const ATTRIBUTES_LOW_AT: usize = 22;
        /// Of the oldest format, whose batches are the shortest.
        const SIZE_MIN: i32 = 14;
        const MAGIC_MAX: u8 = 2;
        let Some((_, sized)) = records.split_at_checked(SIZE_AT) else { return Shape::None };
        let Some(&size) = sized.first_chunk() else { return Shape::None };
        let size = i32::from_be_bytes(size);
        if size < SIZE_MIN {
            return Shape::Corrupt;
        }
        let Some(&magic) = records.get(MAGIC_AT) else { return Shape::None };
        if magic > MAGIC_MAX {
            return Shape::Corrupt;
        }
        let size = usize::try_from(size).unwrap_or(usize::MAX).saturating_add(BEHIND_SIZE);
        if records.len() < size {
            return Shape::None;
        }
        let low = records.get(ATTRIBUTES_LOW_AT).copied().unwrap_or_default();
        Shape::Batch {
            size,
            magic,
            transactional: magic == 2 && low & 0x10 != 0,
            zstd: magic == 2 && low & 7 == 4,
        }
    }
}

fn split(version: i16, topics: Vec<TopicProduceData>) -> (Vec<Asked>, Vec<ProducePartition>) {
    let mut asked = Vec::with_capacity(topics.len());
    let mut wanted = Vec::new();
    for topic in topics {
        let reference =
            if version >= 13 { TopicRef::Id(topic.topic_id) } else { TopicRef::Name(topic.name.clone()) };
        let mut partitions = Vec::with_capacity(topic.partition_data.len());
        for data in topic.partition_data {
            partitions.push(data.index);
            wanted.push(ProducePartition {
                topic: reference.clone(),
                partition: data.index,
                records: data.records.unwrap_or_else(Bytes::new),
            });
        }
        let response = TopicProduceResponse {
            name: topic.name,
            topic_id: topic.topic_id,
            ..TopicProduceResponse::default()
        };
        asked.push(Asked { response, partitions });
    }
    (asked, wanted)
}

fn respond(
    start: RequestStart,
    silent: bool,
    asked: Vec<Asked>,
    answers: Vec<Result<Produced, Failure>>,
) -> Reply {
    if silent {
        // Nobody waits for a response; the end of the connection makes the client look for what changed.
        return if answers.iter().any(Result::is_err) { Reply::Close } else { Reply::Nothing };
    }
    let mut answers = answers.into_iter();
    let mut response = ProduceResponse::default();
    for Asked { response: mut topic, partitions } in asked {
        topic.partition_responses = partitions
            .into_iter()
            .zip(&mut answers)
            .map(|(index, answer)| partition(index, answer))
            .collect();
        response.responses.push(topic);
    }
    reply(start, &response)
}

fn partition(index: i32, answer: Result<Produced, Failure>) -> PartitionProduceResponse {
    match answer {
        Ok(produced) => PartitionProduceResponse {
            index,
            base_offset: produced.base_offset.as_i64(),
            log_append_time_ms: produced.append_time.map_or(-1, |time| time.0),
            log_start_offset: produced.log_start.as_i64(),
            ..PartitionProduceResponse::default()
        },
        Err(failure) => PartitionProduceResponse {
            index,
            error_code: failure.code.code(),
            base_offset: -1,
            record_errors: failure.records,
            error_message: Some(failure.message),
            ..PartitionProduceResponse::default()
        },
    }
}

#[derive(Clone, Debug)]
struct Failure {
    code: ErrorCode,
    message: String,
    records: Vec<BatchIndexAndErrorMessage>,
}

impl Failure {
    fn of(code: ErrorCode, message: String) -> Failure {
        Failure { code, message, records: Vec::new() }
    }
}

impl Failure {
    fn from(error: ProduceError, version: i16) -> Failure {
        let message = error.to_string();
        let code = match error {
            ProduceError::UnknownTopicOrPartition => ErrorCode::UnknownTopicOrPartition,
            ProduceError::UnknownTopicId => ErrorCode::UnknownTopicId,
            ProduceError::NotLeader => ErrorCode::NotLeaderOrFollower,
            ProduceError::InternalTopic => ErrorCode::InvalidTopicException,
            ProduceError::MessageTooLarge(_) => ErrorCode::MessageTooLarge,
            ProduceError::Corrupt(_) => ErrorCode::CorruptMessage,
            ProduceError::InvalidRecord { records, .. } => {
                let records = records.into_iter().map(|record| BatchIndexAndErrorMessage {
                    batch_index: i32::try_from(record.index).unwrap_or(i32::MAX),
                    batch_index_error_message: Some(record.message),
                });
                return Failure { code: ErrorCode::InvalidRecord, message, records: records.collect() };
            }
            ProduceError::InvalidTimestamp(_) => ErrorCode::InvalidTimestamp,
            ProduceError::UnsupportedCompression(_) => ErrorCode::UnsupportedCompressionType,
            ProduceError::OutOfOrderSequence(_) => ErrorCode::OutOfOrderSequenceNumber,
            ProduceError::InvalidProducerEpoch(_) => ErrorCode::InvalidProducerEpoch,
            ProduceError::InvalidTxnState(_) => ErrorCode::InvalidTxnState,
            ProduceError::CoordinatorFenced(_) => ErrorCode::TransactionCoordinatorFenced,
            ProduceError::DuplicateSequence => ErrorCode::DuplicateSequenceNumber,
            ProduceError::NotEnoughReplicas => ErrorCode::NotEnoughReplicas,
            ProduceError::NotEnoughReplicasAfterAppend => ErrorCode::NotEnoughReplicasAfterAppend,
            ProduceError::TimedOut | ProduceError::OvertakenMarker => ErrorCode::RequestTimedOut,
            ProduceError::Storage(_) => ErrorCode::KafkaStorageError,
            ProduceError::Transaction(error) => produce_code(error, version),
            ProduceError::TransactionsUnsupported => ErrorCode::TransactionalIdAuthorizationFailed,
        };
        Failure::of(code, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use highwater_records::{Offset, TopicId};
    use highwater_wire::{decode_response, messages::produce::PartitionProduceData};

    fn topic(name: &str, indexes: &[i32]) -> TopicProduceData {
        let partition = |index: &i32| PartitionProduceData { index: *index, records: None };
        TopicProduceData {
            name: name.into(),
            topic_id: TopicId::from_bytes([7; 16]),
            partition_data: indexes.iter().map(partition).collect(),
        }
    }

    #[test]
    fn answers_go_to_the_partitions_they_belong_to_with_kafkas_sentinels() {
        let start = RequestStart { api_key: 0, api_version: 9, correlation_id: 1 };
        let (asked, wanted) = split(9, vec![topic("a", &[3, 1]), topic("b", &[0])]);
        assert_eq!(wanted[2].topic, TopicRef::Name("b".into()));
        let done =
            Produced { base_offset: Offset::new(42).unwrap(), append_time: None, log_start: Offset::ZERO };
        let answers = vec![Ok(done), Err(Failure::from(ProduceError::NotLeader, 9)), Ok(done)];
        let Reply::Response(segments) = respond(start, false, asked, answers) else { panic!("no response") };
        let frame = Bytes::from(segments.concat()).slice(4..);
        let (_, response) = decode_response::<ProduceResponse>(&frame, 9).unwrap();
        let of_a = &response.responses[0];
        assert_eq!((of_a.partition_responses[0].index, of_a.partition_responses[0].base_offset), (3, 42));
        assert_eq!(of_a.partition_responses[0].log_append_time_ms, -1);
        assert_eq!((of_a.partition_responses[1].index, of_a.partition_responses[1].error_code), (1, 6));
        assert_eq!(of_a.partition_responses[1].base_offset, -1);
        assert_eq!(response.responses[1].partition_responses[0].base_offset, 42);
    }

    #[test]
    fn a_transaction_needs_an_id() {
        let mut records = vec![0; 61];
        (records[11], records[16], records[22]) = (49, 2, 0x10);
        let of = |records: &[u8]| {
            let (topic, records) = (TopicRef::Name("a".into()), Bytes::copy_from_slice(records));
            [ProducePartition { topic, partition: 0, records }]
        };
        let refused = spoiled(false, &of(&records)).map(|failure| failure.code);
        assert_eq!(refused, Some(ErrorCode::TransactionalIdAuthorizationFailed));
        assert!(spoiled(true, &of(&records)).is_none());
        assert!(spoiled(false, &of(&records[..20])).is_none());
        records[22] = 0;
        assert!(spoiled(false, &of(&records)).is_none());
        records[11] = 13;
        let refused = spoiled(true, &of(&records)).map(|failure| failure.code);
        assert_eq!(refused, Some(ErrorCode::CorruptMessage));
    }

    #[test]
    fn without_acknowledgement_a_failure_ends_the_connection() {
        let start = RequestStart { api_key: 0, api_version: 13, correlation_id: 1 };
        let (asked, wanted) = split(13, vec![topic("", &[0])]);
        assert_eq!(wanted[0].topic, TopicRef::Id(TopicId::from_bytes([7; 16])));
        let answers = vec![Err(Failure::from(ProduceError::UnknownTopicId, 13))];
        assert!(matches!(respond(start, true, asked, answers), Reply::Close));
        assert!(matches!(respond(start, true, Vec::new(), Vec::new()), Reply::Nothing));
    }
}
