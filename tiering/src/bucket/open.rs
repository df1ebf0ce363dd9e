//! From a URL to a bucket.

use std::{path::PathBuf, sync::Arc};

use highwater_engine::disk::Disk;
use highwater_env::Env;

use super::{BucketError, BucketErrorKind, SharedBucket, file::FileBucket};

/// What a URL cannot say.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// `remote.log.storage.s3.endpoint`: another server than AWS, `http://` or `https://`.
    pub s3_endpoint: Option<String>,
    /// `remote.log.storage.s3.region`; otherwise from the AWS environment variables, else `us-east-1`.
    pub s3_region: Option<String>,
}

/// Opens the bucket at `file:///path` or `s3://bucket/prefix`. Nothing is asked of a remote store yet.
///
/// # Errors
/// [`BucketErrorKind::Refused`] for a URL that is neither, `s3://` without the feature `s3`, or missing credentials;
/// [`BucketErrorKind::Unavailable`] when the directory cannot be opened.
pub async fn open(
    env: Arc<dyn Env>,
    disk: Arc<dyn Disk>,
    url: &str,
    options: &OpenOptions,
) -> Result<SharedBucket, BucketError> {
    let refused = |detail: &str| BucketError::new(BucketErrorKind::Refused, url, detail);
    match url.split_once("://") {
        Some(("file", path)) if path.starts_with('/') && path.len() > 1 => {
            Ok(Arc::new(FileBucket::open(env, disk, PathBuf::from(path)).await?))
        }
        Some(("file", _)) => Err(refused("a file URL is file:/// and an absolute path")),
        Some(("s3", place)) => open_s3(place, options),
        _ => Err(refused("a bucket is file:///path or s3://bucket/prefix")),
    }
}

#[cfg(feature = "s3")]
fn open_s3(place: &str, options: &OpenOptions) -> Result<SharedBucket, BucketError> {
    Ok(Arc::new(super::s3::S3Bucket::open(place, options)?))
}

#[cfg(not(feature = "s3"))]
fn open_s3(place: &str, _options: &OpenOptions) -> Result<SharedBucket, BucketError> {
    let url = format!("s3://{place}");
    Err(BucketError::new(BucketErrorKind::Refused, &url, "this program was built without the feature s3"))
}
