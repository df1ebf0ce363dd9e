//! Records as a program writes and reads them.

use std::borrow::Cow;

use bytes::Bytes;
use highwater_records::{
    Offset, TimestampMs,
    batch::{BatchBuilder, CheckPolicy, CheckedBatch, Header, Record as RawRecord},
    compression::Codec,
};

use super::WriteError;

/// Bytes that a batch and a record need beside keys, values and headers, at least about: memory is asked for once.
const BATCH_OVERHEAD: usize = 64;
const RECORD_OVERHEAD: usize = 16;

/// The name and the value of a header to be written; `None` is Kafka's null.
pub type NewHeader<'a> = (Cow<'a, str>, Option<Cow<'a, [u8]>>);

/// A record to be written: a value, and if wanted a key, headers and a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewRecord<'a> {
    /// What it is about; `None` for nothing in particular.
    pub key: Option<Cow<'a, [u8]>>,
    /// Its content; `None` is Kafka's null, which differs from empty.
    pub value: Option<Cow<'a, [u8]>>,
    /// Names and values beside the content, in their order; names may repeat.
    pub headers: Vec<NewHeader<'a>>,
    /// When it happened, in milliseconds since the Unix epoch; `None` for the moment of writing.
    pub timestamp: Option<TimestampMs>,
}

impl<'a> NewRecord<'a> {
    /// A record with this value and nothing else.
    pub fn new(value: impl Into<Cow<'a, [u8]>>) -> NewRecord<'a> {
        NewRecord { value: Some(value.into()), ..NewRecord::default() }
    }

    /// With a key.
    #[must_use]
    pub fn key(mut self, key: impl Into<Cow<'a, [u8]>>) -> NewRecord<'a> {
        self.key = Some(key.into());
        self
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, [u8]>>) -> NewRecord<'a> {
        self.headers.push((name.into(), Some(value.into())));
        self
    }

    /// With a time of its own.
    #[must_use]
    pub fn at(mut self, timestamp: TimestampMs) -> NewRecord<'a> {
        self.timestamp = Some(timestamp);
        self
    }
}

/// A type that is one record. Implement it, and [`SharedLog::append`](super::SharedLog::append) takes a reference to
/// it.
///
/// ```
/// use highwater_engine::embed::{NewRecord, ToRecord};
///
/// struct Deposit {
///     account: String,
///     cents: u64,
/// }
///
/// impl ToRecord for Deposit {
///     fn to_record(&self) -> NewRecord<'_> {
///         NewRecord::new(self.cents.to_be_bytes().to_vec()).key(self.account.as_bytes())
///     }
/// }
/// # let deposit = Deposit { account: "a".into(), cents: 7 };
/// # assert_eq!(deposit.to_record().key.as_deref(), Some(&b"a"[..]));
/// ```
pub trait ToRecord {
    /// The record. What it borrows is not copied before it is written.
    fn to_record(&self) -> NewRecord<'_>;
}

impl ToRecord for NewRecord<'_> {
    fn to_record(&self) -> NewRecord<'_> {
        NewRecord {
            key: self.key.as_deref().map(Cow::Borrowed),
            value: self.value.as_deref().map(Cow::Borrowed),
            headers: self
                .headers
                .iter()
                .map(|(name, value)| (Cow::Borrowed(&**name), value.as_deref().map(Cow::Borrowed)))
                .collect(),
            timestamp: self.timestamp,
        }
    }
}

impl ToRecord for [u8] {
    fn to_record(&self) -> NewRecord<'_> {
        NewRecord::new(self)
    }
}

impl<const N: usize> ToRecord for [u8; N] {
    fn to_record(&self) -> NewRecord<'_> {
        NewRecord::new(&self[..])
    }
}

impl ToRecord for str {
    fn to_record(&self) -> NewRecord<'_> {
        NewRecord::new(self.as_bytes())
    }
}

impl ToRecord for String {
    fn to_record(&self) -> NewRecord<'_> {
        self.as_str().to_record()
    }
}

impl ToRecord for Vec<u8> {
    fn to_record(&self) -> NewRecord<'_> {
        self.as_slice().to_record()
    }
}

impl ToRecord for Bytes {
    fn to_record(&self) -> NewRecord<'_> {
        NewRecord::new(&self[..])
    }
}

/// What can be appended: anything that is a record, and a batch that somebody else built and that was checked.
///
/// Not to be implemented: implement [`ToRecord`].
pub trait ToBatch {
    /// The batch, its records stamped with `now` where they have no time of their own.
    ///
    /// # Errors
    /// [`WriteError::Invalid`].
    fn to_batch(&self, codec: Codec, now: TimestampMs) -> Result<CheckedBatch, WriteError>;
}

impl<R: ToRecord + ?Sized> ToBatch for R {
    fn to_batch(&self, codec: Codec, now: TimestampMs) -> Result<CheckedBatch, WriteError> {
        one_batch(&[self.to_record()], codec, now)
    }
}

impl ToBatch for CheckedBatch {
    fn to_batch(&self, _codec: Codec, _now: TimestampMs) -> Result<CheckedBatch, WriteError> {
        Ok(self.clone())
    }
}

/// All of them in one batch, which lands whole or not at all.
pub(super) fn one_batch(
    records: &[NewRecord<'_>],
    codec: Codec,
    now: TimestampMs,
) -> Result<CheckedBatch, WriteError> {
    let size = |part: &Option<Cow<'_, [u8]>>| part.as_ref().map_or(0, |bytes| bytes.len());
    let sizes = records.iter().map(|record| size(&record.key) + size(&record.value) + RECORD_OVERHEAD);
    let mut batch = BatchBuilder::with_capacity(codec, BATCH_OVERHEAD + sizes.sum::<usize>());
    for record in records {
        push(&mut batch, record, now)?;
    }
    checked(batch)
}

/// Adds a record, stamped with `now` where it has no time.
pub(super) fn push(
    batch: &mut BatchBuilder,
    record: &NewRecord<'_>,
    now: TimestampMs,
) -> Result<(), WriteError> {
    let headers: Vec<Header<'_>> =
        record.headers.iter().map(|(name, value)| Header { key: name, value: value.as_deref() }).collect();
    let record = RawRecord {
        timestamp: record.timestamp.unwrap_or(now),
        key: record.key.as_deref(),
        value: record.value.as_deref(),
        headers: &headers,
    };
    batch.push(record).map_err(WriteError::invalid)
}

/// The batch, ready to be appended.
pub(super) fn checked(batch: BatchBuilder) -> Result<CheckedBatch, WriteError> {
    let bytes = batch.build(Offset::ZERO, None).map_err(WriteError::invalid)?;
    CheckedBatch::check(bytes, &CheckPolicy::internal()).map_err(WriteError::invalid)
}

/// A record that was read. Cloning is cheap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its number in its log.
    pub offset: Offset,
    /// When it happened, in milliseconds since the Unix epoch; `None` if its writer gave no time.
    pub timestamp: Option<TimestampMs>,
    /// What it is about, if anything.
    pub key: Option<Bytes>,
    /// Its content; `None` is Kafka's null, which differs from empty.
    pub value: Option<Bytes>,
    /// Names (text by convention, not by force) and values beside the content, in their order.
    pub headers: Vec<(Bytes, Option<Bytes>)>,
}

impl Record {
    /// Its value; empty where it has none.
    pub fn bytes(&self) -> &[u8] {
        self.value.as_deref().unwrap_or_default()
    }

    /// Its value as text, if it is UTF-8; empty where it has none.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.bytes()).ok()
    }
}

/// A type that can be read back from a record; the other half of [`ToRecord`]. See
/// [`Records::decoded`](super::Records::decoded).
pub trait FromRecord: Sized {
    /// Why a record is none of these.
    type Error;

    /// Reads it.
    ///
    /// # Errors
    /// When the record is none of these.
    fn from_record(record: &Record) -> Result<Self, Self::Error>;
}

impl FromRecord for Record {
    type Error = std::convert::Infallible;

    fn from_record(record: &Record) -> Result<Record, Self::Error> {
        Ok(record.clone())
    }
}

impl FromRecord for Vec<u8> {
    type Error = std::convert::Infallible;

    fn from_record(record: &Record) -> Result<Vec<u8>, Self::Error> {
        Ok(record.bytes().to_vec())
    }
}

impl FromRecord for String {
    type Error = std::str::Utf8Error;

    fn from_record(record: &Record) -> Result<String, Self::Error> {
        std::str::from_utf8(record.bytes()).map(str::to_owned)
    }
}
