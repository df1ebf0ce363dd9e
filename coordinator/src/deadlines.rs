use alloc::collections::{BTreeMap, BTreeSet};

/// Timers as data: which are set, and for when.
#[derive(Debug)]
pub(crate) struct Deadlines<K> {
    due: BTreeMap<K, u64>,
    order: BTreeSet<(u64, K)>,
}

impl<K> Default for Deadlines<K> {
    fn default() -> Deadlines<K> {
        Deadlines { due: BTreeMap::new(), order: BTreeSet::new() }
    }
}

impl<K: Ord + Clone> Deadlines<K> {
    /// Sets `timer` to `at`, in place of any earlier or later time.
    pub(crate) fn set(&mut self, timer: K, at: u64) {
        if let Some(before) = self.due.insert(timer.clone(), at) {
            self.order.remove(&(before, timer.clone()));
        }
        self.order.insert((at, timer));
    }

    /// Forgets `timer`.
    pub(crate) fn cancel(&mut self, timer: &K) {
        if let Some((timer, at)) = self.due.remove_entry(timer) {
            self.order.remove(&(at, timer));
        }
    }

    /// Whether `timer` is set.
    pub(crate) fn is_set(&self, timer: &K) -> bool {
        self.due.contains_key(timer)
    }

    /// When the next one is due.
    pub(crate) fn next(&self) -> Option<u64> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Takes the next one that is due at `now`.
    pub(crate) fn take_due(&mut self, now: u64) -> Option<K> {
        if self.next()? > now {
            return None;
        }
        let (_, timer) = self.order.pop_first()?;
        self.due.remove(&timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_order_once_and_moved() {
        let mut deadlines = Deadlines::default();
        deadlines.set('a', 10);
        deadlines.set('b', 5);
        deadlines.set('c', 7);
        deadlines.set('b', 20);
        deadlines.cancel(&'c');
        deadlines.cancel(&'x');
        assert_eq!(deadlines.next(), Some(10));
        assert_eq!(deadlines.take_due(9), None);
        assert_eq!(deadlines.take_due(30), Some('a'));
        assert_eq!(deadlines.take_due(30), Some('b'));
        assert_eq!((deadlines.take_due(30), deadlines.next()), (None, None));
    }
}
