//! Says what the `expr` crate lacks, or answers differently from Go, in words that it has.
//!
//! Input: tokens that were checked. Output: tokens that mean the same to the crate as the text means to Go.

use super::token::{Kind, Token, ends_operand, is_symbol};
use super::{AT, DIVIDE, NUMBER, REACH};

pub(super) const ARITHMETIC: &[&str] =
    &["!=", "%", "*", "**", "+", "-", "/", "<", "<=", "==", ">", ">=", "^"];

/// Puts `#` before a `.` that no operand precedes: `.value` is short for `#.value`.
pub(super) fn spell_out_shorthand<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let mut spelled: Vec<Token<'a>> = Vec::with_capacity(tokens.len());
    for token in tokens {
        if is_symbol(Some(token), &["."]) && !spelled.last().is_some_and(ends_operand) {
            spelled.push(Token { kind: Kind::Name, text: "#" });
        }
        spelled.push(*token);
    }
    spelled
}

/// `a not contains "b"` becomes `(a contains "b") == false`; what is more than a text or a name on the right stays, and
/// is refused by the crate.
pub(super) fn spell_out_negation<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    const NEGATED: &[&str] = &["contains", "endsWith", "matches", "startsWith"];
    let symbol = |text| Token { kind: Kind::Symbol, text };
    let mut spelled: Vec<Token<'a>> = Vec::with_capacity(tokens.len());
    let mut rest = tokens;
    while let Some((token, after)) = rest.split_first() {
        rest = after;
        let negation = *token == Token { kind: Kind::Name, text: "not" };
        let alone = |next: Option<&Token<'_>>| !is_symbol(next, &[".", "?.", "[", "("]);
        match after {
            [operator, right, ..]
                if negation
                    && NEGATED.contains(&operator.text)
                    && matches!(right.kind, Kind::Text | Kind::Name)
                    && alone(after.get(2))
                    && spelled.last().is_some_and(ends_operand) =>
            {
                spelled.insert(operand_start(&spelled), symbol("("));
                spelled.extend([*operator, *right, symbol(")"), symbol("==")]);
                spelled.push(Token { kind: Kind::Name, text: "false" });
                rest = &after[2..];
            }
            _ => spelled.push(*token),
        }
    }
    spelled
}

/// Replaces a bare `result` that is compared or calculated with; `result[0]`, `len(result)` and the like stay.
pub(super) fn number_from_samples<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let tokens = without_brackets_around_result(tokens);
    let mut replaced = Vec::with_capacity(tokens.len());
    let list = |token: Option<&Token<'_>>| token.is_some_and(|token| matches!(token.text, "[" | "]" | "nil"));
    for (index, token) in tokens.iter().enumerate() {
        let before = |count: usize| index.checked_sub(count).and_then(|index| tokens.get(index));
        let after = |count: usize| tokens.get(index + count);
        let bare = *token == Token { kind: Kind::Name, text: "result" }
            && !is_symbol(before(1), &[".", "?."])
            && !is_symbol(after(1), &["[", ".", "?.", "|", "??"]);
        let operand = is_symbol(after(1), ARITHMETIC) && !list(after(2)) && !makes_list(&tokens, index + 2)
            || is_symbol(before(1), ARITHMETIC) && !list(before(2)) && !list_ends_at(&tokens, index);
        if bare && operand {
            replaced.push(Token { kind: Kind::Name, text: NUMBER });
            replaced.push(Token { kind: Kind::Symbol, text: "(" });
            replaced.push(Token { kind: Kind::Symbol, text: ")" });
        } else {
            replaced.push(*token);
        }
    }
    replaced
}

/// Whether a call at a place makes a list, and all of it stands there.
fn makes_list(tokens: &[Token<'_>], at: usize) -> bool {
    const MAKERS: &[&str] = &[
        "concat",
        "filter",
        "flatten",
        "keys",
        "map",
        "reverse",
        "sort",
        "sortBy",
        "split",
        "splitAfter",
        "take",
        "toPairs",
        "uniq",
        "values",
    ];
    let is_maker = |token: &Token<'_>| token.kind == Kind::Name && MAKERS.contains(&token.text);
    let is_whole = |end: usize| !is_symbol(tokens.get(end + 1), &[".", "?.", "["]);
    tokens.get(at).is_some_and(is_maker)
        && is_symbol(tokens.get(at + 1), &["("])
        && closing(tokens, at + 1).is_some_and(is_whole)
}

/// Whether such a call ends before the operator that stands before a place.
fn list_ends_at(tokens: &[Token<'_>], at: usize) -> bool {
    let Some(end) = at.checked_sub(2).filter(|end| is_symbol(tokens.get(*end), &[")"])) else { return false };
    opening(tokens, end).checked_sub(1).is_some_and(|name| makes_list(tokens, name))
}

/// `(result) > 1` means `result > 1`, but `len(result)` needs its brackets.
fn without_brackets_around_result<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let mut tokens = tokens.to_vec();
    let wrapped = |tokens: &[Token<'a>], index: usize| {
        tokens[index].text == "("
            && tokens[index + 1] == Token { kind: Kind::Name, text: "result" }
            && tokens[index + 2].text == ")"
            && !index.checked_sub(1).is_some_and(|before| ends_operand(&tokens[before]))
    };
    while let Some(index) = (0..tokens.len().saturating_sub(2)).find(|index| wrapped(&tokens, *index)) {
        tokens.remove(index + 2);
        tokens.remove(index);
    }
    tokens
}

/// Replaces `operand[index]` by `at(operand, index)`, and `operand?.[index]` by `reach(operand, index)`; slices `operand[a:b]` stay.
pub(super) fn call_for_index<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let mut out: Vec<Token<'a>> = Vec::with_capacity(tokens.len());
    let mut open = Vec::new();
    for (position, token) in tokens.iter().enumerate() {
        if is_symbol(Some(token), &["["]) {
            let optional = is_symbol(out.last(), &["?."]);
            let index =
                (optional || out.last().is_some_and(ends_operand)) && !is_slice(&tokens[position + 1..]);
            open.push(index);
            if index {
                if optional {
                    out.pop();
                }
                let start = operand_start(&out);
                out.insert(start, Token { kind: Kind::Symbol, text: "(" });
                let name = if optional { REACH } else { AT };
                out.insert(start, Token { kind: Kind::Name, text: name });
                out.push(Token { kind: Kind::Symbol, text: "," });
                continue;
            }
        } else if is_symbol(Some(token), &["]"]) && open.pop() == Some(true) {
            out.push(Token { kind: Kind::Symbol, text: ")" });
            continue;
        }
        out.push(*token);
    }
    out
}

/// Replaces `a / b` by `divide(a, b)`, which notes when there is no quotient. What has no operands stays, and is refused by
/// the crate.
pub(super) fn call_for_division<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let symbol = |text| Token { kind: Kind::Symbol, text };
    let mut out = tokens.to_vec();
    let mut from = 0;
    while let Some(at) = (from..out.len()).find(|at| is_symbol(out.get(*at), &["/"])) {
        from = at + 1;
        let (Some(start), Some(end)) = (dividend_start(&out[..at]), divisor_end(&out, at + 1)) else {
            continue;
        };
        out.insert(end, symbol(")"));
        out[at] = symbol(",");
        out.splice(start..start, [Token { kind: Kind::Name, text: DIVIDE }, symbol("(")]);
        // Behind the comma: the divisor may hold divisions, too.
        from = at + 3;
    }
    out
}

/// Where the product begins that ends the list, signs and what is piped into it included.
fn dividend_start(before: &[Token<'_>]) -> Option<usize> {
    let mut start = before.len();
    loop {
        start = before[..start]
            .last()
            .filter(|last| ends_operand(last))
            .map(|_| operand_start(&before[..start]))?;
        while let Some(sign) = start.checked_sub(1)
            && is_symbol(before.get(sign), &["+", "-"])
            && !before[..sign].last().is_some_and(ends_operand)
        {
            start = sign;
        }
        let Some(operator) = start.checked_sub(1) else { return Some(start) };
        if is_symbol(before.get(operator), &["|"]) {
            return Some(piped_start(before, operator));
        } else if !is_symbol(before.get(operator), &["%", "*", "**", "/", "^"]) {
            return Some(start);
        }
        start = operator;
    }
}

/// Where that begins which is piped at a place: everything since the last bracket or comma.
pub(super) fn piped_start(before: &[Token<'_>], pipe: usize) -> usize {
    let mut start = pipe;
    while let Some(last) = start.checked_sub(1) {
        if is_symbol(before.get(last), &[")", "]", "}"]) {
            start = opening(before, last);
        } else if is_symbol(before.get(last), &["(", ",", ":", ";", "=", "?", "[", "{"]) {
            break;
        } else {
            start = last;
        }
    }
    start
}

/// Behind the divisor that begins at a place: signs, an operand, and what binds closer than a division.
pub(super) fn divisor_end(tokens: &[Token<'_>], at: usize) -> Option<usize> {
    let mut end = at;
    loop {
        while is_symbol(tokens.get(end), &["+", "-"]) {
            end += 1;
        }
        end = operand_end(tokens, end)?;
        if !is_symbol(tokens.get(end), &["**", "??", "^"]) {
            return Some(end);
        }
        end += 1;
    }
}

/// Behind the operand that begins at a place.
fn operand_end(tokens: &[Token<'_>], at: usize) -> Option<usize> {
    let first = tokens.get(at)?;
    let mut end = match first.kind {
        Kind::Symbol if matches!(first.text, "(" | "[" | "{") => closing(tokens, at)? + 1,
        Kind::Symbol => return None,
        Kind::Name | Kind::Variable | Kind::Key | Kind::Number | Kind::Text | Kind::Pattern => {
            ends_operand(first).then_some(at + 1)?
        }
    };
    loop {
        if is_symbol(tokens.get(end), &["(", "["]) {
            end = closing(tokens, end)? + 1;
        } else if is_symbol(tokens.get(end), &[".", "?."]) {
            end += 1 + usize::from(!is_symbol(tokens.get(end + 1), &["["]));
        } else {
            return (end <= tokens.len()).then_some(end);
        }
    }
}

/// The bracket that closes the one at `opening`; nothing where none opens there.
pub(super) fn closing(tokens: &[Token<'_>], opening: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for index in opening..tokens.len() {
        if is_symbol(tokens.get(index), &["(", "[", "{"]) {
            depth += 1;
        } else if is_symbol(tokens.get(index), &[")", "]", "}"]) {
            depth = depth.checked_sub(1)?;
            if depth == 0 {
                return Some(index);
            }
        }
    }
    None
}

/// Whether the tokens behind a `[` hold a `:` before its `]` that no `?` asked for.
fn is_slice(tokens: &[Token<'_>]) -> bool {
    let (mut depth, mut questions) = (0_usize, 0_usize);
    for token in tokens.iter().filter(|token| token.kind == Kind::Symbol) {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" if depth == 0 => return false,
            ")" | "]" | "}" => depth -= 1,
            "?" if depth == 0 => questions += 1,
            ":" if depth == 0 && questions == 0 => return true,
            ":" if depth == 0 => questions -= 1,
            _ => {}
        }
    }
    false
}

/// Where the operand that ends the list begins: `a.b(c)[d:e]` is one operand.
fn operand_start(out: &[Token<'_>]) -> usize {
    let mut start = out.len();
    while let Some(last) = start.checked_sub(1) {
        let closes = is_symbol(out.get(last), &[")", "]", "}"]);
        start = if closes { opening(out, last) } else { last };
        let Some(before) = start.checked_sub(1) else { break };
        if is_symbol(out.get(before), &[".", "?."]) {
            start = before;
        } else if !(closes && ends_operand(&out[before])) {
            break;
        }
    }
    start
}

/// The bracket that the one at `closing` closes; brackets were checked to be balanced.
pub(super) fn opening(out: &[Token<'_>], closing: usize) -> usize {
    let mut depth = 0_usize;
    for index in (0..=closing).rev() {
        if is_symbol(out.get(index), &[")", "]", "}"]) {
            depth += 1;
        } else if is_symbol(out.get(index), &["(", "[", "{"]) {
            depth -= 1;
            if depth == 0 {
                return index;
            }
        }
    }
    0
}
