use crate::declaration::Declaration;
use bytes::Bytes;
use highwater_records::primitive::{ReadError, Reader};

/// Decoding allocates at most this many bytes per byte received, plus [`ALLOCATION_FLOOR`].
///
/// The honest ratio is below 8: an empty string travels as one byte and takes 24 in memory, but nobody sends a
/// list of nothing else.
pub const ALLOCATION_FACTOR: usize = 16;

/// What the smallest frame may allocate. Short frames exceed the ratio honestly.
const ALLOCATION_FLOOR: usize = 16 * 1024;

/// Strings are at most this long in every version, as in Kafka.
const STRING_LENGTH_MAX: usize = i16::MAX as usize;

/// Why bytes are no message of the kind and version they claim to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A primitive is cut or malformed.
    #[error("{field}: {error}")]
    Read {
        /// The innermost field in which it happened; empty for the header.
        field: &'static str,
        /// What is wrong.
        error: ReadError,
    },
    /// A null where the version knows none.
    #[error("{field}: null is not allowed")]
    Null {
        /// The innermost field.
        field: &'static str,
    },
    /// A string beyond the 32767 bytes that any version allows.
    #[error("{field}: a string of {length} bytes")]
    StringTooLong {
        /// The innermost field.
        field: &'static str,
        /// Its length in bytes.
        length: usize,
    },
    /// More elements than bytes that could hold them, or more memory than [`ALLOCATION_FACTOR`] allows.
    #[error("{field}: an array of {count} elements is too large for what was received")]
    ArrayTooLarge {
        /// The innermost field.
        field: &'static str,
        /// Its number of elements.
        count: usize,
    },
    /// A tagged field is shorter or longer than the size before it.
    #[error("tagged field {tag} does not fill its {size} bytes exactly")]
    TaggedFieldSize {
        /// The tag.
        tag: u32,
        /// The size that was announced, in bytes.
        size: usize,
    },
    /// A number with a fraction that is infinite or none at all.
    #[error("{field}: not a finite number")]
    NotFinite {
        /// The innermost field.
        field: &'static str,
    },
    /// Bytes are left after the message.
    #[error("{count} bytes are left after the message")]
    Trailing {
        /// How many.
        count: usize,
    },
    /// The version is outside what the message is declared for.
    #[error("{message} has no version {version}")]
    Version {
        /// The message.
        message: &'static str,
        /// The version asked for.
        version: i16,
    },
}

impl DecodeError {
    /// Names the field; the innermost name stays.
    pub(crate) fn within(mut self, name: &'static str) -> DecodeError {
        match &mut self {
            DecodeError::Read { field, .. }
            | DecodeError::Null { field }
            | DecodeError::StringTooLong { field, .. }
            | DecodeError::ArrayTooLarge { field, .. }
            | DecodeError::NotFinite { field }
                if field.is_empty() =>
            {
                *field = name;
            }
            _ => {}
        }
        self
    }
}

impl From<ReadError> for DecodeError {
    fn from(error: ReadError) -> DecodeError {
        DecodeError::Read { field: "", error }
    }
}

/// Reads values of one message, at one version, from one frame.
#[derive(Debug)]
pub struct Decoder<'a> {
    frame: &'a Bytes,
    reader: Reader<'a>,
    version: i16,
    flexible: bool,
    allowance: usize,
}

impl<'a> Decoder<'a> {
    /// A decoder for the message that starts at `position` of `frame` and goes to its end.
    ///
    /// # Errors
    /// The message has no such version, or the frame no such position.
    pub(crate) fn new(
        declaration: &Declaration,
        frame: &'a Bytes,
        position: usize,
        version: i16,
    ) -> Result<Decoder<'a>, DecodeError> {
        if !declaration.versions.contains(version) {
            return Err(DecodeError::Version { message: declaration.name, version });
        }
        let mut reader = Reader::new(frame);
        reader.take(position)?;
        let flexible = declaration.flexible.contains(version);
        let allowance = frame.len().saturating_mul(ALLOCATION_FACTOR).saturating_add(ALLOCATION_FLOOR);
        Ok(Decoder { frame, reader, version, flexible, allowance })
    }

    /// The message's version.
    pub fn version(&self) -> i16 {
        self.version
    }

    pub(crate) fn reader(&mut self) -> &mut Reader<'a> {
        &mut self.reader
    }

    /// Whether everything has been read.
    pub(crate) fn finish(self) -> Result<(), DecodeError> {
        match self.reader.remaining() {
            0 => Ok(()),
            count => Err(DecodeError::Trailing { count }),
        }
    }

    pub(crate) fn string(&mut self) -> Result<Option<String>, DecodeError> {
        let length = if self.flexible { self.reader.compact_length() } else { self.reader.i16_length() }?;
        let Some(length) = length else { return Ok(None) };
        if length > STRING_LENGTH_MAX {
            return Err(DecodeError::StringTooLong { field: "", length });
        }
        let text = self.reader.text(length)?;
        self.spend(length, length)?;
        Ok(Some(text.to_owned()))
    }

    pub(crate) fn bytes(&mut self) -> Result<Option<Bytes>, DecodeError> {
        let length = if self.flexible { self.reader.compact_length() } else { self.reader.i32_length() }?;
        match length {
            Some(length) => Ok(Some(self.frame.slice_ref(self.reader.take(length)?))),
            None => Ok(None),
        }
    }

    /// The number of elements that follow, each of which takes `element_size` bytes in memory.
    pub(crate) fn count(&mut self, element_size: usize) -> Result<Option<usize>, DecodeError> {
        let count = if self.flexible { self.reader.compact_length() } else { self.reader.i32_length() }?;
        let Some(count) = count else { return Ok(None) };
        // No element is shorter than a byte.
        if count > self.reader.remaining() {
            return Err(DecodeError::ArrayTooLarge { field: "", count });
        }
        self.spend(count.saturating_mul(element_size), count)?;
        Ok(Some(count))
    }

    fn spend(&mut self, bytes: usize, count: usize) -> Result<(), DecodeError> {
        match self.allowance.checked_sub(bytes) {
            Some(rest) => {
                self.allowance = rest;
                Ok(())
            }
            None => Err(DecodeError::ArrayTooLarge { field: "", count }),
        }
    }

    /// Reads the tagged fields that end a struct of a flexible version; `known` answers whether it has taken
    /// the one it was shown. Others are skipped, as KIP-482 asks of whoever does not know them.
    pub(crate) fn tagged_fields(
        &mut self,
        mut known: impl FnMut(&mut Decoder<'a>, u32) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        if !self.flexible {
            return Ok(());
        }
        let count = self.reader.uvarint()?;
        for _ in 0..count {
            let tag = self.reader.uvarint()?;
            let size = self.reader.uvarint()? as usize;
            let start = self.reader.position();
            if size > self.reader.remaining() {
                return Err(ReadError::Truncated { needed: size, remaining: self.reader.remaining() }.into());
            }
            if !known(self, tag)? {
                self.reader.take(size)?;
            }
            if self.reader.position() - start != size {
                return Err(DecodeError::TaggedFieldSize { tag, size });
            }
        }
        Ok(())
    }
}
