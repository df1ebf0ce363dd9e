use highwater_metadata::{
    EntryId, MetadataRecord,
    decide::{Heartbeat, IsrChange, IsrChangeError, RegisterBroker, RegisterError},
};
use highwater_records::{BrokerEpoch, BrokerId, LeaderEpoch, TopicIdPartition};

/// What a broker asks of the controller.
#[derive(Clone, Debug)]
pub enum ControlRequest {
    /// To be a broker of the cluster.
    Register(RegisterBroker),
    /// To be counted as alive.
    Heartbeat(Heartbeat),
    /// Another in-sync set.
    ChangeIsr(ChangeIsr),
    /// Whether a broker leads a partition, before it destroys something in the bucket.
    ConfirmLeader(ConfirmLeader),
    /// To commit a decision that the broker made on its own image.
    Propose(ProposeRecords),
}

/// A broker's belief that it leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfirmLeader {
    /// Who believes to lead.
    pub leader: BrokerId,
    /// In which registration.
    pub broker_epoch: BrokerEpoch,
    /// The partition.
    pub partition: TopicIdPartition,
    /// In which leader epoch.
    pub leader_epoch: LeaderEpoch,
}

/// A leader's wish for another in-sync set.
pub type ChangeIsr = IsrChange;

/// A decision, as it was made. The broker has authorized whoever caused it; the image it was made on is named, so that
/// it takes effect on that image or not at all.
#[derive(Clone, Debug)]
pub struct ProposeRecords {
    /// Who decided.
    pub from: BrokerId,
    /// In which registration.
    pub broker_epoch: BrokerEpoch,
    /// The image it was decided on.
    pub expects: Option<EntryId>,
    /// The decision.
    pub records: Vec<MetadataRecord>,
}

/// The controller's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlReply {
    /// The registration is in force; the entries up to this one tell its epoch.
    Registered {
        /// An entry at or after the registration.
        applied: Option<EntryId>,
    },
    /// The broker was heard.
    Heard(HeartbeatReply),
    /// The in-sync set is the one that was asked for, as the entries will tell.
    IsrChanged,
    /// The broker led the partition in that epoch at some instant between question and answer.
    Confirmed,
    /// The decision is in the log.
    Proposed {
        /// Its entry.
        entry: EntryId,
    },
}

/// What a broker learns from its heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeartbeatReply {
    /// Whether it is fenced.
    pub fenced: bool,
    /// Whether it may stop now, after it asked to.
    pub may_stop: bool,
}

/// Why the controller did nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// Another broker is the controller.
    #[error("not the controller")]
    NotController {
        /// Who is, if known.
        controller: Option<BrokerId>,
    },
    /// The decision was proposed, and whether it is committed is not known.
    #[error("whether it was committed is not known")]
    Unknown,
    /// Nothing was proposed; ask again later.
    #[error("the controller cannot decide now")]
    Busy,
    /// The broker must register: its registration is not the latest one.
    #[error("the broker epoch is not the current one")]
    StaleBrokerEpoch,
    /// The broker does not lead the partition in that epoch.
    #[error("it does not lead in that epoch")]
    NotLeader,
    /// It may not register.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// The in-sync set is refused.
    #[error(transparent)]
    Isr(#[from] IsrChangeError),
}
