//! Rules of one canary step.

use super::canary::max_weight;
use super::field::{Field, FieldError};
use super::labels;
use super::parsed::pause_seconds;
use crate::rollout::{
    AnalysisRunArgument, CanaryStep, CanaryStrategy, ManagedRoute, RolloutExperimentStep,
    RolloutTrafficRouting, SetHeaderRoute, SetMirrorRoute, StringMatch,
};

const ONE_ACTION: &str =
    "Step must have one of the following set: experiment, setWeight, setCanaryScale, plugin or pause";

/// Checks one step. `path` is that of the strategy.
pub(crate) fn check(
    canary: &CanaryStrategy,
    step: &CanaryStep,
    path: &Field,
    index: usize,
    errors: &mut Vec<FieldError>,
) {
    let step_path = path.child("steps").index(index);
    check_action(step, &step_path, errors);
    let max = max_weight(canary);
    if let Some(weight) = step.set_weight
        && !(0..=max).contains(&weight)
    {
        let range = format!("SetWeight needs to be between 0 and {max}");
        errors.push(step_path.child("setWeight").invalid(weight, &range));
    }
    let duration = step.pause.as_ref().and_then(|pause| pause.duration.as_ref());
    if let Some(seconds) = duration.map(pause_seconds)
        && seconds < 0
    {
        let duration_path = step_path.child("pause").child("duration");
        errors.push(duration_path.invalid(seconds, "Duration needs to be greater than 0"));
    }
    let routing = canary.traffic_routing.as_ref();
    if step.set_canary_scale.is_some() && routing.is_none() {
        let needed = "SetCanaryScale requires TrafficRouting to be set";
        errors.push(path.child("trafficRouting").required(needed));
    }
    if let Some(route) = &step.set_header_route {
        check_header_route(route, routing, &step_path.child("setHeaderRoute"), errors);
    }
    if let Some(route) = &step.set_mirror_route {
        check_mirror_route(route, routing, &step_path.child("setMirrorRoute"), errors);
    }
    if let Some(routing) = routing {
        check_managed_routes(step, routing, path, &step_path, errors);
    }
    if let Some(experiment) = &step.experiment {
        check_weights(experiment, routing, &step_path.child("experiment"), errors);
    }
    check_arguments(step, &step_path.child("analyses"), errors);
}

/// Checks that a step does something, and not several things.
///
/// Upstream looks for several actions among four kinds only, so that a step with setWeight and
/// setCanaryScale is accepted.
fn check_action(step: &CanaryStep, path: &Field, errors: &mut Vec<FieldError>) {
    let exclusive =
        [step.experiment.is_some(), step.pause.is_some(), step.set_weight.is_some(), step.analysis.is_some()];
    let [experiment, pause, weight, analysis] = exclusive;
    if exclusive.iter().filter(|set| **set).count() > 1 {
        let value = format!(
            "step.Experiment: {experiment} step.Pause: {pause} step.SetWeight: {weight} step.Analysis: {analysis}"
        );
        errors.push(path.invalid(value, ONE_ACTION));
    }
    if *step == CanaryStep::default() {
        // True stands for absent here, as upstream prints it.
        let value = "step.Experiment: true step.Pause: true step.SetWeight: true step.Analysis: true \
                     step.SetCanaryScale: true step.SetHeaderRoute: true step.SetMirrorRoute: true step.Plugin: true";
        errors.push(path.invalid(value, ONE_ACTION));
    }
}

fn check_header_route(
    route: &SetHeaderRoute,
    routing: Option<&RolloutTrafficRouting>,
    path: &Field,
    errors: &mut Vec<FieldError>,
) {
    let able = routing.filter(|routing| {
        routing.istio.is_some()
            || routing.alb.is_some()
            || routing.apisix.is_some()
            || routing.nginx.is_some()
            || !routing.plugins.is_empty()
    });
    let Some(routing) = able else {
        let needed = "SetHeaderRoute requires TrafficRouting, supports Istio and ALB and Apisix";
        errors.push(path.invalid(route, needed));
        return;
    };
    for (index, one) in route.match_.iter().enumerate() {
        let match_path = path.child("match").index(index);
        if routing.alb.is_some() {
            check_exact(one.header_value.as_ref(), &match_path, errors);
        } else {
            check_match(one.header_value.as_ref(), &match_path, errors);
        }
    }
}

fn check_mirror_route(
    route: &SetMirrorRoute,
    routing: Option<&RolloutTrafficRouting>,
    path: &Field,
    errors: &mut Vec<FieldError>,
) {
    if routing.is_none_or(|routing| routing.istio.is_none() && routing.plugins.is_empty()) {
        let needed = "SetMirrorRoute requires TrafficRouting, supports Istio and Plugins";
        errors.push(path.invalid(route, needed));
    }
    for (index, one) in route.match_.iter().enumerate() {
        let match_path = path.child("match").index(index);
        for part in [&one.method, &one.path].into_iter().flatten() {
            check_match(Some(part), &match_path, errors);
        }
    }
}

const MATCH_MISSING: &str =
    "StringMatch value missed, match value must have one of the following: exact, regex, prefix";

/// Checks that a match has exactly one of its three forms.
fn check_match(value: Option<&StringMatch>, path: &Field, errors: &mut Vec<FieldError>) {
    let forms = value.map_or(0, |value| {
        let forms = [&value.exact, &value.regex, &value.prefix];
        forms.into_iter().filter(|form| form.as_deref().is_some_and(|form| !form.is_empty())).count()
    });
    if forms == 0 {
        errors.push(path.invalid(value, MATCH_MISSING));
    } else if forms > 1 {
        let one = "StringMatch match value must have exactly one of the following: exact, regex, prefix";
        errors.push(path.invalid(value, one));
    }
}

/// Checks that a match has the only form that the AWS load balancer knows.
fn check_exact(value: Option<&StringMatch>, path: &Field, errors: &mut Vec<FieldError>) {
    let Some(form) = value else {
        errors.push(path.invalid(value, MATCH_MISSING));
        return;
    };
    let set = |form: &Option<String>| form.as_deref().is_some_and(|form| !form.is_empty());
    if !set(&form.exact) || set(&form.regex) || set(&form.prefix) {
        let exact = "SetHeaderRoute match value invalid. ALB supports 'exact' value only";
        errors.push(path.invalid(value, exact));
    }
}

fn check_managed_routes(
    step: &CanaryStep,
    routing: &RolloutTrafficRouting,
    path: &Field,
    step_path: &Field,
    errors: &mut Vec<FieldError>,
) {
    let header = step.set_header_route.as_ref().map(|route| route.name.as_deref().unwrap_or_default());
    let mirror = step.set_mirror_route.as_ref().map(|route| route.name.as_str());
    if header.is_none() && mirror.is_none() {
        return;
    }
    let Some(managed) = &routing.managed_routes else {
        let missing = "Rollout has missing field 'spec.strategy.canary.trafficRouting.managedRoutes'";
        errors.push(path.child("trafficRouting").child("managedRoutes").required(missing));
        return;
    };
    for (name, field) in [(header, "setHeaderRoute"), (mirror, "setMirrorRoute")] {
        let Some(name) = name else { continue };
        if !managed.iter().any(|ManagedRoute { name: managed }| managed == name) {
            let unknown = "Steps define a route that does not exist in spec.strategy.canary.trafficRouting.managedRoutes";
            errors.push(step_path.child(field).invalid(name, unknown));
        }
    }
}

fn check_weights(
    experiment: &RolloutExperimentStep,
    routing: Option<&RolloutTrafficRouting>,
    path: &Field,
    errors: &mut Vec<FieldError>,
) {
    let problem = match routing {
        None => "Experiment template weight cannot be set unless TrafficRouting is enabled",
        Some(routing)
            if routing.alb.is_none()
                && routing.smi.is_none()
                && routing.istio.is_none()
                && routing.plugins.is_empty() =>
        {
            "Experiment template weight is only available for TrafficRouting with SMI, ALB, Istio and Plugins at this time"
        }
        Some(_) => return,
    };
    for (index, template) in experiment.templates.iter().enumerate() {
        if let Some(weight) = template.weight {
            errors.push(path.child("templates").index(index).child("weight").invalid(weight, problem));
        }
    }
}

fn check_arguments(step: &CanaryStep, path: &Field, errors: &mut Vec<FieldError>) {
    let analyses = step.experiment.iter().flat_map(|experiment| &experiment.analyses);
    let mut arguments: Vec<&AnalysisRunArgument> = analyses.flat_map(|analysis| &analysis.args).collect();
    arguments.extend(step.analysis.iter().flat_map(|analysis| &analysis.args));
    for argument in &arguments {
        let field = argument.value_from.as_ref().and_then(|from| from.field_ref.as_ref());
        let Some(field) = field.filter(|field| field.field_path.starts_with("metadata")) else { continue };
        if !is_metadata_field(&field.field_path) {
            let unknown = "Analyses arguments must refer to valid object metadata supported by downwardAPI";
            errors.push(path.invalid(&arguments, unknown));
        }
    }
}

/// Fields of the metadata that the downward API reads as a whole.
const METADATA_FIELDS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

/// Tells whether the downward API can read a field of an object's metadata.
fn is_metadata_field(field_path: &str) -> bool {
    let (field, key) = match field_path.strip_suffix("']").and_then(|path| path.split_once("['")) {
        Some((field, key)) => (field, Some(key)),
        None => (field_path, None),
    };
    match (field, key) {
        ("metadata.annotations", Some(key)) => labels::label_name_problems(&key.to_lowercase()).is_empty(),
        ("metadata.labels", Some(key)) => labels::label_name_problems(key).is_empty(),
        (field, None) => METADATA_FIELDS.contains(&field),
        (_, Some(_)) => false,
    }
}
