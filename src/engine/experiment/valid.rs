//! What is wrong with the spec of an Experiment: where, for who checks manifests, and in the words of Argo Rollouts.
//!
//! Input: an Experiment. Output: its faults, in the order in which they are looked for. The pod template is not looked at:
//! the API server judges it when the ReplicaSet is created.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use tidegate_api::experiment::{Experiment, TemplateSpec};
use tidegate_api::valid::{FieldError, FieldErrorKind};

/// Seconds without progress before a template counts as failed, when the spec does not say.
const PROGRESS_DEADLINE_SECONDS: i32 = 600;

/// One fault of a spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The field, and what is wrong with it.
    pub error: FieldError,
    /// The same as the status of the Experiment says it, in the words of Argo Rollouts.
    pub message: String,
}

/// Seconds without progress before a template counts as failed.
pub(super) fn progress_deadline_seconds(experiment: &Experiment) -> i32 {
    experiment.spec.progress_deadline_seconds.unwrap_or(PROGRESS_DEADLINE_SECONDS)
}

/// All faults of the spec; none when it can be acted on. The first one is what its status tells.
#[must_use]
pub fn faults(experiment: &Experiment) -> Vec<Fault> {
    let mut names = BTreeSet::new();
    let templates = experiment.spec.templates.iter().enumerate();
    templates
        .flat_map(|(index, template)| {
            let seconds = of_deadline(experiment, index, template);
            let name = of_name(experiment, index, template, &mut names);
            [of_selector(index, template), seconds, name].into_iter().flatten()
        })
        .collect()
}

fn of_selector(index: usize, template: &TemplateSpec) -> Option<Fault> {
    match &template.selector {
        None => Some(fault(
            index,
            "selector",
            (FieldErrorKind::Required, None, ""),
            // The word Rollout is upstream's.
            format!("Rollout has missing field '.Spec.Templates[{index}].Selector'"),
        )),
        Some(selector) if *selector == LabelSelector::default() => Some(fault(
            index,
            "selector",
            (FieldErrorKind::Invalid, Some("{}".to_owned()), "selects all pods"),
            format!(
                "This experiment is selecting all pods at index {index}. A non-empty selector is required."
            ),
        )),
        Some(_) => None,
    }
}

fn of_deadline(experiment: &Experiment, index: usize, template: &TemplateSpec) -> Option<Fault> {
    let seconds = template.min_ready_seconds;
    (seconds > progress_deadline_seconds(experiment)).then(|| {
        fault(
            index,
            "minReadySeconds",
            (
                FieldErrorKind::Invalid,
                Some(seconds.to_string()),
                "must not be greater than progressDeadlineSeconds",
            ),
            format!(
                "MinReadySeconds cannot be longer than ProgressDeadlineSeconds. Check template index {index}"
            ),
        )
    })
}

fn of_name<'e>(
    experiment: &Experiment,
    index: usize,
    template: &'e TemplateSpec,
    names: &mut BTreeSet<&'e str>,
) -> Option<Fault> {
    let of = experiment.metadata.name.as_deref().unwrap_or_default();
    let name = template.name.as_str();
    if name.is_empty() {
        let message = format!("Experiment {of} has empty template name at index {index}");
        return Some(fault(index, "name", (FieldErrorKind::Required, None, ""), message));
    }
    (!names.insert(name)).then(|| {
        let message = format!("Experiment {of} has repeated template name '{name}' in templates");
        fault(index, "name", (FieldErrorKind::Duplicate, Some(format!("{name:?}")), ""), message)
    })
}

fn fault(
    index: usize,
    field: &str,
    (kind, value, detail): (FieldErrorKind, Option<String>, &str),
    message: String,
) -> Fault {
    let path = format!("spec.templates[{index}].{field}");
    Fault { error: FieldError { path, kind, value, detail: detail.to_owned() }, message }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Whoever checks a manifest is told everything at once, the status tells the first of it.
    #[test]
    fn all_faults_are_told_in_their_order() {
        let experiment: Experiment = serde_json::from_value(json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Experiment", "metadata": {"name": "e"},
            "spec": {"progressDeadlineSeconds": 60, "templates": [
                {"name": "a", "selector": {}, "minReadySeconds": 90},
                {"name": "a"},
                {"name": "", "selector": {"matchLabels": {"app": "a"}}},
            ]},
        }))
        .unwrap();
        let told: Vec<(String, String)> =
            faults(&experiment).into_iter().map(|fault| (fault.error.to_string(), fault.message)).collect();
        let wanted = [
            (
                "spec.templates[0].selector: Invalid value: {}: selects all pods",
                "This experiment is selecting all pods at index 0. A non-empty selector is required.",
            ),
            (
                "spec.templates[0].minReadySeconds: Invalid value: 90: must not be greater than progressDeadlineSeconds",
                "MinReadySeconds cannot be longer than ProgressDeadlineSeconds. Check template index 0",
            ),
            (
                "spec.templates[1].selector: Required value",
                "Rollout has missing field '.Spec.Templates[1].Selector'",
            ),
            (
                "spec.templates[1].name: Duplicate value: \"a\"",
                "Experiment e has repeated template name 'a' in templates",
            ),
            ("spec.templates[2].name: Required value", "Experiment e has empty template name at index 2"),
        ];
        let wanted = wanted.map(|(error, message)| (error.to_owned(), message.to_owned()));
        assert_eq!(told, wanted);
    }
}
