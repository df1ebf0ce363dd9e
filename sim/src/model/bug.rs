/// A mistake that a broker could make; each was made by a real one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bug {
    /// Acknowledges on a synced topic before the sync.
    AckBeforeSync,
    /// Shows readers what was appended and is not synced yet.
    WatermarkBeyondDurable,
    /// Believes a sync that failed.
    IgnoreFailedSync,
    /// Appends a batch again that its producer sent again.
    AppendDuplicates,
    /// Forgets at a restart what it knew of producers, and takes their batches again.
    ForgetProducers,
    /// Answers a read with what lies above the watermark.
    ReadAboveWatermark,
    /// Serves what follows a torn batch after a restart.
    SkipTornBatch,
    /// Comes back from a restart one batch short, although nothing was lost.
    CutOneBatchAtStart,
    /// Hands out an offset that was handed out before, when it was restarted.
    ReuseOffsets,
    /// Answers latest with the position of a moment ago.
    StaleLatest,
    /// Skips a batch when a read begins in its middle.
    SkipToNextBatch,
    /// Never answers after the disk was full.
    HangAfterDiskFull,
}

impl Bug {
    /// Every bug.
    pub const ALL: [Bug; 12] = [
        Bug::AckBeforeSync,
        Bug::WatermarkBeyondDurable,
        Bug::IgnoreFailedSync,
        Bug::AppendDuplicates,
        Bug::ForgetProducers,
        Bug::ReadAboveWatermark,
        Bug::SkipTornBatch,
        Bug::CutOneBatchAtStart,
        Bug::ReuseOffsets,
        Bug::StaleLatest,
        Bug::SkipToNextBatch,
        Bug::HangAfterDiskFull,
    ];
}
