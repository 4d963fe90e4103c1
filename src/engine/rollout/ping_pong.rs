//! Ping-pong: two Services that take turns in being the stable one, so that no selector moves under traffic.
//!
//! Input: facts, and in the status which of the two is the stable one. Output: the Services of the moment, and the writes
//! that point them. With a promotion the canary's Service becomes the stable one as it is, weight and all; the other one
//! is pointed at the next revision once no request finds it any more.

use std::borrow::Cow;

use tidegate_api::rollout::{CanaryStrategy, Rollout, RolloutStatus};

use super::facts::Facts;
use super::traffic;
use crate::plan::{Because, Plan};

const PING: &str = "ping";
const PONG: &str = "pong";

/// The stable Service and the canary's at this moment: of the pair where there is one, else those that the spec names.
///
/// Where no status says anything, pong is the stable one.
pub(crate) fn services<'a>(
    strategy: &'a CanaryStrategy,
    status: Option<&RolloutStatus>,
) -> (&'a str, &'a str) {
    let Some(pair) = &strategy.ping_pong else {
        let name = |service: &'a Option<String>| service.as_deref().unwrap_or_default();
        return (name(&strategy.stable_service), name(&strategy.canary_service));
    };
    let (ping, pong) = (pair.ping_service.as_str(), pair.pong_service.as_str());
    if status.is_some_and(|status| status.canary.stable_ping_pong == PING) {
        (ping, pong)
    } else {
        (pong, ping)
    }
}

/// A strategy with the Services of the moment in place of those that the spec names.
pub(super) fn in_turn<'a>(
    strategy: &'a CanaryStrategy,
    status: Option<&RolloutStatus>,
) -> Cow<'a, CanaryStrategy> {
    if strategy.ping_pong.is_none() {
        return Cow::Borrowed(strategy);
    }
    let (stable, canary) = services(strategy, status);
    let (stable_service, canary_service) = (Some(stable.to_owned()), Some(canary.to_owned()));
    Cow::Owned(CanaryStrategy { stable_service, canary_service, ..strategy.clone() })
}

/// Lets the canary's Service become the stable one, as part of a promotion.
pub(super) fn turn(rollout: &Rollout, next: &mut RolloutStatus) {
    if rollout.spec.strategy.canary.as_ref().is_some_and(|canary| canary.ping_pong.is_some()) {
        let stable = &mut next.canary.stable_ping_pong;
        *stable = if stable == PING { PONG } else { PING }.to_owned();
    }
}

/// Points the pair, and the Services that the spec names besides.
///
/// The canary's Service needs no pods before it is pointed, because it gets no requests. The stable one has been pointed
/// while it was the canary's; it is only touched where somebody made it anew, or had requests before the first revision.
pub(super) fn point(facts: &Facts<'_>, aborted: bool, plan: &mut Plan) {
    point_besides(facts, aborted, plan);
    let (stable_service, canary_service) = services(facts.strategy, Some(facts.status));
    let (least, most) = facts.in_effect();
    if let Some(stable) = facts.stable
        && traffic::takes_over(facts, stable_service, stable, facts.limits.max_weight - least)
    {
        traffic::point(facts, stable_service, stable, true, plan);
    }
    if let Some(new) = facts.new.filter(|_| most == 0 && !facts.promoted()) {
        traffic::point(facts, canary_service, new, false, plan);
    }
}

/// Services for whoever wants to reach one revision past the router; they carry no weight.
fn point_besides(facts: &Facts<'_>, aborted: bool, plan: &mut Plan) {
    let Some(spec) = &facts.rollout.spec.strategy.canary else { return };
    let new = if aborted && !facts.promoted() { facts.stable } else { facts.new };
    for (service, set) in [(&spec.stable_service, facts.stable), (&spec.canary_service, new)] {
        if let (Some(service), Some(set)) = (service, set) {
            traffic::point(facts, service, set, true, plan);
        }
    }
}

/// Whether nobody but the canary's Service can serve: then there is no moment without requests to wait for, and it is
/// pointed as it would be without a second one.
pub(super) fn is_stranded(facts: &Facts<'_>) -> bool {
    let (stable, _) = services(facts.strategy, Some(facts.status));
    let (_, most) = facts.in_effect();
    facts.stable.is_some() && most > 0 && facts.endpoints(stable, &facts.status.stable_rs) == 0
}

/// Whether the canary's Service still leads to another revision than the new one, and has to be pointed without requests.
pub(super) fn leads_elsewhere(facts: &Facts<'_>) -> bool {
    selects_another(facts) && !is_stranded(facts)
}

fn selects_another(facts: &Facts<'_>) -> bool {
    let (_, canary) = services(facts.strategy, Some(facts.status));
    let selected = facts.world.services.get(canary).and_then(|service| service.hash());
    facts.strategy.ping_pong.is_some() && !facts.promoted() && selected != Some(&facts.hash)
}

/// What the weight waits for while the canary's Service leads elsewhere.
pub(super) fn wait(facts: &Facts<'_>) -> Option<Because> {
    let (_, canary) = services(facts.strategy, Some(facts.status));
    let wait = || Because::WaitingForEndpoints { service: canary.to_owned(), ready: 0, need: 1 };
    leads_elsewhere(facts).then(wait)
}

/// Whether the canary's Service may become the stable one: it leads to the revision that becomes stable, or does so by
/// this plan; or there is no stable revision whose users it could take.
pub(super) fn may_turn(facts: &Facts<'_>, plan: &Plan) -> bool {
    if facts.stable.is_none() {
        return true;
    }
    let (_, canary) = services(facts.strategy, Some(facts.status));
    !selects_another(facts) || plan.pointed().any(|pointed| pointed == (canary, facts.hash.as_str()))
}
