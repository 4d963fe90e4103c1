//! Numbers in texts, as Go's `strconv.ParseFloat` reads them.
//!
//! Rust's own parser knows no `1_000` and no `0x1p4`, takes a sign before NaN, and makes what is too large infinite.

/// The number that a text says.
pub(super) fn parse_float(text: &str) -> Option<f64> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1.0, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    if let Some(special) = special(digits) {
        return (!special.is_nan() || digits.len() == text.len()).then_some(sign * special);
    }
    let is_hex = digits.get(..2).is_some_and(|prefix| prefix.eq_ignore_ascii_case("0x"));
    if !are_separators_right(digits, is_hex) {
        return None;
    }
    let digits = digits.replace('_', "");
    let number = if is_hex { parse_hex(&digits[2..])? } else { parse_decimal(&digits)? };
    number.is_finite().then_some(sign * number)
}

fn special(text: &str) -> Option<f64> {
    match text.to_ascii_lowercase().as_str() {
        "inf" | "infinity" => Some(f64::INFINITY),
        "nan" => Some(f64::NAN),
        _ => None,
    }
}

/// `_` stands between digits only; the prefix of a base counts as one.
fn are_separators_right(text: &str, is_hex: bool) -> bool {
    let bytes = text.as_bytes();
    let is_digit = |at: Option<usize>| {
        let byte = at.and_then(|at| bytes.get(at));
        let is_prefix = is_hex && at == Some(1);
        is_prefix
            || byte.is_some_and(|byte| if is_hex { byte.is_ascii_hexdigit() } else { byte.is_ascii_digit() })
    };
    let is_right = |at: usize| is_digit(at.checked_sub(1)) && is_digit(Some(at + 1));
    (0..bytes.len()).filter(|at| bytes[*at] == b'_').all(is_right)
}

fn parse_decimal(text: &str) -> Option<f64> {
    let starts_well = text.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    let is_plain =
        text.chars().all(|part| part.is_ascii_digit() || matches!(part, '.' | 'e' | 'E' | '+' | '-'));
    if starts_well && is_plain { text.parse().ok() } else { None }
}

/// The digits behind `0x`, with the exponent of 2 that has to follow them.
fn parse_hex(text: &str) -> Option<f64> {
    let (digits, exponent) = text.split_once(['p', 'P'])?;
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut number = 0.0;
    for digit in whole.chars().chain(fraction.chars()) {
        number = number * 16.0 + f64::from(digit.to_digit(16)?);
    }
    let shift = exponent.checked_sub(4 * i32::try_from(fraction.len()).ok()?)?;
    let has_digits = !(whole.is_empty() && fraction.is_empty());
    has_digits.then(|| number * 2_f64.powi(shift))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each as Go 1.26 has it.
    #[test]
    fn texts_are_read_as_go_reads_them() {
        for (text, wanted) in [
            ("1_0", Some(10.0)),
            ("-1_0.5e1_0", Some(-10.5e10)),
            ("1__0", None),
            ("_1", None),
            ("1_", None),
            ("1_.5", None),
            ("0x1p4", Some(16.0)),
            ("-0X_1.8p-1", Some(-0.75)),
            ("0x10", None),
            ("0xp1", None),
            ("1e400", None),
            ("-1e400", None),
            ("1e-400", Some(0.0)),
            ("+Inf", Some(f64::INFINITY)),
            ("-infinity", Some(f64::NEG_INFINITY)),
            (".5", Some(0.5)),
            ("5.", Some(5.0)),
            ("+5", Some(5.0)),
            ("+-5", None),
            (".", None),
            ("", None),
            ("-", None),
            (" 1", None),
            ("é", None),
            ("+nan", None),
        ] {
            assert_eq!(parse_float(text), wanted, "{text}");
        }
        assert!(parse_float("nan").unwrap().is_nan() && parse_float("-NaN").is_none());
    }
}
