//! Finds what Go's expr refuses for its types before anything runs, such as `result[0] != "5"` of a vector of numbers: the
//! crate compares whatever there is, and what can never be equal would be unequal on every sample.
//!
//! Input: the tokens of a condition as it was written, and the type of `result`. Output: what does not fit, in Go's words. A
//! text that is no expression passes: others tell that. Source: `parser/parser.go` and `checker/checker.go` of
//! github.com/expr-lang/expr 1.17.7.

mod calls;
mod closures;
mod members;
mod operators;

use super::token::{Kind, Token, WORD_OPERATORS, is_symbol};
use super::types::{Map, Type};
use super::{ARGO_FUNCTIONS, FUNCTIONS, MISSING_FUNCTIONS};
use closures::Scope;
use operators::Operator;

/// The text is no expression.
struct Unparsed;

type Parsed<T = Type> = Result<T, Unparsed>;

/// Why Go would refuse a condition.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) enum Mismatch {
    /// Types that do not go together.
    Types(String),
    /// It is no expression; the crate may say so in better words.
    Unread(String),
}

impl Mismatch {
    pub(in super::super) fn told(self) -> String {
        match self {
            Self::Types(why) | Self::Unread(why) => why,
        }
    }
}

/// Says what Go would refuse.
pub(super) fn mismatch(tokens: &[Token<'_>], result: &Type, takes_samples: bool) -> Option<Mismatch> {
    let mut checker = Checker {
        tokens,
        at: 0,
        result,
        takes_samples,
        scopes: Vec::new(),
        variables: Vec::new(),
        fault: None,
    };
    let is_whole = checker.program().is_ok() && checker.at == tokens.len();
    if is_whole {
        return checker.fault.map(Mismatch::Types);
    }
    let place = checker.token().map_or("the end".to_owned(), |token| format!("{:?}", token.text));
    Some(Mismatch::Unread(format!("unexpected token at {place}")))
}

/// Reads an expression once, from its first token to its last, and knows the type of what it has read.
struct Checker<'t, 'a> {
    tokens: &'t [Token<'a>],
    at: usize,
    result: &'t Type,
    /// Functions for numbers take vectors as well: those of one sample.
    takes_samples: bool,
    /// The lists whose items predicates speak of, the innermost last.
    scopes: Vec<Scope>,
    variables: Vec<(&'a str, Type)>,
    /// The first one that was found.
    fault: Option<String>,
}

impl<'a> Checker<'_, 'a> {
    fn refuse(&mut self, why: String) -> Type {
        self.fault.get_or_insert(why);
        Type::Unknown
    }

    fn token(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at).copied()
    }

    fn is_at(&self, symbol: &str) -> bool {
        is_symbol(self.tokens.get(self.at), &[symbol])
    }

    fn is_at_word(&self, word: &str) -> bool {
        self.token().is_some_and(|token| token.kind == Kind::Name && token.text == word)
    }

    /// Goes on behind a symbol, if it is there.
    fn takes(&mut self, symbol: &str) -> bool {
        let is_there = self.is_at(symbol);
        self.at += usize::from(is_there);
        is_there
    }

    fn expect(&mut self, symbol: &str) -> Parsed<()> {
        if self.takes(symbol) { Ok(()) } else { Err(Unparsed) }
    }

    fn expect_name(&mut self) -> Parsed<&'a str> {
        let name = self.token().filter(|token| token.kind == Kind::Name).ok_or(Unparsed)?;
        self.at += 1;
        Ok(name.text)
    }

    /// Variables and what is made of them.
    fn program(&mut self) -> Parsed {
        self.expression(0)
    }

    /// What binds at least as close as wanted.
    fn expression(&mut self, least: u16) -> Parsed {
        if least == 0 && self.is_at_word("let") {
            return self.declaration();
        }
        if least == 0 && self.is_at_word("if") {
            return self.branches();
        }
        let mut left = self.primary()?;
        while let Some((operator, is_negated)) = self.operator(least) {
            self.at += 1 + usize::from(is_negated);
            left = if operator == Operator::Pipe {
                let name = self.expect_name()?;
                self.call(name, Some(left))?
            } else if matches!(operator, Operator::Order(_)) {
                self.row(&left, operator)?
            } else {
                let right = self.expression(operator.least_on_the_right())?;
                self.binary(operator, &left, &right)
            };
        }
        if least == 0 { self.choice(left) } else { Ok(left) }
    }

    /// The operator at this place that binds close enough, and whether a `not` stands before it.
    fn operator(&self, least: u16) -> Option<(Operator, bool)> {
        let is_negated = self.is_at_word("not");
        let token = self.tokens.get(self.at + usize::from(is_negated))?;
        let operator = Operator::of(token)?;
        let fits = operator.closeness() >= least && (!is_negated || operator.can_be_negated());
        fits.then_some((operator, is_negated))
    }

    /// Comparisons in a row: each operand is compared with the next one.
    fn row(&mut self, first: &Type, first_operator: Operator) -> Parsed {
        let (mut left, mut operator) = (first.clone(), first_operator);
        loop {
            let right = self.expression(operator.least_on_the_right())?;
            let answer = self.binary(operator, &left, &right);
            left = right;
            match self.token().and_then(|token| Operator::of(&token)) {
                Some(next @ Operator::Order(_)) => operator = next,
                _ => return Ok(answer),
            }
            self.at += 1;
        }
    }

    fn declaration(&mut self) -> Parsed {
        self.at += 1;
        let name = self.expect_name()?;
        self.expect("=")?;
        if let Some(what) = self.taken(name) {
            self.refuse(format!("cannot redeclare {what}{name}"));
        }
        let value = self.expression(0)?;
        self.expect(";")?;
        self.variables.push((name, value));
        let made = self.program();
        self.variables.pop();
        made
    }

    /// What has a name already.
    fn taken(&self, name: &str) -> Option<&'static str> {
        if name == "result" || ARGO_FUNCTIONS.contains(&name) {
            Some("")
        } else if FUNCTIONS.contains(&name) || MISSING_FUNCTIONS.contains(&name) {
            Some("builtin ")
        } else {
            self.variables.iter().any(|(known, _)| *known == name).then_some("variable ")
        }
    }

    fn branches(&mut self) -> Parsed {
        self.at += 1;
        let asked = self.expression(0)?;
        self.ask(&asked);
        let yes = self.block()?;
        if !self.is_at_word("else") {
            return Err(Unparsed);
        }
        self.at += 1;
        let no = if self.is_at_word("if") { self.branches()? } else { self.block()? };
        Ok(either(yes, no))
    }

    fn block(&mut self) -> Parsed {
        self.expect("{")?;
        let made = self.program()?;
        self.expect("}")?;
        Ok(made)
    }

    /// `a ? b : c` and `a ?: c`.
    fn choice(&mut self, first: Type) -> Parsed {
        let mut asked = first;
        while self.takes("?") {
            self.ask(&asked);
            let yes = if self.is_at(":") { asked } else { self.expression(0)? };
            self.expect(":")?;
            asked = either(yes, self.expression(0)?);
        }
        Ok(asked)
    }

    fn ask(&mut self, asked: &Type) {
        if *asked != Type::Bool && !asked.is_open() {
            self.refuse(format!("non-bool expression (type {}) used as condition", asked.name()));
        }
    }

    fn primary(&mut self) -> Parsed {
        let token = self.token().ok_or(Unparsed)?;
        if let Some(closeness) = operators::closeness_of_prefix(&token) {
            self.at += 1;
            let operand = self.expression(closeness)?;
            let made = self.prefixed(token.text, operand);
            return self.postfixes(made);
        }
        if self.takes("(") {
            let inner = self.program()?;
            self.expect(")")?;
            return self.postfixes(inner);
        }
        match token.kind {
            // A field of the item.
            Kind::Symbol if token.text == "." && !self.scopes.is_empty() => {
                let item = self.pointer("");
                self.postfixes(item)
            }
            Kind::Symbol => self.written_out(token),
            Kind::Number => {
                self.at += 1;
                Ok(number(token.text))
            }
            Kind::Text => {
                self.at += 1;
                self.postfixes(Type::Text)
            }
            Kind::Name | Kind::Variable | Kind::Key | Kind::Pattern => self.named(token.text),
        }
    }

    fn named(&mut self, name: &'a str) -> Parsed {
        self.at += 1;
        let found = match name {
            "true" | "false" => return Ok(Type::Bool),
            "nil" => return Ok(Type::Nil),
            _ if WORD_OPERATORS.contains(&name) => return Err(Unparsed),
            _ if self.is_at("(") => self.call(name, None)?,
            _ => match name.strip_prefix('#') {
                Some(_) if self.scopes.is_empty() => return Err(Unparsed),
                Some(rest) => self.pointer(rest),
                None => self.variable(name),
            },
        };
        self.postfixes(found)
    }

    fn variable(&self, name: &str) -> Type {
        let known = self.variables.iter().rev().find(|(known, _)| *known == name);
        match known {
            Some((_, found)) => found.clone(),
            None if name == "result" => self.result.clone(),
            None => Type::Unknown,
        }
    }

    /// A list or a map.
    fn written_out(&mut self, opening: Token<'_>) -> Parsed {
        let is_list = opening.text == "[";
        if !is_list && opening.text != "{" {
            return Err(Unparsed);
        }
        self.at += 1;
        let closing = if is_list { "]" } else { "}" };
        let mut items = Vec::new();
        while !self.takes(closing) {
            if !items.is_empty() {
                self.expect(",")?;
                if self.takes(closing) {
                    break;
                }
            }
            if !is_list {
                self.key()?;
            }
            items.push(self.expression(0)?);
        }
        self.postfixes(if is_list { list(&items) } else { Type::Map(Map::Fields) })
    }

    fn key(&mut self) -> Parsed<()> {
        if self.is_at("(") {
            self.expression(0)?;
        } else if self.token().is_some_and(|token| token.kind != Kind::Symbol) {
            self.at += 1;
        }
        self.expect(":")
    }
}

fn number(text: &str) -> Type {
    let text = text.to_ascii_lowercase();
    let is_float = !text.starts_with("0x") && text.contains(['.', 'e']);
    if is_float { Type::Float } else { Type::Int }
}

/// A list that is written out.
fn list(items: &[Type]) -> Type {
    let are_alike = items.windows(2).all(|pair| pair[0].is_of_kind(&pair[1]));
    if are_alike { Type::list_of(items.last().cloned().unwrap_or(Type::Unknown)) } else { Type::any_list() }
}

/// What one of two is.
fn either(yes: Type, no: Type) -> Type {
    let differ = |yes: &Type, no: &Type| !yes.is_assignable_to(no) || !no.is_assignable_to(yes);
    match (&yes, &no) {
        (Type::Nil, _) => no,
        (_, Type::Nil) => yes,
        _ if !yes.is_assignable_to(&no) => Type::Unknown,
        _ if yes.is_list() && no.is_list() && differ(&yes.item(), &no.item()) => Type::any_list(),
        _ => yes,
    }
}
