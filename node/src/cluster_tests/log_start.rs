//! Where a log starts, told between leaders and followers.

use std::{sync::Arc, time::Duration};

use highwater_engine::disk::{RealDisk, memory::MemoryDisk};
use highwater_env::{EnvExt, TokioEnv};
use highwater_records::{BrokerId, Offset, TopicIdPartition};
use highwater_tiering::bucket::file::FileBucket;
use tempfile::TempDir;

use super::{TestCluster, caller, run};
use crate::request::{FetchError, OfPartition, PartitionError, TopicRef};

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

/// A cluster with its bucket's directory, which is asked for everything all the time, and a partition on brokers 2 and 3 with
/// three records, each a segment that goes to the bucket.
async fn tiered(env: &Arc<TokioEnv>) -> (TempDir, TestCluster, TopicIdPartition) {
    let root = tempfile::tempdir().expect("a directory");
    let bucket = FileBucket::open(env.clone(), Arc::new(RealDisk), root.path().to_owned()).await;
    let bucket = Arc::new(bucket.expect("an empty directory"));
    let often = &[
        ("log.retention.check.interval.ms", "20"),
        ("remote.log.manager.task.interval.ms", "20"),
        ("remote.history.retention.ms", "0"),
    ];
    let cluster = TestCluster::start_with(env, 3, often, Some(bucket)).await;
    let configs = [("internal.segment.bytes", "100"), ("local.retention.bytes", "1"), ("retention.ms", "-1")];
    let at = cluster.topic("orders", &[2, 3], &configs).await;
    // Until its head was read nothing is taken.
    while cluster.try_produce(2, at, "key", "a").await.is_err() {
        env.sleep(Duration::from_millis(2)).await;
    }
    cluster.produce(2, at, "key", "b").await;
    cluster.produce(2, at, "key", "c").await;
    (root, cluster, at)
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

#[test]
fn a_replica_with_an_empty_disk_joins_though_the_bucket_has_lost_everything() {
    run(async |env| {
        let (root, mut cluster, at) = tiered(&env).await;
        let positions = |cluster: &TestCluster, broker| Some(cluster.node(broker).replica(at)?.positions);
        let two = Offset::new(2).unwrap();
        cluster.until(|| (positions(&cluster, 2)?.local_start >= two).then_some(())).await;

        drop(cluster.stop(3).await);
        for kind in ["heads", "segments"] {
            std::fs::remove_dir_all(root.path().join(kind)).expect("the bucket has it");
        }
        cluster.boot(3, MemoryDisk::new()).await.expect("its disk was replaced");
        let joined = || cluster.node(2).image().partition(at)?.isr.contains(&BrokerId(3)).then_some(());
        cluster.until(joined).await;
        let (leader, joined) = (positions(&cluster, 2).unwrap(), positions(&cluster, 3).unwrap());
        assert_eq!(
            (joined.local_start, joined.log_end, joined.log_start),
            (leader.local_start, leader.log_end, Offset::ZERO)
        );
        cluster.end().await;
    });
}

#[test]
fn what_the_leader_before_took_from_the_bucket_a_new_one_does_not_offer() {
    run(async |env| {
        let (root, mut cluster, at) = tiered(&env).await;
        let local_start = |cluster: &TestCluster| Some(cluster.node(3).replica(at)?.positions.local_start);
        let two = Offset::new(2).unwrap();
        cluster.until(|| (local_start(&cluster)? >= two).then_some(())).await;

        // After a clean stop a log is as it was.
        let disk = cluster.stop(3).await;
        cluster.boot(3, disk).await.expect("it was stopped cleanly");
        let joined = || cluster.node(2).image().partition(at)?.isr.contains(&BrokerId(3)).then_some(());
        cluster.until(joined).await;

        // Its follower hears of one more record, and of nothing after it.
        cluster.mute(2);
        let last = cluster.produce_here(2, at, "d").await;
        let log_end = |broker| cluster.node(broker).replica(at).map(|view| view.positions.log_end);
        cluster.until(|| (log_end(3)? > last).then_some(())).await;
        let one = Offset::new(1).unwrap();
        let late = delete(&cluster, 2, at, 1, Duration::ZERO).await;
        assert_eq!(late, Err(PartitionError::TimedOut { log_start: Offset::ZERO }));
        let segments = root.path().join(format!("segments/{}/0", at.topic_id));
        let first = format!("{:020}-", 0);
        let is_first = |file: std::io::Result<std::fs::DirEntry>| {
            file.is_ok_and(|file| file.file_name().to_string_lossy().starts_with(&first))
        };
        let is_there = || std::fs::read_dir(&segments).is_ok_and(|mut files| files.any(is_first));
        cluster.until(|| (!is_there()).then_some(())).await;
        assert_eq!(start_of(&cluster, 3, at), Offset::ZERO);

        drop(cluster.stop(2).await);
        cluster.until(|| (start_of(&cluster, 3, at) == one).then_some(())).await;
        let below = cluster.fetch(3, at, 0, None).await;
        assert!(matches!(below, Err(FetchError::OffsetOutOfRange { log_start, .. }) if log_start == one));
        cluster.end().await;
    });
}
