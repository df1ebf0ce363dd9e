//! The seam to whatever makes brokers agree.

use crate::{Entry, EntryId, Image, MetadataRecord};
use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::{fmt, future::Future, pin::Pin};
use highwater_records::BrokerId;

/// A boxed future that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Counts leaderships of the metadata log; grows with each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term(pub u64);

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Who leads the metadata log, as far as this broker knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leadership {
    /// The latest term this broker has heard of.
    pub term: Term,
    /// Its leader, if known.
    pub leader: Option<BrokerId>,
    /// Whether that is this broker. Only [`MetadataLog::confirm_leadership`] makes sure.
    pub is_local: bool,
}

/// A totally ordered, durable stream of entries that every broker sees alike.
///
/// Duties of an implementation:
/// - **order**: every broker's stream ([`MetadataLog::next_after`]) has the same entries in the same order, with
///   growing ids, whatever restarts happen; an entry once delivered is never taken back or changed;
/// - **durability**: an entry is delivered, and `propose` answers `Ok`, only once no failure that the
///   implementation promises to survive can take it away;
/// - **ignorance**: `expects` and the records are cargo. Nobody but [`Image::apply`](crate::Image::apply) reads them:
///   a proposal decided on a stale image is committed like any other, and applying drops it;
/// - **honesty**: a proposal whose fate is not known is [`ProposeError::Unknown`], never `NotLeader`. It may still
///   be committed, once. A proposal is never committed twice.
///
/// Futures may be dropped at any time; a dropped `propose` has an unknown fate.
pub trait MetadataLog: Send + Sync {
    /// Commits `records` as one entry and answers with its id once it is durable and will be delivered to everyone.
    /// That says nothing about its *effect*: whether the entry was decided on a current image shows when it is
    /// applied. `expects` is the last effective entry of the image that the decision was based on.
    fn propose(
        &self,
        expects: Option<EntryId>,
        records: Vec<MetadataRecord>,
    ) -> BoxFuture<'_, Result<EntryId, ProposeError>>;

    /// What comes after `after`, from the beginning for `None`: the first committed entry with an id above it, or where
    /// that is no longer kept, an image that holds more than everything up to `after`. Waits until there is something.
    fn next_after(&self, after: Option<EntryId>) -> BoxFuture<'_, Result<News, NextError>>;

    /// The last entry known to be committed. An image that has applied it is current as of this call, on the leader.
    fn committed(&self) -> Option<EntryId>;

    /// Makes sure that this broker leads the metadata log at some instant between the call and the answer, so
    /// that no other broker decided anything meanwhile. What deletes or fences on the strength of the image
    /// asks this first.
    fn confirm_leadership(&self) -> BoxFuture<'_, Result<Term, ConfirmError>>;

    /// Who leads, without asking anyone.
    fn leadership(&self) -> Leadership;

    /// Completes once the leadership is another than `known`, with the new one; at once when it already is. Pending for
    /// ever on a log that is closed.
    fn leadership_changed(&self, known: Leadership) -> BoxFuture<'_, Leadership>;
}

/// What comes next in a metadata log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// The next entry.
    Entry(Entry),
    /// What all entries up to its [`applied`](Image::applied) add up to; some of them cannot be had any more.
    Snapshot(Arc<Image>),
}

impl News {
    /// The entry, from a log that keeps all of them.
    pub fn entry(self) -> Option<Entry> {
        match self {
            News::Entry(entry) => Some(entry),
            News::Snapshot(_) => None,
        }
    }
}

/// Why a proposal was not confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Certainly not committed: this broker does not lead. Re-route.
    #[error("this broker does not lead the metadata log{}", LeaderHint(*leader))]
    NotLeader {
        /// Who does, if known.
        leader: Option<BrokerId>,
    },
    /// It may have been committed or may yet be. Watch the stream, and decide again on what comes.
    #[error("it is not known whether the decision was committed")]
    Unknown,
    /// Certainly not committed: too many or too large proposals at once. Decide again later.
    #[error("the metadata log takes no more proposals now")]
    Busy,
    /// The log is closed, or its storage failed: it stays so until a restart.
    #[error("the metadata log is closed")]
    Closed,
}

struct LeaderHint(Option<BrokerId>);

impl fmt::Display for LeaderHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(leader) => write!(f, ", broker {leader} does"),
            None => Ok(()),
        }
    }
}

/// Why the stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NextError {
    /// The log is closed, or its storage failed: it stays so until a restart.
    #[error("the metadata log is closed")]
    Closed,
    /// An entry cannot be read or understood. Nothing after it can be applied: stop serving and report.
    #[error("metadata entry after {after:?} is unreadable")]
    Unreadable {
        /// The entry before the unreadable one.
        after: Option<EntryId>,
    },
}

/// Why leadership was not confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfirmError {
    /// Another broker leads, or nobody.
    #[error("this broker does not lead the metadata log")]
    NotLeader,
    /// Too few others answered to say. Ask again.
    #[error("leadership of the metadata log could not be confirmed")]
    Unknown,
    /// The log is closed, or its storage failed: it stays so until a restart.
    #[error("the metadata log is closed")]
    Closed,
}
