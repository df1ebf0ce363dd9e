//! Every message at every version: what is written is read back, and nothing shorter is taken for it.

use crate::{
    Message, RequestHeader, Value, decode_response, encode_response, for_each_message, messages,
    sample::Sampler, versions,
};
use bytes::Bytes;
use proptest::prelude::*;

fn check<M: Message>(source: &[u8]) {
    for version in M::DECLARATION.versions.min..=M::DECLARATION.versions.max {
        let name = M::DECLARATION.name;
        let message = M::sample(&mut Sampler::new(source, version), false);
        // A response's frame has the shortest header, so that it does for requests too.
        let frame =
            encode_response(&message, version, 7).unwrap_or_else(|error| panic!("{name} {version}: {error}"));
        let whole = frame.to_bytes();
        assert_eq!(frame.size(), whole.len(), "{name} {version}");
        let body = whole.slice(4..);
        let (correlation, back) =
            decode_response::<M>(&body, version).unwrap_or_else(|error| panic!("{name} {version}: {error}"));
        assert_eq!((correlation, &back), (7, &message), "{name} {version}");
        let header = body.len() - message.encoded_size(version).unwrap();
        assert!((4..=5).contains(&header), "{name} {version}: size");
        // Long strings and record sets make frames of thousands of bytes: there, only the borders.
        for length in (0..body.len()).filter(|length| *length < 300 || body.len() - length < 50) {
            let cut = decode_response::<M>(&body.slice(..length), version);
            assert!(cut.is_err(), "{name} {version} cut to {length} of {}", body.len());
        }
        let longer: Bytes = body.iter().copied().chain([0]).collect();
        assert!(decode_response::<M>(&longer, version).is_err(), "{name} {version} and a byte more");
    }
}

fn read_anything<M: Message>(bytes: &Bytes) {
    for version in M::DECLARATION.versions.min..=M::DECLARATION.versions.max {
        let _ = RequestHeader::decode(M::DECLARATION, bytes);
        if let Ok(message) = M::from_frame(bytes, 0, version) {
            // What was accepted can be written, and read again as the same.
            let frame = encode_response(&message, version, 1).unwrap();
            let (_, again) = decode_response::<M>(&frame.to_bytes().slice(4..), version).unwrap();
            assert_eq!(again, message);
        }
    }
}

macro_rules! check_all {
    ($($module:ident::$name:ident,)*) => {
        fn check_all(source: &[u8]) {
            $(check::<messages::$module::$name>(source);)*
        }

        fn read_anything_as_all(bytes: &Bytes) {
            $(read_anything::<messages::$module::$name>(bytes);)*
        }
    };
}

for_each_message!(check_all);

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_back(source in prop::collection::vec(any::<u8>(), 0..400)) {
        check_all(&source);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_anything_as_all(&bytes.into());
    }

    #[test]
    fn bytes_near_the_truth_are_read_or_refused(
        source in prop::collection::vec(any::<u8>(), 0..100),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let fetch = messages::fetch::FetchRequest::sample(&mut Sampler::new(&source, 12), false);
        let frame = encode_response(&fetch, 12, 7).unwrap().to_bytes();
        let mut body = frame[5..].to_vec();
        let at = at.index(body.len());
        body[at] = byte;
        read_anything_as_all(&body.into());
    }
}

#[test]
fn lying_counts_allocate_nothing() {
    // Metadata v1: an array of 2^31 - 1 topics in a frame of eight bytes.
    let lie = Bytes::from_static(&[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    let error = messages::metadata::MetadataRequest::from_frame(&lie, 0, 1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "topics: an array of 2147483647 elements is too large for what was received"
    );
    // As many empty strings as there are bytes: 24 bytes of memory for each one received.
    let mut many = vec![0x81, 0x80, 0x80, 0x01];
    many.resize(4 + (1 << 21), 1);
    let error = messages::find_coordinator::FindCoordinatorRequest::from_frame(
        &[&[0][..], &many].concat().into(),
        0,
        4,
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "coordinator_keys: an array of 2097152 elements is too large for what was received"
    );
}

#[test]
fn record_sets_are_neither_copied_in_nor_out() {
    use messages::fetch::*;
    let records = Bytes::from(vec![7; 100_000]);
    let partition = PartitionData { records: Some(records.clone()), ..PartitionData::default() };
    let topic = FetchableTopicResponse { partitions: vec![partition], ..FetchableTopicResponse::default() };
    let response = FetchResponse { responses: vec![topic], ..FetchResponse::default() };
    let frame = encode_response(&response, 12, 1).unwrap();
    let sent: Vec<_> = frame.segments().iter().map(|segment| segment.as_ptr()).collect();
    assert!(sent.contains(&records.as_ptr()));
    let received = frame.to_bytes().slice(4..);
    let (_, back) = decode_response::<FetchResponse>(&received, 12).unwrap();
    let slice = back.responses[0].partitions[0].records.clone().unwrap();
    assert!(received.as_ptr_range().contains(&slice.as_ptr()));
    assert_eq!(slice, records);
}

#[test]
fn every_api_served_has_both_its_messages() {
    for api in versions::APIS {
        let of_api: Vec<_> = messages::ALL.iter().filter(|message| message.api_key == api.key()).collect();
        assert_eq!(of_api.len(), 2, "{}", api.name());
        assert_eq!(of_api[0].versions, of_api[1].versions, "{}", api.name());
        assert_eq!(of_api[0].flexible, of_api[1].flexible, "{}", api.name());
    }
}

#[test]
fn unknown_tagged_fields_are_skipped_and_wrong_sizes_refused() {
    use messages::api_versions::ApiVersionsRequest;
    let known =
        |tail: &[u8]| ApiVersionsRequest::from_frame(&[&[2, b'n', 2, b'1'][..], tail].concat().into(), 0, 3);
    let plain = known(&[0]).unwrap();
    assert_eq!((plain.client_software_name.as_str(), plain.client_software_version.as_str()), ("n", "1"));
    assert_eq!(known(&[1, 99, 3, 1, 2, 3]), Ok(plain));
    assert!(known(&[1, 99, 4, 1, 2, 3]).is_err());
    assert!(known(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0]).is_err());
    // Tag 1 of the response is eight bytes long, whatever the size before it says.
    let response = |size: u8| {
        let bytes = [&[0, 0, 1, 0, 0, 0, 0, 1, 1, size][..], &[0; 8]].concat();
        messages::api_versions::ApiVersionsResponse::from_frame(&bytes.into(), 0, 3)
    };
    assert!(response(8).is_ok());
    assert!(response(7).is_err());
}

/// What librdkafka 2.16 sends to ask for all topics: no topics, two flags, no tags, and three bytes too many.
#[test]
fn what_follows_a_request_is_left_alone() {
    use messages::metadata::MetadataRequest;
    let frame = Bytes::from_static(&[0, 0, 0, 0, 1, 0, 0]);
    let request = MetadataRequest::from_start(&frame, 0, 13).unwrap();
    assert_eq!((request.topics, request.allow_auto_topic_creation), (None, false));
    assert_eq!(MetadataRequest::from_frame(&frame, 0, 13), Err(crate::DecodeError::Trailing { count: 3 }));
}
