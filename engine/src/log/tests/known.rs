//! What a log knows, all of it, for tests that compare two.

use std::sync::Arc;

use highwater_records::Offset;

use crate::{
    EpochStart,
    index::{AbortedTransaction, OffsetEntry, TimeEntry, decode},
    log::Log,
    producer::ProducerStates,
    segment::Segment,
};

/// What a log knows and has no batch for.
#[derive(Debug, PartialEq)]
pub(crate) struct Known {
    pub(crate) segments: Vec<KnownSegment>,
    end: Offset,
    epochs: Vec<EpochStart>,
    producers: ProducerStates,
}

#[derive(Debug, PartialEq)]
pub(crate) struct KnownSegment {
    base: Offset,
    size: u64,
    max_timestamp: Option<i64>,
    offsets: Vec<OffsetEntry>,
    pub(crate) times: Vec<TimeEntry>,
    aborted: Vec<AbortedTransaction>,
}

impl Log {
    pub(crate) fn known(&self) -> Known {
        let of_segment = |segment: &Arc<Segment>| KnownSegment {
            base: segment.base,
            size: segment.facts().size,
            max_timestamp: segment.facts().max_timestamp.map(|(timestamp, _)| timestamp.0),
            offsets: decode(&segment.offset_index.bytes().unwrap()).unwrap(),
            times: decode(&segment.time_index.bytes().unwrap()).unwrap(),
            aborted: decode(&segment.transaction_index.bytes().unwrap()).unwrap(),
        };
        let mut producers = self.producers.clone();
        // Whether an ended transaction is remembered whose records are deleted is up to what recovery began with: a point
        // tells of it, batches do not.
        producers.transactions.forget_ended_below(self.positions().log_start);
        Known {
            segments: self.segments.iter().map(of_segment).collect(),
            end: self.positions().log_end,
            epochs: self.epochs(),
            producers,
        }
    }
}
