//! What the group coordinator is asked and what it answers, in plain values.

use alloc::{string::String, vec::Vec};
use bytes::Bytes;
use highwater_records::{TimestampMs, TopicId};

use crate::{GroupError, consumer::Assignment, shard::Transaction};

/// A request to one group, or to all groups of a shard.
#[derive(Clone, Debug, PartialEq)]
pub enum GroupRequest {
    /// Become or stay a member.
    Join(JoinGroup),
    /// Learn the assignment, and as the leader give it.
    Sync(SyncGroup),
    /// A sign of life.
    Heartbeat(Heartbeat),
    /// Members go.
    Leave(LeaveGroup),
    /// Keep offsets.
    Commit(CommitOffsets),
    /// Read offsets.
    Fetch(FetchOffsets),
    /// All groups of this shard.
    List,
    /// One classic group and its members.
    Describe(String),
    /// Forget a group and its offsets.
    Delete(String),
    /// Forget offsets of a group.
    DeleteOffsets(DeleteOffsets),
    /// Join, stay in or leave a consumer group.
    ConsumerBeat(ConsumerHeartbeat),
    /// One consumer group and its members.
    DescribeConsumers(String),
}

/// The answer to the request of the same name.
#[derive(Clone, Debug, PartialEq)]
pub enum GroupReply {
    /// To [`GroupRequest::Join`].
    Join(Result<Joined, JoinRefused>),
    /// To [`GroupRequest::Sync`].
    Sync(Result<Synced, GroupError>),
    /// To [`GroupRequest::Heartbeat`].
    Heartbeat(Result<(), GroupError>),
    /// To [`GroupRequest::Leave`].
    Leave(Result<Vec<Left>, GroupError>),
    /// To [`GroupRequest::Commit`]: an answer for each partition, in the order of the request.
    Commit(Result<Vec<Result<(), GroupError>>, GroupError>),
    /// To [`GroupRequest::Fetch`].
    Fetch(Result<Vec<FetchedTopic>, GroupError>),
    /// To [`GroupRequest::List`].
    List(Vec<ListedGroup>),
    /// To [`GroupRequest::Describe`].
    Describe(Result<DescribedGroup, GroupError>),
    /// To [`GroupRequest::Delete`].
    Delete(Result<(), GroupError>),
    /// To [`GroupRequest::DeleteOffsets`]: an answer for each partition, in the order of the request.
    DeleteOffsets(Result<Vec<Result<(), GroupError>>, GroupError>),
    /// To [`GroupRequest::ConsumerBeat`].
    ConsumerBeat(Result<ConsumerBeat, GroupError>),
    /// To [`GroupRequest::DescribeConsumers`].
    DescribeConsumers(Result<DescribedConsumerGroup, GroupError>),
}

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// What the client calls itself.
    pub client_id: String,
    /// Where it connects from.
    pub host: String,
}

/// Become or stay a member of a classic group.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinGroup {
    /// The group.
    pub group: String,
    /// Empty for a new member.
    pub member: String,
    /// Makes the member a static one (KIP-345).
    pub instance: Option<String>,
    /// Who asks.
    pub caller: Caller,
    /// How long the member may be silent.
    pub session_timeout_ms: u64,
    /// How long it may take to come back in a rebalance.
    pub rebalance_timeout_ms: u64,
    /// What kind of group it takes this for: `consumer`, `connect` and so on.
    pub protocol_type: String,
    /// The ways of dividing the work it knows, the preferred one first.
    pub protocols: Vec<Protocol>,
    /// Whether a new member can be told its id and asked to join again with it (KIP-394).
    pub knows_member_id_required: bool,
    /// Whether a leader can be told to leave the assignment as it is (KIP-814).
    pub knows_skip_assignment: bool,
}

/// A way of dividing the work, and what the member says for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    /// Its name.
    pub name: String,
    /// For the leader; the coordinator looks into subscriptions of consumers alone.
    pub metadata: Bytes,
}

/// A generation has begun.
#[derive(Clone, Debug, PartialEq)]
pub struct Joined {
    /// This member.
    pub member: String,
    /// The generation.
    pub generation: i32,
    /// The group's kind.
    pub protocol_type: Option<String>,
    /// The way of dividing the work that was chosen.
    pub protocol: Option<String>,
    /// Who divides.
    pub leader: String,
    /// Whether the leader is to leave the assignment as it is.
    pub skip_assignment: bool,
    /// Everybody, for the leader; nobody for the others.
    pub members: Vec<JoinedMember>,
}

/// A member as the leader is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedMember {
    /// Its id.
    pub member: String,
    /// Its instance, if it is a static one.
    pub instance: Option<String>,
    /// What it says for the chosen protocol.
    pub metadata: Bytes,
}

/// Why a member did not join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRefused {
    /// Why.
    pub error: GroupError,
    /// The member id to answer with.
    pub member: String,
}

/// Learn the assignment.
#[derive(Clone, Debug, PartialEq)]
pub struct SyncGroup {
    /// The group.
    pub group: String,
    /// The member.
    pub member: String,
    /// Its instance.
    pub instance: Option<String>,
    /// The generation it joined.
    pub generation: i32,
    /// What it was told when it joined, if it repeats that.
    pub protocol_type: Option<String>,
    /// What it was told when it joined, if it repeats that.
    pub protocol: Option<String>,
    /// Members and what they are to do: from the leader.
    pub assignments: Vec<(String, Bytes)>,
}

/// What a member is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    /// The group's kind.
    pub protocol_type: Option<String>,
    /// The chosen protocol.
    pub protocol: Option<String>,
    /// Opaque.
    pub assignment: Bytes,
}

/// A sign of life of a member of a classic group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// The group.
    pub group: String,
    /// The member.
    pub member: String,
    /// Its instance.
    pub instance: Option<String>,
    /// The generation it is in.
    pub generation: i32,
}

/// Members go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaveGroup {
    /// The group.
    pub group: String,
    /// Who.
    pub members: Vec<Leaving>,
}

/// A member that goes: itself by its id, or sent away by its instance with an empty id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// Its id.
    pub member: String,
    /// Its instance.
    pub instance: Option<String>,
}

/// What became of a member that was to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// As in the request.
    pub leaving: Leaving,
    /// Whether it is gone.
    pub result: Result<(), GroupError>,
}

/// Keep offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitOffsets {
    /// The group.
    pub group: String,
    /// The member; empty for somebody who manages partitions alone.
    pub member: String,
    /// Its instance.
    pub instance: Option<String>,
    /// Its generation, or -1.
    pub generation: i32,
    /// How long to keep them; `None` for the broker's default and the rules of KIP-211.
    pub retention_ms: Option<i64>,
    /// Whether the caller knows [`GroupError::GroupIdNotFound`] as an answer.
    pub knows_group_not_found: bool,
    /// Holds the offsets back until the transaction ends.
    pub transaction: Option<Transaction>,
    /// What.
    pub topics: Vec<CommitTopic>,
}

/// Offsets of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitTopic {
    /// Its name.
    pub name: String,
    /// Its identity; zero where the caller does not know.
    pub id: TopicId,
    /// The offsets.
    pub partitions: Vec<CommitPartition>,
}

/// The offset of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitPartition {
    /// Which.
    pub partition: i32,
    /// The next offset to process.
    pub offset: i64,
    /// The epoch of the record before, or -1.
    pub leader_epoch: i32,
    /// The client's own words.
    pub metadata: String,
}

/// Read offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchOffsets {
    /// The group.
    pub group: String,
    /// The member of a consumer group and its epoch, where it says.
    pub member: Option<(String, i32)>,
    /// Topics and partitions; `None` for everything there is.
    pub topics: Option<Vec<(String, Vec<i32>)>>,
    /// Whether offsets that wait for the end of a transaction are to be refused.
    pub require_stable: bool,
}

/// The offsets of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedTopic {
    /// Its name.
    pub name: String,
    /// The partitions that were asked for, in their order.
    pub partitions: Vec<FetchedOffset>,
}

/// The offset of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedOffset {
    /// Which.
    pub partition: i32,
    /// What was committed, if anything.
    pub committed: Result<Option<Committed>, GroupError>,
}

/// A committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The next offset to process.
    pub offset: i64,
    /// The epoch of the record before, or -1.
    pub leader_epoch: i32,
    /// The client's own words.
    pub metadata: String,
    /// When, by the broker's clock.
    pub at: TimestampMs,
}

/// Forget offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteOffsets {
    /// The group.
    pub group: String,
    /// Topics and partitions.
    pub topics: Vec<(String, Vec<i32>)>,
}

/// Which protocol the members of a group speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupKind {
    /// The members divide the work among themselves.
    Classic,
    /// The coordinator divides it (KIP-848).
    Consumer,
}

impl GroupKind {
    /// Kafka's word for it.
    pub const fn name(self) -> &'static str {
        match self {
            GroupKind::Classic => "classic",
            GroupKind::Consumer => "consumer",
        }
    }
}

/// A group in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedGroup {
    /// Its id.
    pub group: String,
    /// Its protocol type; empty if it never had members.
    pub protocol_type: String,
    /// Kafka's word for its state.
    pub state: &'static str,
    /// Its kind.
    pub kind: GroupKind,
}

/// A classic group and its members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribedGroup {
    /// Kafka's word for its state.
    pub state: &'static str,
    /// Its kind of work; empty if it never had members.
    pub protocol_type: String,
    /// The chosen protocol, while the group is stable; else empty.
    pub protocol: String,
    /// Its members.
    pub members: Vec<DescribedMember>,
}

/// A member of a classic group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedMember {
    /// Its id.
    pub member: String,
    /// Its instance.
    pub instance: Option<String>,
    /// Who and where it is.
    pub caller: Caller,
    /// What it says for the chosen protocol, while the group is stable.
    pub metadata: Bytes,
    /// What it is to do, while the group is stable.
    pub assignment: Bytes,
}

/// Join, stay in or leave a consumer group (KIP-848).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConsumerHeartbeat {
    /// The group.
    pub group: String,
    /// The member; empty if the coordinator is to choose its id.
    pub member: String,
    /// Its epoch: 0 joins, -1 leaves, -2 leaves for a while (static members).
    pub epoch: i32,
    /// Its instance, if it is a static one.
    pub instance: Option<String>,
    /// Where it stands; `None` if that has not changed, as with all that follows.
    pub rack: Option<String>,
    /// How long it may take to give partitions up, in milliseconds.
    pub rebalance_timeout_ms: Option<i32>,
    /// The topics it reads.
    pub topics: Option<Vec<String>>,
    /// The topics it reads, by regular expression; empty for none.
    pub regex: Option<String>,
    /// The assignor it asks for.
    pub assignor: Option<String>,
    /// What it has.
    pub owned: Option<Assignment>,
    /// Who asks.
    pub caller: Caller,
}

/// What a member of a consumer group is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerBeat {
    /// The member.
    pub member: String,
    /// Its epoch.
    pub epoch: i32,
    /// How often to send signs of life, in milliseconds.
    pub interval_ms: u64,
    /// What it is to have; `None` if that has not changed.
    pub assignment: Option<Assignment>,
}

/// A consumer group and its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedConsumerGroup {
    /// Kafka's word for its state.
    pub state: &'static str,
    /// The group's epoch.
    pub epoch: i32,
    /// The epoch of the targets.
    pub target_epoch: i32,
    /// The assignor in force.
    pub assignor: String,
    /// Its members.
    pub members: Vec<DescribedConsumer>,
}

/// A member of a consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedConsumer {
    /// Its id.
    pub member: String,
    /// Its instance.
    pub instance: Option<String>,
    /// Where it stands.
    pub rack: Option<String>,
    /// Its epoch.
    pub epoch: i32,
    /// Who and where it is.
    pub caller: Caller,
    /// The topics it names.
    pub topics: Vec<String>,
    /// The topics it describes.
    pub regex: Option<String>,
    /// Whether it speaks the classic protocol.
    pub is_classic: bool,
    /// What it has: topics with their names, and partitions.
    pub assigned: Vec<(TopicId, String, Vec<i32>)>,
    /// What it is to have.
    pub target: Vec<(TopicId, String, Vec<i32>)>,
}

/// Describes one consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeConsumers(pub String);

/// Lists the groups of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListGroups;

/// Describes one classic group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeGroup(pub String);

/// Deletes one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteGroup(pub String);

/// A request whose answer has a type of its own.
pub trait Ask: Into<GroupRequest> {
    /// The answer.
    type Answer;

    /// The answer in a reply; `None` for the reply to another kind of request.
    fn answer(reply: GroupReply) -> Option<Self::Answer>;
}

macro_rules! asks {
    ($($request:ty => $answer:ty: |$given:ident| $into:expr, $reply:ident;)*) => {$(
        impl From<$request> for GroupRequest {
            fn from($given: $request) -> GroupRequest {
                $into
            }
        }

        impl Ask for $request {
            type Answer = $answer;

            fn answer(reply: GroupReply) -> Option<$answer> {
                match reply {
                    GroupReply::$reply(answer) => Some(answer),
                    _ => None,
                }
            }
        }
    )*};
}

asks! {
    JoinGroup => Result<Joined, JoinRefused>: |request| GroupRequest::Join(request), Join;
    SyncGroup => Result<Synced, GroupError>: |request| GroupRequest::Sync(request), Sync;
    Heartbeat => Result<(), GroupError>: |request| GroupRequest::Heartbeat(request), Heartbeat;
    LeaveGroup => Result<Vec<Left>, GroupError>: |request| GroupRequest::Leave(request), Leave;
    CommitOffsets => Result<Vec<Result<(), GroupError>>, GroupError>: |request| GroupRequest::Commit(request), Commit;
    FetchOffsets => Result<Vec<FetchedTopic>, GroupError>: |request| GroupRequest::Fetch(request), Fetch;
    ListGroups => Vec<ListedGroup>: |_request| GroupRequest::List, List;
    DescribeGroup => Result<DescribedGroup, GroupError>: |request| GroupRequest::Describe(request.0), Describe;
    DeleteGroup => Result<(), GroupError>: |request| GroupRequest::Delete(request.0), Delete;
    ConsumerHeartbeat => Result<ConsumerBeat, GroupError>: |request| GroupRequest::ConsumerBeat(request), ConsumerBeat;
    DescribeConsumers => Result<DescribedConsumerGroup, GroupError>: |request| GroupRequest::DescribeConsumers(request.0), DescribeConsumers;
    DeleteOffsets => Result<Vec<Result<(), GroupError>>, GroupError>: |request| GroupRequest::DeleteOffsets(request), DeleteOffsets;
}
