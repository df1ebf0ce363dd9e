//! A bucket with damaged or hostile objects: no record is ever shown that was not copied.

use crate::{
    edits::{Edits, seed},
    still::{StillEnv, block_on},
};
use bytes::Bytes;
use highwater_engine::disk::{Disk, Open, memory::MemoryDisk};
use highwater_records::{
    LeaderEpoch, Offset, PartitionIndex, TimestampMs, TopicId, TopicIdPartition,
    batch::{BatchBuilder, BatchView, Record, split},
    compression::Codec,
};
use highwater_tiering::{
    DropReason, HeadLimits, Owner, PartitionTier, SegmentSource, Tier, TierError, TierOptions,
    bucket::memory::MemoryBucket, planner::Retention,
};
use std::{
    collections::BTreeMap,
    io::IoSlice,
    path::PathBuf,
    sync::{Arc, OnceLock},
};

const PARTITION: TopicIdPartition =
    TopicIdPartition { topic_id: TopicId::from_bytes([6; 16]), partition: PartitionIndex(3) };

/// Bytes around an envelope's payload: magic, format, flags, length; and the digest behind it.
const ENVELOPE_PREFIX: usize = 12;
const DIGEST: usize = 32;

/// The first byte says whether digests are made right again; edits of the bucket's objects follow.
pub(crate) fn run(input: &[u8]) {
    let [flags, edits @ ..] = input else { return };
    let hostile = flags & 1 == 1;
    let truth = truth();
    let bucket = MemoryBucket::new();
    let mut objects = truth.objects.clone();
    let keys: Vec<String> = objects.keys().cloned().collect();
    let mut edits = Edits::new(edits);
    while let Some((number, edit)) = edits.next(keys.len()) {
        let key = &keys[number];
        let Some(before) = objects.remove(key) else { continue };
        let Some(after) = edit.apply(before.to_vec()) else { continue };
        let after = if hostile { reseal(&before, after, &mut objects) } else { after };
        objects.insert(key.clone(), after.into());
    }
    for (key, bytes) in objects {
        bucket.tamper(&key, Some(bytes));
    }
    // Nobody can protect against bytes whose digests are right; then it is enough that nothing breaks.
    use_tier(&bucket, (!hostile).then_some(truth));
}

fn use_tier(bucket: &MemoryBucket, truth: Option<&Truth>) {
    let tier = Tier::new(Arc::new(StillEnv::default()), Arc::new(bucket.clone()), owner(), options());
    let partition = tier.partition(PARTITION, "topic", 0);
    block_on(async {
        let Ok(Some(summary)) = partition.load().await else { return };
        read_all(&partition, truth).await;
        for time in [0, 1_050, i64::MAX] {
            if let Ok(Some((at, offset))) = partition.offset_for_timestamp(TimestampMs(time)).await {
                assert!(at.0 >= time && offset < summary.end);
            }
        }
        let _ = partition.max_timestamp().await;
        let _ = partition.epoch_of(summary.start).await;
        let _ = partition.end_state().await;
        let retention = Retention { ms: Some(1), bytes: Some(1) };
        let _ = partition.retention_start(1_700_000_000_000, &retention, 0).await;
        let middle = Offset::new(summary.start.get().midpoint(summary.end.get())).unwrap_or_default();
        let _ = partition.advance_start(LeaderEpoch(9), middle, DropReason::Retention).await;
        let _ = partition.collect(LeaderEpoch(9), 1_900_000_000_000, 1_000).await;
        read_all(&partition, truth).await;
        let _ = partition.delete(LeaderEpoch(9)).await;
    });
}

async fn read_all(partition: &PartitionTier, truth: Option<&Truth>) {
    let Some(summary) = partition.summary() else { return };
    let mut next = summary.log_start.max(summary.start);
    for _ in 0..200 {
        if next >= summary.end {
            return;
        }
        match partition.read(next, 900, true).await {
            Ok(read) => {
                assert!(read.next_offset > next, "a read of {next} that gets nowhere");
                check(read.bytes, next, truth);
                next = read.next_offset;
            }
            Err(TierError::OutOfRange { .. }) if truth.is_some() => panic!("{next} is in {summary:?}"),
            Err(_) => {
                let Some(after) = next.checked_add(1) else { return };
                next = after;
            }
        }
    }
}

fn check(bytes: Bytes, from: Offset, truth: Option<&Truth>) {
    for (index, piece) in split(bytes).enumerate() {
        let piece = piece.expect("whole batches");
        let view = BatchView::parse(&piece).expect("split has parsed it");
        view.verify_crc().expect("every byte is verified before it leaves");
        if index == 0 {
            assert!(view.base_offset() <= from && from < view.next_offset());
        }
        if let Some(truth) = truth {
            assert_eq!(truth.batches.get(&view.base_offset().get()), Some(&piece));
        }
    }
}

/// Makes length and digest of an envelope right, and the digest wherever the bucket names it.
fn reseal(before: &Bytes, mut after: Vec<u8>, objects: &mut BTreeMap<String, Bytes>) -> Vec<u8> {
    // A segment object ends with its footer, everything else is one envelope.
    let starts = |bytes: &[u8]| {
        let magic = [b"HWOW", b"HWHD", b"HWPG", b"HWFT"];
        (0..bytes.len().saturating_sub(3))
            .rev()
            .find(|at| magic.iter().any(|magic| bytes[*at..].starts_with(*magic)))
    };
    let (Some(old), Some(new)) = (starts(before), starts(&after)) else { return after };
    let envelope = after.len() - new;
    if envelope < ENVELOPE_PREFIX + DIGEST {
        return after;
    }
    let payload = u32::try_from(envelope - ENVELOPE_PREFIX - DIGEST).expect("small objects");
    after[new + 8..new + 12].copy_from_slice(&payload.to_be_bytes());
    let end = after.len() - DIGEST;
    let digest = blake3::hash(&after[new..end]);
    after[end..].copy_from_slice(digest.as_bytes());
    let (was, is) = (blake3::hash(&before[old..]), blake3::hash(&after[new..]));
    let keys: Vec<String> = objects.keys().cloned().collect();
    for key in keys {
        let object = &objects[&key];
        if let Some(at) = object.windows(DIGEST).position(|window| window == was.as_bytes()) {
            let mut changed = object.to_vec();
            changed[at..at + DIGEST].copy_from_slice(is.as_bytes());
            let object = object.clone();
            let sealed = reseal(&object, changed, objects);
            objects.insert(key, sealed.into());
        }
    }
    after
}

/// What was copied, and the bucket that has it.
struct Truth {
    batches: BTreeMap<u64, Bytes>,
    objects: BTreeMap<String, Bytes>,
}

fn truth() -> &'static Truth {
    static TRUTH: OnceLock<Truth> = OnceLock::new();
    TRUTH.get_or_init(|| {
        let bucket = MemoryBucket::new();
        let tier = Tier::new(Arc::new(StillEnv::default()), Arc::new(bucket.clone()), owner(), options());
        let partition = tier.partition(PARTITION, "topic", 0);
        let disk = MemoryDisk::new();
        let mut batches = BTreeMap::new();
        let mut next = 0;
        for number in 0..7 {
            let source = segment(&disk, number, &mut next, &mut batches);
            block_on(partition.copy(LeaderEpoch(1), vec![source], Offset::ZERO)).expect("a sound bucket");
        }
        Truth { batches, objects: bucket.objects() }
    })
}

/// A segment of three batches.
fn segment(
    disk: &MemoryDisk,
    number: u64,
    next: &mut u64,
    batches: &mut BTreeMap<u64, Bytes>,
) -> SegmentSource {
    let base = *next;
    let mut log = Vec::new();
    for batch in 0..3 {
        let mut builder = BatchBuilder::new(Codec::None);
        for record in 0..=batch {
            let value = vec![b'a' + (number % 26) as u8; 300 * record + 7];
            let timestamp = TimestampMs(1_000 + (number * 20) as i64 + record as i64);
            builder
                .push(Record { timestamp, key: Some(b"k"), value: Some(&value), headers: &[] })
                .expect("a small record");
        }
        let count = u64::from(builder.record_count());
        let offset = Offset::new(*next).expect("a small offset");
        let bytes = builder.build(offset, Some(LeaderEpoch(1))).expect("a small batch");
        log.extend_from_slice(&bytes);
        batches.insert(*next, bytes);
        *next += count;
    }
    let file = disk.open(&PathBuf::from(format!("/{number}")), Open::CreateNew).expect("a new name");
    file.write_at(&[IoSlice::new(&log)], 0).expect("a sound disk");
    SegmentSource {
        base_offset: Offset::new(base).expect("a small offset"),
        next_offset: Offset::new(*next).expect("a small offset"),
        log: file,
        log_len: log.len() as u64,
        modified_ms: 2_000,
        transaction_index: Bytes::new(),
        producer_snapshot: Bytes::from_static(b"snapshot"),
        epochs: vec![(LeaderEpoch(1), Offset::ZERO)],
    }
}

fn owner() -> Owner {
    Owner { cluster_id: "AQIDBAUGBwgJCgsMDQ4PEA".to_owned() }
}

/// Several chunks per object, pages after a few segments.
fn options() -> TierOptions {
    TierOptions {
        chunk_bytes: 4 << 10,
        limits: HeadLimits {
            recent_max: 4,
            recent_kept: 2,
            page_entries: 3,
            pages_max: 2,
            pages_folded: 2,
            dropped_max: 2,
        },
        ..TierOptions::default()
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![vec![0], vec![1]];
    for (thing, bytes) in (0u8..).zip(truth().objects.values()) {
        seeds.push(seed(0, thing, 0, 0, &[]));
        seeds.push(seed(0, thing, 5, 40, &[0xff]));
        for step in 1..6 {
            let at = u16::try_from(bytes.len() * step / 6).expect("small objects");
            seeds.push(seed(1, thing, 5, at, &[0xff, 0xff]));
        }
        seeds.push(seed(1, thing, 2, 20, &[0, 0, 0, 1]));
    }
    seeds
}
