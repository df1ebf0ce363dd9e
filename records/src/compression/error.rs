use super::Codec;

/// Compressed bytes that could not be read, or bytes that could not be compressed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompressionError {
    /// This program was built without the codec.
    #[error("this build has no {0} codec")]
    NotCompiledIn(Codec),
    /// The bytes are not what the codec writes.
    #[error("bad {codec} data: {detail}")]
    Corrupt {
        /// The codec.
        codec: Codec,
        /// What is wrong.
        detail: String,
    },
    /// More would come out than allowed.
    #[error("decompressed data is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes, inclusive.
        limit: usize,
    },
}

impl CompressionError {
    pub(super) fn from_io(codec: Codec, error: &std::io::Error) -> CompressionError {
        CompressionError::Corrupt { codec, detail: error.to_string() }
    }
}
