//! Beginning a cluster with metadata from elsewhere.

use std::{path::Path, sync::Arc};

use highwater_engine::disk::Disk;
use highwater_env::{BoxFuture, Env, EnvExt, Lane};
use highwater_metadata::{MetadataLog, MetadataRecord};
use highwater_records::BrokerId;

use crate::cluster::LocalMetadataLog;

/// Why a cluster was not begun.
#[derive(Debug, thiserror::Error)]
pub enum FoundError {
    /// There is one already.
    #[error("the metadata log in {0} is not empty")]
    NotEmpty(String),
    /// The metadata log cannot be opened or written.
    #[error("{0}")]
    Metadata(String),
}

/// Writes `records` as the first entry of a new metadata log in `path`, all of them or none; durable when it returns. A
/// node that starts with this directory finds the cluster that they describe.
///
/// # Errors
/// [`FoundError`].
pub fn found(
    env: Arc<dyn Env>,
    disk: Arc<dyn Disk>,
    path: &Path,
    broker: BrokerId,
    records: Vec<MetadataRecord>,
) -> BoxFuture<'_, Result<(), FoundError>> {
    Box::pin(async move {
        let failed = |error: String| FoundError::Metadata(error);
        let (opener, place) = (env.clone(), path.to_owned());
        let log = env
            .run_blocking(Lane::Control, move || LocalMetadataLog::open(opener, disk, &place, broker))
            .await
            .map_err(|error| failed(error.to_string()))?
            .map_err(|error| failed(error.to_string()))?;
        if log.committed().is_some() {
            log.abandon();
            return Err(FoundError::NotEmpty(path.display().to_string()));
        }
        log.propose(None, records).await.map_err(|error| failed(error.to_string()))?;
        log.close().await.map_err(failed)
    })
}
