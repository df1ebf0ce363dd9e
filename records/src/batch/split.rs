use bytes::Bytes;

use super::{error::BatchError, view::BatchView};

/// Cuts a record set (of a produce request, a fetch response, a file) into whole batches.
///
/// The iterator yields each batch's bytes, sharing the memory of `bytes`, and after an error nothing more. Bytes
/// that do not make a whole batch are the error [`BatchError::Truncated`]; whether that is a fault or the natural
/// end of a limited read is the caller's to know.
pub fn split(bytes: Bytes) -> Split {
    Split { rest: bytes }
}

/// See [`split`].
#[derive(Clone, Debug)]
pub struct Split {
    rest: Bytes,
}

impl Iterator for Split {
    type Item = Result<Bytes, BatchError>;

    fn next(&mut self) -> Option<Result<Bytes, BatchError>> {
        if self.rest.is_empty() {
            return None;
        }
        match BatchView::parse(&self.rest).map(|view| view.size()) {
            Ok(size) => Some(Ok(self.rest.split_to(size))),
            Err(error) => {
                self.rest.clear();
                Some(Err(error))
            }
        }
    }
}
