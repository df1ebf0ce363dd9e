//! The latest entries of the metadata log, for brokers that follow it here.

use std::collections::VecDeque;

use highwater_metadata::{Entry, EntryId};

/// Entries in order, without a gap up to the last applied one.
pub(super) struct Recent {
    entries: VecDeque<Entry>,
    /// The entry before the first one that is kept; `None` if that is the very first.
    before: Option<EntryId>,
    /// Records of all of them, an entry counting as one more.
    size: usize,
    size_max: usize,
}

impl Recent {
    /// Keeps entries with so many records together, an entry counting as one more; at least one entry unless zero.
    pub(super) const fn new(size_max: usize) -> Recent {
        Recent { entries: VecDeque::new(), before: None, size: 0, size_max }
    }

    /// The next entry.
    pub(super) fn push(&mut self, entry: &Entry) {
        self.size += size(entry);
        self.entries.push_back(entry.clone());
        while self.size > self.size_max
            && (self.entries.len() > 1 || self.size_max == 0)
            && let Some(oldest) = self.entries.pop_front()
        {
            self.size -= size(&oldest);
            self.before = Some(oldest.id);
        }
    }

    /// Everything up to this entry is known otherwise.
    pub(super) fn begin_after(&mut self, id: Option<EntryId>) {
        self.entries.clear();
        (self.before, self.size) = (id, 0);
    }

    /// The entries after one, up to so many records; at least one entry if there is one. `None` if some of them are not
    /// kept.
    pub(super) fn after(&self, id: Option<EntryId>, records_max: usize) -> Option<Vec<Entry>> {
        if id < self.before {
            return None;
        }
        let first = self.entries.partition_point(|entry| Some(entry.id) <= id);
        let (mut taken, mut records) = (Vec::new(), 0);
        for entry in self.entries.iter().skip(first) {
            records += entry.records.len();
            if records > records_max && !taken.is_empty() {
                break;
            }
            taken.push(entry.clone());
        }
        Some(taken)
    }
}

fn size(entry: &Entry) -> usize {
    entry.records.len() + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use highwater_metadata::MetadataRecord;
    use highwater_records::TopicId;

    fn entry(id: u64, records: usize) -> Entry {
        let record = MetadataRecord::TopicPurged { id: TopicId::from_bytes([1; 16]) };
        Entry { id: EntryId::new(id).unwrap(), expects: None, records: vec![record; records] }
    }

    fn ids(recent: &Recent, after: u64, records_max: usize) -> Option<Vec<u64>> {
        let after = EntryId::new(after);
        recent.after(after, records_max).map(|found| found.iter().map(|entry| entry.id.get()).collect())
    }

    #[test]
    fn what_is_kept_is_told_without_a_gap() {
        let mut recent = Recent::new(10);
        assert_eq!(ids(&recent, 0, 9), Some(vec![]));
        for id in [1, 2, 5] {
            recent.push(&entry(id, 2));
        }
        assert_eq!(ids(&recent, 0, 9), Some(vec![1, 2, 5]));
        assert_eq!(ids(&recent, 1, 3), Some(vec![2]), "no more than was asked for");
        assert_eq!(ids(&recent, 2, 1), Some(vec![5]), "the first whatever its size");
        assert_eq!(ids(&recent, 5, 9), Some(vec![]));
        assert_eq!(ids(&recent, 9, 9), Some(vec![]), "who is ahead waits");
        recent.push(&entry(6, 2));
        assert_eq!((ids(&recent, 0, 9), ids(&recent, 1, 9)), (None, Some(vec![2, 5, 6])));
        recent.push(&entry(7, 50));
        assert_eq!((ids(&recent, 5, 9), ids(&recent, 6, 9)), (None, Some(vec![7])));
        recent.begin_after(EntryId::new(20));
        assert_eq!((ids(&recent, 19, 9), ids(&recent, 20, 9)), (None, Some(vec![])));
        let mut none = Recent::new(0);
        none.push(&entry(1, 0));
        assert_eq!((ids(&none, 0, 9), ids(&none, 1, 9)), (None, Some(vec![])));
    }
}
