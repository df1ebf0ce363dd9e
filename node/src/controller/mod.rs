//! This broker as the controller: answering the others, and looking who does not answer.

use std::sync::Arc;

use highwater_env::{BoxFuture, EnvExt};
use highwater_metadata::{
    BrokerState, ConfirmError, Image, MetadataRecord, ProposeError,
    decide::{self, IsrChangeError, RegisterError, Rules, StaleBrokerEpoch},
};
use highwater_records::TopicId;

use crate::{
    Node,
    cluster::{ChangeError, Cluster},
    first_of::first_of,
    peers::{ConfirmLeader, ControlError, ControlReply, ControlRequest, HeartbeatReply, ProposeRecords},
    replicate::Membership,
};

/// Most partitions that get their preferred leaders back in one decision.
const BALANCED_AT_ONCE: usize = 100;

/// What decisions need of this node, also before it is one: the very first registration is the controller's own.
pub(crate) struct Controller<'a> {
    pub(crate) membership: &'a Arc<Membership>,
    pub(crate) cluster: &'a Arc<Cluster>,
    pub(crate) rules: Rules,
}

impl Node {
    /// Answers another broker as the controller.
    ///
    /// # Errors
    /// [`ControlError`]; only after [`ControlError::Unknown`] the decision may yet come into force.
    pub fn serve_control(
        &self,
        request: ControlRequest,
    ) -> BoxFuture<'_, Result<ControlReply, ControlError>> {
        Box::pin(async move {
            let Some(membership) = &self.membership else {
                return Err(ControlError::NotController { controller: None });
            };
            let controller =
                Controller { membership, cluster: &self.cluster, rules: Rules::of(&self.config) };
            controller.answer(request).await
        })
    }

    /// Does what a controller does of itself, while this broker is it, until the node stops.
    pub(crate) async fn control(self: Arc<Self>, membership: Arc<Membership>) {
        let rules = Rules::of(&self.config);
        let controller = Controller { membership: &membership, cluster: &self.cluster, rules };
        first_of(self.stops(), controller.run()).await;
    }
}

impl Controller<'_> {
    /// For ever.
    pub(crate) async fn run(&self) -> std::convert::Infallible {
        let (env, times) = (&self.membership.env, self.membership.times);
        let mut term = None;
        let mut balance = env.now().plus(times.balance);
        loop {
            let leadership = self.cluster.log().leadership();
            if !leadership.is_local {
                term = None;
                first_of(self.cluster.log().leadership_changed(leadership), env.sleep(times.session)).await;
                continue;
            }
            if term != Some(leadership.term) {
                term = Some(leadership.term);
                // Nobody is late by the clock of a controller that was not there.
                *self.membership.sessions.lock() = Default::default();
                self.found_cluster().await;
            }
            self.fence_silent().await;
            if env.now() >= balance {
                balance = env.now().plus(times.balance);
                for decide in [decide::unclean_leaders, decide::preferred_leaders] {
                    let balanced = |image: &Image| {
                        Ok::<_, std::convert::Infallible>(decide(image, self.rules, BALANCED_AT_ONCE))
                    };
                    // What fails is done the next time.
                    let _ = self.change(balanced).await;
                }
            }
            env.sleep(times.session / 8).await;
        }
    }

    /// Names the cluster, if this is its first controller.
    async fn found_cluster(&self) {
        let env = &self.membership.env;
        let chosen = TopicId::from_random(env.random(), env.random()).to_string();
        let named = self
            .change(|image| Ok::<_, std::convert::Infallible>(decide::create_cluster(image, &chosen)))
            .await;
        if let Err(error) = named {
            tracing::warn!(%error, "the cluster could not be named now");
        }
    }

    async fn fence_silent(&self) {
        let session_ms = self.session_ms();
        loop {
            let now = self.membership.moment().0;
            let image = self.cluster.image();
            let overdue = self.membership.sessions.lock().overdue(&image, now, session_ms);
            let Some(broker) = overdue else { return };
            let fenced = self
                .change(|image| {
                    // It may have been heard of, or have registered again, meanwhile.
                    let still =
                        self.membership.sessions.lock().overdue(image, now, session_ms) == Some(broker);
                    let records = match still {
                        true => decide::fence_broker(image, self.rules, broker),
                        false => Vec::new(),
                    };
                    Ok::<_, std::convert::Infallible>(records)
                })
                .await;
            match fenced {
                Ok(_) => tracing::warn!(%broker, "does not answer: fenced"),
                Err(error) => {
                    tracing::warn!(%broker, %error, "does not answer, and could not be fenced now");
                    return;
                }
            }
        }
    }

    fn session_ms(&self) -> u64 {
        u64::try_from(self.membership.times.session.as_millis()).unwrap_or(u64::MAX)
    }

    /// See [`Node::serve_control`].
    pub(crate) async fn answer(&self, request: ControlRequest) -> Result<ControlReply, ControlError> {
        let leadership = self.cluster.log().leadership();
        if !leadership.is_local {
            return Err(ControlError::NotController { controller: leadership.leader });
        }
        match request {
            ControlRequest::Register(wish) => {
                let (now, session_ms) = (self.membership.moment().0, self.session_ms());
                let image = self
                    .change(|image| {
                        let sessions = self.membership.sessions.lock();
                        let alive = sessions.has_session(image, wish.broker, now, session_ms);
                        decide::register_process(image, self.rules, &wish, alive)
                    })
                    .await
                    .map_err(|error| match error {
                        ChangeError::Refused(error) => ControlError::Register(error),
                        ChangeError::Log(error) => log_error(error),
                    })?;
                if image.registration(wish.broker).is_none_or(|it| it.incarnation != wish.incarnation) {
                    // Somebody else registered with that number meanwhile.
                    return Err(RegisterError::Duplicate(wish.broker).into());
                }
                Ok(ControlReply::Registered { applied: image.applied() })
            }
            ControlRequest::Heartbeat(beat) => {
                let patience = self.membership.times.io_patience;
                let patience_ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
                let image = self
                    .change(|image| decide::heartbeat(image, self.rules, &beat, patience_ms))
                    .await
                    .map_err(|error| match error {
                        ChangeError::Refused(StaleBrokerEpoch { .. }) => ControlError::StaleBrokerEpoch,
                        ChangeError::Log(error) => log_error(error),
                    })?;
                let now = self.membership.moment().0;
                self.membership.sessions.lock().heard(beat.broker, beat.broker_epoch, now);
                let latest = image.registration(beat.broker);
                Ok(ControlReply::Heard(HeartbeatReply {
                    fenced: latest.is_none_or(|latest| latest.state == BrokerState::Fenced),
                    may_stop: beat.wants_stop && decide::may_stop(&image, beat.broker),
                }))
            }
            ControlRequest::ChangeIsr(wish) => {
                let changed = self.change(|image| decide::change_isr(image, self.rules, &wish)).await;
                match changed {
                    Ok(_) => Ok(ControlReply::IsrChanged),
                    Err(ChangeError::Refused(IsrChangeError::StaleBrokerEpoch(_))) => {
                        Err(ControlError::StaleBrokerEpoch)
                    }
                    Err(ChangeError::Refused(error)) => Err(ControlError::Isr(error)),
                    Err(ChangeError::Log(error)) => Err(log_error(error)),
                }
            }
            ControlRequest::ConfirmLeader(belief) => self.confirm_leader(belief).await,
            ControlRequest::Propose(ProposeRecords { from, broker_epoch, expects, records }) => {
                let registered = self.cluster.image().registration(from).map(|latest| latest.epoch);
                if registered != Some(broker_epoch) {
                    return Err(ControlError::StaleBrokerEpoch);
                }
                let proposed = self.cluster.log().propose(expects, records).await;
                proposed.map(|entry| ControlReply::Proposed { entry }).map_err(log_error)
            }
        }
    }

    async fn confirm_leader(&self, belief: ConfirmLeader) -> Result<ControlReply, ControlError> {
        let log = self.cluster.log();
        // Whoever leads the log has committed everything that is; what it has committed must be applied here, too.
        log.confirm_leadership().await.map_err(|error| match error {
            ConfirmError::NotLeader => {
                ControlError::NotController { controller: self.cluster.log().leadership().leader }
            }
            ConfirmError::Unknown | ConfirmError::Closed => ControlError::Busy,
        })?;
        if let Some(committed) = log.committed() {
            self.cluster.wait_applied(committed).await;
        }
        let image = self.cluster.image();
        if image.registration(belief.leader).is_none_or(|latest| latest.epoch != belief.broker_epoch) {
            return Err(ControlError::StaleBrokerEpoch);
        }
        let leads = image.partition(belief.partition).is_some_and(|partition| {
            partition.leader == Some(belief.leader) && image.leader_epoch(partition) == belief.leader_epoch
        });
        if leads { Ok(ControlReply::Confirmed) } else { Err(ControlError::NotLeader) }
    }

    /// Asks the controller, which may be this broker itself. `None` without an answer in time.
    pub(crate) async fn ask(&self, request: ControlRequest) -> Option<Result<ControlReply, ControlError>> {
        let leadership = self.cluster.log().leadership();
        if leadership.is_local {
            return Some(self.answer(request).await);
        }
        self.membership.ask(leadership.leader?, request).await
    }

    /// Decides and waits until the decision is in force; one decision at a time.
    async fn change<E>(
        &self,
        decide: impl FnMut(&Image) -> Result<Vec<MetadataRecord>, E>,
    ) -> Result<Arc<Image>, ChangeError<E>> {
        let _turn = self.membership.deciding.lock().await;
        self.cluster.change(decide).await
    }
}

fn log_error(error: ProposeError) -> ControlError {
    match error {
        ProposeError::NotLeader { leader } => ControlError::NotController { controller: leader },
        ProposeError::Unknown => ControlError::Unknown,
        ProposeError::Busy | ProposeError::Closed => ControlError::Busy,
    }
}
