//! Identities for idempotent producers, from blocks that the metadata log hands out.

use highwater_env::BoxFuture;
use std::ops::Range;

use highwater_metadata::decide;
use highwater_records::{ProducerEpoch, ProducerId};
use tokio::sync::Mutex;

use crate::{
    Node,
    request::{Caller, InitProducerIdError},
};

/// What is left of this broker's block. A block is in force before its first id is given, so that no restart gives
/// an id twice; what is left of it at a restart is lost.
#[derive(Default)]
pub(crate) struct ProducerIds {
    block: Mutex<Range<u64>>,
}

impl Node {
    /// A fresh identity for an idempotent producer: an id never given before, epoch 0.
    ///
    /// # Errors
    /// [`InitProducerIdError::Unavailable`] while no block can be had; retry.
    pub fn init_producer_id<'a>(
        &'a self,
        caller: &'a Caller,
    ) -> BoxFuture<'a, Result<(ProducerId, ProducerEpoch), InitProducerIdError>> {
        Box::pin(async move {
            let _ = caller;
            let mut block = self.producer_ids.block.lock().await;
            if block.is_empty() {
                let mut taken = 0..0;
                self.cluster
                    .change(|image| {
                        let (records, ids) = decide::allocate_producer_ids(image, self.broker)?;
                        taken = ids.first.0..ids.end.0;
                        Ok::<_, decide::ProducerIdsExhausted>(records)
                    })
                    .await
                    .map_err(|error| InitProducerIdError::Unavailable(error.to_string()))?;
                *block = taken;
            }
            let id = block.next().ok_or_else(|| InitProducerIdError::Unavailable("an empty block".into()))?;
            Ok((ProducerId(id), ProducerEpoch(0)))
        })
    }
}
