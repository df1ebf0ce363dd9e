//! One partition as it was pictured last, and what has changed of it since: most of a cluster is as it was most of the
//! time, and nothing of that is looked at again.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use highwater_metadata::{Partition, Topic};
use highwater_node::{ReplicaNews, ReplicaState};
use highwater_records::{BrokerId, Offset, TopicIdPartition};

use super::{
    invariant::DependsOn,
    keyed,
    look::{Leads, PartitionLook},
    watch::{Watched, durability},
};
use crate::{batch::Batches, stats::Stats};

/// See the file's text.
#[derive(Default)]
pub(super) struct Known {
    pub(super) picture: PartitionLook,
    /// What the picture was made of, of each broker that runs.
    pub(super) states: BTreeMap<BrokerId, (u64, ReplicaState)>,
    topic: Option<Arc<Topic>>,
    /// Of each life of a broker: how far its replica was read, and where its log ended.
    reads: BTreeMap<(BrokerId, u64), (u64, u64)>,
    /// Whether logs that ask for it are compacted.
    compacts: bool,
}

/// What has changed of a partition.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct News {
    pub(super) roles: bool,
    pub(super) positions: bool,
    pub(super) batches: bool,
    pub(super) bucket: bool,
    /// Whether more may have come to count than when it was looked at last.
    pub(super) again: bool,
}

impl News {
    pub(super) fn any(&self) -> bool {
        self.roles || self.positions || self.again
    }

    /// How many kinds of news there are, as far as invariants tell them apart.
    pub(super) const KINDS: usize = 16;

    /// Which of them this is.
    pub(super) fn kind(&self) -> usize {
        let [roles, positions, batches, bucket] =
            [self.roles, self.positions, self.batches, self.bucket].map(usize::from);
        roles | positions << 1 | batches << 2 | bucket << 3
    }

    /// News of this kind.
    pub(super) fn of_kind(kind: usize) -> News {
        let [roles, positions, batches, bucket] = [0, 1, 2, 3].map(|bit| kind >> bit & 1 == 1);
        News { roles, positions, batches, bucket, again: false }
    }

    /// Whether what is about this is to be checked.
    pub(super) fn concerns(&self, what: DependsOn) -> bool {
        match what {
            DependsOn::Roles => self.roles,
            DependsOn::Positions => self.roles || self.positions,
            DependsOn::Batches => self.batches,
            DependsOn::Bucket => self.bucket,
            DependsOn::Nothing => false,
        }
    }
}

impl Known {
    pub(super) fn new(compacts: bool) -> Known {
        Known { compacts, ..Known::default() }
    }

    /// Takes in what the metadata log says, and answers whether that is news.
    pub(super) fn decided(&mut self, topic: &Arc<Topic>, state: &Partition, leader_epoch: u32) -> bool {
        let same = self.topic.as_ref().is_some_and(|known| Arc::ptr_eq(known, topic));
        if same && self.picture.leader_epoch == leader_epoch {
            return false;
        }
        self.topic = Some(topic.clone());
        let picture = &mut self.picture;
        picture.leader = state.leader;
        picture.leader_epoch = leader_epoch;
        picture.partition_epoch = state.partition_epoch;
        picture.isr = state.isr.iter().copied().collect();
        picture.eligible = state.eligible_leaders.iter().copied().collect();
        picture.min_isr = min_isr(topic).min(state.replicas.len());
        picture.is_tiered = topic.configs.get("remote.storage.enable").is_some_and(|set| set == "true");
        picture.durability = durability(topic);
        let policy = topic.configs.get("cleanup.policy");
        picture.compacts = self.compacts && policy.is_some_and(|policy| policy.contains("compact"));
        true
    }

    /// Looks at the replica of one broker.
    pub(super) fn replica(
        &mut self,
        at: TopicIdPartition,
        watched: &Watched,
        news: &mut News,
        stats: &Stats,
    ) {
        if watched.is_older {
            let state = match watched.node.replica_news(at, None) {
                ReplicaNews::Other(state) => Some(state),
                ReplicaNews::Closed | ReplicaNews::Same => None,
            };
            let watermark = state.as_ref().map_or(0, |state| state.positions.high_watermark.get());
            // What it leads it may also have deleted, in the bucket too.
            let start = state.as_ref().map_or(0, |state| state.positions.log_start.get());
            self.picture.true_start = self.picture.true_start.max(start);
            let leads = state.filter(|state| state.leading.is_some());
            let leads = leads.map(|state| (watched.life, state.leader_epoch.0));
            let before = match leads {
                Some(leads) => self.picture.older.insert(watched.broker, leads),
                None => self.picture.older.remove(&watched.broker),
            };
            news.roles |= before != leads;
            if watermark > self.picture.true_watermark {
                self.picture.true_watermark = watermark;
                news.positions = true;
            }
            return;
        }
        let before = self.states.get(&watched.broker).filter(|(life, _)| *life == watched.life);
        let before = before.map(|(_, before)| before);
        let state = match watched.node.replica_news(at, before) {
            ReplicaNews::Other(state) => state,
            ReplicaNews::Same => return,
            ReplicaNews::Closed => {
                self.forget(watched.broker, news);
                return;
            }
        };
        news.positions = true;
        // Who is a leader, and with what: positions do not change that.
        let role = |state: &ReplicaState| {
            let leads = state.leading.as_ref().map(|leads| (leads.partition_epoch, leads.epoch_start));
            (state.leader_epoch, leads, state.last_epoch, state.positions.log_start)
        };
        let counts =
            |state: &'_ ReplicaState, before: &'_ ReplicaState| match (&state.leading, &before.leading) {
                (Some(now), Some(then)) => now.maximal_isr == then.maximal_isr,
                (now, then) => now.is_none() == then.is_none(),
            };
        let picture = self.picture.replicas.entry(watched.broker).or_default();
        if before.is_none_or(|before| role(before) != role(&state) || !counts(before, &state)) {
            news.roles = true;
            picture.life = watched.life;
            picture.leader_epoch = state.leader_epoch.0;
            picture.leads = state.leading.as_ref().map(|leading| Leads {
                maximal: leading.maximal_isr.iter().copied().collect(),
                version: leading.partition_epoch,
                epoch_start: leading.epoch_start.get(),
            });
            let view = watched.node.replica(at);
            (picture.epochs, picture.damage_ends) = view.map_or_else(Default::default, |view| {
                let epochs = view.epochs.iter().map(|(epoch, start)| (epoch.0, start.get())).collect();
                (epochs, view.damaged.iter().map(|range| range.end.get()).collect())
            });
        }
        let positions = state.positions;
        picture.log_start = positions.log_start.get();
        picture.local_start = positions.local_start.get();
        picture.durable_end = positions.durable_end.get();
        picture.log_end = positions.log_end.get();
        picture.watermark = positions.high_watermark.get();
        let (read_to, log_end) = self.reads.entry((watched.broker, watched.life)).or_default();
        if *log_end > picture.log_end {
            stats.count("mark: a follower cut its log");
            *read_to = (*read_to).min(picture.log_end);
        }
        *log_end = picture.log_end;
        self.states.insert(watched.broker, (watched.life, state));
    }

    /// From now on every replica is read from its beginning.
    pub(super) fn forget_what_was_read(&mut self) {
        self.reads.values_mut().for_each(|(read_to, _)| *read_to = 0);
    }

    /// A broker whose replica was not read up to its watermark, and how far it was.
    pub(super) fn not_read_to_its_end(&self) -> Option<(BrokerId, u64)> {
        self.states.iter().find_map(|(broker, (life, _))| {
            let replica = self.picture.replicas.get(broker)?;
            let (read_to, _) = self.reads.get(&(*broker, *life))?;
            let end = replica.local_start.max(*read_to);
            (end < replica.watermark).then_some((*broker, end))
        })
    }

    /// This broker has no such replica any more, or runs no more.
    pub(super) fn forget(&mut self, broker: BrokerId, news: &mut News) {
        if self.states.remove(&broker).is_some() {
            self.picture.replicas.remove(&broker);
            news.roles = true;
        }
    }

    /// Reads the batches below each replica's watermark that were not read before; of replicas that may be elected, those
    /// below any watermark. Answers whether there were any.
    pub(super) fn read(&mut self, at: TopicIdPartition, brokers: &[Watched]) -> bool {
        let (isr, eligible) = (&self.picture.isr, &self.picture.eligible);
        let (committed, compacts) = (self.picture.true_watermark, self.picture.compacts);
        let mut any = false;
        for watched in brokers.iter().filter(|watched| !watched.is_older) {
            let Some(replica) = self.picture.replicas.get_mut(&watched.broker) else { continue };
            let may_lead = isr.contains(&watched.broker) || eligible.contains(&watched.broker);
            let to = replica.watermark.max(if may_lead { committed.min(replica.log_end) } else { 0 });
            let Some((read_to, _)) = self.reads.get_mut(&(watched.broker, watched.life)) else { continue };
            let from = replica.local_start.max(*read_to);
            if from < to {
                let bytes = read(watched, at, from, to);
                replica.fresh = Batches::skim(&bytes);
                replica.keyed = if compacts { keyed::batch::parse(&bytes) } else { Ok(Vec::new()) };
                *read_to = replica.fresh.last().map_or(from, |batch| batch.last + 1);
                any |= !replica.fresh.is_empty();
            }
        }
        any
    }
}

fn read(watched: &Watched, at: TopicIdPartition, from: u64, to: u64) -> Bytes {
    let (Some(log), Some(from), Some(to)) =
        (watched.node.replica_log(at), Offset::new(from), Offset::new(to))
    else {
        return Bytes::new();
    };
    let Ok(range) = log.read(from, 1 << 20, to, true) else { return Bytes::new() };
    range.bytes().unwrap_or_default()
}

fn min_isr(topic: &Topic) -> usize {
    topic.configs.get("min.insync.replicas").and_then(|text| text.parse().ok()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use highwater_metadata::Image;

    use super::*;
    use crate::cluster::invariant::testing;

    #[test]
    fn roles_concern_positions_too_and_nothing_concerns_nobody() {
        let roles = News { roles: true, ..News::default() };
        assert!(roles.concerns(DependsOn::Roles) && roles.concerns(DependsOn::Positions) && roles.any());
        assert!(!roles.concerns(DependsOn::Batches) && !roles.concerns(DependsOn::Bucket));
        let positions = News { positions: true, ..News::default() };
        assert!(positions.concerns(DependsOn::Positions) && !positions.concerns(DependsOn::Roles));
        assert!(!News::default().any() && !roles.concerns(DependsOn::Nothing));
        assert!((0..News::KINDS).all(|kind| News::of_kind(kind).kind() == kind));
    }

    #[test]
    fn what_was_decided_is_news_once() {
        let at = testing::AT;
        let topic = |image: &Image| image.topic(at.topic_id).expect("it was created").clone();
        let image = testing::image_with_topic();
        let state = image.partition(at).expect("so was its partition");
        let mut known = Known::default();
        assert!(known.decided(&topic(&image), state, 0));
        assert!(!known.decided(&topic(&image), state, 0));
        assert!(known.decided(&topic(&image), state, 1), "another leader epoch");
        let other = testing::image_with_topic();
        assert!(known.decided(&topic(&other), state, 1), "another version");
        assert_eq!(known.picture.isr, testing::brokers(&[2]));
    }
}
