//! What is refused, and that nothing unverified ever leaves.

use std::{io::IoSlice, sync::Arc};

use bytes::Bytes;
use highwater_env::BoxFuture;
use highwater_records::{LeaderEpoch, Offset, TopicIdPartition};

use super::{
    env::{TestEnv, block_on},
    logs::{Log, PARTITION, offset},
    model::{options, owner},
};
use crate::{
    ConfirmLeadership, DropReason, Owner, PartitionTier, Tier, TierError, TierOptions,
    bucket::memory::MemoryBucket,
};

const EPOCH: LeaderEpoch = LeaderEpoch(1);

fn tier(bucket: &MemoryBucket, options: TierOptions) -> Arc<PartitionTier> {
    let options = TierOptions { cache_bytes: 0, ..options };
    Tier::new(TestEnv::new(3), Arc::new(bucket.clone()), owner(), options).partition(PARTITION, "topic", 1)
}

/// A bucket with two small segments.
async fn filled(log: &mut Log) -> MemoryBucket {
    let bucket = MemoryBucket::new();
    (0..2).for_each(|_| log.segment());
    let sources = log.sources(0, 2);
    tier(&bucket, options()).copy(EPOCH, sources, Offset::ZERO).await.unwrap();
    bucket
}

async fn read_all(tier: &PartitionTier, end: u64) -> Result<Vec<u8>, TierError> {
    let (mut at, mut out) = (0, Vec::new());
    while at < end {
        let read = tier.read(offset(at), 1 << 20, true).await?;
        assert!(!read.bytes.is_empty());
        out.extend_from_slice(&read.bytes);
        at = read.next_offset.get();
    }
    Ok(out)
}

/// Every bit of every object and every shorter length: the right bytes or an error.
#[test]
fn no_flipped_bit_and_no_lost_byte_reaches_a_reader() {
    block_on(async {
        let mut log = Log::new(4);
        let bucket = filled(&mut log).await;
        let truth = log.segment_bytes(0, log.end());
        let mut noticed = 0;
        for (key, bytes) in bucket.objects() {
            if key == "owner" {
                continue;
            }
            // Every bit where it is cheap, and one bit of each byte of the records' chunks.
            let step = if bytes.len() < 3000 { 1 } else { 8 + 1 };
            for bit in (0..bytes.len() * 8).step_by(step) {
                let mut wrong = bytes.to_vec();
                wrong[bit / 8] ^= 1 << (bit % 8);
                bucket.tamper(&key, Some(wrong.into()));
                match read_all(&tier(&bucket, options()), log.end()).await {
                    Ok(read) => assert!(read == truth, "bit {bit} of {key} changed what is read"),
                    Err(_) => noticed += 1,
                }
            }
            for length in (0..bytes.len()).step_by(7) {
                bucket.tamper(&key, Some(bytes.slice(..length)));
                assert!(
                    read_all(&tier(&bucket, options()), log.end()).await.is_err(),
                    "{key} cut at {length}"
                );
            }
            bucket.tamper(&key, Some(bytes));
        }
        assert!(noticed > 1000);
        assert_eq!(read_all(&tier(&bucket, options()), log.end()).await.unwrap(), truth);
    });
}

#[test]
fn objects_swapped_or_lost_are_noticed() {
    block_on(async {
        let mut log = Log::new(4);
        let bucket = filled(&mut log).await;
        let objects = bucket.objects();
        let segments: Vec<&String> = objects.keys().filter(|key| key.starts_with("segments/")).collect();
        bucket.tamper(segments[0], Some(objects[segments[1]].clone()));
        let error = tier(&bucket, options()).read(Offset::ZERO, 100, true).await.unwrap_err();
        assert!(matches!(error, TierError::Corrupt { .. } | TierError::Retry { .. }), "{error}");
        bucket.tamper(segments[0], None);
        let error = tier(&bucket, options()).read(Offset::ZERO, 100, true).await.unwrap_err();
        assert!(matches!(&error, TierError::Missing { object } if object == segments[0]), "{error}");
        // Everything else is served.
        let second = tier(&bucket, options()).read(offset(log.bases[1]), 1 << 20, true).await.unwrap();
        assert_eq!(second.bytes, log.segment_bytes(log.bases[1], log.end()));
    });
}

#[test]
fn another_clusters_bucket_is_left_alone() {
    block_on(async {
        let mut log = Log::new(4);
        let bucket = filled(&mut log).await;
        let before = bucket.objects();
        let other = Owner { cluster_id: "other".to_owned() };
        let shared = Arc::new(bucket.clone());
        let opened = Tier::open(TestEnv::new(1), shared.clone(), other.clone(), options()).await;
        assert!(matches!(opened, Err(TierError::Refused { .. })));
        let theirs = Tier::new(TestEnv::new(1), shared, other, options());
        let partition = theirs.partition(PARTITION, "topic", 1);
        assert!(matches!(partition.load().await, Err(TierError::Refused { .. })));
        assert!(matches!(partition.read(Offset::ZERO, 9, true).await, Err(TierError::Refused { .. })));
        let sources = log.sources(0, 1);
        assert!(matches!(partition.copy(EPOCH, sources, Offset::ZERO).await, Err(TierError::Refused { .. })));
        assert!(theirs.heads().await.is_err());
        assert_eq!(bucket.objects(), before);
        assert_eq!(tier(&bucket, options()).load().await.unwrap().unwrap().segments, 2);
    });
}

#[test]
fn a_newer_format_is_refused_and_nothing_is_changed() {
    block_on(async {
        let mut log = Log::new(4);
        let bucket = filled(&mut log).await;
        let key = format!("heads/{}/3", PARTITION.topic_id);
        let mut newer = bucket.objects()[&key].to_vec();
        newer[5] = 2;
        bucket.tamper(&key, Some(newer.into()));
        let before = bucket.objects();
        let tier = tier(&bucket, options());
        log.segment();
        let sources = log.sources(0, 9);
        assert!(matches!(tier.load().await, Err(TierError::Refused { .. })));
        assert!(matches!(tier.copy(EPOCH, sources, Offset::ZERO).await, Err(TierError::Refused { .. })));
        assert!(matches!(tier.delete(EPOCH).await, Err(TierError::Refused { .. })));
        assert!(matches!(tier.collect(EPOCH, i64::MAX, 0).await, Err(TierError::Refused { .. })));
        assert_eq!(bucket.objects(), before);
    });
}

#[test]
fn a_damaged_local_segment_does_not_enter_the_bucket() {
    block_on(async {
        let mut log = Log::new(9);
        (0..3).for_each(|_| log.segment());
        let bucket = MemoryBucket::new();
        let tier = tier(&bucket, options());
        for at in [0, 9, 20, 40, 70] {
            let sources = log.sources(0, 3);
            let file = &sources[1].log;
            let mut byte = [0];
            file.read_at(&mut byte, at).unwrap();
            file.write_at(&[IoSlice::new(&[byte[0] ^ 0x10])], at).unwrap();
            let refused = tier.copy(EPOCH, sources.clone(), Offset::ZERO).await;
            // The leader epoch (bytes 12 to 16) is the one field that no checksum covers.
            assert!(matches!(&refused, Err(TierError::BadSegment { .. })), "byte {at}: {refused:?}");
        }
        let mut short = log.sources(0, 3);
        short[2].log_len -= 1;
        assert!(matches!(tier.copy(EPOCH, short, Offset::ZERO).await, Err(TierError::BadSegment { .. })));
        assert_eq!(tier.load().await.unwrap(), None, "no head names any of it");
        let sources = log.sources(0, 3);
        tier.copy(EPOCH, sources, Offset::ZERO).await.unwrap();
        tier.collect(EPOCH, 0, 1000).await.unwrap();
        let segments = bucket.objects().into_keys().filter(|key| key.starts_with("segments/")).count();
        assert_eq!(segments, 3, "and what was uploaded in vain is gone");
    });
}

struct Nobody;

impl ConfirmLeadership for Nobody {
    fn confirm(&self, _partition: TopicIdPartition, _epoch: LeaderEpoch) -> BoxFuture<'_, bool> {
        Box::pin(std::future::ready(false))
    }
}

#[test]
fn nothing_is_destroyed_without_the_controllers_word() {
    block_on(async {
        let mut log = Log::new(4);
        let bucket = filled(&mut log).await;
        let before = bucket.objects();
        let tier = tier(&bucket, TierOptions { confirm: Some(Arc::new(Nobody)), ..options() });
        let end = offset(log.end());
        let refused = tier.advance_start(EPOCH, end, DropReason::Retention).await;
        assert!(matches!(refused, Err(TierError::NotLeader(PARTITION))));
        assert!(matches!(tier.cut(EPOCH, Offset::ZERO, &[]).await, Err(TierError::NotLeader(_))));
        assert!(matches!(tier.delete(EPOCH).await, Err(TierError::NotLeader(_))));
        assert_eq!(bucket.objects(), before);
        // Copying goes on: it destroys nothing.
        log.segment();
        let sources = log.sources(log.bases[2], 1);
        assert_eq!(tier.copy(EPOCH, sources, Offset::ZERO).await.unwrap().unwrap().segments, 3);
    });
}

#[test]
fn a_lower_epoch_is_fenced_everywhere() {
    block_on(async {
        let mut log = Log::new(4);
        let bucket = filled(&mut log).await;
        let (old, before) = (LeaderEpoch(0), bucket.objects());
        let tier = tier(&bucket, options());
        log.segment();
        let sources = log.sources(0, 9);
        assert!(matches!(tier.copy(old, sources, Offset::ZERO).await, Err(TierError::Fenced { .. })));
        let end = offset(log.end());
        let refused = tier.advance_start(old, end, DropReason::Retention).await;
        assert!(matches!(refused, Err(TierError::Fenced { by }) if by.epoch == EPOCH));
        assert!(matches!(tier.delete(old).await, Err(TierError::Fenced { .. })));
        assert!(matches!(tier.collect(old, i64::MAX, 0).await, Err(TierError::Fenced { .. })));
        assert_eq!(bucket.objects(), before);
    });
}

#[test]
fn a_store_without_conditions_is_refused() {
    use crate::bucket::{Body, Bucket, BucketError, Pieces, Tag};
    use std::ops::Range;

    /// Puts whatever the condition says, as some servers do.
    #[derive(Debug)]
    struct Careless {
        inner: MemoryBucket,
        if_none_match: bool,
    }

    impl Bucket for Careless {
        fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(Bytes, Tag), BucketError>> {
            self.inner.get(key)
        }
        fn get_ranges<'a>(
            &'a self,
            key: &'a str,
            ranges: &'a [Range<u64>],
        ) -> BoxFuture<'a, Result<Vec<Bytes>, BucketError>> {
            self.inner.get_ranges(key, ranges)
        }
        fn put_new<'a>(&'a self, key: &'a str, body: Bytes) -> BoxFuture<'a, Result<Tag, BucketError>> {
            Box::pin(async move {
                if self.if_none_match && self.inner.get(key).await.is_ok() {
                    return self.inner.put_new(key, body).await;
                }
                self.inner.put(key, &mut Body::from(body)).await?;
                Ok(self.inner.get(key).await?.1)
            })
        }
        fn replace<'a>(
            &'a self,
            key: &'a str,
            _tag: &'a Tag,
            body: Bytes,
        ) -> BoxFuture<'a, Result<Tag, BucketError>> {
            Box::pin(async move {
                self.inner.put(key, &mut Body::from(body)).await?;
                Ok(self.inner.get(key).await?.1)
            })
        }
        fn put<'a>(
            &'a self,
            key: &'a str,
            pieces: &'a mut dyn Pieces,
        ) -> BoxFuture<'a, Result<(), BucketError>> {
            self.inner.put(key, pieces)
        }
        fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), BucketError>> {
            self.inner.delete(key)
        }
        fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<(String, u64)>, BucketError>> {
            self.inner.list(prefix)
        }
        fn describe(&self) -> String {
            "careless".to_owned()
        }
    }

    block_on(async {
        for (if_none_match, named) in [(false, "If-None-Match"), (true, "If-Match")] {
            let bucket = Arc::new(Careless { inner: MemoryBucket::new(), if_none_match });
            let opened = Tier::open(TestEnv::new(1), bucket, owner(), options()).await;
            let told = matches!(&opened, Err(TierError::Refused { detail }) if detail.contains(named));
            assert!(told, "{opened:?}");
        }
    });
}
