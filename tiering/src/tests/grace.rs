//! What is dropped stays for those who still look for it, and for forks as long as they pin it.

use std::sync::Arc;

use highwater_records::{LeaderEpoch, Offset};

use super::{
    env::{TestEnv, block_on},
    logs::{Log, PARTITION, offset},
    model::{options, owner},
};
use crate::{
    DropReason, Fence, ObjectId, PartitionTier, Tier, TierError, TierState,
    bucket::{Bucket, faulty::FaultyBucket, memory::MemoryBucket},
    head::{Head, Pin, page::PageContent},
    name::{Kind, head_key},
};

const EPOCH: LeaderEpoch = LeaderEpoch(1);
const GRACE_MS: u64 = 1_000_000;

struct World {
    env: Arc<TestEnv>,
    bucket: MemoryBucket,
    log: Log,
}

impl World {
    /// A bucket with five segments.
    async fn new() -> World {
        let mut world = World { env: TestEnv::new(3), bucket: MemoryBucket::new(), log: Log::new(21) };
        (0..5).for_each(|_| world.log.segment());
        let sources = world.log.sources(0, 5);
        world.tier().copy(EPOCH, sources, Offset::ZERO).await.unwrap();
        world
    }

    fn tier(&self) -> Arc<PartitionTier> {
        let tier = Tier::new(self.env.clone(), Arc::new(self.bucket.clone()), owner(), options());
        tier.partition(PARTITION, "topic", 1)
    }

    fn segments(&self) -> usize {
        self.bucket.objects().keys().filter(|key| key.starts_with("segments/")).count()
    }

    /// Changes the head behind everybody's back.
    fn edit_head(&self, edit: impl FnOnce(&mut Head)) {
        let key = head_key(PARTITION);
        let (mut head, _) = Head::decode(&self.bucket.objects()[&key]).unwrap();
        edit(&mut head);
        self.bucket.tamper(&key, Some(head.encode().0));
    }
}

#[test]
fn a_reader_with_an_old_head_is_served_until_the_grace_period_is_over() {
    block_on(async {
        let world = World::new().await;
        let (leader, reader) = (world.tier(), world.tier());
        reader.load().await.unwrap();
        let kept = offset(world.log.bases[3]);
        leader.advance_start(EPOCH, kept, DropReason::Retention).await.unwrap();
        let soon = world.env.pass_ms(GRACE_MS as i64 - 10);
        assert_eq!(leader.collect(EPOCH, soon, GRACE_MS).await.unwrap().dropped, 0);
        assert_eq!(world.segments(), 5);
        let read = reader.read(Offset::ZERO, 100_000, true).await.unwrap();
        world.log.check_read(0, world.log.end(), 100_000, true, &read);
        // Whoever knows the new head is not.
        let refused = leader.read(Offset::ZERO, 100, true).await;
        assert!(matches!(refused, Err(TierError::OutOfRange { start, .. }) if start == kept));

        let later = world.env.pass_ms(20);
        assert_eq!(leader.collect(EPOCH, later, GRACE_MS).await.unwrap().dropped, 3);
        assert_eq!(world.segments(), 2);
        // A process that knows nothing of the deletion finishes the round, and the head forgets.
        assert_eq!(world.tier().collect(EPOCH, later, GRACE_MS).await.unwrap().dropped, 3);
        assert_eq!(world.tier().load().await.unwrap().unwrap().dropped, 0);
        // The old head leads nowhere now, so it is read again.
        let refused = world.tier().read(Offset::ZERO, 100, true).await;
        assert!(matches!(refused, Err(TierError::OutOfRange { .. })), "{refused:?}");
    });
}

#[test]
fn what_a_fork_pins_outlives_its_topic() {
    block_on(async {
        let world = World::new().await;
        let fence = Fence { incarnation: 1, epoch: EPOCH };
        let first = Head::decode(&world.bucket.objects()[&head_key(PARTITION)]).unwrap().0.recent[0];
        let id = ObjectId([9; 16]);
        let (bytes, page) = PageContent::Entries(vec![first]).encode(PARTITION, fence, id);
        world.bucket.put_new(&page.name.key(Kind::Page, PARTITION), bytes).await.unwrap();
        world.edit_head(|head| head.pins.push(Pin { fork: ObjectId([1; 16]), at_ms: 5, page }));

        let tier = world.tier();
        tier.delete(EPOCH).await.unwrap();
        for _ in 0..4 {
            let now = world.env.pass_ms(2 * GRACE_MS as i64);
            assert!(!tier.collect(EPOCH, now, GRACE_MS).await.unwrap().forgotten);
        }
        let left: Vec<String> = world.bucket.objects().into_keys().collect();
        let expected = [
            head_key(PARTITION),
            "owner".to_owned(),
            page.name.key(Kind::Page, PARTITION),
            first.name.key(Kind::Segment, PARTITION),
        ];
        assert_eq!(left, expected);
        // The fork lets go: the rest is swept with the tombstone.
        world.edit_head(|head| head.pins.clear());
        let now = world.env.pass_ms(2 * GRACE_MS as i64);
        assert!(world.tier().collect(EPOCH, now, GRACE_MS).await.unwrap().forgotten);
        assert_eq!(world.bucket.objects().into_keys().collect::<Vec<_>>(), ["owner"]);
    });
}

#[test]
fn what_a_reader_cannot_apply_it_refuses() {
    block_on(async {
        let world = World::new().await;
        world.edit_head(|head| {
            head.erasures.push(crate::head::Erasure {
                key_hash: crate::Digest::of(b"key"),
                from: Offset::ZERO,
                to: offset(9),
                version: 1,
            });
        });
        let refused = world.tier().read(Offset::ZERO, 100, true).await;
        assert!(matches!(refused, Err(TierError::Refused { .. })), "{refused:?}");
        world.edit_head(|head| {
            head.erasures.clear();
            head.recent[0].key = 7;
        });
        let refused = world.tier().read(Offset::ZERO, 100, true).await;
        assert!(matches!(refused, Err(TierError::Refused { .. })), "{refused:?}");
        world.edit_head(|head| {
            head.recent[0].key = 0;
            head.state = TierState::ReadOnly;
        });
        let tier = world.tier();
        assert!(tier.read(Offset::ZERO, 100, true).await.is_ok());
        let mut log = Log::new(21);
        (0..6).for_each(|_| log.segment());
        let sources = log.sources(world.log.end(), 1);
        let refused = tier.copy(EPOCH, sources, Offset::ZERO).await;
        assert!(matches!(refused, Err(TierError::Refused { .. })), "{refused:?}");
    });
}

#[test]
fn what_nothing_asks_for_costs_no_request() {
    block_on(async {
        let mut world = World::new().await;
        let counted = FaultyBucket::new(world.env.clone(), Arc::new(world.bucket.clone()), 1);
        let tier = Tier::new(world.env.clone(), Arc::new(counted.clone()), owner(), options());
        tier.ready().await.unwrap();
        let tier = tier.partition(PARTITION, "topic", 1);
        let calls = || counted.calls();
        let begun = calls();
        tier.load().await.unwrap();
        assert_eq!(calls() - begun, 1, "opening is one GET");
        tier.collect(EPOCH, 0, GRACE_MS).await.unwrap();
        for _ in 0..3 {
            world.log.segment();
            let sources = world.log.sources(tier.summary().unwrap().end.get(), 1);
            let begun = calls();
            tier.copy(EPOCH, sources, Offset::ZERO).await.unwrap();
            assert!(calls() - begun <= 5, "an object, its footer read back, a head; and now and then a page");
            let begun = calls();
            tier.collect(EPOCH, 0, GRACE_MS).await.unwrap();
            let page_replaced = tier.summary().unwrap().dropped > 0;
            assert!(calls() == begun || page_replaced, "{} requests for nothing", calls() - begun);
        }
    });
}

#[test]
fn only_orphans_that_nobody_can_still_name_are_swept() {
    block_on(async {
        let mut world = World::new().await;
        let at = |epoch: u32, env: &TestEnv| crate::ObjectName {
            base: offset(world.log.end()),
            fence: Fence { incarnation: 1, epoch: LeaderEpoch(epoch) },
            id: ObjectId::draw(env),
        };
        let (older, ours, newer) = (at(1, &world.env), at(2, &world.env), at(3, &world.env));
        for name in [older, ours, newer] {
            let key = name.key(Kind::Segment, PARTITION);
            world.bucket.put_new(&key, bytes::Bytes::from_static(b"being uploaded")).await.unwrap();
        }
        let there = |name: crate::ObjectName| {
            world.bucket.objects().contains_key(&name.key(Kind::Segment, PARTITION))
        };
        // Before a head of ours keeps the older writer out, its upload may still be named.
        let (leader, now) = (world.tier(), world.env.pass_ms(1));
        leader.collect(LeaderEpoch(2), now, GRACE_MS).await.unwrap();
        assert!(there(older) && there(ours) && there(newer));
        world.log.segment();
        let sources = world.log.sources(leader.summary().unwrap().end.get(), 1);
        leader.copy(LeaderEpoch(2), sources, Offset::ZERO).await.unwrap();
        assert_eq!(world.tier().orphans().await.unwrap(), [older.key(Kind::Segment, PARTITION)]);
        let swept = leader.collect(LeaderEpoch(2), now, GRACE_MS).await.unwrap();
        let there = |name: crate::ObjectName| {
            world.bucket.objects().contains_key(&name.key(Kind::Segment, PARTITION))
        };
        assert_eq!(swept.orphans, 1);
        assert!(!there(older) && there(ours) && there(newer));
        assert!(world.tier().orphans().await.unwrap().is_empty());
        // Another process of our epoch has had its time.
        let later = world.env.pass_ms(GRACE_MS as i64 + 10);
        assert_eq!(world.tier().collect(LeaderEpoch(2), later, GRACE_MS).await.unwrap().orphans, 1);
        assert!(!there(ours) && there(newer));
    });
}
