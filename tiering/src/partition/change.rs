//! One head change, from the head it starts from to the head that is in the bucket (`docs/format/head.md`).

use std::{sync::Arc, time::Duration};

use highwater_env::EnvExt;
use highwater_records::LeaderEpoch;

use super::{Base, Known, PartitionTier, Turn, apply::Change};
use crate::{
    bucket::{BucketErrorKind, Tag},
    error::TierError,
    head::{HEAD_BYTES_MAX, Head},
    name::{Digest, Fence, ObjectId, head_key},
};

/// Starts from another head before the caller is told to retry.
const ROUNDS: u32 = 6;
/// Sends of the same bytes.
const SENDS: u32 = 5;

/// Where a send has led.
enum Sent {
    /// Our head is the head.
    Committed(Tag),
    /// Another head is.
    Superseded,
}

impl PartitionTier {
    /// Makes `change` in the epoch `epoch`, and returns once the head in the bucket has it. Makes nothing where
    /// there is nothing to change.
    ///
    /// After an error that is not [`TierError::Fenced`] or one of the caller's making, the outcome may be open: the
    /// next call reads the head first.
    pub(super) async fn change(
        &self,
        turn: &mut Turn,
        epoch: LeaderEpoch,
        change: &Change<'_>,
    ) -> Result<(), TierError> {
        let fence = Fence { incarnation: self.tier.incarnation_for_changes().await?, epoch };
        for round in 0..ROUNDS {
            if matches!(turn.base, Base::Unread) {
                self.read_head(turn).await?;
            }
            let base = match &turn.base {
                Base::Known(known) => Some(known.clone()),
                _ => None,
            };
            if let Some(by) = base.as_ref().map(|known| known.head.fence).filter(|by| *by > fence) {
                return Err(TierError::Fenced { by });
            }
            let Some(mut head) = self.apply(turn, change, base.as_deref(), fence).await? else {
                return Ok(());
            };
            if change.destroys() {
                self.confirm(turn, epoch).await?;
            }
            self.finish(&mut head, base.as_deref(), fence);
            let (bytes, digest) = head.encode();
            if let Err(error) = head.check() {
                return Err(TierError::refused(format!("a head change that would break the head: {error}")));
            }
            if bytes.len() > HEAD_BYTES_MAX {
                return Err(TierError::refused(format!("a head of {} bytes", bytes.len())));
            }
            // Whatever happens from here on, the head is not known until it is settled.
            turn.base = Base::Unread;
            match self.send(base.as_deref(), &bytes, head.attempt, digest).await? {
                Sent::Committed(tag) => {
                    turn.gone.clear();
                    turn.named(&head);
                    turn.base = Base::Known(Arc::new(Known { head, digest, tag }));
                    self.show(turn);
                    return Ok(());
                }
                Sent::Superseded => self.pause(round).await,
            }
        }
        Err(TierError::retry("the head keeps changing"))
    }

    /// Fills in what every head change fills in.
    fn finish(&self, head: &mut Head, base: Option<&Known>, fence: Fence) {
        let env = &*self.tier.env;
        head.fence = fence;
        head.attempt = ObjectId::draw(env);
        head.version = base.map_or(0, |known| known.head.version).saturating_add(1);
        head.predecessor = base.map_or(Digest::default(), |known| known.digest);
        head.written_ms = env.wall_ms();
        (head.topic_name, head.config_version) = self.topic.clone();
    }

    /// Sends one head until it is known whether it is in the bucket.
    async fn send(
        &self,
        base: Option<&Known>,
        bytes: &bytes::Bytes,
        attempt: ObjectId,
        digest: Digest,
    ) -> Result<Sent, TierError> {
        let key = head_key(self.id);
        let mut failed = TierError::retry("not tried");
        for send in 0..SENDS {
            let answer = match base {
                None => self.tier.bucket.put_new(&key, bytes.clone()).await,
                Some(known) => self.tier.bucket.replace(&key, &known.tag, bytes.clone()).await,
            };
            let error = match answer {
                Ok(tag) => return Ok(Sent::Committed(tag)),
                Err(error) => error,
            };
            if error.kind != BucketErrorKind::Unavailable {
                // Refused is read back too: an earlier send may have arrived.
                let there = self.fetch_head().await?;
                match (&there, base) {
                    (Some(there), _) if there.head.attempt == attempt && there.digest == digest => {
                        return Ok(Sent::Committed(there.tag.clone()));
                    }
                    // Still what we started from: the same bytes may be sent again.
                    (Some(there), Some(base)) if there.digest == base.digest => {}
                    (None, None) => {}
                    _ => return Ok(Sent::Superseded),
                }
            }
            failed = error.clone().into();
            if error.kind == BucketErrorKind::Refused {
                break;
            }
            self.pause(send).await;
        }
        Err(match failed {
            // A replace of nothing; what is there was just read, so the caller starts over.
            TierError::Missing { .. } => TierError::retry(failed),
            failed => failed,
        })
    }

    /// A short pause that grows, with a spread so that two writers do not stay in step.
    async fn pause(&self, count: u32) {
        let spread = self.tier.env.random() % 50;
        self.tier.env.sleep(Duration::from_millis((20 << count.min(5)) + spread)).await;
    }

    /// The first change of an epoch that destroys something needs the controller's word.
    pub(super) async fn confirm(&self, turn: &mut Turn, epoch: LeaderEpoch) -> Result<(), TierError> {
        if turn.confirmed == Some(epoch) {
            return Ok(());
        }
        if let Some(confirm) = &self.tier.options.confirm
            && !confirm.confirm(self.id, epoch).await
        {
            return Err(TierError::NotLeader(self.id));
        }
        turn.confirmed = Some(epoch);
        Ok(())
    }
}
