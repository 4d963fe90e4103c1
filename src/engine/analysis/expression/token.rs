//! The pieces of an expression's text.
//!
//! Input: text. Output: tokens, or what does not end in it.

/// Words that stand between operands.
pub(super) const WORD_OPERATORS: &[&str] =
    &["and", "contains", "else", "endsWith", "if", "in", "let", "matches", "not", "or", "startsWith"];

/// Symbols of two characters, which must be tried before those of one.
const PAIRS: &[&str] = &["!=", "&&", "**", "..", "::", "<=", "==", ">=", "?.", "??", "||"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Name,
    Number,
    Text,
    Symbol,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
}

/// Cuts a text into tokens, without blanks and comments.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (kind, length) = if let Some(length) = comment(rest)? {
            rest = rest[length..].trim_start();
            continue;
        } else if let Some(length) = literal(rest)? {
            (Kind::Text, length)
        } else if first.is_ascii_digit() || (first == '.' && digit_at(rest, 1)) {
            (Kind::Number, number(rest))
        } else if first.is_ascii_alphabetic() || matches!(first, '_' | '#' | '$') {
            let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
            (Kind::Name, 1 + rest[1..].find(|c| !is_part(c)).unwrap_or(rest.len() - 1))
        } else {
            let pair = rest.get(..2).is_some_and(|pair| PAIRS.contains(&pair));
            (Kind::Symbol, if pair { 2 } else { first.len_utf8() })
        };
        tokens.push(Token { kind, text: &rest[..length] });
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

fn comment(rest: &str) -> Result<Option<usize>, String> {
    if rest.starts_with("//") {
        return Ok(Some(rest.find('\n').unwrap_or(rest.len())));
    }
    if !rest.starts_with("/*") {
        return Ok(None);
    }
    rest.find("*/").map(|end| Some(end + 2)).ok_or_else(|| "a comment does not end".to_owned())
}

/// The length of a quoted literal, or nothing when the text starts with something else.
fn literal(rest: &str) -> Result<Option<usize>, String> {
    let prefix = usize::from(rest.starts_with(['b', 'B']));
    let Some(quote @ (b'"' | b'\'' | b'`')) = rest.as_bytes().get(prefix).copied() else { return Ok(None) };
    if prefix == 1 && quote == b'`' {
        return Ok(None);
    }
    let mut escaped = false;
    for (index, byte) in rest.bytes().enumerate().skip(prefix + 1) {
        if escaped {
            escaped = false;
        } else if byte == b'\\' && quote != b'`' {
            escaped = true;
        } else if byte == quote {
            return Ok(Some(index + 1));
        }
    }
    Err("a quoted text does not end".to_owned())
}

fn digit_at(text: &str, index: usize) -> bool {
    text.as_bytes().get(index).is_some_and(u8::is_ascii_digit)
}

/// The length of a number: `1_000`, `0xff`, `1.5e-3`; `1..5` is a range, so its first number ends before the dots.
fn number(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let mut index = 0;
    while let Some(byte) = bytes.get(index) {
        let sign_of_exponent = matches!(byte, b'+' | b'-')
            && index > 0
            && matches!(bytes[index - 1], b'e' | b'E')
            && !rest.starts_with("0x");
        let dot = *byte == b'.' && bytes.get(index + 1) != Some(&b'.') && !rest[..index].contains('.');
        if !(byte.is_ascii_alphanumeric() || *byte == b'_' || sign_of_exponent || dot) {
            break;
        }
        index += 1;
    }
    index
}

/// Whether a token can be the last one of an operand.
pub(super) fn ends_operand(token: &Token<'_>) -> bool {
    match token.kind {
        Kind::Name => !WORD_OPERATORS.contains(&token.text),
        Kind::Number | Kind::Text => true,
        Kind::Symbol => matches!(token.text, ")" | "]" | "}"),
    }
}

/// Whether there is a token, and it is one of these symbols.
pub(super) fn is_symbol(token: Option<&Token<'_>>, texts: &[&str]) -> bool {
    token.is_some_and(|token| token.kind == Kind::Symbol && texts.contains(&token.text))
}
