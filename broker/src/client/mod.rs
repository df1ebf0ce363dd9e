//! A small client: what the demo, the command line and tests need of Kafka's protocol, and no more.
//!
//! It talks to one broker, which must lead what it is asked for. There are no retries, no batching and no background
//! work: each call is one request, and [`Connection`] lets several overlap.

mod connection;
#[cfg(test)]
mod tests;

pub use connection::Connection;

use bytes::Bytes;
use highwater_records::{LeaderEpoch, Offset, TimestampMs, TopicId};
use highwater_wire::{
    DecodeError, EncodeError, ErrorCode,
    messages::{
        create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest},
        delete_topics::DeleteTopicsRequest,
        fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic},
        init_producer_id::InitProducerIdRequest,
        list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic},
        metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse},
        produce::{PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData},
    },
};
use std::time::Duration;

/// The last versions that name topics by name.
const PRODUCE_BY_NAME: i16 = 12;
const FETCH_BY_NAME: i16 = 12;
const DELETE_BY_NAME: i16 = 5;

/// How long a broker may take for what needs more than its disk.
const PATIENCE_MS: i32 = 30_000;

/// Why a call gave no result.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The connection failed. Connect again.
    #[error("connection: {0}")]
    Io(#[from] std::io::Error),
    /// The broker refused, with its reason.
    #[error("{code}{}{message}", if message.is_empty() { "" } else { ": " })]
    Refused {
        /// Kafka's code.
        code: ErrorCode,
        /// What the broker said about it; often nothing.
        message: String,
    },
    /// The broker sent something that is no answer to the question. Connect again.
    #[error("unexpected answer: {0}")]
    Protocol(&'static str),
    /// The broker sent bytes that are no response. Connect again.
    #[error("malformed answer: {0}")]
    Malformed(#[from] DecodeError),
    /// The request cannot be put into bytes.
    #[error("request: {0}")]
    Unsendable(#[from] EncodeError),
    /// The broker has no version of an API that we have.
    #[error("the broker does not serve {name} as we speak it")]
    UnsupportedApi {
        /// The request.
        name: &'static str,
    },
}

/// What was read of a partition.
#[derive(Clone, Debug)]
pub struct FetchedRecords {
    /// Whole batches in order, possibly none. The first may start before the offset that was asked for.
    pub records: Bytes,
    /// End of what can be read, exclusive.
    pub high_watermark: Offset,
    /// Start of what can be read, inclusive.
    pub log_start: Offset,
}

/// An offset that was looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundOffset {
    /// The offset.
    pub offset: Offset,
    /// The time of the record there, where a record was looked for.
    pub timestamp: Option<TimestampMs>,
    /// The leader epoch of the record there.
    pub leader_epoch: Option<LeaderEpoch>,
}

/// A client of one broker.
#[derive(Debug)]
pub struct Client {
    connection: Connection,
}

impl Client {
    /// Connects to `address` (host and port).
    ///
    /// # Errors
    /// As [`Connection::open`].
    pub async fn connect(address: &str, client_id: &str) -> Result<Client, ClientError> {
        Ok(Client { connection: Connection::open(address, client_id).await? })
    }

    /// The connection, for what has no method of its own here.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Brokers and topics: those named, or all. Topics that do not exist come with an error, and are not created.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn metadata(&mut self, topics: Option<&[&str]>) -> Result<MetadataResponse, ClientError> {
        let by_name = |name: &&str| MetadataRequestTopic {
            name: Some((*name).to_owned()),
            ..MetadataRequestTopic::default()
        };
        let request = MetadataRequest {
            topics: topics.map(|names| names.iter().map(by_name).collect()),
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        self.connection.call(&request).await
    }

    /// Creates a topic with one replica.
    ///
    /// # Errors
    /// The connection failed, or the broker refused.
    pub async fn create_topic(
        &mut self,
        name: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> Result<TopicId, ClientError> {
        let config = |(name, value): &(&str, &str)| CreatableTopicConfig {
            name: (*name).to_owned(),
            value: Some((*value).to_owned()),
        };
        let topic = CreatableTopic {
            name: name.to_owned(),
            num_partitions: partitions,
            replication_factor: 1,
            configs: configs.iter().map(config).collect(),
            ..CreatableTopic::default()
        };
        let request =
            CreateTopicsRequest { topics: vec![topic], timeout_ms: PATIENCE_MS, validate_only: false };
        let answer = only(self.connection.call(&request).await?.topics)?;
        check(answer.error_code, answer.error_message)?;
        Ok(answer.topic_id)
    }

    /// Deletes a topic.
    ///
    /// # Errors
    /// The connection failed, or the broker refused.
    pub async fn delete_topic(&mut self, name: &str) -> Result<(), ClientError> {
        let request = DeleteTopicsRequest {
            topic_names: vec![name.to_owned()],
            timeout_ms: PATIENCE_MS,
            ..DeleteTopicsRequest::default()
        };
        self.connection.send(&request, DELETE_BY_NAME).await?;
        let answer =
            self.connection.receive::<highwater_wire::messages::delete_topics::DeleteTopicsResponse>();
        let answer = only(answer.await?.responses)?;
        check(answer.error_code, answer.error_message)
    }

    /// An identity for idempotent batches: producer id and epoch.
    ///
    /// # Errors
    /// The connection failed, or the broker refused.
    pub async fn init_producer_id(&mut self) -> Result<(i64, i16), ClientError> {
        let request =
            InitProducerIdRequest { transaction_timeout_ms: -1, ..InitProducerIdRequest::default() };
        let answer = self.connection.call(&request).await?;
        check(answer.error_code, None)?;
        Ok((answer.producer_id, answer.producer_epoch))
    }

    /// Appends record batches, acknowledged by all in-sync replicas; answers the offset of the first record.
    ///
    /// # Errors
    /// The connection failed (the records may or may not be there), or the broker refused.
    pub async fn produce(
        &mut self,
        topic: &str,
        partition: i32,
        records: Bytes,
    ) -> Result<Offset, ClientError> {
        self.send_produce(topic, partition, records).await?;
        self.receive_produced().await
    }

    /// The first half of [`Client::produce`]: several may be under way.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn send_produce(
        &mut self,
        topic: &str,
        partition: i32,
        records: Bytes,
    ) -> Result<(), ClientError> {
        let data = PartitionProduceData { index: partition, records: Some(records) };
        let topic = TopicProduceData {
            name: topic.to_owned(),
            partition_data: vec![data],
            ..TopicProduceData::default()
        };
        let request = ProduceRequest {
            acks: -1,
            timeout_ms: PATIENCE_MS,
            topic_data: vec![topic],
            ..ProduceRequest::default()
        };
        self.connection.send(&request, PRODUCE_BY_NAME).await
    }

    /// The second half of [`Client::produce`], for the oldest that was sent.
    ///
    /// # Errors
    /// As [`Client::produce`].
    pub async fn receive_produced(&mut self) -> Result<Offset, ClientError> {
        let answer: ProduceResponse = self.connection.receive().await?;
        let answer = only(only(answer.responses)?.partition_responses)?;
        check(answer.error_code, answer.error_message)?;
        offset(answer.base_offset)
    }

    /// Reads record batches from `from` on: at least one if there is any, more up to `max_bytes`. Waits up to
    /// `max_wait` for the first.
    ///
    /// # Errors
    /// The connection failed, or the broker refused.
    pub async fn fetch(
        &mut self,
        topic: &str,
        partition: i32,
        from: Offset,
        max_bytes: i32,
        max_wait: Duration,
    ) -> Result<FetchedRecords, ClientError> {
        let partition = FetchPartition {
            partition,
            fetch_offset: from.as_i64(),
            partition_max_bytes: max_bytes,
            ..FetchPartition::default()
        };
        let topic =
            FetchTopic { topic: topic.to_owned(), partitions: vec![partition], ..FetchTopic::default() };
        let request = FetchRequest {
            max_wait_ms: i32::try_from(max_wait.as_millis()).unwrap_or(i32::MAX),
            min_bytes: 1,
            max_bytes,
            topics: vec![topic],
            ..FetchRequest::default()
        };
        self.connection.send(&request, FETCH_BY_NAME).await?;
        let answer: FetchResponse = self.connection.receive().await?;
        check(answer.error_code, None)?;
        let answer = only(only(answer.responses)?.partitions)?;
        check(answer.error_code, None)?;
        Ok(FetchedRecords {
            records: answer.records.unwrap_or_default(),
            high_watermark: offset(answer.high_watermark)?,
            log_start: offset(answer.log_start_offset)?,
        })
    }

    /// Looks up an offset: the first record at or after a time, or one of Kafka's sentinels (-1 the end, -2 the
    /// start, -3 the largest timestamp, -4 the start on local disk, -5 the last offset in the bucket, -6 the first
    /// that is not in the bucket). `None` where there is none.
    ///
    /// # Errors
    /// The connection failed, or the broker refused.
    pub async fn list_offset(
        &mut self,
        topic: &str,
        partition: i32,
        timestamp: i64,
    ) -> Result<Option<FoundOffset>, ClientError> {
        let partition =
            ListOffsetsPartition { partition_index: partition, timestamp, ..ListOffsetsPartition::default() };
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![ListOffsetsTopic { name: topic.to_owned(), partitions: vec![partition] }],
            timeout_ms: PATIENCE_MS,
            ..ListOffsetsRequest::default()
        };
        let answer = only(only(self.connection.call(&request).await?.topics)?.partitions)?;
        check(answer.error_code, None)?;
        if answer.offset < 0 {
            return Ok(None);
        }
        Ok(Some(FoundOffset {
            offset: offset(answer.offset)?,
            timestamp: (answer.timestamp != -1).then_some(TimestampMs(answer.timestamp)),
            leader_epoch: u32::try_from(answer.leader_epoch).ok().map(LeaderEpoch),
        }))
    }
}

/// The one answer to the one question.
/// The one answer to the one question.
pub(crate) fn only<T>(answers: Vec<T>) -> Result<T, ClientError> {
    let mut answers = answers.into_iter();
    match (answers.next(), answers.next()) {
        (Some(only), None) => Ok(only),
        _ => Err(ClientError::Protocol("not one answer to one question")),
    }
}

/// The error of an answer, if it has one.
pub(crate) fn check(code: i16, message: Option<String>) -> Result<(), ClientError> {
    match ErrorCode::from_code(code) {
        Some(ErrorCode::None) => Ok(()),
        Some(code) => Err(ClientError::Refused { code, message: message.unwrap_or_default() }),
        None => Err(ClientError::Protocol("an error code that Kafka 4.3 does not have")),
    }
}

fn offset(value: i64) -> Result<Offset, ClientError> {
    Offset::from_i64(value).map_err(|_| ClientError::Protocol("a negative offset without an error"))
}
