//! Combines the templates that an analysis names, and those they name in turn, into one list of metrics.
//!
//! Input: references and the templates by scope and name. Output: one template without further references,
//! or the reason why the templates contradict each other. Annotations of ours become those of the run: there each metric
//! keeps what its own template says of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidegate_api::analysis::{
    AnalysisRun, AnalysisTemplate, AnalysisTemplateRef, AnalysisTemplateSpec, Argument, DryRun,
    MeasurementRetention,
};

use super::terms::{self, Terms};
use crate::rollout::world::TemplateKey;

/// A template of either scope, as far as runs are made from it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Template {
    pub spec: AnalysisTemplateSpec,
    /// The annotations that runs take over: those that say what to do where data is missing.
    pub annotations: BTreeMap<String, String>,
}

impl Template {
    fn new(spec: AnalysisTemplateSpec, annotations: Option<BTreeMap<String, String>>) -> Self {
        let mut annotations = annotations.unwrap_or_default();
        annotations.retain(|key, _| terms::KEYS.contains(&key.as_str()));
        Self { spec, annotations }
    }

    /// The template that would make a run as it is.
    #[must_use]
    pub fn of_run(run: &AnalysisRun) -> Self {
        let spec = run.spec.clone();
        let spec = AnalysisTemplateSpec {
            metrics: spec.metrics,
            args: spec.args,
            dry_run: spec.dry_run,
            measurement_retention: spec.measurement_retention,
            templates: Vec::new(),
        };
        Self::new(spec, run.metadata.annotations.clone())
    }
}

impl From<AnalysisTemplate> for Template {
    fn from(template: AnalysisTemplate) -> Self {
        Self::new(template.spec, template.metadata.annotations)
    }
}

impl From<AnalysisTemplateSpec> for Template {
    fn from(spec: AnalysisTemplateSpec) -> Self {
        Self { spec, annotations: BTreeMap::new() }
    }
}

/// Templates by scope and name.
pub(crate) type Templates = BTreeMap<TemplateKey, Arc<Template>>;

/// Combines templates: those of the namespace first, then those of the cluster, each with what it includes.
pub(crate) fn flatten(references: &[AnalysisTemplateRef], templates: &Templates) -> Result<Template, String> {
    let mut found = Found::default();
    for reference in references {
        found.collect(reference, templates)?;
    }
    let mut combined = AnalysisTemplateSpec::default();
    // One kind of thing after the other: of several contradictions, the first one told is upstream's.
    let templates = || found.namespaced.iter().chain(&found.cluster).map(|(_, template)| &template.spec);
    for template in templates() {
        add_metrics(&mut combined, template)?;
    }
    for template in templates() {
        add_dry_run(&mut combined.dry_run, &template.dry_run)?;
    }
    for template in templates() {
        add_retention(&mut combined.measurement_retention, &template.measurement_retention)?;
    }
    for arg in templates().flat_map(|template| &template.args) {
        add_arg(&mut combined.args, arg)?;
    }
    let mut all = Vec::new();
    for (key, template) in found.namespaced.iter().chain(&found.cluster) {
        all.extend(terms_of(key, template)?);
    }
    let annotations = terms::annotations(&combined.metrics, &all)?;
    Ok(Template { spec: combined, annotations })
}

/// What a template says of the missing data of each of its metrics.
fn terms_of(key: &TemplateKey, template: &Template) -> Result<Vec<Terms>, String> {
    let metrics = &template.spec.metrics;
    terms::of(&template.annotations, metrics, metrics)
        .map_err(|faults| format!("{} '{}': {}", key.kind(), key.name, terms::first(&faults)))
}

/// Templates in the order in which they were named, each once.
#[derive(Default)]
struct Found {
    seen: BTreeSet<TemplateKey>,
    namespaced: Vec<(TemplateKey, Arc<Template>)>,
    cluster: Vec<(TemplateKey, Arc<Template>)>,
}

impl Found {
    /// Takes a template and all it includes; one that was seen before is not taken again, so a circle ends.
    fn collect(&mut self, reference: &AnalysisTemplateRef, templates: &Templates) -> Result<(), String> {
        let mut open = vec![reference];
        while let Some(reference) = open.pop() {
            let key = TemplateKey { cluster: reference.is_cluster(), name: reference.template_name.clone() };
            if self.seen.contains(&key) {
                continue;
            }
            let Some(template) = templates.get(&key) else {
                return Err(format!("{} '{}' not found", key.kind(), key.name));
            };
            open.extend(template.spec.templates.iter().rev());
            let list = if key.cluster { &mut self.cluster } else { &mut self.namespaced };
            list.push((key.clone(), Arc::clone(template)));
            self.seen.insert(key);
        }
        Ok(())
    }
}

fn add_metrics(combined: &mut AnalysisTemplateSpec, template: &AnalysisTemplateSpec) -> Result<(), String> {
    for metric in &template.metrics {
        if combined.metrics.iter().any(|known| known.name == metric.name) {
            return Err(format!("two metrics have the same name '{}'", metric.name));
        }
        combined.metrics.push(metric.clone());
    }
    Ok(())
}

/// Adds an argument; of several with one name the first value counts, and two different values contradict. One without
/// a value makes room for the next as a whole: where a Secret stayed beside the value, the Secret would win.
fn add_arg(args: &mut Vec<Argument>, arg: &Argument) -> Result<(), String> {
    let Some(known) = args.iter_mut().find(|known| known.name == arg.name) else {
        args.push(arg.clone());
        return Ok(());
    };
    match (&known.value, &arg.value) {
        (Some(one), Some(other)) if one != other => {
            return Err(format!(
                "Argument `{}` specified multiple times with different values: '{one}', '{other}'",
                arg.name
            ));
        }
        (None, _) => known.clone_from(arg),
        (Some(_), _) => {}
    }
    Ok(())
}

/// Adds rules for metrics without effect; two rules for the same names are a mistake.
pub(crate) fn add_dry_run(rules: &mut Vec<DryRun>, more: &[DryRun]) -> Result<(), String> {
    for rule in more {
        if rules.iter().any(|known| known.metric_name == rule.metric_name) {
            return Err(format!("two Dry-Run metric rules have the same name '{}'", rule.metric_name));
        }
        rules.push(rule.clone());
    }
    Ok(())
}

/// Adds rules for how many measurements to keep; two rules for the same names are a mistake.
pub(crate) fn add_retention(
    rules: &mut Vec<MeasurementRetention>,
    more: &[MeasurementRetention],
) -> Result<(), String> {
    for rule in more {
        if rules.iter().any(|known| known.metric_name == rule.metric_name) {
            return Err(format!(
                "two Measurement Retention metric rules have the same name '{}'",
                rule.metric_name
            ));
        }
        rules.push(rule.clone());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn templates(list: &[(bool, &str, Value)]) -> Templates {
        let entry = |(cluster, name, spec): &(bool, &str, Value)| {
            let key = TemplateKey { cluster: *cluster, name: (*name).to_owned() };
            let spec: AnalysisTemplateSpec = serde_json::from_value(spec.clone()).unwrap();
            (key, Arc::new(Template::from(spec)))
        };
        list.iter().map(entry).collect()
    }

    fn reference(name: &str, cluster_scope: bool) -> AnalysisTemplateRef {
        AnalysisTemplateRef::new(name, cluster_scope)
    }

    fn names(template: &Template) -> Vec<&str> {
        template.spec.metrics.iter().map(|metric| metric.name.as_str()).collect()
    }

    #[test]
    fn namespaced_templates_come_before_those_of_the_cluster_and_circles_end() {
        let templates = templates(&[
            (true, "c", json!({"metrics": [{"name": "c"}], "templates": [{"templateName": "b"}]})),
            (false, "a", json!({"metrics": [{"name": "a"}], "templates": [{"templateName": "b"}]})),
            (false, "b", json!({"metrics": [{"name": "b"}], "templates": [{"templateName": "a"}]})),
        ]);
        let combined = flatten(&[reference("c", true), reference("a", false)], &templates).unwrap();
        assert_eq!(names(&combined), ["b", "a", "c"]);
    }

    #[test]
    fn the_first_value_of_an_argument_counts() {
        let templates = templates(&[
            (false, "a", json!({"args": [{"name": "x"}, {"name": "y", "value": "1"}]})),
            (false, "b", json!({"args": [{"name": "x", "value": "2"}, {"name": "y"}]})),
        ]);
        let combined = flatten(&[reference("a", false), reference("b", false)], &templates).unwrap();
        let values: Vec<_> = combined.spec.args.iter().map(|arg| arg.value.as_deref()).collect();
        assert_eq!(values, [Some("2"), Some("1")]);
    }

    #[test]
    fn contradictions_name_what_contradicts() {
        let cases = [
            (json!({"metrics": [{"name": "m"}]}), "two metrics have the same name 'm'"),
            (
                json!({"args": [{"name": "x", "value": "other"}]}),
                "Argument `x` specified multiple times with different values: 'one', 'other'",
            ),
            (json!({"dryRun": [{"metricName": "m"}]}), "two Dry-Run metric rules have the same name 'm'"),
            (
                json!({"measurementRetention": [{"metricName": "m", "limit": 3}]}),
                "two Measurement Retention metric rules have the same name 'm'",
            ),
        ];
        let first = json!({
            "metrics": [{"name": "m"}], "args": [{"name": "x", "value": "one"}],
            "dryRun": [{"metricName": "m"}], "measurementRetention": [{"metricName": "m", "limit": 2}],
        });
        for (second, message) in cases {
            let templates = templates(&[(false, "a", first.clone()), (false, "b", second)]);
            let error = flatten(&[reference("a", false), reference("b", false)], &templates).unwrap_err();
            assert_eq!(error, message);
        }
        let error = flatten(&[reference("gone", true)], &Templates::new()).unwrap_err();
        assert_eq!(error, "ClusterAnalysisTemplate 'gone' not found");
    }
}
