//! What a put writes.

use bytes::Bytes;
use highwater_env::BoxFuture;

/// The bytes of an object, one piece after the other, so that a segment is never in memory as a whole.
pub trait Pieces: Send {
    /// The next piece; `None` at the end. Pieces may have any size, also none.
    ///
    /// # Errors
    /// [`PieceFailed`] ends the put; whoever made the pieces knows the reason.
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, PieceFailed>>;

    /// About how many bytes there will be, so that a store can choose the size of its parts.
    fn size_hint(&self) -> u64;
}

/// The pieces of an object could not be produced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the object's bytes could not be produced")]
pub struct PieceFailed;

/// Pieces that are in memory already.
#[derive(Clone, Debug, Default)]
pub struct Body {
    rest: std::collections::VecDeque<Bytes>,
}

impl Body {
    /// These pieces, in this order.
    pub fn new(pieces: impl IntoIterator<Item = Bytes>) -> Body {
        Body { rest: pieces.into_iter().collect() }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Body {
        Body::new([bytes])
    }
}

impl Pieces for Body {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, PieceFailed>> {
        let next = self.rest.pop_front();
        Box::pin(async move { Ok(next) })
    }

    fn size_hint(&self) -> u64 {
        self.rest.iter().map(|piece| piece.len() as u64).sum()
    }
}
