//! What is known about a key.

use super::{error::ConfigProblem, value};

/// One configuration key.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// The key.
    pub name: &'static str,
    /// What its text must parse as.
    pub kind: Kind,
    /// What it is when nobody sets it, as text; `None` for nothing at all. Of a topic key that has
    /// [`Definition::synonyms`] it is the same value as their default.
    pub default: Option<&'static str>,
    /// What the parsed value must be.
    pub check: Check,
    /// Values that Kafka has and that are refused until they are built: answers why.
    pub unbuilt: Option<fn(&str) -> Option<&'static str>>,
    /// The broker keys that give a topic key its default, the strongest first. Of a broker's own key: other names for
    /// it, weaker than its own.
    pub synonyms: &'static [Synonym],
    /// How much it matters.
    pub importance: Importance,
    /// Whether it keeps the value it had at first.
    pub fixed: bool,
    /// Whether it can be altered while the broker runs. Of a broker's own key; of those that give topics their
    /// defaults the strongest can.
    pub dynamic: bool,
    /// Whether anything reads it. What nothing reads is accepted, validated and described.
    pub used: bool,
    /// Not listed and not described; for tests, as in Kafka.
    pub internal: bool,
    /// What it does, in a sentence or two.
    pub doc: &'static str,
}

/// What the text of a value must parse as, with Kafka's numbers for it in DescribeConfigs at the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`, in any case.
    Boolean,
    /// Text.
    Text,
    /// A signed number of 32 bits.
    Int,
    /// A signed number of 64 bits.
    Long,
    /// A number with a fraction.
    Double,
    /// Texts with commas between.
    List,
}

impl Kind {
    /// The word used in documentation.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Boolean => "boolean",
            Kind::Text => "string",
            Kind::Int => "int",
            Kind::Long => "long",
            Kind::Double => "double",
            Kind::List => "list",
        }
    }
}

/// What a parsed value must be.
#[derive(Clone, Copy, Debug)]
pub enum Check {
    /// Anything that parses.
    Any,
    /// A number in this range, both ends included.
    Range(i64, i64),
    /// A number with a fraction in this range, both ends included.
    Fraction(f64, f64),
    /// One of these words, or for a list: any of these, or none.
    Words(&'static [&'static str]),
    /// Whatever the function accepts; otherwise it says what was expected.
    Rule(fn(&str) -> Result<(), &'static str>),
}

/// How much a key matters to whoever sets up a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Importance {
    /// Everyone should know it.
    High,
    /// Some will need it.
    Medium,
    /// Few will need it.
    Low,
}

/// A broker key under which a value can be given too.
#[derive(Clone, Copy, Debug)]
pub struct Synonym {
    /// The broker key.
    pub name: &'static str,
    /// Its own default as text, if it has one.
    pub default: Option<&'static str>,
    /// How many of the defined key's units one of its units is: 60,000 for minutes to milliseconds.
    pub unit: i64,
}

impl Synonym {
    /// A synonym in the same unit.
    pub const fn same(name: &'static str, default: Option<&'static str>) -> Synonym {
        Synonym { name, default, unit: 1 }
    }

    /// A synonym in minutes for a key in milliseconds.
    pub const fn minutes(name: &'static str, default: Option<&'static str>) -> Synonym {
        Synonym { name, default, unit: 60_000 }
    }

    /// A synonym in hours for a key in milliseconds.
    pub const fn hours(name: &'static str, default: Option<&'static str>) -> Synonym {
        Synonym { name, default, unit: 3_600_000 }
    }
}

/// A key as a broker's configuration has it.
#[derive(Clone, Copy, Debug)]
pub struct BrokerKey {
    /// The key.
    pub name: &'static str,
    /// What it is when nobody sets it.
    pub default: Option<&'static str>,
    /// How many of the definition's units one unit of this key is.
    pub unit: i64,
    /// What it means.
    pub definition: &'static Definition,
    /// Whether it is a synonym of the definition: another name for it, or what gives a topic key its default.
    pub is_synonym: bool,
}

impl BrokerKey {
    pub(super) const fn own(definition: &'static Definition) -> BrokerKey {
        BrokerKey {
            name: definition.name,
            default: definition.default,
            unit: 1,
            definition,
            is_synonym: false,
        }
    }

    pub(super) const fn synonym(definition: &'static Definition, synonym: &'static Synonym) -> BrokerKey {
        BrokerKey {
            name: synonym.name,
            default: synonym.default,
            unit: synonym.unit,
            definition,
            is_synonym: true,
        }
    }

    /// Whether it can be altered while the broker runs.
    pub fn is_dynamic(&self) -> bool {
        if !self.is_synonym {
            return self.definition.dynamic;
        }
        // Broker's own keys have synonyms too, under which nothing is altered.
        let gives_topics_their_default = super::topic_key(self.definition.name).is_some();
        let strongest = self.definition.synonyms.first().map(|synonym| synonym.name);
        gives_topics_their_default && !self.definition.fixed && strongest == Some(self.name)
    }

    /// Checks a value given under this name.
    pub fn check(&self, text: &str) -> Result<(), ConfigProblem> {
        self.definition.check(&value::in_unit(text, self.unit, self.definition.kind)?)
    }
}

impl Definition {
    /// Checks a value given under the definition's own name.
    pub fn check(&self, text: &str) -> Result<(), ConfigProblem> {
        value::check(self, text)?;
        match self.unbuilt.and_then(|why| why(text.trim())) {
            Some(why) => Err(ConfigProblem::NotBuilt { value: text.into(), why }),
            None => Ok(()),
        }
    }

    pub(super) const fn new(name: &'static str, kind: Kind, default: Option<&'static str>) -> Definition {
        Definition {
            name,
            kind,
            default,
            check: Check::Any,
            unbuilt: None,
            synonyms: &[],
            importance: Importance::Medium,
            fixed: false,
            dynamic: false,
            used: true,
            internal: false,
            doc: "",
        }
    }

    pub(super) const fn checked(self, check: Check) -> Definition {
        Definition { check, ..self }
    }

    pub(super) const fn at_least(self, least: i64) -> Definition {
        self.checked(Check::Range(least, i64::MAX))
    }

    pub(super) const fn unbuilt(self, why: fn(&str) -> Option<&'static str>) -> Definition {
        Definition { unbuilt: Some(why), ..self }
    }

    pub(super) const fn from(self, synonyms: &'static [Synonym]) -> Definition {
        Definition { synonyms, ..self }
    }

    pub(super) const fn rank(self, importance: Importance) -> Definition {
        Definition { importance, ..self }
    }

    pub(super) const fn fixed(self) -> Definition {
        Definition { fixed: true, ..self }
    }

    pub(super) const fn dynamic(self) -> Definition {
        Definition { dynamic: true, ..self }
    }

    pub(super) const fn unused(self) -> Definition {
        Definition { used: false, ..self }
    }

    pub(super) const fn internal(self) -> Definition {
        Definition { internal: true, ..self }
    }

    pub(super) const fn doc(self, doc: &'static str) -> Definition {
        Definition { doc, ..self }
    }
}
