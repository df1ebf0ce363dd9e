//! L3: index entries point inside their segment, at what they claim, and in order.
//!
//! Checked on every scan of the files, except for the newest segment after a stop that was not clean (its indexes are
//! in memory until it is sealed): an offset entry's position is where a batch begins or ends that contains its offset or
//! the next one; a time entry's offset lies in the segment, and no record before it has a later timestamp than it
//! says; both grow from entry to entry.
//!
//! Not checked here: that rebuilding the indexes gives the same answers; the engine's own tests do that.

use super::Invariant;
use crate::{
    ghost::Ghost,
    history::{Event, SegmentFiles},
};

/// See the file's text.
pub struct IndexHints;

impl Invariant for IndexHints {
    fn name(&self) -> &'static str {
        "L3 indexes are hints"
    }

    fn check(&mut self, _: &Ghost, event: &Event) -> Result<(), String> {
        let Event::Scanned { files, settled, .. } = event else { return Ok(()) };
        let indexed = files.segments.len().saturating_sub(usize::from(!settled));
        files.segments[..indexed].iter().try_for_each(|segment| {
            offsets(segment)
                .and_then(|()| times(segment))
                .map_err(|why| format!("segment {}: {why}", segment.name))
        })
    }
}

fn offsets(segment: &SegmentFiles) -> Result<(), String> {
    let mut before = None;
    for &(offset, position) in &segment.offsets {
        if before.is_some_and(|(o, p)| offset <= o || position <= p) {
            return Err(format!("offset entry ({offset}, {position}) does not grow from {before:?}"));
        }
        before = Some((offset, position));
        let mut start = 0;
        let batch = segment.batches.good.iter().find(|batch| {
            let here = start == position;
            start += batch.size as u64;
            here
        });
        // Kafka's entry holds the last offset of the batch at its position; any offset in it is correct.
        if !batch.is_some_and(|batch| (batch.base..=batch.last).contains(&offset)) {
            return Err(format!("offset entry ({offset}, {position}) points at {batch:?}"));
        }
    }
    Ok(())
}

fn times(segment: &SegmentFiles) -> Result<(), String> {
    let mut before = None;
    for &(timestamp, offset) in &segment.times {
        if before.is_some_and(|(t, o)| timestamp < t || offset < o) {
            return Err(format!("time entry ({timestamp}, {offset}) does not grow from {before:?}"));
        }
        before = Some((timestamp, offset));
        let Some(end) = segment.batches.good.last().map(|batch| batch.last) else {
            return Err(format!("time entry ({timestamp}, {offset}) in an empty segment"));
        };
        if !(segment.name..=end).contains(&offset) {
            return Err(format!("time entry ({timestamp}, {offset}) beyond {end}"));
        }
        let later = segment.batches.good.iter().take_while(|batch| batch.last <= offset).find(|batch| {
            let max = batch.first_timestamp + (batch.last - batch.base) as i64;
            max > timestamp
        });
        if let Some(later) = later {
            return Err(format!("time entry ({timestamp}, {offset}) passes over {later:?}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{history::LogFiles, invariant::testing::*};

    fn indexed(offsets: &[(u64, u64)], times: &[(i64, u64)]) -> [Event; 1] {
        // Batches of 100 bytes; timestamps equal offsets.
        let mut files = segment(10, &[batch(10, 12, 1), batch(13, 15, 2), batch(16, 18, 3)]);
        files.offsets = offsets.to_vec();
        files.times = times.to_vec();
        [scanned(vec![files])]
    }

    #[test]
    fn offset_entries() {
        accepted(IndexHints, &indexed(&[(15, 100), (18, 200)], &[]));
        refused(IndexHints, &indexed(&[(15, 101)], &[]), "points at None");
        refused(IndexHints, &indexed(&[(12, 100)], &[]), "points at Some");
        refused(IndexHints, &indexed(&[(15, 300)], &[]), "points at None");
        refused(IndexHints, &indexed(&[(18, 200), (15, 100)], &[]), "does not grow");
    }

    #[test]
    fn the_newest_segment_is_settled_by_a_clean_stop_only() {
        let [Event::Scanned { files, .. }] = indexed(&[(15, 101)], &[]) else { unreachable!("a scan") };
        let recovered = |files: &LogFiles| Event::Scanned { at: AT, files: files.clone(), settled: false };
        accepted(IndexHints, &[recovered(&files)]);
        let mut longer = files.clone();
        longer.segments.push(segment(19, &[]));
        refused(IndexHints, &[recovered(&longer)], "points at None");
    }

    #[test]
    fn time_entries() {
        accepted(IndexHints, &indexed(&[], &[(15, 15), (18, 18)]));
        refused(IndexHints, &indexed(&[], &[(12, 15)]), "passes over");
        refused(IndexHints, &indexed(&[], &[(19, 19)]), "beyond 18");
        refused(IndexHints, &indexed(&[], &[(18, 18), (15, 15)]), "does not grow");
    }
}
