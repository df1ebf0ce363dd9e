//! Registering with the controller, and telling it from time to time that this broker is alive.

use std::sync::{Arc, atomic::Ordering};

use highwater_env::EnvExt;
use highwater_metadata::{
    Broker,
    decide::{Heartbeat, RegisterBroker, RegisterError, Rules},
};
use highwater_records::BrokerEpoch;

use super::Membership;
use crate::{
    Node,
    controller::Controller,
    first_of::{First, first_of},
    peers::{ControlError, ControlReply, ControlRequest},
    stop::EndedByItself,
};

/// Registers until the image has it, and answers with the registration's epoch.
///
/// # Errors
/// When the cluster refuses this broker for good.
pub(crate) async fn register(
    controller: &Controller<'_>,
    directory: [u8; 16],
    cluster_id: String,
    properties: Broker,
    clean: bool,
) -> Result<BrokerEpoch, RegisterError> {
    let (membership, cluster) = (controller.membership, controller.cluster);
    let wish = RegisterBroker {
        broker: membership.broker,
        cluster_id: Some(cluster_id),
        incarnation: membership.incarnation,
        directory,
        properties,
        clean,
        features: Vec::new(),
    };
    let mut patience = None;
    loop {
        let image = cluster.image();
        let latest = image.registration(membership.broker);
        if let Some(latest) = latest.filter(|latest| latest.incarnation == membership.incarnation) {
            membership.registered(latest.epoch);
            return Ok(latest.epoch);
        }
        let retry = membership.env.sleep(membership.times.heartbeat / 4);
        let request = ControlRequest::Register(wish.clone());
        let leadership = cluster.log().leadership();
        let answer = match leadership.leader {
            Some(_) if leadership.is_local => Some(controller.answer(request).await),
            Some(other) => membership.ask(other, request).await,
            None => None,
        };
        match answer {
            Some(Ok(ControlReply::Registered { applied: Some(applied) })) => {
                first_of(cluster.wait_applied(applied), membership.env.sleep(membership.times.session)).await;
            }
            Some(Err(ControlError::Register(error @ RegisterError::Duplicate(_)))) => {
                // Its former life may still have a session: that ends by itself. Another process does not.
                let now = membership.env.now();
                if now >= *patience.get_or_insert(now.plus(membership.times.registration)) {
                    return Err(error);
                }
                retry.await;
            }
            Some(Err(ControlError::Register(error))) => return Err(error),
            _ => retry.await,
        }
    }
}

impl Node {
    /// Sends heartbeats until the node stops.
    pub(crate) async fn send_heartbeats(self: Arc<Self>, membership: Arc<Membership>) {
        let mut offline_since = None;
        loop {
            let fenced = self.beat(&membership).await;
            if let Some(offline) = self.directory.failed() {
                let now = self.env.now();
                let tells_for = now.since(*offline_since.get_or_insert(now));
                if fenced || tells_for >= membership.times.directory_failure {
                    return self.end_by_itself(EndedByItself::DirectoryOffline(offline)).await;
                }
            }
            let pause = first_of(membership.beat.notified(), self.env.sleep(membership.times.heartbeat));
            if first_of(self.stops(), pause).await.is_left() {
                return;
            }
        }
    }

    /// Answers with whether the controller has heard it and keeps this broker out.
    async fn beat(&self, membership: &Arc<Membership>) -> bool {
        let beat = Heartbeat {
            broker: self.broker,
            broker_epoch: membership.broker_epoch(),
            applied: self.cluster.last_applied(),
            wants_stop: membership.wants_stop.load(Ordering::Acquire),
            oldest_io_ms: u64::try_from(self.committer.oldest().as_millis()).unwrap_or(u64::MAX),
            offline: self.directory.failed().is_some(),
        };
        let asked = self.ask_controller(membership, ControlRequest::Heartbeat(beat));
        // A heartbeat that takes longer than the pause between two is not worth waiting for.
        let answer = first_of(asked, self.env.sleep(membership.times.heartbeat)).await;
        match answer {
            First::Left(Some(Ok(ControlReply::Heard(reply)))) => {
                if reply.may_stop {
                    membership.may_stop.store(true, Ordering::Release);
                }
                membership.beaten.notify_waiters();
                reply.fenced && beat.offline
            }
            First::Left(Some(Err(error))) => {
                tracing::debug!(%error, "the controller did not take the heartbeat");
                false
            }
            _ => false,
        }
    }

    /// Asks the controller, which may be this broker itself.
    pub(crate) async fn ask_controller(
        &self,
        membership: &Arc<Membership>,
        request: ControlRequest,
    ) -> Option<Result<ControlReply, ControlError>> {
        let rules = Rules::of(&self.config);
        Controller { membership, cluster: &self.cluster, rules }.ask(request).await
    }

    /// Has others lead what this broker leads, as far as they can, before it stops. Gives up after the session time.
    pub(crate) async fn hand_over(&self, membership: &Arc<Membership>) {
        membership.wants_stop.store(true, Ordering::Release);
        let patience = self.env.now().plus(membership.times.session);
        while !membership.may_stop.load(Ordering::Acquire) && self.env.now() < patience {
            membership.beat.notify_one();
            first_of(membership.beaten.notified(), self.env.sleep(membership.times.heartbeat)).await;
            if !membership.may_stop.load(Ordering::Acquire) {
                self.env.sleep(membership.times.heartbeat / 10).await;
            }
        }
    }
}
