//! What a quoted text says to Go, and how the `expr` crate is told the same.
//!
//! Input: a text in its quotes. Output: what it says, or the escape that Go refuses. The crate replaces one escape after
//! the other all over a text, so that `\\n` becomes a line break for it, and knows half of them. Raw texts it takes as
//! they are, and so it gets those.

use std::borrow::Cow;

/// Pieces of a text with backticks in it that cannot stand in other quotes.
const MOST_PIECES: usize = 16;

/// Checks that Go takes a quoted text, and that there is a way to hand it on.
///
/// # Errors
/// Names what Go refuses.
pub(super) fn check(text: &str) -> Result<(), String> {
    let said = said(text)?;
    let pieces = said.split('`').count();
    if in_other_quotes(&said).is_none() && pieces > MOST_PIECES {
        return Err(format!("a text with escapes has more than {} backticks", MOST_PIECES - 1));
    }
    Ok(())
}

/// The text in the crate's words: as it is where that means the same, else one that holds no escapes.
pub(super) fn spelled(text: &str) -> Cow<'_, str> {
    let is_raw = text.starts_with('`');
    let means_the_same = if is_raw { !inside(text).contains('`') } else { !text.contains(['\\', '\r']) };
    match said(text) {
        Ok(said) if !means_the_same => Cow::Owned(quoted(&said)),
        Ok(_) | Err(_) => Cow::Borrowed(text),
    }
}

/// A text that the crate reads as exactly this.
pub(super) fn quoted(said: &str) -> String {
    in_other_quotes(said).unwrap_or_else(|| {
        let pieces: Vec<String> = said.split('`').map(|piece| format!("`{piece}`")).collect();
        format!("join([{}], \"`\")", pieces.join(", "))
    })
}

/// The text in the first quotes that it may stand in as it is.
fn in_other_quotes(said: &str) -> Option<String> {
    if !said.contains('`') {
        return Some(format!("`{said}`"));
    }
    let quote = ['"', '\''].into_iter().find(|quote| !said.contains(['\\', '\n', '\r', *quote]))?;
    Some(format!("{quote}{said}{quote}"))
}

/// What stands between the quotes.
fn inside(text: &str) -> &str {
    text.len().checked_sub(1).and_then(|end| text.get(1..end)).unwrap_or_default()
}

/// What a text says.
pub(super) fn said(text: &str) -> Result<String, String> {
    let mut rest = inside(text);
    let quote = text.chars().next().unwrap_or('"');
    if quote == '`' {
        return Ok(rest.replace("``", "`"));
    }
    let mut said = String::with_capacity(rest.len());
    while let Some(first) = rest.chars().next() {
        rest = &rest[first.len_utf8()..];
        match first {
            '\n' => return Err("a quoted text does not end in its line".to_owned()),
            // Go makes one kind of line break of all.
            '\r' => said.push('\n'),
            '\\' => {
                let (character, length) = escape(rest, quote).ok_or_else(|| refused(rest))?;
                said.push(character);
                rest = &rest[length..];
            }
            _ => said.push(first),
        }
    }
    Ok(said)
}

fn refused(behind: &str) -> String {
    format!("invalid char escape \\{}", behind.chars().next().unwrap_or_default())
}

/// The character that an escape stands for, and how many bytes behind the backslash belong to it.
fn escape(behind: &str, quote: char) -> Option<(char, usize)> {
    let digits = |from: usize, count: usize, radix: u32| {
        Some((code(behind.get(from..from + count)?, radix)?, from + count))
    };
    match behind.chars().next()? {
        'a' => Some(('\u{7}', 1)),
        'b' => Some(('\u{8}', 1)),
        'f' => Some(('\u{c}', 1)),
        'n' => Some(('\n', 1)),
        'r' => Some(('\r', 1)),
        't' => Some(('\t', 1)),
        'v' => Some(('\u{b}', 1)),
        same if same == '\\' || same == quote => Some((same, 1)),
        '0'..='3' => digits(0, 3, 8),
        'x' => digits(1, 2, 16),
        'u' => match behind.strip_prefix("u{") {
            Some(braced) => digits(2, braced.find('}').filter(|count| *count <= 6)?, 16)
                .map(|(character, end)| (character, end + 1)),
            None => digits(1, 4, 16),
        },
        'U' => digits(1, 8, 16),
        _ => None,
    }
}

/// The character with a number; for half of a pair of UTF-16 there is none, and Go puts the mark for that.
fn code(digits: &str, radix: u32) -> Option<char> {
    if !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let number = u32::from_str_radix(digits, radix).ok()?;
    (number <= u32::from(char::MAX)).then(|| char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_handed_on_in_a_form_without_escapes() {
        for (text, wanted) in [
            ("'a'", "'a'"),
            ("\"`\"", "\"`\""),
            ("`a\\n`", "`a\\n`"),
            ("'a\\\\n'", "`a\\n`"),
            ("'can\\'t'", "`can't`"),
            ("'\\n'", "`\n`"),
            ("`a``b`", "\"a`b\""),
            ("`\"``\"`", "'\"`\"'"),
            ("'\\\\``'", "join([`\\`, ``, ``], \"`\")"),
        ] {
            assert_eq!(spelled(text), wanted, "{text}");
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_go_refuses_is_named() {
        for (text, wanted) in [
            ("'\\/'", "invalid char escape \\/"),
            ("'\\\"'", "invalid char escape \\\""),
            ("'\\x4'", "invalid char escape \\x"),
            ("'\\xé'", "invalid char escape \\x"),
            ("'\\u{1é}'", "invalid char escape \\u"),
            ("'\\u{'", "invalid char escape \\u"),
            ("'\n'", "a quoted text does not end in its line"),
        ] {
            assert_eq!(check(text), Err(wanted.to_owned()), "{text}");
        }
        let many = format!("'\\\\{}'", "`".repeat(16));
        assert!(check(&many).unwrap_err().contains("backticks"));
    }
}
