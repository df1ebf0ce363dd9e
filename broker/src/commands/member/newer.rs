//! The newer protocol (KIP-848): the coordinator says what the member is to have, and waits until whoever had it says
//! that it is given up.

use std::collections::BTreeSet;

use highwater_wire::{
    ErrorCode,
    messages::consumer_group_heartbeat::{
        ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, TopicPartitions,
    },
};
use tokio::time::Duration;

use super::{Heard, Name, SOON, code};
use crate::commands::{CommandError, cluster::Cluster};

/// How long it may take to give something up.
const REBALANCE_MS: i32 = 60_000;
/// The version in which the coordinator names its members.
const NAMED_BY_COORDINATOR: i16 = 0;
/// The epoch of a member that leaves.
const LEAVES: i32 = -1;

#[derive(Default)]
pub(super) struct Newer {
    has: BTreeSet<i32>,
    /// Whether the coordinator knows what it has.
    has_told: bool,
    /// Whether an answer was lost. What the coordinator said in it, it says again only to who says everything.
    has_missed: bool,
}

impl Newer {
    pub(super) async fn beat(
        &mut self,
        name: &mut Name<'_>,
        cluster: &mut Cluster,
    ) -> Result<(Heard, Duration), CommandError> {
        let joins = name.epoch == 0;
        let says_all = joins || self.has_missed;
        let owned = TopicPartitions {
            topic_id: name.topic.id,
            partitions: if joins { Vec::new() } else { self.has.iter().copied().collect() },
        };
        let request = ConsumerGroupHeartbeatRequest {
            group_id: name.group.to_owned(),
            member_id: name.id.clone(),
            member_epoch: name.epoch,
            rebalance_timeout_ms: if says_all { REBALANCE_MS } else { -1 },
            subscribed_topic_names: says_all.then(|| vec![name.topic.name.clone()]),
            topic_partitions: Some(
                Some(owned).filter(|owned| !owned.partitions.is_empty()).into_iter().collect(),
            ),
            ..ConsumerGroupHeartbeatRequest::default()
        };
        let doing = if joins { "joining" } else { "staying in" };
        self.has_missed = true;
        let told: ConsumerGroupHeartbeatResponse =
            name.ask(cluster, doing, &request, NAMED_BY_COORDINATOR).await?;
        self.has_missed = false;
        match code(told.error_code) {
            ErrorCode::None => {}
            ErrorCode::UnknownMemberId | ErrorCode::FencedMemberEpoch => {
                self.has.clear();
                name.epoch = 0;
                return Ok((Heard::Lost, Duration::ZERO));
            }
            refused => return Err(name.refused(doing, refused, told.error_message)),
        }
        self.has_told = true;
        name.epoch = told.member_epoch;
        if let Some(id) = told.member_id {
            name.id = id;
        }
        let interval =
            Duration::from_millis(u64::try_from(told.heartbeat_interval_ms).unwrap_or(0)).max(SOON);
        let Some(assignment) = told.assignment else { return Ok((Heard::Nothing, interval)) };
        let of_topic = assignment.topic_partitions.into_iter().filter(|of| of.topic_id == name.topic.id);
        let parts: BTreeSet<i32> = of_topic.flat_map(|of| of.partitions).collect();
        let heard = if parts == self.has { Heard::Nothing } else { Heard::Has(parts) };
        Ok((heard, interval))
    }

    pub(super) fn takes(&mut self, parts: BTreeSet<i32>) {
        self.has = parts;
        self.has_told = false;
    }

    pub(super) fn has_told(&self) -> bool {
        self.has_told
    }

    pub(super) async fn leave(&mut self, name: &Name<'_>, cluster: &mut Cluster) -> Result<(), CommandError> {
        let request = ConsumerGroupHeartbeatRequest {
            group_id: name.group.to_owned(),
            member_id: name.id.clone(),
            member_epoch: LEAVES,
            ..ConsumerGroupHeartbeatRequest::default()
        };
        name.ask(cluster, "leaving", &request, NAMED_BY_COORDINATOR).await.map(drop)
    }
}
