//! Which keys are keys.

use super::{BucketError, BucketErrorKind};

/// The longest key, in bytes. S3 takes 1,024 with the prefix.
const KEY_BYTES_MAX: usize = 768;

/// Refuses what could leave the bucket's directory, or what stores spell differently.
pub(crate) fn check(key: &str) -> Result<(), BucketError> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let fine = key.len() <= KEY_BYTES_MAX
        && key.split('/').all(|part| !part.is_empty() && !part.starts_with('.') && part.bytes().all(good));
    if fine { Ok(()) } else { Err(BucketError::new(BucketErrorKind::Refused, key, "not a key")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_the_bucket() {
        for key in ["owner", "heads/AQEB_A-/0", "a.b/c"] {
            assert!(check(key).is_ok(), "{key}");
        }
        for key in ["", "/", "/a", "a/", "a//b", "..", "a/../b", ".locks/1", "a b", "a\\b", "a\0"] {
            assert!(check(key).is_err(), "{key:?}");
        }
    }
}
