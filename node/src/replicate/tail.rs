//! The metadata log of a broker that has none of its own: it follows the one of the brokers that do, by entries, and by
//! what they add up to where they are no longer kept.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use highwater_env::EnvExt;
use highwater_metadata::{
    BoxFuture, ConfirmError, Entry, EntryId, Leadership, MetadataLog, MetadataRecord, News, NextError,
    ProposeError, Term,
};
use highwater_records::BrokerId;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Membership;
use crate::{
    first_of::{First, first_of},
    peers::{MetadataNews, MetadataTail, MetadataTailed},
};

/// How many records one answer may have.
const RECORDS_MAX: usize = 10_000;

/// Follows the log at one of its voters at a time, at whoever leads it if that is known.
pub(crate) struct TailingLog {
    membership: Arc<Membership>,
    voters: Vec<BrokerId>,
    /// Which of them is asked next where nobody leads.
    turn: AtomicUsize,
    state: Mutex<Tail>,
    leadership_news: Notify,
}

struct Tail {
    /// The cluster that is followed, once that is known.
    cluster_id: Option<String>,
    /// Entries that were told and not taken.
    told: VecDeque<Entry>,
    leadership: Leadership,
    committed: Option<EntryId>,
}

impl Tail {
    /// Remembers whose log this is, when the log says so.
    fn recognize(&mut self, entry: &Entry) {
        for record in &entry.records {
            if let MetadataRecord::ClusterCreated { cluster_id } = record {
                self.cluster_id.get_or_insert_with(|| cluster_id.clone());
            }
        }
    }
}

impl TailingLog {
    /// # Panics
    /// If there is no voter.
    pub(crate) fn new(membership: Arc<Membership>, voters: Vec<BrokerId>) -> TailingLog {
        assert!(!voters.is_empty(), "somebody must have the metadata log");
        let leadership = Leadership { term: Term(0), leader: None, is_local: false };
        let state = Tail { cluster_id: None, told: VecDeque::new(), leadership, committed: None };
        TailingLog {
            membership,
            voters,
            turn: AtomicUsize::new(0),
            state: Mutex::new(state),
            leadership_news: Notify::new(),
        }
    }

    /// Whom to ask: the leader, as long as it answers.
    fn whom(&self) -> BrokerId {
        let leader = self.state.lock().leadership.leader;
        let next = self.voters[self.turn.load(Ordering::Relaxed) % self.voters.len()];
        leader.unwrap_or(next)
    }

    async fn ask(&self, after: Option<EntryId>) -> Option<MetadataTailed> {
        let (membership, times) = (&self.membership, self.membership.times);
        let whom = self.whom();
        let request = MetadataTail {
            cluster_id: self.state.lock().cluster_id.clone(),
            after,
            max_wait: times.fetch_wait_max,
            max_records: RECORDS_MAX,
        };
        let answer = membership.peers.metadata_tail(whom, request);
        // Another controller must be found before this broker's session is over.
        let patience = membership.env.sleep(times.fetch_wait_max + times.session / 3);
        match first_of(answer, patience).await {
            First::Left(Ok(Ok(tailed))) => Some(tailed),
            First::Left(Ok(Err(refused))) => {
                tracing::warn!(%whom, error = %refused, "does not tell what the cluster decides");
                None
            }
            First::Left(Err(_)) | First::Right(()) => None,
        }
    }

    /// Nobody answered: another one is asked, whoever leads.
    async fn turn_away(&self) {
        self.turn.fetch_add(1, Ordering::Relaxed);
        self.state.lock().leadership.leader = None;
        self.leadership_news.notify_waiters();
        self.membership.env.sleep(self.membership.times.fetch_backoff).await;
    }

    /// Takes in who leads. What was heard of an older term is no news.
    fn take_in(&self, tailed: &MetadataTailed) {
        let changed = {
            let mut state = self.state.lock();
            state.committed = state.committed.max(tailed.committed);
            let known = state.leadership;
            if tailed.term < known.term || (tailed.term == known.term && tailed.leader.is_none()) {
                return;
            }
            state.leadership = Leadership { term: tailed.term, leader: tailed.leader, is_local: false };
            state.leadership != known
        };
        if changed {
            self.leadership_news.notify_waiters();
        }
    }
}

impl MetadataLog for TailingLog {
    fn propose(
        &self,
        _: Option<EntryId>,
        _: Vec<MetadataRecord>,
    ) -> BoxFuture<'_, Result<EntryId, ProposeError>> {
        let leader = self.state.lock().leadership.leader;
        Box::pin(async move { Err(ProposeError::NotLeader { leader }) })
    }

    fn next_after(&self, after: Option<EntryId>) -> BoxFuture<'_, Result<News, NextError>> {
        Box::pin(async move {
            loop {
                {
                    let mut state = self.state.lock();
                    state.told.retain(|entry| Some(entry.id) > after);
                    if let Some(entry) = state.told.pop_front() {
                        state.recognize(&entry);
                        return Ok(News::Entry(entry));
                    }
                }
                let Some(tailed) = self.ask(after).await else {
                    self.turn_away().await;
                    continue;
                };
                self.take_in(&tailed);
                match tailed.news {
                    MetadataNews::Entries(entries) => self.state.lock().told = entries.into(),
                    MetadataNews::Snapshot(image) if image.applied() > after => {
                        self.state.lock().cluster_id = image.cluster_id().map(str::to_owned);
                        return Ok(News::Snapshot(image));
                    }
                    // Of a broker that has less than this one.
                    MetadataNews::Snapshot(_) => self.turn_away().await,
                }
            }
        })
    }

    fn committed(&self) -> Option<EntryId> {
        self.state.lock().committed
    }

    fn confirm_leadership(&self) -> BoxFuture<'_, Result<Term, ConfirmError>> {
        Box::pin(async { Err(ConfirmError::NotLeader) })
    }

    fn leadership(&self) -> Leadership {
        self.state.lock().leadership
    }

    fn leadership_changed(&self, known: Leadership) -> BoxFuture<'_, Leadership> {
        Box::pin(async move {
            loop {
                let mut news = std::pin::pin!(self.leadership_news.notified());
                news.as_mut().enable();
                let now = self.leadership();
                if now != known {
                    return now;
                }
                news.await;
            }
        })
    }
}
