//! What operators take, and what comes of it.

use super::super::token::{Kind, Token};
use super::super::types::{Map, Type};
use super::Checker;

/// What stands between two operands, by what it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Pipe,
    Logic(&'static str),
    Equality(&'static str),
    Order(&'static str),
    In,
    /// `contains` and its like.
    OfTexts(&'static str),
    Range,
    Plus,
    Minus,
    Times,
    /// A division, or a power.
    Real(&'static str),
    Remainder,
    Otherwise,
}

use Operator::{
    Equality, In, Logic, Minus, OfTexts, Order, Otherwise, Pipe, Plus, Range, Real, Remainder, Times,
};

/// How the operators are written, and how close each binds.
const OPERATORS: &[(&str, u16, Operator)] = &[
    ("|", 0, Pipe),
    ("or", 10, Logic("or")),
    ("||", 10, Logic("||")),
    ("and", 15, Logic("and")),
    ("&&", 15, Logic("&&")),
    ("==", 20, Equality("==")),
    ("!=", 20, Equality("!=")),
    ("<", 20, Order("<")),
    (">", 20, Order(">")),
    (">=", 20, Order(">=")),
    ("<=", 20, Order("<=")),
    ("in", 20, In),
    ("matches", 20, OfTexts("matches")),
    ("contains", 20, OfTexts("contains")),
    ("startsWith", 20, OfTexts("startsWith")),
    ("endsWith", 20, OfTexts("endsWith")),
    ("..", 25, Range),
    ("+", 30, Plus),
    ("-", 30, Minus),
    ("*", 60, Times),
    ("/", 60, Real("/")),
    ("%", 60, Remainder),
    ("**", 100, Real("**")),
    ("^", 100, Real("^")),
    ("??", 500, Otherwise),
];

impl Operator {
    pub(super) fn of(token: &Token<'_>) -> Option<Self> {
        let is_one = matches!(token.kind, Kind::Symbol | Kind::Name);
        let found = OPERATORS.iter().find(|(text, ..)| is_one && *text == token.text);
        found.map(|(_, _, operator)| *operator)
    }

    fn entry(self) -> (&'static str, u16) {
        let found = OPERATORS.iter().find(|(_, _, operator)| *operator == self);
        found.map_or(("", 0), |(text, closeness, _)| (*text, *closeness))
    }

    pub(super) fn closeness(self) -> u16 {
        self.entry().1
    }

    /// How close the operand on the right has to bind: powers are read from the right.
    pub(super) fn least_on_the_right(self) -> u16 {
        self.closeness() + u16::from(!matches!(self, Real("**" | "^")))
    }

    pub(super) fn can_be_negated(self) -> bool {
        matches!(self, In | OfTexts(_))
    }
}

/// How close a prefix binds, if it is one.
pub(super) fn closeness_of_prefix(token: &Token<'_>) -> Option<u16> {
    match (token.kind, token.text) {
        (Kind::Symbol, "!") | (Kind::Name, "not") => Some(50),
        (Kind::Symbol, "+" | "-") => Some(90),
        _ => None,
    }
}

/// Whether nothing speaks against two operands of a kind as long as one of them is not known.
fn may_fit(left: &Type, right: &Type, fits: fn(&Type) -> bool) -> bool {
    match (left.is_open(), right.is_open()) {
        (true, true) => true,
        (true, false) => fits(right),
        (false, true) => fits(left),
        (false, false) => false,
    }
}

impl Checker<'_, '_> {
    pub(super) fn prefixed(&mut self, prefix: &str, operand: Type) -> Type {
        let is_negation = matches!(prefix, "!" | "not");
        if is_negation && (operand == Type::Bool || operand.is_open()) {
            Type::Bool
        } else if !is_negation && operand.is_number() {
            operand
        } else if !is_negation && operand.is_open() {
            Type::Unknown
        } else {
            self.refuse(format!("invalid operation: {prefix} (mismatched type {})", operand.name()))
        }
    }

    pub(super) fn binary(&mut self, operator: Operator, left: &Type, right: &Type) -> Type {
        let made = match operator {
            In => return self.search(left, right),
            Logic(_) => logic(left, right),
            Equality(_) => left.is_comparable_to(right).then_some(Type::Bool),
            Order(_) => order(left, right),
            OfTexts(_) => of_texts(left, right),
            Range => range(left, right),
            Plus => sum(left, right),
            Minus => difference(left, right),
            Times => product(left, right),
            Real(_) => real(left, right),
            Remainder => remainder(left, right),
            Otherwise => Some(otherwise(left, right)),
            Pipe => None,
        };
        made.unwrap_or_else(|| self.refuse_both(operator.entry().0, left, right))
    }

    fn refuse_both(&mut self, operator: &str, left: &Type, right: &Type) -> Type {
        let (left, right) = (left.name(), right.name());
        self.refuse(format!("invalid operation: {operator} (mismatched types {left} and {right})"))
    }

    /// `a in b`.
    fn search(&mut self, left: &Type, right: &Type) -> Type {
        let is_text = *left == Type::Text || left.is_open();
        let item = right.item();
        if let Type::Map(map) = right {
            let key = if matches!(map, Map::Fields | Map::Row) { Type::Text } else { Type::Any };
            if left.is_open() || left.is_assignable_to(&key) {
                return Type::Bool;
            }
            self.refuse(format!("cannot use {} as type {} in map key", left.name(), key.name()))
        } else if right.is_list() && !left.is_comparable_to(&item) {
            self.refuse(format!("cannot use {} as type {} in array", left.name(), item.name()))
        } else if right.is_list()
            || right.is_open()
            || left.is_open() && *right == Type::Text
            || is_text && matches!(right, Type::Record | Type::Time)
        {
            Type::Bool
        } else {
            self.refuse_both("in", left, right)
        }
    }
}

fn logic(left: &Type, right: &Type) -> Option<Type> {
    let are_bools = *left == Type::Bool && *right == Type::Bool;
    (are_bools || may_fit(left, right, |one| *one == Type::Bool)).then_some(Type::Bool)
}

fn is_ordered(one: &Type) -> bool {
    one.is_number() || matches!(one, Type::Text | Type::Time | Type::Duration)
}

fn order(left: &Type, right: &Type) -> Option<Type> {
    let are_alike = left.is_number() && right.is_number() || is_ordered(left) && left == right;
    (are_alike || may_fit(left, right, is_ordered)).then_some(Type::Bool)
}

fn of_texts(left: &Type, right: &Type) -> Option<Type> {
    let is_text = |one: &Type| *one == Type::Text;
    (is_text(left) && is_text(right) || may_fit(left, right, is_text)).then_some(Type::Bool)
}

fn range(left: &Type, right: &Type) -> Option<Type> {
    let are_integers = left.is_integer() && right.is_integer();
    (are_integers || may_fit(left, right, Type::is_integer)).then(|| Type::list_of(Type::Int))
}

/// What two numbers make.
fn number(left: &Type, right: &Type) -> Option<Type> {
    let made = if left.is_integer() && right.is_integer() { Type::Int } else { Type::Float };
    (left.is_number() && right.is_number()).then_some(made)
}

fn unknown(left: &Type, right: &Type, fits: fn(&Type) -> bool) -> Option<Type> {
    may_fit(left, right, fits).then_some(Type::Unknown)
}

fn sum(left: &Type, right: &Type) -> Option<Type> {
    match (left, right) {
        (Type::Text, Type::Text) => Some(Type::Text),
        (Type::Time, Type::Duration) | (Type::Duration, Type::Time) => Some(Type::Time),
        (Type::Duration, Type::Duration) => Some(Type::Duration),
        _ => number(left, right).or_else(|| unknown(left, right, is_ordered)),
    }
}

fn difference(left: &Type, right: &Type) -> Option<Type> {
    match (left, right) {
        (Type::Time, Type::Duration) => Some(Type::Time),
        (Type::Time, Type::Time) | (Type::Duration, Type::Duration) => Some(Type::Duration),
        _ => {
            number(left, right).or_else(|| unknown(left, right, |one| is_ordered(one) && *one != Type::Text))
        }
    }
}

fn product(left: &Type, right: &Type) -> Option<Type> {
    let fits = |one: &Type| one.is_number() || *one == Type::Duration;
    let is_duration = fits(left) && fits(right) && [left, right].contains(&&Type::Duration);
    let duration = is_duration.then_some(Type::Duration);
    duration.or_else(|| number(left, right)).or_else(|| unknown(left, right, fits))
}

fn real(left: &Type, right: &Type) -> Option<Type> {
    let are_numbers = left.is_number() && right.is_number();
    (are_numbers || may_fit(left, right, Type::is_number)).then_some(Type::Float)
}

fn remainder(left: &Type, right: &Type) -> Option<Type> {
    let are_integers = left.is_integer() && right.is_integer();
    (are_integers || may_fit(left, right, Type::is_integer)).then_some(Type::Int)
}

/// `a ?? b`.
fn otherwise(left: &Type, right: &Type) -> Type {
    match (left, right) {
        (Type::Nil, other) | (other, Type::Nil) => other.clone(),
        _ if right.is_assignable_to(left) => left.clone(),
        _ => Type::Unknown,
    }
}
