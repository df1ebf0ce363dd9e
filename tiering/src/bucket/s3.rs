//! `s3://`: any server that speaks S3, through object_store.
//!
//! Its own retries are off for conditional puts: a retry of one that had arrived would be refused by our own write.
//! They are on, within limits, for everything that may be repeated. Requests are signed with the digest of their
//! payload (SHA-256), which the server checks: a put that was damaged on the way is refused.

use std::{
    fmt,
    ops::Range,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{
    StreamExt, TryStreamExt,
    stream::{self, FuturesUnordered},
};
use highwater_env::BoxFuture;
use object_store::{
    BackoffConfig, ClientOptions, Error, MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutOptions,
    PutPayload, RetryConfig, UpdateVersion,
    aws::{AmazonS3, AmazonS3Builder},
    path::Path,
};

use super::{Bucket, BucketError, BucketErrorKind, OpenOptions, Pieces, Tag, key};

/// An object up to this size is one put; above it, parts of this size (larger where 10,000 would not do).
const PART_BYTES: usize = 16 << 20;
/// S3 allows 10,000.
const PARTS_MAX: u64 = 9_000;
/// Parts on their way at a time, besides the one that is being filled.
const PARTS_IN_FLIGHT: usize = 3;

/// Requests on their way for one read.
const RANGES_IN_FLIGHT: usize = 4;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A head is small: an answer that takes longer is as good as none.
const CONDITIONAL_TIMEOUT: Duration = Duration::from_secs(15);
/// Chunks and parts are up to 16 MiB; this is a slow line.
const TIMEOUT: Duration = Duration::from_secs(120);
const RETRIES: usize = 3;
const RETRY_TIME: Duration = Duration::from_secs(60);

/// A bucket on a server that speaks S3.
pub struct S3Bucket {
    /// For what may be repeated.
    plain: AmazonS3,
    /// For what may not.
    conditional: AmazonS3,
    /// Below the bucket; empty or without slashes at its ends.
    prefix: String,
    described: String,
    /// This server wants the ETag of an If-Match without its quotes (Ceph before Quincy).
    unquoted: AtomicBool,
}

impl fmt::Debug for S3Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3Bucket({})", self.described)
    }
}

impl S3Bucket {
    /// The bucket at `place`, which is `bucket` or `bucket/prefix`. Credentials, and what `options` leave open, come
    /// from the standard AWS environment variables. Nothing is asked of the server yet.
    ///
    /// Installs ring as the process's TLS provider unless one is installed.
    ///
    /// # Errors
    /// [`BucketErrorKind::Refused`] for settings that contradict themselves.
    pub fn open(place: &str, options: &OpenOptions) -> Result<S3Bucket, BucketError> {
        let refused = |detail: &dyn fmt::Display| BucketError::new(BucketErrorKind::Refused, place, detail);
        // Fails only where another one is installed, which will do as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let prefix = prefix.trim_matches('/');
        if bucket.is_empty() || (!prefix.is_empty() && key::check(prefix).is_err()) {
            return Err(refused(&"an S3 URL is s3://bucket or s3://bucket/prefix"));
        }
        let client = |timeout: Duration, retries: usize| {
            let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
            let http = options.s3_endpoint.as_deref().is_some_and(|url| url.starts_with("http://"));
            if let Some(endpoint) = &options.s3_endpoint {
                builder = builder.with_endpoint(endpoint);
            }
            if let Some(region) = &options.s3_region {
                builder = builder.with_region(region);
            }
            let mut transport =
                ClientOptions::new().with_timeout(timeout).with_connect_timeout(CONNECT_TIMEOUT);
            // Without an endpoint of ours the environment decides (AWS_ALLOW_HTTP).
            if options.s3_endpoint.is_some() {
                transport = transport.with_allow_http(http);
            }
            builder
                .with_client_options(transport)
                .with_retry(RetryConfig {
                    backoff: BackoffConfig::default(),
                    max_retries: retries,
                    retry_timeout: RETRY_TIME,
                })
                .build()
        };
        Ok(S3Bucket {
            plain: client(TIMEOUT, RETRIES).map_err(|error| refused(&error))?,
            conditional: client(CONDITIONAL_TIMEOUT, 0).map_err(|error| refused(&error))?,
            prefix: prefix.to_owned(),
            described: format!("s3://{bucket}{}{prefix}", if prefix.is_empty() { "" } else { "/" }),
            unquoted: AtomicBool::new(false),
        })
    }

    fn path(&self, key: &str) -> Result<Path, BucketError> {
        key::check(key)?;
        let whole = if self.prefix.is_empty() { key.to_owned() } else { format!("{}/{key}", self.prefix) };
        Path::parse(whole).map_err(|error| BucketError::new(BucketErrorKind::Refused, key, error))
    }

    async fn put_if(&self, key: &str, mode: PutMode, body: Bytes) -> Result<Tag, BucketError> {
        let options = PutOptions { mode, ..PutOptions::default() };
        let put = self.conditional.put_opts(&self.path(key)?, body.into(), options).await;
        let done = put.map_err(|error| conditional_failed(key, &error))?;
        tag(key, done.e_tag)
    }

    async fn replace_tagged(&self, key: &str, etag: &str, body: Bytes) -> Result<Tag, BucketError> {
        let version = UpdateVersion { e_tag: Some(etag.to_owned()), version: None };
        self.put_if(key, PutMode::Update(version), body).await
    }

    /// The object in parts, from the first `part` on.
    async fn put_parts(
        &self,
        key: &str,
        first: PutPayload,
        pieces: &mut dyn Pieces,
        part_bytes: usize,
    ) -> Result<(), BucketError> {
        let unavailable = |error: Error| failed(key, &error, BucketErrorKind::Unavailable);
        let mut upload = self.plain.put_multipart(&self.path(key)?).await.map_err(unavailable)?;
        let sent = send_parts(key, &mut *upload, first, pieces, part_bytes).await;
        let done = match sent {
            Ok(()) => upload.complete().await.map_err(|error| failed(key, &error, BucketErrorKind::Unknown)),
            Err(error) => Err(error),
        };
        if done.is_err() {
            // Parts that stay because this fails too are removed by the store's rule for unfinished uploads.
            let _ = upload.abort().await;
        }
        done.map(drop)
    }
}

/// Sends parts, a few at a time; all have arrived when this returns `Ok`.
async fn send_parts(
    key: &str,
    upload: &mut dyn MultipartUpload,
    first: PutPayload,
    pieces: &mut dyn Pieces,
    part_bytes: usize,
) -> Result<(), BucketError> {
    let unavailable = |error: Error| failed(key, &error, BucketErrorKind::Unavailable);
    let mut flying = FuturesUnordered::new();
    let mut next = Some(first);
    while let Some(part) = next {
        flying.push(upload.put_part(part));
        while flying.len() > PARTS_IN_FLIGHT {
            flying.next().await.transpose().map_err(unavailable)?;
        }
        next = Some(fill(key, pieces, part_bytes).await?).filter(|part| part.content_length() > 0);
    }
    while flying.next().await.transpose().map_err(unavailable)?.is_some() {}
    Ok(())
}

/// Pieces up to `size` bytes or a piece more; fewer only at the end.
async fn fill(key: &str, pieces: &mut dyn Pieces, size: usize) -> Result<PutPayload, BucketError> {
    let (mut taken, mut bytes) = (Vec::new(), 0);
    while bytes < size {
        let piece = pieces.next().await;
        match piece.map_err(|error| BucketError::new(BucketErrorKind::Pieces, key, error))? {
            None => break,
            Some(piece) => {
                bytes += piece.len();
                taken.push(piece);
            }
        }
    }
    Ok(taken.into_iter().filter(|piece| !piece.is_empty()).collect())
}

/// Ranges that touch become one, up to the size of a part, so that a run of chunks is one request.
fn neighbours(ranges: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut merged: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(last)
                if last.end == range.start && range.end.saturating_sub(last.start) <= PART_BYTES as u64 =>
            {
                last.end = range.end;
            }
            _ => merged.push(range.clone()),
        }
    }
    merged
}

fn tag(key: &str, etag: Option<String>) -> Result<Tag, BucketError> {
    etag.map(Tag).ok_or_else(|| BucketError::new(BucketErrorKind::Refused, key, "the server gives no ETag"))
}

/// What a failed request tells; `open` is what to say where it tells nothing.
fn failed(key: &str, error: &Error, open: BucketErrorKind) -> BucketError {
    let kind = match error {
        // A missing bucket is the operator's business, a missing object is not.
        Error::NotFound { .. } if error.to_string().contains("NoSuchBucket") => BucketErrorKind::Refused,
        Error::NotFound { .. } => BucketErrorKind::NotFound,
        Error::Precondition { .. } => BucketErrorKind::Precondition,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => BucketErrorKind::Refused,
        Error::NotSupported { .. } | Error::NotImplemented { .. } => BucketErrorKind::Refused,
        _ => open,
    };
    BucketError::new(kind, key, error)
}

fn conditional_failed(key: &str, error: &Error) -> BucketError {
    match error {
        // 412 to an If-None-Match wraps the precondition. A 409 says that another request was under way and that
        // nothing was written, but by which of several sends is not told: read back.
        Error::AlreadyExists { source, .. } => {
            let condition = matches!(
                source.downcast_ref::<Error>(),
                Some(Error::Precondition { .. } | Error::NotModified { .. })
            );
            let kind = if condition { BucketErrorKind::Precondition } else { BucketErrorKind::Unknown };
            BucketError::new(kind, key, error)
        }
        _ => failed(key, error, BucketErrorKind::Unknown),
    }
}

impl Bucket for S3Bucket {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(Bytes, Tag), BucketError>> {
        Box::pin(async move {
            let unavailable = |error: Error| failed(key, &error, BucketErrorKind::Unavailable);
            let answer = self.plain.get(&self.path(key)?).await.map_err(unavailable)?;
            let etag = answer.meta.e_tag.clone();
            let bytes = answer.bytes().await.map_err(unavailable)?;
            Ok((bytes, tag(key, etag)?))
        })
    }

    fn get_ranges<'a>(
        &'a self,
        key: &'a str,
        ranges: &'a [Range<u64>],
    ) -> BoxFuture<'a, Result<Vec<Bytes>, BucketError>> {
        Box::pin(async move {
            // Not object_store's own get_ranges: it panics where a server answers with fewer bytes.
            let path = self.path(key)?;
            let get = |merged: Range<u64>| {
                let path = path.clone();
                async move {
                    let answer = self.plain.get_range(&path, merged.clone()).await;
                    let bytes = answer.map_err(|error| failed(key, &error, BucketErrorKind::Unavailable))?;
                    // Servers answer a range that ends behind the object with what there is.
                    if bytes.len() as u64 != merged.end.saturating_sub(merged.start) {
                        let detail = "a shorter range than asked";
                        return Err(BucketError::new(BucketErrorKind::Unavailable, key, detail));
                    }
                    Ok((merged.start, bytes))
                }
            };
            let merged = neighbours(ranges);
            let fetched: Vec<(u64, Bytes)> =
                stream::iter(merged.into_iter().map(get)).buffered(RANGES_IN_FLIGHT).try_collect().await?;
            let cut = |range: &Range<u64>| {
                let within = fetched.iter().find_map(|(start, bytes)| {
                    let low = usize::try_from(range.start.checked_sub(*start)?).ok()?;
                    let high = usize::try_from(range.end.checked_sub(*start)?).ok()?;
                    (low <= high && high <= bytes.len()).then(|| bytes.slice(low..high))
                });
                within
                    .ok_or_else(|| BucketError::new(BucketErrorKind::Unavailable, key, "an impossible range"))
            };
            let parts = ranges.iter().map(cut).collect::<Result<Vec<Bytes>, BucketError>>()?;
            Ok(parts)
        })
    }

    fn put_new<'a>(&'a self, key: &'a str, body: Bytes) -> BoxFuture<'a, Result<Tag, BucketError>> {
        Box::pin(self.put_if(key, PutMode::Create, body))
    }

    fn replace<'a>(
        &'a self,
        key: &'a str,
        tag: &'a Tag,
        body: Bytes,
    ) -> BoxFuture<'a, Result<Tag, BucketError>> {
        Box::pin(async move {
            let bare = tag.0.trim_matches('"');
            let unquoted = self.unquoted.load(Ordering::Relaxed);
            let answer = self.replace_tagged(key, if unquoted { bare } else { &tag.0 }, body.clone()).await;
            let refused = matches!(&answer, Err(error) if error.kind == BucketErrorKind::Precondition);
            if !refused || unquoted || bare == tag.0 {
                return answer;
            }
            // Refused although the tag is right: a server that compares without quotes. Trying again is safe,
            // since either form succeeds only where the object still has this tag.
            match self.conditional.head(&self.path(key)?).await {
                Ok(there) if there.e_tag.as_ref() == Some(&tag.0) => {}
                _ => return answer,
            }
            let again = self.replace_tagged(key, bare, body).await;
            if again.is_ok() {
                self.unquoted.store(true, Ordering::Relaxed);
            }
            again
        })
    }

    fn put<'a>(&'a self, key: &'a str, pieces: &'a mut dyn Pieces) -> BoxFuture<'a, Result<(), BucketError>> {
        Box::pin(async move {
            let path = self.path(key)?;
            let least = usize::try_from(pieces.size_hint() / PARTS_MAX).unwrap_or(usize::MAX);
            let part_bytes = least.max(PART_BYTES);
            let first = fill(key, pieces, part_bytes).await?;
            if first.content_length() >= part_bytes {
                return self.put_parts(key, first, pieces, part_bytes).await;
            }
            let put = self.plain.put(&path, first).await;
            put.map(drop).map_err(|error| failed(key, &error, BucketErrorKind::Unknown))
        })
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), BucketError>> {
        Box::pin(async move {
            match self.plain.delete(&self.path(key)?).await {
                Ok(()) => Ok(()),
                Err(error) => match failed(key, &error, BucketErrorKind::Unknown) {
                    BucketError { kind: BucketErrorKind::NotFound, .. } => Ok(()),
                    error => Err(error),
                },
            }
        })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<(String, u64)>, BucketError>> {
        Box::pin(async move {
            // object_store lists below whole parts of a path only.
            let folder = prefix.rsplit_once('/').map(|(folder, _)| folder);
            let below = match (folder, self.prefix.is_empty()) {
                (Some(folder), _) => Some(self.path(folder)?),
                (None, false) => Some(Path::from(self.prefix.as_str())),
                (None, true) => None,
            };
            let skip = if self.prefix.is_empty() { 0 } else { self.prefix.len() + 1 };
            let listed: Result<Vec<_>, Error> = self.plain.list(below.as_ref()).try_collect().await;
            let mut found = Vec::new();
            for object in listed.map_err(|error| failed(prefix, &error, BucketErrorKind::Unavailable))? {
                if let Some(key) = object.location.as_ref().get(skip..).filter(|key| key.starts_with(prefix))
                {
                    found.push((key.to_owned(), object.size));
                }
            }
            found.sort();
            Ok(found)
        })
    }

    fn describe(&self) -> String {
        self.described.clone()
    }
}
