//! Brokers of one cluster in one process, connected by function calls: what replication costs without a network.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use highwater_engine::disk::RealDisk;
use highwater_env::{BoxFuture, TokioEnv};
use highwater_metadata::{
    ConfirmError, Entry, EntryId, Leadership, MetadataLog, MetadataRecord, News, NextError, ProposeError,
    Term,
    config::{BrokerConfig, Settings},
};
use highwater_node::{
    ClusterParts, Endpoint, Node, NodeParts, StartError,
    peers::{ClusterTimes, InProcess, MetadataSource},
};
use highwater_records::BrokerId;
use tokio::sync::Notify;

/// The metadata log in memory, led by the first broker.
#[derive(Default)]
struct Shared {
    entries: Mutex<Vec<Entry>>,
    news: Notify,
    peers: InProcess,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Seat {
    shared: Arc<Shared>,
    broker: BrokerId,
}

const FIRST: BrokerId = BrokerId(1);

impl MetadataLog for Seat {
    fn propose(
        &self,
        expects: Option<EntryId>,
        records: Vec<MetadataRecord>,
    ) -> BoxFuture<'_, Result<EntryId, ProposeError>> {
        let mut entries = locked(&self.shared.entries);
        let proposed = EntryId::after(entries.last().map(|entry| entry.id)).ok_or(ProposeError::Closed);
        if let Ok(id) = proposed {
            entries.push(Entry { id, expects, records });
            self.shared.news.notify_waiters();
        }
        Box::pin(async move { proposed })
    }

    fn next_after(&self, after: Option<EntryId>) -> BoxFuture<'_, Result<News, NextError>> {
        Box::pin(async move {
            loop {
                let mut news = std::pin::pin!(self.shared.news.notified());
                news.as_mut().enable();
                let next = {
                    let entries = locked(&self.shared.entries);
                    entries.get(entries.partition_point(|entry| Some(entry.id) <= after)).cloned()
                };
                match next {
                    Some(entry) => return Ok(News::Entry(entry)),
                    None => news.await,
                }
            }
        })
    }

    fn committed(&self) -> Option<EntryId> {
        locked(&self.shared.entries).last().map(|entry| entry.id)
    }

    fn confirm_leadership(&self) -> BoxFuture<'_, Result<Term, ConfirmError>> {
        Box::pin(async { Ok(Term(1)) })
    }

    fn leadership(&self) -> Leadership {
        Leadership { term: Term(1), leader: Some(FIRST), is_local: self.broker == FIRST }
    }

    fn leadership_changed(&self, _: Leadership) -> BoxFuture<'_, Leadership> {
        Box::pin(std::future::pending())
    }
}

/// Starts two brokers in `directory`, the first of which is the controller.
///
/// # Errors
/// Why one of them does not start.
pub async fn start(env: &Arc<TokioEnv>, directory: &Path) -> Result<[Arc<Node>; 2], StartError> {
    let shared = Arc::new(Shared::default());
    let first = boot(env, directory, &shared, FIRST).await?;
    let second = boot(env, directory, &shared, BrokerId(2)).await?;
    Ok([first, second])
}

async fn boot(
    env: &Arc<TokioEnv>,
    directory: &Path,
    shared: &Arc<Shared>,
    broker: BrokerId,
) -> Result<Arc<Node>, StartError> {
    let wrong = |error: &dyn std::fmt::Display| StartError::Directory(error.to_string());
    let mut settings = Settings::new();
    let data = directory.join(format!("data-{broker}")).display().to_string();
    for (key, value) in [("node.id", broker.to_string()), ("log.dirs", data)] {
        settings.give(key, &value).map_err(|error| wrong(&error))?;
    }
    let config = BrokerConfig::new(settings).map_err(|error| wrong(&error))?;
    let parts = NodeParts {
        env: env.clone(),
        disk: Arc::new(RealDisk),
        bucket: None,
        config: Arc::new(config),
        endpoint: Endpoint { host: "here".into(), port: 9092 },
    };
    let cluster = ClusterParts {
        metadata: MetadataSource::Log(Arc::new(Seat { shared: shared.clone(), broker })),
        peers: Arc::new(shared.peers.clone()),
        times: ClusterTimes::default(),
        records_kept: 100_000,
    };
    let node = Node::start_in_cluster(parts, cluster).await?;
    shared.peers.connect(broker, &node);
    Ok(node)
}
