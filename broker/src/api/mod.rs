//! Kafka's APIs, one file each: bytes to plain values, a call to the node, plain values to bytes.
//!
//! Which APIs and versions there are says [`highwater_wire::versions`]; what a request means, the node. Here is
//! only what the protocol adds: sentinels, error codes, and how a connection ends that sends what it should not.

mod add_offsets_to_txn;
mod add_partitions_to_txn;
mod alter_client_quotas;
mod alter_configs;
mod api_versions;
mod consumer_group_describe;
mod consumer_group_heartbeat;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_client_quotas;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_topic_partitions;
mod describe_transactions;
mod elect_leaders;
mod end_txn;
mod fetch;
mod find_coordinator;
mod group_codes;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_config_resources;
mod list_groups;
mod list_offsets;
mod list_transactions;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod reassignments;
mod sync_group;
mod throttle;
mod transaction_codes;
mod txn_offset_commit;
mod write_txn_markers;

use crate::server::{Handler, Peer, Reply, Step};
use bytes::Bytes;
use highwater_metadata::Image;
use highwater_node::{
    Measured, Node,
    request::{Caller, PartitionError},
};
use highwater_wire::{
    DecodeError, ErrorCode, Message, Request, RequestHeader, RequestStart, encode_response,
    messages::{
        add_offsets_to_txn::AddOffsetsToTxnRequest, add_partitions_to_txn::AddPartitionsToTxnRequest,
        alter_client_quotas::AlterClientQuotasRequest, alter_configs::AlterConfigsRequest,
        alter_partition_reassignments::AlterPartitionReassignmentsRequest, api_versions::ApiVersionsRequest,
        consumer_group_describe::ConsumerGroupDescribeRequest,
        consumer_group_heartbeat::ConsumerGroupHeartbeatRequest, create_partitions::CreatePartitionsRequest,
        create_topics::CreateTopicsRequest, delete_groups::DeleteGroupsRequest,
        delete_records::DeleteRecordsRequest, delete_topics::DeleteTopicsRequest,
        describe_client_quotas::DescribeClientQuotasRequest, describe_cluster::DescribeClusterRequest,
        describe_configs::DescribeConfigsRequest, describe_groups::DescribeGroupsRequest,
        describe_log_dirs::DescribeLogDirsRequest, describe_producers::DescribeProducersRequest,
        describe_topic_partitions::DescribeTopicPartitionsRequest,
        describe_transactions::DescribeTransactionsRequest, elect_leaders::ElectLeadersRequest,
        end_txn::EndTxnRequest, fetch::FetchRequest, find_coordinator::FindCoordinatorRequest,
        heartbeat::HeartbeatRequest, incremental_alter_configs::IncrementalAlterConfigsRequest,
        init_producer_id::InitProducerIdRequest, join_group::JoinGroupRequest,
        leave_group::LeaveGroupRequest, list_config_resources::ListConfigResourcesRequest,
        list_groups::ListGroupsRequest, list_offsets::ListOffsetsRequest,
        list_partition_reassignments::ListPartitionReassignmentsRequest,
        list_transactions::ListTransactionsRequest, metadata::MetadataRequest,
        offset_commit::OffsetCommitRequest, offset_delete::OffsetDeleteRequest,
        offset_fetch::OffsetFetchRequest, offset_for_leader_epoch::OffsetForLeaderEpochRequest,
        produce::ProduceRequest, sync_group::SyncGroupRequest, txn_offset_commit::TxnOffsetCommitRequest,
        write_txn_markers::WriteTxnMarkersRequest,
    },
    versions,
};
use std::{sync::Arc, time::Duration};
use throttle::Pause;

/// Answers the requests of all connections from one node.
pub struct Api {
    node: Arc<Node>,
}

/// What is known about one connection.
#[derive(Debug)]
pub struct Session {
    address: String,
    /// Set while its client is held up for using more than its quota.
    pause: Pause,
}

impl Api {
    /// Answers from `node`.
    pub fn new(node: Arc<Node>) -> Api {
        Api { node }
    }

    async fn answer(&self, session: &mut Session, frame: Bytes) -> Result<Step, Refused> {
        let start = RequestStart::decode(&frame)?;
        let api = versions::find(start.api_key).ok_or(Refused::UnknownApi(start.api_key))?;
        if !api.served.contains(start.api_version) {
            // Only this one tells a client which versions there are, so only this one can be answered.
            return match start.api_key {
                versions::API_VERSIONS_KEY => Ok(Step::Now(api_versions::too_new(start))),
                _ => Err(Refused::UnknownVersion(api.name(), start.api_version)),
            };
        }
        let header = RequestHeader::decode(api.request, &frame)?;
        let caller =
            Caller { client_id: header.client_id.unwrap_or_default(), address: session.address.clone() };
        session.pause.over(&self.node).await;
        let began = self.node.now();
        let produced = if start.api_key == ProduceRequest::KEY { frame.len() } else { 0 };
        let asked = caller.clone();
        let call =
            Call { node: self.node.clone(), caller, start, body_position: header.body_position, frame };
        let step = self.dispatch(start, call).await?;
        let pause = self.used(&asked, produced, self.node.now().since(began));
        Ok(session.pause.tell(&self.node, start.api_key, start.api_version, pause, step))
    }

    /// Counts what a request used of its client's quotas, and answers for how long that holds the client up.
    fn used(&self, caller: &Caller, produced: usize, took: Duration) -> Duration {
        let busy = self.node.count_usage(caller, Measured::Busy, took.as_secs_f64() * 100.0);
        match produced {
            0 => busy,
            bytes => busy.max(self.node.count_usage(caller, Measured::Produced, bytes as f64)),
        }
    }

    async fn dispatch(&self, start: RequestStart, call: Call) -> Result<Step, Refused> {
        Ok(match start.api_key {
            ProduceRequest::KEY => produce::answer(call.decode()?).await,
            FetchRequest::KEY => fetch::answer(call.decode()?)?,
            ListOffsetsRequest::KEY => Step::Now(list_offsets::answer(call.decode()?).await?),
            MetadataRequest::KEY => Step::Now(metadata::answer(call.decode()?).await),
            FindCoordinatorRequest::KEY => Step::Now(find_coordinator::answer(call.decode()?).await),
            ApiVersionsRequest::KEY => Step::Now(api_versions::answer(call.decode()?)),
            CreateTopicsRequest::KEY => Step::Now(create_topics::answer(call.decode()?).await),
            DeleteTopicsRequest::KEY => Step::Now(delete_topics::answer(call.decode()?).await),
            InitProducerIdRequest::KEY => init_producer_id::answer(call.decode()?),
            AddPartitionsToTxnRequest::KEY => add_partitions_to_txn::answer(call.decode()?),
            AddOffsetsToTxnRequest::KEY => add_offsets_to_txn::answer(call.decode()?),
            EndTxnRequest::KEY => end_txn::answer(call.decode()?),
            WriteTxnMarkersRequest::KEY => write_txn_markers::answer(call.decode()?),
            TxnOffsetCommitRequest::KEY => txn_offset_commit::answer(call.decode()?),
            DescribeTransactionsRequest::KEY => {
                Step::Now(describe_transactions::answer(call.decode()?).await)
            }
            ListTransactionsRequest::KEY => Step::Now(list_transactions::answer(call.decode()?).await),
            DescribeConfigsRequest::KEY => Step::Now(describe_configs::answer(call.decode()?)),
            DeleteRecordsRequest::KEY => Step::Now(delete_records::answer(call.decode()?).await),
            OffsetForLeaderEpochRequest::KEY => {
                Step::Now(offset_for_leader_epoch::answer(call.decode()?).await)
            }
            AlterConfigsRequest::KEY => Step::Now(alter_configs::answer(call.decode()?).await),
            IncrementalAlterConfigsRequest::KEY => {
                Step::Now(incremental_alter_configs::answer(call.decode()?).await)
            }
            DescribeClientQuotasRequest::KEY => Step::Now(describe_client_quotas::answer(call.decode()?)),
            AlterClientQuotasRequest::KEY => Step::Now(alter_client_quotas::answer(call.decode()?).await),
            DescribeLogDirsRequest::KEY => Step::Now(describe_log_dirs::answer(call.decode()?).await),
            ElectLeadersRequest::KEY => Step::Now(elect_leaders::answer(call.decode()?).await),
            AlterPartitionReassignmentsRequest::KEY => Step::Now(reassignments::alter(call.decode()?).await),
            ListPartitionReassignmentsRequest::KEY => Step::Now(reassignments::list(call.decode()?)),
            CreatePartitionsRequest::KEY => Step::Now(create_partitions::answer(call.decode()?).await),
            DescribeProducersRequest::KEY => Step::Now(describe_producers::answer(call.decode()?).await),
            ListConfigResourcesRequest::KEY => Step::Now(list_config_resources::answer(call.decode()?)),
            DescribeTopicPartitionsRequest::KEY => {
                Step::Now(describe_topic_partitions::answer(call.decode()?))
            }
            DescribeClusterRequest::KEY => Step::Now(describe_cluster::answer(call.decode()?)),
            JoinGroupRequest::KEY => join_group::answer(call.decode()?),
            SyncGroupRequest::KEY => sync_group::answer(call.decode()?),
            HeartbeatRequest::KEY => heartbeat::answer(call.decode()?),
            LeaveGroupRequest::KEY => leave_group::answer(call.decode()?),
            OffsetCommitRequest::KEY => offset_commit::answer(call.decode()?),
            OffsetFetchRequest::KEY => offset_fetch::answer(call.decode()?),
            ListGroupsRequest::KEY => Step::Now(list_groups::answer(call.decode()?).await),
            DescribeGroupsRequest::KEY => describe_groups::answer(call.decode()?),
            DeleteGroupsRequest::KEY => delete_groups::answer(call.decode()?),
            OffsetDeleteRequest::KEY => offset_delete::answer(call.decode()?),
            ConsumerGroupHeartbeatRequest::KEY => consumer_group_heartbeat::answer(call.decode()?),
            ConsumerGroupDescribeRequest::KEY => consumer_group_describe::answer(call.decode()?),
            unanswered => return Err(Refused::UnknownApi(unanswered)),
        })
    }
}

impl Handler for Api {
    type Session = Session;

    fn connected(&self, peer: &Peer) -> Session {
        Session { address: peer.remote.to_string(), pause: Pause::default() }
    }

    async fn handle(&self, session: &mut Session, frame: Bytes) -> Step {
        match self.answer(session, frame).await {
            Ok(step) => step,
            Err(refused) => {
                tracing::debug!(client = session.address, "connection closed: {refused}");
                Step::Close
            }
        }
    }
}

/// Why a request ends its connection. There is no answer that its client could be sure to understand.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("no API has number {0}")]
    UnknownApi(i16),
    #[error("{0} has no version {1}")]
    UnknownVersion(&'static str, i16),
    #[error("malformed request: {0}")]
    Malformed(#[from] DecodeError),
    #[error("isolation level {0} is unknown")]
    IsolationLevel(i8),
}

/// A request whose header has been read.
struct Call {
    node: Arc<Node>,
    caller: Caller,
    start: RequestStart,
    body_position: usize,
    frame: Bytes,
}

/// A request that has been read. It holds the frame no longer, but for record sets inside it.
struct Decoded<R> {
    node: Arc<Node>,
    caller: Caller,
    start: RequestStart,
    request: R,
}

impl Call {
    fn decode<R: Request>(self) -> Result<Decoded<R>, Refused> {
        let request = R::from_start(&self.frame, self.body_position, self.start.api_version)?;
        Ok(Decoded { node: self.node, caller: self.caller, start: self.start, request })
    }
}

/// Whether there is such a partition. Kafka looks before it asks a coordinator about any.
fn exists(image: &Image, topic: &str, partition: i32) -> bool {
    let topic = image.topic_named(topic);
    topic.is_some_and(|topic| usize::try_from(partition).is_ok_and(|index| index < topic.partitions.len()))
}

/// Whether a change of the cluster comes too late before it begins: Kafka's controller does nothing then.
fn late(timeout_ms: i32) -> bool {
    timeout_ms <= 0
}

/// The bytes of a response to the request that started so.
fn reply<M: Message>(start: RequestStart, response: &M) -> Reply {
    match encode_response(response, start.api_version, start.correlation_id) {
        Ok(frame) => Reply::Response(frame.into_segments()),
        Err(error) => {
            // A mistake of ours; the client can only be told by the end of its connection.
            tracing::error!("response cannot be encoded: {error}");
            Reply::Close
        }
    }
}

/// Kafka's code for what a partition did not do.
fn partition_error(error: &PartitionError) -> ErrorCode {
    match error {
        PartitionError::UnknownTopicOrPartition => ErrorCode::UnknownTopicOrPartition,
        PartitionError::NotLeader => ErrorCode::NotLeaderOrFollower,
        PartitionError::FencedLeaderEpoch { .. } => ErrorCode::FencedLeaderEpoch,
        PartitionError::UnknownLeaderEpoch { .. } => ErrorCode::UnknownLeaderEpoch,
        PartitionError::OffsetOutOfRange(_) => ErrorCode::OffsetOutOfRange,
        PartitionError::OnlyCompacted => ErrorCode::PolicyViolation,
        PartitionError::InternalTopic => ErrorCode::InvalidTopicException,
        PartitionError::TimedOut { .. } => ErrorCode::RequestTimedOut,
        PartitionError::Storage(detail) => {
            tracing::warn!("partition: {detail}");
            ErrorCode::KafkaStorageError
        }
    }
}

/// The operations of Kafka's ACLs as bits. Until there is an authorizer everybody may do everything that the kind
/// of resource knows.
mod operations {
    /// What a response carries where the question was not asked.
    pub(super) const NOT_ASKED: i32 = i32::MIN;
    const READ: i32 = 1 << 3;
    const WRITE: i32 = 1 << 4;
    const CREATE: i32 = 1 << 5;
    const DELETE: i32 = 1 << 6;
    const ALTER: i32 = 1 << 7;
    const DESCRIBE: i32 = 1 << 8;
    const CLUSTER_ACTION: i32 = 1 << 9;
    const DESCRIBE_CONFIGS: i32 = 1 << 10;
    const ALTER_CONFIGS: i32 = 1 << 11;
    const IDEMPOTENT_WRITE: i32 = 1 << 12;
    /// All that a topic knows.
    pub(super) const TOPIC: i32 =
        READ | WRITE | CREATE | DELETE | ALTER | DESCRIBE | DESCRIBE_CONFIGS | ALTER_CONFIGS;
    /// All that a group knows.
    pub(super) const GROUP: i32 = READ | DELETE | DESCRIBE | DESCRIBE_CONFIGS | ALTER_CONFIGS;
    /// All that a cluster knows.
    pub(super) const CLUSTER: i32 =
        CREATE | ALTER | DESCRIBE | CLUSTER_ACTION | DESCRIBE_CONFIGS | ALTER_CONFIGS | IDEMPOTENT_WRITE;
}
