//! Parses a Rollout once: a valid one with its defaults filled in, or the errors upstream reports.
//!
//! Only rules that need nothing but the Rollout itself; whether Services, Ingresses and templates
//! exist is for whoever sees the cluster. Messages, paths and order are upstream's, so that the
//! InvalidSpec condition reads the same. The paths of the strategy leave out `canary` and
//! `blueGreen`, as upstream's do.

mod canary;
mod field;
mod labels;
mod metadata;
mod metrics;
mod nginx_header;
mod parsed;
mod percent;
mod plugins;
mod step;
mod template;
mod unsupported;

pub use field::{FieldError, FieldErrorKind};
pub use labels::selects;
pub use metrics::validate_metrics;
pub use parsed::{
    AbortDelay, ProgressThreshold, Step, ValidBlueGreen, ValidCanary, ValidRollout, ValidStrategy,
};
pub use percent::{int_or_percent, int_value};
pub use plugins::{
    GatewayKind, GatewayRouting, NamedRoute, OpenShiftRouting, PluginRouting, ProgressMark, ROUTES_MAX,
    SelectedRoutes, plugin_routing,
};
pub use unsupported::{unsupported, unsupported_providers};

use crate::rollout::{AntiAffinity, BlueGreenStrategy, ObjectRef, Rollout, RolloutSpec};
use field::Field;

/// Pods when `spec.replicas` is absent.
pub(crate) const REPLICAS_DEFAULT: i32 = 1;
/// Old ReplicaSets to keep when `spec.revisionHistoryLimit` is absent.
pub(crate) const REVISION_HISTORY_LIMIT_DEFAULT: i32 = 10;
/// Seconds without progress when `spec.progressDeadlineSeconds` is absent.
pub const PROGRESS_DEADLINE_SECONDS_DEFAULT: i32 = 600;
/// Seconds before an old ReplicaSet is scaled down when the strategy does not say.
pub(crate) const SCALE_DOWN_DELAY_SECONDS_DEFAULT: i32 = 30;
/// Weight that means all traffic when `maxTrafficWeight` is absent.
pub(crate) const MAX_WEIGHT_DEFAULT: i32 = 100;

/// When the Deployment that a Rollout refers to is scaled down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScaleDown {
    /// Never: its owner does that.
    Never,
    /// Once the Rollout's first revision is healthy.
    OnSuccess,
    /// As pods of the Rollout's first revision become available.
    Progressively,
}

/// Reads `scaleDown`; anything but the two known words means never, as for upstream.
#[must_use]
pub fn scale_down(reference: &ObjectRef) -> ScaleDown {
    match reference.scale_down.as_deref() {
        Some("onsuccess") => ScaleDown::OnSuccess,
        Some("progressively") => ScaleDown::Progressively,
        Some(_) | None => ScaleDown::Never,
    }
}

/// Where the pod template of a Rollout comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TemplateOf {
    /// From its own spec; it is empty where the spec refers to a workload.
    Spec,
    /// From the workload that the spec refers to.
    Workload,
}

/// Parses a Rollout into which the template and the selector of its workload were filled.
///
/// # Errors
/// Fails as [`validate`] does.
pub fn validate_resolved(rollout: &Rollout) -> Result<ValidRollout, Vec<FieldError>> {
    parse(rollout, TemplateOf::Workload)
}

/// Parses a Rollout, or says everything that is wrong with it, first what upstream reports.
///
/// # Errors
/// Fails with at least one error; the first is the one for the InvalidSpec condition.
pub fn validate(rollout: &Rollout) -> Result<ValidRollout, Vec<FieldError>> {
    parse(rollout, TemplateOf::Spec)
}

fn parse(rollout: &Rollout, of: TemplateOf) -> Result<ValidRollout, Vec<FieldError>> {
    let mut errors = Vec::new();
    check_spec(&rollout.spec, of, &Field::new("spec"), &mut errors);
    errors.extend(plugin_routing(rollout).1);
    if errors.is_empty() { Ok(ValidRollout::new(&rollout.spec)) } else { Err(errors) }
}

fn check_spec(spec: &RolloutSpec, of: TemplateOf, path: &Field, errors: &mut Vec<FieldError>) {
    let replicas = spec.replicas.unwrap_or(REPLICAS_DEFAULT);
    check_not_negative(replicas, &path.child("replicas"), errors);
    check_selector(spec, &path.child("selector"), errors);
    check_template(spec, of, path, errors);
    check_not_negative(spec.min_ready_seconds, &path.child("minReadySeconds"), errors);
    let limit = spec.revision_history_limit.unwrap_or(REVISION_HISTORY_LIMIT_DEFAULT);
    check_not_negative(limit, &path.child("revisionHistoryLimit"), errors);
    let deadline = spec.progress_deadline_seconds.unwrap_or(PROGRESS_DEADLINE_SECONDS_DEFAULT);
    let deadline_path = path.child("progressDeadlineSeconds");
    check_not_negative(deadline, &deadline_path, errors);
    if deadline <= spec.min_ready_seconds {
        errors.push(deadline_path.invalid(deadline, "must be greater than minReadySeconds"));
    }
    check_strategy(spec, &path.child("strategy"), errors);
    metadata::check(spec, &path.child("strategy"), errors);
}

fn check_not_negative(value: i32, path: &Field, errors: &mut Vec<FieldError>) {
    if value < 0 {
        errors.push(path.invalid(value, "must be greater than or equal to 0"));
    }
}

fn check_selector(spec: &RolloutSpec, path: &Field, errors: &mut Vec<FieldError>) {
    if spec.workload_ref.is_some() {
        return;
    }
    let Some(selector) = &spec.selector else {
        errors.push(path.required("Rollout has missing field '.spec.selector'"));
        return;
    };
    labels::check_selector(selector, path, errors);
    let no_labels = selector.match_labels.as_ref().is_none_or(|labels| labels.is_empty());
    let no_expressions = selector.match_expressions.as_ref().is_none_or(Vec::is_empty);
    if no_labels && no_expressions {
        errors.push(path.invalid(selector, "empty selector is invalid for deployment"));
    }
}

fn check_template(spec: &RolloutSpec, of: TemplateOf, path: &Field, errors: &mut Vec<FieldError>) {
    let template_path = path.child("template");
    if spec.workload_ref.is_some() && of == TemplateOf::Spec {
        let template = &spec.template;
        if !template.metadata("labels").is_empty() || !template.metadata("annotations").is_empty() {
            errors.push(template_path.internal("template must be empty for workload reference rollout"));
        }
        return;
    }
    if let Some(selector) = &spec.selector
        && !labels::is_usable(selector)
    {
        errors.push(path.child("selector").invalid(selector, "invalid label selector"));
        return;
    }
    template::check(&spec.template, spec.selector.as_ref(), &template_path, errors);
}

fn check_strategy(spec: &RolloutSpec, path: &Field, errors: &mut Vec<FieldError>) {
    match (&spec.strategy.canary, &spec.strategy.blue_green) {
        (None, None) => {
            let missing = "Rollout has missing field '.spec.strategy.canary or .spec.strategy.blueGreen'";
            errors.push(path.child("strategy").required(missing));
        }
        (Some(_), Some(_)) => {
            let error = path.child("strategy");
            errors
                .push(error.invalid("blueGreen: true canary: true", "Multiple Strategies can not be listed"));
        }
        (None, Some(blue_green)) => check_blue_green(spec, blue_green, path, errors),
        (Some(strategy), None) => canary::check(strategy, path, errors),
    }
}

fn check_blue_green(
    spec: &RolloutSpec,
    blue_green: &BlueGreenStrategy,
    path: &Field,
    errors: &mut Vec<FieldError>,
) {
    let active = &blue_green.active_service;
    if active.as_str() == blue_green.preview_service.as_deref().unwrap_or_default() {
        let same = "This rollout uses the same service for the active and preview services, \
                    but two different services are required.";
        errors.push(path.child("activeService").invalid(active, same));
    }
    let history = spec.revision_history_limit.unwrap_or(REVISION_HISTORY_LIMIT_DEFAULT);
    if let Some(limit) = blue_green.scale_down_delay_revision_limit
        && history < limit
    {
        let smaller =
            "This rollout's revision history limit can not be smaller than the rollout's scale down limit";
        errors.push(path.child("scaleDownDelayRevisionLimit").invalid(limit, smaller));
    }
    check_anti_affinity(blue_green.anti_affinity.as_ref(), &path.child("antiAffinity"), errors);
}

fn check_anti_affinity(affinity: Option<&AntiAffinity>, path: &Field, errors: &mut Vec<FieldError>) {
    let Some(affinity) = affinity else { return };
    let preferred = affinity.preferred_during_scheduling_ignored_during_execution.as_ref();
    let required = affinity.required_during_scheduling_ignored_during_execution.as_ref();
    if preferred.is_some() == required.is_some() {
        let value = format!(
            "antiAffinity.PreferredDuringSchedulingIgnoredDuringExecution: {} \
             antiAffinity.RequiredDuringSchedulingIgnoredDuringExecution: {}",
            preferred.is_some(),
            required.is_some()
        );
        errors.push(path.invalid(value, "AntiAffinity must have exactly one strategy listed"));
    }
    if let Some(preferred) = preferred
        && !(1..=100).contains(&preferred.weight)
    {
        let range = "AntiAffinity weight must be between 1-100";
        errors.push(path.child("weight").invalid(preferred.weight, range));
    }
}

#[cfg(test)]
mod tests;
