use crate::{
    DecodeError, EncodeError, Encoder, Message, Request, RequestHeader, RequestStart,
    header::response_header_is_flexible,
};
use bytes::Bytes;
use highwater_records::primitive::Reader;

/// One message as it goes to a socket: segments one after the other, the four-byte length in front included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    segments: Vec<Bytes>,
    size: usize,
}

impl Frame {
    /// The bytes in order; none of the segments is empty.
    pub fn segments(&self) -> &[Bytes] {
        &self.segments
    }

    /// The bytes in order, given away.
    pub fn into_segments(self) -> Vec<Bytes> {
        self.segments
    }

    /// All bytes together, the length prefix included.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The whole frame in one piece. Copies unless it is one already.
    pub fn to_bytes(&self) -> Bytes {
        match &self.segments[..] {
            [only] => only.clone(),
            several => several.concat().into(),
        }
    }

    /// Cuts `written` where the inserts belong. Positions ascend and lie within `written`.
    pub(crate) fn assemble(mut written: Bytes, inserts: Vec<(usize, Bytes)>) -> Frame {
        let mut segments = Vec::with_capacity(2 * inserts.len() + 1);
        let mut cut = 0;
        for (position, insert) in inserts {
            let before = written.split_to(position - cut);
            cut = position;
            segments.extend([before, insert].into_iter().filter(|segment| !segment.is_empty()));
        }
        if !written.is_empty() {
            segments.push(written);
        }
        let size = segments.iter().map(Bytes::len).sum();
        Frame { segments, size }
    }
}

/// A request, its header before it.
///
/// # Errors
/// The request cannot be encoded at that version.
pub fn encode_request<R: Request>(
    request: &R,
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
) -> Result<Frame, EncodeError> {
    let mut encoder = Encoder::new(R::DECLARATION, version)?;
    let start = RequestStart { api_key: R::DECLARATION.api_key, api_version: version, correlation_id };
    RequestHeader::encode(&mut encoder, start, client_id);
    request.encode(&mut encoder, false);
    encoder.finish()
}

/// A response, its header before it.
///
/// # Errors
/// The response cannot be encoded at that version.
pub fn encode_response<M: Message>(
    response: &M,
    version: i16,
    correlation_id: i32,
) -> Result<Frame, EncodeError> {
    let mut encoder = Encoder::new(M::DECLARATION, version)?;
    encoder.put_i32(correlation_id);
    if response_header_is_flexible(M::DECLARATION, version) {
        encoder.tagged_field_count(0);
    }
    response.encode(&mut encoder, false);
    encoder.finish()
}

/// Reads a response frame (without its length): the correlation id and the message.
///
/// # Errors
/// The bytes are no such response.
pub fn decode_response<M: Message>(frame: &Bytes, version: i16) -> Result<(i32, M), DecodeError> {
    let mut reader = Reader::new(frame);
    let correlation_id = reader.i32()?;
    if response_header_is_flexible(M::DECLARATION, version) {
        for _ in 0..reader.uvarint()? {
            reader.uvarint()?;
            let size = reader.uvarint()? as usize;
            reader.take(size)?;
        }
    }
    Ok((correlation_id, M::from_frame(frame, reader.position(), version)?))
}
