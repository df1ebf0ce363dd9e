//! The tasks of a node, so that its end can wait for theirs.

use std::{future::Future, sync::Arc};

use highwater_env::{Env, Lane};
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Fewer than these are not worth a look.
const TIDY_AT_LEAST: usize = 32;

/// Tasks that were started and may still run.
#[derive(Default)]
pub(crate) struct Tasks {
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    tasks: Vec<oneshot::Receiver<()>>,
    /// Length at which those that have ended are looked for: when as many have begun as were left then.
    tidy_at: usize,
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
        if running.tasks.len() >= running.tidy_at.max(TIDY_AT_LEAST) {
            running
                .tasks
                .retain_mut(|task| matches!(task.try_recv(), Err(oneshot::error::TryRecvError::Empty)));
            running.tidy_at = running.tasks.len() * 2;
        }
        running.tasks.push(wait);
    }

    /// Waits until every task has ended, those started meanwhile included.
    pub(crate) async fn ended(&self) {
        loop {
            let Some(next) = self.running.lock().tasks.pop() else { return };
            let _ = next.await;
        }
    }
}
