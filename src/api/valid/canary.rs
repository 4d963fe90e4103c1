//! Rules of the canary strategy as a whole.

use super::field::{Field, FieldError};
use super::{MAX_WEIGHT_DEFAULT, check_anti_affinity, nginx_header, percent, plugins, step};
use crate::rollout::{CanaryStrategy, PingPongSpec, RolloutTrafficRouting};

pub(super) const BOTH_SERVICES: &str =
    "Canary service and Stable service must to be set to use Traffic Routing";

/// Checks a canary strategy and its steps.
pub(crate) fn check(canary: &CanaryStrategy, path: &Field, errors: &mut Vec<FieldError>) {
    check_surge(canary, &path.child("maxSurge"), errors);
    check_services(canary, path, errors);
    check_router(canary, path, errors);
    for (index, one) in canary.steps.iter().enumerate() {
        step::check(canary, one, path, index, errors);
    }
    nginx_header::check(canary, path, errors);
    check_anti_affinity(canary.anti_affinity.as_ref(), &path.child("antiAffinity"), errors);
}

fn check_surge(canary: &CanaryStrategy, path: &Field, errors: &mut Vec<FieldError>) {
    // The default of either is not 0, so both are set when both are 0.
    let (Some(surge), Some(unavailable)) = (&canary.max_surge, &canary.max_unavailable) else { return };
    if percent::literal_value(surge) == 0 && percent::literal_value(unavailable) == 0 {
        errors.push(path.invalid(surge, "MaxSurge and MaxUnavailable both can not be zero"));
    }
}

fn check_services(canary: &CanaryStrategy, path: &Field, errors: &mut Vec<FieldError>) {
    let stable = canary.stable_service.as_deref().unwrap_or_default();
    let canary_service = canary.canary_service.as_deref().unwrap_or_default();
    if !stable.is_empty() && stable == canary_service {
        let same = "This rollout uses the same service for the stable and canary services, \
                    but two different services are required.";
        errors.push(path.child("stableService").invalid(stable, same));
    }
    if let Some(ping_pong) = &canary.ping_pong {
        check_ping_pong(ping_pong, canary.traffic_routing.as_ref(), path, errors);
        check_ping_pong_alone(canary, ping_pong, path, errors);
    }
    if needs_services(canary) {
        if stable.is_empty() {
            errors.push(path.child("stableService").invalid("", BOTH_SERVICES));
        }
        if canary_service.is_empty() {
            errors.push(path.child("canaryService").invalid("", BOTH_SERVICES));
        }
    }
}

/// Tells whether a router finds the two versions by their Services.
fn needs_services(canary: &CanaryStrategy) -> bool {
    let Some(routing) = &canary.traffic_routing else { return false };
    let no_ping_pong = canary.ping_pong.is_none();
    let by_host = routing.istio.as_ref().is_some_and(|istio| istio.destination_rule.is_none());
    (no_ping_pong && (routing.alb.is_some() || by_host))
        || routing.smi.is_some()
        || routing.apisix.is_some()
        || routing.ambassador.is_some()
        || routing.nginx.is_some()
        || routing.app_mesh.is_some()
        || routing.traefik.is_some()
}

fn check_ping_pong(
    ping_pong: &PingPongSpec,
    routing: Option<&RolloutTrafficRouting>,
    path: &Field,
    errors: &mut Vec<FieldError>,
) {
    const BOTH: &str = "Ping service and Pong service must to be set to use Ping-Pong feature";
    if let Some(routing) = routing
        && routing.alb.is_none()
        && routing.istio.is_none()
        && routing.plugins.is_empty()
    {
        let routers = "Ping-pong feature works with the ALB, Istio, and plugin-based traffic routers only";
        errors.push(path.child("trafficRouting").child("alb").invalid((), routers));
    }
    let services = path.child("pingPong");
    if ping_pong.ping_service.is_empty() {
        errors.push(services.child("pingService").invalid("", BOTH));
    }
    if ping_pong.pong_service.is_empty() {
        errors.push(services.child("pongService").invalid("", BOTH));
    }
    if ping_pong.ping_service == ping_pong.pong_service {
        let same = "This rollout uses the same service for the ping and pong services, \
                    but two different services are required.";
        errors.push(services.child("pingService").invalid(&ping_pong.ping_service, same));
    }
    let alb = routing.and_then(|routing| routing.alb.as_ref());
    if alb.is_some_and(|alb| alb.root_service.as_deref().unwrap_or_default().is_empty()) {
        let root =
            "Root service field is required for the configuration with ALB and ping-pong feature enabled";
        errors.push(path.child("trafficRouting").child("alb").child("rootService").invalid("", root));
    }
}

/// Checks that nobody else has a say in which of the two Services is the stable one.
fn check_ping_pong_alone(
    canary: &CanaryStrategy,
    ping_pong: &PingPongSpec,
    path: &Field,
    errors: &mut Vec<FieldError>,
) {
    let routing = path.child("trafficRouting");
    if let Some(traffic) = &canary.traffic_routing {
        let owner = "Ping-pong feature does not work with it, because its owner names the stable Service: \
                     use argoproj-labs/gatewayAPI alone";
        // Alone it is refused in the words of Argo Rollouts.
        if let Some(nginx) = traffic.nginx.as_ref().filter(|_| !traffic.plugins.is_empty()) {
            errors.push(routing.child("nginx").invalid(nginx, owner));
        }
        if let Some(config) = traffic.plugins.get(plugins::OPENSHIFT) {
            errors.push(routing.child("plugins").key(plugins::OPENSHIFT).invalid(config, owner));
        }
    }
    let both = [&ping_pong.ping_service, &ping_pong.pong_service];
    for (field, service) in
        [("stableService", &canary.stable_service), ("canaryService", &canary.canary_service)]
    {
        if let Some(service) =
            service.as_ref().filter(|service| both.contains(service) && !service.is_empty())
        {
            let twice = "pingPong moves this Service: leave it out here, or name another one";
            errors.push(path.child(field).invalid(service, twice));
        }
    }
}

fn check_router(canary: &CanaryStrategy, path: &Field, errors: &mut Vec<FieldError>) {
    let dynamic = path.child("dynamicStableScale");
    let Some(routing) = &canary.traffic_routing else {
        if let Some(seconds) = canary.scale_down_delay_seconds {
            let unwanted = "Canary scaleDownDelaySeconds can only be used with traffic routing";
            errors.push(path.child("scaleDownDelaySeconds").invalid(seconds, unwanted));
        }
        if canary.dynamic_stable_scale {
            let unwanted = "Canary dynamicStableScale can only be used with traffic routing";
            errors.push(dynamic.invalid(true, unwanted));
        }
        return;
    };
    if canary.scale_down_delay_seconds.is_some() && canary.dynamic_stable_scale {
        let unwanted = "Canary dynamicStableScale cannot be used with scaleDownDelaySeconds";
        errors.push(dynamic.invalid(true, unwanted));
    }
    let Some(weight) = routing.max_traffic_weight else { return };
    let weight_path = path.child("trafficRouting").child("maxTrafficWeight");
    if routing.nginx.is_none() && routing.plugins.is_empty() {
        let routers = "Canary maxTrafficWeight in traffic routing only supported in Nginx and Plugins";
        errors.push(weight_path.invalid(weight, routers));
    }
    // Every weight is divided by it.
    if weight < 1 {
        errors.push(weight_path.invalid(weight, "Canary maxTrafficWeight must be greater than 0"));
    }
}

/// Weight that means all traffic.
pub(crate) fn max_weight(canary: &CanaryStrategy) -> i32 {
    canary
        .traffic_routing
        .as_ref()
        .and_then(|routing| routing.max_traffic_weight)
        .unwrap_or(MAX_WEIGHT_DEFAULT)
}
