//! Tables for people, JSON for programs.

use std::io::{self, IsTerminal, Write};

use super::CommandError;
use crate::json::Json;

/// Where a command writes, and how.
pub(super) struct Output {
    out: Box<dyn Write>,
    /// One JSON value a line instead of tables and sentences.
    pub(super) json: bool,
    colours: bool,
}

const BOLD: &str = "\u{1b}[1m";
const PLAIN: &str = "\u{1b}[0m";

impl Output {
    /// Standard output. Colours only on a terminal, and not where `NO_COLOR` is set.
    pub(super) fn standard(json: bool) -> Output {
        let colours =
            io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
        Output { out: Box::new(io::BufWriter::new(io::stdout())), json, colours }
    }

    #[cfg(test)]
    pub(super) fn to(out: impl Write + 'static, json: bool, colours: bool) -> Output {
        Output { out: Box::new(out), json, colours }
    }

    /// One line.
    pub(super) fn line(&mut self, line: &str) -> Result<(), CommandError> {
        self.bytes(line.as_bytes())?;
        self.bytes(b"\n")
    }

    /// One JSON value, in a line of its own.
    pub(super) fn value(&mut self, value: &Json) -> Result<(), CommandError> {
        self.line(&value.line())
    }

    /// A sentence about what was done; with JSON the value instead.
    pub(super) fn done(&mut self, sentence: &str, value: Json) -> Result<(), CommandError> {
        if self.json { self.value(&value) } else { self.line(sentence) }
    }

    /// Bytes as they are.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), CommandError> {
        self.out.write_all(bytes).map_err(CommandError::io("writing"))
    }

    /// What was written is seen from here on.
    pub(super) fn flush(&mut self) -> Result<(), CommandError> {
        self.out.flush().map_err(CommandError::io("writing"))
    }

    /// A heading above a table.
    pub(super) fn heading(&mut self, text: &str) -> Result<(), CommandError> {
        let line = if self.colours { format!("{BOLD}{text}{PLAIN}") } else { text.to_owned() };
        self.line(&line)
    }

    /// Rows under their column names; columns of numbers alone stand right.
    pub(super) fn table<const N: usize>(
        &mut self,
        names: [&str; N],
        rows: &[[String; N]],
    ) -> Result<(), CommandError> {
        let width = |column: usize| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.chain([names[column].len()]).max().unwrap_or(0)
        };
        let widths: [usize; N] = std::array::from_fn(width);
        let is_number = |cell: &str| {
            cell == "-" || cell.strip_prefix('-').unwrap_or(cell).bytes().all(|byte| byte.is_ascii_digit())
        };
        let right: [bool; N] =
            std::array::from_fn(|column| !rows.is_empty() && rows.iter().all(|row| is_number(&row[column])));
        let line = |cells: [&str; N]| {
            let mut line = String::new();
            for (column, cell) in cells.into_iter().enumerate() {
                let gap = " ".repeat(widths[column].saturating_sub(cell.chars().count()));
                let (before, after) = if right[column] { (gap.as_str(), "") } else { ("", gap.as_str()) };
                line.extend([before, cell, after, "  "]);
            }
            line.trim_end().to_owned()
        };
        let names = line(names);
        self.heading(&names)?;
        for row in rows {
            self.line(&line(std::array::from_fn(|column| row[column].as_str())))?;
        }
        Ok(())
    }
}

/// Bytes in a size that people read, as `17.3 MiB`.
pub(super) fn size(bytes: i64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// Numbers as a list: `1, 2, 3`.
pub(super) fn numbers(numbers: &[i32]) -> String {
    let words: Vec<String> = numbers.iter().map(i32::to_string).collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn shown(colours: bool) -> String {
        let shared = Shared::default();
        let mut output = Output::to(shared.clone(), false, colours);
        let rows = [["orders".to_owned(), "12".to_owned()], ["é".to_owned(), "-".to_owned()]];
        output.table(["TOPIC", "PARTITIONS"], &rows).unwrap();
        String::from_utf8(shared.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn tables_are_aligned() {
        assert_eq!(shown(false), "TOPIC   PARTITIONS\norders          12\né                -\n");
        assert!(shown(true).starts_with("\u{1b}[1mTOPIC   PARTITIONS\u{1b}[0m\n"));
    }

    #[test]
    fn sizes() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(3 << 40), "3.0 TiB");
        assert_eq!(size(i64::MAX), "8388608.0 TiB");
    }
}
