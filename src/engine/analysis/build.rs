//! Builds the AnalysisRun that a Rollout or an Experiment needs from the templates that its analysis names.
//!
//! Input: the owner, one of its analyses and the templates. Output: the object to create. The caller
//! chooses the name.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde_json::Value;
use tidegate_api::analysis::{
    AnalysisRun, AnalysisRunSpec, AnalysisTemplateRef, AnalysisTemplateSpec, Argument, DryRun,
    MeasurementRetention, Metric,
};
use tidegate_api::experiment::Experiment;
use tidegate_api::rollout::{ArgumentValueFrom, Rollout, RolloutAnalysis};

use super::args::{SecretValues, Values};
use super::template::{self, Template, Templates};
use super::{args, limits, terms};
use crate::experiment;
use crate::rollout::world::{HASH_LABEL, INSTANCE_ID, REVISION, TemplateKey, owner_reference};

/// What a run is for within its Rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunKind {
    /// The analysis of one canary step.
    Step { index: i32 },
    /// The analysis beside the steps.
    Background,
    /// The analysis before a blue-green switch.
    PrePromotion,
    /// The analysis after a blue-green switch.
    PostPromotion,
}

impl RunKind {
    /// The value of the label `rollout-type`, which events and clients show, too.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Step { .. } => "Step",
            Self::Background => "Background",
            Self::PrePromotion => "PrePromotion",
            Self::PostPromotion => "PostPromotion",
        }
    }
}

/// All that a new run is made from.
pub struct RunRequest<'a> {
    pub rollout: &'a Rollout,
    /// Name of the run.
    pub name: String,
    pub analysis: &'a RolloutAnalysis,
    pub kind: RunKind,
    pub templates: &'a Templates,
    /// Pod template hash of the stable version; empty when there is none yet.
    pub stable_hash: &'a str,
    /// Pod template hash of the new version.
    pub latest_hash: &'a str,
    pub revision: i64,
    /// The controller instance that the Rollout belongs to.
    pub instance_id: Option<String>,
}

/// What the arguments of a run come to, as far as that is known before it is built.
///
/// # Errors
/// Fails where [`new_run`] does, but for what can be mended by the time of the run: a field of the status that an argument
/// names and that is not there yet. Whether the metrics end is for the caller to ask of each template.
pub(crate) fn check_run(request: &RunRequest<'_>) -> Result<Values, String> {
    let RunRequest { analysis, stable_hash, latest_hash, .. } = request;
    let mut open = BTreeSet::new();
    let (spec, _annotations) = contents(request, |rollout| {
        let (given, later) = args::expected_args(rollout, &analysis.args, stable_hash, latest_hash)?;
        open = later;
        Ok(given)
    })?;
    let mut values = values_of(&spec);
    values.retain(|name, _| !open.contains(name));
    Ok(values)
}

/// What the run measures, and the annotations that say how; `given` gives the arguments their values out of the Rollout.
fn contents(
    request: &RunRequest<'_>,
    given: impl FnOnce(&Value) -> Result<Vec<Argument>, String>,
) -> Result<(AnalysisRunSpec, BTreeMap<String, String>), String> {
    let analysis = request.analysis;
    let Template { spec: template, annotations: of_templates } =
        template::flatten(&analysis.templates, request.templates)?;
    // Only an argument that names a field of the Rollout looks into it; most rounds build runs just to check them.
    let looks = |from: &ArgumentValueFrom| from.field_ref.is_some();
    let rollout = match analysis.args.iter().any(|arg| arg.value_from.as_ref().is_some_and(looks)) {
        true => serde_json::to_value(request.rollout).unwrap_or(Value::Null),
        false => Value::Null,
    };
    let given = given(&rollout)?;
    let spec = assemble(template, &given, &analysis.dry_run, &analysis.measurement_retention)?;
    let own = analysis.analysis_run_metadata.as_ref().map(|metadata| metadata.annotations.clone());
    let annotations = take_over(own.unwrap_or_default(), of_templates, &spec.metrics)?;
    Ok((spec, annotations))
}

/// The values of a run's arguments; none where one has none, which the run itself tells.
fn values_of(spec: &AnalysisRunSpec) -> Values {
    args::values(&spec.args, &SecretValues::Hidden).unwrap_or_default()
}

/// Fails with the first metric that goes on until something ends it. Nothing but the background ends with the update: a step
/// would wait for ever.
fn check_ends(spec: &AnalysisRunSpec) -> Result<(), String> {
    let values = values_of(spec);
    for metric in &spec.metrics {
        if let Some(count) = limits::endless_count(metric, &values) {
            return Err(format!(
                "metric '{}' runs indefinitely. Invalid value for count: {count}",
                metric.name
            ));
        }
    }
    Ok(())
}

/// Builds the run.
///
/// # Errors
/// Fails when a template is missing, templates contradict each other, an argument has no value, or a metric has no end and
/// nobody would end it.
pub fn new_run(request: &RunRequest<'_>) -> Result<AnalysisRun, String> {
    let RunRequest { analysis, stable_hash, latest_hash, .. } = request;
    let (spec, mut annotations) =
        contents(request, |rollout| args::rollout_args(rollout, &analysis.args, stable_hash, latest_hash))?;
    if request.kind != RunKind::Background {
        check_ends(&spec)?;
    }
    let mut run = AnalysisRun::new(&request.name, spec);
    run.metadata.namespace.clone_from(&request.rollout.metadata.namespace);
    let metadata = request.analysis.analysis_run_metadata.clone().unwrap_or_default();
    run.metadata.labels = Some(labels(request, metadata.labels));
    annotations.insert(REVISION.to_owned(), request.revision.to_string());
    run.metadata.annotations = Some(annotations);
    run.metadata.owner_references =
        serde_json::from_value::<OwnerReference>(owner_reference(request.rollout))
            .ok()
            .map(|owner| vec![owner]);
    Ok(run)
}

/// The annotations of a run: what its user wants goes before what the templates say of missing data.
fn take_over(
    own: BTreeMap<String, String>,
    of_templates: BTreeMap<String, String>,
    metrics: &[Metric],
) -> Result<BTreeMap<String, String>, String> {
    let mut annotations = of_templates;
    if own.contains_key(terms::ON_NO_DATA) {
        // How long to wait belongs to what the template says of missing data.
        annotations.remove(terms::WAIT_AT_MOST);
    }
    annotations.extend(own);
    match terms::of(&annotations, metrics, metrics) {
        Ok(_) => Ok(annotations),
        Err(faults) => Err(format!("analysisRunMetadata: {}", terms::first(&faults))),
    }
}

/// Puts together what a template measures and what its user says of it.
fn assemble(
    template: AnalysisTemplateSpec,
    given: &[Argument],
    dry_run: &[DryRun],
    retention: &[MeasurementRetention],
) -> Result<AnalysisRunSpec, String> {
    let mut spec = AnalysisRunSpec {
        metrics: template.metrics,
        args: args::merge(given, &template.args)?,
        dry_run: dry_run.to_vec(),
        measurement_retention: retention.to_vec(),
        ..AnalysisRunSpec::default()
    };
    template::add_dry_run(&mut spec.dry_run, &template.dry_run)?;
    template::add_retention(&mut spec.measurement_retention, &template.measurement_retention)?;
    Ok(spec)
}

/// All that a run of an Experiment is made from.
pub struct ExperimentRunRequest<'a> {
    pub experiment: &'a Experiment,
    /// Name of the run.
    pub name: &'a str,
    pub template: AnalysisTemplateRef,
    /// Arguments with their values filled in.
    pub args: &'a [Argument],
    pub templates: &'a Templates,
}

/// Builds a run of an Experiment. It may measure without end, for it ends with the Experiment.
///
/// # Errors
/// Fails when a template is missing, templates contradict each other, or an argument has no value.
pub fn new_experiment_run(request: &ExperimentRunRequest<'_>) -> Result<AnalysisRun, String> {
    let (metadata, spec) = (&request.experiment.metadata, &request.experiment.spec);
    let Template { spec: template, annotations: of_templates } =
        template::flatten(std::slice::from_ref(&request.template), request.templates)?;
    let run = assemble(template, request.args, &spec.dry_run, &spec.measurement_retention)?;
    let mut run = AnalysisRun::new(request.name, run);
    run.metadata.namespace.clone_from(&metadata.namespace);
    let mut labels = spec.analysis_run_metadata.labels.clone();
    if let Some(instance) = metadata.labels.as_ref().and_then(|labels| labels.get(INSTANCE_ID)) {
        labels.insert(INSTANCE_ID.to_owned(), instance.clone());
    }
    let own = spec.analysis_run_metadata.annotations.clone();
    let annotations = take_over(own, of_templates, &run.spec.metrics)?;
    run.metadata.labels = (!labels.is_empty()).then_some(labels);
    run.metadata.annotations = (!annotations.is_empty()).then_some(annotations);
    run.metadata.owner_references =
        serde_json::from_value::<OwnerReference>(experiment::owner_reference(request.experiment))
            .ok()
            .map(|owner| vec![owner]);
    Ok(run)
}

/// The user's labels, then the Rollout's selector, then those that identify the run: a label of the user's must
/// not make it look like a run of another revision.
fn labels(request: &RunRequest<'_>, mut labels: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let selector = request.rollout.spec.selector.as_ref().and_then(|selector| selector.match_labels.clone());
    labels.extend(selector.unwrap_or_default());
    labels.insert(HASH_LABEL.to_owned(), request.latest_hash.to_owned());
    labels.insert("rollout-type".to_owned(), request.kind.as_str().to_owned());
    labels.remove("step-index");
    if let RunKind::Step { index } = request.kind {
        labels.insert("step-index".to_owned(), index.to_string());
    }
    if let Some(instance) = &request.instance_id {
        labels.insert(INSTANCE_ID.to_owned(), instance.clone());
    }
    labels
}

/// A run of one template and all that it includes, as somebody makes it by hand, who gives it a name.
///
/// # Errors
/// Fails when a template is missing, templates contradict each other, or an argument has no value.
pub fn run_of(key: &TemplateKey, templates: &Templates, given: &[Argument]) -> Result<AnalysisRun, String> {
    let reference = AnalysisTemplateRef::new(&key.name, key.cluster);
    let Template { spec: template, annotations } = template::flatten(&[reference], templates)?;
    // Upstream passes everything on to a template that declares nothing.
    let args = if template.args.is_empty() { given.to_vec() } else { args::merge(given, &template.args)? };
    let spec = AnalysisRunSpec {
        metrics: template.metrics,
        args,
        dry_run: template.dry_run,
        measurement_retention: template.measurement_retention,
        ..AnalysisRunSpec::default()
    };
    let metadata = ObjectMeta { annotations: Some(annotations), ..ObjectMeta::default() };
    Ok(AnalysisRun { metadata, spec, status: None })
}

/// Whether two runs measure the same: metrics, arguments and the rules about both.
#[must_use]
pub fn semantically_equal(one: &AnalysisRun, other: &AnalysisRun) -> bool {
    let (one, other) = (&one.spec, &other.spec);
    one.metrics == other.metrics
        && one.dry_run == other.dry_run
        && one.measurement_retention == other.measurement_retention
        && one.args == other.args
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use serde_json::json;

    fn run(kind: RunKind) -> Result<AnalysisRun, String> {
        let rollout: Rollout = serde_json::from_value(json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
            "metadata": {"name": "web", "namespace": "shop", "uid": "u1"},
            "spec": {"selector": {"matchLabels": {"app": "web"}}},
        }))
        .unwrap();
        let template: AnalysisTemplateSpec = serde_json::from_value(json!({
            "args": [{"name": "hash"}, {"name": "limit", "value": "0.95"}],
            "metrics": [{"name": "success", "provider": {"prometheus": {"query": "up"}}}],
            "dryRun": [{"metricName": "slow"}],
        }))
        .unwrap();
        let analysis: RolloutAnalysis = serde_json::from_value(json!({
            "templates": [{"templateName": "success"}],
            "args": [{"name": "hash", "valueFrom": {"podTemplateHashValue": "Latest"}}],
            "dryRun": [{"metricName": "success"}],
            "measurementRetention": [{"metricName": ".*", "limit": 3}],
            "analysisRunMetadata": {
                "labels": {
                    "team": "a", "app": "other", "rollout-type": "mine", "step-index": "7",
                    "rollouts-pod-template-hash": "old",
                    "argo-rollouts.argoproj.io/controller-instance-id": "green",
                },
                "annotations": {"note": "b", "rollout.argoproj.io/revision": "9"},
            },
        }))
        .unwrap();
        requested(&rollout, &analysis, template, kind, new_run)
    }

    /// Asks about a run of an analysis with one template, which it names.
    fn requested<T>(
        rollout: &Rollout,
        analysis: &RolloutAnalysis,
        template: AnalysisTemplateSpec,
        kind: RunKind,
        ask: impl FnOnce(&RunRequest<'_>) -> T,
    ) -> T {
        let key = TemplateKey { cluster: false, name: analysis.templates[0].template_name.clone() };
        ask(&RunRequest {
            rollout,
            name: "web-new-2-0".into(),
            analysis,
            kind,
            templates: &BTreeMap::from([(key, Arc::new(template.into()))]),
            stable_hash: "old",
            latest_hash: "new",
            revision: 2,
            instance_id: Some("blue".into()),
        })
    }

    #[test]
    fn a_run_carries_what_finds_it_again() {
        let run = serde_json::to_value(run(RunKind::Step { index: 1 }).unwrap()).unwrap();
        assert_eq!(
            run,
            json!({
                "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun",
                "metadata": {
                    "name": "web-new-2-0", "namespace": "shop",
                    "labels": {
                        "app": "web", "team": "a", "rollout-type": "Step", "step-index": "1",
                        "rollouts-pod-template-hash": "new",
                        "argo-rollouts.argoproj.io/controller-instance-id": "blue",
                    },
                    "annotations": {"note": "b", "rollout.argoproj.io/revision": "2"},
                    "ownerReferences": [{
                        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "web", "uid": "u1",
                        "controller": true, "blockOwnerDeletion": true,
                    }],
                },
                "spec": {
                    "metrics": [{"name": "success", "provider": {"prometheus": {"query": "up"}}}],
                    "args": [{"name": "hash", "value": "new"}, {"name": "limit", "value": "0.95"}],
                    "dryRun": [{"metricName": "success"}, {"metricName": "slow"}],
                    "measurementRetention": [{"metricName": ".*", "limit": 3}],
                },
            })
        );
    }

    /// Whoever may write an analysis cannot make its run look like one of another revision, step or controller.
    #[test]
    fn what_finds_a_run_again_goes_before_what_its_user_wants() {
        let run = run(RunKind::Step { index: 1 }).unwrap().metadata;
        let (labels, annotations) = (run.labels.unwrap(), run.annotations.unwrap());
        for (label, kept) in [
            (HASH_LABEL, "new"),
            ("rollout-type", "Step"),
            ("step-index", "1"),
            (INSTANCE_ID, "blue"),
            ("app", "web"),
            ("team", "a"),
        ] {
            assert_eq!(labels[label], kept, "{label}");
        }
        assert_eq!((annotations[REVISION].as_str(), annotations["note"].as_str()), ("2", "b"));
    }

    #[test]
    fn a_run_of_an_experiment_stays_with_its_controller() {
        let experiment: Experiment = serde_json::from_value(json!({
            "metadata": {"name": "e", "namespace": "shop", "uid": "e1", "labels": {INSTANCE_ID: "blue"}},
            "spec": {"templates": [], "analysisRunMetadata": {"labels": {INSTANCE_ID: "green", "team": "a"}}},
        }))
        .unwrap();
        let template: AnalysisTemplateSpec = serde_json::from_value(json!({"metrics": []})).unwrap();
        let key = TemplateKey { cluster: false, name: "t".to_owned() };
        let run = new_experiment_run(&ExperimentRunRequest {
            experiment: &experiment,
            name: "e-t",
            template: AnalysisTemplateRef::new("t", false),
            args: &[],
            templates: &BTreeMap::from([(key, Arc::new(template.into()))]),
        });
        let labels = run.unwrap().metadata.labels.unwrap();
        assert_eq!((labels[INSTANCE_ID].as_str(), labels["team"].as_str()), ("blue", "a"));
    }

    #[test]
    fn what_its_user_says_of_missing_data_goes_before_the_templates() {
        let metrics: Vec<Metric> =
            serde_json::from_value(json!([{"name": "m", "provider": {"prometheus": {"query": "up"}}}]))
                .unwrap();
        let texts = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect()
        };
        let of_templates = texts(&[("tidegate.dev/on-no-data", "wait"), ("tidegate.dev/min-samples", "1")]);
        let own = texts(&[("note", "b"), ("tidegate.dev/on-no-data", "m=fail")]);
        let wanted =
            texts(&[("note", "b"), ("tidegate.dev/on-no-data", "m=fail"), ("tidegate.dev/min-samples", "1")]);
        assert_eq!(take_over(own, of_templates.clone(), &metrics), Ok(wanted));
        let wrong = texts(&[("tidegate.dev/on-no-data", "other=fail")]);
        let why = take_over(wrong, of_templates, &metrics).unwrap_err();
        assert!(
            why.starts_with("analysisRunMetadata: metadata.annotations[tidegate.dev/on-no-data]: Invalid"),
            "{why}"
        );
    }

    #[test]
    fn background_runs_are_of_no_step() {
        let run = run(RunKind::Background).unwrap();
        let labels = run.metadata.labels.unwrap();
        assert_eq!(labels["rollout-type"], "Background");
        assert!(!labels.contains_key("step-index"), "whatever its user wants");
    }

    /// Asks about a run of one metric that is measured each minute, so many times.
    fn asked<T>(count: &Value, kind: RunKind, ask: impl FnOnce(&RunRequest<'_>) -> T) -> T {
        let rollout: Rollout = serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "shop"}, "spec": {"selector": {"matchLabels": {"app": "web"}}},
        }))
        .unwrap();
        let provider = json!({"prometheus": {"query": "up"}});
        let template: AnalysisTemplateSpec = serde_json::from_value(json!({
            "args": [{"name": "count"}],
            "metrics": [{"name": "m", "interval": "1m", "count": "{{args.count}}", "provider": provider}],
        }))
        .unwrap();
        let analysis: RolloutAnalysis =
            serde_json::from_value(json!({"templates": [{"templateName": "t"}], "args": [count]})).unwrap();
        requested(&rollout, &analysis, template, kind, ask)
    }

    #[test]
    fn only_a_run_in_the_background_may_have_no_end() {
        for (count, is_endless) in [("3", false), ("-1", false), ("0", true), ("many", true), ("", true)] {
            let arg = json!({"name": "count", "value": count});
            for kind in [RunKind::Step { index: 0 }, RunKind::PrePromotion, RunKind::PostPromotion] {
                let built = asked(&arg, kind, |request| new_run(request).map(drop));
                let why = format!("metric 'm' runs indefinitely. Invalid value for count: {count}");
                assert_eq!(built, if is_endless { Err(why) } else { Ok(()) });
            }
            assert!(asked(&arg, RunKind::Background, |request| new_run(request).is_ok()), "{count}");
        }
    }

    #[test]
    fn a_field_that_is_not_there_yet_fails_the_run_and_not_its_check() {
        let arg = |path: &str| json!({"name": "count", "valueFrom": {"fieldRef": {"fieldPath": path}}});
        let checked = |path: &str| asked(&arg(path), RunKind::Background, check_run);
        let built =
            |path: &str| asked(&arg(path), RunKind::Step { index: 0 }, |request| new_run(request).map(drop));
        for path in ["status.stableRS", "status.alb.loadBalancer.name"] {
            assert_eq!(checked(path), Ok(Values::new()), "{path}");
            assert_eq!(built(path), Err(format!("args.count: invalid path {path} in rollout")));
        }
        assert_eq!(checked("spec.none"), Err("args.count: invalid path spec.none in rollout".to_owned()));
        let missing = "metadata.labels['missing']";
        assert_eq!(checked(missing), Ok([("count".to_owned(), String::new())].into()));
        let why = "args.count: unsupported fieldPath: metadata.generation".to_owned();
        assert_eq!(checked("metadata.generation"), Err(why.clone()));
        assert_eq!(built("metadata.generation"), Err(why));
    }

    #[test]
    fn equality_looks_at_what_is_measured() {
        let one = run(RunKind::Background).unwrap();
        let mut other = run(RunKind::Step { index: 0 }).unwrap();
        assert!(semantically_equal(&one, &other));
        other.spec.terminate = true;
        assert!(semantically_equal(&one, &other));
        other.spec.args[0].value = Some("else".into());
        assert!(!semantically_equal(&one, &other));
    }
}
