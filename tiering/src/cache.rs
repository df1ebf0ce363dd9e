//! Verified pieces of objects in memory, the least recently used going first. Keyed by object id, which is never used
//! twice, so nothing in here can be stale.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::{head::page::PageContent, name::ObjectId, object::footer::Footer};

/// Which piece of which object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Piece {
    Chunk(ObjectId, u32),
    Footer(ObjectId),
    Page(ObjectId),
}

/// A piece whose digest was right.
#[derive(Clone, Debug)]
pub(crate) enum Verified {
    Chunk(Bytes),
    Footer(Arc<Footer>),
    Page(Arc<PageContent>),
}

/// A cache with a budget in bytes.
#[derive(Debug)]
pub(crate) struct Cache {
    budget: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    pieces: BTreeMap<Piece, (Verified, u64, u64)>,
    /// Last use to piece, oldest first.
    order: BTreeMap<u64, Piece>,
    uses: u64,
    weight: u64,
    hits: u64,
    misses: u64,
}

/// What a cache holds and how it did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheFigures {
    /// Bytes held.
    pub bytes: u64,
    /// Pieces found.
    pub hits: u64,
    /// Pieces not found.
    pub misses: u64,
}

impl Cache {
    pub(crate) fn new(budget: u64) -> Cache {
        Cache { budget, state: Mutex::new(State::default()) }
    }

    pub(crate) fn get(&self, piece: Piece) -> Option<Verified> {
        let state = &mut *self.state.lock();
        state.uses += 1;
        let Some((verified, _, used)) = state.pieces.get_mut(&piece) else {
            state.misses += 1;
            return None;
        };
        state.hits += 1;
        state.order.remove(used);
        *used = state.uses;
        state.order.insert(state.uses, piece);
        Some(verified.clone())
    }

    /// Keeps a piece, unless it alone is larger than the budget.
    pub(crate) fn put(&self, piece: Piece, verified: Verified) {
        let weight = 64
            + match &verified {
                Verified::Chunk(bytes) => bytes.len() as u64,
                Verified::Footer(footer) => footer.weight(),
                Verified::Page(page) => match &**page {
                    PageContent::Entries(entries) => size_of_val(&entries[..]) as u64,
                    PageContent::Pages(pages) => size_of_val(&pages[..]) as u64,
                },
            };
        if weight > self.budget {
            return;
        }
        let state = &mut *self.state.lock();
        state.uses += 1;
        if let Some((_, weight, used)) = state.pieces.insert(piece, (verified, weight, state.uses)) {
            state.order.remove(&used);
            state.weight -= weight;
        }
        state.order.insert(state.uses, piece);
        state.weight += weight;
        while state.weight > self.budget {
            let Some((_, oldest)) = state.order.pop_first() else { break };
            if let Some((_, weight, _)) = state.pieces.remove(&oldest) {
                state.weight -= weight;
            }
        }
    }

    pub(crate) fn figures(&self) -> CacheFigures {
        let state = self.state.lock();
        CacheFigures { bytes: state.weight, hits: state.hits, misses: state.misses }
    }
}

/// One fetch of a piece at a time.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    gates: Mutex<BTreeMap<Piece, Gate>>,
}

type Gate = Arc<tokio::sync::Mutex<()>>;

impl Flights {
    /// Runs `fetch` while nobody else does for the same piece. It looks into the cache first: the one before it may
    /// have brought the piece.
    pub(crate) async fn one_at_a_time<T>(&self, piece: Piece, fetch: impl Future<Output = T>) -> T {
        let gate = self.gates.lock().entry(piece).or_default().clone();
        let waiting = Waiting { flights: self, piece, gate: Some(gate.clone()) };
        let turn = gate.lock().await;
        let value = fetch.await;
        drop(turn);
        drop(gate);
        drop(waiting);
        value
    }
}

/// Somebody who wants a piece. Removes the gate when nobody else does, also where the fetch is given up half way.
struct Waiting<'a> {
    flights: &'a Flights,
    piece: Piece,
    gate: Option<Gate>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut gates = self.flights.gates.lock();
        self.gate = None;
        if gates.get(&self.piece).is_some_and(|gate| Arc::strong_count(gate) == 1) {
            gates.remove(&self.piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fetch_that_is_given_up_leaves_no_gate() {
        let flights = Flights::default();
        let piece = Piece::Footer(ObjectId::default());
        crate::tests::env::block_on(async {
            let mut given_up = Box::pin(flights.one_at_a_time(piece, std::future::pending::<()>()));
            let mut waiting = Box::pin(flights.one_at_a_time(piece, std::future::ready(5)));
            std::future::poll_fn(|context| {
                assert!(given_up.as_mut().poll(context).is_pending());
                assert!(waiting.as_mut().poll(context).is_pending());
                std::task::Poll::Ready(())
            })
            .await;
            drop(given_up);
            assert_eq!(waiting.await, 5);
        });
        assert!(flights.gates.lock().is_empty());
    }

    #[test]
    fn the_least_recently_used_goes_first_and_the_budget_holds() {
        let cache = Cache::new(3 * 164);
        let piece = |number| Piece::Chunk(ObjectId::default(), number);
        let chunk = || Verified::Chunk(Bytes::from(vec![0; 100]));
        for number in 0..3 {
            cache.put(piece(number), chunk());
        }
        assert!(cache.get(piece(0)).is_some());
        cache.put(piece(3), chunk());
        let there: Vec<bool> = (0..4).map(|number| cache.get(piece(number)).is_some()).collect();
        assert_eq!(there, [true, false, true, true]);
        cache.put(piece(3), chunk());
        assert_eq!(cache.figures().bytes, 3 * 164);
        cache.put(piece(4), Verified::Chunk(Bytes::from(vec![0; 1000])));
        assert_eq!(cache.figures(), CacheFigures { bytes: 3 * 164, hits: 4, misses: 1 });
    }
}
