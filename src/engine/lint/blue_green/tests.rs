//! Each rule on blue-green updates broken once, on purpose, beside a plan that keeps it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate_api::rollout::{Rollout, RolloutStatus};

use crate::lint::{Rule, lint};
use crate::plan::{Because, Move, Plan, Planned, SetPatch, StatusWrite, Write};
use crate::rollout::world::{Endpoints, Parsed, Service, Set, World};

/// Four pods of v1, stable, and four of v2; users reach `active`. Now is 100 s after 1970, v2 was made at 50 s.
fn world(active: &str, strategy: Value, status: Value) -> World {
    let mut spec = json!({ "activeService": "active", "previewService": "preview" });
    json_patch::merge(&mut spec, &strategy);
    let mut known = json!({ "phase": "Progressing", "stableRS": "v1", "currentPodHash": "v2", "observedGeneration": "2" });
    json_patch::merge(&mut known, &status);
    let rollout: Rollout = serde_json::from_value(json!({
        "metadata": { "name": "shop", "namespace": "web", "uid": "r1", "generation": 2 },
        "spec": {
            "replicas": 4,
            "selector": { "matchLabels": { "app": "shop" } },
            "template": { "metadata": { "labels": { "app": "shop" } } },
            "strategy": { "blueGreen": spec },
        },
        "status": known,
    }))
    .unwrap();
    let service = |name: &str, hash: &str| {
        let selector = json!({ "rollouts-pod-template-hash": hash });
        Arc::new(Service::parse(&json!({ "metadata": { "name": name }, "spec": { "selector": selector } })))
    };
    let endpoints = Endpoints { ready: BTreeMap::from([(active.to_owned(), 4)]) };
    World {
        now: Timestamp::from_second(100).unwrap(),
        spec: Arc::new(Parsed::new(&rollout)),
        rollout: Arc::new(rollout),
        sets: vec![set("v1", "1970-01-01T00:00:01Z", 4), set("v2", "1970-01-01T00:00:50Z", 4)],
        pods: Vec::new(),
        services: BTreeMap::from([
            ("active".to_owned(), service("active", active)),
            ("preview".to_owned(), service("preview", "v2")),
        ]),
        endpoints: BTreeMap::from([("active".to_owned(), endpoints)]),
        routes: BTreeMap::new(),
        unread: BTreeMap::new(),
        workload: None,
        experiments: Default::default(),
        runs: Vec::new(),
        foreign_runs: Default::default(),
        templates: BTreeMap::new(),
        troubles: BTreeMap::new(),
        digests: BTreeMap::new(),
        holds: false,
    }
}

fn set(hash: &str, created: &str, available: i32) -> Arc<Set> {
    Arc::new(Set::parse(&json!({
        "metadata": {
            "name": format!("shop-{hash}"), "uid": hash, "generation": 1, "creationTimestamp": created,
            "labels": { "rollouts-pod-template-hash": hash },
            "ownerReferences": [{ "uid": "r1", "controller": true }],
        },
        "spec": { "replicas": 4 },
        "status": {
            "observedGeneration": 1, "replicas": 4, "readyReplicas": available, "availableReplicas": available,
        },
    })))
}

fn point(from: &str, to: &str) -> Write {
    let (service, from) = ("active".to_owned(), Some(from.to_owned()));
    Write::PointService { service, from, to: to.to_owned(), rollout: "shop".to_owned() }
}

fn scale(hash: &str, to: i32) -> Write {
    let name = format!("shop-{hash}");
    Write::PatchSet(SetPatch { name, replicas: Some((4, to)), ..SetPatch::default() })
}

fn status(world: &World, change: impl FnOnce(&mut RolloutStatus)) -> Write {
    let from = world.rollout.status.clone().unwrap_or_default();
    let mut to = from.clone();
    change(&mut to);
    Write::Status(Box::new(StatusWrite { from, to }))
}

/// The rules that writes break.
fn broken(world: &World, writes: Vec<Write>) -> Vec<Rule> {
    let because = Because::Moves(Move::Bookkeeping);
    let planned =
        writes.into_iter().map(|write| Planned { write, because: because.clone(), notices: Vec::new() });
    let plan = Plan { writes: planned.collect(), because: because.clone(), ..Plan::default() };
    lint(world, &plan).into_iter().map(|breach| breach.rule).collect()
}

fn run(kind: &str) -> Value {
    json!({
        "metadata": { "name": "run", "labels": { "rollouts-pod-template-hash": "v2", "rollout-type": kind } },
        "spec": { "metrics": [] },
        "status": { "phase": "Successful" },
    })
}

#[test]
fn users_go_to_a_revision_with_all_its_pods() {
    let mut ready = world("v1", json!({}), json!({}));
    assert_eq!(broken(&ready, vec![point("v1", "v2")]), []);
    ready.sets[1] = set("v2", "1970-01-01T00:00:50Z", 3);
    assert_eq!(broken(&ready, vec![point("v1", "v2")]), [Rule::PointedAtNothing]);
}

#[test]
fn users_go_nowhere_before_their_time() {
    let early = |strategy: Value, status: Value| {
        broken(&world("v1", strategy, status), vec![point("v1", "v2")]) == [Rule::SwitchedTooEarly]
    };
    let by_hand = json!({ "autoPromotionEnabled": false });
    assert!(early(by_hand.clone(), json!({})));
    assert!(!early(by_hand.clone(), json!({ "controllerPause": true })));
    assert!(!early(by_hand.clone(), json!({ "promoteFull": true })));
    let paused = |start: &str| json!({ "controllerPause": true, "pauseConditions": [{ "reason": "BlueGreenPause", "startTime": start }] });
    assert!(early(by_hand, paused("1970-01-01T00:00:10Z")));
    let timed = json!({ "autoPromotionSeconds": 30 });
    assert!(early(timed.clone(), paused("1970-01-01T00:01:11Z")));
    assert!(!early(timed, paused("1970-01-01T00:01:10Z")));
    let undecided = json!({ "pauseConditions": [{ "reason": "InconclusiveAnalysisRun" }] });
    assert!(early(json!({}), undecided));
}

#[test]
fn users_wait_for_the_analysis_before_the_switch() {
    let judged = json!({ "prePromotionAnalysis": { "templates": [{ "templateName": "t" }] } });
    let mut world = world("v1", judged, json!({}));
    assert_eq!(broken(&world, vec![point("v1", "v2")]), [Rule::SwitchedTooEarly]);
    world.runs = vec![Arc::new(serde_json::from_value(run("PostPromotion")).unwrap())];
    assert_eq!(broken(&world, vec![point("v1", "v2")]), [Rule::SwitchedTooEarly]);
    world.runs = vec![Arc::new(serde_json::from_value(run("PrePromotion")).unwrap())];
    assert_eq!(broken(&world, vec![point("v1", "v2")]), []);
}

#[test]
fn an_abort_gives_users_back_first_of_all() {
    let mut aborted = world("v2", json!({}), json!({ "abort": true }));
    assert_eq!(broken(&aborted, vec![point("v2", "v1"), scale("v1", 5)]), []);
    assert_eq!(broken(&aborted, vec![scale("v1", 5), point("v2", "v1")]), [Rule::AbortNotFirst]);
    assert_eq!(broken(&aborted, vec![scale("v1", 5)]), [Rule::AbortNotFirst, Rule::AbortIncomplete]);
    aborted.sets[0] = set("v1", "1970-01-01T00:00:01Z", 0);
    assert_eq!(broken(&aborted, vec![scale("v1", 5)]), [], "the better side keeps the users");
    assert_eq!(broken(&aborted, vec![point("v2", "v1")]), [Rule::PointedAtNothing]);
}

#[test]
fn what_users_reach_keeps_its_pods() {
    let switched = world("v2", json!({}), json!({ "stableRS": "v2" }));
    assert_eq!(broken(&switched, vec![scale("v2", 3)]), [Rule::CapacityBeforeWeight, Rule::StableTooSmall]);
    let mut late = switched.clone();
    let still = Endpoints { ready: BTreeMap::from([("v1".to_owned(), 1)]) };
    late.endpoints.insert("active".to_owned(), still);
    assert!(broken(&late, vec![scale("v1", 0)]).contains(&Rule::CapacityBeforeWeight));
    let updating = world("v2", json!({}), json!({}));
    assert!(broken(&updating, vec![scale("v1", 0)]).contains(&Rule::StableTooSmall));
}

#[test]
fn old_pods_stay_for_their_delay() {
    let mut promoted = world("v2", json!({}), json!({ "stableRS": "v2" }));
    assert_eq!(broken(&promoted, vec![scale("v1", 0)]), [Rule::DelayIgnored]);
    let deadline = |world: &mut World, at: &str| {
        let set = Arc::make_mut(&mut world.sets[0]);
        set.annotations.insert("scale-down-deadline".to_owned(), at.to_owned());
    };
    deadline(&mut promoted, "1970-01-01T00:01:50Z");
    assert_eq!(broken(&promoted, vec![scale("v1", 0)]), [Rule::DelayIgnored]);
    deadline(&mut promoted, "1970-01-01T00:01:40Z");
    assert_eq!(broken(&promoted, vec![scale("v1", 0)]), []);
    let at_once = world("v2", json!({ "scaleDownDelaySeconds": 0 }), json!({ "stableRS": "v2" }));
    assert_eq!(broken(&at_once, vec![scale("v1", 0)]), []);
}

#[test]
fn a_revision_is_stable_once_users_reach_it_and_it_was_judged() {
    let promote = |world: &World| broken(world, vec![status(world, |to| to.stable_rs = "v2".to_owned())]);
    assert_eq!(promote(&world("v2", json!({}), json!({}))), []);
    assert_eq!(promote(&world("v1", json!({}), json!({}))), [Rule::PromotedWithoutPods]);
    let judged = json!({ "postPromotionAnalysis": { "templates": [{ "templateName": "t" }] } });
    let mut switched = world("v2", judged, json!({}));
    assert_eq!(promote(&switched), [Rule::SwitchedTooEarly]);
    switched.runs = vec![Arc::new(serde_json::from_value(run("PostPromotion")).unwrap())];
    assert_eq!(promote(&switched), []);
}
