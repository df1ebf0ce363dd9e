//! Fetch sessions (KIP-227): a consumer of many partitions names only those that changed, and is told only of those
//! that changed.

mod cache;
mod session;

pub(crate) use cache::SessionCache;

use highwater_env::BoxFuture;
use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;

use crate::{
    Measured, Node,
    request::{
        Caller, Fetch, FetchPartition, FetchSession, FetchSessionError, Fetched, FetchedPartition,
        SessionFetched,
    },
};
use session::Session;

/// The epoch that asks for a new session.
const INITIAL: i32 = 0;
/// The epoch that asks for none, and ends one.
const FINAL: i32 = -1;

/// What an answer means for a session.
enum Context {
    /// The client keeps none.
    Without,
    /// It asked for one.
    New,
    /// It goes on with this one, which awaits this epoch next.
    Of { id: i32, session: Arc<Mutex<Session>>, awaits: i32 },
}

impl Node {
    /// Reads like [`Node::fetch`] for a client that may keep a session: `request` then names what changed since its
    /// last fetch, and the answer leaves out the partitions of which there is nothing new to tell.
    ///
    /// # Errors
    /// [`FetchSessionError`]: the client begins again with a full fetch.
    pub fn fetch_in_session<'a>(
        &'a self,
        caller: &'a Caller,
        session: FetchSession,
        mut request: Fetch,
    ) -> BoxFuture<'a, Result<SessionFetched, FetchSessionError>> {
        Box::pin(async move {
            let uses_ids = session.uses_ids;
            let (context, partitions) = self.enter(session, std::mem::take(&mut request.partitions))?;
            request.partitions = partitions.clone();
            request.max_bytes = request.max_bytes.min(self.fetch_bytes_within_quota(caller));
            let answers = self.fetch(caller, request).await;
            let bytes: usize =
                answers.iter().map(|answer| answer.result.as_ref().map_or(0, Fetched::len)).sum();
            let pause = self.count_usage(caller, Measured::Fetched, bytes as f64);
            if pause.is_zero() {
                return self.leave(context, uses_ids, partitions.into_iter().zip(answers).collect());
            }
            // What was read is not sent, so it does not count; the client comes again after the pause.
            self.count_usage(caller, Measured::Fetched, -(bytes as f64));
            let id = match context {
                Context::Without | Context::New => 0,
                Context::Of { id, .. } => id,
            };
            Ok(SessionFetched { id, partitions: Vec::new(), pause })
        })
    }

    /// What is to be read.
    fn enter(
        &self,
        asked: FetchSession,
        partitions: Vec<FetchPartition>,
    ) -> Result<(Context, Vec<FetchPartition>), FetchSessionError> {
        if asked.epoch == INITIAL || asked.epoch == FINAL {
            // A session that is named in a full fetch is at its end.
            self.sessions.remove(asked.id);
            let context = if asked.epoch == INITIAL { Context::New } else { Context::Without };
            return Ok((context, partitions));
        }
        let session = self.sessions.find(asked.id).ok_or(FetchSessionError::UnknownId)?;
        let (size, all, awaits) = {
            let mut held = session.lock();
            if held.uses_ids() != asked.uses_ids {
                return Err(FetchSessionError::TopicIds);
            }
            held.advance(asked.epoch)?;
            held.update(partitions, &asked.forgotten);
            (held.len(), held.partitions(), held.epoch())
        };
        if size == 0 {
            self.sessions.remove(asked.id);
            return Ok((Context::Without, all));
        }
        if !self.sessions.touch(asked.id, size, self.env.now()) {
            return Err(FetchSessionError::UnknownId);
        }
        Ok((Context::Of { id: asked.id, session, awaits }, all))
    }

    /// What is to be told of what was read.
    fn leave(
        &self,
        context: Context,
        uses_ids: bool,
        answers: Vec<(FetchPartition, FetchedPartition)>,
    ) -> Result<SessionFetched, FetchSessionError> {
        let (id, partitions) = match context {
            Context::Without => (0, answers),
            Context::New => {
                let now = self.env.now();
                let random = || self.env.random();
                let id =
                    self.sessions.create(answers.len(), now, random, || Session::new(uses_ids, &answers));
                (id.unwrap_or(0), answers)
            }
            Context::Of { id, session, awaits } => {
                let mut held = session.lock();
                if held.epoch() != awaits {
                    return Err(FetchSessionError::InvalidEpoch { id });
                }
                let mut answers = answers;
                answers.retain(|(asked, answer)| held.is_news(asked, answer));
                (id, answers)
            }
        };
        let partitions =
            partitions.into_iter().map(|(asked, answer)| (asked.topic, asked.partition, answer)).collect();
        Ok(SessionFetched { id, partitions, pause: Duration::ZERO })
    }
}
