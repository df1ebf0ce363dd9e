//! `server.properties`: Java's properties syntax, with where each value came from.
//!
//! One difference from Java: the file is UTF-8, not Latin-1. Plain ASCII files and `\uXXXX` escapes mean the same.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
    str::{Chars, Utf8Error},
};

/// The largest file that is read, in bytes (inclusive). Real ones have a few kilobytes.
const FILE_SIZE_MAX_BYTES: u64 = 1 << 20;

/// Keys with their values, each with its origin. A key given twice has its last value; an override wins over the
/// file.
#[derive(Clone, Debug, Default)]
pub struct Properties {
    file: Option<PathBuf>,
    entries: BTreeMap<String, Entry>,
    overrides: usize,
}

/// One value and where it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The text after the separator, escapes resolved. Java keeps blanks at its end, and so do we.
    pub value: String,
    /// Where it was given.
    pub origin: Origin,
}

/// Where a value was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// In the file; the first line is 1, and an entry that is continued is where it begins.
    File {
        /// Its line.
        line: usize,
    },
    /// In an `--override`; the first one given is 1.
    Override {
        /// Its position among the overrides.
        position: usize,
    },
}

/// Why properties could not be read.
#[derive(Debug, thiserror::Error)]
pub enum PropertiesError {
    /// The file cannot be opened or read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file is larger than any properties file is.
    #[error("{} is larger than {FILE_SIZE_MAX_BYTES} bytes and surely not a properties file", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A line is malformed.
    #[error("line {line}: {reason}")]
    Malformed {
        /// Its line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: LineError,
    },
    /// An override is not `key=value`.
    #[error("--override {given}: expected key=value")]
    Override {
        /// What was given.
        given: String,
    },
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// The bytes are not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// `\u` without four hexadecimal digits.
    #[error("\\u must be followed by four hexadecimal digits")]
    UnicodeEscape,
    /// `\u` with one half of a surrogate pair.
    #[error("\\u{0:04x} is half of a surrogate pair")]
    LoneSurrogate(u16),
    /// A separator with nothing before it.
    #[error("no key before the separator")]
    NoKey,
}

impl Properties {
    /// Reads and parses a file of at most 1 MiB.
    ///
    /// # Errors
    /// The file cannot be read, is too large, or a line is malformed.
    pub fn read(path: &Path) -> Result<Properties, PropertiesError> {
        let unreadable = |source| PropertiesError::Unreadable { path: path.to_owned(), source };
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(unreadable)?;
        io::Read::read_to_end(&mut io::Read::take(file, FILE_SIZE_MAX_BYTES + 1), &mut bytes)
            .map_err(unreadable)?;
        if bytes.len() as u64 > FILE_SIZE_MAX_BYTES {
            return Err(PropertiesError::TooLarge { path: path.to_owned() });
        }
        Ok(Properties { file: Some(path.to_owned()), ..Properties::parse(&bytes)? })
    }

    /// Parses the bytes of a file.
    ///
    /// # Errors
    /// A line is malformed.
    pub fn parse(bytes: &[u8]) -> Result<Properties, PropertiesError> {
        let text = std::str::from_utf8(bytes).map_err(|error| not_utf8(bytes, error))?;
        let mut entries = BTreeMap::new();
        for line in LogicalLines::of(text) {
            let malformed = |reason| PropertiesError::Malformed { line: line.number, reason };
            let (key, value) = split(&line.text);
            let key = unescape(key).map_err(malformed)?;
            if key.is_empty() {
                return Err(malformed(LineError::NoKey));
            }
            let value = unescape(value).map_err(malformed)?;
            entries.insert(key, Entry { value, origin: Origin::File { line: line.number } });
        }
        Ok(Properties { file: None, entries, overrides: 0 })
    }

    /// Lays one `key=value` from the command line over what is there. The key ends at the first `=`; blanks around
    /// it are dropped, the value is taken as it stands.
    ///
    /// # Errors
    /// There is no `=`, or nothing before it.
    pub fn override_with(&mut self, given: &str) -> Result<(), PropertiesError> {
        let refused = || PropertiesError::Override { given: given.to_owned() };
        let (key, value) = given.split_once('=').ok_or_else(refused)?;
        let key = key.trim();
        if key.is_empty() {
            return Err(refused());
        }
        self.overrides += 1;
        let origin = Origin::Override { position: self.overrides };
        self.entries.insert(key.to_owned(), Entry { value: value.to_owned(), origin });
        Ok(())
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// Every entry, ordered by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(key, entry)| (key.as_str(), entry))
    }

    /// Keys and values alone, for whoever validates them.
    pub fn values(&self) -> BTreeMap<String, String> {
        self.iter().map(|(key, entry)| (key.to_owned(), entry.value.clone())).collect()
    }

    /// Where a key was given, in words for a person: `server.properties line 3`, `--override`. `None` for a key
    /// that was not given.
    pub fn place_of(&self, key: &str) -> Option<String> {
        Some(match (self.get(key)?.origin, &self.file) {
            (Origin::File { line }, Some(file)) => format!("{} line {line}", file.display()),
            (origin, _) => origin.to_string(),
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File { line } => write!(f, "line {line}"),
            Origin::Override { .. } => f.write_str("--override"),
        }
    }
}

fn not_utf8(bytes: &[u8], error: Utf8Error) -> PropertiesError {
    let before = std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default();
    let line = NaturalLines(before).count().max(1) + usize::from(before.ends_with(['\n', '\r']));
    PropertiesError::Malformed { line, reason: LineError::NotUtf8 }
}

/// Lines as they stand in the file, ended by `\n`, `\r` or `\r\n`.
struct NaturalLines<'a>(&'a str);

impl<'a> Iterator for NaturalLines<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.0.is_empty() {
            return None;
        }
        let Some(end) = self.0.find(['\n', '\r']) else { return Some(std::mem::take(&mut self.0)) };
        let (line, rest) = self.0.split_at(end);
        self.0 = rest.strip_prefix("\r\n").unwrap_or(&rest[1..]);
        Some(line)
    }
}

/// Entries with their continuations joined; comments and blank lines are gone.
struct LogicalLines<'a> {
    lines: NaturalLines<'a>,
    number: usize,
}

struct LogicalLine {
    number: usize,
    text: String,
}

impl<'a> LogicalLines<'a> {
    fn of(text: &'a str) -> LogicalLines<'a> {
        LogicalLines { lines: NaturalLines(text), number: 0 }
    }

    fn next_natural(&mut self) -> Option<&'a str> {
        self.number += 1;
        self.lines.next().map(|line| line.trim_start_matches(is_blank))
    }
}

impl Iterator for LogicalLines<'_> {
    type Item = LogicalLine;

    fn next(&mut self) -> Option<LogicalLine> {
        loop {
            let mut line = self.next_natural()?;
            // A comment is never continued, and a continuation is never a comment.
            if line.is_empty() || line.starts_with(['#', '!']) {
                continue;
            }
            let number = self.number;
            let mut text = String::new();
            while is_continued(line) {
                text.push_str(&line[..line.len() - 1]);
                line = self.next_natural().unwrap_or_default();
            }
            text.push_str(line);
            if text.is_empty() {
                continue;
            }
            return Some(LogicalLine { number, text });
        }
    }
}

fn is_blank(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\u{c}')
}

/// Whether the line ends in a backslash that is not itself escaped.
fn is_continued(line: &str) -> bool {
    line.bytes().rev().take_while(|&byte| byte == b'\\').count() % 2 == 1
}

/// Key and value, still escaped. The key ends at the first `=`, `:` or blank without a backslash before it.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line
        .char_indices()
        .find(|&(_, letter)| {
            let ends = !escaped && (is_blank(letter) || letter == '=' || letter == ':');
            escaped = !escaped && letter == '\\';
            ends
        })
        .map_or(line.len(), |(at, _)| at);
    let (key, rest) = line.split_at(end);
    let rest = rest.trim_start_matches(is_blank);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, rest.trim_start_matches(is_blank))
}

fn unescape(text: &str) -> Result<String, LineError> {
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            plain.push(letter);
            continue;
        }
        match letters.next() {
            Some('t') => plain.push('\t'),
            Some('n') => plain.push('\n'),
            Some('r') => plain.push('\r'),
            Some('f') => plain.push('\u{c}'),
            Some('u') => plain.push(unicode_escape(&mut letters)?),
            Some(other) => plain.push(other),
            None => {}
        }
    }
    Ok(plain)
}

/// What follows `\u`: one UTF-16 unit, or two of them written as two escapes.
fn unicode_escape(letters: &mut Chars<'_>) -> Result<char, LineError> {
    let first = utf16_unit(letters)?;
    if let Some(letter) = char::from_u32(u32::from(first)) {
        return Ok(letter);
    }
    let mut ahead = letters.clone();
    if ahead.next() == Some('\\') && ahead.next() == Some('u') {
        let second = utf16_unit(&mut ahead)?;
        if let Some(Ok(letter)) = char::decode_utf16([first, second]).next() {
            *letters = ahead;
            return Ok(letter);
        }
    }
    Err(LineError::LoneSurrogate(first))
}

fn utf16_unit(letters: &mut Chars<'_>) -> Result<u16, LineError> {
    let mut unit = 0;
    for _ in 0..4 {
        let digit = letters.next().and_then(|letter| letter.to_digit(16)).ok_or(LineError::UnicodeEscape)?;
        // Four digits of four bits fill sixteen exactly.
        unit = unit << 4 | digit as u16;
    }
    Ok(unit)
}
