//! What the APIs of groups share: Kafka's codes, and who a member is.

use highwater_coordinator::{Caller as Member, GroupError};
use highwater_node::request::Caller;
use highwater_wire::ErrorCode;
use std::net::SocketAddr;

/// Kafka's code for what a coordinator refused.
pub(super) fn code(error: GroupError) -> ErrorCode {
    match error {
        GroupError::NotCoordinator => ErrorCode::NotCoordinator,
        GroupError::NotAvailable => ErrorCode::CoordinatorNotAvailable,
        GroupError::Loading => ErrorCode::CoordinatorLoadInProgress,
        GroupError::InvalidGroupId => ErrorCode::InvalidGroupId,
        GroupError::MemberIdRequired => ErrorCode::MemberIdRequired,
        GroupError::UnknownMember => ErrorCode::UnknownMemberId,
        GroupError::IllegalGeneration => ErrorCode::IllegalGeneration,
        GroupError::RebalanceInProgress => ErrorCode::RebalanceInProgress,
        GroupError::InconsistentProtocol => ErrorCode::InconsistentGroupProtocol,
        GroupError::InvalidSessionTimeout => ErrorCode::InvalidSessionTimeout,
        GroupError::GroupMaxSizeReached => ErrorCode::GroupMaxSizeReached,
        GroupError::FencedInstanceId => ErrorCode::FencedInstanceId,
        GroupError::OffsetMetadataTooLarge => ErrorCode::OffsetMetadataTooLarge,
        GroupError::NonEmptyGroup => ErrorCode::NonEmptyGroup,
        GroupError::GroupIdNotFound => ErrorCode::GroupIdNotFound,
        GroupError::SubscribedToTopic => ErrorCode::GroupSubscribedToTopic,
        GroupError::UnstableOffsetCommit => ErrorCode::UnstableOffsetCommit,
        GroupError::UnknownTopicOrPartition => ErrorCode::UnknownTopicOrPartition,
        GroupError::UnknownTopicId => ErrorCode::UnknownTopicId,
        GroupError::FencedMemberEpoch => ErrorCode::FencedMemberEpoch,
        GroupError::StaleMemberEpoch => ErrorCode::StaleMemberEpoch,
        GroupError::UnreleasedInstance => ErrorCode::UnreleasedInstanceId,
        GroupError::UnsupportedAssignor => ErrorCode::UnsupportedAssignor,
        GroupError::InvalidRegularExpression => ErrorCode::InvalidRegularExpression,
        GroupError::InvalidRequest => ErrorCode::InvalidRequest,
        GroupError::ProducerFenced => ErrorCode::ProducerFenced,
    }
}

/// The number for an outcome.
pub(super) fn outcome<T>(result: &Result<T, GroupError>) -> i16 {
    match result {
        Ok(_) => ErrorCode::None.code(),
        Err(error) => code(*error).code(),
    }
}

/// Who a member is, its address written as Kafka writes it.
pub(super) fn member(caller: &Caller) -> Member {
    let host = match caller.address.parse::<SocketAddr>() {
        Ok(address) => format!("/{}", address.ip()),
        Err(_) => caller.address.clone(),
    };
    Member { client_id: caller.client_id.clone(), host }
}

/// Milliseconds as they travel; negative ones are none.
pub(super) fn milliseconds(value: i32) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
