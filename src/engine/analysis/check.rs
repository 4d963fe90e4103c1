//! What can be said of a template before anybody uses it, and of a run before it is made.
//!
//! Input: a template, or a run. Output: faults that its runs would end with. Where an argument of a template stands for a
//! number or a duration, nothing is said: its value is not known yet.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tidegate_api::analysis::{AnalysisRun, AnalysisTemplateSpec, Metric};
use tidegate_api::valid::{FieldError, FieldErrorKind, validate_metrics};

use super::args::Values;
use super::template::Template;
use super::{args, condition, resolve, terms};
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
            let misfit = |text| condition::misfit(text, &metric.provider);
            if let Some(why) = text.and_then(|text| condition::fault(text).or_else(|| misfit(text))) {
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

/// Says what is wrong with a run that somebody is about to make: all that can be said of a template, and what its arguments
/// make of it.
#[must_use]
pub fn run_faults(run: &AnalysisRun) -> Vec<FieldError> {
    let written = Template::of_run(run);
    let faults = template_faults(&written);
    if !faults.is_empty() {
        return faults;
    }
    let faults = template_faults(&filled(written));
    if !faults.is_empty() {
        return faults;
    }
    let fault =
        |detail| FieldError { path: "spec".to_owned(), kind: FieldErrorKind::Invalid, value: None, detail };
    resolve::resolve(run).err().map(fault).into_iter().collect()
}

/// A template with the arguments filled in whose values it has. A metric that needs a Secret stays as it is; annotations may
/// name metrics by what is written, and are left out.
fn filled(template: Template) -> Template {
    let mut spec = template.spec;
    let known = spec.args.iter().filter_map(|arg| Some((arg.name.clone(), arg.value.clone()?)));
    let values: Values = known.collect();
    for metric in &mut spec.metrics {
        if let Ok(filled) = args::substitute(metric, &values) {
            *metric = filled;
        }
    }
    spec.into()
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
                json!({"successCondition": "result[0] != \"5\""}),
                "spec.metrics[0].successCondition: Invalid value: invalid operation: != (mismatched types float64 and string)",
            ),
            (
                json!({"failureCondition": "len(result) == \"3\"", "provider": {"web": {"url": "https://a"}}}),
                "spec.metrics[0].failureCondition: Invalid value: invalid operation: == (mismatched types int and string)",
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
    fn runs_have_arguments_with_values() {
        let metric = json!({"name": "m", "provider": {"prometheus": {"query": "up"}}});
        let run = |more: Value, spec: Value, annotations: Value| {
            let mut metric = metric.clone();
            metric.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let mut whole = json!({"metrics": [metric], "args": [{"name": "limit", "value": "often"}, {"name": "n", "value": "3"}]});
            whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
            let run: AnalysisRun = serde_json::from_value(json!({
                "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun",
                "metadata": {"name": "r", "annotations": annotations}, "spec": whole,
            }))
            .unwrap();
            run_faults(&run).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let none = || json!({});
        let secret =
            json!({"args": [{"name": "key", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]});
        for (more, spec, annotations, wanted) in [
            (none(), none(), none(), ""),
            (json!({"successCondition": "result[0] > {{args.n}}"}), none(), none(), ""),
            (json!({"successCondition": "result[0] > {{args.key}}"}), secret, none(), ""),
            (none(), none(), json!({"tidegate.dev/on-no-data": "m=wait", "note": "kept"}), ""),
            (
                json!({"successCondition": "result[0] >"}),
                none(),
                none(),
                "spec.metrics[0].successCondition: Invalid value: syntax error at \">\"",
            ),
            (
                json!({"successCondition": "result[0] > {{args.limit}}"}),
                none(),
                none(),
                "spec.metrics[0].successCondition: Invalid value: unknown name often",
            ),
            (
                json!({"count": "{{args.n}}"}),
                none(),
                none(),
                "spec.metrics[0]: Invalid value: interval must be specified when count > 1",
            ),
            (
                json!({"provider": {"datadog": {}}}),
                none(),
                none(),
                "spec.metrics[0].provider.datadog: Invalid value: Must have either a query or queries. Please review the \
                 Analysis Template.",
            ),
            (
                none(),
                json!({"args": [{"name": "n"}]}),
                none(),
                "spec: Invalid value: Unable to resolve metric arguments: argument \"n\" was not supplied",
            ),
            (
                none(),
                json!({"dryRun": [{"metricName": "other"}]}),
                none(),
                "spec: Invalid value: Analysis spec invalid: dryRun[0]: Rule didn't match any metric name(s)",
            ),
            (
                none(),
                json!({"metrics": []}),
                none(),
                "spec: Invalid value: Analysis spec invalid: no metrics specified",
            ),
        ] {
            let told = run(more.clone(), spec, annotations);
            let wanted: Vec<&str> = Some(wanted).into_iter().filter(|wanted| !wanted.is_empty()).collect();
            assert_eq!(told, wanted, "{more}");
        }
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
