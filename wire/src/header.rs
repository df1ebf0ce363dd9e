use crate::{DecodeError, Encoder, declaration::Declaration};
use bytes::Bytes;
use highwater_records::primitive::Reader;

/// The first eight bytes of every request, in every version: enough to know whether the rest can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestStart {
    /// The API's number.
    pub api_key: i16,
    /// The version of the request, and of the response that is wanted.
    pub api_version: i16,
    /// What the response carries back.
    pub correlation_id: i32,
}

impl RequestStart {
    /// Reads the start of a request frame (without its length).
    ///
    /// # Errors
    /// The frame has fewer than eight bytes.
    pub fn decode(frame: &[u8]) -> Result<RequestStart, DecodeError> {
        let mut reader = Reader::new(frame);
        Ok(RequestStart { api_key: reader.i16()?, api_version: reader.i16()?, correlation_id: reader.i32()? })
    }
}

/// The whole header of a request whose API and version are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    /// Its fixed part.
    pub start: RequestStart,
    /// What the client calls itself.
    pub client_id: Option<String>,
    /// Where in the frame the body starts.
    pub body_position: usize,
}

impl RequestHeader {
    /// Reads the header of a request that `declaration` describes.
    ///
    /// # Errors
    /// The bytes are no header.
    pub fn decode(declaration: &Declaration, frame: &Bytes) -> Result<RequestHeader, DecodeError> {
        let start = RequestStart::decode(frame)?;
        let mut reader = Reader::new(frame);
        reader.take(8)?;
        // The client id has its first encoding in every header version.
        let client_id = match reader.i16_length()? {
            Some(length) => Some(reader.text(length)?.to_owned()),
            None => None,
        };
        if declaration.flexible.contains(start.api_version) {
            for _ in 0..reader.uvarint()? {
                reader.uvarint()?;
                let size = reader.uvarint()? as usize;
                reader.take(size)?;
            }
        }
        Ok(RequestHeader { start, client_id, body_position: reader.position() })
    }

    pub(crate) fn encode(encoder: &mut Encoder, start: RequestStart, client_id: Option<&str>) {
        encoder.put_i16(start.api_key);
        encoder.put_i16(start.api_version);
        encoder.put_i32(start.correlation_id);
        encoder.classic_string(client_id);
        if encoder.is_flexible() {
            encoder.tagged_field_count(0);
        }
    }
}

/// Whether the response of that API and version has a header with tagged fields.
///
/// That of ApiVersions never has: its reader cannot know yet whether the broker speaks flexible versions.
pub(crate) fn response_header_is_flexible(declaration: &Declaration, version: i16) -> bool {
    declaration.flexible.contains(version) && declaration.api_key != crate::versions::API_VERSIONS_KEY
}
