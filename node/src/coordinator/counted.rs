use std::sync::Arc;

use highwater_records::{LeaderEpoch, Offset};
use tokio::sync::Notify;

use crate::partition::Partition;

/// Waits until the watermark has reached `end` (exclusive); `false` if this broker does not lead in `epoch` any more.
pub(super) async fn until_counted(partition: &Partition, epoch: LeaderEpoch, end: Offset) -> bool {
    let signal = Arc::new(Notify::new());
    loop {
        let told = signal.clone();
        let reached = partition.with(move |state| {
            let leads = state.leading() == Ok(epoch);
            leads.then(|| state.view_and_wait(&told).positions.high_watermark >= end)
        });
        match reached.await {
            Ok(Some(true)) => return true,
            Ok(Some(false)) => signal.notified().await,
            Ok(None) | Err(_) => return false,
        }
    }
}
