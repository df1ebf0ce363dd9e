//! What must hold, one file each. Each file says what it checks and
//! what it does not, and proves on a made-up history that it can fail.
//!
//! | File | Promise |
//! |---|---|
//! | [`d1_acked_loss`] | what was acknowledged stays, or its loss is reported where that is allowed |
//! | [`d14_watermark`] | the watermark a client is told never goes backwards |
//! | [`d15_read_bound`] | nothing at or above the watermark is shown |
//! | [`d16_immutability`] | what was read stays what it was |
//! | [`l1_dense`] | offsets have no gap and none is used twice |
//! | [`l2_batch_valid`] | every batch shown or kept is whole and valid |
//! | [`l3_index_hints`] | index entries point at batches that contain what they claim |
//! | [`l4_segment_naming`] | files are named for their first batch and do not overlap |
//! | [`l5_log_start`] | the log start never goes backwards or beyond the watermark |
//! | [`l6_linearizable`] | appends and reads happen one at a time, between their begin and their answer |
//! | [`l7_real_time_order`] | an append that began after another was acknowledged comes after it |
//! | [`l8_timestamps`] | a time is found where it is |
//! | [`p2_valid_batches`] | a producer's batches are not refused, however often they are tried |
//! | [`p6_error_hygiene`] | what was refused for good is not there |
//! | [`r2_local_delete`] | local bytes go only once the bucket has them |
//! | [`r4_keys`] | no key of the bucket is written twice with different bytes |

pub mod d14_watermark;
pub mod d15_read_bound;
pub mod d16_immutability;
pub mod d1_acked_loss;
pub mod l1_dense;
pub mod l2_batch_valid;
pub mod l3_index_hints;
pub mod l4_segment_naming;
pub mod l5_log_start;
pub mod l6_linearizable;
pub mod l7_real_time_order;
pub mod l8_timestamps;
pub mod p2_valid_batches;
pub mod p6_error_hygiene;
pub mod r2_local_delete;
pub mod r4_keys;
#[cfg(test)]
mod testing;

use crate::{ghost::Ghost, history::Event};

/// Something that must hold after every event.
pub trait Invariant: Send {
    /// Its number in the list of invariants, and a few words.
    fn name(&self) -> &'static str;

    /// Checks one event against what was known before it.
    ///
    /// # Errors
    /// What does not hold, for people.
    fn check(&mut self, ghost: &Ghost, event: &Event) -> Result<(), String>;
}

/// All of them.
pub fn all() -> Vec<Box<dyn Invariant>> {
    vec![
        Box::new(d1_acked_loss::AckedLoss),
        Box::new(d14_watermark::Watermark),
        Box::new(d15_read_bound::ReadBound),
        Box::new(d16_immutability::Immutability),
        Box::new(l1_dense::Dense),
        Box::new(l2_batch_valid::BatchValid),
        Box::new(l3_index_hints::IndexHints),
        Box::new(l4_segment_naming::SegmentNaming),
        Box::new(l5_log_start::LogStart),
        Box::new(l6_linearizable::Linearizable::default()),
        Box::new(l7_real_time_order::RealTimeOrder),
        Box::new(p6_error_hygiene::ErrorHygiene),
        Box::new(r2_local_delete::LocalDelete),
    ]
}
