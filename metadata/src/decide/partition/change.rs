//! One partition's next state. Every decision about replicas, in-sync set and leader is made here.

use crate::{
    Image, MetadataRecord, Partition, ReplicationRecord, Topic,
    config::BrokerConfig,
    museum::{Bug, has},
};
use alloc::{collections::BTreeSet, sync::Arc, vec::Vec};
use highwater_records::{BrokerId, Durability, LeaderEpoch, PartitionIndex, TopicIdPartition};

/// What decisions need to know besides the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// `min.insync.replicas` of topics that set none.
    pub min_isr: u32,
    /// `unclean.leader.election.enable` of topics that set none.
    pub unclean_elections: bool,
}

const UNCLEAN: &str = "unclean.leader.election.enable";

fn is_true(text: &str) -> bool {
    text.trim().eq_ignore_ascii_case("true")
}

impl Rules {
    /// As this broker is configured.
    pub fn of(broker: &BrokerConfig) -> Rules {
        let default = |key| {
            let key = crate::config::topic_key(key)?;
            broker.settings.default_of(key).0
        };
        Rules {
            min_isr: default("min.insync.replicas").and_then(|text| text.trim().parse().ok()).unwrap_or(1),
            unclean_elections: default(UNCLEAN).is_some_and(|text| is_true(&text)),
        }
    }

    /// Whether a topic would rather lose records than wait for a replica that has them.
    pub(crate) fn elects_uncleanly(self, topic: &Topic) -> bool {
        topic.configs.get(UNCLEAN).map_or(self.unclean_elections, |text| is_true(text))
    }

    /// `min.insync.replicas` of a topic, at most `replicas`, and at least one.
    fn min_isr(self, topic: &Topic, replicas: usize) -> usize {
        let set = topic.configs.get("min.insync.replicas").and_then(|text| text.trim().parse().ok());
        (set.unwrap_or(self.min_isr) as usize).min(replicas).max(1)
    }
}

/// Whether nothing that counted can be lost with the end of a replica's log.
pub(crate) fn survives_unclean_stop(topic: &Topic) -> bool {
    let durability = topic.configs.get("highwater.durability");
    durability.and_then(|text| text.parse::<Durability>().ok()) == Some(Durability::Synced)
}

/// Who may become leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Election {
    /// The leader stays if it may; else whoever has everything that was committed.
    Keep,
    /// The first replica, if it is in sync; else as [`Election::Keep`].
    Preferred,
    /// As [`Election::Keep`], and any replica that is alive if there is nobody else.
    Unclean,
}

/// What is to become of a partition; what is `None` stays, as far as it can.
#[derive(Clone, Debug)]
pub(crate) struct Change<'a> {
    pub(crate) isr: Option<Vec<BrokerId>>,
    /// New replicas, adding and removing ones among them.
    pub(crate) assignment: Option<Assignment>,
    pub(crate) election: Election,
    /// Brokers that are treated as if they were not active, whatever the image says.
    pub(crate) without: &'a [BrokerId],
    /// A broker that is treated as active, whatever the image says.
    pub(crate) with: Option<BrokerId>,
    /// A broker that may have lost the end of its logs: it is no candidate.
    pub(crate) lost: Option<BrokerId>,
}

impl Change<'_> {
    pub(crate) const fn none() -> Change<'static> {
        Change { isr: None, assignment: None, election: Election::Keep, without: &[], with: None, lost: None }
    }
}

/// Replicas as they are to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) replicas: Vec<BrokerId>,
    pub(crate) adding: Vec<BrokerId>,
    pub(crate) removing: Vec<BrokerId>,
}

impl Assignment {
    fn of(partition: &Partition) -> Assignment {
        Assignment {
            replicas: partition.replicas.clone(),
            adding: partition.adding.clone(),
            removing: partition.removing.clone(),
        }
    }

    /// The replicas that remain at the end.
    fn target(&self) -> Vec<BrokerId> {
        self.replicas.iter().copied().filter(|replica| !self.removing.contains(replica)).collect()
    }
}

/// Every partition of every topic.
pub(crate) fn every_partition(
    image: &Image,
) -> impl Iterator<Item = (&Arc<Topic>, TopicIdPartition, &Partition)> {
    image.topics().flat_map(|topic| {
        topic
            .numbered()
            .map(move |(partition, state)| (topic, TopicIdPartition { topic_id: topic.id, partition }, state))
    })
}

/// The records that carry out `change`; none if nothing becomes another.
///
/// Always true of what comes out: the leader is in sync; who is in sync or eligible is a replica; nobody is both; a new
/// leader means a new leader epoch; a smaller in-sync set than `min.insync.replicas` leaves those that were in sync, or
/// eligible, eligible (KIP-966), except brokers that may have lost something.
pub(crate) fn change_partition(
    image: &Image,
    rules: Rules,
    topic: &Topic,
    index: PartitionIndex,
    change: &Change<'_>,
) -> Vec<MetadataRecord> {
    let Some(partition) = topic.partition(index) else { return Vec::new() };
    let assignment = change.assignment.clone().unwrap_or_else(|| Assignment::of(partition));
    let may_lose = change.election == Election::Unclean || rules.elects_uncleanly(topic);
    let mut next = Next::new(image, partition, assignment, change, may_lose);
    let finished = next.finish_reassignment();
    next.elect();
    next.fill_eligible(rules.min_isr(topic, next.assignment.target().len()));
    next.records(topic, index, finished)
}

struct Next<'a> {
    image: &'a Image,
    partition: &'a Partition,
    change: &'a Change<'a>,
    assignment: Assignment,
    isr: Vec<BrokerId>,
    eligible: Vec<BrokerId>,
    leader: Option<BrokerId>,
    /// Whether anybody who is alive may lead, if nobody who has everything is.
    may_lose: bool,
    unclean: bool,
}

impl<'a> Next<'a> {
    fn new(
        image: &'a Image,
        partition: &'a Partition,
        assignment: Assignment,
        change: &'a Change<'a>,
        may_lose: bool,
    ) -> Next<'a> {
        let keep = |members: &[BrokerId]| -> Vec<BrokerId> {
            let stays =
                |member: &BrokerId| assignment.replicas.contains(member) && change.lost != Some(*member);
            members.iter().copied().filter(stays).collect()
        };
        let isr = keep(change.isr.as_deref().unwrap_or(&partition.isr));
        let mut eligible = keep(&partition.eligible_leaders);
        eligible.retain(|member| !isr.contains(member));
        let leader = partition.leader;
        Next { image, partition, change, isr, eligible, assignment, leader, may_lose, unclean: false }
    }

    fn is_active(&self, broker: BrokerId) -> bool {
        !self.change.without.contains(&broker)
            && (self.image.is_active(broker) || self.change.with == Some(broker))
    }

    /// A reassignment ends when every replica that is to stay is in sync: then the others go, all at once.
    fn finish_reassignment(&mut self) -> bool {
        let assignment = &self.assignment;
        if assignment.adding.is_empty() && assignment.removing.is_empty() {
            return false;
        }
        let target = assignment.target();
        if target.is_empty() || !target.iter().all(|replica| self.isr.contains(replica)) {
            return false;
        }
        self.isr.retain(|member| target.contains(member));
        self.eligible.retain(|member| target.contains(member));
        self.assignment = Assignment { replicas: target, adding: Vec::new(), removing: Vec::new() };
        true
    }

    fn elect(&mut self) {
        let in_sync =
            |next: &Next<'_>, broker: BrokerId| next.isr.contains(&broker) && next.is_active(broker);
        let replicas = self.assignment.replicas.clone();
        if self.change.election == Election::Preferred
            && let Some(first) = replicas.first().filter(|first| in_sync(self, **first))
        {
            self.leader = Some(*first);
            return;
        }
        if self.leader.is_some_and(|leader| in_sync(self, leader)) {
            return;
        }
        let find = |may: &dyn Fn(BrokerId) -> bool| replicas.iter().copied().find(|replica| may(*replica));
        if let Some(leader) = find(&|replica| in_sync(self, replica)) {
            self.leader = Some(leader);
        } else if let Some(leader) =
            find(&|replica| self.eligible.contains(&replica) && self.is_active(replica))
        {
            // It has everything that was committed; who else has it will be found out.
            self.eligible.append(&mut self.isr);
            self.eligible.retain(|member| *member != leader);
            self.isr = alloc::vec![leader];
            self.leader = Some(leader);
        } else if let Some(leader) =
            find(&|replica| (self.may_lose || has(Bug::UncleanUnasked)) && self.is_active(replica))
        {
            self.isr = alloc::vec![leader];
            self.eligible.clear();
            self.leader = Some(leader);
            self.unclean = true;
        } else {
            self.leader = None;
        }
    }

    fn fill_eligible(&mut self, min_isr: usize) {
        if self.unclean || (self.isr.len() >= min_isr && !has(Bug::EligibleForEver)) {
            self.eligible.clear();
            return;
        }
        let stays = |member: &&BrokerId| {
            self.assignment.replicas.contains(member) && self.change.lost != Some(**member)
        };
        let mut all: BTreeSet<BrokerId> = self.partition.isr.iter().filter(stays).copied().collect();
        all.extend(&self.eligible);
        all.retain(|member| !self.isr.contains(member));
        self.eligible = all.into_iter().collect();
    }

    fn records(self, topic: &Topic, index: PartitionIndex, finished: bool) -> Vec<MetadataRecord> {
        let before = self.partition;
        let mut records = Vec::new();
        let assigned = self.assignment != Assignment::of(before);
        if assigned {
            let Assignment { replicas, adding, removing } = self.assignment.clone();
            records.push(MetadataRecord::Replication(ReplicationRecord::ReplicasAssigned {
                topic: topic.id,
                partition: index,
                replicas,
                adding,
                removing,
            }));
        }
        let last_known = match self.leader {
            Some(_) => None,
            None => before.leader.or(before.last_known_leader),
        };
        if (&self.eligible, last_known) != (&before.eligible_leaders, before.last_known_leader) {
            records.push(MetadataRecord::Replication(ReplicationRecord::EligibleLeaders {
                topic: topic.id,
                partition: index,
                replicas: self.eligible,
                last_known,
            }));
        }
        let in_force = self.image.leader_epoch(before);
        // Replicas that are taken away must stop answering as such: a new epoch tells everybody at once.
        let new_epoch = (self.leader != before.leader && !has(Bug::LeaderWithoutEpoch))
            || self.unclean
            || (finished && !has(Bug::ReassignmentWithoutEpoch));
        let leader_epoch =
            if new_epoch { LeaderEpoch(in_force.0.saturating_add(1)) } else { before.stored_leader_epoch };
        // A leader that proposed the set it has gets a new version all the same: it settles what was proposed before.
        if self.isr != before.isr
            || self.leader != before.leader
            || new_epoch
            || assigned
            || self.change.isr.is_some()
        {
            records.push(MetadataRecord::PartitionChanged {
                topic: topic.id,
                partition: index,
                isr: self.isr,
                leader: self.leader,
                leader_epoch,
                partition_epoch: before.partition_epoch.saturating_add(1),
            });
        }
        if self.unclean
            && let Some(leader) = self.leader
        {
            records.push(MetadataRecord::Replication(ReplicationRecord::LeaderElectedUncleanly {
                topic: topic.id,
                partition: index,
                leader,
                leader_epoch,
            }));
        }
        records
    }
}
