//! Waiting for several things at once.

use std::{future::poll_fn, task::Poll};

use highwater_env::BoxFuture;

/// How many partitions are worked on at once where many have to be.
pub(crate) const AT_ONCE: usize = 8;

/// Waits until all have ended, polling them in their order. For a handful: each wake polls every one of them.
pub(crate) async fn join_all(mut running: Vec<BoxFuture<'_, ()>>) {
    poll_fn(|context| {
        running.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if running.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
