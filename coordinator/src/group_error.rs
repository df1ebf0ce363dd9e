/// Why a group coordinator refuses. Each says what the member does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum GroupError {
    /// The group's records are elsewhere, or the coordinator was dropped: find the coordinator again.
    #[error("not the coordinator of this group")]
    NotCoordinator,
    /// The coordinator cannot be reached or has no topic yet: find it again a little later.
    #[error("the coordinator is not available")]
    NotAvailable,
    /// The group's records are being replayed: retry.
    #[error("the coordinator is loading")]
    Loading,
    /// The group's name is empty: fix the call.
    #[error("not a group id")]
    InvalidGroupId,
    /// Join again with the member id of the answer (KIP-394).
    #[error("join again with the member id given")]
    MemberIdRequired,
    /// No such member: join as a new one.
    #[error("unknown member")]
    UnknownMember,
    /// Another generation is current: join again.
    #[error("another generation is current")]
    IllegalGeneration,
    /// A rebalance has begun: join again.
    #[error("a rebalance is in progress")]
    RebalanceInProgress,
    /// No protocol in common with the other members, or another kind of group: fix the call.
    #[error("no protocol in common with the group")]
    InconsistentProtocol,
    /// The session timeout is outside the broker's bounds: fix the call.
    #[error("the session timeout is outside the bounds")]
    InvalidSessionTimeout,
    /// The group is full.
    #[error("the group has reached its largest size")]
    GroupMaxSizeReached,
    /// A newer member has this instance id (KIP-345): end.
    #[error("another member has this instance id")]
    FencedInstanceId,
    /// The metadata of an offset is too long: fix the call.
    #[error("the metadata of an offset is too long")]
    OffsetMetadataTooLarge,
    /// The group has members, which must leave first.
    #[error("the group has members")]
    NonEmptyGroup,
    /// No such group.
    #[error("no such group")]
    GroupIdNotFound,
    /// Members of the group read this topic, so that its offsets stay.
    #[error("the group is subscribed to the topic")]
    SubscribedToTopic,
    /// A transaction's offsets are undecided: retry.
    #[error("offsets wait for the end of a transaction")]
    UnstableOffsetCommit,
    /// No such topic or partition.
    #[error("unknown topic or partition")]
    UnknownTopicOrPartition,
    /// No topic has this id.
    #[error("unknown topic id")]
    UnknownTopicId,
    /// The member is not in the epoch it thinks: give everything up and join anew (KIP-848).
    #[error("the member must give up its partitions and join anew")]
    FencedMemberEpoch,
    /// The member's epoch is another one by now: learn it with the next heartbeat, and retry.
    #[error("the member's epoch is another one")]
    StaleMemberEpoch,
    /// Another member has this instance id and has not left.
    #[error("another member has this instance id and has not left")]
    UnreleasedInstance,
    /// No such assignor here: fix the call.
    #[error("unknown assignor; there are uniform and range")]
    UnsupportedAssignor,
    /// A regular expression does not compile, or takes too much memory: fix the call.
    #[error("not a regular expression, or one that is too large")]
    InvalidRegularExpression,
    /// The request contradicts itself: fix the call.
    #[error("invalid request")]
    InvalidRequest,
    /// A newer incarnation of this producer exists: end.
    #[error("a newer producer has this transactional id")]
    ProducerFenced,
}
