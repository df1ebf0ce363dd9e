//! Work that goes on when whoever wanted it has gone away.

use std::{future::Future, sync::Arc};

use highwater_env::{Env, Lane};
use tokio::sync::oneshot;

/// Runs `work` as a task of its own and waits for its value; `None` if the task died. Dropping the wait does not
/// stop the work.
pub(crate) async fn detached<T: Send + 'static>(
    env: &Arc<dyn Env>,
    lane: Lane,
    work: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let (reply, answer) = oneshot::channel();
    env.spawn(
        lane,
        Box::pin(async move {
            let _ = reply.send(work.await);
        }),
    );
    answer.await.ok()
}
