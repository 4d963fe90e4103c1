//! Comparisons in a row, such as `0.9 <= result[0] <= 1`, which the `expr` crate does not know.
//!
//! Input: tokens that were checked. Output: tokens in which each comparison stands by itself, and all have to hold. Only what
//! is less or greater stands in a row: `a == b == c` compares the answer of the first with `c`, for Go and for the crate.

use super::MOST_TOKENS;
use super::rewrite::{closing, opening, piped_start};
use super::token::{Kind, Token, ends_operand, is_symbol, is_word};

/// What an operand in the middle takes twice is bounded: rows within rows double it again.
const MOST: usize = 2 * MOST_TOKENS;

const COMPARISONS: &[&str] = &["<", "<=", ">", ">="];
/// What binds no closer than a comparison, and so ends an operand of it.
const LOOSE: &[&str] =
    &["!=", "&&", ")", ",", ":", ";", "<", "<=", "=", "==", ">", ">=", "?", "]", "|", "||", "}"];
const LOOSE_WORDS: &[&str] =
    &["and", "contains", "else", "endsWith", "if", "in", "matches", "not", "or", "startsWith"];
/// What binds looser than a comparison, and so stands before all of it.
const BEFORE: &[&str] = &["&&", "(", ",", ":", ";", "=", "?", "[", "{", "||"];
const BEFORE_WORDS: &[&str] = &["and", "else", "if", "or"];

/// `a < b <= c` becomes `(a < b and b <= c)`.
///
/// # Errors
/// Fails when that makes too much of the text.
pub(super) fn spell_out_rows<'a>(tokens: &[Token<'a>]) -> Result<Vec<Token<'a>>, String> {
    let mut out = tokens.to_vec();
    let mut from = 0;
    while let Some(row) = (from..out.len()).find_map(|at| Row::of(&out, at)) {
        let start = row.start;
        let spelled = row.spelled(&out);
        out.splice(start..row.end, spelled);
        if out.len() > MOST {
            return Err(format!("the expression has more than {MOST_TOKENS} parts"));
        }
        from = start + 1;
    }
    Ok(out)
}

/// Comparisons in a row.
struct Row {
    /// Where the first operand begins, and behind the last one.
    start: usize,
    end: usize,
    comparisons: Vec<usize>,
}

impl Row {
    /// The row that begins with the comparison at a place; nothing where it stands alone.
    fn of(tokens: &[Token<'_>], first: usize) -> Option<Self> {
        let (mut comparisons, mut end) = (Vec::new(), first);
        while is_symbol(tokens.get(end), COMPARISONS) {
            comparisons.push(end);
            let behind = operand_end(tokens, end);
            if behind == end + 1 {
                // There is no operand, which the crate tells.
                return None;
            }
            end = behind;
        }
        (comparisons.len() > 1).then(|| Self { start: operand_start(tokens, first), end, comparisons })
    }

    fn spelled<'a>(&self, tokens: &[Token<'a>]) -> Vec<Token<'a>> {
        let mut spelled = vec![Token { kind: Kind::Symbol, text: "(" }];
        let mut left = self.start;
        let ends = self.comparisons.iter().skip(1).chain([&self.end]);
        for (comparison, end) in self.comparisons.iter().zip(ends) {
            if left != self.start {
                spelled.push(Token { kind: Kind::Name, text: "and" });
            }
            spelled.extend_from_slice(&tokens[left..*end]);
            left = comparison + 1;
        }
        spelled.push(Token { kind: Kind::Symbol, text: ")" });
        spelled
    }
}

/// Behind the operand on the right of a comparison.
fn operand_end(tokens: &[Token<'_>], comparison: usize) -> usize {
    let mut at = comparison + 1;
    while let Some(token) = tokens.get(at) {
        let opens_block = is_symbol(Some(token), &["{"]) && ends_operand(&tokens[at - 1]);
        if is_symbol(Some(token), &["(", "[", "{"]) && !opens_block {
            at = closing(tokens, at).map_or(tokens.len(), |end| end + 1);
        } else if opens_block || is_symbol(Some(token), LOOSE) || is_word(tokens, at, LOOSE_WORDS) {
            return at;
        } else {
            at += 1;
        }
    }
    at
}

/// Where that begins which stands on the left of a comparison.
pub(super) fn operand_start(tokens: &[Token<'_>], comparison: usize) -> usize {
    let mut start = comparison;
    while let Some(last) = start.checked_sub(1) {
        let token = tokens.get(last);
        if is_symbol(token, &[")", "]", "}"]) {
            start = opening(tokens, last);
        } else if is_symbol(token, &["|"]) {
            return piped_start(tokens, last);
        } else if is_symbol(token, BEFORE) || is_word(tokens, last, BEFORE_WORDS) {
            break;
        } else {
            start = last;
        }
    }
    start
}
