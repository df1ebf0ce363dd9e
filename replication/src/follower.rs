//! One partition as a follower sees it.

use crate::{
    divergence::{EpochEnd, cut_at},
    museum::{Bug, has},
};
use highwater_records::{BrokerId, LeaderEpoch, Offset};

/// One partition that this broker follows, in one leader epoch. A new leader epoch is a new `Follower`.
///
/// It fetches from the end of its own log on, at once: there is no phase of truncation, because the leader compares
/// epochs at every fetch and answers where the logs part. The order of one round: [`Follower::fetch_from`], send,
/// [`Follower::accepts`] on the answer, then either [`Follower::diverges`] and a cut, or an append and
/// [`Follower::on_appended`].
///
/// Always true: the watermark is not beyond the log end that the caller last told, and it goes back only when a cut takes
/// what lies below it.
#[derive(Clone, Debug)]
pub struct Follower {
    leader: Option<BrokerId>,
    leader_epoch: LeaderEpoch,
    high_watermark: Offset,
}

/// What a follower starts from.
#[derive(Clone, Copy, Debug)]
pub struct FollowerStart {
    /// Whom it follows; `None` while nobody leads.
    pub leader: Option<BrokerId>,
    /// The effective leader epoch.
    pub leader_epoch: LeaderEpoch,
    /// The watermark this broker last knew (exclusive).
    pub high_watermark: Offset,
    /// The end of its log (exclusive).
    pub log_end: Offset,
}

/// Where a fetch begins, and under which circumstances it was sent: an answer counts only while they hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchFrom {
    /// Whom it is sent to.
    pub leader: BrokerId,
    /// In which leader epoch.
    pub leader_epoch: LeaderEpoch,
    /// The end of the follower's log (exclusive): what is asked for begins here.
    pub offset: Offset,
}

/// A cut of the follower's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truncation {
    /// Everything at or above goes.
    pub to: Offset,
    /// Whether that is below what this follower took for committed. It happens after an unclean election, and to a
    /// broker that lost the end of its log and was told an old watermark; it is to be reported.
    pub below_watermark: bool,
}

impl Follower {
    /// Starts following.
    pub fn new(start: FollowerStart) -> Follower {
        Follower {
            leader: start.leader,
            leader_epoch: start.leader_epoch,
            high_watermark: start.high_watermark.min(start.log_end),
        }
    }

    /// Where to fetch from next; `None` while nobody leads.
    pub fn fetch_from(&self, log_end: Offset) -> Option<FetchFrom> {
        Some(FetchFrom { leader: self.leader?, leader_epoch: self.leader_epoch, offset: log_end })
    }

    /// Whether an answer to a fetch sent as `sent` may be applied: this broker still follows that leader in that epoch,
    /// and nothing else has changed its log meanwhile (KAFKA-13207).
    pub fn accepts(&self, sent: &FetchFrom, log_end: Offset) -> bool {
        has(Bug::AnswerOfFormerLeader)
            || (self.leader == Some(sent.leader)
                && self.leader_epoch == sent.leader_epoch
                && log_end == sent.offset)
    }

    /// The leader answered that the logs part at `at`: says where to cut this one, whose oldest known epoch begins at
    /// `first`, and takes the watermark back with it, before anything else of the answer is looked at (KAFKA-14704).
    pub fn diverges(
        &mut self,
        at: EpochEnd,
        first: Offset,
        log_end: Offset,
        epoch_end: impl FnOnce(LeaderEpoch) -> Option<EpochEnd>,
    ) -> Truncation {
        let to = match has(Bug::TruncateToWatermark) {
            true => self.high_watermark,
            false => cut_at(at, first, log_end, epoch_end),
        };
        let below_watermark = to < self.high_watermark;
        self.high_watermark = self.high_watermark.min(to);
        Truncation { to, below_watermark }
    }

    /// The follower begins again, with an empty log at `offset`: everything below is in the bucket, or gone.
    pub fn restarted_at(&mut self, offset: Offset) {
        // What the leader has below its log start, or in the bucket, was committed.
        self.high_watermark = offset;
    }

    /// What the leader sent is appended: takes in the watermark that came with it. Answers with this follower's
    /// watermark if it advanced.
    pub fn on_appended(&mut self, leader_watermark: Offset, log_end: Offset) -> Option<Offset> {
        let reached = leader_watermark.min(log_end);
        if reached <= self.high_watermark {
            return None;
        }
        self.high_watermark = reached;
        Some(reached)
    }

    /// Whom it follows.
    pub const fn leader(&self) -> Option<BrokerId> {
        self.leader
    }

    /// The leader epoch.
    pub const fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    /// Everything below is committed, as far as this follower knows. Exclusive.
    pub const fn high_watermark(&self) -> Offset {
        self.high_watermark
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset(value: u64) -> Offset {
        Offset::new(value).expect("small")
    }

    fn follower(high_watermark: u64, log_end: u64) -> Follower {
        Follower::new(FollowerStart {
            leader: Some(BrokerId(1)),
            leader_epoch: LeaderEpoch(5),
            high_watermark: offset(high_watermark),
            log_end: offset(log_end),
        })
    }

    fn end(epoch: u32, end: u64) -> EpochEnd {
        EpochEnd { epoch: LeaderEpoch(epoch), end: offset(end) }
    }

    #[test]
    fn a_cut_takes_the_watermark_with_it_and_says_so() {
        let mut follower = follower(4, 9);
        let cut = follower.diverges(end(3, 6), offset(0), offset(9), |_| Some(end(3, 9)));
        assert_eq!(cut, Truncation { to: offset(6), below_watermark: false });
        assert_eq!(follower.high_watermark(), offset(4));
        let cut = follower.diverges(end(2, 8), offset(0), offset(6), |_| Some(end(2, 3)));
        assert_eq!(cut, Truncation { to: offset(3), below_watermark: true });
        assert_eq!(follower.high_watermark(), offset(3));
    }

    #[test]
    fn the_watermark_never_passes_the_log_end() {
        let mut follower = follower(4, 9);
        assert_eq!(follower.on_appended(offset(20), offset(12)), Some(offset(12)));
        assert_eq!(follower.on_appended(offset(11), offset(12)), None);
        assert_eq!(follower.on_appended(offset(20), offset(20)), Some(offset(20)));
    }

    #[test]
    fn answers_to_what_is_no_longer_asked() {
        let follower = follower(4, 9);
        let sent = follower.fetch_from(offset(9)).expect("there is a leader");
        assert!(follower.accepts(&sent, offset(9)));
        assert!(!follower.accepts(&sent, offset(8)), "the log was cut meanwhile");
        assert!(!follower.accepts(&FetchFrom { leader: BrokerId(2), ..sent }, offset(9)));
        assert!(!follower.accepts(&FetchFrom { leader_epoch: LeaderEpoch(4), ..sent }, offset(9)));
    }
}
