//! Which header and mirror routes the steps up to the current one ask for.
//!
//! Input: facts. Output: routes, in the order of managedRoutes. A step without a match takes its route away. There are
//! none before an update and after it, while it is aborted or promoted in full, and while the canary has no pod.

use tidegate_api::rollout::CanaryStep;

use super::facts::Facts;
use super::ping_pong;
use crate::route::StepRoute;

/// The routes that are to be there now.
pub(crate) fn wanted<'w>(facts: &Facts<'w>, aborted: bool) -> Vec<StepRoute<'w>> {
    let has_nobody = facts.new_available() == 0 || ping_pong::leads_elsewhere(facts);
    if aborted || has_nobody { Vec::new() } else { asked(facts) }
}

/// The routes that the steps ask for, were there pods.
pub(crate) fn asked<'w>(facts: &Facts<'w>) -> Vec<StepRoute<'w>> {
    let Some(index) = facts.index() else { return Vec::new() };
    if facts.promoted() || facts.promote_full() || facts.distinct_stable().is_none() || facts.replicas == 0 {
        return Vec::new();
    }
    let steps: &'w [CanaryStep] = &facts.canary.spec.steps;
    let mut routes: Vec<StepRoute<'w>> = Vec::new();
    for step in steps.iter().take(index + 1) {
        let header =
            step.set_header_route.as_ref().map(|route| (StepRoute::Header(route), route.match_.is_empty()));
        let mirror =
            step.set_mirror_route.as_ref().map(|route| (StepRoute::Mirror(route), route.match_.is_empty()));
        for (route, is_gone) in header.into_iter().chain(mirror) {
            routes.retain(|known| known.name() != route.name());
            if !is_gone {
                routes.push(route);
            }
        }
    }
    let routing = facts.strategy.traffic_routing.as_ref();
    let managed = routing.and_then(|routing| routing.managed_routes.as_deref());
    let place = |route: &StepRoute<'_>| {
        managed.unwrap_or_default().iter().position(|managed| managed.name == route.name())
    };
    routes.sort_by_key(|route| place(route));
    routes
}
