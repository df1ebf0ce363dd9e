//! Positions and times.

use std::fmt;

/// The number of a record in its partition. Never negative; at most [`Offset::MAX`].
///
/// Whether a given offset is an inclusive or an exclusive bound is said where it is used, for example
/// *log end* (exclusive) or *log start* (inclusive).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Offset(u64);

impl Offset {
    /// The first offset of every partition.
    pub const ZERO: Offset = Offset(0);
    /// The largest offset that Kafka's signed 64-bit field can carry.
    pub const MAX: Offset = Offset(i64::MAX as u64);

    /// Makes an offset, or `None` above [`Offset::MAX`].
    pub const fn new(value: u64) -> Option<Offset> {
        if value <= Offset::MAX.0 { Some(Offset(value)) } else { None }
    }

    /// Makes an offset from Kafka's signed form; negative values (its sentinels) are refused.
    pub const fn from_i64(value: i64) -> Result<Offset, OffsetOutOfRange> {
        if value < 0 { Err(OffsetOutOfRange(value)) } else { Ok(Offset(value as u64)) }
    }

    /// The plain number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Kafka's signed form; always non-negative.
    pub const fn as_i64(self) -> i64 {
        self.0 as i64
    }

    /// `self + count`, or `None` above [`Offset::MAX`].
    pub const fn checked_add(self, count: u64) -> Option<Offset> {
        match self.0.checked_add(count) {
            Some(sum) => Offset::new(sum),
            None => None,
        }
    }

    /// How many offsets lie in `[earlier, self)`; zero when `earlier` is not below `self`.
    pub const fn since(self, earlier: Offset) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Debug for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A signed number that is no offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetOutOfRange(pub i64);

impl fmt::Display for OffsetOutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not an offset (0 to {})", self.0, i64::MAX)
    }
}

impl std::error::Error for OffsetOutOfRange {}

/// Wall-clock time in milliseconds since the Unix epoch, as Kafka stamps records. Producers choose it, so it
/// may be anything, negative too; `-1` is Kafka's "no timestamp" and only `wire` and the batch codec use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TimestampMs(pub i64);

impl fmt::Display for TimestampMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds() {
        assert_eq!(Offset::new(u64::MAX), None);
        assert_eq!(Offset::MAX.checked_add(1), None);
        assert_eq!(Offset::from_i64(-1), Err(OffsetOutOfRange(-1)));
        assert_eq!(Offset::from_i64(7).map(Offset::get), Ok(7));
        assert_eq!(Offset::ZERO.since(Offset::MAX), 0);
    }
}
