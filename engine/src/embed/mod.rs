//! A log in your program, in a few lines: open a directory, append records, read them back, follow them.
//!
//! A *log* is a file that only grows: whoever appends a *record* gets back its *offset*, its number in the log, and
//! whoever reads asks for the records from an offset on. That is enough for an event store, a work queue, a journal,
//! a change feed or a `tail -f` that survives restarts; see `examples/`.
//!
//! ```
//! use highwater_engine::embed::Logs;
//! use highwater_records::Offset;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let place = tempfile::tempdir()?;
//! # let path = place.path();
//! let logs = Logs::open(path)?;
//! let visits = logs.log("visits")?;
//!
//! // One line, durable when it returns.
//! let first = visits.append("alice")?;
//! visits.append("bob")?;
//!
//! // From the start, from an offset, from a time, from the end.
//! let now = visits.snapshot()?;
//! assert_eq!(now.records_from(first).count(), 2);
//! assert_eq!(now.backwards().next().unwrap()?.text(), Some("bob"));
//!
//! // Only if nobody was faster.
//! visits.append_if(now.end(), "carol")?;
//! assert!(visits.append_if(now.end(), "dave").is_err());
//!
//! // On and on.
//! let mut tail = visits.tail(Offset::ZERO);
//! assert_eq!(tail.next().unwrap()?.text(), Some("alice"));
//!
//! logs.close()?;
//! # Ok(())
//! # }
//! ```
//!
//! Everything is synchronous and starts no thread. Waiting works from threads ([`Tail`] is an iterator,
//! [`Ticket::wait`]) and from tasks of any runtime ([`Tail::recv`], and a [`Ticket`] is a future).
//!
//! What lies on the disk are ordinary logs of this crate, in Kafka's file layout: a log is partition 0 of a topic of its
//! name. [`LogDir`](crate::LogDir) and [`Log`](crate::Log) are the same things without this layer: several partitions,
//! leader epochs, replication, the clock passed in.

mod backwards;
mod batches;
mod error;
mod gather;
mod logs;
mod record;
mod records;
mod shared;
mod snapshot;
mod tail;
#[cfg(test)]
mod tests;
mod ticket;
mod watch;
mod work;

pub use backwards::Backwards;
pub use batches::{Batches, BatchesTicket};
pub use error::{OpenError, UpkeepError, WriteAllError, WriteError};
pub use gather::Gather;
pub use logs::{Logs, Maintained, Options};
pub use record::{FromRecord, NewHeader, NewRecord, Record, ToBatch, ToRecord};
pub use records::{Decoded, DecodedError, Records};
pub use shared::SharedLog;
pub use snapshot::{Isolation, Snapshot};
pub use tail::Tail;
pub use ticket::Ticket;
