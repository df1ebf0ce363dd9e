//! One segment in the bucket, as a head or a page names it.

use highwater_records::{Offset, TimestampMs};

use crate::{
    encoding::{FormatError, Reader, Writer},
    name::{Digest, ObjectName},
};

/// The smallest encoding of an entry, in bytes.
pub(crate) const ENTRY_BYTES_MIN: usize = 131;

/// One segment object and what of it is live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentEntry {
    /// The object; its base is the first offset it holds (inclusive).
    pub(crate) name: ObjectName,
    /// One past the last offset the object holds.
    pub(crate) next: Offset,
    /// First live offset (inclusive), at or above the base.
    pub(crate) start: Offset,
    /// End of the live offsets (exclusive), at or below `next`.
    pub(crate) end: Offset,
    /// Index into the head's stores; 0 is the head's own bucket.
    pub(crate) store: u16,
    /// Data key; 0 is none.
    pub(crate) key: u32,
    /// Size of the object in bytes.
    pub(crate) object_bytes: u64,
    /// Size of the segment in bytes.
    pub(crate) logical_bytes: u64,
    /// Bytes of the segment within `[start, end)`.
    pub(crate) live_bytes: u64,
    /// Size of the footer, the end of the object.
    pub(crate) footer_bytes: u32,
    /// Digest of the footer.
    pub(crate) footer_digest: Digest,
    /// The largest timestamp and the offset that has it.
    pub(crate) newest: Option<(TimestampMs, Offset)>,
    /// When the segment was last written, in milliseconds since 1970.
    pub(crate) modified_ms: i64,
}

impl SegmentEntry {
    /// What retention by time compares: the largest timestamp, or when it was written.
    pub(crate) fn newest_ms(&self) -> i64 {
        self.newest.map_or(self.modified_ms, |(timestamp, _)| timestamp.0)
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.offset(self.name.base);
        out.offset(self.next);
        out.offset(self.start);
        out.offset(self.end);
        out.fence(self.name.fence);
        out.id(self.name.id);
        out.u16(self.store);
        out.u32(self.key);
        out.u64(self.object_bytes);
        out.u64(self.logical_bytes);
        out.u64(self.live_bytes);
        out.u32(self.footer_bytes);
        out.digest(self.footer_digest);
        out.newest(self.newest);
        out.i64(self.modified_ms);
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<SegmentEntry, FormatError> {
        let base = reader.offset()?;
        let (next, start, end) = (reader.offset()?, reader.offset()?, reader.offset()?);
        let entry = SegmentEntry {
            name: ObjectName { base, fence: reader.fence()?, id: reader.id()? },
            next,
            start,
            end,
            store: reader.u16()?,
            key: reader.u32()?,
            object_bytes: reader.u64()?,
            logical_bytes: reader.u64()?,
            live_bytes: reader.u64()?,
            footer_bytes: reader.u32()?,
            footer_digest: reader.digest()?,
            newest: reader.newest()?,
            modified_ms: reader.i64()?,
        };
        entry.check()?;
        Ok(entry)
    }

    fn check(&self) -> Result<(), FormatError> {
        let ordered = self.name.base <= self.start && self.start < self.end && self.end <= self.next;
        let sized =
            self.live_bytes <= self.logical_bytes && u64::from(self.footer_bytes) <= self.object_bytes;
        if ordered && sized { Ok(()) } else { Err(FormatError::Bad("an entry contradicts itself")) }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::name::{Fence, ObjectId};
    use highwater_records::LeaderEpoch;
    use proptest::prelude::*;

    /// Any entry that is live from `start` for `count` offsets.
    pub(crate) fn entry_at(start: u64, count: u64) -> impl Strategy<Value = SegmentEntry> {
        let numbers = (0..=start.min(50), 0..50_u64, any::<[u8; 16]>(), any::<[u8; 32]>());
        let rest = (any::<u16>(), any::<u32>(), any::<i64>(), any::<Option<(i64, u32)>>(), any::<u16>());
        (numbers, rest).prop_map(move |((before, after, id, digest), (store, key, time, newest, size))| {
            let offset = |value| Offset::new(value).unwrap();
            SegmentEntry {
                name: ObjectName {
                    base: offset(start - before),
                    fence: Fence { incarnation: key, epoch: LeaderEpoch(key / 3) },
                    id: ObjectId(id),
                },
                next: offset(start + count + after),
                start: offset(start),
                end: offset(start + count),
                store,
                key,
                object_bytes: u64::from(size) + 1000,
                logical_bytes: u64::from(size),
                live_bytes: u64::from(size / 2),
                footer_bytes: 1000,
                footer_digest: Digest(digest),
                newest: newest.map(|(time, at)| (TimestampMs(time), offset(at.into()))),
                modified_ms: time,
            }
        })
    }

    proptest! {
        #[test]
        fn entries_come_back_as_they_were(entry in entry_at(100, 7)) {
            let mut out = Writer::default();
            entry.write(&mut out);
            let bytes = out.finish();
            prop_assert!(bytes.len() == ENTRY_BYTES_MIN || bytes.len() == ENTRY_BYTES_MIN + 16);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(SegmentEntry::read(&mut reader).unwrap(), entry);
            reader.end().unwrap();
        }
    }
}
