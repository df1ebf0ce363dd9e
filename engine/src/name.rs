//! Names of logs and of their files, as Kafka spells them.

use std::{fmt, str::FromStr};

use highwater_records::{Offset, PartitionIndex};

use crate::text::plain_number;

/// A log's name within its directory of many: `<topic>-<partition>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogName {
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: PartitionIndex,
}

impl LogName {
    /// The name of this partition's log.
    pub fn new(topic: impl Into<String>, partition: PartitionIndex) -> LogName {
        LogName { topic: topic.into(), partition }
    }

    /// The name that says this; `None` if there is none, or it is spelled otherwise.
    pub(crate) fn of(topic: &str, partition: &str) -> Option<LogName> {
        let number = plain_number(partition).filter(|number| *number <= i32::MAX as u32)?;
        is_topic_name(topic).then(|| LogName::new(topic, PartitionIndex(number)))
    }
}

impl fmt::Display for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// Text that names no log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the name of a log (<topic>-<partition>)")]
pub struct InvalidLogName(String);

impl FromStr for LogName {
    type Err = InvalidLogName;

    fn from_str(text: &str) -> Result<LogName, InvalidLogName> {
        let invalid = || InvalidLogName(text.to_owned());
        let (topic, partition) = text.rsplit_once('-').ok_or_else(invalid)?;
        LogName::of(topic, partition).ok_or_else(invalid)
    }
}

/// Kafka's rule for topic names: what is safe as a directory's name and within a checkpoint's line.
fn is_topic_name(topic: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !topic.is_empty() && topic.len() <= 249 && topic != "." && topic != ".." && topic.bytes().all(legal)
}

/// The kinds of file that belong to an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FileKind {
    Log,
    OffsetIndex,
    TimeIndex,
    TransactionIndex,
    TransactionSum,
    Points,
    Snapshot,
    Producers,
}

impl FileKind {
    /// The files of one segment.
    pub(crate) const SEGMENT: [FileKind; 6] = [
        FileKind::Log,
        FileKind::OffsetIndex,
        FileKind::TimeIndex,
        FileKind::TransactionIndex,
        FileKind::TransactionSum,
        FileKind::Points,
    ];
    /// The aborted transactions of a segment that has any.
    pub(crate) const TRANSACTIONS: [FileKind; 2] = [FileKind::TransactionIndex, FileKind::TransactionSum];
    /// The files of producer state at one offset.
    pub(crate) const PRODUCER_STATE: [FileKind; 2] = [FileKind::Snapshot, FileKind::Producers];

    pub(crate) const ALL: [FileKind; 8] = [
        FileKind::Log,
        FileKind::OffsetIndex,
        FileKind::TimeIndex,
        FileKind::TransactionIndex,
        FileKind::TransactionSum,
        FileKind::Points,
        FileKind::Snapshot,
        FileKind::Producers,
    ];

    const fn suffix(self) -> &'static str {
        match self {
            FileKind::Log => "log",
            FileKind::OffsetIndex => "index",
            FileKind::TimeIndex => "timeindex",
            FileKind::TransactionIndex => "txnindex",
            FileKind::TransactionSum => "hwtxn",
            FileKind::Points => "hwpoints",
            FileKind::Snapshot => "snapshot",
            FileKind::Producers => "hwproducers",
        }
    }

    /// The name of this kind of file at `offset`.
    pub(crate) fn at(self, offset: Offset) -> String {
        format!("{:020}.{}", offset.get(), self.suffix())
    }
}

/// What a name in a log's directory means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FileName {
    /// A file that belongs to an offset.
    Of(FileKind, Offset),
    /// The same, renamed because it is to go.
    Deleted(FileKind, Offset),
    /// What recovery moved aside, and when (milliseconds since the Unix epoch).
    Cut(i64),
    /// A file of a compacted segment, which does not count yet.
    Cleaned(FileKind, Offset),
    /// The same, once it counts.
    Swap(FileKind, Offset),
    /// A file whose writing did not finish.
    Temporary,
    /// Anything else.
    Other,
}

/// What a file renamed for deletion ends with.
pub(crate) const DELETED: &str = ".deleted";
/// What a file of a compacted segment ends with until all of them are complete.
pub(crate) const CLEANED: &str = ".cleaned";
/// What it ends with until it has replaced what it was made from.
pub(crate) const SWAP: &str = ".swap";
/// What a file being written ends with.
pub(crate) const TEMPORARY: &str = ".tmp";

impl FileName {
    pub(crate) fn parse(name: &str) -> FileName {
        if name.ends_with(TEMPORARY) {
            return FileName::Temporary;
        }
        if let Some((_, time)) = name.rsplit_once(".cut-")
            && let Ok(time) = time.parse()
        {
            return FileName::Cut(time);
        }
        let (rest, suffix) = match name.rsplit_once('.') {
            Some((rest, suffix)) if rest.contains('.') => (rest, suffix),
            _ => (name, ""),
        };
        let Some((kind, offset)) = plain(rest) else { return FileName::Other };
        match suffix {
            "" => FileName::Of(kind, offset),
            "deleted" => FileName::Deleted(kind, offset),
            "cleaned" => FileName::Cleaned(kind, offset),
            "swap" => FileName::Swap(kind, offset),
            _ => FileName::Other,
        }
    }
}

fn plain(name: &str) -> Option<(FileKind, Offset)> {
    let (digits, suffix) = name.split_once('.')?;
    let kind = FileKind::ALL.into_iter().find(|kind| kind.suffix() == suffix)?;
    if digits.len() != 20 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((kind, Offset::new(digits.parse().ok()?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_names() {
        let name: LogName = "my-topic-12".parse().unwrap();
        assert_eq!(name, LogName::new("my-topic", PartitionIndex(12)));
        assert_eq!(name.to_string(), "my-topic-12");
        for bad in ["", "t", "t-", "-1", "t-01", "t-+1", "t-4294967295", "a b-0", "..-0", "t-0.abc-delete"] {
            assert!(bad.parse::<LogName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn file_names() {
        let offset = Offset::new(42).unwrap();
        for kind in FileKind::ALL {
            let name = kind.at(offset);
            assert_eq!(FileName::parse(&name), FileName::Of(kind, offset));
            assert_eq!(FileName::parse(&format!("{name}.deleted")), FileName::Deleted(kind, offset));
            assert_eq!(FileName::parse(&format!("{name}.cleaned")), FileName::Cleaned(kind, offset));
            assert_eq!(FileName::parse(&format!("{name}.swap")), FileName::Swap(kind, offset));
        }
        assert_eq!(FileKind::Log.at(offset), "00000000000000000042.log");
        assert_eq!(FileName::parse("00000000000000000042.log.cut-17"), FileName::Cut(17));
        assert_eq!(FileName::parse("leader-epoch-checkpoint.tmp"), FileName::Temporary);
        for other in ["42.log", "99999999999999999999.log", "0000000000000000004x.log", "partition.metadata"]
        {
            assert_eq!(FileName::parse(other), FileName::Other, "{other}");
        }
    }
}
