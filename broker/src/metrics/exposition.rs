use std::fmt::Write;

/// Prometheus' text format, version 0.0.4.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

/// What a metric's value does over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows while the process lives.
    Counter,
    /// Goes up and down.
    Gauge,
}

impl Exposition {
    /// The lines that introduce a metric, once before its samples. `help` is one line.
    pub fn family(&mut self, name: &str, help: &str, kind: Kind) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        self.text.push_str("# HELP ");
        self.text.push_str(name);
        self.text.push(' ');
        for letter in help.chars() {
            match letter {
                '\\' => self.text.push_str("\\\\"),
                '\n' => self.text.push_str("\\n"),
                other => self.text.push(other),
            }
        }
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "\n# TYPE {name} {kind}");
    }

    /// One value.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &dyn std::fmt::Display)], value: u64) {
        self.text.push_str(name);
        for (position, (label, value)) in labels.iter().enumerate() {
            self.text.push(if position == 0 { '{' } else { ',' });
            self.text.push_str(label);
            self.text.push_str("=\"");
            let _ = write!(Escaped(&mut self.text), "{value}");
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    /// How many bytes have been written and not taken.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Whether nothing has been written since the last taking.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// What has been written, given away.
    pub fn take(&mut self) -> String {
        std::mem::take(&mut self.text)
    }
}

/// Escapes what a label's value must not contain as it is.
struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for letter in text.chars() {
            match letter {
                '\\' => self.0.push_str("\\\\"),
                '"' => self.0.push_str("\\\""),
                '\n' => self.0.push_str("\\n"),
                other => self.0.push(other),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_help_are_escaped() {
        let mut page = Exposition::default();
        page.family("a_total", "one\\two\nthree \"four\"", Kind::Counter);
        page.sample("a_total", &[("topic", &"q\"u\\o\nte"), ("partition", &7)], u64::MAX);
        page.family("b", "plain", Kind::Gauge);
        page.sample("b", &[], 0);
        let expected = r#"# HELP a_total one\\two\nthree "four"
# TYPE a_total counter
a_total{topic="q\"u\\o\nte",partition="7"} 18446744073709551615
# HELP b plain
# TYPE b gauge
b 0
"#;
        assert_eq!(page.take(), expected);
        assert!(page.is_empty());
    }
}
