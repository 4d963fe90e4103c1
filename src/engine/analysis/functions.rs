//! The functions that conditions may call: those of the language as far as they need care, and those of Argo.
//!
//! Input: the time and the provider's result. Output: an environment for the `expr` crate. The crate's own
//! functions are replaced where they leave something out, answer too freely, or build lists and texts without
//! a bound: conditions come from users of the cluster, and the controller serves all of them.

mod closures;
mod numbers;
mod texts;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use expr::{Context, ContextProvider, Environment, Program, Value};
use jiff::Timestamp;
use tidegate_api::go_duration;

use super::condition::go_type;
use super::expression::{AT, DIVIDE, FIELDS, FOUND, NUMBER, REACH, SOUGHT, TEXT};
use crate::metric::MetricValue;

/// Items that one evaluation may put into new lists.
const MOST_ITEMS: usize = 50_000;
/// Values that `map` may keep: each of its items may hold a list.
const MOST_VALUES: usize = 1_000_000;
/// Bytes of a text that a function may build.
const MOST_TEXT: usize = 1 << 16;

/// Whether a condition made NaN of what it was given: comparisons with that are false, and nobody sees it.
#[derive(Clone, Debug, Default)]
pub(super) struct Nan(Arc<AtomicBool>);

impl Nan {
    pub(super) fn was_made(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Takes in what another condition made.
    pub(super) fn join(&self, other: &Self) {
        self.0.fetch_or(other.was_made(), Ordering::Relaxed);
    }

    /// The number as it is, which is noted if it is none.
    fn note(&self, number: f64) -> Value {
        self.0.fetch_or(number.is_nan(), Ordering::Relaxed);
        Value::Float(number)
    }
}

fn fail<T>(why: impl Into<String>) -> expr::Result<T> {
    Err(expr::Error::ExprError(why.into()))
}

/// The language's functions, with those replaced that the crate leaves out or answers too freely.
///
/// Times are seconds since 1970 and durations are seconds, so that sums and comparisons of them just work.
pub(super) fn language(now: Timestamp) -> Environment<'static> {
    let mut environment = Environment::new();
    add_times(&mut environment, now);
    texts::add(&mut environment);
    add_bounded_lists(&mut environment);
    environment.add_function("int", |call| match call.args.as_slice() {
        [value @ (Value::Integer(_) | Value::Float(_))] => as_int(value).map(Value::Integer),
        [Value::String(text)] => match text.parse() {
            Ok(number) => Ok(Value::Integer(number)),
            Err(_) => fail(format!("invalid operation: int({text})")),
        },
        _ => fail("int() takes a number or a text"),
    });
    environment.add_function(AT, |call| match call.args.as_slice() {
        [container, key] => at(container, key),
        _ => fail("an index needs one operand and one key"),
    });
    environment.add_function(REACH, |call| match call.args.as_slice() {
        [Value::Nil, _] => Ok(Value::Nil),
        [container, key] => at(container, key),
        _ => fail("an index needs one operand and one key"),
    });
    environment.add_function(TEXT, |call| as_text(&call.args, Value::Nil));
    // Go looks up its empty text for nil.
    environment.add_function(SOUGHT, |call| as_text(&call.args, Value::String(String::new())));
    closures::add(&mut environment);
    add_found(&mut environment);
    environment
}

/// What has to be a text, and what stands for nil.
fn as_text(args: &[Value], nil: Value) -> expr::Result<Value> {
    match args {
        [Value::Nil] => Ok(nil),
        [text @ Value::String(_)] => Ok(text.clone()),
        [other, ..] => fail(format!("cannot use {} as type string", go_type(other))),
        [] => fail("a text is missing"),
    }
}

/// `findIndex` and `findLastIndex`: where nothing is found there is no place, which is nil. A comparison with a number is an
/// error then, and so they stand in a call that tells, unless somebody asks for nil.
fn add_found(environment: &mut Environment<'static>) {
    environment.add_function(FOUND, |call| match call.args.as_slice() {
        [Value::Nil] | [] => fail("the search finds nothing, so there is no index"),
        [found, ..] => Ok(found.clone()),
    });
}

fn add_times(environment: &mut Environment<'static>, now: Timestamp) {
    environment.add_function("now", move |_| Ok(Value::Float(seconds(now))));
    environment.add_function("duration", |call| match call.args.as_slice() {
        [Value::String(text)] => match go_duration::parse_nanoseconds(text) {
            Ok(nanoseconds) => Ok(Value::Float(nanoseconds as f64 / 1e9)),
            Err(why) => fail(why),
        },
        _ => fail("duration() takes a text such as \"1h30m\""),
    });
    environment.add_function("date", |call| match call.args.as_slice() {
        [Value::String(text)] => match parse_date(text) {
            Some(date) => Ok(Value::Float(seconds(date))),
            None => fail(format!("invalid date {text}")),
        },
        _ => fail("date() takes a text such as \"2025-11-21\" or \"2025-11-21T08:00:00Z\""),
    });
}

fn add_bounded_lists(environment: &mut Environment<'static>) {
    let made = Arc::new(AtomicUsize::new(0));
    let spend = move |items: usize| {
        let sum = made.fetch_add(items, Ordering::Relaxed).saturating_add(items);
        if sum > MOST_ITEMS {
            fail(format!("memory budget exceeded: more than {MOST_ITEMS} items"))
        } else {
            Ok(())
        }
    };
    let (spend_on_map, spend_on_fields) = (spend.clone(), spend.clone());
    environment.add_function(FIELDS, move |call| {
        spend_on_fields(call.args.iter().map(weight).sum())?;
        fields(&call.args)
    });
    environment.add_function("map", move |call| {
        let (items, predicate) = list_and_predicate("map", &call.args, call.predicate)?;
        spend_on_map(items.len())?;
        let each = |(index, item): (usize, &Value)| {
            call.env.run(
                predicate,
                &Item { outer: call.ctx, item, total: Some((Value::from(index), Value::Nil)) },
            )
        };
        let mut kept = 0_usize;
        let weighed = |answer: expr::Result<Value>| {
            let answer = answer?;
            kept = kept.saturating_add(weight(&answer));
            if kept > MOST_VALUES {
                return fail(format!("memory budget exceeded: more than {MOST_VALUES} values"));
            }
            Ok(answer)
        };
        items.iter().enumerate().map(each).map(weighed).collect::<expr::Result<Vec<_>>>().map(Value::Array)
    });
    environment.add_function("concat", move |call| {
        if call.args.is_empty() {
            return fail("concat() takes lists");
        }
        let mut all = Vec::new();
        for arg in &call.args {
            let Value::Array(items) = arg else { return fail("concat() takes lists") };
            spend(items.len())?;
            all.extend_from_slice(items);
        }
        Ok(Value::Array(all))
    });
    environment.add_function("reduce", |call| {
        let (Some(Value::Array(items)), Some(predicate)) = (call.args.first(), call.predicate) else {
            return fail("reduce() takes a list, a predicate and an initial value");
        };
        let Some(initial) = call.args.get(1).or_else(|| items.first()) else {
            return fail("reduce of empty array with no initial value");
        };
        let skipped = usize::from(call.args.len() == 1);
        let mut total = initial.clone();
        for (index, item) in items.iter().enumerate().skip(skipped) {
            let scope = Item { outer: call.ctx, item, total: Some((Value::from(index), total)) };
            total = call.env.run(predicate, &scope)?;
            if !matches!(total, Value::Integer(_) | Value::Float(_) | Value::Bool(_)) {
                return fail(format!("reduce() makes numbers and bools only, not {}", go_type(&total)));
            }
        }
        Ok(total)
    });
}

/// A map of keys and values in turn. The first of two values for one key counts, as for Go.
fn fields(args: &[Value]) -> expr::Result<Value> {
    let mut fields: Vec<(&str, &Value)> = Vec::with_capacity(args.len() / 2);
    for pair in args.chunks(2) {
        let [Value::String(key), value] = pair else { return fail("a map needs a value for each key") };
        if !fields.iter().any(|(known, _)| known == key) {
            fields.push((key, value));
        }
    }
    Ok(fields.into_iter().map(|(key, value)| (key, value.clone())).collect())
}

/// How many values there are in one.
fn weight(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(weight).sum::<usize>(),
        Value::Map(fields) => 1 + fields.values().map(weight).sum::<usize>(),
        Value::KeyedMap(fields) => 1 + fields.iter().map(|(_, value)| weight(value)).sum::<usize>(),
        Value::Integer(_)
        | Value::Float(_)
        | Value::Bool(_)
        | Value::Nil
        | Value::String(_)
        | Value::Bytes(_) => 1,
    }
}

/// The two parts of a call such as `all(result, {# > 1})`.
fn list_and_predicate<'a>(
    name: &str,
    args: &'a [Value],
    predicate: Option<&'a Program>,
) -> expr::Result<(&'a [Value], &'a Program)> {
    match (args, predicate) {
        ([Value::Array(items)], Some(predicate)) => Ok((items, predicate)),
        _ => fail(format!("{name}() takes a list and a predicate")),
    }
}

fn seconds(time: Timestamp) -> f64 {
    time.as_duration().as_secs_f64()
}

fn parse_date(text: &str) -> Option<Timestamp> {
    let utc = jiff::tz::TimeZone::UTC;
    let civil = || text.parse::<jiff::civil::DateTime>().ok()?.to_zoned(utc.clone()).ok();
    text.parse::<Timestamp>().ok().or_else(|| civil().map(|zoned| zoned.timestamp()))
}

/// Reads one element. Beyond the end of a list is an error, as in Go; a key that a map lacks is nil.
fn at(container: &Value, key: &Value) -> expr::Result<Value> {
    match (container, key) {
        (Value::Array(items), Value::Integer(_) | Value::Float(_)) => {
            // All numbers of JSON are floats; Go cuts off what they have behind the point.
            let index = &as_int(key)?;
            let found = if *index < 0 {
                usize::try_from(index.unsigned_abs()).ok().and_then(|back| items.len().checked_sub(back))
            } else {
                usize::try_from(*index).ok()
            };
            match found.and_then(|found| items.get(found)) {
                Some(item) => Ok(item.clone()),
                None => fail(format!("index out of range: {index} (array length is {})", items.len())),
            }
        }
        (Value::Map(fields), Value::String(name)) => Ok(fields.get(name).cloned().unwrap_or_default()),
        (Value::KeyedMap(fields), key) => Ok(fields
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.clone())
            .unwrap_or_default()),
        (container, key) => fail(format!("cannot fetch {key} from {}", go_type(container))),
    }
}

/// The names visible inside a closure: `#` is the item, `#index` its place and `#acc` the total so far.
struct Item<'a> {
    outer: &'a dyn ContextProvider,
    item: &'a Value,
    total: Option<(Value, Value)>,
}

impl ContextProvider for Item<'_> {
    fn get(&self, key: &str) -> Option<&Value> {
        match (key, &self.total) {
            ("#", _) => Some(self.item),
            ("#index", Some((index, _))) => Some(index),
            ("#acc", Some((_, total))) => Some(total),
            _ => self.outer.get(key),
        }
    }

    fn to_context(&self) -> Context {
        self.outer.to_context()
    }
}

/// The functions that Argo adds. `isNil` and `default` look at the provider's result, whatever their first argument is.
pub(super) fn add_argo(
    environment: &mut Environment<'static>,
    value: &MetricValue,
    result: &Value,
    nan: &Nan,
) {
    add_numbers(environment, nan);
    let samples = matches!(value, MetricValue::Samples(_));
    let nil = result.is_nil();
    let count = result.as_array().map_or(0, <[Value]>::len);
    let result = result.clone();
    let single = match (samples, result.as_array()) {
        (true, Some([only])) => Some(only.clone()),
        _ => None,
    };
    environment.add_function(NUMBER, move |_| match &single {
        Some(sample) => Ok(sample.clone()),
        None => fail(format!(
            "result has {count} samples and is used as a number: name one of them, such as result[0]"
        )),
    });
    environment.add_function("isNil", move |_| Ok(Value::Bool(nil)));
    environment.add_function("default", move |call| match call.args.as_slice() {
        [_, fallback] => Ok(if nil { fallback.clone() } else { result.clone() }),
        _ => fail("default() takes a value and what stands for it when there is none"),
    });
    let made = nan.clone();
    environment.add_function("asFloat", move |call| {
        as_float(&one_number(&call.args, samples)?).map(|number| made.note(number))
    });
    environment
        .add_function("asInt", move |call| as_int(&one_number(&call.args, samples)?).map(Value::Integer));
    environment.add_function("isNaN", move |call| {
        real("isNaN", &one_number(&call.args, samples)?).map(|number| Value::Bool(number.is_nan()))
    });
    environment.add_function("isInf", move |call| {
        real("isInf", &one_number(&call.args, samples)?).map(|number| Value::Bool(number.is_infinite()))
    });
}

/// What makes NaN where there was none: a division, and a text.
fn add_numbers(environment: &mut Environment<'static>, nan: &Nan) {
    let made = nan.clone();
    environment.add_function(DIVIDE, move |call| match call.args.as_slice() {
        [dividend, divisor] => match real("/", dividend).and_then(|left| Ok((left, real("/", divisor)?))) {
            Ok((dividend, divisor)) => Ok(made.note(dividend / divisor)),
            Err(_) => fail("Invalid operands for operator /"),
        },
        _ => fail("Invalid operands for operator /"),
    });
    let made = nan.clone();
    environment.add_function("float", move |call| match call.args.as_slice() {
        [value @ (Value::Integer(_) | Value::Float(_))] => {
            real("float", value).map(|number| made.note(number))
        }
        [Value::String(text)] => match numbers::parse_float(text) {
            Some(number) => Ok(made.note(number)),
            None => fail(format!("invalid operation: float({text})")),
        },
        _ => fail("float() takes a number or a text"),
    });
}

/// The argument of a function for numbers; a vector with one sample counts as that sample.
fn one_number(args: &[Value], samples: bool) -> expr::Result<Value> {
    match args {
        [Value::Array(items)] if samples && items.len() == 1 => Ok(items[0].clone()),
        [value] => Ok(value.clone()),
        _ => fail("the function takes exactly one argument"),
    }
}

fn real(name: &str, value: &Value) -> expr::Result<f64> {
    match (value.as_float(), value.as_integer()) {
        (Some(number), _) => Ok(number),
        (None, Some(number)) => Ok(number as f64),
        (None, None) => fail(format!("{name}() not supported on {}", go_type(value))),
    }
}

fn as_float(value: &Value) -> expr::Result<f64> {
    let Some(text) = value.as_string() else { return real("asFloat", value) };
    match numbers::parse_float(text) {
        Some(number) => Ok(number),
        None => fail(format!("strconv.ParseFloat: parsing {text:?}: invalid syntax")),
    }
}

/// A cast cuts off the fraction. What no integer can hold, NaN as well, becomes the lowest one, as it does for Go on
/// amd64: a missing number is never 0.
fn cut_off(number: f64) -> i64 {
    if (-9.223_372_036_854_776e18..9.223_372_036_854_776e18).contains(&number) {
        number as i64
    } else {
        i64::MIN
    }
}

fn as_int(value: &Value) -> expr::Result<i64> {
    if let Some(number) = value.as_integer() {
        return Ok(number);
    }
    let Some(text) = value.as_string() else { return real("asInt", value).map(cut_off) };
    match text.parse() {
        Ok(number) => Ok(number),
        Err(_) => fail(format!("strconv.ParseInt: parsing {text:?}: invalid syntax")),
    }
}
