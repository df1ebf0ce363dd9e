//! A head stays small for any number of segments.

use std::sync::Arc;

use highwater_records::{LeaderEpoch, Offset};

use super::{
    env::{TestEnv, block_on},
    logs::{Log, PARTITION, offset},
    model::owner,
};
use crate::{DropReason, HEAD_BYTES_MAX, HeadLimits, Tier, TierOptions, bucket::memory::MemoryBucket};

/// Copies many segments under these limits, drops them bit by bit without ever collecting, and measures the head.
fn largest_head(limits: HeadLimits, segments: usize, step: usize) -> usize {
    block_on(async {
        let bucket = MemoryBucket::new();
        let options = TierOptions { chunk_bytes: 4096, limits, ..TierOptions::default() };
        let tier = Tier::new(TestEnv::new(2), Arc::new(bucket.clone()), owner(), options);
        let tier = tier.partition(PARTITION, &"n".repeat(249), u64::MAX);
        let mut log = Log::new(8);
        log.tiny_segments(segments);
        let key = format!("heads/{}/3", PARTITION.topic_id);
        let (epoch, mut largest) = (LeaderEpoch(1), 0);
        for first in (0..segments).step_by(step) {
            let sources = log.sources(log.bases[first], step);
            tier.copy(epoch, sources, Offset::ZERO).await.unwrap();
            largest = largest.max(bucket.objects()[&key].len());
            let behind = log.bases[first * 3 / 4];
            tier.advance_start(epoch, offset(behind), DropReason::Retention).await.unwrap();
            largest = largest.max(bucket.objects()[&key].len());
        }
        let summary = tier.summary().unwrap();
        assert_eq!(summary.end.get(), log.end());
        for at in [summary.log_start.get(), log.end() / 2 + log.end() / 3, log.end() - 1] {
            let read = tier.read(offset(at), 5000, true).await.unwrap();
            log.check_read(at, log.end(), 5000, true, &read);
        }
        largest
    })
}

#[test]
fn thousands_of_segments_fit_into_64_kib() {
    let largest = largest_head(HeadLimits::default(), 3000, 30);
    assert!(largest <= HEAD_BYTES_MAX, "{largest}");
    // Small limits bring the levels of pages that the defaults have after a hundred thousand segments.
    let limits = HeadLimits {
        recent_max: 8,
        recent_kept: 2,
        page_entries: 10,
        pages_max: 8,
        pages_folded: 4,
        dropped_max: 8,
    };
    let largest = largest_head(limits, 1200, 5);
    assert!(largest <= HEAD_BYTES_MAX / 3, "{largest}");
}
