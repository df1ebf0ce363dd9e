use crate::{Frame, declaration::Declaration};
use bytes::{BufMut, Bytes, BytesMut};
use highwater_records::primitive::{uvarint_len, write};

/// Record sets shorter than this are copied into the frame: cheaper than a segment of their own.
const SEGMENT_MIN: usize = 1024;

/// Why a message cannot be put into bytes. Always a mistake of the program, never of its peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A null in a version that has none.
    #[error("null where version {version} of {message} has none")]
    Null {
        /// The message.
        message: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// A string beyond 32767 bytes, or a message beyond 2 GiB.
    #[error("a value of {length} bytes or elements is too long for {message}")]
    TooLong {
        /// The message.
        message: &'static str,
        /// The length.
        length: usize,
    },
    /// The version is outside what the message is declared for.
    #[error("{message} has no version {version}")]
    Version {
        /// The message.
        message: &'static str,
        /// The version asked for.
        version: i16,
    },
}

/// Writes the values of one message at one version.
///
/// Record sets are not copied: they are noted with the place where they belong, and [`Encoder::finish`] cuts
/// the rest there. An error is kept until then, so that the code of each message need not look at it.
#[derive(Debug)]
pub struct Encoder {
    message: &'static str,
    version: i16,
    flexible: bool,
    out: BytesMut,
    inserts: Vec<(usize, Bytes)>,
    inserted: usize,
    /// Counts instead of writing.
    measuring: bool,
    measured: usize,
    error: Option<EncodeError>,
}

macro_rules! fixed {
    ($($name:ident($type:ty);)*) => {$(
        pub(crate) fn $name(&mut self, value: $type) {
            if self.measuring {
                self.measured += size_of::<$type>();
            } else {
                self.out.$name(value);
            }
        }
    )*};
}

impl Encoder {
    pub(crate) fn new(declaration: &Declaration, version: i16) -> Result<Encoder, EncodeError> {
        let message = declaration.name;
        if !declaration.versions.contains(version) {
            return Err(EncodeError::Version { message, version });
        }
        let mut out = BytesMut::with_capacity(256);
        // The frame's length, filled in at the end.
        out.put_u32(0);
        Ok(Encoder {
            message,
            version,
            flexible: declaration.flexible.contains(version),
            out,
            inserts: Vec::new(),
            inserted: 0,
            measuring: false,
            measured: 0,
            error: None,
        })
    }

    /// The message's version.
    pub fn version(&self) -> i16 {
        self.version
    }

    /// Whether the version has compact lengths and tagged fields.
    pub fn is_flexible(&self) -> bool {
        self.flexible
    }

    fixed! {
        put_i8(i8);
        put_u8(u8);
        put_i16(i16);
        put_u16(u16);
        put_i32(i32);
        put_i64(i64);
    }

    pub(crate) fn put_slice(&mut self, bytes: &[u8]) {
        if self.measuring {
            self.measured += bytes.len();
        } else {
            self.out.put_slice(bytes);
        }
    }

    fn uvarint(&mut self, value: u32) {
        if self.measuring {
            self.measured += uvarint_len(value);
        } else {
            write::uvarint(&mut self.out, value);
        }
    }

    fn too_long(&mut self, length: usize) {
        self.error.get_or_insert(EncodeError::TooLong { message: self.message, length });
    }

    /// Null in front of what would have a four-byte length in the first encoding.
    pub(crate) fn null(&mut self, nullable: bool) {
        self.check_null(nullable);
        if self.flexible { self.uvarint(0) } else { self.put_i32(-1) }
    }

    /// Null in place of a struct.
    pub(crate) fn null_struct(&mut self, nullable: bool) {
        self.check_null(nullable);
        self.put_i8(-1);
    }

    fn check_null(&mut self, nullable: bool) {
        if !nullable {
            self.error.get_or_insert(EncodeError::Null { message: self.message, version: self.version });
        }
    }

    /// The length of bytes or the number of elements of an array.
    pub(crate) fn length(&mut self, length: usize) {
        match i32::try_from(length) {
            Ok(i32::MAX) | Err(_) => self.too_long(length),
            Ok(length) if self.flexible => self.uvarint(length as u32 + 1),
            Ok(length) => self.put_i32(length),
        }
    }

    pub(crate) fn string(&mut self, text: Option<&str>, nullable: bool) {
        let Some(text) = text else {
            self.check_null(nullable);
            return if self.flexible { self.uvarint(0) } else { self.put_i16(-1) };
        };
        match i16::try_from(text.len()) {
            Ok(length) if self.flexible => self.uvarint(length as u32 + 1),
            Ok(length) => self.put_i16(length),
            Err(_) => return self.too_long(text.len()),
        }
        self.put_slice(text.as_bytes());
    }

    /// A string in its first encoding, whatever the version. Always nullable.
    pub(crate) fn classic_string(&mut self, text: Option<&str>) {
        let flexible = std::mem::replace(&mut self.flexible, false);
        self.string(text, true);
        self.flexible = flexible;
    }

    pub(crate) fn bytes(&mut self, bytes: &Bytes) {
        self.length(bytes.len());
        if self.measuring {
            self.measured += bytes.len();
        } else if bytes.len() < SEGMENT_MIN {
            self.out.put_slice(bytes);
        } else {
            self.inserted += bytes.len();
            self.inserts.push((self.out.len(), bytes.clone()));
        }
    }

    /// How many bytes `write` would write.
    pub(crate) fn measure(&mut self, write: impl FnOnce(&mut Encoder)) -> usize {
        let outer = (self.measuring, self.measured);
        (self.measuring, self.measured) = (true, 0);
        write(self);
        let size = self.measured;
        (self.measuring, self.measured) = outer;
        size
    }

    pub(crate) fn tagged_field_count(&mut self, count: u32) {
        self.uvarint(count);
    }

    pub(crate) fn tagged_field(
        &mut self,
        tag: Option<(u32, crate::declaration::Versions)>,
        write: impl Fn(&mut Encoder),
    ) {
        let Some((tag, _)) = tag else { return };
        self.uvarint(tag);
        let size = self.measure(&write);
        match u32::try_from(size) {
            Ok(size) => self.uvarint(size),
            Err(_) => return self.too_long(size),
        }
        write(self);
    }

    /// The frame, its length in front.
    pub(crate) fn finish(mut self) -> Result<Frame, EncodeError> {
        let length = self.out.len() - 4 + self.inserted;
        match i32::try_from(length) {
            Ok(length) => self.out[..4].copy_from_slice(&length.to_be_bytes()),
            Err(_) => self.too_long(length),
        }
        match self.error {
            Some(error) => Err(error),
            None => Ok(Frame::assemble(self.out.freeze(), self.inserts)),
        }
    }
}
