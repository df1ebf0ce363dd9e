//! A leader's proposal of an in-sync set (Kafka's AlterPartition, KIP-497 and KIP-903).

use super::{Change, Rules, change_partition};
use crate::{
    BrokerState, Image, MetadataRecord,
    museum::{Bug, has},
};
use alloc::vec::Vec;
use highwater_records::{BrokerEpoch, BrokerId, LeaderEpoch, TopicIdPartition};

/// A leader's wish for its in-sync set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsrChange {
    /// The partition.
    pub partition: TopicIdPartition,
    /// Who proposes.
    pub leader: BrokerId,
    /// In which registration.
    pub broker_epoch: BrokerEpoch,
    /// In which leader epoch.
    pub leader_epoch: LeaderEpoch,
    /// The version that is replaced.
    pub partition_epoch: u32,
    /// The new set, each member with the registration in which it fetched, where the leader knows it.
    pub isr: Vec<(BrokerId, Option<BrokerEpoch>)>,
}

/// Why an in-sync set is not changed. Nothing was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IsrChangeError {
    /// There is no such partition (any more).
    #[error("unknown topic or partition")]
    UnknownPartition,
    /// The proposer has registered again since.
    #[error("broker {0} has registered again since")]
    StaleBrokerEpoch(BrokerId),
    /// The proposer leads no more, or proposes in an older leader epoch.
    #[error("the leader epoch is {0}")]
    FencedLeaderEpoch(LeaderEpoch),
    /// The proposer knows a newer leader epoch than this controller: it is none.
    #[error("the proposer knows a newer leader epoch")]
    NewerLeaderEpoch,
    /// The partition has another version by now: the proposer will learn of it.
    #[error("the partition has version {0}")]
    InvalidVersion(u32),
    /// The set lacks the leader, or has members that are no replicas, or one twice.
    #[error("not an in-sync set of this partition")]
    InvalidIsr,
    /// A member may not be in sync: fenced, stopping, or registered again since it fetched.
    #[error("broker {0} may not be in sync now")]
    Ineligible(BrokerId),
}

/// Judges a leader's proposal.
pub fn change_isr(
    image: &Image,
    rules: Rules,
    wish: &IsrChange,
) -> Result<Vec<MetadataRecord>, IsrChangeError> {
    let topic = image.topic(wish.partition.topic_id).ok_or(IsrChangeError::UnknownPartition)?;
    let partition = topic.partition(wish.partition.partition).ok_or(IsrChangeError::UnknownPartition)?;
    if image.registration(wish.leader).is_none_or(|registered| registered.epoch != wish.broker_epoch) {
        return Err(IsrChangeError::StaleBrokerEpoch(wish.leader));
    }
    let in_force = image.leader_epoch(partition);
    if wish.leader_epoch > in_force {
        return Err(IsrChangeError::NewerLeaderEpoch);
    }
    if wish.leader_epoch < in_force || partition.leader != Some(wish.leader) {
        return Err(IsrChangeError::FencedLeaderEpoch(in_force));
    }
    if wish.partition_epoch != partition.partition_epoch && !has(Bug::AnyVersion) {
        return Err(IsrChangeError::InvalidVersion(partition.partition_epoch));
    }
    let isr: Vec<BrokerId> = wish.isr.iter().map(|(member, _)| *member).collect();
    let once = isr.iter().enumerate().all(|(at, member)| !isr[..at].contains(member));
    let replicas_only = isr.iter().all(|member| partition.replicas.contains(member));
    if !once || !replicas_only || !isr.contains(&wish.leader) {
        return Err(IsrChangeError::InvalidIsr);
    }
    for (member, fetched_in) in wish.isr.iter().filter(|(member, _)| *member != wish.leader) {
        let registered = image.registration(*member).ok_or(IsrChangeError::Ineligible(*member))?;
        let stays = partition.isr.contains(member);
        let same_life = fetched_in.map_or(stays, |epoch| epoch == registered.epoch);
        let takes_part = registered.state == BrokerState::Active
            // A broker on its way out stays until somebody takes it out.
            || (stays && registered.state == BrokerState::Stopping);
        if !takes_part || !(same_life || has(Bug::AnyBrokerEpoch)) {
            return Err(IsrChangeError::Ineligible(*member));
        }
    }
    let change = Change { isr: Some(isr), ..Change::none() };
    Ok(change_partition(image, rules, topic, wish.partition.partition, &change))
}
