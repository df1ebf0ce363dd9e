use crate::{
    DecodeError, Decoder, EncodeError, Encoder,
    declaration::{Declaration, Kind},
};
use bytes::Bytes;
use highwater_records::TopicId;
use std::fmt::Debug;

/// Anything that a message consists of. Implemented by the declarations and by the types below.
pub trait Value: Sized {
    /// What the value is, for comparison with Kafka's declarations.
    const KIND: Kind;

    /// Reads one; `nullable` says whether the version allows null here.
    fn decode(decoder: &mut Decoder<'_>, nullable: bool) -> Result<Self, DecodeError>;

    /// Writes it; `nullable` says whether the version allows null here.
    fn encode(&self, encoder: &mut Encoder, nullable: bool);

    /// Any value that the version can carry.
    #[cfg(any(test, feature = "sample"))]
    fn sample(sampler: &mut crate::sample::Sampler<'_>, nullable: bool) -> Self;
}

/// A request or a response.
pub trait Message: Value + Default + Clone + Debug + PartialEq {
    /// What it is declared as.
    const DECLARATION: &'static Declaration;

    /// The number of its API.
    const KEY: i16 = Self::DECLARATION.api_key;

    /// Reads a message that starts at `position` of `frame` and goes to the frame's end.
    ///
    /// # Errors
    /// The bytes are no such message, or `version` is outside the declared ones.
    fn from_frame(frame: &Bytes, position: usize, version: i16) -> Result<Self, DecodeError> {
        let mut decoder = Decoder::new(Self::DECLARATION, frame, position, version)?;
        let message = <Self as Value>::decode(&mut decoder, false)?;
        decoder.finish()?;
        Ok(message)
    }

    /// As [`Message::from_frame`], and takes no notice of what follows the message. A broker reads requests so, as
    /// Apache Kafka does: librdkafka 2.12 to 2.16 ask for the metadata of all topics with three bytes too many.
    ///
    /// # Errors
    /// As [`Message::from_frame`], but for what is left over.
    fn from_start(frame: &Bytes, position: usize, version: i16) -> Result<Self, DecodeError> {
        let mut decoder = Decoder::new(Self::DECLARATION, frame, position, version)?;
        <Self as Value>::decode(&mut decoder, false)
    }

    /// The bytes that the message takes at `version`, without header and length.
    ///
    /// # Errors
    /// It cannot be encoded at that version.
    fn encoded_size(&self, version: i16) -> Result<usize, EncodeError> {
        let mut encoder = Encoder::new(Self::DECLARATION, version)?;
        let size = encoder.measure(|encoder| self.encode(encoder, false));
        encoder.finish()?;
        Ok(size)
    }
}

/// A message that asks for another.
pub trait Request: Message {
    /// What answers it.
    type Response: Message;
}

macro_rules! integers {
    ($($type:ty, $kind:ident, $read:ident, $put:ident;)*) => {$(
        impl Value for $type {
            const KIND: Kind = Kind::$kind;

            fn decode(decoder: &mut Decoder<'_>, _nullable: bool) -> Result<$type, DecodeError> {
                Ok(decoder.reader().$read()?)
            }

            fn encode(&self, encoder: &mut Encoder, _nullable: bool) {
                encoder.$put(*self);
            }

            #[cfg(any(test, feature = "sample"))]
            fn sample(sampler: &mut crate::sample::Sampler<'_>, _nullable: bool) -> $type {
                sampler.integer() as $type
            }
        }
    )*};
}

integers! {
    i8, Int8, i8, put_i8;
    i16, Int16, i16, put_i16;
    u16, Uint16, u16, put_u16;
    i32, Int32, i32, put_i32;
    i64, Int64, i64, put_i64;
}

impl Value for bool {
    const KIND: Kind = Kind::Bool;

    fn decode(decoder: &mut Decoder<'_>, _nullable: bool) -> Result<bool, DecodeError> {
        Ok(decoder.reader().u8()? != 0)
    }

    fn encode(&self, encoder: &mut Encoder, _nullable: bool) {
        encoder.put_u8(u8::from(*self));
    }

    #[cfg(any(test, feature = "sample"))]
    fn sample(sampler: &mut crate::sample::Sampler<'_>, _nullable: bool) -> bool {
        sampler.integer() & 1 == 1
    }
}

impl Value for f64 {
    const KIND: Kind = Kind::Float64;

    fn decode(decoder: &mut Decoder<'_>, _nullable: bool) -> Result<f64, DecodeError> {
        let number = f64::from_bits(decoder.reader().u64()?);
        if number.is_finite() { Ok(number) } else { Err(DecodeError::NotFinite { field: "" }) }
    }

    fn encode(&self, encoder: &mut Encoder, _nullable: bool) {
        encoder.put_slice(&self.to_bits().to_be_bytes());
    }

    #[cfg(any(test, feature = "sample"))]
    fn sample(sampler: &mut crate::sample::Sampler<'_>, _nullable: bool) -> f64 {
        sampler.integer() as f64
    }
}

impl Value for TopicId {
    const KIND: Kind = Kind::Uuid;

    fn decode(decoder: &mut Decoder<'_>, _nullable: bool) -> Result<TopicId, DecodeError> {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(decoder.reader().take(16)?);
        Ok(TopicId::from_bytes(bytes))
    }

    fn encode(&self, encoder: &mut Encoder, _nullable: bool) {
        encoder.put_slice(self.as_bytes());
    }

    #[cfg(any(test, feature = "sample"))]
    fn sample(sampler: &mut crate::sample::Sampler<'_>, _nullable: bool) -> TopicId {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&sampler.integer().to_be_bytes());
        bytes[8..].copy_from_slice(&sampler.integer().to_be_bytes());
        TopicId::from_bytes(bytes)
    }
}

impl Value for String {
    const KIND: Kind = Kind::String;

    fn decode(decoder: &mut Decoder<'_>, _nullable: bool) -> Result<String, DecodeError> {
        decoder.string()?.ok_or(DecodeError::Null { field: "" })
    }

    fn encode(&self, encoder: &mut Encoder, nullable: bool) {
        encoder.string(Some(self), nullable);
    }

    #[cfg(any(test, feature = "sample"))]
    fn sample(sampler: &mut crate::sample::Sampler<'_>, _nullable: bool) -> String {
        sampler.text()
    }
}

impl Value for Bytes {
    const KIND: Kind = Kind::Bytes;

    fn decode(decoder: &mut Decoder<'_>, _nullable: bool) -> Result<Bytes, DecodeError> {
        decoder.bytes()?.ok_or(DecodeError::Null { field: "" })
    }

    fn encode(&self, encoder: &mut Encoder, _nullable: bool) {
        encoder.bytes(self);
    }

    #[cfg(any(test, feature = "sample"))]
    fn sample(sampler: &mut crate::sample::Sampler<'_>, _nullable: bool) -> Bytes {
        sampler.bytes()
    }
}

impl<T: Value> Value for Vec<T> {
    const KIND: Kind = Kind::Array(&T::KIND);

    fn decode(decoder: &mut Decoder<'_>, _nullable: bool) -> Result<Vec<T>, DecodeError> {
        elements(decoder)?.ok_or(DecodeError::Null { field: "" })
    }

    fn encode(&self, encoder: &mut Encoder, _nullable: bool) {
        encoder.length(self.len());
        for element in self {
            element.encode(encoder, false);
        }
    }

    #[cfg(any(test, feature = "sample"))]
    fn sample(sampler: &mut crate::sample::Sampler<'_>, _nullable: bool) -> Vec<T> {
        (0..sampler.count()).map(|_| T::sample(sampler, false)).collect()
    }
}

fn elements<T: Value>(decoder: &mut Decoder<'_>) -> Result<Option<Vec<T>>, DecodeError> {
    let Some(count) = decoder.count(size_of::<T>())? else { return Ok(None) };
    let mut elements = Vec::with_capacity(count);
    for _ in 0..count {
        elements.push(T::decode(decoder, false)?);
    }
    Ok(Some(elements))
}

/// The three kinds of value that can be null. Spelled out, since each has its own encoding of null.
macro_rules! nullable {
    ($([$($generics:tt)*] $type:ty, $kind:expr, $decode:expr, $null:expr;)*) => {$(
        impl<$($generics)*> Value for Option<$type> {
            const KIND: Kind = $kind;

            fn decode(decoder: &mut Decoder<'_>, nullable: bool) -> Result<Self, DecodeError> {
                let decode: fn(&mut Decoder<'_>) -> Result<Self, DecodeError> = $decode;
                match decode(decoder)? {
                    None if !nullable => Err(DecodeError::Null { field: "" }),
                    value => Ok(value),
                }
            }

            fn encode(&self, encoder: &mut Encoder, nullable: bool) {
                let null: fn(&mut Encoder, bool) = $null;
                match self {
                    Some(value) => value.encode(encoder, nullable),
                    None => null(encoder, nullable),
                }
            }

            #[cfg(any(test, feature = "sample"))]
            fn sample(sampler: &mut crate::sample::Sampler<'_>, nullable: bool) -> Self {
                if nullable && sampler.integer() & 3 == 0 { None } else { Some(Value::sample(sampler, false)) }
            }
        }
    )*};
}

nullable! {
    [] String, Kind::String, |decoder| decoder.string(), |encoder, nullable| encoder.string(None, nullable);
    [] Bytes, Kind::Bytes, |decoder| decoder.bytes(), Encoder::null;
    [T: Value] Vec<T>, Kind::Array(&T::KIND), elements, Encoder::null;
}

/// Marks what is declared as `struct`: it can be null with a byte of its own in front, -1 for null and 1 otherwise.
pub trait Struct: Value {}

impl<T: Struct> Value for Option<T> {
    const KIND: Kind = T::KIND;

    fn decode(decoder: &mut Decoder<'_>, nullable: bool) -> Result<Self, DecodeError> {
        if !nullable {
            return T::decode(decoder, false).map(Some);
        }
        match decoder.reader().i8()? {
            ..0 => Ok(None),
            0.. => T::decode(decoder, false).map(Some),
        }
    }

    fn encode(&self, encoder: &mut Encoder, nullable: bool) {
        match self {
            Some(value) => {
                if nullable {
                    encoder.put_i8(1);
                }
                value.encode(encoder, false);
            }
            None => encoder.null_struct(nullable),
        }
    }

    #[cfg(any(test, feature = "sample"))]
    fn sample(sampler: &mut crate::sample::Sampler<'_>, nullable: bool) -> Self {
        if nullable && sampler.integer() & 3 == 0 { None } else { Some(T::sample(sampler, false)) }
    }
}
