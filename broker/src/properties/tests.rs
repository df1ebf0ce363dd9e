use super::*;

fn parsed(text: &str) -> Vec<(String, String, usize)> {
    let properties = Properties::parse(text.as_bytes()).unwrap();
    let mut entries: Vec<_> = properties
        .iter()
        .map(|(key, entry)| match entry.origin {
            Origin::File { line } => (key.to_owned(), entry.value.clone(), line),
            Origin::Override { .. } => panic!("nothing was overridden"),
        })
        .collect();
    entries.sort_by_key(|entry| entry.2);
    entries
}

fn one(text: &str) -> (String, String) {
    let mut entries = parsed(text);
    assert_eq!(entries.len(), 1, "{entries:?}");
    let (key, value, _) = entries.remove(0);
    (key, value)
}

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

fn malformed(text: &[u8]) -> (usize, LineError) {
    match Properties::parse(text) {
        Err(PropertiesError::Malformed { line, reason }) => (line, reason),
        other => panic!("{other:?}"),
    }
}

#[test]
fn separators() {
    for text in ["a=b", "a:b", "a b", "a = b", "a\t:\tb", "  a  b", "\u{c}a=b", "a=b\r\n", "a=b\r"] {
        assert_eq!(one(text), pair("a", "b"), "{text:?}");
    }
    assert_eq!(one("a==b"), pair("a", "=b"));
    assert_eq!(one("a = b c "), pair("a", "b c "));
    assert_eq!(one("a"), pair("a", ""));
    assert_eq!(one("a="), pair("a", ""));
    assert_eq!(one("listeners=PLAINTEXT://127.0.0.1:9092"), pair("listeners", "PLAINTEXT://127.0.0.1:9092"));
}

#[test]
fn comments_blank_lines_and_line_numbers() {
    let text = "# one=1\n! two=2\n\n  \t\n   # three=3\nfour=4 # not a comment\r\n\r\nfive=5\rsix=6";
    let expected =
        [("four", "4 # not a comment", 6), ("five", "5", 8), ("six", "6", 9)].map(|(key, value, line)| {
            let (key, value) = pair(key, value);
            (key, value, line)
        });
    assert_eq!(parsed(text), expected);
}

#[test]
fn continuations() {
    assert_eq!(parsed("a=1,\\\n   2,\\\r\n\t3\nb=4")[0], ("a".into(), "1,2,3".into(), 1));
    assert_eq!(parsed("a=1,\\\n   2,\\\r\n\t3\nb=4")[1], ("b".into(), "4".into(), 4));
    // An even number of backslashes does not continue; a comment neither; a continuation is not a comment.
    assert_eq!(one("a=1\\\\\n"), pair("a", "1\\"));
    assert_eq!(one("# a\\\nb=1"), pair("b", "1"));
    assert_eq!(one("a=1\\\n#2"), pair("a", "1#2"));
    assert_eq!(one("a=1\\"), pair("a", "1"));
    assert_eq!(one("a\\\nb=1"), pair("ab", "1"));
    assert_eq!(parsed("\\\n"), []);
}

#[test]
fn escapes() {
    assert_eq!(one(r"a\=b\:c\ d=e"), pair("a=b:c d", "e"));
    assert_eq!(one(r"a=\t\n\r\f\\\q\u00e9"), pair("a", "\t\n\r\u{c}\\q\u{e9}"));
    assert_eq!(one(r"a=\  b"), pair("a", "  b"));
    assert_eq!(one(r"a=\uD83D\uDE00!"), pair("a", "\u{1f600}!"));
    assert_eq!(one("\u{e9}=\u{1f600}"), pair("\u{e9}", "\u{1f600}"));
}

#[test]
fn malformed_lines_are_named() {
    assert_eq!(malformed(b"a=1\n\nb=\\u12g4"), (3, LineError::UnicodeEscape));
    assert_eq!(malformed(b"b=\\u12"), (1, LineError::UnicodeEscape));
    assert_eq!(malformed(b"a=\\ud83d"), (1, LineError::LoneSurrogate(0xd83d)));
    assert_eq!(malformed(b"a=\\ud83d\\u0041"), (1, LineError::LoneSurrogate(0xd83d)));
    assert_eq!(malformed(b"a=\\ude00\\ud83d"), (1, LineError::LoneSurrogate(0xde00)));
    assert_eq!(malformed(b"a=1\r\n =2"), (2, LineError::NoKey));
    assert_eq!(malformed(b"a=1\nb=2\nc=\xff"), (3, LineError::NotUtf8));
    assert_eq!(malformed(b"\xff"), (1, LineError::NotUtf8));
    assert_eq!(malformed(b"a=1\n\xff"), (2, LineError::NotUtf8));
}

#[test]
fn the_last_value_wins_and_overrides_lie_above() {
    let mut properties = Properties::parse(b"a=1\nb=2\na=3").unwrap();
    assert_eq!(properties.get("a"), Some(&Entry { value: "3".into(), origin: Origin::File { line: 3 } }));
    properties.override_with("b = x=y").unwrap();
    properties.override_with("c=").unwrap();
    assert_eq!(properties.get("b").unwrap().value, " x=y");
    assert_eq!(properties.get("c").unwrap().origin, Origin::Override { position: 2 });
    assert_eq!(properties.place_of("a").as_deref(), Some("line 3"));
    assert_eq!(properties.place_of("b").as_deref(), Some("--override"));
    assert_eq!(properties.place_of("d"), None);
    for wrong in ["", "a", "=b", "  =b"] {
        assert!(matches!(properties.override_with(wrong), Err(PropertiesError::Override { .. })), "{wrong}");
    }
}

#[test]
fn a_file_is_named_in_places_and_errors() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.properties");
    let missing = Properties::read(&path).unwrap_err();
    assert!(missing.to_string().contains("server.properties"), "{missing}");
    std::fs::write(&path, "a=1\n").unwrap();
    let properties = Properties::read(&path).unwrap();
    assert_eq!(properties.place_of("a"), Some(format!("{} line 1", path.display())));
    std::fs::write(&path, vec![b'#'; FILE_SIZE_MAX_BYTES as usize + 1]).unwrap();
    assert!(matches!(Properties::read(&path), Err(PropertiesError::TooLarge { .. })));
}
