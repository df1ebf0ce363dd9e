//! What this broker knows of the cluster: the image, built only by replaying the metadata log, and the way to
//! change it.

mod local_log;
#[cfg(test)]
mod local_log_tests;
mod recent;

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

pub(crate) use local_log::LocalMetadataLog;

use highwater_metadata::{
    Applied, Entry, EntryId, Image, MetadataLog, MetadataRecord, News, NextError, ProposeError,
};
use highwater_records::TopicIdPartition;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    first_of::{First, first_of},
    peers::MetadataNews,
    replicate::{Membership, Touched},
};
use recent::Recent;

/// The current image and the log it comes from.
pub(crate) struct Cluster {
    log: Arc<dyn MetadataLog>,
    /// This process as a member of a cluster.
    member: Option<Arc<Membership>>,
    /// The latest entries, for brokers that follow this one.
    recent: Mutex<Recent>,
    state: Mutex<State>,
    /// Wakes whoever waits for an entry to be applied.
    applied: Notify,
    /// Tells that a configuration was altered.
    configs: Notify,
    /// What entries have touched since the roles were looked at.
    touched: Mutex<Touched>,
    touch: Notify,
    /// Whether another process is this broker by now.
    superseded: AtomicBool,
    /// Ends the following of a log that outlives this node.
    ended: AtomicBool,
    end: Notify,
}

struct State {
    image: Arc<Image>,
    last: Option<EntryId>,
    /// The fate of the latest entries, for proposers that wait for theirs.
    fates: VecDeque<(EntryId, Applied)>,
}

/// Proposers ask for their entry's fate within moments; this many entries is far more than can pass meanwhile.
const FATES_KEPT: usize = 4096;

/// Why a decision did not come into force.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError<E> {
    /// The decision itself was refused; nothing was proposed.
    #[error("{0}")]
    Refused(E),
    /// The metadata log does not take it, or its fate is unknown.
    #[error("metadata log: {0}")]
    Log(ProposeError),
}

impl Cluster {
    /// `member` is this process as a member of a cluster, and how many records it keeps for brokers that follow it.
    pub(crate) fn new(log: Arc<dyn MetadataLog>, member: Option<(Arc<Membership>, usize)>) -> Cluster {
        let (member, records_kept) = member.map_or((None, 0), |(member, kept)| (Some(member), kept));
        Cluster {
            log,
            member,
            recent: Mutex::new(Recent::new(records_kept)),
            state: Mutex::new(State {
                image: Arc::new(Image::default()),
                last: None,
                fates: VecDeque::new(),
            }),
            applied: Notify::new(),
            configs: Notify::new(),
            touched: Mutex::default(),
            touch: Notify::new(),
            superseded: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            end: Notify::new(),
        }
    }

    /// The image as of the last applied entry.
    pub(crate) fn image(&self) -> Arc<Image> {
        self.state.lock().image.clone()
    }

    /// The log, to confirm leadership.
    pub(crate) fn log(&self) -> &Arc<dyn MetadataLog> {
        &self.log
    }

    /// The last applied entry.
    pub(crate) fn last_applied(&self) -> Option<EntryId> {
        self.state.lock().last
    }

    /// Applies one entry of the committed stream, in order. Called by the one task that follows the stream. One that
    /// makes another process this broker is not applied, and nothing after it.
    pub(crate) fn apply(&self, entry: &Entry) -> Applied {
        let mut image = self.image();
        // Copies what is shared with readers only; they keep the picture they took.
        let fate = Arc::make_mut(&mut image).apply(entry);
        if self.gives_way(&image) {
            return Applied::Dropped;
        }
        if self.member.is_some() {
            self.recent.lock().push(entry);
        }
        let mut state = self.state.lock();
        state.image = image;
        state.last = Some(entry.id);
        if state.fates.len() == FATES_KEPT {
            state.fates.pop_front();
        }
        state.fates.push_back((entry.id, fate));
        drop(state);
        self.applied.notify_waiters();
        if fate == Applied::Effective {
            self.touched.lock().add(entry);
            self.touch.notify_one();
        }
        if entry
            .records
            .iter()
            .any(|record| matches!(record, MetadataRecord::ConfigSet { .. } | MetadataRecord::Quota(_)))
        {
            self.configs.notify_one();
        }
        fate
    }

    /// Takes over an image in place of the entries that lead to it. What it does not tell is treated as changed.
    pub(crate) fn install(&self, image: Arc<Image>) {
        if image.applied() <= self.last_applied() || self.gives_way(&image) {
            return;
        }
        self.recent.lock().begin_after(image.applied());
        {
            let mut state = self.state.lock();
            state.last = image.applied();
            state.fates.clear();
            state.image = image;
        }
        self.applied.notify_waiters();
        self.touch_everything();
        self.configs.notify_one();
    }

    /// Whether an image makes another process this broker: what it says of this broker is about the other one, and this
    /// one never sees it.
    fn gives_way(&self, image: &Image) -> bool {
        let superseded = self.member.as_ref().is_some_and(|member| member.is_superseded(image));
        if superseded {
            self.superseded.store(true, Ordering::Release);
            self.end();
        }
        superseded
    }

    /// What comes after an entry, for a broker that follows this one.
    pub(crate) fn news_after(&self, after: Option<EntryId>, records_max: usize) -> MetadataNews {
        let kept = self.recent.lock().after(after, records_max);
        kept.map_or_else(|| MetadataNews::Snapshot(self.image()), MetadataNews::Entries)
    }

    /// Takes what entries have touched since the last time.
    pub(crate) fn take_touched(&self) -> Touched {
        std::mem::take(&mut self.touched.lock())
    }

    /// Has everything looked at.
    pub(crate) fn touch_everything(&self) {
        *self.touched.lock() = Touched { everything: true, ..Touched::default() };
        self.touch.notify_one();
    }

    /// Has one partition looked at.
    pub(crate) fn touch(&self, partition: TopicIdPartition) {
        self.touched.lock().partitions.insert(partition);
        self.touch.notify_one();
    }

    /// Completes once something was touched since this was last asked.
    pub(crate) async fn wait_touched(&self) {
        self.touch.notified().await;
    }

    fn take_in(&self, news: News) {
        match news {
            News::Entry(entry) => drop(self.apply(&entry)),
            News::Snapshot(image) => self.install(image),
        }
    }

    /// Ends [`Cluster::follow`] although the log goes on.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.end.notify_waiters();
        self.applied.notify_waiters();
    }

    /// Whether the log told that another process is this broker by now. Nothing is applied any more then.
    pub(crate) fn is_superseded(&self) -> bool {
        self.superseded.load(Ordering::Acquire)
    }

    /// Completes once nothing is applied any more.
    pub(crate) async fn has_ended(&self) {
        loop {
            let mut ended = std::pin::pin!(self.end.notified());
            ended.as_mut().enable();
            if self.ended.load(Ordering::Acquire) {
                return;
            }
            ended.await;
        }
    }

    /// Completes once the cluster has a name.
    pub(crate) async fn wait_named(&self) -> String {
        loop {
            let applied = self.applied.notified();
            let mut applied = std::pin::pin!(applied);
            applied.as_mut().enable();
            if let Some(id) = self.image().cluster_id() {
                return id.to_owned();
            }
            applied.await;
        }
    }

    /// Completes once a configuration may have been altered since this was last asked.
    pub(crate) async fn configs_changed(&self) {
        self.configs.notified().await;
    }

    /// Applies everything that is committed already.
    pub(crate) async fn replay(&self) -> Result<(), NextError> {
        let Some(end) = self.log.committed() else { return Ok(()) };
        while self.last_applied() < Some(end) {
            self.take_in(self.log.next_after(self.last_applied()).await?);
        }
        Ok(())
    }

    /// Applies what is committed from now on, until the log closes.
    pub(crate) async fn follow(self: Arc<Self>) {
        loop {
            let next = match first_of(self.has_ended(), self.log.next_after(self.last_applied())).await {
                First::Left(()) => return,
                First::Right(next) => next,
            };
            match next {
                Ok(news) => self.take_in(news),
                Err(NextError::Closed) => return,
                Err(error) => {
                    tracing::error!(%error, "no further decision of the cluster can be applied");
                    return;
                }
            }
        }
    }

    /// Waits until everything up to `id` is applied, or nothing more will be.
    pub(crate) async fn wait_applied(&self, id: EntryId) {
        loop {
            let applied = self.applied.notified();
            let mut applied = std::pin::pin!(applied);
            applied.as_mut().enable();
            if self.state.lock().last >= Some(id) || self.ended.load(Ordering::Acquire) {
                return;
            }
            applied.await;
        }
    }

    /// Waits until anything after `seen` is applied.
    pub(crate) async fn wait_after(&self, seen: Option<EntryId>) {
        loop {
            let mut applied = std::pin::pin!(self.applied.notified());
            applied.as_mut().enable();
            if self.state.lock().last > seen {
                return;
            }
            applied.await;
        }
    }

    /// Decides on the current image, proposes, and waits until the decision is in force. A decision that came too
    /// late, because the image changed meanwhile, is made again.
    ///
    /// Returns the image with the decision in it. A decision without records is in force already.
    pub(crate) async fn change<E>(
        &self,
        mut decide: impl FnMut(&Image) -> Result<Vec<MetadataRecord>, E>,
    ) -> Result<Arc<Image>, ChangeError<E>> {
        loop {
            let image = self.image();
            let records = decide(&image).map_err(ChangeError::Refused)?;
            if records.is_empty() {
                return Ok(image);
            }
            let id = self.log.propose(image.last_effective(), records).await.map_err(ChangeError::Log)?;
            self.wait_applied(id).await;
            let state = self.state.lock();
            let fate = state.fates.iter().rev().find(|(entry, _)| *entry == id).map(|(_, fate)| *fate);
            match fate {
                Some(Applied::Effective) => return Ok(state.image.clone()),
                Some(Applied::Dropped) => {}
                // Thousands of entries passed before this task ran again: its fate can no longer be told.
                None => return Err(ChangeError::Log(ProposeError::Unknown)),
            }
        }
    }
}
