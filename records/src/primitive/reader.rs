use std::fmt;

/// A cursor over bytes that somebody else wrote.
///
/// After an error the position is unspecified; the caller gives the input up.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

/// Why bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// The value goes beyond the end of the input.
    Truncated {
        /// Bytes the value needs, from where it starts.
        needed: usize,
        /// Bytes there are from there.
        remaining: usize,
    },
    /// A varint is longer than its type allows, or its value larger.
    VarintTooLarge,
    /// A length is negative where there is no null.
    NegativeLength(i64),
    /// A string is not UTF-8.
    NotUtf8,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Truncated { needed, remaining } => {
                write!(f, "needs {needed} bytes where {remaining} are left")
            }
            ReadError::VarintTooLarge => write!(f, "a varint is too large for its type"),
            ReadError::NegativeLength(length) => write!(f, "length {length} is negative"),
            ReadError::NotUtf8 => write!(f, "a string is not UTF-8"),
        }
    }
}

impl std::error::Error for ReadError {}

macro_rules! fixed {
    ($($(#[$doc:meta])* $name:ident -> $type:ty;)*) => {$(
        $(#[$doc])*
        pub fn $name(&mut self) -> Result<$type, ReadError> {
            const SIZE: usize = size_of::<$type>();
            match self.bytes[self.position..].first_chunk::<SIZE>() {
                Some(chunk) => {
                    self.position += SIZE;
                    Ok(<$type>::from_be_bytes(*chunk))
                }
                None => Err(ReadError::Truncated { needed: SIZE, remaining: self.remaining() }),
            }
        }
    )*};
}

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, position: 0 }
    }

    /// Bytes read so far.
    pub const fn position(&self) -> usize {
        self.position
    }

    /// Bytes left.
    pub const fn remaining(&self) -> usize {
        // `position` never passes the end: every method checks before it moves.
        self.bytes.len() - self.position
    }

    fixed! {
        /// One byte.
        u8 -> u8;
        /// One signed byte.
        i8 -> i8;
        /// Two bytes, unsigned.
        u16 -> u16;
        /// Two bytes.
        i16 -> i16;
        /// Four bytes, unsigned.
        u32 -> u32;
        /// Four bytes.
        i32 -> i32;
        /// Eight bytes, unsigned.
        u64 -> u64;
        /// Eight bytes.
        i64 -> i64;
    }

    /// The next `length` bytes, in place.
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], ReadError> {
        let rest = &self.bytes[self.position..];
        match rest.get(..length) {
            Some(taken) => {
                self.position += length;
                Ok(taken)
            }
            None => Err(ReadError::Truncated { needed: length, remaining: rest.len() }),
        }
    }

    /// The next `length` bytes as text, in place.
    pub fn text(&mut self, length: usize) -> Result<&'a str, ReadError> {
        std::str::from_utf8(self.take(length)?).map_err(|_| ReadError::NotUtf8)
    }

    /// An unsigned varint of at most 32 bits.
    pub fn uvarint(&mut self) -> Result<u32, ReadError> {
        u32::try_from(self.raw_varint(5)?).map_err(|_| ReadError::VarintTooLarge)
    }

    /// A zigzag varint of at most 32 bits.
    pub fn varint(&mut self) -> Result<i32, ReadError> {
        let raw = self.uvarint()?;
        Ok((raw >> 1) as i32 ^ -((raw & 1) as i32))
    }

    /// A zigzag varint of at most 64 bits.
    pub fn varlong(&mut self) -> Result<i64, ReadError> {
        let raw = self.raw_varint(10)?;
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// The zigzag varint length in front of a record's key, value or header: `None` for -1 (null).
    pub fn varint_length(&mut self) -> Result<Option<usize>, ReadError> {
        nullable(i64::from(self.varint()?))
    }

    /// The length of compact strings, bytes and arrays: an unsigned varint of length + 1, `None` for 0 (null).
    pub fn compact_length(&mut self) -> Result<Option<usize>, ReadError> {
        Ok((self.uvarint()? as usize).checked_sub(1))
    }

    /// The two-byte length of a string of the first encoding: `None` for -1 (null).
    pub fn i16_length(&mut self) -> Result<Option<usize>, ReadError> {
        nullable(i64::from(self.i16()?))
    }

    /// The four-byte length of bytes and arrays of the first encoding: `None` for -1 (null).
    pub fn i32_length(&mut self) -> Result<Option<usize>, ReadError> {
        nullable(i64::from(self.i32()?))
    }

    fn raw_varint(&mut self, length_max: usize) -> Result<u64, ReadError> {
        let mut value = 0u64;
        for index in 0..length_max {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            // Only the tenth byte can push bits out at the top.
            if index == 9 && bits > 1 {
                return Err(ReadError::VarintTooLarge);
            }
            value |= bits << (7 * index);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(ReadError::VarintTooLarge)
    }
}

fn nullable(length: i64) -> Result<Option<usize>, ReadError> {
    match length {
        -1 => Ok(None),
        _ => usize::try_from(length).map(Some).map_err(|_| ReadError::NegativeLength(length)),
    }
}
