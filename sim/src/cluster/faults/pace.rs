//! How often something goes wrong.

use std::time::Duration;

use super::{Faults, NEVER, SECOND};

impl Faults {
    /// From now on so much time lies between two faults, on average.
    pub(in crate::cluster) fn every(&mut self, interval: Duration, now: u64) {
        self.interval = interval;
        if self.next_fault != NEVER {
            self.draw_next_fault(now);
        }
    }

    /// When the next fault strikes: now and then right behind this one.
    pub(super) fn draw_next_fault(&mut self, now: u64) {
        let most = self.interval.as_nanos() as u64 * 2;
        self.next_fault =
            now + if self.random.chance(1, 10) { SECOND / 500 } else { self.random.below(most) };
    }
}
