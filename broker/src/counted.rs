//! Numbers of things, in words.

use std::fmt::Display;

/// How many, and the word for one or for several: "1 batch", "0 batches".
pub(crate) fn counted<N: Display + PartialEq + From<u8>>(count: N, one: &str, several: &str) -> String {
    let word = if count == N::from(1) { one } else { several };
    format!("{count} {word}")
}
