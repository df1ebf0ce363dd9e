//! Waiting for the first of two things.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

/// Which of two futures was first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum First<A, B> {
    Left(A),
    Right(B),
}

impl<A, B> First<A, B> {
    /// Whether the left one was first.
    pub(crate) fn is_left(&self) -> bool {
        matches!(self, First::Left(_))
    }
}

/// Waits for either. The left one is asked first, always: `select!` draws lots, which no seed would repeat.
pub(crate) async fn first_of<A, B>(
    left: impl Future<Output = A>,
    right: impl Future<Output = B>,
) -> First<A, B> {
    let mut left = pin!(left);
    let mut right = pin!(right);
    poll_fn(|context| {
        if let Poll::Ready(value) = left.as_mut().poll(context) {
            return Poll::Ready(First::Left(value));
        }
        right.as_mut().poll(context).map(First::Right)
    })
    .await
}
