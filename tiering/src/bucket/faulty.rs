//! A bucket that fails: the same seed and the same calls give the same failures.

use std::{collections::BTreeMap, fmt, future::Future, ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use highwater_env::{BoxFuture, Env, EnvExt};
use parking_lot::Mutex;

use super::{Body, Bucket, BucketError, BucketErrorKind, Pieces, SharedBucket, Tag};

/// What goes wrong with one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An error, and nothing happened.
    Unavailable,
    /// An error that does not tell; it happened.
    UnknownDone,
    /// An error that does not tell; it did not happen.
    UnknownNotDone,
    /// The process dies before the call: it and every later call fails, nothing more happens.
    StopBefore,
    /// The process dies after the call: it happened, but it and every later call fails.
    StopAfter,
    /// The answer takes this long.
    Slow(Duration),
    /// One bit differs: of what a get returns, or of what an unconditional put writes.
    WrongBytes,
    /// Bytes are missing at the end: of what a get returns, or of what an unconditional put writes.
    Truncated,
    /// A get finds nothing; an unconditional put says yes and writes nothing.
    Lost,
}

/// How often each fault strikes by itself, in thousandths of all calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultRates {
    /// [`Fault::Unavailable`].
    pub unavailable: u16,
    /// [`Fault::UnknownDone`].
    pub unknown_done: u16,
    /// [`Fault::UnknownNotDone`].
    pub unknown_not_done: u16,
    /// [`Fault::Slow`], up to `slow_max`.
    pub slow: u16,
    /// The longest delay.
    pub slow_max: Duration,
    /// [`Fault::WrongBytes`].
    pub wrong_bytes: u16,
    /// [`Fault::Truncated`].
    pub truncated: u16,
    /// [`Fault::Lost`].
    pub lost: u16,
}

/// A bucket that fails. Clones share their faults.
#[derive(Clone)]
pub struct FaultyBucket {
    env: Arc<dyn Env>,
    inner: SharedBucket,
    plan: Arc<Mutex<Plan>>,
}

struct Plan {
    seed: u64,
    rates: FaultRates,
    script: BTreeMap<u64, Fault>,
    calls: u64,
    stopped: bool,
}

impl Plan {
    /// SplitMix64: small, and the same everywhere.
    fn draw(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.seed;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    fn next(&mut self) -> Option<Fault> {
        let call = self.calls;
        self.calls += 1;
        if self.stopped {
            return Some(Fault::StopBefore);
        }
        if let Some(fault) = self.script.remove(&call) {
            self.stopped = matches!(fault, Fault::StopBefore | Fault::StopAfter);
            return Some(fault);
        }
        if self.rates == FaultRates::default() {
            return None;
        }
        let (mut dice, delay) = (self.draw() % 1000, self.draw());
        let rates = self.rates;
        let slow = Duration::from_nanos(delay % (rates.slow_max.as_nanos() as u64).max(1));
        let faults = [
            (rates.unavailable, Fault::Unavailable),
            (rates.unknown_done, Fault::UnknownDone),
            (rates.unknown_not_done, Fault::UnknownNotDone),
            (rates.slow, Fault::Slow(slow)),
            (rates.wrong_bytes, Fault::WrongBytes),
            (rates.truncated, Fault::Truncated),
            (rates.lost, Fault::Lost),
        ];
        for (rate, fault) in faults {
            match dice.checked_sub(rate.into()) {
                None => return Some(fault),
                Some(rest) => dice = rest,
            }
        }
        None
    }
}

impl FaultyBucket {
    /// A bucket in front of `inner` that works until told otherwise.
    pub fn new(env: Arc<dyn Env>, inner: SharedBucket, seed: u64) -> FaultyBucket {
        let plan =
            Plan { seed, rates: FaultRates::default(), script: BTreeMap::new(), calls: 0, stopped: false };
        FaultyBucket { env, inner, plan: Arc::new(Mutex::new(plan)) }
    }

    /// From now on faults strike this often.
    pub fn set_rates(&self, rates: FaultRates) {
        self.plan.lock().rates = rates;
    }

    /// The call with this number (from zero, counted since the bucket was made) goes wrong in this way.
    pub fn script(&self, call: u64, fault: Fault) {
        self.plan.lock().script.insert(call, fault);
    }

    /// How many calls there were.
    pub fn calls(&self) -> u64 {
        self.plan.lock().calls
    }

    /// Nothing goes wrong any more, and a stopped bucket answers again.
    pub fn heal(&self) {
        let mut plan = self.plan.lock();
        (plan.rates, plan.stopped) = (FaultRates::default(), false);
        plan.script.clear();
    }

    fn next(&self) -> Option<Fault> {
        self.plan.lock().next()
    }

    /// Runs a call that has no bytes to get wrong.
    async fn call<T>(
        &self,
        key: &str,
        fault: Option<Fault>,
        call: impl Future<Output = Result<T, BucketError>>,
    ) -> Result<T, BucketError> {
        let error = |kind| Err(BucketError::new(kind, key, "injected"));
        match fault {
            Some(Fault::Unavailable) => error(BucketErrorKind::Unavailable),
            Some(Fault::StopBefore | Fault::UnknownNotDone) => error(BucketErrorKind::Unknown),
            Some(Fault::StopAfter | Fault::UnknownDone) => {
                let _ = call.await;
                error(BucketErrorKind::Unknown)
            }
            Some(Fault::Slow(time)) => {
                self.env.sleep(time).await;
                call.await
            }
            Some(Fault::WrongBytes | Fault::Truncated | Fault::Lost) | None => call.await,
        }
    }

    fn spoil(&self, fault: Option<Fault>, bytes: Bytes) -> Bytes {
        if bytes.is_empty() {
            return bytes;
        }
        let at = (self.plan.lock().draw() % bytes.len() as u64) as usize;
        match fault {
            Some(Fault::WrongBytes) => {
                let mut wrong = bytes.to_vec();
                wrong[at] ^= 1 << (at % 8);
                wrong.into()
            }
            Some(Fault::Truncated) => bytes.slice(..at),
            _ => bytes,
        }
    }
}

impl fmt::Debug for FaultyBucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultyBucket({:?})", self.inner)
    }
}

impl Bucket for FaultyBucket {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(Bytes, Tag), BucketError>> {
        Box::pin(async move {
            let fault = self.next();
            if fault == Some(Fault::Lost) {
                return Err(BucketError::new(BucketErrorKind::NotFound, key, "injected"));
            }
            let (bytes, tag) = self.call(key, fault, self.inner.get(key)).await?;
            Ok((self.spoil(fault, bytes), tag))
        })
    }

    fn get_ranges<'a>(
        &'a self,
        key: &'a str,
        ranges: &'a [Range<u64>],
    ) -> BoxFuture<'a, Result<Vec<Bytes>, BucketError>> {
        Box::pin(async move {
            let fault = self.next();
            if fault == Some(Fault::Lost) {
                return Err(BucketError::new(BucketErrorKind::NotFound, key, "injected"));
            }
            let mut parts = self.call(key, fault, self.inner.get_ranges(key, ranges)).await?;
            if let Some(last) = parts.pop() {
                parts.push(self.spoil(fault, last));
            }
            Ok(parts)
        })
    }

    fn put_new<'a>(&'a self, key: &'a str, body: Bytes) -> BoxFuture<'a, Result<Tag, BucketError>> {
        Box::pin(async move { self.call(key, self.next(), self.inner.put_new(key, body)).await })
    }

    fn replace<'a>(
        &'a self,
        key: &'a str,
        tag: &'a Tag,
        body: Bytes,
    ) -> BoxFuture<'a, Result<Tag, BucketError>> {
        Box::pin(async move { self.call(key, self.next(), self.inner.replace(key, tag, body)).await })
    }

    fn put<'a>(&'a self, key: &'a str, pieces: &'a mut dyn Pieces) -> BoxFuture<'a, Result<(), BucketError>> {
        Box::pin(async move {
            let fault = self.next();
            if !matches!(fault, Some(Fault::WrongBytes | Fault::Truncated | Fault::Lost)) {
                return self.call(key, fault, self.inner.put(key, pieces)).await;
            }
            let mut written = Vec::new();
            let failed = |error| BucketError::new(BucketErrorKind::Pieces, key, error);
            while let Some(piece) = pieces.next().await.map_err(failed)? {
                written.push(piece);
            }
            if fault == Some(Fault::Lost) {
                return Ok(());
            }
            let spoilt = written.iter().rposition(|piece| !piece.is_empty());
            if let Some(at) = spoilt {
                written[at] = self.spoil(fault, written[at].clone());
            }
            self.inner.put(key, &mut Body::new(written)).await
        })
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), BucketError>> {
        Box::pin(async move { self.call(key, self.next(), self.inner.delete(key)).await })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<(String, u64)>, BucketError>> {
        Box::pin(async move { self.call(prefix, self.next(), self.inner.list(prefix)).await })
    }

    fn describe(&self) -> String {
        format!("{} (failing)", self.inner.describe())
    }
}
