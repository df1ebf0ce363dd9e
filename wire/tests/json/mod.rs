//! Just enough JSON, with `//` comments, to read Kafka's declarations.

pub(crate) enum Json {
    /// A string, a number or a word.
    Scalar(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// The value that `text` is. Panics when it is none.
    pub(crate) fn parse(text: &str) -> Json {
        let mut parser = Parser { bytes: text.as_bytes(), at: 0 };
        parser.value()
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Json> {
        match self {
            Json::Object(members) => members.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The scalar under `key`. Panics when there is none.
    pub(crate) fn text(&self, key: &str) -> String {
        match self.get(key) {
            Some(Json::Scalar(text)) => text.clone(),
            _ => panic!("no {key}"),
        }
    }

    pub(crate) fn text_or(&self, key: &str, default: &str) -> String {
        if self.get(key).is_some() { self.text(key) } else { default.to_owned() }
    }

    /// The array under `key`, empty when there is none.
    pub(crate) fn array(&self, key: &str) -> &[Json] {
        match self.get(key) {
            Some(Json::Array(values)) => values,
            _ => &[],
        }
    }
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    fn peek(&mut self) -> u8 {
        loop {
            match &self.bytes[self.at..] {
                [b' ' | b'\n' | b'\r' | b'\t', ..] => self.at += 1,
                [b'/', b'/', rest @ ..] => {
                    self.at += 2 + rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
                }
                [first, ..] => return *first,
                [] => panic!("the text ends too early"),
            }
        }
    }

    fn value(&mut self) -> Json {
        match self.peek() {
            b'{' => {
                let mut members = Vec::new();
                self.list(b'}', |parser| {
                    let name = parser.string();
                    assert_eq!(parser.peek(), b':');
                    parser.at += 1;
                    members.push((name, parser.value()));
                });
                Json::Object(members)
            }
            b'[' => {
                let mut values = Vec::new();
                self.list(b']', |parser| values.push(parser.value()));
                Json::Array(values)
            }
            b'"' => Json::Scalar(self.string()),
            _ => {
                let rest = &self.bytes[self.at..];
                let end = rest.iter().position(|b| b",]} \n\r\t".contains(b)).unwrap_or(rest.len());
                self.at += end;
                Json::Scalar(String::from_utf8(rest[..end].to_vec()).expect("UTF-8"))
            }
        }
    }

    fn list(&mut self, close: u8, mut element: impl FnMut(&mut Self)) {
        self.at += 1;
        while self.peek() != close {
            element(self);
            if self.peek() == b',' {
                self.at += 1;
            }
        }
        self.at += 1;
    }

    fn string(&mut self) -> String {
        assert_eq!(self.peek(), b'"');
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            match self.bytes[self.at] {
                b'"' => break,
                b'\\' => {
                    self.at += 1;
                    bytes.push(self.bytes[self.at]);
                }
                byte => bytes.push(byte),
            }
            self.at += 1;
        }
        self.at += 1;
        String::from_utf8(bytes).expect("UTF-8")
    }
}
