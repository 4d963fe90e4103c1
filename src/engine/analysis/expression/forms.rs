//! Small forms of the language that the `expr` crate does not know, in words that it has.
//!
//! Input: tokens that were checked. Output: tokens that mean the same to the crate as the text means to Go.

use super::FOUND;
use super::predicate::enclosing;
use super::rewrite::{ARITHMETIC, closing, divisor_end, opening};
use super::token::{Kind, Token, ends_operand, is_symbol};

/// Functions that answer with the place of an item, and with nil where there is none.
const SEARCHES: &[&str] = &["findIndex", "findLastIndex"];

fn symbol(text: &str) -> Token<'_> {
    Token { kind: Kind::Symbol, text }
}

fn name(text: &str) -> Token<'_> {
    Token { kind: Kind::Name, text }
}

/// The token before a place.
fn before<'t, 'a>(tokens: &'t [Token<'a>], at: usize) -> Option<&'t Token<'a>> {
    at.checked_sub(1).and_then(|before| tokens.get(before))
}

/// `::len(x)` is `len(x)`, and a comma behind the last argument of a call says nothing.
pub(super) fn without_marks<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let is_kept = |at: &usize| !is_scope(tokens, *at) && !is_last_comma(tokens, *at);
    (0..tokens.len()).filter(is_kept).map(|at| tokens[at]).collect()
}

fn is_scope(tokens: &[Token<'_>], at: usize) -> bool {
    let is_name = tokens.get(at + 1).is_some_and(|token| token.kind == Kind::Name);
    is_symbol(tokens.get(at), &["::"])
        && is_name
        && is_symbol(tokens.get(at + 2), &["("])
        && !is_symbol(before(tokens, at), &[".", "?.", "|"])
}

fn is_last_comma(tokens: &[Token<'_>], at: usize) -> bool {
    let is_last = is_symbol(tokens.get(at), &[","]) && is_symbol(tokens.get(at + 1), &[")"]);
    if !is_last || is_symbol(before(tokens, at), &["(", ","]) {
        return false;
    }
    let open = opening(tokens, at + 1);
    let called = before(tokens, open);
    called.is_some_and(|called| called.kind == Kind::Name && ends_operand(called))
        && !awaits_more(tokens, open, at)
}

/// Go reads the argument that may be left out behind the comma, and there is none.
fn awaits_more(tokens: &[Token<'_>], open: usize, comma: usize) -> bool {
    let Some(name) = before(tokens, open) else { return false };
    let most = match name.text {
        "count" | "sum" => 2,
        "reduce" | "sortBy" => 3,
        _ => return false,
    };
    let is_piped = open >= 2 && is_symbol(tokens.get(open - 2), &["|"]);
    let commas = enclosing(tokens, comma).map_or(0, |(_, commas)| commas);
    commas + 1 + usize::from(is_piped) < most
}

/// `$env.result` and `$env["result"]` are `result`; other uses of the environment stay, and are unknown names.
pub(super) fn without_environment<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let result = name("result");
    let is_name = |token: &Token<'_>| {
        let inside = token.text.len().checked_sub(1).and_then(|end| token.text.get(1..end));
        token.kind == Kind::Text && inside == Some(result.text)
    };
    let mut out: Vec<Token<'a>> = Vec::with_capacity(tokens.len());
    let mut rest = tokens;
    while let Some((token, after)) = rest.split_first() {
        let is_environment = *token == name("$env") && !is_symbol(out.last(), &[".", "?."]);
        let taken = match after {
            [dot, field, ..] if *field == result && is_symbol(Some(dot), &[".", "?."]) => 2,
            [open, key, close, ..] if *open == symbol("[") && is_name(key) && *close == symbol("]") => 3,
            _ => 0,
        };
        let is_result = is_environment && taken > 0;
        out.push(if is_result { result } else { *token });
        rest = if is_result { &after[taken..] } else { after };
    }
    out
}

/// Marks variables that the crate would cut: it finds a `true` in `trueRate` and a `not` in `notable`.
pub(super) fn with_clear_names<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    const BEGINNINGS: &[&str] = &["_", "false", "nil", "not", "true"];
    const WORDS: &[&str] = &["false", "nil", "not", "true"];
    let is_cut = |at: usize| {
        let text = tokens[at].text;
        let stands_alone = !is_symbol(before(tokens, at), &[".", "?."])
            && !is_symbol(tokens.get(at + 1), &["("])
            && !is_key(tokens, at);
        tokens[at].kind == Kind::Name
            && stands_alone
            && !WORDS.contains(&text)
            && BEGINNINGS.iter().any(|beginning| text.starts_with(beginning))
    };
    let cleared =
        |at: usize| if is_cut(at) { Token { kind: Kind::Variable, ..tokens[at] } } else { tokens[at] };
    (0..tokens.len()).map(cleared).collect()
}

/// Whether there is the key of a map at a place.
pub(super) fn is_key(tokens: &[Token<'_>], at: usize) -> bool {
    is_symbol(before(tokens, at), &["{", ","]) && is_symbol(tokens.get(at + 1), &[":"])
}

/// `a ?: b` is `a ? true : b`, as what stands before a `?` has to be a bool.
pub(super) fn spell_out_otherwise<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let mut out: Vec<Token<'a>> = Vec::with_capacity(tokens.len());
    for token in tokens {
        if *token == symbol(":") && out.last() == Some(&symbol("?")) {
            out.push(name("true"));
        }
        out.push(*token);
    }
    out
}

/// Of several signs one is left, and of several negations one or two: `!!a` becomes `!(!a)`, which still wants a bool. The
/// crate takes one of them before an operand.
pub(super) fn spell_out_prefixes<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let mut out = tokens.to_vec();
    let mut at = 0;
    while at < out.len() {
        let (signs, negations) = (run(&out, at, is_sign), run(&out, at, is_negation));
        if signs > 1 {
            let minus = out[at..at + signs].iter().filter(|sign| sign.text == "-").count();
            out.splice(at..at + signs, [symbol(if minus % 2 == 1 { "-" } else { "+" })]);
        } else if negations > 1 && negations % 2 == 1 {
            out.drain(at + 1..at + negations);
        } else if negations > 1
            && let Some(end) = negated_end(&out, at + negations)
        {
            let negation = out[at];
            out.insert(end, symbol(")"));
            out.splice(at..at + negations, [negation, symbol("("), negation]);
        }
        at += 1;
    }
    out
}

fn is_sign(token: &Token<'_>) -> bool {
    is_symbol(Some(token), &["+", "-"])
}

fn is_negation(token: &Token<'_>) -> bool {
    is_symbol(Some(token), &["!"]) || *token == name("not")
}

/// How many prefixes of a kind stand before an operand from a place on.
fn run(tokens: &[Token<'_>], at: usize, is_prefix: fn(&Token<'_>) -> bool) -> usize {
    let last = before(tokens, at);
    if last.is_some_and(|last| ends_operand(last) || is_symbol(Some(last), &[".", "?."])) {
        return 0;
    }
    tokens[at..].iter().take_while(|token| is_prefix(token)).count()
}

/// Behind what a negation is about: it binds closer than a sum, and looser than a product.
fn negated_end(tokens: &[Token<'_>], at: usize) -> Option<usize> {
    let mut end = divisor_end(tokens, at)?;
    while is_symbol(tokens.get(end), &["%", "*", "/"]) {
        end = divisor_end(tokens, end + 1)?;
    }
    Some(end)
}

/// Puts a search that finds nothing apart from one that finds something: Go has nil there, which may be asked for (`??`,
/// `== nil`), and is an error in a comparison with a number. For the crate it would just be another value.
pub(super) fn call_for_found<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let mut out = tokens.to_vec();
    let mut from = 0;
    while let Some(at) = (from..out.len()).find(|at| is_search(&out, *at)) {
        from = at + 1;
        let Some(end) = closing(&out, at + 1) else { continue };
        if is_asked_for_nil(&out, at, end) {
            continue;
        }
        if is_symbol(before(&out, at), &["|"]) {
            out.splice(end + 1..end + 1, [symbol("|"), name(FOUND), symbol("("), symbol(")")]);
        } else {
            out.insert(end, symbol(")"));
            out.splice(at..at, [name(FOUND), symbol("(")]);
            from = at + 3;
        }
    }
    out
}

fn is_search(tokens: &[Token<'_>], at: usize) -> bool {
    let is_name = |token: &Token<'_>| token.kind == Kind::Name && SEARCHES.contains(&token.text);
    tokens.get(at).is_some_and(is_name)
        && is_symbol(tokens.get(at + 1), &["("])
        && !is_symbol(before(tokens, at), &[".", "?."])
}

/// Whether a call is one operand of a comparison with nil, or has a default.
fn is_asked_for_nil(tokens: &[Token<'_>], start: usize, end: usize) -> bool {
    const EQUALITY: &[&str] = &["!=", "=="];
    let is_nil = |token: Option<&Token<'_>>| token == Some(&name("nil"));
    let (left, is_first) = (before(tokens, start), !is_symbol(before(tokens, start), ARITHMETIC));
    let far_left = start.checked_sub(2).and_then(|at| tokens.get(at));
    is_symbol(tokens.get(end + 1), &["??"])
        || is_first && is_symbol(tokens.get(end + 1), EQUALITY) && is_nil(tokens.get(end + 2))
        || is_symbol(left, EQUALITY) && is_nil(far_left)
}
