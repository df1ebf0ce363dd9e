//! What to copy and what is due, as functions of values.

use std::ops::Range;

use highwater_records::Offset;

/// Where a log stands; all exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Everything below is decided.
    pub last_stable: Offset,
    /// Everything below is on every in-sync replica.
    pub high_watermark: Offset,
    /// Everything below is on this replica's stable storage.
    pub durable_end: Offset,
}

impl Bounds {
    /// Nothing at or above this may be uploaded.
    pub fn lowest(&self) -> Offset {
        self.last_stable.min(self.high_watermark).min(self.durable_end)
    }
}

/// A sealed local segment, as far as planning needs to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Its first offset (inclusive).
    pub base: Offset,
    /// One past its last offset.
    pub next: Offset,
    /// Its size in bytes.
    pub size: u64,
    /// Whether every byte of it is on stable storage.
    pub synced: bool,
}

/// How much one copy takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyLimit {
    /// Segments.
    pub segments: usize,
    /// Bytes; one segment is taken whatever its size.
    pub bytes: u64,
}

impl Default for CopyLimit {
    fn default() -> CopyLimit {
        CopyLimit { segments: 32, bytes: 1 << 30 }
    }
}

/// Which of `sealed` (ascending, without gaps) to copy now, as indexes into it. `tier_end` is the tier's end, `None`
/// before the first copy. Empty where nothing is ready, and where `sealed` does not reach back to the tier's end, or
/// before the first copy to the log start: what is missing was in a bucket that has lost it, and a new tier behind the
/// gap would hide that.
pub fn segments_to_copy(
    tier_end: Option<Offset>,
    log_start: Offset,
    bounds: &Bounds,
    sealed: &[Sealed],
    limit: &CopyLimit,
) -> Range<usize> {
    // Before the first copy the tier begins with the segment that has the log start.
    let from = tier_end.unwrap_or(log_start);
    let first = sealed.partition_point(|segment| segment.next <= from);
    let mut at = match sealed.get(first) {
        Some(segment) if segment.base <= from => segment.base,
        _ => return first..first,
    };
    let (mut end, mut bytes) = (first, 0_u64);
    for segment in &sealed[first..] {
        let ready = segment.synced && segment.next <= bounds.lowest() && segment.base == at;
        bytes = bytes.saturating_add(segment.size);
        let fits = end == first || (end - first < limit.segments && bytes <= limit.bytes);
        if !ready || !fits {
            break;
        }
        at = segment.next;
        end += 1;
    }
    first..end
}

/// How long records stay, local and remote together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// `retention.ms`; `None` is for ever.
    pub ms: Option<u64>,
    /// `retention.bytes` of the whole partition; `None` is without limit.
    pub bytes: Option<u64>,
}

impl Retention {
    /// Whether the oldest segment is due: its newest record is older than the time, or without it there is still as much
    /// as the size asks for.
    pub fn is_due(&self, now_ms: i64, newest_ms: i64, total_bytes: u64, segment_bytes: u64) -> bool {
        let age = i128::from(now_ms) - i128::from(newest_ms);
        let by_time = self.ms.is_some_and(|limit| age > i128::from(limit));
        let by_size = self.bytes.is_some_and(|limit| total_bytes.saturating_sub(segment_bytes) >= limit);
        by_time || by_size
    }
}

/// Up to where local segments may be dropped by local retention: never above the tiered end. `None` keeps all.
/// `sealed` are those below the active segment; `active_bytes` counts towards the size that is kept.
pub fn local_start(
    now_ms: i64,
    local: &Retention,
    tier_end: Offset,
    sealed: &[(Sealed, i64)],
    active_bytes: u64,
) -> Option<Offset> {
    let sum = sealed.iter().map(|(segment, _)| segment.size).fold(active_bytes, u64::saturating_add);
    let (mut total, mut start) = (sum, None);
    for (segment, newest_ms) in sealed {
        if segment.next > tier_end || !local.is_due(now_ms, *newest_ms, total, segment.size) {
            break;
        }
        total = total.saturating_sub(segment.size);
        start = Some(segment.next);
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset(value: u64) -> Offset {
        Offset::new(value).unwrap()
    }

    fn sealed(bases: &[u64]) -> Vec<Sealed> {
        let segment =
            |pair: &[u64]| Sealed { base: offset(pair[0]), next: offset(pair[1]), size: 100, synced: true };
        bases.windows(2).map(segment).collect()
    }

    fn plan(end: Option<u64>, start: u64, lowest: u64, segments: &[Sealed]) -> Range<usize> {
        let bounds = Bounds {
            last_stable: offset(lowest),
            high_watermark: offset(lowest + 1),
            durable_end: offset(lowest + 2),
        };
        let limit = CopyLimit { segments: 3, bytes: 250 };
        segments_to_copy(end.map(offset), offset(start), &bounds, segments, &limit)
    }

    #[test]
    fn only_what_is_sealed_synced_and_below_every_bound_is_copied() {
        let segments = sealed(&[0, 10, 20, 30, 40, 50]);
        assert_eq!(plan(None, 0, 99, &segments), 0..2, "two fit into the bytes");
        assert_eq!(plan(Some(10), 0, 99, &segments), 1..3);
        assert_eq!(plan(Some(10), 0, 29, &segments), 1..2);
        assert_eq!(plan(Some(10), 0, 19, &segments), 1..1);
        assert_eq!(plan(Some(50), 0, 99, &segments), 5..5);
        assert_eq!(plan(Some(15), 0, 99, &segments), 1..3, "other borders than the tier's");
        assert_eq!(plan(None, 25, 99, &segments), 2..4, "nothing below the log start");
        let mut unsynced = segments.clone();
        unsynced[2].synced = false;
        assert_eq!(plan(Some(10), 0, 99, &unsynced), 1..2);
        unsynced[1].size = 1000;
        assert_eq!(plan(Some(10), 0, 99, &unsynced), 1..2, "one goes whatever its size");
    }

    #[test]
    fn never_a_gap() {
        let segments = sealed(&[20, 30, 40]);
        assert_eq!(plan(Some(10), 0, 99, &segments), 0..0);
        assert_eq!(plan(Some(20), 0, 99, &segments), 0..2);
        assert_eq!(plan(None, 20, 99, &segments), 0..2);
        assert_eq!(plan(None, 0, 99, &segments), 0..0, "what was below is gone");
        let mut holed = sealed(&[0, 10, 20]);
        holed.extend(sealed(&[30, 40]));
        assert_eq!(plan(Some(10), 0, 99, &holed), 1..2);
    }

    #[test]
    fn retention_counts_what_stays() {
        let retention = Retention { ms: Some(1000), bytes: Some(300) };
        assert!(!retention.is_due(2000, 1000, 0, 0), "exactly as old as allowed");
        assert!(retention.is_due(2001, 1000, 0, 0));
        assert!(!retention.is_due(0, 5000, 399, 100), "from the future, and 299 would stay");
        assert!(retention.is_due(0, 5000, 400, 100));
        assert!(!Retention::default().is_due(i64::MAX, i64::MIN, u64::MAX, 0));
        assert!(retention.is_due(i64::MAX, i64::MIN, 0, 0));
    }

    #[test]
    fn local_segments_go_only_below_the_tiered_end() {
        let segments: Vec<_> = sealed(&[0, 10, 20, 30]).into_iter().map(|segment| (segment, 0)).collect();
        let all = Retention { ms: Some(0), bytes: None };
        assert_eq!(local_start(1, &all, offset(20), &segments, 0), Some(offset(20)));
        assert_eq!(local_start(1, &all, offset(19), &segments, 0), Some(offset(10)));
        assert_eq!(local_start(1, &all, offset(9), &segments, 0), None);
        let size = Retention { ms: None, bytes: Some(200) };
        assert_eq!(local_start(1, &size, offset(30), &segments, 50), Some(offset(10)));
        assert_eq!(local_start(1, &size, offset(30), &segments, 0), Some(offset(10)));
        assert_eq!(local_start(1, &size, offset(30), &segments[1..], 0), None);
    }
}
