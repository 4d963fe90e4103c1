//! The functions that an expression may call: those that select, and those that work on values.
//!
//! None of them reads anything but its input, and none gives outputs without end.

use std::borrow::Cow;

use jaq_core::load::parse::Term;
use serde_json::Value;

use super::run::{Item, Items, Run, Scope};
use super::value::{self, is_true};
use super::{Stop, function};

/// Functions that hand on their input, or parts of it, with the path.
const SELECTORS: [(&str, usize); 16] = [
    ("empty", 0),
    ("select", 1),
    ("first", 0),
    ("first", 1),
    ("last", 0),
    ("last", 1),
    ("limit", 2),
    ("recurse", 0),
    ("recurse", 1),
    ("getpath", 1),
    ("map", 1),
    ("any", 1),
    ("all", 1),
    ("any", 2),
    ("all", 2),
    ("isempty", 1),
];
/// Functions that need their arguments unevaluated and give values.
const FILTERS: [(&str, usize); 2] = [("with_entries", 1), ("IN", 1)];

/// Whether there is such a function.
pub(super) fn is_known(name: &str, arguments: usize) -> bool {
    let is = |(known, count): &(&str, usize)| *known == name && *count == arguments;
    SELECTORS.iter().chain(&FILTERS).any(is)
        || (arguments == 0 && value::is_kind(name))
        || function::is_function(name, arguments)
}

/// Calls a function.
pub(super) fn call<'o>(
    run: &Run,
    name: &str,
    arguments: &[Term<&str>],
    input: &Item<'o>,
    scope: Option<&Scope<'_, 'o>>,
) -> Result<Items<'o>, Stop> {
    match (name, arguments) {
        ("empty", []) => Ok(Vec::new()),
        ("select", [condition]) => {
            let held = run.values(condition, input, scope)?;
            held.iter().filter(|holds| is_true(holds)).map(|_| run.copied(input)).collect()
        }
        ("first", []) => Ok(run.index(input, &Value::from(0))?.into_iter().collect()),
        ("last", []) => Ok(run.index(input, &Value::from(-1))?.into_iter().collect()),
        ("first", [of]) => Ok(run.eval(of, input, scope)?.into_iter().take(1).collect()),
        ("last", [of]) => Ok(run.eval(of, input, scope)?.pop().into_iter().collect()),
        ("limit", [count, of]) => {
            let mut out = Vec::new();
            for count in run.values(count, input, scope)? {
                let count = usize::try_from(count.as_i64().unwrap_or(0)).unwrap_or(0);
                out.extend(run.eval(of, input, scope)?.into_iter().take(count));
            }
            Ok(out)
        }
        ("recurse", []) => run.descend(input),
        ("recurse", [next]) => recurse(run, next, input, scope),
        ("getpath", [path]) => getpath(run, path, input, scope),
        ("map", [each]) => {
            let items = over(run, each, input, scope)?;
            items.iter().try_for_each(|item| run.pay_for(item))?;
            Ok(vec![Item::made(items.into_iter().map(Cow::into_owned).collect())])
        }
        ("any" | "all", [_]) if !value::is_of_kind(&input.value, "iterables") => Ok(Vec::new()),
        ("any" | "all", [condition]) => {
            let wanted = name == "any";
            let found = over(run, condition, input, scope)?.iter().any(|item| is_true(item) == wanted);
            Ok(vec![Item::made(Value::Bool(found == wanted))])
        }
        ("any" | "all", [of, condition]) => {
            let wanted = name == "any";
            let mut found = false;
            for item in run.eval(of, input, scope)? {
                found |= run.values(condition, &item, scope)?.iter().any(|item| is_true(item) == wanted);
            }
            Ok(vec![Item::made(Value::Bool(found == wanted))])
        }
        ("isempty", [of]) => Ok(vec![Item::made(Value::Bool(run.eval(of, input, scope)?.is_empty()))]),
        ("IN", [of]) => {
            let among = run.values(of, input, scope)?;
            among.iter().try_for_each(|other| run.pay_for(other))?;
            let found = among.iter().any(|other| value::compare(other, &input.value).is_eq());
            Ok(vec![Item::made(Value::Bool(found))])
        }
        ("with_entries", [change]) => {
            run.pay_for(&input.value)?;
            let Some(entries) = function::entries(&input.value) else { return Ok(Vec::new()) };
            let changed = over(run, change, &Item::made(entries), scope)?;
            changed.iter().try_for_each(|item| run.pay_for(item))?;
            let list = changed.into_iter().map(Cow::into_owned).collect();
            Ok(function::from_entries(&Value::Array(list)).map(Item::made).into_iter().collect())
        }
        (_, []) if value::is_kind(name) => {
            if value::is_of_kind(&input.value, name) {
                Ok(vec![run.copied(input)?])
            } else {
                Ok(Vec::new())
            }
        }
        _ => apply(run, name, arguments, input, scope),
    }
}

/// The outputs of a term for each item of the input.
fn over<'o>(
    run: &Run,
    each: &Term<&str>,
    input: &Item<'o>,
    scope: Option<&Scope<'_, 'o>>,
) -> Result<Vec<Cow<'o, Value>>, Stop> {
    let mut out = Vec::new();
    for item in run.iterate(input)? {
        out.extend(run.values(each, &item, scope)?);
    }
    Ok(out)
}

fn recurse<'o>(
    run: &Run,
    next: &Term<&str>,
    input: &Item<'o>,
    scope: Option<&Scope<'_, 'o>>,
) -> Result<Items<'o>, Stop> {
    let mut all = Vec::new();
    let mut open = vec![run.copied(input)?];
    while let Some(item) = open.pop() {
        // An absent field has absent fields for ever.
        let mut inner = if item.value.is_null() { Vec::new() } else { run.eval(next, &item, scope)? };
        inner.reverse();
        open.extend(inner);
        all.push(item);
    }
    Ok(all)
}

fn getpath<'o>(
    run: &Run,
    path: &Term<&str>,
    input: &Item<'o>,
    scope: Option<&Scope<'_, 'o>>,
) -> Result<Items<'o>, Stop> {
    let mut out = Vec::new();
    for steps in run.values(path, input, scope)? {
        let mut at = Some(run.copied(input)?);
        for step in steps.as_array().into_iter().flatten() {
            at = match &at {
                Some(item) => run.index(item, step)?,
                None => None,
            };
        }
        out.extend(at);
    }
    Ok(out)
}

/// Applies a function of values, for every combination of its arguments.
fn apply<'o>(
    run: &Run,
    name: &str,
    arguments: &[Term<&str>],
    input: &Item<'o>,
    scope: Option<&Scope<'_, 'o>>,
) -> Result<Items<'o>, Stop> {
    let values: Vec<Vec<Cow<'o, Value>>> =
        arguments.iter().map(|argument| run.values(argument, input, scope)).collect::<Result<_, _>>()?;
    let mut combinations: Vec<Vec<&Value>> = vec![Vec::new()];
    for values in &values {
        run.pay(values.len().saturating_mul(combinations.len()))?;
        let longer = combinations.iter().flat_map(|given| {
            values.iter().map(|value| given.iter().copied().chain([value.as_ref()]).collect())
        });
        combinations = longer.collect();
    }
    let mut out = Vec::new();
    for given in combinations {
        run.pay_for(&input.value)?;
        given.iter().try_for_each(|value| run.pay_for(value))?;
        run.pay(function::surcharge(name, &input.value, &given))?;
        let made = match (name, given.as_slice()) {
            ("test", [pattern]) => tested(run, &input.value, pattern, "")?,
            ("test", [pattern, flags]) => tested(run, &input.value, pattern, flags.as_str().unwrap_or(""))?,
            _ => function::apply(name, &input.value, &given),
        };
        if let Some(made) = made {
            // What is made of texts can be longer than they are: joined with a long separator.
            run.pay_for(&made)?;
            out.push(Item::made(made));
        }
    }
    Ok(out)
}

/// Whether a text matches a regular expression.
fn tested(run: &Run, text: &Value, pattern: &Value, flags: &str) -> Result<Option<Value>, Stop> {
    /// What compiling one costs, by the memory that it may take, and what each byte of the text does; far more than a step.
    const COMPILED: usize = super::REGEX_BYTES_MAX / 16;
    const BYTE: usize = 4;
    let (Some(text), Some(pattern)) = (text.as_str(), pattern.as_str()) else { return Ok(None) };
    let mut inline = String::new();
    inline.extend(['i', 'x', 's'].into_iter().filter(|flag| flags.contains(*flag)));
    let pattern = if inline.is_empty() { pattern.to_owned() } else { format!("(?{inline}){pattern}") };
    if !run.regexes.borrow().contains_key(&pattern) {
        run.pay(COMPILED + pattern.len())?;
    }
    run.pay(text.len().saturating_mul(BYTE))?;
    let regex = super::regex(run.regexes, &pattern);
    Ok(regex.map(|regex| Value::Bool(regex.is_match(text))))
}
