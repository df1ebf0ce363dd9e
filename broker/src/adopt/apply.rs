//! Doing it.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use highwater_engine::{
    disk::{Disk, RealDisk},
    write_gaps,
};
use highwater_env::TokioEnv;
use highwater_node::{FoundError, found};

use super::plan::Plan;

/// The undo record, in the data directory: Kafka takes no notice of plain files there.
pub(super) const RECORD: &str = "highwater-adopted";

/// Why a directory was not adopted. Kafka's files are as they were.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Somebody has it.
    #[error("{0} is in use")]
    InUse(PathBuf),
    /// The disk's error.
    #[error("cannot write {path}: {error}")]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the disk said.
        error: io::Error,
    },
    /// Our metadata log could not be begun.
    #[error(transparent)]
    Found(#[from] FoundError),
}

/// Writes the undo record, where compacted logs have gaps, then our metadata log. The directory is ours once the latter's first entry is durable, which
/// it is when this returns; until then it is Kafka's.
///
/// # Errors
/// Any. Doing it again goes on.
pub(super) fn apply(plan: &Plan) -> Result<(), ApplyError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let lock = disk.lock(&plan.directory.join(".lock"));
    let _lock = lock.map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => ApplyError::InUse(plan.directory.clone()),
        _ => ApplyError::Disk { path: plan.directory.join(".lock"), error },
    })?;
    let file = plan.directory.join(RECORD);
    write_durably(&plan.directory, &file, &record(plan))
        .map_err(|error| ApplyError::Disk { path: file.clone(), error })?;
    for (log, gaps) in &plan.gaps {
        write_gaps(&*disk, log, gaps).map_err(|error| ApplyError::Disk { path: log.clone(), error })?;
    }
    let system = |error| ApplyError::Disk { path: plan.metadata_log_dir.clone(), error };
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(system)?;
    let env = Arc::new(TokioEnv::start().map_err(system)?);
    let (place, node) = (plan.metadata_log_dir.clone(), plan.node_id);
    Ok(runtime.block_on(found(env, disk, &place, node, plan.records.clone()))?)
}

/// Text: what undoing has to know.
fn record(plan: &Plan) -> String {
    let mut text = String::from("version 0\n");
    // A string takes whatever is written to it.
    let _ = writeln!(text, "cluster {}", plan.cluster_id);
    let _ = writeln!(text, "metadata {}", plan.metadata_log_dir.display());
    for (name, epoch) in &plan.logs {
        let _ = writeln!(text, "log {name} {epoch}");
    }
    text.push_str("end\n");
    text
}

pub(super) fn write_durably(directory: &Path, path: &Path, text: &str) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(directory)?.sync_all()
}
