//! Rules of the labels and annotations that pods have for the time of a role.

use super::field::{Field, FieldError};
use super::labels::{check_labels, label_name_problems};
use crate::rollout::{PodTemplateMetadata, RolloutSpec};

/// The label that tells revisions apart.
const HASH_LABEL: &str = "rollouts-pod-template-hash";

/// Checks the metadata of every role of both strategies.
///
/// Upstream leaves it to the API server, which then refuses the ReplicaSet in every round.
pub(crate) fn check(spec: &RolloutSpec, path: &Field, errors: &mut Vec<FieldError>) {
    let (canary, blue_green) = (spec.strategy.canary.as_ref(), spec.strategy.blue_green.as_ref());
    let roles = [
        ("canaryMetadata", canary.and_then(|canary| canary.canary_metadata.as_ref())),
        ("stableMetadata", canary.and_then(|canary| canary.stable_metadata.as_ref())),
        ("previewMetadata", blue_green.and_then(|blue_green| blue_green.preview_metadata.as_ref())),
        ("activeMetadata", blue_green.and_then(|blue_green| blue_green.active_metadata.as_ref())),
    ];
    for (field, metadata) in roles {
        if let Some(metadata) = metadata {
            check_role(spec, metadata, &path.child(field), errors);
        }
    }
}

fn check_role(
    spec: &RolloutSpec,
    metadata: &PodTemplateMetadata,
    path: &Field,
    errors: &mut Vec<FieldError>,
) {
    let labels = path.child("labels");
    check_labels(&metadata.labels, &labels, errors);
    let own = spec.template.metadata("labels");
    let moved = metadata
        .labels
        .iter()
        .filter(|(name, value)| selects_by(spec, name) && own.get(*name) != Some(value));
    for (name, value) in moved {
        let fixed = "spec.selector selects pods by this label, so it cannot change with their role";
        errors.push(labels.key(name).invalid(value, fixed));
    }
    for name in metadata.annotations.keys() {
        for problem in label_name_problems(&name.to_lowercase()) {
            errors.push(path.child("annotations").invalid(name, &problem));
        }
    }
}

fn selects_by(spec: &RolloutSpec, label: &str) -> bool {
    let selector = spec.selector.as_ref();
    let exact = selector.and_then(|selector| selector.match_labels.as_ref());
    let listed = selector.into_iter().flat_map(|selector| selector.match_expressions.iter().flatten());
    label == HASH_LABEL
        || exact.is_some_and(|exact| exact.contains_key(label))
        || listed.into_iter().any(|one| one.key == label)
}
