//! What is wrong with the spec of an Experiment, in the words of Argo Rollouts.
//!
//! Input: an Experiment. Output: the first fault. The pod template is not looked at: the API server judges it when the
//! ReplicaSet is created.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use tidegate_api::experiment::Experiment;

/// Seconds without progress before a template counts as failed, when the spec does not say.
const PROGRESS_DEADLINE_SECONDS: i32 = 600;

/// Seconds without progress before a template counts as failed.
pub(super) fn progress_deadline_seconds(experiment: &Experiment) -> i32 {
    experiment.spec.progress_deadline_seconds.unwrap_or(PROGRESS_DEADLINE_SECONDS)
}

/// The first fault of the spec; `None` when it can be acted on.
pub(super) fn fault(experiment: &Experiment) -> Option<String> {
    let name = experiment.metadata.name.as_deref().unwrap_or_default();
    let mut names = BTreeSet::new();
    experiment.spec.templates.iter().enumerate().find_map(|(index, template)| match &template.selector {
        // The word Rollout is upstream's.
        None => Some(format!("Rollout has missing field '.Spec.Templates[{index}].Selector'")),
        Some(selector) if *selector == LabelSelector::default() => Some(format!(
            "This experiment is selecting all pods at index {index}. A non-empty selector is required."
        )),
        Some(_) if template.min_ready_seconds > progress_deadline_seconds(experiment) => Some(format!(
            "MinReadySeconds cannot be longer than ProgressDeadlineSeconds. Check template index {index}"
        )),
        Some(_) if template.name.is_empty() => {
            Some(format!("Experiment {name} has empty template name at index {index}"))
        }
        Some(_) if !names.insert(template.name.as_str()) => {
            Some(format!("Experiment {name} has repeated template name '{}' in templates", template.name))
        }
        Some(_) => None,
    })
}
