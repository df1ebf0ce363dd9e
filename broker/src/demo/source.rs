//! Where the demo's records come from: made up, or the lines of a file.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use super::{CODECS, DemoError};

/// How many records are made up.
const COUNT: u64 = 200_000;
/// The longest line that is taken, in bytes, inclusive: a record of it fits into the topic's `max.message.bytes`.
const LINE_BYTES_MAX: u64 = 32 << 20;

/// A record to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) partition: usize,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Vec<u8>,
    pub(super) headers: Vec<(&'static str, Vec<u8>)>,
}

/// Records one after the other.
pub(super) struct Source {
    made: u64,
    from: From,
}

enum From {
    Nowhere,
    Lines { path: PathBuf, file: BufReader<File> },
}

impl Source {
    pub(super) fn new(input: Option<&Path>) -> Result<Source, DemoError> {
        let from = match input {
            None => From::Nowhere,
            Some(path) => {
                let file =
                    File::open(path).map_err(|source| DemoError::File { path: path.to_owned(), source })?;
                From::Lines { path: path.to_owned(), file: BufReader::new(file) }
            }
        };
        Ok(Source { made: 0, from })
    }

    /// How many records there will be, if that is known.
    pub(super) const fn count(&self) -> Option<u64> {
        match self.from {
            From::Nowhere => Some(COUNT),
            From::Lines { .. } => None,
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<Made>, DemoError> {
        let number = self.made;
        let made = match &mut self.from {
            From::Nowhere if number == COUNT => None,
            From::Nowhere => Some(order(number)),
            From::Lines { path, file } => match line(file, path)? {
                None if number == 0 => return Err(DemoError::EmptyInput(path.clone())),
                None => None,
                Some(value) => Some(Made {
                    partition: (number % CODECS.len() as u64) as usize,
                    key: None,
                    value,
                    headers: vec![("line", (number + 1).to_string().into_bytes())],
                }),
            },
        };
        self.made += u64::from(made.is_some());
        Ok(made)
    }
}

/// The next line without its end; the last one need not have one.
fn line(file: &mut BufReader<File>, path: &Path) -> Result<Option<Vec<u8>>, DemoError> {
    let failed = |source| DemoError::File { path: path.to_owned(), source };
    let mut line = Vec::new();
    let read = file.take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut line).map_err(failed)?;
    if read == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    if line.len() as u64 > LINE_BYTES_MAX {
        return Err(failed(std::io::Error::other("a line is longer than 32 MiB")));
    }
    Ok(Some(line))
}

/// An order as a shop might write it. The same number always gives the same order.
fn order(number: u64) -> Made {
    const COUNTRIES: [(&str, &str); 6] =
        [("DE", "EUR"), ("FR", "EUR"), ("US", "USD"), ("JP", "JPY"), ("BR", "BRL"), ("GB", "GBP")];
    const STATES: [&str; 5] = ["placed", "paid", "packed", "shipped", "delivered"];
    const THINGS: [&str; 8] = ["lamp", "chair", "kettle", "notebook", "bicycle bell", "pan", "rug", "clock"];

    let mut dice = Dice(number);
    let customer = dice.below(20_000);
    let (country, currency) = COUNTRIES[(customer % 6) as usize];
    let mut items = String::new();
    let mut total = 0;
    for index in 0..=dice.below(3) {
        let (thing, quantity, cents) = (dice.below(8), 1 + dice.below(4), 99 + dice.below(20_000));
        total += quantity * cents;
        let comma = if index == 0 { "" } else { "," };
        let name = THINGS[thing as usize];
        items.push_str(&format!(
            r#"{comma}{{"sku":"{:08x}","name":"{name}","quantity":{quantity},"price_cents":{cents}}}"#,
            dice.next() as u32
        ));
    }
    let state = STATES[dice.below(5) as usize];
    let value = format!(
        r#"{{"order":{number},"customer":{{"id":{customer},"country":"{country}"}},"state":"{state}","items":[{items}],"currency":"{currency}","total_cents":{total},"note":{}}}"#,
        if dice.below(10) == 0 { r#""bitte läuten, 3. Stock""# } else { "null" }
    );
    let trace = format!("00-{:016x}{:016x}-{:016x}-01", dice.next(), dice.next(), dice.next());
    Made {
        // One customer's orders stay in order.
        partition: (Dice(customer).next() % CODECS.len() as u64) as usize,
        key: Some(format!("customer-{customer:05}").into_bytes()),
        value: value.into_bytes(),
        headers: vec![("content-type", b"application/json".to_vec()), ("traceparent", trace.into_bytes())],
    }
}

/// Numbers that look random and are the same every time (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut source: Source) -> Result<Vec<Made>, DemoError> {
        let mut made = Vec::new();
        while let Some(one) = source.next()? {
            made.push(one);
        }
        Ok(made)
    }

    fn lines(bytes: &[u8]) -> Result<Vec<Made>, DemoError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("input");
        std::fs::write(&path, bytes).unwrap();
        all(Source::new(Some(&path))?)
    }

    #[test]
    fn made_up_orders_are_the_same_every_time_and_reach_every_partition() {
        for number in 0..200 {
            assert_eq!(order(number), order(number));
        }
        let mut used = [0; CODECS.len()];
        for number in 0..2_000 {
            let made = order(number);
            used[made.partition] += 1;
            let text = String::from_utf8(made.value).unwrap();
            let opened = text.matches(['{', '[']).count();
            assert_eq!(opened, text.matches(['}', ']']).count(), "{text}");
        }
        assert!(used.iter().all(|count| *count > 100), "{used:?}");
    }

    #[test]
    fn lines_are_taken_as_they_are() {
        let made = lines(b"one\n\n\xff\x00three\r\nlast").unwrap();
        let values: Vec<&[u8]> = made.iter().map(|made| made.value.as_slice()).collect();
        assert_eq!(values, [b"one".as_slice(), b"", b"\xff\x00three\r", b"last"]);
        assert_eq!(made[3].headers, [("line", b"4".to_vec())]);
        assert_eq!(made[3].partition, 3);
    }

    #[test]
    fn an_empty_file_and_no_file_are_errors() {
        assert!(matches!(lines(b""), Err(DemoError::EmptyInput(_))));
        assert!(matches!(Source::new(Some(Path::new("/no/such/file"))), Err(DemoError::File { .. })));
        assert_eq!(lines(b"\n").unwrap().len(), 1);
    }
}
