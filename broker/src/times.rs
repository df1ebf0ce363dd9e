//! Points in time as people write them: RFC 3339 in UTC, or milliseconds since 1970.

const DAY_MS: i64 = 86_400_000;

/// Milliseconds since 1970 of `2026-11-21`, `2026-11-21T17:30:00Z`, `2026-11-21T17:30:00.250Z` or `1795282200250`.
/// `None` for anything else, years beyond 9999 included.
pub(crate) fn parse(text: &str) -> Option<i64> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, time.strip_suffix('Z')?),
        None => (text, "00:00:00"),
    };
    let [year, month, day] = numbers(date, '-')?;
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [hour, minute, second] = numbers(clock, ':')?;
    let digits =
        !fraction.is_empty() && fraction.len() <= 9 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let is_valid = digits
        && date.len() == 10
        && clock.len() == 8
        && (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    let milliseconds: i64 = format!("{fraction:0<3}")[..3].parse().ok()?;
    is_valid.then(|| {
        days_from_1970(year, month, day) * DAY_MS + ((hour * 60 + minute) * 60 + second) * 1000 + milliseconds
    })
}

/// A time as `2026-11-21T17:30:00.250Z`; years are those of the Gregorian calendar, negative ones with a sign.
pub(crate) fn show(milliseconds: i64) -> String {
    let (days, within) = (milliseconds.div_euclid(DAY_MS), milliseconds.rem_euclid(DAY_MS));
    let (year, month, day) = date_of(days);
    let (seconds, fraction) = (within / 1000, within % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:03}Z")
}

fn numbers(text: &str, separator: char) -> Option<[i64; 3]> {
    let mut parts = text.split(separator).map(|part| {
        let is_number = !part.is_empty() && part.len() <= 4 && part.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| part.parse().ok()).flatten()
    });
    let three = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(three)
}

const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

const fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01. Years begin in March here, so that the day that some years have more is the last.
const fn days_from_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

const fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_eight_centuries_is_shown_as_it_is_read() {
        let mut expected = (1601, 1, 1);
        for day in days_from_1970(1601, 1, 1)..days_from_1970(2401, 1, 1) {
            assert_eq!(date_of(day), expected);
            assert_eq!(days_from_1970(expected.0, expected.1, expected.2), day);
            let (year, month, date) = expected;
            expected = match (date == days_in(year, month), month) {
                (false, _) => (year, month, date + 1),
                (true, 12) => (year + 1, 1, 1),
                (true, _) => (year, month + 1, 1),
            };
        }
    }

    #[test]
    fn known_times() {
        for (text, milliseconds) in [
            ("1970-01-01", 0),
            ("2026-11-21T17:30:00Z", 1_795_282_200_000),
            ("2026-11-21T17:30:00.25Z", 1_795_282_200_250),
            ("1795282200250", 1_795_282_200_250),
            ("2024-02-29T23:59:59.999999999Z", 1_709_251_199_999),
        ] {
            assert_eq!(parse(text), Some(milliseconds), "{text}");
        }
        assert_eq!(show(1_795_282_200_250), "2026-11-21T17:30:00.250Z");
        assert_eq!(show(-1), "1969-12-31T23:59:59.999Z");
        for text in [
            "",
            "today",
            "2026-11-21T17:30:00",
            "2026-02-30",
            "2026-13-01",
            "26-1-1",
            "2026-11-21T24:00:00Z",
            "+1",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
