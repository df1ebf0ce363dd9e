//! The locks and counters that threads share, in one place, so that a test can swap them for ones whose schedule it
//! chooses: in the package `tests/schedules` alone, which is made of the same files.

#[cfg(not(schedules))]
pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};
#[cfg(not(schedules))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64};

/// A moment at which another thread may run, where a test chooses which.
#[cfg(any(test, feature = "faults"))]
pub(crate) fn let_others_run() {
    #[cfg(schedules)]
    shuttle::thread::yield_now();
}

#[cfg(schedules)]
pub(crate) use scheduled::{AtomicBool, AtomicU64, Condvar, Mutex, MutexGuard, RwLock};

/// The same, where `shuttle` decides who runs: with the interface of `parking_lot`.
#[cfg(schedules)]
mod scheduled {
    use std::{
        fmt,
        ops::{Deref, DerefMut},
        time::Duration,
    };

    pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU64};
    use shuttle::sync::{self, LockResult, PoisonError};

    /// A panic fails the test; nobody looks at what it left.
    fn sound<T>(result: LockResult<T>) -> T {
        result.unwrap_or_else(PoisonError::into_inner)
    }

    #[derive(Default)]
    pub(crate) struct Mutex<T>(sync::Mutex<T>);

    /// Never empty but while its thread waits.
    pub(crate) struct MutexGuard<'a, T>(Option<sync::MutexGuard<'a, T>>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Mutex<T> {
            Mutex(sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            MutexGuard(Some(sound(self.0.lock())))
        }

        /// `None` while another thread holds it.
        pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            self.0.try_lock().ok().map(|guard| MutexGuard(Some(guard)))
        }
    }

    impl<T> fmt::Debug for Mutex<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Mutex")
        }
    }

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.0.as_deref().expect("its thread does not wait")
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.0.as_deref_mut().expect("its thread does not wait")
        }
    }

    #[derive(Debug, Default)]
    pub(crate) struct Condvar(sync::Condvar);

    impl Condvar {
        pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
            let held = guard.0.take().expect("its thread does not wait");
            guard.0 = Some(sound(self.0.wait(held)));
        }

        pub(crate) fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, most: Duration) {
            let held = guard.0.take().expect("its thread does not wait");
            guard.0 = Some(sound(self.0.wait_timeout(held, most)).0);
        }

        pub(crate) fn notify_one(&self) {
            self.0.notify_one();
        }

        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }
    }

    #[derive(Default)]
    pub(crate) struct RwLock<T>(sync::RwLock<T>);

    impl<T> RwLock<T> {
        pub(crate) fn new(value: T) -> RwLock<T> {
            RwLock(sync::RwLock::new(value))
        }

        pub(crate) fn read(&self) -> sync::RwLockReadGuard<'_, T> {
            sound(self.0.read())
        }

        pub(crate) fn write(&self) -> sync::RwLockWriteGuard<'_, T> {
            sound(self.0.write())
        }

        pub(crate) fn into_inner(self) -> T {
            sound(self.0.into_inner())
        }
    }

    impl<T> fmt::Debug for RwLock<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("RwLock")
        }
    }
}
