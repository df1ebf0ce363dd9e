//! A directory of named logs.

use std::{collections::BTreeMap, fmt, path::Path, sync::Arc};

use highwater_records::{BrokerId, Durability, PartitionIndex, TopicId, compression::Codec};

use super::{OpenError, SharedLog, UpkeepError, shared::Shared, watch::Watch, work::Work};
use crate::{
    DeleteLogError, DirOptions, HeadJob, LogConfig, LogDir, LogName, Watermark,
    disk::{Disk, Host, RealDisk, SystemHost},
    sync::Mutex,
};

/// Most bytes of one batch, and so of one record, unless [`Options::config`] says otherwise.
const BATCH_MAX: u32 = 64 << 20;
/// Bytes of a segment, unless [`Options::config`] says otherwise: the unit in which records are deleted.
const SEGMENT: u32 = 256 << 20;

/// A directory of named logs, held by this process alone.
///
/// ```
/// use highwater_engine::embed::Logs;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let place = tempfile::tempdir()?;
/// # let path = place.path();
/// let logs = Logs::open(path)?;
/// let greetings = logs.log("greetings")?;
/// greetings.append("hello")?;
/// greetings.append("world")?;
/// for record in greetings.snapshot()?.records() {
///     println!("{}", record?.text().unwrap_or("not text"));
/// }
/// logs.close()?;
/// # Ok(())
/// # }
/// ```
pub struct Logs {
    /// `None` once it was closed: the lock is free then.
    dir: Mutex<Option<Arc<LogDir>>>,
    options: Options,
    open: Mutex<BTreeMap<String, SharedLog>>,
    work: Arc<Work>,
}

/// How the logs of a directory are kept. The default is what a program that keeps its own data wants: durable when
/// written, nothing ever deleted, no compression.
#[derive(Clone, Debug)]
pub struct Options {
    /// For every log. [`LogConfig::watermark`] has to be [`Watermark::Own`].
    pub config: LogConfig,
    /// How records are compressed. The codecs are features of this crate.
    pub codec: Codec,
    /// Where the files are.
    pub disk: Arc<dyn Disk>,
    /// The clock, and randomness for identities.
    pub host: Arc<dyn Host>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            config: LogConfig {
                segment_bytes: SEGMENT,
                max_message_bytes: BATCH_MAX,
                retention_ms: None,
                retention_bytes: None,
                timestamp_before_max_ms: None,
                timestamp_after_max_ms: None,
                durability: Durability::Synced,
                watermark: Watermark::Own,
                ..LogConfig::default()
            },
            codec: Codec::None,
            disk: Arc::new(RealDisk),
            host: Arc::new(SystemHost),
        }
    }
}

/// What [`Logs::maintain`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maintained {
    /// Segments begun because the last one had become old.
    pub rolled: usize,
    /// Segments deleted.
    pub deleted: usize,
    /// Bytes in those.
    pub deleted_bytes: u64,
}

impl Logs {
    /// Opens a directory, creating it if there is none, with the default [`Options`].
    ///
    /// # Errors
    /// `Directory`: it is in use by another process or another part of this one, or not readable.
    pub fn open(path: impl AsRef<Path>) -> Result<Logs, OpenError> {
        Logs::open_with(path, Options::default())
    }

    /// Opens a directory, creating it if there is none. One that a broker wrote is opened as what it is.
    ///
    /// # Errors
    /// As [`Logs::open`].
    pub fn open_with(path: impl AsRef<Path>, options: Options) -> Result<Logs, OpenError> {
        let path = path.as_ref();
        let host = &*options.host;
        let identity = LogDir::identity(&*options.disk, path)?;
        let new = || DirOptions {
            cluster_id: TopicId::from_random(host.random(), host.random()).to_string(),
            node_id: BrokerId(1),
            new_directory_id: TopicId::from_random(host.random(), host.random()),
        };
        let (dir, report) =
            LogDir::open(options.disk.clone(), path, identity.unwrap_or_else(new), host.now())?;
        for text in &report.distrusted {
            tracing::warn!("{text}; recovery reads more");
        }
        Ok(Logs { dir: Mutex::new(Some(dir)), options, open: Mutex::default(), work: Arc::default() })
    }

    /// The log of this name, created if there is none. Asking again gives the same log.
    ///
    /// A name has up to 249 characters, each a letter, a digit, `.`, `_` or `-`. If the last stop was not a clean one
    /// the log is recovered first; what was lost or could not be read is logged as a warning.
    ///
    /// # Errors
    /// `Name`, `Disk`, `Offline`.
    pub fn log(&self, name: &str) -> Result<SharedLog, OpenError> {
        let of: LogName = format!("{name}-0").parse()?;
        let dir = self.dir().ok_or(OpenError::Closed)?;
        let mut open = self.open.lock();
        if let Some(log) = open.get(name) {
            return Ok(log.clone());
        }
        let (config, host) = (self.options.config.clone(), &self.options.host);
        let log = if dir.topic_id_of(&of).is_some() {
            let (log, report) =
                dir.open_log(&of, config, host.now()).map_err(|error| OpenError::of_log(name, error))?;
            for note in &report.notes {
                tracing::warn!(log = name, "{note}");
            }
            log
        } else {
            let id = TopicId::from_random(host.random(), host.random());
            dir.create_log(of, id, config, host.now()).map_err(|error| OpenError::of_new_log(name, error))?
        };
        let log = SharedLog {
            shared: Arc::new(Shared {
                name: name.to_owned(),
                dir: Arc::downgrade(&dir),
                host: host.clone(),
                codec: self.options.codec,
                log: Mutex::new(Some(log)),
                last: Mutex::default(),
                watch: Arc::new(Watch::default()),
                refused: Mutex::default(),
                work: self.work.clone(),
                taken: Mutex::default(),
            }),
        };
        open.insert(name.to_owned(), log.clone());
        Ok(log)
    }

    /// The names of the logs there are, sorted.
    pub fn names(&self) -> Vec<String> {
        let first =
            |(name, _): (LogName, TopicId)| (name.partition == PartitionIndex(0)).then_some(name.topic);
        self.dir().map(|dir| dir.logs()).unwrap_or_default().into_iter().filter_map(first).collect()
    }

    /// Whether there is a log of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.dir().is_some_and(|dir| dir.topic_id_of(&LogName::new(name, PartitionIndex(0))).is_some())
    }

    /// Closes one log, waiting for syncs, and gives back the memory and the descriptors it held. Everybody's
    /// [`SharedLog`] of it answers `Closed` from now on; [`Logs::log`] opens it again.
    ///
    /// # Errors
    /// `Disk`, `Offline`: then the log is recovered when it is opened again.
    pub fn close_log(&self, name: &str) -> Result<(), UpkeepError> {
        match self.open.lock().remove(name) {
            Some(log) => log.shared.close(self.options.host.now()),
            None => Ok(()),
        }
    }

    /// Deletes a log with everything in it, for good: that is durable when this returns.
    ///
    /// # Errors
    /// `NotFound`, `Disk`, `Offline`.
    pub fn delete_log(&self, name: &str) -> Result<(), UpkeepError> {
        self.close_log(name)?;
        let of = LogName::new(name, PartitionIndex(0));
        self.dir().ok_or(UpkeepError::Closed)?.delete_closed_log(&of).map_err(|error| match error {
            DeleteLogError::NotFound(_) => UpkeepError::NotFound(name.to_owned()),
            DeleteLogError::Offline(offline) => UpkeepError::Offline(offline),
            DeleteLogError::Disk(error) => UpkeepError::Disk(error),
            DeleteLogError::Open(_) => UpkeepError::Disk(std::io::Error::other(error)),
        })
    }

    /// Does what is due: writes what a log could not take of [`Batches`](super::Batches), begins new segments where the last one is old, deletes what retention or
    /// [`SharedLog::delete_before`] let go, and writes down how far each log is durable, which is where recovery starts
    /// after a crash. Call it from time to time, once a minute for instance; nothing else does it. Waits for syncs.
    ///
    /// # Errors
    /// `Disk`, `Offline`, `Broken`; what was done until then is.
    pub fn maintain(&self) -> Result<Maintained, UpkeepError> {
        let dir = self.dir().ok_or(UpkeepError::Closed)?;
        let now = self.options.host.now();
        let logs: Vec<SharedLog> = self.open.lock().values().cloned().collect();
        for shared in &logs {
            // What a full disk did not take of an append to several logs keeps the journal from being emptied.
            if let Some(log) = shared.shared.log.lock().as_mut().filter(|log| !log.is_busy()) {
                log.finish_owed()?;
            }
        }
        // Only what lies in its own files may be deleted.
        dir.settle()?;
        let mut done = Maintained::default();
        for shared in logs {
            let job = {
                let mut slot = shared.shared.log.lock();
                let Some(log) = slot.as_mut() else { continue };
                log.release_sealed();
                if log.roll_due().is_some_and(|due| due <= now) && !log.is_busy() && log.roll(now)? {
                    done.rolled += 1;
                }
                let below_start = log.positions().log_start;
                let due = log.config().retention_ms.is_some() || log.config().retention_bytes.is_some();
                let below =
                    log.sealed_segments().first().is_some_and(|first| first.next_offset <= below_start);
                if due || below { log.begin_retain(now)? } else { None }
            };
            let Some(head) = job.map(HeadJob::run) else { continue };
            let mut slot = shared.shared.log.lock();
            let Some(log) = slot.as_mut() else { continue };
            let deleted = log.finish_head(head)?;
            done.deleted += deleted.len();
            done.deleted_bytes += deleted.iter().map(|segment| segment.size).sum::<u64>();
        }
        dir.write_checkpoints()?;
        Ok(done)
    }

    /// Commits for every [`Ticket`](super::Ticket) that a task awaits. Blocks until the logs are closed: give it a
    /// thread of its own. Programs without tasks do not need it.
    pub fn run_commits(&self) {
        self.work.run();
    }

    /// Closes every log, then the directory, in order, so that the next opening need not recover. Waits for syncs.
    /// Everybody's [`SharedLog`] answers `Closed` from now on, and whoever waits is woken. Dropping the logs instead is
    /// as good as a crash: nothing durable is lost, and the next opening recovers.
    ///
    /// # Errors
    /// `Disk`, `Offline`: the stop was not a clean one.
    pub fn close(&self) -> Result<(), UpkeepError> {
        let now = self.options.host.now();
        let logs = std::mem::take(&mut *self.open.lock());
        // Also after an error: whoever waits must not wait for ever.
        let closed: Vec<Result<(), UpkeepError>> =
            logs.into_values().map(|log| log.shared.close(now)).collect();
        self.work.close();
        closed.into_iter().collect::<Result<(), UpkeepError>>()?;
        if let Some(dir) = self.dir.lock().take() {
            dir.close(now)?;
        }
        Ok(())
    }

    fn dir(&self) -> Option<Arc<LogDir>> {
        self.dir.lock().clone()
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        // Whoever waits would wait for ever.
        self.work.close();
    }
}

impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logs")
            .field("path", &self.dir().map(|dir| dir.path().to_owned()))
            .finish_non_exhaustive()
    }
}
