//! Conditions that Argo Rollouts 1.10.1 refuses for their types before they run, and their neighbours: each row as
//! `evaluate.EvalCondition` answers it, with its words.

use super::*;
use serde_json::json;

type Row<'r> = (&'r str, Result<bool, &'r str>);

const YES: Result<bool, &str> = Ok(true);
const NO: Result<bool, &str> = Ok(false);

fn asked(provider: &MetricProvider, value: &MetricValue, text: &str) -> Result<bool, String> {
    let result = declared::of_result(Some(provider), value);
    evaluate_noting(text, value, &result, Timestamp::UNIX_EPOCH, &Nan::default())
}

/// Asks each row of what a provider measured.
fn assert_answers(provider: &str, value: &MetricValue, rows: &[Row<'_>]) {
    let provider: MetricProvider = serde_json::from_value(json!({provider: {}})).unwrap();
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|(text, wanted)| {
            let got = asked(&provider, value, text);
            let is_right = got.as_ref().map_err(String::as_str) == wanted.as_ref().map_err(|why| *why);
            (!is_right).then(|| format!("{text}: {got:?} instead of {wanted:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_can_never_fit_is_refused() {
    assert_answers(
        "prometheus",
        &MetricValue::Samples(vec![5.0]),
        &[
            (r#"result[0] != "5""#, Err("invalid operation: != (mismatched types float64 and string)")),
            (r#"result[0] == "5""#, Err("invalid operation: == (mismatched types float64 and string)")),
            (r#""1" != 1"#, Err("invalid operation: != (mismatched types string and int)")),
            (r#"len(result) == "3""#, Err("invalid operation: == (mismatched types int and string)")),
            (
                r#"true || result[0] != "5""#,
                Err("invalid operation: != (mismatched types float64 and string)"),
            ),
            (
                r#"result[0] > 1 and result[0] != "x""#,
                Err("invalid operation: != (mismatched types float64 and string)"),
            ),
            (r#"1 < 2 < "a""#, Err("invalid operation: < (mismatched types int and string)")),
            (r#"not (result[0] == "5")"#, Err("invalid operation: == (mismatched types float64 and string)")),
            (r#"result[0] in ["a"]"#, Err("cannot use float64 as type string in array")),
            (r#""a" in result"#, Err("cannot use string as type float64 in array")),
            (r#"result["a"] > 1"#, Err("array elements can only be selected using an integer (got string)")),
            ("result.a > 1", Err("array elements can only be selected using an integer (got string)")),
            ("result[0.5] > 1", Err("array elements can only be selected using an integer (got float64)")),
            ("result[0].x > 1", Err("type float64 has no field x")),
            (
                r#"let x = result[0]; x != "5""#,
                Err("invalid operation: != (mismatched types float64 and string)"),
            ),
            ("let len = 1; len == 1", Err("cannot redeclare builtin len")),
            ("let result = 1; true", Err("cannot redeclare result")),
            ("let x = 1; let x = 2; true", Err("cannot redeclare variable x")),
            (
                "if result[0] { true } else { false }",
                Err("non-bool expression (type float64) used as condition"),
            ),
            ("result[0] ? true : false", Err("non-bool expression (type float64) used as condition")),
            ("!result[0]", Err("invalid operation: ! (mismatched type float64)")),
            (r#"-"a" == 1"#, Err("invalid operation: - (mismatched type string)")),
            (
                r#"result[0] contains "a""#,
                Err("invalid operation: contains (mismatched types float64 and string)"),
            ),
            (
                r#"upper(result[0]) == "A""#,
                Err("cannot use float64 as argument (type string) to call upper "),
            ),
            ("len(result[0]) == 1", Err("invalid argument for len (type float64)")),
            (r#"result[0:"a"] == [1]"#, Err("non-integer slice index string")),
            (r#"result["a":] == [1]"#, Err("non-integer slice index string")),
            (r#"all(result, # != "a")"#, Err("invalid operation: != (mismatched types float64 and string)")),
            (r#"any(result, # == "a")"#, Err("invalid operation: == (mismatched types float64 and string)")),
            (
                r#"filter(result, # == "a") == []"#,
                Err("invalid operation: == (mismatched types float64 and string)"),
            ),
            (
                r#"count(result, # != "a") > 0"#,
                Err("invalid operation: != (mismatched types float64 and string)"),
            ),
            (
                r#"find(result, # > 0) != "a""#,
                Err("invalid operation: != (mismatched types float64 and string)"),
            ),
            (
                "map(result, string(#))[0] != 5",
                Err("invalid operation: != (mismatched types string and int)"),
            ),
            ("result[0] % 2 == 1", Err("invalid operation: % (mismatched types float64 and int)")),
            ("type(result[0]) == 5", Err("invalid operation: == (mismatched types string and int)")),
            ("now() > 5", Err("invalid operation: > (mismatched types time.Time and int)")),
            (
                r#"now() - duration("1h") > 5"#,
                Err("invalid operation: > (mismatched types time.Time and int)"),
            ),
            (r#"duration("1h") > 5"#, Err("invalid operation: > (mismatched types time.Duration and int)")),
            ("now() + now() == 1", Err("invalid operation: + (mismatched types time.Time and time.Time)")),
            (r#"{"a": 1}[5] == 5"#, Err("cannot use int to get an element from map[string]interface {}")),
            ("1 in {a: 1}", Err("cannot use int as type string in map key")),
            (r#"[1, 2][0] != "a""#, Err("invalid operation: != (mismatched types int and string)")),
            (
                r#"[1, 2]["a"] != "a""#,
                Err("array elements can only be selected using an integer (got string)"),
            ),
            (r#""abc"[0] == "a""#, Err("type string[int] is undefined")),
            (r#""abc"[0:1] == 5"#, Err("invalid operation: == (mismatched types string and int)")),
            (r#"asInt("1") != "1""#, Err("invalid operation: != (mismatched types int64 and string)")),
            (r#"isNaN("a")"#, Err("cannot use string as argument (type float64) to call isNaN ")),
            ("isNil(1, 2)", Err("too many arguments to call isNil")),
            ("default(result) == 1", Err("not enough arguments to call default")),
            (r#"max(1, "a") == 1"#, Err("invalid argument for max (type string)")),
            ("string(1) == 1", Err("invalid operation: == (mismatched types string and int)")),
            (
                r#"(result[0] > 1 ? 1 : 2) != "b""#,
                Err("invalid operation: != (mismatched types int and string)"),
            ),
            (
                r#"(result[0] > 1 ? 1 : nil) != "b""#,
                Err("invalid operation: != (mismatched types int and string)"),
            ),
            (r#"result | len() != "a""#, Err("invalid operation: != (mismatched types int and string)")),
            (
                r#"result | filter(# > 1) | len() == "a""#,
                Err("invalid operation: == (mismatched types int and string)"),
            ),
            (
                r#"all(result, {let y = #; y != "a"})"#,
                Err("invalid operation: != (mismatched types float64 and string)"),
            ),
            ("all(result, #index > 1)", Err("unknown pointer #index")),
            (
                r#"map(result, #index)[0] != "a""#,
                Err("invalid operation: != (mismatched types int and string)"),
            ),
            (r#"result?.[0] != "a""#, Err("invalid operation: != (mismatched types float64 and string)")),
            (r#"$env.result[0] != "a""#, Err("invalid operation: != (mismatched types float64 and string)")),
            (
                r#"$env["result"][0] != "a""#,
                Err("invalid operation: != (mismatched types float64 and string)"),
            ),
            (r#"::len(result) != "a""#, Err("invalid operation: != (mismatched types int and string)")),
            (r#"result[0] not in ["a", "b"]"#, Err("cannot use float64 as type string in array")),
            (r#""x" not contains 5"#, Err("invalid operation: contains (mismatched types string and int)")),
            (r#"sum(result, "a") == 1"#, Err("invalid operation: == (mismatched types string and int)")),
            (r#"sum(map(result, "a")) == 1"#, Err("invalid operation: == (mismatched types string and int)")),
            (r#"result | sum() == "a""#, Err("invalid operation: == (mismatched types float64 and string)")),
            ("[nil, nil][0] > 5", Err("invalid operation: > (mismatched types unknown and int)")),
            ("1 == 1 == 1", Err("invalid operation: == (mismatched types bool and int)")),
            ("(1 == 1) != 1", Err("invalid operation: != (mismatched types bool and int)")),
            ("1 < 2 == 3 < 4", Err("invalid operation: == (mismatched types bool and int)")),
            (r#"result[0] == 5 == "a""#, Err("invalid operation: == (mismatched types bool and string)")),
            (r#"get(result, "a") == 1"#, Err("non-integer slice index string")),
            (r#"get(result, 0) != "a""#, Err("invalid operation: != (mismatched types float64 and string)")),
            ("get({a: 1}, 5) == 1", Err("cannot use int to get an element from map[string]interface {}")),
            (
                r#"take(result, 1)[0] != "a""#,
                Err("invalid operation: != (mismatched types float64 and string)"),
            ),
            ("take(result, 1.5) == 1", Err("cannot take float64 elements")),
            (
                r#"groupBy(result, # > 1)[true] != "a""#,
                Err("invalid operation: != (mismatched types []interface {} and string)"),
            ),
            (r#"split("a,b", ",")[0] != 1"#, Err("invalid operation: != (mismatched types string and int)")),
            (
                r#"join(split("a,b", ","), "") == 1"#,
                Err("invalid operation: == (mismatched types string and int)"),
            ),
            (r#"last(result) != "a""#, Err("invalid operation: != (mismatched types float64 and string)")),
            (r#"mean(1, 2) != "a""#, Err("invalid operation: != (mismatched types int and string)")),
            (r#"bitand(1, 2) == "a""#, Err("invalid operation: == (mismatched types int and string)")),
            ("bitand(1.5, 2) == 1", Err("cannot use float64 as argument (type int) to call bitand ")),
            (r#"round(1.5) == "a""#, Err("invalid operation: == (mismatched types float64 and string)")),
            (r#"floor("a") == 1"#, Err("invalid argument for floor (type string)")),
            (r#"repeat("a", 2) != 5"#, Err("invalid operation: != (mismatched types string and int)")),
            (r#"repeat("a", 2.5) == "a""#, Err("cannot use float64 as argument (type int) to call repeat ")),
            (
                r#"replace("a", "b", "c", 1) != 1"#,
                Err("invalid operation: != (mismatched types string and int)"),
            ),
            (r#"indexOf("a", "b") != "a""#, Err("invalid operation: != (mismatched types int and string)")),
            (r#"hasPrefix("a", "b") == 1"#, Err("invalid operation: == (mismatched types bool and int)")),
            (r#"lower(5) == "a""#, Err("cannot use int as argument (type string) to call lower ")),
            (r#"trim(5) == "a""#, Err("not enough arguments to call trim")),
            (r#"date("2026-01-01") == 5"#, Err("invalid operation: == (mismatched types time.Time and int)")),
            ("now(1) == now()", Err("invalid number of arguments (expected 0, got 1)")),
            ("1 ?: 2", Err("non-bool expression (type int) used as condition")),
            (
                "result[0] != 'x' and true or false",
                Err("invalid operation: != (mismatched types float64 and string)"),
            ),
            ("not result[0] == 5", Err("invalid operation: not (mismatched type float64)")),
            (
                "!(result[0] == 'a') && true",
                Err("invalid operation: == (mismatched types float64 and string)"),
            ),
            (r#"-result[0] ** 2 != "a""#, Err("invalid operation: != (mismatched types float64 and string)")),
            (r#"2 ** 3 ** 2 != "a""#, Err("invalid operation: != (mismatched types float64 and string)")),
            (r#"1 + 2 * 3 != "a""#, Err("invalid operation: != (mismatched types int and string)")),
            (r#"result[0] + "a" == "b""#, Err("invalid operation: + (mismatched types float64 and string)")),
            (r#""a" + 1 == "a1""#, Err("invalid operation: + (mismatched types string and int)")),
            ("nil + 1 == 1", Err("invalid operation: + (mismatched types unknown and int)")),
            ("nil > 1", Err("invalid operation: > (mismatched types unknown and int)")),
            ("nil in {a: 1}", Err("cannot use unknown as type string in map key")),
            ("!nil", Err("invalid operation: ! (mismatched type unknown)")),
            ("-nil == 1", Err("invalid operation: - (mismatched type unknown)")),
            ("nil ? true : false", Err("non-bool expression (type unknown) used as condition")),
            ("len(nil) == 1", Err("invalid argument for len (type %!s(<nil>))")),
            (
                "[1] + [2] == [3]",
                Err("invalid operation: + (mismatched types []interface {} and []interface {})"),
            ),
            (
                "{a: 1} + 1 == 1",
                Err("invalid operation: + (mismatched types map[string]interface {} and int)"),
            ),
            ("true + 1 == 2", Err("invalid operation: + (mismatched types bool and int)")),
            ("true > false", Err("invalid operation: > (mismatched types bool and bool)")),
            (r#""a" > 1"#, Err("invalid operation: > (mismatched types string and int)")),
            ("[1] > [2]", Err("invalid operation: > (mismatched types []interface {} and []interface {})")),
            ("{a: 1} == 1", Err("invalid operation: == (mismatched types map[string]interface {} and int)")),
            ("[1] == 1", Err("invalid operation: == (mismatched types []interface {} and int)")),
            ("true == 1", Err("invalid operation: == (mismatched types bool and int)")),
            (r#"true != "true""#, Err("invalid operation: != (mismatched types bool and string)")),
            (r#"all(["a"], # != 5)"#, Err("invalid operation: != (mismatched types string and int)")),
            (r#"map([1], "a")[0] != 5"#, Err("invalid operation: != (mismatched types string and int)")),
            (
                r#"filter(["a"], # != 5) == []"#,
                Err("invalid operation: != (mismatched types string and int)"),
            ),
            (r#"find(["a"], true) != 5"#, Err("invalid operation: != (mismatched types string and int)")),
            (
                r#"findIndex(["a"], true) != "a""#,
                Err("invalid operation: != (mismatched types int and string)"),
            ),
            (r#"sortBy(["a"], #)[0] != 5"#, Err("invalid operation: != (mismatched types string and int)")),
            (r#"reduce([1], 5) != "a""#, Err("invalid operation: != (mismatched types int and string)")),
            (r#"sum([1]) != "a""#, Err("invalid operation: != (mismatched types int and string)")),
            (r#"sum(["a"]) != 5"#, Err("invalid operation: != (mismatched types string and int)")),
            (r#"sum([1], # + 1) != "a""#, Err("invalid operation: != (mismatched types int and string)")),
            (r#"count(["a"]) == "a""#, Err("invalid operation: == (mismatched types int and string)")),
            (r#""a" in "abc""#, Err("invalid operation: in (mismatched types string and string)")),
            (r#"1 in "abc""#, Err("invalid operation: in (mismatched types int and string)")),
            ("1 in 5", Err("invalid operation: in (mismatched types int and int)")),
            ("1 in nil", Err("invalid operation: in (mismatched types int and unknown)")),
        ],
    );
}

#[test]
fn what_may_fit_is_answered() {
    assert_answers(
        "prometheus",
        &MetricValue::Samples(vec![5.0]),
        &[
            ("result[0] == nil", NO),
            ("result == nil", NO),
            ("result == []", NO),
            (r#"[1, "a"][0] != "a""#, YES),
            (r#"asInt("1") == 1.0"#, YES),
            ("isNaN(1)", NO),
            (r#"(result[0] > 1 ? 1 : "a") != "b""#, YES),
            ("result[0] in [nil]", NO),
            ("1 < 2 == true", YES),
            (r#"sort(result)[0] == "a""#, NO),
            (r#"last(filter(result, true)) != "a""#, YES),
            (r#"[1] == ["a"]"#, NO),
            ("nil == nil", YES),
            ("1 == nil", NO),
            (r#""a" == nil"#, NO),
            (r#"reduce([1], # + #acc) != "a""#, YES),
        ],
    );
}

#[test]
fn below_the_first_level_of_json_everything_may_be() {
    let json = json!({
        "ok": true, "n": 5, "msg": "can't", "list": [1, 2, 3], "nothing": null, "deep": {"x": {"n": 2, "s": "a"}},
        "items": [{"name": "a", "v": 1}, {"name": "b", "v": 7}],
    });
    assert_answers(
        "web",
        &MetricValue::Json(json),
        &[
            (r#"result.n == "a""#, NO),
            (r#"result.n != "a""#, YES),
            ("result.msg != 1", YES),
            ("result.msg == 1.5", NO),
            (r#"result.ok != "a""#, YES),
            (r#"result.list != "a""#, YES),
            (r#"result.list[0] != "a""#, YES),
            (r#"result['n'] != "a""#, YES),
            ("result.deep.x.s != 1", YES),
            (r#"result.missing != "a""#, YES),
            (
                r#"result == "a""#,
                Err("invalid operation: == (mismatched types map[string]interface {} and string)"),
            ),
            (
                "result == [1]",
                Err("invalid operation: == (mismatched types map[string]interface {} and []interface {})"),
            ),
            ("result == {a: 1}", NO),
            (
                r#"map(result.items, .v) != "a""#,
                Err("invalid operation: != (mismatched types []interface {} and string)"),
            ),
            (r#"map(result.items, .v)[0] != "a""#, YES),
            (r#"len(result.list) != "a""#, Err("invalid operation: != (mismatched types int and string)")),
            (
                r#"filter(result.items, .v > 0) != "a""#,
                Err("invalid operation: != (mismatched types []interface {} and string)"),
            ),
            (r#"find(result.items, .v > 0) != "a""#, YES),
            ("keys(result)[0] != 1", YES),
            (
                r#"(result.ok ? 5 : result.n) != "a""#,
                Err("invalid operation: != (mismatched types int and string)"),
            ),
            (r#"(result.ok ? 5 : result.deep.x) != "a""#, YES),
            (r#"(result.ok ? result.n : 5) != "a""#, YES),
            (r#"result.n / 2 != "a""#, Err("invalid operation: != (mismatched types float64 and string)")),
            (r#"result.n + 1 != "a""#, YES),
            (r#"asInt(result.n) != "a""#, Err("invalid operation: != (mismatched types int64 and string)")),
            (r#"sum(result.items, .v) != "a""#, YES),
            (r#"result?.deep?.x != "a""#, YES),
            (r#"(result.n ?? 5) != "a""#, YES),
            (r#"(5 ?? result.n) != "a""#, YES),
            (r#"get(result, 'n') != "a""#, YES),
            (
                r#"get(result, 5) != "a""#,
                Err("cannot use int to get an element from map[string]interface {}"),
            ),
            (r#"result.msg not in ["a"]"#, YES),
            (r#"result.missing not in ["a"]"#, YES),
            (r#"{a: 1}.a != "a""#, YES),
            ("1 in result", Err("cannot use int as type string in map key")),
        ],
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn the_type_of_a_result_is_that_of_its_provider() {
    assert_answers(
        "web",
        &MetricValue::Json(json!("up")),
        &[
            ("result != 1", Err("invalid operation: != (mismatched types string and int)")),
            (r#"result != "a""#, YES),
            ("upper(result) != 1", Err("invalid operation: != (mismatched types string and int)")),
        ],
    );
    assert_answers(
        "web",
        &MetricValue::Json(json!(true)),
        &[
            (r#"result != "a""#, Err("invalid operation: != (mismatched types bool and string)")),
            ("result != true", NO),
            ("!result != 1", Err("invalid operation: != (mismatched types bool and int)")),
        ],
    );
    assert_answers(
        "prometheus",
        &MetricValue::Number(5.0),
        &[
            (r#"result != "a""#, Err("invalid operation: != (mismatched types float64 and string)")),
            (r#"abs(result) != "a""#, Err("invalid operation: != (mismatched types float64 and string)")),
            (r#"[result] != "a""#, Err("invalid operation: != (mismatched types []interface {} and string)")),
        ],
    );
    assert_answers(
        "web",
        &MetricValue::Json(json!([1, 5, "a", null])),
        &[
            (r#"result[0] != "a""#, YES),
            (r#"first(result) != "a""#, YES),
            (r#"result != "a""#, Err("invalid operation: != (mismatched types []interface {} and string)")),
        ],
    );
    assert_answers(
        "influxdb",
        &MetricValue::Samples(vec![5.0, 6.0]),
        &[
            (r#"result[0] != "a""#, YES),
            (r#"sum(result) != "a""#, YES),
            (r#"len(result) != "a""#, Err("invalid operation: != (mismatched types int and string)")),
        ],
    );
    assert_answers(
        "newRelic",
        &MetricValue::Json(json!({"count": 5.0, "s": "a"})),
        &[
            ("result != 1", Err("invalid operation: != (mismatched types nrdb.NRDBResult and int)")),
            ("result.s != 1", YES),
        ],
    );
    assert_answers(
        "newRelic",
        &MetricValue::Json(json!([{"count": 5.0, "s": "a"}, {"count": 1.0}])),
        &[
            (
                r#"result[0] != "a""#,
                Err("invalid operation: != (mismatched types nrdb.NRDBResult and string)"),
            ),
            (r#"result[0].count != "a""#, YES),
        ],
    );
    assert_answers(
        "cloudWatch",
        &MetricValue::Json(json!([{"Id": "rate", "Values": [0.5, 2.0]}])),
        &[
            (
                r#"result[0].Values != "a""#,
                Err("invalid operation: != (mismatched types []float64 and string)"),
            ),
            (
                r#"result[0].Values[0] != "a""#,
                Err("invalid operation: != (mismatched types float64 and string)"),
            ),
            (
                r#"len(result[0].Values) != "a""#,
                Err("invalid operation: != (mismatched types int and string)"),
            ),
            (
                "result[0] != 1",
                Err("invalid operation: != (mismatched types types.MetricDataResult and int)"),
            ),
            (
                r#"map(result, .Values[0]) != "a""#,
                Err("invalid operation: != (mismatched types []interface {} and string)"),
            ),
        ],
    );
}

/// Where there is nothing, Argo Rollouts knows nil for the type of the result, and refuses these.
#[test]
fn a_condition_may_ask_whether_there_is_a_result_first() {
    let nothing = MetricValue::Json(json!(null));
    assert_answers(
        "datadog",
        &nothing,
        &[
            ("isNil(result) ? true : result < 0.05", YES),
            ("!isNil(result) && result < 0.05", NO),
            ("result == nil || result[0] > 0.5", YES),
            ("!isNil(result) && len(result) == \"3\"", Err(NO_DATA)),
        ],
    );
    let none = MetricValue::Samples(Vec::new());
    assert_answers(
        "prometheus",
        &none,
        &[("len(result) > 0 && result > 5", NO), ("result[0] != 'a'", Err(NO_DATA))],
    );
}

#[test]
fn what_has_to_be_a_text_is_none() {
    let json = MetricValue::Json(json!({"n": 5, "msg": "a", "list": ["a"], "ok": false}));
    assert_answers(
        "web",
        &json,
        &[
            ("result.n not in ['5']", Err("cannot use float64 as type string")),
            ("result.ok in ['a', 'b']", Err("cannot use bool as type string")),
            ("result.list contains 'a'", Err("cannot use []interface {} as type string")),
            ("result.list not contains 'b'", Err("cannot use []interface {} as type string")),
            ("result.msg in ['a', 'b'] and result.msg contains 'a'", YES),
            ("result.nothing not in ['a']", YES),
            ("result.missing in ['', 'a']", YES),
            ("result.missing not in ['', 'a']", NO),
            ("result.missing not in ['a']", YES),
            ("result.n not in (['5'])", Err("cannot use float64 as type string")),
            ("result.n not in ['5', 5]", NO),
            ("result.n not in ['5', 6]", YES),
        ],
    );
}

#[test]
fn a_condition_that_fits_nothing_a_provider_measures_is_a_fault() {
    let misfit = |provider: &str, text: &str| {
        let provider: MetricProvider = serde_json::from_value(json!({provider: {}})).unwrap();
        misfit(text, &provider)
    };
    let of_numbers = Some("invalid operation: != (mismatched types float64 and string)".to_owned());
    for provider in ["prometheus", "graphite", "wavefront"] {
        assert_eq!(misfit(provider, "result[0] != '5'"), of_numbers, "{provider}");
    }
    for (provider, text) in [
        ("prometheus", "result != 5"),
        ("prometheus", "result[0] != 5"),
        ("datadog", "isNil(result) || result < 5"),
        ("influxdb", "result[0] != '5'"),
        ("web", "result[0] != '5'"),
        ("newRelic", "result.count != '5'"),
        ("newRelic", "result[0].count != '5'"),
        ("cloudWatch", "result[0].Values[0] < 5"),
    ] {
        assert_eq!(misfit(provider, text), None, "{provider}: {text}");
    }
    let field = Some("type types.MetricDataResult has no field Value".to_owned());
    assert_eq!(misfit("cloudWatch", "result[0].Value[0] != 5"), field);
    let words = Some("invalid operation: == (mismatched types int and string)".to_owned());
    assert_eq!(fault("len(result) == '3'"), words);
    for text in
        ["result == 'up'", "result == true", "'ok' == result", "result != ''", "result == 1 || result == 'a'"]
    {
        assert_eq!(fault(text), None, "{text}: a Web answer may be anything");
    }
    let unread = Some("unexpected token at \"{\"".to_owned());
    assert_eq!(fault("all(result {# != '5'})"), unread);
}
