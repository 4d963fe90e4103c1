//! From Prometheus' answer to counters by pod.
//!
//! Input: the JSON of an instant query or a range query whose series carry the labels that the judge's query adds. Output:
//! observations, oldest first. A series without such labels and a point that is no count are passed over.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::judge::counters::{Counters, Observation};
use crate::judge::source::{CANARY, ERRORS, KIND, REQUESTS, SIDE};
use crate::metric::Response;
use crate::metric::prometheus;

/// What the counters said at each time of an answer; one observation of an instant query, though it may be empty.
///
/// # Errors
/// Fails with the server's own words when it reports an error, and when it answers something else.
pub(super) fn observations(response: &Response, bound_seconds: f64) -> Result<Vec<Observation>, String> {
    let data = prometheus::data(response)?;
    let malformed = || format!("prometheus answered a malformed {}", data.result_type);
    let is_range = match data.result_type.as_str() {
        "vector" => false,
        "matrix" => true,
        other => return Err(format!("prometheus answered a {other}, which holds no counters")),
    };
    let none = Vec::new();
    let series = match data.result.is_null() {
        true => &none,
        false => data.result.as_array().ok_or_else(malformed)?,
    };
    let mut times: BTreeMap<u64, Observation> = BTreeMap::new();
    for one in series {
        let points = match is_range {
            false => std::slice::from_ref(one.get("value").ok_or_else(malformed)?),
            true => one.get("values").and_then(Value::as_array).ok_or_else(malformed)?,
        };
        for point in points {
            let (time, count) = read(point).ok_or_else(malformed)?;
            if let Some(count) = count {
                // All points of an instant are one observation, whatever the server writes beside them.
                let at = times.entry(if is_range { time } else { 0 }).or_default();
                add(at, &one["metric"], count, bound_seconds);
            }
        }
    }
    if !is_range && times.is_empty() {
        return Ok(vec![Observation::default()]);
    }
    Ok(times.into_values().map(ordered).collect())
}

/// A point is `[seconds, "count"]`; milliseconds and the count, if it is one.
fn read(point: &Value) -> Option<(u64, Option<u64>)> {
    let seconds = point.get(0)?.as_f64()?;
    let count = match point.get(1)?.as_str()? {
        "NaN" | "+Inf" | "-Inf" | "Inf" => None,
        text => Some(text.parse::<f64>().ok()?),
    };
    let count = count.filter(|count| *count >= 0.0).map(|count| count.round() as u64);
    Some(((seconds * 1000.0) as u64, count))
}

fn add(observation: &mut Observation, labels: &Value, count: u64, bound_seconds: f64) {
    let label = |name: &str| labels[name].as_str().unwrap_or_default();
    let side = match label(SIDE) {
        CANARY => &mut observation.canary,
        "stable" => &mut observation.stable,
        _ => return,
    };
    let counters = side.entry(format!("{} {}", label("pod"), label("instance"))).or_default();
    match label(KIND) {
        REQUESTS => counters.requests = count,
        ERRORS => counters.bad = count,
        "buckets" => {
            let bound = match label("le") {
                "+Inf" => Some(f64::INFINITY),
                le => le.parse::<f64>().ok().filter(|bound| bound.is_finite() && *bound >= 0.0),
            };
            counters.buckets.extend(bound.map(|bound| (bound * bound_seconds, count)));
        }
        _ => {}
    }
}

/// Buckets come in any order.
fn ordered(mut observation: Observation) -> Observation {
    let sort =
        |counters: &mut Counters| counters.buckets.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    observation.canary.values_mut().chain(observation.stable.values_mut()).for_each(sort);
    observation
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn series(side: &str, kind: &str, more: Value, value: &str) -> Value {
        let mut labels = json!({SIDE: side, KIND: kind, "pod": "p", "instance": "i"});
        labels.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"metric": labels, "value": [1.5, value], "values": [[1.5, "1"], [11.5, value]]})
    }

    fn answer(kind: &str, result: Value) -> Result<Vec<Observation>, String> {
        let body = json!({"status": "success", "data": {"resultType": kind, "result": result}});
        observations(
            &Response { status: 200, body: body.to_string().into_bytes(), retry_after_seconds: None },
            0.001,
        )
    }

    #[test]
    fn series_become_counters_of_pods() {
        let result = json!([
            series("canary", "requests", json!({}), "20"),
            series("canary", "errors", json!({}), "NaN"),
            series("stable", "requests", json!({}), "1e3"),
            series("stable", "errors", json!({}), "7"),
            series("stable", "buckets", json!({"le": "+Inf"}), "1000"),
            series("stable", "buckets", json!({"le": "500"}), "990"),
            series("stable", "requests", json!({"instance": "j"}), "5"),
            series("elsewhere", "requests", json!({}), "5"),
        ]);
        let got = answer("vector", result.clone()).unwrap();
        let counters =
            |requests, bad, buckets: &[(f64, u64)]| Counters { requests, bad, buckets: buckets.to_vec() };
        let buckets = [(0.5, 990), (f64::INFINITY, 1000)];
        let stable = [("p i", counters(1000, 7, &buckets)), ("p j", counters(5, 0, &[]))]
            .map(|(key, value)| (key.to_owned(), value));
        assert_eq!(got.len(), 1);
        assert_eq!(got[0].canary, [("p i".to_owned(), counters(20, 0, &[]))].into());
        assert_eq!(got[0].stable, stable.into());
        let range = answer("matrix", result).unwrap();
        assert_eq!(range.len(), 2);
        assert_eq!((range[0].stable["p i"].requests, range[1].stable["p i"].requests), (1, 1000));
    }

    #[test]
    fn no_data_is_an_observation_of_nothing() {
        for result in [json!([]), json!(null)] {
            assert_eq!(answer("vector", result.clone()), Ok(vec![Observation::default()]));
            assert_eq!(answer("matrix", result), Ok(Vec::new()));
        }
    }

    #[test]
    fn what_is_no_answer_is_told() {
        assert_eq!(
            answer("scalar", json!([1, "2"])),
            Err("prometheus answered a scalar, which holds no counters".into())
        );
        assert_eq!(
            answer("vector", json!([{"metric": {}}])),
            Err("prometheus answered a malformed vector".into())
        );
        assert_eq!(
            answer("vector", json!([{"value": [1, "x"]}])),
            Err("prometheus answered a malformed vector".into())
        );
        let refused = br#"{"status":"error","errorType":"bad_data","error":"parse error"}"#;
        let refused =
            observations(&Response { status: 400, body: refused.to_vec(), retry_after_seconds: None }, 1.0);
        assert_eq!(refused, Err("bad_data: parse error".into()));
    }
}
