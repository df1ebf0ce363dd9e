//! JSON, as much of it as is written here.

use std::fmt::Write;

/// A JSON value.
#[derive(Clone, Debug)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(i128),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(&'static str, Json)>),
}

impl Json {
    pub(crate) fn text(text: impl ToString) -> Json {
        Json::Text(text.to_string())
    }

    pub(crate) fn number(number: impl Into<i128>) -> Json {
        Json::Number(number.into())
    }

    pub(crate) fn or_null<T>(value: Option<T>, json: impl FnOnce(T) -> Json) -> Json {
        value.map_or(Json::Null, json)
    }

    pub(crate) fn list<T>(values: impl IntoIterator<Item = T>, json: impl FnMut(T) -> Json) -> Json {
        Json::List(values.into_iter().map(json).collect())
    }

    /// In one line.
    pub(crate) fn line(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        match self {
            Json::Null => out.push_str("null"),
            Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Json::Number(number) => out.push_str(&number.to_string()),
            Json::Text(text) => write_text(text, out),
            Json::List(values) => {
                separated(values, ('[', ']'), out, |value, out| value.write(out));
            }
            Json::Object(fields) => {
                separated(fields, ('{', '}'), out, |(name, value), out| {
                    write_text(name, out);
                    out.push(':');
                    value.write(out);
                });
            }
        }
    }
}

fn separated<T>(
    values: &[T],
    around: (char, char),
    out: &mut String,
    mut write: impl FnMut(&T, &mut String),
) {
    out.push(around.0);
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write(value, out);
    }
    out.push(around.1);
}

fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            control if control < ' ' => {
                // A string takes whatever is written to it.
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_written_as_json() {
        let json = Json::Object(vec![
            ("a", Json::list([1, -2], Json::number)),
            ("b", Json::text("x\"\\\n\u{1}é")),
            ("c", Json::or_null(None::<u8>, Json::number)),
            ("d", Json::Bool(true)),
            ("e", Json::Object(vec![])),
        ]);
        assert_eq!(json.line(), r#"{"a":[1,-2],"b":"x\"\\\n\u0001é","c":null,"d":true,"e":{}}"#);
    }
}
