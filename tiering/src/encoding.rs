//! The bytes of our own objects: a strict reader, a writer, and the envelope around a payload.
//!
//! `docs/format/bucket.md` has the layout. Reading is total: any byte string is a value or an error, and nothing is
//! allocated that is larger than a small multiple of the bytes at hand.

use bytes::{BufMut, Bytes, BytesMut};
use highwater_records::{LeaderEpoch, Offset, PartitionIndex, TimestampMs, TopicId, TopicIdPartition};

use crate::name::{Digest, Fence, ObjectId};

/// The format that this code writes, and the highest it reads.
pub(crate) const FORMAT: u16 = 1;

const PREFIX: usize = 4 + 2 + 2 + 4;
const DIGEST: usize = 32;

/// Bytes that are not what they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Written by a newer version. Nothing may be changed.
    #[error("format {found} is newer than {FORMAT}, which this version understands")]
    Newer {
        /// The format found.
        found: u16,
    },
    /// Damaged, or never ours.
    #[error("{0}")]
    Bad(&'static str),
}

/// Puts `payload` into an envelope.
pub(crate) fn seal(magic: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(PREFIX + payload.len() + DIGEST);
    out.extend_from_slice(&magic);
    out.put_u16(FORMAT);
    out.put_u16(0);
    // Our payloads are bounded far below this; a footer's parts are checked where it is built.
    out.put_u32(u32::try_from(payload.len()).unwrap_or(u32::MAX));
    out.extend_from_slice(payload);
    let digest = blake3::hash(&out);
    out.extend_from_slice(digest.as_bytes());
    out
}

/// Takes a payload out of its envelope, with the digest at its end.
pub(crate) fn open(magic: [u8; 4], bytes: &Bytes) -> Result<(Bytes, Digest), FormatError> {
    let mut reader = Reader::new(bytes);
    if reader.take(4)? != magic {
        return Err(FormatError::Bad("another kind of object"));
    }
    // Before the digest: a newer format may put it elsewhere.
    let format = reader.u16()?;
    if format > FORMAT {
        return Err(FormatError::Newer { found: format });
    }
    if format == 0 || reader.u16()? != 0 {
        return Err(FormatError::Bad("unknown format or flags"));
    }
    let length = reader.u32()? as usize;
    if bytes.len() != PREFIX.saturating_add(length).saturating_add(DIGEST) {
        return Err(FormatError::Bad("length differs"));
    }
    let digest = Digest::of(&bytes[..PREFIX + length]);
    if digest.0[..] != bytes[PREFIX + length..] {
        return Err(FormatError::Bad("digest differs"));
    }
    Ok((bytes.slice(PREFIX..PREFIX + length), digest))
}

/// Reads fields off the front of a slice.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], FormatError> {
        let (taken, rest) =
            self.rest.split_at_checked(count).ok_or(FormatError::Bad("ends in the middle of a field"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, FormatError> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, FormatError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, FormatError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, FormatError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub(crate) fn i64(&mut self) -> Result<i64, FormatError> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    pub(crate) fn flag(&mut self) -> Result<bool, FormatError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(FormatError::Bad("a flag is neither 0 nor 1")),
        }
    }

    pub(crate) fn offset(&mut self) -> Result<Offset, FormatError> {
        Offset::new(self.u64()?).ok_or(FormatError::Bad("an offset above 2^63 - 1"))
    }

    pub(crate) fn epoch(&mut self) -> Result<LeaderEpoch, FormatError> {
        Ok(LeaderEpoch(self.u32()?))
    }

    pub(crate) fn fence(&mut self) -> Result<Fence, FormatError> {
        Ok(Fence { incarnation: self.u32()?, epoch: self.epoch()? })
    }

    pub(crate) fn id(&mut self) -> Result<ObjectId, FormatError> {
        Ok(ObjectId(self.array()?))
    }

    pub(crate) fn digest(&mut self) -> Result<Digest, FormatError> {
        Ok(Digest(self.array()?))
    }

    pub(crate) fn partition(&mut self) -> Result<TopicIdPartition, FormatError> {
        let topic_id = TopicId::from_bytes(self.array()?);
        Ok(TopicIdPartition { topic_id, partition: PartitionIndex(self.u32()?) })
    }

    pub(crate) fn string(&mut self) -> Result<String, FormatError> {
        let length = self.u16()? as usize;
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| FormatError::Bad("not UTF-8"))?;
        Ok(text.to_owned())
    }

    /// A 4-byte length and so many bytes.
    pub(crate) fn blob(&mut self) -> Result<&'a [u8], FormatError> {
        let length = self.u32()? as usize;
        self.take(length)
    }

    pub(crate) fn newest(&mut self) -> Result<Option<(TimestampMs, Offset)>, FormatError> {
        Ok(if self.flag()? { Some((TimestampMs(self.i64()?), self.offset()?)) } else { None })
    }

    pub(crate) fn epochs(&mut self) -> Result<Vec<(LeaderEpoch, Offset)>, FormatError> {
        let epochs = self.list(12, |reader| Ok((reader.epoch()?, reader.offset()?)))?;
        if epochs.windows(2).any(|pair| pair[0].0 >= pair[1].0 || pair[0].1 > pair[1].1) {
            return Err(FormatError::Bad("leader epochs out of order"));
        }
        Ok(epochs)
    }

    /// A list whose elements have at least `size_min` bytes each.
    pub(crate) fn list<T>(
        &mut self,
        size_min: usize,
        mut element: impl FnMut(&mut Reader<'a>) -> Result<T, FormatError>,
    ) -> Result<Vec<T>, FormatError> {
        let count = self.u32()? as usize;
        if count > self.rest.len() / size_min.max(1) {
            return Err(FormatError::Bad("a list longer than the bytes that follow"));
        }
        let mut out = Vec::with_capacity(count);
        for _ in 0..count {
            out.push(element(self)?);
        }
        Ok(out)
    }

    pub(crate) fn end(self) -> Result<(), FormatError> {
        if self.rest.is_empty() { Ok(()) } else { Err(FormatError::Bad("bytes left over")) }
    }
}

/// Writes fields; the mirror of [`Reader`].
#[derive(Debug, Default)]
pub(crate) struct Writer {
    out: BytesMut,
}

impl Writer {
    pub(crate) fn u8(&mut self, value: u8) {
        self.out.put_u8(value);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.out.put_u16(value);
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.out.put_u32(value);
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.out.put_u64(value);
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.out.put_i64(value);
    }

    pub(crate) fn flag(&mut self, value: bool) {
        self.out.put_u8(value.into());
    }

    pub(crate) fn offset(&mut self, value: Offset) {
        self.out.put_u64(value.get());
    }

    pub(crate) fn fence(&mut self, value: Fence) {
        self.out.put_u32(value.incarnation);
        self.out.put_u32(value.epoch.0);
    }

    pub(crate) fn id(&mut self, value: ObjectId) {
        self.out.put_slice(&value.0);
    }

    pub(crate) fn digest(&mut self, value: Digest) {
        self.out.put_slice(&value.0);
    }

    pub(crate) fn partition(&mut self, value: TopicIdPartition) {
        self.out.put_slice(value.topic_id.as_bytes());
        self.out.put_u32(value.partition.0);
    }

    /// Cut at 65,535 bytes, which no name here comes near (a topic name has at most 249).
    pub(crate) fn string(&mut self, value: &str) {
        let cut = value.floor_char_boundary(u16::MAX as usize);
        self.out.put_u16(cut as u16);
        self.out.put_slice(&value.as_bytes()[..cut]);
    }

    pub(crate) fn blob(&mut self, value: &[u8]) {
        self.out.put_u32(u32::try_from(value.len()).unwrap_or(u32::MAX));
        self.out.put_slice(value);
    }

    pub(crate) fn newest(&mut self, value: Option<(TimestampMs, Offset)>) {
        self.flag(value.is_some());
        if let Some((timestamp, offset)) = value {
            self.i64(timestamp.0);
            self.offset(offset);
        }
    }

    pub(crate) fn epochs(&mut self, epochs: &[(LeaderEpoch, Offset)]) {
        self.list(epochs, |out, (epoch, start)| {
            out.u32(epoch.0);
            out.offset(*start);
        });
    }

    pub(crate) fn list<T>(&mut self, elements: &[T], mut element: impl FnMut(&mut Writer, &T)) {
        self.out.put_u32(u32::try_from(elements.len()).unwrap_or(u32::MAX));
        for value in elements {
            element(self, value);
        }
    }

    pub(crate) fn finish(self) -> BytesMut {
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_refuses_every_flipped_bit_and_every_other_length() {
        let sealed = seal(*b"HWOW", b"payload");
        assert_eq!(open(*b"HWOW", &Bytes::from(sealed.clone())).unwrap().0, "payload");
        for bit in 0..sealed.len() * 8 {
            let mut bytes = sealed.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(open(*b"HWOW", &Bytes::from(bytes)).is_err(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(open(*b"HWOW", &Bytes::copy_from_slice(&sealed[..length])).is_err());
        }
        let mut longer = sealed.clone();
        longer.push(0);
        assert!(open(*b"HWOW", &longer.into()).is_err());
    }

    #[test]
    fn a_newer_format_is_told_from_damage() {
        let mut sealed = seal(*b"HWHD", b"");
        sealed[5] = 2;
        assert_eq!(open(*b"HWHD", &sealed.into()), Err(FormatError::Newer { found: 2 }));
    }

    #[test]
    fn a_list_is_never_allocated_beyond_the_bytes_that_follow() {
        let mut bytes = vec![0xff; 4];
        bytes.extend_from_slice(&[0; 64]);
        assert!(Reader::new(&bytes).epochs().is_err());
    }
}
