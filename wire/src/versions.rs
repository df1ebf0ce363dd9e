//! What a broker advertises: the one table.
//!
//! Clients take an API for implemented as soon as it is advertised, and opt into whole protocols by what they
//! see, so a row appears here together with its implementation.

use crate::{
    Message,
    declaration::{Declaration, Versions},
    messages,
};

/// The number of ApiVersions, the one API with rules of its own.
pub const API_VERSIONS_KEY: i16 = 18;

/// The number of Produce, advertised from further down than it is served.
pub const PRODUCE_KEY: i16 = 0;

/// One API.
#[derive(Debug)]
pub struct Api {
    /// Its request.
    pub request: &'static Declaration,
    /// The versions that ApiVersions tells, both ends inclusive.
    pub advertised: Versions,
    /// The versions that are answered, both ends inclusive. Any other request is one that the broker cannot
    /// read.
    pub served: Versions,
    /// Why these bounds.
    pub reason: &'static str,
}

impl Api {
    /// The API's number.
    pub const fn key(&self) -> i16 {
        self.request.api_key
    }

    /// The API's name.
    pub fn name(&self) -> &'static str {
        self.request.name.trim_end_matches("Request")
    }
}

macro_rules! apis {
    ($($module:ident::$request:ident $min:literal - $max:literal $(advertised from $advertised:literal)?, $reason:literal;)*) => {
        /// Every API that a broker serves, by number.
        pub const APIS: &[Api] = &[$(Api {
            request: <messages::$module::$request as Message>::DECLARATION,
            advertised: apis!(@advertised $min - $max $($advertised)?),
            served: Versions::range($min, $max),
            reason: $reason,
        }),*];
    };
    (@advertised $min:literal - $max:literal) => { Versions::range($min, $max) };
    (@advertised $min:literal - $max:literal $advertised:literal) => { Versions::range($advertised, $max) };
}

apis! {
    produce::ProduceRequest 3-13 advertised from 0,
        "versions below 3 carry formats older than batch v2 and are refused, but librdkafka stops compressing \
         without a word when they are not advertised (KAFKA-18659); 13 has topic ids";
    fetch::FetchRequest 4-18,
        "versions below 4 carry formats older than batch v2; 18 is what Kafka 4.3 has";
    list_offsets::ListOffsetsRequest 1-11,
        "version 0 answers lists of segment starts, gone in Kafka 4; 11 has the earliest offset not yet tiered";
    metadata::MetadataRequest 0-13,
        "clients that know nothing yet may use any; 13 has an error for the whole request";
    offset_commit::OffsetCommitRequest 2-10,
        "versions below 2 are gone in Kafka 4; 10 names topics by id";
    offset_fetch::OffsetFetchRequest 1-10,
        "version 0 is gone in Kafka 4; 10 names topics by id";
    find_coordinator::FindCoordinatorRequest 0-6,
        "all there are; transactions and share groups are answered with an error that says what is missing";
    join_group::JoinGroupRequest 0-9,
        "all there are";
    heartbeat::HeartbeatRequest 0-4,
        "all there are";
    leave_group::LeaveGroupRequest 0-5,
        "all there are";
    sync_group::SyncGroupRequest 0-5,
        "all there are";
    describe_groups::DescribeGroupsRequest 0-6,
        "all there are";
    list_groups::ListGroupsRequest 0-5,
        "all there are";
    api_versions::ApiVersionsRequest 0-4,
        "all there are";
    create_topics::CreateTopicsRequest 2-7,
        "versions below 2 are gone in Kafka 4; 7 answers with topic ids";
    delete_topics::DeleteTopicsRequest 1-6,
        "version 0 is gone in Kafka 4; 6 deletes by topic id";
    delete_records::DeleteRecordsRequest 0-2,
        "all there are";
    init_producer_id::InitProducerIdRequest 0-6,
        "6 adds two-phase commit, which is refused";
    offset_for_leader_epoch::OffsetForLeaderEpochRequest 2-4,
        "versions below 2 are gone in Kafka 4; 4 is flexible";
    add_partitions_to_txn::AddPartitionsToTxnRequest 0-5,
        "4 is for brokers, 5 knows errors that ask for an abort";
    add_offsets_to_txn::AddOffsetsToTxnRequest 0-4,
        "all there are";
    end_txn::EndTxnRequest 0-5,
        "5 answers with the epoch to go on with (KIP-890)";
    write_txn_markers::WriteTxnMarkersRequest 1-2,
        "version 0 is gone in Kafka 4; operators end transactions that hang with it";
    txn_offset_commit::TxnOffsetCommitRequest 0-5,
        "from 5 on the group joins the transaction by it (KIP-890)";
    describe_configs::DescribeConfigsRequest 1-4,
        "version 0 is gone in Kafka 4; 4 is flexible";
    alter_configs::AlterConfigsRequest 0-2,
        "all there are";
    describe_log_dirs::DescribeLogDirsRequest 1-5,
        "version 0 is gone in Kafka 4; 5 tells of directories that take no new logs";
    create_partitions::CreatePartitionsRequest 0-3,
        "all there are";
    delete_groups::DeleteGroupsRequest 0-2,
        "all there are";
    elect_leaders::ElectLeadersRequest 0-2,
        "all there are";
    incremental_alter_configs::IncrementalAlterConfigsRequest 0-1,
        "all there are";
    alter_partition_reassignments::AlterPartitionReassignmentsRequest 0-1,
        "all there are";
    list_partition_reassignments::ListPartitionReassignmentsRequest 0-0,
        "all there are";
    offset_delete::OffsetDeleteRequest 0-0,
        "all there are";
    describe_client_quotas::DescribeClientQuotasRequest 0-1,
        "all there are";
    alter_client_quotas::AlterClientQuotasRequest 0-1,
        "all there are";
    describe_cluster::DescribeClusterRequest 0-2,
        "all there are";
    describe_producers::DescribeProducersRequest 0-0,
        "all there are";
    describe_transactions::DescribeTransactionsRequest 0-0,
        "all there are";
    list_transactions::ListTransactionsRequest 0-2,
        "all there are";
    consumer_group_heartbeat::ConsumerGroupHeartbeatRequest 0-1,
        "all there are";
    consumer_group_describe::ConsumerGroupDescribeRequest 0-1,
        "all there are";
    list_config_resources::ListConfigResourcesRequest 0-1,
        "0 lists subscriptions to client metrics only, of which there are none";
    describe_topic_partitions::DescribeTopicPartitionsRequest 0-0,
        "all there are";
}

/// The row of an API, or `None` for one that is not served.
pub fn find(api_key: i16) -> Option<&'static Api> {
    APIS.iter().find(|api| api.key() == api_key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_can_be_decoded_and_is_there_once_in_order() {
        for api in APIS {
            for version in api.served.min..=api.served.max {
                assert!(api.request.versions.contains(version), "{} {version}", api.name());
            }
            assert!(api.advertised.min <= api.served.min, "{}", api.name());
            assert_eq!(api.advertised.max, api.served.max, "{}", api.name());
            assert!(!api.reason.is_empty());
        }
        assert!(APIS.windows(2).all(|pair| pair[0].key() < pair[1].key()));
        assert_eq!(find(API_VERSIONS_KEY).map(Api::name), Some("ApiVersions"));
        assert_eq!(find(PRODUCE_KEY).map(Api::name), Some("Produce"));
        assert!(find(1000).is_none());
    }

    #[test]
    fn produce_alone_is_advertised_below_what_is_served() {
        let odd: Vec<_> = APIS.iter().filter(|api| api.advertised != api.served).map(Api::name).collect();
        assert_eq!(odd, ["Produce"]);
    }
}
