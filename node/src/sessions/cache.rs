//! All sessions of a broker, within bounds.
//!
//! Where there is no room, a session that was not used for two minutes makes way, else the smallest of those older
//! than that if it is not larger than the new one, as in Kafka (KIP-227). Besides the number of sessions the number
//! of partitions in all of them is bounded: what a client claims to read is its claim.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use highwater_env::Instant;
use parking_lot::Mutex;

use super::session::Session;

/// How long a session is safe from larger ones, and how long an unused one is kept when there is no room.
const SAFE: Duration = Duration::from_secs(120);

/// Partitions in all sessions together, per session that may exist.
const PARTITIONS_PER_SLOT: usize = 1000;

/// The sessions by their ids.
pub(crate) struct SessionCache {
    slots: usize,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    sessions: BTreeMap<i32, Slot>,
    partitions: usize,
}

struct Slot {
    session: Arc<Mutex<Session>>,
    created: Instant,
    used: Instant,
    size: usize,
}

impl SessionCache {
    /// Room for `slots` sessions; none at all for zero.
    pub(crate) fn new(slots: usize) -> SessionCache {
        SessionCache { slots, held: Mutex::default() }
    }

    pub(crate) fn find(&self, id: i32) -> Option<Arc<Mutex<Session>>> {
        self.held.lock().sessions.get(&id).map(|slot| slot.session.clone())
    }

    pub(crate) fn remove(&self, id: i32) {
        self.held.lock().remove(id);
    }

    /// A session was used and has this many partitions now. `false` where that is too many, or where it has made way
    /// for another: it is gone then.
    pub(crate) fn touch(&self, id: i32, size: usize, now: Instant) -> bool {
        let mut held = self.held.lock();
        let Some(slot) = held.sessions.get_mut(&id) else { return false };
        slot.used = now;
        let before = std::mem::replace(&mut slot.size, size);
        held.partitions = held.partitions - before + size;
        if held.partitions <= self.partitions_max() {
            return true;
        }
        held.remove(id);
        false
    }

    /// The id of a new session, if there is room for one.
    pub(crate) fn create(
        &self,
        size: usize,
        now: Instant,
        random: impl Fn() -> u64,
        session: impl FnOnce() -> Session,
    ) -> Option<i32> {
        let mut held = self.held.lock();
        if size == 0 || size > self.partitions_max() {
            return None;
        }
        while held.sessions.len() >= self.slots || held.partitions + size > self.partitions_max() {
            let evicted = held.evictable(size, now)?;
            held.remove(evicted);
        }
        let id = loop {
            let id = i32::try_from(random() >> 33).unwrap_or(1);
            if id != 0 && !held.sessions.contains_key(&id) {
                break id;
            }
        };
        let session = Arc::new(Mutex::new(session()));
        held.sessions.insert(id, Slot { session, created: now, used: now, size });
        held.partitions += size;
        Some(id)
    }

    const fn partitions_max(&self) -> usize {
        self.slots.saturating_mul(PARTITIONS_PER_SLOT)
    }
}

impl Held {
    fn remove(&mut self, id: i32) {
        if let Some(slot) = self.sessions.remove(&id) {
            self.partitions -= slot.size;
        }
    }

    fn evictable(&self, size: usize, now: Instant) -> Option<i32> {
        let (id, oldest) = self.sessions.iter().min_by_key(|(_, slot)| slot.used)?;
        if now > oldest.used.plus(SAFE) {
            return Some(*id);
        }
        let unsafe_ones = self.sessions.iter().filter(|(_, slot)| now > slot.created.plus(SAFE));
        let (id, smallest) = unsafe_ones.min_by_key(|(_, slot)| slot.size)?;
        (smallest.size <= size).then_some(*id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    struct Draws(Cell<u64>);

    impl Draws {
        fn next(&self) -> u64 {
            self.0.set(self.0.get() + 1);
            self.0.get() << 33
        }
    }

    fn seconds(seconds: u64) -> Instant {
        Instant::ZERO.plus(Duration::from_secs(seconds))
    }

    fn create(cache: &SessionCache, draws: &Draws, size: usize, at: u64) -> Option<i32> {
        cache.create(size, seconds(at), || draws.next(), || Session::new(true, &[]))
    }

    #[test]
    fn the_unused_and_the_small_make_way() {
        let (cache, draws) = (SessionCache::new(2), Draws(Cell::new(0)));
        let (first, second) = (create(&cache, &draws, 5, 0).unwrap(), create(&cache, &draws, 9, 0).unwrap());
        assert_eq!(create(&cache, &draws, 100, 1), None, "both are young");
        assert!(cache.touch(first, 5, seconds(100)) && cache.touch(second, 9, seconds(100)));
        assert_eq!(create(&cache, &draws, 4, 130), None, "both are larger");
        let third = create(&cache, &draws, 5, 130).unwrap();
        assert!(cache.find(first).is_none() && cache.find(second).is_some());
        assert!(cache.touch(third, 5, seconds(219)));
        let fourth = create(&cache, &draws, 1, 221).unwrap();
        assert!(cache.find(second).is_none(), "not used for two minutes");
        assert!(cache.find(third).is_some() && cache.find(fourth).is_some());
    }

    #[test]
    fn partitions_are_bounded_too() {
        let (cache, draws) = (SessionCache::new(2), Draws(Cell::new(0)));
        assert_eq!(create(&cache, &draws, 2001, 0), None);
        let id = create(&cache, &draws, 2000, 0).unwrap();
        assert_eq!(create(&cache, &draws, 1, 0), None);
        assert!(!cache.touch(id, 2001, seconds(1)));
        assert!(cache.find(id).is_none());
        assert!(create(&cache, &draws, 2000, 0).is_some());
        assert_eq!(SessionCache::new(0).create(1, seconds(0), || 1, || unreachable!()), None);
    }
}
