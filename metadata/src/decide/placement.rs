//! Where replicas go: apart, and evenly.

use crate::{Image, MetadataRecord};
use alloc::{collections::BTreeMap, vec::Vec};
use core::ops::Range;
use highwater_records::{BrokerId, LeaderEpoch, PartitionIndex, TopicId};

/// The brokers that new replicas are placed on, with their racks: those that take part.
pub(super) fn usable(image: &Image) -> Vec<(BrokerId, Option<&str>)> {
    let active = image.brokers().iter().filter(|(id, _)| image.is_active(**id));
    active.map(|(id, broker)| (*id, broker.rack.as_deref())).collect()
}

/// A new partition on `replicas`. A manual assignment may name brokers that do not take part now: they are out of sync
/// from the start.
pub(super) fn partition_created(
    image: &Image,
    topic: TopicId,
    partition: PartitionIndex,
    replicas: Vec<BrokerId>,
) -> MetadataRecord {
    let isr: Vec<BrokerId> = replicas.iter().copied().filter(|replica| image.is_active(*replica)).collect();
    let (leader, leader_epoch) = (isr.first().copied(), LeaderEpoch(0));
    MetadataRecord::PartitionCreated { topic, partition, replicas, isr, leader, leader_epoch }
}

/// Chooses `factor` brokers for each of `partitions`, the preferred leader first. The topic's identity chooses where the
/// round begins, so that the first partitions of many topics do not all meet on one broker.
///
/// Brokers stand in a circle in which racks alternate. Leaders go round the circle; the followers of a partition are the
/// next ones after its leader, one per rack before any rack gets a second one, and each further round of partitions
/// skips one more, so that a broker's followers are not always the same.
///
/// `factor` must be from 1 to the number of brokers.
pub(super) fn place(
    brokers: &[(BrokerId, Option<&str>)],
    partitions: Range<usize>,
    factor: usize,
    topic: TopicId,
) -> Vec<Vec<BrokerId>> {
    let first = usize::from(topic.as_bytes()[15]);
    let circle = alternating(brokers);
    let count = circle.len();
    let one = |partition: usize| {
        let start = (first + partition) % count;
        let round = partition / count;
        let mut chosen = alloc::vec![circle[start]];
        let mut rest: Vec<_> = (1..count).map(|step| circle[(start + step) % count]).collect();
        if !rest.is_empty() {
            let shift = round % rest.len();
            rest.rotate_left(shift);
        }
        while chosen.len() < factor {
            let used = |rack: Option<&str>| chosen.iter().filter(|(_, other)| *other == rack).count();
            // The rack that is used least, and of those the next on the way.
            let next = rest.iter().enumerate().min_by_key(|(at, (_, rack))| (used(*rack), *at));
            let Some((at, _)) = next else { break };
            chosen.push(rest.remove(at));
        }
        chosen.into_iter().map(|(broker, _)| broker).collect()
    };
    partitions.map(one).collect()
}

/// One broker of each rack in turn. Brokers without a rack count as standing in one of their own together.
fn alternating<'a>(brokers: &[(BrokerId, Option<&'a str>)]) -> Vec<(BrokerId, Option<&'a str>)> {
    let mut racks: BTreeMap<Option<&str>, Vec<(BrokerId, Option<&'a str>)>> = BTreeMap::new();
    for broker in brokers {
        racks.entry(broker.1).or_default().push(*broker);
    }
    let most = racks.values().map(Vec::len).max().unwrap_or(0);
    (0..most).flat_map(|at| racks.values().filter_map(move |rack| rack.get(at).copied())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    fn brokers(racks: &[&'static str]) -> Vec<(BrokerId, Option<&'static str>)> {
        (1..).map(BrokerId).zip(racks.iter().map(|rack| (!rack.is_empty()).then_some(*rack))).collect()
    }

    #[test]
    fn every_partition_spans_as_many_racks_as_it_can() {
        for (racks, factor) in [
            (vec!["a", "a", "a", "b", "b", "b", "c", "c", "c"], 3),
            (vec!["a", "b", "a", "b"], 2),
            (vec!["a", "b", "a", "b", "a"], 3),
            (vec!["a", "a", "a"], 3),
            (vec!["", "", ""], 2),
        ] {
            let all = brokers(&racks);
            let rack_count = racks.iter().collect::<BTreeSet<_>>().len();
            for replicas in place(&all, 0..40, factor, TopicId::from_bytes([7; 16])) {
                let distinct: BTreeSet<_> = replicas.iter().collect();
                assert_eq!(distinct.len(), factor);
                let spanned: BTreeSet<_> =
                    replicas.iter().map(|replica| all[replica.0 as usize - 1].1).collect();
                assert_eq!(spanned.len(), factor.min(rack_count), "{racks:?}: {replicas:?}");
            }
        }
    }

    #[test]
    fn leaders_and_replicas_are_spread_evenly() {
        let all = brokers(&["a", "a", "b", "b", "c", "c"]);
        let placed = place(&all, 0..60, 3, TopicId::from_bytes([3; 16]));
        for (broker, _) in &all {
            let leads = placed.iter().filter(|replicas| replicas[0] == *broker).count();
            let holds = placed.iter().filter(|replicas| replicas.contains(broker)).count();
            assert_eq!(leads, 10);
            assert!((24..=36).contains(&holds), "broker {broker} holds {holds} of 180");
        }
    }

    use alloc::vec;
}
