//! Bits that rot on one broker's disk: the damage does not spread, and is written again with what a sound replica has.

use std::path::{Path, PathBuf};

use highwater_engine::disk::memory::MemoryDisk;
use highwater_records::{BrokerId, Offset, TopicId, TopicIdPartition, batch::BatchView};

use super::{TestCluster, run};

/// Every byte of a replica that lies on its broker's disk.
fn bytes_of(cluster: &TestCluster, broker: u32, at: TopicIdPartition) -> Vec<u8> {
    let Some(view) = cluster.node(broker).replica(at) else { return Vec::new() };
    let range = view.reader.read(Offset::ZERO, 1 << 20, view.positions.log_end, true).expect("it is there");
    range.bytes().expect("it can be read").to_vec()
}

#[test]
fn what_rots_at_the_leader_does_not_spread_and_is_written_again_once_a_follower_stumbles_over_it() {
    run(async |env| {
        let mut cluster = TestCluster::start(&env, 3, &[]).await;
        let at = cluster.topic("orders", &[2, 1, 3], &[]).await;
        cluster.produce(2, at, "a", "first").await;
        cluster.produce(2, at, "b", "second").await;
        let sound = bytes_of(&cluster, 2, at);
        cluster.until(|| (bytes_of(&cluster, 1, at) == sound).then_some(())).await;

        // The leader's disk: the last byte of a value.
        let segment = Path::new("/data/orders-0/00000000000000000000.log");
        let mut rotten = cluster.disk(2).contents(segment).expect("the active segment");
        let value = rotten.windows(6).position(|bytes| bytes == b"second").expect("not compressed") + 5;
        rotten[value] ^= 1;
        cluster.disk(2).overwrite(segment, &rotten).expect("it is there");
        let shown = cluster.fetch(2, at, 1, None).await.expect("it leads").records.concat();
        let view = BatchView::parse(&shown).expect("its header is sound");
        assert!(view.verify_crc().is_err(), "a client sees by the checksum what it was given");

        // A follower with an empty disk takes the first batch at most, until the leader has the second from the other one.
        drop(cluster.stop(3).await);
        cluster.boot(3, MemoryDisk::new()).await.expect("its disk was replaced");
        cluster.until(|| (bytes_of(&cluster, 3, at) == sound).then_some(())).await;
        let three = cluster.node(3).broker_id();
        let joined = || cluster.node(1).image().partition(at)?.isr.contains(&three).then_some(());
        cluster.until(joined).await;
        assert_eq!(bytes_of(&cluster, 2, at), sound);
        assert_eq!(cluster.node(1).image().partition(at).expect("it is there").leader, Some(two(&cluster)));

        // Nothing is thrown away because it could not be read.
        let disk = cluster.disk(2);
        let is_aside = |path: &PathBuf| path.to_string_lossy().contains(".log.cut-");
        let aside = disk.files().into_iter().find(is_aside).expect("what was damaged is kept");
        assert_eq!(disk.contents(&aside).expect("it is there"), rotten);
        cluster.end().await;
    });
}

fn two(cluster: &TestCluster) -> BrokerId {
    cluster.node(2).broker_id()
}

#[test]
fn what_rots_unread_is_found_and_written_again_by_leaders_and_followers() {
    run(async |env| {
        let often = &[("highwater.scrub.period.ms", "20"), ("log.retention.check.interval.ms", "20")];
        let cluster = TestCluster::start(&env, 3, often).await;
        let at = cluster
            .topic("orders", &[2, 1, 3], &[("retention.ms", "-1"), ("highwater.durability", "synced")])
            .await;
        cluster.produce(2, at, "a", "first").await;
        let sound = bytes_of(&cluster, 2, at);
        let segment = Path::new("/data/orders-0/00000000000000000000.log");
        for broker in [2, 1] {
            cluster.until(|| (bytes_of(&cluster, broker, at) == sound).then_some(())).await;
            let mut rotten = sound.clone();
            *rotten.last_mut().expect("a batch") ^= 1;
            cluster.disk(broker).overwrite(segment, &rotten).expect("it is there");
            let mended = || cluster.disk(broker).contents(segment).is_ok_and(|bytes| bytes == sound);
            cluster.until(|| mended().then_some(())).await;
        }
        cluster.end().await;
    });
}

#[test]
fn a_log_whose_topic_has_rotted_away_is_nobodys_and_stays() {
    run(async |env| {
        let mut cluster = TestCluster::start(&env, 3, &[]).await;
        let at = cluster.topic("orders", &[1, 2, 3], &[]).await;
        let other = cluster.topic("others", &[1, 2, 3], &[]).await;
        cluster.produce(1, at, "a", "first").await;
        cluster.produce(1, other, "a", "first").await;
        let has_both = || [at, other].iter().all(|at| !bytes_of(&cluster, 3, *at).is_empty());
        cluster.until(|| has_both().then_some(())).await;
        let disk = cluster.stop(3).await;

        // As Kafka wrote it, without a checksum, and with another id by now.
        let metadata = Path::new("/data/orders-0/partition.metadata");
        let rotten = format!("version: 0\ntopic_id: {}\n", TopicId::from_random(5, 6));
        disk.overwrite(metadata, rotten.as_bytes()).expect("it is there");
        disk.vandalize(Path::new("/data/highwater-catalog")).expect("it stopped cleanly");
        let segment = Path::new("/data/orders-0/00000000000000000000.log");
        let records = disk.contents(segment).expect("it is there");
        assert!(!records.is_empty());
        cluster.boot(3, disk.clone()).await.expect("its directory opens");
        // Roles are taken after what belongs to nobody is removed.
        cluster.until(|| (!bytes_of(&cluster, 3, other).is_empty()).then_some(())).await;
        assert_eq!(cluster.disk(3).contents(segment).expect("nobody deletes it"), records);
        cluster.end().await;
    });
}
