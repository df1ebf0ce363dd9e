//! L9, as readers see it: who reads a compacting topic from some offset to its end is shown every record that was
//! committed before it began, or that record's key has a later one, or it is a tombstone whose time is over. What lies at
//! an offset is what was acknowledged there, whatever has gone around it.
//!
//! What may take a record's place is looked up among all that was ever acknowledged or shown: whether that was committed
//! where the record was is checked on replicas, by [`super::super::invariant::l9_compaction`]. A tombstone that nobody was
//! told of may have come, taken a record's place, and gone.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use highwater_node::request::{Fetch, FetchError, FetchPartition, Isolation, TopicRef};

use super::{
    Keyed, Tombstones,
    batch::{self, KeyedRecord},
};
use crate::{observer::Violation, random::Random, trace::hash_bytes};

pub(super) const NAME: &str = "L9 compaction keeps the last of each key (readers)";

/// A record that somebody was told of: hash of its key, hash of its value, and when it was told.
type Told = (u64, Option<u64>, u64);

/// What clients know of the topic.
#[derive(Default)]
pub(super) struct Seen {
    acked: BTreeMap<(u32, u64), Told>,
    of_key: BTreeMap<(u32, u64), BTreeSet<u64>>,
    /// Tombstones that were sent and not acknowledged.
    unsure: BTreeMap<(u32, u64), u64>,
    count: u64,
}

/// What one reader was shown of a partition.
struct Scan {
    part: u32,
    /// How much was told when it began.
    began: u64,
    /// From where (inclusive) to where (exclusive) it read.
    from: u64,
    end: u64,
    read: BTreeMap<u64, KeyedRecord>,
}

impl Seen {
    pub(super) fn asked(&mut self, part: u32, records: &[(u32, Option<u64>)]) {
        for (key, _) in records.iter().filter(|(_, value)| value.is_none()) {
            *self.unsure.entry((part, hash_bytes(&key.to_be_bytes()))).or_default() += 1;
        }
    }

    pub(super) fn acked(&mut self, part: u32, base: u64, records: &[(u32, Option<u64>)]) {
        for (offset, (key, value)) in (base..).zip(records) {
            let key = hash_bytes(&key.to_be_bytes());
            let value = value.map(|value| hash_bytes(&value.to_be_bytes()));
            if let (None, Some(unsure)) = (value, self.unsure.get_mut(&(part, key))) {
                *unsure = unsure.saturating_sub(1);
            }
            self.count += 1;
            self.acked.insert((part, offset), (key, value, self.count));
            self.of_key.entry((part, key)).or_default().insert(offset);
        }
    }

    /// Checks and remembers what a reader was shown.
    fn check(&mut self, scan: &Scan, tombstones: Tombstones) -> Result<(), String> {
        let Scan { part, .. } = scan;
        for (offset, record) in &scan.read {
            self.of_key.entry((*part, record.key.unwrap_or(0))).or_default().insert(*offset);
        }
        let here = (*part, scan.from)..(*part, scan.end);
        for ((_, offset), (key, value, told)) in self.acked.range(here) {
            match scan.read.get(offset) {
                Some(record) if (record.key, record.value) == (Some(*key), *value) => {}
                Some(record) => {
                    return Err(format!(
                        "partition {part}: another record than was acknowledged: {record:?}"
                    ));
                }
                None if *told > scan.began => {}
                None if value.is_none() && tombstones != Tombstones::Stay => {}
                None if tombstones != Tombstones::Stay
                    && self.unsure.get(&(*part, *key)).is_some_and(|unsure| *unsure > 0) => {}
                None => {
                    let later = self.of_key.get(&(*part, *key));
                    if later.is_none_or(|later| later.range(offset + 1..).next().is_none()) {
                        return Err(format!(
                            "partition {part}: the record at {offset}, the last one of its key, is not shown from {} to {}",
                            scan.from, scan.end
                        ));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Reads from somewhere to the end, again and again.
pub(super) async fn reader(keyed: Arc<Keyed>, mut random: Random) {
    let world = keyed.world.clone();
    while !world.is_quiet() && !world.has_violated() {
        world.pause(Duration::from_millis(100), Duration::from_secs(4)).await;
        let part = random.below(u64::from(keyed.plan.partitions)) as u32;
        let known =
            keyed.seen.lock().acked.range((part, 0)..(part, u64::MAX)).next_back().map(|(at, _)| at.1);
        let from = if random.chance(1, 2) { 0 } else { random.below(known.unwrap_or(0) + 1) };
        let began = keyed.seen.lock().count;
        let scan = Scan { part, began, from, end: from, read: BTreeMap::new() };
        let scan = match read(&keyed, scan, &mut random).await {
            Ok(Some(scan)) => scan,
            Ok(None) => continue,
            Err(why) => return world.violate(Violation { invariant: NAME, why }),
        };
        world.stats.progress("keyed partitions read");
        if world.gave_up(keyed.at(part)) {
            continue;
        }
        if let Err(why) = keyed.seen.lock().check(&scan, keyed.plan.tombstones) {
            world.violate(Violation { invariant: NAME, why });
        }
    }
}

/// Reads on to the watermark; `None` if something did not answer, or the log has begun to begin further on.
async fn read(keyed: &Keyed, mut scan: Scan, random: &mut Random) -> Result<Option<Scan>, String> {
    // Somebody in a rack reads from the nearest replica.
    let rack = random.chance(1, 2).then(|| format!("rack-{}", random.below(4)));
    let mut gone_below = 0;
    loop {
        let max_bytes = random.between(1, 20_000) as usize;
        let request = Fetch {
            max_wait: Duration::ZERO,
            min_bytes: 1,
            max_bytes,
            rack: rack.clone(),
            isolation: Isolation::ReadUncommitted,
            partitions: vec![FetchPartition {
                topic: TopicRef::Id(keyed.id),
                partition: scan.part.cast_signed(),
                offset: scan.end.cast_signed(),
                max_bytes,
                current_leader_epoch: None,
            }],
        };
        let answer = keyed.world.call(move |broker| broker.fetch(request)).await;
        let Some(answer) = answer.and_then(|answers| answers.into_iter().next()) else { return Ok(None) };
        let fetched = match answer.result {
            Ok(fetched) => fetched,
            Err(FetchError::OffsetOutOfRange { log_start, .. }) if log_start.get() > scan.end => {
                // What was deleted by age goes for everybody.
                (scan.from, scan.end) = (log_start.get(), log_start.get());
                scan.read.clear();
                continue;
            }
            Err(_) => return Ok(None),
        };
        gone_below = fetched.log_start.get().max(gone_below);
        let batches = batch::parse(&fetched.records.concat())
            .map_err(|why| format!("{} from {}: {why}", keyed.at(scan.part), scan.end))?;
        let Some(last) = batches.last().map(|batch| batch.last) else {
            if scan.end < fetched.high_watermark.get() {
                return Ok(None);
            }
            scan.from = scan.from.max(gone_below);
            return Ok(Some(scan));
        };
        let mut next = scan.end;
        for batch in &batches {
            if batch.base > next {
                return Err(format!("{}: nothing from {next} to {}", keyed.at(scan.part), batch.base));
            }
            next = batch.last + 1;
            scan.read.extend(batch.records.iter().map(|record| (record.offset, *record)));
        }
        scan.end = last + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(offset: u64, key: u32, value: Option<u64>) -> (u64, KeyedRecord) {
        let value = value.map(|value| hash_bytes(&value.to_be_bytes()));
        (offset, KeyedRecord { offset, key: Some(hash_bytes(&key.to_be_bytes())), value, timestamp: 0 })
    }

    #[test]
    fn what_a_reader_may_miss() {
        let mut seen = Seen::default();
        seen.acked(0, 0, &[(1, Some(10)), (2, Some(20)), (1, Some(11)), (3, None)]);
        let began = seen.count;
        let mut says = |read: &[(u64, KeyedRecord)], tombstones| {
            let read = read.iter().copied().collect();
            seen.check(&Scan { part: 0, began, from: 0, end: 4, read }, tombstones)
        };
        let left = [record(1, 2, Some(20)), record(2, 1, Some(11)), record(3, 3, None)];
        assert_eq!(says(&left, Tombstones::Stay), Ok(()));
        assert_eq!(says(&left[..2], Tombstones::Go), Ok(()), "a tombstone goes");
        assert!(says(&left[..2], Tombstones::Stay).unwrap_err().contains("the record at 3"));
        assert!(says(&left[1..], Tombstones::Go).unwrap_err().contains("the record at 1"));
        let other = [record(1, 2, Some(21)), left[1], left[2]];
        assert!(says(&other, Tombstones::Go).unwrap_err().contains("another record"));
    }

    #[test]
    fn what_may_have_been_deleted_need_not_be_shown() {
        let mut seen = Seen::default();
        seen.acked(0, 0, &[(1, Some(10)), (2, Some(20))]);
        let scan = || Scan { part: 0, began: 2, from: 0, end: 2, read: [record(1, 2, Some(20))].into() };
        seen.asked(0, &[(1, None)]);
        assert_eq!(seen.check(&scan(), Tombstones::Go), Ok(()));
        assert!(seen.check(&scan(), Tombstones::Stay).is_err());
        seen.asked(0, &[(1, Some(30)), (2, None)]);
        seen.acked(0, 2, &[(1, None)]);
        let later = || Scan { end: 3, read: [record(1, 2, Some(20))].into(), ..scan() };
        assert_eq!(seen.check(&later(), Tombstones::Go), Ok(()), "it is known where it is");
        let of_two = Scan { read: [record(0, 1, Some(10))].into(), ..scan() };
        assert_eq!(seen.check(&of_two, Tombstones::Go), Ok(()));
        seen.acked(0, 3, &[(2, None)]);
        seen.of_key.values_mut().for_each(|of| of.retain(|at| *at < 2));
        assert!(seen.check(&scan(), Tombstones::Go).is_err(), "no other may have come");
    }

    #[test]
    fn what_was_told_later_need_not_be_shown_and_what_is_below_is_not_asked_for() {
        let mut seen = Seen::default();
        seen.acked(0, 0, &[(1, Some(10)), (2, Some(20))]);
        let scan = |began, from| Scan { part: 0, began, from, end: 2, read: [record(1, 2, Some(20))].into() };
        assert!(seen.check(&scan(2, 0), Tombstones::Go).is_err());
        assert_eq!(seen.check(&scan(0, 0), Tombstones::Go), Ok(()));
        assert_eq!(seen.check(&scan(2, 1), Tombstones::Go), Ok(()));
    }
}
