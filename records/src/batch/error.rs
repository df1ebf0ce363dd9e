use crate::compression::{Codec, CompressionError};

/// Bytes that are not a batch a log accepts, sorted by what the caller does next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The bytes end before the batch does. Read more, or treat it as a torn tail.
    #[error("batch is cut short: {needed} bytes needed, {available} there")]
    Truncated {
        /// Size of the whole batch, as far as it is known yet.
        needed: usize,
        /// Bytes there are.
        available: usize,
    },
    /// A format older or newer than v2.
    #[error("record format v{magic} is not supported (only v2 is)")]
    UnsupportedMagic {
        /// What the batch says.
        magic: i8,
    },
    /// The bytes contradict themselves: damaged, or never a batch.
    #[error("corrupt batch: {0}")]
    Corrupt(&'static str),
    /// The checksum does not match: damaged.
    #[error("corrupt batch: checksum {stored:08x} stored, {computed:08x} computed")]
    Checksum {
        /// What the header says.
        stored: u32,
        /// What the bytes give.
        computed: u32,
    },
    /// Larger than allowed.
    #[error("batch of {size} bytes is larger than {max}")]
    TooLarge {
        /// Bytes of the whole batch.
        size: usize,
        /// The limit, inclusive.
        max: usize,
    },
    /// Well-formed, but not allowed here: whoever wrote it must change it.
    #[error("invalid batch: {0}")]
    Invalid(&'static str),
    /// One record is not allowed, the others are.
    #[error("invalid record {index} of the batch: {reason}")]
    InvalidRecord {
        /// Position in the batch, from zero.
        index: u32,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A timestamp, or the kind of timestamp, is not allowed here.
    #[error("invalid timestamp: {0}")]
    InvalidTimestamp(&'static str),
    /// A codec number that means nothing.
    #[error("unknown compression codec {id}")]
    UnknownCodec {
        /// What the attributes say.
        id: u8,
    },
    /// The records could not be decompressed.
    #[error(transparent)]
    Compression(#[from] CompressionError),
}

impl BatchError {
    /// Whether the bytes are damaged or cut, rather than written wrongly or beyond what is supported.
    pub const fn is_damage(&self) -> bool {
        matches!(
            self,
            BatchError::Truncated { .. }
                | BatchError::UnsupportedMagic { .. }
                | BatchError::Corrupt(_)
                | BatchError::Checksum { .. }
                | BatchError::UnknownCodec { .. }
                | BatchError::Compression(CompressionError::Corrupt { .. })
        )
    }

    /// The codec this program was built without, if that is the reason.
    pub const fn missing_codec(&self) -> Option<Codec> {
        match self {
            BatchError::Compression(CompressionError::NotCompiledIn(codec)) => Some(*codec),
            _ => None,
        }
    }
}
