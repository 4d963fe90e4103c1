//! Regular expressions behind `matches`: Go's are handed to the `expr` crate in a form that means the same to it.
//!
//! The crate's have lists within lists in square brackets, and `&&`, `--` and `~~` between them. For Go these are characters.

use std::borrow::Cow;

use super::text;
use super::token::{Kind, Token, is_word};

/// Marks the texts that stand behind `matches`.
pub(super) fn with_patterns<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let mut out = tokens.to_vec();
    for at in 1..out.len() {
        if is_word(&out, at - 1, &["matches"]) && out[at].kind == Kind::Text {
            out[at].kind = Kind::Pattern;
        }
    }
    out
}

/// A text with a regular expression, in the crate's words.
pub(super) fn spelled(written: &str) -> Cow<'_, str> {
    match text::said(written) {
        Ok(said) if said.contains('[') => Cow::Owned(text::quoted(&with_plain_classes(&said))),
        Ok(_) | Err(_) => text::spelled(written),
    }
}

/// The same expression with all characters escaped that mean more to the crate in square brackets.
fn with_plain_classes(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        let taken = match first {
            '\\' => escape_length(rest),
            '[' => class_length(rest, &mut out),
            _ => first.len_utf8(),
        };
        if first != '[' {
            out.push_str(&rest[..taken]);
        }
        rest = &rest[taken..];
    }
    out
}

/// Writes the class that begins here, and says how long it is.
fn class_length(text: &str, out: &mut String) -> usize {
    let start = if text.starts_with("[^") { 2 } else { 1 };
    out.push_str(&text[..start]);
    let mut at = start;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with(']') && at > start {
            out.push(']');
            return at + 1;
        }
        let first = item_length(rest);
        push_item(&rest[..first], out);
        at += first;
        // `a-z`; a `-` before the end is one of the characters.
        let end = text[at..].strip_prefix('-').filter(|end| !end.is_empty() && !end.starts_with(']'));
        if let Some(end) = end.filter(|_| !rest.starts_with("[:")) {
            let last = item_length(end);
            out.push('-');
            push_item(&end[..last], out);
            at += 1 + last;
        }
    }
    at
}

/// The length of a character, an escape, or a class with a name.
fn item_length(text: &str) -> usize {
    match text.chars().next() {
        Some('\\') => escape_length(text),
        Some('[') if text.starts_with("[:") => text.find(":]").map_or(1, |end| end + 2),
        Some(first) => first.len_utf8(),
        None => 0,
    }
}

fn push_item(item: &str, out: &mut String) {
    if matches!(item, "[" | "]" | "&" | "~" | "-") {
        out.push('\\');
    }
    out.push_str(item);
}

/// The length of a backslash with what belongs to it.
fn escape_length(text: &str) -> usize {
    text.char_indices().nth(2).map_or(text.len(), |(end, _)| end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_plain_for_the_crate() {
        for (pattern, wanted) in [
            ("[[a]", r"[\[a]"),
            ("[]a]", r"[\]a]"),
            ("[^]&&a]b", r"[^\]\&\&a]b"),
            ("[a-z~~]", r"[a-z\~\~]"),
            ("[+--]", r"[+-\-]"),
            ("[--a]", r"[\--a]"),
            ("[a-c--z-]", r"[a-c\--z\-]"),
            ("[[:alpha:]_]+", "[[:alpha:]_]+"),
            (r"[\]\[a]\[", r"[\]\[a]\["),
            (r"[\pL&&]", r"[\pL\&\&]"),
            ("a&&b", "a&&b"),
            ("[a", "[a"),
            ("[é[]é", r"[é\[]é"),
        ] {
            assert_eq!(with_plain_classes(pattern), wanted, "{pattern}");
        }
    }

    #[test]
    fn only_texts_behind_matches_are_patterns() {
        let texts = |text: &'static str| {
            let tokens = super::super::tokens(text).unwrap();
            with_patterns(&tokens)
                .iter()
                .map(|token| token.spelled().into_owned())
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(texts("'[[a]' matches '[[a]'"), r"'[[a]' matches `[\[a]`");
        assert_eq!(texts("x.matches == '[[a]'"), "x . matches == '[[a]'");
        assert_eq!(texts("x matches '^a$'"), "x matches '^a$'");
    }
}
