//! The predicates of calls such as `filter(result, # > 2)`, which Go tells by their place among the arguments.
//!
//! Input: tokens that were checked. Output: tokens in which each predicate stands in braces. Without them the crate takes the
//! last argument for one, and only where it names `#`: not so in `sortBy(result, .value, "desc")` and `all(result, true)`.

use super::CLOSURE_FUNCTIONS;
use super::rewrite::closing;
use super::token::{Kind, Token, is_symbol};

/// Puts predicates into braces.
pub(super) fn in_braces<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let symbol = |text| Token { kind: Kind::Symbol, text };
    let mut out = tokens.to_vec();
    let mut at = 0;
    while at < out.len() {
        if begins_predicate(&out, at) && !is_symbol(out.get(at), &["{", ")", ","]) {
            out.insert(argument_end(&out, at), symbol("}"));
            out.insert(at, symbol("{"));
        }
        at += 1;
    }
    out
}

/// Whether the predicate of a call begins at a place: it is the second argument, or the first one behind a pipe.
pub(super) fn begins_predicate(tokens: &[Token<'_>], at: usize) -> bool {
    let before = |at: usize, count: usize| at.checked_sub(count).and_then(|at| tokens.get(at));
    if !is_symbol(before(at, 1), &["(", ","]) {
        return false;
    }
    let Some((open, commas)) = enclosing(tokens, at) else { return false };
    let takes_one = |token: &Token<'_>| token.kind == Kind::Name && CLOSURE_FUNCTIONS.contains(&token.text);
    let is_piped = is_symbol(before(open, 2), &["|"]);
    is_symbol(tokens.get(open), &["("])
        && before(open, 1).is_some_and(takes_one)
        && !is_symbol(before(open, 2), &[".", "?."])
        && commas + usize::from(is_piped) == 1
}

/// The bracket around a place, and how many commas stand in it before the place.
pub(super) fn enclosing(tokens: &[Token<'_>], at: usize) -> Option<(usize, usize)> {
    let (mut depth, mut commas) = (0_usize, 0);
    for index in (0..at).rev() {
        let token = tokens.get(index);
        if is_symbol(token, &[")", "]", "}"]) {
            depth += 1;
        } else if is_symbol(token, &["(", "[", "{"]) {
            let Some(less) = depth.checked_sub(1) else { return Some((index, commas)) };
            depth = less;
        } else if depth == 0 && is_symbol(token, &[","]) {
            commas += 1;
        }
    }
    None
}

/// Behind the argument that begins at a place.
fn argument_end(tokens: &[Token<'_>], at: usize) -> usize {
    let mut end = at;
    while end < tokens.len() && !is_symbol(tokens.get(end), &[",", ")", "]", "}"]) {
        let opens = is_symbol(tokens.get(end), &["(", "[", "{"]);
        end = if opens { closing(tokens, end).unwrap_or(tokens.len() - 1) } else { end } + 1;
    }
    end
}
