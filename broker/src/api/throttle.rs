//! How a client learns that it is held up: the time in its response, and a connection that is not read from meanwhile.

use crate::server::{Reply, Step};
use bytes::{Bytes, BytesMut};
use highwater_node::Node;
use highwater_wire::{
    declaration::{Declaration, Kind},
    messages, versions,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Until when a connection is held up, by the node's clock in nanoseconds. Requests that were read before it was are
/// answered; the next one waits.
#[derive(Clone, Debug, Default)]
pub(super) struct Pause(Arc<AtomicU64>);

impl Pause {
    /// Waits for the end of the pause.
    pub(super) async fn over(&self, node: &Node) {
        let until = self.0.load(Ordering::Acquire);
        if until > node.now().as_nanos() {
            node.hold_up(highwater_env::Instant::from_nanos(until)).await;
        }
    }

    /// Adds to the response of an API what it says of a pause of `at_least`, or longer if it says so itself already.
    pub(super) fn tell(
        &self,
        node: &Arc<Node>,
        key: i16,
        version: i16,
        at_least: Duration,
        step: Step,
    ) -> Step {
        let (pause, node) = (self.clone(), node.clone());
        match step {
            Step::Now(reply) => Step::Now(pause.told(&node, key, version, at_least, reply)),
            Step::Later(reply) => {
                Step::Later(Box::pin(async move { pause.told(&node, key, version, at_least, reply.await) }))
            }
            Step::Poll(reply) => {
                Step::Poll(Box::pin(async move { pause.told(&node, key, version, at_least, reply.await) }))
            }
            Step::Close => Step::Close,
        }
    }

    fn told(&self, node: &Node, key: i16, version: i16, at_least: Duration, mut reply: Reply) -> Reply {
        let mut pause = at_least;
        if let Reply::Response(segments) = &mut reply
            && let Some(said) = raise(segments, key, version, milliseconds(at_least))
        {
            pause = pause.max(said);
        }
        if !pause.is_zero() {
            let until = node.now().plus(pause).as_nanos();
            self.0.fetch_max(until, Ordering::AcqRel);
        }
        reply
    }
}

pub(super) fn milliseconds(pause: Duration) -> i32 {
    // Rounded up: zero would say that there is none.
    i32::try_from(pause.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
}

/// Makes the throttle time of an encoded response at least `at_least`, and answers what it is; `None` where the
/// response has none.
fn raise(segments: &mut [Bytes], key: i16, version: i16, at_least: i32) -> Option<Duration> {
    if key == versions::API_VERSIONS_KEY && version >= 3 {
        // The features stand behind the time. Who is held up learns it from the next response.
        return None;
    }
    let response = response_of(key)?;
    let Kind::Struct(fields) = response.kind else { return None };
    let at = fields.iter().position(|field| field.name == "throttle_time_ms")?;
    if !fields[at].versions.contains(version) {
        return None;
    }
    let flexible = response.flexible.contains(version);
    let patch = |segment: &mut Bytes, at: usize| {
        let said = i32::from_be_bytes(segment.get(at..at + 4)?.try_into().ok()?);
        if at_least > said {
            let mut changed = BytesMut::from(&segment[..]);
            changed[at..at + 4].copy_from_slice(&at_least.to_be_bytes());
            *segment = changed.freeze();
        }
        Some(Duration::from_millis(u64::try_from(said.max(at_least)).ok()?))
    };
    if at == 0 {
        // Length and correlation id stand before it, and the header's tagged fields, of which there are none.
        let first = segments.first_mut()?;
        return patch(first, 8 + usize::from(flexible));
    }
    if fields[at + 1..].iter().any(|field| field.tag.is_none()) {
        return None;
    }
    // The last one in line, with nothing behind it but the count of tagged fields, which is zero in all else that we send.
    let last = segments.last_mut()?;
    if flexible && last.last() != Some(&0) {
        return None;
    }
    let end = last.len().checked_sub(4 + usize::from(flexible))?;
    patch(last, end)
}

fn response_of(key: i16) -> Option<&'static Declaration> {
    messages::ALL.iter().find(|message| message.api_key == key && message.name.ends_with("Response")).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use highwater_wire::{
        Message, decode_response, encode_response,
        messages::{
            api_versions::{ApiVersionsRequest, ApiVersionsResponse, SupportedFeatureKey},
            fetch::FetchResponse,
            produce::{ProduceResponse, TopicProduceResponse},
        },
    };

    fn raised<M: Message>(response: &M, version: i16, to: i32) -> (M, Duration) {
        let mut segments = encode_response(response, version, 3).unwrap().into_segments();
        let said = raise(&mut segments, M::KEY, version, to).expect("it has one");
        let frame = Bytes::from(segments.concat()).slice(4..);
        (decode_response::<M>(&frame, version).unwrap().1, said)
    }

    #[test]
    fn features_are_not_taken_for_a_time() {
        let feature = SupportedFeatureKey { name: "group.version".into(), min_version: 0, max_version: 1 };
        let told =
            ApiVersionsResponse { supported_features: vec![feature], ..ApiVersionsResponse::default() };
        let mut segments = encode_response(&told, 4, 3).unwrap().into_segments();
        let before = segments.clone();
        assert_eq!(raise(&mut segments, ApiVersionsRequest::KEY, 4, 7), None);
        assert_eq!(segments, before);
        assert_eq!(raised(&ApiVersionsResponse::default(), 2, 7).1, Duration::from_millis(7));
    }

    #[test]
    fn the_time_is_written_where_it_stands() {
        for version in 4..=18 {
            let fetch = FetchResponse { throttle_time_ms: 5, error_code: 0, ..FetchResponse::default() };
            let (told, said) = raised(&fetch, version, 7);
            assert_eq!((told.throttle_time_ms, said), (7, Duration::from_millis(7)));
            assert_eq!(raised(&fetch, version, 2).1, Duration::from_millis(5));
        }
        for version in 3..=13 {
            let topic = TopicProduceResponse::default();
            let produce = ProduceResponse { responses: vec![topic], ..ProduceResponse::default() };
            let expected = ProduceResponse { throttle_time_ms: 1 << 20, ..produce.clone() };
            assert_eq!(raised(&produce, version, 1 << 20).0, expected, "version {version}");
        }
    }
}
