use std::{pin::Pin, time::Duration};

use tokio::time::{Instant, Sleep, sleep_until};

/// The least a client must do while a request or a response is half way: so many bytes a second, after a time of
/// grace. Clients that dribble would otherwise hold memory for ever.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) grace: Duration,
    pub(super) bytes_per_second: u64,
}

/// One transfer under a [`Pace`]. Its timer is set once and looked at when it fires, not moved with every byte.
pub(super) struct Transfer {
    pace: Pace,
    started: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    pub(super) fn start(self) -> Transfer {
        Transfer { pace: self, started: Instant::now(), timer: None }
    }

    fn allows(&self, moved: usize) -> Duration {
        self.grace + Duration::from_secs(moved as u64 / self.bytes_per_second.max(1))
    }
}

impl Transfer {
    /// Time that was not the client's fault does not count.
    pub(super) fn forgive(&mut self, time: Duration) {
        self.started += time;
    }

    /// Completes when a client that has moved `moved` bytes so far is too slow. `moved` is what is known when the
    /// wait begins: whoever moves more waits anew.
    pub(super) async fn too_slow(&mut self, moved: usize) {
        let deadline = self.started + self.pace.allows(moved);
        loop {
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            timer.as_mut().await;
            if Instant::now() >= deadline {
                return;
            }
            timer.as_mut().reset(deadline);
        }
    }
}
