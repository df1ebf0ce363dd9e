//! `highwater serve`: a broker until it is told to stop.

use std::io::{self, Write};

use highwater_metadata::config::BrokerConfig;

use crate::{
    broker::{Broker, BrokerOptions, StartError, StopError},
    cli::ServeArguments,
    config::{self, LoadError, Loaded},
    descriptors,
    first_of::{First, first_of},
    holder,
    signals::StopSignals,
};

/// Why `serve` ended other than by being told to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration is refused; nothing was started.
    #[error(transparent)]
    Config(#[from] LoadError),
    /// The operating system refused a thread or a signal handler.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
    /// The broker did not start.
    #[error("{source}{}", holder.as_deref().map(|who| format!(": {who} holds it")).unwrap_or_default())]
    Start {
        /// Why.
        source: StartError,
        /// Who holds its directory, if somebody does.
        holder: Option<String>,
    },
    /// The broker stopped, but not cleanly.
    #[error(transparent)]
    Stop(#[from] StopError),
}

impl ServeError {
    /// What the process exits with: 2 if the configuration is to be changed, 1 otherwise.
    pub fn exit_code(&self) -> u8 {
        match self {
            ServeError::Config(_) | ServeError::Start { source: StartError::Config(_), .. } => 2,
            _ => 1,
        }
    }
}

/// Serves until SIGTERM or SIGINT. Prints one line when ready; everything else is logged.
///
/// # Errors
/// [`ServeError`], with what to print and the code to exit with.
pub fn run(arguments: &ServeArguments) -> Result<(), ServeError> {
    let Loaded { config, unused } = config::load(arguments)?;
    if !unused.is_empty() {
        tracing::info!("keys of Kafka's that are not used here: {}", unused.join(", "));
    }
    if let Some(warning) = config::open_to_others(&config) {
        tracing::warn!("{warning}");
    }
    descriptors::raise_limit();
    // For signals alone: the broker has threads of its own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(BrokerOptions { config, metrics: arguments.metrics }))
}

async fn serve(options: BrokerOptions) -> Result<(), ServeError> {
    let mut signals = StopSignals::catch()?;
    let places = places(&options.config);
    let directories = [options.config.metadata_log_dir.clone(), options.config.log_dir.clone()];
    let mut started = std::pin::pin!(Broker::start(options));
    let broker = match first_of(signals.next(), started.as_mut()).await {
        First::Left(signal) => {
            // Recovery may be long; what it has done so far is done again at the next start.
            tracing::info!("{signal} before the broker was ready");
            return Ok(());
        }
        First::Right(Ok(broker)) => broker,
        First::Right(Err(source)) => {
            let held = matches!(source, StartError::Node(_));
            let directories = directories.each_ref().map(String::as_str);
            let holder = if held { holder::of_any(&directories) } else { None };
            return Err(ServeError::Start { source, holder });
        }
    };
    tracing::info!("{places}");
    if let Some(address) = broker.metrics_address() {
        tracing::info!("metrics at http://{address}/metrics");
    }
    announce(&ready(&broker));
    let signal = signals.next().await;
    tracing::info!("{signal}: stopping");
    match first_of(broker.stop(), signals.next()).await {
        First::Left(stopped) => stopped?,
        First::Right(signal) => {
            tracing::warn!("{signal} again: leaving at once; the next start recovers");
            std::process::exit(1);
        }
    }
    tracing::info!("stopped cleanly");
    Ok(())
}

/// Says on standard output, which scripts wait for. Nobody may be listening, and that is no reason to stop.
fn announce(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn ready(broker: &Broker) -> String {
    let node = broker.node();
    let cluster = node.image().cluster_id().unwrap_or_default().to_owned();
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "highwater {version} ready on {}, cluster {cluster}, node {}",
        broker.bootstrap(),
        node.broker_id()
    )
}

fn places(config: &BrokerConfig) -> String {
    let bucket = config::bucket_url(config).unwrap_or_else(|| "none".to_owned());
    format!("logs in {}, metadata in {}, bucket {bucket}", config.log_dir, config.metadata_log_dir)
}
