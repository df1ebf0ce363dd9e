//! `highwater demo`: the whole way of a record on this machine, through the real program and the real protocol.
//!
//! A broker runs as a child process with a directory as its bucket. Records are written to it over TCP; their segments
//! are sealed, copied to the bucket and dropped locally; everything is read back from the bucket and compared; the broker
//! is killed, started again, and everything is compared once more.

mod broker;
mod places;
mod progress;
mod reading;
mod report;
mod source;
mod writing;

use std::{
    io,
    path::PathBuf,
    time::{Duration, Instant},
};

use highwater_records::{Offset, batch::BuildError, compression::Codec};

use self::{
    broker::ChildBroker, places::Places, progress::Progress, report::Report, source::Source, writing::Written,
};
use crate::{
    cli::DemoArguments,
    client::{Client, ClientError},
};

const TOPIC: &str = "orders";
/// Each partition has a codec of its own, so that every one is shown to come back.
const CODECS: [Codec; 6] = [Codec::Zstd, Codec::Lz4, Codec::Snappy, Codec::Gzip, Codec::None, Codec::Zstd];
const CLIENT: &str = "highwater-demo";
/// How long sealing, copying and dropping may take after the last record.
const OFFLOAD_TIME_MAX: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Why the demo did not end well.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// What came back is not what was written.
    #[error("partition {partition}, offset {offset}: {what}")]
    Difference {
        /// The partition.
        partition: i32,
        /// Where.
        offset: Offset,
        /// How it differs.
        what: &'static str,
    },
    /// The broker did not start, or died.
    #[error("the broker {what}; its log is {log}, and ends:\n{tail}", log = log.display())]
    Broker {
        /// What happened to it.
        what: String,
        /// Its log.
        log: PathBuf,
        /// The end of its log.
        tail: String,
    },
    /// A request failed.
    #[error("{doing}: {source}")]
    Client {
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        source: ClientError,
    },
    /// Not everything was in the bucket, and nothing of it local, in time.
    #[error("after {} seconds the local copies were not all in the bucket and dropped", OFFLOAD_TIME_MAX.as_secs())]
    NotOffloaded,
    /// A file or directory cannot be used.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The input has no lines.
    #[error("{} has no lines", .0.display())]
    EmptyInput(PathBuf),
    /// A batch cannot be built.
    #[error("building a batch: {0}")]
    Build(#[from] BuildError),
    /// The program's own threads failed.
    #[error("internal: {0}")]
    Internal(io::Error),
}

impl DemoError {
    fn client(doing: &'static str) -> impl Fn(ClientError) -> DemoError {
        move |source| DemoError::Client { doing, source }
    }
}

/// Runs the demo to its end and prints what happened.
///
/// # Errors
/// [`DemoError`]; its directory is left in place then, and named.
pub fn run(arguments: &DemoArguments) -> Result<(), DemoError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(DemoError::Internal)?;
    let places = Places::create()?;
    let outcome = runtime.block_on(show(arguments, &places));
    match &outcome {
        Ok(()) => places.remove(),
        Err(_) => eprintln!("everything is left in {}", places.root().display()),
    }
    outcome
}

async fn show(arguments: &DemoArguments, places: &Places) -> Result<(), DemoError> {
    let source = Source::new(arguments.input.as_deref())?;
    let progress = Progress::new();
    let mut broker = ChildBroker::start(places).await?;
    progress.say(&format!("a broker runs on {}, its bucket is a directory", broker.address()));
    create_topic(broker.address()).await?;

    let bar = progress.stage("write", source.count());
    let started = Instant::now();
    let written = writing::write(broker.address(), source, &bar).await?;
    let write_time = started.elapsed();
    bar.finish();
    progress.say(&format!("{} records are written and acknowledged", report::grouped(written.records())));

    let local_most = wait_until_offloaded(broker.address(), places, &written, &progress).await?;
    progress.say("every segment is in the bucket, and every local copy is dropped");

    let bar = progress.stage("read back", Some(written.records()));
    let started = Instant::now();
    reading::compare(broker.address(), &written, &bar).await?;
    let read_time = started.elapsed();
    bar.finish();
    progress.say("every record came back from the bucket as it was written");

    broker.kill().await?;
    let started = Instant::now();
    let broker = ChildBroker::start(places).await?;
    progress.say(&format!(
        "the broker was killed (SIGKILL) and is back after {} ms",
        started.elapsed().as_millis()
    ));
    let bar = progress.stage("compare again", Some(written.records()));
    reading::compare(broker.address(), &written, &bar).await?;
    bar.finish();
    progress.say("every record is still there and still the same");

    let report = Report {
        records: written.records(),
        record_bytes: written.record_bytes(),
        batch_bytes: written.batch_bytes(),
        local_most,
        local_now: places.local_bytes()?,
        bucket: places.bucket_usage()?,
        write_time,
        read_time,
    };
    broker.stop().await?;
    print!("{report}");
    Ok(())
}

async fn create_topic(address: &str) -> Result<(), DemoError> {
    let mut client = Client::connect(address, CLIENT).await.map_err(DemoError::client("connecting"))?;
    let configs = [
        ("segment.bytes", "1048576"),
        // Seals the last segment of each partition, too.
        ("segment.ms", "2000"),
        ("local.retention.ms", "0"),
        ("retention.ms", "-1"),
        ("max.message.bytes", "67108864"),
    ];
    let created = client.create_topic(TOPIC, CODECS.len() as i32, &configs).await;
    created.map_err(DemoError::client("creating a topic"))?;
    Ok(())
}

/// Waits until no local log holds a record. Answers the most local bytes that were seen.
async fn wait_until_offloaded(
    address: &str,
    places: &Places,
    written: &Written,
    progress: &Progress,
) -> Result<u64, DemoError> {
    let failed = DemoError::client("looking up offsets");
    let mut client = Client::connect(address, CLIENT).await.map_err(&failed)?;
    let bar = progress.stage("offload", Some(written.records()));
    let mut local_most = places.local_bytes()?;
    let deadline = Instant::now() + OFFLOAD_TIME_MAX;
    loop {
        let mut gone = 0;
        for (partition, records) in written.partitions() {
            // -4 is the first offset that is still on local disk.
            let local_start = client.list_offset(TOPIC, partition, -4).await.map_err(&failed)?;
            gone += local_start.map_or(0, |found| found.offset.get()).min(records);
        }
        bar.set(gone);
        local_most = local_most.max(places.local_bytes()?);
        if gone == written.records() {
            bar.finish();
            return Ok(local_most);
        }
        if Instant::now() > deadline {
            return Err(DemoError::NotOffloaded);
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
