//! Maps written out, such as `{"rate": result[0], b: 2}`, of which the `expr` crate knows only those that hold plain values.
//!
//! Input: tokens that were checked. Output: tokens in which a call makes the map: `fields("rate", result[0], "b", 2)`.

use super::FIELDS;
use super::predicate::begins_predicate;
use super::token::{Kind, Token, WORD_OPERATORS, ends_operand, is_symbol};

/// Replaces maps by calls.
///
/// # Errors
/// Fails for a key that is no name and no text, and for a map where a predicate has to stand.
pub(super) fn call_for_maps<'a>(tokens: &[Token<'a>]) -> Result<Vec<Token<'a>>, String> {
    let symbol = |text| Token { kind: Kind::Symbol, text };
    let mut out = Vec::with_capacity(tokens.len());
    // Whether the open brackets are those of maps.
    let mut open = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let in_map = open.last() == Some(&true);
        let is_separated = in_map && is_symbol(before(tokens, at, 1), &["{", ","]);
        if is_symbol(Some(token), &[")", "]", "}"]) {
            if is_separated && is_symbol(before(tokens, at, 1), &[","]) {
                out.pop();
            }
            out.push(if open.pop() == Some(true) { symbol(")") } else { *token });
        } else if is_separated {
            out.extend([key(tokens, at)?, symbol(",")]);
            at += 1;
        } else if is_symbol(Some(token), &["(", "[", "{"]) {
            let is_map = is_map(tokens, at)?;
            open.push(is_map);
            if is_map {
                out.extend([Token { kind: Kind::Name, text: FIELDS }, symbol("(")]);
            } else {
                out.push(*token);
            }
        } else {
            out.push(*token);
        }
        at += 1;
    }
    Ok(out)
}

fn before<'t, 'a>(tokens: &'t [Token<'a>], at: usize, count: usize) -> Option<&'t Token<'a>> {
    at.checked_sub(count).and_then(|before| tokens.get(before))
}

/// Whether a map begins at a place, and not a block or a predicate.
fn is_map(tokens: &[Token<'_>], at: usize) -> Result<bool, String> {
    if !is_symbol(tokens.get(at), &["{"]) {
        return Ok(false);
    }
    let (last, behind) = (before(tokens, at, 1), tokens.get(at + 1));
    if begins_predicate(tokens, at) {
        let has_key =
            behind.is_some_and(|key| key.kind != Kind::Symbol) && is_symbol(tokens.get(at + 2), &[":"]);
        return if has_key || is_symbol(behind, &["}"]) {
            Err("a predicate stands in braces here: put a map into braces of its own".to_owned())
        } else {
            Ok(false)
        };
    }
    let is_field = is_symbol(before(tokens, at, 2), &[".", "?."]);
    let ends_other = last.is_some_and(|last| {
        is_field || ends_operand(last) || *last == Token { kind: Kind::Name, text: "else" }
    });
    Ok(!ends_other)
}

/// The key at a place, which a colon follows.
fn key<'a>(tokens: &[Token<'a>], at: usize) -> Result<Token<'a>, String> {
    let token = tokens[at];
    let is_word = |text| WORD_OPERATORS.contains(&text) || text.starts_with('#');
    let key = match token.kind {
        Kind::Name if !is_word(token.text) => Token { kind: Kind::Key, text: token.text },
        Kind::Text => token,
        Kind::Number => return Err(unavailable()),
        Kind::Symbol if matches!(token.text, "(" | "[") => return Err(unavailable()),
        Kind::Name | Kind::Variable | Kind::Key | Kind::Pattern | Kind::Symbol => {
            return Err(format!("a map key must be a text or a name, not {:?}", token.text));
        }
    };
    if is_symbol(tokens.get(at + 1), &[":"]) {
        Ok(key)
    } else {
        Err(format!("the map key {:?} needs a colon and a value", token.text))
    }
}

fn unavailable() -> String {
    "map keys that are numbers or in brackets are not available: write a text".to_owned()
}
