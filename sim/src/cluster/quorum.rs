//! A metadata log whose voters are elsewhere: a model that keeps what it has promised, and everything else badly. It
//! loses proposals, delays and reorders them, does not say what became of them, changes its leader, and shows each
//! broker the committed entries when it pleases.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use highwater_env::{Env, EnvExt, Lane};
use highwater_metadata::{
    BoxFuture, ConfirmError, Entry, EntryId, Leadership, MetadataLog, MetadataRecord, News, NextError,
    ProposeError, ReplicationRecord, Term,
};
use highwater_records::{BrokerId, TopicIdPartition};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::network::{Network, QUORUM};
use crate::{executor::SimEnv, random::Random};

/// The model.
pub struct Quorum {
    env: Arc<SimEnv>,
    network: Arc<Network>,
    state: Mutex<State>,
    committed: Notify,
    count: AtomicUsize,
    /// Told at once of every unclean election.
    on_unclean: Mutex<Option<OnUnclean>>,
}

type OnUnclean = Box<dyn Fn(TopicIdPartition) + Send>;

struct State {
    random: Random,
    entries: Vec<Entry>,
    term: u64,
    leader: Option<BrokerId>,
    views: BTreeMap<BrokerId, View>,
    /// Of a thousand proposals this many are lost, and this many are of unknown fate.
    lost: u64,
    unknown: u64,
}

/// What a broker sees.
struct View {
    /// How many of the entries.
    visible: usize,
    leadership: Leadership,
    news: Arc<Notify>,
}

/// A broker that has to wait for its fate waits so long.
const PATIENCE: Duration = Duration::from_secs(2);

impl Quorum {
    pub(super) fn new(
        env: Arc<SimEnv>,
        network: Arc<Network>,
        random: Random,
        brokers: &[BrokerId],
    ) -> Arc<Quorum> {
        let nobody = Leadership { term: Term(0), leader: None, is_local: false };
        let view = |broker: &BrokerId| {
            (*broker, View { visible: 0, leadership: nobody, news: Arc::new(Notify::new()) })
        };
        let state = State {
            random,
            entries: Vec::new(),
            term: 0,
            leader: None,
            views: brokers.iter().map(view).collect(),
            lost: 0,
            unknown: 0,
        };
        let quorum = Arc::new(Quorum {
            env,
            network,
            state: Mutex::new(state),
            committed: Notify::new(),
            count: AtomicUsize::new(0),
            on_unclean: Mutex::new(None),
        });
        for broker in brokers {
            quorum.env.spawn(Lane::Control, Box::pin(quorum.clone().tell(*broker)));
        }
        quorum
    }

    pub(super) fn handle(self: &Arc<Self>, broker: BrokerId, env: Arc<SimEnv>) -> Arc<dyn MetadataLog> {
        Arc::new(Handle { quorum: self.clone(), broker, env })
    }

    /// Everything that is committed, from the entry with this index on.
    pub(super) fn entries_from(&self, index: usize) -> Vec<Entry> {
        self.state.lock().entries.get(index..).unwrap_or_default().to_vec()
    }

    /// How many entries are committed.
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// From now on this is called for every unclean election, before anybody hears of it.
    pub(super) fn on_unclean(&self, tell: impl Fn(TopicIdPartition) + Send + 'static) {
        *self.on_unclean.lock() = Some(Box::new(tell));
    }

    /// Who leads.
    pub(super) fn leader(&self) -> Option<BrokerId> {
        self.state.lock().leader
    }

    /// Makes a broker the leader, in a new term. It learns that at once, the others by and by.
    pub(super) fn elect(&self, leader: Option<BrokerId>) {
        let news = {
            let mut state = self.state.lock();
            state.term += 1;
            state.leader = leader;
            let (term, visible) = (Term(state.term), state.entries.len());
            leader.and_then(|leader| state.views.get_mut(&leader)).map(|view| {
                view.leadership = Leadership { term, leader, is_local: true };
                view.visible = visible;
                view.news.clone()
            })
        };
        if let Some(news) = news {
            news.notify_waiters();
        }
        self.committed.notify_waiters();
    }

    /// From now on so many of a thousand proposals are lost, and so many of unknown fate.
    pub(super) fn set_rates(&self, lost: u64, unknown: u64) {
        let mut state = self.state.lock();
        (state.lost, state.unknown) = (lost, unknown);
    }

    /// Shows one broker what is committed and who leads, after a while, as long as the network lets it.
    async fn tell(self: Arc<Self>, broker: BrokerId) {
        loop {
            let committed = self.committed.notified();
            let mut committed = std::pin::pin!(committed);
            committed.as_mut().enable();
            let behind = {
                let state = self.state.lock();
                let view = &state.views[&broker];
                view.visible < state.entries.len() || view.leadership.term.0 < state.term
            };
            if !behind {
                committed.await;
                continue;
            }
            let rarely = self.draw(|random| random.chance(1, 40));
            let nanos =
                self.draw(|random| random.between(100_000, if rarely { 300_000_000 } else { 3_000_000 }));
            self.env.sleep(Duration::from_nanos(nanos)).await;
            while !self.network.reaches(QUORUM, broker) {
                self.env.sleep(Duration::from_millis(100)).await;
            }
            let news = {
                let mut state = self.state.lock();
                let (visible, term, leader) = (state.entries.len(), Term(state.term), state.leader);
                let view = state.views.get_mut(&broker).expect("every broker has a view");
                view.visible = visible;
                view.leadership = Leadership { term, leader, is_local: leader == Some(broker) };
                view.news.clone()
            };
            news.notify_waiters();
        }
    }

    fn draw<T>(&self, draw: impl FnOnce(&mut Random) -> T) -> T {
        draw(&mut self.state.lock().random)
    }

    /// Commits, if `broker` leads in `term`; of another term's proposals nothing will ever be committed.
    fn commit(
        &self,
        (broker, term): (BrokerId, u64),
        expects: Option<EntryId>,
        records: Vec<MetadataRecord>,
    ) -> Result<EntryId, ProposeError> {
        let id = {
            let mut state = self.state.lock();
            if state.leader != Some(broker) || state.term != term {
                return Err(ProposeError::NotLeader { leader: state.leader });
            }
            if let Some(tell) = &*self.on_unclean.lock() {
                records.iter().filter_map(unclean).for_each(tell);
            }
            let gap = if state.random.chance(1, 20) { state.random.below(5) } else { 0 };
            let last = state.entries.last().map_or(0, |entry| entry.id.get());
            let id = EntryId::new(last + 1 + gap).expect("above zero");
            state.entries.push(Entry { id, expects, records });
            let visible = state.entries.len();
            self.count.store(visible, Ordering::Relaxed);
            // The leader knows at once.
            if let Some(view) = state.views.get_mut(&broker) {
                view.visible = visible;
                view.news.notify_waiters();
            }
            id
        };
        self.committed.notify_waiters();
        Ok(id)
    }
}

fn unclean(record: &MetadataRecord) -> Option<TopicIdPartition> {
    match record {
        MetadataRecord::Replication(ReplicationRecord::LeaderElectedUncleanly {
            topic, partition, ..
        }) => Some(TopicIdPartition { topic_id: *topic, partition: *partition }),
        _ => None,
    }
}

/// The log as one broker's process reaches it.
struct Handle {
    quorum: Arc<Quorum>,
    broker: BrokerId,
    env: Arc<SimEnv>,
}

/// What becomes of a proposal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Answered,
    Lost,
    /// Committed sooner or later, and nobody says so.
    Unanswered,
}

impl MetadataLog for Handle {
    fn propose(
        &self,
        expects: Option<EntryId>,
        records: Vec<MetadataRecord>,
    ) -> BoxFuture<'_, Result<EntryId, ProposeError>> {
        Box::pin(async move {
            let quorum = &self.quorum;
            let (fate, nanos, term) = {
                let mut state = quorum.state.lock();
                let (lost, unknown, term) = (state.lost, state.unknown, state.term);
                let fate = match state.random.below(1000) {
                    drawn if drawn < lost => Fate::Lost,
                    drawn if drawn < lost + unknown => Fate::Unanswered,
                    _ => Fate::Answered,
                };
                (fate, state.random.between(100_000, 4_000_000), term)
            };
            self.env.sleep(Duration::from_nanos(nanos)).await;
            if fate == Fate::Lost || !quorum.network.reaches(self.broker, QUORUM) {
                self.env.sleep(PATIENCE).await;
                return Err(ProposeError::Unknown);
            }
            if fate == Fate::Unanswered {
                let (late, broker) = (quorum.clone(), self.broker);
                let after = quorum.draw(|random| random.between(0, 3_000_000_000));
                let commit = async move {
                    late.env.sleep(Duration::from_nanos(after)).await;
                    let _ = late.commit((broker, term), expects, records);
                };
                quorum.env.spawn(Lane::Control, Box::pin(commit));
                self.env.sleep(PATIENCE).await;
                return Err(ProposeError::Unknown);
            }
            quorum.commit((self.broker, term), expects, records)
        })
    }

    fn next_after(&self, after: Option<EntryId>) -> BoxFuture<'_, Result<News, NextError>> {
        Box::pin(async move {
            loop {
                let news = {
                    let state = self.quorum.state.lock();
                    let view = &state.views[&self.broker];
                    let first = state.entries.partition_point(|entry| Some(entry.id) <= after);
                    if first < view.visible {
                        return Ok(News::Entry(state.entries[first].clone()));
                    }
                    view.news.clone()
                };
                let mut news = std::pin::pin!(news.notified());
                news.as_mut().enable();
                if self.committed() <= after {
                    news.await;
                }
            }
        })
    }

    fn committed(&self) -> Option<EntryId> {
        let state = self.quorum.state.lock();
        let visible = state.views[&self.broker].visible;
        visible.checked_sub(1).map(|last| state.entries[last].id)
    }

    fn confirm_leadership(&self) -> BoxFuture<'_, Result<Term, ConfirmError>> {
        Box::pin(async move {
            self.env.sleep(Duration::from_millis(1)).await;
            if !self.quorum.network.reaches(self.broker, QUORUM) {
                return Err(ConfirmError::Unknown);
            }
            let state = self.quorum.state.lock();
            match state.leader == Some(self.broker) {
                true => Ok(Term(state.term)),
                false => Err(ConfirmError::NotLeader),
            }
        })
    }

    fn leadership(&self) -> Leadership {
        self.quorum.state.lock().views[&self.broker].leadership
    }

    fn leadership_changed(&self, known: Leadership) -> BoxFuture<'_, Leadership> {
        Box::pin(async move {
            loop {
                let news = self.quorum.state.lock().views[&self.broker].news.clone();
                let mut news = std::pin::pin!(news.notified());
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
