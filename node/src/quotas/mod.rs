//! Client quotas: who may send, read and ask how much, and for how long a client that took more is held up.

mod rate;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use highwater_env::{BoxFuture, Instant};
use highwater_metadata::{
    Image, QuotaEntity, QuotaName, QuotaValue,
    decide::{self, AlterQuotasError as Refused},
};
use parking_lot::Mutex;

use crate::{
    Node,
    cluster::ChangeError,
    first_of::first_of,
    request::{AlterQuotasError, Caller},
};
use rate::Rate;

/// Who everybody is while nobody proves who he is, in Kafka's words.
const ANONYMOUS: &str = "ANONYMOUS";

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measured {
    /// Bytes of produce requests.
    Produced,
    /// Bytes of records that were fetched.
    Fetched,
    /// Time that requests took, in percent of one second.
    Busy,
}

impl Measured {
    const fn key(self) -> &'static str {
        match self {
            Measured::Produced => "producer_byte_rate",
            Measured::Fetched => "consumer_byte_rate",
            Measured::Busy => "request_percentage",
        }
    }

    /// The longest pause.
    const fn pause_max(self) -> Duration {
        match self {
            Measured::Produced | Measured::Fetched => Duration::MAX,
            Measured::Busy => Duration::from_secs(1),
        }
    }
}

/// The quotas that are set, and what those they bind have used.
#[derive(Default)]
pub(crate) struct Quotas {
    /// Whether any is set: without, nothing is measured.
    any: AtomicBool,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    limits: Arc<BTreeMap<QuotaEntity, BTreeMap<String, QuotaValue>>>,
    /// Who shares one quota is counted together: what is measured, user, client id.
    rates: BTreeMap<(Measured, String, String), Rate>,
    tidy_at: usize,
}

const TIDY_AT_LEAST: usize = 1024;

impl Quotas {
    pub(crate) fn follow(&self, image: &Image) {
        let mut held = self.held.lock();
        held.limits = Arc::new(image.quotas().clone());
        self.any.store(!held.limits.is_empty(), Ordering::Release);
    }

    /// Counts what a client used, and answers how long it is to pause.
    fn count(&self, what: Measured, client_id: &str, value: f64, now: Instant) -> Duration {
        if !self.any.load(Ordering::Acquire) {
            return Duration::ZERO;
        }
        let mut held = self.held.lock();
        let Some((limit, user, client)) = held.limit(what, ANONYMOUS, client_id) else {
            return Duration::ZERO;
        };
        held.tidy(now);
        let rate = held.rates.entry((what, user, client)).or_default();
        rate.count(value, now);
        rate.pause(limit, now).min(what.pause_max())
    }
}

impl Held {
    /// The quota that binds this client, and under which user and client id it is counted. The first that is set
    /// counts, in Kafka's order.
    fn limit(&self, what: Measured, user: &str, client_id: &str) -> Option<(f64, String, String)> {
        let named = |name: &str| Some(QuotaName::Named(name.to_owned()));
        let default = Some(QuotaName::Default);
        let candidates = [
            (named(user), named(client_id)),
            (named(user), default.clone()),
            (named(user), None),
            (default.clone(), named(client_id)),
            (default.clone(), default.clone()),
            (default.clone(), None),
            (None, named(client_id)),
            (None, default),
        ];
        candidates.into_iter().find_map(|(of_user, of_client)| {
            let counted = |component: &Option<QuotaName>, name: &str| match component {
                Some(_) => name.to_owned(),
                None => String::new(),
            };
            let under = (counted(&of_user, user), counted(&of_client, client_id));
            let entity = QuotaEntity { user: of_user, client_id: of_client, ip: None };
            let limit = self.limits.get(&entity)?.get(what.key())?;
            Some((limit.get(), under.0, under.1))
        })
    }

    /// Client ids are what clients claim: those that were silent are forgotten.
    fn tidy(&mut self, now: Instant) {
        if self.rates.len() >= self.tidy_at.max(TIDY_AT_LEAST) {
            self.rates.retain(|_, rate| !rate.is_idle(now));
            self.tidy_at = self.rates.len() * 2;
        }
    }
}

impl Node {
    /// Sets and removes quotas, each entity by itself, answered in order. With `validate_only` nothing changes.
    pub fn alter_quotas<'a>(
        &'a self,
        caller: &'a Caller,
        wishes: Vec<(QuotaEntity, BTreeMap<String, Option<f64>>)>,
        validate_only: bool,
    ) -> BoxFuture<'a, Vec<Result<(), AlterQuotasError>>> {
        Box::pin(async move {
            let _ = caller;
            let mut answers = Vec::with_capacity(wishes.len());
            for (entity, wishes) in wishes {
                answers.push(match validate_only {
                    true => {
                        decide::alter_quotas(&self.image(), &entity, &wishes).map(drop).map_err(Into::into)
                    }
                    false => self.alter_quota(&entity, &wishes).await,
                });
            }
            answers
        })
    }

    async fn alter_quota(
        &self,
        entity: &QuotaEntity,
        wishes: &BTreeMap<String, Option<f64>>,
    ) -> Result<(), AlterQuotasError> {
        match self.cluster.change(|image| decide::alter_quotas(image, entity, wishes)).await {
            Ok(image) => {
                self.quotas.follow(&image);
                Ok(())
            }
            Err(ChangeError::Refused(error)) => Err(error.into()),
            Err(ChangeError::Log(error)) => Err(AlterQuotasError::Unavailable(error.to_string())),
        }
    }

    /// Counts what a client used, and answers for how long it is to be held up; nearly always not at all.
    pub fn count_usage(&self, caller: &Caller, what: Measured, value: f64) -> Duration {
        self.quotas.count(what, &caller.client_id, value, self.env.now())
    }

    /// The time by which pauses are told.
    pub fn now(&self) -> Instant {
        self.env.now()
    }

    /// Waits until `until`, or until the node stops.
    pub fn hold_up(&self, until: Instant) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            first_of(self.stops(), self.env.sleep_until(until)).await;
        })
    }

    /// The most bytes that a fetch should gather, so that a quota lets it through at all.
    pub(crate) fn fetch_bytes_within_quota(&self, caller: &Caller) -> usize {
        if !self.quotas.any.load(Ordering::Acquire) {
            return usize::MAX;
        }
        let held = self.quotas.held.lock();
        match held.limit(Measured::Fetched, ANONYMOUS, &caller.client_id) {
            Some((limit, ..)) => (limit * 10.0) as usize,
            None => usize::MAX,
        }
    }
}

impl From<Refused> for AlterQuotasError {
    fn from(error: Refused) -> AlterQuotasError {
        AlterQuotasError::Refused(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quotas(set: &[(Option<&str>, Option<&str>, f64)]) -> Quotas {
        let name = |name: &Option<&str>| match name {
            None => None,
            Some("*") => Some(QuotaName::Default),
            Some(name) => Some(QuotaName::Named((*name).to_owned())),
        };
        let mut limits = BTreeMap::new();
        for (user, client_id, value) in set {
            let entity = QuotaEntity { user: name(user), client_id: name(client_id), ip: None };
            let value = QuotaValue::new(*value).unwrap();
            limits.insert(entity, BTreeMap::from([(Measured::Produced.key().to_owned(), value)]));
        }
        let quotas = Quotas::default();
        quotas.any.store(true, Ordering::Release);
        quotas.held.lock().limits = Arc::new(limits);
        quotas
    }

    #[test]
    fn the_closest_quota_binds() {
        let set = quotas(&[
            (Some("ANONYMOUS"), Some("a"), 1.0),
            (Some("ANONYMOUS"), None, 2.0),
            (None, Some("b"), 3.0),
            (None, Some("*"), 4.0),
        ]);
        let of = |client: &str| set.held.lock().limit(Measured::Produced, ANONYMOUS, client).unwrap();
        assert_eq!(of("a"), (1.0, "ANONYMOUS".into(), "a".into()));
        assert_eq!(of("b"), (2.0, "ANONYMOUS".into(), String::new()), "users before client ids");
        let set = quotas(&[(None, Some("b"), 3.0), (None, Some("*"), 4.0)]);
        let of = |client: &str| set.held.lock().limit(Measured::Produced, ANONYMOUS, client).unwrap();
        assert_eq!(of("b"), (3.0, String::new(), "b".into()));
        assert_eq!(of("c"), (4.0, String::new(), "c".into()));
        assert_eq!(set.held.lock().limit(Measured::Fetched, ANONYMOUS, "b"), None);
    }

    #[test]
    fn clients_are_counted_apart_and_names_do_not_pile_up() {
        let set = quotas(&[(None, Some("*"), 10.0)]);
        assert_eq!(set.count(Measured::Produced, "a", 100.0, Instant::ZERO), Duration::ZERO);
        assert!(set.count(Measured::Produced, "a", 100.0, Instant::ZERO) > Duration::ZERO);
        assert_eq!(set.count(Measured::Produced, "b", 100.0, Instant::ZERO), Duration::ZERO);
        for second in 0..100_u64 {
            for client in 0..100 {
                let now = Instant::ZERO.plus(Duration::from_secs(second * 20));
                set.count(Measured::Produced, &format!("{second}-{client}"), 1.0, now);
            }
        }
        assert!(set.held.lock().rates.len() <= 2 * TIDY_AT_LEAST);
    }
}
