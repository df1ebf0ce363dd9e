//! Keeps changes of segment files apart from a compaction that is replacing some.

use std::sync::Arc;

use crate::{
    museum::{Bug, has},
    sync::{Condvar, Mutex},
};

/// Closed while files of a log are replaced without its lock.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    closed: bool,
    /// A replacement broke off halfway; only opening the log anew tells what is there.
    broken: Option<String>,
}

/// Opens the gate again when it is dropped.
#[derive(Debug)]
pub(crate) struct Closed {
    gate: Arc<Gate>,
}

impl Gate {
    /// `None` if it is closed already.
    pub(crate) fn close(self: &Arc<Gate>) -> Option<Closed> {
        let mut state = self.state.lock();
        if state.closed {
            return None;
        }
        state.closed = true;
        Some(Closed { gate: self.clone() })
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// Waits until it is open.
    pub(crate) fn pass(&self) {
        let mut state = self.state.lock();
        while state.closed && !has(Bug::GateIgnored) {
            self.changed.wait(&mut state);
        }
    }

    pub(crate) fn broken(&self) -> Option<String> {
        self.state.lock().broken.clone()
    }
}

impl Closed {
    /// The replacement did not reach its end.
    pub(crate) fn break_off(&self, reason: String) {
        self.gate.state.lock().broken = Some(reason);
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        self.gate.state.lock().closed = false;
        self.gate.changed.notify_all();
    }
}
