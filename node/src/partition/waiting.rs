//! Requests that wait for a partition (Kafka's purgatory).

use std::sync::{Arc, Weak};

use highwater_records::Offset;
use highwater_replication::Acks;
use tokio::sync::{Notify, oneshot};

use crate::request::ProduceError;

/// An append that waits for its acknowledgement.
pub(crate) struct WaitingProduce {
    /// What it waits for.
    pub(crate) acks: Acks,
    /// The offset after its last record: what the deciding position must reach.
    pub(crate) next_offset: Offset,
    /// Told once, when it is acknowledged or can no longer be. Nobody listens after the request's deadline.
    pub(crate) reply: oneshot::Sender<Result<(), ProduceError>>,
}

/// Requests to wake when what they wait for may be there. One that gave up is dropped from here by and by.
#[derive(Default)]
pub(crate) struct Waiting {
    signals: Vec<Weak<Notify>>,
    /// Length at which those that gave up are looked for, so that the search costs a constant per wait.
    tidy_at: usize,
}

impl Waiting {
    const TIDY_AT_LEAST: usize = 8;

    /// Wakes `signal` once, at the next [`Waiting::wake`].
    pub(crate) fn push(&mut self, signal: &Arc<Notify>) {
        if self.signals.len() >= self.tidy_at.max(Self::TIDY_AT_LEAST) {
            self.signals.retain(|signal| signal.strong_count() > 0);
            self.tidy_at = self.signals.len() * 2;
        }
        self.signals.push(Arc::downgrade(signal));
    }

    /// Wakes everyone who waits.
    pub(crate) fn wake(&mut self) {
        for signal in self.signals.drain(..) {
            if let Some(signal) = signal.upgrade() {
                signal.notify_one();
            }
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.signals.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fetches_that_gave_up_do_not_pile_up() {
        let mut waiting = Waiting::default();
        let patient = Arc::new(Notify::new());
        waiting.push(&patient);
        for _ in 0..10_000 {
            waiting.push(&Arc::new(Notify::new()));
        }
        assert!(waiting.len() <= Waiting::TIDY_AT_LEAST);
        assert!(waiting.signals.iter().any(|signal| signal.strong_count() > 0));
    }
}
