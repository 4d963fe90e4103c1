//! What functions take, and what they yield. Source: `builtin/builtin.go` of github.com/expr-lang/expr 1.17.7, and
//! `utils/evaluate` of Argo Rollouts 1.10.1.

use super::super::types::{Map, Type};
use super::super::{CLOSURE_FUNCTIONS, NUMBER};
use super::{Checker, Parsed};

/// What a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Anything,
    Text,
    Int,
    Float,
    /// A list that Go calls `[]interface {}`.
    AnyList,
    Texts,
    Floats,
    Ints,
}

use Wanted::{AnyList, Anything, Float, Floats, Int, Ints, Text, Texts};

impl Wanted {
    fn of(self) -> Type {
        match self {
            Anything => Type::Any,
            Text => Type::Text,
            Int => Type::Int,
            Float => Type::Float,
            AnyList => Type::any_list(),
            Texts => Type::texts(),
            Floats => Type::floats(),
            Ints => Type::ints(),
        }
    }
}

/// The forms in which a function with a fixed number of arguments may be called.
fn forms(name: &str) -> &'static [&'static [Wanted]] {
    match name {
        "asInt" | "asFloat" | "isNil" | "string" | "type" => &[&[Anything]],
        "default" => &[&[Anything, Anything]],
        "isNaN" | "isInf" => &[&[Float]],
        "trim" => &[&[Text], &[Text, Text]],
        "trimPrefix" | "trimSuffix" => &[&[Text, Text], &[Text]],
        "upper" | "lower" | "duration" => &[&[Text]],
        "split" | "splitAfter" => &[&[Text, Text], &[Text, Text, Int]],
        "replace" => &[&[Text, Text, Text, Int], &[Text, Text, Text]],
        "repeat" => &[&[Text, Int]],
        "join" => &[&[AnyList, Text], &[AnyList], &[Texts, Text], &[Texts]],
        "indexOf" | "lastIndexOf" | "hasPrefix" | "hasSuffix" => &[&[Text, Text]],
        "sort" => {
            &[&[AnyList, Text], &[Floats, Text], &[Texts, Text], &[AnyList], &[Floats], &[Texts], &[Ints]]
        }
        "bitand" | "bitor" | "bitxor" | "bitnand" | "bitshl" | "bitshr" | "bitushr" => &[&[Int, Int]],
        "bitnot" => &[&[Int]],
        _ => &[],
    }
}

/// What a function with such forms yields.
fn answer(name: &str) -> Type {
    match name {
        "asInt" => Type::Int64,
        "asFloat" => Type::Float,
        "default" => Type::Any,
        "isNil" | "isNaN" | "isInf" | "hasPrefix" | "hasSuffix" => Type::Bool,
        "split" | "splitAfter" => Type::texts(),
        "sort" => Type::any_list(),
        "duration" => Type::Duration,
        "indexOf" | "lastIndexOf" => Type::Int,
        _ if name.starts_with("bit") => Type::Int,
        _ => Type::Text,
    }
}

impl<'a> Checker<'_, 'a> {
    /// A call from its opening bracket on.
    pub(super) fn call(&mut self, name: &'a str, piped: Option<Type>) -> Parsed {
        if CLOSURE_FUNCTIONS.contains(&name) {
            return self.closure(name, piped);
        }
        let piped_count = usize::from(piped.is_some());
        let mut given: Vec<Type> = piped.into_iter().collect();
        self.expect("(")?;
        while !self.takes(")") {
            if given.len() > piped_count {
                self.expect(",")?;
                if self.takes(")") {
                    break;
                }
            }
            given.push(self.expression(0)?);
        }
        Ok(if forms(name).is_empty() { self.free_call(name, &given) } else { self.formal_call(name, &given) })
    }

    /// A call that has to have one of the forms of the function.
    fn formal_call(&mut self, name: &str, given: &[Type]) -> Type {
        let mut why = None;
        for form in forms(name) {
            why = self.misfit(name, form, given);
            if why.is_none() {
                break;
            }
        }
        if let Some(why) = why {
            self.refuse(why);
        }
        answer(name)
    }

    fn misfit(&self, name: &str, form: &[Wanted], given: &[Type]) -> Option<String> {
        if given.len() != form.len() {
            let much = if given.len() > form.len() { "too many" } else { "not enough" };
            return Some(format!("{much} arguments to call {name}"));
        }
        let is_misfit = |(given, wanted): &(&Type, &Wanted)| !self.fits(given, **wanted);
        let (given, wanted) = given.iter().zip(form).find(is_misfit)?;
        let wanted = wanted.of().name();
        Some(if *given == Type::Nil {
            format!("cannot use nil as argument (type {wanted}) to call {name}")
        } else {
            format!("cannot use {} as argument (type {wanted}) to call {name} ", given.name())
        })
    }

    fn fits(&self, given: &Type, wanted: Wanted) -> bool {
        match (given, wanted) {
            (Type::Nil, wanted) => wanted == Anything,
            (Type::Unknown | Type::Any, _) => true,
            (given, Int) => given.is_integer(),
            (given, Float) if given.is_number() => true,
            // A vector of one sample stands for the sample.
            (Type::List(_), Float) if self.takes_samples => true,
            (given, wanted) => given.is_assignable_to(&wanted.of()),
        }
    }

    /// A call of a function that looks at its arguments itself.
    fn free_call(&mut self, name: &str, given: &[Type]) -> Type {
        match (name, given) {
            (NUMBER, _) => Type::Float,
            ("now", [first, ..]) if !first.is_open() => self.refuse_count(0, given.len()),
            ("now", _) | ("date", [_, ..]) => Type::Time,
            ("get", [base, key]) => self.got(base, key),
            ("get", _) => self.refuse_count(2, given.len()),
            ("max" | "min" | "mean" | "median", _) => self.aggregate(name, given),
            ("take", [list, count]) => self.taken_from(list, count),
            ("take", _) => self.refuse_count(2, given.len()),
            ("concat", [_, ..]) => {
                let wrong = given.iter().find(|one| !one.is_list() && !one.is_open());
                self.list_or(wrong, "cannot concat")
            }
            (_, [only]) => self.of_one(name, only),
            ("date", _) => Type::Unknown,
            ("concat", []) => {
                self.refuse("invalid number of arguments (expected at least 1, got 0)".to_owned())
            }
            _ => self.refuse_count(1, given.len()),
        }
    }

    fn refuse_count(&mut self, wanted: usize, given: usize) -> Type {
        self.refuse(format!("invalid number of arguments (expected {wanted}, got {given})"))
    }

    fn refuse_argument(&mut self, name: &str, given: &Type) -> Type {
        self.refuse(format!("invalid argument for {name} (type {})", shown(given)))
    }

    fn list_or(&mut self, wrong: Option<&Type>, why: &str) -> Type {
        match wrong {
            Some(given) => self.refuse(format!("{why} {}", shown(given))),
            None => Type::any_list(),
        }
    }

    /// The functions of one argument.
    fn of_one(&mut self, name: &str, given: &Type) -> Type {
        let is_list = given.is_list() || given.is_open();
        let is_map = matches!(given, Type::Map(_)) || given.is_open();
        let is_number = given.is_number() || given.is_open() || *given == Type::Duration;
        match name {
            "len" if is_list || is_map || *given == Type::Text => Type::Int,
            "abs" if is_number => given.by_name(),
            "ceil" | "floor" | "round" if is_number => Type::Float,
            "int" if is_number || *given == Type::Text => Type::Int,
            "float" if is_number || *given == Type::Text => Type::Float,
            "len" | "abs" | "ceil" | "floor" | "round" | "int" | "float" => self.refuse_argument(name, given),
            "first" | "last" if is_list => given.item_by_name(),
            "first" | "last" => self.refuse(format!("cannot get {name} element from {}", shown(given))),
            "fromPairs" if is_list => Type::Map(Map::Pairs),
            "fromPairs" => self.refuse(format!("cannot transform {} from pairs", shown(given))),
            "keys" | "values" | "toPairs" if is_map => Type::any_list(),
            "toPairs" => self.refuse(format!("cannot transform {} to pairs", shown(given))),
            "keys" | "values" => self.refuse(format!("cannot get {name} from {}", shown(given))),
            "reverse" | "uniq" | "flatten" => {
                let why = format!("cannot {name}");
                self.list_or((!is_list).then_some(given), &why)
            }
            _ => Type::Unknown,
        }
    }

    /// The first list among the arguments ends what Go looks at.
    fn aggregate(&mut self, name: &str, given: &[Type]) -> Type {
        for one in given {
            if one.is_list() || one.is_open() {
                return Type::Any;
            }
            if !one.is_number() && *one != Type::Duration {
                return self.refuse_argument(name, one);
            }
        }
        match given.first() {
            Some(first) => first.clone(),
            None => self.refuse(format!("not enough arguments to call {name}")),
        }
    }

    fn taken_from(&mut self, list: &Type, count: &Type) -> Type {
        if !list.is_list() && !list.is_open() {
            return self.refuse(format!("cannot take from {}", shown(list)));
        }
        if !count.is_integer() && !count.is_open() && *count != Type::Duration {
            return self.refuse(format!("cannot take {} elements", shown(count)));
        }
        list.by_name()
    }
}

/// How these functions call a type; nil has none.
fn shown(given: &Type) -> &'static str {
    if *given == Type::Nil { "%!s(<nil>)" } else { given.name() }
}
