//! The table at the end.

use std::{fmt, time::Duration};

use super::{CODECS, places::BucketUsage};

/// What happened, in figures.
pub(super) struct Report {
    pub(super) records: u64,
    /// Keys, values and headers.
    pub(super) record_bytes: u64,
    /// Batches as they travelled, compressed.
    pub(super) batch_bytes: u64,
    pub(super) local_most: u64,
    pub(super) local_now: u64,
    pub(super) bucket: BucketUsage,
    pub(super) write_time: Duration,
    pub(super) read_time: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let codecs: Vec<&str> = CODECS.iter().map(|codec| codec.name()).collect();
        let speed = |time: Duration| {
            let seconds = time.as_secs_f64().max(0.001);
            format!("{:.1} MB/s of records, {:.2} s", self.record_bytes as f64 / 1e6 / seconds, seconds)
        };
        let rows = [
            ("records", format!("{} in {} partitions", grouped(self.records), CODECS.len())),
            (
                "bytes",
                format!(
                    "{}, {} in batches ({})",
                    megabytes(self.record_bytes),
                    megabytes(self.batch_bytes),
                    codecs.join(", ")
                ),
            ),
            (
                "local disk",
                format!("{} at most, {} now", megabytes(self.local_most), megabytes(self.local_now)),
            ),
            (
                "bucket",
                format!(
                    "{} in {} objects, {} of them segments",
                    megabytes(self.bucket.bytes),
                    self.bucket.objects,
                    self.bucket.segments
                ),
            ),
            ("write", speed(self.write_time)),
            ("read", format!("{}, from the bucket", speed(self.read_time))),
            ("verified", format!("2 x {} records, no difference", grouped(self.records))),
        ];
        let width = rows.iter().map(|(_, value)| value.chars().count()).max().unwrap_or(0);
        let line = format!("+{0}+{1}+\n", "-".repeat(12), "-".repeat(width + 2));
        f.write_str(&line)?;
        for (name, value) in rows {
            writeln!(f, "| {name:<10} | {value:<width$} |")?;
        }
        f.write_str(&line)
    }
}

/// Digits in groups of three.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_groups() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(grouped(12_345_678), "12,345,678");
    }

    #[test]
    fn the_table_is_square() {
        let report = Report {
            records: 200_000,
            record_bytes: 70_000_000,
            batch_bytes: 20_000_000,
            local_most: 20_000_000,
            local_now: 0,
            bucket: BucketUsage { bytes: 21_000_000, objects: 30, segments: 20 },
            write_time: Duration::from_millis(1500),
            read_time: Duration::ZERO,
        };
        let text = report.to_string();
        let widths: Vec<_> = text.lines().map(|line| line.chars().count()).collect();
        assert!(widths.windows(2).all(|pair| pair[0] == pair[1]), "{text}");
        assert!(text.contains("2 x 200,000 records, no difference"), "{text}");
    }
}
