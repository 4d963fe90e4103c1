//! Durations as Go writes them: `1h2m3.5s`, `300ms`, `-1.5h`.

/// Nanoseconds by unit, longest first so that `ms` is not read as `m`.
const UNITS: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("h", 3_600 * 1_000_000_000),
];

/// Parses a duration into nanoseconds, with Go's error texts.
///
/// # Errors
/// Fails with the text of Go's `time.ParseDuration`, such as `time: missing unit in duration "10"`.
pub fn parse_nanoseconds(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        Some(_) | None => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let (number, fraction, after) = split_number(rest).ok_or_else(invalid)?;
        let unit_length = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_length);
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {text:?}"));
        }
        let Some((_, scale)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(format!("time: unknown unit {unit:?} in duration {text:?}"));
        };
        total = part_nanoseconds(number, fraction, *scale)
            .and_then(|part| total.checked_add(part))
            .filter(|total| *total <= i128::from(i64::MAX) + 1)
            .ok_or_else(invalid)?;
        rest = after;
    }
    let signed = if negative { -total } else { total };
    i64::try_from(signed).map_err(|_| invalid())
}

/// Parses a duration into whole seconds, cut towards zero as Go's `int32(d.Seconds())` does.
///
/// # Errors
/// Fails as [`parse_nanoseconds`] does.
pub fn parse_seconds(text: &str) -> Result<i64, String> {
    parse_nanoseconds(text).map(|nanoseconds| nanoseconds / 1_000_000_000)
}

/// Splits `12.5h` into `12`, `5` and `h`; nothing when it does not start with a number.
fn split_number(text: &str) -> Option<(&str, &str, &str)> {
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(digits(text));
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(digits(rest)),
        None => ("", rest),
    };
    (!number.is_empty() || !fraction.is_empty()).then_some((number, fraction, rest))
}

/// Nanoseconds of one number and its unit; nothing when they do not fit.
fn part_nanoseconds(number: &str, fraction: &str, scale: i128) -> Option<i128> {
    let whole: i128 = if number.is_empty() { 0 } else { number.parse().ok()? };
    // More than 18 decimals are below a nanosecond of an hour.
    let fraction = &fraction[..fraction.len().min(18)];
    let decimals: i128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let divisor = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    whole.checked_mul(scale)?.checked_add(decimals.checked_mul(scale)? / divisor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let millisecond = 1_000_000;
        for (text, want) in [
            ("0", 0),
            ("-0", 0),
            ("5s", 5_000 * millisecond),
            ("+5s", 5_000 * millisecond),
            ("-5s", -5_000 * millisecond),
            ("300ms", 300 * millisecond),
            ("1h2m3.5s", 3_723_500 * millisecond),
            (".5m", 30_000 * millisecond),
            ("1.s", 1_000 * millisecond),
            ("1us", 1_000),
            ("1µs", 1_000),
            ("1μs", 1_000),
            ("9223372036854775807ns", i64::MAX),
            ("-9223372036854775808ns", i64::MIN),
            ("0.3333333333333333333h", 1_199_999_999_999),
        ] {
            assert_eq!(parse_nanoseconds(text), Ok(want), "{text}");
        }
        assert_eq!(parse_seconds("1m30.9s"), Ok(90));
    }

    #[test]
    fn errors_are_those_of_go() {
        for (text, want) in [
            ("", "time: invalid duration \"\""),
            ("-", "time: invalid duration \"-\""),
            ("abc", "time: invalid duration \"abc\""),
            (".s", "time: invalid duration \".s\""),
            ("10", "time: missing unit in duration \"10\""),
            ("1d", "time: unknown unit \"d\" in duration \"1d\""),
            ("5 s", "time: unknown unit \" s\" in duration \"5 s\""),
            ("9223372036854775808ns", "time: invalid duration \"9223372036854775808ns\""),
            ("3000000h", "time: invalid duration \"3000000h\""),
        ] {
            assert_eq!(parse_nanoseconds(text).unwrap_err(), want, "{text}");
        }
    }
}
