use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use highwater_engine::{DirOptions, LogConfig, LogDir, disk::memory::MemoryDisk};
use highwater_records::{BrokerId, TimestampMs, TopicId, TopicIdPartition};

/// What recovery makes of one log.
#[derive(Debug, Default)]
pub(super) struct Recovered {
    /// The log end.
    pub(super) end: u64,
    /// What is damaged or missing although it was promised: one past its last offset, and what it is.
    pub(super) damaged: Vec<(u64, String)>,
    /// What recovery says in words.
    pub(super) notes: String,
}

/// Recovers every log in a directory, on a disk that nobody else uses. `tiered` are the topics whose older segments may
/// be in the bucket alone.
pub(super) fn recover(
    disk: &MemoryDisk,
    log_dir: &Path,
    tiered: &BTreeSet<TopicId>,
) -> Result<BTreeMap<TopicIdPartition, Recovered>, String> {
    let now = TimestampMs(0);
    let directory = open(disk, log_dir)?;
    let mut recovered = BTreeMap::new();
    for (name, topic_id) in directory.logs() {
        let at = TopicIdPartition { topic_id, partition: name.partition };
        let config = LogConfig { tiered: tiered.contains(&topic_id), ..LogConfig::default() };
        let one = match directory.open_log(&name, config, now) {
            Ok((log, report)) => Recovered {
                end: log.positions().log_end.get(),
                damaged: report
                    .quarantined
                    .iter()
                    .map(|range| (range.offsets.end.get(), format!("{range:?}")))
                    .collect(),
                notes: report.notes.join("; "),
            },
            Err(error) => Recovered { damaged: vec![(u64::MAX, error.to_string())], ..Recovered::default() },
        };
        recovered.insert(at, one);
    }
    Ok(recovered)
}

/// Writes what only the journal has into the logs, as an opening does before any log is opened.
pub(super) fn replay(disk: &MemoryDisk, log_dir: &Path) {
    // Without a directory there is nothing that could survive.
    let _ = open(disk, log_dir);
}

fn open(disk: &MemoryDisk, log_dir: &Path) -> Result<Arc<LogDir>, String> {
    let cluster_id = cluster_id(disk, log_dir).ok_or("no meta.properties")?;
    let options =
        DirOptions { cluster_id, node_id: BrokerId(1), new_directory_id: TopicId::from_bytes([1; 16]) };
    LogDir::open(Arc::new(disk.clone()), log_dir, options, TimestampMs(0))
        .map(|(directory, _)| directory)
        .map_err(|error| error.to_string())
}

/// The cluster's id as `meta.properties` says it.
pub(super) fn cluster_id(disk: &MemoryDisk, log_dir: &Path) -> Option<String> {
    let bytes = disk.contents(&log_dir.join("meta.properties")).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let id = text.lines().find_map(|line| line.strip_prefix("cluster.id="))?;
    Some(id.trim().to_owned())
}
