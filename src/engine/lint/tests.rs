//! Each rule broken once, on purpose, beside a plan that keeps it.

mod dynamic;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};
use tidegate_api::rollout::{ObjectRef, Rollout, RolloutStatus};

use super::*;
use crate::plan::{Because, Move, Reference, RouteWrite, SetPatch, StatusWrite};
use crate::rollout::workload::{Workload, WorkloadKind};
use crate::rollout::world::{
    Endpoints, HASH_LABEL, MANAGED_BY, Parsed, Pod, SCALE_DOWN_DEADLINE, Service, Set, SetStatus, Texts,
};

const NOW: i64 = 1_790_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(NOW + second).unwrap()
}

/// Ten replicas, v1 stable with all its pods, v2 the canary with four, weight 40 of 100, at the first step.
fn world() -> World {
    world_of(json!({
        "canaryService": "canary", "stableService": "stable",
        "trafficRouting": { "nginx": { "stableIngress": "shop" } },
        "steps": [{ "setWeight": 40 }, { "pause": { "duration": 30 } }, { "setWeight": 60 }],
    }))
}

fn world_of(canary: Value) -> World {
    let rollout: Rollout = serde_json::from_value(json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
        "metadata": { "name": "shop", "namespace": "web", "uid": "r1", "generation": 2 },
        "spec": {
            "replicas": 10,
            "selector": { "matchLabels": { "app": "shop" } },
            "template": template("v2"),
            "strategy": { "canary": canary },
        },
        "status": { "phase": "Progressing", "stableRS": "v1", "currentPodHash": "v2", "currentStepIndex": 0,
                    "observedGeneration": "2" },
    }))
    .unwrap();
    let mut world = World {
        now: at(0),
        spec: Arc::new(Parsed::new(&rollout)),
        rollout: Arc::new(rollout),
        sets: vec![set("v1", 10, 10), set("v2", 4, 4)],
        pods: Vec::new(),
        services: BTreeMap::from([
            ("stable".to_owned(), service("stable", "v1")),
            ("canary".to_owned(), service("canary", "v2")),
        ]),
        endpoints: BTreeMap::new(),
        routes: BTreeMap::from([(ingress("shop"), Arc::new(json!({ "metadata": { "name": "shop" } })))]),
        unread: Default::default(),
        runs: Vec::new(),
        foreign_runs: Default::default(),
        experiments: Default::default(),
        templates: BTreeMap::new(),
        troubles: BTreeMap::new(),
        digests: BTreeMap::new(),
        holds: false,
        workload: None,
    };
    endpoints(&mut world, "stable", "v1", 10);
    endpoints(&mut world, "canary", "v2", 4);
    world.routes.insert(ingress("shop-shop-canary"), Arc::new(routed(40)));
    world
}

fn template(image: &str) -> Value {
    json!({ "metadata": { "labels": { "app": "shop" } }, "spec": { "containers": [{ "name": "shop", "image": image }] } })
}

fn set(hash: &str, replicas: i32, available: i32) -> Arc<Set> {
    Arc::new(Set {
        name: format!("shop-{hash}"),
        uid: format!("uid-{hash}"),
        generation: 1,
        labels: Texts::from_iter([(HASH_LABEL.to_owned(), hash.to_owned())]),
        owner: Some("r1".to_owned()),
        replicas,
        status: SetStatus { observed_generation: 1, replicas, ready: available, available, failure: None },
        ..Set::default()
    })
}

fn service(name: &str, hash: &str) -> Arc<Service> {
    Arc::new(Service {
        name: name.to_owned(),
        owner: None,
        selector: BTreeMap::from([(HASH_LABEL.to_owned(), hash.to_owned())]),
        annotations: BTreeMap::from([(MANAGED_BY.to_owned(), "shop".to_owned())]),
        external: false,
    })
}

fn endpoints(world: &mut World, service: &str, hash: &str, ready: i32) {
    let endpoints = Endpoints { ready: BTreeMap::from([(hash.to_owned(), ready)]) };
    world.endpoints.insert(service.to_owned(), endpoints);
}

fn ingress(name: &str) -> Reference {
    Reference::new("networking.k8s.io/v1", "Ingress", name)
}

fn routed(weight: i32) -> Value {
    let prefix = "nginx.ingress.kubernetes.io";
    let mut annotations = serde_json::Map::new();
    annotations.insert(format!("{prefix}/canary"), json!("true"));
    annotations.insert(format!("{prefix}/canary-weight"), json!(weight.to_string()));
    json!({ "metadata": { "name": "shop-shop-canary", "annotations": annotations } })
}

fn route(from: i32, to: i32) -> Write {
    let reference = ingress("shop-shop-canary");
    Write::Route(RouteWrite {
        reference,
        from: Some(routed(from)),
        to: routed(to),
        weight: to,
        max_weight: 100,
    })
}

fn scale(hash: &str, from: i32, to: i32) -> Write {
    let name = format!("shop-{hash}");
    Write::PatchSet(SetPatch { name, replicas: Some((from, to)), ..SetPatch::default() })
}

fn point(service: &str, from: &str, to: &str) -> Write {
    let from = Some(from.to_owned());
    Write::PointService { service: service.to_owned(), from, to: to.to_owned(), rollout: "shop".to_owned() }
}

fn status(world: &World, change: impl FnOnce(&mut RolloutStatus)) -> Write {
    let from = world.rollout.status.clone().unwrap_or_default();
    let mut to = from.clone();
    change(&mut to);
    Write::Status(Box::new(StatusWrite { from, to }))
}

fn edit(world: &mut World, change: impl FnOnce(&mut Rollout)) {
    change(Arc::make_mut(&mut world.rollout));
    world.spec = Arc::new(Parsed::new(&world.rollout));
}

fn edit_status(world: &mut World, change: impl FnOnce(&mut RolloutStatus)) {
    edit(world, |rollout| change(rollout.status.get_or_insert_default()));
}

fn edit_set(world: &mut World, hash: &str, change: impl FnOnce(&mut Set)) {
    let set = world.sets.iter_mut().find(|set| set.hash() == hash).unwrap();
    change(Arc::make_mut(set));
}

fn plan(writes: Vec<Write>) -> Plan {
    let writes = writes.into_iter().map(|write| Planned {
        write,
        because: Because::Moves(Move::StatusMoved),
        notices: Vec::new(),
    });
    Plan { writes: writes.collect(), wake: None, because: Because::Moves(Move::StatusMoved) }
}

/// The rules that a plan breaks, each with the index of the write.
fn broken(world: &World, writes: Vec<Write>) -> Vec<(Rule, usize)> {
    lint(world, &plan(writes)).into_iter().map(|breach| (breach.rule, breach.write)).collect()
}

#[test]
fn a_raise_needs_ready_endpoints_of_the_selected_revision() {
    let mut world = world();
    endpoints(&mut world, "canary", "v2", 6);
    edit_set(&mut world, "v2", |set| (set.replicas, set.status.available) = (6, 6));
    assert_eq!(broken(&world, vec![route(40, 60)]), []);
    assert_eq!(
        broken(&world, vec![route(40, 61)]),
        [(Rule::RaisedWithoutEndpoints, 0)],
        "61 of 10 pods are 7"
    );
    endpoints(&mut world, "canary", "v1", 6);
    assert_eq!(
        broken(&world, vec![route(40, 60)]),
        [(Rule::RaisedWithoutEndpoints, 0)],
        "those are the old pods"
    );
}

#[test]
fn a_raise_does_not_count_endpoints_that_the_replica_set_is_giving_up() {
    let mut world = world();
    endpoints(&mut world, "canary", "v2", 6);
    assert_eq!(broken(&world, vec![route(40, 60)]), [(Rule::RaisedWithoutEndpoints, 0)], "the spec says 4");
}

#[test]
fn the_progress_threshold_lessens_what_a_raise_needs_but_never_below_one() {
    let mut world = world();
    edit_set(&mut world, "v2", |set| set.replicas = 6);
    edit(&mut world, |rollout| {
        let canary = rollout.spec.strategy.canary.as_mut().unwrap();
        canary.replica_progress_threshold =
            serde_json::from_value(json!({ "type": "Percent", "value": 50 })).unwrap();
    });
    endpoints(&mut world, "canary", "v2", 3);
    assert_eq!(broken(&world, vec![route(40, 60)]), []);
    endpoints(&mut world, "canary", "v2", 2);
    assert_eq!(broken(&world, vec![route(40, 60)]), [(Rule::RaisedWithoutEndpoints, 0)]);
    endpoints(&mut world, "canary", "v2", 0);
    assert_eq!(broken(&world, vec![route(0, 1)])[1..], [(Rule::WrongFrom, 0)][1..]);
}

/// The canary of `world()` with other steps, at one of them.
fn at_step(steps: Value, index: i32) -> World {
    let mut world = world();
    edit(&mut world, |rollout| {
        rollout.spec.strategy.canary.as_mut().unwrap().steps = serde_json::from_value(steps).unwrap();
    });
    edit_status(&mut world, |status| status.current_step_index = Some(index));
    world
}

#[test]
fn who_asks_for_fewer_pods_may_give_them_more_weight() {
    let scale_to = |wish: Value| at_step(json!([{ "setCanaryScale": wish }, { "setWeight": 90 }]), 1);
    assert_eq!(broken(&scale_to(json!({ "replicas": 4 })), vec![route(40, 90)]), []);
    assert_eq!(broken(&scale_to(json!({ "weight": 31 })), vec![route(40, 90)]), []);
    let raised = [(Rule::RaisedWithoutEndpoints, 0)];
    assert_eq!(broken(&scale_to(json!({ "replicas": 5 })), vec![route(40, 90)]), raised);
    assert_eq!(broken(&scale_to(json!({ "matchTrafficWeight": true })), vec![route(40, 90)]), raised);
    assert_eq!(broken(&scale_to(json!({ "replicas": 3 })), vec![scale("v2", 4, 3)]), []);
    let too_few = [(Rule::CapacityBeforeWeight, 0)];
    assert_eq!(broken(&scale_to(json!({ "replicas": 0 })), vec![scale("v2", 4, 0)]), too_few);
}

#[test]
fn a_canary_grows_no_further_than_it_was_asked_to() {
    let world = at_step(json!([{ "setCanaryScale": { "replicas": 5 } }, { "setWeight": 90 }]), 0);
    assert_eq!(broken(&world, vec![scale("v2", 4, 5)]), []);
    assert_eq!(broken(&world, vec![scale("v2", 4, 6)]), [(Rule::ScaleIgnored, 0)]);
    let done = status(&world, |status| status.current_step_index = Some(1));
    assert_eq!(broken(&world, vec![done]), [(Rule::StepNotDone, 0)], "four of five pods are there");
}

#[test]
fn traffic_never_moves_to_a_stable_service_without_endpoints_while_the_canary_has_some() {
    let mut world = world();
    endpoints(&mut world, "stable", "v1", 0);
    assert_eq!(broken(&world, vec![route(40, 0)]), [(Rule::LoweredOntoNothing, 0)]);
    endpoints(&mut world, "canary", "v2", 0);
    assert_eq!(broken(&world, vec![route(40, 0)]), []);
}

#[test]
fn capacity_stays_until_the_weight_was_observed_to_be_gone() {
    let world_at_40 = world();
    assert_eq!(broken(&world_at_40, vec![scale("v2", 4, 2)]), [(Rule::CapacityBeforeWeight, 0)]);
    let same_plan = vec![route(40, 20), scale("v2", 4, 2)];
    assert_eq!(broken(&world_at_40, same_plan), [(Rule::CapacityBeforeWeight, 1)], "written is not observed");
    let mut world_at_20 = world();
    world_at_20.routes.insert(ingress("shop-shop-canary"), Arc::new(routed(20)));
    assert_eq!(broken(&world_at_20, vec![scale("v2", 4, 2)]), []);
}

#[test]
fn the_stable_revision_keeps_all_its_pods_under_a_router() {
    let world = world();
    assert_eq!(broken(&world, vec![scale("v1", 10, 6)]), [(Rule::StableTooSmall, 0)]);
    assert_eq!(
        broken(&world, vec![scale("v1", 10, 5)]),
        [(Rule::CapacityBeforeWeight, 0), (Rule::StableTooSmall, 0)]
    );
}

#[test]
fn pods_that_are_not_available_may_always_go() {
    let mut world = world();
    edit_set(&mut world, "v2", |set| set.status.available = 1);
    assert_eq!(broken(&world, vec![scale("v2", 4, 1)]), []);
}

/// v2 is promoted and carries everything; v1 is the former stable revision.
fn promoted() -> World {
    let mut world = world();
    edit_status(&mut world, |status| status.stable_rs = "v2".to_owned());
    edit_set(&mut world, "v2", |set| (set.replicas, set.status.available) = (10, 10));
    world.services.insert("stable".to_owned(), service("stable", "v2"));
    endpoints(&mut world, "stable", "v2", 10);
    endpoints(&mut world, "canary", "v2", 10);
    world.routes.insert(ingress("shop-shop-canary"), Arc::new(routed(0)));
    world
}

#[test]
fn a_former_stable_revision_stays_up_for_its_delay() {
    let mut world = promoted();
    assert_eq!(broken(&world, vec![scale("v1", 10, 0)]), [(Rule::DelayIgnored, 0)]);
    edit_set(&mut world, "v1", |set| {
        set.annotations.insert(SCALE_DOWN_DEADLINE.to_owned(), at(1).to_string());
    });
    assert_eq!(broken(&world, vec![scale("v1", 10, 0)]), [(Rule::DelayIgnored, 0)]);
    world.now = at(2);
    assert_eq!(broken(&world, vec![scale("v1", 10, 0)]), []);
}

#[test]
fn an_abort_takes_the_weight_away_before_anything_else() {
    let mut world = world();
    edit_status(&mut world, |status| status.abort = true);
    assert_eq!(broken(&world, vec![route(40, 0), point("canary", "v2", "v1")]), []);
    let late = broken(&world, vec![point("canary", "v2", "v1"), route(40, 0)]);
    assert_eq!(late[0], (Rule::AbortNotFirst, 0));
    assert_eq!(broken(&world, vec![]), [(Rule::AbortNotFirst, 0), (Rule::AbortIncomplete, 0)]);
    assert_eq!(broken(&world, vec![route(40, 10)]), [(Rule::AbortIncomplete, 1)]);
    endpoints(&mut world, "canary", "v2", 9);
    edit_set(&mut world, "v2", |set| set.replicas = 9);
    assert!(broken(&world, vec![route(40, 50)]).contains(&(Rule::AbortRaises, 0)));
}

#[test]
fn an_abort_decided_by_the_plan_itself_moves_traffic_in_the_same_plan() {
    let world = world();
    let abort = status(&world, |status| status.abort = true);
    assert_eq!(broken(&world, vec![route(40, 0), abort.clone()]), []);
    assert_eq!(broken(&world, vec![abort]), [(Rule::AbortNotFirst, 0), (Rule::AbortIncomplete, 1)]);
}

#[test]
fn an_abort_leaves_the_better_side_alone() {
    let mut world = world();
    edit_status(&mut world, |status| status.abort = true);
    endpoints(&mut world, "stable", "v1", 0);
    assert_eq!(broken(&world, vec![]), []);
}

#[test]
fn a_service_with_weight_is_only_pointed_at_pods_that_can_carry_it() {
    let mut world = world();
    world.sets.push(set("v3", 1, 0));
    assert_eq!(broken(&world, vec![point("canary", "v2", "v3")]), [(Rule::PointedAtNothing, 0)]);
    edit_set(&mut world, "v3", |set| set.status.available = 1);
    assert_eq!(
        broken(&world, vec![point("canary", "v2", "v3")]),
        [(Rule::PointedAtNothing, 0)],
        "1 for 40 % of 10"
    );
    edit_set(&mut world, "v3", |set| (set.replicas, set.status.available) = (4, 4));
    assert_eq!(broken(&world, vec![point("canary", "v2", "v3")]), []);
    assert_eq!(broken(&world, vec![point("missing", "v2", "v3")]).first(), Some(&(Rule::ChangesNothing, 0)));
}

#[test]
fn a_stable_service_is_adopted_only_when_the_revision_is_complete() {
    let mut world = world_of(json!({ "canaryService": "canary", "stableService": "stable" }));
    let unadopted = Service { name: "stable".to_owned(), ..Service::default() };
    world.services.insert("stable".to_owned(), Arc::new(unadopted));
    let adopt = Write::PointService {
        service: "stable".to_owned(),
        from: None,
        to: "v1".to_owned(),
        rollout: "shop".to_owned(),
    };
    assert_eq!(broken(&world, vec![adopt.clone()]), []);
    edit_set(&mut world, "v1", |set| set.status.available = 9);
    assert_eq!(broken(&world, vec![adopt]), [(Rule::PointedAtNothing, 0)]);
}

#[test]
fn without_a_router_pods_stay_within_surge_and_unavailability() {
    let mut world =
        world_of(json!({ "maxSurge": 1, "maxUnavailable": "10%", "steps": [{ "setWeight": 40 }] }));
    edit_set(&mut world, "v1", |set| (set.replicas, set.status.available) = (6, 6));
    assert_eq!(broken(&world, vec![scale("v2", 4, 5)]), []);
    assert_eq!(broken(&world, vec![scale("v2", 4, 6)]), [(Rule::SurgeExceeded, 0)]);
    assert_eq!(broken(&world, vec![scale("v1", 6, 5)]), []);
    assert_eq!(broken(&world, vec![scale("v1", 6, 4)]), [(Rule::TooFewAvailable, 0)]);
    edit_set(&mut world, "v2", |set| set.status.available = 3);
    assert_eq!(broken(&world, vec![scale("v1", 6, 5)]), [(Rule::TooFewAvailable, 0)]);
    let both = vec![scale("v2", 4, 5), scale("v1", 6, 5)];
    assert_eq!(broken(&world, both), [(Rule::TooFewAvailable, 1)], "a new pod is not available yet");
}

#[test]
fn a_paused_rollout_is_not_scaled() {
    let mut paused = world();
    edit(&mut paused, |rollout| rollout.spec.paused = true);
    assert_eq!(broken(&paused, vec![scale("v2", 4, 5)]), [(Rule::ScaledWhilePaused, 0)]);
    let mut undecided = world();
    edit_status(&mut undecided, |status| {
        status.pause_conditions =
            serde_json::from_value(json!([{ "reason": "InconclusiveAnalysisRun" }])).unwrap();
    });
    assert_eq!(broken(&undecided, vec![scale("v2", 4, 5)]), [(Rule::ScaledWhilePaused, 0)]);
}

#[test]
fn the_status_comes_last_and_from_what_was_read() {
    let world = world();
    let moved = status(&world, |status| status.replicas = 14);
    assert_eq!(broken(&world, vec![scale("v2", 4, 5), moved.clone()]), []);
    assert_eq!(broken(&world, vec![moved, scale("v2", 4, 5)]), [(Rule::StatusNotLast, 0)]);
    let mut other = world.clone();
    edit_status(&mut other, |status| status.replicas = 3);
    let stale = status(&other, |status| status.replicas = 14);
    assert_eq!(broken(&world, vec![stale]), [(Rule::WrongFrom, 0)]);
}

#[test]
fn a_plan_writes_each_field_once_and_only_to_change_it() {
    let world = world();
    let twice = broken(&world, vec![scale("v2", 4, 5), scale("v2", 5, 6)]);
    assert_eq!(twice, [(Rule::WrittenTwice, 1)]);
    assert_eq!(broken(&world, vec![scale("v2", 4, 4)]), [(Rule::ChangesNothing, 0)]);
    assert_eq!(broken(&world, vec![scale("v2", 3, 5)]), [(Rule::WrongFrom, 0)]);
    assert_eq!(broken(&world, vec![point("stable", "v1", "v1")]), [(Rule::ChangesNothing, 0)]);
    let same = status(&world, |_| {});
    assert_eq!(broken(&world, vec![same]), [(Rule::ChangesNothing, 0)]);
    assert!(broken(&world, vec![route(40, 40)]).contains(&(Rule::ChangesNothing, 0)));
}

#[test]
fn replica_sets_begin_with_a_size_they_may_have_and_end_without_pods() {
    let mut world = world();
    let create = |replicas| Write::CreateSet(Box::new((*set("v3", replicas, 0)).clone()));
    assert_eq!(broken(&world, vec![create(0)]), []);
    assert_eq!(broken(&world, vec![create(2)]), []);
    assert_eq!(broken(&world, vec![create(0), scale("v3", 0, 1)]), [(Rule::DependsOnEarlier, 1)]);
    let mut paused = world.clone();
    edit(&mut paused, |rollout| rollout.spec.paused = true);
    assert_eq!(broken(&paused, vec![create(0)]), []);
    assert_eq!(broken(&paused, vec![create(2)]), [(Rule::ScaledWhilePaused, 0)]);
    world.sets.push(set("v0", 0, 0));
    let delete = Write::DeleteSet { name: "shop-v0".to_owned(), uid: "uid-v0".to_owned() };
    assert_eq!(broken(&world, vec![delete.clone()]), []);
    edit_set(&mut world, "v0", |set| set.status.replicas = 1);
    assert_eq!(broken(&world, vec![delete]), [(Rule::DeletedWithPods, 0)]);
}

#[test]
fn steps_go_one_by_one_and_only_when_done() {
    let world = world();
    let to = |index: i32| status(&world, move |status| status.current_step_index = Some(index));
    assert_eq!(broken(&world, vec![to(1)]), []);
    assert_eq!(broken(&world, vec![to(2)]), [(Rule::StepJump, 0)]);
    let lower = vec![route(40, 10), to(1)];
    assert_eq!(broken(&world, lower), [(Rule::StepNotDone, 1)], "the first step asks for 40");
    let mut paused = world.clone();
    edit(&mut paused, |rollout| rollout.spec.paused = true);
    let next = status(&paused, |status| status.current_step_index = Some(1));
    assert_eq!(broken(&paused, vec![next]), [(Rule::StepNotDone, 0)]);
}

#[test]
fn a_pause_lasts_its_time_unless_somebody_ends_it() {
    let mut world = world();
    edit_status(&mut world, |status| {
        status.current_step_index = Some(1);
        status.controller_pause = true;
        status.pause_conditions = serde_json::from_value(
            json!([{ "reason": "CanaryPauseStep", "startTime": at(-10).to_string() }]),
        )
        .unwrap();
    });
    let next = |world: &World| status(world, |status| status.current_step_index = Some(2));
    assert_eq!(broken(&world, vec![next(&world)]), [(Rule::StepNotDone, 0)]);
    let mut later = world.clone();
    later.now = at(21);
    assert_eq!(broken(&later, vec![next(&later)]), []);
    edit_status(&mut world, |status| status.pause_conditions.clear());
    assert_eq!(broken(&world, vec![next(&world)]), [], "somebody resumed it");
}

#[test]
fn a_revision_becomes_stable_only_with_its_pods() {
    let mut world = world();
    let promote = |world: &World| {
        status(world, |status| {
            status.stable_rs = "v2".to_owned();
            status.current_step_index = Some(3);
        })
    };
    assert_eq!(broken(&world, vec![promote(&world)]), [(Rule::PromotedWithoutPods, 0)]);
    edit_set(&mut world, "v2", |set| (set.replicas, set.status.available) = (10, 10));
    assert_eq!(broken(&world, vec![promote(&world)]), []);
}

#[test]
fn a_plan_that_does_nothing_says_why_and_does_not_spin() {
    let world = world();
    let mut silent = plan(vec![]);
    silent.because = Because::Settled;
    let rules: Vec<Rule> = lint(&world, &silent).into_iter().map(|breach| breach.rule).collect();
    assert_eq!(rules, [Rule::SilentWait]);
    let mut spinning = plan(vec![]);
    spinning.wake = Some(world.now);
    let rules: Vec<Rule> = lint(&world, &spinning).into_iter().map(|breach| breach.rule).collect();
    assert_eq!(rules, [Rule::WakeInThePast]);
}

/// The planner's own plan for an abort is safe; the same plan with two writes swapped is not.
#[test]
fn an_ordering_bug_planted_in_a_real_plan_is_caught() {
    let mut world = real_world();
    edit_status(&mut world, |status| status.abort = true);
    let good = crate::rollout::plan(&world);
    assert_eq!(lint(&world, &good), []);
    assert!(good.writes.len() >= 2, "{good:?}");
    assert!(matches!(good.writes[0].write, Write::Route(_)), "{good:?}");
    let mut bad = good.clone();
    bad.writes.swap(0, 1);
    let rules: Vec<Rule> = lint(&world, &bad).into_iter().map(|breach| breach.rule).collect();
    assert!(rules.contains(&Rule::AbortNotFirst), "{rules:?}");
}

/// The same for a shrinking canary: its pods leave a round after its weight, never with it.
#[test]
fn capacity_moved_before_the_weight_in_a_real_plan_is_caught() {
    let mut world = real_world();
    edit_status(&mut world, |status| status.abort = true);
    let mut plan = crate::rollout::plan(&world);
    let shrink =
        Planned { write: scale("v2", 4, 0), because: Because::Moves(Move::StatusMoved), notices: Vec::new() };
    plan.writes.insert(1, shrink);
    let rules: Vec<Rule> = lint(&world, &plan).into_iter().map(|breach| breach.rule).collect();
    assert!(rules.contains(&Rule::CapacityBeforeWeight), "{rules:?}");
}

/// A World as the planner itself would leave it: hashes, labels and routing objects are its own.
fn real_world() -> World {
    let mut world = world();
    let paths =
        json!([{ "path": "/", "backend": { "service": { "name": "stable", "port": { "number": 80 } } } }]);
    let stable =
        json!({ "metadata": { "name": "shop" }, "spec": { "rules": [{ "http": { "paths": paths } }] } });
    world.routes.insert(ingress("shop"), Arc::new(stable));
    let mut canary = routed(40);
    canary["metadata"]["ownerReferences"] = json!([{ "controller": true, "uid": "r1" }]);
    world.routes.insert(ingress("shop-shop-canary"), Arc::new(canary));
    for set in &mut world.sets {
        let set = Arc::make_mut(set);
        let image = set.name.trim_start_matches("shop-").to_owned();
        set.labels.insert("app".to_owned(), "shop".to_owned());
        set.template = template(&image).into();
    }
    for service in world.services.values_mut() {
        Arc::make_mut(service).selector.insert("app".to_owned(), "shop".to_owned());
    }
    world
}

/// Two hours old pods of both revisions, all ready, and a restart that was asked for a minute ago.
fn restarting() -> World {
    let mut world = world();
    for (hash, count) in [("v1", 10), ("v2", 4)] {
        for number in 0..count {
            world.pods.push(Arc::new(Pod {
                name: format!("{hash}-{number}"),
                uid: format!("{hash}-{number}"),
                set: format!("shop-{hash}"),
                created: at(-7200),
                ready_since: Some(at(-7000)),
                ..Pod::default()
            }));
        }
    }
    edit(&mut world, |rollout| rollout.spec.restart_at = Some(Time(at(-60))));
    world
}

/// Patches the template of v2, whose pods are selected by `app` and the hash.
fn retemplated(template: Value) -> Vec<(Rule, usize)> {
    let mut world = world();
    edit_set(&mut world, "v2", |set| {
        set.selector = json!({ "matchLabels": { "app": "shop", HASH_LABEL: "v2" } }).into();
        set.template = template_of_v2().into();
    });
    let template = Some(template);
    broken(
        &world,
        vec![Write::PatchSet(SetPatch { name: "shop-v2".to_owned(), template, ..SetPatch::default() })],
    )
}

fn template_of_v2() -> Value {
    let own = json!({ "labelSelector": { "matchLabels": { "app": "db" } }, "topologyKey": "zone" });
    let mut template = template("v2");
    template["spec"]["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] =
        json!([own]);
    template
}

#[test]
fn roles_and_distance_are_all_that_is_added_to_a_template() {
    let changed = [(Rule::TemplateChanged, 0)];
    assert_eq!(retemplated(json!({ "metadata": { "labels": { "role": "canary" } } })), []);
    assert_eq!(retemplated(json!({ "metadata": { "labels": { "app": "other" } } })), changed);
    assert_eq!(retemplated(json!({ "metadata": { "name": "x" } })), changed);
    assert_eq!(retemplated(json!({ "spec": { "containers": [] } })), changed);
    let apart = json!({ "labelSelector": { "matchExpressions": [{ "key": HASH_LABEL, "operator": "In", "values": ["v1"] }] } });
    let list = "requiredDuringSchedulingIgnoredDuringExecution";
    let own = template_of_v2()["spec"]["affinity"]["podAntiAffinity"][list][0].clone();
    let terms = |terms: Value| json!({ "spec": { "affinity": { "podAntiAffinity": { list: terms } } } });
    assert_eq!(retemplated(terms(json!([own, apart]))), []);
    assert_eq!(retemplated(terms(json!([apart]))), changed, "the user's own term is gone");
}

#[test]
fn a_pod_gets_what_a_new_one_would_have() {
    let mut world = restarting();
    edit_set(&mut world, "v2", |set| {
        set.selector = json!({ "matchLabels": { "app": "shop" } }).into();
        set.template = json!({ "metadata": { "labels": { "app": "shop", "role": "canary" } } }).into();
    });
    let mark = |key: &str, text: Option<&str>| {
        let labels = BTreeMap::from([(key.to_owned(), text.map(str::to_owned))]);
        let (name, uid) = ("v2-0".to_owned(), "v2-0".to_owned());
        vec![Write::PatchPod(crate::plan::PodPatch { name, uid, labels, annotations: BTreeMap::new() })]
    };
    assert_eq!(broken(&world, mark("role", Some("canary"))), []);
    let unlike = [(Rule::PodUnlikeTemplate, 0)];
    assert_eq!(broken(&world, mark("role", Some("stable"))), unlike);
    assert_eq!(broken(&world, mark("app", Some("shop"))), unlike, "that is what it is selected by");
    assert_eq!(broken(&world, mark("role", None))[..1], [(Rule::ChangesNothing, 0)]);
}

fn restart(name: &str) -> Write {
    Write::RestartPod { name: name.to_owned(), uid: name.to_owned() }
}

#[test]
fn only_old_pods_are_restarted_when_it_is_time() {
    let mut world = restarting();
    assert_eq!(broken(&world, vec![restart("v1-0"), restart("v1-1")]), []);
    Arc::make_mut(&mut world.pods[0]).created = at(-60);
    assert_eq!(broken(&world, vec![restart("v1-0")]), [(Rule::RestartedUnasked, 0)]);
    edit(&mut world, |rollout| rollout.spec.restart_at = Some(Time(at(60))));
    assert_eq!(broken(&world, vec![restart("v1-1")]), [(Rule::RestartedUnasked, 0)], "it is not time yet");
    edit(&mut world, |rollout| rollout.spec.restart_at = None);
    assert_eq!(broken(&world, vec![restart("v1-1")]), [(Rule::RestartedUnasked, 0)]);
}

#[test]
fn a_restart_takes_no_more_than_may_be_away_and_never_the_last_that_serves() {
    let mut world = restarting();
    let three = || vec![restart("v1-0"), restart("v1-1"), restart("v2-0")];
    assert_eq!(broken(&world, three()), [(Rule::RestartedTooMany, 2)], "14 pods, 2 may be away");
    Arc::make_mut(&mut world.pods[0]).ready_since = None;
    edit_set(&mut world, "v1", |set| set.status.available = 9);
    assert_eq!(broken(&world, three()), [(Rule::RestartedTooMany, 2)], "one is away already");
    assert_eq!(broken(&world, three()[..2].to_vec()), [], "a pod that is not ready costs nothing");

    let mut world = restarting();
    world.pods.retain(|pod| pod.set == "shop-v1" || pod.name == "v2-0");
    edit_set(&mut world, "v2", |set| (set.replicas, set.status.available) = (1, 1));
    assert_eq!(broken(&world, vec![restart("v2-0")]), [(Rule::RestartedTooMany, 0)]);
    assert_eq!(broken(&world, vec![restart("v1-0")]), []);
}

#[test]
fn nothing_else_happens_while_pods_are_restarted() {
    let world = restarting();
    let with_others = broken(&world, vec![restart("v1-0"), scale("v2", 4, 5)]);
    assert_eq!(with_others, [(Rule::RestartedInPassing, 0)]);
}

#[test]
fn a_deployment_shrinks_only_as_the_rollouts_own_pods_can_stand_for_it() {
    let deployment = json!({"metadata": {"name": "shop", "uid": "d1"}, "spec": {"replicas": 10}});
    let scaled = |mode: &str, from: i32, to: i32| {
        let mut world = world();
        world.workload = Some(Arc::new(Workload::parse(WorkloadKind::Deployment, &deployment)));
        world.sets = vec![set("v2", 10, 6)];
        edit(&mut world, |rollout| {
            let scale_down = Some(mode.to_owned());
            rollout.spec.workload_ref = Some(ObjectRef { scale_down, ..ObjectRef::default() });
        });
        let (name, uid) = ("shop".to_owned(), "d1".to_owned());
        broken(&world, vec![Write::ScaleWorkload { name, uid, from, to }])
    };
    let too_small = [(Rule::WorkloadTooSmall, 0)];
    assert_eq!(scaled("progressively", 10, 4), [], "6 of 10 are available");
    assert_eq!(scaled("progressively", 10, 3), too_small);
    assert_eq!(scaled("onsuccess", 10, 4), too_small, "not before all are");
    assert_eq!(scaled("never", 10, 4), too_small);
    assert_eq!(scaled("progressively", 9, 4), [(Rule::WrongFrom, 0)]);
    assert_eq!(scaled("progressively", 10, 10), [(Rule::ChangesNothing, 0)]);
}
