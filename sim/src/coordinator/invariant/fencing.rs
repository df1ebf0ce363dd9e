//! Which producers have a successor, for T4 and T7.

use std::collections::{BTreeMap, BTreeSet};

use crate::coordinator::happening::{Happening, Incarnation, Txn};

/// The producers that somebody else has begun under the identity of, and whose the transactions are.
#[derive(Default)]
pub(super) struct Fencing {
    ids: BTreeMap<Incarnation, u64>,
    /// The latest that began under an id. Answers may come in another order.
    last: BTreeMap<u64, ((u64, u16), Incarnation)>,
    fenced: BTreeSet<Incarnation>,
    txns: BTreeMap<Txn, Incarnation>,
}

impl Fencing {
    /// Takes an event in.
    pub(super) fn see(&mut self, event: &Happening) {
        match *event {
            Happening::ProducerAsks { incarnation, id } => {
                self.ids.insert(incarnation, id);
            }
            Happening::ProducerBegan { incarnation, identity } => {
                let Some(id) = self.ids.get(&incarnation) else { return };
                let last = self.last.entry(*id).or_insert((identity, incarnation));
                let former = (*last).min((identity, incarnation)).1;
                *last = (*last).max((identity, incarnation));
                if former != last.1 {
                    self.fenced.insert(former);
                }
            }
            Happening::TxnBegins { txn, incarnation, .. } => {
                self.txns.insert(txn, incarnation);
            }
            _ => {}
        }
    }

    /// Whether a transaction is of a producer whose successor has begun.
    pub(super) fn is_fenced(&self, txn: Txn) -> bool {
        self.txns.get(&txn).is_some_and(|incarnation| self.fenced.contains(incarnation))
    }
}
