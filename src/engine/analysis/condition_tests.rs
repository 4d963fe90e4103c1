use super::*;
use serde_json::json;

/// Of a provider that nobody has named.
fn evaluate(text: &str, value: &MetricValue, now: Timestamp) -> Result<bool, String> {
    super::evaluate(text, None, value, now)
}

fn now() -> Timestamp {
    "2026-11-21T08:00:00Z".parse().unwrap()
}

fn samples(samples: &[f64]) -> MetricValue {
    MetricValue::Samples(samples.to_vec())
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn conditions_as_argo_users_write_them() {
    let json = MetricValue::Json(json!({
        "ok": true, "rate": 0.99, "text": "42", "items": [{"name": "a", "value": 1}, {"name": "b", "value": 7}],
        "tags": {"env": "prod"}, "nothing": null,
    }));
    let one = samples(&[0.97]);
    let three = samples(&[1.0, 5.0, 9.0]);
    let cases: &[(&MetricValue, &str, bool)] = &[
        (&one, "result[0] >= 0.95", true),
        (&one, "result[0] > 0.99", false),
        (&one, "result[0] >= 1", false),
        (&one, "result >= 0.95", true),
        (&one, "0.95 <= result && result <= 1", true),
        (&one, "(result) < 0.5 or result > 0.96", true),
        (&one, "result != 0.97", false),
        (&one, "not (result < 0.5)", true),
        (&one, "!(result[0] < 0.5)", true),
        (&one, "abs(result - 1) < 0.05", true),
        (&one, "result * 100 > 96.9", true),
        (&one, "isNaN(result[0]) || result[0] >= 0.95", true),
        (&one, "!isNaN(result) and !isInf(result)", true),
        (&one, "asInt(result[0]) == 0", true),
        (&one, "asFloat(result[0]) == 0.97", true),
        (&one, "default(result, 0)[0] > 0.9", true),
        (&one, "len(result) == 1 && result[0] > 0.9", true),
        (&one, "len(result) == 0 || result[0] < 0.05", false),
        (&one, "result[-1] > 0.9", true),
        (&one, "result[0] in [0.97, 1]", true),
        (&one, "result[0] not in [1, 2]", true),
        (&one, "result[0] > 0.9 ? true : false", true),
        (&one, "let x = result[0]; x > 0.9 && x < 1", true),
        (&one, "now() - duration(\"1h\") > date(\"2026-11-21T06:59:59Z\")", true),
        (&three, "all(result, # < 10)", true),
        (&three, "all(result, {# < 9})", false),
        (&three, "any(result, # > 8)", true),
        (&three, "none(result, {# > 9})", true),
        (&three, "one(result, # == 5)", true),
        (&three, "count(result, # > 2) == 2", true),
        (&three, "len(filter(result, {# > 2})) == 2", true),
        (&three, "sum(result) == 15", true),
        (&three, "mean(result) <= 5 and median(result) == 5", true),
        (&three, "max(result) - min(result) == 8", true),
        (&three, "map(result, # * 2)[2] == 18", true),
        (&three, "reduce(result, #acc + #, 0) == 15", true),
        (&three, "result | filter(# > 2) | len() == 2", true),
        (&three, "result[1:] == [5, 9] and len(result[:2]) == 2", true),
        (&three, "5 in result", true),
        (&three, "first(result) == 1 && last(result) == 9", true),
        (&json, "result.ok", true),
        (&json, "result.ok && result.rate >= 0.95", true),
        (&json, "result[\"rate\"] > 0.9", true),
        (&json, "asInt(result.text) == 42", true),
        (&json, "float(result.text) > 41.5", true),
        (&json, "all(result.items, .value > 0)", true),
        (&json, "any(result.items, {.name == 'b' && .value > 5})", true),
        (&json, "filter(result.items, .value > 5)[0].name == \"b\"", true),
        (&json, "result.tags.env matches '^pro' and result.tags.env startsWith \"p\"", true),
        (&json, "'env' in result.tags", true),
        (&json, "result.missing == nil", true),
        (&json, "(result.nothing ?? 5) == 5", true),
        (&json, "result.text not contains '5'", true),
        (&json, "result.tags.env not startsWith 'pro' or result.ok", true),
        (&three, "findIndex(result, # > 2) == 1 and findLastIndex(result, # > 2) == 2", true),
        (&json, "len(result.items) in 1..3", true),
        (&MetricValue::Number(3.0), "result == 3", true),
        (&MetricValue::Number(3.0), "result % 2 == 1", false),
        (&MetricValue::Number(f64::INFINITY), "isInf(result)", true),
        (&MetricValue::Json(json!(null)), "isNil(result)", true),
        (&MetricValue::Json(json!(null)), "default(result, 0) < 0.05", true),
        (&MetricValue::Json(json!("up")), "result == 'up'", true),
    ];
    for (value, text, wanted) in cases {
        let got = evaluate(text, value, now());
        if text.contains('%') {
            assert!(got.is_err(), "Go has no % for floats either: {got:?}");
        } else {
            assert_eq!(got, Ok(*wanted), "{text}");
        }
    }
}

/// What Go's expr answers, by its parser and its compiler.
#[test]
fn forms_that_only_go_knows_mean_the_same() {
    let json = MetricValue::Json(json!({"ok": true, "rate": 0.99, "items": [{"value": 1}, {"value": 7}]}));
    let (one, three) = (samples(&[0.97]), samples(&[1.0, 5.0, 9.0]));
    let cases: &[(&MetricValue, &str, bool)] = &[
        // Comparisons in a row.
        (&one, "0.9 <= result[0] <= 1", true),
        (&one, "0.9 <= result <= 1", true),
        (&one, "0.98 <= result[0] <= 1", false),
        (&one, "0.9 <= result[0] < 0.97", false),
        (&one, "0 < result[0] * 2 < 1", false),
        (&one, "1 > result[0] > 0.9 >= 0.5", true),
        (&one, "1 > result[0] > 0.9 >= 0.95", false),
        (&one, "3 > 2 > 1 and 1 < 2 > 1", true),
        (&one, "not (1 < 2 < 2)", true),
        (&one, "1 < 2 < 2 or 0 < len(result) < 2", true),
        (&one, "0 < result[0] < 1 == true", true),
        (&one, "0 < result[0] < 1 ? true : false", true),
        (&one, "'a' < 'b' <= 'b'", true),
        (&one, "let x = 0 < result[0] < 0.5; !x", true),
        (&one, "0 < result[0] / 2 < 0.5", true),
        (&three, "all(result, 0 < # < 10)", true),
        (&three, "all(result, {0 < # < 9})", false),
        (&three, "count(result, 1 < # <= 9) == 2", true),
        (&three, "0 < count(result, 1 < # < 9) < 2", true),
        (&three, "result | len() < 4 < 5", true),
        (&json, "all(result.items, {0 < .value < 8})", true),
        (&json, "0.9 <= result.rate <= 0.95", false),
        // What is true is its own answer.
        (&one, "result[0] > 2 ?: true", true),
        (&one, "result[0] > 0.5 ?: false", true),
        (&one, "result[0] > 2 ?: result[0] > 3 ?: result[0] > 0.5", true),
        (&json, "result.ok ?: false", true),
        // Several signs and negations.
        (&json, "!!result.ok and not not result.ok", true),
        (&json, "!!!result.ok", false),
        (&one, "!!(result[0] > 1) == false", true),
        (&one, "--result[0] == 0.97 and 1 - - -result[0] < 0.5", true),
        // The environment, and the language's own functions by name.
        (&one, "$env.result[0] > 0.9 and $env[\"result\"][0] < 1", true),
        (&json, "$env?.result.ok", true),
        (&one, "::len(result) == 1 and ::abs(-1) == 1", true),
        (&one, "max(result[0], 2,) == 2", true),
        // Nothing is found.
        (&three, "findIndex(result, # > 20) == nil", true),
        (&three, "findIndex(result, # > 2) != nil", true),
        (&three, "nil == findLastIndex(result, # > 20)", true),
        (&three, "(findIndex(result, # > 20) ?? 7) == 7", true),
        (&three, "(result | findLastIndex(# > 2) ?? 7) == 2", true),
        (&three, "(result | findIndex(# > 2)) == 1", true),
    ];
    for (value, text, wanted) in cases {
        assert_eq!(evaluate(text, value, now()), Ok(*wanted), "{text}");
    }
    for text in ["'a' < 1 < 2", "!!result[0] == true", "1 < < 2", "1 ?: true"] {
        assert!(evaluate(text, &one, now()).is_err(), "{text}");
    }
}

#[test]
fn conditions_that_fail_say_why() {
    let one = samples(&[0.97]);
    let two = samples(&[1.0, 2.0]);
    let cases: &[(&MetricValue, &str, &str)] = &[
        (&one, "result", "expected bool, but got []interface {}"),
        (&one, "result[0]", "expected bool, but got float64"),
        (&one, "len(result)", "expected bool, but got int"),
        (&one, "'a'", "expected bool, but got string"),
        (&one, "nil", "expected bool, but got <nil>"),
        (&one, "result[1] != 5", "index out of range: 1 (array length is 1)"),
        (&one, "true || foo", "unknown name foo"),
        (&one, "result[0] >", "syntax error at \">\""),
        (&one, "result[0] => 1", "syntax error at \"=\""),
        (&one, "", "syntax error at \"the end\""),
        (
            &two,
            "result >= 0.95",
            "result has 2 samples and is used as a number: name one of them, such as result[0]",
        ),
        (
            &two,
            "result != 5",
            "result has 2 samples and is used as a number: name one of them, such as result[0]",
        ),
        (&samples(&[]), "result[0] > 1", NO_DATA),
        (&samples(&[]), "result > 1", NO_DATA),
        (&MetricValue::Json(json!([])), "result[0].x > 1", NO_DATA),
        (&two, "all(result, # + 1)", "predicate should return boolean (got float64)"),
        (&one, "result[0] ?? 5 == 5", "== after ?? needs parentheses around one of them"),
        (&one, "'\\/' == '/'", "invalid char escape \\/"),
        (&one, "'\\n\\n' == 'é' 5", "syntax error at \"5\""),
        (&one, "'\\n\\n' == > 5", "syntax error at \">\""),
        (&one, "`\n` == '' and 1 + * 5 > 2", "syntax error at \"*\""),
        (&one, "findIndex(result, # > 2) != 1", "the search finds nothing, so there is no index"),
        (&one, "result | findLastIndex(# > 2) != 1", "the search finds nothing, so there is no index"),
        (&one, "$env.other > 1", "unknown name $env"),
        (&one, "asInt('x') == 1", "strconv.ParseInt: parsing \"x\": invalid syntax"),
        (&one, "duration('x') > duration('1s')", "time: invalid duration \"x\""),
        (&one, "repeat('x', 100000) == ''", "a text is longer than 65536 bytes"),
    ];
    for (value, text, wanted) in cases {
        assert_eq!(evaluate(text, value, now()), Err((*wanted).to_owned()), "{text}");
    }
}

fn phase(success: &str, failure: &str, value: &MetricValue) -> (AnalysisPhase, String) {
    let metric = Metric {
        success_condition: (!success.is_empty()).then(|| success.to_owned()),
        failure_condition: (!failure.is_empty()).then(|| failure.to_owned()),
        ..Metric::default()
    };
    let verdict = judge(&metric, value, now());
    (verdict.phase, verdict.message)
}

#[test]
fn the_two_conditions_make_four_phases() {
    use AnalysisPhase::{Error, Failed, Inconclusive, Successful};
    let value = samples(&[5.0]);
    for (success, failure, wanted) in [
        ("", "", Successful),
        ("result[0] == 5", "", Successful),
        ("result[0] == 4", "", Failed),
        ("", "result[0] == 5", Failed),
        ("", "result[0] == 4", Successful),
        ("result[0] == 5", "result[0] == 5", Failed),
        ("result[0] == 5", "result[0] == 4", Successful),
        ("result[0] == 4", "result[0] == 3", Inconclusive),
        ("result[0] == 5", "result[1] == 3", Error),
    ] {
        assert_eq!(phase(success, failure, &value).0, wanted, "{success} / {failure}");
    }
    let (_, message) = phase("result[0] == 5", "result[1] == 3", &value);
    assert_eq!(
        message,
        "could not evaluate failureCondition \"result[1] == 3\": index out of range: 1 (array length is 1)"
    );
}

#[test]
fn missing_data_never_passes_unless_the_condition_names_it() {
    use AnalysisPhase::{Error, Failed, Successful};
    let (nan, none) = (samples(&[f64::NAN]), samples(&[]));
    let null = MetricValue::Json(json!(null));
    for (value, success, failure, wanted) in [
        (&nan, "", "", Error),
        (&nan, "result[0] >= 0.95", "", Failed),
        (&nan, "result >= 0.95", "", Failed),
        (&nan, "", "result[0] > 0.05", Error),
        (&nan, "!(result[0] > 0.05)", "", Error),
        (&nan, "none(result, # > 0.05)", "", Error),
        (&nan, "len(result) == 1", "", Error),
        (&nan, "isNaN(result[0]) || result[0] >= 0.95", "", Successful),
        (&nan, "", "!isNaN(result[0]) && result[0] > 0.05", Successful),
        (&MetricValue::Number(f64::NAN), "", "result > 0.05", Error),
        (&none, "", "", Error),
        (&none, "all(result, # < 5)", "", Error),
        (&none, "first(result) != 5", "", Error),
        (&none, "", "any(result, # > 5)", Error),
        (&none, "result[0] >= 0.95", "", Error),
        (&none, "len(result) == 0 || result[0] >= 0.95", "", Successful),
        (&none, "", "len(result) > 0 && result[0] > 0.05", Successful),
        (&null, "", "result == 5", Error),
        (&null, "default(result, 0) < 0.05", "", Successful),
        (&null, "isNil(result)", "", Successful),
    ] {
        let (got, message) = phase(success, failure, value);
        assert_eq!(got, wanted, "{value:?}: {success} / {failure}: {message}");
        assert_eq!(message.is_empty(), wanted == Successful);
    }
    assert_eq!(phase("result[0] >= 0.95", "", &nan).1, "metric result is NaN");
    assert_eq!(phase("len(result) > 0 && result[0] >= 0.95", "", &none), (Failed, NO_DATA.to_owned()));
    let (_, message) = phase("all(result, # < 5)", "", &none);
    assert_eq!(message, format!("could not evaluate successCondition \"all(result, # < 5)\": {NO_DATA}"));
}

#[test]
fn a_number_that_is_none_never_passes_unless_the_condition_names_it() {
    use AnalysisPhase::{Error, Failed, Successful};
    let nothing = MetricValue::Json(json!({"errors": 0, "total": 0, "share": "NaN"}));
    let some = MetricValue::Json(json!({"errors": 1, "total": 4, "share": "0.25"}));
    let zeros = samples(&[0.0, 0.0]);
    for (value, success, failure, wanted) in [
        (&nothing, "", "asFloat(result.share) > 0.05", Error),
        (&nothing, "", "float(result.share) > 0.05", Error),
        (&nothing, "", "result.errors / result.total > 0.05", Error),
        (&nothing, "!(result.errors / result.total > 0.05)", "", Error),
        (&nothing, "let share = 100 * result.errors / result.total; share != 5", "", Error),
        (&nothing, "result.total == 0", "result.errors / result.total > 0.05", Error),
        (&nothing, "none([result], .errors / .total > 0.05)", "", Error),
        (&zeros, "", "result[0] / result[1] > 0.05", Error),
        (&nothing, "result.errors / result.total < 0.05", "", Failed),
        (&nothing, "result.total == 0 || result.errors / result.total < 0.05", "", Successful),
        (&nothing, "isNaN(result.errors / result.total)", "", Successful),
        (&nothing, "", "!isNaN(asFloat(result.share)) && asFloat(result.share) > 0.05", Successful),
        (&some, "", "asFloat(result.share) > 0.3", Successful),
        (&some, "result.errors / result.total == 0.25", "", Successful),
    ] {
        let (got, message) = phase(success, failure, value);
        assert_eq!(got, wanted, "{success} / {failure}: {message}");
        assert_eq!(message.contains("NaN"), wanted != Successful, "{message}");
    }
}

#[test]
fn times_are_relative_to_now() {
    for (text, wanted) in [
        ("now()", "2026-11-21T08:00:00Z"),
        ("now() - duration(\"1h\")", "2026-11-21T07:00:00Z"),
        ("date(\"2026-11-20\") + duration('90m')", "2026-11-20T01:30:00Z"),
    ] {
        assert_eq!(evaluate_time(text, now()), Ok(wanted.parse().unwrap()), "{text}");
    }
    for text in ["", "5", "result", "now() > now()", "duration(\"1000000000h\") * 1000000000.0"] {
        assert!(evaluate_time(text, now()).is_err(), "{text}");
    }
}

#[test]
fn abuse_ends_in_an_error() {
    let many = MetricValue::Samples(vec![1.0; 10_000]);
    for text in [
        "len(map(result, map(result, #))) > 0",
        "len(concat(result, result, result, result, result, result)) > 0",
        "reduce(1..900, #acc + #acc, \"x\") == \"\"",
        "len(replace(repeat('a', 1000), 'a', repeat('b', 1000))) > 0",
        "len(join(map(1..900, 'x'), repeat('b', 1000))) > 0",
        "len(replace(repeat('a', 1000), 'a', repeat('b', 1000), 900)) > 0",
        "len(map(1..900, {{a: result}})) > 0",
        "len(map(1..900, [result])) > 0",
        "len(sortBy(result, [result])) > 0",
        "len(9223372036854775800..9223372036854775807) > 0",
    ] {
        assert!(evaluate(text, &many, now()).is_err(), "{text}");
    }
    let deep = format!("{}true{}", "(".repeat(16), ")".repeat(16));
    assert_eq!(evaluate(&deep, &many, now()), Ok(true));
    let long = format!("{}1 > 0", "1 + ".repeat(148));
    assert_eq!(evaluate(&long, &many, now()), Ok(true));
    let quotients = format!("{}1{} > 0", "(1/".repeat(16), ")".repeat(16));
    assert_eq!(evaluate(&quotients, &many, now()), Ok(true));
    let powers = format!("{}1 > 0", "1 ** ".repeat(148));
    assert_eq!(evaluate(&powers, &many, now()), Ok(true));
    let choices = format!("{}true", "true ? true : ".repeat(70));
    assert_eq!(evaluate(&choices, &many, now()), Ok(true));
    let negations = format!("{}true", "!".repeat(298));
    assert_eq!(evaluate(&negations, &many, now()), Ok(true));
}

mod any_text {
    use super::*;
    use proptest::prelude::*;

    /// Pieces of the language in any order: far more of these parse than of random characters.
    fn pieces() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "result",
            "[",
            "]",
            "(",
            ")",
            "{",
            "}",
            "0",
            "1.5",
            "1..3",
            "\"a\"",
            "'b'",
            "`c`",
            ".x",
            "?.",
            "??",
            "?",
            ":",
            ",",
            ";",
            "let x =",
            "x",
            "all",
            "map",
            "filter",
            "reduce",
            "len",
            "asInt",
            "isNaN",
            "default",
            "now()",
            "duration('1s')",
            "==",
            "!=",
            ">",
            ">=",
            "<",
            "+",
            "-",
            "*",
            "/",
            "%",
            "**",
            "and",
            "or",
            "not",
            "in",
            "matches",
            "contains",
            "#",
            "#acc",
            "|",
            "!",
            "nil",
            "true",
            "false",
            "if",
            "else",
            "$env",
            "b'\\x41'",
            "é",
            "0x",
            "sort",
            "sum",
            "first",
            "get",
            "bitshl",
            "split",
            "/*",
            "//",
        ]);
        prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.join(" "))
    }

    fn value() -> impl Strategy<Value = MetricValue> {
        prop_oneof![
            any::<f64>().prop_map(MetricValue::Number),
            prop::collection::vec(any::<f64>(), 0..4).prop_map(MetricValue::Samples),
            Just(MetricValue::Json(json!(null))),
            Just(MetricValue::Json(json!({"x": [1, {"x": "a"}], "y": true}))),
            Just(MetricValue::Json(json!("text"))),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5000))]
        #[test]
        fn yields_a_verdict(text in prop_oneof![pieces(), ".{0,60}"], other in pieces(), value in value()) {
            let (got, message) = phase(&text, &other, &value);
            prop_assert!(got.is_completed());
            prop_assert!(got != AnalysisPhase::Error || !message.is_empty());
            let _ = evaluate_time(&text, now());
        }

        #[test]
        fn missing_data_passes_only_where_it_is_named(text in pieces()) {
            for (value, names) in [(samples(&[f64::NAN]), &["isNaN"][..]), (samples(&[]), &["len", "default", "isNil"])] {
                if phase(&text, "", &value).0 == AnalysisPhase::Successful {
                    prop_assert!(names.iter().any(|name| text.contains(name)), "{}", text);
                }
            }
        }
    }
}

#[test]
fn of_two_conditions_that_cannot_be_evaluated_the_success_condition_is_told() {
    let metric = Metric {
        success_condition: Some("unknown > 1".into()),
        failure_condition: Some("other > 1".into()),
        ..Metric::default()
    };
    let verdict = judge(&metric, &samples(&[1.0]), now());
    assert_eq!(verdict.phase, AnalysisPhase::Error);
    assert!(verdict.message.starts_with("could not evaluate successCondition"), "{}", verdict.message);
}
