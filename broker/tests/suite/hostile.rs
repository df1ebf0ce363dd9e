//! Frames that no client would send: each gets an error or the end of its connection, costs little memory, and
//! nobody else notices.

use crate::running::{Raw, Running, one_record};
use bytes::Bytes;
use highwater_wire::{
    ErrorCode, Message, decode_response, encode_request,
    messages::{
        api_versions::{ApiVersionsRequest, ApiVersionsResponse},
        list_groups::ListGroupsRequest,
        metadata::MetadataRequest,
    },
    versions,
};

/// The start of a request: API, version, correlation id, and null for the client id.
fn header(api_key: i16, version: i16) -> Vec<u8> {
    [&api_key.to_be_bytes()[..], &version.to_be_bytes(), &7i32.to_be_bytes(), &[0xff, 0xff]].concat()
}

fn framed(body: &[u8]) -> Vec<u8> {
    [&i32::try_from(body.len()).unwrap().to_be_bytes()[..], body].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lying_lengths_close_the_connection() {
    let running = Running::start().await;
    for length in [-1, i32::MIN, i32::MAX, 0, 1, 7] {
        let mut raw = Raw::connect(&running).await;
        raw.write(&length.to_be_bytes()).await;
        raw.write(&[0; 7]).await;
        raw.finish_writing().await;
        raw.expect_closed(&format!("length {length}")).await;
    }
    running.serves_others().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_apis_and_versions_close_the_connection() {
    let running = Running::start().await;
    let mut wrong = vec![(-1, 0), (1000, 0), (i16::MAX, i16::MAX), (versions::PRODUCE_KEY, 2)];
    for api in versions::APIS.iter().filter(|api| api.key() != versions::API_VERSIONS_KEY) {
        wrong.extend([
            (api.key(), api.served.max + 1),
            (api.key(), api.served.min - 1),
            (api.key(), i16::MIN),
        ]);
    }
    // Telemetry of clients (KIP-714) is not offered, so that they do not gather any.
    for telemetry in [71, 72] {
        assert!(versions::APIS.iter().all(|api| api.key() != telemetry));
        wrong.push((telemetry, 0));
    }
    for (api_key, version) in wrong {
        let mut raw = Raw::connect(&running).await;
        raw.write(&framed(&header(api_key, version))).await;
        raw.expect_closed(&format!("API {api_key} version {version}")).await;
    }
    running.serves_others().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn api_versions_from_the_future_is_told_what_there_is() {
    let running = Running::start().await;
    let mut raw = Raw::connect(&running).await;
    raw.write(&framed(&header(versions::API_VERSIONS_KEY, 77))).await;
    let frame = raw.read().await.expect("an answer");
    let (correlation_id, answer) = decode_response::<ApiVersionsResponse>(&frame, 0).unwrap();
    assert_eq!((correlation_id, answer.error_code), (7, ErrorCode::UnsupportedVersion.code()));
    assert_eq!(answer.api_keys.len(), versions::APIS.len());
    // And the connection goes on: the client asks again.
    let again = encode_request(&ApiVersionsRequest::default(), 0, 8, None).unwrap();
    raw.write(&again.to_bytes()).await;
    let (correlation_id, answer) =
        decode_response::<ApiVersionsResponse>(&raw.read().await.expect("an answer"), 0).unwrap();
    assert_eq!((correlation_id, answer.error_code), (8, 0));
}

/// Requests that have no body: nothing can be missing from them.
fn has_no_body(api_key: i16, version: i16) -> bool {
    [ApiVersionsRequest::KEY, ListGroupsRequest::KEY].contains(&api_key) && version <= 2
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_cut_close_the_connection() {
    let running = Running::start().await;
    for api in versions::APIS {
        for version in api.served.min..=api.served.max {
            // The start of a number, or a count of tagged fields that are not there.
            let body = [header(api.key(), version), vec![0x7f]].concat();
            let mut raw = Raw::connect(&running).await;
            raw.write(&framed(&body)).await;
            let what = format!("{} {version}", api.name());
            if has_no_body(api.key(), version) {
                assert!(raw.read().await.is_some(), "{what}: what follows a request is left alone");
            } else {
                raw.expect_closed(&what).await;
            }
        }
    }
    running.serves_others().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_of_many_elements_cost_nothing() {
    let running = Running::start().await;
    let mut raw = Raw::connect(&running).await;
    let claim = [header(MetadataRequest::KEY, 1), i32::MAX.to_be_bytes().to_vec()].concat();
    raw.write(&framed(&claim)).await;
    raw.expect_closed("a claim of 2^31 - 1 topics").await;
    running.serves_others().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_batches_are_refused_and_nothing_is_kept() {
    let running = Running::start().await;
    running.client().await.create_topic("t", 1, &[]).await.unwrap();
    let mut raw = Raw::connect(&running).await;
    let good = one_record(b"k", b"v");

    assert_eq!(raw.produce(None).await, (ErrorCode::InvalidRecord, -1));
    assert_eq!(raw.produce(Some(Bytes::new())).await, (ErrorCode::InvalidRecord, -1));
    let (code, _) = raw.produce(Some(Bytes::from_static(&[0xff; 100]))).await;
    assert_ne!(code, ErrorCode::None, "noise");
    for length in [1, 11, 12, 16, 17, 60, 61, good.len() - 1] {
        let (code, _) = raw.produce(Some(good.slice(..length))).await;
        assert_ne!(code, ErrorCode::None, "cut to {length}");
    }
    for position in 8..good.len() {
        // Offsets and leader epoch are the broker's to set; all else is under the checksum or a length.
        if (12..16).contains(&position) {
            continue;
        }
        let mut flipped = good.to_vec();
        flipped[position] ^= 1;
        let (code, _) = raw.produce(Some(flipped.into())).await;
        assert_ne!(code, ErrorCode::None, "a bit flipped in byte {position}");
    }
    let mut old_format = good.to_vec();
    old_format[16] = 1;
    assert_ne!(raw.produce(Some(old_format.into())).await.0, ErrorCode::None);

    // Nothing of all this is there: the first good record is the first.
    assert_eq!(raw.produce(Some(good)).await, (ErrorCode::None, 0));
    running.serves_others().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_request_does_not_hold_up_others() {
    let running = Running::start().await;
    let mut stuck = Vec::new();
    for _ in 0..50 {
        let mut raw = Raw::connect(&running).await;
        // A hundred megabytes are announced; sixteen bytes come.
        raw.write(&(100i32 << 20).to_be_bytes()).await;
        raw.write(&[0; 16]).await;
        stuck.push(raw);
    }
    running.serves_others().await;
    drop(stuck);
    running.serves_others().await;
}
