//! Where traffic goes: Service selectors first, then the router's weight; on an abort the weight before anything.
//!
//! Input: facts and the routing objects. Output: writes, and the weights for the status. Weight is raised only to
//! endpoints that are seen ready, and lowered only when the side that receives can take it; both are read from
//! EndpointSlices, not from what ReplicaSets promise.

use std::sync::Arc;

use serde_json::Value;
use tidegate_api::rollout::{CanaryStrategy, TrafficWeights, WeightDestination};
use tidegate_api::valid::ProgressThreshold;

use super::core::kept;
use super::experiment_shares::Shares;
use super::facts::Facts;
use super::replicas::{self, share_ceil, share_floor};
use super::world::{Endpoints, MANAGED_BY, Set, World};
use super::{dynamic, ping_pong, restart, revision, service, step, step_routes as routes_of_steps};
use crate::lint::after;
use crate::plan::{Because, Move, Notice, Plan, RouteWrite, Write};
use crate::route::{Acceptance, Objects, Routers, Routing, StepRoute};

/// What became of the traffic in one round.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    /// Weights for the status; `None` without a router.
    pub(crate) weights: Option<TrafficWeights>,
    /// The routing objects already show the weight that is wanted.
    pub(crate) settled: bool,
    /// What holds the weight back.
    pub(crate) wait: Option<Because>,
    /// Events for the status write: routers that refuse.
    pub(crate) notices: Vec<Notice>,
}

/// The weight that the routing objects show for the canary; 0 without a router.
pub(crate) fn observed(world: &World) -> i32 {
    routers(world).weight(&world.routes)
}

/// What the routing objects show of the canary, and what those who serve them say.
#[derive(Debug)]
pub(crate) struct Shown {
    /// The least weight that any of them shows; 0 without a router.
    pub(crate) least: i32,
    /// The most weight that any of them shows; 0 without a router.
    pub(crate) most: i32,
    pub(crate) acceptance: Acceptance,
    /// Whether any sends requests to the canary that a step asked for.
    pub(crate) has_step_rules: bool,
}

impl Shown {
    pub(crate) fn of(world: &World) -> Self {
        let (routers, now) = (routers(world), &world.routes);
        let (least, most) = routers.weights(now);
        let has_step_rules = routers.has_step_rules(now);
        Self { least, most, acceptance: routers.acceptance(now), has_step_rules }
    }

    /// The least and the most weight that requests may still find on the canary: what the objects show, and anything at
    /// all while those who serve them have not taken it up.
    pub(crate) fn in_effect(&self, max: i32) -> (i32, i32) {
        match self.acceptance {
            Acceptance::Behind(_) => (0, max),
            // A header or a mirror brings requests as well, and needs a pod as the least weight does.
            Acceptance::Silent | Acceptance::Accepted | Acceptance::Refused(_) => {
                (self.least.min(max), self.most.min(max).max(i32::from(self.has_step_rules)))
            }
        }
    }
}

fn routers(world: &World) -> Routers<'_> {
    Routers::of(&world.rollout, &world.spec)
}

/// The Services that carry weight, or may while a change of it is not taken up; none without a router.
pub(crate) fn weighted_services<'w>(facts: &Facts<'w>) -> Vec<&'w str> {
    if !facts.routed() {
        return Vec::new();
    }
    let (stable, canary) = services(facts.strategy);
    let (least, most) = facts.in_effect();
    let weights = [(stable, facts.limits.max_weight - least), (canary, most)];
    weights.into_iter().filter(|(_, weight)| *weight > 0).map(|(service, _)| service).collect()
}

/// The weight in effect, also while the writes of a plan are on their way.
fn in_effect_with(facts: &Facts<'_>, plan: &Plan) -> (i32, i32) {
    let (least, most) = facts.in_effect();
    if !plan.writes.iter().any(|planned| matches!(planned.write, Write::Route(_))) {
        return (least, most);
    }
    let (then_least, then_most) = Shown::of(&after(facts.world, plan)).in_effect(facts.limits.max_weight);
    (least.min(then_least), most.max(then_most))
}

/// Gives the stable revision all traffic, before and regardless of anything else.
///
/// It needs nothing that could be invalid: the router, the two Services and the stable hash. The weight stays where
/// it is only while the stable revision has no ready endpoint and the canary has one: the better side keeps it. A stable
/// revision that follows the traffic gets as much as its ready pods carry. Answers the weight that is left, and why.
pub(crate) fn abort(world: &World, strategy: &CanaryStrategy, plan: &mut Plan) -> (i32, Option<Because>) {
    let routers = routers(world);
    let observed = routers.weight(&world.routes);
    let has_shares = |now: &Objects| !routers.extras(now).is_empty();
    if observed == 0 && !routers.has_step_rules(&world.routes) && !has_shares(&world.routes) {
        return (0, None);
    }
    let status = world.rollout.status.clone().unwrap_or_default();
    let (stable, canary) = services(strategy);
    if on_stable(world, stable, &status.stable_rs) == 0 && behind(world, canary) > 0 {
        return (observed, Some(Because::StableNotReady { service: stable.to_owned() }));
    }
    let is_dynamic = dynamic::is_on(strategy);
    let weight = if is_dynamic { dynamic::least_weight(world, strategy, &status).min(observed) } else { 0 };
    let mut routing = routers.route(&world.routes, weight, &[], &[]);
    // Objects that disagree come down to the same weight, none goes up to it.
    routing.writes.retain(|(write, _)| routers.before(write) >= weight);
    let mut left = world.routes.clone();
    for (write, _) in &routing.writes {
        left.insert(write.reference.clone(), Arc::new(write.to.clone()));
    }
    let stays = routers.weight(&left) > weight || routers.has_step_rules(&left) || has_shares(&left);
    let router = routing.pending.unwrap_or("the router").to_owned();
    let besides = if has_shares(&world.routes) { Shares::default().because() } else { step_routes(&[]) };
    let told = weight_notice(status.canary.weights.as_ref(), weight, &[]);
    push(routing, (observed, weight, max_weight(strategy)), &besides, told, plan);
    if stays {
        return (observed, Some(Because::WeightNotYetSeen { router, want: weight }));
    }
    (weight, (weight > 0).then(|| dynamic::waits(world, strategy, &status)))
}

/// Ready endpoints of the stable revision that no restart has sent away.
fn on_stable(world: &World, service: &str, hash: &str) -> i32 {
    let listed = world.endpoints.get(service).map_or(0, |endpoints| endpoints.of(hash));
    let set = revision::owned(world).into_iter().find(|set| set.hash() == hash);
    let staying = set.and_then(|set| restart::seen_ready(world, set));
    staying.map_or(listed, |staying| listed.min(staying))
}

/// The weight that stands for all traffic.
pub(super) fn max_weight(strategy: &CanaryStrategy) -> i32 {
    strategy.traffic_routing.as_ref().and_then(|routing| routing.max_traffic_weight).unwrap_or(100)
}

/// Why routes change that lead to the canary by these routes of steps.
fn step_routes(steps: &[StepRoute<'_>]) -> Because {
    Because::Moves(Move::StepRoutes { names: steps.iter().map(|route| route.name().to_owned()).collect() })
}

/// Adds the writes of one change of weight, `(from, to, of)`; the last one brings its Event. `besides` is why something
/// else in a route changes.
fn push(
    routing: Routing,
    (from, to, of): (i32, i32, i32),
    besides: &Because,
    told: Option<Notice>,
    plan: &mut Plan,
) {
    let last = routing.writes.len();
    for (index, (write, mut notices)) in routing.writes.into_iter().enumerate() {
        // A header stands in the spec of a route, and among the annotations of an Ingress.
        let differs = |object: &Value| {
            let annotated = object["metadata"]["annotations"] != write.to["metadata"]["annotations"];
            object["spec"] != write.to["spec"] || object["kind"] == "Ingress" && annotated
        };
        let because = if from == to && write.from.as_ref().is_some_and(differs) {
            besides.clone()
        } else {
            Because::Moves(Move::Weight { from: Some(from), to, of })
        };
        if index + 1 == last {
            notices.extend(told.clone());
        }
        plan.push_with(Write::Route(write), because, notices);
    }
}

pub(super) fn services(strategy: &CanaryStrategy) -> (&str, &str) {
    (
        strategy.stable_service.as_deref().unwrap_or_default(),
        strategy.canary_service.as_deref().unwrap_or_default(),
    )
}

/// Points the stable and the canary Service at their revisions.
///
/// Adopting a Service needs a fully available ReplicaSet; later switches need one available pod. After an abort the
/// canary Service goes back to the stable revision once no weight is left on it.
pub(crate) fn point_services(facts: &Facts<'_>, aborted: bool, plan: &mut Plan) {
    if facts.strategy.ping_pong.is_some() && !ping_pong::is_stranded(facts) {
        ping_pong::point(facts, aborted, plan);
        return;
    }
    let (stable_service, canary_service) = services(facts.strategy);
    let observed = facts.shown.most;
    if let Some(stable) = facts.stable
        && takes_over(facts, stable_service, stable, facts.limits.max_weight - facts.shown.least)
    {
        point(facts, stable_service, stable, true, plan);
    }
    if aborted && !facts.promoted() {
        // Weight that was taken off and is not taken up yet still brings users to whatever the Service selects.
        let (_, most) = facts.in_effect();
        if let Some(stable) = facts.stable
            && most == 0
        {
            point(facts, canary_service, stable, !facts.routed(), plan);
        }
        return;
    }
    if let Some(new) = facts.new {
        // Weight that the former revision earned is not handed to this one: it goes down first.
        let carried = step::carriers(facts, observed);
        if observed <= target(facts, aborted) && restart::staying(facts, new) >= carried {
            point(facts, canary_service, new, true, plan);
        }
    }
}

/// Whether a revision can carry a Service's weight, or at least no worse than those that carry it now.
pub(super) fn takes_over(facts: &Facts<'_>, service: &str, set: &Set, weight: i32) -> bool {
    let needed = share_ceil(weight, facts.replicas, facts.limits.max_weight);
    let now = facts.world.endpoints.get(service).map_or(0, total);
    !facts.routed() || restart::staying(facts, set) >= needed.min(now)
}

pub(super) fn total(endpoints: &Endpoints) -> i32 {
    replicas::total(endpoints.ready.values().copied())
}

pub(super) fn point(facts: &Facts<'_>, name: &str, set: &Set, check: bool, plan: &mut Plan) {
    let Some(known) = facts.world.services.get(name) else { return };
    if known.hash() == Some(set.hash()) {
        return;
    }
    let adopted = known.annotations.contains_key(MANAGED_BY);
    let available = restart::staying(facts, set);
    let is_available = match (check, adopted) {
        (false, _) => true,
        (true, true) => available > 0,
        (true, false) => set.replicas > 0 && available == set.replicas,
    };
    if !is_available {
        return;
    }
    service::point(facts.world, name, set.hash(), plan);
}

/// Brings the routers towards the weight that the steps ask for.
pub(crate) fn route(facts: &Facts<'_>, aborted: bool, plan: &mut Plan) -> Traffic {
    let (routers, now) = (routers(facts.world), &facts.world.routes);
    if routers.is_empty() {
        return Traffic { settled: true, ..Traffic::default() };
    }
    let (observed, acceptance) = (facts.shown.most, &facts.shown.acceptance);
    let target = target(facts, aborted);
    let mut traffic = Traffic::default();
    if aborted {
        // The abort itself was written before anything else; here only the status is told.
        let mut written = Plan::default();
        let (weight, held) = abort(facts.world, facts.strategy, &mut written);
        traffic.wait = held.or_else(|| not_accepted(acceptance).filter(|_| observed == 0));
        traffic.weights = Some(weights(facts, weight, verified(acceptance, written.writes.is_empty())));
        return traffic;
    }
    let weight;
    (weight, traffic.wait) = reach(facts, observed, target);
    if observed == target {
        traffic.wait = traffic.wait.or_else(|| ping_pong::wait(facts));
    }
    let prior = facts.status.canary.weights.as_ref();
    let mut steps = routes_of_steps::wanted(facts, false);
    if !steps.is_empty() && !facts.shown.has_step_rules {
        let unready = not_ready_for(facts, weight);
        if unready.is_some() {
            steps.clear();
            traffic.wait = traffic.wait.or(unready);
        }
    }
    let shown = routers.extras(now);
    let mut shares = Shares::wanted(facts, weight, &shown);
    traffic.wait = traffic.wait.or_else(|| shares.wait.take());
    let told = weight_notice(prior, weight, &shares.told);
    let mut routing = routers.route(now, weight, &steps, &shares.extras);
    let pending = routing.pending;
    let refused = routing.writes.is_empty() && !routing.refusals.is_empty();
    let taken_up = !matches!(acceptance, Acceptance::Behind(_) | Acceptance::Refused(_));
    traffic.settled = observed == target && pending.is_none() && taken_up && traffic.wait.is_none();
    let refusals = std::mem::take(&mut routing.refusals).into_iter();
    traffic.notices.extend(refusals.map(|why| Notice::warning("TrafficRoutingError", why)));
    traffic.weights = if refused {
        prior.cloned()
    } else {
        let mut weights = weights(facts, weight, verified(acceptance, routing.writes.is_empty()));
        weights.stable.weight -= shares.told.iter().map(|share| share.weight).sum::<i32>();
        weights.additional = std::mem::take(&mut shares.told);
        Some(weights)
    };
    let not_seen =
        || Because::WeightNotYetSeen { router: pending.unwrap_or("the router").to_owned(), want: target };
    if refused {
        traffic.wait = Some(not_seen());
    }
    if routing.writes.is_empty() && !refused {
        traffic.notices.extend(told.clone());
    }
    if weight > target {
        // On the way down no object goes up.
        routing.writes.retain(|(write, _)| routers.before(write) >= weight);
    }
    drop_unfounded_raises(facts, &routers, weight, &mut routing, &mut traffic.wait);
    let besides = if shares.are(&shown) { step_routes(&steps) } else { shares.because() };
    push(routing, (observed, weight, facts.limits.max_weight), &besides, told, plan);
    if traffic.wait.is_none() && !traffic.settled {
        traffic.wait = not_accepted(acceptance).filter(|_| pending.is_none()).or_else(|| Some(not_seen()));
    }
    traffic
}

/// Whether those who serve the routes have taken the weight up; nothing where nobody says.
fn verified(acceptance: &Acceptance, nothing_to_write: bool) -> Option<bool> {
    match acceptance {
        Acceptance::Silent => None,
        Acceptance::Accepted => Some(nothing_to_write),
        Acceptance::Refused(_) | Acceptance::Behind(_) => Some(false),
    }
}

fn not_accepted(acceptance: &Acceptance) -> Option<Because> {
    match acceptance {
        Acceptance::Silent | Acceptance::Accepted => None,
        Acceptance::Refused(why) | Acceptance::Behind(why) => {
            Some(Because::WeightNotAccepted { why: why.clone() })
        }
    }
}

/// Leaves out writes that would raise the weight of one object, or lead to the canary by a header or a mirror that was not
/// there, while the canary is not ready for it.
///
/// Objects disagree after a crash between two writes, or when somebody edits one: 90 in one and 20 in the other may
/// only become 90 in both when there are pods for 90.
fn drop_unfounded_raises(
    facts: &Facts<'_>,
    routers: &Routers<'_>,
    weight: i32,
    routing: &mut Routing,
    wait: &mut Option<Because>,
) {
    let raises = |write: &RouteWrite| routers.before(write) < weight;
    if routing.writes.iter().any(|(write, _)| raises(write)) {
        *wait = wait.take().or_else(|| not_ready_for(facts, weight));
        if wait.is_some() {
            routing.writes.retain(|(write, _)| !raises(write));
        }
    }
    // A header or a mirror needs one pod, whatever the weight.
    let adds = |write: &RouteWrite| routers.before(write) == weight && leads_by_steps(routers, write);
    if routing.writes.iter().any(|(write, _)| adds(write))
        && let Some(unready) = not_ready_for(facts, 1)
    {
        routing.writes.retain(|(write, _)| !adds(write));
        wait.get_or_insert(unready);
    }
}

/// Whether an object leads to the canary by a header or a mirror once it is written.
fn leads_by_steps(routers: &Routers<'_>, write: &RouteWrite) -> bool {
    routers.has_step_rules(&Objects::from([(write.reference.clone(), Arc::new(write.to.clone()))]))
}

/// The weight that this moment calls for, were everybody ready for it.
pub(crate) fn target(facts: &Facts<'_>, aborted: bool) -> i32 {
    if facts.promoted() || aborted || facts.new_available() == 0 || ping_pong::leads_elsewhere(facts) {
        return 0;
    }
    if facts.promote_full() {
        let recorded = facts.status.canary.weights.as_ref().map_or(0, |weights| weights.canary.weight);
        return if facts.canary.is_dynamic() { dynamic::promoting_weight(facts, recorded) } else { recorded };
    }
    match facts.index() {
        None => 0,
        // Weight comes after its pods, but goes before them: a step from 40 to 10 lowers the weight at once, because
        // the pods for the 40 may only leave once it is gone.
        Some(_) if !step::at_desired_counts(facts, aborted) => {
            step::previous_weight(facts).min(step::weight(facts, aborted))
        }
        Some(_) => step::weight(facts, aborted),
    }
}

/// What the canary lacks for a weight, if anything.
fn not_ready_for(facts: &Facts<'_>, weight: i32) -> Option<Because> {
    let (_, service) = services(facts.strategy);
    let need = required(facts, weight);
    // Endpoints and ReplicaSets may still show what a restart has just sent away.
    if let Some(leaving) = restart::leaving(facts) {
        return Some(leaving);
    }
    // A Service that is not adopted yet reaches the pods of every revision.
    let selected = facts.world.services.get(service).and_then(|service| service.hash());
    // Endpoints may still show pods of a larger ReplicaSet that is on its way to another size.
    let staying = facts.new.map_or(0, |new| new.replicas.min(new.status.ready));
    let ready = facts.endpoints(service, &facts.hash).min(staying);
    let ready = if selected == Some(&facts.hash) { ready } else { 0 };
    (ready < need).then(|| Because::WaitingForEndpoints { service: service.to_owned(), ready, need })
}

/// How far the weight may go from `observed` to `target` now, and what holds the rest.
fn reach(facts: &Facts<'_>, observed: i32, target: i32) -> (i32, Option<Because>) {
    // Once both Services lead to the stable revision, the weight changes nothing about who answers.
    if target < observed && facts.canary.is_dynamic() && !dynamic::canary_is_stable(facts) {
        return dynamic::lower(facts, observed, target);
    }
    let held = hold(facts, observed, target);
    (if held.is_some() { observed } else { target }, held)
}

/// What keeps the weight from moving from `observed` to `target`, if anything.
fn hold(facts: &Facts<'_>, observed: i32, target: i32) -> Option<Because> {
    let (stable_service, canary_service) = services(facts.strategy);
    let wait = |service: &str, ready: i32, need: i32| {
        (ready < need).then(|| Because::WaitingForEndpoints { service: service.to_owned(), ready, need })
    };
    if target > observed {
        return not_ready_for(facts, target);
    }
    if target == observed {
        return None;
    }
    let on_canary = behind(facts.world, canary_service);
    let on_stable = on_stable(facts.world, stable_service, &facts.status.stable_rs);
    if on_canary > 0 && (facts.promoted() || ping_pong::leads_elsewhere(facts)) {
        let need = if facts.strategy.ping_pong.is_some() {
            // The other Service may carry everything that the last revision had: its pods must be seen, not one of them.
            facts.stable.map_or(0, kept).min(facts.replicas).min(on_canary)
        } else {
            facts.endpoints(canary_service, &facts.hash)
        };
        return wait(stable_service, on_stable, need.max(1));
    }
    let stable_needs = share_floor(facts.limits.max_weight - target, facts.replicas, facts.limits.max_weight);
    let stable = facts.stable.map_or(0, |set| set.status.available);
    if facts.new_available() > 0 && stable < progress_of(facts, stable_needs) {
        return Some(Because::WaitingForPods {
            set: facts.stable.map_or_else(String::new, |set| set.name.clone()),
            ready: stable,
            need: stable_needs,
            trouble: facts.stable.and_then(|set| facts.trouble(set)),
        });
    }
    if on_canary > 0 { wait(stable_service, on_stable, 1) } else { None }
}

/// How many answer for a Service.
pub(super) fn behind(world: &World, service: &str) -> i32 {
    replicas::total(service::answering(world, service).map(|(_, ready)| ready))
}

/// Ready endpoints that a canary of this weight needs: the pods that carry it times the progress threshold, at least one
/// where there are to be pods at all, or still are.
fn required(facts: &Facts<'_>, weight: i32) -> i32 {
    if facts.replicas == 0 {
        return facts.new.map_or(0, |new| new.replicas.min(1));
    }
    progress_of(facts, step::carriers(facts, weight)).max(1)
}

/// How many of so many pods have to be there, by the progress threshold.
fn progress_of(facts: &Facts<'_>, pods: i32) -> i32 {
    match facts.canary.progress_threshold() {
        ProgressThreshold::Percent(percent) => share_ceil(percent, pods, 100),
        ProgressThreshold::Pods(least) => pods.min(least),
        ProgressThreshold::All => pods,
    }
}

/// The weights as the status shows them.
fn weights(facts: &Facts<'_>, canary: i32, verified: Option<bool>) -> TrafficWeights {
    let (stable_service, canary_service) = services(facts.strategy);
    // Going back to the stable revision, the canary Service keeps the revision that still has weight.
    let selected = facts.world.services.get(canary_service).and_then(|service| service.hash());
    let leaving = selected.filter(|_| facts.canary.is_dynamic() && facts.promoted() && canary > 0);
    let destination = |weight: i32, service: &str, hash: &str| WeightDestination {
        weight,
        service_name: service.to_owned(),
        pod_template_hash: hash.to_owned(),
    };
    TrafficWeights {
        canary: destination(canary, canary_service, leaving.unwrap_or(&facts.hash)),
        stable: destination(
            facts.limits.max_weight - canary,
            stable_service,
            facts.stable.map_or("", |stable| stable.hash()),
        ),
        additional: Vec::new(),
        verified,
    }
}

/// The Event of a weight that changes, or of shares beside it; none when only the revisions behind them change.
fn weight_notice(
    prior: Option<&TrafficWeights>,
    to: i32,
    additional: &[WeightDestination],
) -> Option<Notice> {
    let mut changes = Vec::new();
    match prior {
        None => changes.push(format!("to {to}")),
        Some(prior) if prior.canary.weight != to => {
            changes.push(format!("from {} to {to}", prior.canary.weight));
        }
        Some(_) => {}
    }
    if prior.is_some_and(|prior| prior.additional != additional) {
        // As Go prints a list of structures.
        let share = |it: &WeightDestination| {
            format!("{{{} {} {}}}", it.weight, it.service_name, it.pod_template_hash)
        };
        let shares: Vec<String> = additional.iter().map(share).collect();
        changes.push(format!("additional: [{}]", shares.join(" ")));
    }
    let text = changes.join(", ");
    (!text.is_empty())
        .then(|| Notice::normal("TrafficWeightUpdated", format!("Traffic weight updated {text}")))
}

/// The fewest pods that a revision must keep while its Services carry weight.
///
/// The weight counts as the routing objects show it, and as this plan writes it; a Service that this plan points at the
/// revision counts, and so does one that it points elsewhere: nobody says which of them requests follow first.
pub(crate) fn pods_in_use(facts: &Facts<'_>, hash: &str, plan: &Plan) -> i32 {
    if !facts.routed() {
        return 0;
    }
    let (stable_service, canary_service) = services(facts.strategy);
    let selects = |service: &str| {
        facts.world.services.get(service).is_some_and(|known| known.hash() == Some(hash))
            || plan.pointed().any(|pointed| pointed == (service, hash))
    };
    let max = facts.limits.max_weight;
    let (least, most) = in_effect_with(facts, plan);
    let share = |service: &str, weight: i32| {
        if selects(service) { share_ceil(weight, facts.replicas, max) } else { 0 }
    };
    if stable_service == canary_service {
        return share(stable_service, max);
    }
    if selects(stable_service) && selects(canary_service) {
        return facts.replicas;
    }
    // What setCanaryScale asks for is asked of the new revision alone.
    let on_canary = match share(canary_service, most) {
        share if hash == facts.hash => share.min(step::carriers(facts, most)),
        share => share,
    };
    on_canary.max(share(stable_service, max - least))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases;
    use crate::fence::Fence;
    use crate::rollout::{plan, urgent};

    #[test]
    fn nothing_is_hurried_that_no_abort_asks_for() {
        let case = cases::folders("rollout").into_iter().find(|path| path.ends_with("weight_raised"));
        let mut world = cases::world(&case.unwrap().join("world.yaml"));
        let raised = plan(&world);
        assert!(matches!(raised.writes[0].write, Write::Route(_)));
        let mut hurried = |aborted: bool, stable: &str| {
            let mut rollout = (*world.rollout).clone();
            let status = rollout.status.get_or_insert_default();
            status.abort = aborted;
            stable.clone_into(&mut status.stable_rs);
            world.rollout = Arc::new(rollout);
            urgent(&world, &Fence::default(), |_| raised.clone()).is_some()
        };
        assert!(hurried(true, "v1"));
        assert!(!hurried(false, "v1"));
        assert!(!hurried(true, ""), "of the first revision an abort is none");
    }

    #[test]
    fn a_weight_is_told_with_the_shares_beside_it() {
        let share = |weight: i32, service: &str, hash: &str| WeightDestination {
            weight,
            service_name: service.to_owned(),
            pod_template_hash: hash.to_owned(),
        };
        let weights = |canary: i32, additional: Vec<WeightDestination>| TrafficWeights {
            canary: share(canary, "shop-canary", "v2"),
            additional,
            ..TrafficWeights::default()
        };
        let shares = [share(5, "old", "e1"), share(10, "new", "e2")];
        let rows = [
            (None, 20, &[][..], Some("to 20")),
            (None, 20, &shares[..], Some("to 20")),
            (Some(weights(20, Vec::new())), 40, &[][..], Some("from 20 to 40")),
            (Some(weights(20, Vec::new())), 20, &shares[..], Some("additional: [{5 old e1} {10 new e2}]")),
            (
                Some(weights(20, Vec::new())),
                40,
                &shares[..1],
                Some("from 20 to 40, additional: [{5 old e1}]"),
            ),
            (Some(weights(20, shares.to_vec())), 20, &[][..], Some("additional: []")),
            (Some(weights(20, shares.to_vec())), 20, &shares[..], None),
        ];
        for (prior, to, additional, told) in rows {
            let notice = weight_notice(prior.as_ref(), to, additional);
            let text = notice.map(|notice| (notice.reason, notice.warning, notice.message));
            let told =
                told.map(|told| ("TrafficWeightUpdated", false, format!("Traffic weight updated {told}")));
            assert_eq!(text, told);
        }
    }
}
