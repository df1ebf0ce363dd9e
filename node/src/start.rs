//! From directories on a disk to a node that serves.

use std::{
    path::Path,
    sync::{Arc, OnceLock, atomic::AtomicBool},
    time::Duration,
};

use highwater_engine::{DirOptions, JournalOptions, LogDir, OpenReport, disk::Disk};
use highwater_env::{BoxFuture, Env, EnvExt, Lane};
use highwater_metadata::{Broker, Endpoint as ListenerEndpoint, config::BrokerConfig, decide};
use highwater_records::{BrokerId, TimestampMs, TopicId};
use highwater_tiering::{ConfirmLeadership, Owner, Tier, TierError, TierOptions, bucket::SharedBucket};
use tokio::sync::Notify;

use crate::{
    Endpoint, Node, NodeParts,
    cluster::{Cluster, LocalMetadataLog},
    commit::Committer,
    coordinator::{Ground, Host, MarkerQueue, OFFSETS, TRANSACTIONS, group_shard, transaction_shard},
    first_of::{First, first_of},
    live_config::LiveConfig,
    metrics::NodeCounters,
    partitions::Partitions,
    producer_ids::ProducerIds,
    quotas::Quotas,
    replicate::Membership,
    sessions::SessionCache,
    tasks::Tasks,
};

/// How long a start waits for the bucket to say whose it is. What needs no bucket is served without.
const BUCKET_PATIENCE: Duration = Duration::from_secs(5);

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A directory is in use, damaged, of another cluster or of a newer program. Nothing was changed.
    #[error("{0}")]
    Directory(String),
    /// The metadata log cannot be read or written.
    #[error("{0}")]
    Metadata(String),
    /// The bucket belongs to another cluster, refuses, or does not honour conditional writes.
    #[error("{0}")]
    Bucket(String),
}

impl Node {
    /// Opens the directories, replays the metadata log, and starts the node's tasks. Returns when the node can serve.
    ///
    /// A bucket that cannot be reached is no reason not to start: it is asked again when it is needed.
    ///
    /// # Errors
    /// [`StartError`]; the directories are released again.
    pub fn start(parts: NodeParts) -> BoxFuture<'static, Result<Arc<Node>, StartError>> {
        Box::pin(async move {
            let NodeParts { env, disk, bucket, config, endpoint } = parts;
            let broker = config.node_id;
            let metadata = open_metadata(&env, &disk, &config, broker).await?;
            let cluster = Arc::new(Cluster::new(metadata.clone(), None));
            if let Err(error) = cluster.replay().await {
                metadata.abandon();
                return Err(StartError::Metadata(error.to_string()));
            }
            let tasks = Tasks::default();
            tasks.spawn(&env, Lane::Control, cluster.clone().follow());
            let standing = async {
                let cluster_id = found_cluster(&env, &cluster).await?;
                let (directory, report) = open_directory(&env, &disk, &config, broker, &cluster_id).await?;
                let tier = open_tier(&env, bucket, &cluster_id, None).await?;
                announce(&cluster, broker, config.rack.clone(), &endpoint, report.clean).await?;
                let opened = Opened {
                    env: env.clone(),
                    disk,
                    tier,
                    config: config.clone(),
                    cluster: cluster.clone(),
                    directory,
                    clean: report.clean,
                    metadata: Some(metadata.clone()),
                    membership: None,
                    tasks,
                };
                Ok(opened.serve())
            };
            match standing.await {
                Ok(node) => Ok(node),
                Err(error) => {
                    metadata.abandon();
                    Err(error)
                }
            }
        })
    }
}

/// A node that knows its cluster and has its directory open.
pub(crate) struct Opened {
    pub(crate) env: Arc<dyn Env>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) tier: Option<Arc<Tier>>,
    pub(crate) config: Arc<BrokerConfig>,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) directory: Arc<LogDir>,
    pub(crate) clean: bool,
    pub(crate) metadata: Option<Arc<LocalMetadataLog>>,
    pub(crate) membership: Option<Arc<Membership>>,
    pub(crate) tasks: Tasks,
}

impl Opened {
    pub(crate) fn serve(self) -> Arc<Node> {
        let Opened { env, disk, tier, config, cluster, directory, clean, .. } = self;
        let broker = config.node_id;
        let fetch_sessions_max = config.fetch_sessions_max as usize;
        let live = Arc::new(LiveConfig::new(config.clone(), broker, &cluster.image()));
        let partitions = Partitions::new(
            env.clone(),
            broker,
            live.clone(),
            cluster.clone(),
            directory.clone(),
            tier.clone(),
            clean,
        );
        let partitions = Arc::new(partitions);
        let committer = Arc::new(Committer::new(env.clone(), directory.clone()));
        let ground = Ground {
            env: env.clone(),
            broker,
            cluster: cluster.clone(),
            partitions: partitions.clone(),
            committer: committer.clone(),
            bounds: config.groups.bounds.clone(),
        };
        let settings = config.groups.clone();
        let groups =
            Host::new(ground.clone(), OFFSETS, move |_| group_shard(&settings), |_, never| match never {});
        let (settings, markers) = (config.transactions.clone(), Arc::new(MarkerQueue::default()));
        let asked = markers.clone();
        let transactions = Host::new(
            ground,
            TRANSACTIONS,
            move |_| transaction_shard(&settings),
            move |life, effect| asked.push(life, effect),
        );
        let node = Arc::new(Node {
            committer,
            env,
            config,
            live,
            broker,
            cluster,
            metadata: self.metadata,
            membership: self.membership,
            disk,
            directory,
            partitions,
            tier,
            groups,
            transactions,
            markers,
            producer_ids: ProducerIds::default(),
            sessions: SessionCache::new(fetch_sessions_max),
            quotas: Quotas::default(),
            counters: NodeCounters::default(),
            stopping: Arc::new(Notify::new()),
            stopped: AtomicBool::new(false),
            ended_by_itself: OnceLock::new(),
            tasks: self.tasks,
        });
        node.quotas.follow(&node.image());
        node.committer.start(&node.tasks);
        node.tasks.spawn(&node.env, Lane::Background, node.clone().settle_when_asked());
        node.tasks.spawn(&node.env, Lane::Background, node.clone().upkeep());
        node.tasks.spawn(&node.env, Lane::Background, node.clone().compaction());
        node.tasks.spawn(&node.env, Lane::Background, node.clone().scrubbing());
        node.tasks.spawn(&node.env, Lane::Background, node.clone().parking());
        node.tasks.spawn(&node.env, Lane::Background, node.clone().read_heads());
        node.tasks.spawn(&node.env, Lane::Control, node.clone().follow_configs());
        node.tasks.spawn(&node.env, Lane::Control, node.groups.clone().follow());
        node.tasks.spawn(&node.env, Lane::Control, node.transactions.clone().follow());
        node.tasks.spawn(&node.env, Lane::Control, node.clone().write_asked_markers());
        node
    }
}

async fn open_metadata(
    env: &Arc<dyn Env>,
    disk: &Arc<dyn Disk>,
    config: &BrokerConfig,
    broker: BrokerId,
) -> Result<Arc<LocalMetadataLog>, StartError> {
    let (opener, disk, path) = (env.clone(), disk.clone(), config.metadata_log_dir.clone());
    let log = env
        .run_blocking(Lane::Control, move || LocalMetadataLog::open(opener, disk, Path::new(&path), broker))
        .await
        .map_err(|error| StartError::Metadata(error.to_string()))?
        .map_err(|error| StartError::Metadata(error.to_string()))?;
    Ok(Arc::new(log))
}

/// The cluster's id, chosen at the very first start.
async fn found_cluster(env: &Arc<dyn Env>, cluster: &Cluster) -> Result<String, StartError> {
    let chosen = TopicId::from_random(env.random(), env.random()).to_string();
    let image = cluster
        .change(|image| Ok::<_, std::convert::Infallible>(decide::create_cluster(image, &chosen)))
        .await
        .map_err(|error| StartError::Metadata(error.to_string()))?;
    let id = image.cluster_id().ok_or_else(|| StartError::Metadata("the cluster has no id".into()))?;
    Ok(id.to_owned())
}

pub(crate) async fn open_directory(
    env: &Arc<dyn Env>,
    disk: &Arc<dyn Disk>,
    config: &BrokerConfig,
    broker: BrokerId,
    cluster_id: &str,
) -> Result<(Arc<LogDir>, OpenReport), StartError> {
    let path = config.log_dir.clone();
    let options = DirOptions {
        cluster_id: cluster_id.to_owned(),
        node_id: broker,
        new_directory_id: TopicId::from_random(env.random(), env.random()),
    };
    let journal = JournalOptions::of(config.journal_bytes);
    let (disk, now) = (disk.clone(), TimestampMs(env.wall_ms()));
    let (dir, report) = env
        .run_blocking(Lane::Control, move || LogDir::open_with(disk, Path::new(&path), options, journal, now))
        .await
        .map_err(|error| StartError::Directory(error.to_string()))?
        .map_err(|error| StartError::Directory(error.to_string()))?;
    dir.set_open_files(config.open_files_max as usize);
    Ok((dir, report))
}

/// Registers this broker; after an unclean stop its leader epochs start above everything it may have written.
async fn announce(
    cluster: &Cluster,
    broker: BrokerId,
    rack: Option<String>,
    endpoint: &Endpoint,
    clean: bool,
) -> Result<(), StartError> {
    let endpoint =
        ListenerEndpoint { listener: "PLAINTEXT".into(), host: endpoint.host.clone(), port: endpoint.port };
    cluster
        .change(|image| {
            let registered = Broker { endpoints: vec![endpoint.clone()], rack: rack.clone() };
            let mut records = decide::register_broker(image, broker, registered);
            if !clean && image.topic_count() > 0 {
                records.extend(decide::raise_epoch_floor(image, broker));
            }
            Ok::<_, std::convert::Infallible>(records)
        })
        .await
        .map_err(|error| StartError::Metadata(error.to_string()))?;
    Ok(())
}

/// The bucket, if there is one. Whose it is comes out before the cluster hears of this broker.
pub(crate) async fn open_tier(
    env: &Arc<dyn Env>,
    bucket: Option<SharedBucket>,
    cluster_id: &str,
    confirm: Option<Arc<dyn ConfirmLeadership>>,
) -> Result<Option<Arc<Tier>>, StartError> {
    let Some(bucket) = bucket else { return Ok(None) };
    let owner = Owner { cluster_id: cluster_id.to_owned() };
    let tier = Tier::new(env.clone(), bucket, owner, TierOptions { confirm, ..TierOptions::default() });
    match first_of(tier.ready(), env.sleep_until(env.now().plus(BUCKET_PATIENCE))).await {
        First::Left(Ok(())) => {}
        First::Left(Err(error @ TierError::Retry { .. })) => {
            tracing::warn!(%error, "the bucket cannot be reached now; it will be asked again");
        }
        First::Left(Err(error)) => return Err(StartError::Bucket(error.to_string())),
        First::Right(()) => tracing::warn!("the bucket does not answer now; it will be asked again"),
    }
    Ok(Some(tier))
}
