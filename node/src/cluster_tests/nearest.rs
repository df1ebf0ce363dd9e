//! Reads from the nearest rack (KIP-392).

use highwater_records::{BrokerId, Offset};

use super::{TestCluster, run};
use crate::request::FetchError;

const NEAREST: (&str, &str) =
    ("replica.selector.class", "org.apache.kafka.common.replica.RackAwareReplicaSelector");

#[test]
fn a_consumer_is_sent_to_the_replica_in_its_rack_and_served_there() {
    run(async |env| {
        let cluster = TestCluster::start(&env, 4, &[NEAREST]).await;
        let at = cluster.topic("orders", &[1, 2, 3], &[]).await;
        cluster.produce(1, at, "a", "first").await;
        let last = cluster.produce(1, at, "b", "second").await;
        let end = Offset::new(last.get() + 1).unwrap();

        let sent = cluster.fetch(1, at, 0, Some("rack-3")).await.unwrap();
        assert_eq!((sent.preferred_replica, sent.is_empty()), (Some(BrokerId(3)), true));
        // A follower shows a record once it knows that it counts, which may be a moment later.
        let from_follower = loop {
            let fetched = cluster.fetch(3, at, 0, Some("rack-3")).await.unwrap();
            assert!(fetched.by_follower && fetched.preferred_replica.is_none());
            assert!(fetched.high_watermark <= end);
            if fetched.high_watermark == end {
                break fetched;
            }
        };
        let from_leader = cluster.fetch(1, at, 0, None).await.unwrap();
        assert!(!from_leader.by_follower && !from_leader.is_empty());
        assert_eq!(from_follower.records.concat(), from_leader.records.concat());
        cluster.end().await;
    });
}

#[test]
fn the_leader_serves_who_is_as_near_to_nobody_else() {
    run(async |env| {
        let cluster = TestCluster::start(&env, 4, &[NEAREST]).await;
        let at = cluster.topic("orders", &[1, 2], &[]).await;
        cluster.produce(1, at, "a", "first").await;
        // Its own rack, one without a replica, one that nobody has, none, and a consumer that cannot be sent anywhere.
        for rack in [Some("rack-1"), Some("rack-4"), Some("nowhere"), Some(""), None] {
            let fetched = cluster.fetch(1, at, 0, rack).await.unwrap();
            assert_eq!((fetched.preferred_replica, fetched.is_empty()), (None, false), "{rack:?}");
        }
        // Nobody has what is beyond the end.
        assert!(matches!(
            cluster.fetch(1, at, 9, Some("rack-2")).await,
            Err(FetchError::OffsetOutOfRange { .. })
        ));
        cluster.end().await;
    });
}

#[test]
fn followers_serve_only_who_knows_that_they_follow() {
    run(async |env| {
        let cluster = TestCluster::start(&env, 3, &[NEAREST]).await;
        let at = cluster.topic("orders", &[1, 2], &[]).await;
        assert_eq!(cluster.produce(1, at, "a", "first").await, Offset::ZERO);
        assert_eq!(cluster.fetch(2, at, 0, None).await.unwrap_err(), FetchError::NotLeader);
        // No replica at all.
        assert_eq!(cluster.fetch(3, at, 0, Some("rack-3")).await.unwrap_err(), FetchError::NotLeader);
        // Beyond its end: the reader asks the leader.
        assert!(matches!(
            cluster.fetch(2, at, 5, Some("rack-2")).await,
            Err(FetchError::OffsetOutOfRange { .. })
        ));
        cluster.end().await;
    });
}

#[test]
fn nobody_is_sent_anywhere_unless_it_is_configured() {
    run(async |env| {
        let cluster = TestCluster::start(&env, 2, &[]).await;
        let at = cluster.topic("orders", &[1, 2], &[]).await;
        cluster.produce(1, at, "a", "first").await;
        let fetched = cluster.fetch(1, at, 0, Some("rack-2")).await.unwrap();
        assert_eq!((fetched.preferred_replica, fetched.is_empty()), (None, false));
        cluster.end().await;
    });
}
