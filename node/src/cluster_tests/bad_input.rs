//! What is stale, foreign or false is refused with an error that says so, and changes nothing.

use std::time::Duration;

use highwater_engine::disk::memory::MemoryDisk;
use highwater_metadata::{
    EntryId, MetadataRecord,
    decide::{self, Heartbeat, IsrChangeError, RegisterBroker, RegisterError, Rules},
};
use highwater_records::{BrokerEpoch, BrokerId, LeaderEpoch, Offset, TopicIdPartition};
use highwater_replication::LocalPositions;

use super::{TestCluster, caller, run};
use crate::{
    StartError,
    peers::{
        ChangeIsr, ConfirmLeader, ControlError, ControlReply, ControlRequest, FetchSession, ProposeRecords,
        ReplicaAnswer, ReplicaFetch, ReplicaFetchError, ReplicaPosition, ReplicaRefusal,
    },
    request::FetchError,
};

fn offset(offset: u64) -> Offset {
    Offset::new(offset).unwrap()
}

fn epoch_of(cluster: &TestCluster, broker: u32) -> BrokerEpoch {
    cluster.node(1).image().registration(BrokerId(broker)).unwrap().epoch
}

/// A fetch in a session of its own that says: I have everything up to far beyond the end.
fn spoofed(from: u32, broker_epoch: BrokerEpoch, at: TopicIdPartition, leader_epoch: u32) -> ReplicaFetch {
    let end = offset(1_000);
    ReplicaFetch {
        from: BrokerId(from),
        broker_epoch,
        session: FetchSession { id: 77, sequence: 0 },
        changed: vec![ReplicaPosition {
            partition: at,
            leader_epoch: LeaderEpoch(leader_epoch),
            positions: LocalPositions { log_end: end, durable_end: end },
            last_epoch: Some(LeaderEpoch(leader_epoch)),
            log_start: Offset::ZERO,
        }],
        forgotten: vec![],
        max_wait: Duration::ZERO,
        max_bytes: 1 << 20,
    }
}

#[test]
fn fetches_in_other_lives_and_epochs_count_nothing() {
    run(async |env| {
        let cluster = TestCluster::start(&env, 3, &[]).await;
        let at = cluster.topic("orders", &[1, 2], &[]).await;
        cluster.produce(1, at, "a", "first").await;
        let before = cluster.node(1).replica(at).unwrap().leading;
        let current = epoch_of(&cluster, 2);
        let ask = async |fetch| cluster.node(1).serve_replica_fetch(fetch).await;

        // Of the whole fetch: a former life, one that nobody has heard of, a broker that never registered.
        let stale = ask(spoofed(2, BrokerEpoch(current.0 - 1), at, 0)).await;
        assert_eq!(stale.unwrap_err(), ReplicaFetchError::StaleBroker);
        for (from, epoch) in [(2, u64::MAX), (9, 1)] {
            let unknown = ask(spoofed(from, BrokerEpoch(epoch), at, 0)).await;
            assert_eq!(unknown.unwrap_err(), ReplicaFetchError::UnknownBroker);
        }
        // Of one partition: another leader epoch, no replica, no leader.
        let refusal = async |node: u32, fetch| {
            let fetched = cluster.node(node).serve_replica_fetch(fetch).await.unwrap();
            match &fetched.partitions[..] {
                [(partition, ReplicaAnswer::Refused(refusal))] if *partition == at => refusal.clone(),
                other => panic!("not refused: {other:?}"),
            }
        };
        let newer = refusal(1, spoofed(2, current, at, 1)).await;
        assert_eq!(newer, ReplicaRefusal::UnknownLeaderEpoch(LeaderEpoch(0)));
        let nobody = refusal(1, spoofed(3, epoch_of(&cluster, 3), at, 0)).await;
        assert_eq!(nobody, ReplicaRefusal::NotReplica(BrokerId(3)));
        assert_eq!(refusal(3, spoofed(2, current, at, 0)).await, ReplicaRefusal::NotLeader);

        assert_eq!(cluster.node(1).replica(at).unwrap().leading, before);
        // The follower whose place was claimed goes on.
        assert_eq!(cluster.produce(1, at, "b", "second").await, offset(1));
        cluster.end().await;
    });
}

#[test]
fn an_older_leader_epoch_is_fenced() {
    run(async |env| {
        let cluster = TestCluster::start(&env, 2, &[]).await;
        let at = cluster.topic("orders", &[1, 2], &[]).await;
        cluster.produce(1, at, "a", "first").await;
        cluster.append(MetadataRecord::EpochFloorRaised { broker: BrokerId(1), floor: LeaderEpoch(3) });
        cluster.until(|| (cluster.node(1).replica(at)?.leader_epoch == LeaderEpoch(3)).then_some(())).await;
        let fetch = spoofed(2, epoch_of(&cluster, 2), at, 0);
        let fetched = cluster.node(1).serve_replica_fetch(fetch).await.unwrap();
        assert!(matches!(
            fetched.partitions[..],
            [(_, ReplicaAnswer::Refused(ReplicaRefusal::FencedLeaderEpoch(LeaderEpoch(3))))]
        ));
        assert_eq!(cluster.produce(1, at, "b", "second").await, offset(1));
        cluster.end().await;
    });
}

#[test]
fn the_controller_hears_nobody_who_is_not_who_he_says() {
    run(async |env| {
        let cluster = TestCluster::start(&env, 2, &[]).await;
        let at = cluster.topic("orders", &[1, 2], &[]).await;
        cluster.produce(1, at, "a", "first").await;
        let (committed, stale) = (cluster.committed(), BrokerEpoch(epoch_of(&cluster, 2).0 - 1));
        let ask = async |node: u32, request| cluster.node(node).serve_control(request).await.unwrap_err();

        let beat = Heartbeat {
            broker: BrokerId(2),
            broker_epoch: stale,
            applied: EntryId::new(u64::MAX),
            wants_stop: true,
            oldest_io_ms: u64::MAX,
            offline: true,
        };
        assert_eq!(ask(1, ControlRequest::Heartbeat(beat)).await, ControlError::StaleBrokerEpoch);
        let elsewhere = ask(2, ControlRequest::Heartbeat(beat)).await;
        assert_eq!(elsewhere, ControlError::NotController { controller: Some(BrokerId(1)) });

        let records = decide::raise_epoch_floor(&cluster.node(1).image(), BrokerId(1));
        let expects = cluster.node(1).image().last_effective();
        let propose = ProposeRecords { from: BrokerId(2), broker_epoch: stale, expects, records };
        assert_eq!(ask(1, ControlRequest::Propose(propose)).await, ControlError::StaleBrokerEpoch);

        let wish = |leader: u32, broker_epoch, leader_epoch| ChangeIsr {
            partition: at,
            leader: BrokerId(leader),
            broker_epoch,
            leader_epoch: LeaderEpoch(leader_epoch),
            partition_epoch: 0,
            isr: vec![(BrokerId(leader), None)],
        };
        let (first, second) = (epoch_of(&cluster, 1), epoch_of(&cluster, 2));
        let refused = async |wish| ask(1, ControlRequest::ChangeIsr(wish)).await;
        assert_eq!(refused(wish(2, stale, 0)).await, ControlError::StaleBrokerEpoch);
        let not_leader = IsrChangeError::FencedLeaderEpoch(LeaderEpoch(0));
        assert_eq!(refused(wish(2, second, 0)).await, ControlError::Isr(not_leader));
        assert_eq!(refused(wish(1, first, 7)).await, ControlError::Isr(IsrChangeError::NewerLeaderEpoch));

        let belief = |leader: u32, broker_epoch, leader_epoch| {
            let leader = BrokerId(leader);
            let leader_epoch = LeaderEpoch(leader_epoch);
            ControlRequest::ConfirmLeader(ConfirmLeader { leader, broker_epoch, partition: at, leader_epoch })
        };
        let confirmed = cluster.node(1).serve_control(belief(1, first, 0)).await;
        assert_eq!(confirmed, Ok(ControlReply::Confirmed));
        assert_eq!(ask(1, belief(1, first, 1)).await, ControlError::NotLeader);
        assert_eq!(ask(1, belief(2, second, 0)).await, ControlError::NotLeader);
        assert_eq!(ask(1, belief(2, stale, 0)).await, ControlError::StaleBrokerEpoch);

        let image = cluster.node(1).image();
        let register = |broker: u32, cluster_id: &str| RegisterBroker {
            broker: BrokerId(broker),
            cluster_id: Some(cluster_id.into()),
            incarnation: [9; 16],
            directory: [9; 16],
            properties: image.brokers()[&BrokerId(2)].clone(),
            clean: true,
            features: vec![],
        };
        let ours = image.cluster_id().unwrap();
        let foreign = ask(1, ControlRequest::Register(register(3, "another"))).await;
        let wrong = RegisterError::WrongCluster { found: "another".into(), expected: ours.into() };
        assert_eq!(foreign, ControlError::Register(wrong));
        let twin = ask(1, ControlRequest::Register(register(2, ours))).await;
        assert_eq!(twin, ControlError::Register(RegisterError::Duplicate(BrokerId(2))));
        let copied = RegisterBroker {
            directory: image.registration(BrokerId(2)).unwrap().directory,
            ..register(3, ours)
        };
        let copied = ask(1, ControlRequest::Register(copied)).await;
        assert_eq!(copied, ControlError::Register(RegisterError::DirectoryOfAnother(BrokerId(2))));

        assert_eq!(cluster.committed(), committed, "nothing was even proposed");
        cluster.end().await;
    });
}

#[test]
fn a_disk_of_another_broker_or_cluster_starts_nothing() {
    run(async |env| {
        let mut cluster = TestCluster::start(&env, 2, &[]).await;
        let mut other = TestCluster::start(&env, 2, &[]).await;
        let (disk, foreign) = (cluster.stop(2).await, other.stop(2).await);
        let (committed, files) = (cluster.committed(), foreign.files());
        let wrong_node = cluster.boot(3, disk.clone()).await.unwrap_err();
        assert!(
            matches!(&wrong_node, StartError::Directory(why) if why.contains("node.id=2")),
            "{wrong_node}"
        );
        let wrong_cluster = cluster.boot(2, foreign.clone()).await.unwrap_err();
        let expected = cluster.node(1).image().cluster_id().unwrap().to_owned();
        assert!(
            matches!(&wrong_cluster, StartError::Directory(why) if why.contains(&expected)),
            "{wrong_cluster}"
        );
        assert_eq!((cluster.committed(), foreign.files()), (committed, files));
        cluster.boot(2, disk).await.expect("its own disk is welcome");
        cluster.end().await;
        other.end().await;
    });
}

#[test]
fn of_two_processes_with_one_number_one_serves() {
    run(async |env| {
        let mut cluster = TestCluster::start(&env, 2, &[]).await;
        let at = cluster.topic("orders", &[2, 1], &[]).await;
        cluster.produce(2, at, "a", "first").await;
        let committed = cluster.committed();
        let twin = cluster.boot(2, MemoryDisk::new()).await.unwrap_err();
        assert!(matches!(&twin, StartError::Metadata(why) if why.contains("another process")), "{twin}");
        assert_eq!(cluster.committed(), committed);
        assert_eq!(cluster.produce(2, at, "b", "second").await, offset(1));

        // Its session is over and another process has registered: the first one must not lead in that one's name.
        let wish = RegisterBroker {
            broker: BrokerId(2),
            cluster_id: None,
            incarnation: [9; 16],
            directory: [9; 16],
            properties: cluster.node(1).image().brokers()[&BrokerId(2)].clone(),
            clean: true,
            features: vec![],
        };
        let rules = Rules::of(cluster.node(1).config());
        let records = decide::register_process(&cluster.node(1).image(), rules, &wish, false).unwrap();
        cluster.append_all(records);
        let first = cluster.node(2).clone();
        cluster.until(|| first.is_stopping().then_some(())).await;
        let answer = cluster.fetch(2, at, 0, None).await;
        assert_eq!(answer.unwrap_err(), FetchError::NotLeader);
        let moved = first.elect_leader(&caller(), at, decide::ElectionType::Preferred).await;
        assert!(moved.is_err(), "it decides nothing either");
        assert!(first.stop().await.unwrap_err().to_string().contains("another process"));
        cluster.until(|| cluster.node(1).replica(at)?.leading).await;
        assert_eq!(cluster.produce(1, at, "c", "third").await, offset(2));
        cluster.end().await;
    });
}
