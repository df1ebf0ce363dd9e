//! A disk without room.

use highwater_engine::disk::memory::MemoryDisk;

use super::{TestCluster, run};
use crate::request::ProduceError;

/// Bytes of all files.
fn used(disk: &MemoryDisk) -> u64 {
    disk.files().iter().map(|file| disk.contents(file).map_or(0, |bytes| bytes.len() as u64)).sum()
}

#[test]
fn what_could_not_be_synced_is_once_there_is_room_though_nobody_appends() {
    run(async |env| {
        let cluster = TestCluster::start(&env, 1, &[]).await;
        let at = cluster.topic("orders", &[1], &[("highwater.durability", "synced")]).await;
        // Room for a record, and not for a file of the journal.
        cluster.disk(1).set_capacity(Some(used(cluster.disk(1)) + 8192));
        let refused = cluster.try_produce(1, at, "key", "value").await;
        assert!(matches!(refused, Err(ProduceError::Storage(_))), "{refused:?}");
        let positions = || cluster.node(1).replica(at).expect("it leads").positions;
        assert_eq!((positions().durable_end.get(), positions().log_end.get()), (0, 1));
        cluster.disk(1).set_capacity(None);
        cluster.until(|| (positions().high_watermark.get() == 1).then_some(())).await;
        cluster.end().await;
    });
}
