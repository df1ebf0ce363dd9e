//! The tasks of a node, so that its end can wait for theirs.

use std::{future::Future, sync::Arc};

use highwater_env::{Env, Lane};
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Tasks that were started and may still run.
#[derive(Default)]
pub(crate) struct Tasks {
    running: Mutex<Vec<oneshot::Receiver<()>>>,
}

impl Tasks {
    /// Starts a task.
    pub(crate) fn spawn(
        &self,
        env: &Arc<dyn Env>,
        lane: Lane,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let (ended, wait) = oneshot::channel();
        env.spawn(
            lane,
            Box::pin(async move {
                // Everything the task holds is dropped before it is said to have ended.
                task.await;
                let _ = ended.send(());
            }),
        );
        let mut running = self.running.lock();
        running.retain_mut(|task| matches!(task.try_recv(), Err(oneshot::error::TryRecvError::Empty)));
        running.push(wait);
    }

    /// Waits until every task has ended, those started meanwhile included.
    pub(crate) async fn ended(&self) {
        loop {
            let Some(next) = self.running.lock().pop() else { return };
            let _ = next.await;
        }
    }
}
