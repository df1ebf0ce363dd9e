//! The two requests of the load, byte by byte: Produce 8 with one batch for one partition, and Metadata 4, which
//! creates the topic. Written here and not taken from `wire`, so that the generator costs what a native client does
//! and the floor nothing at all.

use bytes::Bytes;
use highwater_records::{
    Offset, TimestampMs,
    batch::{BatchBuilder, Record},
    compression::Codec,
};

/// Position in a batch behind its checksum, from where on it is computed.
pub const CRC_END: usize = 21;

const CLIENT: &str = "bench";
const HEADER_LEN: usize = 2 + 2 + 4 + 2 + CLIENT.len();

/// Size of one record's value. With key and framing it comes to about 1 KiB.
const VALUE_LEN: usize = 1000;

/// A batch of about `size` bytes, of records of 1 KiB that no codec would make smaller.
///
/// # Panics
/// When `size` is beyond what a batch can hold.
pub fn batch(size: usize) -> Bytes {
    let mut builder = BatchBuilder::new(Codec::None);
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    for number in 0..(size / 1024).max(1) {
        let value: Vec<u8> = std::iter::repeat_with(|| xorshift(&mut seed)).take(VALUE_LEN).collect();
        let key = format!("{number:012}");
        let timestamp = TimestampMs(1_790_000_000_000);
        builder
            .push(Record { timestamp, key: Some(key.as_bytes()), value: Some(&value), headers: &[] })
            .expect("the sizes of the bench fit into a batch");
    }
    builder.build(Offset::ZERO, None).expect("a batch of at least one record is built")
}

/// A whole Produce request, its length in front, asking for `acks=1`.
pub fn produce(topic: &str, partition: i32, batch: &[u8]) -> Vec<u8> {
    let mut body = header(0, 8);
    body.extend((-1_i16).to_be_bytes()); // no transactional id
    body.extend(1_i16.to_be_bytes()); // acks
    body.extend(30_000_i32.to_be_bytes());
    body.extend(1_i32.to_be_bytes());
    string(&mut body, topic);
    body.extend(1_i32.to_be_bytes());
    body.extend(partition.to_be_bytes());
    body.extend(length(batch.len()));
    body.extend(batch);
    framed(body)
}

/// A whole Metadata request that creates the topic when it does not exist.
pub fn metadata(topic: &str) -> Vec<u8> {
    let mut body = header(3, 4);
    body.extend(1_i32.to_be_bytes());
    string(&mut body, topic);
    body.push(1);
    framed(body)
}

/// The batch inside a frame that [`produce`] made, its length already taken off.
pub fn batch_of(frame: &[u8]) -> Option<&[u8]> {
    let topic_at = HEADER_LEN + 2 + 2 + 4 + 4;
    let topic_len = u16::from_be_bytes(frame.get(topic_at..topic_at + 2)?.try_into().ok()?);
    let batch_at = topic_at + 2 + usize::from(topic_len) + 4 + 4 + 4;
    frame.get(batch_at..).filter(|batch| batch.len() > CRC_END)
}

/// The answer that the floor gives to such a frame: partition 0 of a nameless topic, no error.
pub fn produce_answer(frame: &[u8]) -> Vec<u8> {
    let mut body = frame[4..8].to_vec(); // correlation id
    body.extend(1_i32.to_be_bytes());
    string(&mut body, "");
    body.extend(1_i32.to_be_bytes());
    body.extend([0; 4]); // partition
    body.extend([0; 2]); // error code
    body.extend([0; 8 + 8 + 8]); // offset, append time, log start
    body.extend([0; 4]); // errors of records
    body.extend((-1_i16).to_be_bytes()); // error message
    body.extend([0; 4]); // throttle time
    framed(body)
}

/// The error code in an answer to [`produce`], its length already taken off; `None` when it is cut short.
pub fn produce_error(answer: &[u8]) -> Option<i16> {
    let topic_len = u16::from_be_bytes(answer.get(8..10)?.try_into().ok()?);
    let error_at = 10 + usize::from(topic_len) + 4 + 4;
    Some(i16::from_be_bytes(answer.get(error_at..error_at + 2)?.try_into().ok()?))
}

fn header(key: i16, version: i16) -> Vec<u8> {
    let mut header = Vec::new();
    header.extend(key.to_be_bytes());
    header.extend(version.to_be_bytes());
    header.extend(1_i32.to_be_bytes());
    string(&mut header, CLIENT);
    header
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.extend(u16::try_from(text.len()).expect("names of the bench are short").to_be_bytes());
    out.extend(text.as_bytes());
}

fn framed(body: Vec<u8>) -> Vec<u8> {
    let mut frame = length(body.len()).to_vec();
    frame.extend(body);
    frame
}

fn length(len: usize) -> [u8; 4] {
    i32::try_from(len).expect("frames of the bench are small").to_be_bytes()
}

fn xorshift(state: &mut u64) -> u8 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 32) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use highwater_records::batch::BatchView;

    #[test]
    fn the_floor_finds_the_batch_that_the_load_sends() {
        let batch = batch(16 * 1024);
        let frame = produce("bench", 3, &batch);
        assert_eq!(batch_of(&frame[4..]), Some(&batch[..]));
        let view = BatchView::parse(&batch).expect("a batch");
        view.verify_crc().expect("its checksum is right");
        assert_eq!(crc32c::crc32c(&batch[CRC_END..]).to_be_bytes(), batch[CRC_END - 4..CRC_END]);
        assert!((15 * 1024..18 * 1024).contains(&batch.len()), "{}", batch.len());
    }

    #[test]
    fn the_load_reads_the_floors_answer() {
        let frame = produce("bench", 0, &batch(1024));
        let answer = produce_answer(&frame[4..]);
        assert_eq!(answer.len() - 4, u32::from_be_bytes(answer[..4].try_into().unwrap()) as usize);
        assert_eq!(answer[4..8], frame[8..12]);
        assert_eq!(produce_error(&answer[4..]), Some(0));
    }
}
