//! The switch of the museums: known bugs, compiled in on request, to prove that tests catch them.

/// Declares `enum Bug` with these bugs, `build_in` and `has`, in the module where it stands.
///
/// `has(bug)` stands in the code where the bug would be. Without the using crate's feature `museum` it is a constant
/// `false` and there is no `build_in`: no bug can be switched on.
///
/// A bug is built in for the whole process (`for the process`), so that pieces of a museum must run one after another,
/// or for the thread that asks (`for a thread`), so that other tests may run beside it; the latter needs `std` and
/// code that stays on its thread.
#[macro_export]
macro_rules! museum {
    (for the process; $($(#[$doc:meta])* $bug:ident,)+) => {
        $crate::museum!(@bugs $($(#[$doc])* $bug,)+);

        #[cfg(feature = "museum")]
        static BUILT_IN: core::sync::atomic::AtomicU32 = core::sync::atomic::AtomicU32::new(0);

        /// Builds `bug` in, and no other; `None` for none. For a whole process: the bugs stand in the middle of pure
        /// functions.
        #[cfg(feature = "museum")]
        pub fn build_in(bug: Option<Bug>) {
            BUILT_IN.store(number(bug), core::sync::atomic::Ordering::SeqCst);
        }

        /// Whether `bug` is built in.
        #[cfg(feature = "museum")]
        pub(crate) fn has(bug: Bug) -> bool {
            BUILT_IN.load(core::sync::atomic::Ordering::SeqCst) == number(Some(bug))
        }
    };
    (for a thread; $($(#[$doc:meta])* $bug:ident,)+) => {
        $crate::museum!(@bugs $($(#[$doc])* $bug,)+);

        #[cfg(feature = "museum")]
        std::thread_local! {
            static BUILT_IN: core::cell::Cell<u32> = const { core::cell::Cell::new(0) };
        }

        /// Builds `bug` in, and no other, for the calling thread; `None` for none.
        #[cfg(feature = "museum")]
        pub fn build_in(bug: Option<Bug>) {
            BUILT_IN.set(number(bug));
        }

        /// Whether `bug` is built in.
        #[cfg(feature = "museum")]
        pub(crate) fn has(bug: Bug) -> bool {
            BUILT_IN.get() == number(Some(bug))
        }
    };
    (@bugs $($(#[$doc:meta])* $bug:ident,)+) => {
        /// A bug.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        #[non_exhaustive]
        pub enum Bug {
            $($(#[$doc])* $bug,)+
        }

        #[cfg(feature = "museum")]
        fn number(bug: Option<Bug>) -> u32 {
            bug.map_or(0, |bug| bug as u32 + 1)
        }

        /// Whether `bug` is built in: never.
        #[cfg(not(feature = "museum"))]
        pub(crate) const fn has(_: Bug) -> bool {
            false
        }
    };
}
