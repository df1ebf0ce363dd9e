//! What the controller decides about brokers and replicas, as stories.

use highwater_metadata::{
    Applied, Broker, BrokerState, Entry, EntryId, Image, MetadataRecord, Partition, Sessions,
    decide::{
        self, ElectError, ElectionType, Heartbeat, IsrChange, IsrChangeError, ReassignError, RegisterBroker,
        RegisterError, Rules,
    },
};
use highwater_records::{BrokerEpoch, BrokerId, LeaderEpoch, PartitionIndex, TopicId, TopicIdPartition};

const RULES: Rules = Rules { min_isr: 2, unclean_elections: false };
const TOPIC: TopicId = TopicId::from_bytes([7; 16]);
const AT: TopicIdPartition = TopicIdPartition { topic_id: TOPIC, partition: PartitionIndex(0) };

/// A controller and its image.
struct Cluster {
    image: Image,
}

fn brokers(ids: &[u32]) -> Vec<BrokerId> {
    ids.iter().copied().map(BrokerId).collect()
}

impl Cluster {
    /// Brokers 1 to `count`, alive, and a topic with one partition on `replicas`.
    fn new(count: u32, replicas: &[u32], durability: &str) -> Cluster {
        let mut cluster = Cluster { image: Image::new() };
        cluster.apply(decide::create_cluster(&cluster.image, "here"));
        for broker in 1..=count {
            cluster.start(broker, true);
        }
        let replicas = brokers(replicas);
        cluster.apply(vec![
            MetadataRecord::TopicCreated { id: TOPIC, name: "orders".into() },
            MetadataRecord::PartitionCreated {
                topic: TOPIC,
                partition: PartitionIndex(0),
                isr: replicas.clone(),
                leader: replicas.first().copied(),
                leader_epoch: LeaderEpoch(0),
                replicas,
            },
            MetadataRecord::ConfigSet {
                resource: highwater_metadata::ConfigResource::Topic(TOPIC),
                key: "highwater.durability".into(),
                value: Some(durability.into()),
            },
        ]);
        cluster
    }

    fn apply(&mut self, records: Vec<MetadataRecord>) {
        let id = EntryId::after(self.image.applied()).unwrap();
        let entry = Entry { id, expects: self.image.last_effective(), records };
        // What is stored is what is applied.
        let entry = Entry::decode(&entry.encode()).unwrap();
        assert_eq!(self.image.apply(&entry), Applied::Effective);
        check(&self.image);
    }

    fn wish(&self, broker: u32, clean: bool) -> RegisterBroker {
        let lives = self.image.applied().map_or(0, EntryId::get) as u8;
        RegisterBroker {
            broker: BrokerId(broker),
            cluster_id: Some("here".into()),
            incarnation: [lives; 16],
            directory: [broker as u8; 16],
            properties: Broker { endpoints: vec![], rack: None },
            clean,
            features: vec![],
        }
    }

    fn register(&mut self, broker: u32, clean: bool) {
        let wish = self.wish(broker, clean);
        let records = decide::register_process(&self.image, RULES, &wish, false).unwrap();
        self.apply(records);
    }

    fn beat(&mut self, broker: u32, wants_stop: bool, oldest_io_ms: u64) {
        self.beat_with(Heartbeat { wants_stop, oldest_io_ms, ..self.sound(broker) });
    }

    /// The heartbeat of a broker that is well.
    fn sound(&self, broker: u32) -> Heartbeat {
        Heartbeat {
            broker: BrokerId(broker),
            broker_epoch: self.epoch(broker),
            applied: self.image.applied(),
            wants_stop: false,
            oldest_io_ms: 0,
            offline: false,
        }
    }

    fn beat_with(&mut self, beat: Heartbeat) {
        let records = decide::heartbeat(&self.image, RULES, &beat, 10_000).unwrap();
        self.apply(records);
    }

    fn start(&mut self, broker: u32, clean: bool) {
        self.register(broker, clean);
        assert_eq!(self.state(broker), BrokerState::Fenced);
        self.beat(broker, false, 0);
        assert_eq!(self.state(broker), BrokerState::Active);
    }

    fn fence(&mut self, broker: u32) {
        let records = decide::fence_broker(&self.image, RULES, BrokerId(broker));
        self.apply(records);
    }

    fn epoch(&self, broker: u32) -> BrokerEpoch {
        self.image.registration(BrokerId(broker)).unwrap().epoch
    }

    fn state(&self, broker: u32) -> BrokerState {
        self.image.registration(BrokerId(broker)).unwrap().state
    }

    fn partition(&self) -> &Partition {
        self.image.partition(AT).unwrap()
    }

    fn proposal(&self, leader: u32, isr: &[u32]) -> IsrChange {
        IsrChange {
            partition: AT,
            leader: BrokerId(leader),
            broker_epoch: self.epoch(leader),
            leader_epoch: self.image.leader_epoch(self.partition()),
            partition_epoch: self.partition().partition_epoch,
            isr: isr.iter().map(|member| (BrokerId(*member), Some(self.epoch(*member)))).collect(),
        }
    }

    fn propose(&mut self, leader: u32, isr: &[u32]) -> Result<(), IsrChangeError> {
        let records = decide::change_isr(&self.image, RULES, &self.proposal(leader, isr))?;
        self.apply(records);
        Ok(())
    }

    /// Leader, leader epoch, in-sync set, eligible leaders.
    fn shape(&self) -> (Option<u32>, u32, Vec<u32>, Vec<u32>) {
        let partition = self.partition();
        let plain = |ids: &[BrokerId]| ids.iter().map(|id| id.0).collect();
        (
            partition.leader.map(|leader| leader.0),
            self.image.leader_epoch(partition).0,
            plain(&partition.isr),
            plain(&partition.eligible_leaders),
        )
    }
}

/// What holds in every image.
fn check(image: &Image) {
    for topic in image.topics() {
        for partition in topic.partitions.iter() {
            let replica = |broker: &BrokerId| partition.replicas.contains(broker);
            assert!(partition.isr.iter().all(replica), "{partition:?}");
            assert!(partition.eligible_leaders.iter().all(replica), "{partition:?}");
            assert!(!partition.isr.iter().any(|member| partition.eligible_leaders.contains(member)));
            assert!(partition.leader.is_none_or(|leader| partition.isr.contains(&leader)), "{partition:?}");
            let led_by = partition.leader.and_then(|leader| image.registration(leader));
            assert!(led_by.is_none_or(|latest| latest.state != BrokerState::Fenced), "{partition:?}");
        }
    }
}

#[test]
fn a_leader_that_does_not_answer_is_replaced_in_a_new_epoch() {
    let mut cluster = Cluster::new(3, &[1, 2, 3], "replicated");
    assert_eq!(cluster.shape(), (Some(1), 0, vec![1, 2, 3], vec![]));
    cluster.fence(1);
    assert_eq!(cluster.shape(), (Some(2), 1, vec![2, 3], vec![]));
    // Below the minimum of two whoever goes stays eligible.
    cluster.fence(2);
    assert_eq!(cluster.shape(), (Some(3), 2, vec![3], vec![2]));
    cluster.fence(3);
    assert_eq!(cluster.shape(), (None, 3, vec![], vec![2, 3]));
    cluster.beat(2, false, 0);
    assert_eq!(cluster.shape(), (Some(2), 4, vec![2], vec![3]));
    // Broker 1 is alive again and no candidate: it must catch up.
    cluster.beat(1, false, 0);
    assert_eq!(cluster.propose(2, &[2, 1]), Ok(()));
    assert_eq!(cluster.shape(), (Some(2), 4, vec![2, 1], vec![]));
}

#[test]
fn the_last_replica_standing_that_lost_its_tail_does_not_lead() {
    let mut cluster = Cluster::new(2, &[1, 2], "replicated");
    cluster.fence(2);
    assert_eq!(cluster.shape(), (Some(1), 0, vec![1], vec![2]));
    cluster.start(1, false);
    assert_eq!(cluster.shape(), (None, 1, vec![], vec![2]), "broker 2 has everything below the watermark");
    cluster.beat(2, false, 0);
    assert_eq!(cluster.shape(), (Some(2), 2, vec![2], vec![]));
    // On a synced topic its disk has what counted.
    let mut cluster = Cluster::new(2, &[1, 2], "synced");
    cluster.fence(2);
    cluster.start(1, false);
    assert_eq!(cluster.shape(), (Some(1), 2, vec![1], vec![2]));
}

#[test]
fn another_disk_has_nothing_whatever_the_durability() {
    let mut cluster = Cluster::new(2, &[1, 2], "synced");
    let replaced = RegisterBroker { directory: [9; 16], ..cluster.wish(1, true) };
    let records = decide::register_process(&cluster.image, RULES, &replaced, false).unwrap();
    cluster.apply(records);
    assert_eq!(cluster.shape(), (Some(2), 1, vec![2], vec![]));
    let records = decide::fence_broker(&cluster.image, RULES, BrokerId(2));
    cluster.apply(records);
    cluster.beat(1, false, 0);
    assert_eq!(cluster.shape(), (None, 2, vec![], vec![2]));
}

#[test]
fn an_unclean_election_happens_when_asked_for_and_is_remembered() {
    let mut cluster = Cluster::new(3, &[1, 2, 3], "replicated");
    assert_eq!(
        decide::elect_leader(&cluster.image, RULES, AT, ElectionType::Unclean),
        Err(ElectError::NotNeeded)
    );
    for broker in [3, 2] {
        cluster.fence(broker);
    }
    cluster.register(1, false);
    cluster.register(2, false);
    assert_eq!(cluster.shape(), (None, 1, vec![], vec![]));
    assert_eq!(cluster.partition().last_known_leader, Some(BrokerId(1)));
    let asked = |cluster: &Cluster| decide::elect_leader(&cluster.image, RULES, AT, ElectionType::Unclean);
    assert_eq!(asked(&cluster), Err(ElectError::NobodyAvailable));
    cluster.beat(3, false, 0);
    assert_eq!(cluster.shape().0, None, "nobody asked");
    let records = asked(&cluster).unwrap();
    cluster.apply(records);
    assert_eq!(cluster.shape(), (Some(3), 2, vec![3], vec![]));
    assert_eq!(cluster.partition().unclean_epoch, Some(LeaderEpoch(2)));
}

#[test]
fn a_topic_that_would_rather_lose_records_is_led_by_whoever_is_there() {
    let lose = |cluster: &mut Cluster| {
        cluster.apply(vec![MetadataRecord::ConfigSet {
            resource: highwater_metadata::ConfigResource::Topic(TOPIC),
            key: "unclean.leader.election.enable".into(),
            value: Some("true".into()),
        }]);
    };
    // As long as somebody has everything, it leads.
    let mut cluster = Cluster::new(3, &[1, 2, 3], "replicated");
    lose(&mut cluster);
    cluster.propose(1, &[1, 2]).unwrap();
    cluster.fence(1);
    assert_eq!((cluster.shape().0, cluster.partition().unclean_epoch), (Some(2), None));
    cluster.register(2, false);
    assert_eq!(cluster.shape(), (Some(3), 2, vec![3], vec![]), "nobody else is there");
    assert_eq!(cluster.partition().unclean_epoch, Some(LeaderEpoch(2)));
    // Nobody is there at all, until one comes.
    cluster.fence(3);
    assert_eq!(cluster.shape().0, None);
    cluster.beat(2, false, 0);
    assert_eq!((cluster.shape().0, cluster.partition().unclean_epoch), (Some(2), Some(LeaderEpoch(4))));
    // It was set when the last leader had gone already.
    let mut cluster = Cluster::new(3, &[1, 2, 3], "replicated");
    cluster.propose(1, &[1, 2]).unwrap();
    cluster.register(1, false);
    cluster.register(2, false);
    assert_eq!(cluster.shape(), (None, 2, vec![], vec![]));
    assert!(decide::unclean_leaders(&cluster.image, RULES, 10).is_empty());
    lose(&mut cluster);
    let records = decide::unclean_leaders(&cluster.image, RULES, 10);
    cluster.apply(records);
    assert_eq!(cluster.shape(), (Some(3), 3, vec![3], vec![]));
    assert!(decide::unclean_leaders(&cluster.image, RULES, 10).is_empty());
}

#[test]
fn proposals_are_judged() {
    let mut cluster = Cluster::new(3, &[1, 2, 3], "replicated");
    assert_eq!(cluster.propose(1, &[1, 2]), Ok(()));
    assert_eq!(cluster.shape(), (Some(1), 0, vec![1, 2], vec![]));
    let good = cluster.proposal(1, &[1, 2, 3]);
    let judge = |cluster: &Cluster, wish: IsrChange| {
        decide::change_isr(&cluster.image, RULES, &wish).map(drop).unwrap_err()
    };
    let other = |change: &dyn Fn(&mut IsrChange)| {
        let mut wish = good.clone();
        change(&mut wish);
        judge(&cluster, wish)
    };
    assert_eq!(other(&|wish| wish.partition_epoch = 0), IsrChangeError::InvalidVersion(1));
    assert_eq!(other(&|wish| wish.leader_epoch = LeaderEpoch(1)), IsrChangeError::NewerLeaderEpoch);
    assert_eq!(
        other(&|wish| wish.broker_epoch = BrokerEpoch(1)),
        IsrChangeError::StaleBrokerEpoch(BrokerId(1))
    );
    assert_eq!(other(&|wish| wish.isr.truncate(0)), IsrChangeError::InvalidIsr);
    assert_eq!(other(&|wish| wish.isr.push((BrokerId(9), None))), IsrChangeError::InvalidIsr);
    assert_eq!(other(&|wish| wish.isr.push(wish.isr[0])), IsrChangeError::InvalidIsr);
    // KIP-903: it fetched in a former life, or nobody knows in which.
    for epoch in [Some(BrokerEpoch(1)), None] {
        assert_eq!(other(&|wish| wish.isr[2].1 = epoch), IsrChangeError::Ineligible(BrokerId(3)));
    }
    let not_leader = IsrChange { leader: BrokerId(2), broker_epoch: cluster.epoch(2), ..good.clone() };
    assert_eq!(judge(&cluster, not_leader), IsrChangeError::FencedLeaderEpoch(LeaderEpoch(0)));
    cluster.fence(3);
    assert_eq!(judge(&cluster, good.clone()), IsrChangeError::Ineligible(BrokerId(3)));
    // The same set again is a new version: whatever was proposed before can no longer be committed.
    assert_eq!(cluster.propose(1, &[1, 2]), Ok(()));
    cluster.beat(3, false, 0);
    assert_eq!(judge(&cluster, good), IsrChangeError::InvalidVersion(2));
}

#[test]
fn a_broker_whose_directory_is_offline_leads_nothing_and_is_in_sync_with_nobody() {
    let mut cluster = Cluster::new(3, &[1, 2, 3], "synced");
    cluster.beat_with(Heartbeat { offline: true, ..cluster.sound(1) });
    assert_eq!(cluster.state(1), BrokerState::Fenced);
    assert_eq!(cluster.shape(), (Some(2), 1, vec![2, 3], vec![]));
    // In this life it does not come back, whatever else it says.
    cluster.beat_with(Heartbeat { offline: true, ..cluster.sound(1) });
    assert_eq!(cluster.state(1), BrokerState::Fenced);
    // The last one in sync: nobody leads until its next process has read what is on the media.
    cluster.fence(3);
    cluster.beat_with(Heartbeat { offline: true, ..cluster.sound(2) });
    assert_eq!(cluster.shape(), (None, 2, vec![], vec![2, 3]));
    cluster.start(2, false);
    assert_eq!(cluster.shape(), (Some(2), 3, vec![2], vec![3]));
}

#[test]
fn a_broker_hands_over_before_it_stops_and_when_its_disk_hangs() {
    let mut cluster = Cluster::new(3, &[1, 2, 3], "replicated");
    cluster.beat(1, false, 20_000);
    assert_eq!(cluster.shape(), (Some(2), 1, vec![1, 2, 3], vec![]), "it stays in sync until it is late");
    assert!(!decide::may_stop(&cluster.image, BrokerId(2)));
    cluster.beat(2, true, 0);
    assert_eq!(cluster.state(2), BrokerState::Stopping);
    assert_eq!(cluster.shape(), (Some(1), 2, vec![1, 3], vec![]));
    assert!(decide::may_stop(&cluster.image, BrokerId(2)));
    // Its next process need not wait until its session is over.
    let next = cluster.wish(2, true);
    assert!(decide::register_process(&cluster.image, RULES, &next, true).is_ok());
    cluster.start(2, true);
    assert_eq!(cluster.propose(1, &[1, 2, 3]), Ok(()));
}

#[test]
fn leadership_comes_back_to_the_preferred_replica() {
    let mut cluster = Cluster::new(3, &[1, 2, 3], "replicated");
    cluster.fence(1);
    let asked = |cluster: &Cluster| decide::elect_leader(&cluster.image, RULES, AT, ElectionType::Preferred);
    assert_eq!(asked(&cluster), Err(ElectError::PreferredNotAvailable));
    assert!(decide::preferred_leaders(&cluster.image, RULES, 10).is_empty());
    cluster.beat(1, false, 0);
    assert_eq!(asked(&cluster), Err(ElectError::PreferredNotAvailable), "alive is not enough");
    cluster.propose(2, &[2, 3, 1]).unwrap();
    let records = decide::preferred_leaders(&cluster.image, RULES, 10);
    cluster.apply(records);
    assert_eq!(cluster.shape(), (Some(1), 2, vec![2, 3, 1], vec![]));
    assert_eq!(asked(&cluster), Err(ElectError::NotNeeded));
}

#[test]
fn a_reassignment_adds_first_and_removes_at_the_end() {
    let mut cluster = Cluster::new(4, &[1, 2], "replicated");
    let reassign = |cluster: &Cluster, wish: Option<&[u32]>| {
        let wish = wish.map(brokers);
        decide::reassign_partition(&cluster.image, RULES, AT, wish.as_deref())
    };
    assert_eq!(reassign(&cluster, None), Err(ReassignError::NotUnderWay));
    for bad in [&[] as &[u32], &[3, 3], &[9]] {
        assert!(matches!(reassign(&cluster, Some(bad)), Err(ReassignError::InvalidReplicas(_))));
    }
    let records = reassign(&cluster, Some(&[3, 4])).unwrap();
    cluster.apply(records);
    assert_eq!(cluster.partition().replicas, brokers(&[3, 4, 1, 2]));
    assert_eq!(cluster.shape(), (Some(1), 0, vec![1, 2], vec![]));
    cluster.propose(1, &[1, 2, 3]).unwrap();
    assert_eq!(cluster.partition().removing, brokers(&[1, 2]), "half of it is not all of it");
    let cancelled = reassign(&cluster, None).unwrap();
    cluster.propose(1, &[1, 2, 3, 4]).unwrap();
    assert_eq!(cluster.partition().replicas, brokers(&[3, 4]));
    assert_eq!(cluster.shape(), (Some(3), 1, vec![3, 4], vec![]));
    // Decided on an image that is no more.
    let stale = Entry { id: EntryId::new(999).unwrap(), expects: EntryId::new(1), records: cancelled };
    assert_eq!(cluster.image.apply(&stale), Applied::Dropped);
    assert_eq!(reassign(&cluster, None), Err(ReassignError::NotUnderWay));
}

#[test]
fn whose_process_it_is() {
    let mut cluster = Cluster::new(2, &[1, 2], "replicated");
    let stranger = RegisterBroker { cluster_id: Some("there".into()), ..cluster.wish(1, true) };
    assert_eq!(
        decide::register_process(&cluster.image, RULES, &stranger, true),
        Err(RegisterError::WrongCluster { found: "there".into(), expected: "here".into() })
    );
    let copied = RegisterBroker { directory: [2; 16], ..cluster.wish(3, true) };
    assert_eq!(
        decide::register_process(&cluster.image, RULES, &copied, false),
        Err(RegisterError::DirectoryOfAnother(BrokerId(2)))
    );
    let twin = cluster.wish(1, true);
    let refused = decide::register_process(&cluster.image, RULES, &twin, true);
    assert_eq!(refused, Err(RegisterError::Duplicate(BrokerId(1))));
    // A lost answer: the same process asks again.
    let again = RegisterBroker {
        incarnation: cluster.image.registration(BrokerId(1)).unwrap().incarnation,
        ..twin.clone()
    };
    assert_eq!(decide::register_process(&cluster.image, RULES, &again, true), Ok(vec![]));
    cluster.register(1, true);
    let beat = Heartbeat {
        broker: BrokerId(1),
        broker_epoch: BrokerEpoch(2),
        applied: None,
        wants_stop: false,
        oldest_io_ms: 0,
        offline: false,
    };
    let stale = decide::heartbeat(&cluster.image, RULES, &beat, 1).unwrap_err();
    assert_eq!((stale.broker, stale.found), (BrokerId(1), BrokerEpoch(2)));
    // Who has not seen its own registration has not caught up.
    let early = Heartbeat { broker_epoch: cluster.epoch(1), applied: EntryId::new(1), ..beat };
    assert_eq!(decide::heartbeat(&cluster.image, RULES, &early, 1), Ok(vec![]));
}

#[test]
fn sessions_begin_anew_with_each_controller() {
    let cluster = Cluster::new(2, &[1, 2], "replicated");
    let mut sessions = Sessions::default();
    assert_eq!(sessions.overdue(&cluster.image, 1_000, 500), None, "it cannot know");
    sessions.heard(BrokerId(1), cluster.epoch(1), 1_400);
    assert_eq!(sessions.overdue(&cluster.image, 1_500, 500), None);
    assert_eq!(sessions.overdue(&cluster.image, 1_501, 500), Some(BrokerId(2)));
    assert!(sessions.has_session(&cluster.image, BrokerId(1), 1_501, 500));
    sessions.heard(BrokerId(1), BrokerEpoch(1), 1_600);
    assert!(!sessions.has_session(&cluster.image, BrokerId(1), 1_601, 500), "a former life");
}

#[test]
fn features_rise_when_everybody_supports_them() {
    let mut cluster = Cluster::new(1, &[1], "synced");
    let refused = decide::set_feature(&cluster.image, "tail", 1, false);
    assert_eq!(refused, Err(decide::FeatureError::Unsupported(BrokerId(1))));
    let range = highwater_metadata::FeatureRange { feature: "tail".into(), min: 1, max: 2 };
    let able = RegisterBroker { features: vec![range], ..cluster.wish(1, true) };
    let records = decide::register_process(&cluster.image, RULES, &able, false).unwrap();
    cluster.apply(records);
    let records = decide::set_feature(&cluster.image, "tail", 2, false).unwrap();
    cluster.apply(records);
    assert_eq!(
        decide::set_feature(&cluster.image, "tail", 1, false),
        Err(decide::FeatureError::Downgrade(2))
    );
    let unable = cluster.wish(2, true);
    assert_eq!(
        decide::register_process(&cluster.image, RULES, &unable, false),
        Err(RegisterError::Unsupported { feature: "tail".into(), level: 2 })
    );
}
