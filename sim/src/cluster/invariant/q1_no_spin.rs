//! Q1: nobody asks the same again and again while nothing changes. A follower that tells its leader where it stands, is
//! answered, and tells the same again, to be answered the same, has not come forward; nor has one that asks for news without
//! waiting for any. Both may happen, after a failure or a role that changed, but not often in a row: a follower waits after
//! what failed (`replica.fetch.backoff.ms`), and a leader keeps a fetch that finds nothing. Followers that hung had asked the
//! same every two milliseconds.

use std::collections::BTreeMap;

use highwater_node::peers::{ReplicaAnswer, ReplicaFetched, ReplicaPosition};
use highwater_records::{BrokerId, TopicIdPartition};

/// Its number, and a few words.
pub const NAME: &str = "Q1 nobody asks the same again and again";

/// So often in a row within [`WITHIN`] is too often.
const TOO_OFTEN: u32 = 24;

/// In nanoseconds.
const WITHIN: u64 = 1_000_000_000;

/// What one process asks leaders for, and is told.
#[derive(Default)]
pub struct NoSpin {
    /// Of each partition: what was said of it last.
    partitions: BTreeMap<(BrokerId, TopicIdPartition), Row<(ReplicaPosition, Outline)>>,
    /// Fetches that tell nothing and are told nothing.
    empty: BTreeMap<BrokerId, Row<()>>,
}

/// How often something was the case in a row.
struct Row<T> {
    what: T,
    since: u64,
    times: u32,
}

/// What of an answer makes it the same as another one: which kind it is, how many bytes, and up to three numbers of it.
type Outline = (u8, usize, [u64; 3]);

impl NoSpin {
    /// An answer came back `now`, in nanoseconds, from leader `to`, who was told these positions.
    ///
    /// # Errors
    /// What was asked too often.
    pub fn answered(
        &mut self,
        now: u64,
        to: BrokerId,
        told: &[ReplicaPosition],
        answer: &ReplicaFetched,
    ) -> Result<(), String> {
        for position in told {
            let said = answer.partitions.iter().find(|(at, _)| *at == position.partition);
            let what = (*position, said.map_or((0, 0, [0; 3]), |(_, said)| outline(said)));
            let row = self.partitions.entry((to, position.partition));
            let row = row.or_insert(Row { what, since: now, times: 0 });
            if row.again(what, now) {
                return Err(format!(
                    "{}: broker {to} is told the same for the {TOO_OFTEN}th time since {} ns ago, and answers the same: {what:?}",
                    position.partition,
                    now - row.since
                ));
            }
        }
        if told.is_empty() && answer.partitions.is_empty() {
            let row = self.empty.entry(to).or_insert(Row { what: (), since: now, times: 0 });
            if row.again((), now) {
                return Err(format!(
                    "broker {to} has answered {TOO_OFTEN} fetches with nothing, instead of keeping them"
                ));
            }
        } else {
            self.empty.remove(&to);
        }
        Ok(())
    }
}

impl<T: PartialEq> Row<T> {
    /// Whether this is once too often.
    fn again(&mut self, what: T, now: u64) -> bool {
        if what != self.what || now - self.since > WITHIN {
            *self = Row { what, since: now, times: 0 };
        }
        self.times += 1;
        self.times >= TOO_OFTEN
    }
}

fn outline(answer: &ReplicaAnswer) -> Outline {
    match answer {
        ReplicaAnswer::Records { records, high_watermark, log_start, tiered_end } => {
            let numbers =
                [high_watermark.get(), log_start.get(), tiered_end.map_or(u64::MAX, |end| end.get())];
            (1, records.len(), numbers)
        }
        ReplicaAnswer::Diverges(end) => (2, 0, [u64::from(end.epoch.0), end.end.get(), 0]),
        ReplicaAnswer::OutOfRange { log_start } => (3, 0, [log_start.get(), 0, 0]),
        ReplicaAnswer::MovedToTier { log_start, local_start } => {
            (4, 0, [log_start.get(), local_start.get(), 0])
        }
        ReplicaAnswer::Refused(refusal) => (5, refusal.to_string().len(), [0; 3]),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use highwater_records::{LeaderEpoch, Offset};
    use highwater_replication::LocalPositions;

    use super::*;
    use crate::cluster::invariant::testing::AT;

    fn stands_at(end: u64) -> ReplicaPosition {
        let end = Offset::new(end).expect("a small offset");
        let positions = LocalPositions { log_end: end, durable_end: end };
        let leader_epoch = LeaderEpoch(4);
        ReplicaPosition { partition: AT, leader_epoch, positions, last_epoch: None, log_start: Offset::ZERO }
    }

    fn says(answer: ReplicaAnswer) -> ReplicaFetched {
        ReplicaFetched { partitions: vec![(AT, answer)] }
    }

    fn nothing_new() -> ReplicaFetched {
        let (high_watermark, log_start) = (Offset::ZERO, Offset::ZERO);
        says(ReplicaAnswer::Records { records: Bytes::new(), high_watermark, log_start, tiered_end: None })
    }

    /// Whether asking like this every so many milliseconds for three seconds is too often.
    fn spins(every_ms: u64, mut ask: impl FnMut(u64) -> (Vec<ReplicaPosition>, ReplicaFetched)) -> bool {
        let mut asked = NoSpin::default();
        (0..3_000 / every_ms).any(|time| {
            let (told, answer) = ask(time);
            asked.answered(time * every_ms * 1_000_000, BrokerId(1), &told, &answer).is_err()
        })
    }

    #[test]
    fn the_same_too_often() {
        assert!(spins(2, |_| (vec![stands_at(1)], nothing_new())), "as those did that hung");
        assert!(spins(2, |_| (vec![stands_at(1)], ReplicaFetched::default())));
        assert!(spins(2, |_| (Vec::new(), ReplicaFetched::default())), "a leader that keeps nothing");
        assert!(!spins(200, |_| (vec![stands_at(1)], nothing_new())), "after a failure");
        assert!(!spins(500, |_| (Vec::new(), ReplicaFetched::default())), "an idle follower");
        assert!(!spins(2, |time| (vec![stands_at(time)], nothing_new())), "it comes forward");
        let diverges = |time: u64| highwater_replication::EpochEnd {
            epoch: LeaderEpoch(3),
            end: Offset::new(100 - time.min(100)).expect("a small offset"),
        };
        assert!(!spins(2, |time| (vec![stands_at(1)], says(ReplicaAnswer::Diverges(diverges(time % 7))))));
        assert!(spins(2, |_| (vec![stands_at(1)], says(ReplicaAnswer::Diverges(diverges(0))))));
    }
}
