//! A disk that has failed or hangs: others lead, and who has nothing to write to ends.

use std::io;

use highwater_engine::disk::memory::{Fault, Operation};
use highwater_metadata::BrokerState;
use highwater_records::BrokerId;

use super::{TestCluster, run};
use crate::{EndedByItself, request::ProduceError};

#[test]
fn a_broker_whose_directory_is_offline_tells_and_ends_and_others_lead() {
    run(async |env| {
        let mut cluster = TestCluster::start(&env, 3, &[]).await;
        let at = cluster.topic("orders", &[2, 1, 3], &[("highwater.durability", "synced")]).await;
        cluster.produce(2, at, "a", "first").await;
        let first = cluster.node(2).clone();
        cluster.disk(2).inject(Fault {
            after: 0,
            operations: vec![Operation::Sync],
            error: io::ErrorKind::Other,
            lasting: true,
        });
        let refused = cluster.try_produce(2, at, "b", "lost").await.unwrap_err();
        assert!(matches!(refused, ProduceError::Storage(_) | ProduceError::NotLeader), "{refused:?}");

        let why = first.ends().await;
        assert!(matches!(why, Some(EndedByItself::DirectoryOffline(_))), "{why:?}");
        let image = cluster.node(1).image();
        assert_eq!(image.registration(BrokerId(2)).map(|latest| latest.state), Some(BrokerState::Fenced));
        let partition = image.partition(at).expect("it is there");
        assert_eq!(partition.leader, Some(BrokerId(1)));
        assert!(!partition.isr.contains(&BrokerId(2)), "{partition:?}");
        assert!(
            first.stop().await.unwrap_err().to_string().contains("offline"),
            "and that was no clean stop"
        );
        drop(first);

        // The others go on. What the failed disk has is read by its next process, which follows.
        cluster.until(|| cluster.node(1).replica(at)?.leading).await;
        cluster.produce(1, at, "c", "second").await;
        let disk = cluster.lose(2);
        disk.clear_faults();
        cluster.boot(2, disk).await.expect("the disk is sound again");
        let joined = || cluster.node(1).image().partition(at)?.isr.contains(&BrokerId(2)).then_some(());
        cluster.until(joined).await;
        cluster.end().await;
    });
}
