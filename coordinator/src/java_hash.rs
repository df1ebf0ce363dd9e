/// The partition that keeps what is known of `id`: the absolute value of Java's `String.hashCode`,
/// modulo `partitions`.
///
/// Clients never compute it, but Kafka does: with the same rule Kafka finds in our directory what we wrote there.
///
/// # Panics
/// If `partitions` is zero.
pub fn partition_of(id: &str, partitions: u32) -> u32 {
    let hash = id.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    // The smallest number has no absolute value; Kafka takes zero for it.
    hash.checked_abs().unwrap_or(0).cast_unsigned() % partitions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_java_hashes() {
        // Worked out by hand from the definition in Java's documentation.
        assert_eq!(partition_of("", 50), 0);
        assert_eq!(partition_of("a", 50), 97 % 50);
        assert_eq!(partition_of("ab", 50), (97 * 31 + 98) % 50);
        // "polygenelubricants".hashCode() is Integer.MIN_VALUE.
        assert_eq!(partition_of("polygenelubricants", 50), 0);
        // Beyond the first plane a character is two units: 0xd83d and 0xde00.
        assert_eq!(partition_of("\u{1f600}", 1000), (0xd83d * 31 + 0xde00) % 1000);
        // "zzzzzz".hashCode() is negative: -685785664.
        assert_eq!(partition_of("zzzzzz", 1000), 664);
    }
}
