//! Texts, maps, numbers and predicates: each row as Argo Rollouts 1.10.1 answers it (`evaluate.EvalCondition`).

use super::*;
use serde_json::json;

/// Of a provider that nobody has named.
fn evaluate(text: &str, value: &MetricValue, now: Timestamp) -> Result<bool, String> {
    super::evaluate(text, None, value, now)
}

fn now() -> Timestamp {
    "2026-11-21T08:00:00Z".parse().unwrap()
}

fn result() -> MetricValue {
    MetricValue::Json(json!({
        "ok": true, "n": 5, "msg": "can't", "path": "a\\nb", "list": [1, 2, 3],
        "items": [{"name": "a", "v": 1}, {"name": "b", "v": 7}, {"name": "c", "v": 3}],
    }))
}

/// Asks each row: what it is worth, or that it is an error.
fn assert_answers(value: &MetricValue, rows: &[(&str, Option<bool>)]) {
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|(text, wanted)| {
            let got = evaluate(text, value, now());
            (got.clone().ok() != *wanted).then(|| format!("{text}: {got:?} instead of {wanted:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const YES: Option<bool> = Some(true);
const NO: Option<bool> = Some(false);
const ERROR: Option<bool> = None;

#[test]
fn texts_say_what_they_say_to_go() {
    assert_answers(
        &result(),
        &[
            (r"result.msg == 'can\'t'", YES),
            (r#"result.path == "a\\nb""#, YES),
            (r#"result.path == "a\nb""#, NO),
            (r#""\a\b\f\n\r\t\v" == "\x07\x08\x0c\x0a\x0d\x09\x0b""#, YES),
            (r"'\x41\101\u0041\U00000041\u{41}' == 'AAAAA'", YES),
            (r"'\u00e9\xe9\351\u{e9}' == 'éééé'", YES),
            (r#""\U0001F600" == "😀""#, YES),
            (r#""\ud800" == "\ufffd""#, YES),
            (r#"len("\x00") == 1"#, YES),
            (r"'\\\'' == `\'`", YES),
            (r#""\"" == '"' and '\'' == "'""#, YES),
            (r#""\\`\\" == '\\' + "`" + '\\'"#, YES),
            (r#""`\"'" == "`" + '"' + "'""#, YES),
            (r#"indexOf("a\\`\\b`", "`") == 2"#, YES),
            (r"'a`' == `a```", YES),
            ("`a``b` == \"a`b\"", YES),
            ("```` == '`' and `` == ''", YES),
            ("'a\rb' == 'a\\nb'", YES),
            ("`a\r\nb` == \"a\\r\\nb\"", YES),
            (r#"result.msg matches "^can\\Wt$" and "a.b" matches 'a\\.b'"#, YES),
            (r#"result["\x6dsg"] == result.msg"#, YES),
            (r#"any(result.items, .name == "\x62")"#, YES),
            ("'a\nb' == 'a\\nb'", ERROR),
            (r#""a\/b" == "a/b""#, ERROR),
            (r#""\'" == "'""#, ERROR),
            (r#"'\"' == '"'"#, ERROR),
            (r#""\`" == "`""#, ERROR),
            (r#""\?" == "?""#, ERROR),
            (r#""\X41" == "A""#, ERROR),
            (r#""\400" == "a""#, ERROR),
            (r#""\0" == """#, ERROR),
            (r#""\08" == """#, ERROR),
            (r#""\x4" == """#, ERROR),
            (r#""\xé9" == """#, ERROR),
            (r#""\u{}" == """#, ERROR),
            (r#""\u{1234567}" == """#, ERROR),
            (r#""\u{110000}" == """#, ERROR),
            (r#""\u{+1}" == """#, ERROR),
            (r#""\U00110000" == """#, ERROR),
            (r#"b"a" == "a""#, ERROR),
            (r"true or b'\x41' == 'A'", ERROR),
        ],
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn maps_hold_what_they_are_given() {
    assert_answers(
        &result(),
        &[
            (r#"{"k": 1 + 1}.k == 2"#, YES),
            (r#"{"a": result.list[0]}.a == 1"#, YES),
            (r#"{"k": len(result.list)}.k == 3"#, YES),
            (r#"{"k": -1}.k == -1"#, YES),
            (r#"{"k": [1,2]}.k == [1,2]"#, YES),
            ("{k: {j: 2}}.k.j == 2", YES),
            (r#"{"a": 1, "a": 2}.a == 1"#, YES),
            ("{a: 1,}.a == 1", YES),
            ("{}.a == nil and len({}) == 0", YES),
            (r#"{"a": 1}.b == nil and {"a": 1}["b"] == nil and {"a": 1}["a"] == 1"#, YES),
            (r#""a" in {a: 1} and "b" not in {a: 1}"#, YES),
            ("({a: nil}.a ?? 5) == 5", YES),
            (r#"{a: 1} | keys() == ["a"]"#, YES),
            ("{a: 1}?.a == 1", YES),
            ("{a: result.n / 2}.a == 2.5", YES),
            ("{a: 6 / {b: 2}.b / 3}.a == 1", YES),
            (r#"map(result.list, {{"a": #}})[0].a == 1"#, YES),
            (r#"map(result.list, ({"a": #}))[1].a == 2"#, YES),
            (r#"map(result.list, {"a": #})[0].a == 1"#, ERROR),
            ("all(result.items, {{v: .v}.v > 0})", YES),
            ("all(result.items, {n: 1}.n == 1)", ERROR),
            ("all(result.list, {})", ERROR),
            ("{true: 1}.true == 1", YES),
            ("{$a: 1}[\"$a\"] == 1", YES),
            ("{in: 1}.in == 1", ERROR),
            ("result.ok ? {a: 1}.a == 1 : {b: 2}.b == 3", YES),
            ("if result.ok { {a: 1}.a == 1 } else { false }", YES),
            ("if !result.ok { true } else { {a: 1}.a == 1 }", YES),
            ("({}.b ?? (-1)) == -1 and ({}.b ?? -1) == -1 and ({}.b ?? ([1] == [1]))", YES),
            ("{}.b ?? (1) == 1", ERROR),
            ("{}.b ?? -(1) == 1", ERROR),
            ("{a: 1} == {a: 1} and {a: 1} != {a: 2} and {a: 1} in [{a: 1}]", YES),
            (r#"result.items[0] == {name: "a", v: 1.0}"#, YES),
            ("{,}.a == 1", ERROR),
            ("{a: 1,, b: 2}.a == 1", ERROR),
            ("{a 1}.a == 1", ERROR),
            ("{a: 1 b: 2}.a == 1", ERROR),
            ("{a: }.a == 1", ERROR),
            ("{a: [1,] : 2}.a == 1", ERROR),
            ("{-1: 2}.a == 1", ERROR),
            (r#"get({a: 1}, "a") == 1"#, YES),
            ("{a: 1}.a > 0 and {b: result.ok}.b", YES),
            ("let m = {a: 2, b: result.n}; m.a + m.b == 7", YES),
            ("all(result.list, {let m = {a: #}; m.a > 0})", YES),
            ("!{a: true}.a", NO),
            ("!!{a: true}.a and -{a: 1}.a == -1", YES),
            (r#"{"a b": 1}["a b"] == 1 and {"a\x41": 1}.aA == 1"#, YES),
            (r#"string({a: 1, b: [2]}) == "map[a:1 b:[2]]""#, YES),
            ("reduce(result.list, {{a: #acc + #}.a}, 0) == 6", YES),
            ("filter(result.items, {{a: .v}.a > 2})[0].v == 7", YES),
            ("{a: {}}.a == {} and [{a: 1}][0].a == 1", YES),
            ("{a: 1 > 0 ? 2 : 3}.a == 2 and {a: 0 < 1 < 2}.a", YES),
            ("{a: result.n}.a in 4..6", YES),
            ("{a: find(result.items, .v > 20)}.a == nil", YES),
            ("{a: findIndex(result.list, # > 1)}.a == 1", YES),
            ("{a: sum(result.list)}.a == 6", YES),
            ("sortBy([{w: 3}, {w: 1}], .w)[0].w == 1", YES),
        ],
    );
    let three = MetricValue::Samples(vec![1.0, 5.0, 9.0]);
    assert_answers(
        &three,
        &[
            ("{a: result[0]}.a == 1 and {a: result}.a[1] == 5", YES),
            ("{n: result[2] / result[1]}.n == 1.8", YES),
            ("all(result, {{a: # / 2}.a > 0.4})", YES),
        ],
    );
    let one = MetricValue::Samples(vec![0.97]);
    assert_answers(&one, &[("{a: result[0] * 100}.a > 96 and {a: result}.a[0] < 1", YES)]);
    for text in ["{1: 2}[\"1\"] == 2", "{(\"a\"): 2}.a == 2"] {
        let told = evaluate(text, &one, now()).unwrap_err();
        assert_eq!(
            told, "map keys that are numbers or in brackets are not available: write a text",
            "{text}"
        );
    }
    let told = evaluate("map(result, {\"a\": #})[0].a == 1", &one, now()).unwrap_err();
    assert!(told.contains("braces of its own"), "{told}");
}

#[test]
fn predicates_are_told_by_their_place() {
    assert_answers(
        &result(),
        &[
            (r#"sortBy(result.items, .v, "desc")[0].v == 7"#, YES),
            (r#"sortBy(result.items, {.v}, "desc")[0].v == 7"#, YES),
            (r#"sortBy(result.items, #.v, "asc")[0].v == 1"#, YES),
            (r#"sortBy(result.items, .name, "desc")[0].name == "c""#, YES),
            (r#"result.items | sortBy(.v, "desc") | first() | get("v") == 7"#, YES),
            (r#"(result.items | sortBy(.v, "desc"))[0].v == 7"#, YES),
            ("sortBy(result.items, .v)[0].v == 1 and sortBy(result.items, -.v)[0].v == 7", YES),
            (r#"sortBy(result.items, .v, result.ok ? "desc" : "asc")[0].v == 7"#, YES),
            (r#"sortBy([3,1,2], #, "desc") == [3,2,1]"#, YES),
            ("sortBy(result.items, 1)[0].v == 1", YES),
            (r#"sortBy(result.items, .v, "up")[0].v == 7"#, ERROR),
            ("sortBy(result.items, .v, .name)[0].v == 7", ERROR),
            ("sortBy(result.items, .v, 1)[0].v == 7", ERROR),
            ("sortBy(result.items, nil)[0].v == 1", ERROR),
            ("sortBy(result.items, .missing)[0].v == 1", ERROR),
            ("sortBy(result.items, .v > 2)[0].v == 1", ERROR),
            ("sortBy(result.items, #)[0].v == 1", ERROR),
            ("all(result.list, true) and count(result.list, true) == 3", YES),
            ("any(result.list, any(result.list, # == 3))", YES),
            ("map(result.list, 1) == [1,1,1]", YES),
            ("all(result.list, let x = #; x > 0)", YES),
            ("filter(result.list, result.ok) == [1,2,3]", YES),
            ("sum(result.items, .v) == 11 and count([true, false]) == 1", YES),
            ("one(result.list, # == 1) and find(result.items, .v > 2).v == 7", YES),
            ("findLast(result.items, .v > 2).v == 3", YES),
            ("any(result.list, #)", ERROR),
            ("any(result.list, nil)", ERROR),
            ("filter(result.list, 1)[0] == 1", ERROR),
            ("one(result.list, 1)", ERROR),
            ("find(result.list, 1) == nil", ERROR),
            ("findLast(result.list, 1) == nil", ERROR),
            ("count(result.list, 1) == 0", ERROR),
        ],
    );
}

#[test]
fn replace_may_be_told_how_often() {
    assert_answers(
        &result(),
        &[
            (r#"replace("aaa", "a", "b", 2) == "bba""#, YES),
            (r#"replace("aaa", "a", "b", -1) == "bbb""#, YES),
            (r#"replace("aaa", "a", "b", 0) == "aaa""#, YES),
            (r#"replace("aaa", "", "b", 2) == "babaa""#, YES),
            (r#"replace("aé", "", "-") == "-a-é-""#, YES),
            (r#""aaa" | replace("a", "b", 1) == "baa""#, YES),
            (r#"replace("aaa", "a", "b", result.n) == "bbb""#, YES),
            (r#"replace("aaa", "a", "b", "1") == "bbb""#, ERROR),
            (r#"replace("aaa", "a", "b", 1, 2) == "bbb""#, ERROR),
        ],
    );
}

#[test]
fn lists_are_read_and_texts_are_cut_as_go_does() {
    assert_answers(
        &result(),
        &[
            ("result.list?.[0] == 1 and result.list?.[-1] == 3", YES),
            ("result.list?.[5] != 5", ERROR),
            ("result.missing?.[5] == nil", YES),
            ("get(result.list, 10) == nil and get(result.list, 1) == 2", YES),
            (r#"get(result, "n") == 5 and get({a: 1}, "b") == nil"#, YES),
            (r#"repeat("a", result.n) == "aaaaa""#, YES),
            (r#"split("abc", "") == ["a","b","c"] and split("", "") == []"#, YES),
            (r#"split("éb", "", 1) == ["éb"] and split("abc", "", 2) == ["a","bc"]"#, YES),
            (r#"splitAfter("a,b,", ",") == ["a,","b,",""] and splitAfter("ab", "") == ["a","b"]"#, YES),
            (r#"split("a,b", ",", 0) == [] and split("a,b,c", ",", -1) == ["a","b","c"]"#, YES),
            (r#"split("a,b,c", ",", 2) == ["a","b,c"] and split("", ",") == [""]"#, YES),
            (r#"splitAfter("a,b,c", ",", 2) == ["a,","b,c"] and splitAfter("", ",") == [""]"#, YES),
            ("concat() == []", ERROR),
        ],
    );
}

#[test]
fn numbers_and_names_end_where_they_end_for_go() {
    assert_answers(
        &result(),
        &[
            ("1__0 == 10 and 1_ == 1 and 0x_f == 15 and 1._5 == 1.5 and 1e1_0 == 1e10", YES),
            ("0XE-1 == 13 and 0xE+1 == 15 and 0b1_1 == 3 and 0o17 == 15 and 017 == 17", YES),
            ("1. == 1 and .5 == 0.5 and 1E2 == 100 and 1_000.5 == 1000.5", YES),
            ("1in [1]", ERROR),
            ("1.in [1]", ERROR),
            ("5contains 1", ERROR),
            ("1and true", ERROR),
            ("0x1p4 == 16", ERROR),
            ("let trueRate = 1; let notable = 2; trueRate + notable == 3", YES),
            ("let nilly = 1; let falsePositives = 2; nilly + falsePositives == 3", YES),
            ("let x = [1]; let inx = 1; inx in x", YES),
            ("let order = 1; let iffy = 2; order + iffy == 3", YES),
            ("let _true = 1; let true1 = 2; _true + true1 == 3", YES),
            ("let andx = true; let x = true; true andx", ERROR),
        ],
    );
}

#[test]
fn a_float_selects_what_its_whole_part_selects() {
    assert_answers(
        &result(),
        &[
            ("result.list[result.items[0].v] == 2", YES),
            ("result.list?.[result.items[0].v] == 2", YES),
            ("result.list[1.9] == 2 and result.list[-0.5] == 1", YES),
            ("result.list[result.n] == 1", ERROR),
            ("[1, 2][1.0] == 2", ERROR),
        ],
    );
}

#[test]
fn in_square_brackets_of_a_pattern_characters_are_characters() {
    assert_answers(
        &result(),
        &[
            (r#""[" matches "^[[a]$" and "&" matches "^[a&&b]$" and "a" matches "^[[a&&b]$""#, YES),
            (r#""5" matches "^[--a]$" and "," matches "^[+--]$" and "[" matches "^[Z-[]$""#, YES),
            (r#""~" matches "^[a~~b]$" and "]" matches "^[]a]$" and "a" matches "^[[:alpha:][]$""#, YES),
            (r#""[" matches "^[\\[-\\]]$" and "a" matches "^[\\x61-b]$""#, YES),
            (r#""]" matches "^[^]a]$""#, NO),
            (r#""a" matches "[a""#, ERROR),
        ],
    );
}

#[test]
fn a_comma_is_the_last_one_where_no_argument_may_follow() {
    assert_answers(
        &result(),
        &[
            ("sortBy(result.items, .v, 'asc',)[0].v == 1 and sum(result.list, #,) == 6", YES),
            ("all(result.list, # > 0,) and reduce(result.list, # + #acc, 0,) == 6", YES),
            ("result.list | sum(#,) == 6", YES),
            ("sortBy(result.items, .v,)[0].v == 1", ERROR),
            ("reduce(result.list, # + #acc,) == 6", ERROR),
            ("sum(result.list,) == 6", ERROR),
            ("count(result.list,) == 3", ERROR),
            ("result.items | sortBy(.v,) | len() == 2", ERROR),
        ],
    );
}

#[test]
fn numbers_in_texts_are_read_as_go_reads_them() {
    assert_answers(
        &result(),
        &[
            (r#"asFloat("1_0") == 10 and float("0x1p4") == 16 and asFloat("5.") == 5"#, YES),
            (r#"asFloat("1__0") == 10"#, ERROR),
            (r#"asFloat("1e400") > 1"#, ERROR),
            (r#"isNaN(asFloat("+nan"))"#, ERROR),
        ],
    );
}
