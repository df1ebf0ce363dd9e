//! The seam to the object store.

#[cfg(any(test, feature = "faults"))]
pub mod faulty;
pub mod file;
mod key;
#[cfg(any(test, feature = "faults"))]
pub mod memory;
mod open;
mod pieces;
pub mod probe;
#[cfg(feature = "s3")]
pub mod s3;

pub use open::{OpenOptions, open};
pub use pieces::{Body, PieceFailed, Pieces};

use std::{fmt, ops::Range, sync::Arc};

use bytes::Bytes;
use highwater_env::BoxFuture;

/// An object store. Keys are `/`-separated paths below the bucket's prefix: letters, digits, `-`, `_` and `.`, no
/// part empty or beginning with a dot.
///
/// Duties every form keeps:
/// - A completed put is durable and visible to every later get (strong consistency).
/// - A put is atomic: a get sees the whole old or the whole new object.
/// - [`Bucket::put_new`] and [`Bucket::replace`] decide and write in one step: of any number of concurrent callers
///   at most one wins.
/// - An error of kind [`BucketErrorKind::Unknown`] or a dropped future says nothing about whether a put happened.
/// - No form retries a conditional put by itself.
pub trait Bucket: Send + Sync + fmt::Debug {
    /// The whole object and its tag. For small objects: it comes as one piece.
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(Bytes, Tag), BucketError>>;

    /// Byte ranges of one object, each complete, in the order asked. A range past the end is an error.
    fn get_ranges<'a>(
        &'a self,
        key: &'a str,
        ranges: &'a [Range<u64>],
    ) -> BoxFuture<'a, Result<Vec<Bytes>, BucketError>>;

    /// Writes an object that must not exist.
    fn put_new<'a>(&'a self, key: &'a str, body: Bytes) -> BoxFuture<'a, Result<Tag, BucketError>>;

    /// Replaces an object that must still have this tag.
    fn replace<'a>(
        &'a self,
        key: &'a str,
        tag: &'a Tag,
        body: Bytes,
    ) -> BoxFuture<'a, Result<Tag, BucketError>>;

    /// Writes an object whatever was there, piece by piece, so that it need not fit into memory. For keys that are
    /// never used twice. After an error nothing can be read under a key that did not exist before, except where
    /// the outcome is unknown.
    fn put<'a>(&'a self, key: &'a str, pieces: &'a mut dyn Pieces) -> BoxFuture<'a, Result<(), BucketError>>;

    /// Removes an object; `Ok` if there was none.
    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), BucketError>>;

    /// Keys and sizes that begin with `prefix`, sorted. For tools and collectors: listing is never the truth.
    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<(String, u64)>, BucketError>>;

    /// Where this is, for people: `file:///path` or `s3://bucket/prefix`.
    fn describe(&self) -> String;
}

/// A bucket that can be shared.
pub type SharedBucket = Arc<dyn Bucket>;

/// An object's version, as the store names it (an ETag).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag(pub String);

/// A request to the store failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{kind} ({key}): {detail}")]
pub struct BucketError {
    /// What the caller does next.
    pub kind: BucketErrorKind,
    /// The key it was about.
    pub key: String,
    /// What the store said.
    pub detail: String,
}

impl BucketError {
    pub(crate) fn new(kind: BucketErrorKind, key: &str, detail: impl fmt::Display) -> BucketError {
        BucketError { kind, key: key.to_owned(), detail: detail.to_string() }
    }
}

/// Bucket errors, sorted by what the caller does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BucketErrorKind {
    /// There is no such object.
    #[error("object not found")]
    NotFound,
    /// The condition did not hold: somebody else, or an earlier try of ours, was first. Read and compare.
    #[error("condition not met")]
    Precondition,
    /// Nothing happened; try again later.
    #[error("store unavailable")]
    Unavailable,
    /// No answer, or one that does not tell whether it happened. Read before trying again.
    #[error("outcome unknown")]
    Unknown,
    /// Credentials, permissions, a missing bucket: an operator must act.
    #[error("store refused")]
    Refused,
    /// The caller's own [`Pieces`] failed; nothing was written.
    #[error("the object's bytes could not be produced")]
    Pieces,
}
