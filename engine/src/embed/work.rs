//! Commits that tasks wait for, and the thread that does them.

use std::{collections::BTreeMap, sync::Arc};

use super::{shared::Shared, sync::Mutex, watch::Watch};

/// Which logs somebody waits for who cannot block.
#[derive(Default)]
pub(super) struct Work {
    queue: Mutex<Queue>,
    watch: Watch,
}

#[derive(Default)]
struct Queue {
    logs: BTreeMap<String, Arc<Shared>>,
    closed: bool,
}

impl Work {
    /// Asks for everything in `log` to be committed.
    pub(super) fn ask(&self, log: &Arc<Shared>) {
        self.queue.lock().logs.insert(log.name.clone(), log.clone());
        self.watch.change();
    }

    /// Lets [`Work::run`] return.
    pub(super) fn close(&self) {
        self.queue.lock().closed = true;
        self.watch.change();
    }

    /// Commits what is asked for until it is closed.
    pub(super) fn run(&self) {
        loop {
            let seen = self.watch.changes();
            let (logs, closed) = {
                let mut queue = self.queue.lock();
                (std::mem::take(&mut queue.logs), queue.closed)
            };
            if logs.is_empty() {
                if closed {
                    return;
                }
                self.watch.wait(seen);
            }
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
