//! What classic consumers say about themselves in bytes that brokers do not look into (`ConsumerProtocolAssignment`).

use bytes::{Buf, Bytes};

/// Topics and partitions that a member has been given; `None` if the bytes say something else, as those of other kinds
/// of members do.
pub(super) fn assignment(mut bytes: Bytes) -> Option<Vec<(String, Vec<i32>)>> {
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    // Later versions only add fields at the end.
    bytes.try_get_i16().ok().filter(|version| *version >= 0)?;
    let count = length(&mut bytes, 6)?;
    let mut topics = Vec::with_capacity(count);
    for _ in 0..count {
        let name = usize::try_from(bytes.try_get_i16().ok()?).ok().filter(|name| *name <= bytes.len())?;
        let name = String::from_utf8(bytes.split_to(name).to_vec()).ok()?;
        let count = length(&mut bytes, 4)?;
        let partitions: Option<Vec<i32>> = (0..count).map(|_| bytes.try_get_i32().ok()).collect();
        topics.push((name, partitions?));
    }
    Some(topics)
}

/// The number of elements that follow, of which each takes at least `each` bytes: never more than there are.
fn length(bytes: &mut Bytes, each: usize) -> Option<usize> {
    let count = usize::try_from(bytes.try_get_i32().ok()?).ok()?;
    (count <= bytes.len() / each).then_some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &[u8] = b"\0\0\0\0\0\x01\0\x02ab\0\0\0\x02\0\0\0\0\0\0\0\x05\xff\xff\xff\xff";

    #[test]
    fn an_assignment_is_read() {
        assert_eq!(assignment(Bytes::from_static(SAMPLE)), Some(vec![("ab".to_owned(), vec![0, 5])]));
        assert_eq!(assignment(Bytes::new()), Some(vec![]));
    }

    #[test]
    fn other_bytes_are_none_of_it() {
        for end in 1..SAMPLE.len() - 4 {
            assert_eq!(assignment(Bytes::from_static(&SAMPLE[..end])), None, "{end}");
        }
        assert_eq!(assignment(Bytes::from_static(b"\0\0\x7f\xff\xff\xff\0\0\0\0")), None);
        assert_eq!(assignment(Bytes::from_static(b"\0\0\xff\xff\xff\xff\0\0\0\0")), None);
        assert_eq!(assignment(Bytes::from_static(b"\0\0\0\0\0\x01\0\x01\xff\0\0\0\0\0\0")), None);
    }
}
