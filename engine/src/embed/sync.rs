//! The locks that waiting is built from, in one place so that a test can swap them for ones whose schedule it chooses.

pub(super) use parking_lot::{Condvar, Mutex, MutexGuard};
