//! Which attempts of transaction coordinators have been here, so that a late copy of one ends nothing.

use std::collections::BTreeMap;

use highwater_records::ProducerId;

use crate::museum::{Bug, has};

/// What an attempt is beside those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// Later than all of them.
    Latest,
    /// A copy of the latest one, or overtaken by it on its way: by the same coordinator. Whether that one has written its
    /// marker, nobody knows from this.
    Overtaken,
    /// Of a coordinator that another one has followed.
    Former,
}

/// The latest attempt of each producer, since this broker leads.
///
/// A producer of the older protocol keeps its epoch from one transaction to the next, so nothing in the log tells a
/// late marker of the last transaction from one of the next.
#[derive(Default)]
pub(crate) struct Attempts {
    latest: BTreeMap<ProducerId, (u32, u64)>,
    /// Length at which producers that the log has forgotten are looked for.
    tidy_at: usize,
}

impl Attempts {
    const TIDY_AT_LEAST: usize = 1000;

    /// Notes an attempt, and answers what it is beside those before. `is_known` says whether the log remembers a
    /// producer: others need not be remembered here.
    pub(crate) fn take(
        &mut self,
        producer: ProducerId,
        (coordinator_epoch, number): (u32, u64),
        is_known: impl Fn(ProducerId) -> bool,
    ) -> Attempt {
        if self.latest.len() >= self.tidy_at.max(Self::TIDY_AT_LEAST) {
            self.latest.retain(|producer, _| is_known(*producer));
            self.tidy_at = self.latest.len() * 2;
        }
        let latest = self.latest.entry(producer).or_default();
        match (coordinator_epoch, number) {
            this if this > *latest => {
                *latest = this;
                Attempt::Latest
            }
            _ if coordinator_epoch == latest.0 && has(Bug::LateMarkersCount) => Attempt::Latest,
            _ if coordinator_epoch == latest.0 => Attempt::Overtaken,
            _ if has(Bug::FormerCoordinatorEnds) => Attempt::Latest,
            _ => Attempt::Former,
        }
    }

    /// Another leader epoch begins: attempts name it.
    pub(crate) fn clear(&mut self) {
        self.latest.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_counts_once_and_none_after_a_later_one() {
        let mut attempts = Attempts::default();
        let mut take =
            |producer, epoch, number| attempts.take(ProducerId(producer), (epoch, number), |_| true);
        assert_eq!(
            (take(1, 4, 1), take(1, 4, 1)),
            (Attempt::Latest, Attempt::Overtaken),
            "doubled on its way"
        );
        assert_eq!((take(1, 4, 3), take(1, 4, 2)), (Attempt::Latest, Attempt::Overtaken), "overtaken");
        assert_eq!(take(2, 4, 2), Attempt::Latest, "another producer");
        assert_eq!(
            (take(1, 5, 1), take(1, 4, 9)),
            (Attempt::Latest, Attempt::Former),
            "a former coordinator"
        );
        attempts.clear();
        assert_eq!(attempts.take(ProducerId(1), (4, 1), |_| true), Attempt::Latest);
    }

    #[test]
    fn who_is_forgotten_costs_nothing() {
        let mut attempts = Attempts::default();
        for producer in 0..10_000 {
            let attempt = attempts.take(ProducerId(producer), (0, 1), |known| known.0 % 1000 == 0);
            assert_eq!(attempt, Attempt::Latest);
        }
        assert!(attempts.latest.len() <= Attempts::TIDY_AT_LEAST);
    }
}
