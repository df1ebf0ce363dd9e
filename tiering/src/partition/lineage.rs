//! Leader epochs and where they start: do two histories agree?

use highwater_records::{LeaderEpoch, Offset};

/// The first offset within both `[tier.start, tier.end)` and `[log.start, log.end)` whose leader epoch differs between the two
/// lineages; `None` where they agree. Offsets whose epoch one side does not know are taken to agree.
///
/// Pure: what to do about it (see [`PartitionTier::cut`](super::PartitionTier::cut)) is the leader's decision.
pub fn divergence(
    tier: (&[(LeaderEpoch, Offset)], Offset, Offset),
    log: (&[(LeaderEpoch, Offset)], Offset, Offset),
) -> Option<Offset> {
    let (low, high) = (tier.1.max(log.1), tier.2.min(log.2));
    let points = tier.0.iter().chain(log.0).map(|(_, start)| *start).chain([low]);
    let differs = |point: &Offset| match (epoch_at(tier.0, *point), epoch_at(log.0, *point)) {
        (Some(one), Some(other)) => one != other,
        _ => false,
    };
    points.filter(|point| (low..high).contains(point)).filter(differs).min()
}

/// The epoch of the record at `offset`.
pub(super) fn epoch_at(lineage: &[(LeaderEpoch, Offset)], offset: Offset) -> Option<LeaderEpoch> {
    // Several epochs may start at one offset: the last of them wrote it.
    lineage.iter().rev().find(|(_, start)| *start <= offset).map(|(epoch, _)| *epoch)
}

/// `tier` with what `log` knows of the offsets from `from` on.
pub(super) fn extend(
    tier: &[(LeaderEpoch, Offset)],
    log: &[(LeaderEpoch, Offset)],
    end: Offset,
) -> Vec<(LeaderEpoch, Offset)> {
    let mut out = tier.to_vec();
    for (epoch, start) in log {
        let after = out.last().is_none_or(|(last, at)| epoch > last && start >= at);
        if after && *start < end {
            out.push((*epoch, *start));
        }
    }
    out
}

/// What `newer` says, below `end`, and of what is before its first epoch what `older` says.
pub(super) fn replaced(
    older: &[(LeaderEpoch, Offset)],
    newer: &[(LeaderEpoch, Offset)],
    end: Offset,
) -> Vec<(LeaderEpoch, Offset)> {
    let before = older
        .iter()
        .take_while(|(epoch, start)| newer.first().is_none_or(|first| *epoch < first.0 && *start <= first.1));
    before.chain(newer).filter(|(_, start)| *start < end).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lineage(pairs: &[(u32, u64)]) -> Vec<(LeaderEpoch, Offset)> {
        pairs.iter().map(|(epoch, start)| (LeaderEpoch(*epoch), offset(*start))).collect()
    }

    fn offset(value: u64) -> Offset {
        Offset::new(value).unwrap()
    }

    #[test]
    fn the_first_offset_that_two_leaders_wrote_differently_is_found() {
        let at = |tier: &[(u32, u64)], log: &[(u32, u64)]| {
            let (tier, log) = (lineage(tier), lineage(log));
            divergence((&tier, offset(10), offset(100)), (&log, offset(20), offset(150))).map(Offset::get)
        };
        assert_eq!(at(&[(1, 0), (3, 50)], &[(1, 20), (3, 50), (4, 120)]), None);
        assert_eq!(at(&[(1, 0), (3, 50)], &[(1, 20), (3, 60)]), Some(50));
        assert_eq!(at(&[(1, 0), (2, 50)], &[(1, 20), (3, 50)]), Some(50));
        assert_eq!(at(&[(1, 0)], &[(1, 20), (2, 99)]), Some(99));
        assert_eq!(at(&[(1, 0)], &[(1, 20), (2, 100)]), None, "at the tier's end they may part");
        assert_eq!(at(&[(1, 0)], &[(2, 0)]), Some(20));
        assert_eq!(at(&[], &[(2, 0)]), None);
        assert_eq!(at(&[(1, 0), (2, 50), (3, 50)], &[(1, 0), (3, 50)]), None, "epoch 2 wrote nothing");
    }

    #[test]
    fn a_lineage_grows_at_its_end_only() {
        let tier = lineage(&[(1, 0), (3, 50)]);
        let grown = extend(&tier, &lineage(&[(1, 20), (3, 50), (5, 80), (6, 200)]), offset(120));
        assert_eq!(grown, lineage(&[(1, 0), (3, 50), (5, 80)]));
    }

    #[test]
    fn what_is_replaced_goes_on_only_before_the_first_epoch_that_is_known_better() {
        let of = |older: &[(u32, u64)], newer: &[(u32, u64)]| {
            replaced(&lineage(older), &lineage(newer), offset(60))
        };
        assert_eq!(of(&[(0, 0), (1, 50)], &[(0, 0), (3, 80)]), lineage(&[(0, 0)]));
        assert_eq!(
            of(&[(0, 0), (1, 20), (2, 50)], &[(1, 20), (3, 55)]),
            lineage(&[(0, 0), (1, 20), (3, 55)])
        );
        assert_eq!(of(&[(0, 0), (2, 10)], &[(1, 20)]), lineage(&[(0, 0), (1, 20)]));
        assert_eq!(of(&[(0, 0), (2, 70)], &[]), lineage(&[(0, 0)]));
    }
}
