use alloc::{string::String, vec::Vec};
use highwater_records::primitive::{ReadError, Reader};

/// The topics in a consumer's subscription, as its embedded protocol writes them: a version, then the topics. All
/// versions begin so.
pub(crate) fn topics(bytes: &[u8]) -> Result<Vec<String>, ReadError> {
    let mut reader = Reader::new(bytes);
    reader.i16()?;
    let count = reader.i32_length()?.unwrap_or(0);
    let mut topics = Vec::new();
    for _ in 0..count {
        let length = reader.i16_length()?.ok_or(ReadError::NegativeLength(-1))?;
        topics.push(reader.text(length)?.into());
    }
    Ok(topics)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_of_any_version_begins_with_its_topics() {
        let bytes = [0, 3, 0, 0, 0, 2, 0, 1, b'a', 0, 2, b'b', b'c', 0xff, 0xff, 0xff, 0xff, 1, 2, 3];
        assert_eq!(topics(&bytes).unwrap(), ["a", "bc"]);
        assert!(topics(&[0, 0, 0, 0, 0, 1]).is_err());
        assert!(topics(&[0, 0, 0x7f, 0xff, 0xff, 0xff, 0]).is_err());
        assert!(topics(&[]).is_err());
    }
}
