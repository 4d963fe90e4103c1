//! The evaluation of an expression: from one value, with or without its path, to many.
//!
//! Every output is gathered in a list at once; none is endless, because nothing that can be called is. Each step
//! and each copy of a value is paid for before it is made.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Pattern, Term};
use jaq_core::path::{Part, Path as Parts};
use regex::Regex;
use serde_json::{Map, Value};

use super::step::stepped;
use super::value::{self, is_true, shown};
use super::{Path, Step, Stop, call, function};

/// A value and the way to it, if it is a part of the object.
#[derive(Clone, Debug)]
pub(super) struct Item<'o> {
    pub(super) path: Option<Path>,
    /// The items of the list at `path` that the value is, when it is some of them.
    pub(super) slice: Option<(usize, usize)>,
    pub(super) value: Cow<'o, Value>,
}

/// Outputs.
pub(super) type Items<'o> = Vec<Item<'o>>;

/// The variables that are known, the newest last.
#[derive(Clone, Copy)]
pub(super) struct Scope<'s, 'o> {
    name: &'s str,
    value: &'s Cow<'o, Value>,
    outer: Option<&'s Scope<'s, 'o>>,
}

/// One evaluation.
pub(super) struct Run<'r> {
    left: Cell<u64>,
    pub(super) regexes: &'r RefCell<BTreeMap<String, Option<Regex>>>,
}

impl<'o> Item<'o> {
    /// A value that is no part of the object.
    pub(super) fn made(value: Value) -> Self {
        Self { path: None, slice: None, value: Cow::Owned(value) }
    }

    /// The same value, whatever its path.
    fn plain(&self) -> Self {
        Self { path: None, slice: None, value: self.value.clone() }
    }
}

impl<'r> Run<'r> {
    pub(super) fn new(allowed: u64, regexes: &'r RefCell<BTreeMap<String, Option<Regex>>>) -> Self {
        Self { left: Cell::new(allowed), regexes }
    }

    pub(super) fn left(&self) -> u64 {
        self.left.get()
    }

    /// The parts of the object that a term selects.
    pub(super) fn paths(&self, term: &Term<&str>, object: &Value) -> Result<Vec<Path>, Stop> {
        let whole = Item { path: Some(Path::new()), slice: None, value: Cow::Borrowed(object) };
        let mut paths = Vec::new();
        for item in self.eval(term, &whole, None)? {
            match (item.path, item.slice) {
                (Some(path), None) => paths.push(path),
                (Some(path), Some((from, to))) => {
                    self.pay(to.saturating_sub(from))?;
                    paths.extend((from..to).map(|index| stepped(&path, Step::Index(index))));
                }
                // `if … then .a else null end` is how people say "nothing".
                (None, _) if item.value.is_null() => {}
                (None, _) => return Err(Stop::NoPath),
            }
        }
        Ok(paths)
    }

    /// Takes the price of something.
    pub(super) fn pay(&self, price: usize) -> Result<(), Stop> {
        let left = self.left.get().checked_sub(u64::try_from(price).unwrap_or(u64::MAX));
        self.left.set(left.unwrap_or(0));
        left.map(|_| ()).ok_or(Stop::Spent)
    }

    /// Takes the price of a copy of a value.
    pub(super) fn pay_for(&self, value: &Value) -> Result<(), Stop> {
        self.pay(1)?;
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
            Value::String(text) => self.pay(text.len() / 16),
            Value::Array(items) => items.iter().try_for_each(|item| self.pay_for(item)),
            Value::Object(map) => map.iter().try_for_each(|(key, value)| {
                self.pay(key.len() / 16)?;
                self.pay_for(value)
            }),
        }
    }

    /// A copy of an item, paid for.
    pub(super) fn copied<'o>(&self, item: &Item<'o>) -> Result<Item<'o>, Stop> {
        self.pay(1 + item.path.as_ref().map_or(0, Vec::len))?;
        if let Cow::Owned(value) = &item.value {
            self.pay_for(value)?;
        }
        Ok(item.clone())
    }

    /// The outputs of a term.
    pub(super) fn eval<'o>(
        &self,
        term: &Term<&str>,
        input: &Item<'o>,
        scope: Option<&Scope<'_, 'o>>,
    ) -> Result<Items<'o>, Stop> {
        self.pay(1)?;
        match term {
            Term::Id => Ok(vec![self.copied(input)?]),
            Term::Recurse => self.descend(input),
            Term::Num(digits) => Ok(vec![Item::made(value::number(digits))]),
            Term::Str(_, parts) => self.text(parts, input, scope),
            Term::Arr(None) => Ok(vec![Item::made(Value::Array(Vec::new()))]),
            Term::Arr(Some(inner)) => {
                let items = self.values(inner, input, scope)?;
                items.iter().try_for_each(|item| self.pay_for(item))?;
                let list = items.into_iter().map(Cow::into_owned).collect();
                Ok(vec![Item::made(Value::Array(list))])
            }
            Term::Obj(fields) => self.map(fields, input, scope),
            Term::Neg(inner) => {
                let numbers = self.values(inner, input, scope)?;
                Ok(numbers.iter().filter_map(|n| value::negated(n)).map(Item::made).collect())
            }
            Term::BinOp(left, operator, right) => self.operator(left, operator, right, input, scope),
            Term::TryCatch(inner, _) => self.eval(inner, input, scope),
            Term::IfThenElse(branches, last) => self.branches(branches, last.as_deref(), input, scope),
            Term::Call(name, arguments) => call::call(self, name, arguments, input, scope),
            Term::Var(name) => {
                let mut at = scope;
                while let Some(known) = at {
                    if known.name == *name {
                        self.pay_for(known.value)?;
                        return Ok(vec![Item { path: None, slice: None, value: known.value.clone() }]);
                    }
                    at = known.outer;
                }
                Ok(Vec::new())
            }
            Term::Path(head, Parts(parts)) => self.parts(head, parts, input, scope),
            // Refused when the expression was read.
            Term::Label(..) | Term::Break(_) | Term::Fold(..) | Term::Def(..) => Ok(Vec::new()),
        }
    }

    /// The outputs of a term as mere values.
    pub(super) fn values<'o>(
        &self,
        term: &Term<&str>,
        input: &Item<'o>,
        scope: Option<&Scope<'_, 'o>>,
    ) -> Result<Vec<Cow<'o, Value>>, Stop> {
        if let Cow::Owned(value) = &input.value {
            self.pay_for(value)?;
        }
        let items = self.eval(term, &input.plain(), scope)?;
        Ok(items.into_iter().map(|item| item.value).collect())
    }

    fn text<'o>(
        &self,
        parts: &[StrPart<&str, Term<&str>>],
        input: &Item<'o>,
        scope: Option<&Scope<'_, 'o>>,
    ) -> Result<Items<'o>, Stop> {
        let mut texts = vec![String::new()];
        for part in parts {
            match part {
                StrPart::Str(text) => {
                    self.pay(texts.len() * (1 + text.len() / 16))?;
                    texts.iter_mut().for_each(|all| all.push_str(text));
                }
                StrPart::Char(c) => texts.iter_mut().for_each(|all| all.push(*c)),
                StrPart::Term(term) => {
                    let mut longer = Vec::new();
                    for value in self.values(term, input, scope)? {
                        self.pay_for(&value)?;
                        for text in &texts {
                            self.pay(1 + text.len() / 16)?;
                            longer.push(format!("{text}{}", shown(&value)));
                        }
                    }
                    texts = longer;
                }
            }
        }
        Ok(texts.into_iter().map(|text| Item::made(Value::String(text))).collect())
    }

    fn map<'o>(
        &self,
        fields: &[(Term<&str>, Option<Term<&str>>)],
        input: &Item<'o>,
        scope: Option<&Scope<'_, 'o>>,
    ) -> Result<Items<'o>, Stop> {
        let mut maps = vec![Map::new()];
        for (key, given) in fields {
            let mut more = Vec::new();
            for name in self.values(key, input, scope)? {
                let Value::String(field) = name.as_ref() else { continue };
                // `{a}` and `{$a}` stand for `{a: .a}` and `{a: $a}`.
                let (field, values) = match (given, key) {
                    (Some(given), _) => (field.clone(), self.values(given, input, scope)?),
                    (None, Term::Var(variable)) => {
                        (variable.trim_start_matches('$').to_owned(), vec![name.clone()])
                    }
                    (None, _) => {
                        let inner = self.index(input, &name)?;
                        (field.clone(), inner.into_iter().map(|item| item.value).collect())
                    }
                };
                for value in values {
                    self.pay_for(&value)?;
                    for map in &maps {
                        map.values().try_for_each(|value| self.pay_for(value))?;
                        let mut map = map.clone();
                        map.insert(field.clone(), value.clone().into_owned());
                        more.push(map);
                    }
                }
            }
            maps = more;
        }
        Ok(maps.into_iter().map(|map| Item::made(Value::Object(map))).collect())
    }

    fn operator<'o>(
        &self,
        left: &Term<&str>,
        operator: &BinaryOp<&str>,
        right: &Term<&str>,
        input: &Item<'o>,
        scope: Option<&Scope<'_, 'o>>,
    ) -> Result<Items<'o>, Stop> {
        let mut out = Vec::new();
        match operator {
            BinaryOp::Pipe(None) => {
                for item in self.eval(left, input, scope)? {
                    out.extend(self.eval(right, &item, scope)?);
                }
            }
            BinaryOp::Pipe(Some(pattern)) => {
                let Pattern::Var(name) = pattern else { return Ok(out) };
                for value in self.values(left, input, scope)? {
                    let inner = Scope { name, value: &value, outer: scope };
                    out.extend(self.eval(right, input, Some(&inner))?);
                }
            }
            BinaryOp::Comma => {
                out = self.eval(left, input, scope)?;
                out.extend(self.eval(right, input, scope)?);
            }
            BinaryOp::Alt => {
                out = self.eval(left, input, scope)?;
                out.retain(|item| is_true(&item.value));
                if out.is_empty() {
                    out = self.eval(right, input, scope)?;
                }
            }
            BinaryOp::Or | BinaryOp::And => {
                let decides = matches!(operator, BinaryOp::Or);
                for first in self.values(left, input, scope)? {
                    if is_true(&first) == decides {
                        out.push(Item::made(Value::Bool(decides)));
                        continue;
                    }
                    let seconds = self.values(right, input, scope)?;
                    out.extend(seconds.iter().map(|second| Item::made(Value::Bool(is_true(second)))));
                }
            }
            BinaryOp::Math(_) | BinaryOp::Cmp(_) => {
                // As jq does, the right side varies slowest.
                for second in self.values(right, input, scope)? {
                    for first in self.values(left, input, scope)? {
                        self.pay_for(&first)?;
                        self.pay_for(&second)?;
                        self.pay(function::surcharge("-", &first, &[&second]))?;
                        out.extend(value::combined(operator, &first, &second).map(Item::made));
                    }
                }
            }
            // Refused when the expression was read.
            BinaryOp::Assign | BinaryOp::Update | BinaryOp::UpdateMath(_) | BinaryOp::UpdateAlt => {}
        }
        Ok(out)
    }

    fn branches<'o>(
        &self,
        branches: &[(Term<&str>, Term<&str>)],
        last: Option<&Term<&str>>,
        input: &Item<'o>,
        scope: Option<&Scope<'_, 'o>>,
    ) -> Result<Items<'o>, Stop> {
        let Some(((condition, then), rest)) = branches.split_first() else {
            return last.map_or_else(|| Ok(vec![self.copied(input)?]), |last| self.eval(last, input, scope));
        };
        let mut out = Vec::new();
        for holds in self.values(condition, input, scope)? {
            out.extend(if is_true(&holds) {
                self.eval(then, input, scope)?
            } else {
                self.branches(rest, last, input, scope)?
            });
        }
        Ok(out)
    }

    fn parts<'o>(
        &self,
        head: &Term<&str>,
        parts: &[(Part<Term<&str>>, jaq_core::path::Opt)],
        input: &Item<'o>,
        scope: Option<&Scope<'_, 'o>>,
    ) -> Result<Items<'o>, Stop> {
        let mut items = self.eval(head, input, scope)?;
        for (part, _) in parts {
            let mut inner = Vec::new();
            match part {
                Part::Range(None, None) => {
                    for item in &items {
                        inner.extend(self.iterate(item)?);
                    }
                }
                Part::Index(index) => {
                    let indices = self.values(index, input, scope)?;
                    for item in &items {
                        for index in &indices {
                            inner.extend(self.index(item, index)?);
                        }
                    }
                }
                Part::Range(from, to) => {
                    let bounds = |bound: &Option<Term<&str>>| match bound {
                        Some(bound) => self.values(bound, input, scope),
                        None => Ok(vec![Cow::Owned(Value::Null)]),
                    };
                    let (from, to) = (bounds(from)?, bounds(to)?);
                    for item in &items {
                        for from in &from {
                            for to in &to {
                                inner.extend(self.slice(item, from, to)?);
                            }
                        }
                    }
                }
            }
            items = inner;
        }
        Ok(items)
    }
}
