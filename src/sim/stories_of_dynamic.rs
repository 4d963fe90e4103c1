//! Stories of a stable revision that follows its share of the traffic, and of an autoscaler that wants more or fewer pods
//! in the middle of an update.

use serde_json::{Value, json};

use crate::shape::{CANARY_SERVICE, INGRESSES, STABLE_SERVICE};
use crate::stories::tells;
use crate::users::Act;

/// Four replicas behind NGINX, whose stable revision follows, and a pause after each weight.
fn dynamic(weights: &[i32]) -> Value {
    let steps = weights.iter().flat_map(|weight| [json!({ "setWeight": weight }), json!({ "pause": {} })]);
    json!({
        "replicas": 4,
        "strategy": { "canary": {
            "canaryService": CANARY_SERVICE,
            "stableService": STABLE_SERVICE,
            "trafficRouting": { "nginx": { "stableIngress": INGRESSES[0].name() } },
            "dynamicStableScale": true,
            "steps": steps.collect::<Vec<_>>(),
        } },
    })
}

#[test]
fn the_stable_revision_shrinks_as_the_canary_grows() {
    let acts = [(20, Act::Image("v2")), (40, Act::Promote), (60, Act::Promote)];
    tells("dynamic-promoted", dynamic(&[25, 75]), &acts, &[]);
}

#[test]
fn an_abort_at_each_step_moves_traffic_as_the_stable_pods_come_back() {
    let mut acts = vec![(20, Act::Image("v2"))];
    // At 25, at 75 and at 100; each retry begins at 25 again, and is promoted so many times.
    for (at, promoted) in [(40, 1), (120, 2), (240, 0)] {
        acts.extend([(at, Act::Abort), (at + 30, Act::Retry)]);
        acts.extend((0..promoted).map(|time| (at + 45 + 15 * time, Act::Promote)));
    }
    tells("dynamic-aborted-at-each-step", dynamic(&[25, 75, 100]), &acts, &[]);
}

#[test]
fn an_abort_with_a_delay_keeps_the_canary_for_it() {
    let mut spec = dynamic(&[75]);
    spec["strategy"]["canary"]["abortScaleDownDelaySeconds"] = json!(10);
    tells("dynamic-aborted-with-a-delay", spec, &[(20, Act::Image("v2")), (40, Act::Abort)], &[]);
}

#[test]
fn an_abort_of_a_paused_rollout_gets_its_stable_pods_back() {
    let acts = [(20, Act::Image("v2")), (40, Act::Pause(true)), (50, Act::Abort), (80, Act::Pause(false))];
    tells("dynamic-aborted-while-paused", dynamic(&[75]), &acts, &[]);
}

#[test]
fn a_full_promotion_gives_weight_as_pods_come() {
    let acts = [(20, Act::Image("v2")), (40, Act::PromoteFull)];
    tells("dynamic-promoted-in-full", dynamic(&[25, 75]), &acts, &[]);
}

#[test]
fn going_back_to_the_stable_version_waits_for_its_pods() {
    let acts = [(20, Act::Image("v2")), (40, Act::Image("v1"))];
    tells("dynamic-back-to-v1", dynamic(&[75]), &acts, &[]);
}

#[test]
fn a_third_version_and_the_way_back() {
    let acts = [(20, Act::Image("v2")), (40, Act::Image("v3")), (47, Act::Image("v1"))];
    tells("dynamic-v1-v2-v3-v1", dynamic(&[75]), &acts, &[]);
}

#[test]
fn an_autoscaler_wants_more_and_fewer_pods_while_the_stable_revision_follows() {
    let acts = [(20, Act::Image("v2")), (40, Act::Autoscale(8)), (60, Act::Autoscale(3)), (80, Act::Abort)];
    tells("dynamic-autoscaled", dynamic(&[50]), &acts, &[]);
}

#[test]
fn an_autoscaler_wants_more_and_fewer_pods_behind_a_router() {
    let mut spec = dynamic(&[50]);
    spec["strategy"]["canary"]["dynamicStableScale"] = json!(false);
    let acts = [(20, Act::Image("v2")), (40, Act::Autoscale(8)), (60, Act::Autoscale(3)), (80, Act::Promote)];
    tells("autoscaled-behind-a-router", spec, &acts, &[]);
}

#[test]
fn an_autoscaler_wants_more_and_fewer_pods_without_a_router() {
    let steps = json!([{ "setWeight": 50 }, { "pause": {} }]);
    let spec = json!({
        "replicas": 4,
        "strategy": { "canary": { "steps": steps, "maxSurge": 1, "maxUnavailable": 0 } },
    });
    let acts =
        [(20, Act::Image("v2")), (40, Act::Autoscale(8)), (70, Act::Autoscale(3)), (100, Act::Promote)];
    tells("autoscaled-without-a-router", spec, &acts, &[]);
}
