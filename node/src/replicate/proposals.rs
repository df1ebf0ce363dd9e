//! Sending proposals of in-sync sets until the image shows what became of them, and finding who is late.

use std::{collections::BTreeSet, sync::Arc};

use highwater_env::EnvExt;
use highwater_metadata::decide::IsrChangeError;
use highwater_records::TopicIdPartition;

use super::Membership;
use crate::{
    Node,
    first_of::{First, first_of},
    peers::{ChangeIsr, ControlError, ControlRequest},
};

impl Node {
    /// Sends what is proposed, again and again, until the node stops.
    pub(crate) async fn propose_isr(self: Arc<Self>, membership: Arc<Membership>) {
        let mut pending = BTreeSet::new();
        loop {
            pending.append(&mut membership.proposals.take(true));
            let mut settled = Vec::new();
            for id in &pending {
                match first_of(self.stops(), self.propose_one(&membership, *id)).await {
                    First::Left(()) => return,
                    First::Right(true) => settled.push(*id),
                    First::Right(false) => {}
                }
            }
            pending.retain(|id| !settled.contains(id));
            let wait = async {
                match pending.is_empty() {
                    true => membership.proposals.wait().await,
                    false => self.env.sleep(membership.times.fetch_backoff).await,
                }
            };
            if first_of(self.stops(), wait).await.is_left() {
                return;
            }
        }
    }

    /// Whether nothing is proposed (any more) for a partition.
    async fn propose_one(&self, membership: &Arc<Membership>, id: TopicIdPartition) -> bool {
        let Some(partition) = self.partitions.if_open(id) else { return true };
        let Ok(Some(proposal)) = partition.see(|state| state.proposal()).await else { return true };
        let wish = ChangeIsr {
            partition: id,
            leader: self.broker,
            broker_epoch: membership.broker_epoch(),
            leader_epoch: proposal.leader_epoch,
            partition_epoch: proposal.partition_epoch,
            isr: proposal.isr,
        };
        match self.ask_controller(membership, ControlRequest::ChangeIsr(wish)).await {
            Some(Err(ControlError::Isr(IsrChangeError::Ineligible(_) | IsrChangeError::InvalidIsr))) => {
                // Another proposal takes its place; the image will tell which of the two was committed.
                let _ = partition.with(|state| state.proposal_refused()).await;
                false
            }
            // Whatever the answer: the image settles it. It is sent again until then.
            _ => false,
        }
    }

    /// Looks at what this broker leads for replicas that are late or have caught up, until the node stops.
    pub(crate) async fn watch_isr(self: Arc<Self>, membership: Arc<Membership>) {
        let lag_max = membership.times.replica_lag_max;
        let lag_max_ms = u64::try_from(lag_max.as_millis()).unwrap_or(u64::MAX);
        loop {
            let pause = membership.times.heartbeat.min(lag_max / 2);
            if first_of(self.stops(), self.env.sleep(pause)).await.is_left() {
                return;
            }
            let now = membership.moment();
            for partition in self.partitions.all_open() {
                let image = self.image();
                let changes = partition.with(move |state| state.check_isr(now, lag_max_ms, &image)).await;
                if changes == Ok(true) {
                    membership.proposals.urgent(partition.id);
                }
            }
        }
    }
}
