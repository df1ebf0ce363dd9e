//! A follower's side of replica fetch: one conversation per leader, however many partitions.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    sync::Arc,
};

use highwater_engine::EpochStart;
use highwater_env::{EnvExt, Lane};
use highwater_records::{BrokerId, Offset, TopicIdPartition};
use highwater_replication::FetchFrom;

use super::{Membership, Ready};
use crate::{
    Node,
    first_of::{First, first_of},
    museum::{Bug, has},
    partition::{FollowError, LeaderPositions, Partition, State, TieredStart, begins_before, check_fetched},
    peers::{FetchSession, ReplicaAnswer, ReplicaFetch, ReplicaFetched, ReplicaPosition, ReplicaRead},
};

/// How many bytes one answer may have.
pub(crate) const ANSWER_BYTES_MAX: usize = 10 << 20;

/// A conversation.
struct Session {
    id: u64,
    sequence: u64,
    /// What was asked last for each partition that the leader knows of.
    sent: BTreeMap<TopicIdPartition, FetchFrom>,
}

/// What became of an answer for one partition.
enum Taken {
    /// Nothing is to be told to the leader.
    Nothing,
    /// The position changed.
    Moved,
    /// The position changes once this is synced.
    Unsynced(Arc<Partition>),
    /// Ask again, but not at once.
    Later,
}

impl Node {
    /// Fetches from one leader what this broker follows there, until the node stops. Waits, without a timer, while there
    /// is nothing to follow.
    pub(super) async fn fetch_replicas(
        self: Arc<Self>,
        membership: Arc<Membership>,
        leader: BrokerId,
        due: Arc<Ready>,
    ) {
        let mut session = Session::new(&membership);
        let mut stops = pin!(self.stops());
        loop {
            if self.is_stopping() {
                return;
            }
            let (changed, forgotten) = self.positions(leader, &due, &mut session).await;
            if session.sent.is_empty() && forgotten.is_empty() {
                if first_of(stops.as_mut(), due.wait()).await.is_left() {
                    return;
                }
                continue;
            }
            let max_wait = membership.times.fetch_wait_max;
            let fetch = ReplicaFetch {
                from: self.broker,
                broker_epoch: membership.broker_epoch(),
                session: FetchSession { id: session.id, sequence: session.sequence },
                changed,
                forgotten,
                max_wait,
                max_bytes: ANSWER_BYTES_MAX,
            };
            let answer = membership.peers.replica_fetch(leader, fetch);
            let patience = self.env.sleep(max_wait + membership.times.answer);
            let answer = match first_of(stops.as_mut(), first_of(answer, patience)).await {
                First::Left(()) => return,
                First::Right(First::Left(Ok(Ok(fetched)))) => Some(fetched),
                First::Right(_) => None,
            };
            let again = match answer {
                Some(fetched) => {
                    session.sequence += 1;
                    self.take_in(&session, fetched, &due).await
                }
                None => {
                    session.begin_again(&membership, &due);
                    true
                }
            };
            let backoff = || self.env.sleep(membership.times.fetch_backoff);
            let pauses = again && !has(Bug::NoPauseAfterFailure);
            if pauses && first_of(stops.as_mut(), backoff()).await.is_left() {
                return;
            }
        }
    }

    /// The positions that the leader does not know, and the partitions it shall forget.
    async fn positions(
        &self,
        leader: BrokerId,
        due: &Ready,
        session: &mut Session,
    ) -> (Vec<ReplicaPosition>, Vec<TopicIdPartition>) {
        let (mut changed, mut forgotten) = (Vec::new(), Vec::new());
        for id in due.take(true) {
            let position = match self.partitions.if_open(id) {
                Some(partition) => partition.see(|state| state.fetch_position()).await.ok().flatten(),
                None => None,
            };
            match position.filter(|position| position.from.leader == leader) {
                Some(position) => {
                    session.sent.insert(id, position.from);
                    changed.push(ReplicaPosition {
                        partition: id,
                        leader_epoch: position.from.leader_epoch,
                        positions: position.positions,
                        last_epoch: position.last_epoch,
                        log_start: position.log_start,
                    });
                }
                None if session.sent.remove(&id).is_some() => forgotten.push(id),
                None => {}
            }
        }
        (changed, forgotten)
    }

    /// Takes in an answer; whether to wait before the next fetch, because something failed.
    async fn take_in(self: &Arc<Self>, session: &Session, fetched: ReplicaFetched, due: &Arc<Ready>) -> bool {
        let mut failed = false;
        let mut unsynced = Vec::new();
        for (id, answer) in fetched.partitions {
            let Some(sent) = session.sent.get(&id) else { continue };
            match self.take_one(id, sent, answer).await {
                Taken::Nothing => {}
                Taken::Moved => due.urgent(id),
                Taken::Unsynced(partition) => unsynced.push(partition),
                Taken::Later => {
                    failed = true;
                    due.urgent(id);
                }
            }
        }
        if !unsynced.is_empty() {
            // The leader counts nothing before: one commit for all, then the next fetch tells.
            let ids: BTreeSet<_> = unsynced.iter().map(|partition| partition.id).collect();
            self.commit_all(unsynced, false).await;
            ids.into_iter().for_each(|id| due.urgent(id));
        }
        failed
    }

    async fn take_one(&self, id: TopicIdPartition, sent: &FetchFrom, answer: ReplicaAnswer) -> Taken {
        let Some(partition) = self.partitions.if_open(id) else { return Taken::Moved };
        let outcome = match answer {
            ReplicaAnswer::Records { records, high_watermark, log_start, tiered_end } => {
                let leader = LeaderPositions { high_watermark, log_start, tiered_end };
                self.append_answer(&partition, sent, records, leader).await
            }
            ReplicaAnswer::Diverges(at) => {
                let (sent, now) = (*sent, self.wall());
                let cut =
                    self.change_follower(&partition, move |state| state.cut_at_divergence(&sent, at, now));
                cut.await.map(|cut| {
                    tracing::info!(partition = %partition.name, to = %cut.to, "cut where the leader's log parts");
                    if cut.below_watermark {
                        tracing::error!(
                            partition = %partition.name,
                            from = %cut.to,
                            "records that were taken for committed are not in the leader's log: they are cut"
                        );
                    }
                    Taken::Moved
                })
            }
            ReplicaAnswer::OutOfRange { log_start } => {
                let sent = *sent;
                let restarted =
                    self.change_follower(&partition, move |state| state.restart_at_start(&sent, log_start));
                restarted.await.map(|()| Taken::Moved)
            }
            ReplicaAnswer::MovedToTier { log_start, local_start } => {
                self.begin_at_tier(&partition, sent, log_start, local_start).await
            }
            ReplicaAnswer::Refused(refusal) => {
                tracing::debug!(partition = %partition.name, %refusal, "the leader answers nothing");
                return Taken::Later;
            }
        };
        match outcome {
            Ok(taken) => taken,
            Err(FollowError::Late) => Taken::Moved,
            Err(error) => {
                tracing::warn!(partition = %partition.name, %error, "what the leader sent was not taken in");
                if matches!(error, FollowError::Batch(_)) {
                    self.have_leader_look(id, sent);
                }
                Taken::Later
            }
        }
    }

    /// The leader does not look at what it sends: what is damaged on its disk it finds, and mends, when it is read there
    /// for this.
    fn have_leader_look(&self, id: TopicIdPartition, sent: &FetchFrom) {
        let Some(membership) = &self.membership else { return };
        // As much as it has sent: any of it may be what does not fit.
        let read = ReplicaRead {
            from: self.broker,
            partition: id,
            offset: sent.offset,
            max_bytes: ANSWER_BYTES_MAX,
        };
        let asked = membership.peers.replica_read(sent.leader, read);
        self.env.spawn(Lane::Background, Box::pin(async move { drop(asked.await) }));
    }

    async fn append_answer(
        &self,
        partition: &Arc<Partition>,
        sent: &FetchFrom,
        records: bytes::Bytes,
        leader: LeaderPositions,
    ) -> Result<Taken, FollowError> {
        let batches = check_fetched(records)?;
        let (sent, now) = (*sent, self.wall());
        let waits = begins_before(&sent, &batches);
        let append = move |state: &mut State| state.append_fetched(&sent, batches, leader, now);
        let mut appended = match waits {
            true => self.change_follower(partition, append).await?,
            false => partition.with(append).await.map_err(|_| FollowError::Late)??,
        };
        let starts_later = appended.head.is_some();
        if let Some(head) = appended.head.take() {
            let moved = partition.clone();
            let finish = move || {
                let done = head.run();
                moved.with_blocking(|state| state.log.finish_head(done))
            };
            let finished = self.env.run_blocking(Lane::Control, finish).await;
            let finished = finished.map_err(|error| FollowError::Batch(error.to_string()))?;
            finished.map_err(|_| FollowError::Late)??;
        }
        Ok(match appended {
            _ if appended.wants_commit => Taken::Unsynced(partition.clone()),
            // Whoever deletes at the leader waits for this start.
            _ if appended.grown || starts_later || appended.start_untold => Taken::Moved,
            _ => Taken::Nothing,
        })
    }

    /// What the leader has only in the bucket this broker need not copy: it begins where the bucket's part ends.
    async fn begin_at_tier(
        &self,
        partition: &Arc<Partition>,
        sent: &FetchFrom,
        log_start: Offset,
        local_start: Offset,
    ) -> Result<Taken, FollowError> {
        let Some(tier) = partition.tier.clone() else { return Ok(Taken::Later) };
        // What was read of the head before may be older than what the leader speaks of.
        let Ok(found) = tier.load().await else { return Ok(Taken::Later) };
        let start = match found.filter(|found| found.end >= local_start) {
            Some(found) => {
                let (epochs, producers) = match tier.end_state().await {
                    Ok(Some(known)) => (known.epochs, known.producer_snapshot.map(|bytes| bytes.to_vec())),
                    Ok(None) => (found.lineage, None),
                    Err(_) => return Ok(Taken::Later),
                };
                TieredStart {
                    end: found.end,
                    log_start: found.log_start.max(log_start).min(found.end),
                    epochs: epochs.into_iter().map(|(epoch, start)| EpochStart { epoch, start }).collect(),
                    producers,
                }
            }
            None => {
                // A leader drops from its disk only what the head names: the bucket has gone back since.
                tracing::error!(
                    partition = %partition.name,
                    below = %local_start,
                    "the bucket ends before the leader's disk begins: this replica begins there, too"
                );
                TieredStart { end: local_start, log_start, epochs: Vec::new(), producers: None }
            }
        };
        let (sent, now) = (*sent, self.wall());
        self.change_follower(partition, move |state| state.restart_at_tier(&sent, &start, now)).await?;
        Ok(Taken::Moved)
    }

    /// Changes a follower's log where waiting for its lock and its disk holds up nobody.
    async fn change_follower<T: Send + 'static>(
        &self,
        partition: &Arc<Partition>,
        change: impl FnOnce(&mut crate::partition::State) -> Result<T, FollowError> + Send + 'static,
    ) -> Result<T, FollowError> {
        let partition = partition.clone();
        let changed = self.env.run_blocking(Lane::Control, move || partition.with_blocking(change)).await;
        changed.map_err(|error| FollowError::Batch(error.to_string()))?.map_err(|_| FollowError::Late)?
    }
}

impl Session {
    fn new(membership: &Membership) -> Session {
        Session { id: membership.env.random(), sequence: 0, sent: BTreeMap::new() }
    }

    /// Nothing of what the leader knows can be relied on: everything is told again.
    fn begin_again(&mut self, membership: &Membership, due: &Ready) {
        let followed = std::mem::take(&mut self.sent);
        followed.into_keys().for_each(|id| due.urgent(id));
        *self = Session::new(membership);
    }
}
