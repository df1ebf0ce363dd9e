//! A bucket in memory.

use std::{collections::BTreeMap, fmt, ops::Range, sync::Arc};

use bytes::{Bytes, BytesMut};
use highwater_env::BoxFuture;
use parking_lot::Mutex;

use super::{Bucket, BucketError, BucketErrorKind, Pieces, Tag, key};

/// A bucket in memory. Clones are the same bucket.
#[derive(Clone, Default)]
pub struct MemoryBucket {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, (Bytes, Tag)>,
    writes: u64,
}

impl MemoryBucket {
    /// An empty bucket.
    pub fn new() -> MemoryBucket {
        MemoryBucket::default()
    }

    /// Every object, by key.
    pub fn objects(&self) -> BTreeMap<String, Bytes> {
        self.state.lock().objects.iter().map(|(key, (bytes, _))| (key.clone(), bytes.clone())).collect()
    }

    /// Puts these bytes in an object's place without changing its tag, as rot or a vandal would. `None` loses it.
    pub fn tamper(&self, key: &str, bytes: Option<Bytes>) {
        let mut state = self.state.lock();
        match bytes {
            None => {
                state.objects.remove(key);
            }
            Some(bytes) => {
                if let Some(object) = state.objects.get_mut(key) {
                    object.0 = bytes;
                }
            }
        }
    }

    fn read<T>(&self, key: &str, of: impl FnOnce(&(Bytes, Tag)) -> T) -> Result<T, BucketError> {
        key::check(key)?;
        let state = self.state.lock();
        let object = state.objects.get(key);
        object.map(of).ok_or_else(|| BucketError::new(BucketErrorKind::NotFound, key, "no such object"))
    }

    fn write(
        &self,
        key: &str,
        body: Bytes,
        allowed: impl FnOnce(Option<&Tag>) -> bool,
    ) -> Result<Tag, BucketError> {
        key::check(key)?;
        let mut state = self.state.lock();
        if !allowed(state.objects.get(key).map(|object| &object.1)) {
            return Err(BucketError::new(BucketErrorKind::Precondition, key, "another version"));
        }
        state.writes += 1;
        let tag = Tag(format!("\"{}\"", state.writes));
        state.objects.insert(key.to_owned(), (body, tag.clone()));
        Ok(tag)
    }
}

impl fmt::Debug for MemoryBucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryBucket({} objects)", self.state.lock().objects.len())
    }
}

impl Bucket for MemoryBucket {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(Bytes, Tag), BucketError>> {
        Box::pin(async move { self.read(key, Clone::clone) })
    }

    fn get_ranges<'a>(
        &'a self,
        key: &'a str,
        ranges: &'a [Range<u64>],
    ) -> BoxFuture<'a, Result<Vec<Bytes>, BucketError>> {
        Box::pin(async move {
            let bytes = self.read(key, |object| object.0.clone())?;
            let cut = |range: &Range<u64>| {
                if range.start > range.end || range.end > bytes.len() as u64 {
                    return Err(BucketError::new(BucketErrorKind::Unavailable, key, "range past the end"));
                }
                Ok(bytes.slice(range.start as usize..range.end as usize))
            };
            ranges.iter().map(cut).collect()
        })
    }

    fn put_new<'a>(&'a self, key: &'a str, body: Bytes) -> BoxFuture<'a, Result<Tag, BucketError>> {
        Box::pin(async move { self.write(key, body, |there| there.is_none()) })
    }

    fn replace<'a>(
        &'a self,
        key: &'a str,
        tag: &'a Tag,
        body: Bytes,
    ) -> BoxFuture<'a, Result<Tag, BucketError>> {
        Box::pin(async move { self.write(key, body, |there| there == Some(tag)) })
    }

    fn put<'a>(&'a self, key: &'a str, pieces: &'a mut dyn Pieces) -> BoxFuture<'a, Result<(), BucketError>> {
        Box::pin(async move {
            let mut body = BytesMut::new();
            let failed = |error| BucketError::new(BucketErrorKind::Pieces, key, error);
            while let Some(piece) = pieces.next().await.map_err(failed)? {
                body.extend_from_slice(&piece);
            }
            self.write(key, body.freeze(), |_| true).map(drop)
        })
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), BucketError>> {
        Box::pin(async move {
            key::check(key)?;
            self.state.lock().objects.remove(key);
            Ok(())
        })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<(String, u64)>, BucketError>> {
        Box::pin(async move {
            let state = self.state.lock();
            let from = state.objects.range(prefix.to_owned()..);
            let ours = from.take_while(|(key, _)| key.starts_with(prefix));
            Ok(ours.map(|(key, object)| (key.clone(), object.0.len() as u64)).collect())
        })
    }

    fn describe(&self) -> String {
        "memory".to_owned()
    }
}
