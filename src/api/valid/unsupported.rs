//! What upstream can do and this release cannot yet. Each entry goes when its feature comes.

use super::field::{Field, FieldError};
use super::parsed::{ValidCanary, ValidRollout, ValidStrategy};
use super::plugins;
use crate::analysis::{METRIC_PLUGINS, Metric};
use crate::rollout::{CanaryStep, RolloutSpec, RolloutTrafficRouting, RouteMatch};

/// Says which parts of a valid Rollout nobody would act on.
///
/// Such a Rollout is to be left alone as a whole: half of a strategy is not what its user asked for.
#[must_use]
pub fn unsupported(valid: &ValidRollout) -> Vec<FieldError> {
    let path = Field::new("spec");
    let mut errors = Vec::new();
    let strategy = path.child("strategy");
    match &valid.strategy {
        ValidStrategy::BlueGreen(_) => {}
        ValidStrategy::Canary(canary) => {
            check_canary(valid.spec(), canary, &strategy.child("canary"), &mut errors)
        }
    }
    errors
}

fn check_canary(whole: &RolloutSpec, canary: &ValidCanary, path: &Field, errors: &mut Vec<FieldError>) {
    let spec = &canary.spec;
    if let Some(routing) = &spec.traffic_routing {
        check_routers(routing, &path.child("trafficRouting"), errors);
    }
    for (index, step) in spec.steps.iter().enumerate() {
        let at = path.child("steps").index(index);
        check_shares(whole, step, &at, errors);
        if step.plugin.is_some() {
            errors.push(refusal(&at.child("plugin"), "use other steps"));
        }
        let routes = [
            ("setHeaderRoute", step.set_header_route.is_some(), true),
            ("setMirrorRoute", step.set_mirror_route.is_some(), false),
        ];
        for (field, set, is_header) in routes {
            if set && let Some(mend) = no_step_routes(whole, is_header) {
                errors.push(refusal(&at.child(field), mend));
            }
        }
        if step.set_mirror_route.as_ref().is_some_and(|mirror| mirror.match_.iter().any(is_beyond_gateway)) {
            let mend = "give methods as exact; an HTTPRoute matches no others";
            errors.push(refusal(&at.child("setMirrorRoute"), mend));
        }
    }
}

fn check_routers(routing: &RolloutTrafficRouting, path: &Field, errors: &mut Vec<FieldError>) {
    let routers = [
        ("istio", routing.istio.is_some()),
        ("alb", routing.alb.is_some()),
        ("smi", routing.smi.is_some()),
        ("ambassador", routing.ambassador.is_some()),
        ("appMesh", routing.app_mesh.is_some()),
        ("traefik", routing.traefik.is_some()),
        ("apisix", routing.apisix.is_some()),
    ];
    for (router, set) in routers {
        if set {
            errors.push(refusal(&path.child(router), "use trafficRouting.nginx, or no router"));
        }
    }
    let plugins = plugins::unserved(&routing.plugins, path);
    errors.extend(plugins.into_iter().map(|(field, mend)| refusal(&field, mend)));
}

/// Why a router of the Rollout cannot send requests by their headers, or copies of requests; in words that say what to
/// change.
fn no_step_routes(spec: &RolloutSpec, is_header: bool) -> Option<&'static str> {
    let routing = spec.strategy.canary.as_ref().and_then(|canary| canary.traffic_routing.as_ref())?;
    if routing.nginx.is_some() && !is_header {
        return Some("trafficRouting.nginx mirrors nothing: use argoproj-labs/gatewayAPI without it");
    }
    if routing.plugins.contains_key(plugins::OPENSHIFT) {
        return Some("argoproj-labs/openshift has only weights: use argoproj-labs/gatewayAPI without it");
    }
    let gateway = plugins::gateway_routing(spec)?;
    let able = |route: &plugins::NamedRoute| {
        route.takes_steps && (is_header || route.kind == plugins::GatewayKind::Http)
    };
    (!gateway.named.iter().any(able))
        .then_some("name the HTTPRoute as httpRoute, or give it useHeaderRoutes: true")
}

/// Whether a match is one that the Gateway API cannot express.
fn is_beyond_gateway(wanted: &RouteMatch) -> bool {
    wanted.method.as_ref().is_some_and(|method| method.exact.as_deref().is_none_or(str::is_empty))
}

/// Why a router of the Rollout cannot give an Experiment's pods a share of their own; in words that say what to change.
fn no_shares(spec: &RolloutSpec) -> Option<&'static str> {
    let mend = "name nothing but HTTPRoutes of argoproj-labs/gatewayAPI, or remove it; the pods then get no share of the \
                traffic";
    let routing = spec.strategy.canary.as_ref().and_then(|canary| canary.traffic_routing.as_ref())?;
    let gateway = plugins::gateway_routing(spec);
    let is_http = |kind: plugins::GatewayKind| kind == plugins::GatewayKind::Http;
    let only_http = gateway.is_some_and(|gateway| {
        gateway.named.iter().all(|route| is_http(route.kind))
            && gateway.selected.iter().all(|routes| is_http(routes.kind))
    });
    let others = routing.nginx.is_some() || routing.plugins.contains_key(plugins::OPENSHIFT);
    (others || !only_http).then_some(mend)
}

/// Checks that pods of the step's Experiment can have the shares of traffic that it gives them.
fn check_shares(spec: &RolloutSpec, step: &CanaryStep, path: &Field, errors: &mut Vec<FieldError>) {
    let (Some(experiment), Some(mend)) = (&step.experiment, no_shares(spec)) else { return };
    let templates = path.child("experiment").child("templates");
    for (index, _) in experiment.templates.iter().enumerate().filter(|(_, one)| one.weight.is_some()) {
        errors.push(refusal(&templates.index(index).child("weight"), mend));
    }
}

/// Says which metrics need a provider that nobody would ask.
#[must_use]
pub fn unsupported_providers(metrics: &[Metric]) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, metric) in metrics.iter().enumerate() {
        let path = Field::new("spec").child("metrics").index(index).child("provider");
        if metric.provider.plugin.keys().any(|plugin| !METRIC_PLUGINS.contains(&plugin.as_str())) {
            let known = METRIC_PLUGINS.join(", ");
            errors.push(refusal(
                &path.child("plugin"),
                &format!("use another provider, or of the plugins {known}"),
            ));
        }
    }
    errors
}

fn refusal(path: &Field, mend: &str) -> FieldError {
    path.forbidden(&format!("this release of Tidegate cannot act on this field; {mend}"))
}
