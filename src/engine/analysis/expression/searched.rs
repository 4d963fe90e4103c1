//! What is searched in: `contains` is for texts, and what is looked for in a list of texts has to be one.
//!
//! Input: tokens that were checked. Output: tokens in which a call fails for what Go fails for. The crate looks into lists and maps,
//! too, and a number is in no list of texts for it, so that `result.code not in ["5"]` would hold for every answer.

use super::chain::operand_start;
use super::rewrite::closing;
use super::token::{Kind, Token, is_symbol, is_word};
use super::{SOUGHT, TEXT};

/// Puts what has to be a text into a call that tells if it is none.
pub(super) fn call_for_texts<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let symbol = |text| Token { kind: Kind::Symbol, text };
    let mut out = tokens.to_vec();
    let mut from = 1;
    while let Some(at) = (from..out.len()).find(|at| wants_text(&out, *at)) {
        let is_negated = out[at - 1] == Token { kind: Kind::Name, text: "not" };
        let end = at - usize::from(is_negated);
        let start = operand_start(&out, end);
        if start < end {
            let asked = if is_word(&out, at, &["in"]) { SOUGHT } else { TEXT };
            out.insert(end, symbol(")"));
            out.splice(start..start, [Token { kind: Kind::Name, text: asked }, symbol("(")]);
            from = at + 4;
        } else {
            from = at + 1;
        }
    }
    out
}

fn wants_text(tokens: &[Token<'_>], at: usize) -> bool {
    is_word(tokens, at, &["contains"]) || is_word(tokens, at, &["in"]) && is_list_of_texts(tokens, at + 1)
}

/// Whether nothing but texts stands in the list at a place, and nothing is made of it.
fn is_list_of_texts(tokens: &[Token<'_>], at: usize) -> bool {
    end_of_texts(tokens, at).is_some_and(|end| !is_made_of(tokens, end + 1))
}

/// The end of a list of texts, which may stand in round brackets.
fn end_of_texts(tokens: &[Token<'_>], at: usize) -> Option<usize> {
    if !is_symbol(tokens.get(at), &["(", "["]) {
        return None;
    }
    let end = closing(tokens, at)?;
    if is_symbol(tokens.get(at), &["("]) {
        return end_of_texts(tokens, at + 1).filter(|inner| inner + 1 == end).map(|_| end);
    }
    let is_one = |token: &Token<'_>| token.kind == Kind::Text || is_symbol(Some(token), &[","]);
    (end > at + 1 && tokens[at + 1..end].iter().all(is_one)).then_some(end)
}

/// Whether something is made of what ends before a place.
fn is_made_of(tokens: &[Token<'_>], at: usize) -> bool {
    is_symbol(tokens.get(at), &["[", ".", "?.", "??"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_to_be_a_text_is_asked() {
        let spelled = |text: &'static str| {
            let tokens = call_for_texts(&super::super::tokens(text).unwrap());
            tokens.iter().map(|token| token.text).collect::<Vec<_>>().join(" ")
        };
        for (text, wanted) in [
            ("a in ['b', 'c']", "sought ( a ) in [ 'b' , 'c' ]"),
            ("a in (['b'])", "sought ( a ) in ( [ 'b' ] )"),
            ("a in (['b'] | f()) or a in (['b'])[0]", "a in ( [ 'b' ] | f ( ) ) or a in ( [ 'b' ] ) [ 0 ]"),
            ("x and a.b(1) not in ['b',]", "x and sought ( a . b ( 1 ) ) not in [ 'b' , ]"),
            ("a contains 'b' or c in ['d']", "text ( a ) contains 'b' or sought ( c ) in [ 'd' ]"),
            ("(a + b contains c)", "( text ( a + b ) contains c )"),
            ("a | f() contains 'x'", "text ( a | f ( ) ) contains 'x'"),
            (
                "a in [1, 'b'] or a in [] or a in ['b'][0:]",
                "a in [ 1 , 'b' ] or a in [ ] or a in [ 'b' ] [ 0 : ]",
            ),
            ("a.in['b'] or contains", "a . in [ 'b' ] or contains"),
            ("(a in) or a in ]", "( a in ) or a in ]"),
        ] {
            assert_eq!(spelled(text), wanted, "{text}");
        }
    }
}
