//! A leader's side of replica fetch.

use std::sync::Arc;

use bytes::Bytes;
use highwater_engine::LogReader;
use highwater_env::{BoxFuture, EnvExt, Lane};
use highwater_records::{Offset, TopicIdPartition};
use highwater_replication::{EpochEnd, FetchOutcome, FetchRefused, FollowerFetch};

use super::{
    Membership,
    fetcher::ANSWER_BYTES_MAX,
    ready::Watcher,
    session::{Served, Told},
};
use crate::{
    Node,
    first_of::first_of,
    museum::{Bug, has},
    partition::{Partition, State, tiered_end},
    peers::{
        ReplicaAnswer, ReplicaFetch, ReplicaFetchError, ReplicaFetched, ReplicaPosition, ReplicaRefusal,
    },
};

/// A leader's log at the moment of a look.
struct Picture {
    reader: LogReader,
    local_start: Offset,
    log_start: Offset,
    log_end: Offset,
    high_watermark: Offset,
    tiered_end: Option<Offset>,
}

impl Node {
    /// Serves a follower: counts how far it has come and answers with what comes next, at once if there is something
    /// new for it, else when there is or the fetch's time is over. Partitions that did not change are not looked at.
    ///
    /// # Errors
    /// [`ReplicaFetchError`]: nothing was counted.
    pub fn serve_replica_fetch(
        self: &Arc<Self>,
        fetch: ReplicaFetch,
    ) -> BoxFuture<'_, Result<ReplicaFetched, ReplicaFetchError>> {
        Box::pin(async move {
            let membership = self.membership.clone().ok_or(ReplicaFetchError::NotServing)?;
            // While it stops it has nothing to say any more, and closing its logs may take long: an answer without
            // anything would be asked for again at once.
            if self.is_stopping() {
                return Err(ReplicaFetchError::NotServing);
            }
            // What an epoch counts that nobody has heard of would fence the broker in its real one.
            match self.image().registration(fetch.from).map(|latest| latest.epoch) {
                Some(registered) if registered == fetch.broker_epoch => {}
                Some(registered) if registered > fetch.broker_epoch => {
                    return Err(ReplicaFetchError::StaleBroker);
                }
                _ => return Err(ReplicaFetchError::UnknownBroker),
            }
            let deadline = self.env.now().plus(fetch.max_wait.min(membership.times.answer));
            let session = membership.served.of(&fetch)?;
            let mut wanted = session.wanted.lock().await;
            wanted.take_in(&fetch)?;
            let mut fetched = ReplicaFetched::default();
            for position in &fetch.changed {
                if let Err(answer) = self.count(&membership, &session, &fetch, position).await {
                    wanted.partitions.remove(&position.partition);
                    fetched.partitions.push((position.partition, answer));
                }
            }
            let room_max = fetch.max_bytes.min(ANSWER_BYTES_MAX);
            let mut room = room_max;
            loop {
                let over =
                    self.env.now() >= deadline || !fetched.partitions.is_empty() || has(Bug::FetchNotKept);
                let mut ready = session.ready.take(over).into_iter();
                while let Some(partition) = ready.next() {
                    let Some(told) = wanted.partitions.get_mut(&partition) else { continue };
                    let first = room == room_max;
                    match self.news(partition, told, room, first).await {
                        Ok(None) => {}
                        Ok(Some(answer)) => {
                            if let ReplicaAnswer::Records { records, .. } = &answer {
                                room = room.saturating_sub(records.len());
                            }
                            fetched.partitions.push((partition, answer));
                        }
                        Err(refusal) => {
                            wanted.partitions.remove(&partition);
                            fetched.partitions.push((partition, ReplicaAnswer::Refused(refusal)));
                        }
                    }
                    if room == 0 {
                        // For the next fetch.
                        ready.by_ref().for_each(|left| session.ready.urgent(left));
                    }
                }
                if over || !fetched.partitions.is_empty() {
                    return Ok(fetched);
                }
                let news = first_of(session.ready.wait(), self.env.sleep_until(deadline));
                if first_of(self.stops(), news).await.is_left() {
                    return Err(ReplicaFetchError::NotServing);
                }
            }
        })
    }

    /// Takes in one position. What the follower must be told instead of records is the error.
    async fn count(
        &self,
        membership: &Arc<Membership>,
        session: &Arc<Served>,
        fetch: &ReplicaFetch,
        position: &ReplicaPosition,
    ) -> Result<(), ReplicaAnswer> {
        let not_leader = || ReplicaAnswer::Refused(ReplicaRefusal::NotLeader);
        let image = self.image();
        let topic = image.topic(position.partition.topic_id).ok_or_else(not_leader)?;
        let found = self.partitions.get(&image, topic, position.partition.partition).await;
        let partition = found.map_err(|_| not_leader())?;
        let registration = image.registration(fetch.from);
        let asked = FollowerFetch {
            replica: fetch.from,
            broker_epoch: fetch.broker_epoch,
            leader_epoch: position.leader_epoch,
            positions: position.positions,
            last_epoch: position.last_epoch,
            eligible: image.is_active(fetch.from)
                && registration.is_some_and(|latest| latest.epoch == fetch.broker_epoch),
        };
        let (now, watcher) = (membership.moment(), Watcher::new(partition.id, &session.ready));
        let starts_at = position.log_start;
        let counted = move |state: &mut State| state.on_replica_fetch(asked, starts_at, now, watcher);
        let outcome = partition.with(counted).await;
        match outcome.map_err(|_| not_leader())?.ok_or_else(not_leader)? {
            Ok(FetchOutcome::Counted { proposal, .. }) => {
                if proposal.is_some() {
                    membership.proposals.urgent(partition.id);
                }
                session.ready.urgent(partition.id);
                Ok(())
            }
            Ok(FetchOutcome::Diverges(at)) => Err(ReplicaAnswer::Diverges(at)),
            Ok(FetchOutcome::OutOfRange) => {
                let picture = self.picture(&partition).await.ok_or_else(not_leader)?;
                Err(ReplicaAnswer::OutOfRange { log_start: picture.log_start })
            }
            Err(refused) => Err(ReplicaAnswer::Refused(match refused {
                FetchRefused::Fenced(ours) => ReplicaRefusal::FencedLeaderEpoch(ours),
                FetchRefused::Unknown(ours) => ReplicaRefusal::UnknownLeaderEpoch(ours),
                FetchRefused::NotReplica(asker) => ReplicaRefusal::NotReplica(asker),
                FetchRefused::StaleBroker { replica, .. } => ReplicaRefusal::StaleBroker(replica),
            })),
        }
    }

    /// What a follower at this position does not know yet.
    async fn news(
        &self,
        id: TopicIdPartition,
        told: &mut Told,
        room: usize,
        first: bool,
    ) -> Result<Option<ReplicaAnswer>, ReplicaRefusal> {
        let partition = self.partitions.if_open(id).ok_or(ReplicaRefusal::NotLeader)?;
        let picture = self.picture(&partition).await.ok_or(ReplicaRefusal::NotLeader)?;
        let from = told.position.positions.log_end;
        if from < picture.log_start {
            return Ok(Some(ReplicaAnswer::OutOfRange { log_start: picture.log_start }));
        }
        if from < picture.local_start {
            let (log_start, local_start) = (picture.log_start, picture.local_start);
            return Ok(Some(ReplicaAnswer::MovedToTier { log_start, local_start }));
        }
        let records = match told.sent || from >= picture.log_end {
            true => Bytes::new(),
            false => self.read_for_replica(&picture, from, room, first).await?,
        };
        let is_news = !records.is_empty()
            || told.high_watermark != Some(picture.high_watermark)
            || told.log_start != Some(picture.log_start)
            || told.tiered_end != picture.tiered_end;
        told.sent |= !records.is_empty();
        told.high_watermark = Some(picture.high_watermark);
        told.log_start = Some(picture.log_start);
        told.tiered_end = picture.tiered_end;
        Ok(is_news.then_some(ReplicaAnswer::Records {
            records,
            high_watermark: picture.high_watermark,
            log_start: picture.log_start,
            tiered_end: picture.tiered_end,
        }))
    }

    async fn picture(&self, partition: &Arc<Partition>) -> Option<Picture> {
        let found = partition.tier.as_ref().and_then(|tier| tier.summary());
        let taken = partition.see(move |state| {
            let positions = state.log.positions();
            state.leader().map(|_| Picture {
                reader: state.log.reader(),
                local_start: positions.local_start,
                log_start: positions.log_start,
                log_end: positions.log_end,
                // The log's, as clients are told: what lies below its start counts, though too few may be in sync for the
                // leader's own to have come there.
                high_watermark: positions.high_watermark,
                // Followers drop what is below it, and what was read before may be another leader's.
                tiered_end: found.filter(|_| state.head_read).map(|found| tiered_end(&state.log, &found)),
            })
        });
        taken.await.ok().flatten()
    }

    async fn read_for_replica(
        &self,
        picture: &Picture,
        from: Offset,
        room: usize,
        at_least_one: bool,
    ) -> Result<Bytes, ReplicaRefusal> {
        let storage = |error: &dyn std::fmt::Display| ReplicaRefusal::Storage(error.to_string());
        let range = picture
            .reader
            .read(from, room, picture.log_end, at_least_one)
            .map_err(|error| storage(&error))?;
        match range.try_bytes() {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => match self.env.run_blocking(Lane::Control, move || range.bytes()).await {
                Ok(bytes) => bytes.map_err(|error| storage(&error)),
                Err(error) => Err(storage(&error)),
            },
            Err(error) => Err(storage(&error)),
        }
    }
}

/// An end of an epoch, in the words of the core.
pub(crate) fn epoch_end(found: Option<(highwater_records::LeaderEpoch, Offset)>) -> Option<EpochEnd> {
    found.map(|(epoch, end)| EpochEnd { epoch, end })
}
