//! The text of a condition on its way to the `expr` crate: cut into tokens, checked, and put into the crate's words.
//!
//! Argo compiles conditions against a typed environment; the crate evaluates them without one. So this file
//! finds unknown names before anything runs, and what does not fit by its type, and says some things in another way:
//! `.field` inside a closure becomes `#.field`, `x[i]` becomes a call that fails beyond the end (the crate
//! answers nil, and `nil != 5` would pass), and a bare `result` next to an operator becomes a number. Forms that it does not
//! know, such as comparisons in a row, are spelled out in those that it knows. Texts with escapes it gets as raw texts.
//! It also bounds what a text may cost: it comes from users of the cluster, and the controller serves all of them.

mod chain;
mod checker;
mod forms;
mod map;
mod pattern;
mod predicate;
mod rewrite;
mod searched;
mod text;
mod token;
mod types;

use chain::spell_out_rows;
pub(super) use checker::Mismatch;
use forms::{
    call_for_found, is_key, spell_out_otherwise, spell_out_prefixes, with_clear_names, without_environment,
    without_marks,
};
use map::call_for_maps;
use pattern::with_patterns;
use predicate::in_braces;
use rewrite::{
    ARITHMETIC, call_for_division, call_for_index, number_from_samples, spell_out_negation,
    spell_out_shorthand,
};
use searched::call_for_texts;
use token::{Kind, Token, WORD_OPERATORS, ends_operand, is_symbol, tokens};
pub(super) use types::{Map, Type};

/// What a text in the language may cost; far above what people write.
const MOST_BYTES: usize = 4096;
const MOST_TOKENS: usize = 300;
const MOST_DEPTH: usize = 16;
/// The same in the crate's words, of which several take a pair of brackets that the text has not.
const MOST_DEPTH_SPELLED_OUT: usize = 3 * MOST_DEPTH;
/// Both ends of `a..b` must be literals below this, because the crate builds the whole list.
const MOST_RANGE: u32 = 1000;
/// Variables can double a text each time they are used.
const MOST_VARIABLES: usize = 2;
/// Closures within closures: each level multiplies the work by the length of the list.
const MOST_CLOSURES: usize = 2;

/// Each becomes a call, and calls nest.
const MOST_DIVISIONS: usize = 16;

/// Functions that run a closure for each item of a list.
const CLOSURE_FUNCTIONS: &[&str] = &[
    "all",
    "any",
    "count",
    "filter",
    "find",
    "findIndex",
    "findLast",
    "findLastIndex",
    "groupBy",
    "map",
    "none",
    "one",
    "reduce",
    "sortBy",
    "sum",
];

/// Names of the language's own functions.
const FUNCTIONS: &[&str] = &[
    "abs",
    "all",
    "any",
    "bitand",
    "bitnand",
    "bitnot",
    "bitor",
    "bitshl",
    "bitshr",
    "bitushr",
    "bitxor",
    "ceil",
    "concat",
    "count",
    "date",
    "duration",
    "filter",
    "find",
    "findIndex",
    "findLast",
    "findLastIndex",
    "first",
    "flatten",
    "float",
    "floor",
    "fromPairs",
    "get",
    "groupBy",
    "hasPrefix",
    "hasSuffix",
    "indexOf",
    "int",
    "join",
    "keys",
    "last",
    "lastIndexOf",
    "len",
    "lower",
    "map",
    "max",
    "mean",
    "median",
    "min",
    "none",
    "now",
    "one",
    "reduce",
    "repeat",
    "replace",
    "reverse",
    "round",
    "sort",
    "sortBy",
    "split",
    "splitAfter",
    "string",
    "sum",
    "take",
    "toPairs",
    "trim",
    "trimPrefix",
    "trimSuffix",
    "type",
    "uniq",
    "upper",
    "values",
];

/// Functions of the language that cannot be served here.
const MISSING_FUNCTIONS: &[&str] = &["fromBase64", "fromJSON", "timezone", "toBase64", "toJSON"];

/// Functions that Argo adds for conditions.
pub(super) const ARGO_FUNCTIONS: &[&str] = &["asFloat", "asInt", "default", "isInf", "isNaN", "isNil"];

const LITERALS: &[&str] = &["false", "nil", "true"];

/// The call that stands for an index.
pub(super) const AT: &str = "at";
/// The call that stands for an index behind `?.`, for which nil has no elements.
pub(super) const REACH: &str = "reach";
/// The call that stands for a bare `result` used as a number.
pub(super) const NUMBER: &str = "number";

/// The call around a search that has to find something.
pub(super) const FOUND: &str = "found";

/// The call that stands for a division.
pub(super) const DIVIDE: &str = "divide";

/// The call around what has to be a text.
pub(super) const TEXT: &str = "text";
/// The same for what is looked for in a list of texts.
pub(super) const SOUGHT: &str = "sought";

/// The call that stands for a map.
pub(super) const FIELDS: &str = "fields";

/// What may be named in an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vocabulary {
    /// A condition: `result` and Argo's functions.
    Condition {
        /// Whether `result` is a list of samples, so that a bare one may stand for its only sample.
        samples: bool,
    },
    /// A time expression: the language's own functions only.
    Time,
}

/// An expression that may be given to the crate.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Expression<'a> {
    tokens: Vec<Token<'a>>,
    /// The tokens of the text as it is, but for a bare `result` used as a number.
    written: Vec<Token<'a>>,
    /// Names of all functions that the text calls.
    calls: Vec<&'a str>,
}

impl Expression<'_> {
    /// The text in the crate's words.
    pub(super) fn text(&self) -> String {
        self.tokens.iter().map(Token::spelled).collect::<Vec<_>>().join(" ")
    }

    /// Whether the text calls any of these functions.
    pub(super) fn calls(&self, names: &[&str]) -> bool {
        self.calls.iter().any(|call| names.contains(call))
    }

    /// What Go refuses before anything runs, for a result of a type. Functions for numbers may take vectors as well.
    pub(super) fn mismatch(&self, result: &Type, takes_samples: bool) -> Option<Mismatch> {
        checker::mismatch(&self.written, result, takes_samples)
    }

    /// The token at a place of [`Self::text`], in the words of whoever wrote it. Lines, and columns in characters, count
    /// from 1.
    pub(super) fn token_at(&self, line: usize, column: usize) -> &str {
        let mut end = (1, 1);
        for token in &self.tokens {
            for character in token.spelled().chars().chain([' ']) {
                end = if character == '\n' { (end.0 + 1, 1) } else { (end.0, end.1 + 1) };
            }
            if (line, column) < end {
                return token.text;
            }
        }
        "the end"
    }
}

/// Checks an expression and puts it into the crate's words.
pub(super) fn prepare(text: &str, vocabulary: Vocabulary) -> Result<Expression<'_>, String> {
    if text.len() > MOST_BYTES {
        return Err(format!("the expression is longer than {MOST_BYTES} bytes"));
    }
    let mut tokens = tokens(text)?;
    if tokens.len() > MOST_TOKENS {
        return Err(format!("the expression has more than {MOST_TOKENS} parts"));
    }
    check_brackets(&tokens)?;
    check_ranges(&tokens)?;
    check_closures(&tokens)?;
    check_defaults(&tokens)?;
    check_texts(&tokens)?;
    check_neighbours(&tokens)?;
    tokens = without_environment(&without_marks(&tokens));
    let takes_samples = vocabulary == (Vocabulary::Condition { samples: true });
    let written = if takes_samples { number_from_samples(&tokens) } else { tokens.clone() };
    tokens = spell_out_prefixes(&spell_out_shorthand(&spell_out_otherwise(&tokens)));
    tokens = spell_out_negation(&tokens);
    let calls = check_names(&tokens, vocabulary)?;
    tokens = in_braces(&call_for_maps(&with_clear_names(&tokens))?);
    tokens = call_for_texts(&call_for_found(&spell_out_rows(&tokens)?));
    if tokens.iter().filter(|token| is_symbol(Some(token), &["/"])).count() > MOST_DIVISIONS {
        return Err(format!("the expression has more than {MOST_DIVISIONS} divisions"));
    }
    if takes_samples {
        tokens = number_from_samples(&tokens);
    }
    if vocabulary != Vocabulary::Time {
        tokens = call_for_division(&tokens);
    }
    tokens = with_patterns(&call_for_index(&tokens));
    check_depth(&tokens)?;
    Ok(Expression { tokens, written, calls })
}

/// What was put into the crate's words nests deeper than the text did.
fn check_depth(tokens: &[Token<'_>]) -> Result<(), String> {
    let (mut depth, mut deepest) = (0_usize, 0);
    for token in tokens.iter().filter(|token| token.kind == Kind::Symbol) {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    if deepest > MOST_DEPTH_SPELLED_OUT {
        return Err("brackets, divisions and comparisons in a row are nested too deep".to_owned());
    }
    Ok(())
}

/// Brackets must close in order and not nest deeper than the crate's recursive parser can bear.
fn check_brackets(tokens: &[Token<'_>]) -> Result<(), String> {
    let mut open = Vec::new();
    for token in tokens.iter().filter(|token| token.kind == Kind::Symbol) {
        match token.text {
            "(" => open.push(")"),
            "[" => open.push("]"),
            "{" => open.push("}"),
            closing @ (")" | "]" | "}") if open.pop() != Some(closing) => {
                return Err(format!("unexpected token {closing:?}"));
            }
            _ => {}
        }
        if open.len() > MOST_DEPTH {
            return Err(format!("brackets are nested deeper than {MOST_DEPTH}"));
        }
    }
    open.pop().map_or(Ok(()), |missing| Err(format!("missing {missing:?}")))
}

fn check_ranges(tokens: &[Token<'_>]) -> Result<(), String> {
    let mut ranges = 0;
    for (index, _) in
        tokens.iter().enumerate().filter(|(_, token)| token.text == ".." && token.kind == Kind::Symbol)
    {
        let small = |token: Option<&Token<'_>>| {
            token.is_some_and(|token| token.text.parse::<u32>().is_ok_and(|number| number < MOST_RANGE))
        };
        let alone = |token: Option<&Token<'_>>| {
            token.is_none_or(|token| {
                matches!(token.text, "(" | ")" | "[" | "]" | "{" | "}" | "," | "in" | "|")
            })
        };
        let before = index.checked_sub(2).and_then(|index| tokens.get(index));
        let left = index.checked_sub(1).and_then(|index| tokens.get(index));
        ranges += 1;
        if ranges > 1
            || !small(left)
            || !small(tokens.get(index + 1))
            || !alone(before)
            || !alone(tokens.get(index + 2))
        {
            return Err(format!("only one range is allowed, between two numbers below {MOST_RANGE}"));
        }
    }
    Ok(())
}

/// `a ?? b == c` has no one meaning: Argo refuses it, and the crate would take `b == c` for the default, as it would of
/// `a ?? b ? c : d` and `a ?? b | f()`, which mean something else there.
fn check_defaults(tokens: &[Token<'_>]) -> Result<(), String> {
    const LOGIC: &[&str] =
        &["&&", "||", "..", "and", "contains", "endsWith", "in", "matches", "or", "startsWith"];
    for (index, _) in tokens.iter().enumerate().filter(|(_, token)| is_symbol(Some(token), &["??"])) {
        let mut depth = 0_usize;
        let is_sign = |token: &&Token<'_>| is_symbol(Some(token), &["+", "-"]);
        for token in tokens.iter().skip(index + 1).skip_while(is_sign) {
            match token.text {
                _ if token.kind == Kind::Text => {}
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" if depth == 0 => break,
                ")" | "]" | "}" => depth -= 1,
                "," | ";" | ":" if depth == 0 => break,
                operator @ ("?" | "?:" | "|") if depth == 0 => {
                    return Err(format!("{operator} after ?? needs parentheses around one of them"));
                }
                operator if depth == 0 && (ARITHMETIC.contains(&operator) || LOGIC.contains(&operator)) => {
                    return Err(format!("{operator} after ?? needs parentheses around one of them"));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn check_texts(tokens: &[Token<'_>]) -> Result<(), String> {
    tokens.iter().filter(|token| token.kind == Kind::Text).try_for_each(|token| text::check(token.text))
}

/// A name right behind an operand is no expression. The crate tells, but for the `or` that it finds in `true orderly`.
fn check_neighbours(tokens: &[Token<'_>]) -> Result<(), String> {
    let hides_operator = |token: &Token<'_>| {
        token.kind == Kind::Name
            && !WORD_OPERATORS.contains(&token.text)
            && WORD_OPERATORS.iter().any(|operator| token.text.starts_with(operator))
    };
    let clash = tokens.windows(2).find(|pair| ends_operand(&pair[0]) && hides_operator(&pair[1]));
    clash.map_or(Ok(()), |pair| Err(format!("syntax error at {:?}", pair[1].text)))
}

/// Counts how deep closures nest. In `filter(filter(list, a), b)` they do not: the inner call is the list.
fn check_closures(tokens: &[Token<'_>]) -> Result<(), String> {
    // One entry per open bracket: whether it belongs to a function with a closure, and whether the closure began.
    let mut open: Vec<(bool, bool)> = Vec::new();
    for (index, token) in tokens.iter().enumerate().filter(|(_, token)| token.kind == Kind::Symbol) {
        match token.text {
            "(" => {
                let name = index.checked_sub(1).map(|index| &tokens[index]);
                let closure = name.is_some_and(|name| CLOSURE_FUNCTIONS.contains(&name.text));
                open.push((closure, closure && index >= 2 && is_symbol(tokens.get(index - 2), &["|"])));
            }
            "[" | "{" => open.push((false, false)),
            ")" | "]" | "}" => drop(open.pop()),
            "," => {
                if let Some((closure @ true, began)) = open.last_mut() {
                    *began = *closure;
                }
            }
            _ => {}
        }
        if open.iter().filter(|(_, began)| *began).count() > MOST_CLOSURES {
            return Err(format!("closures are nested deeper than {MOST_CLOSURES}"));
        }
    }
    Ok(())
}

/// Finds names that nothing stands for, and returns the functions that are called.
fn check_names<'a>(tokens: &[Token<'a>], vocabulary: Vocabulary) -> Result<Vec<&'a str>, String> {
    let condition = matches!(vocabulary, Vocabulary::Condition { .. });
    let mut variables = Vec::new();
    let mut calls = Vec::new();
    for (index, token) in tokens.iter().enumerate().filter(|(_, token)| token.kind == Kind::Name) {
        let name = token.text;
        let before = index.checked_sub(1).and_then(|index| tokens.get(index));
        let after = tokens.get(index + 1);
        if is_symbol(before, &[".", "?."]) {
            if is_symbol(after, &["("]) {
                return Err(format!(
                    "the method {name}() is not available: times and durations are seconds here"
                ));
            }
            continue;
        }
        if is_key(tokens, index)
            || WORD_OPERATORS.contains(&name)
            || LITERALS.contains(&name)
            || name.starts_with('#')
        {
            continue;
        }
        if before.is_some_and(|before| before.text == "let") {
            variables.push(name);
            if variables.len() > MOST_VARIABLES {
                return Err(format!("the expression has more than {MOST_VARIABLES} variables"));
            }
        } else if is_symbol(after, &["("]) {
            if MISSING_FUNCTIONS.contains(&name) {
                return Err(format!("{name}() is not available in this controller"));
            }
            let known = FUNCTIONS.contains(&name) || condition && ARGO_FUNCTIONS.contains(&name);
            if !known {
                return Err(format!("unknown name {name}"));
            }
            calls.push(name);
        } else if !(condition && name == "result" || variables.contains(&name)) {
            return Err(format!("unknown name {name}"));
        }
    }
    Ok(calls)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(text: &str) -> Result<String, String> {
        prepare(text, Vocabulary::Condition { samples: true }).map(|expression| expression.text())
    }

    #[test]
    fn texts_are_put_into_the_crates_words() {
        let cases = [
            ("result[0]>=0.95", "at ( result , 0 ) >= 0.95"),
            ("result >= .95", "number ( ) >= .95"),
            ("0.95 <= (result)", "0.95 <= number ( )"),
            ("len(result) > 0", "len ( result ) > 0"),
            ("result == nil", "result == nil"),
            ("all(result, {.value > 1})", "all ( result , { # . value > 1 } )"),
            ("all(result, # > 1)", "all ( result , { # > 1 } )"),
            ("result | filter(.ok) | len", "result | filter ( # . ok ) | len"),
            ("result.a.b[0][1] > 1", "at ( at ( result . a . b , 0 ) , 1 ) > 1"),
            ("result[len(result) - 1] > 1", "at ( result , len ( result ) - 1 ) > 1"),
            ("max(result[1:3])[0]", "at ( max ( result [ 1 : 3 ] ) , 0 )"),
            ("result[result[0] > 1 ? 0 : 1] > 1", "at ( result , at ( result , 0 ) > 1 ? 0 : 1 ) > 1"),
            ("result?.[0] > 1", "reach ( result , 0 ) > 1"),
            ("result[0] in [1, 2]", "at ( result , 0 ) in [ 1 , 2 ]"),
            ("let x = result[0]; x > 1 /* why */ // ever", "let x = at ( result , 0 ) ; x > 1"),
            ("{\"a\": 1, b: 2}.b == 2", "fields ( \"a\" , 1 , \"b\" , 2 ) . b == 2"),
            ("result[0] in 1..5", "at ( result , 0 ) in 1 .. 5"),
            ("result[0] / 2 * 3", "divide ( at ( result , 0 ) , 2 ) * 3"),
            ("1 - 2 * -result / -.5 ** 2 + 1", "1 - divide ( 2 * - number ( ) , - .5 ** 2 ) + 1"),
            ("8 / 4 / 2 == 1", "divide ( divide ( 8 , 4 ) , 2 ) == 1"),
            (
                "sum(result) / (len(result) / 2)",
                "divide ( sum ( result ) , ( divide ( len ( result ) , 2 ) ) )",
            ),
            (
                "any(result, .a.b / #['c'] > 1)",
                "any ( result , { divide ( # . a . b , at ( # , 'c' ) ) > 1 } )",
            ),
            ("1 > 2 ? result | sum() / 2 : 1", "1 > 2 ? divide ( result | sum ( ) , 2 ) : 1"),
            ("result[0] == 'a]\\'' or true", "at ( result , 0 ) == `a]'` or true"),
        ];
        for (text, wanted) in cases {
            let got = condition(text);
            if text.ends_with("| len") {
                assert_eq!(got, Err("unknown name len".into()), "a pipe needs a call");
            } else {
                assert_eq!(got.as_deref(), Ok(wanted), "{text}");
            }
        }
    }

    #[test]
    fn what_only_go_knows_is_spelled_out() {
        let cases = [
            ("0.9 <= result[0] <= 1", "( 0.9 <= at ( result , 0 ) and at ( result , 0 ) <= 1 )"),
            ("0.9 <= result <= 1", "( 0.9 <= number ( ) and number ( ) <= 1 )"),
            ("1 < 2 + 3 * 4 <= 5 < 6", "( 1 < 2 + 3 * 4 and 2 + 3 * 4 <= 5 and 5 < 6 )"),
            ("true and 1 < 2 < 3 == true", "true and ( 1 < 2 and 2 < 3 ) == true"),
            ("1 == 2 < 3 < 4 || true", "( 1 == 2 < 3 and 3 < 4 ) || true"),
            ("1 < 2 == 3 < 4", "1 < 2 == 3 < 4"),
            ("1 < 2 and 3 < 4", "1 < 2 and 3 < 4"),
            ("not (1 < 2 < 3)", "not ( ( 1 < 2 and 2 < 3 ) )"),
            ("all(result, 0 < # < 9)", "all ( result , { ( 0 < # and # < 9 ) } )"),
            ("all(result, {0 < .x < 9})", "all ( result , { ( 0 < # . x and # . x < 9 ) } )"),
            ("1 < 2 < 3 ? 4 > 5 > 6 : true", "( 1 < 2 and 2 < 3 ) ? ( 4 > 5 and 5 > 6 ) : true"),
            ("result | len() < 4 < 5", "( result | len ( ) < 4 and 4 < 5 )"),
            ("1 < result.in and 2 < 3", "1 < result . in and 2 < 3"),
            (
                "0 < count(result, 1 < # < 5) < 3",
                "( 0 < count ( result , { ( 1 < # and # < 5 ) } ) and count ( result , { ( 1 < # and # < 5 ) } ) < 3 )",
            ),
            ("1 < 4 / 2 < 3", "( 1 < divide ( 4 , 2 ) and divide ( 4 , 2 ) < 3 )"),
            ("let x = 1 < 2 < 3; x", "let x = ( 1 < 2 and 2 < 3 ) ; x"),
            ("if 1 < 2 < 3 {true} else {false}", "if ( 1 < 2 and 2 < 3 ) { true } else { false }"),
            ("1 < < 2", "1 < < 2"),
            ("len(result) > 0 ?: false", "len ( result ) > 0 ? true : false"),
            ("result[len(result) > 1 ?: 0]", "at ( result , len ( result ) > 1 ? true : 0 )"),
            ("!!result.ok", "! ( ! result . ok )"),
            ("not not not result.ok", "not result . ok"),
            ("!!!!(1 > 2) == true", "! ( ! ( 1 > 2 ) ) == true"),
            ("1 - - -result > --2", "1 - + number ( ) > + 2"),
            ("result[0] not in [1]", "at ( result , 0 ) not in [ 1 ]"),
            ("$env.result[0] > $env[\"result\"][1]", "at ( result , 0 ) > at ( result , 1 )"),
            ("::len(result) > ::abs(-1)", "len ( result ) > abs ( - 1 )"),
            ("max(1, 2,) > len(result,)", "max ( 1 , 2 ) > len ( result )"),
            ("findIndex(result, # > 2) == 1", "found ( findIndex ( result , { # > 2 } ) ) == 1"),
            ("result | findLastIndex(# > 2) == 1", "result | findLastIndex ( { # > 2 } ) | found ( ) == 1"),
            ("(findIndex(result, # > 2) ?? 0) == 1", "( findIndex ( result , { # > 2 } ) ?? 0 ) == 1"),
            ("nil != findIndex(result, # > 2)", "nil != findIndex ( result , { # > 2 } )"),
            ("findIndex(result, # > 2) == nil", "findIndex ( result , { # > 2 } ) == nil"),
            (
                "1 != findIndex(result, # > 2) != nil",
                "1 != found ( findIndex ( result , { # > 2 } ) ) != nil",
            ),
        ];
        for (text, wanted) in cases {
            assert_eq!(condition(text).as_deref(), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn other_results_than_samples_stay_as_they_are() {
        let expression = prepare("result >= 0.95", Vocabulary::Condition { samples: false }).unwrap();
        assert_eq!(expression.text(), "result >= 0.95");
    }

    #[test]
    fn unknown_names_fail_even_where_nothing_would_evaluate_them() {
        for (text, name) in [
            ("true || foo > 1", "foo"),
            ("false && bar(result)", "bar"),
            ("any(result, value > 1)", "value"),
            ("at(result, 0) > 1", "at"),
            ("$env.other > 1", "$env"),
            ("len($env) > 1", "$env"),
            ("found(result) > 1", "found"),
            ("x > 1; let x = 1", "x"),
        ] {
            assert_eq!(condition(text), Err(format!("unknown name {name}")), "{text}");
        }
        assert_eq!(prepare("result", Vocabulary::Time), Err("unknown name result".into()));
        assert!(condition("now().Unix() > 1").unwrap_err().contains("Unix()"));
        assert!(condition("fromJSON('1') > 1").unwrap_err().contains("fromJSON()"));
    }

    #[test]
    fn costs_are_bounded() {
        let nested = format!("{}1{}", "(".repeat(17), ")".repeat(17));
        let long = "1+".repeat(300) + "1";
        let rows_in_rows = format!("{}1{}", "0 < abs(".repeat(12), ") < 9".repeat(12));
        for text in [
            nested.as_str(),
            &long,
            &" ".repeat(5000),
            "all(result, any(result, any(result, # > 1)))",
            "let a = 1; let b = a; let c = b; c > 1",
            "0..99999999",
            "0..(1)",
            "(0-9)..5",
            "1..2 == 1..2",
            &"1/".repeat(17),
            &rows_in_rows,
        ] {
            assert!(condition(text).is_err(), "{text}");
        }
    }

    #[test]
    fn brackets_and_quotes_must_close() {
        for text in ["(", ")", "(]", "'", "\"\\\"", "/*", "[{(", "b'"] {
            assert!(condition(text).is_err(), "{text}");
        }
    }
}
