//! The clock and the randomness of the machine, for programs that do not bring their own.
#![expect(clippy::disallowed_types, reason = "this is the file that the lints point away from")]

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    time::{SystemTime, UNIX_EPOCH},
};

use highwater_records::TimestampMs;

/// What [`embed`](crate::embed) needs of the machine besides its disk.
pub trait Host: Send + Sync + fmt::Debug {
    /// The wall clock. It may jump, back too.
    fn now(&self) -> TimestampMs;

    /// Another number each time, for identities. Need not be secret.
    fn random(&self) -> u64;
}

/// The machine that the program runs on.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemHost;

impl Host for SystemHost {
    fn now(&self) -> TimestampMs {
        let ms = |since: std::time::Duration| i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        TimestampMs(match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => ms(since),
            Err(before) => -ms(before.duration()),
        })
    }

    fn random(&self) -> u64 {
        // Keyed by the operating system for every new state.
        RandomState::new().hash_one(self.now().0)
    }
}
