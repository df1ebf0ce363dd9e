//! The positions of a log, on one line.

use highwater_records::Offset;

/// One consistent snapshot of a log's positions.
///
/// ```text
/// log_start <= last_stable <= high_watermark <= log_end
/// log_start <= local_start <= log_end
/// recovery_point <= durable_end <= log_end
/// ```
///
/// Checked on every mutation, in release builds too. Nothing else is promised: on a replicated log the watermark may
/// lie above the durable end, and either may lie below the local start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Positions {
    /// The first offset that may be read, here or in the bucket (inclusive).
    pub log_start: Offset,
    /// The first offset that is here (inclusive).
    pub local_start: Offset,
    /// Everything below has been synced (exclusive).
    pub durable_end: Offset,
    /// Where recovery starts after a crash: the durable end when it was last written down (exclusive).
    pub recovery_point: Offset,
    /// Where the next record goes (exclusive).
    pub log_end: Offset,
    /// Everything below may be shown to consumers (exclusive).
    pub high_watermark: Offset,
    /// Everything below is decided (exclusive): the high watermark, or the first record of a transaction that is open or
    /// whose marker is not below the high watermark yet.
    pub last_stable: Offset,
}

impl Positions {
    /// A log without records that starts here.
    pub(crate) const fn starting_at(start: Offset) -> Positions {
        Positions {
            log_start: start,
            local_start: start,
            durable_end: start,
            recovery_point: start,
            log_end: start,
            high_watermark: start,
            last_stable: start,
        }
    }

    /// # Panics
    /// When an order does not hold: going on would show or lose what must not be.
    #[track_caller]
    pub(crate) fn assert_order(&self) {
        let holds = self.log_start <= self.last_stable
            && self.last_stable <= self.high_watermark
            && self.high_watermark <= self.log_end
            && self.log_start <= self.local_start
            && self.local_start <= self.log_end
            && self.recovery_point <= self.durable_end
            && self.durable_end <= self.log_end;
        assert!(holds, "the order of the log's positions is broken: {self:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_is_checked() {
        let five = Offset::new(5).unwrap();
        let good = Positions::starting_at(five);
        good.assert_order();
        let six = Offset::new(6).unwrap();
        let changes: [fn(&mut Positions, Offset); 6] = [
            |p, o| p.log_start = o,
            |p, o| p.local_start = o,
            |p, o| p.durable_end = o,
            |p, o| p.recovery_point = o,
            |p, o| p.high_watermark = o,
            |p, o| p.last_stable = o,
        ];
        for change in changes {
            let mut bad = good;
            change(&mut bad, six);
            assert!(std::panic::catch_unwind(|| bad.assert_order()).is_err(), "{bad:?}");
        }
    }
}
