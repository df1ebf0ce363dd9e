//! Text to values.

use super::{
    definition::{Check, Definition, Kind},
    error::ConfigProblem,
};
use alloc::{
    borrow::Cow,
    format,
    string::{String, ToString},
};

/// The members of a list: what stands between commas, trimmed; none in an empty text.
pub(crate) fn members(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|member| !member.is_empty())
}

pub(super) fn boolean(text: &str) -> Option<bool> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

pub(super) fn number(text: &str) -> Option<i64> {
    text.trim().parse().ok()
}

/// `text` times `unit`, as text of the key that it stands for. Negative values are sentinels and stay themselves.
pub(super) fn in_unit(text: &str, unit: i64, kind: Kind) -> Result<Cow<'_, str>, ConfigProblem> {
    if unit == 1 {
        return Ok(Cow::Borrowed(text));
    }
    let Some(number) = number(text) else { return Err(invalid(text, kind_expected(kind))) };
    if number < 0 {
        return Ok(Cow::Borrowed(text));
    }
    let product = number.checked_mul(unit).ok_or_else(|| invalid(text, "a smaller number".into()))?;
    Ok(Cow::Owned(product.to_string()))
}

pub(super) fn check(definition: &Definition, text: &str) -> Result<(), ConfigProblem> {
    let text = text.trim();
    let parses = match definition.kind {
        Kind::Boolean => boolean(text).is_some(),
        Kind::Int => text.parse::<i32>().is_ok(),
        Kind::Long => text.parse::<i64>().is_ok(),
        Kind::Double => text.parse::<f64>().is_ok_and(f64::is_finite),
        Kind::Text | Kind::List => true,
    };
    let expected = expected(definition);
    if !parses {
        return Err(invalid(text, expected));
    }
    let allowed = match definition.check {
        Check::Any => true,
        Check::Range(low, high) => number(text).is_some_and(|number| (low..=high).contains(&number)),
        Check::Fraction(low, high) => {
            text.parse::<f64>().is_ok_and(|fraction| (low..=high).contains(&fraction))
        }
        Check::Words(words) => match definition.kind {
            Kind::List => members(text).all(|word| words.contains(&word)),
            _ => words.contains(&text),
        },
        Check::Rule(rule) => {
            return rule(text).map_err(|expected| invalid(text, expected.to_string()));
        }
    };
    if allowed { Ok(()) } else { Err(invalid(text, expected)) }
}

/// What a key takes, for messages and documentation.
pub(super) fn expected(definition: &Definition) -> String {
    let kind = definition.kind;
    match definition.check {
        Check::Any | Check::Rule(_) => kind_expected(kind),
        Check::Range(low, i64::MAX) => format!("{} of at least {low}", kind_expected(kind)),
        Check::Range(low, high) => format!("{} from {low} to {high}", kind_expected(kind)),
        Check::Fraction(low, high) => format!("{} from {low} to {high}", kind_expected(kind)),
        Check::Words(words) => {
            let words = words.join("`, `");
            match kind {
                Kind::List => format!("a list of `{words}`, or an empty one"),
                _ => format!("one of `{words}`"),
            }
        }
    }
}

fn kind_expected(kind: Kind) -> String {
    let text = match kind {
        Kind::Boolean => "`true` or `false`",
        Kind::Text => "text",
        Kind::Int => "a whole number of 32 bits",
        Kind::Long => "a whole number of 64 bits",
        Kind::Double => "a number",
        Kind::List => "a list with commas",
    };
    text.into()
}

fn invalid(value: &str, expected: String) -> ConfigProblem {
    ConfigProblem::Invalid { value: value.into(), expected }
}
