//! Strings, bytes and tagged fields as Kafka's persisted records have them.

use alloc::{string::String, vec::Vec};
use bytes::{BufMut, Bytes};
use highwater_records::primitive::{ReadError, Reader, write};

/// Bytes that are no record of this kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// The record ends early, is too long, or lies about a length.
    #[error("malformed record: {0}")]
    Malformed(#[from] ReadError),
    /// Null where there must be a value.
    #[error("a value is missing")]
    Missing,
    /// A version this program does not know.
    #[error("unknown version {0}")]
    UnknownVersion(i16),
    /// Bytes after the end.
    #[error("{0} bytes after the end")]
    Trailing(usize),
}

/// Reads strings, bytes and counts of one record, whose version decides how lengths are written.
pub(super) struct Fields<'a> {
    pub(super) reader: Reader<'a>,
    flexible: bool,
}

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Fields<'a> {
        Fields { reader: Reader::new(bytes), flexible: false }
    }

    /// Fields with compact lengths and no version.
    pub(super) fn flexible(bytes: &'a [u8]) -> Fields<'a> {
        Fields { reader: Reader::new(bytes), flexible: true }
    }

    /// Reads the version, which must be in `0..=newest`; from `flexible` on lengths are compact.
    pub(super) fn versioned(
        bytes: &'a [u8],
        newest: i16,
        flexible: i16,
    ) -> Result<(Fields<'a>, i16), FormatError> {
        let mut fields = Fields::new(bytes);
        let version = fields.reader.i16()?;
        if !(0..=newest).contains(&version) {
            return Err(FormatError::UnknownVersion(version));
        }
        fields.flexible = version >= flexible;
        Ok((fields, version))
    }

    pub(super) fn nullable_string(&mut self) -> Result<Option<String>, FormatError> {
        let length = if self.flexible { self.reader.compact_length()? } else { self.reader.i16_length()? };
        match length {
            None => Ok(None),
            Some(length) => Ok(Some(self.reader.text(length)?.into())),
        }
    }

    pub(super) fn string(&mut self) -> Result<String, FormatError> {
        self.nullable_string()?.ok_or(FormatError::Missing)
    }

    fn length(&mut self) -> Result<usize, FormatError> {
        let length = if self.flexible { self.reader.compact_length()? } else { self.reader.i32_length()? };
        length.ok_or(FormatError::Missing)
    }

    pub(super) fn bytes(&mut self) -> Result<Bytes, FormatError> {
        let length = self.length()?;
        Ok(Bytes::copy_from_slice(self.reader.take(length)?))
    }

    /// The number of elements that follow; each takes at least one byte, so that a lie is noticed at once.
    pub(super) fn count(&mut self) -> Result<usize, FormatError> {
        let count = self.length()?;
        if count > self.reader.remaining() {
            return Err(ReadError::Truncated { needed: count, remaining: self.reader.remaining() }.into());
        }
        Ok(count)
    }

    /// The same, or nothing where there is null instead.
    pub(super) fn nullable_count(&mut self) -> Result<Option<usize>, FormatError> {
        let length = if self.flexible { self.reader.compact_length()? } else { self.reader.i32_length()? };
        match length {
            Some(count) if count > self.reader.remaining() => {
                Err(ReadError::Truncated { needed: count, remaining: self.reader.remaining() }.into())
            }
            length => Ok(length),
        }
    }

    /// Calls `known` with each tagged field; one it has no use for it leaves alone.
    pub(super) fn tagged(
        &mut self,
        mut known: impl FnMut(u32, &'a [u8]) -> Result<(), FormatError>,
    ) -> Result<(), FormatError> {
        if !self.flexible {
            return Ok(());
        }
        for _ in 0..self.reader.uvarint()? {
            let tag = self.reader.uvarint()?;
            let length = self.reader.uvarint()? as usize;
            known(tag, self.reader.take(length)?)?;
        }
        Ok(())
    }

    pub(super) fn end(self) -> Result<(), FormatError> {
        match self.reader.remaining() {
            0 => Ok(()),
            left => Err(FormatError::Trailing(left)),
        }
    }
}

/// A string behind its two-byte length. Longer ones than that can say are cut, which no caller lets happen: they all
/// came through a protocol with the same bound.
pub(super) fn put_string(out: &mut Vec<u8>, text: &str) {
    let mut length = text.len().min(i16::MAX as usize);
    while !text.is_char_boundary(length) {
        length -= 1;
    }
    // Fits: bounded above.
    out.put_i16(length as i16);
    out.put_slice(&text.as_bytes()[..length]);
}

pub(super) fn put_nullable_string(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => put_string(out, text),
        None => out.put_i16(-1),
    }
}

/// Bytes behind their four-byte length.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_count(out, bytes.len());
    out.put_slice(bytes);
}

/// A four-byte number of elements. No request is large enough to bring more than fit.
pub(super) fn put_count(out: &mut Vec<u8>, count: usize) {
    out.put_i32(i32::try_from(count).unwrap_or(i32::MAX));
}

pub(super) fn put_compact_string(out: &mut Vec<u8>, text: &str) {
    put_compact_count(out, text.len());
    out.put_slice(text.as_bytes());
}

pub(super) fn put_compact_count(out: &mut Vec<u8>, count: usize) {
    write::uvarint(out, u32::try_from(count).unwrap_or(u32::MAX - 1).saturating_add(1));
}
