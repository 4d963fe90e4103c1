use serde_json::json;

use super::*;
use crate::metric::shown::json as text;

fn found(path: &str, document: &Value) -> Result<Option<String>, String> {
    JsonPath::parse(path)?.first(document).map(|found| found.map(|value| text(&value)))
}

/// Paths that find something on purpose where Kubernetes refuses to compare 3 with 3.0.
const NUMBERS: [&str; 2] = ["{.items[?(@.x==3)].name}", "{.items[?(@.x>2)].name}"];

#[test]
fn paths_find_what_kubernetes_finds() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/metric/upstream/paths.json");
    let table: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let documents = table["documents"].as_array().unwrap();
    let documents: Vec<Value> =
        documents.iter().map(|text| serde_json::from_str(text.as_str().unwrap()).unwrap()).collect();
    let rows = table["rows"].as_array().unwrap();
    let mut differences = Vec::new();
    for row in rows {
        let (path, of) = (row["path"].as_str().unwrap(), row["of"].as_u64().unwrap());
        if NUMBERS.contains(&path) {
            continue;
        }
        let got = found(path, &documents[usize::try_from(of).unwrap()]);
        let is_same = match (&row["value"], row["error"].as_str()) {
            (Value::String(value), None) => got.as_ref().is_ok_and(|got| got.as_ref() == Some(value)),
            (_, Some("no value")) => got == Ok(None),
            // The value that cannot be filtered is not shown here.
            (_, Some(error)) => got.as_ref().is_err_and(|got| {
                let beginning =
                    |text: &str| text.split("is not array or slice and").last().unwrap().to_owned();
                if error.contains("and cannot be filtered") {
                    beginning(error) == beginning(got)
                } else {
                    error == got
                }
            }),
            (_, None) => false,
        };
        if !is_same {
            differences.push(format!("{row}: {got:?}"));
        }
    }
    assert!(rows.len() > 1000);
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn numbers_compare_by_what_they_are() {
    let document = json!({"items": [{"name": "a", "x": 1, "y": 1.0}, {"name": "b", "x": 3, "y": 2.5}]});
    for (path, wanted) in [
        ("{.items[?(@.x==3)].name}", "\"b\""),
        ("{.items[?(@.x>2)].name}", "\"b\""),
        ("{.items[?(@.x==1.0)].name}", "\"a\""),
        ("{.items[?(@.x==@.y)].name}", "\"a\""),
        ("{.items[?(@.y<=1)].name}", "\"a\""),
    ] {
        assert_eq!(found(path, &document), Ok(Some(wanted.to_owned())), "{path}");
    }
}

#[test]
fn members_come_in_the_order_of_their_names() {
    let document = json!({"b": {"x": 2}, "a": {"x": 1}});
    assert_eq!(found("{.*.x}", &document), Ok(Some("1".to_owned())));
    assert_eq!(found("{..x}", &document), Ok(Some("1".to_owned())));
}

#[test]
fn what_costs_too_much_is_refused() {
    let wide = Value::Array(vec![json!([1, 2, 3]); 1000]);
    let greedy = "{..[*]..[*]..[*]}";
    let deep = (0..60).fold(json!(1), |inner, _| json!([inner]));
    for document in [wide, deep, json!("x".repeat(2_000_000))] {
        let _never_for_long = found(greedy, &document);
        let _never_for_long = found("{..[*]}", &document);
    }
    let error = "the JSONPath looks at too many values";
    assert_eq!(found("{..[*]}", &json!("x".repeat(2_000_000))), Err(error.to_owned()));
    let many = Value::Array(vec![json!(0); 10_000]);
    assert!(found("{$}", &many).unwrap_err().starts_with("the result has 10001 values in it"));
    assert_eq!(found("{[0]}", &many), Ok(Some("0".to_owned())));
    let every = format!("{{{}}}", "[0,0]".repeat(30));
    let tower = (0..31).fold(json!(1), |inner, _| json!([inner]));
    assert_eq!(found(&every, &tower), Err(error.to_owned()));
    assert!(found(&"x".repeat(5000), &json!(1)).is_err());
    assert!(JsonPath::parse(&"{[?(".repeat(1000)).is_err());
}

mod any_text {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]
        #[test]
        fn is_understood_or_refused(path in "[{}\\[\\]()?@$.,:*'\"\\\\<=>! a-cre\u{e4}0-2nd-]{0,24}") {
            let document = json!({"a": [{"b": 1}, {"b": "c"}], "b": {"c": [1, 2]}});
            let _either = found(&path, &document);
            let _either = found(&format!("{{{path}}}"), &document);
        }
    }
}
