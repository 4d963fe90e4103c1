//! What can be said of a template before anybody uses it.
//!
//! Input: a template. Output: faults that its runs would end with. Where an argument stands for a number or a
//! duration, nothing is said: its value is not known yet.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tidegate_api::analysis::{AnalysisTemplateSpec, Metric};
use tidegate_api::valid::{FieldError, FieldErrorKind, validate_metrics};

use super::template::Template;
use super::{args, condition, terms};
use crate::judge::source;
use crate::metric;

/// Says what is wrong with the metrics of a template, and with its annotations about them.
#[must_use]
pub fn template_faults(template: &Template) -> Vec<FieldError> {
    let Template { spec: template, annotations } = template;
    let mut faults = terms::of(annotations, &template.metrics, &template.metrics).err().unwrap_or_default();
    let error = |path: String, kind, detail: String| FieldError { path, kind, value: None, detail };
    for (index, metric) in template.metrics.iter().enumerate() {
        let path = format!("spec.metrics[{index}]");
        if template.metrics[..index].iter().any(|other| other.name == metric.name) {
            let mut twice = error(format!("{path}.name"), FieldErrorKind::Duplicate, String::new());
            twice.value = Some(format!("{:?}", metric.name));
            faults.push(twice);
        }
        if let Err(why) = validate_metrics(&[known(metric)]) {
            let why = why.trim_start_matches("metrics[0]: ").to_owned();
            faults.push(error(path.clone(), FieldErrorKind::Invalid, why));
        }
        let of_judge = metric.provider.judge().and_then(source::fault).map(|why| ("plugin", why));
        if let Some((provider, why)) = of_judge.or_else(|| metric::fault(&metric.provider)) {
            faults.push(error(format!("{path}.provider.{provider}"), FieldErrorKind::Invalid, why));
        }
        let conditions = [
            ("successCondition", &metric.success_condition),
            ("failureCondition", &metric.failure_condition),
        ];
        for (field, text) in conditions {
            let text = text.as_deref().filter(|text| !text.is_empty() && !text.contains("{{"));
            if let Some(why) = text.and_then(condition::fault) {
                faults.push(error(format!("{path}.{field}"), FieldErrorKind::Invalid, why));
            }
        }
        let alone = AnalysisTemplateSpec { metrics: vec![metric.clone()], ..template.clone() };
        // What a template includes may declare arguments too.
        if template.templates.is_empty()
            && let Err(why) = args::check_arguments(&alone)
        {
            faults.push(error(path, FieldErrorKind::Invalid, why));
        }
    }
    faults
}

/// A metric without the limits and durations that depend on arguments.
fn known(metric: &Metric) -> Metric {
    let is_number_open = |number: &Option<IntOrString>| matches!(number, Some(IntOrString::String(text)) if text.contains("{{"));
    let numbers = [
        &metric.count,
        &metric.failure_limit,
        &metric.inconclusive_limit,
        &metric.consecutive_error_limit,
        &metric.consecutive_success_limit,
    ];
    let texts = [&metric.interval, &metric.initial_delay];
    let is_text_open = |text: &&Option<String>| text.as_ref().is_some_and(|text| text.contains("{{"));
    let is_open = numbers.into_iter().any(is_number_open) || texts.iter().any(is_text_open);
    if is_open {
        // The rest of the limits cannot be compared with what is open.
        let (name, provider) = (metric.name.clone(), metric.provider.clone());
        return Metric { name, provider, ..Metric::default() };
    }
    metric.clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn said(metric: Value) -> Vec<String> {
        let mut whole = json!({"name": "m", "provider": {"prometheus": {"query": "up"}}});
        for (key, value) in metric.as_object().unwrap() {
            whole[key] = value.clone();
        }
        let template = json!({"metrics": [whole], "args": [{"name": "limit"}]});
        let template: AnalysisTemplateSpec = serde_json::from_value(template).unwrap();
        template_faults(&template.into()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn faults_name_the_field() {
        for (metric, want) in [
            (
                json!({"count": 3}),
                "spec.metrics[0]: Invalid value: interval must be specified when count > 1",
            ),
            (
                json!({"successCondition": "result[0] >"}),
                "spec.metrics[0].successCondition: Invalid value: syntax error at \"\"",
            ),
            (
                json!({"provider": {"prometheus": {"query": "{{args.other}}"}}}),
                "spec.metrics[0]: Invalid value: failed to resolve {{args.other}}",
            ),
        ] {
            assert_eq!(said(metric.clone()).len(), 1, "{metric}: {:?}", said(metric.clone()));
            let said = said(metric.clone()).remove(0);
            assert!(said.starts_with(want.trim_end_matches("\"\"")), "{metric}: {said}");
        }
        assert!(said(json!({"failureCondition": "unknown > 1"}))[0].contains("unknown"));
        let judge = |config: Value| json!({"provider": {"plugin": {"tidegate.dev/judge": config}}});
        let told = said(judge(json!({"preset": "app", "harm": "{{args.limit}}", "threshold": 5})));
        assert!(
            told[0]
                .starts_with("spec.metrics[0].provider.plugin: Invalid value: tidegate.dev/judge: threshold")
        );
        assert_eq!(said(judge(json!({"preset": "app", "harm": "{{args.limit}}"}))), [""; 0]);
        let told = said(json!({"provider": {"plugin": {"tidegate.dev/splunk": {"address": "http://a"}}}}));
        assert_eq!(
            told,
            ["spec.metrics[0].provider.plugin: Invalid value: tidegate.dev/splunk: query is required"]
        );
        let told =
            said(json!({"provider": {"datadog": {"apiVersion": "v2", "queries": {"a": "x", "b": "y"}}}}));
        let why = "When multiple queries are provided you must include a formula.";
        assert_eq!(told, [format!("spec.metrics[0].provider.datadog: Invalid value: {why}")]);
        let told = said(json!({"provider": {"skywalking": {"address": "{{args.limit}}"}}}));
        assert_eq!(told.len(), 1);
        assert_eq!(said(json!({"provider": {"datadog": {"query": "{{args.limit}}"}}})), [""; 0]);
    }

    #[test]
    fn what_depends_on_arguments_is_left_open() {
        for metric in [
            json!({}),
            json!({"count": "{{args.limit}}", "failureLimit": 3}),
            json!({"interval": "{{args.limit}}", "count": 2}),
            json!({"successCondition": "result[0] >= {{args.limit}}"}),
            json!({"successCondition": "result >= 0.95 && len(result) > 0"}),
        ] {
            assert_eq!(said(metric.clone()), [""; 0], "{metric}");
        }
    }
}
