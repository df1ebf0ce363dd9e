//! What can go wrong, sorted by what the caller does next.

use highwater_records::{Offset, TopicIdPartition};

use crate::{
    bucket::{BucketError, BucketErrorKind},
    encoding::FormatError,
    name::Fence,
};

/// An operation on a partition's tier failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TierError {
    /// The store did not answer, or not so that it tells. Nothing is lost; try again after a while.
    #[error("the bucket is not available: {detail}")]
    Retry {
        /// What the store said.
        detail: String,
    },
    /// Somebody with a higher fence has changed the head. Stop leading.
    #[error("fenced by {by}")]
    Fenced {
        /// Who.
        by: Fence,
    },
    /// The controller did not confirm that this broker leads. Nothing was changed.
    #[error("leadership of {0} is not confirmed")]
    NotLeader(TopicIdPartition),
    /// An object that a head names is not in the bucket. Report; serve everything else.
    #[error("the bucket's {object} is missing")]
    Missing {
        /// The object's key.
        object: String,
    },
    /// Bytes in the bucket are wrong. Report; serve everything else.
    #[error("the bucket's {object} is damaged: {detail}")]
    Corrupt {
        /// The object's key.
        object: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The tier does not hold this offset.
    #[error("offset {offset} is not in the tier's [{start}, {end})")]
    OutOfRange {
        /// What was asked for.
        offset: Offset,
        /// First offset that may be read (inclusive).
        start: Offset,
        /// The tier's end (exclusive).
        end: Offset,
    },
    /// The segments to copy do not continue the tier. Load the head and plan again.
    #[error("a segment from {base} does not continue a tier that ends at {end}")]
    NotNext {
        /// First offset of the segment.
        base: Offset,
        /// The tier's end (exclusive).
        end: Offset,
    },
    /// The local segment is damaged; it was not copied. Repair it.
    #[error("the local segment from {base} is damaged at byte {position}: {detail}")]
    BadSegment {
        /// Its first offset.
        base: Offset,
        /// Where in the file.
        position: u64,
        /// What is wrong there.
        detail: String,
    },
    /// An operator must act: credentials, another cluster's bucket, a store without conditional puts, data of a newer
    /// version, a state that forbids it.
    #[error("refused: {detail}")]
    Refused {
        /// Why.
        detail: String,
    },
}

impl TierError {
    pub(crate) fn retry(detail: impl ToString) -> TierError {
        TierError::Retry { detail: detail.to_string() }
    }

    pub(crate) fn refused(detail: impl ToString) -> TierError {
        TierError::Refused { detail: detail.to_string() }
    }

    /// What cannot be decoded: from the future, or damaged.
    pub(crate) fn format(object: &str, error: &FormatError) -> TierError {
        match error {
            FormatError::Newer { .. } => TierError::refused(format!("{object}: {error}")),
            FormatError::Bad(what) => {
                TierError::Corrupt { object: object.to_owned(), detail: (*what).to_owned() }
            }
        }
    }
}

impl From<BucketError> for TierError {
    fn from(error: BucketError) -> TierError {
        match error.kind {
            BucketErrorKind::Refused => TierError::refused(error),
            BucketErrorKind::NotFound => TierError::Missing { object: error.key },
            _ => TierError::retry(error),
        }
    }
}
