//! The functions that ask a predicate about the items of a list: `all`, `filter`, `find`, `sortBy` and their like.
//!
//! Input: an environment. Output: the same, in which these answer as Go's do. The crate takes whatever is no bool for a false,
//! and so `any(result.items, .value)` would be false rather than an error.

use std::cmp::Ordering;

use expr::{Environment, Value};

use super::{Item, fail, go_type, list_and_predicate};

/// Asks the predicate about an item.
type Ask<'a> = &'a dyn Fn(&Value) -> expr::Result<bool>;
type Decide = fn(&[Value], Ask<'_>) -> expr::Result<Value>;

/// Functions whose predicates answer with a bool.
const QUESTIONS: &[(&str, Decide)] = &[
    ("all", |items, ask| holds_throughout(items, true, ask)),
    ("none", |items, ask| holds_throughout(items, false, ask)),
    ("any", |items, ask| Ok(Value::Bool(place(items, false, ask)?.is_some()))),
    ("one", |items, ask| Ok(Value::Bool(kept(items, ask)?.len() == 1))),
    ("filter", |items, ask| Ok(Value::Array(kept(items, ask)?))),
    ("find", |items, ask| Ok(item_at(items, place(items, false, ask)?))),
    ("findLast", |items, ask| Ok(item_at(items, place(items, true, ask)?))),
    ("findIndex", |items, ask| Ok(place(items, false, ask)?.map_or(Value::Nil, Value::from))),
    ("findLastIndex", |items, ask| Ok(place(items, true, ask)?.map_or(Value::Nil, Value::from))),
];

/// Adds them.
pub(super) fn add(environment: &mut Environment<'static>) {
    for (name, decide) in QUESTIONS {
        environment.add_function(name, move |call| {
            let (items, predicate) = list_and_predicate(name, &call.args, call.predicate)?;
            decide(items, &|item| {
                let answer = call.env.run(predicate, &Item { outer: call.ctx, item, total: None })?;
                answer.as_bool().map_or_else(
                    || fail(format!("predicate should return boolean (got {})", go_type(&answer))),
                    Ok,
                )
            })
        });
    }
    environment.add_function("sortBy", |call| {
        let (list, order) = call.args.split_at(call.args.len().min(1));
        let (items, predicate) = list_and_predicate("sortBy", list, call.predicate)?;
        let descends = match order {
            [] => false,
            [Value::String(order)] if order == "asc" => false,
            [Value::String(order)] if order == "desc" => true,
            _ => return fail("unknown order, use asc or desc"),
        };
        let mut keyed = Vec::with_capacity(items.len());
        for item in items {
            let key = call.env.run(predicate, &Item { outer: call.ctx, item, total: None })?;
            // Here rather than below, for all the keys together may be more than there is memory for.
            check_key(&key, keyed.last().map(|(key, _)| key))?;
            keyed.push((key, item));
        }
        keyed.sort_by(|(left, _), (right, _)| {
            let order = order_of(left, right).unwrap_or(Ordering::Equal);
            if descends { order.reverse() } else { order }
        });
        Ok(Value::Array(keyed.into_iter().map(|(_, item)| item.clone()).collect()))
    });
}

fn holds_throughout(items: &[Value], wanted: bool, ask: Ask<'_>) -> expr::Result<Value> {
    for item in items {
        if ask(item)? != wanted {
            return Ok(Value::Bool(false));
        }
    }
    Ok(Value::Bool(true))
}

/// Where the first item is, or the last one, for which the predicate holds.
fn place(items: &[Value], from_end: bool, ask: Ask<'_>) -> expr::Result<Option<usize>> {
    for step in 0..items.len() {
        let index = if from_end { items.len() - 1 - step } else { step };
        if ask(&items[index])? {
            return Ok(Some(index));
        }
    }
    Ok(None)
}

fn item_at(items: &[Value], place: Option<usize>) -> Value {
    place.and_then(|place| items.get(place)).cloned().unwrap_or_default()
}

fn kept(items: &[Value], ask: Ask<'_>) -> expr::Result<Vec<Value>> {
    let mut kept = Vec::new();
    for item in items {
        if ask(item)? {
            kept.push(item.clone());
        }
    }
    Ok(kept)
}

/// Keys are numbers or texts, and all of one kind. NaN has no place among them.
fn check_key(key: &Value, before: Option<&Value>) -> expr::Result<()> {
    match before.map_or_else(|| order_of(key, key), |before| order_of(before, key)) {
        Some(_) => Ok(()),
        None => fail(format!("sortBy() cannot compare by {}", go_type(key))),
    }
}

fn order_of(left: &Value, right: &Value) -> Option<Ordering> {
    let real = |value: &Value| value.as_float().or_else(|| value.as_integer().map(|number| number as f64));
    match (left, right) {
        (Value::Integer(left), Value::Integer(right)) => Some(left.cmp(right)),
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        _ => real(left)?.partial_cmp(&real(right)?),
    }
}
