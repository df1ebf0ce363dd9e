//! Transactions over the partitions of several brokers, and coordinators that move.

use std::time::Duration;

use bytes::Bytes;
use highwater_coordinator::{
    AddPartitions, BeginProducer, CommitOffsets, CommitPartition, CommitTopic, EndTransaction, FetchOffsets,
    GroupError, Transaction, TransactionError,
};
use highwater_env::EnvExt;
use highwater_metadata::{MetadataRecord, decide::ElectionType};
use highwater_records::{
    BrokerEpoch, BrokerId, LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, Sequence,
    TimestampMs, TopicId, TopicIdPartition,
    batch::{BatchBuilder, Producer, Record},
    compression::Codec,
};
use highwater_replication::Acks;

use super::{TestCluster, caller, run};
use crate::{
    CoordinatorKey,
    peers::{MarkerRefusal, TransactionAnswer, TransactionCall, TransactionCallError, WriteMarkers},
    request::{Produce, ProduceError, ProducePartition, TopicRef},
};

const SETTINGS: &[(&str, &str)] =
    &[("offsets.topic.num.partitions", "1"), ("transaction.state.log.num.partitions", "1")];
const ID: &str = "payments";
const GROUP: &str = "billing";

fn records(producer: (ProducerId, ProducerEpoch), value: &str) -> Bytes {
    let producer = Producer { id: producer.0, epoch: producer.1, base_sequence: Some(Sequence::ZERO) };
    let mut builder = BatchBuilder::new(Codec::None).producer(producer).transactional();
    let record =
        Record { timestamp: TimestampMs(1_000), key: None, value: Some(value.as_bytes()), headers: &[] };
    builder.push(record).unwrap();
    builder.build(Offset::ZERO, None).unwrap()
}

/// A cluster of three whose coordinators' topics exist, and their partitions.
async fn start(env: &std::sync::Arc<highwater_env::TokioEnv>) -> (TestCluster, [TopicIdPartition; 2]) {
    start_with(env, SETTINGS).await
}

async fn start_with(
    env: &std::sync::Arc<highwater_env::TokioEnv>,
    settings: &[(&'static str, &'static str)],
) -> (TestCluster, [TopicIdPartition; 2]) {
    let cluster = TestCluster::start(env, 3, settings).await;
    let keys = [CoordinatorKey::Transaction(ID.into()), CoordinatorKey::Group(GROUP.into())];
    let _ = cluster.node(1).find_coordinators(&caller(), &keys).await;
    let mut found = Vec::new();
    for name in ["__transaction_state", "__consumer_offsets"] {
        for broker in 1..=3 {
            let topic_id = cluster.until(|| Some(cluster.node(broker).image().topic_named(name)?.id)).await;
            found.push(TopicIdPartition { topic_id, partition: PartitionIndex(0) });
        }
    }
    (cluster, [found[0], found[3]])
}

/// Makes a broker the leader, and waits until everybody knows.
async fn lead(cluster: &TestCluster, at: TopicIdPartition, broker: u32) {
    let others = (1..=3).filter(|other| *other != broker);
    let target = std::iter::once(broker).chain(others).map(BrokerId).collect();
    cluster.node(1).reassign_partition(&caller(), at, Some(target)).await.unwrap();
    let _ = cluster.node(1).elect_leader(&caller(), at, ElectionType::Preferred).await;
    for node in 1..=3 {
        let leader = || cluster.node(node).image().partition(at)?.leader;
        cluster.until(|| (leader() == Some(BrokerId(broker))).then_some(())).await;
    }
    cluster.until(|| cluster.node(broker).replica(at)?.leading).await;
}

/// Asks until a coordinator that has just begun has loaded.
async fn patiently<T>(
    cluster: &TestCluster,
    mut ask: impl AsyncFnMut() -> Result<T, TransactionError>,
) -> Result<T, TransactionError> {
    loop {
        match ask().await {
            Err(
                TransactionError::Loading
                | TransactionError::NotAvailable
                | TransactionError::NotCoordinator
                | TransactionError::Concurrent,
            ) => cluster.env.sleep(Duration::from_millis(2)).await,
            answer => return answer,
        }
    }
}

async fn begin(cluster: &TestCluster, at: u32) -> (ProducerId, ProducerEpoch) {
    let begin = BeginProducer { id: ID.into(), timeout_ms: 60_000, expected: None, fresh: None };
    let ask = async || cluster.node(at).begin_transactional(&caller(), begin.clone()).await;
    patiently(cluster, ask).await.unwrap()
}

/// Produces to a partition within a transaction that it joins by that.
async fn write(
    cluster: &TestCluster,
    broker: u32,
    at: TopicIdPartition,
    producer: (ProducerId, ProducerEpoch),
    value: &str,
) -> Result<(), ProduceError> {
    loop {
        let partition = ProducePartition {
            topic: TopicRef::Id(at.topic_id),
            partition: 0,
            records: records(producer, value),
        };
        let timeout = Duration::from_secs(60);
        let produce = Produce { acks: Acks::All, timeout, transactional: true, partitions: vec![partition] };
        let node = cluster.node(broker);
        match node.produce_transactional(&caller(), ID, true, produce).await.wait().await.remove(0) {
            Ok(_) => return Ok(()),
            Err(ProduceError::Transaction(
                TransactionError::Loading | TransactionError::NotCoordinator | TransactionError::Concurrent,
            )) => cluster.env.sleep(Duration::from_millis(2)).await,
            Err(error) => return Err(error),
        }
    }
}

fn end_of(producer: (ProducerId, ProducerEpoch), committed: bool) -> EndTransaction {
    EndTransaction {
        id: ID.into(),
        producer_id: producer.0.0.cast_signed(),
        producer_epoch: producer.1.0.cast_signed(),
        committed,
        bumps_epoch: true,
        fresh: None,
    }
}

fn commit_of(offset: i64, transaction: Option<Transaction>) -> CommitOffsets {
    CommitOffsets {
        group: GROUP.into(),
        member: String::new(),
        instance: None,
        generation: -1,
        retention_ms: None,
        knows_group_not_found: true,
        transaction,
        topics: vec![CommitTopic {
            name: "orders".into(),
            id: TopicId::ZERO,
            partitions: vec![CommitPartition {
                partition: 0,
                offset,
                leader_epoch: -1,
                metadata: String::new(),
            }],
        }],
    }
}

/// What a group has committed, as its coordinator tells; an error that is to be asked again.
async fn committed(cluster: &TestCluster, broker: u32) -> Result<i64, GroupError> {
    let topics = Some(vec![("orders".into(), vec![0])]);
    let fetch = FetchOffsets { group: GROUP.into(), member: None, topics, require_stable: true };
    let told = cluster.node(broker).ask_group(&caller(), GROUP, fetch).wait().await??;
    Ok(told[0].partitions[0].committed.as_ref().expect("stable").as_ref().expect("committed").offset)
}

/// Waits until everything in a partition is decided, and shown.
async fn is_decided(cluster: &TestCluster, broker: u32, at: TopicIdPartition) {
    loop {
        let fetched = cluster.fetch(broker, at, 0, None).await.unwrap();
        let end = cluster.node(broker).replica(at).unwrap().positions.log_end;
        if fetched.last_stable == end {
            return;
        }
        cluster.env.sleep(Duration::from_millis(2)).await;
    }
}

#[test]
fn markers_reach_leaders_on_other_brokers_and_offsets_another_coordinator() {
    run(async |env| {
        let (cluster, [transactions, offsets]) = start(&env).await;
        lead(&cluster, transactions, 1).await;
        lead(&cluster, offsets, 3).await;
        let orders = cluster.topic("orders", &[2, 1, 3], &[]).await;
        let producer = begin(&cluster, 1).await;
        // The leader is not the coordinator's broker: it asks there before it takes the first record.
        write(&cluster, 2, orders, producer, "paid").await.unwrap();
        let join = AddPartitions {
            id: ID.into(),
            producer_id: producer.0.0.cast_signed(),
            producer_epoch: producer.1.0.cast_signed(),
            partitions: Vec::new(),
            verify_only: false,
        };
        let transaction = Transaction { producer: producer.0, epoch: producer.1 };
        let commit = commit_of(7, Some(transaction));
        let ask = async || {
            let (join, commit) = (join.clone(), commit.clone());
            cluster.node(3).commit_transactional_offsets(&caller(), join, commit).await
        };
        let answer = patiently(&cluster, ask).await.unwrap();
        assert_eq!(answer.map_err(drop), Ok(vec![Ok(())]));
        let described = cluster.node(1).describe_transaction(&caller(), ID).await.unwrap();
        assert_eq!(described.partitions.keys().collect::<Vec<_>>(), ["__consumer_offsets", "orders"]);

        cluster.node(1).end_transaction(&caller(), end_of(producer, true)).await.unwrap();
        is_decided(&cluster, 2, orders).await;
        is_decided(&cluster, 3, offsets).await;
        assert_eq!(committed(&cluster, 3).await, Ok(7));
        cluster.end().await;
    });
}

#[test]
fn a_transaction_goes_on_when_its_coordinator_moves() {
    run(async |env| {
        let (cluster, [transactions, _]) = start(&env).await;
        lead(&cluster, transactions, 1).await;
        let orders = cluster.topic("orders", &[2, 1, 3], &[]).await;
        let invoices = cluster.topic("invoices", &[1, 2, 3], &[]).await;
        let producer = begin(&cluster, 1).await;
        write(&cluster, 2, orders, producer, "one").await.unwrap();
        lead(&cluster, transactions, 3).await;
        write(&cluster, 1, invoices, producer, "two").await.unwrap();
        let ask = async || cluster.node(3).end_transaction(&caller(), end_of(producer, true)).await;
        let next = patiently(&cluster, ask).await.unwrap();
        is_decided(&cluster, 2, orders).await;
        is_decided(&cluster, 1, invoices).await;
        let late = cluster.node(1).end_transaction(&caller(), end_of(producer, false)).await;
        assert_eq!(late, Err(TransactionError::NotCoordinator), "the former coordinator says so");
        // What the former coordinator may still have on its way ends nothing of the next transaction.
        write(&cluster, 2, orders, next, "three").await.unwrap();
        let open = cluster.fetch(2, orders, 0, None).await.unwrap().last_stable;
        let epoch_of = |broker| cluster.node(2).image().registration(BrokerId(broker)).unwrap().epoch;
        let late = WriteMarkers {
            from: BrokerId(1),
            broker_epoch: epoch_of(1),
            coordinator: PartitionIndex(0),
            coordinator_epoch: 0,
            attempt: 99,
            producer_id: next.0,
            producer_epoch: next.1,
            epoch_is_newer: false,
            committed: false,
            partitions: vec![(orders, LeaderEpoch(0))],
        };
        let ask = async |call| cluster.node(2).serve_transaction(call).await;
        match ask(TransactionCall::Markers(late.clone())).await {
            Ok(TransactionAnswer::Markers(answers)) => assert_eq!(answers, [Err(MarkerRefusal::Fenced)]),
            other => panic!("{other:?}"),
        }
        // Nor does an attempt of the present one that names another leader epoch, or comes after a later one.
        let image = cluster.node(2).image();
        let coordinator_epoch = image.leader_epoch(image.partition(transactions).unwrap()).0;
        let present =
            WriteMarkers { from: BrokerId(3), broker_epoch: epoch_of(3), coordinator_epoch, ..late };
        let elsewhere = WriteMarkers { partitions: vec![(orders, LeaderEpoch(5))], ..present.clone() };
        match ask(TransactionCall::Markers(elsewhere)).await {
            Ok(TransactionAnswer::Markers(answers)) => assert_eq!(answers, [Err(MarkerRefusal::NotLeader)]),
            other => panic!("{other:?}"),
        }
        // It may be the only answer that arrives, so it must not say that nothing is left to do.
        let doubled = WriteMarkers { attempt: 1, ..present.clone() };
        match ask(TransactionCall::Markers(doubled)).await {
            Ok(TransactionAnswer::Markers(answers)) => {
                assert!(matches!(&answers[..], [Err(MarkerRefusal::Later(_))]), "{answers:?}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(cluster.fetch(2, orders, 0, None).await.unwrap().last_stable, open);
        for (from, broker_epoch, error) in [
            (BrokerId(1), BrokerEpoch(0), TransactionCallError::StaleBroker),
            (BrokerId(1), BrokerEpoch(u64::MAX), TransactionCallError::UnknownBroker),
            (BrokerId(9), BrokerEpoch(1), TransactionCallError::UnknownBroker),
        ] {
            let spoofed = WriteMarkers { from, broker_epoch, ..present.clone() };
            assert_eq!(ask(TransactionCall::Markers(spoofed)).await.err(), Some(error));
        }
        cluster.node(3).end_transaction(&caller(), end_of(next, true)).await.unwrap();
        is_decided(&cluster, 2, orders).await;
        cluster.end().await;
    });
}

#[test]
fn a_coordinator_whose_epoch_passes_loads_again_though_nobody_asks() {
    run(async |env| {
        let (cluster, [transactions, _]) = start(&env).await;
        lead(&cluster, transactions, 1).await;
        begin(&cluster, 1).await;
        let epoch = || cluster.node(1).transactions.serves_in(0);
        let before = epoch().expect("it has just answered");
        // Nothing else happens in the cluster that would have anybody look again.
        let assigned = cluster.node(1).image().partition(transactions).expect("assigned").clone();
        let next = LeaderEpoch(assigned.stored_leader_epoch.0 + 1);
        cluster.append(MetadataRecord::PartitionChanged {
            topic: transactions.topic_id,
            partition: transactions.partition,
            isr: assigned.isr.clone(),
            leader: assigned.leader,
            leader_epoch: next,
            partition_epoch: assigned.partition_epoch + 1,
        });
        cluster.until(|| (epoch()? > before).then_some(())).await;
        cluster.end().await;
    });
}

#[test]
fn a_coordinator_with_too_few_in_sync_forgets_nothing_and_asks_for_patience() {
    run(async |env| {
        let settings = [SETTINGS, &[("min.insync.replicas", "2")]].concat();
        let (mut cluster, [transactions, offsets]) = start_with(&env, &settings).await;
        lead(&cluster, transactions, 1).await;
        lead(&cluster, offsets, 1).await;
        let orders = cluster.topic("orders", &[1, 2, 3], &[]).await;
        let commit = async |cluster: &TestCluster, offset| {
            cluster.node(1).commit_offsets(&caller(), commit_of(offset, None)).wait().await.flatten()
        };
        let passes = |error: &GroupError| {
            matches!(error, GroupError::NotCoordinator | GroupError::NotAvailable | GroupError::Loading)
        };
        let patient_commit = async |cluster: &TestCluster, offset| loop {
            match commit(cluster, offset).await {
                Err(error) if passes(&error) => cluster.env.sleep(Duration::from_millis(2)).await,
                answer => return answer,
            }
        };
        assert_eq!(patient_commit(&cluster, 7).await, Ok(vec![Ok(())]));
        let producer = begin(&cluster, 1).await;
        write(&cluster, 1, orders, producer, "before").await.unwrap();

        let disks = [cluster.stop(2).await, cluster.stop(3).await];
        let alone = || (cluster.node(1).image().partition(offsets)?.isr == [BrokerId(1)]).then_some(());
        cluster.until(alone).await;
        for _ in 0..5 {
            let refused = commit(&cluster, 8).await.unwrap_err();
            assert!(passes(&refused), "clients look again: {refused}");
            let end = cluster.node(1).end_transaction(&caller(), end_of(producer, true)).await.unwrap_err();
            assert!(
                matches!(
                    end,
                    TransactionError::NotCoordinator
                        | TransactionError::NotAvailable
                        | TransactionError::Loading
                ),
                "{end}"
            );
        }

        for (broker, disk) in [2, 3].into_iter().zip(disks) {
            cluster.boot(broker, disk).await.expect("its own disk is welcome");
        }
        assert_eq!(patient_commit(&cluster, 9).await, Ok(vec![Ok(())]));
        assert_eq!(committed(&cluster, 1).await, Ok(9));
        let ask = async || cluster.node(1).end_transaction(&caller(), end_of(producer, true)).await;
        patiently(&cluster, ask).await.expect("its transaction is still there");
        is_decided(&cluster, 1, orders).await;
        // Whoever was away follows again.
        for broker in [2, 3] {
            let end = |broker| Some(cluster.node(broker).replica(orders)?.positions.log_end);
            cluster.until(|| (end(broker) == end(1)).then_some(())).await;
        }
        cluster.end().await;
    });
}
