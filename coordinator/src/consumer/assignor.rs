//! Who is to have which partition. Both assignors give every partition of a topic to one of those who read it.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    sync::Arc,
    vec::Vec,
};
use highwater_records::TopicId;

use super::assignment::Assignment;

/// The assignors, the default one first.
pub(crate) const ASSIGNORS: [&str; 2] = ["uniform", "range"];

/// A member as an assignor sees it.
pub(super) struct Reader<'a> {
    pub(super) id: Arc<str>,
    pub(super) instance: Option<Arc<str>>,
    /// The topics it reads, with their numbers of partitions.
    pub(super) topics: BTreeMap<TopicId, u32>,
    /// What it is to have now.
    pub(super) current: Option<&'a Assignment>,
}

/// The target of every member by the assignor of this name.
pub(super) fn assign(assignor: &str, readers: &[Reader<'_>]) -> BTreeMap<Arc<str>, Assignment> {
    match assignor {
        "range" => range(readers),
        _ => uniform(readers),
    }
}

/// Evenly by number of partitions, and with as few moves as possible: whoever has too much gives, whoever has too
/// little gets. Where subscriptions differ, a partition goes to the one of its readers who has the least.
fn uniform(readers: &[Reader<'_>]) -> BTreeMap<Arc<str>, Assignment> {
    let mut readers_of: BTreeMap<TopicId, (u32, Vec<usize>)> = BTreeMap::new();
    for (index, reader) in readers.iter().enumerate() {
        for (topic, partitions) in &reader.topics {
            readers_of.entry(*topic).or_insert((*partitions, Vec::new())).1.push(index);
        }
    }
    let total: usize = readers_of.values().map(|(partitions, _)| *partitions as usize).sum();
    let same = readers.windows(2).all(|pair| pair[0].topics.keys().eq(pair[1].topics.keys()));
    let (least, mut extra) = match readers.len() {
        0 => return BTreeMap::new(),
        count => (total / count, total % count),
    };
    let mut has: Vec<Vec<(TopicId, i32)>> = Vec::with_capacity(readers.len());
    let mut free: BTreeSet<(TopicId, i32)> = BTreeSet::new();
    for (topic, (partitions, _)) in &readers_of {
        // Topics have far fewer partitions than that.
        free.extend((0..i32::try_from(*partitions).unwrap_or(i32::MAX)).map(|partition| (*topic, partition)));
    }
    // Whoever has more than the least keeps one more, as long as there are any to give.
    let held = |reader: &Reader<'_>| -> Vec<(TopicId, i32)> {
        let current = reader.current.into_iter().flat_map(Assignment::iter);
        current.filter(|(topic, _)| reader.topics.contains_key(topic)).collect()
    };
    for reader in readers {
        let mut keeps = held(reader);
        keeps.retain(|partition| free.contains(partition));
        if same {
            let quota = if keeps.len() > least && extra > 0 {
                extra -= 1;
                least + 1
            } else {
                least
            };
            keeps.truncate(quota);
        }
        for partition in &keeps {
            free.remove(partition);
        }
        has.push(keeps);
    }
    if !same {
        give_back(&mut has, &mut free, &readers_of);
    }
    // The poorest of a topic's readers first; they change only by what is given here.
    let mut poorest: BTreeSet<(usize, usize)> = BTreeSet::new();
    let mut of_topic = None;
    for (topic, partition) in free {
        if of_topic != Some(topic) {
            let candidates = readers_of.get(&topic).map_or(&[][..], |(_, candidates)| candidates);
            poorest = candidates.iter().map(|index| (has[*index].len(), *index)).collect();
            of_topic = Some(topic);
        }
        if let Some((count, index)) = poorest.pop_first() {
            has[index].push((topic, partition));
            poorest.insert((count + 1, index));
        }
    }
    readers
        .iter()
        .zip(has)
        .map(|(reader, partitions)| (reader.id.clone(), Assignment::of(partitions)))
        .collect()
}

/// Frees partitions of members that have at least two more than another reader of the same topic.
fn give_back(
    has: &mut [Vec<(TopicId, i32)>],
    free: &mut BTreeSet<(TopicId, i32)>,
    readers_of: &BTreeMap<TopicId, (u32, Vec<usize>)>,
) {
    let mut counts: Vec<usize> = has.iter().map(Vec::len).collect();
    let mut topics_of: Vec<Vec<TopicId>> = alloc::vec![Vec::new(); has.len()];
    // The readers of each topic by how much they have.
    let mut ranks: BTreeMap<TopicId, BTreeSet<(usize, usize)>> = BTreeMap::new();
    for (topic, (_, readers)) in readers_of {
        readers.iter().for_each(|index| topics_of[*index].push(*topic));
        ranks.insert(*topic, readers.iter().map(|index| (counts[*index], *index)).collect());
    }
    let rank_anew = |ranks: &mut BTreeMap<TopicId, BTreeSet<_>>, index: usize, from: usize, to: usize| {
        for topic in &topics_of[index] {
            if let Some(rank) = ranks.get_mut(topic) {
                rank.remove(&(from, index));
                rank.insert((to, index));
            }
        }
    };
    for rich in 0..has.len() {
        let mut kept = Vec::new();
        for (topic, partition) in core::mem::take(&mut has[rich]) {
            let poor = ranks.get(&topic).and_then(|rank| rank.first()).copied();
            match poor {
                Some((count, poor)) if count + 1 < counts[rich] => {
                    rank_anew(&mut ranks, rich, counts[rich], counts[rich] - 1);
                    rank_anew(&mut ranks, poor, count, count + 1);
                    counts[rich] -= 1;
                    counts[poor] += 1;
                    free.insert((topic, partition));
                }
                _ => kept.push((topic, partition)),
            }
        }
        has[rich] = kept;
    }
}

/// Each topic in ranges, one for each of its readers in order, so that the same numbers of different topics meet.
/// Static members come first, in the order of their instances.
fn range(readers: &[Reader<'_>]) -> BTreeMap<Arc<str>, Assignment> {
    let mut order: Vec<&Reader<'_>> = readers.iter().collect();
    order.sort_by(|a, b| match (&a.instance, &b.instance) {
        (Some(a), Some(b)) => a.cmp(b),
        (Some(_), None) => core::cmp::Ordering::Less,
        (None, Some(_)) => core::cmp::Ordering::Greater,
        (None, None) => a.id.cmp(&b.id),
    });
    let mut readers_of: BTreeMap<TopicId, i32> = BTreeMap::new();
    for topic in order.iter().flat_map(|reader| reader.topics.keys()) {
        *readers_of.entry(*topic).or_default() += 1;
    }
    let mut next: BTreeMap<TopicId, (i32, i32)> = BTreeMap::new();
    let mut targets = BTreeMap::new();
    for reader in order {
        let mut target = Assignment::default();
        for (topic, partitions) in &reader.topics {
            let partitions = i32::try_from(*partitions).unwrap_or(i32::MAX);
            let readers = readers_of.get(topic).copied().unwrap_or(1);
            let (start, turn) = next.get(topic).copied().unwrap_or_default();
            let end = start + partitions / readers + i32::from(turn < partitions % readers);
            for partition in start..end {
                target.add(*topic, partition);
            }
            next.insert(*topic, (end, turn + 1));
        }
        targets.insert(reader.id.clone(), target);
    }
    targets
}

/// The assignor most members ask for; of as many the first by name. The default if nobody asks.
pub(super) fn chosen<'a>(wishes: impl Iterator<Item = &'a str>) -> String {
    let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
    for wish in wishes {
        *votes.entry(wish).or_default() += 1;
    }
    let most = votes.values().copied().max().unwrap_or(0);
    votes.into_iter().find(|(_, count)| *count == most).map_or(ASSIGNORS[0], |(name, _)| name).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{format, vec};
    use proptest::prelude::*;

    fn topic(number: u8) -> TopicId {
        TopicId::from_bytes([number; 16])
    }

    fn reader<'a>(id: &str, topics: &[(u8, u32)], current: Option<&'a Assignment>) -> Reader<'a> {
        let topics = topics.iter().map(|(number, partitions)| (topic(*number), *partitions)).collect();
        Reader { id: id.into(), instance: None, topics, current }
    }

    fn sizes(targets: &BTreeMap<Arc<str>, Assignment>) -> Vec<usize> {
        targets.values().map(Assignment::len).collect()
    }

    #[test]
    fn uniform_moves_no_more_than_it_must() {
        let all = Assignment::of((0..10).map(|partition| (topic(1), partition)));
        let before = [
            reader("a", &[(1, 10)], Some(&all)),
            reader("b", &[(1, 10)], None),
            reader("c", &[(1, 10)], None),
        ];
        let targets = assign("uniform", &before);
        assert_eq!(sizes(&targets), [4, 3, 3]);
        assert!(targets["a"].iter().all(|(topic, partition)| all.contains(topic, partition)));
        let again: Vec<_> =
            ["a", "b", "c"].iter().map(|id| reader(id, &[(1, 10)], Some(&targets[*id]))).collect();
        assert_eq!(assign("uniform", &again), targets);
        let left: Vec<_> = ["b", "c"].iter().map(|id| reader(id, &[(1, 10)], Some(&targets[*id]))).collect();
        let after = assign("uniform", &left);
        assert_eq!(sizes(&after), [5, 5]);
        for id in ["b", "c"] {
            assert!(
                targets[id].iter().all(|(topic, partition)| after[id].contains(topic, partition)),
                "{id}"
            );
        }
    }

    #[test]
    fn range_gives_the_same_numbers_of_every_topic() {
        let readers = [reader("a", &[(1, 5), (2, 4)], None), reader("b", &[(1, 5), (2, 4)], None)];
        let targets = assign("range", &readers);
        let expected = |one: core::ops::Range<i32>, two: core::ops::Range<i32>| {
            Assignment::of(one.map(|p| (topic(1), p)).chain(two.map(|p| (topic(2), p))))
        };
        assert_eq!(targets["a"], expected(0..3, 0..2));
        assert_eq!(targets["b"], expected(3..5, 2..4));
        let mut first = reader("z", &[(1, 5)], None);
        first.instance = Some("i".into());
        let targets = assign("range", &[reader("a", &[(1, 5)], None), first]);
        assert_eq!(targets["z"], Assignment::of((0..3).map(|p| (topic(1), p))));
    }

    #[test]
    fn votes() {
        assert_eq!(chosen([].into_iter()), "uniform");
        assert_eq!(chosen(["range"].into_iter()), "range");
        assert_eq!(chosen(["uniform", "range", "uniform"].into_iter()), "uniform");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

        #[test]
        fn every_partition_has_one_owner_who_reads_it(
            subscriptions in prop::collection::vec(prop::collection::btree_set(0u8..4, 0..4), 1..6),
            partitions in prop::collection::vec(1u32..9, 4),
            range in any::<bool>(),
            moved in any::<u8>(),
        ) {
            let topics_of = |wanted: &BTreeSet<u8>| -> Vec<(u8, u32)> {
                wanted.iter().map(|number| (*number, partitions[*number as usize])).collect()
            };
            let mut before = vec![Assignment::default(); subscriptions.len()];
            for number in 0..4u8 {
                for partition in 0..partitions[number as usize] {
                    let owner = (partition as usize + moved as usize * number as usize) % subscriptions.len();
                    before[owner].add(topic(number), partition as i32);
                }
            }
            let ids: Vec<String> = (0..subscriptions.len()).map(|number| format!("m{number}")).collect();
            let readers: Vec<_> = subscriptions
                .iter()
                .zip(&ids)
                .zip(&before)
                .map(|((wanted, id), before)| reader(id, &topics_of(wanted), Some(before)))
                .collect();
            let targets = assign(if range { "range" } else { "uniform" }, &readers);
            let mut owners = BTreeMap::new();
            for reader in &readers {
                for (topic, partition) in targets[&reader.id].iter() {
                    prop_assert!(reader.topics.contains_key(&topic));
                    prop_assert!(owners.insert((topic, partition), reader.id.clone()).is_none());
                }
            }
            let read: BTreeSet<u8> = subscriptions.iter().flatten().copied().collect();
            let all: u32 = read.iter().map(|number| partitions[*number as usize]).sum();
            prop_assert_eq!(owners.len(), all as usize);
            let same = subscriptions.windows(2).all(|pair| pair[0] == pair[1]);
            if same && !range {
                let sizes: Vec<_> = targets.values().map(Assignment::len).collect();
                prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
            }
        }
    }
}
