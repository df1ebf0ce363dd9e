use std::{cmp::Reverse, collections::BinaryHeap};

/// What happens when: the earliest first, and of one instant in the order of their numbers.
///
/// Most of what is awaited never comes: whoever waits for an answer also waits for the time-out. What is taken back
/// leaves only its place in the heap, which goes when its turn comes or when half of them are such.
pub(super) struct Queue<T> {
    heap: BinaryHeap<Reverse<(u64, u64, usize)>>,
    slots: Vec<Option<(u64, T)>>,
    free: Vec<usize>,
    len: usize,
}

/// Names something in a queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    id: u64,
    slot: usize,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Queue<T> {
        Queue { heap: BinaryHeap::new(), slots: Vec::new(), free: Vec::new(), len: 0 }
    }

    /// `id` was never given before.
    pub(super) fn insert(&mut self, at: u64, id: u64, what: T) -> Key {
        let slot = self.free.pop().unwrap_or(self.slots.len());
        if slot == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[slot] = Some((id, what));
        self.len += 1;
        self.heap.push(Reverse((at, id, slot)));
        Key { id, slot }
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<T> {
        let taken = self.take(key.id, key.slot);
        if self.heap.len() > 64 && self.heap.len() > self.len * 2 {
            let slots = &self.slots;
            self.heap.retain(|Reverse((_, id, slot))| is_there(slots, *id, *slot));
        }
        taken
    }

    /// When the first one happens.
    pub(super) fn first(&mut self) -> Option<u64> {
        loop {
            let Reverse((at, id, slot)) = *self.heap.peek()?;
            if is_there(&self.slots, id, slot) {
                return Some(at);
            }
            self.heap.pop();
        }
    }

    /// Takes the first one: when it happens, its number and what it is.
    pub(super) fn pop(&mut self) -> Option<(u64, u64, T)> {
        loop {
            let Reverse((at, id, slot)) = self.heap.pop()?;
            if let Some(what) = self.take(id, slot) {
                return Some((at, id, what));
            }
        }
    }

    /// Takes all of which `wanted` is true, in the order in which they would happen.
    pub(super) fn take_all(&mut self, wanted: impl Fn(&T) -> bool) -> Vec<T> {
        let slots = &self.slots;
        let is_wanted = |slot: usize, id: u64| matches!(&slots[slot], Some((known, what)) if *known == id && wanted(what));
        let mut keys: Vec<_> = self.heap.iter().map(|Reverse(key)| *key).collect();
        keys.retain(|(_, id, slot)| is_wanted(*slot, *id));
        keys.sort_unstable();
        keys.into_iter().filter_map(|(_, id, slot)| self.take(id, slot)).collect()
    }

    fn take(&mut self, id: u64, slot: usize) -> Option<T> {
        let place = self.slots.get_mut(slot)?;
        let (_, what) = place.take_if(|(known, _)| *known == id)?;
        self.free.push(slot);
        self.len -= 1;
        Some(what)
    }
}

fn is_there<T>(slots: &[Option<(u64, T)>], id: u64, slot: usize) -> bool {
    matches!(&slots[slot], Some((known, _)) if *known == id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::random::Random;

    #[test]
    fn it_gives_what_a_sorted_map_gives() {
        let mut random = Random::new(7);
        let (mut queue, mut map, mut keys) = (Queue::new(), BTreeMap::new(), Vec::new());
        for id in 0..20_000u64 {
            let at = random.below(1_000);
            keys.push((at, id, queue.insert(at, id, id)));
            map.insert((at, id), id);
            if random.chance(2, 5) {
                let (at, id, key) = keys.swap_remove(random.below(keys.len() as u64) as usize);
                assert_eq!(queue.remove(key), map.remove(&(at, id)));
                assert_eq!(queue.remove(key).or(map.remove(&(at, id))), None, "once only");
            }
            if random.chance(1, 3) {
                assert_eq!(queue.first(), map.first_key_value().map(|((at, _), _)| *at));
                let first = map.pop_first().map(|((at, id), what)| (at, id, what));
                assert_eq!(queue.pop(), first);
            }
            if random.chance(1, 500) {
                let thirds: Vec<u64> =
                    map.extract_if(.., |_, what| *what % 3 == 0).map(|(_, what)| what).collect();
                assert_eq!(queue.take_all(|what| what % 3 == 0), thirds);
            }
        }
        while let Some(((at, id), what)) = map.pop_first() {
            assert_eq!(queue.pop(), Some((at, id, what)));
        }
        assert_eq!((queue.first(), queue.pop()), (None, None));
    }

    #[test]
    fn what_is_taken_back_takes_no_room_for_long() {
        let mut queue = Queue::new();
        for id in 0..10_000u64 {
            let key = queue.insert(1_000_000 + id, id, ());
            assert_eq!(queue.remove(key), Some(()));
        }
        assert!(queue.heap.len() <= 65 && queue.slots.len() == 1, "{}", queue.heap.len());
    }
}
