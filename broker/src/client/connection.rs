use super::ClientError;
use bytes::{Bytes, BytesMut};
use highwater_wire::{
    ErrorCode, Frame, Message, Request, decode_response, encode_request,
    messages::api_versions::{ApiVersion, ApiVersionsRequest, ApiVersionsResponse},
};
use std::collections::{BTreeMap, VecDeque};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// No response is larger: what a broker may send is bounded by what was asked for, and a length beyond this is a lie
/// or another protocol.
const RESPONSE_BYTES_MAX: usize = 128 * 1024 * 1024;

/// A response is believed this far ahead of its bytes.
const READ_AHEAD_BYTES: usize = 64 * 1024;

/// One connection to one broker. Requests may be sent ahead of the responses; these come in the same order.
///
/// After an error the connection is of no more use.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    client_id: String,
    served: BTreeMap<i16, ApiVersion>,
    next_correlation_id: i32,
    expected: VecDeque<Expected>,
}

/// A response that is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Expected {
    api_key: i16,
    version: i16,
    correlation_id: i32,
}

impl Connection {
    /// Connects to `address` (host and port) and asks what the broker can do.
    ///
    /// # Errors
    /// There is nobody, or it is not a broker that speaks our versions of ApiVersions.
    pub async fn open(address: &str, client_id: &str) -> Result<Connection, ClientError> {
        let stream = TcpStream::connect(address).await?;
        // Requests are written whole: waiting for more to send would only delay them.
        stream.set_nodelay(true)?;
        let mut connection = Connection {
            stream,
            client_id: client_id.to_owned(),
            served: BTreeMap::new(),
            next_correlation_id: 0,
            expected: VecDeque::new(),
        };
        let who = ApiVersionsRequest {
            client_software_name: "highwater".to_owned(),
            client_software_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        connection.send_as(&who, 3).await?;
        let answer: ApiVersionsResponse = connection.receive().await?;
        if let Some(error) = ErrorCode::from_code(answer.error_code).filter(|error| *error != ErrorCode::None)
        {
            return Err(ClientError::Refused { code: error, message: String::new() });
        }
        connection.served = answer.api_keys.into_iter().map(|api| (api.api_key, api)).collect();
        Ok(connection)
    }

    /// The highest version of an API that both sides have and that is at most `highest`; `None` where there is none.
    pub fn version<R: Request>(&self, highest: i16) -> Option<i16> {
        let api = self.served.get(&R::KEY)?;
        let version = api.max_version.min(R::DECLARATION.versions.max).min(highest);
        (version >= api.min_version.max(R::DECLARATION.versions.min)).then_some(version)
    }

    /// Sends a request at the highest common version and waits for its response. Responses to requests sent before
    /// must have been received.
    ///
    /// # Errors
    /// The connection is lost, or the broker speaks no common version.
    pub async fn call<R: Request>(&mut self, request: &R) -> Result<R::Response, ClientError> {
        self.send(request, i16::MAX).await?;
        self.receive().await
    }

    /// Sends a request at the highest common version that is at most `highest`, without waiting for the response.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub async fn send<R: Request>(&mut self, request: &R, highest: i16) -> Result<(), ClientError> {
        let version =
            self.version::<R>(highest).ok_or(ClientError::UnsupportedApi { name: R::DECLARATION.name })?;
        self.send_as(request, version).await
    }

    /// Sends a request to which the broker gives no response: a produce without acknowledgement.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub async fn send_only<R: Request>(&mut self, request: &R, highest: i16) -> Result<(), ClientError> {
        self.send(request, highest).await?;
        self.expected.pop_back();
        Ok(())
    }

    /// Requests whose responses have not been received.
    pub fn outstanding(&self) -> usize {
        self.expected.len()
    }

    async fn send_as<R: Request>(&mut self, request: &R, version: i16) -> Result<(), ClientError> {
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id = correlation_id.wrapping_add(1);
        let frame = encode_request(request, version, correlation_id, Some(&self.client_id))?;
        self.write(&frame).await?;
        self.expected.push_back(Expected { api_key: R::KEY, version, correlation_id });
        Ok(())
    }

    async fn write(&mut self, frame: &Frame) -> Result<(), ClientError> {
        for segment in frame.segments() {
            self.stream.write_all(segment).await?;
        }
        Ok(())
    }

    /// The response to the oldest request that has none yet.
    ///
    /// # Errors
    /// The connection is lost, the response is not one of that kind, or nothing was asked.
    pub async fn receive<M: Message>(&mut self) -> Result<M, ClientError> {
        let expected = self.expected.pop_front().ok_or(ClientError::Protocol("no request is outstanding"))?;
        if expected.api_key != M::KEY {
            return Err(ClientError::Protocol("the oldest request is of another kind"));
        }
        let frame = self.read().await?;
        let (correlation_id, message) = decode_response(&frame, expected.version)?;
        if correlation_id != expected.correlation_id {
            return Err(ClientError::Protocol("a response to another request"));
        }
        Ok(message)
    }

    async fn read(&mut self) -> Result<Bytes, ClientError> {
        let length = self.stream.read_i32().await?;
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= RESPONSE_BYTES_MAX)
            .ok_or(ClientError::Protocol("a response of impossible length"))?;
        let mut frame = BytesMut::with_capacity(length.min(READ_AHEAD_BYTES));
        while frame.len() < length {
            let missing = (length - frame.len()) as u64;
            if (&mut self.stream).take(missing).read_buf(&mut frame).await? == 0 {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
            }
        }
        Ok(frame.freeze())
    }
}
