//! The head of a partition: its only mutable object (`docs/format/head.md`).

pub(crate) mod dropped;
pub(crate) mod entry;
pub(crate) mod page;

use bytes::Bytes;
use highwater_records::{LeaderEpoch, Offset, TopicIdPartition};

use self::{
    dropped::{DROPPED_BYTES_MIN, Dropped},
    entry::{ENTRY_BYTES_MIN, SegmentEntry},
    page::{PageRef, REF_BYTES_MIN},
};
use crate::{
    encoding::{self, FormatError, Reader, Writer},
    name::{Digest, Fence, ObjectId},
};

const MAGIC: [u8; 4] = *b"HWHD";

/// The largest head, envelope included, in bytes.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;

/// A partition's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Whose bucket this is.
    pub(crate) cluster_id: String,
    /// Which partition.
    pub(crate) partition: TopicIdPartition,
    /// Who wrote it.
    pub(crate) fence: Fence,
    /// Drawn anew for each head change.
    pub(crate) attempt: ObjectId,
    /// One more than its predecessor's; the first is 1.
    pub(crate) version: u64,
    /// Digest of the head it replaced; zero for the first.
    pub(crate) predecessor: Digest,
    /// When it was written, in milliseconds since 1970.
    pub(crate) written_ms: i64,
    /// What may be done.
    pub(crate) state: TierState,
    /// The topic's name when it was written; its id is the identity.
    pub(crate) topic_name: String,
    /// The version of the topic's configuration then.
    pub(crate) config_version: u64,
    /// Lowest offset a client may read (inclusive).
    pub(crate) log_start: Offset,
    /// First offset in the tier (inclusive).
    pub(crate) start: Offset,
    /// End of the tier (exclusive).
    pub(crate) end: Offset,
    /// Logical bytes of `[start, end)`.
    pub(crate) bytes: u64,
    /// Live segments, those in pages included.
    pub(crate) segments: u64,
    /// Leader epochs and where they start, ascending; the newest 512.
    pub(crate) lineage: Vec<(LeaderEpoch, Offset)>,
    /// What the entries' store numbers mean; 0 is this bucket, empty.
    pub(crate) stores: Vec<String>,
    /// The newest live segments, ascending.
    pub(crate) recent: Vec<SegmentEntry>,
    /// Pages with the older ones, ascending.
    pub(crate) pages: Vec<PageRef>,
    /// No longer live, not yet deleted.
    pub(crate) dropped: Vec<Dropped>,
    /// What forks need.
    pub(crate) pins: Vec<Pin>,
    /// Keys whose records no reader may return.
    pub(crate) erasures: Vec<Erasure>,
}

/// What may be done with a partition's tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TierState {
    /// Everything.
    Live,
    /// Reading.
    ReadOnly,
    /// Reading; its objects are going.
    Deleting,
    /// Nothing: a tombstone.
    Deleted,
}

/// Objects that must stay because a fork needs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pin {
    /// The fork.
    pub(crate) fork: ObjectId,
    /// When it was taken.
    pub(crate) at_ms: i64,
    /// Lists the objects.
    pub(crate) page: PageRef,
}

/// A key whose records no reader may return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Erasure {
    /// Keyed hash of the key.
    pub(crate) key_hash: Digest,
    /// First offset it applies to (inclusive).
    pub(crate) from: Offset,
    /// End of the offsets it applies to (exclusive).
    pub(crate) to: Offset,
    /// Head version that added it.
    pub(crate) version: u64,
}

const STATES: [TierState; 4] =
    [TierState::Live, TierState::ReadOnly, TierState::Deleting, TierState::Deleted];

/// Who wrote a head, as its bytes say: for those who watch a bucket and use none of it.
///
/// # Errors
/// Bytes that are no head.
pub fn head_fence(bytes: &Bytes) -> Result<Fence, FormatError> {
    Ok(Head::decode(bytes)?.0.fence)
}

impl Head {
    /// The bytes, and the digest at their end, which names this head to its successor.
    pub(crate) fn encode(&self) -> (Bytes, Digest) {
        let mut out = Writer::default();
        out.string(&self.cluster_id);
        out.partition(self.partition);
        out.fence(self.fence);
        out.id(self.attempt);
        out.u64(self.version);
        out.digest(self.predecessor);
        out.i64(self.written_ms);
        out.u8(self.state as u8);
        out.string(&self.topic_name);
        out.u64(self.config_version);
        out.offset(self.log_start);
        out.offset(self.start);
        out.offset(self.end);
        out.u64(self.bytes);
        out.u64(self.segments);
        out.epochs(&self.lineage);
        out.list(&self.stores, |out, store| out.string(store));
        out.list(&self.recent, |out, entry| entry.write(out));
        out.list(&self.pages, |out, page| page.write(out));
        out.list(&self.dropped, |out, dropped| dropped.write(out));
        out.list(&self.pins, |out, pin| {
            out.id(pin.fork);
            out.i64(pin.at_ms);
            pin.page.write(out);
        });
        out.list(&self.erasures, |out, erasure| {
            out.digest(erasure.key_hash);
            out.offset(erasure.from);
            out.offset(erasure.to);
            out.u64(erasure.version);
        });
        let sealed = encoding::seal(MAGIC, &out.finish());
        let digest = Digest::of(&sealed[..sealed.len() - 32]);
        (sealed.into(), digest)
    }

    /// Reads a head and its digest.
    pub(crate) fn decode(bytes: &Bytes) -> Result<(Head, Digest), FormatError> {
        if bytes.len() > HEAD_BYTES_MAX {
            return Err(FormatError::Bad("larger than a head may be"));
        }
        let (payload, digest) = encoding::open(MAGIC, bytes)?;
        let mut reader = Reader::new(&payload);
        let head = Head {
            cluster_id: reader.string()?,
            partition: reader.partition()?,
            fence: reader.fence()?,
            attempt: reader.id()?,
            version: reader.u64()?,
            predecessor: reader.digest()?,
            written_ms: reader.i64()?,
            state: *STATES.get(usize::from(reader.u8()?)).ok_or(FormatError::Bad("unknown state"))?,
            topic_name: reader.string()?,
            config_version: reader.u64()?,
            log_start: reader.offset()?,
            start: reader.offset()?,
            end: reader.offset()?,
            bytes: reader.u64()?,
            segments: reader.u64()?,
            lineage: reader.epochs()?,
            stores: reader.list(2, Reader::string)?,
            recent: reader.list(ENTRY_BYTES_MIN, SegmentEntry::read)?,
            pages: reader.list(REF_BYTES_MIN, PageRef::read)?,
            dropped: reader.list(DROPPED_BYTES_MIN, Dropped::read)?,
            pins: reader.list(24 + REF_BYTES_MIN, |reader| {
                Ok(Pin { fork: reader.id()?, at_ms: reader.i64()?, page: PageRef::read(reader)? })
            })?,
            erasures: reader.list(56, |reader| {
                let (key_hash, from) = (reader.digest()?, reader.offset()?);
                Ok(Erasure { key_hash, from, to: reader.offset()?, version: reader.u64()? })
            })?,
        };
        reader.end()?;
        head.check()?;
        Ok((head, digest))
    }

    /// The live view has no gap and no overlap, as far as the head itself tells.
    pub(crate) fn check(&self) -> Result<(), FormatError> {
        let bad = |what| Err(FormatError::Bad(what));
        if self.version == 0 || self.start > self.end || self.log_start > self.end {
            return bad("a head whose bounds contradict each other");
        }
        let empty = self.start == self.end;
        if empty != (self.recent.is_empty() && self.pages.is_empty()) || empty != (self.segments == 0) {
            return bad("a head that is and is not empty");
        }
        if !empty && self.start > self.log_start {
            return bad("a hole between the log start and the tier");
        }
        let mut at = self.start;
        for (index, page) in self.pages.iter().enumerate() {
            // The first page may have lost entries at its front.
            let joins = if index == 0 { page.name.base <= at && at < page.end } else { page.name.base == at };
            if !joins {
                return bad("pages with a gap or an overlap");
            }
            at = page.end;
        }
        for entry in &self.recent {
            if entry.start != at {
                return bad("segments with a gap or an overlap");
            }
            at = entry.end;
        }
        if at != self.end {
            return bad("the end is not where the last segment ends");
        }
        if self.stores.first().is_none_or(|own| !own.is_empty()) {
            return bad("the first store is not this bucket");
        }
        Ok(())
    }

    /// The leader epoch of the record at `offset`, unless it is older than the lineage here.
    pub(crate) fn epoch_of(&self, offset: Offset) -> Option<LeaderEpoch> {
        let after = self.lineage.partition_point(|(_, start)| *start <= offset);
        self.lineage[..after].last().map(|(epoch, _)| *epoch)
    }
}

#[cfg(test)]
mod tests;
