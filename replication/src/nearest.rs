//! Which replica a consumer reads from (KIP-392).

use crate::Leader;
use highwater_records::{BrokerId, Offset};

/// A replica that could serve a consumer.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The broker.
    pub broker: BrokerId,
    /// Its `broker.rack`.
    pub rack: Option<&'a str>,
    /// Whether it leads.
    pub is_leader: bool,
    /// Whether it is in the committed in-sync set and alive.
    pub is_in_sync: bool,
    /// The end of its log, as the leader knows it (exclusive).
    pub log_end: Offset,
}

/// The replica that a consumer in `rack` should read `offset` from, or `None` for the leader.
///
/// The leader itself, where it is as near as any; else, of the in-sync replicas in the consumer's rack that have what it
/// asks for, the one that is furthest, and of those the one with the lowest id.
pub fn nearest<'a>(
    rack: &str,
    offset: Offset,
    candidates: impl Iterator<Item = Candidate<'a>>,
) -> Option<BrokerId> {
    let mut best: Option<Candidate<'a>> = None;
    for candidate in candidates {
        if candidate.rack != Some(rack) || rack.is_empty() {
            continue;
        }
        if candidate.is_leader {
            return None;
        }
        if !candidate.is_in_sync || candidate.log_end < offset {
            continue;
        }
        let better = best.is_none_or(|best| {
            (candidate.log_end, core::cmp::Reverse(candidate.broker))
                > (best.log_end, core::cmp::Reverse(best.broker))
        });
        if better {
            best = Some(candidate);
        }
    }
    best.map(|best| best.broker)
}

/// Where a broker stands, as the cluster has it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place<'a> {
    /// Its `broker.rack`.
    pub rack: Option<&'a str>,
    /// Whether it takes part: registered, not fenced, not stopping.
    pub active: bool,
}

impl Leader {
    /// The replica that a consumer in `rack` should read `offset` from, or `None` for this leader; see [`nearest`].
    /// `place` says where a broker stands. A replica that has not fetched in this leader epoch is not offered: how far
    /// its log goes is not known.
    pub fn nearest<'a>(
        &self,
        rack: &str,
        offset: Offset,
        place: impl Fn(BrokerId) -> Place<'a>,
    ) -> Option<BrokerId> {
        let candidates = self.replicas().filter_map(|broker| {
            let is_leader = broker == self.local();
            let log_end = match is_leader {
                true => self.own_position(),
                false => self.follower(broker)?.log_end,
            };
            let Place { rack, active } = place(broker);
            let is_in_sync = active && self.isr().committed().contains(&broker);
            Some(Candidate { broker, rack, is_leader, is_in_sync, log_end })
        });
        nearest(rack, offset, candidates)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(broker: u32, rack: &'static str, log_end: u64) -> Candidate<'static> {
        Candidate {
            broker: BrokerId(broker),
            rack: Some(rack),
            is_leader: broker == 1,
            is_in_sync: true,
            log_end: Offset::new(log_end).expect("small"),
        }
    }

    fn chosen(rack: &str, offset: u64, candidates: &[Candidate<'static>]) -> Option<u32> {
        let offset = Offset::new(offset).expect("small");
        nearest(rack, offset, candidates.iter().copied()).map(|broker| broker.0)
    }

    #[test]
    fn the_same_rack_in_sync_and_far_enough() {
        let all = [one(1, "a", 9), one(2, "b", 7), one(3, "b", 8), one(4, "c", 3)];
        assert_eq!(chosen("b", 5, &all), Some(3));
        assert_eq!(chosen("b", 8, &all), Some(3));
        assert_eq!(chosen("b", 9, &all), None, "nobody there has it");
        assert_eq!(chosen("a", 5, &all), None, "the leader is there");
        assert_eq!(chosen("d", 5, &all), None);
        assert_eq!(chosen("", 5, &all), None);
        let late = [one(1, "a", 9), Candidate { is_in_sync: false, ..one(2, "b", 9) }];
        assert_eq!(chosen("b", 5, &late), None);
        let equal = [one(1, "a", 9), one(3, "b", 8), one(2, "b", 8)];
        assert_eq!(chosen("b", 5, &equal), Some(2));
    }
}
