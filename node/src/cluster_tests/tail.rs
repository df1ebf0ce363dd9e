//! A broker without a metadata log of its own knows what the others know.

use std::time::Duration;

use highwater_engine::disk::memory::MemoryDisk;
use highwater_metadata::{MetadataRecord, decide::ElectionType};
use highwater_records::{BrokerId, LeaderEpoch, Offset};

use super::{TestCluster, caller, run};
use crate::peers::{MetadataNews, MetadataTail, MetadataTailError};

async fn same_image(cluster: &TestCluster) {
    let same = || {
        let (first, third) = (cluster.node(1).image(), cluster.node(3).image());
        (first.applied() == third.applied()).then_some((first, third))
    };
    let (first, third) = cluster.until(same).await;
    assert_eq!(first, third, "the same entries, the same image");
}

#[test]
fn it_replicates_leads_and_decides_like_any_other() {
    run(async |env| {
        let mut cluster = TestCluster::start(&env, 2, &[]).await;
        cluster.followers.insert(BrokerId(3));
        cluster.boot(3, MemoryDisk::new()).await.unwrap();
        cluster.until(|| cluster.node(1).image().is_active(BrokerId(3)).then_some(())).await;
        let at = cluster.topic("orders", &[3, 1, 2], &[]).await;
        assert_eq!(cluster.produce(3, at, "a", "first").await, Offset::ZERO);
        // What it decides goes to the controller and comes back.
        let target = [1, 2, 3].map(BrokerId).to_vec();
        cluster.node(3).reassign_partition(&caller(), at, Some(target)).await.unwrap();
        cluster.node(3).elect_leader(&caller(), at, ElectionType::Preferred).await.unwrap();
        assert_eq!(cluster.node(3).controller(), Some(BrokerId(1)));
        cluster.until(|| cluster.node(1).replica(at)?.leading).await;
        cluster.produce(1, at, "b", "second").await;
        same_image(&cluster).await;
        cluster.end().await;
    });
}

#[test]
fn who_is_far_behind_gets_what_the_entries_add_up_to() {
    run(async |env| {
        let mut cluster = TestCluster::start(&env, 2, &[]).await;
        let at = cluster.topic("orders", &[1, 2], &[]).await;
        for floor in 1..=50 {
            cluster
                .append(MetadataRecord::EpochFloorRaised { broker: BrokerId(1), floor: LeaderEpoch(floor) });
            cluster.until(|| (cluster.node(1).image().applied() == cluster.committed()).then_some(())).await;
        }
        let tail = |after| {
            let request = MetadataTail { cluster_id: None, after, max_wait: Duration::ZERO, max_records: 2 };
            cluster.node(1).serve_metadata_tail(request)
        };
        let from_the_start = tail(None).await.unwrap();
        assert!(
            matches!(from_the_start.news, MetadataNews::Snapshot(image) if image.topic(at.topic_id).is_some())
        );
        let all = cluster.committed().unwrap();
        let some = tail(highwater_metadata::EntryId::new(all.get() - 5)).await.unwrap();
        match some.news {
            MetadataNews::Entries(entries) => assert_eq!(
                entries.iter().map(|entry| entry.id.get()).collect::<Vec<_>>(),
                [all.get() - 4, all.get() - 3]
            ),
            MetadataNews::Snapshot(_) => panic!("the latest entries are kept"),
        }
        cluster.followers.insert(BrokerId(3));
        cluster.boot(3, MemoryDisk::new()).await.unwrap();
        cluster.until(|| cluster.node(1).image().is_active(BrokerId(3)).then_some(())).await;
        let other = cluster.topic("invoices", &[3, 1], &[]).await;
        cluster.produce(3, other, "a", "first").await;
        same_image(&cluster).await;
        cluster.end().await;
    });
}

#[test]
fn another_cluster_is_told_nothing() {
    run(async |env| {
        let cluster = TestCluster::start(&env, 1, &[]).await;
        let request = MetadataTail {
            cluster_id: Some("another".into()),
            after: None,
            max_wait: Duration::ZERO,
            max_records: 1,
        };
        let expected = cluster.node(1).image().cluster_id().unwrap().to_owned();
        let refused = cluster.node(1).serve_metadata_tail(request).await.unwrap_err();
        assert_eq!(refused, MetadataTailError::OtherCluster { found: "another".into(), expected });
        cluster.end().await;
    });
}
