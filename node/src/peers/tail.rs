use std::{sync::Arc, time::Duration};

use highwater_metadata::{Entry, EntryId, Image, Term};
use highwater_records::BrokerId;

/// A broker that has no metadata log of its own asks for what comes next.
#[derive(Clone, Debug)]
pub struct MetadataTail {
    /// Which cluster it belongs to, once it knows.
    pub cluster_id: Option<String>,
    /// The last entry it has.
    pub after: Option<EntryId>,
    /// How long to wait for more.
    pub max_wait: Duration,
    /// How many records to send at most; the first entry is sent whatever its size.
    pub max_records: usize,
}

/// What comes next in the metadata log, as far as the answering broker has applied it.
#[derive(Clone, Debug)]
pub struct MetadataTailed {
    /// Entries, or what they add up to.
    pub news: MetadataNews,
    /// The latest leadership of the log that the answering broker has heard of.
    pub term: Term,
    /// Who leads in it, if known.
    pub leader: Option<BrokerId>,
    /// The last entry that the answering broker knows to be committed.
    pub committed: Option<EntryId>,
}

/// See [`MetadataTailed::news`].
#[derive(Clone, Debug)]
pub enum MetadataNews {
    /// The entries that follow the one that was named, in order and without a gap; none if there is nothing new.
    Entries(Vec<Entry>),
    /// The entries that follow are no longer kept. This is what all of them up to its
    /// [`applied`](Image::applied) add up to.
    Snapshot(Arc<Image>),
}

/// Why nothing is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataTailError {
    /// The asker belongs to another cluster.
    #[error("the asker belongs to cluster {found}, this is cluster {expected}")]
    OtherCluster {
        /// What it said.
        found: String,
        /// This cluster.
        expected: String,
    },
    /// The node stops, or is no member of a cluster.
    #[error("this node serves no metadata")]
    NotServing,
}
