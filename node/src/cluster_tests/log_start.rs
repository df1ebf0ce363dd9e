//! Where a log starts, told between leaders and followers.

use std::time::Duration;

use highwater_engine::disk::memory::MemoryDisk;
use highwater_records::{BrokerId, Offset, TopicIdPartition};

use super::{TestCluster, caller, run};
use crate::request::{OfPartition, PartitionError, TopicRef};

const LONG: Duration = Duration::from_secs(600);

/// Asks one broker to delete everything below an offset, -1 for all that counts.
async fn delete(
    cluster: &TestCluster,
    broker: u32,
    at: TopicIdPartition,
    to: i64,
    timeout: Duration,
) -> Result<Offset, PartitionError> {
    let deletion = OfPartition { topic: TopicRef::Id(at.topic_id), partition: 0, asked: to };
    cluster.node(broker).delete_records(&caller(), timeout, vec![deletion]).await.remove(0)
}

fn start_of(cluster: &TestCluster, broker: u32, at: TopicIdPartition) -> Offset {
    cluster.node(broker).replica(at).expect("a replica").positions.log_start
}

#[test]
fn what_was_deleted_is_gone_from_every_live_replica_and_stays_so_whoever_leads() {
    run(async |env| {
        let mut cluster = TestCluster::start(&env, 3, &[]).await;
        let at = cluster.topic("orders", &[2, 3, 1], &[]).await;
        for value in ["a", "b", "c"] {
            cluster.produce(2, at, "key", value).await;
        }
        let start = Offset::new(2).unwrap();
        assert_eq!(delete(&cluster, 2, at, 2, LONG).await, Ok(start));
        // Nothing was appended after it: idle followers hear of it, and say so.
        assert_eq!([1, 2, 3].map(|broker| start_of(&cluster, broker, at)), [start; 3]);
        // Below the start nothing is to be done, and nobody to be waited for.
        assert_eq!(delete(&cluster, 2, at, 1, Duration::ZERO).await, Ok(start));
        drop(cluster.stop(2).await);
        let leader = || cluster.node(1).image().partition(at)?.leader.filter(|one| *one != BrokerId(2));
        let BrokerId(leader) = cluster.until(leader).await;
        cluster.until(|| cluster.node(leader).replica(at)?.leading).await;
        assert_eq!(start_of(&cluster, leader, at), start);
        assert_eq!(delete(&cluster, 4 - leader, at, 3, LONG).await, Err(PartitionError::NotLeader));
        cluster.end().await;
    });
}

#[test]
fn a_replica_with_an_empty_disk_begins_with_a_batch_that_is_half_deleted() {
    run(async |env| {
        let mut cluster = TestCluster::start(&env, 3, &[]).await;
        let at = cluster.topic("orders", &[2, 3, 1], &[]).await;
        cluster.produce_all(2, at, &["a", "b", "c"]).await;
        cluster.produce(2, at, "key", "d").await;
        let start = Offset::new(1).unwrap();
        assert_eq!(delete(&cluster, 2, at, 1, LONG).await, Ok(start));
        drop(cluster.stop(3).await);
        cluster.boot(3, MemoryDisk::new()).await.expect("its disk was replaced");
        let joined = || cluster.node(2).image().partition(at)?.isr.contains(&BrokerId(3)).then_some(());
        cluster.until(joined).await;
        assert_eq!(start_of(&cluster, 3, at), start);
        assert_eq!(cluster.node(3).replica(at).unwrap().positions.log_end, Offset::new(4).unwrap());
        cluster.end().await;
    });
}

#[test]
fn who_cannot_wait_for_a_live_replica_is_told_how_far_it_has_come() {
    run(async |env| {
        let mut cluster = TestCluster::start(&env, 3, &[]).await;
        let at = cluster.topic("orders", &[2, 3], &[("min.insync.replicas", "1")]).await;
        let alone = cluster.topic("alone", &[2], &[]).await;
        for partition in [at, alone] {
            cluster.produce(2, partition, "key", "a").await;
        }
        let one = Offset::new(1).unwrap();
        // Its session lasts: the controller takes it for alive.
        drop(cluster.lose(3));
        let late = delete(&cluster, 2, at, -1, Duration::from_millis(50)).await;
        assert_eq!(late, Err(PartitionError::TimedOut { log_start: Offset::ZERO }));
        assert_eq!(start_of(&cluster, 2, at), one, "it is deleted here all the same");
        assert_eq!(delete(&cluster, 2, alone, -1, Duration::ZERO).await, Ok(one), "there is nobody else");
        cluster.end().await;
    });
}
