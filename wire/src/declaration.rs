//! What a message consists of, as data: the same text that the codec is made from, to be compared and printed.

use std::fmt;

/// A range of a message's versions, both ends inclusive; possibly empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The lowest.
    pub min: i16,
    /// The highest; `i16::MAX` for "and all later ones".
    pub max: i16,
}

impl Versions {
    /// No version at all.
    pub const NONE: Versions = Versions { min: 0, max: -1 };

    /// `min` to `max`, both inclusive.
    pub const fn range(min: i16, max: i16) -> Versions {
        Versions { min, max }
    }

    /// `min` and all later ones.
    pub const fn from(min: i16) -> Versions {
        Versions { min, max: i16::MAX }
    }

    /// Whether `version` is in the range.
    pub const fn contains(self, version: i16) -> bool {
        self.min <= version && version <= self.max
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Versions { min, max } if min > max => write!(f, "none"),
            Versions { min, max: i16::MAX } => write!(f, "{min}+"),
            Versions { min, max } if min == max => write!(f, "{min}"),
            Versions { min, max } => write!(f, "{min}-{max}"),
        }
    }
}

/// One message.
#[derive(Debug)]
pub struct Declaration {
    /// Its name, as Kafka's protocol guide has it.
    pub name: &'static str,
    /// Its API's number.
    pub api_key: i16,
    /// The versions that can be encoded and decoded.
    pub versions: Versions,
    /// The versions with compact lengths and tagged fields.
    pub flexible: Versions,
    /// What it consists of; always a [`Kind::Struct`].
    pub kind: Kind,
}

/// What a field's value is.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// One byte, zero or not.
    Bool,
    /// One byte.
    Int8,
    /// Two bytes.
    Int16,
    /// Two bytes, unsigned.
    Uint16,
    /// Four bytes.
    Int32,
    /// Eight bytes.
    Int64,
    /// Eight bytes, with a fraction.
    Float64,
    /// Sixteen bytes.
    Uuid,
    /// UTF-8 with a length before it.
    String,
    /// Bytes, or a record set, with a length before it.
    Bytes,
    /// Values with their count before them.
    Array(&'static Kind),
    /// Fields one after the other.
    Struct(&'static [Field]),
}

/// One field of a message or of a struct in it.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name, in snake case.
    pub name: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// The message's versions that have it.
    pub versions: Versions,
    /// The versions in which it may be null.
    pub nullable: Versions,
    /// Its tag, and the versions in which it travels under that tag.
    pub tag: Option<(u32, Versions)>,
    /// The Rust text of its default; empty for its type's own.
    pub default: &'static str,
}

impl Field {
    /// A field. A tag and the field itself must be there in the same versions (as in all of Kafka's messages);
    /// a declaration that says otherwise does not compile.
    pub(crate) const fn new(
        name: &'static str,
        kind: Kind,
        versions: Versions,
        nullable: Versions,
        tag: Option<(u32, Versions)>,
        default: &'static str,
    ) -> Field {
        if let Some((_, tagged)) = tag {
            assert!(tagged.min == versions.min && tagged.max == versions.max, "tagged in some versions only");
        }
        Field { name, kind, versions, nullable, tag, default }
    }

    /// Whether `version` has the field at its place among the others.
    pub(crate) const fn in_line(&self, version: i16) -> bool {
        self.tag.is_none() && self.versions.contains(version)
    }

    /// Whether `version` has the field among the tagged ones.
    pub(crate) const fn tagged(&self, version: i16) -> bool {
        self.tag.is_some() && self.versions.contains(version)
    }

    /// Whether `version` has the field under this tag.
    pub(crate) const fn under_tag(&self, tag: u32, version: i16) -> bool {
        match self.tag {
            Some((own, _)) => own == tag && self.versions.contains(version),
            None => false,
        }
    }
}
