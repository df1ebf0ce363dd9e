//! A rate over a moving window, as Kafka measures one for quotas.

use std::{collections::VecDeque, time::Duration};

use highwater_env::Instant;

/// Windows of one second each (`quota.window.size.seconds`, `quota.window.num`).
const WINDOW: Duration = Duration::from_secs(1);
const WINDOWS: u32 = 11;

/// What was counted in the last eleven seconds.
#[derive(Default)]
pub(super) struct Rate {
    /// When each window began, and what fell into it; oldest first.
    windows: VecDeque<(Instant, f64)>,
}

impl Rate {
    /// Counts `value`, which may be negative to take something back.
    pub(super) fn count(&mut self, value: f64, now: Instant) {
        self.forget(now);
        match self.windows.back_mut() {
            Some((began, sum)) if now < began.plus(WINDOW) => *sum += value,
            _ => self.windows.push_back((now, value)),
        }
    }

    /// How long to pause so that the rate falls to `limit` per second; zero while it is not above that.
    pub(super) fn pause(&mut self, limit: f64, now: Instant) -> Duration {
        self.forget(now);
        let Some((oldest, _)) = self.windows.front() else { return Duration::ZERO };
        // At least ten windows are taken to have passed, so that a first burst is not all there ever was.
        let elapsed = now.since(*oldest).max(WINDOW * (WINDOWS - 1)).as_secs_f64();
        let sum: f64 = self.windows.iter().map(|(_, sum)| sum).sum();
        let rate = sum / elapsed;
        if rate <= limit {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64((rate - limit) / limit * elapsed).unwrap_or(Duration::MAX)
    }

    /// Whether nothing was counted for so long that nothing is known.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        self.windows.back().is_none_or(|(began, _)| now > began.plus(WINDOW * WINDOWS))
    }

    fn forget(&mut self, now: Instant) {
        while self.windows.front().is_some_and(|(began, _)| now >= began.plus(WINDOW * WINDOWS)) {
            self.windows.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::ZERO.plus(Duration::from_millis(ms))
    }

    #[test]
    fn a_burst_pauses_until_its_rate_is_within_the_limit() {
        let mut rate = Rate::default();
        rate.count(1000.0, at(0));
        assert_eq!(rate.pause(100.0, at(0)), Duration::ZERO, "1000 in ten seconds are 100 a second");
        rate.count(1000.0, at(500));
        // 2000 in ten seconds are twice the limit: as long again.
        assert_eq!(rate.pause(100.0, at(500)), Duration::from_secs(10));
        rate.count(-1000.0, at(600));
        assert_eq!(rate.pause(100.0, at(600)), Duration::ZERO);
        assert!(!rate.is_idle(at(10_000)));
        assert_eq!(rate.pause(1.0, at(11_000)), Duration::ZERO, "forgotten");
        assert!(rate.is_idle(at(11_001)));
    }
}
