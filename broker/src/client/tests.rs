//! The client against a broker that is a script: it answers the first question well and the second as told.

use super::*;
use highwater_wire::{
    Message, RequestHeader, encode_response,
    messages::{
        api_versions::{ApiVersion, ApiVersionsRequest, ApiVersionsResponse},
        list_offsets::{ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse},
    },
};
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

async fn read_frame(stream: &mut TcpStream) -> Bytes {
    let length = stream.read_i32().await.unwrap();
    let mut frame = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut frame).await.unwrap();
    frame.into()
}

/// Says it serves ListOffsets 1 to 3, reads one such request, and sends what `second` makes of its correlation id.
async fn broker(second: impl FnOnce(i32) -> Vec<u8> + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let first = read_frame(&mut stream).await;
        let header = RequestHeader::decode(ApiVersionsRequest::DECLARATION, &first).unwrap();
        let served = ApiVersionsResponse {
            api_keys: vec![ApiVersion { api_key: ListOffsetsRequest::KEY, min_version: 1, max_version: 3 }],
            ..ApiVersionsResponse::default()
        };
        let frame = encode_response(&served, header.start.api_version, header.start.correlation_id).unwrap();
        stream.write_all(&frame.to_bytes()).await.unwrap();
        let request = read_frame(&mut stream).await;
        let header = RequestHeader::decode(ListOffsetsRequest::DECLARATION, &request).unwrap();
        assert_eq!((header.start.api_version, header.client_id.as_deref()), (3, Some("test")));
        stream.write_all(&second(header.start.correlation_id)).await.unwrap();
    });
    address
}

fn listed(correlation_id: i32, partitions: Vec<ListOffsetsPartitionResponse>) -> Vec<u8> {
    let topics = vec![ListOffsetsTopicResponse { name: "t".into(), partitions }];
    let response = ListOffsetsResponse { topics, ..ListOffsetsResponse::default() };
    encode_response(&response, 3, correlation_id).unwrap().to_bytes().to_vec()
}

async fn ask(
    second: impl FnOnce(i32) -> Vec<u8> + Send + 'static,
) -> Result<Option<FoundOffset>, ClientError> {
    let address = broker(second).await.to_string();
    Client::connect(&address, "test").await.unwrap().list_offset("t", 0, -2).await
}

#[tokio::test]
async fn a_question_is_asked_at_the_highest_common_version_and_answered() {
    let found = ListOffsetsPartitionResponse { offset: 5, ..ListOffsetsPartitionResponse::default() };
    let answer = ask(|correlation_id| listed(correlation_id, vec![found])).await.unwrap().unwrap();
    assert_eq!((answer.offset.get(), answer.timestamp, answer.leader_epoch), (5, None, None));
    let nothing = ask(|correlation_id| listed(correlation_id, vec![Default::default()])).await.unwrap();
    assert_eq!(nothing, None);
}

#[tokio::test]
async fn a_refusal_names_kafkas_code() {
    let refused = ListOffsetsPartitionResponse { error_code: 3, ..ListOffsetsPartitionResponse::default() };
    let error = ask(|correlation_id| listed(correlation_id, vec![refused])).await.unwrap_err();
    assert_eq!(error.to_string(), "UNKNOWN_TOPIC_OR_PARTITION");
}

#[tokio::test]
async fn what_is_no_answer_is_an_error() {
    let other = ask(|correlation_id| listed(correlation_id + 1, Vec::new())).await.unwrap_err();
    assert!(matches!(other, ClientError::Protocol(_)), "{other}");
    let none = ask(|correlation_id| listed(correlation_id, Vec::new())).await.unwrap_err();
    assert!(matches!(none, ClientError::Protocol(_)), "{none}");
    let endless = ask(|_| vec![0x7f, 0xff, 0xff, 0xff]).await.unwrap_err();
    assert!(matches!(endless, ClientError::Protocol(_)), "{endless}");
    let negative = ask(|_| vec![0xff, 0xff, 0xff, 0xff]).await.unwrap_err();
    assert!(matches!(negative, ClientError::Protocol(_)), "{negative}");
    let cut = ask(|_| vec![0, 0, 0, 9, 1]).await.unwrap_err();
    assert!(matches!(cut, ClientError::Io(_)), "{cut}");
    let garbage = ask(|_| vec![0, 0, 0, 8, 0, 0, 0, 1, 9, 9, 9, 9]).await.unwrap_err();
    assert!(matches!(garbage, ClientError::Malformed(_)), "{garbage}");
}

#[tokio::test]
async fn an_api_that_is_not_served_is_not_asked() {
    let address = broker(|_| Vec::new()).await.to_string();
    let mut client = Client::connect(&address, "test").await.unwrap();
    let error = client.metadata(None).await.unwrap_err();
    assert!(matches!(error, ClientError::UnsupportedApi { name: "MetadataRequest" }), "{error}");
}
