//! Groups on one node: what was acknowledged is there after a crash, and clients see nothing worse than a retriable
//! error on the way.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use highwater_coordinator::{
    Caller as Member, CommitOffsets, CommitPartition, CommitTopic, DeleteGroup, DescribeGroup, FetchOffsets,
    GroupError, Heartbeat, JoinGroup, LeaveGroup, Leaving, Protocol, SyncGroup, partition_of,
};
use highwater_engine::MarkerEpoch;
use highwater_env::{Env, EnvExt, TokioEnv};
use highwater_node::{
    CoordinatorKey, Endpoint, Node,
    request::{CreateTopic, EndTransaction, Produce, ProduceError, ProducePartition, TopicRef},
};
use highwater_records::{BrokerId, ProducerEpoch, ProducerId, TopicId, batch::EndTxnMarker};
use highwater_replication::Acks;

use crate::started::{self, caller};

struct Fixture {
    env: Arc<TokioEnv>,
    directory: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Fixture {
        Fixture { env: Arc::new(TokioEnv::start().unwrap()), directory: tempfile::tempdir().unwrap() }
    }

    fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.env.connections().block_on(work)
    }

    async fn start(&self) -> Arc<Node> {
        let settings = [
            ("remote.log.storage.system.enable", "false"),
            ("group.initial.rebalance.delay.ms", "0"),
            ("offsets.topic.num.partitions", "4"),
        ];
        started::start(&self.env, self.directory.path(), None, &settings).await
    }

    /// Asks until the answer is none of those that a client retries by itself.
    async fn patiently<T>(
        &self,
        mut ask: impl AsyncFnMut() -> Result<T, GroupError>,
    ) -> Result<T, GroupError> {
        let deadline = self.env.now().plus(Duration::from_secs(30));
        loop {
            match ask().await {
                Err(GroupError::Loading | GroupError::NotAvailable | GroupError::NotCoordinator)
                    if self.env.now() < deadline =>
                {
                    self.env.sleep(Duration::from_millis(5)).await;
                }
                answer => return answer,
            }
        }
    }
}

async fn create(node: &Node, name: &str) {
    let topic = CreateTopic {
        name: name.into(),
        partitions: Some(2),
        replication_factor: None,
        assignments: Default::default(),
        configs: Vec::new(),
    };
    node.create_topics(&caller(), vec![topic], false).await.remove(0).unwrap();
}

fn commit(member: &str, generation: i32, offset: i64) -> CommitOffsets {
    let partitions = vec![CommitPartition { partition: 1, offset, leader_epoch: 0, metadata: "note".into() }];
    CommitOffsets {
        group: "g".into(),
        member: member.into(),
        instance: None,
        generation,
        retention_ms: None,
        knows_group_not_found: true,
        transaction: None,
        topics: vec![CommitTopic { name: "t".into(), id: TopicId::ZERO, partitions }],
    }
}

async fn committed(fixture: &Fixture, node: &Arc<Node>) -> Option<(i64, String)> {
    let fetch = FetchOffsets { group: "g".into(), member: None, topics: None, require_stable: true };
    let topics = fixture
        .patiently(async || node.ask_group(&caller(), "g", fetch.clone()).wait().await.flatten())
        .await
        .unwrap();
    let partition = topics.first()?.partitions.first()?.clone();
    partition.committed.unwrap().map(|committed| (committed.offset, committed.metadata))
}

/// Joins as the only member; returns the member.
async fn join(fixture: &Fixture, node: &Arc<Node>) -> String {
    let join = |member: &str| JoinGroup {
        group: "g".into(),
        member: member.into(),
        instance: None,
        caller: Member { client_id: "c".into(), host: "/127.0.0.1".into() },
        session_timeout_ms: 6_000,
        rebalance_timeout_ms: 6_000,
        protocol_type: "consumer".into(),
        protocols: vec![Protocol { name: "range".into(), metadata: Bytes::from_static(&[0, 0, 0, 0, 0, 0]) }],
        knows_member_id_required: true,
        knows_skip_assignment: true,
    };
    let told = fixture
        .patiently(async || node.ask_group(&caller(), "g", join("")).wait().await)
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(told.error, GroupError::MemberIdRequired);
    let joined = node.ask_group(&caller(), "g", join(&told.member)).wait().await.unwrap().unwrap();
    assert_eq!((joined.generation, &joined.leader), (1, &told.member));
    told.member
}

/// Joins as the only member and brings an assignment; returns the member.
async fn become_stable(fixture: &Fixture, node: &Arc<Node>) -> String {
    let member = join(fixture, node).await;
    let sync = SyncGroup {
        group: "g".into(),
        member: member.clone(),
        instance: None,
        generation: 1,
        protocol_type: None,
        protocol: None,
        assignments: vec![(member.clone(), Bytes::from_static(b"all of it"))],
    };
    let synced = node.ask_group(&caller(), "g", sync).wait().await.unwrap().unwrap();
    assert_eq!(synced.assignment, "all of it");
    member
}

#[test]
fn a_group_goes_on_after_a_crash() {
    let fixture = Fixture::new();
    fixture.run(async {
        let node = fixture.start().await;
        create(&node, "t").await;
        // Nobody has asked for a coordinator yet.
        let early = node.commit_offsets(&caller(), commit("", -1, 1)).wait().await;
        assert_eq!(early, Err(GroupError::NotAvailable));
        let keys = [CoordinatorKey::Group("g".into()), CoordinatorKey::Group("h".into())];
        let found = node.find_coordinators(&caller(), &keys).await;
        let here = Endpoint { host: "127.0.0.1".into(), port: 9092 };
        assert_eq!(found, [Ok((BrokerId(1), here.clone())), Ok((BrokerId(1), here))]);

        let member = become_stable(&fixture, &node).await;
        let answer = node.commit_offsets(&caller(), commit(&member, 1, 42)).wait().await.flatten();
        assert_eq!(answer, Ok(vec![Ok(())]));
        let stale = node.commit_offsets(&caller(), commit(&member, 7, 43)).wait().await.flatten();
        assert_eq!(stale, Err(GroupError::IllegalGeneration));
        let waiting = node.ask_group(&caller(), "g", DescribeGroup("g".into()));
        node.abandon().await;
        drop(waiting);
        let after = node.commit_offsets(&caller(), commit(&member, 1, 44)).wait().await;
        assert_eq!(after, Err(GroupError::NotCoordinator));
        drop(node);

        let node = fixture.start().await;
        assert_eq!(committed(&fixture, &node).await, Some((42, "note".into())));
        let beat = Heartbeat { group: "g".into(), member: member.clone(), instance: None, generation: 1 };
        assert_eq!(node.ask_group(&caller(), "g", beat).wait().await.flatten(), Ok(()));
        let described =
            node.ask_group(&caller(), "g", DescribeGroup("g".into())).wait().await.flatten().unwrap();
        assert_eq!(
            (described.state, described.members[0].assignment.as_ref()),
            ("Stable", &b"all of it"[..])
        );
        let listed = fixture.patiently(async || node.list_groups(&caller()).await).await.unwrap();
        assert_eq!(
            listed.iter().map(|group| (&*group.group, group.state)).collect::<Vec<_>>(),
            [("g", "Stable")]
        );

        let leave = LeaveGroup { group: "g".into(), members: vec![Leaving { member, instance: None }] };
        node.ask_group(&caller(), "g", leave).wait().await.flatten().unwrap();
        let deleted = node.ask_group(&caller(), "g", DeleteGroup("g".into())).wait().await.flatten();
        assert_eq!(deleted, Ok(()));
        node.stop().await.unwrap();
        drop(node);

        let node = fixture.start().await;
        assert_eq!(committed(&fixture, &node).await, None);
        node.stop().await.unwrap();
    });
}

#[test]
fn offsets_go_with_their_topic_and_clients_cannot_write_them() {
    let fixture = Fixture::new();
    fixture.run(async {
        let node = fixture.start().await;
        create(&node, "t").await;
        node.find_coordinators(&caller(), &[CoordinatorKey::Group("g".into())]).await.remove(0).unwrap();
        let answer = fixture
            .patiently(async || node.commit_offsets(&caller(), commit("", -1, 5)).wait().await.flatten())
            .await;
        assert_eq!(answer, Ok(vec![Ok(())]));
        assert_eq!(committed(&fixture, &node).await, Some((5, "note".into())));
        let unknown = CommitTopic { name: "nowhere".into(), ..commit("", -1, 6).topics.remove(0) };
        let unknown = CommitOffsets { topics: vec![unknown], ..commit("", -1, 6) };
        let answer = node.commit_offsets(&caller(), unknown).wait().await.flatten();
        assert_eq!(answer, Ok(vec![Err(GroupError::UnknownTopicOrPartition)]));

        let partition = ProducePartition {
            topic: TopicRef::Name("__consumer_offsets".into()),
            partition: 0,
            records: Bytes::from_static(b"anything"),
        };
        let produce = Produce {
            acks: Acks::All,
            timeout: Duration::from_secs(5),
            transactional: false,
            partitions: vec![partition],
        };
        let refused = node.produce(&caller(), produce).await.wait().await;
        assert_eq!(refused, [Err(ProduceError::InternalTopic)]);

        node.delete_topics(&caller(), vec![TopicRef::Name("t".into())]).await.remove(0).unwrap();
        let deadline = fixture.env.now().plus(Duration::from_secs(30));
        while committed(&fixture, &node).await.is_some() {
            assert!(fixture.env.now() < deadline, "offsets of a deleted topic stay");
            fixture.env.sleep(Duration::from_millis(5)).await;
        }
        node.stop().await.unwrap();
    });
}

#[test]
fn a_late_marker_is_refused_and_the_group_goes_on() {
    let fixture = Fixture::new();
    fixture.run(async {
        let node = fixture.start().await;
        node.find_coordinators(&caller(), &[CoordinatorKey::Group("g".into())]).await.remove(0).unwrap();
        // Of a member that has not synced the log says nothing: a replay would not know it.
        let member = join(&fixture, &node).await;
        let mark = async |producer_epoch, coordinator_epoch| {
            let request = EndTransaction {
                topic: TopicRef::Name("__consumer_offsets".into()),
                partition: partition_of("g", 4).cast_signed(),
                producer_id: ProducerId(7),
                producer_epoch: ProducerEpoch(producer_epoch),
                marker: EndTxnMarker { committed: true, coordinator_epoch },
                rule: MarkerEpoch::SameOrNewer,
                attempt: None,
            };
            node.write_markers(&caller(), vec![request]).await.remove(0)
        };
        assert_eq!(mark(5, 3).await, Ok(()));
        let late = mark(4, 3).await;
        assert!(matches!(late, Err(ProduceError::InvalidProducerEpoch(_))), "{late:?}");
        let fenced = mark(5, 2).await;
        assert!(matches!(fenced, Err(ProduceError::CoordinatorFenced(_))), "{fenced:?}");
        assert_eq!(mark(5, 3).await, Ok(()));

        let beat = Heartbeat { group: "g".into(), member, instance: None, generation: 1 };
        assert_eq!(node.ask_group(&caller(), "g", beat).wait().await.flatten(), Ok(()));
        node.stop().await.unwrap();
    });
}
