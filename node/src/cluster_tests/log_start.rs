//! Where a log starts, told to followers.

use highwater_records::Offset;

use super::{TestCluster, caller, run};
use crate::request::{OfPartition, TopicRef};

#[test]
fn idle_followers_hear_that_records_were_deleted() {
    run(async |env| {
        let cluster = TestCluster::start(&env, 3, &[]).await;
        let at = cluster.topic("orders", &[2, 3, 1], &[]).await;
        for value in ["a", "b", "c"] {
            cluster.produce(2, at, "key", value).await;
        }
        let deletion = OfPartition { topic: TopicRef::Id(at.topic_id), partition: 0, asked: 2 };
        let deleted = cluster.node(2).delete_records(&caller(), vec![deletion]).await.remove(0);
        assert_eq!(deleted.ok(), Offset::new(2));
        // Nothing is appended after it.
        for follower in [1, 3] {
            let start = || cluster.node(follower).replica(at).map(|view| view.positions.log_start);
            cluster.until(|| (start() == Offset::new(2)).then_some(())).await;
        }
        cluster.end().await;
    });
}
