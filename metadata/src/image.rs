//! What the entries of the metadata log add up to.

mod partitions;
mod replication;

pub use partitions::{Partitions, PartitionsIter};
pub use replication::Registration;

use crate::{
    ConfigResource, Endpoint, Entry, EntryId, MetadataRecord, QuotaEntity, QuotaValue, SharedMap,
    museum::{Bug, has},
};
use alloc::{collections::BTreeMap, string::String, sync::Arc, vec::Vec};
use highwater_records::{BrokerId, LeaderEpoch, PartitionIndex, ProducerId, TopicId, TopicIdPartition};

/// The state of the cluster after some entry of the metadata log; built only by [`Image::apply`].
///
/// Meant to be shared as `Arc<Image>` and replaced by `Arc::make_mut(&mut current).apply(&entry)`: readers keep the
/// picture they hold. Everything in it is shared with that one, so the copy that this makes while somebody holds the
/// old picture costs a few pointers, and the change what lies between the root of a tree and what changed.
///
/// The same entries always give the same image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    applied: Option<EntryId>,
    last_effective: Option<EntryId>,
    cluster_id: Option<Arc<str>>,
    brokers: Arc<BTreeMap<BrokerId, Broker>>,
    registrations: Arc<BTreeMap<BrokerId, Registration>>,
    features: Arc<BTreeMap<String, u16>>,
    topics: SharedMap<TopicId, Arc<Topic>>,
    names: SharedMap<Arc<str>, TopicId>,
    deleted: SharedMap<TopicId, Arc<Topic>>,
    broker_configs: Arc<BTreeMap<Option<BrokerId>, BTreeMap<String, String>>>,
    group_configs: Arc<BTreeMap<String, BTreeMap<String, String>>>,
    epoch_floors: Arc<BTreeMap<BrokerId, LeaderEpoch>>,
    next_producer_id: u64,
    pub(crate) quotas: Arc<BTreeMap<QuotaEntity, BTreeMap<String, QuotaValue>>>,
}

/// A broker as it registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// Where clients and peers reach it.
    pub endpoints: Vec<Endpoint>,
    /// `broker.rack`.
    pub rack: Option<String>,
}

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its identity.
    pub id: TopicId,
    /// Its name.
    pub name: String,
    /// Its partitions.
    pub partitions: Partitions,
    /// Configuration that was set for it explicitly, as text.
    pub configs: BTreeMap<String, String>,
}

impl Topic {
    /// One of its partitions.
    pub fn partition(&self, index: PartitionIndex) -> Option<&Partition> {
        self.partitions.get(index.0 as usize)
    }

    /// Its partitions with their numbers.
    pub fn numbered(&self) -> impl Iterator<Item = (PartitionIndex, &Partition)> {
        (0..).map(PartitionIndex).zip(self.partitions.iter())
    }
}

/// A partition as the controller decided it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Assigned replicas, the preferred leader first.
    pub replicas: Vec<BrokerId>,
    /// In-sync replicas.
    pub isr: Vec<BrokerId>,
    /// The leader; `None` while nobody may lead.
    pub leader: Option<BrokerId>,
    /// As stored. The one in force is [`Image::leader_epoch`].
    pub stored_leader_epoch: LeaderEpoch,
    /// Version of the in-sync set.
    pub partition_epoch: u32,
    /// Replicas that a reassignment adds; they are among `replicas` already.
    pub adding: Vec<BrokerId>,
    /// Replicas that go when a reassignment ends.
    pub removing: Vec<BrokerId>,
    /// Replicas that are not in sync and yet have everything that was committed (KIP-966).
    pub eligible_leaders: Vec<BrokerId>,
    /// Who led last, while nobody leads.
    pub last_known_leader: Option<BrokerId>,
    /// The leader epoch that began with the last unclean election: committed records of older epochs may be missing.
    pub unclean_epoch: Option<LeaderEpoch>,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// All of its records took effect.
    Effective,
    /// It was decided on another image than this one and changed nothing. Its proposer decides again.
    Dropped,
}

impl Image {
    /// The image before the first entry.
    pub fn new() -> Image {
        Image::default()
    }

    /// Applies the next entry of the log: all of it, or nothing when it was decided on another image.
    ///
    /// A record that contradicts the image (a change to a topic that does not exist, say) changes nothing by itself;
    /// [`decide`](crate::decide) never makes one.
    pub fn apply(&mut self, entry: &Entry) -> Applied {
        self.applied = Some(entry.id);
        if entry.expects != self.last_effective && !has(Bug::StaleDecisionCounts) {
            return Applied::Dropped;
        }
        for record in &entry.records {
            self.apply_record(entry.id, record);
        }
        self.last_effective = Some(entry.id);
        Applied::Effective
    }

    /// The last entry seen, effective or not: where reading the log continues.
    pub const fn applied(&self) -> Option<EntryId> {
        self.applied
    }

    /// The last entry that changed anything: what a decision based on this image expects.
    pub const fn last_effective(&self) -> Option<EntryId> {
        self.last_effective
    }

    /// The cluster's id; `None` before the first decision.
    pub fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.as_deref()
    }

    /// Registered brokers.
    pub fn brokers(&self) -> &BTreeMap<BrokerId, Broker> {
        &self.brokers
    }

    /// The topic with this identity.
    pub fn topic(&self, id: TopicId) -> Option<&Arc<Topic>> {
        self.topics.get(&id)
    }

    /// The topic that has this name now.
    pub fn topic_named(&self, name: &str) -> Option<&Arc<Topic>> {
        self.names.get(name).and_then(|id| self.topics.get(id))
    }

    /// Every topic, in the order of names.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.names.values().filter_map(|id| self.topics.get(id))
    }

    /// Topics that were deleted and whose data is still to be removed, as they were. Their names may be in use again.
    pub fn deleted_topics(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.deleted.values()
    }

    /// How many topics there are.
    pub fn topic_count(&self) -> usize {
        self.topics.len()
    }

    /// One partition.
    pub fn partition(&self, id: TopicIdPartition) -> Option<&Partition> {
        self.topic(id.topic_id)?.partition(id.partition)
    }

    /// The leader epoch in force: the stored one, but at least the floor of the leader.
    pub fn leader_epoch(&self, partition: &Partition) -> LeaderEpoch {
        let floor = partition.leader.and_then(|leader| self.epoch_floors.get(&leader));
        floor.copied().unwrap_or_default().max(partition.stored_leader_epoch)
    }

    /// The least leader epoch of anything this broker leads; zero until it stopped uncleanly for the first time.
    pub fn epoch_floor(&self, broker: BrokerId) -> LeaderEpoch {
        self.epoch_floors.get(&broker).copied().unwrap_or_default()
    }

    /// Configuration set for one broker, or for every broker with `None`; empty when nothing was.
    pub fn broker_configs(&self, broker: Option<BrokerId>) -> &BTreeMap<String, String> {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        self.broker_configs.get(&broker).unwrap_or(&NONE)
    }

    /// Configuration set for a group, whether there is one of this name or not; empty when nothing was.
    pub fn group_config(&self, group: &str) -> &BTreeMap<String, String> {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        self.group_configs.get(group).unwrap_or(&NONE)
    }

    /// The groups for which something is set, by name.
    pub fn configured_groups(&self) -> impl Iterator<Item = &str> {
        self.group_configs.keys().map(String::as_str)
    }

    /// The first producer id that belongs to no block yet.
    pub const fn next_producer_id(&self) -> ProducerId {
        ProducerId(self.next_producer_id)
    }

    fn apply_record(&mut self, entry: EntryId, record: &MetadataRecord) {
        match record {
            MetadataRecord::ClusterCreated { cluster_id } => {
                self.cluster_id.get_or_insert_with(|| Arc::from(cluster_id.as_str()));
            }
            MetadataRecord::BrokerRegistered { broker, endpoints, rack } => {
                let registered = Broker { endpoints: endpoints.clone(), rack: rack.clone() };
                Arc::make_mut(&mut self.brokers).insert(*broker, registered);
                self.register(entry, *broker);
            }
            MetadataRecord::TopicCreated { id, name } => self.create_topic(*id, name),
            MetadataRecord::PartitionCreated { topic, partition, replicas, isr, leader, leader_epoch } => {
                let created = Partition {
                    replicas: replicas.clone(),
                    isr: isr.clone(),
                    leader: *leader,
                    stored_leader_epoch: *leader_epoch,
                    partition_epoch: 0,
                    adding: Vec::new(),
                    removing: Vec::new(),
                    eligible_leaders: Vec::new(),
                    last_known_leader: None,
                    unclean_epoch: None,
                };
                self.change_topic(*topic, |topic| {
                    if topic.partitions.len() == partition.0 as usize {
                        topic.partitions.push(created);
                    }
                });
            }
            MetadataRecord::PartitionChanged {
                topic,
                partition,
                isr,
                leader,
                leader_epoch,
                partition_epoch,
            } => {
                // A leader epoch never goes backwards, not even when the floor that raised it stays behind with the
                // former leader.
                let id = TopicIdPartition { topic_id: *topic, partition: *partition };
                let Some(in_force) = self.partition(id).map(|partition| self.leader_epoch(partition)) else {
                    return;
                };
                self.change_topic(*topic, |topic| {
                    let Some(changed) = topic.partitions.get_mut(partition.0 as usize) else { return };
                    changed.isr = isr.clone();
                    changed.leader = *leader;
                    changed.stored_leader_epoch = in_force.max(*leader_epoch);
                    changed.partition_epoch = *partition_epoch;
                });
            }
            MetadataRecord::TopicDeleted { id } => {
                if let Some(deleted) = self.topics.remove(id) {
                    self.names.remove(deleted.name.as_str());
                    self.deleted.insert(*id, deleted);
                }
            }
            MetadataRecord::TopicPurged { id } => {
                self.deleted.remove(id);
            }
            MetadataRecord::ConfigSet { resource, key, value } => match resource {
                ConfigResource::Topic(id) => {
                    self.change_topic(*id, |topic| set(&mut topic.configs, key, value.as_ref()));
                }
                ConfigResource::Broker(id) => {
                    let configs = Arc::make_mut(&mut self.broker_configs);
                    set(configs.entry(Some(*id)).or_default(), key, value.as_ref());
                }
                ConfigResource::Brokers => {
                    let configs = Arc::make_mut(&mut self.broker_configs);
                    set(configs.entry(None).or_default(), key, value.as_ref());
                }
                ConfigResource::Group(name) => {
                    let configs = Arc::make_mut(&mut self.group_configs);
                    let of_group = configs.entry(name.clone()).or_default();
                    set(of_group, key, value.as_ref());
                    if of_group.is_empty() {
                        configs.remove(name);
                    }
                }
            },
            MetadataRecord::EpochFloorRaised { broker, floor } => {
                let known = Arc::make_mut(&mut self.epoch_floors).entry(*broker).or_default();
                *known = (*known).max(*floor);
            }
            MetadataRecord::ProducerIdsAllocated { next, .. } => {
                self.next_producer_id = self.next_producer_id.max(next.0);
            }
            MetadataRecord::Quota(record) => self.apply_quota(record),
            MetadataRecord::Replication(record) => self.apply_replication(entry, record),
        }
    }

    fn create_topic(&mut self, id: TopicId, name: &str) {
        if self.topics.contains_key(&id) || self.names.contains_key(name) {
            return;
        }
        let topic = Topic {
            id,
            name: String::from(name),
            partitions: Partitions::default(),
            configs: BTreeMap::new(),
        };
        self.topics.insert(id, Arc::new(topic));
        self.names.insert(Arc::from(name), id);
    }

    fn change_topic(&mut self, id: TopicId, change: impl FnOnce(&mut Topic)) {
        if let Some(topic) = self.topics.get_mut(&id) {
            change(Arc::make_mut(topic));
        }
    }
}

fn set(configs: &mut BTreeMap<String, String>, key: &str, value: Option<&String>) {
    match value {
        Some(value) => configs.insert(String::from(key), value.clone()),
        None => configs.remove(key),
    };
}
