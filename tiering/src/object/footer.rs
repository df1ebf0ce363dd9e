//! The end of a segment object: everything needed to verify and find any range of it.

use bytes::{BufMut, Bytes};
use highwater_records::{LeaderEpoch, Offset, TopicIdPartition};

use super::index::{OffsetIndex, TimeIndex};
use crate::{
    encoding::{self, FormatError, Reader, Writer},
    name::{Digest, ObjectName},
};

const MAGIC: [u8; 4] = *b"HWFT";
const CHUNK_BYTES_MIN: usize = 45;
/// Offset, time and transaction index of a segment are at most 10 MiB each by Kafka's configuration, the snapshot and
/// the rest are small. A reader allocates no more for a footer.
pub(crate) const FOOTER_BYTES_MAX: u32 = 64 << 20;

/// The end of a segment object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) partition: TopicIdPartition,
    pub(crate) name: ObjectName,
    /// One past the last offset.
    pub(crate) next: Offset,
    pub(crate) logical_bytes: u64,
    /// Logical bytes per chunk.
    pub(crate) chunk_bytes: u32,
    /// Data key number; 0 is none.
    pub(crate) key: u32,
    pub(crate) wrapped_key: Bytes,
    pub(crate) chunks: Vec<Chunk>,
    pub(crate) offset_index: OffsetIndex,
    pub(crate) time_index: TimeIndex,
    pub(crate) transaction_index: Bytes,
    pub(crate) producer_snapshot: Bytes,
    pub(crate) epochs: Vec<(LeaderEpoch, Offset)>,
}

/// Where a chunk lies and how to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) position: u64,
    pub(crate) length: u32,
    pub(crate) digest: Digest,
}

/// The only codec yet.
const CODEC_NONE: u8 = 0;

impl Footer {
    /// The footer's bytes and their digest.
    pub(crate) fn encode(&self) -> (Bytes, Digest) {
        let mut out = Writer::default();
        out.partition(self.partition);
        out.fence(self.name.fence);
        out.id(self.name.id);
        out.offset(self.name.base);
        out.offset(self.next);
        out.u64(self.logical_bytes);
        out.u32(self.chunk_bytes);
        out.u32(self.key);
        out.u16(self.wrapped_key.len() as u16);
        for byte in &self.wrapped_key {
            out.u8(*byte);
        }
        out.list(&self.chunks, |out, chunk| {
            out.u64(chunk.position);
            out.u32(chunk.length);
            out.u8(CODEC_NONE);
            out.digest(chunk.digest);
        });
        out.blob(self.offset_index.bytes());
        out.blob(self.time_index.bytes());
        out.blob(&self.transaction_index);
        out.blob(&self.producer_snapshot);
        out.epochs(&self.epochs);
        let mut sealed = encoding::seal(MAGIC, &out.finish());
        let length = u32::try_from(sealed.len()).unwrap_or(u32::MAX);
        sealed.put_u32(length);
        sealed.put_slice(&MAGIC);
        let bytes = Bytes::from(sealed);
        let digest = Digest::of(&bytes);
        (bytes, digest)
    }

    /// Reads the footer that has this digest.
    pub(crate) fn decode(bytes: &Bytes, digest: Digest) -> Result<Footer, FormatError> {
        let bad = |what| Err(FormatError::Bad(what));
        if Digest::of(bytes) != digest {
            return bad("not the footer that was named: its digest differs");
        }
        let envelope = bytes.len().checked_sub(8).ok_or(FormatError::Bad("too short for a footer"))?;
        let mut tail = Reader::new(&bytes[envelope..]);
        if tail.u32()? as usize != envelope || tail.take(4)? != MAGIC {
            return bad("its tail is not a footer's");
        }
        let (payload, _) = encoding::open(MAGIC, &bytes.slice(..envelope))?;
        let mut reader = Reader::new(&payload);
        let partition = reader.partition()?;
        let (fence, id) = (reader.fence()?, reader.id()?);
        let name = ObjectName { base: reader.offset()?, fence, id };
        let (next, logical_bytes) = (reader.offset()?, reader.u64()?);
        let (chunk_bytes, key) = (reader.u32()?, reader.u32()?);
        let wrapped = reader.u16()? as usize;
        let wrapped_key = payload.slice_ref(reader.take(wrapped)?);
        let chunks = reader.list(CHUNK_BYTES_MIN, |reader| {
            let (position, length) = (reader.u64()?, reader.u32()?);
            if reader.u8()? != CODEC_NONE {
                return Err(FormatError::Bad("a codec that this version does not know"));
            }
            Ok(Chunk { position, length, digest: reader.digest()? })
        })?;
        let footer = Footer {
            partition,
            name,
            next,
            logical_bytes,
            chunk_bytes,
            key,
            wrapped_key,
            chunks,
            offset_index: OffsetIndex::decode(payload.slice_ref(reader.blob()?))?,
            time_index: TimeIndex::decode(payload.slice_ref(reader.blob()?))?,
            transaction_index: payload.slice_ref(reader.blob()?),
            producer_snapshot: payload.slice_ref(reader.blob()?),
            epochs: reader.epochs()?,
        };
        reader.end()?;
        footer.check()?;
        Ok(footer)
    }

    /// Chunks lie one after the other and cover the segment.
    fn check(&self) -> Result<(), FormatError> {
        let bad = |what| Err(FormatError::Bad(what));
        if self.key != 0 || !self.wrapped_key.is_empty() {
            return bad("encrypted, which this version does not know");
        }
        if !self.chunk_bytes.is_power_of_two() || !(1 << 12..=1 << 26).contains(&self.chunk_bytes) {
            return bad("an impossible chunk size");
        }
        if self.name.base >= self.next || self.logical_bytes == 0 {
            return bad("an object without records");
        }
        if self.chunks.len() as u64 != self.logical_bytes.div_ceil(self.chunk_bytes.into()) {
            return bad("chunks that do not cover the segment");
        }
        for (number, chunk) in self.chunks.iter().enumerate() {
            // Without a codec physical and logical positions are the same.
            let position = number as u64 * u64::from(self.chunk_bytes);
            let length = (self.logical_bytes - position).min(self.chunk_bytes.into());
            if chunk.position != position || u64::from(chunk.length) != length {
                return bad("a chunk out of place");
            }
        }
        Ok(())
    }

    /// The chunk that has this logical position; at most the last one.
    pub(crate) fn chunk_at(&self, position: u64) -> usize {
        (position / u64::from(self.chunk_bytes)) as usize
    }

    /// Memory it takes, about.
    pub(crate) fn weight(&self) -> u64 {
        (self.offset_index.bytes().len()
            + self.time_index.bytes().len()
            + self.transaction_index.len()
            + self.producer_snapshot.len()
            + self.chunks.len() * size_of::<Chunk>()
            + 512) as u64
    }
}

#[cfg(test)]
pub(crate) fn sample(name: ObjectName, partition: TopicIdPartition) -> Footer {
    let chunk = |position, length| Chunk { position, length, digest: Digest::of(&[length as u8]) };
    let mut offset_index = OffsetIndex::default();
    offset_index.push(3, 0);
    offset_index.push(9, 4096);
    let mut time_index = TimeIndex::default();
    time_index.push(1000, 3);
    Footer {
        partition,
        name,
        next: name.base.checked_add(10).unwrap_or(Offset::MAX),
        logical_bytes: 9000,
        chunk_bytes: 4096,
        key: 0,
        wrapped_key: Bytes::new(),
        chunks: vec![chunk(0, 4096), chunk(4096, 4096), chunk(8192, 808)],
        offset_index,
        time_index,
        transaction_index: Bytes::from_static(b"txn"),
        producer_snapshot: Bytes::from_static(b"snapshot"),
        epochs: vec![(LeaderEpoch(0), Offset::ZERO), (LeaderEpoch(5), name.base)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::{Fence, ObjectId};
    use highwater_records::{PartitionIndex, TopicId};

    fn footer() -> Footer {
        let partition =
            TopicIdPartition { topic_id: TopicId::from_bytes([9; 16]), partition: PartitionIndex(2) };
        let name = ObjectName {
            base: Offset::new(70).unwrap(),
            fence: Fence { incarnation: 1, epoch: LeaderEpoch(3) },
            id: ObjectId([5; 16]),
        };
        sample(name, partition)
    }

    #[test]
    fn comes_back_as_it_was_and_refuses_every_other_bit_and_length() {
        let (bytes, digest) = footer().encode();
        assert_eq!(Footer::decode(&bytes, digest).unwrap(), footer());
        for bit in 0..bytes.len() * 8 {
            let mut wrong = bytes.to_vec();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(Footer::decode(&wrong.into(), digest).is_err(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(Footer::decode(&bytes.slice(..length), digest).is_err());
        }
    }

    #[test]
    fn any_changed_byte_under_a_good_digest_is_a_sound_footer_or_an_error() {
        let (bytes, _) = footer().encode();
        let payload = &bytes[12..bytes.len() - 40];
        for at in 0..payload.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut wrong = payload.to_vec();
                wrong[at] = value;
                let mut sealed = encoding::seal(MAGIC, &wrong);
                sealed.put_u32(sealed.len() as u32);
                sealed.put_slice(&MAGIC);
                let sealed = Bytes::from(sealed);
                if let Ok(footer) = Footer::decode(&sealed, Digest::of(&sealed)) {
                    footer.check().unwrap();
                }
            }
        }
    }
}
