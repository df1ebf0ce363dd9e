//! Waiting for several things at once.

use std::{future::poll_fn, task::Poll};

use highwater_env::BoxFuture;

/// Waits until all have ended, polling them in their order. For a handful: each wake polls every one of them.
pub(crate) async fn join_all(mut running: Vec<BoxFuture<'_, ()>>) {
    poll_fn(|context| {
        running.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if running.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
