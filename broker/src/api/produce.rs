//! Produce: append batches, answer when they count.

use super::{
    Decoded, reply,
    transaction_codes::{JOINS_SINCE, produce_code},
};
use crate::server::{Reply, Step};
use bytes::Bytes;
use highwater_node::request::{Produce, ProduceError, ProducePartition, Produced, TopicRef};
use highwater_records::{batch::BatchView, compression::Codec};
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
        0 => Ok(Acks::None),
        1 => Ok(Acks::Leader),
        -1 => Ok(Acks::All),
        other => {
            Err(Failure::of(ErrorCode::InvalidRequiredAcks, format!("acks {other} is none of -1, 0 and 1")))
        }
    };
    let id = request.transactional_id;
    let (asked, partitions) = split(start.api_version, request.topic_data);
    let acks = acks.and_then(|acks| match spoiled(start.api_version, id.is_some(), &partitions) {
        Some(failure) => Err(failure),
        None => Ok(acks),
    });
    let acks = match acks {
        Ok(acks) => acks,
        Err(failure) => {
            let answers = vec![Err(failure); partitions.len()];
            return Step::Now(respond(start, silent, asked, answers));
        }
    };
    let produce = Produce { acks, timeout, transactional: id.is_some(), partitions };
    let pending = match id {
        None => node.produce(&caller, produce).await,
        Some(id) => node.produce_transactional(&caller, &id, start.api_version >= JOINS_SINCE, produce).await,
    };
    Step::Later(Box::pin(async move {
        let failure = |error| Failure::from(error, start.api_version);
        let answers = pending.wait().await.into_iter().map(|answer| answer.map_err(failure)).collect();
        respond(start, silent, asked, answers)
    }))
}

/// What is wrong with the request as a whole. As in Kafka one such partition is enough: its client is broken, and
/// retries would not mend it.
fn spoiled(version: i16, has_id: bool, partitions: &[ProducePartition]) -> Option<Failure> {
    if !has_id && partitions.iter().any(|partition| is_transactional(&partition.records)) {
        let message = "a transactional batch needs a transactional id".to_owned();
        return Some(Failure::of(ErrorCode::TransactionalIdAuthorizationFailed, message));
    }
    if partitions.iter().any(|partition| partition.records.is_empty()) {
        return Some(Failure::of(ErrorCode::InvalidRecord, "a partition without a batch".to_owned()));
    }
    // A client that speaks no later version cannot read zstd either.
    let is_zstd = |partition: &ProducePartition| {
        BatchView::parse(&partition.records).is_ok_and(|batch| batch.codec() == Codec::Zstd)
    };
    if version < ZSTD_SINCE && partitions.iter().any(is_zstd) {
        let message = format!("zstd needs version {ZSTD_SINCE} of this request");
        return Some(Failure::of(ErrorCode::UnsupportedCompressionType, message));
    }
    None
}

/// Whether a batch says that it is part of a transaction. Whether it is a batch at all is looked at later.
fn is_transactional(records: &[u8]) -> bool {
    const MAGIC_AT: usize = 16;
    const ATTRIBUTES_AT: usize = 22;
    records.get(MAGIC_AT) == Some(&2) && records.get(ATTRIBUTES_AT).is_some_and(|low| low & 0x10 != 0)
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
            ProduceError::TimedOut => ErrorCode::RequestTimedOut,
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
        (records[16], records[22]) = (2, 0x10);
        let of = |records: &[u8]| {
            let (topic, records) = (TopicRef::Name("a".into()), Bytes::copy_from_slice(records));
            [ProducePartition { topic, partition: 0, records }]
        };
        let refused = spoiled(9, false, &of(&records)).map(|failure| failure.code);
        assert_eq!(refused, Some(ErrorCode::TransactionalIdAuthorizationFailed));
        assert!(spoiled(9, true, &of(&records)).is_none());
        assert!(spoiled(9, false, &of(&records[..20])).is_none());
        records[22] = 0;
        assert!(spoiled(9, false, &of(&records)).is_none());
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
