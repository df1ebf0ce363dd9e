//! A whole broker inside this process.

use std::{net::SocketAddr, path::Path, path::PathBuf, sync::Arc, time::Duration};

use highwater_engine::disk::{Disk, RealDisk};
use highwater_env::{Env, TokioEnv};
use highwater_metadata::config::{BrokerConfig, ConfigError, Settings};
use highwater_node::{Endpoint, Node, NodeParts};
use highwater_tiering::bucket::{self, BucketError, OpenOptions, SharedBucket};
use tokio::task::JoinHandle;

use crate::{
    api::Api,
    config, descriptors,
    metrics::{MetricsEndpoint, Page, Snapshot, Source},
    server::{Listener, Server, ServerOptions, Stopped},
};

/// How long a stop lets clients wait for acknowledgements. Beyond it they are cut off; what was appended is kept either
/// way.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// A running broker: sockets, a node behind them, and threads of its own.
///
/// Ends with [`Broker::stop`]. A broker that is dropped has crashed, as far as its directory can tell: nothing
/// acknowledged is lost, and the next start recovers.
///
/// ```
/// use highwater_broker::{Broker, BrokerOptions, client::Client};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let directory = tempfile::tempdir()?;
/// let mut options = BrokerOptions::in_directory(directory.path())?;
/// options.set("num.partitions", "3")?;
/// let broker = Broker::start(options).await?;
///
/// // Any Kafka client will do; this is the small one that comes with the broker.
/// let mut client = Client::connect(&broker.address().to_string(), "example").await?;
/// client.create_topic("greetings", 1, &[]).await?;
///
/// broker.stop().await?;
/// # Ok(())
/// # })
/// # }
/// ```
pub struct Broker {
    parts: Parts,
    threads: Threads,
}

struct Parts {
    bootstrap: String,
    node: Arc<Node>,
    server: Arc<Server>,
    metrics: Option<MetricsEndpoint>,
}

/// The threads of a broker; what runs on them ends when this is dropped.
struct Threads(Arc<TokioEnv>);

impl Drop for Threads {
    fn drop(&mut self) {
        self.0.shut_down();
    }
}

/// What to start.
#[derive(Clone, Debug)]
pub struct BrokerOptions {
    /// The configuration.
    pub config: BrokerConfig,
    /// Where to serve metrics; nowhere if `None`.
    pub metrics: Option<SocketAddr>,
}

/// Why a broker did not start. Nothing is left running, and directories are released.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Settings are text, and this path is not.
    #[error("{} is not UTF-8", .0.display())]
    Path(PathBuf),
    /// The operating system refused threads.
    #[error("cannot start threads: {0}")]
    Threads(std::io::Error),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The bucket cannot be used.
    #[error("cannot use the bucket {url}: {source}")]
    Bucket {
        /// `remote.log.storage.url`, or the directory beside the logs.
        url: String,
        /// Why.
        source: BucketError,
    },
    /// The node did not start: its directory is in use, damaged, or of another cluster.
    #[error(transparent)]
    Node(#[from] highwater_node::StartError),
}

pub use highwater_node::StopError;

impl BrokerOptions {
    /// One broker on a free loopback port with everything below `directory`: `data`, `metadata` and `bucket`.
    ///
    /// # Errors
    /// The path is not UTF-8.
    pub fn in_directory(directory: &Path) -> Result<BrokerOptions, StartError> {
        let data = directory.join("data");
        let data = data.to_str().ok_or_else(|| StartError::Path(directory.to_owned()))?;
        let mut settings = Settings::new();
        settings.give("listeners", "PLAINTEXT://127.0.0.1:0")?;
        settings.give("log.dirs", data)?;
        Ok(BrokerConfig::new(settings)?.into())
    }

    /// Gives a key of `server.properties` a value.
    ///
    /// # Errors
    /// The key is unknown, or the value is not one of its.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), ConfigError> {
        let mut settings = self.config.settings.clone();
        settings.give(key, value)?;
        self.config = BrokerConfig::new(settings)?;
        Ok(())
    }
}

impl From<BrokerConfig> for BrokerOptions {
    fn from(config: BrokerConfig) -> BrokerOptions {
        BrokerOptions { config, metrics: None }
    }
}

impl Broker {
    /// Opens or creates the directories, recovers what an unclean stop left, and listens. When it returns, clients
    /// are served.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(options: impl Into<BrokerOptions>) -> Result<Broker, StartError> {
        let threads = Threads(Arc::new(TokioEnv::start().map_err(StartError::Threads)?));
        let env = threads.0.clone();
        match spawn_assemble(env, options.into()).await {
            Ok(started) => Ok(Broker { parts: started?, threads }),
            Err(failed) => std::panic::resume_unwind(failed.into_panic()),
        }
    }

    /// The first listener, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.parts.server.addresses()[0]
    }

    /// What clients are told to connect to, as `host:port`.
    pub fn bootstrap(&self) -> &str {
        &self.parts.bootstrap
    }

    /// Where metrics are served.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.parts.metrics.as_ref().map(MetricsEndpoint::address)
    }

    /// The node behind the sockets.
    pub fn node(&self) -> &Arc<Node> {
        &self.parts.node
    }

    /// Stops cleanly: refuses new clients, finishes the requests that have been started for up to five seconds,
    /// makes everything durable and says so on disk.
    ///
    /// # Errors
    /// Something could not be made durable. The next start recovers.
    pub async fn stop(self) -> Result<(), StopError> {
        match spawn_stop(&self.threads.0, self.parts).await {
            Ok(stopped) => stopped,
            Err(failed) => std::panic::resume_unwind(failed.into_panic()),
        }
    }
}

// Both run on the broker's own threads, so that its sockets and tasks live there and not on the caller's. And both are
// functions that are not async, so that what they spawn is compiled once, here, and not by every caller again.

fn spawn_assemble(env: Arc<TokioEnv>, options: BrokerOptions) -> JoinHandle<Result<Parts, StartError>> {
    env.connections().spawn(assemble(env.clone(), options))
}

fn spawn_stop(env: &TokioEnv, parts: Parts) -> JoinHandle<Result<(), StopError>> {
    let Parts { node, server, metrics, .. } = parts;
    env.connections().spawn(async move {
        if let Stopped::Cut(connections) = server.stop(STOP_GRACE).await {
            tracing::info!(connections, "cut off clients that still waited");
        }
        let stopped = node.stop().await;
        drop(metrics);
        stopped
    })
}

async fn assemble(env: Arc<TokioEnv>, options: BrokerOptions) -> Result<Parts, StartError> {
    let BrokerOptions { config, metrics } = options;
    let server_options = server_options(&config);
    // A port that is chosen for us must be known before the node tells clients. One that is given waits until the
    // node serves: until then clients are refused, and a second process learns who holds its directory first.
    let chosen = config.listeners.iter().any(|listener| listener.port == 0);
    let early = if chosen { Some(bind_all(&config).await?) } else { None };
    let bound = match &early {
        Some(listeners) => listeners[0].address(),
        None => SocketAddr::new(bound_ip(&config), config.listeners[0].port),
    };
    let (host, port) = config::advertised(&config, bound);
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let shared_env: Arc<dyn Env> = env.clone();
    let bucket = open_bucket(&shared_env, &disk, &config).await?;
    let config = Arc::new(config);
    let bootstrap = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let endpoint = Endpoint { host, port };
    let parts = NodeParts { env: shared_env, disk, bucket, config: config.clone(), endpoint };
    let node = Node::start(parts).await?;
    match listen(&node, &config, early, server_options, metrics).await {
        Ok((server, metrics)) => Ok(Parts { bootstrap, node, server, metrics }),
        Err(error) => {
            if let Err(unclean) = node.stop().await {
                tracing::warn!(%unclean, "while giving up");
            }
            Err(error)
        }
    }
}

async fn listen(
    node: &Arc<Node>,
    config: &BrokerConfig,
    early: Option<Vec<Listener>>,
    options: ServerOptions,
    metrics: Option<SocketAddr>,
) -> Result<(Arc<Server>, Option<MetricsEndpoint>), StartError> {
    let listeners = match early {
        Some(listeners) => listeners,
        None => bind_all(config).await?,
    };
    let api = Arc::new(Api::new(node.clone()));
    let server = Arc::new(Server::start(listeners, api, options));
    let endpoint = match metrics {
        Some(address) => {
            let scrape = Arc::new(Scrape { node: node.clone(), server: server.clone() });
            let started = MetricsEndpoint::start(address, scrape).await;
            let refused = |source| StartError::Listen { address: address.to_string(), source };
            Some(started.map_err(refused)?)
        }
        None => None,
    };
    Ok((server, endpoint))
}

async fn bind_all(config: &BrokerConfig) -> Result<Vec<Listener>, StartError> {
    let mut listeners = Vec::with_capacity(config.listeners.len());
    for listener in &config.listeners {
        let port = listener.port;
        let bound = match listener.host.as_str() {
            // Every interface: one socket for both families where there are both.
            "" => match Listener::bind(&format!("[::]:{port}")).await {
                Ok(bound) => Ok(bound),
                Err(_) => Listener::bind(&format!("0.0.0.0:{port}")).await,
            },
            host if host.contains(':') => Listener::bind(&format!("[{host}]:{port}")).await,
            host => Listener::bind(&format!("{host}:{port}")).await,
        };
        let refused = |source| StartError::Listen { address: listener.to_string(), source };
        listeners.push(bound.map_err(refused)?);
    }
    Ok(listeners)
}

/// The address that the first listener will be bound to, as far as it says so itself.
fn bound_ip(config: &BrokerConfig) -> std::net::IpAddr {
    config.listeners[0].host.parse().unwrap_or(std::net::Ipv4Addr::UNSPECIFIED.into())
}

async fn open_bucket(
    env: &Arc<dyn Env>,
    disk: &Arc<dyn Disk>,
    config: &BrokerConfig,
) -> Result<Option<SharedBucket>, StartError> {
    let Some(url) = config::bucket_url(config) else { return Ok(None) };
    let options =
        OpenOptions { s3_endpoint: config.s3_endpoint.clone(), s3_region: config.s3_region.clone() };
    match bucket::open(env.clone(), disk.clone(), &url, &options).await {
        Ok(bucket) => Ok(Some(bucket)),
        Err(source) => Err(StartError::Bucket { url, source }),
    }
}

fn server_options(config: &BrokerConfig) -> ServerOptions {
    let size = |bytes: u32| usize::try_from(bytes).unwrap_or(usize::MAX);
    let defaults = ServerOptions::default();
    ServerOptions {
        request_max_bytes: size(config.request_bytes_max),
        connections_max: descriptors::connections_max(size(config.connections_max)),
        // About as long as tokio can count; nobody waits for its end.
        idle_max: Duration::from_millis(config.connection_idle_max_ms.unwrap_or(u64::MAX >> 24)),
        ..defaults
    }
}

/// What the metrics endpoint reads.
struct Scrape {
    node: Arc<Node>,
    server: Arc<Server>,
}

impl Source for Scrape {
    type Page = Page;

    async fn page(&self) -> Page {
        Snapshot::new(self.node.metrics().await, self.server.counters()).page()
    }

    fn is_healthy(&self) -> bool {
        !self.node.is_stopping()
    }
}
