//! Where two logs part: by leader epoch, never by high watermark (KIP-101, KIP-279, KIP-320, KIP-595's form of fetch).
//!
//! A leader epoch belongs to one leader, and a leader appends in one order only. So two logs that both have records of
//! an epoch agree up to the lower of the two ends of that epoch, and on everything before it.

use highwater_records::{LeaderEpoch, Offset};

/// An epoch and where it ends in somebody's log (exclusive): where the next epoch begins there, or the log end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// Its end, exclusive.
    pub end: Offset,
}

/// What a leader finds when it compares a follower's position with its own log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Everything below the follower's position is in the leader's log.
    Agrees,
    /// The follower has records that the leader has not: this is the largest epoch of the leader's that is not above
    /// the follower's, and its end.
    Diverges(EpochEnd),
    /// The leader knows no epoch as old as the follower's: nothing of the follower's log can be vouched for. What the leader
    /// had of it is below its start. Kafka takes the start for the end of such an epoch, and leaves a follower what it has
    /// below that, which may be another leader's, until its own start has moved too (cluster seed 6000550).
    Unknown,
}

/// Compares a follower's position with the leader's log: `last_epoch` is the epoch of the follower's last record, `offset`
/// the one after it. `epoch_end` answers with the leader's largest epoch not above the one asked for, and its end.
///
/// A follower with an empty log agrees with everybody.
pub fn compare(
    last_epoch: Option<LeaderEpoch>,
    offset: Offset,
    epoch_end: impl FnOnce(LeaderEpoch) -> Option<EpochEnd>,
) -> Comparison {
    let Some(last_epoch) = last_epoch else { return Comparison::Agrees };
    match epoch_end(last_epoch) {
        None => Comparison::Unknown,
        Some(found) if found.epoch < last_epoch || found.end < offset => Comparison::Diverges(found),
        Some(_) => Comparison::Agrees,
    }
}

/// Where a follower cuts its log when its leader answers that it diverges at `leader`.
///
/// `epoch_end` answers with the follower's own largest epoch not above the one asked for, and its end. If the follower
/// does not know the leader's epoch it cuts at the end of its own next lower one, which the leader may not know either:
/// the next fetch says so, and each round removes an epoch (KIP-279). If it knows no lower one it keeps nothing: it cuts at
/// `first`, where its oldest known epoch begins.
pub fn cut_at(
    leader: EpochEnd,
    first: Offset,
    log_end: Offset,
    epoch_end: impl FnOnce(LeaderEpoch) -> Option<EpochEnd>,
) -> Offset {
    let own = match epoch_end(leader.epoch) {
        Some(own) => own.end,
        // Everything here is newer than what the leader has at that point, and not the leader's.
        None => first,
    };
    own.min(leader.end).min(log_end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn offset(value: u64) -> Offset {
        Offset::new(value).expect("small")
    }

    /// A log as (epoch, start) and its end.
    struct Log(Vec<(u32, u64)>, u64);

    impl Log {
        fn end_of(&self, epoch: LeaderEpoch) -> Option<EpochEnd> {
            let after = self.0.iter().take_while(|(known, _)| *known <= epoch.0).count();
            let found = self.0.get(after.checked_sub(1)?)?.0;
            let end = self.0.get(after).map_or(self.1, |(_, start)| *start);
            Some(EpochEnd { epoch: LeaderEpoch(found), end: offset(end) })
        }

        fn last(&self) -> Option<LeaderEpoch> {
            self.0.last().map(|(epoch, _)| LeaderEpoch(*epoch))
        }

        fn cut(&mut self, at: u64) {
            self.1 = at;
            self.0.retain(|(_, start)| *start < at);
        }
    }

    /// Fetches and cuts until leader and follower agree; says after how many cuts.
    fn converge(leader: &Log, follower: &mut Log) -> u32 {
        for cuts in 0..20 {
            match compare(follower.last(), offset(follower.1), |epoch| leader.end_of(epoch)) {
                Comparison::Agrees => return cuts,
                Comparison::Diverges(at) => {
                    let first = offset(follower.0.first().map_or(0, |(_, start)| *start));
                    let to = cut_at(at, first, offset(follower.1), |epoch| follower.end_of(epoch));
                    assert!(to.get() < follower.1, "a cut that cuts nothing goes on for ever");
                    follower.cut(to.get());
                }
                Comparison::Unknown => follower.cut(0),
            }
        }
        panic!("no end of it");
    }

    #[test]
    fn a_tail_that_the_leader_never_had_goes() {
        let leader = Log(alloc::vec![(0, 0), (1, 5)], 9);
        let mut follower = Log(alloc::vec![(0, 0)], 8);
        assert_eq!(converge(&leader, &mut follower), 1);
        assert_eq!(follower.1, 5);
    }

    #[test]
    fn a_follower_that_is_merely_behind_keeps_everything() {
        let leader = Log(alloc::vec![(0, 0), (1, 5)], 9);
        for mut follower in [Log(alloc::vec![(0, 0)], 5), Log(alloc::vec![(0, 0)], 3), Log(Vec::new(), 0)] {
            let before = follower.1;
            assert_eq!(converge(&leader, &mut follower), 0);
            assert_eq!(follower.1, before);
        }
    }

    #[test]
    fn epochs_of_fast_leader_changes_go_one_by_one() {
        // The follower led in epochs 2 and 4, the leader in 3 and 5; they share epoch 1 up to 4.
        let leader = Log(alloc::vec![(1, 0), (3, 4), (5, 7)], 10);
        let mut follower = Log(alloc::vec![(1, 0), (2, 4), (4, 6)], 9);
        converge(&leader, &mut follower);
        assert_eq!((follower.1, follower.last()), (4, Some(LeaderEpoch(1))));
    }

    #[test]
    fn nothing_in_common() {
        let leader = Log(alloc::vec![(7, 3)], 5);
        let mut follower = Log(alloc::vec![(2, 0)], 4);
        converge(&leader, &mut follower);
        assert_eq!(follower.1, 0);
        let mut follower = Log(alloc::vec![(2, 0)], 4);
        converge(&Log(Vec::new(), 0), &mut follower);
        assert_eq!(follower.1, 0);
        // It led with an empty log, after a leader that nobody had fetched from yet and who leads again now.
        let leader = Log(alloc::vec![(1, 0), (4, 5)], 9);
        let mut follower = Log(alloc::vec![(2, 0)], 4);
        assert_eq!(converge(&leader, &mut follower), 1);
        assert_eq!(follower.1, 0);
    }

    /// Both have `shared` records of epoch 0; then each of five epochs is led by one of them, or by nobody who wrote.
    #[test]
    fn whoever_led_when_they_end_with_what_they_share() {
        for (case, shared) in (0..3_u32.pow(5)).flat_map(|case| [(case, 0), (case, 3)]) {
            let begun = || Log(if shared > 0 { alloc::vec![(0, 0)] } else { Vec::new() }, shared);
            let (mut leader, mut follower) = (begun(), begun());
            for epoch in 1..=5 {
                let writer = match case / 3_u32.pow(epoch - 1) % 3 {
                    0 => continue,
                    1 => &mut leader,
                    _ => &mut follower,
                };
                writer.0.push((epoch, writer.1));
                writer.1 += u64::from(epoch);
            }
            converge(&leader, &mut follower);
            assert_eq!(follower.1, shared, "case {case}");
        }
    }
}
