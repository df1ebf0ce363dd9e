//! What classic consumers say to one another in bytes that brokers do not look into (`ConsumerProtocolSubscription`,
//! `ConsumerProtocolAssignment`).

use bytes::{Buf, BufMut, Bytes};

/// The version of both that everybody reads.
const VERSION: i16 = 0;
/// The length of data that is not there.
const NONE: i32 = -1;

/// Says that somebody reads this topic.
pub(super) fn subscription(topic: &str) -> Bytes {
    let mut out = Vec::with_capacity(topic.len() + 12);
    out.put_i16(VERSION);
    out.put_i32(1);
    put_name(&mut out, topic);
    out.put_i32(NONE);
    out.into()
}

/// The topics that somebody reads; `None` if the bytes say something else.
pub(super) fn subscribed(mut bytes: Bytes) -> Option<Vec<String>> {
    // Later versions only add fields at the end.
    bytes.try_get_i16().ok().filter(|version| *version >= 0)?;
    let count = length(&mut bytes, 2)?;
    (0..count).map(|_| name(&mut bytes)).collect()
}

/// Says what somebody is to have.
pub(super) fn encode_assignment(topics: &[(String, Vec<i32>)]) -> Bytes {
    let mut out = Vec::new();
    out.put_i16(VERSION);
    put_count(&mut out, topics.len());
    for (topic, partitions) in topics {
        put_name(&mut out, topic);
        put_count(&mut out, partitions.len());
        partitions.iter().for_each(|partition| out.put_i32(*partition));
    }
    out.put_i32(NONE);
    out.into()
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    // What is counted came out of a response, whose own counts are no larger.
    out.put_i32(i32::try_from(count).unwrap_or(i32::MAX));
}

fn put_name(out: &mut Vec<u8>, name: &str) {
    // Names of topics have up to 249 characters.
    out.put_i16(i16::try_from(name.len()).unwrap_or(i16::MAX));
    out.put_slice(name.as_bytes());
}

fn name(bytes: &mut Bytes) -> Option<String> {
    let length = usize::try_from(bytes.try_get_i16().ok()?).ok().filter(|length| *length <= bytes.len())?;
    String::from_utf8(bytes.split_to(length).to_vec()).ok()
}

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
        let name = name(&mut bytes)?;
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
    fn what_is_written_is_read() {
        assert_eq!(subscribed(subscription("orders")), Some(vec!["orders".to_owned()]));
        let share = [("ab".to_owned(), vec![0, 5])];
        assert_eq!(encode_assignment(&share), SAMPLE);
        assert_eq!(subscribed(Bytes::from_static(b"\0\0\x7f\xff\xff\xff\0\0")), None);
        assert_eq!(subscribed(Bytes::from_static(b"\0\0\0\0\0\x01\0\x09abc")), None);
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
