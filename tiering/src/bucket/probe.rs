//! Does the store keep the two conditions that everything stands on?

use bytes::Bytes;
use highwater_env::Env;

use super::{Bucket, BucketError, BucketErrorKind};
use crate::name::{ObjectId, PROBES};

/// Leftover probes younger than this may belong to a process that is probing now.
const LEFTOVER_MS: i64 = 24 * 60 * 60 * 1000;

/// Why a store cannot be used for heads.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProbeError {
    /// It could not be asked. Try again later.
    #[error("the store could not be probed: {0}")]
    Unreachable(#[source] BucketError),
    /// It said no to a plain request, or ignores a condition. Retrying does not help.
    #[error("this store cannot keep a head: {0}")]
    Unfit(String),
}

/// Writes a scratch object and checks that conditions are honoured (`docs/format/bucket.md`, Probe).
///
/// # Errors
/// [`ProbeError::Unfit`] names the step that the store failed.
pub async fn probe(env: &dyn Env, bucket: &dyn Bucket) -> Result<(), ProbeError> {
    let key = format!("{PROBES}{}", ObjectId::draw(env));
    let result = steps(bucket, &key).await;
    // A leftover is harmless, and is removed by a later probe.
    let _ = bucket.delete(&key).await;
    result?;
    for (key, _) in bucket.list(PROBES).await.map_err(unreachable_or_unfit)? {
        let drawn = key.strip_prefix(PROBES).and_then(|id| u128::from_str_radix(id, 16).ok());
        let old = drawn.is_some_and(|id| env.wall_ms() - ObjectId(id.to_be_bytes()).drawn_ms() > LEFTOVER_MS);
        if old {
            let _ = bucket.delete(&key).await;
        }
    }
    Ok(())
}

async fn steps(bucket: &dyn Bucket, key: &str) -> Result<(), ProbeError> {
    let body = |text: &'static str| Bytes::from_static(text.as_bytes());
    let first = bucket.put_new(key, body("first")).await.map_err(unreachable_or_unfit)?;
    expect_refusal(bucket.put_new(key, body("second")).await, "a put with If-None-Match over an object")?;
    let second = match bucket.replace(key, &first, body("third")).await {
        Err(error) if error.kind == BucketErrorKind::Precondition => {
            return Err(ProbeError::Unfit("it refuses a put whose If-Match holds".to_owned()));
        }
        answer => answer.map_err(unreachable_or_unfit)?,
    };
    if second == first {
        return Err(ProbeError::Unfit("a new version has the tag of the old one".to_owned()));
    }
    expect_refusal(bucket.replace(key, &first, body("fourth")).await, "a put with an old If-Match")?;
    // Twice, since a first answer may be wrong on the way only.
    for _ in 0..2 {
        let (bytes, tag) = bucket.get(key).await.map_err(unreachable_or_unfit)?;
        if bytes == "third" && tag == second {
            return Ok(());
        }
    }
    Err(ProbeError::Unfit("a get does not return what was written last".to_owned()))
}

fn expect_refusal<T>(answer: Result<T, BucketError>, what: &str) -> Result<(), ProbeError> {
    match answer {
        Ok(_) => Err(ProbeError::Unfit(format!("{what} succeeded"))),
        Err(error) if error.kind == BucketErrorKind::Precondition => Ok(()),
        Err(error) => Err(unreachable_or_unfit(error)),
    }
}

fn unreachable_or_unfit(error: BucketError) -> ProbeError {
    match error.kind {
        BucketErrorKind::Refused => ProbeError::Unfit(error.to_string()),
        _ => ProbeError::Unreachable(error),
    }
}
