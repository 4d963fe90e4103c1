//! Provider plugin `tidegate.dev/externalmetrics`: the external metrics that autoscalers use.
//!
//! Input: the settings of a metric and the namespace of its run, then the list that the API server answers with. Output: a
//! path of the API server, then one number for each item.

use serde::Deserialize;
use serde_json::Value;
use tidegate_api::analysis::EXTERNAL_METRICS_PLUGIN;

use super::flagger::Plugin;
use super::{Measured, Response, http, shown};

pub(super) const PLUGIN: Plugin = Plugin { name: EXTERNAL_METRICS_PLUGIN, fields: &["query"] };
const API: &str = "/apis/external.metrics.k8s.io/v1beta1/namespaces";

/// The path of a metric's query, which is `namespace/metric?labelSelector=a%3Db`. Only the run's own namespace may be
/// named: nobody reads another's metrics by the controller's rights.
pub(super) fn path(config: &Value, own: &str) -> Result<String, String> {
    let settings = PLUGIN.read(config)?;
    let (path, query) = settings.query.trim().split_once('?').unwrap_or((settings.query.trim(), ""));
    let (namespace, metric) = path.split_once('/').unwrap_or(("", path));
    let is_name = |text: &str| {
        let is_letter = |letter: char| letter.is_ascii_alphanumeric() || "-_.:|".contains(letter);
        !text.is_empty() && text != "." && text != ".." && text.chars().all(is_letter)
    };
    if !is_name(metric) || !(namespace.is_empty() || is_name(namespace)) {
        return Err(format!("{PLUGIN}: query must be <namespace>/<metric>?labelSelector=<selector>"));
    }
    if !namespace.is_empty() && namespace != own {
        return Err(format!("{PLUGIN}: the namespace of the query must be that of the run, {own}"));
    }
    let selector = query.split('&').find_map(|pair| pair.strip_prefix("labelSelector=")).unwrap_or_default();
    if selector.contains(|letter: char| letter.is_whitespace() || letter == '#' || letter.is_control()) {
        return Err(format!("{PLUGIN}: the labelSelector must be encoded as in a URL"));
    }
    let selector = if selector.is_empty() { String::new() } else { format!("?labelSelector={selector}") };
    Ok(format!("{API}/{}/{}{selector}", http::segment(own), http::segment(metric)))
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    /// A quantity, such as `1500m`.
    value: String,
}

/// Reads the numbers out of an answer.
pub(super) fn value(response: &Response) -> Result<Measured, String> {
    if !(200..300).contains(&response.status) {
        let json: Option<Value> = serde_json::from_slice(&response.body).ok();
        let told = json.as_ref().and_then(|json| json.get("message")?.as_str());
        let told = shown::said(told, &response.body);
        return Err(format!("the API server answered {}: {told}", response.status));
    }
    let answer: Answer = serde_json::from_slice(&response.body)
        .map_err(|error| format!("the API server did not answer external metrics: {error}"))?;
    let number = |item: &Item| {
        quantity(&item.value).ok_or_else(|| shown::bounded(format!("{:?} is no quantity", item.value)))
    };
    let samples: Result<Vec<f64>, String> = answer.items.iter().map(number).collect();
    let samples = samples?;
    let text = shown::list(&samples, ",", shown::number);
    Measured::samples(samples, text)
}

fn is_exponent(text: &str) -> bool {
    let digits = text.strip_prefix(['e', 'E']);
    digits.is_some_and(|digits| digits.starts_with(|sign: char| sign.is_ascii_digit() || "+-".contains(sign)))
}

/// A quantity as the nearest number.
fn quantity(text: &str) -> Option<f64> {
    let is_suffix = |letter: char| letter.is_ascii_alphabetic();
    let start = match text.find(is_suffix) {
        // An exponent, such as 1e3, belongs to the number; E and Ei are suffixes.
        Some(at) if is_exponent(&text[at..]) => text.len(),
        Some(at) => at,
        None => text.len(),
    };
    let (number, suffix) = text.split_at(start);
    let number: f64 = number.parse().ok().filter(|number: &f64| number.is_finite())?;
    // Dividing gives the nearest number, where multiplying by 0.001 does not.
    Some(match suffix {
        "n" => number / 1e9,
        "u" => number / 1e6,
        "m" => number / 1e3,
        "" => number,
        "k" => number * 1e3,
        "M" => number * 1e6,
        "G" => number * 1e9,
        "T" => number * 1e12,
        "P" => number * 1e15,
        "E" => number * 1e18,
        "Ki" => number * 1024.0,
        "Mi" => number * 1_048_576.0,
        "Gi" => number * 1_073_741_824.0,
        "Ti" => number * 1_099_511_627_776.0,
        "Pi" => number * 1_125_899_906_842_624.0,
        "Ei" => number * 1_152_921_504_606_846_976.0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::MetricValue;
    use serde_json::json;

    fn asked(query: &str) -> Result<String, String> {
        path(&json!({"query": query}), "shop")
    }

    #[test]
    fn a_path_names_the_metric_in_the_runs_namespace() {
        let wanted = "/apis/external.metrics.k8s.io/v1beta1/namespaces/shop/queue_length";
        assert_eq!(asked("queue_length").unwrap(), wanted);
        assert_eq!(asked("/queue_length").unwrap(), wanted);
        let selected = asked("shop/queue_length?labelSelector=a%3Db").unwrap();
        assert_eq!(selected, format!("{wanted}?labelSelector=a%3Db"));
        for (query, why) in [
            ("other/queue", "must be that of the run, shop"),
            ("shop/a/b", "query must be"),
            ("shop/..", "query must be"),
            ("?labelSelector=a", "query must be"),
            ("queue?labelSelector=a b", "must be encoded"),
        ] {
            let error = asked(query).unwrap_err();
            assert!(error.contains(why), "{query}: {error}");
        }
        assert!(
            PLUGIN.fault(&json!({"query": "q", "address": "x"})).is_some()
                && PLUGIN.fault(&json!({"query": "q"})).is_none()
        );
    }

    fn measured(status: u16, body: &Value) -> Result<(MetricValue, String), String> {
        let response = Response { status, body: body.to_string().into_bytes(), retry_after_seconds: None };
        value(&response).map(|measured| (measured.value, measured.text))
    }

    #[test]
    fn items_are_numbers() {
        let items = ["1500m", "42", "2k", "1Ki", "1e3", "2E", "250u", "1Ei", "1E-3"]
            .map(|value| json!({"metricName": "q", "value": value}));
        let numbers =
            vec![1.5, 42.0, 2000.0, 1024.0, 1000.0, 2e18, 0.000_25, 1_152_921_504_606_846_976.0, 0.001];
        assert_eq!(measured(200, &json!({"items": items})).unwrap().0, MetricValue::Samples(numbers));
        assert_eq!(measured(200, &json!({"items": []})), Ok((MetricValue::Samples(vec![]), "[]".into())));
        for (status, body, wanted) in [
            (403, json!({"message": "forbidden"}), "the API server answered 403: forbidden"),
            (404, json!("x"), "the API server answered 404: \"x\""),
            (200, json!({"items": [{"value": "1x"}]}), "\"1x\" is no quantity"),
        ] {
            assert_eq!(measured(status, &body), Err(wanted.into()));
        }
    }
}
