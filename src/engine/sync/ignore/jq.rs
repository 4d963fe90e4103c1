//! jq expressions that select fields, as `ignoreDifferences[].jqPathExpressions` holds them.
//!
//! Input: the text of an expression and an object. Output: the paths that it selects. The parser is `jaq`'s. What
//! it parsed is evaluated here, because an expression comes from whoever may write an Application: every step is
//! paid from an allowance, so that none can hang the controller or fill its memory, and nothing it can call reads
//! the environment, files, the time or other inputs.

mod call;
mod function;
mod run;
mod step;
mod value;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use jaq_core::load::lex::{StrPart, Tok, Token};
use jaq_core::load::parse::{BinaryOp, Pattern, Term};
use jaq_core::load::{Lexer, Parser};
use jaq_core::path::{Part, Path as Parts};
use regex::Regex;
use serde_json::Value;

use self::run::Run;

/// How long an expression may be.
const BYTES_MAX: usize = 4096;
/// How many words and signs it may have: they bound how deep the parser and the evaluation nest.
const TOKENS_MAX: usize = 300;
/// How deep its brackets may nest.
const DEPTH_MAX: usize = 32;
/// How many regular expressions are kept for one expression.
const REGEXES_MAX: usize = 32;
/// Memory for one compiled regular expression.
const REGEX_BYTES_MAX: usize = 1 << 17;

/// One step from a value to a part of it.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Step {
    /// A field of a map.
    Key(String),
    /// An item of a list.
    Index(usize),
}

/// The way from an object to one of its parts.
pub(crate) type Path = Vec<Step>;

/// What evaluations may still cost.
#[derive(Debug)]
pub(crate) struct Fuel {
    /// For one evaluation.
    each: u64,
    /// For all together.
    left: Cell<u64>,
}

impl Fuel {
    pub(crate) const fn new(each: u64, all: u64) -> Self {
        Self { each, left: Cell::new(all) }
    }
}

/// Why an evaluation ended early.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stop {
    /// It costs more than it may.
    Spent,
    /// It gives values that are no part of the object.
    NoPath,
}

/// A readable expression.
#[derive(Debug)]
pub(crate) struct Expression<'e> {
    term: Term<&'e str>,
    regexes: RefCell<BTreeMap<String, Option<Regex>>>,
}

impl<'e> Expression<'e> {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence that begins with its place.
    pub(crate) fn read(text: &'e str) -> Result<Self, String> {
        if text.len() > BYTES_MAX {
            return Err(format!("is longer than {BYTES_MAX} bytes; split it into several"));
        }
        if depth(text) > DEPTH_MAX {
            return Err(format!("nests more than {DEPTH_MAX} brackets; split it into several expressions"));
        }
        let tokens = Lexer::new(text).lex().map_err(|errors| {
            let at = errors.first().map(|(_, rest)| *rest).unwrap_or_default();
            unreadable(at)
        })?;
        if count(&tokens) > TOKENS_MAX {
            return Err(format!("has more than {TOKENS_MAX} words and signs; split it into several"));
        }
        let parsed = Parser::new(&tokens).parse(|parser| parser.term());
        let term = parsed.map_err(|errors| {
            let at = errors.first().and_then(|(_, found)| found.map(|token| token.0));
            unreadable(at.unwrap_or_default())
        })?;
        check(&term, &mut Vec::new())?;
        Ok(Self { term, regexes: RefCell::default() })
    }

    /// The parts of an object that the expression selects. What it finds to be of another kind than it expects
    /// selects nothing.
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub(crate) fn select(&self, object: &Value, fuel: &Fuel) -> Result<Vec<Path>, String> {
        let allowed = fuel.each.min(fuel.left.get());
        let run = Run::new(allowed, &self.regexes);
        let paths = run.paths(&self.term, object);
        fuel.left.set(fuel.left.get().saturating_sub(allowed.saturating_sub(run.left())));
        paths.map_err(|stop| match stop {
            Stop::Spent => "takes too many steps on this object; make it more specific".to_owned(),
            Stop::NoPath => "gives values that are not fields of the object; it must select fields, such as \
                             .spec.replicas or .spec.containers[] | select(.name == \"a\") | .image"
                .to_owned(),
        })
    }
}

/// The compiled form of a regular expression; nothing when it cannot be compiled.
fn regex(cache: &RefCell<BTreeMap<String, Option<Regex>>>, pattern: &str) -> Option<Regex> {
    let mut cache = cache.borrow_mut();
    if let Some(known) = cache.get(pattern) {
        return known.clone();
    }
    let compiled = regex::RegexBuilder::new(pattern).size_limit(REGEX_BYTES_MAX).build().ok();
    if cache.len() < REGEXES_MAX {
        cache.insert(pattern.to_owned(), compiled.clone());
    }
    compiled
}

fn unreadable(at: &str) -> String {
    const SHOWN: usize = 20;
    let shown: String = at.chars().take(SHOWN).collect();
    if shown.is_empty() {
        "is no jq expression: it ends too early".to_owned()
    } else {
        format!("is no jq expression: it cannot be read at {shown:?}")
    }
}

/// How deep the brackets of a text nest. Those inside texts count too, which errs on the safe side.
fn depth(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut deepest = 0;
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

fn count(tokens: &[Token<&str>]) -> usize {
    let of = |Token(_, token): &Token<&str>| match token {
        Tok::Block(inner) => 1 + count(inner),
        Tok::Str(parts) => {
            let inner = parts.iter().map(|part| match part {
                StrPart::Term(term) => count(std::slice::from_ref(term)),
                StrPart::Str(_) | StrPart::Char(_) => 0,
            });
            1 + inner.sum::<usize>()
        }
        Tok::Word | Tok::Var | Tok::Fmt | Tok::Num | Tok::Sym => 1,
    };
    tokens.iter().map(of).sum()
}

fn unserved(what: &str) -> Result<(), String> {
    Err(format!("uses {what}, which is not served in ignoreDifferences"))
}

/// Whether everything in an expression can be evaluated. `variables` are the ones that are known here.
fn check<'e>(term: &Term<&'e str>, variables: &mut Vec<&'e str>) -> Result<(), String> {
    match term {
        Term::Id | Term::Recurse | Term::Arr(None) => Ok(()),
        Term::Num(digits) => digits
            .parse::<f64>()
            .map(|_| ())
            .map_err(|_| format!("holds the number {digits}, which cannot be read")),
        Term::Str(None, parts) => parts.iter().try_for_each(|part| match part {
            StrPart::Term(term) => check(term, variables),
            StrPart::Str(_) | StrPart::Char(_) => Ok(()),
        }),
        Term::Str(Some(format), _) => unserved(format),
        Term::Arr(Some(inner)) | Term::Neg(inner) => check(inner, variables),
        Term::Obj(fields) => fields.iter().try_for_each(|(key, value)| {
            check(key, variables)?;
            value.as_ref().map_or(Ok(()), |value| check(value, variables))
        }),
        Term::BinOp(left, operator, right) => check_operator(left, operator, right, variables),
        Term::TryCatch(inner, None) => check(inner, variables),
        Term::TryCatch(_, Some(_)) => unserved("catch"),
        Term::IfThenElse(branches, last) => {
            for (condition, then) in branches {
                check(condition, variables)?;
                check(then, variables)?;
            }
            last.as_ref().map_or(Ok(()), |last| check(last, variables))
        }
        Term::Call(name, arguments) => {
            if !call::is_known(name, arguments.len()) {
                return unserved(&format!("the function {name}/{}", arguments.len()));
            }
            arguments.iter().try_for_each(|argument| check(argument, variables))
        }
        Term::Var(name) if variables.contains(name) => Ok(()),
        Term::Var(name) => Err(format!("names {name}, which is not defined")),
        Term::Path(head, Parts(parts)) => {
            check(head, variables)?;
            parts.iter().try_for_each(|(part, _)| match part {
                Part::Index(index) => check(index, variables),
                Part::Range(from, to) => from.iter().chain(to).try_for_each(|bound| check(bound, variables)),
            })
        }
        Term::Label(..) | Term::Break(_) => unserved("label and break"),
        Term::Fold(name, ..) => unserved(name),
        Term::Def(..) => unserved("def"),
    }
}

fn check_operator<'e>(
    left: &Term<&'e str>,
    operator: &BinaryOp<&'e str>,
    right: &Term<&'e str>,
    variables: &mut Vec<&'e str>,
) -> Result<(), String> {
    check(left, variables)?;
    match operator {
        BinaryOp::Pipe(Some(Pattern::Var(name))) => {
            variables.push(*name);
            let checked = check(right, variables);
            variables.pop();
            checked
        }
        BinaryOp::Pipe(Some(Pattern::Arr(_) | Pattern::Obj(_))) => unserved("a pattern of several variables"),
        BinaryOp::Pipe(None)
        | BinaryOp::Comma
        | BinaryOp::Alt
        | BinaryOp::Or
        | BinaryOp::And
        | BinaryOp::Math(_)
        | BinaryOp::Cmp(_) => check(right, variables),
        BinaryOp::Assign | BinaryOp::Update | BinaryOp::UpdateMath(_) | BinaryOp::UpdateAlt => {
            unserved("an assignment")
        }
    }
}

#[cfg(test)]
mod tests;
