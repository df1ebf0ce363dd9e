//! The owner object: whose bucket this is (`docs/format/bucket.md`).

use bytes::Bytes;

use crate::{
    bucket::{Bucket, BucketErrorKind},
    encoding::{self, FormatError, Reader, Writer},
    error::TierError,
    name::OWNER,
};

const MAGIC: [u8; 4] = *b"HWOW";
/// A lost race and an ambiguous answer or two; more is a store that is not well.
const TRIES: usize = 4;

/// Who uses a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The cluster's id.
    pub cluster_id: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Written {
    cluster_id: String,
    incarnation: u32,
    written_ms: i64,
}

impl Written {
    fn encode(&self) -> Bytes {
        let mut out = Writer::default();
        out.string(&self.cluster_id);
        out.u32(self.incarnation);
        out.i64(self.written_ms);
        encoding::seal(MAGIC, &out.finish()).into()
    }

    fn decode(bytes: &Bytes) -> Result<Written, FormatError> {
        let (payload, _) = encoding::open(MAGIC, bytes)?;
        let mut reader = Reader::new(&payload);
        let written =
            Written { cluster_id: reader.string()?, incarnation: reader.u32()?, written_ms: reader.i64()? };
        reader.end()?;
        Ok(written)
    }
}

/// Reads the owner, or writes it where there is none, and returns the incarnation.
pub(crate) async fn claim(bucket: &dyn Bucket, owner: &Owner, now_ms: i64) -> Result<u32, TierError> {
    let mut failed = TierError::retry("not tried");
    for _ in 0..TRIES {
        match bucket.get(OWNER).await {
            Ok((bytes, _)) => {
                let written = match Written::decode(&bytes) {
                    Ok(written) => written,
                    // Perhaps wrong on the way only.
                    Err(error) => {
                        failed = TierError::format(OWNER, &error);
                        continue;
                    }
                };
                if written.cluster_id != owner.cluster_id {
                    return Err(TierError::refused(format!(
                        "{} belongs to the cluster {:?}, this is {:?}",
                        bucket.describe(),
                        written.cluster_id,
                        owner.cluster_id
                    )));
                }
                return Ok(written.incarnation);
            }
            Err(error) if error.kind == BucketErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        let mine = Written { cluster_id: owner.cluster_id.clone(), incarnation: 1, written_ms: now_ms };
        match bucket.put_new(OWNER, mine.encode()).await {
            Ok(_) => return Ok(mine.incarnation),
            // Somebody was first, or nobody knows: read.
            Err(error) if matches!(error.kind, BucketErrorKind::Precondition | BucketErrorKind::Unknown) => {
                failed = TierError::retry(error);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{bucket::memory::MemoryBucket, tests::env::block_on};

    #[test]
    fn the_first_cluster_owns_the_bucket_and_another_is_refused() {
        block_on(async {
            let bucket = MemoryBucket::new();
            let owner = |id: &str| Owner { cluster_id: id.to_owned() };
            assert_eq!(claim(&bucket, &owner("a"), 5).await.unwrap(), 1);
            assert_eq!(claim(&bucket, &owner("a"), 6).await.unwrap(), 1);
            let error = claim(&bucket, &owner("b"), 7).await.unwrap_err();
            assert!(matches!(&error, TierError::Refused { .. }), "{error}");
            bucket.tamper(OWNER, Some(Bytes::from_static(b"rubbish")));
            assert!(matches!(claim(&bucket, &owner("a"), 8).await.unwrap_err(), TierError::Corrupt { .. }));
        });
    }
}
