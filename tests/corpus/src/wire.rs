//! Kafka's protocol, both directions.

use bytes::Bytes;
use highwater_wire::{
    Message, Request, RequestHeader, RequestStart, decode_response, encode_request, encode_response,
    for_each_message, messages, sample::Sampler, versions,
};

/// Bytes in front of a frame's content: its length.
const LENGTH_PREFIX: usize = 4;

/// The input is a request frame without its length, as a broker receives it.
pub(crate) fn run_requests(input: &[u8]) {
    let frame = Bytes::copy_from_slice(input);
    let Ok(start) = RequestStart::decode(&frame) else { return };
    let Some(api) = versions::find(start.api_key) else { return };
    let Ok(header) = RequestHeader::decode(api.request, &frame) else { return };
    assert_eq!(header.start, start);
    assert!(header.body_position <= frame.len());
    read_request(start, &header, &frame);
}

/// The first byte chooses a message, the second a version; the rest is its response frame.
pub(crate) fn run_messages(input: &[u8]) {
    let [kind, version, frame @ ..] = input else { return };
    read_message(usize::from(*kind) % messages::ALL.len(), *version, &Bytes::copy_from_slice(frame));
}

/// What was read is written and read again as the same.
fn same_again<M: Message>(message: &M, version: i16) {
    let frame = encode_response(message, version, 5).expect("what was decoded can be encoded").to_bytes();
    let again = decode_response::<M>(&frame.slice(LENGTH_PREFIX..), version);
    assert_eq!(again.as_ref().map(|(id, message)| (*id, message)), Ok((5, message)));
}

fn read<M: Message>(version: u8, frame: &Bytes) {
    let range = M::DECLARATION.versions;
    let version = range.min + i16::from(version) % (range.max - range.min + 1);
    if let Ok((_, message)) = decode_response::<M>(frame, version) {
        same_again(&message, version);
    }
}

fn read_body<M: Message>(header: &RequestHeader, frame: &Bytes) {
    let version = header.start.api_version;
    if let Ok(message) = M::from_frame(frame, header.body_position, version) {
        assert!(M::DECLARATION.versions.contains(version));
        same_again(&message, version);
    }
}

macro_rules! dispatch {
    ($($module:ident::$name:ident,)*) => {
        fn read_message(kind: usize, version: u8, frame: &Bytes) {
            let readers: &[fn(u8, &Bytes)] = &[$(read::<messages::$module::$name>),*];
            readers[kind](version, frame);
        }

        fn read_request(start: RequestStart, header: &RequestHeader, frame: &Bytes) {
            $(if stringify!($name).ends_with("Request")
                && <messages::$module::$name as Message>::DECLARATION.api_key == start.api_key
            {
                read_body::<messages::$module::$name>(header, frame);
            })*
        }

        pub(crate) fn message_seeds() -> Vec<Vec<u8>> {
            let mut seeds = Vec::new();
            $(sample_messages::<messages::$module::$name>(&mut seeds);)*
            seeds
        }
    };
}

for_each_message!(dispatch);

/// What values are drawn from: small ones, several elements in each list.
const SOURCE: &[u8] =
    &[2, 5, 1, 3, 2, 7, 1, 2, 9, 3, 1, 2, 4, 2, 6, 1, 3, 2, 8, 1, 2, 5, 3, 1, 2, 2, 7, 4, 1, 3, 2, 6];

/// The lowest and the highest version of a message.
fn sample_messages<M: Message>(seeds: &mut Vec<Vec<u8>>) {
    let kind = seeds.len() / 2;
    let range = M::DECLARATION.versions;
    for version in [range.min, range.max] {
        let message = M::sample(&mut Sampler::new(SOURCE, version), false);
        let frame = encode_response(&message, version, 7).expect("a sample can be encoded").to_bytes();
        seeds.push([&[kind as u8, (version - range.min) as u8], &frame[LENGTH_PREFIX..]].concat());
    }
}

fn sample_requests<R: Request>(seeds: &mut Vec<Vec<u8>>) {
    let range = R::DECLARATION.versions;
    for version in [range.min, range.max] {
        let request = R::sample(&mut Sampler::new(SOURCE, version), false);
        let frame = encode_request(&request, version, 7, Some("client")).expect("a sample can be encoded");
        seeds.push(frame.to_bytes()[LENGTH_PREFIX..].to_vec());
    }
}

pub(crate) fn request_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    sample_requests::<messages::produce::ProduceRequest>(&mut seeds);
    sample_requests::<messages::fetch::FetchRequest>(&mut seeds);
    sample_requests::<messages::list_offsets::ListOffsetsRequest>(&mut seeds);
    sample_requests::<messages::metadata::MetadataRequest>(&mut seeds);
    sample_requests::<messages::find_coordinator::FindCoordinatorRequest>(&mut seeds);
    sample_requests::<messages::api_versions::ApiVersionsRequest>(&mut seeds);
    sample_requests::<messages::create_topics::CreateTopicsRequest>(&mut seeds);
    sample_requests::<messages::delete_topics::DeleteTopicsRequest>(&mut seeds);
    sample_requests::<messages::init_producer_id::InitProducerIdRequest>(&mut seeds);
    sample_requests::<messages::describe_configs::DescribeConfigsRequest>(&mut seeds);
    sample_requests::<messages::describe_cluster::DescribeClusterRequest>(&mut seeds);
    seeds
}
