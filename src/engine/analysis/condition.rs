//! What a measured value means: success and failure conditions in the expr language.
//!
//! Input: a metric's conditions and the value. Output: a phase and, where it is an error, why.
//!
//! Two rules differ from Argo Rollouts on purpose:
//! - Missing data never passes. Where Argo would say Successful although the result is NaN or holds no data, or the
//!   condition makes NaN of it (0/0, `asFloat("NaN")`), the measurement is an Error, unless the condition itself names the
//!   case: `isNaN` for NaN; `len`, `default` or `isNil` for no data.
//! - A Prometheus vector with exactly one sample may be compared as a number: `result >= 0.95` means
//!   `result[0] >= 0.95`. Argo fails there with mismatched types.
//!
//! What Argo refuses for the types of a condition before it runs is refused here, too, in the same words.

mod declared;
mod quiet;

use expr::{Context, Environment, Value};
use jiff::Timestamp;
use tidegate_api::analysis::{AnalysisPhase, Metric, MetricProvider};

use super::expression::{self, Expression, Mismatch, Type, Vocabulary};
use super::functions::{self, Nan};
use crate::metric::MetricValue;

/// How every complaint about a text that is no expression begins.
const SYNTAX_ERROR: &str = "syntax error";
/// Argo's words for a result without data.
pub(crate) const NO_DATA: &str = "metric result is nil or empty: no data returned from the metric provider";

/// The phase of a measurement and, for an error or missing data, its message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) phase: AnalysisPhase,
    pub(crate) message: String,
    /// The data that there was not; also where a condition is content with that.
    pub(super) lack: Option<Lack>,
}

/// Data that a measurement lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lack {
    pub(super) why: String,
    /// A failureCondition holds without making NaN itself, and there are other numbers to hold for.
    pub(super) has_failed: bool,
}

/// A phase before anybody asks whether it rests on missing data.
struct Judged {
    phase: AnalysisPhase,
    has_failed: bool,
}

/// Why there is no phase.
struct Refusal {
    message: String,
    /// It is for missing data, not for a fault of the condition.
    is_lack: bool,
}

/// Judges a value by the conditions of its metric.
pub(crate) fn judge(metric: &Metric, value: &MetricValue, now: Timestamp) -> Verdict {
    let nan = Nan::default();
    let judged = verdict(metric, value, now, &nan);
    let lack = |has_failed| lack(value, &nan).map(|why| Lack { why: why.to_owned(), has_failed });
    match judged {
        Ok(Judged { phase, has_failed }) => {
            let lack = lack(has_failed && value.has_number());
            // Its value alone is easily overlooked.
            let told = lack.as_ref().filter(|_| phase != AnalysisPhase::Successful);
            Verdict { phase, message: told.map(|lack| lack.why.clone()).unwrap_or_default(), lack }
        }
        Err(Refusal { message, is_lack }) => {
            let lack = if is_lack { lack(false) } else { None };
            Verdict { phase: AnalysisPhase::Error, message, lack }
        }
    }
}

/// What data is missing.
fn lack<'v>(value: &'v MetricValue, nan: &Nan) -> Option<&'v str> {
    if let MetricValue::Nothing(why) = value {
        Some(why)
    } else if value.is_empty() {
        Some(NO_DATA)
    } else if value.has_nan() {
        Some("metric result is NaN")
    } else if nan.was_made() {
        Some("a number that the condition makes is NaN")
    } else {
        None
    }
}

fn verdict(metric: &Metric, value: &MetricValue, now: Timestamp, nan: &Nan) -> Result<Judged, Refusal> {
    if let MetricValue::Nothing(why) = value {
        return Err(Refusal { message: (*why).to_owned(), is_lack: true });
    }
    let success = metric.success_condition.as_deref().filter(|text| !text.is_empty());
    let failure = metric.failure_condition.as_deref().filter(|text| !text.is_empty());
    let of_failure = Nan::default();
    let result = declared::of_result(Some(&metric.provider), value);
    let evaluate = |name: &str, text: Option<&str>, nan: &Nan| {
        let refused =
            |text: &str, why: String| Refusal { message: refusal(name, text, &why), is_lack: why == NO_DATA };
        text.map(|text| evaluate_noting(text, value, &result, now, nan).map_err(|why| refused(text, why)))
            .transpose()
    };
    // Of two that cannot be evaluated, the first one is told, as upstream does.
    let succeeded = evaluate("successCondition", success, nan)?;
    let failed = evaluate("failureCondition", failure, &of_failure)?;
    nan.join(&of_failure);
    let phase = match (succeeded, failed) {
        (_, Some(true)) | (Some(false), None) => AnalysisPhase::Failed,
        (Some(false), Some(false)) => AnalysisPhase::Inconclusive,
        (Some(true), _) | (None, None | Some(false)) => AnalysisPhase::Successful,
    };
    if phase == AnalysisPhase::Successful
        && let Some(missing) = missing(value, nan, success.or(failure))
    {
        let message = match (success, failure) {
            (Some(text), _) => refusal("successCondition", text, missing),
            (None, Some(text)) => refusal("failureCondition", text, missing),
            (None, None) => missing.to_owned(),
        };
        return Err(Refusal { message, is_lack: true });
    }
    // What rests on NaN, such as !(0/0 < 0.05), holds for nothing.
    Ok(Judged { phase, has_failed: failed == Some(true) && !of_failure.was_made() })
}

fn refusal(name: &str, text: &str, why: &str) -> String {
    format!("could not evaluate {name} \"{text}\": {why}")
}

/// Why a value proves nothing, unless the condition that accepted it names that case.
fn missing(value: &MetricValue, nan: &Nan, condition: Option<&str>) -> Option<&'static str> {
    let names = |functions: &[&str]| {
        let prepared = condition.map(|text| expression::prepare(text, vocabulary(value)));
        matches!(prepared, Some(Ok(expression)) if expression.calls(functions))
    };
    if value.is_empty() {
        (!names(&["len", "default", "isNil"])).then_some(NO_DATA)
    } else if value.has_nan() {
        (!names(&["isNaN"]))
            .then_some("metric result is NaN, which proves nothing: name isNaN in the condition to accept it")
    } else if nan.was_made() {
        (!names(&["isNaN"])).then_some(
            "a number that it makes is NaN, which proves nothing: name isNaN in the condition to accept it",
        )
    } else {
        None
    }
}

fn vocabulary(value: &MetricValue) -> Vocabulary {
    Vocabulary::Condition { samples: matches!(value, MetricValue::Samples(_)) }
}

/// Evaluates one condition of what a provider measured.
///
/// # Errors
/// Fails with the reason when the text is no expression, names something unknown, does not fit the value or
/// yields anything but a bool.
pub(crate) fn evaluate(
    text: &str,
    provider: Option<&MetricProvider>,
    value: &MetricValue,
    now: Timestamp,
) -> Result<bool, String> {
    evaluate_noting(text, value, &declared::of_result(provider, value), now, &Nan::default())
}

/// Evaluates one condition of a result of a type, and notes whether it makes NaN.
fn evaluate_noting(
    text: &str,
    value: &MetricValue,
    result: &Type,
    now: Timestamp,
    nan: &Nan,
) -> Result<bool, String> {
    let expression = expression::prepare(text, vocabulary(value))?;
    let takes_samples = matches!(value, MetricValue::Samples(_));
    // What cannot be read as Go reads it is an error, although the crate may know an answer: it has words for more.
    let answer = match expression.mismatch(result, takes_samples) {
        Some(Mismatch::Types(why)) => Err(why),
        Some(Mismatch::Unread(why)) => answer(&expression, value, now, nan).and(Err(why)),
        None => answer(&expression, value, now, nan),
    };
    match answer {
        Ok(Value::Bool(verdict)) => Ok(verdict),
        Ok(other) => Err(format!("expected bool, but got {}", go_type(&other))),
        Err(_) if value.is_empty() => Err(NO_DATA.to_owned()),
        Err(why) => Err(why),
    }
}

/// What an expression answers when it runs.
fn answer(
    expression: &Expression<'_>,
    value: &MetricValue,
    now: Timestamp,
    nan: &Nan,
) -> Result<Value, String> {
    let mut context = Context::default();
    context.insert("result", to_expr(value));
    let mut environment = functions::language(now);
    functions::add_argo(&mut environment, value, &to_expr(value), nan);
    run(&environment, expression, &context)
}

/// What is wrong with a condition whatever it will be asked about: brackets, unknown names, no expression, types of which the
/// text itself tells that they do not go together.
pub(crate) fn fault(text: &str) -> Option<String> {
    let written = match expression::prepare(text, Vocabulary::Condition { samples: false }) {
        Ok(written) => written,
        Err(why) => return Some(why),
    };
    let one = MetricValue::Samples(vec![1.0]);
    let expression = expression::prepare(text, vocabulary(&one)).ok()?;
    let why = answer(&expression, &one, Timestamp::UNIX_EPOCH, &Nan::default()).err();
    // A bare result may be anything here, and not a number alone.
    let mismatch = || written.mismatch(&Type::Unknown, true).map(Mismatch::told);
    why.filter(|why| why.starts_with(SYNTAX_ERROR)).or_else(mismatch)
}

/// What is wrong with a condition whatever a provider measures: no type of its results fits.
pub(crate) fn misfit(text: &str, provider: &MetricProvider) -> Option<String> {
    let mut last = None;
    for result in declared::of_provider(provider) {
        let samples = result.is_samples();
        let expression = expression::prepare(text, Vocabulary::Condition { samples }).ok()?;
        last = Some(expression.mismatch(&result, samples)?.told());
    }
    last
}

/// Evaluates an expression for a point in time, such as `now() - duration("1h")`.
///
/// # Errors
/// Fails when the text is no expression or does not yield a time.
pub(crate) fn evaluate_time(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let expression = expression::prepare(text, Vocabulary::Time)?;
    let value = run(&functions::language(now), &expression, &Context::default())?;
    let Some(seconds) = value.as_float() else {
        return Err(format!("expected time.Time, but got {}", go_type(&value)));
    };
    let milliseconds = (seconds * 1000.0).round();
    Timestamp::from_millisecond(milliseconds as i64).map_err(|error| error.to_string())
}

/// Runs an expression. The crate is not ours, so a panic in it counts as an error of the expression.
fn run(
    environment: &Environment<'_>,
    expression: &Expression<'_>,
    context: &Context,
) -> Result<Value, String> {
    let text = expression.text();
    match quiet::run(|| environment.eval(&text, context)) {
        Some(Ok(value)) => Ok(value),
        Some(Err(expr::Error::PestError(error))) => Err(syntax_error(&error.to_string(), expression)),
        Some(Err(error)) => Err(error.to_string()),
        None => Err("the expression cannot be evaluated".to_owned()),
    }
}

/// Turns the parser's drawing, which starts with ` --> line:column`, into one line in the user's words.
fn syntax_error(drawing: &str, expression: &Expression<'_>) -> String {
    let number = |text: &str| text.trim().parse().ok();
    let place = drawing.split_once("--> ").and_then(|(_, rest)| rest.lines().next()?.split_once(':'));
    match place.and_then(|(line, column)| Some((number(line)?, number(column)?))) {
        Some((line, column)) => format!("{SYNTAX_ERROR} at {:?}", expression.token_at(line, column)),
        None => SYNTAX_ERROR.to_owned(),
    }
}

/// The name that Go has for the type of a value.
pub(super) fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Integer(_) => "int",
        Value::Float(_) => "float64",
        Value::Bool(_) => "bool",
        Value::Nil => "<nil>",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Bytes(_) => "[]uint8",
        Value::Map(_) | Value::KeyedMap(_) => "map[string]interface {}",
    }
}

/// Numbers are float64 throughout, as they are for Go's JSON decoder.
fn to_expr(value: &MetricValue) -> Value {
    match value {
        MetricValue::Number(number) => Value::Float(*number),
        MetricValue::Samples(samples) => {
            Value::Array(samples.iter().map(|sample| Value::Float(*sample)).collect())
        }
        MetricValue::Json(json) | MetricValue::Hollow(json) => from_json(json),
        MetricValue::Nothing(_) => Value::Nil,
    }
}

fn from_json(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Nil,
        serde_json::Value::Bool(flag) => Value::Bool(*flag),
        serde_json::Value::Number(number) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        serde_json::Value::String(text) => Value::String(text.clone()),
        serde_json::Value::Array(items) => Value::Array(items.iter().map(from_json).collect()),
        serde_json::Value::Object(fields) => {
            fields.iter().map(|(key, value)| (key.clone(), from_json(value))).collect()
        }
    }
}

#[cfg(test)]
#[path = "condition_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "condition_literal_tests.rs"]
mod literal_tests;

#[cfg(test)]
#[path = "condition_type_tests.rs"]
mod type_tests;
