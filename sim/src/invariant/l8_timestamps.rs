//! L8: a time is found at the first record with that timestamp or a later one, on disk and in the bucket alike, or not at all.

use crate::batch::SeenBatch;

/// Its number and a few words.
pub const NAME: &str = "L8 timestamp lookup";

/// Checks what was `found` for a time, where `read` is all that is there; the first of it may be gone by now.
///
/// # Errors
/// What does not hold, for people.
pub fn check(read: &[SeenBatch], wanted: i64, found: Option<u64>) -> Result<(), String> {
    let Some(last) = read.last() else { return Ok(()) };
    // Retention may have passed the first ones meanwhile, and nobody writes any more.
    let expected = read.iter().find_map(|batch| batch.first_at_or_after(wanted));
    if found != expected && found.is_none_or(|found| found <= last.last && Some(found) < expected) {
        return Err(format!("time {wanted} is at {expected:?} and was found at {found:?}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_early_and_not_at_all() {
        let batch = |base, last, first_timestamp| SeenBatch {
            base,
            last,
            epoch: 0,
            content: 1,
            first_timestamp,
            size: 100,
            producer: None,
        };
        // Records of one batch are a millisecond apart.
        let read = [batch(0, 1, 100), batch(2, 4, 200)];
        assert_eq!(check(&read, 101, Some(1)), Ok(()));
        assert_eq!(check(&read, 150, Some(2)), Ok(()));
        assert!(check(&read, 150, Some(1)).unwrap_err().contains("found at Some(1)"));
        assert!(check(&read, 201, None).unwrap_err().contains("is at Some(3)"));
        assert_eq!(check(&read, 300, None), Ok(()));
        assert_eq!(check(&read, 100, Some(2)), Ok(()), "what came before may have been retained away");
    }
}
