//! Pages: immutable objects with the older entries of a head (`docs/format/head.md`).

use bytes::Bytes;
use highwater_records::{Offset, TimestampMs, TopicIdPartition};

use super::entry::{ENTRY_BYTES_MIN, SegmentEntry};
use crate::{
    encoding::{self, FormatError, Reader, Writer},
    name::{Digest, Fence, ObjectId, ObjectName},
};

const MAGIC: [u8; 4] = *b"HWPG";
/// Pages of pages of ... pages; 64 to the third times 1,000 segments are enough.
pub(crate) const LEVEL_MAX: u8 = 4;
/// The smallest encoding of a reference, in bytes.
pub(crate) const REF_BYTES_MIN: usize = 90;
/// No page is larger; a reader allocates no more for one.
pub(crate) const PAGE_BYTES_MAX: u32 = 1 << 20;

/// A page as whoever names it sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageRef {
    /// The object; its base is the first live offset within (inclusive) when it was written.
    pub(crate) name: ObjectName,
    /// End of the live offsets within (exclusive).
    pub(crate) end: Offset,
    /// 0: entries; above: pages of the level below.
    pub(crate) level: u8,
    /// Size of the object in bytes.
    pub(crate) object_bytes: u32,
    /// Digest of the whole object.
    pub(crate) digest: Digest,
    /// Live bytes of its entries when it was written.
    pub(crate) live_bytes: u64,
    /// Number of entries below it.
    pub(crate) segments: u32,
    /// The largest timestamp of its entries and the offset that has it.
    pub(crate) newest: Option<(TimestampMs, Offset)>,
}

/// First offset, end, live bytes, segments and newest record of what a page names.
type Span = (Offset, Offset, u64, u32, Option<(TimestampMs, Offset)>);

/// What a page holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PageContent {
    Entries(Vec<SegmentEntry>),
    Pages(Vec<PageRef>),
}

impl PageRef {
    pub(crate) fn write(&self, out: &mut Writer) {
        out.offset(self.name.base);
        out.offset(self.end);
        out.fence(self.name.fence);
        out.id(self.name.id);
        out.u8(self.level);
        out.u32(self.object_bytes);
        out.digest(self.digest);
        out.u64(self.live_bytes);
        out.u32(self.segments);
        out.newest(self.newest);
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<PageRef, FormatError> {
        let (base, end) = (reader.offset()?, reader.offset()?);
        let page = PageRef {
            name: ObjectName { base, fence: reader.fence()?, id: reader.id()? },
            end,
            level: reader.u8()?,
            object_bytes: reader.u32()?,
            digest: reader.digest()?,
            live_bytes: reader.u64()?,
            segments: reader.u32()?,
            newest: reader.newest()?,
        };
        let sound = base <= end && page.level <= LEVEL_MAX && page.object_bytes <= PAGE_BYTES_MAX;
        if sound { Ok(page) } else { Err(FormatError::Bad("a page reference contradicts itself")) }
    }
}

impl PageContent {
    /// The page's bytes, and how to refer to them.
    pub(crate) fn encode(&self, partition: TopicIdPartition, fence: Fence, id: ObjectId) -> (Bytes, PageRef) {
        let mut out = Writer::default();
        out.partition(partition);
        out.id(id);
        let spans: Vec<Span>;
        let level;
        match self {
            PageContent::Entries(entries) => {
                level = 0;
                out.u8(level);
                out.list(entries, |out, entry| entry.write(out));
                let span = |it: &SegmentEntry| (it.start, it.end, it.live_bytes, 1, it.newest);
                spans = entries.iter().map(span).collect();
            }
            PageContent::Pages(pages) => {
                level = pages.first().map_or(1, |page| page.level.saturating_add(1));
                out.u8(level);
                out.list(pages, |out, page| page.write(out));
                let span = |it: &PageRef| (it.name.base, it.end, it.live_bytes, it.segments, it.newest);
                spans = pages.iter().map(span).collect();
            }
        }
        let bytes = Bytes::from(encoding::seal(MAGIC, &out.finish()));
        let base = spans.first().map_or(Offset::ZERO, |span| span.0);
        let page = PageRef {
            name: ObjectName { base, fence, id },
            end: spans.last().map_or(base, |span| span.1),
            level,
            object_bytes: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            digest: Digest::of(&bytes),
            live_bytes: spans.iter().map(|span| span.2).fold(0, u64::saturating_add),
            segments: spans.iter().map(|span| span.3).fold(0, u32::saturating_add),
            newest: spans.iter().filter_map(|span| span.4).reduce(newer),
        };
        (bytes, page)
    }

    /// Reads the page that `named` refers to.
    pub(crate) fn decode(
        bytes: &Bytes,
        partition: TopicIdPartition,
        named: &PageRef,
    ) -> Result<PageContent, FormatError> {
        if bytes.len() != named.object_bytes as usize || Digest::of(bytes) != named.digest {
            return Err(FormatError::Bad("not the page that was named: its digest differs"));
        }
        let (payload, _) = encoding::open(MAGIC, bytes)?;
        let mut reader = Reader::new(&payload);
        if reader.partition()? != partition || reader.id()? != named.name.id || reader.u8()? != named.level {
            return Err(FormatError::Bad("another page than the one named"));
        }
        let content = if named.level == 0 {
            let entries = reader.list(ENTRY_BYTES_MIN, SegmentEntry::read)?;
            PageContent::Entries(entries)
        } else {
            let pages = reader.list(REF_BYTES_MIN, PageRef::read)?;
            if pages.iter().any(|page| page.level + 1 != named.level) {
                return Err(FormatError::Bad("a page names one of the wrong level"));
            }
            PageContent::Pages(pages)
        };
        reader.end()?;
        Ok(content)
    }
}

/// Of two timestamps with their offsets the larger; the earlier offset where they are equal.
pub(crate) fn newer(one: (TimestampMs, Offset), other: (TimestampMs, Offset)) -> (TimestampMs, Offset) {
    if (other.0, std::cmp::Reverse(other.1)) > (one.0, std::cmp::Reverse(one.1)) { other } else { one }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::entry::tests::entry_at;
    use highwater_records::{PartitionIndex, TopicId};
    use proptest::prelude::*;

    const PARTITION: TopicIdPartition =
        TopicIdPartition { topic_id: TopicId::from_bytes([3; 16]), partition: PartitionIndex(1) };

    proptest! {
        #[test]
        fn pages_come_back_as_they_were(one in entry_at(60, 5), two in entry_at(65, 5)) {
            let content = PageContent::Entries(vec![one, two]);
            let (bytes, page) = content.encode(PARTITION, Fence::default(), ObjectId([7; 16]));
            prop_assert_eq!((page.name.base, page.end), (one.start, two.end));
            prop_assert_eq!(page.live_bytes, one.live_bytes + two.live_bytes);
            prop_assert_eq!(PageContent::decode(&bytes, PARTITION, &page).unwrap(), content);
            let above = PageContent::Pages(vec![page]);
            let (bytes, named) = above.encode(PARTITION, Fence::default(), ObjectId([8; 16]));
            prop_assert_eq!(named.level, 1);
            prop_assert_eq!(named.segments, 2);
            prop_assert_eq!(PageContent::decode(&bytes, PARTITION, &named).unwrap(), above);
        }

        #[test]
        fn every_bit_of_a_page_counts(one in entry_at(60, 5), bit in any::<prop::sample::Index>()) {
            let (bytes, page) = PageContent::Entries(vec![one]).encode(PARTITION, Fence::default(), ObjectId([7; 16]));
            let bit = bit.index(bytes.len() * 8);
            let mut wrong = bytes.to_vec();
            wrong[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(PageContent::decode(&wrong.into(), PARTITION, &page).is_err());
            prop_assert!(PageContent::decode(&bytes.slice(..bit / 8), PARTITION, &page).is_err());
        }
    }
}
