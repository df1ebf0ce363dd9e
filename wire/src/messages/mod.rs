//! Every message, one file per API.
//!
//! Names are those of Kafka's protocol guide in snake case, since that is where their meaning is explained; what
//! each struct is for, and the sentinels, are said here.

// The guide, not we, says what a field means; a doc comment per field would repeat its name.
#![allow(missing_docs)]

pub mod add_offsets_to_txn;
pub mod add_partitions_to_txn;
pub mod alter_client_quotas;
pub mod alter_configs;
pub mod alter_partition_reassignments;
pub mod api_versions;
pub mod consumer_group_describe;
pub mod consumer_group_heartbeat;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_groups;
pub mod delete_records;
pub mod delete_topics;
pub mod describe_client_quotas;
pub mod describe_cluster;
pub mod describe_configs;
pub mod describe_groups;
pub mod describe_log_dirs;
pub mod describe_producers;
pub mod describe_topic_partitions;
pub mod describe_transactions;
pub mod elect_leaders;
pub mod end_txn;
pub mod fetch;
pub mod find_coordinator;
pub mod heartbeat;
pub mod incremental_alter_configs;
pub mod init_producer_id;
pub mod join_group;
pub mod leave_group;
pub mod list_config_resources;
pub mod list_groups;
pub mod list_offsets;
pub mod list_partition_reassignments;
pub mod list_transactions;
pub mod metadata;
pub mod offset_commit;
pub mod offset_delete;
pub mod offset_fetch;
pub mod offset_for_leader_epoch;
pub mod produce;
pub mod sync_group;
pub mod txn_offset_commit;
pub mod write_txn_markers;

/// Calls another macro with the types of all messages, each as a path below [`messages`](crate::messages).
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_message {
    ($callback:ident) => {
        $callback! {
            produce::ProduceRequest, produce::ProduceResponse,
            fetch::FetchRequest, fetch::FetchResponse,
            list_offsets::ListOffsetsRequest, list_offsets::ListOffsetsResponse,
            list_partition_reassignments::ListPartitionReassignmentsRequest,
            list_partition_reassignments::ListPartitionReassignmentsResponse,
            metadata::MetadataRequest, metadata::MetadataResponse,
            find_coordinator::FindCoordinatorRequest, find_coordinator::FindCoordinatorResponse,
            join_group::JoinGroupRequest, join_group::JoinGroupResponse,
            sync_group::SyncGroupRequest, sync_group::SyncGroupResponse,
            heartbeat::HeartbeatRequest, heartbeat::HeartbeatResponse,
            leave_group::LeaveGroupRequest, leave_group::LeaveGroupResponse,
            offset_commit::OffsetCommitRequest, offset_commit::OffsetCommitResponse,
            offset_fetch::OffsetFetchRequest, offset_fetch::OffsetFetchResponse,
            list_groups::ListGroupsRequest, list_groups::ListGroupsResponse,
            describe_groups::DescribeGroupsRequest, describe_groups::DescribeGroupsResponse,
            delete_groups::DeleteGroupsRequest, delete_groups::DeleteGroupsResponse,
            offset_delete::OffsetDeleteRequest, offset_delete::OffsetDeleteResponse,
            consumer_group_heartbeat::ConsumerGroupHeartbeatRequest, consumer_group_heartbeat::ConsumerGroupHeartbeatResponse,
            consumer_group_describe::ConsumerGroupDescribeRequest, consumer_group_describe::ConsumerGroupDescribeResponse,
            api_versions::ApiVersionsRequest, api_versions::ApiVersionsResponse,
            create_topics::CreateTopicsRequest, create_topics::CreateTopicsResponse,
            delete_topics::DeleteTopicsRequest, delete_topics::DeleteTopicsResponse,
            init_producer_id::InitProducerIdRequest, init_producer_id::InitProducerIdResponse,
            describe_configs::DescribeConfigsRequest, describe_configs::DescribeConfigsResponse,
            offset_for_leader_epoch::OffsetForLeaderEpochRequest, offset_for_leader_epoch::OffsetForLeaderEpochResponse,
            alter_configs::AlterConfigsRequest, alter_configs::AlterConfigsResponse,
            incremental_alter_configs::IncrementalAlterConfigsRequest, incremental_alter_configs::IncrementalAlterConfigsResponse,
            alter_partition_reassignments::AlterPartitionReassignmentsRequest,
            alter_partition_reassignments::AlterPartitionReassignmentsResponse,
            describe_log_dirs::DescribeLogDirsRequest, describe_log_dirs::DescribeLogDirsResponse,
            create_partitions::CreatePartitionsRequest, create_partitions::CreatePartitionsResponse,
            delete_records::DeleteRecordsRequest, delete_records::DeleteRecordsResponse,
            describe_client_quotas::DescribeClientQuotasRequest, describe_client_quotas::DescribeClientQuotasResponse,
            alter_client_quotas::AlterClientQuotasRequest, alter_client_quotas::AlterClientQuotasResponse,
            describe_producers::DescribeProducersRequest, describe_producers::DescribeProducersResponse,
            describe_topic_partitions::DescribeTopicPartitionsRequest, describe_topic_partitions::DescribeTopicPartitionsResponse,
            list_config_resources::ListConfigResourcesRequest, list_config_resources::ListConfigResourcesResponse,
            add_partitions_to_txn::AddPartitionsToTxnRequest, add_partitions_to_txn::AddPartitionsToTxnResponse,
            add_offsets_to_txn::AddOffsetsToTxnRequest, add_offsets_to_txn::AddOffsetsToTxnResponse,
            end_txn::EndTxnRequest, end_txn::EndTxnResponse,
            write_txn_markers::WriteTxnMarkersRequest, write_txn_markers::WriteTxnMarkersResponse,
            txn_offset_commit::TxnOffsetCommitRequest, txn_offset_commit::TxnOffsetCommitResponse,
            describe_transactions::DescribeTransactionsRequest, describe_transactions::DescribeTransactionsResponse,
            elect_leaders::ElectLeadersRequest,
            elect_leaders::ElectLeadersResponse,
            list_transactions::ListTransactionsRequest, list_transactions::ListTransactionsResponse,
            describe_cluster::DescribeClusterRequest, describe_cluster::DescribeClusterResponse,
        }
    };
}

macro_rules! list {
    ($($module:ident::$name:ident,)*) => {
        /// The declarations of all messages.
        pub const ALL: &[&crate::declaration::Declaration] =
            &[$(<$module::$name as crate::Message>::DECLARATION),*];
    };
}

for_each_message!(list);
