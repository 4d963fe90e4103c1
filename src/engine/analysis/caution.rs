//! Conditions that pass on missing data, or are errors for want of it: what `lint` warns of.
//!
//! Input: a template. Output: warnings, each with the condition in a guarded form, if there is one. Nothing is guessed from
//! texts: conditions and their guarded forms are asked about what there is without data.

use jiff::Timestamp;
use regex::Regex;
use tidegate_api::analysis::{AnalysisPhase, AnalysisTemplateSpec, Argument, Metric, MetricProvider};
use tidegate_api::valid::{FieldError, FieldErrorKind};

use super::args::fill_tags;
use super::condition::{self, Verdict};
use super::template::Template;
use super::terms;
use crate::metric::{self, MetricValue};

/// Stands for an argument whose value nobody knows yet.
const ANY_VALUE: &str = "0.5";
/// Functions that look at all samples, so that a guard has to.
const OF_VECTORS: &str =
    r"\b(all|any|none|one|count|filter|find\w*|map|max|mean|median|min|reduce|sort\w*|sum)\(";

/// Warns of the conditions of a template.
#[must_use]
pub fn template_cautions(template: &Template) -> Vec<FieldError> {
    let metrics = &template.spec.metrics;
    // Wrong annotations are errors of their own.
    let terms = terms::of(&template.annotations, metrics, metrics).unwrap_or_default();
    let is_open = |index: usize| terms.get(index).is_none_or(|terms| terms.on_no_data.is_none());
    let open = metrics.iter().enumerate().filter(|(index, _)| is_open(*index));
    let of_vectors = open.filter(|(_, metric)| metric::yields_samples(&metric.provider));
    of_vectors.flat_map(|(index, metric)| cautions(index, metric, &template.spec)).collect()
}

/// One condition of a metric.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Success,
    Failure,
}

impl Part {
    fn field(self) -> &'static str {
        match self {
            Self::Success => "successCondition",
            Self::Failure => "failureCondition",
        }
    }

    fn of(self, metric: &Metric) -> Option<&str> {
        let text = match self {
            Self::Success => &metric.success_condition,
            Self::Failure => &metric.failure_condition,
        };
        text.as_deref().filter(|text| !text.is_empty())
    }

    fn replaced(self, metric: Metric, text: Option<String>) -> Metric {
        match self {
            Self::Success => Metric { success_condition: text, ..metric },
            Self::Failure => Metric { failure_condition: text, ..metric },
        }
    }
}

/// What conditions are asked about where a provider has no data.
struct Nothing {
    value: MetricValue,
    name: &'static str,
    /// What holds where there is data, and where there is none; nothing where the provider refuses before any condition is asked.
    guards: Option<[&'static str; 2]>,
}

impl Nothing {
    fn of(provider: &MetricProvider) -> Self {
        let empty = MetricValue::Samples(Vec::new());
        if provider.datadog.is_some() {
            let guards = Some(["!isNil(result)", "isNil(result)"]);
            Self { value: MetricValue::Json(serde_json::Value::Null), name: "nil", guards }
        } else if provider.influxdb.is_some() || provider.wavefront.is_some() {
            Self { value: empty, name: "an empty answer", guards: None }
        } else {
            Self {
                value: empty,
                name: "an empty vector",
                guards: Some(["len(result) > 0", "len(result) == 0"]),
            }
        }
    }
}

/// What is wrong with one condition where there is no data.
#[derive(Clone, Copy, Default)]
struct Trouble {
    is_error_without_data: bool,
    passes_without_data: bool,
    passes_on_nan: bool,
}

fn cautions(index: usize, metric: &Metric, template: &AnalysisTemplateSpec) -> Vec<FieldError> {
    let filled = [Part::Success, Part::Failure].into_iter().fold(metric.clone(), |metric, part| {
        let text = part.of(&metric).map(|text| filled(text, &template.args));
        part.replaced(metric, text)
    });
    if !is_of_samples(&filled) {
        return Vec::new();
    }
    let nothing = Nothing::of(&metric.provider);
    let parts = [Part::Success, Part::Failure].map(|part| (part, trouble(part, &filled, &nothing)));
    let guarded = |metric: &Metric| {
        parts.iter().fold(metric.clone(), |metric, (part, trouble)| {
            let text = part.of(&metric).map(|text| guarded(*part, text, &metric, *trouble, &nothing));
            part.replaced(metric, text)
        })
    };
    let can_be_mended =
        nothing.guards.is_some() || parts.iter().all(|(_, trouble)| !trouble.is_error_without_data);
    let is_mended = can_be_mended && is_mended(&filled, &guarded(&filled), &nothing);
    let shown = guarded(metric);
    let caution = |(part, trouble): &(Part, Trouble)| {
        let (what, text) = (trouble.told(nothing.name)?, part.of(metric)?);
        let mend = match part.of(&shown).filter(|_| is_mended) {
            Some(form) => format!("write {form:?}, or say"),
            None => "say".to_owned(),
        };
        Some(FieldError {
            path: format!("spec.metrics[{index}].{}", part.field()),
            kind: FieldErrorKind::Unresolved,
            value: Some(format!("{text:?}")),
            detail: format!("{what}: {mend} with the annotation {} what to do then", terms::KEYS[0]),
        })
    };
    parts.iter().filter_map(caution).collect()
}

/// A condition as it is when its arguments have values.
fn filled(text: &str, args: &[Argument]) -> String {
    let value = |tag: &str| {
        let name = tag.trim_start_matches("args.");
        let argument = args.iter().find(|argument| argument.name == name);
        Some(argument.and_then(|argument| argument.value.as_deref()).unwrap_or(ANY_VALUE))
    };
    fill_tags(text, value).unwrap_or_else(|_| text.to_owned())
}

fn judged(metric: &Metric, samples: &[f64]) -> Verdict {
    condition::judge(metric, &MetricValue::Samples(samples.to_vec()), Timestamp::UNIX_EPOCH)
}

/// Whether the conditions of a metric can be asked about numbers; those with another fault are told elsewhere.
fn is_of_samples(metric: &Metric) -> bool {
    let is_conditional = [Part::Success, Part::Failure].iter().any(|part| part.of(metric).is_some());
    let can_be_asked = |samples: &[f64]| judged(metric, samples).phase != AnalysisPhase::Error;
    is_conditional && (can_be_asked(&[1.0]) || can_be_asked(&[1.0; 9]))
}

/// Where Tidegate refuses a success for missing data, Argo Rollouts passes.
fn is_refused(verdict: &Verdict) -> bool {
    verdict.phase == AnalysisPhase::Error && verdict.lack.is_some()
}

fn trouble(part: Part, metric: &Metric, nothing: &Nothing) -> Trouble {
    let Some(text) = part.of(metric) else { return Trouble::default() };
    let provider = Some(&metric.provider);
    let is_error = |text| condition::evaluate(text, provider, &nothing.value, Timestamp::UNIX_EPOCH).is_err();
    let is_any_error = [Part::Success, Part::Failure].iter().filter_map(|part| part.of(metric)).any(is_error);
    // The one on which a success rests.
    let decides = part == Part::Success || Part::Success.of(metric).is_none();
    let is_asked = nothing.guards.is_some();
    let without_data = || condition::judge(metric, &nothing.value, Timestamp::UNIX_EPOCH);
    Trouble {
        is_error_without_data: is_error(text),
        passes_without_data: decides && is_asked && !is_any_error && is_refused(&without_data()),
        passes_on_nan: decides && is_refused(&judged(metric, &[f64::NAN])),
    }
}

impl Trouble {
    /// What is told of it; `nothing` is what there is without data.
    fn told(self, nothing: &str) -> Option<String> {
        let told = [
            (self.is_error_without_data, format!("it is an error on {nothing} (no data)")),
            (self.passes_without_data, format!("with Argo Rollouts it passes on {nothing} (no data)")),
            (self.passes_on_nan, "with Argo Rollouts it passes on NaN (0/0)".to_owned()),
        ];
        let told: Vec<String> = told.into_iter().filter_map(|(is_so, text)| is_so.then_some(text)).collect();
        (!told.is_empty()).then(|| told.join(", and "))
    }
}

/// The condition with guards for what is wrong with it.
fn guarded(part: Part, text: &str, metric: &Metric, trouble: Trouble, nothing: &Nothing) -> String {
    let is_of_vectors = Regex::new(OF_VECTORS).is_ok_and(|functions| functions.is_match(text));
    let nan = if is_of_vectors { "any(result, isNaN(#))" } else { "isNaN(result[0])" };
    let without_data = trouble.is_error_without_data || trouble.passes_without_data;
    // A failureCondition on its own has to hold without data; beside a successCondition it leaves the verdict open.
    let holds = part == Part::Failure && Part::Success.of(metric).is_none();
    let mut guards = Vec::new();
    if let Some([some, none]) = nothing.guards.filter(|_| without_data) {
        guards.push(if holds { none } else { some }.to_owned());
    }
    if trouble.passes_on_nan {
        guards.push(format!("{}{nan}", if holds { "" } else { "!" }));
    }
    if guards.is_empty() {
        return text.to_owned();
    }
    let and = if holds { " || " } else { " && " };
    format!("{}{and}({text})", guards.join(and))
}

/// Whether guarded conditions do what they promise, and judge numbers as before.
fn is_mended(before: &Metric, after: &Metric, nothing: &Nothing) -> bool {
    let is_safe = |verdict: Verdict| {
        verdict.phase == AnalysisPhase::Failed || verdict.phase == AnalysisPhase::Inconclusive
    };
    let is_same = |samples: &[f64]| judged(before, samples).phase == judged(after, samples).phase;
    let is_asked = nothing.guards.is_some();
    let without_data = || condition::judge(after, &nothing.value, Timestamp::UNIX_EPOCH);
    (!is_asked || is_safe(without_data()))
        && is_safe(judged(after, &[f64::NAN]))
        && [0.0, 0.5, 1.0, 100.0].iter().all(|sample| is_same(&[*sample]))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn warned(metric: Value, annotations: Value) -> Vec<String> {
        let mut whole = json!({"name": "m", "provider": {"prometheus": {"query": "up"}}});
        whole.as_object_mut().unwrap().extend(metric.as_object().unwrap().clone());
        let spec =
            json!({"metrics": [whole], "args": [{"name": "limit", "value": "0.05"}, {"name": "open"}]});
        let template = Template {
            spec: serde_json::from_value(spec).unwrap(),
            annotations: serde_json::from_value(annotations).unwrap(),
        };
        template_cautions(&template).iter().map(ToString::to_string).collect()
    }

    const ERROR: &str = "it is an error on an empty vector (no data)";
    const PASSES: &str = "with Argo Rollouts it passes on an empty vector (no data)";
    const NAN: &str = "with Argo Rollouts it passes on NaN (0/0)";

    /// One warning of one condition, as it has to be.
    fn warning(field: &str, text: &str, what: &str, form: &str) -> String {
        let mend = if form.is_empty() { "say".to_owned() } else { format!("write {form:?}, or say") };
        format!(
            "spec.metrics[0].{field}: {text:?}: {what}: {mend} with the annotation tidegate.dev/on-no-data what to do then"
        )
    }

    #[test]
    fn conditions_are_told_in_a_guarded_form() {
        let (success, failure) = ("successCondition", "failureCondition");
        for (field, text, what, form) in [
            (success, "result[0] >= 0.95", ERROR.to_owned(), "len(result) > 0 && (result[0] >= 0.95)"),
            (success, "result >= 0.95", ERROR.to_owned(), "len(result) > 0 && (result >= 0.95)"),
            (
                success,
                "!(result[0] > 0.05)",
                format!("{ERROR}, and {NAN}"),
                "len(result) > 0 && !isNaN(result[0]) && (!(result[0] > 0.05))",
            ),
            (
                failure,
                "result[0] > {{ args.limit }}",
                format!("{ERROR}, and {NAN}"),
                "len(result) == 0 || isNaN(result[0]) || (result[0] > {{ args.limit }})",
            ),
            (
                failure,
                "result[0] > {{args.open}}",
                format!("{ERROR}, and {NAN}"),
                "len(result) == 0 || isNaN(result[0]) || (result[0] > {{args.open}})",
            ),
            (success, "all(result, # < 1)", PASSES.to_owned(), "len(result) > 0 && (all(result, # < 1))"),
            (
                success,
                "none(result, # > 1)",
                format!("{PASSES}, and {NAN}"),
                "len(result) > 0 && !any(result, isNaN(#)) && (none(result, # > 1))",
            ),
            (
                failure,
                "any(result, # > 1)",
                format!("{PASSES}, and {NAN}"),
                "len(result) == 0 || any(result, isNaN(#)) || (any(result, # > 1))",
            ),
            (success, "len(result) == 0 || !(result[0] > 0.05)", NAN.to_owned(), ""),
        ] {
            assert_eq!(
                warned(json!({field: text}), json!({})),
                [warning(field, text, &what, form)],
                "{text}"
            );
        }
    }

    #[test]
    fn two_conditions_leave_the_verdict_open() {
        let (good, bad) = ("result[0] >= 0.95", "result[0] < 0.9");
        let wanted = [
            warning("successCondition", good, ERROR, &format!("len(result) > 0 && ({good})")),
            warning("failureCondition", bad, ERROR, &format!("len(result) > 0 && ({bad})")),
        ];
        assert_eq!(warned(json!({"successCondition": good, "failureCondition": bad}), json!({})), wanted);
    }

    #[test]
    fn each_provider_has_its_own_way_to_have_no_data() {
        let (influxdb, wavefront) =
            (json!({"influxdb": {"query": "q"}}), json!({"wavefront": {"query": "q"}}));
        let graphite = json!({"graphite": {"query": "q"}});
        let datadog =
            |version: &str, query: &str| json!({"datadog": {"apiVersion": version, "query": query}});
        let grouped = datadog("v2", "avg:errors{*} by {service}");
        let (success, failure) = ("successCondition", "failureCondition");
        let (answer, nil) =
            ("it is an error on an empty answer (no data)", "it is an error on nil (no data)");
        for (provider, field, text, what, form) in [
            (&graphite, success, "result[0] < 5", ERROR.to_owned(), "len(result) > 0 && (result[0] < 5)"),
            (
                &graphite,
                failure,
                "any(result, # > 5)",
                format!("{PASSES}, and {NAN}"),
                "len(result) == 0 || any(result, isNaN(#)) || (any(result, # > 5))",
            ),
            (&influxdb, success, "result[0] < 5", answer.to_owned(), ""),
            (&influxdb, failure, "result[0] > 5", format!("{answer}, and {NAN}"), ""),
            (
                &influxdb,
                success,
                "none(result, # > 5)",
                NAN.to_owned(),
                "!any(result, isNaN(#)) && (none(result, # > 5))",
            ),
            (&wavefront, failure, "result > 5", format!("{answer}, and {NAN}"), ""),
            (&grouped, success, "result[0] < 5", nil.to_owned(), "!isNil(result) && (result[0] < 5)"),
            (
                &grouped,
                failure,
                "any(result, # > 5)",
                format!("{nil}, and {NAN}"),
                "isNil(result) || any(result, isNaN(#)) || (any(result, # > 5))",
            ),
        ] {
            let metric = json!({field: text, "provider": provider});
            assert_eq!(warned(metric, json!({})), [warning(field, text, &what, form)], "{provider}: {text}");
        }
        for provider in [datadog("v1", "avg:errors{*} by {service}"), datadog("v2", "avg:errors{*}")] {
            let metric = json!({failure: "result > 5", "provider": provider});
            assert_eq!(warned(metric, json!({})), [""; 0], "one number");
        }
        let quiet = json!({failure: "result[0] > 5", "provider": influxdb});
        assert_eq!(warned(quiet, json!({"tidegate.dev/on-no-data": "wait"})), [""; 0]);
    }

    #[test]
    fn what_names_the_case_or_is_about_something_else_is_left_alone() {
        for metric in [
            json!({}),
            json!({"successCondition": "len(result) > 0 && result[0] >= {{args.open}}"}),
            json!({"successCondition": "len(result) == 0 || isNaN(result[0]) || result[0] >= 0.95"}),
            json!({"failureCondition": "len(result) == 0 || isNaN(result[0]) || result[0] < 0.95"}),
            json!({"successCondition": "result.ok"}),
            json!({"successCondition": "result[0] >"}),
            json!({"successCondition": "result[0] > 1", "provider": {"web": {"url": "u"}}}),
            json!({"successCondition": "result[0] > 1", "provider": {"job": {"spec": {}}}}),
        ] {
            assert_eq!(warned(metric.clone(), json!({})), [""; 0], "{metric}");
        }
        let metric = json!({"successCondition": "result[0] > 1"});
        assert_eq!(warned(metric.clone(), json!({"tidegate.dev/on-no-data": "m=wait"})), [""; 0]);
        assert_eq!(warned(metric, json!({"tidegate.dev/min-samples": "1"})).len(), 1);
        let splunk =
            json!({"successCondition": "result[0] > 1", "provider": {"plugin": {"tidegate.dev/splunk": {}}}});
        assert_eq!(warned(splunk, json!({})).len(), 1);
    }
}
