//! Making sure of a leadership before something in the bucket is destroyed on the strength of it.

use std::sync::Arc;

use highwater_env::BoxFuture;
use highwater_metadata::decide::Rules;
use highwater_records::{LeaderEpoch, TopicIdPartition};
use highwater_tiering::ConfirmLeadership;

use super::Membership;
use crate::{
    cluster::Cluster,
    controller::Controller,
    peers::{ConfirmLeader, ControlReply, ControlRequest},
};

/// Asks the controller, which asks the metadata log whether it still is one. No answer is no.
pub(crate) struct AskController {
    pub(crate) membership: Arc<Membership>,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) rules: Rules,
}

impl ConfirmLeadership for AskController {
    fn confirm(&self, partition: TopicIdPartition, epoch: LeaderEpoch) -> BoxFuture<'_, bool> {
        Box::pin(async move {
            let request = ControlRequest::ConfirmLeader(ConfirmLeader {
                leader: self.membership.broker,
                broker_epoch: self.membership.broker_epoch(),
                partition,
                leader_epoch: epoch,
            });
            let controller =
                Controller { membership: &self.membership, cluster: &self.cluster, rules: self.rules };
            matches!(controller.ask(request).await, Some(Ok(ControlReply::Confirmed)))
        })
    }
}
