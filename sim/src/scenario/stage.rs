//! Brokers, their logs and roles, and the metadata log.

use std::collections::BTreeMap;

use highwater_metadata::{
    Broker as Properties, ConfigResource, Entry, EntryId, Image, MetadataRecord, Partition,
    decide::{self, RegisterBroker, Rules},
};
use highwater_records::{
    BrokerEpoch, BrokerId, Durability, LeaderEpoch, PartitionIndex, TopicId, TopicIdPartition,
};
use highwater_replication::{
    CommittedIsr, FetchFrom, FetchOutcome, FetchRefused, Follower, FollowerStart, Leader, LeaderStart, Moment,
};

use super::log::Log;

pub(super) const AT: TopicIdPartition =
    TopicIdPartition { topic_id: TopicId::from_bytes([7; 16]), partition: PartitionIndex(0) };

/// Everything.
pub(super) struct Stage {
    pub(super) image: Image,
    pub(super) rules: Rules,
    pub(super) durability: Durability,
    pub(super) brokers: BTreeMap<u32, Broker>,
    pub(super) now: Moment,
    lives: u8,
}

/// A broker and its replica.
pub(super) struct Broker {
    pub(super) log: Log,
    pub(super) role: Option<Role>,
    /// What it knows of the metadata log.
    pub(super) image: Image,
    pub(super) hears: bool,
    pub(super) on: bool,
    /// Its registration.
    pub(super) epoch: BrokerEpoch,
    /// The watermark that lies on its disk.
    pub(super) watermark: highwater_records::Offset,
    directory: u8,
    /// An answer on its way to it.
    pub(super) answer: Option<(FetchFrom, Answer)>,
}

pub(super) enum Role {
    Leader(Box<Leader>),
    Follower(Follower),
}

/// What a leader answered.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Records(Vec<(String, LeaderEpoch)>, highwater_records::Offset),
    Outcome(FetchOutcome),
    Refused(FetchRefused),
    NotLeader,
}

impl Stage {
    pub(super) fn new(count: u32, replicas: &[BrokerId], min_isr: u32, durability: Durability) -> Stage {
        let mut stage = Stage {
            image: Image::new(),
            rules: Rules { min_isr, unclean_elections: false },
            durability,
            brokers: BTreeMap::new(),
            now: Moment(0),
            lives: 0,
        };
        stage.decided(decide::create_cluster(&stage.image, "here"));
        for id in 1..=count {
            stage.brokers.insert(id, Broker::new(id as u8));
            stage.register(id, true).expect("a first registration is not refused");
            stage.beat(id, |_| {}).expect("it has just registered");
        }
        let durable = (ConfigResource::Topic(AT.topic_id), "highwater.durability", durability.name());
        stage.decided(vec![
            MetadataRecord::TopicCreated { id: AT.topic_id, name: "t".into() },
            MetadataRecord::PartitionCreated {
                topic: AT.topic_id,
                partition: AT.partition,
                replicas: replicas.to_vec(),
                isr: replicas.to_vec(),
                leader: replicas.first().copied(),
                leader_epoch: LeaderEpoch(0),
            },
            MetadataRecord::ConfigSet {
                resource: durable.0,
                key: durable.1.into(),
                value: Some(durable.2.into()),
            },
        ]);
        stage
    }

    /// The partition as the metadata log has it.
    pub(super) fn partition(&self) -> &Partition {
        self.image.partition(AT).expect("the partition is created first and never deleted")
    }

    /// Commits a decision; whoever hears takes on its role.
    pub(super) fn decided(&mut self, records: Vec<MetadataRecord>) {
        let id = EntryId::after(self.image.applied()).expect("a scenario is short");
        self.image.apply(&Entry { id, expects: self.image.last_effective(), records });
        let ids: Vec<u32> = self.brokers.keys().copied().collect();
        ids.into_iter().for_each(|id| self.hear(id));
    }

    /// A broker learns of all decisions, if it hears.
    pub(super) fn hear(&mut self, id: u32) {
        let (image, durability, min_isr, now) =
            (self.image.clone(), self.durability, self.rules.min_isr, self.now);
        if let Some(broker) = self.brokers.get_mut(&id).filter(|broker| broker.hears && broker.on) {
            broker.image = image;
            broker.assume(BrokerId(id), durability, min_isr, now);
        }
    }

    pub(super) fn register(&mut self, id: u32, clean: bool) -> Result<(), String> {
        self.lives += 1;
        let broker = self.brokers.get_mut(&id).ok_or("there is no such broker")?;
        (broker.on, broker.hears, broker.role) = (true, true, None);
        let wish = RegisterBroker {
            broker: BrokerId(id),
            cluster_id: Some("here".into()),
            incarnation: [self.lives; 16],
            directory: [broker.directory; 16],
            properties: Properties { endpoints: Vec::new(), rack: Some(format!("rack-{id}")) },
            clean,
            features: Vec::new(),
        };
        let records = decide::register_process(&self.image, self.rules, &wish, false);
        let records = records.map_err(|error| error.to_string())?;
        self.decided(records);
        let epoch = self.image.registration(BrokerId(id)).map(|registered| registered.epoch);
        if let (Some(broker), Some(epoch)) = (self.brokers.get_mut(&id), epoch) {
            broker.epoch = epoch;
        }
        Ok(())
    }

    /// A heartbeat of `id`, with what `say` adds to it.
    pub(super) fn beat(&mut self, id: u32, say: impl FnOnce(&mut decide::Heartbeat)) -> Result<(), String> {
        let broker_epoch = self.brokers.get(&id).ok_or("there is no such broker")?.epoch;
        let mut beat = decide::Heartbeat {
            broker: BrokerId(id),
            broker_epoch,
            applied: self.image.applied(),
            wants_stop: false,
            oldest_io_ms: 0,
            offline: false,
        };
        say(&mut beat);
        let records = decide::heartbeat(&self.image, self.rules, &beat, 10_000);
        self.decided(records.map_err(|error| error.to_string())?);
        Ok(())
    }
}

impl Broker {
    fn new(directory: u8) -> Broker {
        Broker {
            log: Log::default(),
            role: None,
            image: Image::new(),
            hears: true,
            on: true,
            epoch: BrokerEpoch(0),
            watermark: highwater_records::Offset::ZERO,
            directory,
            answer: None,
        }
    }

    /// Its disk is empty from now on, and another one.
    pub(super) fn empty(&mut self) {
        self.log = Log::default();
        self.watermark = highwater_records::Offset::ZERO;
        self.directory = self.directory.wrapping_add(100);
    }

    /// Keeps what its role concludes.
    pub(super) fn settle(&mut self) {
        match &self.role {
            Some(Role::Leader(leader)) => self.watermark = leader.high_watermark(),
            Some(Role::Follower(follower)) => self.watermark = follower.high_watermark(),
            None => {}
        }
    }

    /// Takes on the role that its image gives it, as a node does.
    fn assume(&mut self, id: BrokerId, durability: Durability, min_isr: u32, now: Moment) {
        let Some(partition) = self.image.partition(AT).filter(|one| one.replicas.contains(&id)) else {
            if self.role.take().is_some() {
                self.log = Log::default();
                self.watermark = highwater_records::Offset::ZERO;
            }
            return;
        };
        let (leader_epoch, leads) = (self.image.leader_epoch(partition), partition.leader == Some(id));
        match &mut self.role {
            Some(Role::Leader(leader)) if leads && leader.leader_epoch() == leader_epoch => {
                leader.on_committed(CommittedIsr {
                    replicas: partition.replicas.clone(),
                    isr: partition.isr.clone(),
                    partition_epoch: partition.partition_epoch,
                });
            }
            Some(Role::Follower(follower))
                if follower.leader_epoch() == leader_epoch && follower.leader() == partition.leader => {}
            _ if leads => {
                self.role = Some(Role::Leader(Box::new(Leader::new(LeaderStart {
                    local: id,
                    leader_epoch,
                    replicas: partition.replicas.clone(),
                    isr: partition.isr.clone(),
                    partition_epoch: partition.partition_epoch,
                    min_isr,
                    durability,
                    high_watermark: self.watermark,
                    positions: self.log.positions(),
                    now,
                }))));
            }
            _ => {
                self.role = Some(Role::Follower(Follower::new(FollowerStart {
                    leader: partition.leader,
                    leader_epoch,
                    high_watermark: self.watermark,
                    log_end: self.log.end(),
                })));
            }
        }
        self.settle();
    }
}
