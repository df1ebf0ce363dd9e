//! The bucket as a broker reaches it: over a network, in a process of its own. A request that is on its way when the
//! broker dies arrives all the same.

use std::{
    fmt,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use highwater_env::{BoxFuture, Env, EnvExt, Lane};
use highwater_records::{LeaderEpoch, TopicIdPartition};
use highwater_tiering::bucket::{
    Body, Bucket, BucketError, BucketErrorKind, Pieces, SharedBucket, Tag,
    faulty::{FaultRates, FaultyBucket},
    memory::MemoryBucket,
};
use highwater_tiering::head_fence;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::{
    cluster::invariant::r9_orphans::Late,
    executor::SimEnv,
    invariant::r4_keys::{self, Keys},
    observer::Violation,
    random::Random,
    real::bucket::at_once,
};

/// A store and what goes wrong with it. Clones are the same store.
#[derive(Clone)]
pub struct Store {
    env: Arc<SimEnv>,
    memory: MemoryBucket,
    faulty: FaultyBucket,
    random: Arc<Mutex<Random>>,
    /// Of a thousand reads this many return wrong bytes.
    lies: Arc<AtomicU64>,
    /// What was written, and what was wrong with that first.
    keys: Arc<Mutex<(Keys, Option<String>)>>,
    late: Arc<Mutex<Late>>,
}

impl Store {
    /// An empty store that works. `env` is the process it runs in.
    pub fn new(env: Arc<SimEnv>, mut random: Random) -> Store {
        let memory = MemoryBucket::new();
        let faulty = FaultyBucket::new(env.clone(), Arc::new(memory.clone()), random.draw());
        Store {
            env,
            memory,
            faulty,
            random: Arc::new(Mutex::new(random)),
            lies: Arc::default(),
            keys: Arc::default(),
            late: Arc::default(),
        }
    }

    /// What is really stored.
    pub fn memory(&self) -> &MemoryBucket {
        &self.memory
    }

    /// What does not hold of the keys that were written (R4), if anything.
    pub fn wrong_key(&self) -> Option<Violation> {
        self.keys.lock().1.clone().map(|why| Violation { invariant: r4_keys::NAME, why })
    }

    /// Whether an object came when a later leader had written (R9).
    pub fn came_late(&self, key: &str) -> bool {
        self.late.lock().has(key)
    }

    /// In which leader epoch a partition's head was written last.
    pub fn head_epoch(&self, at: TopicIdPartition) -> Option<LeaderEpoch> {
        let key = format!("heads/{}/{}", at.topic_id, at.partition);
        let (bytes, _) = at_once(self.memory.get(&key))?.ok()?;
        Some(head_fence(&bytes).ok()?.epoch)
    }

    /// Notes what is at a key now that somebody has written there, whatever he was told.
    fn note(&self) -> impl Fn(&str, bool) + Send + Sync + use<> {
        let (memory, keys, late) = (self.memory.clone(), self.keys.clone(), self.late.clone());
        move |key, replaces| {
            let Some(Ok((bytes, _))) = at_once(memory.get(key)) else { return };
            late.lock().written(key, &bytes);
            let (known, wrong) = &mut *keys.lock();
            if replaces {
                known.replaced(key, &bytes);
            } else if let Err(why) = known.written(key, &bytes) {
                wrong.get_or_insert(why);
            }
        }
    }

    /// From now on calls fail this often.
    pub fn set_rates(&self, rates: FaultRates) {
        self.faulty.set_rates(rates);
    }

    /// From now on so many of a thousand reads return wrong or missing bytes.
    pub fn set_lies(&self, per_thousand: u64) {
        self.lies.store(per_thousand, Ordering::Relaxed);
    }

    /// Nothing goes wrong any more.
    pub fn heal(&self) {
        self.faulty.heal();
        self.set_lies(0);
    }

    /// Sends a request to the store's process and waits for its answer.
    async fn send<T: Send + 'static>(
        &self,
        key: &str,
        request: impl FnOnce(FaultyBucket) -> BoxFuture<'static, Result<T, BucketError>> + Send + 'static,
    ) -> Result<T, BucketError> {
        let (there, back) = {
            let mut random = self.random.lock();
            (latency(&mut random), latency(&mut random))
        };
        let (reply, answer) = oneshot::channel();
        let (env, faulty) = (self.env.clone(), self.faulty.clone());
        self.env.spawn(
            Lane::Background,
            Box::pin(async move {
                env.sleep(there).await;
                let value = request(faulty).await;
                env.sleep(back).await;
                let _ = reply.send(value);
            }),
        );
        answer.await.unwrap_or_else(|_| {
            let detail = "the store is gone".to_owned();
            Err(BucketError { kind: BucketErrorKind::Unknown, key: key.to_owned(), detail })
        })
    }

    /// A bit flips, or the end is missing, now and then.
    fn spoil(&self, bytes: Bytes) -> Bytes {
        let mut random = self.random.lock();
        if bytes.is_empty() || !random.chance(self.lies.load(Ordering::Relaxed), 1000) {
            return bytes;
        }
        let at = random.below(bytes.len() as u64) as usize;
        if random.chance(1, 2) {
            return bytes.slice(..at);
        }
        let mut wrong = bytes.to_vec();
        wrong[at] ^= 1 << random.below(8);
        wrong.into()
    }
}

fn latency(random: &mut Random) -> Duration {
    let most = if random.chance(1, 30) { 800_000_000 } else { 20_000_000 };
    Duration::from_nanos(random.between(200_000, most))
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({:?})", self.memory)
    }
}

impl Bucket for Store {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(Bytes, Tag), BucketError>> {
        Box::pin(async move {
            let asked = key.to_owned();
            let request = move |bucket: FaultyBucket| -> BoxFuture<'static, _> {
                Box::pin(async move { bucket.get(&asked).await })
            };
            let (bytes, tag) = self.send(key, request).await?;
            Ok((self.spoil(bytes), tag))
        })
    }

    fn get_ranges<'a>(
        &'a self,
        key: &'a str,
        ranges: &'a [Range<u64>],
    ) -> BoxFuture<'a, Result<Vec<Bytes>, BucketError>> {
        Box::pin(async move {
            let (asked, ranges) = (key.to_owned(), ranges.to_vec());
            let request = move |bucket: FaultyBucket| -> BoxFuture<'static, _> {
                Box::pin(async move { bucket.get_ranges(&asked, &ranges).await })
            };
            let parts = self.send(key, request).await?;
            Ok(parts.into_iter().map(|part| self.spoil(part)).collect())
        })
    }

    fn put_new<'a>(&'a self, key: &'a str, body: Bytes) -> BoxFuture<'a, Result<Tag, BucketError>> {
        Box::pin(async move {
            let (asked, note) = (key.to_owned(), self.note());
            let request = move |bucket: FaultyBucket| -> BoxFuture<'static, _> {
                Box::pin(async move {
                    let outcome = bucket.put_new(&asked, body).await;
                    note(&asked, false);
                    outcome
                })
            };
            self.send(key, request).await
        })
    }

    fn replace<'a>(
        &'a self,
        key: &'a str,
        tag: &'a Tag,
        body: Bytes,
    ) -> BoxFuture<'a, Result<Tag, BucketError>> {
        Box::pin(async move {
            let (asked, tag, note) = (key.to_owned(), tag.clone(), self.note());
            let request = move |bucket: FaultyBucket| -> BoxFuture<'static, _> {
                Box::pin(async move {
                    let outcome = bucket.replace(&asked, &tag, body).await;
                    note(&asked, true);
                    outcome
                })
            };
            self.send(key, request).await
        })
    }

    fn put<'a>(&'a self, key: &'a str, pieces: &'a mut dyn Pieces) -> BoxFuture<'a, Result<(), BucketError>> {
        Box::pin(async move {
            let mut whole = Vec::new();
            loop {
                match pieces.next().await {
                    Ok(Some(piece)) => whole.push(piece),
                    Ok(None) => break,
                    Err(error) => {
                        let detail = error.to_string();
                        return Err(BucketError {
                            kind: BucketErrorKind::Pieces,
                            key: key.to_owned(),
                            detail,
                        });
                    }
                }
            }
            let (asked, note) = (key.to_owned(), self.note());
            let request = move |bucket: FaultyBucket| -> BoxFuture<'static, _> {
                Box::pin(async move {
                    let outcome = bucket.put(&asked, &mut Body::new(whole)).await;
                    note(&asked, false);
                    outcome
                })
            };
            self.send(key, request).await
        })
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), BucketError>> {
        Box::pin(async move {
            let asked = key.to_owned();
            let request = move |bucket: FaultyBucket| -> BoxFuture<'static, _> {
                Box::pin(async move { bucket.delete(&asked).await })
            };
            self.send(key, request).await
        })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<(String, u64)>, BucketError>> {
        Box::pin(async move {
            let asked = prefix.to_owned();
            let request = move |bucket: FaultyBucket| -> BoxFuture<'static, _> {
                Box::pin(async move { bucket.list(&asked).await })
            };
            self.send(prefix, request).await
        })
    }

    fn describe(&self) -> String {
        "simulated store".to_owned()
    }
}

/// The store as a node takes it.
impl From<Store> for SharedBucket {
    fn from(store: Store) -> SharedBucket {
        Arc::new(store)
    }
}
