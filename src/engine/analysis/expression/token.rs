//! The pieces of an expression's text.
//!
//! Input: text. Output: tokens, or what does not end in it. They end where they end for Go.

use std::borrow::Cow;

use super::{pattern, text};

/// Words that stand between operands.
pub(super) const WORD_OPERATORS: &[&str] =
    &["and", "contains", "else", "endsWith", "if", "in", "let", "matches", "not", "or", "startsWith"];

/// Symbols of two characters, which must be tried before those of one.
const PAIRS: &[&str] = &["!=", "&&", "**", "..", "::", "<=", "==", ">=", "?.", "??", "||"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Name,
    /// A name that [`Token::spelled`] keeps from being taken for something else.
    Variable,
    /// A name that stands for a text.
    Key,
    Number,
    Text,
    /// A text that is a regular expression.
    Pattern,
    Symbol,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
}

impl Token<'_> {
    /// The token in the crate's words.
    pub(super) fn spelled(&self) -> Cow<'_, str> {
        match self.kind {
            Kind::Text => text::spelled(self.text),
            Kind::Pattern => pattern::spelled(self.text),
            Kind::Key => Cow::Owned(format!("\"{}\"", self.text)),
            Kind::Variable => Cow::Owned(format!("_{}", self.text)),
            // Go ignores them wherever they stand, the crate does not.
            Kind::Number if self.text.contains('_') => Cow::Owned(self.text.replace('_', "")),
            Kind::Name | Kind::Number | Kind::Symbol => Cow::Borrowed(self.text),
        }
    }
}

/// Cuts a text into tokens, without blanks and comments.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (kind, length) = if let Some(length) = comment(rest)? {
            rest = rest[length..].trim_start();
            continue;
        } else if let Some(length) = quoted(rest)? {
            (Kind::Text, length)
        } else if first.is_ascii_digit() || (first == '.' && digit_at(rest, 1)) {
            (Kind::Number, number(rest)?)
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

/// The length of a quoted text, or nothing when the text starts with something else. A raw text says a backtick by two.
fn quoted(rest: &str) -> Result<Option<usize>, String> {
    let bytes = rest.as_bytes();
    let Some(quote @ (b'"' | b'\'' | b'`')) = bytes.first().copied() else { return Ok(None) };
    let mut index = 1;
    while let Some(byte) = bytes.get(index) {
        let says_more =
            if quote == b'`' { bytes.get(index..index + 2) == Some(b"``") } else { *byte == b'\\' };
        if says_more {
            index += 2;
        } else if *byte == quote {
            return Ok(Some(index + 1));
        } else {
            index += 1;
        }
    }
    Err("a quoted text does not end".to_owned())
}

fn digit_at(text: &str, index: usize) -> bool {
    text.as_bytes().get(index).is_some_and(u8::is_ascii_digit)
}

/// The length of a number: `1_000`, `0xff`, `1.5e-3`; `1..5` is a range, so its first number ends before the dots.
fn number(rest: &str) -> Result<usize, String> {
    let (digits, start) = match rest.get(..2) {
        Some("0x" | "0X") => ("0123456789abcdefABCDEF_", 2),
        Some("0o" | "0O") => ("01234567_", 2),
        Some("0b" | "0B") => ("01_", 2),
        Some(_) | None => ("0123456789_", 0),
    };
    let run = |from: usize| from + rest[from..].find(|c| !digits.contains(c)).unwrap_or(rest.len() - from);
    let mut end = run(start);
    if rest[end..].starts_with("..") {
        return Ok(end);
    }
    if rest[end..].starts_with('.') {
        end = run(end + 1);
    }
    if rest[end..].starts_with(['e', 'E']) {
        let signed = rest[end + 1..].starts_with(['+', '-']);
        end = run(end + 1 + usize::from(signed));
    }
    match rest[end..].chars().next() {
        Some(next) if next.is_alphanumeric() || matches!(next, '_' | '$') => {
            Err(format!("bad number syntax: {:?}", &rest[..end + next.len_utf8()]))
        }
        Some(_) | None => Ok(end),
    }
}

/// Whether a token can be the last one of an operand.
pub(super) fn ends_operand(token: &Token<'_>) -> bool {
    match token.kind {
        Kind::Name => !WORD_OPERATORS.contains(&token.text),
        Kind::Variable | Kind::Key | Kind::Number | Kind::Text | Kind::Pattern => true,
        Kind::Symbol => matches!(token.text, ")" | "]" | "}"),
    }
}

/// Whether there is a token, and it is one of these symbols.
pub(super) fn is_symbol(token: Option<&Token<'_>>, texts: &[&str]) -> bool {
    token.is_some_and(|token| token.kind == Kind::Symbol && texts.contains(&token.text))
}

/// Whether there is one of these words at a place; behind a dot it is a name.
pub(super) fn is_word(tokens: &[Token<'_>], at: usize, words: &[&str]) -> bool {
    let before = at.checked_sub(1).and_then(|before| tokens.get(before));
    let is_one = |token: &Token<'_>| token.kind == Kind::Name && words.contains(&token.text);
    tokens.get(at).is_some_and(is_one) && !is_symbol(before, &[".", "?."])
}
