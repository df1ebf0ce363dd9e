//! Commits that tasks wait for, and the thread that does them.

use std::{collections::BTreeMap, sync::Arc};

use super::{WriteAllError, batches::Handed, shared::Shared, watch::Watch};
use crate::sync::Mutex;

/// What somebody waits for who cannot block.
#[derive(Default)]
pub(super) struct Work {
    queue: Mutex<Queue>,
    watch: Watch,
}

#[derive(Default)]
struct Queue {
    logs: BTreeMap<String, Arc<Shared>>,
    batches: Vec<Arc<Handed>>,
    closed: bool,
}

impl Work {
    /// Asks for everything in `log` to be committed.
    pub(super) fn ask(&self, log: &Arc<Shared>) {
        self.queue.lock().logs.insert(log.name.clone(), log.clone());
        self.watch.change();
    }

    /// Asks for an append to several logs.
    pub(super) fn ask_all(&self, batches: &Arc<Handed>) {
        {
            let mut queue = self.queue.lock();
            if !queue.closed {
                queue.batches.push(batches.clone());
                drop(queue);
                return self.watch.change();
            }
        }
        batches.end(Err(WriteAllError::Closed));
    }

    /// Lets [`Work::run`] return.
    pub(super) fn close(&self) {
        let never = {
            let mut queue = self.queue.lock();
            queue.closed = true;
            std::mem::take(&mut queue.batches)
        };
        never.iter().for_each(|batches| batches.end(Err(WriteAllError::Closed)));
        self.watch.change();
    }

    /// Commits what is asked for until it is closed.
    pub(super) fn run(&self) {
        loop {
            let seen = self.watch.changes();
            let (logs, batches, closed) = {
                let mut queue = self.queue.lock();
                (std::mem::take(&mut queue.logs), std::mem::take(&mut queue.batches), queue.closed)
            };
            if logs.is_empty() && batches.is_empty() {
                if closed {
                    return;
                }
                self.watch.wait(seen);
            }
            batches.iter().for_each(|batches| batches.run());
            for log in logs.into_values() {
                let end = log.log.lock().as_ref().map(|log| log.positions().log_end);
                if let Some(end) = end {
                    // Whoever waits sees how it went: by the durable end, the directory's health or the refusal.
                    let _ = log.commit_up_to(end);
                }
            }
        }
    }
}
