//! Producer state on the disk: Kafka's `<offset>.snapshot`, with each producer's last batch, and our
//! `<offset>.hwproducers`, with its whole window.

use std::collections::{BTreeMap, VecDeque};

use highwater_records::{Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs};

use super::state::{AppendedBatch, ProducerState, ProducerStates};
use crate::text::Damaged;

const VERSION: i16 = 1;
/// Version and checksum.
const PREFIX: usize = 6;
const NONE: i64 = -1;

/// Kafka's form.
pub(crate) fn encode_kafka(states: &ProducerStates) -> Vec<u8> {
    seal(states, |out, state| {
        let last = state.batches.back();
        out.extend_from_slice(&(state.epoch.0 as i16).to_be_bytes());
        out.extend_from_slice(&last.map_or(-1, |batch| batch.last_sequence.as_i32()).to_be_bytes());
        out.extend_from_slice(&last.map_or(NONE, |batch| batch.last_offset.as_i64()).to_be_bytes());
        out.extend_from_slice(&last.map_or(0, |batch| batch.offset_delta as i32).to_be_bytes());
        out.extend_from_slice(&state.last_timestamp.0.to_be_bytes());
        out.extend_from_slice(&coordinator_epoch(state).to_be_bytes());
        out.extend_from_slice(&transaction_start(state).to_be_bytes());
    })
}

/// Our form.
pub(crate) fn encode_window(states: &ProducerStates) -> Vec<u8> {
    seal(states, |out, state| {
        out.extend_from_slice(&(state.epoch.0 as i16).to_be_bytes());
        out.extend_from_slice(&coordinator_epoch(state).to_be_bytes());
        out.extend_from_slice(&transaction_start(state).to_be_bytes());
        out.extend_from_slice(&state.last_timestamp.0.to_be_bytes());
        out.push(state.batches.len() as u8);
        for batch in &state.batches {
            out.extend_from_slice(&batch.last_sequence.as_i32().to_be_bytes());
            out.extend_from_slice(&batch.last_offset.as_i64().to_be_bytes());
            out.extend_from_slice(&(batch.offset_delta as i32).to_be_bytes());
            out.extend_from_slice(&batch.timestamp.0.to_be_bytes());
        }
    })
}

/// Reads Kafka's form. Every producer counts as heard of at `now`.
pub(crate) fn decode_kafka(bytes: &[u8], now: TimestampMs) -> Result<ProducerStates, Damaged> {
    unseal(bytes, |input| {
        let epoch = input.epoch()?;
        let last_sequence = i32::from_be_bytes(input.take()?);
        let last_offset = i64::from_be_bytes(input.take()?);
        let offset_delta = i32::from_be_bytes(input.take()?);
        let timestamp = TimestampMs(i64::from_be_bytes(input.take()?));
        let coordinator_epoch = i32::from_be_bytes(input.take()?);
        let transaction_start = i64::from_be_bytes(input.take()?);
        let mut batches = VecDeque::new();
        if let (Some(last_sequence), Ok(last_offset)) =
            (Sequence::from_i32(last_sequence), Offset::from_i64(last_offset))
        {
            batches.push_back(AppendedBatch {
                last_sequence,
                last_offset,
                offset_delta: u32::try_from(offset_delta)
                    .map_err(|_| Damaged("an offset delta is negative"))?,
                timestamp,
            });
        }
        Ok(ProducerState {
            epoch,
            coordinator_epoch: u32::try_from(coordinator_epoch).ok(),
            transaction_start: Offset::from_i64(transaction_start).ok(),
            last_timestamp: timestamp,
            batches,
            last_seen: now,
        })
    })
}

/// Reads our form. Every producer counts as heard of at `now`.
pub(crate) fn decode_window(bytes: &[u8], now: TimestampMs) -> Result<ProducerStates, Damaged> {
    unseal(bytes, |input| {
        let epoch = input.epoch()?;
        let coordinator_epoch = i32::from_be_bytes(input.take()?);
        let transaction_start = i64::from_be_bytes(input.take()?);
        let last_timestamp = TimestampMs(i64::from_be_bytes(input.take()?));
        let [count] = input.take()?;
        let mut batches = VecDeque::new();
        for _ in 0..count {
            const RANGE: Damaged = Damaged("a batch is out of range");
            batches.push_back(AppendedBatch {
                last_sequence: Sequence::from_i32(i32::from_be_bytes(input.take()?)).ok_or(RANGE)?,
                last_offset: Offset::from_i64(i64::from_be_bytes(input.take()?)).map_err(|_| RANGE)?,
                offset_delta: u32::try_from(i32::from_be_bytes(input.take()?)).map_err(|_| RANGE)?,
                timestamp: TimestampMs(i64::from_be_bytes(input.take()?)),
            });
        }
        Ok(ProducerState {
            epoch,
            coordinator_epoch: u32::try_from(coordinator_epoch).ok(),
            transaction_start: Offset::from_i64(transaction_start).ok(),
            last_timestamp,
            batches,
            last_seen: now,
        })
    })
}

fn coordinator_epoch(state: &ProducerState) -> i32 {
    state.coordinator_epoch.map_or(-1, |epoch| epoch as i32)
}

fn transaction_start(state: &ProducerState) -> i64 {
    state.transaction_start.map_or(NONE, Offset::as_i64)
}

fn seal(states: &ProducerStates, encode: impl Fn(&mut Vec<u8>, &ProducerState)) -> Vec<u8> {
    let mut out = Vec::with_capacity(PREFIX + 4 + states.producers.len() * 64);
    out.extend_from_slice(&VERSION.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&(states.producers.len() as i32).to_be_bytes());
    for (id, state) in &states.producers {
        out.extend_from_slice(&id.0.to_be_bytes());
        encode(&mut out, state);
    }
    let crc = crc32c::crc32c(&out[PREFIX..]);
    out[2..PREFIX].copy_from_slice(&crc.to_be_bytes());
    out
}

fn unseal(
    bytes: &[u8],
    decode: impl Fn(&mut Input<'_>) -> Result<ProducerState, Damaged>,
) -> Result<ProducerStates, Damaged> {
    let mut input = Input { rest: bytes };
    if i16::from_be_bytes(input.take()?) != VERSION {
        return Err(Damaged("its version is not 1"));
    }
    if u32::from_be_bytes(input.take()?) != crc32c::crc32c(input.rest) {
        return Err(Damaged("its checksum is wrong"));
    }
    let count = i32::from_be_bytes(input.take()?);
    let mut producers = BTreeMap::new();
    for _ in 0..count {
        let id = u64::from_be_bytes(input.take()?);
        if id > i64::MAX as u64 {
            return Err(Damaged("a producer id is negative"));
        }
        producers.insert(ProducerId(id), decode(&mut input)?);
    }
    if !input.rest.is_empty() {
        return Err(Damaged("it goes on after its last producer"));
    }
    Ok(ProducerStates::new(producers))
}

struct Input<'a> {
    rest: &'a [u8],
}

impl Input<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Damaged> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Damaged("it is cut short"))?;
        self.rest = rest;
        Ok(*taken)
    }

    fn epoch(&mut self) -> Result<ProducerEpoch, Damaged> {
        let epoch = i16::from_be_bytes(self.take()?);
        u16::try_from(epoch).map(ProducerEpoch).map_err(|_| Damaged("a producer epoch is negative"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: TimestampMs = TimestampMs(99);

    fn states() -> ProducerStates {
        let batch = |n: i32| AppendedBatch {
            last_sequence: Sequence::from_i32(n * 10 + 9).unwrap(),
            last_offset: Offset::new(1000 + n as u64).unwrap(),
            offset_delta: 9,
            timestamp: TimestampMs(50 + i64::from(n)),
        };
        let state = |batches: VecDeque<AppendedBatch>, start| ProducerState {
            epoch: ProducerEpoch(3),
            coordinator_epoch: start,
            transaction_start: start.map(|at| Offset::new(u64::from(at)).unwrap()),
            last_timestamp: batches.back().map_or(TimestampMs(7), |batch: &AppendedBatch| batch.timestamp),
            batches,
            last_seen: NOW,
        };
        ProducerStates::new(BTreeMap::from([
            (ProducerId(1), state((0..5).map(batch).collect(), None)),
            (ProducerId(9), state(VecDeque::new(), Some(12))),
        ]))
    }

    #[test]
    fn our_form_keeps_the_window() {
        assert_eq!(decode_window(&encode_window(&states()), NOW), Ok(states()));
    }

    #[test]
    fn kafkas_form_keeps_the_last_batch() {
        let bytes = encode_kafka(&states());
        assert_eq!(bytes.len(), 6 + 4 + 2 * 46);
        let mut last_only = states();
        last_only.producers.values_mut().for_each(|state| {
            state.batches.drain(..state.batches.len().saturating_sub(1));
        });
        assert_eq!(decode_kafka(&bytes, NOW), Ok(last_only));
    }

    #[test]
    fn kafkas_bytes() {
        let mut one = states();
        one.producers.remove(&ProducerId(9));
        let bytes = encode_kafka(&one);
        let body: &[u8] = &[
            0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 3, 0, 0, 0, 49, 0, 0, 0, 0, 0, 0, 3, 236, 0, 0, 0, 9, 0,
            0, 0, 0, 0, 0, 0, 54, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
        ];
        assert_eq!(&bytes[6..], body);
        assert_eq!(bytes[..2], [0, 1]);
        assert_eq!(bytes[2..6], crc32c::crc32c(body).to_be_bytes());
    }

    #[test]
    fn every_flip_and_every_cut_is_noticed() {
        for (bytes, decode) in [
            (encode_kafka(&states()), decode_kafka as fn(&[u8], TimestampMs) -> _),
            (encode_window(&states()), decode_window),
        ] {
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(decode(&flipped, NOW).is_err(), "{bit}");
            }
            for len in 0..bytes.len() {
                assert!(decode(&bytes[..len], NOW).is_err(), "{len}");
            }
        }
    }
}
